//! The resources that can be read, each with its place in the API.

/// One resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    Namespaces,
    LimitRanges,
    ResourceQuotas,
    Pods,
    Services,
    ConfigMaps,
    Secrets,
    Nodes,
    Events,
    Deployments,
    ReplicaSets,
    ReplicationControllers,
    StatefulSets,
    DaemonSets,
    Jobs,
    CronJobs,
    PodDisruptionBudgets,
    PersistentVolumeClaims,
    PersistentVolumes,
    StorageClasses,
    Sources,
    Releases,
    TimelineEntries,
}

/// An API group with one version each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    Core,
    Apps,
    Batch,
    Policy,
    Storage,
    Dugout,
}

/// What discovery says of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    pub group: Group,
    pub kind: &'static str,
    /// As it stands in a path.
    pub plural: &'static str,
    pub singular: &'static str,
    pub short_names: &'static [&'static str],
    pub namespaced: bool,
    /// Whether a single one can be read by its name.
    pub has_get: bool,
}

impl Group {
    pub const ALL: [Group; 6] =
        [Group::Core, Group::Apps, Group::Batch, Group::Policy, Group::Storage, Group::Dugout];

    /// Empty for the core group.
    pub fn name(self) -> &'static str {
        match self {
            Group::Core => "",
            Group::Apps => "apps",
            Group::Batch => "batch",
            Group::Policy => "policy",
            Group::Storage => "storage.k8s.io",
            Group::Dugout => "dugout.dev",
        }
    }

    /// As it stands in `apiVersion`.
    pub fn api_version(self) -> &'static str {
        match self {
            Group::Core => "v1",
            Group::Apps => "apps/v1",
            Group::Batch => "batch/v1",
            Group::Policy => "policy/v1",
            Group::Storage => "storage.k8s.io/v1",
            Group::Dugout => "dugout.dev/v1",
        }
    }

    /// The segments before those of a resource in a path.
    pub fn segments(self) -> Vec<&'static str> {
        match self {
            Group::Core => vec!["api", "v1"],
            Group::Apps | Group::Batch | Group::Policy | Group::Storage | Group::Dugout => {
                vec!["apis", self.name(), "v1"]
            }
        }
    }
}

impl Resource {
    pub const ALL: [Resource; 23] = [
        Resource::Namespaces,
        Resource::LimitRanges,
        Resource::ResourceQuotas,
        Resource::Pods,
        Resource::Services,
        Resource::ConfigMaps,
        Resource::Secrets,
        Resource::Nodes,
        Resource::Events,
        Resource::Deployments,
        Resource::ReplicaSets,
        Resource::ReplicationControllers,
        Resource::StatefulSets,
        Resource::DaemonSets,
        Resource::Jobs,
        Resource::CronJobs,
        Resource::PodDisruptionBudgets,
        Resource::PersistentVolumeClaims,
        Resource::PersistentVolumes,
        Resource::StorageClasses,
        Resource::Sources,
        Resource::Releases,
        Resource::TimelineEntries,
    ];

    /// The resource that a path names.
    pub fn in_path(group: Group, plural: &str) -> Option<Resource> {
        Resource::ALL.into_iter().find(|resource| {
            let description = resource.describe();
            description.group == group && description.plural == plural
        })
    }

    /// The resource that a person means: its plural, singular, kind or short name, in any case, with
    /// or without its group as in `deployments.apps`.
    pub fn named(word: &str) -> Option<Resource> {
        let word = word.to_ascii_lowercase();
        Resource::ALL.into_iter().find(|resource| {
            let description = resource.describe();
            let bare = word
                .strip_suffix(description.group.name())
                .and_then(|rest| rest.strip_suffix('.'))
                .unwrap_or(&word);
            bare == description.plural
                || bare == description.singular
                || bare == description.kind.to_ascii_lowercase()
                || description.short_names.contains(&bare)
        })
    }

