//! What people are told of a node and its pods, as events.

use dugout_model::{EventType, PodUid};

use super::node::Node;
use crate::converge::{Action, StopWhy};
use crate::events::reason;
use crate::labels::SANDBOX;
use crate::runtime::ContainerRuntime;

impl<R: ContainerRuntime> Node<R> {
    pub fn tell_done(&mut self, action: &Action) {
        if action.container() == SANDBOX {
            return;
        }
        let (reason, message) = match action {
            Action::Pull { image, .. } => (reason::PULLED, format!("pulled image {image}")),
            Action::Create { container, .. } => {
                (reason::CREATED, format!("made container {container}"))
            }
            Action::Start { container, .. } => {
                (reason::STARTED, format!("started container {container}"))
            }
            Action::Find { .. }
            | Action::Stop { .. }
            | Action::Correct { .. }
            | Action::Remove { .. } => return,
        };
        self.pod_event(action.pod(), EventType::Normal, reason, message);
    }

    /// Says that a container is being stopped, when the call is made.
    pub fn tell_stop(&mut self, uid: PodUid, container: &str, why: &StopWhy) {
        if container == SANDBOX {
            return;
        }
        let because = match why {
            StopWhy::Ordered => String::new(),
            StopWhy::NotAssigned => ": its pod is no longer assigned to this node".to_owned(),
            StopWhy::Unhealthy(message) => format!(": {message}"),
            StopWhy::Drifted(difference) => {
                format!(": it {difference}, which only a new one can")
            }
            StopWhy::Superseded => ": a newer one runs".to_owned(),
            StopWhy::SandboxChanged => ": what its pod's containers share is made anew".to_owned(),
            StopWhy::PodEnded => ": the others of its pod have ended".to_owned(),
            StopWhy::Finished => ": it had ended, and was started from outside".to_owned(),
        };
        let message = format!("stopping container {container}{because}");
        self.pod_event(uid, EventType::Normal, reason::KILLING, message);
    }

    pub fn pod_event(&mut self, uid: PodUid, event_type: EventType, reason: &str, message: String) {
        if let Some(memory) = self.memories.get(&uid) {
            let names = (&memory.namespace, &memory.name);
            self.events.pod(self.wall, event_type, names, reason, message);
        }
    }

    pub fn node_event(&mut self, event_type: EventType, reason: &str, message: String) {
        tracing::info!(reason, "{message}");
        self.events.node(self.wall, event_type, &self.name, reason, message);
    }
}
