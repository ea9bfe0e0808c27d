//! Storage that outlives pods: what claims ask for, which volumes and classes there are, and which claim
//! has which volume.

use crate::{
    HostPath, HostPathType, LabelSelector, MountAccess, Node, NodeName, ObjectKey, ObjectName,
    ObjectUid, PodTemplate, Prune, ResolvedTemplate, SourceName, StringMap, Timestamp, Volume,
    VolumeSource, VolumeUid,
};

/// The class that claims have which name none, where Git declares no default class. It makes folders on the
/// nodes, and keeps them when their claims go: nobody who asks for nothing loses data.
pub const BUILT_IN_CLASS: &str = "local";

/// What makes volumes on the nodes' own disks.
pub const LOCAL_PROVISIONER: &str = "dugout.dev/local";

/// What makes none: volumes of such a class are declared.
pub const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// Provisioners of folders on nodes that teams have in their manifests: what they ask for is what
/// [`LOCAL_PROVISIONER`] does.
pub const LOCAL_PROVISIONERS: [&str; 5] = [
    LOCAL_PROVISIONER,
    "rancher.io/local-path",
    "k8s.io/minikube-hostpath",
    "microk8s.io/hostpath",
    "openebs.io/local",
];

/// The annotation that says what becomes of what leaves Git.
pub const PRUNE_ANNOTATION: &str = "dugout.dev/prune";

/// The label of a node with its name.
pub const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";

/// Who may mount a volume at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccessMode {
    /// The pods of one node.
    ReadWriteOnce,
    ReadOnlyMany,
    ReadWriteMany,
    /// One pod.
    ReadWriteOncePod,
}

impl AccessMode {
    pub const ALL: [AccessMode; 4] = [
        AccessMode::ReadWriteOnce,
        AccessMode::ReadOnlyMany,
        AccessMode::ReadWriteMany,
        AccessMode::ReadWriteOncePod,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            AccessMode::ReadWriteOnce => "ReadWriteOnce",
            AccessMode::ReadOnlyMany => "ReadOnlyMany",
            AccessMode::ReadWriteMany => "ReadWriteMany",
            AccessMode::ReadWriteOncePod => "ReadWriteOncePod",
        }
    }

    pub fn parse(text: &str) -> Option<AccessMode> {
        AccessMode::ALL.into_iter().find(|mode| mode.as_str() == text)
    }
}

/// What becomes of a volume whose claim is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReclaimPolicy {
    /// It stays, with what is in it.
    Retain,
    /// It goes, with what is in it.
    Delete,
}

impl ReclaimPolicy {
    pub fn as_str(self) -> &'static str {
        match self {
            ReclaimPolicy::Retain => "Retain",
            ReclaimPolicy::Delete => "Delete",
        }
    }
}

/// What a `v1` PersistentVolumeClaim asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistentVolumeClaim {
    /// Sorted, and at least one.
    pub access_modes: Box<[AccessMode]>,
    /// Without one the default class; an empty one is none, so that only declared volumes fit.
    pub class: Option<ObjectName>,
    pub request_bytes: u64,
    /// Only declared volumes with these labels fit.
    pub selector: Option<LabelSelector>,
    /// Only this declared volume fits.
    pub volume_name: Option<ObjectName>,
}

impl PersistentVolumeClaim {
    /// Whether no other pod may mount it beside one.
    pub fn is_for_one_pod(&self) -> bool {
        self.access_modes.contains(&AccessMode::ReadWriteOncePod)
    }
}

/// A claim as a stateful set makes it for each of its pods: named `TEMPLATE-POD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimTemplate {
    pub name: ObjectName,
    pub labels: StringMap,
    pub annotations: StringMap,
    pub claim: PersistentVolumeClaim,
}

impl ClaimTemplate {
    /// What its annotations say of the pruning of its claims; other words are refused where they are read.
    pub fn prune(&self) -> Prune {
        match self.annotations.get(PRUNE_ANNOTATION).map(String::as_str) {
            Some("disabled") => Prune::Disabled,
            Some("confirm") => Prune::Confirm,
            _ => Prune::default(),
        }
    }
}

