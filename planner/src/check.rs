//! The independent check of a plan: rules that every plan must keep, stated without any of the
//! planner's own reasoning. The engine refuses a plan that breaks one.
//!
//! It looks only at rows that the plan touches, so its cost follows the plan's. It knows neither the
//! time nor the contacts; where a rule needs them, it checks what must hold whatever they are.

mod applied;
mod evictions;
mod gate;
mod host_ports;
mod identities;
mod order;
mod pins;
mod pruning;
mod releases;
mod storage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dugout_model::{
    Change, Deployment, IntOrPercent, Job, JobState, JobUid, Lifecycle, NamespaceName, NodeName,
    ObjectId, ObjectKey, ObjectName, ObjectSpec, ObjectUid, Placement, Pod, PodIdentity, PodUid,
    ReleaseId, ReplicaSetUid, Resources, StopReason, Strategy, Timestamp, Turn, VolumeUid, World,
};

use crate::{Plan, assignments::assignment};
use applied::is_in;

/// A rule that a plan breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error("the plan leads to turn {after:?}, and not to {expected:?}")]
    WrongTurn { after: Turn, expected: Turn },
    #[error("change number {index} is not in the world after")]
    NotApplied { index: usize },
    #[error("pod {pod} has no replica set")]
    PodWithoutReplicaSet { pod: PodUid },
    #[error("replica set {replica_set} is removed while it has pods")]
    ReplicaSetRemovedUnderPods { replica_set: ReplicaSetUid },
    #[error("pod {pod} is on node {node}, which does not exist")]
    PodOnUnknownNode { pod: PodUid, node: NodeName },
    #[error("pod {pod} moves to another node, and a pod never moves")]
    PodMoved { pod: PodUid },
    #[error("pod {pod} goes back in its life")]
    LifecycleReversed { pod: PodUid },
    #[error("pod {pod} is forgotten while it was to stay on its node")]
    ActivePodForgotten { pod: PodUid },
    #[error("pod {pod} drains from another turn on than this one")]
    WrongDrainTurn { pod: PodUid },
    #[error(
        "pod {pod} is placed on node {node}, which is not ready, is cordoned, or does not allow what it asks for"
    )]
    PlacedOnUnfitNode { pod: PodUid, node: NodeName },
    #[error("node {node} gets pods and has more reserved than it has")]
    NodeOverbooked { node: NodeName },
    #[error("pod {pod} is placed on node {node}, where another has a port that it asks for")]
    HostPortTakenTwice { pod: PodUid, node: NodeName },
    #[error("{workload} has {active} pods and may have {most}")]
    TooManyPods { workload: ObjectId, active: u32, most: u32 },
    #[error("{workload} keeps {available} available pods by choice and must keep {least}")]
    TooFewAvailable { workload: ObjectId, available: u32, least: u32 },
    #[error("{workload} starts new pods while earlier ones are not gone")]
    RecreateTooEarly { workload: ObjectId },
    #[error("two pods of namespace {namespace} have the name {name}")]
    NameTakenTwice { namespace: NamespaceName, name: ObjectName },
    #[error("pod {pod} is moved away, and nobody asked for that")]
    EvictedUnasked { pod: PodUid },
    #[error("pod {pod} is moved away, and it is in more than one disruption budget")]
    EvictedFromSeveralBudgets { pod: PodUid },
    #[error("pods are moved away that {budget} does not let go")]
    BudgetExceeded { budget: ObjectId },
    #[error("{workload} has two pods of ordinal {ordinal} that may run")]
    OrdinalTakenTwice { workload: ObjectId, ordinal: u32 },
    #[error("pod {pod} is for node {wanted}, and is on node {node}")]
    DaemonElsewhere { pod: PodUid, wanted: NodeName, node: NodeName },
    #[error("{workload} starts a pod on node {node} beside others that may run")]
    TooManyDaemons { workload: ObjectId, node: NodeName },
    #[error("{workload} takes the pod that serves on node {node} and may not")]
    DaemonTaken { workload: ObjectId, node: NodeName },
    #[error("job {job} has {active} pods at work and may have {most}")]
    TooManyJobPods { job: JobUid, active: usize, most: usize },
    #[error("job {job} has two pods at work on index {index}")]
    IndexTakenTwice { job: JobUid, index: u32 },
    #[error("pod {pod} begins, and job {job} does not run")]
    PodOfIdleJob { pod: PodUid, job: JobUid },
    #[error("job {job} was finished and is something else now")]
    FinishedJobChanged { job: JobUid },
    #[error("{workload} begins something new while it waits for {awaited}")]
    BeganTooEarly { workload: ObjectId, awaited: ObjectId },
    #[error("pod {pod} is let go before every image of its release is where it is needed")]
    StoppedBeforeImages { pod: PodUid },
    #[error("pod {pod} left Git and is let go before everything of its source is there")]
    PrunedTooEarly { pod: PodUid },
    #[error("{object} left Git and is given up before everything of its source is there")]
    GivenUpTooEarly { object: ObjectId },
    #[error(
        "node {node} no longer sends from {service} to pod {pod} before everything of its source is there"
    )]
    EndpointLost { node: NodeName, service: ObjectKey, pod: PodUid },
    #[error("{object} is taken from a revision that is quarantined")]
    QuarantinedObject { object: ObjectId },
    #[error("image {image} stood for something in a release or replica set, and no longer does")]
    PinMoved { image: String },
    #[error("release {release:?} had its verdict already")]
    VerdictChanged { release: ReleaseId },
    #[error("release {release:?} is told to have gone back, and something of it is not back")]
    WayBackIncomplete { release: ReleaseId },
    #[error("release {release:?} is new and not the newest")]
    ReleaseIdReused { release: ReleaseId },
    #[error(
        "pod {pod} is placed on node {node}, which does not have the volume of its claim {claim}"
    )]
    WithoutVolume { pod: PodUid, node: NodeName, claim: ObjectKey },
    #[error("pod {pod} is placed while another has claim {claim}, which only one may have")]
    ClaimTakenTwice { pod: PodUid, claim: ObjectKey },
    #[error("claim {claim} has two volumes")]
    TwoVolumes { claim: ObjectKey },
    #[error("volume {volume} becomes another, or another claim's")]
    VolumeChanged { volume: VolumeUid },
    #[error("volume {volume} is given up while its claim {claim} is asked for or used")]
    VolumeTaken { volume: VolumeUid, claim: ObjectKey },
    #[error("volume {volume} is to be deleted, and its class keeps it")]
    KeptVolumeDeleted { volume: VolumeUid },
    #[error("node {node} gets volumes and has more storage set aside than it has")]
    StorageOverbooked { node: NodeName },
    #[error("node {node} must run something else, and its generation is not this turn")]
    GenerationNotRaised { node: NodeName },
    #[error("node {node} must run the same as before, and its generation changed")]
    GenerationRaisedForNothing { node: NodeName },
}

