//! What is reported of a pod. Pure.

use dugout_model::{
    AssignedPod, ContainerExit, ContainerState, ContainerStatus, PodOrder, PodPhase, PodReport,
    RestartPolicy, WaitingReason,
};

use crate::converge::{Action, ContainerMemory, PodMemory};
use crate::runtime::{ObservedContainer, ObservedState};

/// What the probes and the proxy know of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Health {
    pub ready: bool,
    pub connections: u32,
}

/// Describes a pod from everything known about it. `pod` is absent for one that is ours and no longer
/// assigned; `engine_known` says whether the engine answers and was listed.
pub fn pod_report(
    pod: Option<&AssignedPod>,
    containers: &[ObservedContainer],
    memory: Option<&PodMemory>,
    health: Health,
    engine_known: bool,
) -> PodReport {
    let leaves = pod.is_none_or(|pod| matches!(pod.order, PodOrder::Stop { .. }));
    let policy = pod.map_or(RestartPolicy::Always, |pod| pod.template.restart_policy);
    let view = View { memory, leaves, policy, ready: health.ready, engine_known };
    let names: Vec<&str> = match pod {
        Some(pod) => pod.template.containers.iter().map(|one| one.name.as_str()).collect(),
        None => {
            let mut names: Vec<&str> =
                containers.iter().map(|one| one.labels.container.as_str()).collect();
            names.dedup();
            names
        }
    };
    let gone = leaves && engine_known && containers.is_empty();
    let gone = gone && memory.is_none_or(|memory| memory.in_flight.is_none());
    let ever_ran = memory.is_some_and(|memory| memory.milestones.started_at.is_some())
        || containers.iter().any(|one| !matches!(one.state, ObservedState::Created));
    let statuses: Vec<ContainerStatus> =
        names.iter().map(|name| view.container(name, containers)).collect();
    PodReport {
        phase: match (gone, view.outcome(&statuses), ever_ran) {
            (true, _, _) => PodPhase::Gone,
            (false, Some(outcome), _) => outcome,
            (false, None, true) => PodPhase::Running,
            (false, None, false) => PodPhase::Pending,
        },
        containers: statuses,
        address: containers.iter().rev().find(|one| one.is_running()).and_then(|one| one.address),
        ready: health.ready,
        connections: health.connections,
        milestones: memory.map(|memory| memory.milestones).unwrap_or_default(),
    }
}

struct View<'a> {
    memory: Option<&'a PodMemory>,
    leaves: bool,
    policy: RestartPolicy,
    ready: bool,
    engine_known: bool,
}

impl View<'_> {
    /// How the pod ended, once each of its containers did and none is started again.
    fn outcome(&self, containers: &[ContainerStatus]) -> Option<PodPhase> {
        let final_exit = |container: &ContainerStatus| {
            let memory = self.memory?.containers.get(&container.name)?;
            let is_terminated = matches!(container.state, ContainerState::Terminated(_));
            memory.final_exit(self.policy).filter(|_| is_terminated)
        };
        let exits = containers.iter().map(final_exit).collect::<Option<Vec<_>>>()?;
        match exits.iter().all(|exit| exit.exit_code == 0) {
            _ if exits.is_empty() => None,
            true => Some(PodPhase::Succeeded),
            false => Some(PodPhase::Failed),
        }
    }

    fn container(&self, name: &str, containers: &[ObservedContainer]) -> ContainerStatus {
        let fresh = ContainerMemory::default();
        let memory = self.memory.and_then(|pod| pod.containers.get(name)).unwrap_or(&fresh);
        let current = containers.iter().rev().find(|one| one.labels.container == name);
        let state = self.state(name, memory, current);
        ContainerStatus {
            name: name.to_owned(),
            ready: self.ready && matches!(state, ContainerState::Running { .. }),
            state,
            restarts: current
                .map_or(memory.next_attempt.saturating_sub(1), |one| one.labels.attempt),
            container_id: current.map(|one| one.id.clone()),
            image_id: current.and_then(|one| one.image_id.clone()),
            last_exit: memory.last_exit.clone(),
        }
    }

    fn state(
        &self,
        name: &str,
        memory: &ContainerMemory,
        current: Option<&ObservedContainer>,
    ) -> ContainerState {
        match (current.map(|one| &one.state), memory.final_exit(self.policy)) {
            // Also when somebody removed it, and an earlier attempt is left, or started it again.
            (_, Some(exit)) => ContainerState::Terminated(exit.clone()),
            (Some(ObservedState::Running { started_at }), None) => {
                ContainerState::Running { started_at: *started_at }
            }
            (Some(ObservedState::Exited { exit, .. }), None) if self.leaves => {
                ContainerState::Terminated(exit.clone())
            }
            (Some(ObservedState::Exited { exit, .. }), None) => self.after_exit(name, memory, exit),
            _ => self.waiting(name, memory),
        }
    }

    fn after_exit(
        &self,
        name: &str,
        memory: &ContainerMemory,
        exit: &ContainerExit,
    ) -> ContainerState {
        if memory.waiting.is_some() || !self.engine_known || memory.crashes <= 1 {
            return self.waiting(name, memory);
        }
        let wait = crate::backoff::crash_loop_wait(memory.crashes).as_secs();
        let code = exit.exit_code;
        let message = format!("back-off {wait} s before the next start; it ended with code {code}");
        ContainerState::Waiting { reason: WaitingReason::CrashLoopBackOff, message }
    }

    fn waiting(&self, name: &str, memory: &ContainerMemory) -> ContainerState {
        let (reason, message) = if !self.engine_known {
            let message = "the container engine does not answer".to_owned();
            (WaitingReason::EngineUnavailable, message)
        } else if let Some((reason, message)) = &memory.waiting {
            (*reason, message.clone())
        } else {
            (WaitingReason::ContainerCreating, self.under_way(name))
        };
        ContainerState::Waiting { reason, message }
    }

    fn under_way(&self, name: &str) -> String {
        match self.memory.and_then(|memory| memory.in_flight.as_ref()) {
            Some(Action::Create { container, .. }) if container == name => "being made".into(),
            Some(Action::Start { container, .. }) if container == name => "being started".into(),
            _ => String::new(),
        }
    }
}
