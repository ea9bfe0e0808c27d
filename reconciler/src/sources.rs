//! Source loops: each looks at one branch whenever a bell rings or its poll is due, and hands the
//! engine what it finds there.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dugout_gitsync::{
    Credentials, Doorbell, FetchProblem, Fetched, GitError, Location, Mirror, PollSchedule, Remote,
    Ring, Watch,
};
use dugout_manifest::Policy;
use dugout_model::{
    CommitSha, Fact, NoticedBy, Revision, RevisionHops, SourceCondition, SourceDeclaration,
    SourceName, Timestamp, Verdict, World, chain,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::declared::Declared;
use crate::handle::{EngineHandle, Leading, NotCommitted};
use crate::metrics::SourceMetrics;
use crate::owed::{self, Attempt, Attempts};
use crate::publish::Publisher;
use crate::read::{ReadCache, ReadCommit, read_commit};

/// How long one look at a remote may take.
const FETCH_DEADLINE: Duration = Duration::from_secs(60);

/// How long a loop waits after a failure, at first.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// How long a loop waits before it asks again whether this server leads.
const STANDBY_INTERVAL: Duration = Duration::from_millis(250);

/// A source with what it takes to reach it.
#[derive(Clone)]
pub struct SourceConfig {
    pub declaration: SourceDeclaration,
    /// The declaration's URL, read.
    pub location: Location,
    pub credentials: Credentials,
    /// How its manifests are read.
    pub policy: Policy,
}

impl SourceConfig {
    pub fn name(&self) -> &SourceName {
        &self.declaration.name
    }

    fn remote(&self) -> Remote {
        Remote {
            location: self.location.clone(),
            branch: self.declaration.branch.clone(),
            credentials: self.credentials.clone(),
        }
    }
}

/// A source's mirror, opened when it is first needed and shared by the loop and by rollbacks.
pub(crate) struct SharedMirror {
    pub config: SourceConfig,
    pub dir: PathBuf,
    // The lock is held while the mirror is opened, so that it is opened once.
    opened: Mutex<Option<Arc<Mirror>>>,
}

impl SharedMirror {
    pub fn new(config: SourceConfig, dir: PathBuf) -> Self {
        Self { config, dir, opened: Mutex::new(None) }
    }

    /// Blocks while the mirror is opened.
    pub fn open(&self) -> Result<Arc<Mirror>, GitError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mirror) = &*opened {
            return Ok(Arc::clone(mirror));
        }
        let mirror = Arc::new(Mirror::open(&self.dir, self.config.remote())?);
        *opened = Some(Arc::clone(&mirror));
        Ok(mirror)
    }

    /// What the commits in the mirror declare.
    pub fn declared(&self, mirror: Arc<Mirror>) -> Declared {
        let SourceConfig { declaration, policy, .. } = &self.config;
        Declared { mirror, path: declaration.path.clone(), policy: policy.clone() }
    }
}

/// One source's loop.
pub(crate) struct SourceLoop {
    /// Set after the first look.
    pub looked: watch::Sender<bool>,
    pub mirror: Arc<SharedMirror>,
    pub doorbell: Arc<Doorbell>,
    pub engine: EngineHandle,
    pub publisher: Arc<Publisher>,
    pub clock: Arc<dyn Clock>,
    pub metrics: SourceMetrics,
}

/// What a branch ends with.
struct Head {
    sha: CommitSha,
    rewritten: bool,
    fetched_at: Timestamp,
}

/// What a look at a branch found.
enum Look {
    /// The branch cannot be used, for this reason.
    Unusable {
        condition: SourceCondition,
        outcome: &'static str,
    },
    Head {
        sha: CommitSha,
        rewritten: bool,
        moved: bool,
    },
}

/// How a pass ended that said all there is to say.
#[derive(Debug, PartialEq, Eq)]
enum Passed {
    /// The engine has what the branch ends with.
    Followed,
    /// What is there cannot be used, and the engine was told why.
    Unusable,
}

/// Why a pass ended early.
#[derive(Debug)]
enum PassError {
    NotCommitted(NotCommitted),
    /// The blocking part of the pass did not come back.
    Interrupted,
}

impl From<NotCommitted> for PassError {
    fn from(error: NotCommitted) -> Self {
        PassError::NotCommitted(error)
    }
}

