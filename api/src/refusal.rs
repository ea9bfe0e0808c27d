//! Writes to objects: never done here. The refusal says what to commit instead.

use dugout_model::{Kind, ObjectId, StoredObject, World};

use crate::failure::{Failure, Reason};
use crate::resource::Resource;
use crate::target::Target;

/// The refusal of a write to `target`.
pub(crate) fn refuse(world: &World, target: Option<&Target>) -> Failure {
    let message = match target {
        None => GENERAL.to_owned(),
        Some(target) => sentence(world, target),
    };
    Failure {
        reason: Reason::MethodNotAllowed,
        message,
        about: target.and_then(|target| {
            Some((target.resource.describe().plural.to_owned(), target.name.as_ref()?.to_string()))
        }),
    }
}

const GENERAL: &str = "Git is the only place where desired state changes: commit the change to the \
                       repository of a source and push it";

fn sentence(world: &World, target: &Target) -> String {
    match target.resource {
        Resource::Nodes => {
            "a node joins by 'dugout agent' and is not written here; to keep new pods \
                            off it: dugout node cordon NAME; to empty it: dugout node drain NAME; to \
                            forget one that will not come back: dugout node delete NAME"
                .to_owned()
        }
        Resource::Events | Resource::Releases | Resource::TimelineEntries => {
            "this is a record of what happened and cannot be written".to_owned()
        }
        Resource::Sources => {
            "a source is given on the command line of the server; to stop applying \
                              its commits: dugout suspend NAME"
                .to_owned()
        }
        Resource::Pods | Resource::ReplicaSets | Resource::Jobs => match owner(world, target) {
            Some(owner) if stored(world, target).is_some_and(|stored| stored == owner) => {
                commit(world, owner)
            }
            Some(owner) => {
                format!(
                    "{} belongs to {}; {}",
                    named(target),
                    owner.declared.id(),
                    commit(world, owner)
                )
            }
            None => GENERAL.to_owned(),
        },
        Resource::Namespaces
        | Resource::LimitRanges
        | Resource::ResourceQuotas
        | Resource::Services
        | Resource::ConfigMaps
        | Resource::Secrets
        | Resource::Deployments
        | Resource::ReplicationControllers
        | Resource::StatefulSets
        | Resource::DaemonSets
        | Resource::CronJobs
        | Resource::PersistentVolumeClaims
        | Resource::PersistentVolumes
        | Resource::StorageClasses
        | Resource::PodDisruptionBudgets => match stored(world, target) {
            Some(object) => commit(world, object),
            None => GENERAL.to_owned(),
        },
    }
}

/// What to edit, and where.
fn commit(world: &World, object: &StoredObject) -> String {
    let origin = &object.declared.origin;
    let branch = world
        .sources
        .get(&object.source)
        .map(|source| format!(" on branch {} of {}", source.branch, source.url))
        .unwrap_or_default();
    format!(
        "Git is the only place where desired state changes: edit {} (line {}){branch}, commit and push",
        origin.file, origin.line
    )
}

fn named(target: &Target) -> String {
    let kind = target.resource.describe().kind;
    target.name.as_ref().map_or_else(|| kind.to_owned(), |name| format!("{kind} {name}"))
}

fn stored<'a>(world: &'a World, target: &Target) -> Option<&'a StoredObject> {
    let kind = Kind::parse(target.resource.describe().kind)?;
    let namespace = target.namespace.as_ref().map_or("", |name| name.as_str());
    let id = ObjectId::new(kind, namespace, target.name.as_ref()?.as_str());
    world.objects.get(&id).map(AsRef::as_ref)
}

/// The object behind a pod, a replica set or a job, which may be what is meant itself.
fn owner<'a>(world: &'a World, target: &Target) -> Option<&'a StoredObject> {
    let (namespace, name) = (target.namespace.as_ref()?, target.name.as_ref()?);
    if let Some(object) = stored(world, target) {
        return Some(object);
    }
    if target.resource == Resource::Jobs {
        let mut jobs = world.jobs.values();
        let job = jobs.find(|job| job.namespace == *namespace && job.name == *name)?;
        return world.workload_by_uid(job.owner).map(AsRef::as_ref);
    }
    let set = if target.resource == Resource::Pods {
        let mut pods = world.pods.values();
        let pod = pods.find(|pod| pod.namespace == *namespace && pod.name == *name)?;
        world.replica_set_of(pod)?
    } else {
        let mut sets = world.replica_sets.values();
        sets.find(|set| set.namespace == *namespace && set.name == *name)?
    };
    world.workload_by_uid(set.owner).map(AsRef::as_ref)
}
