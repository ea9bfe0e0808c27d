//! The revert commit that a source owes after a release went back by itself: made on top of the failed
//! commit alone, pushed, and tried again while it cannot be pushed. Once the branch has it, or has
//! anything else, it is the next revision that says so.

use std::sync::Arc;
use std::time::Duration;

use dugout_gitsync::{Onto, Place, RevertProblem, RevertRequest, Reverted};
use dugout_model::{
    CommitSha, Fact, NotPushed, OwedRevert, RevertOutcome, SourceName, Timestamp, World, chain,
};

use crate::rollback::author;
use crate::sources::SharedMirror;

/// How long one attempt may take. The source's loop waits for it, so that a newer commit is not seen in
/// the meantime.
const ATTEMPT_DEADLINE: Duration = Duration::from_secs(15);

/// How long to wait after a first attempt that failed; twice as long after each further one.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The attempts so far at one revert.
pub(crate) struct Attempts {
    failed: CommitSha,
    count: u32,
    next_at: Timestamp,
}

impl Attempts {
    /// Those at another revert are over.
    pub fn is_due(attempts: Option<&Attempts>, owed: &OwedRevert, now: Timestamp) -> bool {
        attempts.is_none_or(|past| past.failed != owed.failed || past.next_at <= now)
    }

    /// How long until the next one at this revert. One that is due already rides with the next look.
    pub fn wait(&self, owed: &OwedRevert, now: Timestamp) -> Option<Duration> {
        let wait = self.next_at.since(now);
        (self.failed == owed.failed && !wait.is_zero()).then_some(wait)
    }

    /// One more, that just failed.
    pub fn after(before: Option<Attempts>, owed: &OwedRevert, now: Timestamp) -> Attempts {
        let count = before.filter(|past| past.failed == owed.failed).map_or(0, |past| past.count);
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(count)).min(LONGEST_WAIT);
        Attempts { failed: owed.failed.clone(), count: count + 1, next_at: now + wait }
    }
}

/// What a source owes and may pay now: one that is suspended changes neither the cluster by its commits
/// nor the branch, until it is resumed.
pub(crate) fn owed<'a>(world: &'a World, source: &SourceName) -> Option<&'a OwedRevert> {
    let source = world.sources.get(source).filter(|source| !source.suspended)?;
    source.status.owed_revert.as_ref()
}

/// What came of one attempt.
pub(crate) enum Attempt {
    /// The branch is another than it was: look at it again.
    BranchMoved,
    NotPushed(NotPushed),
    Interrupted,
}

/// Makes the commit and pushes it, on a thread that may block.
pub(crate) async fn attempt(mirror: Arc<SharedMirror>, owed: OwedRevert, at: Timestamp) -> Attempt {
    let work = move || {
        let opened = match mirror.open() {
            Ok(opened) => opened,
            Err(error) => return Attempt::NotPushed(NotPushed::Yet { message: chain(&error) }),
        };
        let source = mirror.config.name().clone();
        let aside = format!("dugout/revert-{source}-{}", owed.failed.short());
        let request = RevertRequest {
            source,
            to: owed.to,
            onto: Onto::Only { head: owed.failed.clone(), aside },
            path: mirror.config.declaration.path.clone(),
            reason: owed.reason,
            author: author(),
            at,
            deadline: ATTEMPT_DEADLINE,
        };
        let content = mirror.declared(Arc::clone(&opened));
        came_of(opened.revert(request, content))
    };
    tokio::task::spawn_blocking(work).await.unwrap_or(Attempt::Interrupted)
}

fn came_of(reverted: Result<Reverted, RevertProblem>) -> Attempt {
    match reverted {
        Ok(Reverted { place: Place::OnBranch, .. }) | Err(RevertProblem::BranchMovedOn { .. }) => {
            Attempt::BranchMoved
        }
        Ok(Reverted { place: Place::Aside { branch, message }, .. }) => {
            Attempt::NotPushed(NotPushed::Ever(RevertOutcome::OnBranch { branch, message }))
        }
        Err(problem) if problem.is_passing() => {
            Attempt::NotPushed(NotPushed::Yet { message: chain(&problem) })
        }
        Err(problem) => {
            Attempt::NotPushed(NotPushed::Ever(RevertOutcome::Refused { message: chain(&problem) }))
        }
    }
}

/// The fact that tells of it.
pub(crate) fn told(source: &SourceName, failed: &CommitSha, why: NotPushed) -> Fact {
    Fact::RevertNotPushed { source: source.clone(), failed: failed.clone(), why }
}

#[cfg(test)]
mod tests {
    use dugout_model::{
        Change, ClusterId, Drift, OnFailure, Source, SourceCondition, SourceStatus,
    };

    use super::*;

    #[test]
    fn a_suspended_source_pays_when_it_is_resumed() {
        let owes = OwedRevert {
            failed: CommitSha::new("bad"),
            to: CommitSha::new("good"),
            reason: String::new(),
            delayed_by: None,
        };
        let name = SourceName::new("shop");
        let with = |suspended| {
            let mut world = World::empty(ClusterId(uuid::Uuid::from_u128(1)));
            let source = Source {
                name: name.clone(),
                url: "file:///shop.git".to_owned(),
                branch: "main".to_owned(),
                path: String::new(),
                poll_interval: Duration::from_secs(30),
                on_failure: OnFailure::Revert,
                drift: Drift::Correct,
                suspended,
                status: SourceStatus {
                    head: None,
                    applied: None,
                    gate: dugout_model::PullGate::Open,
                    healthy: None,
                    condition: SourceCondition::Readable,
                    since: Timestamp::default(),
                    failure: None,
                    approved: None,
                    owed_revert: Some(owes.clone()),
                    failed_contents: Vec::new(),
                },
            };
            world.apply(&Change::PutSource(Arc::new(source)));
            world
        };
        assert_eq!(owed(&with(true), &name), None);
        assert_eq!(owed(&with(false), &name), Some(&owes));
    }

    #[test]
    fn attempts_wait_ever_longer_and_those_at_another_revert_do_not_count() {
        let owed = |failed: &str| OwedRevert {
            failed: CommitSha::new(failed),
            to: CommitSha::new("good"),
            reason: String::new(),
            delayed_by: None,
        };
        let (one, other) = (owed("one"), owed("other"));
        let now = Timestamp::default();
        assert!(Attempts::is_due(None, &one, now));
        let mut attempts = None;
        let mut waits = Vec::new();
        for _ in 0..9 {
            let after = Attempts::after(attempts, &one, now);
            waits.push(after.next_at.since(now).as_secs());
            attempts = Some(after);
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert!(!Attempts::is_due(attempts.as_ref(), &one, now + Duration::from_secs(299)));
        assert!(Attempts::is_due(attempts.as_ref(), &one, now + Duration::from_secs(300)));
        assert!(Attempts::is_due(attempts.as_ref(), &other, now));
        assert_eq!(Attempts::after(attempts, &other, now).next_at.since(now).as_secs(), 5);
    }
}
