//! What a commit would do, read from the source's repository and looked ahead from what there is now.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dugout_gitsync::{FetchProblem, Fetched, GitError, Mirror, Remote};
use dugout_model::{
    CommitSha, Foreseen, NoticedBy, Revision, RevisionHops, SourceName, Timestamp, World,
};
use dugout_planner::{Settings, forecast};

use tokio::sync::OwnedMutexGuard;

use crate::read::{ReadCache, ReadProblem, read_commit};
use crate::sources::SharedMirror;

/// How long a branch that is not followed may take to come.
const FETCH_DEADLINE: Duration = Duration::from_secs(60);

/// Why nothing can be said of a commit.
#[derive(Debug, thiserror::Error)]
pub enum ForecastError {
    #[error("there is no source named {source_name}")]
    UnknownSource { source_name: SourceName },
    #[error("source {source_name} was not read yet")]
    NotReadYet { source_name: SourceName },
    #[error("the source's mirror cannot be used")]
    Mirror(#[source] GitError),
    #[error("'{reference}' names no commit that was fetched, and no branch that can be fetched")]
    Reference {
        reference: String,
        #[source]
        why: FetchProblem,
    },
    #[error("the commit cannot be read")]
    Read(#[source] ReadFailed),
    #[error("looking ahead ended unexpectedly; the server's log says why")]
    Interrupted,
}

/// What of the repository cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ReadFailed(ReadProblem);

/// From where and with what it is looked ahead.
pub(crate) struct Outlook {
    pub mirror: Arc<SharedMirror>,
    pub world: Arc<World>,
    pub settings: Settings,
    pub now: Timestamp,
}

/// Looks ahead; blocks on a thread that may. One at a time for a source, also after whoever asked has
/// gone: they share a folder.
pub(crate) async fn foresee(
    outlook: Outlook,
    reference: Option<String>,
    alone: OwnedMutexGuard<()>,
) -> Result<Foreseen, ForecastError> {
    let work = move || {
        let foreseen = outlook.foresee(reference);
        drop(alone);
        foreseen
    };
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(ForecastError::Interrupted))
}

impl Outlook {
    fn foresee(self, reference: Option<String>) -> Result<Foreseen, ForecastError> {
        let declaration = &self.mirror.config.declaration;
        let source = declaration.name.clone();
        let (mirror, sha) = self.find(reference)?;
        let policy = &self.mirror.config.policy;
        let mut cache = ReadCache::default();
        let read = read_commit(&mirror, &sha, &declaration.path, policy, &mut cache)
            .map_err(|problem| ForecastError::Read(ReadFailed(problem)))?;
        let revision = Revision {
            source: source.clone(),
            commit: read.commit,
            content: read.content,
            hops: RevisionHops {
                noticed_by: NoticedBy::Operator,
                noticed_at: self.now,
                fetched_at: self.now,
                validated_at: self.now,
            },
            rewritten: false,
            since: None,
        };
        let forecast = forecast(&self.world, &revision, self.now, &self.settings);
        Ok(Foreseen { source, commit: revision.commit, before: self.world, forecast })
    }

    /// The commit that is meant, with where it can be read.
    fn find(&self, reference: Option<String>) -> Result<(Mirror, CommitSha), ForecastError> {
        let mirror = self.mirror.open().map_err(ForecastError::Mirror)?;
        let Some(reference) = reference else {
            let name = &self.mirror.config.declaration.name;
            let source = self.world.sources.get(name);
            let head = source.and_then(|source| source.status.head.clone());
            let unread = || ForecastError::NotReadYet { source_name: name.clone() };
            return Ok(((*mirror).clone(), head.ok_or_else(unread)?));
        };
        if let Ok(sha) = mirror.resolve(&reference) {
            return Ok(((*mirror).clone(), sha));
        }
        self.fetch(&mirror, reference)
    }

    /// A branch that the source does not follow, in a folder of its own: the next one takes it over.
    fn fetch(&self, mirror: &Mirror, branch: String) -> Result<(Mirror, CommitSha), ForecastError> {
        let remote = Remote { branch: branch.clone(), ..mirror.remote().clone() };
        let other = Mirror::open(&self.folder(), remote).map_err(ForecastError::Mirror)?;
        match other.fetch(FETCH_DEADLINE) {
            Ok(Fetched::Unchanged { head } | Fetched::Moved { head, .. }) => Ok((other, head)),
            Err(why) => Err(ForecastError::Reference { reference: branch, why }),
        }
    }

    fn folder(&self) -> PathBuf {
        let mut name = self.mirror.dir.clone().into_os_string();
        name.push(".plan");
        name.into()
    }
}
