//! What a path under a group's version is about.

use dugout_model::{NamespaceName, ObjectName};

use crate::resource::{Group, Resource};

/// The thing, or the list of things, that a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) resource: Resource,
    /// Absent for all namespaces and for what has none.
    pub(crate) namespace: Option<NamespaceName>,
    /// Absent for a list.
    pub(crate) name: Option<ObjectName>,
    /// As `log`.
    pub(crate) subresource: Option<String>,
}

impl Target {
    /// Reads the segments after `/api/v1/` or `/apis/{group}/v1/`. Absent when no such resource
    /// exists.
    pub(crate) fn parse(group: Group, path: &str) -> Option<Target> {
        let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        if segments.iter().any(|segment| segment.is_empty()) {
            return None;
        }
        let (namespace, rest) = match segments.as_slice() {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => {
                (Some(NamespaceName::new(namespace)), rest)
            }
            rest => (None, rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (plural, None, None),
            [plural, name] => (plural, Some(ObjectName::new(name)), None),
            [plural, name, subresource] => {
                (plural, Some(ObjectName::new(name)), Some((*subresource).to_owned()))
            }
            _ => return None,
        };
        let resource = Resource::in_path(group, plural)?;
        let namespaced = resource.describe().namespaced;
        let place_fits = match (&namespace, &name) {
            (Some(_), _) => namespaced,
            (None, Some(_)) => !namespaced,
            (None, None) => true,
        };
        place_fits.then_some(Target { resource, namespace, name, subresource })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Option<(Resource, Option<String>, Option<String>)> {
        Target::parse(Group::Core, path).map(|target| {
            let text = |name: &dyn ToString| name.to_string();
            let namespace = target.namespace.as_ref().map(|name| text(name));
            (target.resource, namespace, target.name.as_ref().map(|name| text(name)))
        })
    }

    #[test]
    fn paths_name_lists_and_single_things() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parse("pods"), Some((Resource::Pods, None, None)));
        assert_eq!(parse("pods/"), Some((Resource::Pods, None, None)));
        assert_eq!(parse("namespaces"), Some((Resource::Namespaces, None, None)));
        assert_eq!(parse("namespaces/demo"), Some((Resource::Namespaces, None, some("demo"))));
        assert_eq!(parse("namespaces/demo/pods"), Some((Resource::Pods, some("demo"), None)));
        assert_eq!(
            parse("namespaces/demo/pods/web"),
            Some((Resource::Pods, some("demo"), some("web")))
        );
        assert_eq!(parse("nodes/a"), Some((Resource::Nodes, None, some("a"))));
    }

    #[test]
    fn paths_that_fit_no_resource_are_nothing() {
        for path in ["", "/", "ingresses", "pods/web", "namespaces/demo/nodes", "a/b/c/d/e", "a//b"]
        {
            assert_eq!(parse(path), None, "{path}");
        }
        assert_eq!(Target::parse(Group::Apps, "pods"), None);
    }
}
