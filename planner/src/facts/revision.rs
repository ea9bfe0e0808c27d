//! A commit as a release: taken whole or not at all.

use std::collections::BTreeSet;
use std::sync::Arc;

use dugout_model::{
    Change, CommitSha, DeclaredObject, DeclaredObjects, EventType, GateScope, ImagePins, NoticedBy,
    ObjectId, ObjectUid, Problem, Prune, PullGate, Quarantine, Release, ReleaseId, Revision,
    RevisionContent, Severity, Source, SourceName, Step, StoredObject, StoredRevision, Verdict,
};

use crate::draft::Draft;
use crate::records::Subject;
use crate::{Ignored, cron_jobs, gate, pruning, storage, way_back};

use super::immutable::{as_made, forbidden_changes, is_made_once, takes_back};
use super::{budget, repeated};

/// Judges a revision and, if it is sound and new, makes it the desired state of its source.
pub(super) fn apply(draft: &mut Draft<'_>, revision: &Revision) {
    let (name, sha) = (&revision.source, &revision.commit.sha);
    let Some(source) = draft.world.sources.get(name).cloned() else {
        draft.report.ignored.push(Ignored::UnknownSource { source: name.clone() });
        return;
    };
    let owed = source.status.owed_revert.clone();
    way_back::moved_on(draft, name, &revision.commit);
    let source = draft.world.sources.get(name).cloned().unwrap_or(source);
    let quarantine = Quarantine { source: name.clone(), sha: sha.clone() };
    if draft.world.quarantine.contains(&quarantine) {
        draft.report.ignored.push(Ignored::Quarantined { source: name.clone(), sha: sha.clone() });
        // The failure of the newest release was told; that an older one came back was not.
        if draft.world.newest_release(name).is_some_and(|newest| newest.commit.sha != *sha) {
            let message = format!(
                "{} failed before and is not applied again; commit something else",
                sha.short()
            );
            draft.event(EventType::Warning, Subject::source(name), "Quarantined", message);
        }
        return;
    }
    let judged = judge(draft, revision, &source);
    let newest = draft.world.newest_release(name).filter(|newest| newest.commit.sha == *sha);
    if let Some(newest) = newest.cloned() {
        if !is_news(&newest, &judged, &source) {
            let ignored = Ignored::AlreadyReleased { source: name.clone(), sha: sha.clone() };
            draft.report.ignored.push(ignored);
            return;
        }
        if matches!(newest.verdict, Verdict::Pending | Verdict::Held) {
            return conclude(draft, revision, &source, judged, Some(newest));
        }
    }
    let repeats = judged.as_ref().is_ok_and(|asked| asked.is_repeated());
    conclude(draft, revision, &source, judged, None);
    if let Some(owed) = owed.filter(|owed| repeats && owed.failed != *sha) {
        way_back::owe_still(draft, name, owed, sha);
    }
}

/// What a revision asks for, if nothing is wrong with it.
struct Asked<'a> {
    objects: &'a DeclaredObjects,
    notices: &'a [Problem],
    /// Every object in which the world and the revision may differ.
    in_question: BTreeSet<ObjectId>,
    /// Why it waits for a person although nothing is wrong with it.
    excess: Option<Excess>,
}

enum Excess {
    Removes(String),
    /// All of it failed before.
    Repeats(String),
}

impl Asked<'_> {
    fn is_repeated(&self) -> bool {
        matches!(self.excess, Some(Excess::Repeats(_)))
    }
}

type Judged<'a> = Result<Asked<'a>, Vec<Problem>>;

