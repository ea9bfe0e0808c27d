//! What a person asked for.

use std::sync::Arc;

use dugout_model::{
    Change, CommitSha, EventType, OperatorRequest, PodUid, Scheduling, SourceName, StopReason,
    Verdict,
};

use super::node::{delete, schedule};
use crate::draft::Draft;
use crate::records::Subject;
use crate::{Ignored, draining};

pub(super) fn apply(draft: &mut Draft<'_>, request: &OperatorRequest) {
    match request {
        OperatorRequest::Suspend(source) => suspend(draft, source, true),
        OperatorRequest::Resume(source) => suspend(draft, source, false),
        OperatorRequest::Approve { source, sha } => approve(draft, source, sha),
        OperatorRequest::Cordon(node) => schedule(draft, node, Scheduling::Cordoned),
        OperatorRequest::Drain(node) => {
            let since = draft.now;
            schedule(draft, node, Scheduling::Draining { since });
        }
        OperatorRequest::Uncordon(node) => schedule(draft, node, Scheduling::Schedulable),
        OperatorRequest::DeleteNode(node) => delete(draft, node),
        OperatorRequest::Evict(pod) => evict(draft, *pod),
    }
}

fn suspend(draft: &mut Draft<'_>, name: &SourceName, suspended: bool) {
    let Some(known) = draft.world.sources.get(name).cloned() else {
        draft.report.ignored.push(Ignored::UnknownSource { source: name.clone() });
        return;
    };
    if known.suspended == suspended {
        return;
    }
    let mut source = (*known).clone();
    source.suspended = suspended;
    draft.push(Change::PutSource(Arc::new(source)));
    let (reason, message) = if suspended {
        ("Suspended", "new commits are seen and not applied")
    } else {
        ("Resumed", "new commits are applied again")
    };
    draft.event(EventType::Normal, Subject::source(name), reason, message);
}

/// A pod leaves as one on a drained node does; its workload makes another. What a budget holds stays.
fn evict(draft: &mut Draft<'_>, uid: PodUid) {
    let known = draft.world.pods.get(&uid).filter(|pod| pod.is_active()).cloned();
    let Some(pod) = known.filter(|pod| draft.world.may_evict(pod).is_ok()) else { return };
    draft.event(EventType::Normal, Subject::pod(&pod), "Evicted", "a person asked for it");
    draining::leave(draft, &pod, StopReason::Asked);
}

/// Notes that a commit may pass; its source's loop hands it over once more.
fn approve(draft: &mut Draft<'_>, name: &SourceName, sha: &CommitSha) {
    let Some(known) = draft.world.sources.get(name).cloned() else {
        draft.report.ignored.push(Ignored::UnknownSource { source: name.clone() });
        return;
    };
    let is_held = draft
        .world
        .newest_release(name)
        .is_some_and(|newest| newest.commit.sha == *sha && newest.verdict == Verdict::Held);
    if !is_held || known.status.approved.as_ref() == Some(sha) {
        return;
    }
    let mut source = (*known).clone();
    source.status.approved = Some(sha.clone());
    draft.push(Change::PutSource(Arc::new(source)));
    let message = format!("{} may pass", sha.short());
    draft.event(EventType::Normal, Subject::source(name), "Approved", message);
}