/// What becomes of the claims of a stateful set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimRetention {
    /// When the set is deleted.
    pub when_deleted: ReclaimPolicy,
    /// Of a pod that is scaled away.
    pub when_scaled: ReclaimPolicy,
}

impl Default for ClaimRetention {
    fn default() -> Self {
        Self { when_deleted: ReclaimPolicy::Retain, when_scaled: ReclaimPolicy::Retain }
    }
}

/// A `v1` PersistentVolume: storage that is there already. It is never deleted by Dugout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistentVolume {
    pub capacity_bytes: u64,
    /// Sorted, and at least one.
    pub access_modes: Box<[AccessMode]>,
    /// Empty for none.
    pub class: ObjectName,
    /// The one claim that it is for.
    pub claim: Option<ObjectKey>,
    pub place: VolumePlace,
}

/// Where a declared volume is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumePlace {
    pub source: PersistentVolumeSource,
    /// The nodes that have it; without it all.
    pub nodes: Option<NodeAffinity>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PersistentVolumeSource {
    /// A folder of the node that has to be there.
    Local {
        path: String,
    },
    HostPath(HostPath),
}

/// Nodes of which at least one term holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAffinity {
    pub terms: Box<[NodeTerm]>,
}

/// All of it must hold; one that asks for nothing never does, as Kubernetes has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeTerm {
    pub labels: LabelSelector,
    /// By `metadata.name`; none means any.
    pub names: Box<[NodeName]>,
}

impl NodeAffinity {
    /// Whether a node is meant. Its name counts as its host name where it has no such label.
    pub fn admits(&self, node: &Node) -> bool {
        let mut labels = node.labels.clone();
        if labels.get(HOSTNAME_LABEL).is_none() {
            labels.insert(HOSTNAME_LABEL.to_owned(), node.name.to_string());
        }
        self.terms.iter().any(|term| {
            let is_empty = term.names.is_empty()
                && term.labels.match_expressions.is_empty()
                && term.labels.match_labels.is_empty();
            !is_empty
                && term.labels.matches(&labels)
                && (term.names.is_empty() || term.names.contains(&node.name))
        })
    }
}

/// A `storage.k8s.io/v1` StorageClass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageClass {
    /// As it is written: one of [`LOCAL_PROVISIONERS`], or [`NO_PROVISIONER`].
    pub provisioner: String,
    pub reclaim: ReclaimPolicy,
    /// Whether claims may ask for more than they did.
    pub is_expandable: bool,
    /// Whether claims that name no class have this one.
    pub is_default: bool,
}

impl StorageClass {
    /// The class that is there though nobody declares it.
    pub fn built_in() -> Self {
        Self {
            provisioner: LOCAL_PROVISIONER.to_owned(),
            reclaim: ReclaimPolicy::Retain,
            is_expandable: true,
            is_default: true,
        }
    }

    /// Whether volumes are made for its claims.
    pub fn provisions(&self) -> bool {
        self.provisioner != NO_PROVISIONER
    }
}

/// A volume of a pod that is a claim's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimVolume {
    pub claim: ClaimName,
    pub access: MountAccess,
}

/// Which claim a pod's volume is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimName {
    Named(ObjectName),
    /// The pod's own, from this template of its stateful set.
    OfTemplate(ObjectName),
}

impl ClaimName {
    /// The claim's name for the pod of this name.
    pub fn of_pod(&self, pod: &ObjectName) -> ObjectName {
        match self {
            ClaimName::Named(name) => name.clone(),
            ClaimName::OfTemplate(template) => ObjectName::new(format!("{template}-{pod}")),
        }
    }
}

/// The volumes that are claims', with their names.
fn claims<Files>(volumes: &[Volume<Files>]) -> impl Iterator<Item = (&str, &ClaimVolume)> {
    volumes.iter().filter_map(|volume| match &volume.source {
        VolumeSource::Claim(claim) => Some((volume.name.as_str(), claim)),
        VolumeSource::EmptyDir(_) | VolumeSource::HostPath(_) | VolumeSource::Files(_) => None,
    })
}