fn judge<'a>(draft: &Draft<'_>, revision: &'a Revision, source: &Source) -> Judged<'a> {
    let (objects, notices) = match &revision.content {
        RevisionContent::Problems(problems) => return Err(problems.clone()),
        RevisionContent::Objects { objects, notices } => (objects, notices),
    };
    let in_question = in_question(draft, revision, objects, source);
    let takes_back = takes_back(&revision.commit, &source.name);
    let mut conflicts: Vec<Problem> = Vec::new();
    for id in &in_question {
        let (Some(object), Some(known)) = (objects.get(id), draft.world.objects.get(id)) else {
            continue;
        };
        if known.source != revision.source {
            conflicts.push(conflict(object, known));
        } else if !takes_back {
            conflicts.extend(forbidden_changes(&draft.world, source, known, object));
        }
    }
    if !takes_back {
        let refused = storage::refused_removals(&draft.world, &source.name, objects, &in_question);
        conflicts.extend(refused);
    }
    if conflicts.is_empty() {
        let is_approved = source.status.approved.as_ref() == Some(&revision.commit.sha);
        let commit = &revision.commit;
        let excess = if is_approved {
            None
        } else if let Some(why) =
            repeated::failure(&draft.world, source, commit, objects, &in_question)
        {
            Some(Excess::Repeats(why))
        } else if takes_back {
            // Whoever takes a commit back means what it removes.
            None
        } else {
            budget::excess(&draft.world, &source.name, commit, objects, &in_question)
                .map(Excess::Removes)
        };
        return Ok(Asked { objects, notices, in_question, excess });
    }
    conflicts.extend(notices.iter().cloned());
    conflicts.sort();
    Err(conflicts)
}

/// What differs from the revision that was applied last, where that is known; else everything that
/// the source has or asks for.
fn in_question(
    draft: &Draft<'_>,
    revision: &Revision,
    objects: &DeclaredObjects,
    source: &Source,
) -> BTreeSet<ObjectId> {
    match &revision.since {
        Some(since) if source.status.applied.as_ref() == Some(&since.from) => since.ids.clone(),
        _ => {
            let rows = draft.world.objects.iter();
            let owned = rows.filter(|(_, row)| row.source == revision.source).map(|(id, _)| id);
            owned.chain(objects.keys()).cloned().collect()
        }
    }
}

/// An object has one owner, or two repositories would undo each other for ever.
fn conflict(object: &DeclaredObject, other: &StoredObject) -> Problem {
    Problem {
        file: object.origin.file.to_string(),
        line: object.origin.line,
        column: 1,
        severity: Severity::Error,
        field_path: "metadata.name".to_owned(),
        message: format!("{} belongs to source {} already", object.id(), other.source),
        hint: Some("give it another name, or remove it from one of the two sources".to_owned()),
    }
}

/// Whether the newest release's own revision, read again, says something new: a pending or held one
/// that may go on now, or a rejected one whose reason is gone.
fn is_news(newest: &Release, judged: &Judged<'_>, source: &Source) -> bool {
    match newest.verdict {
        Verdict::Pending => judged.is_err() || !source.suspended,
        Verdict::Rejected => judged.is_ok(),
        Verdict::Held => !judged.as_ref().is_ok_and(|asked| asked.excess.is_some()),
        Verdict::Rolling
        | Verdict::Healthy
        | Verdict::Failed
        | Verdict::Reverted
        | Verdict::Superseded => source.status.applied.as_ref() != Some(&newest.commit.sha),
    }
}

/// Makes the release. `waiting` is the release of this revision that waited until now.
fn conclude(
    draft: &mut Draft<'_>,
    revision: &Revision,
    source: &Source,
    judged: Judged<'_>,
    waiting: Option<Arc<Release>>,
) {
    if waiting.is_none() {
        tell_hops(draft, revision);
    }
    let id = waiting.as_ref().map_or_else(|| next_release_id(draft), |release| release.id);
    let mut release = Release {
        id,
        source: source.name.clone(),
        commit: revision.commit.clone(),
        verdict: Verdict::Rolling,
        reason: None,
        touched: BTreeSet::new(),
        started_at: draft.now,
        finished_at: None,
        revert: None,
        pins: ImagePins::new(),
    };
    let mut stored = StoredRevision {
        source: revision.source.clone(),
        commit: revision.commit.clone(),
        problems: Vec::new(),
        hops: revision.hops,
        rewritten: revision.rewritten,
    };
    match judged {
        Err(problems) => {
            supersede(draft, &release, &[Verdict::Pending, Verdict::Held]);
            reject(draft, &mut release, &problems);
            stored.problems = problems;
        }
        Ok(asked) if source.suspended => {
            stored.problems = asked.notices.to_vec();
            supersede(draft, &release, &[Verdict::Pending, Verdict::Held]);
            release.verdict = Verdict::Pending;
            release.reason = Some("its source is suspended".to_owned());
        }
        Ok(Asked {
            notices, excess: Some(Excess::Removes(why) | Excess::Repeats(why)), ..
        }) => {
            stored.problems = notices.to_vec();
            supersede(draft, &release, &[Verdict::Pending, Verdict::Held]);
            hold(draft, &mut release, why);
        }
        Ok(asked) => {
            supersede(draft, &release, &[Verdict::Pending, Verdict::Held, Verdict::Rolling]);
            let Asked { objects, in_question, .. } = &asked;
            if takes_back(&revision.commit, &source.name) {
                storage::keep_data(draft, &source.name, objects, in_question);
            }
            release.touched =
                make_desired(draft, source, &revision.commit.sha, objects, in_question);
            stored.problems = asked.notices.to_vec();
            start(draft, source, &release);
        }
    }
    draft.push(Change::PutRevision(Arc::new(stored)));
    draft.push(Change::PutRelease(Arc::new(release)));
}