/// What a loop remembers between passes. All of it can be lost: it only saves work.
#[derive(Default)]
struct Memory {
    /// The last commit that was handed to the engine and committed by it.
    handed_over: Option<CommitSha>,
    /// What was last said of the branch.
    said: Option<(Option<CommitSha>, SourceCondition)>,
    read: ReadCache,
    /// Passes in a row that did not get to their end, wherever they failed.
    failures: u32,
    /// At the revert that is owed.
    attempts: Option<Attempts>,
    /// The failed commit for whose revert the loop was woken.
    woken_for: Option<CommitSha>,
}

impl Memory {
    fn count(&mut self, passed: &Result<Passed, PassError>) {
        self.failures = match passed {
            Ok(Passed::Followed) => 0,
            Ok(Passed::Unusable) | Err(_) => self.failures.saturating_add(1),
        };
    }
}

impl SourceLoop {
    /// Runs until shutdown. A pass that fails changes nothing and is tried again.
    pub async fn run(self, shutdown: CancellationToken) {
        let declaration = self.mirror.config.declaration.clone();
        self.metrics.follows(declaration.name.as_str(), declaration.poll_interval);
        let _watch = self.watch();
        let schedule = PollSchedule::new(declaration.poll_interval);
        let retry = PollSchedule::new(declaration.poll_interval.min(RETRY_INTERVAL));
        let mut memory = Memory::default();
        let mut led = false;
        let mut delay = Duration::ZERO;
        loop {
            let ring = tokio::select! {
                () = shutdown.cancelled() => return,
                ring = self.doorbell.rung() => ring,
                failed = self.until_owed(memory.woken_for.as_ref()), if led => {
                    memory.woken_for = Some(failed);
                    Ring { noticed_by: NoticedBy::Poll, at: self.clock.now() }
                }
                () = tokio::time::sleep(delay) => {
                    let noticed_by = if led { NoticedBy::Poll } else { NoticedBy::Start };
                    Ring { noticed_by, at: self.clock.now() }
                }
            };
            if self.engine.leading() != Leading::Here {
                // Whoever leads next starts from what is durable; so does this loop.
                led = false;
                memory = Memory { read: std::mem::take(&mut memory.read), ..Memory::default() };
                delay = STANDBY_INTERVAL;
                continue;
            }
            led = true;
            if ring.noticed_by == NoticedBy::Operator {
                memory.handed_over = None;
            }
            // A look that hangs at a silent remote is left behind: it changes nothing by itself.
            let passed = tokio::select! {
                () = shutdown.cancelled() => return,
                passed = self.pass(&mut memory, ring) => passed,
            };
            memory.count(&passed);
            match passed {
                Ok(_) => {
                    self.looked.send_if_modified(|looked| !std::mem::replace(looked, true));
                }
                Err(PassError::NotCommitted(error)) => {
                    tracing::warn!(source = %declaration.name, error = %chain(&error), "what was read is not committed; it will be read again");
                }
                Err(PassError::Interrupted) => {
                    tracing::error!(source = %declaration.name, "reading the repository failed unexpectedly; it will be tried again");
                }
            }
            // After a failure the first tries come soon, also where polls are rare.
            let schedule = if memory.failures > 0 { retry } else { schedule };
            delay = schedule.next_delay(memory.failures.saturating_sub(1), rand::random());
            let owed = owed::owed(&self.publisher.world(), &declaration.name).cloned();
            if let (Some(attempts), Some(owed)) = (&memory.attempts, owed) {
                delay = delay.min(attempts.wait(&owed, self.clock.now()).unwrap_or(delay));
            }
        }
    }

