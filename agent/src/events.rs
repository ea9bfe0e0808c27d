//! What happened on the node, for people, kept until the control plane has it.

use std::collections::VecDeque;

use dugout_model::{Event, EventType, NamespaceName, NodeName, ObjectKey, ObjectName, Timestamp};

/// The most events that wait; the oldest is forgotten first.
const MOST_EVENTS: usize = 1024;

/// Numbers events, so that an acknowledged report takes out exactly what it carried.
#[derive(Debug, Default)]
pub struct EventQueue {
    waiting: VecDeque<(u64, Event)>,
    last: u64,
    dropped: u64,
}

/// The reasons of our events; Kubernetes' words where it has them.
pub mod reason {
    pub const PULLING: &str = "Pulling";
    pub const PULLED: &str = "Pulled";
    pub const CREATED: &str = "Created";
    pub const STARTED: &str = "Started";
    pub const KILLING: &str = "Killing";
    pub const BACK_OFF: &str = "BackOff";
    pub const UNHEALTHY: &str = "Unhealthy";
    pub const FAILED: &str = "Failed";
    pub const FAILED_POST_START_HOOK: &str = "FailedPostStartHook";
    pub const FAILED_PRE_STOP_HOOK: &str = "FailedPreStopHook";
    pub const FAILED_PULL_SECRET: &str = "FailedToRetrieveImagePullSecret";
    /// An image that nobody used went for want of room.
    pub const IMAGE_REMOVED: &str = "ImageRemoved";
    pub const FREE_DISK_SPACE_FAILED: &str = "FreeDiskSpaceFailed";
    pub const FAILED_MOUNT: &str = "FailedMount";
    /// The folder with the volumes of claims is not there, or is another.
    pub const STORAGE_UNAVAILABLE: &str = "StorageUnavailable";
    pub const STORAGE_AVAILABLE: &str = "StorageAvailable";
    pub const FAILED_DELETE: &str = "VolumeFailedDelete";
    pub const FAILED_UNMOUNT: &str = "FailedUnMount";
    pub const COMPLETED: &str = "Completed";
    pub const ADOPTED: &str = "Adopted";
    /// A container was killed or removed by someone else, or fell with its engine.
    pub const HEALING: &str = "Healing";
    /// Somebody changed a container that runs.
    pub const DRIFTED: &str = "Drifted";
    /// It is as its template has it again.
    pub const DRIFT_CORRECTED: &str = "DriftCorrected";
    /// A person told this agent to leave a pod alone, or to keep it stopped.
    pub const PAUSED: &str = "Paused";
    /// He took it back.
    pub const RESUMED: &str = "Resumed";
    pub const OOM_KILLED: &str = "OOMKilled";
    pub const ENGINE_LOST: &str = "EngineLost";
    pub const ENGINE_BACK: &str = "EngineBack";
    pub const ASSIGNMENT_REFUSED: &str = "AssignmentRefused";
    pub const CLUSTER_CHANGED: &str = "ClusterChanged";
    pub const NODE_PORT_UNAVAILABLE: &str = "NodePortUnavailable";
    pub const NODE_PORT_AVAILABLE: &str = "NodePortAvailable";
}

impl EventQueue {
    pub fn pod(
        &mut self,
        at: Timestamp,
        event_type: EventType,
        (namespace, name): (&NamespaceName, &ObjectName),
        reason: &str,
        message: String,
    ) {
        self.push(Event {
            at,
            event_type,
            kind: "Pod".to_owned(),
            namespace: namespace.clone(),
            name: name.to_string(),
            reason: reason.to_owned(),
            message,
        });
    }

    pub fn node(
        &mut self,
        at: Timestamp,
        event_type: EventType,
        node: &NodeName,
        reason: &str,
        message: String,
    ) {
        self.push(Event {
            at,
            event_type,
            kind: "Node".to_owned(),
            namespace: NamespaceName::new(""),
            name: node.to_string(),
            reason: reason.to_owned(),
            message,
        });
    }

    pub fn service(
        &mut self,
        at: Timestamp,
        event_type: EventType,
        service: &ObjectKey,
        reason: &str,
        message: String,
    ) {
        self.push(Event {
            at,
            event_type,
            kind: "Service".to_owned(),
            namespace: service.namespace.clone(),
            name: service.name.to_string(),
            reason: reason.to_owned(),
            message,
        });
    }

    fn push(&mut self, event: Event) {
        if self.waiting.len() == MOST_EVENTS {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.last += 1;
        self.waiting.push_back((self.last, event));
    }

    /// The events that wait, oldest first, each with its number.
    pub fn numbered(&self) -> Vec<(u64, Event)> {
        self.waiting.iter().cloned().collect()
    }

    /// Forgets the events up to and including this number.
    pub fn acknowledge(&mut self, through: u64) {
        while self.waiting.front().is_some_and(|(number, _)| *number <= through) {
            self.waiting.pop_front();
        }
    }

    /// How many were forgotten unsent since this was last asked.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &mut EventQueue, message: &str) {
        let node = NodeName::new("a");
        queue.node(Timestamp::default(), EventType::Normal, &node, "R", message.to_owned());
    }

    #[test]
    fn only_what_was_delivered_is_forgotten() {
        let mut queue = EventQueue::default();
        push(&mut queue, "1");
        push(&mut queue, "2");
        let first = queue.numbered()[0].0;
        push(&mut queue, "3");
        queue.acknowledge(first);
        let left: Vec<String> =
            queue.numbered().into_iter().map(|(_, event)| event.message).collect();
        assert_eq!(left, ["2", "3"]);
    }

    #[test]
    fn a_full_queue_forgets_the_oldest_and_counts_it() {
        let mut queue = EventQueue::default();
        for number in 0..=MOST_EVENTS {
            push(&mut queue, &number.to_string());
        }
        assert_eq!(queue.numbered()[0].1.message, "1");
        assert_eq!(queue.take_dropped(), 1);
        assert_eq!(queue.take_dropped(), 0);
    }
}
