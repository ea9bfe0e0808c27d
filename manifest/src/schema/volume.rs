//! The volumes of a pod.

use super::container::{OBJECT_FIELD_SELECTOR, RESOURCE_FIELD_SELECTOR};
use super::format::Format::{Any, Free};
use super::format::{
    ABSOLUTE_PATH, BACKSTEP_FREE_PATH, CONFIG_KEY, FILE_PATH, IMAGE, LABEL, MEDIUM, RELATIVE_PATH,
    SUBDOMAIN,
};
use super::metadata::{LABEL_SELECTOR, TEMPLATE_METADATA};
use super::pod::LOCAL_OBJECT_REFERENCE;
use super::remote_volume::{
    AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE, AZURE_DISK_VOLUME_SOURCE, AZURE_FILE_VOLUME_SOURCE,
    CEPH_FS_VOLUME_SOURCE, CINDER_VOLUME_SOURCE, FC_VOLUME_SOURCE, FLEX_VOLUME_SOURCE,
    FLOCKER_VOLUME_SOURCE, GCE_PERSISTENT_DISK_VOLUME_SOURCE, GIT_REPO_VOLUME_SOURCE,
    GLUSTERFS_VOLUME_SOURCE, ISCSI_VOLUME_SOURCE, PHOTON_PERSISTENT_DISK_VOLUME_SOURCE,
    PORTWORX_VOLUME_SOURCE, QUOBYTE_VOLUME_SOURCE, RBD_VOLUME_SOURCE, SCALE_IO_VOLUME_SOURCE,
    STORAGE_OS_VOLUME_SOURCE, VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE,
};
use super::storage::PERSISTENT_VOLUME_CLAIM_SPEC;
use super::value::{
    BOOL, INT64_MAX, MODE, QUANTITY, TEXT, int, object, objects, text, text_map, words,
};
use super::{Schema, acted, checked, refused, table};
use crate::rules::{env, volume};

pub(super) const NO_DRIVER: &str =
    "Dugout uses no storage drivers; mount it on the nodes and use hostPath";
const NO_CLAIMS: &str = "Dugout makes claims for the pods of stateful sets alone; use emptyDir, or volumeClaimTemplates";
const GATED: &str = "it is behind a feature gate of Kubernetes, and Dugout does not have it";

pub(super) static VOLUME: Schema = table(
    "Volume",
    &[
        refused("awsElasticBlockStore", object(&AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE), NO_DRIVER),
        refused("azureDisk", object(&AZURE_DISK_VOLUME_SOURCE), NO_DRIVER),
        refused("azureFile", object(&AZURE_FILE_VOLUME_SOURCE), NO_DRIVER),
        refused("cephfs", object(&CEPH_FS_VOLUME_SOURCE), NO_DRIVER),
        refused("cinder", object(&CINDER_VOLUME_SOURCE), NO_DRIVER),
        acted("configMap", object(&CONFIG_MAP_VOLUME_SOURCE)),
        refused("csi", object(&CSI_VOLUME_SOURCE), NO_DRIVER),
        acted("downwardAPI", object(&DOWNWARD_API_VOLUME_SOURCE)),
        acted("emptyDir", object(&EMPTY_DIR_VOLUME_SOURCE)),
        refused("ephemeral", object(&EPHEMERAL_VOLUME_SOURCE), NO_CLAIMS),
        refused("fc", object(&FC_VOLUME_SOURCE), NO_DRIVER),
        refused("flexVolume", object(&FLEX_VOLUME_SOURCE), NO_DRIVER),
        refused("flocker", object(&FLOCKER_VOLUME_SOURCE), NO_DRIVER),
        refused("gcePersistentDisk", object(&GCE_PERSISTENT_DISK_VOLUME_SOURCE), NO_DRIVER),
        refused("gitRepo", object(&GIT_REPO_VOLUME_SOURCE), NO_DRIVER),
        refused("glusterfs", object(&GLUSTERFS_VOLUME_SOURCE), NO_DRIVER),
        acted("hostPath", object(&HOST_PATH_VOLUME_SOURCE)),
        refused("image", object(&IMAGE_VOLUME_SOURCE), NO_DRIVER),
        refused("iscsi", object(&ISCSI_VOLUME_SOURCE), NO_DRIVER),
        acted("name", text(LABEL)).required(),
        refused("nfs", object(&NFS_VOLUME_SOURCE), NO_DRIVER),
        acted("persistentVolumeClaim", object(&PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE)),
        refused("photonPersistentDisk", object(&PHOTON_PERSISTENT_DISK_VOLUME_SOURCE), NO_DRIVER),
        refused("portworxVolume", object(&PORTWORX_VOLUME_SOURCE), NO_DRIVER),
        acted("projected", object(&PROJECTED_VOLUME_SOURCE)),
        refused("quobyte", object(&QUOBYTE_VOLUME_SOURCE), NO_DRIVER),
        refused("rbd", object(&RBD_VOLUME_SOURCE), NO_DRIVER),
        refused("scaleIO", object(&SCALE_IO_VOLUME_SOURCE), NO_DRIVER),
        acted("secret", object(&SECRET_VOLUME_SOURCE)),
        refused("storageos", object(&STORAGE_OS_VOLUME_SOURCE), NO_DRIVER),
        refused("vsphereVolume", object(&VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE), NO_DRIVER),
    ],
)
.with(&[volume::volume]);

