//! Bugs that a run can be given on purpose, to prove that the rules find each of them.
//!
//! The products know nothing of them. A bug stands at a seam of the simulation: what a part reads, or what
//! it decides, is changed on its way, so that the whole behaves as if that part had the bug, turn after
//! turn. The parts themselves stay the real ones, and there is no second build of them.

mod planner;

use std::sync::Arc;

use dugout_agent::converge::{Action, Input, Memories, Plan, StopWhy, converge};
use dugout_model::{Assignment, PodOrder, PodPhase, PodReport, RestartPolicy, SharedAssignment};

pub(crate) use planner::plan;

/// One bug, named by what is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A rollout makes one pod more than the surge allows.
    SurgeOffByOne,
    /// A percentage of pods that may be unavailable is rounded up.
    UnavailableRoundedUp,
    /// A pod counts as ready once it has started: earlier ones stop before it serves.
    StartedCountsAsReady,
    MinReadyIgnored,
    /// With Recreate, new pods come beside the old ones.
    RecreateOverlaps,
    /// A pod is stopped though requests are under way.
    NotDrained,
    /// A name is given to another pod while the one before still stops: two pods of one ordinal.
    NameFreedTooEarly,
    /// A pod that stops on a lost node counts as gone.
    LostCountsAsEnded,
    NodeLossNotNoticed,
    /// Nodes take twice what they have.
    DoubleBooked,
    /// An assignment changes under the same generation.
    GenerationNotRaised,
    /// An agent takes over an older assignment than the one that it has.
    GenerationNotChecked,
    /// An agent that starts does not look for what runs already.
    AdoptsNothing,
    /// A container that crashes again and again starts at once.
    BackOffNotApplied,
    /// A deposed leader may write.
    StaleEpochAccepted,
    /// Half of a transaction is written when the connection is lost.
    PartOfATransaction,
    /// A leader that begins does not know what is in quarantine.
    LoadForgetsQuarantine,
    /// What failed may come again.
    QuarantineIgnored,
    /// Of a commit with errors, what can be read is applied.
    RejectedPartlyApplied,
    /// What left Git stays.
    PruneForgotten,
    /// A commit that removes too much is not held.
    HeldDeletionPruned,
    /// A changed config map is not taken over.
    ConfigurationNotRolled,
    /// Pods are stopped before the images of their successors are there.
    PullGateIgnored,
    /// What left Git goes before what comes serves.
    PrunedAtOnce,
    /// Each node runs what the name of an image stands for there.
    PinIgnored,
    DependsOnIgnored,
    DeadlineNeverFires,
    /// A release that fails leaves one object as it was changed.
    WayBackIncomplete,
    /// A release that went back owes Git nothing.
    RevertNotPushed,
    RevertPushedTwice,
    HookIgnored,
    /// A pod that ends well counts for two.
    CompletionsCountedTwice,
    /// A job may fail once more often than it says.
    BackoffLimitOffByOne,
    /// What a schedule has come to is forgotten.
    ScheduleForgotten,
    /// What ended is started again, whatever the restart policy says.
    RestartPolicyIgnored,
    /// What a pod runs first is not awaited.
    InitNotAwaited,
    /// An agent reports a container as ready that only runs.
    ReadyTooEarly,
    /// An agent reports a pod as gone that still stops.
    GoneTooEarly,
    /// An agent does not stop what it was told to.
    StopForgotten,
    /// A node is sent what another one must run.
    AssignmentOfAnother,
    /// An assignment loses a pod now and then.
    AssignmentCutShort,
    /// Each heartbeat is written to the database.
    HeartbeatsAreWritten,
    /// A server that has nothing to do is woken at once.
    WakesAtOnce,
    /// A node is drained whatever a disruption budget says.
    BudgetIgnored,
    /// A template that comes back gets another replica set.
    ReplicaSetNotReused,
}

/// What an agent decides, with a bug of its own if it has one.
pub(crate) fn converge_with(bug: Option<Bug>, input: Input<'_>) -> Plan {
    match bug {
        Some(Bug::BackOffNotApplied) => {
            let memories = without_back_off(input.memories);
            converge(Input { memories: &memories, ..input })
        }
        Some(Bug::RestartPolicyIgnored) => {
            let assignment = input.assignment.map(always_again);
            converge(Input { assignment: assignment.as_ref(), ..input })
        }
        Some(Bug::InitNotAwaited) => {
            let assignment = input.assignment.map(init_as_sidecars);
            converge(Input { assignment: assignment.as_ref(), ..input })
        }
        Some(Bug::StopForgotten) => {
            let mut plan = converge(input);
            let is_ordered =
                |action: &Action| matches!(action, Action::Stop { why: StopWhy::Ordered, .. });
            plan.actions.retain(|action| !is_ordered(action));
            plan
        }
        Some(Bug::AdoptsNothing) => converge(Input { engine_known: true, ..input }),
        _ => converge(input),
    }
}

/// What an agent reports of a pod, with a bug of its own if it has one.
pub(crate) fn report_with(bug: Option<Bug>, order: &PodOrder, report: PodReport) -> PodReport {
    match (bug, order) {
        (Some(Bug::ReadyTooEarly), PodOrder::Run { draining: false }) => {
            PodReport { ready: report.phase == PodPhase::Running, ..report }
        }
        (Some(Bug::GoneTooEarly), PodOrder::Stop { .. }) => {
            PodReport { phase: PodPhase::Gone, ..report }
        }
        _ => report,
    }
}

/// What is sent to a node, given the assignment of its own and that of another.
pub(crate) fn assignment_with(
    bug: Option<Bug>,
    own: SharedAssignment,
    other: Option<SharedAssignment>,
    number: u64,
) -> SharedAssignment {
    match (bug, other) {
        (Some(Bug::AssignmentOfAnother), Some(other)) => other,
        (Some(Bug::AssignmentCutShort), _) if number.is_multiple_of(3) => {
            let mut cut = (*own).clone();
            cut.pods.pop();
            Arc::new(cut)
        }
        (Some(Bug::PinIgnored), _) => {
            let mut open = (*own).clone();
            for pod in &mut open.pods {
                pod.pins.clear();
            }
            Arc::new(open)
        }
        _ => own,
    }
}

fn always_again(assignment: &Assignment) -> Assignment {
    let mut assignment = assignment.clone();
    for pod in &mut assignment.pods {
        Arc::make_mut(&mut pod.template).restart_policy = RestartPolicy::Always;
    }
    assignment
}

fn init_as_sidecars(assignment: &Assignment) -> Assignment {
    let mut assignment = assignment.clone();
    for pod in &mut assignment.pods {
        for init in &mut Arc::make_mut(&mut pod.template).init_containers {
            init.restart_policy = Some(RestartPolicy::Always);
        }
    }
    assignment
}

fn without_back_off(memories: &Memories) -> Memories {
    let mut memories = memories.clone();
    for container in memories.values_mut().flat_map(|pod| pod.containers.values_mut()) {
        container.restart_at = None;
    }
    memories
}
