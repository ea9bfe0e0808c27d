//! The generations of a workload's template: the current one is found or made, old ones are kept for
//! a quick way back and forgotten beyond the limit.

use std::fmt;
use std::sync::Arc;

use dugout_model::{
    Change, ObjectName, ObjectUid, Pod, PodTemplate, ReplicaSet, ReplicaSetUid, ResolvedTemplate,
    RolloutState, StoredObject, TemplateHash,
};

use crate::draft::Draft;
use crate::hash;
use crate::order::{self, Others};
use crate::pins;
use crate::resolve::{self, MissingReference, resolve};

/// How much of a template's hash its replica set's name shows.
const HASH_IN_NAME: usize = 10;

/// The replica set of the current template.
pub(crate) struct Current {
    /// Absent while the template cannot become the current one.
    pub uid: Option<ReplicaSetUid>,
    /// It became the current one in this turn.
    pub is_renewed: bool,
    /// Why it is absent, where not because the workload is paused.
    pub barrier: Option<Barrier>,
}

/// What a template waits for before it becomes the current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Barrier {
    /// Config maps and secrets that it needs and that are not there.
    References(Vec<MissingReference>),
    /// Other workloads that come first.
    Others(Others),
}

impl fmt::Display for Barrier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Barrier::References(missing) => out.write_str(&resolve::sentence(missing)),
            Barrier::Others(others) => others.fmt(out),
        }
    }
}

impl Current {
    fn absent(barrier: Option<Barrier>) -> Self {
        Self { uid: None, is_renewed: false, barrier }
    }

    /// What a pod that must be made anew is made of: the current template, or the one before while
    /// that waits.
    pub fn or_before(&self, draft: &Draft<'_>, workload: ObjectUid) -> Option<ReplicaSetUid> {
        let before = draft.world.current_replica_set(workload).map(|set| set.uid);
        self.uid.or(before.filter(|_| self.barrier.is_some()))
    }
}

/// Finds or makes the replica set of the current template. One that held this template before is used
/// again, so that a revert brings back what was there.
pub(crate) fn current(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    template: &PodTemplate,
    paused: bool,
) -> Current {
    let namespace = &object.declared.key.namespace;
    let template = match resolve(&draft.world, namespace, template) {
        Ok(template) => template,
        Err(missing) => return Current::absent(Some(Barrier::References(missing))),
    };
    let hash = hash::template_hash(&template);
    let known = draft.world.replica_sets_of(object.uid).find(|set| set.template_hash == hash);
    let newest = draft.world.current_replica_set(object.uid);
    let revision = newest.map_or(0, |newest| newest.revision);
    let known = known.cloned();
    if let Some(known) = known.as_ref().filter(|known| known.revision == revision) {
        return Current { uid: Some(known.uid), is_renewed: false, barrier: None };
    }
    if let Some(others) = order::waits_for(&draft.world, object) {
        return Current::absent(Some(Barrier::Others(others)));
    }
    let row = match known {
        Some(known) => ReplicaSet {
            revision: revision + 1,
            sha: draft.applied_sha(&object.source).unwrap_or_else(|| object.sha.clone()),
            ..(*known).clone()
        },
        None if paused => return Current::absent(None),
        None => make(draft, object, template, hash, revision + 1),
    };
    let uid = row.uid;
    draft.push(Change::PutReplicaSet(Arc::new(row)));
    Current { uid: Some(uid), is_renewed: true, barrier: None }
}

fn make(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    template: ResolvedTemplate,
    hash: TemplateHash,
    revision: u64,
) -> ReplicaSet {
    let key = &object.declared.key;
    let shown = hash.as_str().get(..HASH_IN_NAME).unwrap_or(hash.as_str());
    // A changed config map makes a new template though the workload's own text is older.
    let sha = draft.applied_sha(&object.source).unwrap_or_else(|| object.sha.clone());
    let pins = pins::of_new_set(&draft.world, (&object.source, &sha), object.uid, &template);
    ReplicaSet {
        uid: ReplicaSetUid(draft.ids.next_uuid()),
        namespace: key.namespace.clone(),
        name: ObjectName::new(format!("{}-{shown}", key.name)),
        owner: object.uid,
        source: object.source.clone(),
        template: Arc::new(template),
        template_hash: hash,
        revision,
        replicas: 0,
        sha,
        created_at: draft.now,
        pins,
    }
}

pub(crate) fn oldest_first(draft: &Draft<'_>, workload: ObjectUid) -> Vec<Arc<ReplicaSet>> {
    let mut sets: Vec<Arc<ReplicaSet>> = draft.world.replica_sets_of(workload).cloned().collect();
    sets.sort_by_key(|set| (set.created_at, set.revision, set.uid));
    sets
}

/// The active pods of a workload, of whatever template.
pub(crate) fn active_pods(draft: &Draft<'_>, workload: ObjectUid) -> Vec<Arc<Pod>> {
    let sets = draft.world.replica_sets_of(workload);
    let pods = sets.flat_map(|set| draft.world.pods_of(set.uid));
    pods.filter(|pod| pod.is_active()).cloned().collect()
}

/// Notes for each template how many pods it has: of the kinds that choose pod by pod, that is how many
/// it shall have.
pub(crate) fn note_sizes(draft: &mut Draft<'_>, workload: ObjectUid) {
    for set in oldest_first(draft, workload) {
        let active = draft.world.pods_of(set.uid).filter(|pod| pod.is_active()).count();
        let replicas = u32::try_from(active).unwrap_or(u32::MAX);
        if set.replicas != replicas {
            draft.push(Change::PutReplicaSet(Arc::new(ReplicaSet { replicas, ..(*set).clone() })));
        }
    }
}

/// Forgets the oldest earlier templates beyond the limit, once the rollout is complete. A set that
/// still has pods stays.
pub(crate) fn forget(
    draft: &mut Draft<'_>,
    workload: ObjectUid,
    limit: u32,
    current: Option<ReplicaSetUid>,
) {
    let state = draft.world.rollouts.get(&workload).map(|rollout| &rollout.state);
    if state != Some(&RolloutState::Complete) {
        return;
    }
    let sets = draft.world.replica_sets_of(workload);
    let mut old: Vec<Arc<ReplicaSet>> =
        sets.filter(|set| Some(set.uid) != current).cloned().collect();
    old.sort_by_key(|set| set.revision);
    let surplus = old.len().saturating_sub(limit as usize);
    for set in old.into_iter().take(surplus) {
        if set.replicas == 0 && draft.world.pods_of(set.uid).next().is_none() {
            draft.push(Change::DeleteReplicaSet(set.uid));
        }
    }
}
