//! The hooks of containers: begun after a start and with a stop, and what their end means.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dugout_model::{Container, EnvValue, EventType, LifecycleHandler, PodUid, Timestamp};
use futures_util::future::{join, join_all};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::Event;
use super::hands::Teller;
use super::node::Node;
use crate::converge::hooks::{BeforeStop, PostStart, PostStartStage, before_stop, post_start};
use crate::converge::{Condemned, StopTarget, StopWhy};
use crate::events::reason;
use crate::hooks::{Earlier, HookError, run_hook};
use crate::probe::ProbeTarget;
use crate::runtime::{ContainerRuntime, ObservedState, RuntimeError};

/// Kubernetes waits for ever for a hook after the start. What takes this long does not end any more.
pub(super) const POST_START_DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);
/// What a container has to end after its hook took the whole grace, as Kubernetes has it.
const LEAST_GRACE: Duration = Duration::from_secs(2);

/// One run of a hook, with all that it needs.
#[derive(Clone, Debug)]
pub(crate) struct HookRun {
    pub pod: PodUid,
    pub container: String,
    pub kind: HookKind,
    pub target: ProbeTarget,
    pub handler: LifecycleHandler,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HookKind {
    PostStart,
    PreStop,
}

/// A hook after the start that is under way.
#[derive(Debug)]
pub(super) struct RunningHook {
    /// Of the run of its container.
    started_at: Timestamp,
    task: AbortHandle,
}

impl RunningHook {
    /// Nobody waits for it any more.
    pub fn end(self) {
        self.task.abort();
    }
}

impl<R: ContainerRuntime> Node<R> {
    /// Begins the hooks of the containers that this process started, and ends those whose container has
    /// ended: nobody waits for them any more.
    pub(super) fn run_post_start_hooks(&mut self) {
        let observed = &self.observed;
        self.post_starts.retain(|id, hook| {
            let run = ObservedState::Running { started_at: hook.started_at };
            let goes_on = observed.find(id).is_some_and(|one| one.state == run);
            if !goes_on {
                hook.task.abort();
            }
            goes_on
        });
        for run in self.due_post_starts() {
            let memory = self.memories.get_mut(&run.pod);
            let Some(memory) = memory.map(|memory| memory.container(&run.container)) else {
                continue;
            };
            let is_ours = self.started_here.contains(&run.target.container_id);
            memory.post_start = Some(PostStart {
                id: run.target.container_id.clone(),
                started_at: run.target.started_at,
                stage: if is_ours { PostStartStage::UnderWay } else { PostStartStage::Ended },
            });
            if is_ours {
                let (id, started_at) = (run.target.container_id.clone(), run.target.started_at);
                let task = self.hands.hook(run, POST_START_DEADLINE);
                self.post_starts.insert(id, RunningHook { started_at, task });
            }
        }
    }

    fn due_post_starts(&self) -> Vec<HookRun> {
        let pods = self.assignment.iter().flat_map(|assignment| &assignment.pods);
        let containers = pods.flat_map(|pod| {
            pod.template.serving_containers().map(move |container| (pod.uid, container))
        });
        containers.filter_map(|(pod, container)| self.due_post_start(pod, container)).collect()
    }

    /// The hook of a container that runs and is not known to have had it.
    fn due_post_start(&self, pod: PodUid, wanted: &Container<EnvValue>) -> Option<HookRun> {
        let handler = post_start(wanted)?.clone();
        let mut newest = self.observed.of_pod(pod).iter().rev();
        let newest = newest.find(|one| one.labels.container == wanted.name)?;
        let ObservedState::Running { started_at } = newest.state else { return None };
        let memory = self.memories.get(&pod)?;
        // Whose start has not been told of yet may be ours.
        if memory.in_flight.as_ref().is_some_and(|action| action.concerns(&newest.id)) {
            return None;
        }
        let known = memory.containers.get(&wanted.name);
        let known = known.and_then(|memory| memory.post_start.as_ref());
        if known.is_some_and(|hook| (&hook.id, hook.started_at) == (&newest.id, started_at)) {
            return None;
        }
        let target = ProbeTarget::new(&newest.id, started_at, self.address_of(pod), wanted);
        let (container, kind) = (wanted.name.clone(), HookKind::PostStart);
        Some(HookRun { pod, container, kind, target, handler })
    }

    /// The hooks that run with a stop.
    pub(super) fn pre_stop_hooks(
        &self,
        uid: PodUid,
        targets: &[StopTarget],
        grace: Duration,
        why: &StopWhy,
    ) -> Vec<HookRun> {
        let Some(pod) = self.assigned(uid).filter(|_| !grace.is_zero()) else { return Vec::new() };
        let containers = self.observed.of_pod(uid);
        let hooks = before_stop(pod, self.memories.get(&uid), containers, targets, why);
        let run = |BeforeStop { target, handler }: BeforeStop| {
            let seen = containers.iter().find(|one| one.id == target.id)?;
            let ObservedState::Running { started_at } = seen.state else { return None };
            let wanted = pod.template.container(&target.container)?;
            let address = self.address_of(uid);
            Some(HookRun {
                pod: uid,
                container: target.container,
                kind: HookKind::PreStop,
                target: ProbeTarget::new(&target.id, started_at, address, wanted),
                handler,
            })
        };
        hooks.into_iter().filter_map(run).collect()
    }