    /// Wakes the loop at changes of a repository on this machine. Without it, polling finds them.
    fn watch(&self) -> Option<Watch> {
        let path = self.mirror.config.location.local_path()?;
        let clock = Arc::clone(&self.clock);
        match Watch::start(path, Arc::clone(&self.doorbell), move || clock.now()) {
            Ok(watch) => Some(watch),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "the repository cannot be watched; it is polled");
                None
            }
        }
    }

    /// Returns when another revert commit is owed than the one for which the loop was woken before. Later
    /// attempts ride with the polls.
    async fn until_owed(&self, woken_for: Option<&CommitSha>) -> CommitSha {
        let mut worlds = self.publisher.worlds();
        let new = |world: &World| {
            let owed = owed::owed(world, self.mirror.config.name());
            owed.map(|owed| owed.failed.clone()).filter(|failed| woken_for != Some(failed))
        };
        loop {
            let failed = new(&worlds.borrow_and_update());
            if let Some(failed) = failed {
                return failed;
            }
            if worlds.changed().await.is_err() {
                // Nothing is published any more; the shutdown ends the loop.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Brings the revert commit that the source owes to its branch. Says whether the branch is to be
    /// looked at again.
    async fn pay(&self, memory: &mut Memory, head: &CommitSha) -> Result<bool, PassError> {
        let world = self.publisher.world();
        let name = self.mirror.config.name();
        let now = self.clock.now();
        let owed = owed::owed(&world, name).filter(|owed| owed.failed == *head);
        let owed = owed.filter(|owed| Attempts::is_due(memory.attempts.as_ref(), owed, now));
        let Some(owed) = owed.cloned() else { return Ok(false) };
        memory.attempts = Some(Attempts::after(memory.attempts.take(), &owed, now));
        match owed::attempt(Arc::clone(&self.mirror), owed.clone(), now).await {
            Attempt::BranchMoved => Ok(true),
            Attempt::NotPushed(why) => {
                tracing::warn!(source = %name, failed = %owed.failed, ?why, "the revert commit is not on the branch");
                self.engine.submit(vec![owed::told(name, &owed.failed, why)]).await?;
                Ok(false)
            }
            Attempt::Interrupted => Err(PassError::Interrupted),
        }
    }

    async fn pass(&self, memory: &mut Memory, ring: Ring) -> Result<Passed, PassError> {
        self.declare().await?;
        let Some(mut head) = self.look_and_tell(memory).await? else {
            return Ok(Passed::Unusable);
        };
        let mut ring = ring;
        if self.pay(memory, &head.sha).await? {
            // What is there now came after whatever rang.
            ring = Ring { noticed_by: NoticedBy::Poll, at: self.clock.now() };
            let Some(next) = self.look_and_tell(memory).await? else {
                return Ok(Passed::Unusable);
            };
            head = next;
        }
        self.follow(memory, head, ring).await
    }

    /// Looks at the branch. One that cannot be used is told at once.
    async fn look_and_tell(&self, memory: &mut Memory) -> Result<Option<Head>, PassError> {
        let name = self.mirror.config.name();
        let started = Instant::now();
        let look = self.look().await?;
        let now = self.clock.now();
        match look {
            Look::Unusable { condition, outcome } => {
                self.metrics.fetched(name.as_str(), outcome, started, now);
                self.say(memory, None, condition).await?;
                Ok(None)
            }
            Look::Head { sha, rewritten, moved } => {
                let outcome = if moved { "moved" } else { "unchanged" };
                self.metrics.fetched(name.as_str(), outcome, started, now);
                Ok(Some(Head { sha, rewritten, fetched_at: now }))
            }
        }
    }

    /// Hands over what the branch ends with, unless that was done.
    async fn follow(
        &self,
        memory: &mut Memory,
        head: Head,
        ring: Ring,
    ) -> Result<Passed, PassError> {
        if memory.handed_over.as_ref() == Some(&head.sha) || self.is_known(&head.sha) {
            memory.handed_over = Some(head.sha.clone());
            self.say(memory, Some(head.sha), SourceCondition::Readable).await?;
            return Ok(Passed::Followed);
        }
        self.hand_over(memory, head, ring).await
    }

    /// Reads a commit and hands it to the engine, with what the branch looks like.
    async fn hand_over(
        &self,
        memory: &mut Memory,
        Head { sha: head, rewritten, fetched_at }: Head,
        ring: Ring,
    ) -> Result<Passed, PassError> {
        let ReadCommit { commit, content, since } = match self.read(memory, &head).await? {
            Ok(read) => read,
            Err(condition) => {
                self.say(memory, Some(head), condition).await?;
                return Ok(Passed::Unusable);
            }
        };
        let name = self.mirror.config.declaration.name.clone();
        let hops = RevisionHops {
            noticed_by: ring.noticed_by,
            noticed_at: ring.at,
            fetched_at,
            validated_at: self.clock.now(),
        };
        let revision = Revision { source: name.clone(), commit, content, hops, rewritten, since };
        let seen = Fact::SourceSeen {
            source: name,
            head: Some(head.clone()),
            condition: SourceCondition::Readable,
        };
        let submitted = self.engine.submit(vec![seen, Fact::Revision(Box::new(revision))]).await;
        if let Err(NotCommitted::Refused) = submitted {
            // Else nothing but the log would say why a commit is not acted on.
            let message = format!(
                "commit {} was read, and the plan that follows from it was refused, which is a defect of Dugout: the server's log says what is wrong with it",
                head.short()
            );
            self.say(memory, Some(head), SourceCondition::NotPlanned { message }).await?;
            return Err(NotCommitted::Refused.into());
        }
        submitted?;
        memory.said = Some((Some(head.clone()), SourceCondition::Readable));
        memory.handed_over = Some(head);
        Ok(Passed::Followed)
    }

    /// Makes the source known to the engine, as the command line gives it.
    async fn declare(&self) -> Result<(), PassError> {
        let wanted = &self.mirror.config.declaration;
        let world = self.publisher.world();
        let known = world.sources.get(&wanted.name).is_some_and(|row| {
            row.url == wanted.url
                && row.branch == wanted.branch
                && row.path == wanted.path
                && row.poll_interval == wanted.poll_interval
                && row.on_failure == wanted.on_failure
                && row.drift == wanted.drift
        });
        if !known {
            self.engine.submit(vec![Fact::SourceDeclared(wanted.clone())]).await?;
        }
        Ok(())
    }

    /// Whether the newest release is of this commit and has no need of being handed over again.
    fn is_known(&self, head: &CommitSha) -> bool {
        let world = self.publisher.world();
        let name = &self.mirror.config.declaration.name;
        let Some(source) = world.sources.get(name) else { return false };
        // A source that is another place from now on has no head yet.
        let seen = source.status.head.as_ref() == Some(head);
        let may_go_on = match world.newest_release(name) {
            Some(release) if release.commit.sha == *head => match release.verdict {
                Verdict::Pending => !source.suspended,
                Verdict::Held => source.status.approved.as_ref() == Some(head),
                _ => false,
            },
            _ => true,
        };
        seen && !may_go_on
    }

    /// Tells the engine what the branch looks like, when that is news.
    async fn say(
        &self,
        memory: &mut Memory,
        head: Option<CommitSha>,
        condition: SourceCondition,
    ) -> Result<(), PassError> {
        let news = (head, condition);
        if memory.said.as_ref() == Some(&news) {
            return Ok(());
        }
        let fact = Fact::SourceSeen {
            source: self.mirror.config.declaration.name.clone(),
            head: news.0.clone(),
            condition: news.1.clone(),
        };
        self.engine.submit(vec![fact]).await?;
        memory.said = Some(news);
        Ok(())
    }

    async fn look(&self) -> Result<Look, PassError> {
        let mirror = Arc::clone(&self.mirror);
        let work = move || match mirror.open() {
            Ok(opened) => look_at(&opened),
            Err(error) => Look::Unusable {
                condition: SourceCondition::Unreachable { message: chain(&error) },
                outcome: "mirror",
            },
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| PassError::Interrupted)
    }

    /// Reads a commit on a thread that may block.
    async fn read(
        &self,
        memory: &mut Memory,
        head: &CommitSha,
    ) -> Result<Result<ReadCommit, SourceCondition>, PassError> {
        let (mirror, head) = (Arc::clone(&self.mirror), head.clone());
        let mut cache = std::mem::take(&mut memory.read);
        let work = move || {
            let read = match mirror.open() {
                Ok(opened) => {
                    let SourceConfig { declaration, policy, .. } = &mirror.config;
                    read_commit(&opened, &head, &declaration.path, policy, &mut cache)
                        .map_err(|error| error.condition())
                }
                Err(error) => Err(SourceCondition::Unreachable { message: chain(&error) }),
            };
            (read, cache)
        };
        let (read, cache) =
            tokio::task::spawn_blocking(work).await.map_err(|_| PassError::Interrupted)?;
        memory.read = cache;
        Ok(read)
    }
}

fn look_at(mirror: &Mirror) -> Look {
    match mirror.fetch(FETCH_DEADLINE) {
        Ok(Fetched::Unchanged { head }) => Look::Head { sha: head, rewritten: false, moved: false },
        Ok(Fetched::Moved { head, rewritten, .. }) => {
            Look::Head { sha: head, rewritten, moved: true }
        }
        Err(problem) => {
            if let FetchProblem::BrokenOff { .. } = problem {
                tracing::error!(error = %chain(&problem), "a repository could not be looked at, through no fault of its own; it will be tried again");
            }
            Look::Unusable { condition: problem.condition(), outcome: outcome(&problem) }
        }
    }
}

/// Why a fetch brought nothing, in one word for the metric.
fn outcome(problem: &FetchProblem) -> &'static str {
    match problem {
        FetchProblem::BranchMissing { .. } => "branch-missing",
        FetchProblem::Corrupt { .. } => "corrupt",
        FetchProblem::AuthenticationFailed { .. } => "authentication-failed",
        FetchProblem::DeadlineExceeded { .. } => "deadline-exceeded",
        FetchProblem::BrokenOff { .. } => "broken-off",
        _ => "unreachable",
    }
}

#[cfg(test)]
mod tests;