impl ResolvedTemplate {
    pub fn claims(&self) -> impl Iterator<Item = (&str, &ClaimVolume)> {
        claims(&self.volumes)
    }

    pub fn has_claims(&self) -> bool {
        self.claims().next().is_some()
    }
}

impl PodTemplate {
    pub fn claims(&self) -> impl Iterator<Item = (&str, &ClaimVolume)> {
        claims(&self.volumes)
    }
}

/// Which volume a claim has: chosen with the node of the first pod that uses it, and never another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeBinding {
    pub uid: VolumeUid,
    pub claim: ObjectKey,
    /// What asked for it: the declared claim, or the stateful set with its template.
    pub owner: ObjectUid,
    /// Where that came from: its data goes only with a healthy release of this source. Rows of an earlier release
    /// have none until they are looked at.
    pub source: Option<SourceName>,
    /// Of a stateful set's claim.
    pub retention: Option<ClaimRetention>,
    /// Empty for none.
    pub class: ObjectName,
    /// Of what is made on a node: how much of its storage is set aside.
    pub capacity_bytes: u64,
    pub access_modes: Box<[AccessMode]>,
    pub reclaim: ReclaimPolicy,
    pub volume: BoundVolume,
    pub state: BindingState,
    pub bound_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoundVolume {
    /// A folder that the node's agent makes.
    Provisioned { node: NodeName },
    /// One that Git declared under this name, as it was then.
    Declared { name: ObjectName, place: VolumePlace },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingState {
    /// Its node has not said yet that the folder is there.
    Provisioning,
    Bound,
    /// The claim is gone, and the volume is kept: for a claim of the same name.
    Released {
        since: Timestamp,
    },
    /// The claim is gone, and the node removes the folder.
    Deleting {
        since: Timestamp,
    },
}

impl VolumeBinding {
    /// The name of the volume.
    pub fn volume_name(&self) -> ObjectName {
        match &self.volume {
            BoundVolume::Provisioned { .. } => ObjectName::new(format!("pvc-{}", self.uid)),
            BoundVolume::Declared { name, .. } => name.clone(),
        }
    }

    /// The node with the folder that was made for it.
    pub fn node(&self) -> Option<&NodeName> {
        match &self.volume {
            BoundVolume::Provisioned { node } => Some(node),
            BoundVolume::Declared { .. } => None,
        }
    }

    /// Whether a node can have it.
    pub fn admits(&self, node: &Node) -> bool {
        match &self.volume {
            BoundVolume::Provisioned { node: own } => *own == node.name,
            BoundVolume::Declared { place, .. } => place.admits(node),
        }
    }

    /// Whether the claim has it: it is neither given up nor on its way out.
    pub fn is_held(&self) -> bool {
        matches!(self.state, BindingState::Provisioning | BindingState::Bound)
    }

    pub fn is_for_one_pod(&self) -> bool {
        self.access_modes.contains(&AccessMode::ReadWriteOncePod)
    }
}

impl VolumePlace {
    pub fn admits(&self, node: &Node) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.admits(node))
    }
}

/// A pod's claim with what its node needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignedClaim {
    /// The pod's volume.
    pub volume: String,
    pub place: ClaimPlace,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimPlace {
    /// A folder of the agent's. One that is not new has to be there: what is lost is not begun anew.
    Provisioned {
        volume: VolumeUid,
        is_new: bool,
    },
    Declared(PersistentVolumeSource),
}

impl PersistentVolumeSource {
    /// Its path without what makes no difference: doubled and trailing slashes.
    pub fn normal_path(&self) -> String {
        let path = match self {
            PersistentVolumeSource::Local { path } => path,
            PersistentVolumeSource::HostPath(path) => &path.path,
        };
        let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
        parts.fold(String::new(), |path, part| path + "/" + part)
    }

    /// The file or folder of the node that it is.
    pub fn host_path(&self) -> HostPath {
        match self {
            PersistentVolumeSource::Local { path } => {
                HostPath { path: path.clone(), path_type: HostPathType::Directory }
            }
            PersistentVolumeSource::HostPath(path) => path.clone(),
        }
    }
}
