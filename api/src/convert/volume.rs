//! Volumes of pods and their mounts.

use dugout_model::{
    ClaimName, ClaimVolume, EmptyDir, FieldFile, FieldFileContent, FileContent, FileField,
    FileMode, FileSource, HostPath, KeyFile, MountAccess, MountPropagation, Projection, SubPath,
    Volume, VolumeFiles, VolumeMount, VolumeSource,
};
use k8s_openapi::api::core::v1 as core;

use super::meta::{bytes, list, some_text};
use super::template::field_selector;

/// A volume as Git declares it. A projected volume of one source looks as one of that source's type,
/// which means the same.
pub(super) fn declared(volume: &Volume<Projection>) -> core::Volume {
    let mut result = without_files(volume);
    let VolumeSource::Files(projection) = &volume.source else { return result };
    let default_mode = mode(Some(projection.default_mode));
    match &*projection.sources {
        [FileSource::ConfigMap { config_map, items, optional }] => {
            result.config_map = Some(core::ConfigMapVolumeSource {
                default_mode,
                items: keys(items),
                name: config_map.to_string(),
                optional: optional.then_some(true),
                ..core::ConfigMapVolumeSource::default()
            });
        }
        [FileSource::Secret { secret, items, optional }] => {
            result.secret = Some(core::SecretVolumeSource {
                default_mode,
                items: keys(items),
                optional: optional.then_some(true),
                secret_name: Some(secret.to_string()),
                ..core::SecretVolumeSource::default()
            });
        }
        [FileSource::Fields(files)] => {
            result.downward_api = Some(core::DownwardAPIVolumeSource {
                default_mode,
                items: list(files.iter().map(field_file).collect()),
                ..core::DownwardAPIVolumeSource::default()
            });
        }
        sources => {
            result.projected = Some(core::ProjectedVolumeSource {
                default_mode,
                sources: list(sources.iter().map(projected).collect()),
                ..core::ProjectedVolumeSource::default()
            });
        }
    }
    result
}

/// A volume of a pod. Of its files those that say something of the pod are named; where the content of
/// the others came from is not part of a pod.
pub(super) fn resolved(volume: &Volume<VolumeFiles>) -> core::Volume {
    let mut result = without_files(volume);
    let VolumeSource::Files(files) = &volume.source else { return result };
    let fields = files.iter().filter_map(|file| match &file.content {
        FileContent::Plain(_) | FileContent::Secret(_) => None,
        FileContent::Field(field) => {
            let (path, content) = (file.path.clone(), FieldFileContent::Field(field.clone()));
            Some(field_file(&FieldFile { path, content, mode: Some(file.mode) }))
        }
        // Whose limit it is instead of is not part of a pod.
        FileContent::NodeResource(_) => None,
    });
    let items = list(fields.collect());
    let fields = items.map(|items| core::VolumeProjection {
        downward_api: Some(core::DownwardAPIProjection { items: Some(items) }),
        ..core::VolumeProjection::default()
    });
    result.projected = Some(core::ProjectedVolumeSource {
        sources: list(fields.into_iter().collect()),
        ..core::ProjectedVolumeSource::default()
    });
    result
}

fn without_files<Files>(volume: &Volume<Files>) -> core::Volume {
    let mut result = core::Volume { name: volume.name.clone(), ..core::Volume::default() };
    match &volume.source {
        VolumeSource::EmptyDir(EmptyDir::Disk) => {
            result.empty_dir = Some(core::EmptyDirVolumeSource::default());
        }
        VolumeSource::EmptyDir(EmptyDir::Memory { size_limit_bytes }) => {
            result.empty_dir = Some(core::EmptyDirVolumeSource {
                medium: Some("Memory".to_owned()),
                size_limit: size_limit_bytes.map(bytes),
                ..core::EmptyDirVolumeSource::default()
            });
        }
        VolumeSource::Claim(ClaimVolume { claim, access }) => {
            // Of a stateful set's template the pod says which it is.
            let (ClaimName::Named(name) | ClaimName::OfTemplate(name)) = claim;
            result.persistent_volume_claim = Some(core::PersistentVolumeClaimVolumeSource {
                claim_name: name.to_string(),
                read_only: (*access == MountAccess::ReadOnly).then_some(true),
            });
        }
        VolumeSource::HostPath(HostPath { path, path_type }) => {
            result.host_path = Some(core::HostPathVolumeSource {
                path: path.clone(),
                type_: some_text(path_type.as_str()),
            });
        }
        VolumeSource::Files(_) => {}
    }
    result
}

fn projected(source: &FileSource) -> core::VolumeProjection {
    let mut result = core::VolumeProjection::default();
    match source {
        FileSource::ConfigMap { config_map, items, optional } => {
            result.config_map = Some(core::ConfigMapProjection {
                items: keys(items),
                name: config_map.to_string(),
                optional: optional.then_some(true),
            });
        }
        FileSource::Secret { secret, items, optional } => {
            result.secret = Some(core::SecretProjection {
                items: keys(items),
                name: secret.to_string(),
                optional: optional.then_some(true),
            });
        }
        FileSource::Fields(files) => {
            result.downward_api = Some(core::DownwardAPIProjection {
                items: list(files.iter().map(field_file).collect()),
            });
        }
    }
    result
}

fn keys(items: &[KeyFile]) -> Option<Vec<core::KeyToPath>> {
    let item = |item: &KeyFile| core::KeyToPath {
        key: item.key.clone(),
        mode: mode(item.mode),
        path: item.path.clone(),
        ..core::KeyToPath::default()
    };
    list(items.iter().map(item).collect())
}

fn field_file(file: &FieldFile) -> core::DownwardAPIVolumeFile {
    let (field_ref, resource_field_ref) = match &file.content {
        FieldFileContent::Field(field) => {
            let field_path = match field {
                FileField::Labels => "metadata.labels".to_owned(),
                FileField::Annotations => "metadata.annotations".to_owned(),
                FileField::One(field) => super::template::field_path(field),
            };
            (Some(field_selector(field_path)), None)
        }
        FieldFileContent::Resource(selector) => {
            (None, Some(super::template::resource_selector(selector)))
        }
    };
    core::DownwardAPIVolumeFile {
        field_ref,
        resource_field_ref,
        mode: mode(file.mode),
        path: file.path.clone(),
        ..core::DownwardAPIVolumeFile::default()
    }
}

fn mode(mode: Option<FileMode>) -> Option<i32> {
    mode.and_then(|mode| i32::try_from(mode.bits()).ok())
}

pub(super) fn mount(mount: &VolumeMount) -> core::VolumeMount {
    let (sub_path, sub_path_expr) = match &mount.sub_path {
        None => (None, None),
        Some(SubPath::Fixed(path)) => (Some(path.clone()), None),
        Some(SubPath::Expanded(expression)) => (None, Some(expression.clone())),
    };
    core::VolumeMount {
        mount_path: mount.path.clone(),
        mount_propagation: match mount.propagation {
            MountPropagation::None => None,
            MountPropagation::HostToContainer => Some("HostToContainer".to_owned()),
        },
        name: mount.volume.clone(),
        read_only: match mount.access {
            MountAccess::ReadWrite => None,
            MountAccess::ReadOnly => Some(true),
        },
        sub_path,
        sub_path_expr,
        ..core::VolumeMount::default()
    }
}
