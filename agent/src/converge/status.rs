//! What is reported of a pod. Pure.

use dugout_model::{
    AssignedPod, ContainerExit, ContainerState, ContainerStatus, PodAddress, PodOrder, PodPhase,
    PodReport, ResolvedTemplate, RestartPolicy, WaitingReason,
};

use crate::converge::{Action, ContainerMemory, PodMemory, drift, hooks, sidecars};
use crate::labels::SANDBOX;
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
    let template = pod.map(|pod| pod.template.as_ref());
    let mut view =
        View { memory, rests: leaves, template, ready: health.ready, engine_known, containers };
    let pause = memory.and_then(|memory| memory.pause);
    view.rests |= pause.is_some() || view.containers_ended();
    let names: Vec<&str> = match template {
        Some(template) => template.containers.iter().map(|one| one.name.as_str()).collect(),
        None => {
            let mut names: Vec<&str> =
                containers.iter().map(|one| one.labels.container.as_str()).collect();
            names.retain(|name| *name != SANDBOX);
            names.dedup();
            names
        }
    };
    let gone = leaves && engine_known && containers.is_empty();
    let gone = gone && memory.is_none_or(|memory| memory.in_flight.is_none());
    let ever_ran = names.iter().any(|name| view.ever_ran(name));
    let init_containers = view.init_containers(&names);
    let waits_for_others = init_containers.iter().any(|one| !view.is_done_with(one));
    let statuses: Vec<ContainerStatus> =
        names.iter().map(|name| view.container(name, waits_for_others)).collect();
    PodReport {
        phase: match (gone, view.outcome(&init_containers, &statuses), ever_ran) {
            (true, _, _) => PodPhase::Gone,
            (false, Some(outcome), _) => outcome,
            (false, None, true) => PodPhase::Running,
            (false, None, false) => PodPhase::Pending,
        },
        init_containers,
        containers: statuses,
        address: address_of(containers),
        ready: health.ready,
        connections: health.connections,
        milestones: memory.map(|memory| memory.milestones).unwrap_or_default(),
        drift: pod
            .filter(|_| !leaves)
            .map(|pod| drift::sentences(pod, containers))
            .unwrap_or_default(),
        pause,
    }
}

/// Where the pod is reached: at its sandbox, or else at its container.
pub fn address_of(containers: &[ObservedContainer]) -> Option<PodAddress> {
    let running = containers.iter().rev().filter(|one| one.is_running());
    running.filter_map(|one| one.address).next()
}

struct View<'a> {
    memory: Option<&'a PodMemory>,
    /// Nothing of it is started again.
    rests: bool,
    template: Option<&'a ResolvedTemplate>,
    ready: bool,
    engine_known: bool,
    containers: &'a [ObservedContainer],
}