    pub(super) fn hook_ended(&mut self, run: &HookRun, result: Result<(), HookError>) {
        let HookRun { pod, container, kind, target, .. } = run;
        let id = target.container_id.clone();
        if self.post_starts.get(&id).is_some_and(|hook| hook.started_at == target.started_at)
            && *kind == HookKind::PostStart
        {
            self.post_starts.remove(&id);
        }
        let Some(memory) = self.memories.get_mut(pod).map(|memory| memory.container(container))
        else {
            return;
        };
        let (hook, reason) = match kind {
            HookKind::PostStart => {
                let Some(post_start) = memory.post_start.as_mut() else { return };
                if (&post_start.id, post_start.started_at) != (&id, target.started_at) {
                    // The end of an earlier run.
                    return;
                }
                post_start.stage = PostStartStage::Ended;
                ("postStart", reason::FAILED_POST_START_HOOK)
            }
            HookKind::PreStop => {
                // What was not run is run with the next try of the stop.
                if !matches!(result, Err(HookError::NotRun(_))) {
                    memory.pre_stopped = Some(id.clone());
                }
                ("preStop", reason::FAILED_PRE_STOP_HOOK)
            }
        };
        let Err(error) = result else { return };
        let message = error.message();
        let why = format!("{hook} hook failed: {message}");
        let runs = self.observed.find(&id).is_some_and(|one| one.is_running());
        if *kind == HookKind::PostStart && runs {
            let memory = self.memories.get_mut(pod).map(|memory| memory.container(container));
            let condemned = Condemned { id, why, grace: None };
            if let Some(memory) = memory {
                memory.condemned = Some(condemned);
            }
        }
        let message = match error {
            HookError::Failed(message) => {
                format!("{hook} hook of {container} failed: {message}")
            }
            HookError::NotRun(message) => {
                format!("{hook} hook of {container} was not run: {message}")
            }
        };
        self.pod_event(*pod, EventType::Warning, reason, message);
    }
}

/// The rights to stops and to the hooks before them. They are apart, so that hooks, which may take their
/// whole grace, hold up no stop.
#[derive(Clone)]
pub(super) struct StopPlaces {
    pub stops: Arc<Semaphore>,
    pub hooks: Arc<Semaphore>,
}

/// Containers to stop, with what runs before.
pub(super) struct Stops<'a, R> {
    pub runtime: &'a R,
    pub ids: &'a [String],
    pub hooks: &'a [HookRun],
    pub grace: Duration,
    pub places: &'a StopPlaces,
    pub teller: &'a Teller,
}

impl<R: ContainerRuntime> Stops<'_, R> {
    /// Stops them at the same time, each after its hook, in one grace together. The hooks of others run
    /// beside. The end of each hook is told at once.
    ///
    /// # Errors
    /// When one could not be stopped. All others are stopped nevertheless.
    pub async fn run(&self) -> Result<(), RuntimeError> {
        let is_other = |hook: &&HookRun| !self.ids.contains(&hook.target.container_id);
        let others = self.hooks.iter().filter(is_other).map(|hook| self.run_and_tell(hook));
        let stops = self.ids.iter().map(|id| self.stop_one(id));
        let (_, stopped) = join(join_all(others), join_all(stops)).await;
        stopped.into_iter().collect()
    }

    async fn stop_one(&self, id: &str) -> Result<(), RuntimeError> {
        let hook = self.hooks.iter().find(|hook| hook.target.container_id == *id);
        let mut grace = self.grace;
        if let Some(hook) = hook {
            let began = Instant::now();
            self.run_and_tell(hook).await;
            grace = grace.saturating_sub(began.elapsed()).max(LEAST_GRACE);
        }
        let _place = self.places.stops.acquire().await;
        self.runtime.stop(id, grace).await
    }

    async fn run_and_tell(&self, hook: &HookRun) {
        let result = self.run_in_grace(hook).await;
        self.teller.tell(Event::HookEnded { run: Box::new(hook.clone()), result }).await;
    }

    async fn run_in_grace(&self, hook: &HookRun) -> Result<(), HookError> {
        let began = Instant::now();
        let _place = match hook.handler {
            LifecycleHandler::Sleep(_) => None,
            _ => match tokio::time::timeout(self.grace, self.places.hooks.acquire()).await {
                Ok(place) => place.ok(),
                Err(_) => {
                    let why = "so many others ran on the node that there was no place in its grace";
                    return Err(HookError::NotRun(why.to_owned()));
                }
            },
        };
        let left = self.grace.saturating_sub(began.elapsed());
        run_hook(self.runtime, &hook.target, &hook.handler, Earlier::Awaited, left).await
    }
}
