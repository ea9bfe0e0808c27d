//! The stored form of storage: claims, volumes and classes as declared, and which claim has which volume.

use dugout_model::{
    AccessMode, BindingState, BoundVolume, ClaimName, ClaimRetention, ClaimTemplate, ClaimVolume,
    HostPath, LabelSelector, MountAccess, NodeAffinity, NodeName, NodeTerm, ObjectKey, ObjectName,
    ObjectUid, PersistentVolume, PersistentVolumeClaim, PersistentVolumeSource, ReclaimPolicy,
    SourceName, StorageClass, StringMap, Timestamp, VolumeBinding, VolumePlace, VolumeUid,
};

use super::mirror::mirror;

mirror! {
    #[serde(rename_all = "snake_case")]
    #[allow(clippy::enum_variant_names, reason = "they are Kubernetes' words")]
    enum AccessMode as AccessModeDocument {
        ReadWriteOnce,
        ReadOnlyMany,
        ReadWriteMany,
        ReadWriteOncePod,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum ReclaimPolicy as ReclaimPolicyDocument { Retain, Delete }
}

mirror! {
    struct PersistentVolumeClaim as PersistentVolumeClaimDocument {
        access_modes: Box<[AccessMode]>,
        class: Option<ObjectName>,
        request_bytes: u64,
        selector: Option<LabelSelector>,
        volume_name: Option<ObjectName>,
    }
}

mirror! {
    struct ClaimTemplate as ClaimTemplateDocument {
        name: ObjectName,
        labels: StringMap,
        annotations: StringMap,
        claim: PersistentVolumeClaim,
    }
}

mirror! {
    struct ClaimRetention as ClaimRetentionDocument {
        when_deleted: ReclaimPolicy,
        when_scaled: ReclaimPolicy,
    }
}

impl ClaimRetentionDocument {
    /// What is meant where nothing is written.
    pub(crate) fn is_default(&self) -> bool {
        matches!(
            self,
            Self {
                when_deleted: ReclaimPolicyDocument::Retain,
                when_scaled: ReclaimPolicyDocument::Retain,
            }
        )
    }
}

impl Default for ClaimRetentionDocument {
    fn default() -> Self {
        super::Stored::to_document(&ClaimRetention::default())
    }
}

mirror! {
    struct PersistentVolume as PersistentVolumeDocument {
        capacity_bytes: u64,
        access_modes: Box<[AccessMode]>,
        class: ObjectName,
        claim: Option<ObjectKey>,
        place: VolumePlace,
    }
}

mirror! {
    struct VolumePlace as VolumePlaceDocument {
        source: PersistentVolumeSource,
        nodes: Option<NodeAffinity>,
    }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum PersistentVolumeSource as PersistentVolumeSourceDocument {
        Local { path: String },
        HostPath(path: HostPath),
    }
}

mirror! {
    struct NodeAffinity as NodeAffinityDocument { terms: Box<[NodeTerm]> }
}

mirror! {
    struct NodeTerm as NodeTermDocument { labels: LabelSelector, names: Box<[NodeName]> }
}

mirror! {
    struct StorageClass as StorageClassDocument {
        provisioner: String,
        reclaim: ReclaimPolicy,
        is_expandable: bool,
        is_default: bool,
    }
}

mirror! {
    struct ClaimVolume as ClaimVolumeDocument { claim: ClaimName, access: MountAccess }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum ClaimName as ClaimNameDocument {
        Named(name: ObjectName),
        OfTemplate(template: ObjectName),
    }
}

mirror! {
    struct VolumeBinding as VolumeBindingDocument {
        uid: VolumeUid,
        claim: ObjectKey,
        owner: ObjectUid,
        // Later than the first rows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<SourceName>,
        retention: Option<ClaimRetention>,
        class: ObjectName,
        capacity_bytes: u64,
        access_modes: Box<[AccessMode]>,
        reclaim: ReclaimPolicy,
        volume: BoundVolume,
        state: BindingState,
        bound_at: Timestamp,
    }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum BoundVolume as BoundVolumeDocument {
        Provisioned { node: NodeName },
        Declared { name: ObjectName, place: VolumePlace },
    }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum BindingState as BindingStateDocument {
        Provisioning,
        Bound,
        Released { since: Timestamp },
        Deleting { since: Timestamp },
    }
}
