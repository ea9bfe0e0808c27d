//! The way back that a person takes while the source's branch cannot be had: an earlier commit's objects
//! are the desired ones at once, and Git owes the truth until the branch is there again.
//!
//! There is no release of it: the commit that takes the newest one back is, when it comes.

use std::collections::BTreeSet;
use std::sync::Arc;

use dugout_model::{
    Change, EventType, GateScope, ObjectId, OwedRevert, PullGate, Release, SourceName, Standing,
    Step, StoredObject, WentBack,
};

use super::revision::{close, make_desired};
use crate::draft::Draft;
use crate::records::Subject;
use crate::{Ignored, gate, storage, way_back};

pub(super) fn apply(draft: &mut Draft<'_>, asked: &WentBack) {
    let (name, to) = (&asked.source, &asked.to);
    let Some(source) = draft.world.sources.get(name).cloned() else {
        draft.report.ignored.push(Ignored::UnknownSource { source: name.clone() });
        return;
    };
    let Some(newest) = draft.world.newest_release(name).cloned() else {
        // Nothing of the source was ever seen; there is nothing to go back from.
        return;
    };
    let in_question = in_question(draft, name, asked);
    let reason = format!("a person went back to {}", to.short());
    close(draft, name, &reason, |release| release.verdict.is_open());
    if !newest.verdict.is_open() {
        // Its verdict is for ever; that it is not what is applied must be seen all the same.
        let reason = Some(reason.clone());
        draft.push(Change::PutRelease(Arc::new(Release { reason, ..(*newest).clone() })));
    }
    let mut was: Vec<Arc<StoredObject>> =
        in_question.iter().filter_map(|id| draft.world.objects.get(id)).cloned().collect();
    storage::keep_data(draft, name, &asked.objects, &in_question);
    let touched = make_desired(draft, &source, to, &asked.objects, &in_question);
    gate::give_up(draft, name);
    let mut source = (*source).clone();
    // What was never healthy is as new as any commit.
    let scope = match asked.standing {
        Standing::Proven => GateScope::Workload,
        Standing::Untried => GateScope::Release,
    };
    source.status.gate = PullGate::Unasked { release: newest.id, scope };
    source.status.applied = Some(to.clone());
    if asked.standing == Standing::Proven {
        // A later failure goes back to what a person chose. What was never healthy has to show itself
        // first: until then what was keeps its place.
        was.retain(|was| touched.contains(&was.declared.id()));
        way_back::replace(draft, name, &was);
        source.status.healthy = Some(to.clone());
    }
    source.status.approved = None;
    source.status.owed_revert = Some(OwedRevert {
        failed: newest.commit.sha.clone(),
        to: to.clone(),
        reason: asked.reason.clone(),
        delayed_by: Some(asked.delayed_by.clone()),
    });
    draft.push(Change::PutSource(Arc::new(source)));
    way_back::give_fresh_deadlines(draft, name);

    let message = format!(
        "{reason}, {} as there; the branch learns it when it can be had",
        way_back::count_of_objects(touched.len())
    );
    let now = draft.now;
    draft.tell((name, &newest.commit.sha), now, Step::Reverted, &message);
    draft.event(EventType::Normal, Subject::source(name), "WentBack", message);
}

/// Everything that the source has or had, but for what belongs to another by now: an object has one
/// owner.
fn in_question(draft: &mut Draft<'_>, name: &SourceName, asked: &WentBack) -> BTreeSet<ObjectId> {
    let rows = draft.world.objects.iter();
    let owned = rows.filter(|(_, row)| row.source == *name).map(|(id, _)| id.clone());
    let mut in_question: BTreeSet<ObjectId> = owned.collect();
    for id in asked.objects.keys() {
        if draft.world.objects.get(id).is_some_and(|row| row.source != *name) {
            let message = format!("{id} belongs to another source now and stays so");
            draft.event(EventType::Warning, Subject::source(name), "NotReverted", message);
        } else {
            in_question.insert(id.clone());
        }
    }
    in_question
}
