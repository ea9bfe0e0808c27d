//! Volumes of particular storage systems, in pods and in persistent volumes.

use super::format::Format::{Any, Free};
use super::format::{LABEL, SUBDOMAIN};
use super::pod::LOCAL_OBJECT_REFERENCE;
use super::storage::OBJECT_REFERENCE;
use super::value::{BOOL, COUNT, TEXT, TEXTS, object, text, text_map, words};
use super::{Schema, checked, table};

pub(super) static AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE: Schema = table(
    "AWSElasticBlockStoreVolumeSource",
    &[
        checked("fsType", TEXT),
        checked("partition", COUNT),
        checked("readOnly", BOOL),
        checked("volumeID", TEXT).required(),
    ],
);

pub(super) static AZURE_DISK_VOLUME_SOURCE: Schema = table(
    "AzureDiskVolumeSource",
    &[
        checked("cachingMode", words(&["None", "ReadOnly", "ReadWrite"])),
        checked("diskName", TEXT).required(),
        checked("diskURI", TEXT).required(),
        checked("fsType", TEXT),
        checked("kind", words(&["Shared", "Dedicated", "Managed"])),
        checked("readOnly", BOOL),
    ],
);

pub(super) static AZURE_FILE_VOLUME_SOURCE: Schema = table(
    "AzureFileVolumeSource",
    &[
        checked("readOnly", BOOL),
        checked("secretName", TEXT).required(),
        checked("shareName", TEXT).required(),
    ],
);

pub(super) static AZURE_FILE_PERSISTENT_VOLUME_SOURCE: Schema = table(
    "AzureFilePersistentVolumeSource",
    &[
        checked("readOnly", BOOL),
        checked("secretName", TEXT).required(),
        checked("secretNamespace", TEXT),
        checked("shareName", TEXT).required(),
    ],
);

pub(super) static CEPH_FS_VOLUME_SOURCE: Schema = table(
    "CephFSVolumeSource",
    &[
        checked("monitors", TEXTS).required(),
        checked("path", TEXT),
        checked("readOnly", BOOL),
        checked("secretFile", TEXT),
        checked("secretRef", object(&LOCAL_OBJECT_REFERENCE)),
        checked("user", TEXT),
    ],
);

pub(super) static CEPH_FS_PERSISTENT_VOLUME_SOURCE: Schema = table(
    "CephFSPersistentVolumeSource",
    &[
        checked("monitors", TEXTS).required(),
        checked("path", TEXT),
        checked("readOnly", BOOL),
        checked("secretFile", TEXT),
        checked("secretRef", object(&SECRET_REFERENCE)),
        checked("user", TEXT),
    ],
);

pub(super) static CINDER_VOLUME_SOURCE: Schema = table(
    "CinderVolumeSource",
    &[
        checked("fsType", TEXT),
        checked("readOnly", BOOL),
        checked("secretRef", object(&LOCAL_OBJECT_REFERENCE)),
        checked("volumeID", TEXT).required(),
    ],
);

pub(super) static CINDER_PERSISTENT_VOLUME_SOURCE: Schema = table(
    "CinderPersistentVolumeSource",
    &[
        checked("fsType", TEXT),
        checked("readOnly", BOOL),
        checked("secretRef", object(&SECRET_REFERENCE)),
        checked("volumeID", TEXT).required(),
    ],
);

pub(super) static FC_VOLUME_SOURCE: Schema = table(
    "FCVolumeSource",
    &[
        checked("fsType", TEXT),
        checked("lun", COUNT),
        checked("readOnly", BOOL),
        checked("targetWWNs", TEXTS),
        checked("wwids", TEXTS),
    ],
);

pub(super) static FLEX_VOLUME_SOURCE: Schema = table(
    "FlexVolumeSource",
    &[
        checked("driver", TEXT).required(),
        checked("fsType", TEXT),
        checked("options", text_map(Any, Free)),
        checked("readOnly", BOOL),
        checked("secretRef", object(&LOCAL_OBJECT_REFERENCE)),
    ],
);