    pub fn describe(self) -> Description {
        match self {
            Resource::Namespaces => core("Namespace", "namespaces", "namespace", &["ns"], false),
            Resource::LimitRanges => {
                core("LimitRange", "limitranges", "limitrange", &["limits"], true)
            }
            Resource::ResourceQuotas => {
                core("ResourceQuota", "resourcequotas", "resourcequota", &["quota"], true)
            }
            Resource::Pods => core("Pod", "pods", "pod", &["po"], true),
            Resource::Services => core("Service", "services", "service", &["svc"], true),
            Resource::ConfigMaps => core("ConfigMap", "configmaps", "configmap", &["cm"], true),
            Resource::Secrets => core("Secret", "secrets", "secret", &[], true),
            Resource::Nodes => core("Node", "nodes", "node", &["no"], false),
            Resource::Events => core("Event", "events", "event", &["ev"], true),
            Resource::Deployments => apps("Deployment", "deployments", "deployment", &["deploy"]),
            Resource::ReplicaSets => apps("ReplicaSet", "replicasets", "replicaset", &["rs"]),
            Resource::ReplicationControllers => core(
                "ReplicationController",
                "replicationcontrollers",
                "replicationcontroller",
                &["rc"],
                true,
            ),
            Resource::StatefulSets => apps("StatefulSet", "statefulsets", "statefulset", &["sts"]),
            Resource::DaemonSets => apps("DaemonSet", "daemonsets", "daemonset", &["ds"]),
            Resource::Jobs => batch("Job", "jobs", "job", &[]),
            Resource::CronJobs => batch("CronJob", "cronjobs", "cronjob", &["cj"]),
            Resource::PodDisruptionBudgets => Description {
                group: Group::Policy,
                kind: "PodDisruptionBudget",
                plural: "poddisruptionbudgets",
                singular: "poddisruptionbudget",
                short_names: &["pdb"],
                namespaced: true,
                has_get: true,
            },
            Resource::PersistentVolumeClaims => core(
                "PersistentVolumeClaim",
                "persistentvolumeclaims",
                "persistentvolumeclaim",
                &["pvc"],
                true,
            ),
            Resource::PersistentVolumes => {
                core("PersistentVolume", "persistentvolumes", "persistentvolume", &["pv"], false)
            }
            Resource::StorageClasses => Description {
                group: Group::Storage,
                kind: "StorageClass",
                plural: "storageclasses",
                singular: "storageclass",
                short_names: &["sc"],
                namespaced: false,
                has_get: true,
            },
            Resource::Sources => dugout("Source", "sources", "source", &["src"], true),
            Resource::Releases => dugout("Release", "releases", "release", &["rel"], true),
            Resource::TimelineEntries => {
                dugout("TimelineEntry", "timelineentries", "timelineentry", &["timeline"], false)
            }
        }
    }
}

type ShortNames = &'static [&'static str];

const fn core(
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    short_names: ShortNames,
    namespaced: bool,
) -> Description {
    let group = Group::Core;
    Description { group, kind, plural, singular, short_names, namespaced, has_get: true }
}

const fn apps(
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    short_names: ShortNames,
) -> Description {
    let (group, namespaced) = (Group::Apps, true);
    Description { group, kind, plural, singular, short_names, namespaced, has_get: true }
}

const fn batch(
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    short_names: ShortNames,
) -> Description {
    let (group, namespaced) = (Group::Batch, true);
    Description { group, kind, plural, singular, short_names, namespaced, has_get: true }
}

const fn dugout(
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    short_names: ShortNames,
    has_get: bool,
) -> Description {
    let (group, namespaced) = (Group::Dugout, false);
    Description { group, kind, plural, singular, short_names, namespaced, has_get }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_find_a_resource_by_any_of_its_names() {
        for word in ["deploy", "deployment", "Deployments", "deployments.apps", "DEPLOYMENT"] {
            assert_eq!(Resource::named(word), Some(Resource::Deployments), "{word}");
        }
        assert_eq!(Resource::named("sources.dugout.dev"), Some(Resource::Sources));
        assert_eq!(Resource::named("sts"), Some(Resource::StatefulSets));
        assert_eq!(Resource::named("ds"), Some(Resource::DaemonSets));
        assert_eq!(Resource::named("rc"), Some(Resource::ReplicationControllers));
        assert_eq!(Resource::named("cj"), Some(Resource::CronJobs));
        assert_eq!(Resource::named("jobs.batch"), Some(Resource::Jobs));
        assert_eq!(Resource::named("pdb"), Some(Resource::PodDisruptionBudgets));
        assert_eq!(Resource::named("quota"), Some(Resource::ResourceQuotas));
        assert_eq!(Resource::named("limits"), Some(Resource::LimitRanges));
        assert_eq!(Resource::named("pvc"), Some(Resource::PersistentVolumeClaims));
        assert_eq!(
            Resource::named("storageclasses.storage.k8s.io"),
            Some(Resource::StorageClasses)
        );
        assert_eq!(Resource::named("ingresses"), None);
        assert_eq!(Resource::named("pods."), Some(Resource::Pods));
        assert_eq!(Resource::named(""), None);
    }
}
