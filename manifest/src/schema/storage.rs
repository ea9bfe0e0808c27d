//! Persistent volumes, claims and storage classes.

use super::format::Format::{Any, Free, Words};
use super::format::{BACKSTEP_FREE_PATH, LABEL, PATH_SEGMENT, QUALIFIED_NAME, SUBDOMAIN};
use super::metadata::{CLAIM_METADATA, LABEL_SELECTOR};
use super::placement::NODE_SELECTOR;
use super::remote_volume::{
    AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE, AZURE_DISK_VOLUME_SOURCE,
    AZURE_FILE_PERSISTENT_VOLUME_SOURCE, CEPH_FS_PERSISTENT_VOLUME_SOURCE,
    CINDER_PERSISTENT_VOLUME_SOURCE, CSI_PERSISTENT_VOLUME_SOURCE, FC_VOLUME_SOURCE,
    FLEX_PERSISTENT_VOLUME_SOURCE, FLOCKER_VOLUME_SOURCE, GCE_PERSISTENT_DISK_VOLUME_SOURCE,
    GLUSTERFS_PERSISTENT_VOLUME_SOURCE, ISCSI_PERSISTENT_VOLUME_SOURCE,
    PHOTON_PERSISTENT_DISK_VOLUME_SOURCE, PORTWORX_VOLUME_SOURCE, QUOBYTE_VOLUME_SOURCE,
    RBD_PERSISTENT_VOLUME_SOURCE, SCALE_IO_PERSISTENT_VOLUME_SOURCE,
    STORAGE_OS_PERSISTENT_VOLUME_SOURCE, VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE,
};
use super::value::{
    BOOL, INT64_MAX, QUANTITIES, TEXT, TEXTS, int, object, objects, text, text_map, texts, words,
};
use super::volume::{HOST_PATH_VOLUME_SOURCE, NFS_VOLUME_SOURCE};
use super::{API_VERSION, KIND, METADATA, STATUS, Schema, checked, table};
use crate::rules::storage;

pub(super) static PERSISTENT_VOLUME_CLAIM: Schema = table(
    "PersistentVolumeClaim",
    &[
        API_VERSION,
        KIND,
        METADATA,
        checked("spec", object(&PERSISTENT_VOLUME_CLAIM_SPEC)).required(),
        STATUS,
    ],
);

pub(super) static PERSISTENT_VOLUME_CLAIM_SPEC: Schema = table(
    "PersistentVolumeClaimSpec",
    &[
        checked(
            "accessModes",
            texts(Words(&["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"])),
        ),
        checked("dataSource", object(&TYPED_LOCAL_OBJECT_REFERENCE)),
        checked("dataSourceRef", object(&TYPED_OBJECT_REFERENCE)),
        checked("resources", object(&VOLUME_RESOURCE_REQUIREMENTS)),
        checked("selector", object(&LABEL_SELECTOR)),
        checked("storageClassName", text(SUBDOMAIN)),
        checked("volumeAttributesClassName", text(SUBDOMAIN)),
        checked("volumeMode", words(&["Filesystem", "Block"])),
        checked("volumeName", text(SUBDOMAIN)),
    ],
)
.with(&[storage::claim]);

pub(super) static VOLUME_RESOURCE_REQUIREMENTS: Schema = table(
    "VolumeResourceRequirements",
    &[checked("limits", QUANTITIES), checked("requests", QUANTITIES)],
);

pub(super) static TYPED_LOCAL_OBJECT_REFERENCE: Schema = table(
    "TypedLocalObjectReference",
    &[
        checked("apiGroup", TEXT),
        checked("kind", TEXT).required(),
        checked("name", text(PATH_SEGMENT)).required(),
    ],
);

pub(super) static TYPED_OBJECT_REFERENCE: Schema = table(
    "TypedObjectReference",
    &[
        checked("apiGroup", TEXT),
        checked("kind", TEXT).required(),
        checked("name", TEXT).required(),
        checked("namespace", text(LABEL)),
    ],
);

pub(super) static PERSISTENT_VOLUME: Schema = table(
    "PersistentVolume",
    &[
        API_VERSION,
        KIND,
        METADATA,
        checked("spec", object(&PERSISTENT_VOLUME_SPEC)).required(),
        STATUS,
    ],
);