pub(super) static CONFIG_MAP_VOLUME_SOURCE: Schema = table(
    "ConfigMapVolumeSource",
    &[
        acted("defaultMode", MODE),
        refused("defaultUser", int(0, INT64_MAX), GATED),
        acted("items", objects(&KEY_TO_PATH)),
        acted("name", text(SUBDOMAIN)).required(),
        acted("optional", BOOL),
    ],
)
.with(&[env::config_map]);

pub(super) static SECRET_VOLUME_SOURCE: Schema = table(
    "SecretVolumeSource",
    &[
        acted("defaultMode", MODE),
        refused("defaultUser", int(0, INT64_MAX), GATED),
        acted("items", objects(&KEY_TO_PATH)),
        acted("optional", BOOL),
        acted("secretName", text(SUBDOMAIN)).required(),
    ],
)
.with(&[volume::secret]);

pub(super) static DOWNWARD_API_VOLUME_SOURCE: Schema = table(
    "DownwardAPIVolumeSource",
    &[
        acted("defaultMode", MODE),
        refused("defaultUser", int(0, INT64_MAX), GATED),
        acted("items", objects(&DOWNWARD_API_VOLUME_FILE)),
    ],
);

pub(super) static DOWNWARD_API_VOLUME_FILE: Schema = table(
    "DownwardAPIVolumeFile",
    &[
        acted("fieldRef", object(&OBJECT_FIELD_SELECTOR)),
        acted("mode", MODE),
        acted("path", text(FILE_PATH)).required(),
        acted("resourceFieldRef", object(&RESOURCE_FIELD_SELECTOR)),
        refused("user", int(0, INT64_MAX), GATED),
    ],
)
.with(&[volume::downward_file]);

pub(super) static KEY_TO_PATH: Schema = table(
    "KeyToPath",
    &[
        acted("key", text(CONFIG_KEY)).required(),
        acted("mode", MODE),
        acted("path", text(FILE_PATH)).required(),
        refused("user", int(0, INT64_MAX), GATED),
    ],
);

pub(super) static EMPTY_DIR_VOLUME_SOURCE: Schema = table(
    "EmptyDirVolumeSource",
    &[
        acted("medium", text(MEDIUM)).except("`HugePages`, which is refused"),
        refused("mode", int(0, 0o7777), GATED),
        acted("sizeLimit", QUANTITY),
    ],
);

pub(super) static HOST_PATH_VOLUME_SOURCE: Schema = table(
    "HostPathVolumeSource",
    &[
        acted("path", text(BACKSTEP_FREE_PATH)).required(),
        acted(
            "type",
            words(&[
                "DirectoryOrCreate",
                "Directory",
                "FileOrCreate",
                "File",
                "Socket",
                "CharDevice",
                "BlockDevice",
            ]),
        ),
    ],
);

pub(super) static NFS_VOLUME_SOURCE: Schema = table(
    "NFSVolumeSource",
    &[
        checked("path", text(ABSOLUTE_PATH)).required(),
        checked("readOnly", BOOL),
        checked("server", TEXT).required(),
    ],
);

pub(super) static PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE: Schema = table(
    "PersistentVolumeClaimVolumeSource",
    &[acted("claimName", text(SUBDOMAIN)).required(), acted("readOnly", BOOL)],
)
.with(&[volume::claim]);

pub(super) static EPHEMERAL_VOLUME_SOURCE: Schema = table(
    "EphemeralVolumeSource",
    &[checked("volumeClaimTemplate", object(&PERSISTENT_VOLUME_CLAIM_TEMPLATE)).required()],
);

