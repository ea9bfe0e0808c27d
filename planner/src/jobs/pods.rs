//! As many pods as a run may have now, each with what it is to do, and none before its time.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    CONTROLLER_UID_LABEL, Change, Completions, Job, JobTally, ObjectName, Pod, PodIdentity,
    ReplicaSet, StopReason, Timestamp,
};

use super::Look;
use crate::draft::Draft;
use crate::resolve::{self, MissingReference};
use crate::{draining, pins, replica_sets};

/// The wait after the first failure; it doubles with each that follows, as in Kubernetes.
const BACKOFF: Duration = Duration::from_secs(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(6 * 60);

/// As many pods as it may have now.
pub(super) fn make_pods(draft: &mut Draft<'_>, job: &Job) -> Look {
    let deadline = job.spec.active_deadline.and_then(|span| Some(job.started_at? + span));
    let set = match pod_set(draft, job) {
        Ok(set) => set,
        Err(missing) => return Look { wake_at: deadline, missing },
    };
    let active = at_work(draft, job);
    let wanted = wanted(job, active.len());
    if active.len() > wanted {
        let surplus = active.len() - wanted;
        for pod in least_advanced_first(active).into_iter().take(surplus) {
            draining::leave(draft, &pod, StopReason::Scaled);
        }
        return Look::at(deadline);
    }
    let not_before = not_before(&job.tally).filter(|at| *at > draft.now);
    if active.len() < wanted && not_before.is_some() {
        return Look::at(not_before.into_iter().chain(deadline).min());
    }
    for identity in free_identities(job, &active).into_iter().take(wanted - active.len()) {
        let pod = new_pod(draft, &set, identity);
        draft.put_pod(pod);
    }
    Look::at(deadline)
}

/// The replica set of a run; made with the content that its configuration has now, which stays with
/// the run.
fn pod_set(draft: &mut Draft<'_>, job: &Job) -> Result<Arc<ReplicaSet>, Vec<MissingReference>> {
    let known = draft.world.replica_sets.get(&job.replica_set()).cloned();
    if let Some(known) = known {
        if known.replicas == job.spec.parallelism {
            return Ok(known);
        }
        let row = Arc::new(ReplicaSet { replicas: job.spec.parallelism, ..(*known).clone() });
        draft.push(Change::PutReplicaSet(Arc::clone(&row)));
        return Ok(row);
    }
    let mut template = resolve::resolve(&draft.world, &job.namespace, &job.spec.template)?;
    for key in ["job-name", "batch.kubernetes.io/job-name"] {
        template.labels.insert(key.to_owned(), job.name.to_string());
    }
    for key in ["controller-uid", CONTROLLER_UID_LABEL] {
        template.labels.insert(key.to_owned(), job.uid.to_string());
    }
    let newest = draft.world.current_replica_set(job.owner).map_or(0, |newest| newest.revision);
    let pins = pins::of_new_set(&draft.world, (&job.source, &job.sha), job.owner, &template);
    let row = Arc::new(ReplicaSet {
        uid: job.replica_set(),
        namespace: job.namespace.clone(),
        name: job.name.clone(),
        owner: job.owner,
        source: job.source.clone(),
        template_hash: crate::template_hash(&template),
        template: Arc::new(template),
        revision: newest + 1,
        replicas: job.spec.parallelism,
        sha: job.sha.clone(),
        created_at: draft.now,
        pins,
    });
    draft.push(Change::PutReplicaSet(Arc::clone(&row)));
    Ok(row)
}

/// How many pods it shall have now that are not finished.
fn wanted(job: &Job, active: usize) -> usize {
    let (parallelism, succeeded) = (job.spec.parallelism, job.tally.succeeded);
    match job.spec.completions {
        // One succeeded: those beside it finish, and no other begins.
        Completions::Any if succeeded > 0 => active.min(parallelism as usize),
        Completions::Any => parallelism as usize,
        Completions::Count(all) | Completions::Indexed(all) => {
            parallelism.min(all.saturating_sub(succeeded)) as usize
        }
    }
}

/// What new pods are to do: for an indexed run, the lowest indexes that nobody works on.
fn free_identities(job: &Job, active: &[Arc<Pod>]) -> Vec<PodIdentity> {
    let parallelism = job.spec.parallelism as usize;
    let Completions::Indexed(all) = job.spec.completions else {
        return vec![PodIdentity::Any; parallelism];
    };
    let taken: BTreeSet<&PodIdentity> = active.iter().map(|pod| &pod.identity).collect();
    (0..all)
        .filter(|index| !job.tally.completed_indexes.contains(index))
        .map(PodIdentity::CompletionIndex)
        .filter(|identity| !taken.contains(identity))
        .take(parallelism)
        .collect()
}

/// The index is part of an indexed pod's name, as in Kubernetes.
fn new_pod(draft: &mut Draft<'_>, set: &ReplicaSet, identity: PodIdentity) -> Pod {
    let mut pod = replica_sets::make_pod(draft, set);
    if let PodIdentity::CompletionIndex(index) = identity {
        let suffix = pod.name.as_str().strip_prefix(set.name.as_str()).unwrap_or_default();
        pod.name = ObjectName::new(format!("{}-{index}{suffix}", set.name));
    }
    Pod { identity, ..pod }
}

/// No pod begins before this moment.
pub(super) fn not_before(tally: &JobTally) -> Option<Timestamp> {
    let doublings = tally.failed_in_a_row.checked_sub(1)?.min(16);
    Some(tally.last_failed_at? + (BACKOFF * 2_u32.pow(doublings)).min(LONGEST_BACKOFF))
}

/// Its pods that may still do something, oldest first.
pub(super) fn at_work(draft: &Draft<'_>, job: &Job) -> Vec<Arc<Pod>> {
    let pods = draft.world.pods_of(job.replica_set());
    let mut pods: Vec<Arc<Pod>> = pods.filter(|pod| pod.is_at_work()).cloned().collect();
    pods.sort_by_key(|pod| (pod.created_at, pod.uid));
    pods
}

fn least_advanced_first(mut pods: Vec<Arc<Pod>>) -> Vec<Arc<Pod>> {
    pods.sort_by_key(|pod| {
        let phase = pod.seen.known().map(|status| status.phase);
        (pod.node().is_some(), phase, Reverse((pod.created_at, pod.uid)))
    });
    pods
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_in_a_row_doubles_the_wait_up_to_six_minutes() {
        let failed_at = Timestamp::from_micros(1_000_000);
        let wait = |failed_in_a_row| {
            let tally = JobTally {
                failed_in_a_row,
                last_failed_at: Some(failed_at),
                ..JobTally::default()
            };
            not_before(&tally).map(|at| at.since(failed_at).as_secs())
        };
        let waits: Vec<Option<u64>> = [0, 1, 2, 3, 5, 6, 7, u32::MAX].map(wait).into();
        let expected = [0, 10, 20, 40, 160, 320, 360, 360];
        assert_eq!(waits, expected.map(|seconds| (seconds > 0).then_some(seconds)));
    }
}