fn next_release_id(draft: &Draft<'_>) -> ReleaseId {
    ReleaseId(draft.world.releases.keys().next_back().map_or(1, |newest| newest.0 + 1))
}

fn tell_hops(draft: &mut Draft<'_>, revision: &Revision) {
    let hops = &revision.hops;
    let release = (&revision.source, &revision.commit.sha);
    let noticed = match hops.noticed_by {
        NoticedBy::Start => "read at the start",
        NoticedBy::Webhook => "a webhook called",
        NoticedBy::FileEvent => "a file of the repository changed",
        NoticedBy::Poll => "found by polling",
        NoticedBy::Operator => "a person asked",
    };
    draft.tell(release, hops.noticed_at, Step::Noticed, noticed);
    draft.tell(release, hops.fetched_at, Step::Fetched, revision.commit.subject());
    draft.tell(release, hops.validated_at, Step::Validated, "");
    if revision.rewritten {
        let message = format!(
            "the branch no longer holds the commit before; {} is taken as it is",
            revision.commit.sha.short()
        );
        let subject = Subject::source(&revision.source);
        draft.event(EventType::Warning, subject, "HistoryRewritten", message);
    }
}

/// Rejects a release; what was desired before stays desired.
fn reject(draft: &mut Draft<'_>, release: &mut Release, problems: &[Problem]) {
    let errors: Vec<&Problem> =
        problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
    let reason = match errors.as_slice() {
        [] => "its manifests cannot be read".to_owned(),
        [only] => only.to_string(),
        [first, ..] => format!("{} errors; the first: {first}", errors.len()),
    };
    release.verdict = Verdict::Rejected;
    release.finished_at = Some(draft.now);
    let now = draft.now;
    draft.tell((&release.source, &release.commit.sha), now, Step::Rejected, &reason);
    let message = format!("{}: {reason}; what runs stays", release.commit.sha.short());
    draft.event(EventType::Warning, Subject::source(&release.source), "Rejected", message);
    release.reason = Some(reason);
}

/// Holds a release: nothing of it is applied, and a release that still rolls goes on.
fn hold(draft: &mut Draft<'_>, release: &mut Release, reason: String) {
    let now = draft.now;
    draft.tell((&release.source, &release.commit.sha), now, Step::Held, &reason);
    let message = format!("{}: {reason}; what runs stays", release.commit.sha.short());
    draft.event(EventType::Warning, Subject::source(&release.source), "Held", message);
    release.verdict = Verdict::Held;
    release.reason = Some(reason);
}

/// Closes the source's open releases of these verdicts: this one takes their place.
fn supersede(draft: &mut Draft<'_>, release: &Release, verdicts: &[Verdict]) {
    let reason = format!("{} came before it was done", release.commit.sha.short());
    close(draft, &release.source, &reason, |other| {
        other.id != release.id && verdicts.contains(&other.verdict)
    });
}

/// Closes those of a source's releases that are chosen: something took their place.
pub(super) fn close(
    draft: &mut Draft<'_>,
    source: &SourceName,
    reason: &str,
    is_chosen: impl Fn(&Release) -> bool,
) {
    let releases = draft.world.releases.values();
    let overtaken: Vec<Arc<Release>> = releases
        .filter(|release| release.source == *source && is_chosen(release))
        .cloned()
        .collect();
    for other in overtaken {
        let now = draft.now;
        draft.tell((&other.source, &other.commit.sha), now, Step::Superseded, reason);
        draft.push(Change::PutRelease(Arc::new(Release {
            verdict: Verdict::Superseded,
            reason: Some(reason.to_owned()),
            finished_at: Some(now),
            ..(*other).clone()
        })));
    }
}

