//! The fields that labels, annotations, replica counts and namespaces go to, by kind.

use super::edit::{Fault, Owned, get_mut, map_node, set};
use super::resource::{Type, fits};
use crate::yaml::{Node, Position, Value};

/// A field of some kinds of objects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    /// Names with slashes between them; `[]` behind one says that it is a list. A slash inside a name
    /// has a backslash before it.
    pub path: &'a str,
    /// Whether what is missing on the way is made.
    pub create: bool,
}

impl Spec<'_> {
    pub fn applies(&self, of: &Type) -> bool {
        fits(of, self.group, self.version, self.kind)
    }
}

const fn spec(
    group: &'static str,
    kind: &'static str,
    path: &'static str,
    create: bool,
) -> Spec<'static> {
    Spec { group, version: "", kind, path, create }
}

pub(super) static METADATA_LABELS: Spec<'static> = spec("", "", "metadata/labels", true);

pub(super) static TEMPLATE_LABELS: &[Spec<'static>] = &[
    spec("", "ReplicationController", "spec/template/metadata/labels", true),
    spec("", "Deployment", "spec/template/metadata/labels", true),
    spec("", "ReplicaSet", "spec/template/metadata/labels", true),
    spec("", "DaemonSet", "spec/template/metadata/labels", true),
    spec("apps", "StatefulSet", "spec/template/metadata/labels", true),
    spec("apps", "StatefulSet", "spec/volumeClaimTemplates[]/metadata/labels", true),
    spec("batch", "Job", "spec/template/metadata/labels", true),
    spec("batch", "CronJob", "spec/jobTemplate/metadata/labels", true),
    spec("batch", "CronJob", "spec/jobTemplate/spec/template/metadata/labels", true),
];

pub(super) static ANNOTATIONS: &[Spec<'static>] = &[
    spec("", "", "metadata/annotations", true),
    spec("", "ReplicationController", "spec/template/metadata/annotations", true),
    spec("", "Deployment", "spec/template/metadata/annotations", true),
    spec("", "ReplicaSet", "spec/template/metadata/annotations", true),
    spec("", "DaemonSet", "spec/template/metadata/annotations", true),
    spec("apps", "StatefulSet", "spec/template/metadata/annotations", true),
    spec("batch", "Job", "spec/template/metadata/annotations", true),
    spec("batch", "CronJob", "spec/jobTemplate/metadata/annotations", true),
    spec("batch", "CronJob", "spec/jobTemplate/spec/template/metadata/annotations", true),
];

const PREFERRED_AFFINITY: &str = "spec/template/spec/affinity/podAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels";
const REQUIRED_AFFINITY: &str = "spec/template/spec/affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels";
const PREFERRED_ANTI_AFFINITY: &str = "spec/template/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels";
const REQUIRED_ANTI_AFFINITY: &str = "spec/template/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels";
const SPREAD: &str = "spec/template/spec/topologySpreadConstraints/labelSelector/matchLabels";

pub(super) static SELECTORS: &[Spec<'static>] = &[
    Spec { version: "v1", ..spec("", "Service", "spec/selector", true) },
    Spec { version: "v1", ..spec("", "ReplicationController", "spec/selector", true) },
    spec("", "Deployment", "spec/selector/matchLabels", true),
    spec("apps", "Deployment", PREFERRED_AFFINITY, false),
    spec("apps", "Deployment", REQUIRED_AFFINITY, false),
    spec("apps", "Deployment", PREFERRED_ANTI_AFFINITY, false),
    spec("apps", "Deployment", REQUIRED_ANTI_AFFINITY, false),
    spec("apps", "Deployment", SPREAD, false),
    spec("", "ReplicaSet", "spec/selector/matchLabels", true),
    spec("", "DaemonSet", "spec/selector/matchLabels", true),
    spec("apps", "StatefulSet", "spec/selector/matchLabels", true),
    spec("apps", "StatefulSet", PREFERRED_AFFINITY, false),
    spec("apps", "StatefulSet", REQUIRED_AFFINITY, false),
    spec("apps", "StatefulSet", PREFERRED_ANTI_AFFINITY, false),
    spec("apps", "StatefulSet", REQUIRED_ANTI_AFFINITY, false),
    spec("apps", "StatefulSet", SPREAD, false),
    spec("batch", "Job", "spec/selector/matchLabels", false),
    spec("batch", "CronJob", "spec/jobTemplate/spec/selector/matchLabels", false),
    spec("policy", "PodDisruptionBudget", "spec/selector/matchLabels", false),
    spec("networking.k8s.io", "NetworkPolicy", "spec/podSelector/matchLabels", false),
    spec("networking.k8s.io", "NetworkPolicy", "spec/ingress/from/podSelector/matchLabels", false),
    spec("networking.k8s.io", "NetworkPolicy", "spec/egress/to/podSelector/matchLabels", false),
];

pub(super) static REPLICAS: &[Spec<'static>] = &[
    spec("", "Deployment", "spec/replicas", true),
    spec("", "ReplicationController", "spec/replicas", true),
    spec("", "ReplicaSet", "spec/replicas", true),
    spec("", "StatefulSet", "spec/replicas", true),
];

/// Beside `metadata.namespace` and the subjects of role bindings.
pub(super) static NAMESPACES: &[Spec<'static>] = &[
    spec("", "Namespace", "metadata/name", true),
    spec("apiregistration.k8s.io", "APIService", "spec/service/namespace", true),
    spec(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "spec/conversion/webhook/clientConfig/service/namespace",
        false,
    ),
];

/// The names of a path, slashes inside them resolved.
pub(super) fn split(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut goes_on = false;
    for part in path.split('/') {
        match (goes_on, parts.last_mut()) {
            (true, Some(last)) => {
                last.push('/');
                last.push_str(part);
            }
            _ => parts.push(part.to_owned()),
        }
        goes_on = match parts.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                true
            }
            _ => false,
        };
    }
    parts
}

/// Calls `change` with the value at a path of an object, in every item of the lists on its way. What is
/// missing is made, with a map at the end of the path, or skipped.
pub(super) fn visit(
    node: &mut Owned,
    parts: &[String],
    create: Option<Position>,
    change: &mut dyn FnMut(&mut Owned) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let Some((name, rest)) = parts.split_first() else { return change(node) };
    match &mut node.value {
        Value::List(items) => {
            items.iter_mut().try_for_each(|item| visit(item, parts, create, change))
        }
        Value::Map(_) => {
            let (name, is_list) = match name.strip_suffix("[]") {
                Some(name) => (name, true),
                None => (name.as_str(), false),
            };
            let missing = get_mut(node, name).is_none_or(|node| node.is_null());
            match create {
                Some(at) if missing && !is_list => set(node, name, map_node(at)),
                _ if missing => return Ok(()),
                _ => {}
            }
            match get_mut(node, name) {
                Some(field) => visit(field, rest, create, change),
                None => Ok(()),
            }
        }
        Value::Scalar { .. } => Err(no_way(node, name)),
    }
}

fn no_way(node: &Node<'_>, name: &str) -> Fault {
    Fault::new(node.at, format!("this is a plain value, and {name} is looked for in it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backslash_keeps_a_slash_inside_a_name() {
        assert_eq!(split("metadata/annotations/a.b\\/c"), ["metadata", "annotations", "a.b/c"]);
        assert_eq!(split("a"), ["a"]);
    }
}
