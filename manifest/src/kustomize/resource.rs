//! An object on its way through the kustomizations, with every name that it had.

use super::edit::{Owned, get, text, text_of};
use crate::yaml::Position;

/// Group, version and kind; an empty part of a pattern matches everything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Type {
    pub group: String,
    pub version: String,
    pub kind: String,
}

impl Type {
    pub fn of(node: &Owned) -> Self {
        let api_version = text_of(node, "apiVersion").unwrap_or_default();
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: text_of(node, "kind").unwrap_or_default().to_owned(),
        }
    }

    pub fn named(group: &str, version: &str, kind: &str) -> Self {
        let owned = str::to_owned;
        Self { group: owned(group), version: owned(version), kind: owned(kind) }
    }

    /// Whether objects of this type are in no namespace.
    pub fn is_cluster_scoped(&self) -> bool {
        CLUSTER_SCOPED
            .iter()
            .any(|(group, kinds)| *group == self.group && kinds.contains(&self.kind.as_str()))
    }
}

/// The built-in kinds that are in no namespace, by group.
const CLUSTER_SCOPED: &[(&str, &[&str])] = &[
    ("", &["ComponentStatus", "Namespace", "Node", "PersistentVolume"]),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io", &["APIService"]),
    ("authentication.k8s.io", &["SelfSubjectReview", "TokenReview"]),
    (
        "authorization.k8s.io",
        &["SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview"],
    ),
    ("certificates.k8s.io", &["CertificateSigningRequest", "ClusterTrustBundle"]),
    ("flowcontrol.apiserver.k8s.io", &["FlowSchema", "PriorityLevelConfiguration"]),
    ("internal.apiserver.k8s.io", &["StorageVersion"]),
    ("networking.k8s.io", &["ClusterCIDR", "IPAddress", "IngressClass", "ServiceCIDR"]),
    ("node.k8s.io", &["RuntimeClass"]),
    ("policy", &["PodSecurityPolicy"]),
    ("rbac.authorization.k8s.io", &["ClusterRole", "ClusterRoleBinding"]),
    ("resource.k8s.io", &["DeviceClass", "ResourceClass", "ResourceSlice"]),
    ("scheduling.k8s.io", &["PriorityClass"]),
    (
        "storage.k8s.io",
        &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"],
    ),
    ("storagemigration.k8s.io", &["StorageVersionMigration"]),
];

/// What stands for the namespace of objects that are in none.
pub(super) const NO_NAMESPACE: &str = "_non_namespaceable_";

/// What an object is called: unique among the objects of a kustomization.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id {
    pub of: Type,
    pub name: String,
    /// As a cluster would have it: `default` where none is written.
    pub namespace: String,
}

impl std::fmt::Display for Id {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Id { of, name, namespace } = self;
        match namespace.as_str() {
            NO_NAMESPACE => write!(out, "{} {name}", of.kind),
            namespace => write!(out, "{} {namespace}/{name}", of.kind),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub node: Owned,
    /// What it was called before, the first name first.
    pub previous: Vec<Id>,
    pub prefixes: Vec<String>,
    pub suffixes: Vec<String>,
    /// It was generated, and its name ends with a hash of its content.
    pub needs_hash: bool,
    /// Something could not be done to it, which was told: what it holds is not what it should, and whatever
    /// is wrong with that may only follow.
    pub is_broken: bool,
    /// The variables that are about it.
    pub vars: Vec<String>,
}

/// Marks objects to which something could not be done.
pub(super) fn break_all<'r>(resources: impl IntoIterator<Item = &'r mut Resource>) {
    resources.into_iter().for_each(|resource| resource.is_broken = true);
}

impl Resource {
    pub fn new(node: Owned) -> Self {
        Self {
            node,
            previous: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            needs_hash: false,
            is_broken: false,
            vars: Vec::new(),
        }
    }

    pub fn at(&self) -> Position {
        self.node.at
    }

    pub fn kind(&self) -> &str {
        text_of(&self.node, "kind").unwrap_or_default()
    }

    pub fn name(&self) -> &str {
        self.metadata("name").unwrap_or_default()
    }

    /// As it is written; empty where none is.
    pub fn namespace(&self) -> &str {
        self.metadata("namespace").unwrap_or_default()
    }

    fn metadata(&self, key: &str) -> Option<&str> {
        get(&self.node, "metadata").and_then(|metadata| text_of(metadata, key))
    }

    pub fn current_type(&self) -> Type {
        Type::of(&self.node)
    }

    pub fn id(&self) -> Id {
        let of = self.current_type();
        let namespace = match self.namespace() {
            _ if of.is_cluster_scoped() => NO_NAMESPACE,
            "" => "default",
            namespace => namespace,
        };
        Id { namespace: namespace.to_owned(), name: self.name().to_owned(), of }
    }

    /// What it was called in its file.
    pub fn original_id(&self) -> Id {
        self.previous.first().cloned().unwrap_or_else(|| self.id())
    }

    /// Every name that it had, and the one that it has.
    pub fn all_ids(&self) -> impl Iterator<Item = Id> {
        self.previous.iter().cloned().chain(std::iter::once(self.id()))
    }

    /// Keeps the current name, which is about to change.
    pub fn remember(&mut self) {
        let id = self.id();
        if self.previous.last() != Some(&id) {
            self.previous.push(id);
        }
    }

    /// A label or an annotation: `which` is the field of the metadata.
    pub fn tag(&self, which: &str, key: &str) -> Option<&str> {
        let tags = get(&self.node, "metadata").and_then(|metadata| get(metadata, which))?;
        get(tags, key).and_then(text)
    }
}

/// Whether a type fits a pattern of group, version and kind, where an empty part fits everything.
pub(super) fn fits(of: &Type, group: &str, version: &str, kind: &str) -> bool {
    let fits = |pattern: &str, value: &str| pattern.is_empty() || pattern == value;
    fits(group, &of.group) && fits(version, &of.version) && fits(kind, &of.kind)
}