pub(super) static FLEX_PERSISTENT_VOLUME_SOURCE: Schema = table(
    "FlexPersistentVolumeSource",
    &[
        checked("driver", TEXT).required(),
        checked("fsType", TEXT),
        checked("options", text_map(Any, Free)),
        checked("readOnly", BOOL),
        checked("secretRef", object(&SECRET_REFERENCE)),
    ],
);

pub(super) static FLOCKER_VOLUME_SOURCE: Schema =
    table("FlockerVolumeSource", &[checked("datasetName", TEXT), checked("datasetUUID", TEXT)]);

pub(super) static GCE_PERSISTENT_DISK_VOLUME_SOURCE: Schema = table(
    "GCEPersistentDiskVolumeSource",
    &[
        checked("fsType", TEXT),
        checked("partition", COUNT),
        checked("pdName", TEXT).required(),
        checked("readOnly", BOOL),
    ],
);

pub(super) static GIT_REPO_VOLUME_SOURCE: Schema = table(
    "GitRepoVolumeSource",
    &[
        checked("directory", TEXT),
        checked("repository", TEXT).required(),
        checked("revision", TEXT),
    ],
);

pub(super) static GLUSTERFS_VOLUME_SOURCE: Schema = table(
    "GlusterfsVolumeSource",
    &[
        checked("endpoints", TEXT).required(),
        checked("path", TEXT).required(),
        checked("readOnly", BOOL),
    ],
);

pub(super) static GLUSTERFS_PERSISTENT_VOLUME_SOURCE: Schema = table(
    "GlusterfsPersistentVolumeSource",
    &[
        checked("endpoints", TEXT).required(),
        checked("endpointsNamespace", TEXT),
        checked("path", TEXT).required(),
        checked("readOnly", BOOL),
    ],
);

pub(super) static ISCSI_VOLUME_SOURCE: Schema = table(
    "ISCSIVolumeSource",
    &[
        checked("chapAuthDiscovery", BOOL),
        checked("chapAuthSession", BOOL),
        checked("fsType", TEXT),
        checked("initiatorName", TEXT),
        checked("iqn", TEXT).required(),
        checked("iscsiInterface", TEXT),
        checked("lun", COUNT).required(),
        checked("portals", TEXTS),
        checked("readOnly", BOOL),
        checked("secretRef", object(&LOCAL_OBJECT_REFERENCE)),
        checked("targetPortal", TEXT).required(),
    ],
);

pub(super) static ISCSI_PERSISTENT_VOLUME_SOURCE: Schema = table(
    "ISCSIPersistentVolumeSource",
    &[
        checked("chapAuthDiscovery", BOOL),
        checked("chapAuthSession", BOOL),
        checked("fsType", TEXT),
        checked("initiatorName", TEXT),
        checked("iqn", TEXT).required(),
        checked("iscsiInterface", TEXT),
        checked("lun", COUNT).required(),
        checked("portals", TEXTS),
        checked("readOnly", BOOL),
        checked("secretRef", object(&SECRET_REFERENCE)),
        checked("targetPortal", TEXT).required(),
    ],
);

pub(super) static PHOTON_PERSISTENT_DISK_VOLUME_SOURCE: Schema = table(
    "PhotonPersistentDiskVolumeSource",
    &[checked("fsType", TEXT), checked("pdID", TEXT).required()],
);

pub(super) static PORTWORX_VOLUME_SOURCE: Schema = table(
    "PortworxVolumeSource",
    &[checked("fsType", TEXT), checked("readOnly", BOOL), checked("volumeID", TEXT).required()],
);

pub(super) static QUOBYTE_VOLUME_SOURCE: Schema = table(
    "QuobyteVolumeSource",
    &[
        checked("group", TEXT),
        checked("readOnly", BOOL),
        checked("registry", TEXT).required(),
        checked("tenant", TEXT),
        checked("user", TEXT),
        checked("volume", TEXT).required(),
    ],
);

