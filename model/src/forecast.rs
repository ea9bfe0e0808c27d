//! What would come of a commit: the values; the planner makes them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{
    Commit, NodeName, ObjectId, ObjectUid, Placement, Pod, PodUid, Problem, RolloutState, Severity,
    SourceName, StoredObject, Unschedulable, World,
};

/// What would come of a commit, and with what it was compared.
#[derive(Clone, Debug)]
pub struct Foreseen {
    pub source: SourceName,
    pub commit: Commit,
    pub before: Arc<World>,
    pub forecast: Forecast,
}

/// What would come of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// What stands in its way although nothing is wrong with it. The rest tells what it would do once
    /// somebody lets it pass.
    pub obstacles: Vec<Obstacle>,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It removes more than it may without a person's approval.
    Held { reason: String },
    /// Its source is suspended.
    Suspended,
    /// It failed before, and is not applied again by itself.
    Quarantined,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing of it would be applied.
    Rejected { problems: Vec<Problem> },
    Applied {
        /// The cluster once everything has come to rest.
        after: Box<World>,
        /// Whether every workload of the source would be where it shall be.
        end: End,
        /// Things to know that stop nothing.
        notices: Vec<Problem>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Healthy,
    /// Something would wait: for a node that can take it, or for something that is not there.
    Waiting,
    /// It would fail even though nothing goes wrong on the nodes.
    Failed {
        reason: String,
    },
    /// More turns than are looked ahead.
    Unknown,
}

impl Forecast {
    /// Whether the commit would be applied by itself and everything would be well.
    pub fn is_clear(&self) -> bool {
        let is_healthy = matches!(&self.outcome, Outcome::Applied { end: End::Healthy, .. });
        self.obstacles.is_empty() && is_healthy
    }

    /// What is wrong with the commit, or good to know of it.
    pub fn problems(&self) -> &[Problem] {
        match &self.outcome {
            Outcome::Rejected { problems } => problems,
            Outcome::Applied { notices, .. } => notices,
        }
    }

    /// How many of them are errors.
    pub fn error_count(&self) -> usize {
        self.problems().iter().filter(|problem| problem.severity == Severity::Error).count()
    }
}

/// In what a source differs.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SourceDifference {
    /// By kind and name.
    pub objects: BTreeMap<ObjectId, ObjectDifference>,
    /// The workloads whose pods differ or wait, by kind and name.
    pub pods: BTreeMap<ObjectId, PodsDifference>,
    /// The workloads of which nothing differs, and their pods.
    pub untouched_workloads: usize,
    pub untouched_pods: usize,
}

/// What becomes of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectDifference {
    Added(Arc<StoredObject>),
    Changed {
        before: Arc<StoredObject>,
        after: Arc<StoredObject>,
    },
    Removed(Arc<StoredObject>),
    /// It leaves Git and stays, as it asks.
    Orphaned(Arc<StoredObject>),
}

/// What becomes of a workload's pods.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PodsDifference {
    /// How many there are before and after.
    pub before: usize,
    pub after: usize,
    /// How many of them are the same: nothing of these restarts.
    pub kept: usize,
    /// Where pods start.
    pub started: BTreeMap<NodeName, usize>,
    /// Where pods stop.
    pub stopped: BTreeMap<NodeName, usize>,
    /// Pods for which there is no place, with the reason of one of them.
    pub unplaced: usize,
    pub unplaced_because: Option<Unschedulable>,
    /// What the workload waits for, when not for a place.
    pub waits: Option<String>,
}

/// Compares what there is with what would be.
pub fn compare(before: &World, after: &World, source: &SourceName) -> SourceDifference {
    let mut difference = SourceDifference::default();
    let of_source = |world: &World| -> BTreeMap<ObjectId, Arc<StoredObject>> {
        let rows = world.objects.iter().filter(|(_, row)| row.source == *source);
        rows.map(|(id, row)| (id.clone(), Arc::clone(row))).collect()
    };
    let (rows_before, rows_after) = (of_source(before), of_source(after));
    let ids: BTreeSet<&ObjectId> = rows_before.keys().chain(rows_after.keys()).collect();
    for id in ids {
        let (old, new) = (rows_before.get(id), rows_after.get(id));
        if let Some(change) = object_change(old, new) {
            difference.objects.insert(id.clone(), change);
        }
        let Some(row) = new.or(old).filter(|row| row.declared.spec.is_workload()) else { continue };
        let pods = pods_difference(before, after, row.uid);
        if pods.is_nothing() {
            difference.untouched_workloads += 1;
            difference.untouched_pods += pods.kept;
        } else {
            difference.pods.insert(id.clone(), pods);
        }
    }
    difference
}

fn object_change(
    old: Option<&Arc<StoredObject>>,
    new: Option<&Arc<StoredObject>>,
) -> Option<ObjectDifference> {
    match (old.cloned(), new.cloned()) {
        (None, Some(new)) => Some(ObjectDifference::Added(new)),
        (Some(old), None) => Some(ObjectDifference::Removed(old)),
        (Some(old), Some(new)) if new.orphaned && !old.orphaned => {
            Some(ObjectDifference::Orphaned(new))
        }
        (Some(old), Some(new)) if !old.declared.asks_same(&new.declared) => {
            Some(ObjectDifference::Changed { before: old, after: new })
        }
        _ => None,
    }
}

fn pods_difference(before: &World, after: &World, workload: ObjectUid) -> PodsDifference {
    let (old, new) = (active_pods(before, workload), active_pods(after, workload));
    let mut pods = PodsDifference { before: old.len(), after: new.len(), ..Default::default() };
    for (uid, pod) in &new {
        match (old.contains_key(uid), pod.node()) {
            (true, _) => pods.kept += 1,
            (false, Some(node)) => *pods.started.entry(node.clone()).or_default() += 1,
            (false, None) => {}
        }
        if let Placement::Waiting(why) = &pod.placement {
            pods.unplaced += 1;
            pods.unplaced_because.get_or_insert_with(|| why.clone());
        }
    }
    for (_, pod) in old.iter().filter(|(uid, _)| !new.contains_key(uid)) {
        if let Some(node) = pod.node() {
            *pods.stopped.entry(node.clone()).or_default() += 1;
        }
    }
    let rollout = after.rollouts.get(&workload);
    pods.waits = rollout.and_then(|rollout| match &rollout.state {
        RolloutState::Waiting { message } => Some(message.clone()),
        _ => None,
    });
    pods
}

/// The pods that are there to stay, also those that ended and are kept for their logs.
fn active_pods(world: &World, workload: ObjectUid) -> BTreeMap<PodUid, Arc<Pod>> {
    let sets = world.replica_sets_of(workload);
    let pods = sets.flat_map(|set| world.pods_of(set.uid)).filter(|pod| pod.is_active());
    pods.map(|pod| (pod.uid, Arc::clone(pod))).collect()
}

impl PodsDifference {
    fn is_nothing(&self) -> bool {
        self.before == self.kept
            && self.after == self.kept
            && self.unplaced == 0
            && self.waits.is_none()
    }
}