/// Writes what a commit declares over the source's earlier objects, and says what differed. Looked at is
/// what is in question, which holds nothing of other sources.
pub(super) fn make_desired(
    draft: &mut Draft<'_>,
    source: &Source,
    sha: &CommitSha,
    objects: &DeclaredObjects,
    in_question: &BTreeSet<ObjectId>,
) -> BTreeSet<ObjectId> {
    let mut touched = BTreeSet::new();
    for id in in_question.iter().filter(|id| !objects.contains_key(*id)) {
        let Some(row) = draft.world.objects.get(id).cloned() else { continue };
        if row.source == source.name && !row.orphaned {
            way_back::remember(draft, source, id);
            remove(draft, &row);
            touched.insert(id.clone());
        }
    }
    for id in in_question {
        let Some(declared) = objects.get(id) else { continue };
        let known = draft.world.objects.get(id).cloned();
        let made = known.as_ref().map(|known| as_made(&known.declared, declared));
        let declared = made.as_ref().unwrap_or(declared);
        let is_as_asked =
            |known: &Arc<StoredObject>| same(&known.declared, declared) && !known.orphaned;
        if known.as_ref().is_some_and(is_as_asked) {
            continue;
        }
        // What left and is not gone yet goes on as what comes back.
        let earlier = known.clone().or_else(|| pruning::to_go_on(&draft.world, &source.name, id));
        let judged = earlier.as_ref().and_then(|row| draft.world.rollouts.get(&row.uid));
        let generation = judged.map_or(0, |rollout| rollout.generation);
        let generation = earlier.as_ref().map_or(0, |row| row.generation).max(generation) + 1;
        let row = StoredObject {
            uid: earlier.as_ref().map_or_else(|| ObjectUid(draft.ids.next_uuid()), |row| row.uid),
            source: source.name.clone(),
            sha: sha.clone(),
            generation,
            created_at: earlier.as_ref().map_or(draft.now, |row| row.created_at),
            orphaned: false,
            declared: Arc::clone(declared),
        };
        way_back::remember(draft, source, id);
        if known.is_none() {
            storage::tell_declared(draft, &row);
            cron_jobs::come_back(draft, &row);
        }
        draft.push(Change::PutObject(Arc::new(row)));
        touched.insert(id.clone());
    }
    touched
}

/// Takes away what left Git, unless it asks to stay.
fn remove(draft: &mut Draft<'_>, row: &StoredObject) {
    let id = row.declared.id();
    if row.declared.policy.prune == Prune::Disabled {
        let message = "it left Git, and stays as its annotation dugout.dev/prune asks";
        draft.event(EventType::Normal, Subject::object(&id), "Orphaned", message);
        draft.push(Change::PutObject(Arc::new(StoredObject { orphaned: true, ..row.clone() })));
    } else {
        draft.push(Change::DeleteObject(id));
    }
}

fn same(known: &Arc<DeclaredObject>, declared: &Arc<DeclaredObject>) -> bool {
    // What was filled in must be known for what is made once.
    let is_known = || !is_made_once(&declared.spec) || known.written == declared.written;
    Arc::ptr_eq(known, declared) || known.asks_same(declared) && is_known()
}

/// The release becomes what the source wants.
fn start(draft: &mut Draft<'_>, source: &Source, release: &Release) {
    let now = draft.now;
    gate::give_up(draft, &source.name);
    let mut source = source.clone();
    let is_as_healthy =
        source.status.healthy.is_some() && !way_back::differs_from_healthy(draft, &source);
    let scope = if is_as_healthy { GateScope::Workload } else { GateScope::Release };
    source.status.gate = PullGate::Unasked { release: release.id, scope };
    source.status.applied = Some(release.commit.sha.clone());
    source.status.approved = None;
    // What a person lets pass after all is not taken back.
    source.status.owed_revert = None;
    draft.push(Change::PutSource(Arc::new(source)));
    way_back::give_fresh_deadlines(draft, &release.source);
    let message = match release.touched.len() {
        0 => "it changes no object".to_owned(),
        1 => "it changes 1 object".to_owned(),
        count => format!("it changes {count} objects"),
    };
    draft.tell((&release.source, &release.commit.sha), now, Step::Applied, message);
}