pub(super) static PERSISTENT_VOLUME_CLAIM_TEMPLATE: Schema = table(
    "PersistentVolumeClaimTemplate",
    &[
        checked("metadata", object(&TEMPLATE_METADATA)),
        checked("spec", object(&PERSISTENT_VOLUME_CLAIM_SPEC)).required(),
    ],
);

pub(super) static IMAGE_VOLUME_SOURCE: Schema = table(
    "ImageVolumeSource",
    &[
        checked("pullPolicy", words(&["Always", "IfNotPresent", "Never"])),
        checked("reference", text(IMAGE)).required(),
    ],
);

pub(super) static CSI_VOLUME_SOURCE: Schema = table(
    "CSIVolumeSource",
    &[
        checked("driver", text(SUBDOMAIN)).required(),
        checked("fsType", TEXT),
        checked("nodePublishSecretRef", object(&LOCAL_OBJECT_REFERENCE)),
        checked("readOnly", BOOL),
        checked("volumeAttributes", text_map(Any, Free)),
    ],
);

pub(super) static PROJECTED_VOLUME_SOURCE: Schema = table(
    "ProjectedVolumeSource",
    &[
        acted("defaultMode", MODE),
        refused("defaultUser", int(0, INT64_MAX), GATED),
        acted("sources", objects(&VOLUME_PROJECTION)),
    ],
)
.with(&[volume::projected]);

pub(super) static VOLUME_PROJECTION: Schema = table(
    "VolumeProjection",
    &[
        refused(
            "clusterTrustBundle",
            object(&CLUSTER_TRUST_BUNDLE_PROJECTION),
            "Dugout has no trust bundles; use a config map",
        ),
        acted("configMap", object(&CONFIG_MAP_PROJECTION)),
        acted("downwardAPI", object(&DOWNWARD_API_PROJECTION)),
        refused(
            "podCertificate",
            object(&POD_CERTIFICATE_PROJECTION),
            "Dugout signs no certificates; use a secret",
        ),
        acted("secret", object(&SECRET_PROJECTION)),
        refused(
            "serviceAccountToken",
            object(&SERVICE_ACCOUNT_TOKEN_PROJECTION),
            "pods get no credentials for an API server",
        ),
    ],
)
.with(&[volume::projection]);

pub(super) static CONFIG_MAP_PROJECTION: Schema = table(
    "ConfigMapProjection",
    &[
        acted("items", objects(&KEY_TO_PATH)),
        acted("name", text(SUBDOMAIN)).required(),
        acted("optional", BOOL),
    ],
)
.with(&[env::config_map]);

pub(super) static SECRET_PROJECTION: Schema = table(
    "SecretProjection",
    &[
        acted("items", objects(&KEY_TO_PATH)),
        acted("name", text(SUBDOMAIN)).required(),
        acted("optional", BOOL),
    ],
)
.with(&[env::secret]);

pub(super) static DOWNWARD_API_PROJECTION: Schema =
    table("DownwardAPIProjection", &[acted("items", objects(&DOWNWARD_API_VOLUME_FILE))]);

pub(super) static SERVICE_ACCOUNT_TOKEN_PROJECTION: Schema = table(
    "ServiceAccountTokenProjection",
    &[
        checked("audience", TEXT),
        checked("expirationSeconds", int(600, 1 << 32)),
        checked("path", text(RELATIVE_PATH)).required(),
        checked("user", int(0, INT64_MAX)),
    ],
);

pub(super) static CLUSTER_TRUST_BUNDLE_PROJECTION: Schema = table(
    "ClusterTrustBundleProjection",
    &[
        checked("labelSelector", object(&LABEL_SELECTOR)),
        checked("name", TEXT),
        checked("optional", BOOL),
        checked("path", text(RELATIVE_PATH)).required(),
        checked("signerName", TEXT),
        checked("user", int(0, INT64_MAX)),
    ],
);

pub(super) static POD_CERTIFICATE_PROJECTION: Schema = table(
    "PodCertificateProjection",
    &[
        checked("certificateChainPath", text(RELATIVE_PATH)),
        checked("credentialBundlePath", text(RELATIVE_PATH)),
        checked("keyPath", text(RELATIVE_PATH)),
        checked("keyType", TEXT).required(),
        checked("maxExpirationSeconds", int(3_600, 7_862_400)),
        checked("signerName", TEXT).required(),
        checked("user", int(0, INT64_MAX)),
        checked("userAnnotations", text_map(Any, Free)),
    ],
);