/// Everything that a plan breaks; empty when it may be committed.
pub fn check(before: &World, plan: &Plan) -> Vec<Violation> {
    let mut checker = Checker {
        before,
        after: &plan.after,
        touched: Touched::of(before, plan),
        awaited: BTreeMap::new(),
        violations: Vec::new(),
    };
    checker.turn(plan);
    checker.rows(plan);
    checker.pods();
    checker.evictions();
    checker.placements();
    checker.host_ports();
    checker.storage();
    checker.workloads();
    checker.jobs();
    checker.order(plan);
    checker.releases(plan);
    checker.baselines(plan);
    checker.pins(plan);
    checker.generations();
    checker.violations
}

/// What the plan touches.
#[derive(Default)]
struct Touched {
    pods: BTreeSet<PodUid>,
    replica_sets: BTreeSet<ReplicaSetUid>,
    workloads: BTreeSet<ObjectUid>,
    jobs: BTreeSet<JobUid>,
    nodes: BTreeSet<NodeName>,
    volumes: BTreeSet<VolumeUid>,
}

impl Touched {
    fn of(before: &World, plan: &Plan) -> Self {
        let mut touched = Self::default();
        for change in &plan.changes {
            match change {
                Change::PutPod(row) => {
                    touched.pods.insert(row.uid);
                }
                Change::DeletePod(uid) => {
                    touched.pods.insert(*uid);
                }
                Change::PutJob(row) => {
                    touched.jobs.insert(row.uid);
                }
                Change::PutReplicaSet(row) => {
                    touched.replica_sets.insert(row.uid);
                    touched.workloads.insert(row.owner);
                }
                Change::DeleteReplicaSet(uid) => {
                    touched.replica_sets.insert(*uid);
                }
                Change::PutNode(row) => {
                    touched.nodes.insert(row.name.clone());
                }
                Change::PutVolumeBinding(row) => {
                    touched.volumes.insert(row.uid);
                    touched.nodes.extend(row.node().cloned());
                }
                Change::DeleteVolumeBinding(uid) => {
                    touched.volumes.insert(*uid);
                    let old = before.volume_bindings.get(uid);
                    touched.nodes.extend(old.and_then(|old| old.node()).cloned());
                }
                // Any node may pull with it.
                Change::PutObject(row) if matches!(row.declared.spec, ObjectSpec::Secret(_)) => {
                    touched.nodes.extend(plan.after.nodes.keys().cloned());
                }
                _ => {}
            }
        }
        for uid in &touched.pods {
            let rows = [(before, before.pods.get(uid)), (&plan.after, plan.after.pods.get(uid))];
            for (world, pod) in rows {
                let Some(pod) = pod else { continue };
                touched.jobs.extend(world.job_of(pod).map(|job| job.uid));
                touched.nodes.extend(pod.node().cloned());
                touched.workloads.extend(world.replica_set_of(pod).map(|set| set.owner));
            }
        }
        touched
    }
}

