//! What a node saw of its pods.
//!
//! A node reports everything each time, so almost all of a report is known already. A pod's row
//! changes only when something of it did, and a step is told in the timeline when it is new beside
//! what the row says was told.

use std::sync::Arc;

use dugout_model::{
    Change, EventNumber, Lifecycle, Node, NodeReport, Pod, PodMilestones, PodPhase, PodReport,
    PodStatus, Seen, Step,
};

use crate::draft::Draft;
use crate::{Ignored, gate, nodes, pins, storage};

pub(super) fn apply(draft: &mut Draft<'_>, report: &NodeReport) {
    let Some(node) = draft.world.nodes.get(&report.node).cloned() else {
        draft.report.ignored.push(Ignored::UnknownNode { node: report.node.clone() });
        return;
    };
    if node.instance != report.instance {
        draft.report.ignored.push(Ignored::OtherInstance {
            node: report.node.clone(),
            instance: report.instance.clone(),
        });
        return;
    }
    take_events(draft, &node, report);
    // Its acknowledgement may be what pods of every node on its engine wait for.
    let peers: Vec<_> =
        draft.world.nodes_of_engine(&node.engine).map(|peer| peer.name.clone()).collect();
    draft.dirty.nodes.extend(peers);
    if nodes::lost_reason(draft, &node.name).is_some() {
        // Its engine has been silent too long: what it says of its pods is old news.
        return;
    }
    let up_to_date = report.acknowledged >= node.generation;
    let pods: Vec<_> = draft.world.pods_on(&node.name).cloned().collect();
    for pod in pods {
        match report.pods.get(&pod.uid) {
            Some(news) => see(draft, &pod, news),
            None => miss(draft, &pod, up_to_date),
        }
    }
    gate::see(draft, report);
    storage::see(draft, &node, report, up_to_date);
}

/// Takes over the events that are not taken yet: the answer to the report that brought them may have
/// been lost, and then they come again.
fn take_events(draft: &mut Draft<'_>, node: &Node, report: &NodeReport) {
    let taken = match (node.last_event, report.first_event) {
        (Some(last), Some(first)) if last.run == first.run => {
            last.number.saturating_add(1).saturating_sub(first.number)
        }
        _ => 0,
    };
    let taken = usize::try_from(taken).unwrap_or(usize::MAX);
    let fresh = report.events.get(taken..).unwrap_or_default();
    for event in fresh {
        draft.push(Change::AppendEvent(Box::new(event.clone())));
    }
    if let Some(first) = report.first_event
        && !fresh.is_empty()
    {
        let number = first.number.saturating_add(report.events.len() as u64 - 1);
        let last_event = Some(EventNumber { number, ..first });
        draft.push(Change::PutNode(Arc::new(Node { last_event, ..node.clone() })));
    }
}

/// Takes over what the node says of a pod.
fn see(draft: &mut Draft<'_>, pod: &Pod, news: &PodReport) {
    if news.phase == PodPhase::Gone && !pod.is_active() {
        return gone(draft, pod, Some(news));
    }
    if pod.is_finished() && news.phase.outcome() != pod.outcome() {
        return recall(draft, pod);
    }
    let before = last_status(pod);
    let told = before.map(|status| status.milestones).unwrap_or_default();
    let milestones = tell_milestones(draft, pod, told, &news.milestones);
    let status = PodStatus {
        phase: news.phase,
        init_containers: news.init_containers.clone(),
        containers: news.containers.clone(),
        address: news.address,
        ready_since: (news.ready && news.phase.outcome().is_none())
            .then(|| pod.ready_since().unwrap_or(draft.now)),
        milestones,
        drift: news.drift.clone(),
        pause: news.pause,
    };
    let seen = Seen::Known(status);
    if pod.seen != seen {
        if let Seen::Known(status) = &seen {
            pins::see_pod(draft, pod, status);
        }
        draft.put_pod(Pod { seen, ..pod.clone() });
    }
}

/// What ended stays ended: a node that says otherwise has forgotten it, or lost its disk.
fn recall(draft: &mut Draft<'_>, pod: &Pod) {
    if let (Seen::Unknown { .. }, Some(status)) = (&pod.seen, last_status(pod)) {
        let seen = Seen::Known(status.clone());
        draft.put_pod(Pod { seen, ..pod.clone() });
    }
}

/// A pod that its node does not know. One that leaves is gone, provided that the node knows its
/// current orders; one that stays has yet to come, or went with the node's disk.
fn miss(draft: &mut Draft<'_>, pod: &Pod, up_to_date: bool) {
    match &pod.lifecycle {
        Lifecycle::Active if pod.is_finished() => recall(draft, pod),
        Lifecycle::Active => {
            if pod.seen != Seen::Absent {
                draft.put_pod(Pod { seen: Seen::Absent, ..pod.clone() });
            }
        }
        Lifecycle::Draining { .. } | Lifecycle::Stopping { .. } => {
            if up_to_date {
                gone(draft, pod, None);
            }
        }
    }
}

/// The end of a pod.
fn gone(draft: &mut Draft<'_>, pod: &Pod, news: Option<&PodReport>) {
    if let Some(replica_set) = draft.replica_set_of(pod) {
        if let Some(news) = news {
            let told = last_status(pod).map(|status| status.milestones).unwrap_or_default();
            tell_milestones(draft, pod, told, &news.milestones);
        }
        let stopped_at = news.and_then(|news| news.milestones.stopped_at).unwrap_or(draft.now);
        draft.tell_leaving(pod, &replica_set, stopped_at, Step::Stopped, "");
    }
    draft.push(Change::DeletePod(pod.uid));
}

/// The last status that a pod's row holds, whether it can still be relied on or not.
fn last_status(pod: &Pod) -> Option<&PodStatus> {
    match &pod.seen {
        Seen::Known(status) => Some(status),
        Seen::Unknown { last, .. } => last.as_ref(),
        Seen::Absent => None,
    }
}

/// Tells the steps that are new, and gives all that are told now. The end of a pod is told with its
/// removal.
fn tell_milestones(
    draft: &mut Draft<'_>,
    pod: &Pod,
    told: PodMilestones,
    news: &PodMilestones,
) -> PodMilestones {
    let steps = [
        (Step::Accepted, told.accepted_at, news.accepted_at),
        (Step::Pulled, told.pulled_at, news.pulled_at),
        (Step::Created, told.created_at, news.created_at),
        (Step::Started, told.started_at, news.started_at),
        (Step::Ready, told.ready_at, news.ready_at),
    ];
    if let Some(replica_set) = draft.replica_set_of(pod) {
        for (step, told, news) in steps {
            if let (None, Some(at)) = (told, news) {
                draft.tell_coming(pod, &replica_set, at, step, "");
            }
        }
    }
    PodMilestones {
        accepted_at: told.accepted_at.or(news.accepted_at),
        pulled_at: told.pulled_at.or(news.pulled_at),
        created_at: told.created_at.or(news.created_at),
        started_at: told.started_at.or(news.started_at),
        ready_at: told.ready_at.or(news.ready_at),
        stopped_at: None,
    }
}
