//! Nodes that are drained: which pods leave them, and what those that still stand there wait for.

use std::fmt;
use std::sync::Arc;

use crate::{
    Deployment, EvictionHold, Node, NodeName, ObjectSpec, Pod, PodIdentity, PullGate, RolloutState,
    SourceName, StoredObject, Verdict, World,
};

/// What a pod that has to leave its node waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrainWait {
    /// It is on its way: requests end, then it is stopped.
    Leaving,
    /// Nobody knows what becomes of it before its node is back.
    NodeLost,
    Held(EvictionHold),
    /// The rollout of its workload, which comes to an end by itself.
    Rollout,
    /// Another that serves in its place.
    Replacement,
    /// The release that took its workload away: it goes when what comes serves.
    Release,
}

impl DrainWait {
    /// Whether a disruption budget keeps it where it is.
    pub fn is_held(&self) -> bool {
        matches!(self, DrainWait::Held(_))
    }
}

impl fmt::Display for DrainWait {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DrainWait::Leaving => out.write_str("it leaves"),
            DrainWait::NodeLost => out.write_str("its node is not ready, so it cannot be moved"),
            DrainWait::Held(hold) => hold.fmt(out),
            DrainWait::Rollout => out.write_str("the rollout of its workload ends first"),
            DrainWait::Replacement => {
                out.write_str("another pod has to serve in its place before it leaves")
            }
            DrainWait::Release => out.write_str(
                "its workload left Git, and goes when what comes with the release serves",
            ),
        }
    }
}

impl World {
    /// Whether a pod is to be moved away from its node: that is drained, and nothing but a daemon set's
    /// pod stays there. What ended for good stays for its logs.
    pub fn is_displaced(&self, pod: &Pod) -> bool {
        let node = pod.node().and_then(|node| self.nodes.get(node));
        let is_drained =
            node.is_some_and(|node| node.is_ready() && node.draining_since().is_some());
        is_drained && pod.is_at_work() && !is_daemon(pod)
    }

    /// The pods that a node has to be rid of before it is drained, by uid: also those that leave.
    pub fn pods_to_drain(&self, node: &NodeName) -> impl Iterator<Item = &Arc<Pod>> {
        let pods = self.pods_on(node).filter(|pod| !is_daemon(pod));
        pods.filter(|pod| !(pod.is_active() && pod.is_finished()))
    }

    /// What a pod of [`World::pods_to_drain`] waits for.
    pub fn drain_wait(&self, node: &Node, pod: &Pod) -> DrainWait {
        if !pod.is_active() {
            return DrainWait::Leaving;
        }
        if !node.is_ready() {
            return DrainWait::NodeLost;
        }
        // With one more that serves it may go: then this is what it waits for.
        if let Err(hold) = self.may_evict_with(pod, 1) {
            return DrainWait::Held(hold);
        }
        if self.goes_with_release(pod) {
            return DrainWait::Release;
        }
        match (self.may_evict(pod), self.deployment_of(pod)) {
            (_, Some((object, _))) if self.is_rolling(object) => DrainWait::Rollout,
            (Err(hold), None) => DrainWait::Held(hold),
            (Err(_), Some(_)) | (Ok(()), _) => DrainWait::Replacement,
        }
    }

    /// The Deployment that a pod belongs to.
    pub fn deployment_of(&self, pod: &Pod) -> Option<(&Arc<StoredObject>, &Deployment)> {
        let object = self.workload_by_uid(self.replica_set_of(pod)?.owner)?;
        match &object.declared.spec {
            ObjectSpec::Deployment(spec) => Some((object, spec)),
            _ => None,
        }
    }

    /// Whether a workload is on the way to what it asks for and will get there or fail: so not one that a
    /// failed release stopped, which stays as it is until the next one.
    pub fn is_rolling(&self, object: &StoredObject) -> bool {
        self.rollouts.get(&object.uid).is_none_or(|rollout| {
            let is_at_rest = match rollout.state {
                RolloutState::Complete | RolloutState::Failed { .. } => true,
                RolloutState::Progressing => self.is_shut(&object.source),
                RolloutState::Waiting { .. } => !self.has_rolling_release(&object.source),
            };
            rollout.generation != object.generation || !is_at_rest
        })
    }

    /// Whether a pod of a workload that left Git serves until a release that is under way does, and goes then.
    /// Where that fails, its workload comes back, or nobody waits for it any more.
    pub fn goes_with_release(&self, pod: &Pod) -> bool {
        let owner = self.replica_set_of(pod).map(|set| set.owner);
        let row = owner.and_then(|owner| Some((owner, self.baseline_by_uid(owner)?)));
        row.is_some_and(|(owner, row)| {
            row.serves(owner)
                && pod.ready_since().is_some()
                && self.workload_by_uid(owner).is_none()
                && self.has_rolling_release(&row.source)
        })
    }

    /// Whether nothing more leaves because of a source's release, as that failed.
    fn is_shut(&self, source: &SourceName) -> bool {
        let source = self.sources.get(source);
        source.is_some_and(|source| matches!(source.status.gate, PullGate::Shut { .. }))
    }

    fn has_rolling_release(&self, source: &SourceName) -> bool {
        let mut releases = self.releases.values();
        releases.any(|row| row.source == *source && row.verdict == Verdict::Rolling)
    }
}

fn is_daemon(pod: &Pod) -> bool {
    matches!(pod.identity, PodIdentity::OnNode(_))
}