struct Checker<'a> {
    before: &'a World,
    after: &'a World,
    touched: Touched,
    /// The images that releases wait for, before and after.
    awaited: BTreeMap<ReleaseId, (BTreeSet<String>, BTreeSet<String>)>,
    violations: Vec<Violation>,
}

impl Checker<'_> {
    fn require(&mut self, holds: bool, violation: impl FnOnce() -> Violation) {
        if !holds {
            self.violations.push(violation());
        }
    }

    fn turn(&mut self, plan: &Plan) {
        let expected =
            if plan.changes.is_empty() { self.before.turn } else { self.before.turn.next() };
        let after = self.after.turn;
        self.require(after == expected, || Violation::WrongTurn { after, expected });
    }

    /// Each change is in the world after, and nothing refers to what is not there.
    fn rows(&mut self, plan: &Plan) {
        for (index, change) in plan.changes.iter().enumerate() {
            let applied = is_in(self.after, change);
            self.require(applied, || Violation::NotApplied { index });
        }
        for replica_set in self.touched.replica_sets.clone() {
            let is_sound = self.after.replica_sets.contains_key(&replica_set)
                || self.after.pods_of(replica_set).next().is_none();
            self.require(is_sound, || Violation::ReplicaSetRemovedUnderPods { replica_set });
        }
    }

    fn pods(&mut self) {
        for uid in self.touched.pods.clone() {
            let (before, after) = (self.before.pods.get(&uid), self.after.pods.get(&uid));
            match (before, after) {
                (Some(before), None) => {
                    // With a node that was not there, and that a person deleted, goes what it ran.
                    let may_go = before.node().is_none_or(|node| {
                        let is_lost =
                            self.before.nodes.get(node).is_some_and(|node| node.is_silent());
                        !before.is_active() || is_lost && !self.after.nodes.contains_key(node)
                    });
                    self.require(may_go, || Violation::ActivePodForgotten { pod: uid });
                }
                (before, Some(after)) => {
                    self.pod_references(after);
                    if let Some(before) = before {
                        self.pod_history(before, after);
                        self.gate(before, after);
                        self.pruning(before, after);
                    }
                }
                (None, None) => {}
            }
        }
    }

    fn pod_references(&mut self, pod: &Pod) {
        let uid = pod.uid;
        let has_set = self.after.replica_set_of(pod).is_some();
        self.require(has_set, || Violation::PodWithoutReplicaSet { pod: uid });
        self.identity(pod);
        if let Some(node) = pod.node() {
            let is_known = self.after.nodes.contains_key(node);
            self.require(is_known, || Violation::PodOnUnknownNode { pod: uid, node: node.clone() });
        }
    }

    fn pod_history(&mut self, before: &Pod, after: &Pod) {
        let uid = after.uid;
        let stays = match (&before.placement, &after.placement) {
            (Placement::On { .. }, placement) => before.placement == *placement,
            (Placement::Waiting(_), _) => true,
        };
        self.require(stays, || Violation::PodMoved { pod: uid });
        let grows = stage(&before.lifecycle) <= stage(&after.lifecycle);
        self.require(grows, || Violation::LifecycleReversed { pod: uid });
        if let (Lifecycle::Active, Lifecycle::Draining { since_turn, .. }) =
            (&before.lifecycle, &after.lifecycle)
        {
            let is_now = *since_turn == self.after.turn;
            self.require(is_now, || Violation::WrongDrainTurn { pod: uid });
        }
    }

    /// New pods go only where they may and fit.
    fn placements(&mut self) {
        let mut receivers: BTreeSet<NodeName> = BTreeSet::new();
        for uid in self.touched.pods.clone() {
            let was_placed = self.before.pods.get(&uid).is_some_and(|pod| pod.node().is_some());
            let node = self.after.pods.get(&uid).and_then(|pod| pod.node()).cloned();
            let Some(node) = node.filter(|_| !was_placed) else { continue };
            let row = self.after.nodes.get(&node);
            let is_daemon = self.after.pods.get(&uid).is_some_and(identities::is_daemon);
            let pod = self.after.pods.get(&uid);
            let set = pod.and_then(|pod| self.after.replica_set_of(pod));
            let is_fit = row.is_some_and(|row| {
                row.is_ready()
                    && (row.is_schedulable() || is_daemon)
                    && set.is_none_or(|set| row.allows(set.template.rights()))
            });
            self.require(is_fit, || Violation::PlacedOnUnfitNode { pod: uid, node: node.clone() });
            receivers.insert(node);
        }
        for node in receivers {
            let Some(row) = self.after.nodes.get(&node) else { continue };
            let capacity = row.capacity;
            let pods = self.after.pods_on(&node).filter(|pod| !pod.is_finished());
            let pods = pods.filter_map(|pod| self.after.replica_set_of(pod));
            let used =
                pods.fold(Resources::default(), |sum, set| sum.plus(set.template.requests()));
            let fits = used.cpu_millis <= capacity.cpu_millis
                && used.memory_bytes <= capacity.memory_bytes
                && used.pods <= capacity.pods;
            self.require(fits, || Violation::NodeOverbooked { node });
        }
    }

    fn workloads(&mut self) {
        for uid in self.touched.workloads.clone() {
            let Some(object) = self.after.workload_by_uid(uid).cloned() else { continue };
            let id = object.declared.id();
            match &object.declared.spec {
                ObjectSpec::Deployment(deployment) => {
                    self.surge(&id, uid, deployment);
                    self.availability(&id, uid, deployment);
                    self.recreate(&id, uid, deployment);
                }
                ObjectSpec::StatefulSet(spec) => self.stateful_set(&id, uid, spec),
                ObjectSpec::DaemonSet(spec) => self.daemon_set(&id, uid, spec),
                ObjectSpec::ReplicaSet(spec) | ObjectSpec::ReplicationController(spec) => {
                    self.as_many_as_asked(&id, uid, spec.replicas);
                    self.keeps_those_asked_for(&id, uid, spec);
                }
                ObjectSpec::Pod(_) => self.as_many_as_asked(&id, uid, 1),
                // A job's pods have rules of their own.
                ObjectSpec::Job(_)
                | ObjectSpec::CronJob(_)
                | ObjectSpec::Namespace
                | ObjectSpec::LimitRange(_)
                | ObjectSpec::ResourceQuota(_)
                | ObjectSpec::ConfigMap(_)
                | ObjectSpec::Secret(_)
                | ObjectSpec::Service(_)
                | ObjectSpec::StorageClass(_)
                | ObjectSpec::PersistentVolume(_)
                | ObjectSpec::PersistentVolumeClaim(_)
                | ObjectSpec::PodDisruptionBudget(_) => {}
            }
        }
    }

    /// Never more pods than asked for with the surge; a turn may find more, and never makes more.
    fn surge(&mut self, id: &ObjectId, uid: ObjectUid, deployment: &Deployment) {
        let (most, _) = bounds(deployment);
        let active = count(self.after, uid, Pod::is_active);
        let allowed = most.max(count(self.before, uid, Pod::is_active));
        self.require(active <= allowed, || Violation::TooManyPods {
            workload: id.clone(),
            active,
            most,
        });
    }

    /// A rollout that takes away an available pod by choice leaves enough of them. Scaling is no
    /// rollout: whoever asks for fewer gets fewer.
    fn availability(&mut self, id: &ObjectId, uid: ObjectUid, deployment: &Deployment) {
        let before = self.before.workload_by_uid(uid).and_then(|object| object.as_deployment());
        let is_scaled = before.is_none_or(|before| before.replicas != deployment.replicas);
        if is_scaled || deployment.paused {
            return;
        }
        // The moment of the turn is the moment at which they began to leave.
        let left = pods_of(self.after, uid).find_map(|pod| {
            let now = left_by_choice_at(pod)?;
            let before = self.before.pods.get(&pod.uid)?;
            let was_available = before.is_active() && pod.is_available(deployment.min_ready, now);
            was_available.then_some(now)
        });
        let Some(now) = left else { return };
        let (_, least) = bounds(deployment);
        let available = count(self.after, uid, |pod| {
            self.stayed(pod) && pod.is_available(deployment.min_ready, now)
        });
        self.require(available >= least, || Violation::TooFewAvailable {
            workload: id.clone(),
            available,
            least,
        });
    }

    /// With Recreate, a new pod has no elder of another template beside it, unless that one's node
    /// is lost or the new one takes the place of one of its own template.
    fn recreate(&mut self, id: &ObjectId, uid: ObjectUid, deployment: &Deployment) {
        if deployment.strategy != Strategy::Recreate || deployment.paused {
            return;
        }
        let newcomers: BTreeSet<ReplicaSetUid> = pods_of(self.after, uid)
            .filter(|pod| !self.before.pods.contains_key(&pod.uid))
            .filter(|pod| !self.replaces_one(pod))
            .map(|pod| pod.replica_set)
            .collect();
        let too_early = newcomers.iter().any(|set| {
            pods_of(self.after, uid).any(|pod| pod.replica_set != *set && !is_lost(pod))
        });
        self.require(!too_early, || Violation::RecreateTooEarly { workload: id.clone() });
    }

    /// Whether a pod of the same set was given up with its node in this turn, or moved away from it.
    fn replaces_one(&self, pod: &Pod) -> bool {
        self.after.pods_of(pod.replica_set).any(|other| {
            let before = self.before.pods.get(&other.uid);
            before.is_some_and(|before| {
                (is_lost(other) && !is_lost(before))
                    || (evictions::is_evicted(other) && before.is_active())
            })
        })
    }

    fn jobs(&mut self) {
        for uid in self.touched.jobs.clone() {
            let Some(job) = self.after.jobs.get(&uid).cloned() else { continue };
            let before = self.before.jobs.get(&uid);
            let is_kept =
                before.is_none_or(|before| !before.is_finished() || before.state == job.state);
            self.require(is_kept, || Violation::FinishedJobChanged { job: uid });
            self.job_pods(&job);
        }
    }

    /// Never more pods at work than asked for, nor two on one index; a turn may find more, and never
    /// makes more. None begins unless the job runs.
    fn job_pods(&mut self, job: &Job) {
        let (uid, most) = (job.uid, job.spec.parallelism as usize);
        let allowed = most.max(at_work(self.before, job).count());
        let active = at_work(self.after, job).count();
        self.require(active <= allowed, || Violation::TooManyJobPods { job: uid, active, most });
        let mut indexes = BTreeSet::new();
        let after = self.after;
        for pod in at_work(after, job) {
            if let PodIdentity::CompletionIndex(index) = pod.identity {
                let is_free = indexes.insert(index);
                self.require(is_free, || Violation::IndexTakenTwice { job: uid, index });
            }
            let may_be = job.state == JobState::Running || self.before.pods.contains_key(&pod.uid);
            self.require(may_be, || Violation::PodOfIdleJob { pod: pod.uid, job: uid });
        }
    }

    /// A node's generation is this turn exactly if it must run something else than before.
    fn generations(&mut self) {
        for node in self.touched.nodes.clone() {
            let Some(after) = assignment(self.after, &node) else { continue };
            let before = assignment(self.before, &node);
            if let Some(before) = &before {
                self.endpoints(before, &after);
            }
            let before_turn = before.as_ref().map(|before| before.generation);
            let is_same = before.is_some_and(|before| {
                before.pods == after.pods
                    && before.services == after.services
                    && before.images == after.images
                    && before.pull_secrets == after.pull_secrets
                    && before.deleted_volumes == after.deleted_volumes
            });
            if is_same {
                let kept = before_turn == Some(after.generation);
                self.require(kept, || Violation::GenerationRaisedForNothing { node });
            } else {
                let raised = after.generation == self.after.turn;
                self.require(raised, || Violation::GenerationNotRaised { node });
            }
        }
    }
}

