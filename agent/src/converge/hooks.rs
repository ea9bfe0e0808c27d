//! The hooks of containers: what waits for one after the start, and which run before a stop. Pure.

use dugout_model::{
    AssignedPod, Container, ContainerLifecycle, EnvValue, LifecycleHandler, Timestamp,
};

use super::{ContainerMemory, PodMemory, StopTarget, StopWhy, sidecars};
use crate::runtime::{ObservedContainer, ObservedState};

/// How far the hook after the start is, of one run of a container. A run that an earlier life of the
/// agent began counts as ended: its hook is not run twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostStart {
    pub id: String,
    /// Of the run: the same container may be restarted by hand.
    pub started_at: Timestamp,
    pub stage: PostStartStage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostStartStage {
    UnderWay,
    /// Well or not.
    Ended,
}

/// A hook that runs before a container is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeforeStop {
    pub target: StopTarget,
    pub handler: LifecycleHandler,
}

pub fn post_start(container: &Container<EnvValue>) -> Option<&LifecycleHandler> {
    container.lifecycle.as_deref().and_then(|lifecycle| lifecycle.post_start.as_ref())
}

/// Whether a container runs and its hook after the start, if it has one, has ended: before that it is
/// neither running nor ready to anybody, and nothing that comes after it begins.
pub fn is_up(
    wanted: &Container<EnvValue>,
    memory: Option<&ContainerMemory>,
    seen: &ObservedContainer,
) -> bool {
    let ObservedState::Running { started_at } = seen.state else { return false };
    post_start(wanted).is_none()
        || memory.and_then(|memory| memory.post_start.as_ref()).is_some_and(|hook| {
            (hook.id.as_str(), hook.started_at) == (&seen.id, started_at)
                && hook.stage == PostStartStage::Ended
        })
}

/// The hooks to run with a stop. Those of sidecars run with those of the containers or sidecars that are
/// stopped before them, as on Kubernetes; their own stop then comes without. None is run twice.
pub fn before_stop(
    pod: &AssignedPod,
    memory: Option<&PodMemory>,
    containers: &[ObservedContainer],
    targets: &[StopTarget],
    why: &StopWhy,
) -> Vec<BeforeStop> {
    let is_orderly = match why {
        StopWhy::Ordered
        | StopWhy::Unhealthy(_)
        | StopWhy::Drifted(_)
        | StopWhy::SandboxChanged
        | StopWhy::PodEnded => true,
        StopWhy::NotAssigned | StopWhy::Superseded | StopWhy::Finished => false,
    };
    if !is_orderly {
        return Vec::new();
    }
    let mut all = targets.to_vec();
    if matches!(why, StopWhy::Ordered | StopWhy::PodEnded) {
        let is_sidecar = |one: &&ObservedContainer| {
            one.is_running() && sidecars::is_one(&pod.template, &one.labels.container)
        };
        for one in containers.iter().filter(is_sidecar) {
            let target = StopTarget { container: one.labels.container.clone(), id: one.id.clone() };
            if !all.contains(&target) {
                all.push(target);
            }
        }
    }
    let hook = |target: StopTarget| {
        let handler = pre_stop(pod.template.container(&target.container)?)?.clone();
        let memory = memory.and_then(|memory| memory.containers.get(&target.container));
        let was_run = memory.is_some_and(|memory| memory.pre_stopped.as_ref() == Some(&target.id));
        (!was_run).then_some(BeforeStop { target, handler })
    };
    all.into_iter().filter_map(hook).collect()
}

fn pre_stop(container: &Container<EnvValue>) -> Option<&LifecycleHandler> {
    let lifecycle: &ContainerLifecycle = container.lifecycle.as_deref()?;
    lifecycle.pre_stop.as_ref()
}
