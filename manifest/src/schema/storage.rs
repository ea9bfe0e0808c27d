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
use super::volume::{HOST_PATH_VOLUME_SOURCE, NFS_VOLUME_SOURCE, NO_DRIVER};
use super::{API_VERSION, KIND, METADATA, STATUS, Schema, acted, checked, notice, refused, table};
use crate::rules::storage;

const NO_COPIES: &str = "Dugout fills no volume from another or from a snapshot";
const NO_ATTRIBUTES: &str = "Dugout has no volume attributes classes";
const NO_BLOCKS: &str = "Dugout gives out folders, and no block devices";
const MOUNTED: &str = "has no effect: Dugout mounts no disks; the folder is there already";

pub(super) static PERSISTENT_VOLUME_CLAIM: Schema = table(
    "PersistentVolumeClaim",
    &[
        API_VERSION,
        KIND,
        METADATA,
        acted("spec", object(&PERSISTENT_VOLUME_CLAIM_SPEC)).required(),
        STATUS,
    ],
);

pub(super) static PERSISTENT_VOLUME_CLAIM_SPEC: Schema = table(
    "PersistentVolumeClaimSpec",
    &[
        acted(
            "accessModes",
            texts(Words(&["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"])),
        ),
        refused("dataSource", object(&TYPED_LOCAL_OBJECT_REFERENCE), NO_COPIES),
        refused("dataSourceRef", object(&TYPED_OBJECT_REFERENCE), NO_COPIES),
        acted("resources", object(&VOLUME_RESOURCE_REQUIREMENTS)),
        acted("selector", object(&LABEL_SELECTOR)),
        acted("storageClassName", text(SUBDOMAIN)),
        refused("volumeAttributesClassName", text(SUBDOMAIN), NO_ATTRIBUTES),
        refused("volumeMode", words(&["Filesystem", "Block"]), NO_BLOCKS).unless(&["Filesystem"]),
        acted("volumeName", text(SUBDOMAIN)),
    ],
)
.with(&[storage::claim]);

pub(super) static VOLUME_RESOURCE_REQUIREMENTS: Schema = table(
    "VolumeResourceRequirements",
    &[
        notice("limits", QUANTITIES, "has no effect: nothing watches how much is written"),
        acted("requests", QUANTITIES),
    ],
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
        acted("spec", object(&PERSISTENT_VOLUME_SPEC)).required(),
        STATUS,
    ],
);

