//! How things are told: events and timeline entries, with the words in one place.

use std::fmt::Display;

use dugout_model::{
    Change, CommitSha, Event, EventType, NamespaceName, Node, ObjectId, Pod, ReplicaSet,
    SourceName, Step, TimelineEntry, Timestamp,
};

use crate::draft::Draft;

/// What an event or a timeline entry is about.
pub(crate) struct Subject {
    kind: &'static str,
    namespace: NamespaceName,
    name: String,
}

impl Subject {
    pub fn source(name: &SourceName) -> Self {
        Self { kind: "Source", namespace: NamespaceName::new(""), name: name.to_string() }
    }

    pub fn node(node: &Node) -> Self {
        Self { kind: "Node", namespace: NamespaceName::new(""), name: node.name.to_string() }
    }

    pub fn object(id: &ObjectId) -> Self {
        Self {
            kind: id.kind.as_str(),
            namespace: id.key.namespace.clone(),
            name: id.key.name.to_string(),
        }
    }

    pub fn pod(pod: &Pod) -> Self {
        Self { kind: "Pod", namespace: pod.namespace.clone(), name: pod.name.to_string() }
    }
}

impl Draft<'_> {
    pub fn event(
        &mut self,
        event_type: EventType,
        subject: Subject,
        reason: &str,
        message: impl Display,
    ) {
        let event = Event {
            at: self.now,
            event_type,
            kind: subject.kind.to_owned(),
            namespace: subject.namespace,
            name: subject.name,
            reason: reason.to_owned(),
            message: message.to_string(),
        };
        self.push(Change::AppendEvent(Box::new(event)));
    }

    /// Tells a step of a release as a whole.
    pub fn tell(
        &mut self,
        (source, sha): (&SourceName, &CommitSha),
        at: Timestamp,
        step: Step,
        message: impl Display,
    ) {
        let entry = TimelineEntry {
            source: source.clone(),
            sha: sha.clone(),
            at,
            step,
            subject: String::new(),
            message: message.to_string(),
        };
        self.push(Change::AppendTimeline(Box::new(entry)));
    }

    /// Tells a step of a pod that comes: it belongs to the release that made its template current.
    pub fn tell_coming(
        &mut self,
        pod: &Pod,
        replica_set: &ReplicaSet,
        at: Timestamp,
        step: Step,
        message: impl Display,
    ) {
        self.tell_pod(pod, (&replica_set.source, &replica_set.sha), at, step, message);
    }

    /// Tells a step of a pod that leaves: it belongs to the release that is applied now, for it is
    /// the one that waits for it.
    pub fn tell_leaving(
        &mut self,
        pod: &Pod,
        replica_set: &ReplicaSet,
        at: Timestamp,
        step: Step,
        message: impl Display,
    ) {
        let sha = self.applied_sha(&replica_set.source).unwrap_or_else(|| replica_set.sha.clone());
        self.tell_pod(pod, (&replica_set.source, &sha), at, step, message);
    }

    /// The commit whose objects are the desired state of a source now.
    pub fn applied_sha(&self, source: &SourceName) -> Option<CommitSha> {
        self.world.sources.get(source).and_then(|source| source.status.applied.clone())
    }

    fn tell_pod(
        &mut self,
        pod: &Pod,
        (source, sha): (&SourceName, &CommitSha),
        at: Timestamp,
        step: Step,
        message: impl Display,
    ) {
        let entry = TimelineEntry {
            source: source.clone(),
            sha: sha.clone(),
            at,
            step,
            subject: format!("Pod {}/{}", pod.namespace, pod.name),
            message: message.to_string(),
        };
        self.push(Change::AppendTimeline(Box::new(entry)));
    }
}