pub(super) static PERSISTENT_VOLUME_SPEC: Schema = table(
    "PersistentVolumeSpec",
    &[
        checked(
            "accessModes",
            texts(Words(&["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"])),
        ),
        checked("awsElasticBlockStore", object(&AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE)),
        checked("azureDisk", object(&AZURE_DISK_VOLUME_SOURCE)),
        checked("azureFile", object(&AZURE_FILE_PERSISTENT_VOLUME_SOURCE)),
        checked("capacity", QUANTITIES),
        checked("cephfs", object(&CEPH_FS_PERSISTENT_VOLUME_SOURCE)),
        checked("cinder", object(&CINDER_PERSISTENT_VOLUME_SOURCE)),
        checked("claimRef", object(&OBJECT_REFERENCE)),
        checked("csi", object(&CSI_PERSISTENT_VOLUME_SOURCE)),
        checked("fc", object(&FC_VOLUME_SOURCE)),
        checked("flexVolume", object(&FLEX_PERSISTENT_VOLUME_SOURCE)),
        checked("flocker", object(&FLOCKER_VOLUME_SOURCE)),
        checked("gcePersistentDisk", object(&GCE_PERSISTENT_DISK_VOLUME_SOURCE)),
        checked("glusterfs", object(&GLUSTERFS_PERSISTENT_VOLUME_SOURCE)),
        checked("hostPath", object(&HOST_PATH_VOLUME_SOURCE)),
        checked("iscsi", object(&ISCSI_PERSISTENT_VOLUME_SOURCE)),
        checked("local", object(&LOCAL_VOLUME_SOURCE)),
        checked("mountOptions", TEXTS),
        checked("nfs", object(&NFS_VOLUME_SOURCE)),
        checked("nodeAffinity", object(&VOLUME_NODE_AFFINITY)),
        checked("persistentVolumeReclaimPolicy", words(&["Retain", "Recycle", "Delete"])),
        checked("photonPersistentDisk", object(&PHOTON_PERSISTENT_DISK_VOLUME_SOURCE)),
        checked("portworxVolume", object(&PORTWORX_VOLUME_SOURCE)),
        checked("quobyte", object(&QUOBYTE_VOLUME_SOURCE)),
        checked("rbd", object(&RBD_PERSISTENT_VOLUME_SOURCE)),
        checked("scaleIO", object(&SCALE_IO_PERSISTENT_VOLUME_SOURCE)),
        checked("storageClassName", text(SUBDOMAIN)),
        checked("storageos", object(&STORAGE_OS_PERSISTENT_VOLUME_SOURCE)),
        checked("volumeAttributesClassName", text(SUBDOMAIN)),
        checked("volumeMode", words(&["Filesystem", "Block"])),
        checked("vsphereVolume", object(&VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE)),
    ],
)
.with(&[storage::volume]);

pub(super) static VOLUME_NODE_AFFINITY: Schema =
    table("VolumeNodeAffinity", &[checked("required", object(&NODE_SELECTOR)).required()]);

pub(super) static LOCAL_VOLUME_SOURCE: Schema = table(
    "LocalVolumeSource",
    &[checked("fsType", TEXT), checked("path", text(BACKSTEP_FREE_PATH)).required()],
);

pub(super) static OBJECT_REFERENCE: Schema = table(
    "ObjectReference",
    &[
        checked("apiVersion", TEXT),
        checked("fieldPath", TEXT),
        checked("kind", TEXT),
        checked("name", TEXT),
        checked("namespace", text(LABEL)),
        checked("resourceVersion", TEXT),
        checked("uid", TEXT),
    ],
);

pub(super) static STORAGE_CLASS: Schema = table(
    "StorageClass",
    &[
        API_VERSION,
        KIND,
        METADATA,
        checked("allowVolumeExpansion", BOOL),
        checked("allowedTopologies", objects(&TOPOLOGY_SELECTOR_TERM)),
        checked("mountOptions", TEXTS),
        checked("parameters", text_map(Any, Free)),
        checked("provisioner", text(QUALIFIED_NAME)).required(),
        checked("reclaimPolicy", words(&["Retain", "Delete"])),
        checked("volumeBindingMode", words(&["Immediate", "WaitForFirstConsumer"])),
    ],
);

pub(super) static TOPOLOGY_SELECTOR_TERM: Schema = table(
    "TopologySelectorTerm",
    &[checked("matchLabelExpressions", objects(&TOPOLOGY_SELECTOR_LABEL_REQUIREMENT))],
);

pub(super) static TOPOLOGY_SELECTOR_LABEL_REQUIREMENT: Schema = table(
    "TopologySelectorLabelRequirement",
    &[checked("key", text(QUALIFIED_NAME)).required(), checked("values", TEXTS).required()],
);

pub(super) static CSI_DRIVER: Schema = table(
    "CSIDriver",
    &[API_VERSION, KIND, METADATA, checked("spec", object(&CSI_DRIVER_SPEC)).required()],
);

pub(super) static CSI_DRIVER_SPEC: Schema = table(
    "CSIDriverSpec",
    &[
        checked("attachRequired", BOOL),
        checked("fsGroupPolicy", words(&["ReadWriteOnceWithFSType", "File", "None"])),
        checked("nodeAllocatableUpdatePeriodSeconds", int(10, INT64_MAX)),
        checked("podInfoOnMount", BOOL),
        checked("preventPodSchedulingIfMissing", BOOL),
        checked("requiresRepublish", BOOL),
        checked("seLinuxMount", BOOL),
        checked("serviceAccountTokenInSecrets", BOOL),
        checked("storageCapacity", BOOL),
        checked("tokenRequests", objects(&TOKEN_REQUEST)),
        checked("volumeLifecycleModes", texts(Words(&["Persistent", "Ephemeral"]))),
    ],
);

pub(super) static TOKEN_REQUEST: Schema = table(
    "TokenRequest",
    &[checked("audience", TEXT).required(), checked("expirationSeconds", int(600, 1 << 32))],
);

/// A claim as stateful sets make them: its name comes before the pod's.
pub(super) static CLAIM_TEMPLATE: Schema = table(
    "PersistentVolumeClaim of a StatefulSet",
    &[
        checked("apiVersion", words(&["v1"])),
        checked("kind", words(&["PersistentVolumeClaim"])),
        checked("metadata", object(&CLAIM_METADATA)).required(),
        checked("spec", object(&PERSISTENT_VOLUME_CLAIM_SPEC)).required(),
        STATUS,
    ],
);