pub(super) static PERSISTENT_VOLUME_SPEC: Schema = table(
    "PersistentVolumeSpec",
    &[
        acted(
            "accessModes",
            texts(Words(&["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"])),
        ),
        refused("awsElasticBlockStore", object(&AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE), NO_DRIVER),
        refused("azureDisk", object(&AZURE_DISK_VOLUME_SOURCE), NO_DRIVER),
        refused("azureFile", object(&AZURE_FILE_PERSISTENT_VOLUME_SOURCE), NO_DRIVER),
        acted("capacity", QUANTITIES),
        refused("cephfs", object(&CEPH_FS_PERSISTENT_VOLUME_SOURCE), NO_DRIVER),
        refused("cinder", object(&CINDER_PERSISTENT_VOLUME_SOURCE), NO_DRIVER),
        acted("claimRef", object(&CLAIM_REFERENCE)),
        refused("csi", object(&CSI_PERSISTENT_VOLUME_SOURCE), NO_DRIVER),
        refused("fc", object(&FC_VOLUME_SOURCE), NO_DRIVER),
        refused("flexVolume", object(&FLEX_PERSISTENT_VOLUME_SOURCE), NO_DRIVER),
        refused("flocker", object(&FLOCKER_VOLUME_SOURCE), NO_DRIVER),
        refused("gcePersistentDisk", object(&GCE_PERSISTENT_DISK_VOLUME_SOURCE), NO_DRIVER),
        refused("glusterfs", object(&GLUSTERFS_PERSISTENT_VOLUME_SOURCE), NO_DRIVER),
        acted("hostPath", object(&HOST_PATH_VOLUME_SOURCE)),
        refused("iscsi", object(&ISCSI_PERSISTENT_VOLUME_SOURCE), NO_DRIVER),
        acted("local", object(&LOCAL_VOLUME_SOURCE)),
        notice("mountOptions", TEXTS, MOUNTED),
        refused("nfs", object(&NFS_VOLUME_SOURCE), NO_DRIVER),
        acted("nodeAffinity", object(&VOLUME_NODE_AFFINITY)),
        refused(
            "persistentVolumeReclaimPolicy",
            words(&["Retain", "Recycle", "Delete"]),
            "Dugout deletes nothing that it has not made; write Retain",
        )
        .unless(&["Retain"]),
        refused("photonPersistentDisk", object(&PHOTON_PERSISTENT_DISK_VOLUME_SOURCE), NO_DRIVER),
        refused("portworxVolume", object(&PORTWORX_VOLUME_SOURCE), NO_DRIVER),
        refused("quobyte", object(&QUOBYTE_VOLUME_SOURCE), NO_DRIVER),
        refused("rbd", object(&RBD_PERSISTENT_VOLUME_SOURCE), NO_DRIVER),
        refused("scaleIO", object(&SCALE_IO_PERSISTENT_VOLUME_SOURCE), NO_DRIVER),
        acted("storageClassName", text(SUBDOMAIN)),
        refused("storageos", object(&STORAGE_OS_PERSISTENT_VOLUME_SOURCE), NO_DRIVER),
        refused("volumeAttributesClassName", text(SUBDOMAIN), NO_ATTRIBUTES),
        refused("volumeMode", words(&["Filesystem", "Block"]), NO_BLOCKS).unless(&["Filesystem"]),
        refused("vsphereVolume", object(&VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE), NO_DRIVER),
    ],
)
.with(&[storage::volume]);

pub(super) static VOLUME_NODE_AFFINITY: Schema =
    table("VolumeNodeAffinity", &[acted("required", object(&NODE_SELECTOR)).required()]);

pub(super) static LOCAL_VOLUME_SOURCE: Schema = table(
    "LocalVolumeSource",
    &[notice("fsType", TEXT, MOUNTED), acted("path", text(BACKSTEP_FREE_PATH)).required()],
);

/// The claim that a volume is for.
pub(super) static CLAIM_REFERENCE: Schema = table(
    "ObjectReference to a claim",
    &[
        acted("apiVersion", words(&["v1"])),
        notice("fieldPath", TEXT, "has no effect: a volume is for a claim as a whole"),
        acted("kind", words(&["PersistentVolumeClaim"])),
        acted("name", text(SUBDOMAIN)),
        acted("namespace", text(LABEL)),
        notice("resourceVersion", TEXT, "has no effect: the claim's name counts; remove it"),
        notice("uid", TEXT, "has no effect: the claim's name counts; remove it"),
    ],
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
        acted("allowVolumeExpansion", BOOL),
        refused(
            "allowedTopologies",
            objects(&TOPOLOGY_SELECTOR_TERM),
            "a volume is where its first pod is; pick the pod's nodes with nodeSelector",
        ),
        notice("mountOptions", TEXTS, MOUNTED),
        notice(
            "parameters",
            text_map(Any, Free),
            "has no effect: where volumes lie is said with --storage-path of dugout agent",
        ),
        acted("provisioner", text(QUALIFIED_NAME)).required(),
        acted("reclaimPolicy", words(&["Retain", "Delete"])),
        notice(
            "volumeBindingMode",
            words(&["Immediate", "WaitForFirstConsumer"]),
            "has no effect: a claim gets its volume with the first pod that uses it",
        )
        .unless(&["WaitForFirstConsumer"]),
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
        acted("apiVersion", words(&["v1"])),
        acted("kind", words(&["PersistentVolumeClaim"])),
        acted("metadata", object(&CLAIM_METADATA)).required(),
        acted("spec", object(&PERSISTENT_VOLUME_CLAIM_SPEC)).required(),
        STATUS,
    ],
);