/// How many pods a deployment may have, and how many must be available: reckoned apart from the
/// planner's own arithmetic.
fn bounds(deployment: &Deployment) -> (u32, u32) {
    let replicas = deployment.replicas;
    let Strategy::RollingUpdate { max_surge, max_unavailable } = &deployment.strategy else {
        return (replicas, 0);
    };
    let surge = hundredths(*max_surge, replicas).div_ceil(100);
    let unavailable = match hundredths(*max_unavailable, replicas) / 100 {
        0 if surge == 0 => 1,
        pods => pods,
    };
    let most = u64::from(replicas).saturating_add(surge);
    let least = u64::from(replicas).saturating_sub(unavailable);
    (u32::try_from(most).unwrap_or(u32::MAX), u32::try_from(least).unwrap_or(u32::MAX))
}

/// An absolute number or a share of a number of pods, in hundredths of a pod.
fn hundredths(asked: IntOrPercent, pods: u32) -> u64 {
    match asked {
        IntOrPercent::Int(number) => u64::from(number) * 100,
        IntOrPercent::Percent(percent) => u64::from(percent) * u64::from(pods),
    }
}

/// How far a pod's life is.
fn stage(lifecycle: &Lifecycle) -> u8 {
    match lifecycle {
        Lifecycle::Active => 0,
        Lifecycle::Draining { .. } => 1,
        Lifecycle::Stopping { .. } => 2,
    }
}

fn left_by_choice_at(pod: &Pod) -> Option<Timestamp> {
    match pod.lifecycle {
        Lifecycle::Draining { since, reason: StopReason::Scaled, .. }
        | Lifecycle::Stopping { since, reason: StopReason::Scaled, .. } => Some(since),
        _ => None,
    }
}

fn is_lost(pod: &Pod) -> bool {
    matches!(pod.lifecycle, Lifecycle::Stopping { reason: StopReason::NodeLost, .. })
}

fn pods_of(world: &World, deployment: ObjectUid) -> impl Iterator<Item = &Arc<Pod>> {
    world.replica_sets_of(deployment).flat_map(|set| world.pods_of(set.uid))
}

/// A job's pods that may still do something.
fn at_work<'a>(world: &'a World, job: &Job) -> impl Iterator<Item = &'a Arc<Pod>> {
    world.pods_of(job.replica_set()).filter(|pod| pod.is_at_work())
}

fn count(world: &World, deployment: ObjectUid, matches: impl Fn(&Pod) -> bool) -> u32 {
    u32::try_from(pods_of(world, deployment).filter(|pod| matches(pod)).count()).unwrap_or(u32::MAX)
}