pub(super) static RBD_VOLUME_SOURCE: Schema = table(
    "RBDVolumeSource",
    &[
        checked("fsType", TEXT),
        checked("image", TEXT).required(),
        checked("keyring", TEXT),
        checked("monitors", TEXTS).required(),
        checked("pool", TEXT),
        checked("readOnly", BOOL),
        checked("secretRef", object(&LOCAL_OBJECT_REFERENCE)),
        checked("user", TEXT),
    ],
);

pub(super) static RBD_PERSISTENT_VOLUME_SOURCE: Schema = table(
    "RBDPersistentVolumeSource",
    &[
        checked("fsType", TEXT),
        checked("image", TEXT).required(),
        checked("keyring", TEXT),
        checked("monitors", TEXTS).required(),
        checked("pool", TEXT),
        checked("readOnly", BOOL),
        checked("secretRef", object(&SECRET_REFERENCE)),
        checked("user", TEXT),
    ],
);

pub(super) static SCALE_IO_VOLUME_SOURCE: Schema = table(
    "ScaleIOVolumeSource",
    &[
        checked("fsType", TEXT),
        checked("gateway", TEXT).required(),
        checked("protectionDomain", TEXT),
        checked("readOnly", BOOL),
        checked("secretRef", object(&LOCAL_OBJECT_REFERENCE)).required(),
        checked("sslEnabled", BOOL),
        checked("storageMode", TEXT),
        checked("storagePool", TEXT),
        checked("system", TEXT).required(),
        checked("volumeName", TEXT),
    ],
);

pub(super) static SCALE_IO_PERSISTENT_VOLUME_SOURCE: Schema = table(
    "ScaleIOPersistentVolumeSource",
    &[
        checked("fsType", TEXT),
        checked("gateway", TEXT).required(),
        checked("protectionDomain", TEXT),
        checked("readOnly", BOOL),
        checked("secretRef", object(&SECRET_REFERENCE)).required(),
        checked("sslEnabled", BOOL),
        checked("storageMode", TEXT),
        checked("storagePool", TEXT),
        checked("system", TEXT).required(),
        checked("volumeName", TEXT),
    ],
);

pub(super) static STORAGE_OS_VOLUME_SOURCE: Schema = table(
    "StorageOSVolumeSource",
    &[
        checked("fsType", TEXT),
        checked("readOnly", BOOL),
        checked("secretRef", object(&LOCAL_OBJECT_REFERENCE)),
        checked("volumeName", TEXT),
        checked("volumeNamespace", TEXT),
    ],
);

pub(super) static STORAGE_OS_PERSISTENT_VOLUME_SOURCE: Schema = table(
    "StorageOSPersistentVolumeSource",
    &[
        checked("fsType", TEXT),
        checked("readOnly", BOOL),
        checked("secretRef", object(&OBJECT_REFERENCE)),
        checked("volumeName", TEXT),
        checked("volumeNamespace", TEXT),
    ],
);

pub(super) static VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE: Schema = table(
    "VsphereVirtualDiskVolumeSource",
    &[
        checked("fsType", TEXT),
        checked("storagePolicyID", TEXT),
        checked("storagePolicyName", TEXT),
        checked("volumePath", TEXT).required(),
    ],
);

pub(super) static CSI_PERSISTENT_VOLUME_SOURCE: Schema = table(
    "CSIPersistentVolumeSource",
    &[
        checked("controllerExpandSecretRef", object(&SECRET_REFERENCE)),
        checked("controllerPublishSecretRef", object(&SECRET_REFERENCE)),
        checked("driver", text(SUBDOMAIN)).required(),
        checked("fsType", TEXT),
        checked("nodeExpandSecretRef", object(&SECRET_REFERENCE)),
        checked("nodePublishSecretRef", object(&SECRET_REFERENCE)),
        checked("nodeStageSecretRef", object(&SECRET_REFERENCE)),
        checked("readOnly", BOOL),
        checked("volumeAttributes", text_map(Any, Free)),
        checked("volumeHandle", TEXT).required(),
    ],
);

pub(super) static SECRET_REFERENCE: Schema = table(
    "SecretReference",
    &[checked("name", text(SUBDOMAIN)), checked("namespace", text(LABEL))],
);
