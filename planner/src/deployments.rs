//! Deployments: the current template's replica set grows, and those of earlier templates shrink, only
//! as fast as the strategy allows.
//!
//! A look at a deployment: resolve its template; find or make the replica set of that template; let the
//! arithmetic (`rolling`) say how large each set shall be; make or send away pods (`replica_sets`);
//! judge how far the rollout is (`rollouts`); forget replica sets beyond the history limit.

use std::sync::Arc;

use dugout_model::{
    Change, Deployment, EventType, Lifecycle, ObjectName, ObjectUid, ReplicaSet, ReplicaSetUid,
    ResolvedTemplate, RolloutState, StopReason, StoredObject, Strategy, TemplateHash, Timestamp,
};

use crate::draft::Draft;
use crate::records::Subject;
use crate::resolve::{MissingReference, resolve};
use crate::rolling::{self, Bounds, SetSize, Sizes};
use crate::rollouts::{self, Look};
use crate::{DeploymentWait, Work, hash, replica_sets};

/// How much of a template's hash its replica set's name shows.
const HASH_IN_NAME: usize = 10;

/// Looks at each dirty deployment.
pub(crate) fn reconcile(draft: &mut Draft<'_>) {
    for uid in std::mem::take(&mut draft.dirty.deployments) {
        let object = draft.world.object_by_uid(uid).cloned();
        let wake_at =
            match object.as_ref().and_then(|object| Some((object, object.as_deployment()?))) {
                Some((object, deployment)) => roll_out(draft, object, deployment),
                None => {
                    wind_down(draft, uid);
                    None
                }
            };
        draft.done(Work::Deployment(uid), wake_at);
    }
}

/// One look at a deployment that Git declares; gives when to look again.
fn roll_out(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    deployment: &Deployment,
) -> Option<Timestamp> {
    let (current, missing) = current_replica_set(draft, object, deployment);
    let is_halted = deployment.paused || current.uid.is_none();
    if deployment.strategy == Strategy::Recreate && !is_halted {
        recreate(draft, object, deployment, current.uid);
    } else {
        resize(draft, object, deployment, &current);
    }
    let look = Look {
        object,
        deployment,
        current: current.uid.and_then(|uid| draft.world.replica_sets.get(&uid)).cloned(),
        missing: &missing,
        is_renewed: current.is_renewed,
    };
    let wake_at = rollouts::judge(draft, &look);
    forget_history(draft, object.uid, deployment, current.uid);
    wake_at
}

/// The replica set of the current template.
struct Current {
    /// Absent while the template cannot be resolved, or is new and the deployment paused.
    uid: Option<ReplicaSetUid>,
    /// It became the current one in this turn.
    is_renewed: bool,
}

/// Finds or makes the replica set of the current template. One that held this template before is used
/// again, so that a revert brings back what was there.
fn current_replica_set(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    deployment: &Deployment,
) -> (Current, Vec<MissingReference>) {
    let none = Current { uid: None, is_renewed: false };
    let namespace = &object.declared.key.namespace;
    let template = match resolve(&draft.world, namespace, &deployment.template) {
        Ok(template) => template,
        Err(missing) => return (none, missing),
    };
    let hash = hash::template_hash(&template);
    let known = draft.world.replica_sets_of(object.uid).find(|set| set.template_hash == hash);
    let newest = draft.world.current_replica_set(object.uid);
    let revision = newest.map_or(0, |newest| newest.revision);
    let row = match known.cloned() {
        Some(known) if known.revision == revision => {
            return (Current { uid: Some(known.uid), is_renewed: false }, Vec::new());
        }
        Some(known) => ReplicaSet {
            revision: revision + 1,
            sha: draft.applied_sha(&object.source).unwrap_or_else(|| object.sha.clone()),
            ..(*known).clone()
        },
        None if deployment.paused => return (none, Vec::new()),
        None => new_replica_set(draft, object, template, hash, revision + 1),
    };
    let uid = row.uid;
    draft.push(Change::PutReplicaSet(Arc::new(row)));
    (Current { uid: Some(uid), is_renewed: true }, Vec::new())
}

