//! One thing that can be listed, before it is converted: cheap to filter and to sort.

use std::borrow::Cow;
use std::collections::BTreeSet;

use dugout_model::{
    BUILT_IN_CLASS, Event, Job, Kind, NamespaceName, Node, ObjectId, Pod, Release, ReplicaSet,
    Source, StoredObject, TimelineEntry, VolumeBinding, World,
};

use crate::convert::{
    self, NAMESPACE_OF_CLUSTER_EVENTS, Object, Uids, View, event_name, event_namespace, hash_label,
    pod_phase, release_name,
};
use crate::resource::Resource;
use crate::selector::{FieldQuery, LabelQuery};

/// The label by which releases of one source are found.
const SOURCE_LABEL: &str = "dugout.dev/source";

#[derive(Clone, Copy)]
pub(crate) enum Item<'a> {
    Stored(&'a StoredObject),
    /// A namespace that Git does not declare.
    ImpliedNamespace(&'a str),
    /// A claim that Git does not declare.
    Claim(&'a VolumeBinding),
    /// A volume that an agent made.
    Volume(&'a VolumeBinding),
    /// A class that Git does not declare.
    BuiltInClass,
    Pod(&'a Pod),
    ReplicaSet(&'a ReplicaSet),
    /// Of a CronJob; a declared Job's run is told with its object.
    Job(&'a Job),
    Node(&'a Node),
    Event(&'a Event),
    Source(&'a Source),
    Release(&'a Release),
    TimelineEntry(&'a TimelineEntry),
}

/// What the world does not hold, read for this one request.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) events: Vec<Event>,
    pub(crate) releases: Vec<Release>,
    pub(crate) timeline: Vec<TimelineEntry>,
}

/// Everything of one resource, in one namespace or in all. History is in its own order; what the
/// world holds is in none.
pub(crate) fn items<'a>(
    world: &'a World,
    history: &'a History,
    resource: Resource,
    namespace: Option<&NamespaceName>,
) -> Vec<Item<'a>> {
    let stored = |kind| world.objects_of(kind).map(|row| Item::Stored(row)).collect();
    let mut items: Vec<Item<'a>> = match resource {
        Resource::Namespaces => namespaces(world),
        Resource::LimitRanges => stored(Kind::LimitRange),
        Resource::ResourceQuotas => stored(Kind::ResourceQuota),
        Resource::ConfigMaps => stored(Kind::ConfigMap),
        Resource::Secrets => stored(Kind::Secret),
        Resource::Services => stored(Kind::Service),
        Resource::Deployments => stored(Kind::Deployment),
        Resource::StatefulSets => stored(Kind::StatefulSet),
        Resource::DaemonSets => stored(Kind::DaemonSet),
        Resource::ReplicationControllers => stored(Kind::ReplicationController),
        Resource::Pods => pods(world),
        Resource::ReplicaSets => {
            let sets = world.replica_sets.values().filter(|row| is_of_deployment(world, row));
            let mut items: Vec<Item<'a>> = stored(Kind::ReplicaSet);
            items.extend(sets.map(|row| Item::ReplicaSet(row)));
            items
        }
        Resource::Jobs => {
            let runs = world.jobs.values().filter(|row| row.scheduled_at.is_some());
            let mut items: Vec<Item<'a>> = stored(Kind::Job);
            items.extend(runs.map(|row| Item::Job(row)));
            items
        }
        Resource::CronJobs => stored(Kind::CronJob),
        Resource::PodDisruptionBudgets => stored(Kind::PodDisruptionBudget),
        Resource::PersistentVolumeClaims => {
            let mut items: Vec<Item<'a>> = stored(Kind::PersistentVolumeClaim);
            items.extend(claims(world));
            items
        }
        Resource::PersistentVolumes => {
            let made = world.volume_bindings.values().filter(|row| row.node().is_some());
            let mut items: Vec<Item<'a>> = stored(Kind::PersistentVolume);
            items.extend(made.map(|row| Item::Volume(row)));
            items
        }
        Resource::StorageClasses => {
            let built_in = ObjectId::new(Kind::StorageClass, "", BUILT_IN_CLASS);
            let mut items: Vec<Item<'a>> = stored(Kind::StorageClass);
            items.extend((!world.objects.contains_key(&built_in)).then_some(Item::BuiltInClass));
            items
        }
        Resource::Nodes => world.nodes.values().map(|row| Item::Node(row)).collect(),
        Resource::Sources => world.sources.values().map(|row| Item::Source(row)).collect(),
        Resource::Events => history.events.iter().map(Item::Event).collect(),
        Resource::Releases => history.releases.iter().map(Item::Release).collect(),
        Resource::TimelineEntries => history.timeline.iter().map(Item::TimelineEntry).collect(),
    };
    if let Some(namespace) = namespace {
        items.retain(|item| item.namespace() == namespace.as_str());
    }
    items
}

/// The pods, and those bare ones that Git asks for and that are not made yet.
fn pods(world: &World) -> Vec<Item<'_>> {
    let mut items: Vec<Item<'_>> = world.pods.values().map(|row| Item::Pod(row)).collect();
    let awaited = world.objects_of(Kind::Pod).filter(|object| {
        let mut sets = world.replica_sets_of(object.uid);
        !sets.any(|set| world.pods_of(set.uid).next().is_some())
    });
    items.extend(awaited.map(|row| Item::Stored(row)));
    items
}

/// The claims that are there and that Git does not declare: those of stateful sets, and those that a pod
/// still uses.
fn claims(world: &World) -> impl Iterator<Item = Item<'_>> {
    let held = world.volume_bindings.values().filter(|row| row.is_held());
    let others = held.filter(|row| {
        let id = ObjectId { kind: Kind::PersistentVolumeClaim, key: row.claim.clone() };
        !world.objects.contains_key(&id)
    });
    others.map(|row| Item::Claim(row))
}

/// Whether it is what Kubernetes calls a replica set: other kinds keep their templates in one, too.
fn is_of_deployment(world: &World, set: &ReplicaSet) -> bool {
    let owner = world.workload_by_uid(set.owner).map(|object| object.declared.kind());
    !set.is_of_job() && owner.is_none_or(|kind| kind == Kind::Deployment)
}

/// Whether the rows come from the database for each request, newest ones only.
pub(crate) fn is_history(resource: Resource) -> bool {
    matches!(resource, Resource::Events | Resource::Releases | Resource::TimelineEntries)
}

/// The fields that a `fieldSelector` may name.
pub(crate) fn selectable_fields(resource: Resource) -> &'static [&'static str] {
    match resource {
        Resource::Pods => &["metadata.name", "metadata.namespace", "spec.nodeName", "status.phase"],
        Resource::Events => &[
            "metadata.name",
            "metadata.namespace",
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "reason",
            "type",
        ],
        Resource::Releases => &["metadata.name", "spec.source", "status.verdict"],
        Resource::TimelineEntries => &["source", "commit", "step"],
        Resource::Namespaces
        | Resource::Nodes
        | Resource::PersistentVolumes
        | Resource::StorageClasses
        | Resource::Sources => &["metadata.name"],
        Resource::Services
        | Resource::LimitRanges
        | Resource::ResourceQuotas
        | Resource::ConfigMaps
        | Resource::Secrets
        | Resource::Deployments
        | Resource::ReplicaSets
        | Resource::ReplicationControllers
        | Resource::StatefulSets
        | Resource::DaemonSets
        | Resource::Jobs
        | Resource::CronJobs
        | Resource::PersistentVolumeClaims
        | Resource::PodDisruptionBudgets => &["metadata.name", "metadata.namespace"],
    }
}

impl<'a> Item<'a> {
    /// Namespace and name: unique among what the world holds of one resource.
    pub(crate) fn place(self) -> (&'a str, Cow<'a, str>) {
        let name = match self {
            Item::Stored(row) => row.declared.key.name.as_str(),
            Item::ImpliedNamespace(name) => name,
            Item::Claim(row) => row.claim.name.as_str(),
            Item::Volume(row) => return ("", Cow::Owned(row.volume_name().to_string())),
            Item::BuiltInClass => BUILT_IN_CLASS,
            Item::Pod(row) => row.name.as_str(),
            Item::ReplicaSet(row) => row.name.as_str(),
            Item::Job(row) => row.name.as_str(),
            Item::Node(row) => row.name.as_str(),
            Item::Event(row) => row.name.as_str(),
            Item::Source(row) => row.name.as_str(),
            Item::Release(row) => row.source.as_str(),
            Item::TimelineEntry(row) => row.sha.as_str(),
        };
        (self.namespace(), Cow::Borrowed(name))
    }

    /// Empty for what has none.
    pub(crate) fn namespace(self) -> &'a str {
        match self {
            Item::Stored(row) => row.declared.key.namespace.as_str(),
            Item::Claim(row) => row.claim.namespace.as_str(),
            Item::Pod(row) => row.namespace.as_str(),
            Item::ReplicaSet(row) => row.namespace.as_str(),
            Item::Job(row) => row.namespace.as_str(),
            Item::Event(row) => event_namespace(row),
            Item::ImpliedNamespace(_)
            | Item::Volume(_)
            | Item::BuiltInClass
            | Item::Node(_)
            | Item::Source(_)
            | Item::Release(_)
            | Item::TimelineEntry(_) => "",
        }
    }

    /// The name in the metadata of its serialised form.
    pub(crate) fn name(self) -> Cow<'a, str> {
        match self {
            Item::Event(row) => Cow::Owned(event_name(row)),
            Item::Release(row) => Cow::Owned(release_name(row)),
            other => other.place().1,
        }
    }

    pub(crate) fn has_labels(self, world: &'a World, query: &LabelQuery) -> bool {
        let own_labels = match self {
            Item::Pod(row) => row.own_labels(),
            _ => Vec::new(),
        };
        let own = |key: &str| {
            own_labels.iter().find(|(own, _)| *own == key).map(|(_, value)| value.as_str())
        };
        query.is_empty() || query.matches(|key| own(key).or_else(|| self.label(world, key)))
    }

    pub(crate) fn has_fields(self, uids: &Uids<'_>, query: &FieldQuery) -> bool {
        query.requirements().iter().all(|requirement| {
            (self.field(uids, &requirement.field) == requirement.value.as_str())
                == requirement.equal
        })
    }

    pub(crate) fn object(self, view: View<'_>, uids: &Uids<'_>) -> Object {
        match self {
            Item::Stored(row) => view.stored(row),
            Item::ImpliedNamespace(name) => view.implied_namespace(name),
            Item::Claim(row) => Object::PersistentVolumeClaim(Box::new(view.made_claim(row))),
            Item::Volume(row) => Object::PersistentVolume(Box::new(view.made_volume(row))),
            Item::BuiltInClass => {
                Object::StorageClass(Box::new(view.built_in_class(BUILT_IN_CLASS)))
            }
            Item::Pod(row) => Object::Pod(Box::new(view.pod(row))),
            Item::ReplicaSet(row) => Object::ReplicaSet(Box::new(view.replica_set(row))),
            Item::Job(row) => Object::Job(Box::new(view.job(row))),
            Item::Node(row) => Object::Node(Box::new(view.node(row))),
            Item::Event(row) => Object::Event(Box::new(view.event(row, uids.get(row)))),
            Item::Source(row) => Object::Source(Box::new(view.source(row))),
            Item::Release(row) => Object::Release(Box::new(view.release(row, None))),
            Item::TimelineEntry(row) => Object::TimelineEntry(Box::new(view.timeline_entry(row))),
        }
    }

    fn label(self, world: &'a World, key: &str) -> Option<&'a str> {
        let of_set = |set: &'a ReplicaSet| {
            let hash = hash_label(world, set).filter(|(label, _)| *label == key);
            hash.map(|(_, hash)| hash).or_else(|| set.template.labels.get(key).map(String::as_str))
        };
        match self {
            Item::Stored(row) => row.declared.labels.get(key).map(String::as_str),
            Item::Pod(row) => of_set(world.replica_set_of(row)?),
            Item::ReplicaSet(row) => of_set(row),
            Item::Job(row) => row.labels.get(key).map(String::as_str),
            Item::Node(row) => row.labels.get(key).map(String::as_str),
            Item::Release(row) => (key == SOURCE_LABEL).then_some(row.source.as_str()),
            Item::TimelineEntry(row) => (key == SOURCE_LABEL).then_some(row.source.as_str()),
            Item::Claim(row) => {
                let (_, template, _) = world.claim_maker(&row.claim)?;
                template.labels.get(key).map(String::as_str)
            }
            Item::ImpliedNamespace(_)
            | Item::Volume(_)
            | Item::BuiltInClass
            | Item::Event(_)
            | Item::Source(_) => None,
        }
    }

    /// The value of one of the [`selectable_fields`]; empty where there is none.
    fn field(self, uids: &Uids<'_>, field: &str) -> Cow<'a, str> {
        match (self, field) {
            (_, "metadata.name") => self.name(),
            (_, "metadata.namespace") => Cow::Borrowed(self.namespace()),
            (Item::Pod(row), "spec.nodeName") => {
                Cow::Borrowed(row.node().map_or("", |node| node.as_str()))
            }
            (Item::Stored(_), "status.phase") => Cow::Borrowed("Pending"),
            (Item::Pod(row), "status.phase") => Cow::Borrowed(pod_phase(row)),
            (Item::Event(row), "involvedObject.kind") => Cow::Borrowed(&row.kind),
            (Item::Event(row), "involvedObject.namespace") => Cow::Borrowed(row.namespace.as_str()),
            (Item::Event(row), "involvedObject.name") => Cow::Borrowed(&row.name),
            (Item::Event(row), "involvedObject.uid") => {
                Cow::Owned(uids.get(row).unwrap_or_default())
            }
            (Item::Event(row), "reason") => Cow::Borrowed(&row.reason),
            (Item::Event(row), "type") => Cow::Borrowed(row.event_type.as_str()),
            (Item::Release(row), "spec.source") => Cow::Borrowed(row.source.as_str()),
            (Item::Release(row), "status.verdict") => Cow::Borrowed(row.verdict.as_str()),
            (Item::TimelineEntry(row), "source") => Cow::Borrowed(row.source.as_str()),
            (Item::TimelineEntry(row), "commit") => Cow::Borrowed(row.sha.as_str()),
            (Item::TimelineEntry(row), "step") => Cow::Borrowed(row.step.as_str()),
            _ => Cow::Borrowed(""),
        }
    }
}

/// The declared namespaces, and those that exist because something is in them.
fn namespaces(world: &World) -> Vec<Item<'_>> {
    let mut items: Vec<Item<'_>> =
        world.objects_of(Kind::Namespace).map(|row| Item::Stored(row)).collect();
    let declared: BTreeSet<Cow<'_, str>> = items.iter().map(|item| item.place().1).collect();
    let occupied = world.objects.keys().map(|id| id.key.namespace.as_str());
    let occupied = occupied.chain(world.pods.values().map(|pod| pod.namespace.as_str()));
    let implied: BTreeSet<&str> = occupied
        .chain([NAMESPACE_OF_CLUSTER_EVENTS])
        .filter(|name| !name.is_empty() && !declared.contains(*name))
        .collect();
    items.extend(implied.into_iter().map(Item::ImpliedNamespace));
    items
}

/// One release by its name, from those that were read.
pub(crate) fn release_named<'a>(releases: &'a [Release], name: &str) -> Option<&'a Release> {
    releases.iter().find(|release| convert::release_name(release) == name)
}
