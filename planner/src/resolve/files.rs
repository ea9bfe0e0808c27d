//! The files of a volume with the content of its config maps and secrets in place.

use std::collections::BTreeMap;

use dugout_model::{
    ConfigMap, FieldFileContent, FileContent, FileMode, FileSource, KeyFile, Kind, ObjectName,
    Projection, Secret, Volume, VolumeFile, VolumeFiles, VolumeSource,
};

use super::{Lookup, resources};

/// Whether a volume takes content from the config map or secret of this name.
pub(super) fn uses(volume: &Volume<Projection>, kind: Kind, name: &ObjectName) -> bool {
    let VolumeSource::Files(projection) = &volume.source else { return false };
    projection.sources.iter().any(|source| match source {
        FileSource::ConfigMap { config_map, .. } => kind == Kind::ConfigMap && config_map == name,
        FileSource::Secret { secret, .. } => kind == Kind::Secret && secret == name,
        FileSource::Fields(_) => false,
    })
}

pub(super) fn volume(lookup: &mut Lookup<'_>, volume: &Volume<Projection>) -> Volume<VolumeFiles> {
    let source = match &volume.source {
        VolumeSource::EmptyDir(empty) => VolumeSource::EmptyDir(*empty),
        VolumeSource::HostPath(path) => VolumeSource::HostPath(path.clone()),
        VolumeSource::Files(projection) => VolumeSource::Files(files(lookup, projection)),
        VolumeSource::Claim(claim) => VolumeSource::Claim(claim.clone()),
    };
    Volume { name: volume.name.clone(), source }
}

/// By path; of two with the same path the later one stays.
fn files(lookup: &mut Lookup<'_>, projection: &Projection) -> VolumeFiles {
    let mut files = BTreeMap::new();
    let mut add = |path: &str, mode: Option<FileMode>, content| {
        let mode = mode.unwrap_or(projection.default_mode);
        files.insert(path.to_owned(), VolumeFile { path: path.to_owned(), mode, content });
    };
    for source in &projection.sources {
        match source {
            FileSource::ConfigMap { config_map, items, optional } => {
                let Some(found) = lookup.config_map(config_map, *optional) else { continue };
                let keys = found.data.keys().chain(found.binary_data.keys());
                for item in chosen(items, keys) {
                    match plain(found, item.key) {
                        Some(content) => add(item.path, item.mode, content),
                        None if *optional => {}
                        None => lookup.miss_key(Kind::ConfigMap, config_map, item.key),
                    }
                }
            }
            FileSource::Secret { secret, items, optional } => {
                let Some(found) = lookup.secret(secret, *optional) else { continue };
                for item in chosen(items, found.data.keys()) {
                    match private(found, item.key) {
                        Some(content) => add(item.path, item.mode, content),
                        None if *optional => {}
                        None => lookup.miss_key(Kind::Secret, secret, item.key),
                    }
                }
            }
            FileSource::Fields(fields) => {
                for field in fields {
                    let content = match &field.content {
                        FieldFileContent::Field(field) => Some(FileContent::Field(field.clone())),
                        FieldFileContent::Resource(selector) => {
                            resources::file_content(lookup.template, selector)
                        }
                    };
                    if let Some(content) = content {
                        add(&field.path, field.mode, content);
                    }
                }
            }
        }
    }
    files.into_values().collect()
}

struct Chosen<'a> {
    key: &'a str,
    path: &'a str,
    mode: Option<FileMode>,
}

/// The keys that are named, or all under their own names.
fn chosen<'a>(items: &'a [KeyFile], keys: impl Iterator<Item = &'a str>) -> Vec<Chosen<'a>> {
    if items.is_empty() {
        return keys.map(|key| Chosen { key, path: key, mode: None }).collect();
    }
    let item = |item: &'a KeyFile| Chosen { key: &item.key, path: &item.path, mode: item.mode };
    items.iter().map(item).collect()
}

fn plain(map: &ConfigMap, key: &str) -> Option<FileContent> {
    let text = map.data.get(key).map(String::as_bytes);
    let bytes = text.or_else(|| map.binary_data.get(key).map(Vec::as_slice))?;
    Some(FileContent::Plain(bytes.into()))
}

fn private(secret: &Secret, key: &str) -> Option<FileContent> {
    Some(FileContent::Secret(secret.data.get(key)?.clone()))
}