fn new_replica_set(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    template: ResolvedTemplate,
    hash: TemplateHash,
    revision: u64,
) -> ReplicaSet {
    let key = &object.declared.key;
    let shown = hash.as_str().get(..HASH_IN_NAME).unwrap_or(hash.as_str());
    ReplicaSet {
        uid: ReplicaSetUid(draft.ids.next_uuid()),
        namespace: key.namespace.clone(),
        name: ObjectName::new(format!("{}-{shown}", key.name)),
        deployment: object.uid,
        source: object.source.clone(),
        template: Arc::new(template),
        template_hash: hash,
        revision,
        replicas: 0,
        // A changed config map makes a new template though the deployment's own text is older.
        sha: draft.applied_sha(&object.source).unwrap_or_else(|| object.sha.clone()),
        created_at: draft.now,
    }
}

/// Lets the arithmetic say how large each set shall be, and makes it so.
fn resize(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    deployment: &Deployment,
    current: &Current,
) {
    let sets = replica_sets_oldest_first(draft, object.uid);
    let (new, old): (Vec<_>, Vec<_>) =
        sets.into_iter().partition(|set| current.uid == Some(set.uid));
    let mut sizes = Sizes {
        new: new.first().map(|set| size(draft, set, deployment)),
        old: old.iter().map(|set| size(draft, set, deployment)).collect(),
    };
    let bounds = Bounds::of(&deployment.strategy, deployment.replicas);
    let before = bounds_before(draft, object).unwrap_or(bounds);
    let is_halted = deployment.paused || current.uid.is_none();
    // Kubernetes scales the earlier templates even when a new one comes with the same change. Here
    // the pods that a rollout would take away again are not made in the first place.
    let is_scaled = before.desired != bounds.desired && !current.is_renewed;
    if is_halted || is_scaled {
        rolling::scale(&mut sizes, bounds, before);
    }
    if !is_halted {
        rolling::roll(&mut sizes, bounds);
    }
    let mut sized: Vec<(&Arc<ReplicaSet>, u32)> = new
        .iter()
        .zip(sizes.new)
        .chain(old.iter().zip(sizes.old))
        .map(|(set, size)| (set, size.replicas))
        .collect();
    sized.sort_by_key(|(set, replicas)| *replicas > set.replicas);
    for (set, replicas) in sized {
        let others = new.iter().chain(&old).filter(|other| other.uid != set.uid);
        let must_wait = deployment.strategy == Strategy::Recreate
            && replicas > set.replicas
            && pods_that_hold(draft, others) > 0;
        let replicas = if must_wait { set.replicas } else { replicas };
        set_replicas(draft, object, deployment, set, replicas);
    }
}

/// Nothing new before all that is old is really gone. Fewer replicas are no reason to wait.
fn recreate(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    deployment: &Deployment,
    current: Option<ReplicaSetUid>,
) {
    let sets = replica_sets_oldest_first(draft, object.uid);
    let (new, old): (Vec<_>, Vec<_>) = sets.into_iter().partition(|set| current == Some(set.uid));
    for set in &old {
        set_replicas(draft, object, deployment, set, 0);
    }
    let pods = pods_that_hold(draft, old.iter());
    for set in &new {
        let replicas =
            if pods > 0 { set.replicas.min(deployment.replicas) } else { deployment.replicas };
        set_replicas(draft, object, deployment, set, replicas);
    }
    if pods > 0 {
        let wait = DeploymentWait::OldPodsLeaving { pods };
        draft.report.deployments.insert(object.uid, wait);
    }
}

/// What the deployment asked for before this turn, to notice that it was scaled.
fn bounds_before(draft: &Draft<'_>, object: &StoredObject) -> Option<Bounds> {
    let before = draft.before.object_by_uid(object.uid)?.as_deployment()?;
    Some(Bounds::of(&before.strategy, before.replicas))
}