impl View<'_> {
    fn memory_of(&self, name: &str) -> Option<&ContainerMemory> {
        self.memory.and_then(|memory| memory.containers.get(name))
    }

    fn policy_of(&self, name: &str) -> RestartPolicy {
        self.template.map_or(RestartPolicy::Always, |template| template.restart_policy_of(name))
    }

    /// Whether its containers have all ended for good, so that its sidecars end, too.
    fn containers_ended(&self) -> bool {
        self.template.is_some_and(|template| {
            template.containers.iter().all(|one| {
                let memory = self.memory_of(&one.name);
                memory.is_some_and(|memory| memory.final_exit(self.policy_of(&one.name)).is_some())
            })
        })
    }

    fn is_sidecar(&self, name: &str) -> bool {
        self.template.is_some_and(|template| sidecars::is_one(template, name))
    }

    /// Whether the next of those that begin before the others may begin.
    fn is_done_with(&self, init: &ContainerStatus) -> bool {
        match &init.state {
            ContainerState::Running { .. } => self.is_sidecar(&init.name),
            ContainerState::Terminated(exit) => exit.exit_code == 0,
            ContainerState::Waiting { .. } => false,
        }
    }

    fn ever_ran(&self, name: &str) -> bool {
        self.memory_of(name).is_some_and(|memory| memory.attempt.is_some())
            || self.containers.iter().any(|one| {
                one.labels.container == name && !matches!(one.state, ObservedState::Created)
            })
    }

    /// How the pod ended: once each of its containers did and none is started again, or one that runs
    /// before the others failed for good. While a person has it, nothing follows from its end: it is told
    /// when the pod is resumed.
    fn outcome(
        &self,
        init: &[ContainerStatus],
        containers: &[ContainerStatus],
    ) -> Option<PodPhase> {
        let final_exit = |container: &ContainerStatus| {
            let memory = self.memory_of(&container.name)?;
            let is_terminated = matches!(container.state, ContainerState::Terminated(_));
            memory.final_exit(self.policy_of(&container.name)).filter(|_| is_terminated)
        };
        if self.memory.is_some_and(|memory| memory.pause.is_some()) {
            return None;
        }
        // Sidecars end after the others, and how does not matter.
        if init.iter().any(|one| matches!(one.state, ContainerState::Running { .. })) {
            return None;
        }
        if init.iter().filter_map(final_exit).any(|exit| exit.exit_code != 0) {
            return Some(PodPhase::Failed);
        }
        let exits = containers.iter().map(final_exit).collect::<Option<Vec<_>>>()?;
        match exits.iter().all(|exit| exit.exit_code == 0) {
            _ if exits.is_empty() => None,
            true => Some(PodPhase::Succeeded),
            false => Some(PodPhase::Failed),
        }
    }

    /// Those that run before the others: ready is one that ended well. When the others were made they
    /// had, also where nothing is left that says so.
    fn init_containers(&self, others: &[&str]) -> Vec<ContainerStatus> {
        let names = self.template.iter().flat_map(|template| &template.init_containers);
        let made =
            self.containers.iter().find(|one| others.contains(&one.labels.container.as_str()));
        names
            .map(|one| {
                let mut status = self.container(&one.name, true);
                if one.is_sidecar() {
                    return status;
                }
                if let (Some(made), ContainerState::Waiting { .. }) = (made, &status.state) {
                    let finished_at = made.created_at;
                    let exit = ContainerExit { exit_code: 0, oom_killed: false, finished_at };
                    status.state = ContainerState::Terminated(exit);
                }
                status.ready = matches!(&status.state,
                    ContainerState::Terminated(exit) if exit.exit_code == 0);
                status
            })
            .collect()
    }

    fn container(&self, name: &str, initializes: bool) -> ContainerStatus {
        let fresh = ContainerMemory::default();
        let memory = self.memory_of(name).unwrap_or(&fresh);
        let current = self.containers.iter().rev().find(|one| one.labels.container == name);
        let mut state = self.state(name, memory, current);
        if let ContainerState::Waiting { reason, .. } = &mut state
            && *reason == WaitingReason::ContainerCreating
            && initializes
        {
            *reason = WaitingReason::PodInitializing;
        }
        ContainerStatus {
            name: name.to_owned(),
            ready: self.ready && matches!(state, ContainerState::Running { .. }),
            state,
            restarts: current
                .map_or(memory.next_attempt.saturating_sub(1), |one| one.labels.attempt),
            container_id: current.map(|one| one.id.clone()),
            image_id: current.and_then(|one| one.image_id.clone()),
            image_digest: match current {
                Some(one) => one.image_digest.clone(),
                None => memory.found_digest().cloned(),
            },
            last_exit: memory.last_exit.clone(),
        }
    }

    fn state(
        &self,
        name: &str,
        memory: &ContainerMemory,
        current: Option<&ObservedContainer>,
    ) -> ContainerState {
        match (current.map(|one| &one.state), memory.final_exit(self.policy_of(name))) {
            // Also when somebody removed it, and an earlier attempt is left, or started it again.
            (_, Some(exit)) => ContainerState::Terminated(exit.clone()),
            (Some(ObservedState::Running { .. }), None) if self.waits_for_hook(name, current) => {
                let message = "its postStart hook has not ended".to_owned();
                ContainerState::Waiting { reason: WaitingReason::ContainerCreating, message }
            }
            (Some(ObservedState::Running { started_at }), None) => {
                ContainerState::Running { started_at: *started_at }
            }
            (Some(ObservedState::Exited { exit, .. }), None) if self.rests => {
                ContainerState::Terminated(exit.clone())
            }
            (Some(ObservedState::Exited { exit, .. }), None) => self.after_exit(name, memory, exit),
            _ => self.waiting(name, memory),
        }
    }

    fn waits_for_hook(&self, name: &str, current: Option<&ObservedContainer>) -> bool {
        let wanted = self.template.and_then(|template| template.container(name));
        let seen = wanted.zip(current).filter(|_| !self.rests);
        seen.is_some_and(|(wanted, seen)| !hooks::is_up(wanted, self.memory_of(name), seen))
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
        } else if let Some((reason, message)) = memory.waiting.as_ref().or(self.sandbox_waits()) {
            (*reason, message.clone())
        } else {
            (WaitingReason::ContainerCreating, self.under_way(name))
        };
        ContainerState::Waiting { reason, message }
    }

    /// Why what its containers share cannot be had.
    fn sandbox_waits(&self) -> Option<&(WaitingReason, String)> {
        self.memory_of(SANDBOX).and_then(|memory| memory.waiting.as_ref())
    }

    fn under_way(&self, name: &str) -> String {
        match self.memory.and_then(|memory| memory.in_flight.as_ref()) {
            Some(Action::Create { container, .. }) if container == name => "being made".into(),
            Some(Action::Start { container, .. }) if container == name => "being started".into(),
            None if self.memory_of(name).is_some_and(|memory| memory.found_digest().is_some()) => {
                "its image is there, and its node is to be told whether it is the one".into()
            }
            _ => String::new(),
        }
    }
}
