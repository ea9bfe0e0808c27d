//! The stored form of volumes and of their mounts.

use std::sync::Arc;

use dugout_model::{
    ClaimVolume, EmptyDir, FieldFile, FieldFileContent, FileContent, FileField, FileMode,
    FileSource, HostPath, HostPathType, KeyFile, MountAccess, MountPropagation, NodeResource,
    ObjectName, PodField, Projection, ResourceFieldSelector, SecretValue, SubPath, Volume,
    VolumeFile, VolumeMount, VolumeSource,
};
use serde::{Deserialize, Serialize};

use super::Stored;
use super::mirror::mirror;

/// Written out, because the macro knows no generic types.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VolumeDocument<Files> {
    name: String,
    source: VolumeSourceDocument<Files>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum VolumeSourceDocument<Files> {
    EmptyDir(EmptyDirDocument),
    HostPath(HostPathDocument),
    Files(Files),
    Claim(<ClaimVolume as Stored>::Document),
}

impl<Files: Stored> Stored for Volume<Files> {
    type Document = VolumeDocument<Files::Document>;

    fn to_document(&self) -> Self::Document {
        let Volume { name, source } = self;
        VolumeDocument {
            name: name.to_document(),
            source: match source {
                VolumeSource::EmptyDir(empty) => {
                    VolumeSourceDocument::EmptyDir(empty.to_document())
                }
                VolumeSource::HostPath(path) => VolumeSourceDocument::HostPath(path.to_document()),
                VolumeSource::Files(files) => VolumeSourceDocument::Files(files.to_document()),
                VolumeSource::Claim(claim) => VolumeSourceDocument::Claim(claim.to_document()),
            },
        }
    }

    fn from_document(document: Self::Document) -> Self {
        let source = match document.source {
            VolumeSourceDocument::EmptyDir(empty) => {
                VolumeSource::EmptyDir(Stored::from_document(empty))
            }
            VolumeSourceDocument::HostPath(path) => {
                VolumeSource::HostPath(Stored::from_document(path))
            }
            VolumeSourceDocument::Files(files) => VolumeSource::Files(Stored::from_document(files)),
            VolumeSourceDocument::Claim(claim) => VolumeSource::Claim(Stored::from_document(claim)),
        };
        Volume { name: document.name, source }
    }
}

mirror! {
    struct Projection as ProjectionDocument { default_mode: FileMode, sources: Box<[FileSource]> }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum FileSource as FileSourceDocument {
        ConfigMap { config_map: ObjectName, items: Box<[KeyFile]>, optional: bool },
        Secret { secret: ObjectName, items: Box<[KeyFile]>, optional: bool },
        Fields(fields: Box<[FieldFile]>),
    }
}

mirror! {
    struct KeyFile as KeyFileDocument { key: String, path: String, mode: Option<FileMode> }
}

mirror! {
    struct FieldFile as FieldFileDocument {
        path: String,
        // Under the name that it had when a file could hold nothing else.
        #[serde(rename = "field")]
        content: FieldFileContent,
        mode: Option<FileMode>,
    }
}

/// In one with the fields, which were there before.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FieldFileContentDocument {
    Resource(<ResourceFieldSelector as Stored>::Document),
    #[serde(untagged)]
    Field(FileFieldDocument),
}

impl Stored for FieldFileContent {
    type Document = FieldFileContentDocument;

    fn to_document(&self) -> FieldFileContentDocument {
        match self {
            FieldFileContent::Field(field) => FieldFileContentDocument::Field(field.to_document()),
            FieldFileContent::Resource(selector) => {
                FieldFileContentDocument::Resource(selector.to_document())
            }
        }
    }

    fn from_document(document: FieldFileContentDocument) -> Self {
        match document {
            FieldFileContentDocument::Field(field) => {
                FieldFileContent::Field(FileField::from_document(field))
            }
            FieldFileContentDocument::Resource(selector) => {
                FieldFileContent::Resource(ResourceFieldSelector::from_document(selector))
            }
        }
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum FileField as FileFieldDocument { Labels, Annotations, One(field: PodField) }
}

mirror! {
    struct VolumeFile as VolumeFileDocument { path: String, mode: FileMode, content: FileContent }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum FileContent as FileContentDocument {
        Plain(bytes: Arc<[u8]>),
        Secret(secret: SecretValue),
        Field(field: FileField),
        NodeResource(resource: NodeResource),
    }
}

impl Stored for FileMode {
    type Document = u16;

    fn to_document(&self) -> u16 {
        u16::try_from(self.bits()).unwrap_or(0)
    }

    fn from_document(document: u16) -> Self {
        FileMode::new(document)
    }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum EmptyDir as EmptyDirDocument { Disk, Memory { size_limit_bytes: Option<u64> } }
}

mirror! {
    struct HostPath as HostPathDocument { path: String, path_type: HostPathType }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum HostPathType as HostPathTypeDocument {
        Any,
        DirectoryOrCreate,
        Directory,
        FileOrCreate,
        File,
        Socket,
        CharDevice,
        BlockDevice,
    }
}

mirror! {
    struct VolumeMount as VolumeMountDocument {
        volume: String,
        path: String,
        access: MountAccess,
        sub_path: Option<SubPath>,
        propagation: MountPropagation,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum MountAccess as MountAccessDocument { ReadWrite, ReadOnly }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum SubPath as SubPathDocument { Fixed(path: String), Expanded(expression: String) }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum MountPropagation as MountPropagationDocument { None, HostToContainer }
}

#[cfg(test)]
mod tests {
    use dugout_model::ResourceField;

    use super::*;

    #[test]
    fn what_a_file_holds_is_read_as_it_was_written_before_it_could_be_an_amount() {
        let container = Some("web".to_owned());
        let selector =
            ResourceFieldSelector { container, field: ResourceField::CpuLimit, divisor: 1000 };
        let one = FileField::One(PodField::Name);
        for (content, begins) in [
            (FieldFileContent::Field(FileField::Labels), "\"labels\""),
            (FieldFileContent::Field(one), "{\"one\":"),
            (FieldFileContent::Resource(selector), "{\"resource\":{"),
        ] {
            let text = serde_json::to_string(&content.to_document()).unwrap();
            assert!(text.starts_with(begins), "{text}");
            let again = FieldFileContent::from_document(serde_json::from_str(&text).unwrap());
            assert_eq!(again, content);
        }
    }
}
