//! Sources: what they are, and whether they can be read.

use std::sync::Arc;

use dugout_model::{
    Change, CommitSha, EventType, PullGate, Source, SourceCondition, SourceDeclaration, SourceName,
    SourceStatus,
};

use crate::draft::Draft;
use crate::records::Subject;
use crate::{Ignored, way_back};

/// A source is to be followed. When it is another place from now on, what was applied of it was of the
/// earlier one, so that the same commit is read again, and nothing of it goes back to the earlier one;
/// what runs stays until then.
pub(super) fn declared(draft: &mut Draft<'_>, declaration: &SourceDeclaration) {
    let SourceDeclaration { name, url, branch, path, poll_interval, on_failure, drift } =
        declaration;
    let known = draft.world.sources.get(name);
    let status = known.map_or_else(
        || SourceStatus {
            head: None,
            applied: None,
            gate: PullGate::Open,
            healthy: None,
            condition: SourceCondition::Unread,
            since: draft.now,
            failure: None,
            approved: None,
            owed_revert: None,
            failed_contents: Vec::new(),
        },
        |source| {
            let same = source.url == *url && source.branch == *branch && source.path == *path;
            let mut status = source.status.clone();
            if !same {
                (status.head, status.applied, status.healthy) = (None, None, None);
                status.owed_revert = None;
                status.failed_contents = Vec::new();
            }
            status
        },
    );
    let source = Source {
        name: name.clone(),
        url: url.clone(),
        branch: branch.clone(),
        path: path.clone(),
        poll_interval: *poll_interval,
        on_failure: *on_failure,
        drift: *drift,
        suspended: known.is_some_and(|source| source.suspended),
        status,
    };
    if source.status.healthy.is_none() {
        way_back::forget(draft, name);
    }
    draft.push(Change::PutSource(Arc::new(source)));
}

/// A source was looked at. The head of a source that cannot be read is the last one seen.
pub(super) fn seen(
    draft: &mut Draft<'_>,
    name: &SourceName,
    head: Option<&CommitSha>,
    condition: &SourceCondition,
) {
    let Some(known) = draft.world.sources.get(name).cloned() else {
        draft.report.ignored.push(Ignored::UnknownSource { source: name.clone() });
        return;
    };
    let mut source = (*known).clone();
    if head.is_some() {
        source.status.head = head.cloned();
    }
    if source.status.condition != *condition {
        source.status.condition = condition.clone();
        source.status.since = draft.now;
        tell_condition(draft, &known, condition);
    }
    if source != *known {
        draft.push(Change::PutSource(Arc::new(source)));
    }
}

fn tell_condition(draft: &mut Draft<'_>, before: &Source, condition: &SourceCondition) {
    let subject = Subject::source(&before.name);
    let mut warn = |reason, message: String| {
        draft.event(EventType::Warning, Subject::source(&before.name), reason, message);
    };
    match condition {
        SourceCondition::Unread => {}
        SourceCondition::Readable => {
            // The first look at a source is no news; that it can be read again is.
            if before.status.condition != SourceCondition::Unread {
                draft.event(EventType::Normal, subject, "Readable", "it can be read again");
            }
        }
        SourceCondition::Unreachable { message } => {
            warn("Unreachable", format!("{message}; what runs stays"));
        }
        SourceCondition::BranchMissing => {
            warn("BranchMissing", format!("it has no branch {}; what runs stays", before.branch));
        }
        SourceCondition::PathMissing => {
            warn("PathMissing", format!("its branch has no {}; what runs stays", before.path));
        }
        SourceCondition::Corrupt { message } => {
            warn("Corrupt", format!("{message}; what runs stays"));
        }
        SourceCondition::NotPlanned { message } => {
            warn("NotPlanned", format!("{message}; what runs stays"));
        }
    }
}
