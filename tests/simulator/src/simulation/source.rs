//! The source's loop: it looks at the branch when a bell rings or its time has come, pays the revert that
//! is owed, and hands over what the branch ends with. It lives and dies with its server.

use std::time::Duration;

use dugout_model::{
    Commit, CommitSha, Drift, Fact, NotPushed, NoticedBy, OwedRevert, RevertOutcome, Revision,
    RevisionContent, RevisionHops, SourceCondition, SourceDeclaration, SourceName, Timestamp,
};

use super::{SOURCE, Simulation};
use crate::CrashPoint;
use crate::bugs::Bug;
use crate::events::{Alarm, Event, Life};
use crate::rules::Rule;
use crate::scenario::what_can_be_read;

const POLL: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(5);

/// What a loop remembers. All of it may be lost.
#[derive(Default)]
pub(super) struct SourceLoop {
    life: Option<Life>,
    pub alarm: Alarm,
    handed_over: Option<CommitSha>,
    /// The failed commit whose revert was tried last, and when it is tried again.
    tried: Option<(CommitSha, Timestamp)>,
}

/// How a push of ours ends.
enum Push {
    Done,
    /// It has its effect, and the answer is lost.
    AnswerLost,
    Fails,
    /// The branch takes none of ours.
    Protected,
}

impl Simulation {
    /// A loop of its own begins with each server.
    pub(super) fn begin_source(&mut self, life: Life) {
        self.source = SourceLoop { life: Some(life), ..SourceLoop::default() };
        self.ring(Duration::from_millis(5));
    }

    /// Has the loop look at the branch soon.
    pub(super) fn ring(&mut self, after: Duration) {
        let Some(life) = self.source.life else { return };
        if let Some(at) = self.source.alarm.set(self.now + after) {
            self.queue.push(at, Event::SourceLooks(life));
        }
    }

    /// One look of the loop, if its server still leads.
    pub(super) fn look_at_branch(&mut self, life: Life) {
        let leads = self.server.as_ref().is_some_and(|server| server.life == life);
        let now = self.now;
        if !leads || self.source.life != Some(life) || !self.source.alarm.rings(now) {
            return;
        }
        let wait = if self.is_faulty() && self.faults.one_in(15) {
            let message = "the repository does not answer".to_owned();
            self.say(None, SourceCondition::Unreachable { message });
            RETRY
        } else {
            self.pay();
            self.follow();
            POLL
        };
        self.ring(wait);
    }

    /// What is owed and has not been tried for a while.
    fn owed(&self) -> Option<OwedRevert> {
        let world = self.server.as_ref()?.world();
        let owed = world.sources.get(&SourceName::new(SOURCE))?.status.owed_revert.clone()?;
        let is_due = self
            .source
            .tried
            .as_ref()
            .is_none_or(|(failed, again_at)| *failed != owed.failed || *again_at <= self.now);
        is_due.then_some(owed)
    }

    /// Wakes the loop when something else is owed than what it has tried already.
    pub(super) fn ring_for_owed(&mut self) {
        let tried = self.source.tried.as_ref().map(|(failed, _)| failed.clone());
        if self.owed().is_some_and(|owed| Some(owed.failed) != tried) {
            self.ring(Duration::from_millis(5));
        }
    }

    /// Brings the revert commit that is owed to the branch, while that ends with what failed.
    fn pay(&mut self) {
        let Some(owed) = self.owed() else { return };
        if self.git.head.as_ref() != Some(&owed.failed) {
            return;
        }
        self.source.tried = Some((owed.failed.clone(), self.now + RETRY));
        let crash = self.effect();
        if crash.is_some_and(|crash| !crash.after) {
            return self.kill_server();
        }
        let push = match self.is_faulty().then(|| self.faults.below(12)) {
            Some(0 | 1) => Push::Fails,
            Some(2) => Push::AnswerLost,
            Some(3) => Push::Protected,
            _ => Push::Done,
        };
        self.push_revert(&owed, push);
        if crash.is_some_and(|crash: CrashPoint| crash.after) {
            self.kill_server();
        }
    }

    fn push_revert(&mut self, owed: &OwedRevert, push: Push) {
        let source = SourceName::new(SOURCE);
        let why = match push {
            Push::Done | Push::AnswerLost => {
                self.note(format!("a revert of {} is pushed", owed.failed.short()));
                self.git.revert(&source, owed);
                if self.bug == Some(Bug::RevertPushedTwice) {
                    self.git.revert(&source, owed);
                }
                if let Some(sha) = self.git.reverted_twice() {
                    let why = format!("{} is taken back twice", sha.short());
                    self.note_broken(Err(Rule::RevertsComeOnce.broken(why)));
                }
                match push {
                    Push::AnswerLost => NotPushed::Yet { message: "no answer came".to_owned() },
                    _ => return,
                }
            }
            Push::Fails => NotPushed::Yet { message: "the remote does not answer".to_owned() },
            Push::Protected => NotPushed::Ever(RevertOutcome::OnBranch {
                branch: "dugout/revert".to_owned(),
                message: "the branch is protected".to_owned(),
            }),
        };
        let failed = owed.failed.clone();
        self.serve(vec![Fact::RevertNotPushed { source, failed, why }]);
    }

    /// Hands over what the branch ends with, unless that was done.
    fn follow(&mut self) {
        let Some(head) = self.git.head.clone() else { return };
        if self.source.handed_over.as_ref() == Some(&head) {
            return self.say(Some(head), SourceCondition::Readable);
        }
        let Some(revision) = self.read(&head) else { return };
        let seen = Fact::SourceSeen {
            source: SourceName::new(SOURCE),
            head: Some(head.clone()),
            condition: SourceCondition::Readable,
        };
        let life = self.source.life;
        self.serve(vec![seen, Fact::Revision(Box::new(revision))]);
        // A turn that did not become durable is none.
        if self.server.as_ref().map(|server| server.life) == life {
            self.source.handed_over = Some(head);
        }
    }

    fn say(&mut self, head: Option<CommitSha>, condition: SourceCondition) {
        self.serve(vec![Fact::SourceSeen { source: SourceName::new(SOURCE), head, condition }]);
    }

    fn read(&self, sha: &CommitSha) -> Option<Revision> {
        let commit = self.git.get(sha)?;
        let before = self.source.handed_over.as_ref();
        let is_read_over_errors = self.bug == Some(Bug::RejectedPartlyApplied);
        let content = match &commit.content {
            RevisionContent::Problems(_) if is_read_over_errors => what_can_be_read(),
            content => content.clone(),
        };
        Some(Revision {
            source: SourceName::new(SOURCE),
            commit: Commit {
                sha: sha.clone(),
                author: "Ada <ada@example.com>".to_owned(),
                message: commit.message.clone(),
                committed_at: self.now,
                parents: commit.parent.iter().cloned().collect(),
            },
            content,
            hops: RevisionHops {
                noticed_by: NoticedBy::Webhook,
                noticed_at: self.now,
                fetched_at: self.now,
                validated_at: self.now,
            },
            rewritten: before.is_some_and(|before| !self.git.descends(sha, before)),
            since: None,
        })
    }

    pub(super) fn declaration(&self) -> SourceDeclaration {
        SourceDeclaration {
            name: SourceName::new(SOURCE),
            url: "file:///shop.git".to_owned(),
            branch: "main".to_owned(),
            path: String::new(),
            poll_interval: POLL,
            on_failure: self.scenario.on_failure,
            drift: Drift::default(),
        }
    }
}