/// The pods of other templates that a Recreate waits for. A pod whose place was taken because its
/// node is lost is not among them: it may never answer again, and runs beside its replacement already.
fn pods_that_hold<'a>(draft: &Draft<'_>, sets: impl Iterator<Item = &'a Arc<ReplicaSet>>) -> u32 {
    let pods = sets.flat_map(|set| draft.world.pods_of(set.uid));
    let holding = pods.filter(|pod| {
        !matches!(pod.lifecycle, Lifecycle::Stopping { reason: StopReason::NodeLost, .. })
    });
    u32::try_from(holding.count()).unwrap_or(u32::MAX)
}

fn size(draft: &Draft<'_>, set: &ReplicaSet, deployment: &Deployment) -> SetSize {
    let available = draft
        .world
        .pods_of(set.uid)
        .filter(|pod| pod.is_active() && pod.is_available(deployment.min_ready, draft.now))
        .count();
    let available = u32::try_from(available).unwrap_or(u32::MAX);
    SetSize { replicas: set.replicas, available: available.min(set.replicas) }
}

/// Gives a set its size, telling of a new one, and its pods.
fn set_replicas(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    deployment: &Deployment,
    set: &ReplicaSet,
    replicas: u32,
) {
    let row = ReplicaSet { replicas, ..set.clone() };
    if set.replicas != replicas {
        let direction = if replicas > set.replicas { "up" } else { "down" };
        let message = format!(
            "scaled {direction} replica set {} from {} to {replicas}",
            set.name, set.replicas
        );
        let subject = Subject::object(&object.declared.id());
        draft.event(EventType::Normal, subject, "ScalingReplicaSet", message);
        draft.push(Change::PutReplicaSet(Arc::new(row.clone())));
    }
    replica_sets::reconcile(draft, &row, deployment.min_ready, StopReason::Scaled);
}

fn replica_sets_oldest_first(draft: &Draft<'_>, deployment: ObjectUid) -> Vec<Arc<ReplicaSet>> {
    let mut sets: Vec<Arc<ReplicaSet>> = draft.world.replica_sets_of(deployment).cloned().collect();
    sets.sort_by_key(|set| (set.created_at, set.revision, set.uid));
    sets
}

/// Forgets the oldest earlier templates beyond the limit, once the rollout is complete. A set that
/// still has pods stays.
fn forget_history(
    draft: &mut Draft<'_>,
    uid: ObjectUid,
    deployment: &Deployment,
    current: Option<ReplicaSetUid>,
) {
    let state = draft.world.rollouts.get(&uid).map(|rollout| &rollout.state);
    if state != Some(&RolloutState::Complete) {
        return;
    }
    let mut old: Vec<Arc<ReplicaSet>> =
        draft.world.replica_sets_of(uid).filter(|set| Some(set.uid) != current).cloned().collect();
    old.sort_by_key(|set| set.revision);
    let surplus = old.len().saturating_sub(deployment.revision_history_limit as usize);
    for set in old.into_iter().take(surplus) {
        if set.replicas == 0 && draft.world.pods_of(set.uid).next().is_none() {
            draft.push(Change::DeleteReplicaSet(set.uid));
        }
    }
}

/// A deployment that left Git: its pods leave in the usual order, then its rows go.
fn wind_down(draft: &mut Draft<'_>, uid: ObjectUid) {
    for set in replica_sets_oldest_first(draft, uid) {
        if draft.world.pods_of(set.uid).next().is_none() {
            draft.push(Change::DeleteReplicaSet(set.uid));
            continue;
        }
        let row = Arc::new(ReplicaSet { replicas: 0, ..(*set).clone() });
        if *set != *row {
            draft.push(Change::PutReplicaSet(Arc::clone(&row)));
        }
        let no_wait = std::time::Duration::ZERO;
        replica_sets::reconcile(draft, &row, no_wait, StopReason::OwnerRemoved);
        if draft.world.pods_of(set.uid).next().is_none() {
            draft.push(Change::DeleteReplicaSet(set.uid));
        }
    }
    let is_over = draft.world.replica_sets_of(uid).next().is_none();
    if is_over && draft.world.rollouts.contains_key(&uid) {
        draft.push(Change::DeleteRollout(uid));
    }
}
