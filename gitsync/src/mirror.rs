//! Our own copy of one branch of a repository: fetched here, read from here.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dugout_model::{Commit, CommitSha};
use git2::{Oid, Repository, RepositoryInitOptions};

use crate::deadline::{Deadline, Gate, Unfinished};
use crate::folder::{self, FolderEntry, FolderId};
use crate::network::{Pushed, Session};
use crate::revert::{self, Content, Onto, Place, RevertRequest, Reverted};
use crate::tree::{self, BlobId};
use crate::{
    Credentials, FetchProblem, GitError, Location, RevertProblem, TreeProblem, http, libgit, local,
    negotiation, pack,
};

/// Where the commits come from. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Remote {
    pub location: Location,
    /// Without `refs/heads/`.
    pub branch: String,
    pub credentials: Credentials,
}

/// What a fetch found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The branch is where the last fetch saw it.
    Unchanged { head: CommitSha },
    Moved {
        head: CommitSha,
        /// Where the last fetch saw it; none at the first one.
        previous: Option<CommitSha>,
        /// The new head does not descend from the previous one.
        rewritten: bool,
    },
}

/// A bare repository of our own with one branch of a remote.
///
/// Of a network remote it holds copies. Of a repository on this machine it holds nothing but where the
/// branch was last seen: the objects are read from that repository itself, so that a commit is seen at
/// once however large the repository is. It is a cache: damaged, it is made anew.
///
/// Cheap to clone; its methods block, so call them where blocking is allowed. One process at a time
/// may have it open.
#[derive(Clone)]
pub struct Mirror {
    inner: Arc<Inner>,
}

struct Inner {
    folder: PathBuf,
    remote: Remote,
    /// For a remote that is reached over HTTP.
    http: Option<Arc<http::Client>>,
    gate: Arc<Gate>,
    reader: Mutex<Option<Repository>>,
    /// Something that should be in our copy was not found, so the next fetch makes it anew.
    damaged: AtomicBool,
    /// Holds the lock until the last clone is gone.
    _lock: File,
}

/// The branch's head as the last fetch saw it.
const HEAD_REFERENCE: &str = "refs/dugout/head";
/// How often a revert is made anew on a branch that moves.
pub(crate) const REVERT_ATTEMPTS: u32 = 5;

impl Mirror {
    /// Opens the mirror in `folder`, or makes it. One that is damaged or belongs to another remote is
    /// made anew.
    ///
    /// # Errors
    /// The branch's name is no name, the folder cannot be written, or another process has it open.
    pub fn open(folder: &Path, remote: Remote) -> Result<Mirror, GitError> {
        check_branch(&remote.branch)?;
        let lock = lock(folder)?;
        let inner = Inner {
            folder: folder.to_owned(),
            http: http::Client::new(&remote.location, &remote.credentials),
            remote,
            gate: Arc::default(),
            reader: Mutex::default(),
            damaged: AtomicBool::default(),
            _lock: lock,
        };
        if !inner.is_usable() {
            inner.make_anew().map_err(|error| inner.unusable(error))?;
        }
        Ok(Mirror { inner: Arc::new(inner) })
    }

    pub fn remote(&self) -> &Remote {
        &self.inner.remote
    }

    /// Looks where the branch is and brings what is new: one reference, no tags.
    ///
    /// Returns at the deadline at the latest. A transfer that hangs is left behind and ends by itself
    /// within half a minute; until then further fetches end at their deadlines.
    ///
    /// # Errors
    /// Every [`FetchProblem`]; the mirror is then as it was.
    pub fn fetch(&self, deadline: Duration) -> Result<Fetched, FetchProblem> {
        let inner = Arc::clone(&self.inner);
        let until = Deadline::after(deadline);
        let theirs = Arc::clone(&until);
        self.inner
            .gate
            .run(&until, move || inner.fetch(&theirs))
            .unwrap_or_else(|why| Err(self.inner.unfinished(why, deadline)))
    }

    pub fn commit(&self, sha: &CommitSha) -> Result<Commit, GitError> {
        let unknown = || GitError::CommitUnknown { sha: sha.clone() };
        let id = oid_of(sha).ok_or_else(unknown)?;
        self.inner.read(|repository| tree::commit(repository, id)).map_err(|error| {
            if is_missing(&error) { unknown() } else { GitError::Read(Box::new(error)) }
        })
    }

    /// The commit that a full or shortened id names (at least four digits).
    pub fn resolve(&self, text: &str) -> Result<CommitSha, GitError> {
        let unclear = || GitError::CommitUnclear { text: text.to_owned() };
        let digits = (4..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !digits {
            return Err(unclear());
        }
        self.inner
            .read(|repository| repository.find_commit_by_prefix(text).map(|commit| commit.id()))
            .map(sha_of)
            .map_err(|_| unclear())
    }

    /// The top folder of a commit that has a folder at `path`, with that path as the repository has it.
    pub fn top_folder(
        &self,
        sha: &CommitSha,
        path: &str,
    ) -> Result<(FolderId, String), TreeProblem> {
        self.inner.read_tree(|repository| folder::top(repository, sha, path))
    }

    /// What one folder holds, in the order of the names. Nothing is followed.
    pub fn folder(&self, id: FolderId) -> Result<Vec<FolderEntry>, TreeProblem> {
        self.inner.read_tree(|repository| folder::entries(repository, id))
    }

    /// The content of a file, if it has no more than so many bytes.
    pub fn read(&self, blob: BlobId, limit_bytes: u64) -> Result<Vec<u8>, TreeProblem> {
        self.inner.read_tree(|repository| tree::read(repository, blob, limit_bytes))
    }

    /// Makes a revert commit on top of the branch and brings it to the remote.
    ///
    /// The content is made in memory from trees. Then:
    /// * a network remote: pushed, only if the branch is still where the revert was made for;
    /// * a bare repository on this machine, or one whose branch is not checked out: the commit is
    ///   written there and the branch is moved, if it is still there;
    /// * a repository on this machine whose branch is checked out (in it or in a linked work tree):
    ///   as `git revert` there would, the files of the work tree and the index follow. If one of the
    ///   files that would change has uncommitted changes, nothing is done; changes in other files
    ///   stay as they are. No hook is run. Root acts as the owner of the repository.
    ///
    /// Of the files that `content` names those that differ go back. A commit to which it objects does not
    /// come to the branch: it goes aside, or there is none.
    ///
    /// If the branch moved on meanwhile, the revert is made anew, a bounded number of times. After a
    /// missed deadline the remote may have taken the commit all the same; the next fetch tells. The
    /// commit shows up in the next fetch like anybody's.
    ///
    /// # Errors
    /// Every [`RevertProblem`]; the branch is then as it was.
    pub fn revert(
        &self,
        request: RevertRequest,
        content: impl Content + 'static,
    ) -> Result<Reverted, RevertProblem> {
        let inner = Arc::clone(&self.inner);
        let span = request.deadline;
        let until = Deadline::after(span);
        let theirs = Arc::clone(&until);
        self.inner
            .gate
            .run(&until, move || inner.revert(&request, &content, &theirs))
            .unwrap_or_else(|why| Err(RevertProblem::Fetch(self.inner.unfinished(why, span))))
    }

    /// Whether a revert could be made on top of the branch as it was seen last, without the remote. Leaves
    /// nothing but objects that nobody names.
    ///
    /// # Errors
    /// As [`Mirror::revert`], of those that need no remote.
    pub fn rehearse_revert(
        &self,
        request: &RevertRequest,
        content: &impl Content,
    ) -> Result<(), RevertProblem> {
        let repository = self.inner.open_reader().map_err(|error| self.inner.write(error))?;
        let head = repository.refname_to_id(HEAD_REFERENCE);
        let head = head.map_err(|error| RevertProblem::Read(Box::new(error)))?;
        let files = content.files([&sha_of(head), &request.to]);
        let draft = revert::compose(&repository, head, request, files.as_ref())?;
        let commit = draft.write(&repository, request).map_err(|error| self.inner.write(error))?;
        match content.objection(&sha_of(commit), &request.to) {
            Some(message) => Err(RevertProblem::OtherContent { to: request.to.clone(), message }),
            None => Ok(()),
        }
    }
}

impl Inner {
    fn fetch(&self, deadline: &Arc<Deadline>) -> Result<Fetched, FetchProblem> {
        let previous = self.previous();
        let head = match &self.remote.location {
            Location::Local(path) => local::head(path, &self.remote.branch)?,
            Location::Network { .. } => self.fetch_network(deadline)?,
        };
        if previous == Some(head) && self.read(|repository| is_sound(repository, head)).is_ok() {
            return Ok(Fetched::Unchanged { head: sha_of(head) });
        }
        self.forget_reader();
        let rewritten = self
            .read(|repository| {
                is_sound(repository, head)?;
                Ok(previous.is_some_and(|old| {
                    // A head that is gone from the repository was not built upon either.
                    old != head && !repository.graph_descendant_of(head, old).unwrap_or(false)
                }))
            })
            .map_err(|error| self.corrupt(error))?;
        self.read(|repository| repository.reference(HEAD_REFERENCE, head, true, "").map(drop))
            .map_err(|error| self.unwritable(error))?;
        if let Location::Network { .. } = self.remote.location {
            self.tidy(head);
        }
        let previous = previous.map(sha_of);
        Ok(Fetched::Moved { head: sha_of(head), previous, rewritten })
    }

    /// Fetches. If something is not sound, or was found missing by a reader, that may be our own copy: then once more into an empty one,
    /// which takes the place of the old one only if that works.
    fn fetch_network(&self, deadline: &Arc<Deadline>) -> Result<Oid, FetchProblem> {
        if !self.damaged.load(Ordering::Relaxed) {
            match self.fetch_objects(&self.repository_path(), deadline) {
                Err(FetchProblem::Corrupt { .. }) => {}
                result => return result,
            }
        }
        let fresh = self.folder.join("mirror.new");
        self.make_repository(&fresh).map_err(|error| self.unwritable(error))?;
        let result = self.fetch_objects(&fresh, deadline).and_then(|head| {
            Repository::open_bare(&fresh)
                .and_then(|copy| copy.reference(HEAD_REFERENCE, head, true, "").map(drop))
                .and_then(|()| self.replace_repository(&fresh))
                .map_err(|error| self.unwritable(error))?;
            self.damaged.store(false, Ordering::Relaxed);
            Ok(head)
        });
        // If it did not take the old one's place; a rest of it would be removed the next time.
        let _ = fs::remove_dir_all(&fresh);
        result
    }

    fn fetch_objects(&self, path: &Path, deadline: &Arc<Deadline>) -> Result<Oid, FetchProblem> {
        let repository = Repository::open_bare(path).map_err(|error| self.unwritable(error))?;
        // Without it there is only one question more.
        let negotiator = repository.refname_to_id(HEAD_REFERENCE).and_then(|head| {
            negotiation::repository(&self.folder.join("negotiation.git"), &repository, head)
        });
        let head = self.session(deadline).fetch(negotiator.as_ref().unwrap_or(&repository))?;
        is_sound(&repository, head).map_err(|error| self.corrupt(error))?;
        Ok(head)
    }

    fn revert(
        &self,
        request: &RevertRequest,
        content: &dyn Content,
        deadline: &Arc<Deadline>,
    ) -> Result<Reverted, RevertProblem> {
        if let Location::Local(path) = &self.remote.location {
            return local::revert(path, &self.remote.branch, request, content, deadline);
        }
        for _ in 0..REVERT_ATTEMPTS {
            let head = self.fetch_network(deadline).map_err(RevertProblem::Fetch)?;
            let repository =
                Repository::open_bare(self.repository_path()).map_err(|error| self.write(error))?;
            let files = content.files([&sha_of(head), &request.to]);
            let draft = revert::compose(&repository, head, request, files.as_ref())?;
            let commit = draft.write(&repository, request).map_err(|error| self.write(error))?;
            if let Some(message) = content.objection(&sha_of(commit), &request.to) {
                let other = RevertProblem::OtherContent { to: request.to.clone(), message };
                return self.set_aside(&repository, draft, commit, request, other, deadline);
            }
            let pushed = self.session(deadline).push(&repository, commit, head);
            match pushed.map_err(RevertProblem::Fetch)? {
                Pushed::Done => return Ok(draft.done(commit, Place::OnBranch)),
                Pushed::Moved => {}
                Pushed::Rejected { message } => {
                    // Somebody else's push in between also ends in a refusal; only a look tells.
                    let now = self.fetch_network(deadline).map_err(RevertProblem::Fetch)?;
                    if now == head {
                        let remote = self.remote.location.to_string();
                        let refused = RevertProblem::Rejected { remote, message };
                        return self.set_aside(
                            &repository,
                            draft,
                            commit,
                            request,
                            refused,
                            deadline,
                        );
                    }
                }
            }
        }
        Err(RevertProblem::BranchKeepsMoving { attempts: REVERT_ATTEMPTS })
    }

    /// Where the revert does not come to the branch, for this reason: leaves it on a branch of its own,
    /// if the request says so.
    fn set_aside(
        &self,
        repository: &Repository,
        draft: revert::Draft,
        commit: Oid,
        request: &RevertRequest,
        why: RevertProblem,
        deadline: &Arc<Deadline>,
    ) -> Result<Reverted, RevertProblem> {
        let Onto::Only { aside, .. } = &request.onto else { return Err(why) };
        match self
            .session_on(aside, deadline)
            .put(repository, commit)
            .map_err(RevertProblem::Fetch)?
        {
            Pushed::Done => Ok(draft.done(commit, Place::aside(aside, &why))),
            Pushed::Moved | Pushed::Rejected { .. } => Err(why),
        }
    }

    fn session<'a>(&'a self, deadline: &'a Arc<Deadline>) -> Session<'a> {
        self.session_on(&self.remote.branch, deadline)
    }

    fn session_on<'a>(&'a self, branch: &'a str, deadline: &'a Arc<Deadline>) -> Session<'a> {
        let Remote { location, credentials, .. } = &self.remote;
        Session::new(location, branch, credentials, self.http.as_ref(), deadline)
    }

    /// Reads with the handle at hand. What is missing may only be new or packed anew since that handle
    /// was opened, so a failure is tried once more with a fresh one.
    fn read<T>(
        &self,
        work: impl Fn(&Repository) -> Result<T, git2::Error>,
    ) -> Result<T, git2::Error> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(repository) = &*reader
            && let Ok(result) = work(repository)
        {
            return Ok(result);
        }
        work(reader.insert(self.open_reader()?))
    }

    fn read_tree<T>(
        &self,
        work: impl Fn(&Repository) -> Result<T, TreeProblem>,
    ) -> Result<T, TreeProblem> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(repository) = &*reader {
            match work(repository) {
                Err(TreeProblem::Corrupt(_) | TreeProblem::CommitUnknown { .. }) => {}
                result => return result,
            }
        }
        let fresh = self.open_reader().map_err(|error| TreeProblem::Corrupt(Box::new(error)))?;
        let result = work(reader.insert(fresh));
        if let Err(TreeProblem::Corrupt(_)) = result {
            self.damaged.store(true, Ordering::Relaxed);
        }
        result
    }

    fn open_reader(&self) -> Result<Repository, git2::Error> {
        let repository = Repository::open_bare(self.repository_path())?;
        if let Location::Local(path) = &self.remote.location
            && let Some(objects) = local::objects_folder(path)
        {
            repository.odb()?.add_disk_alternate(&objects)?;
        }
        Ok(repository)
    }

    fn forget_reader(&self) {
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn previous(&self) -> Option<Oid> {
        self.read(|repository| repository.refname_to_id(HEAD_REFERENCE)).ok()
    }

    /// Keeps the number of packs small. Failing leaves everything as it was, for the next fetch.
    fn tidy(&self, head: Oid) {
        let path = self.repository_path();
        if let Ok(Some(superseded)) = pack::merge_small_packs(&path, head) {
            let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
            *reader = None;
            pack::remove(&superseded);
        }
    }

    /// Whether the repository is there, belongs to this remote, and has the head it says it has.
    fn is_usable(&self) -> bool {
        let Ok(repository) = Repository::open_bare(self.repository_path()) else { return false };
        let belongs = repository
            .config()
            .and_then(|mut config| config.snapshot())
            .and_then(|config| {
                let branch = config.get_str("dugout.branch")? == self.remote.branch;
                Ok(branch && config.get_str("dugout.location")? == self.remote.location.to_string())
            })
            .unwrap_or(false);
        let Location::Network { .. } = self.remote.location else { return belongs };
        belongs
            && match repository.refname_to_id(HEAD_REFERENCE) {
                Ok(head) => is_sound(&repository, head).is_ok(),
                Err(error) => error.code() == git2::ErrorCode::NotFound,
            }
    }

    fn make_anew(&self) -> Result<(), git2::Error> {
        self.make_repository(&self.repository_path())
    }

    /// Makes an empty repository of ours, whatever was there before.
    fn make_repository(&self, path: &Path) -> Result<(), git2::Error> {
        remove(path).map_err(system_error)?;
        let mut options = RepositoryInitOptions::new();
        options.bare(true).mkpath(true).external_template(false);
        let repository = Repository::init_opts(path, &options)?;
        let mut config = repository.config()?;
        config.set_str("dugout.location", &self.remote.location.to_string())?;
        config.set_str("dugout.branch", &self.remote.branch)
    }

    fn replace_repository(&self, fresh: &Path) -> Result<(), git2::Error> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        *reader = None;
        let path = self.repository_path();
        remove(&path).and_then(|()| fs::rename(fresh, path)).map_err(system_error)
    }

    fn repository_path(&self) -> PathBuf {
        self.folder.join("mirror.git")
    }

    fn unfinished(&self, why: Unfinished, deadline: Duration) -> FetchProblem {
        let remote = self.remote.location.to_string();
        match why {
            Unfinished::TooLate => FetchProblem::DeadlineExceeded { remote, deadline },
            Unfinished::NoThread(_) | Unfinished::Panicked => {
                FetchProblem::BrokenOff { remote, cause: Box::new(why) }
            }
        }
    }

    fn corrupt(&self, error: git2::Error) -> FetchProblem {
        let remote = self.remote.location.to_string();
        FetchProblem::Corrupt { remote, cause: Box::new(error) }
    }

    fn unwritable(&self, error: git2::Error) -> FetchProblem {
        let remote = self.remote.location.to_string();
        FetchProblem::Mirror { remote, cause: Box::new(error) }
    }

    fn write(&self, error: git2::Error) -> RevertProblem {
        RevertProblem::Write {
            place: self.repository_path().display().to_string(),
            cause: Box::new(error),
        }
    }

    fn unusable(&self, error: git2::Error) -> GitError {
        GitError::Mirror { dir: self.folder.display().to_string(), cause: Box::new(error) }
    }
}

/// Whether a branch can have that name, given without `refs/heads/`.
///
/// # Errors
/// [`GitError::BranchName`].
pub fn check_branch(branch: &str) -> Result<(), GitError> {
    libgit::prepare()?;
    if git2::Reference::is_valid_name(&reference_of(branch)) {
        Ok(())
    } else {
        Err(GitError::BranchName { branch: branch.to_owned() })
    }
}

pub(crate) fn reference_of(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

pub(crate) fn sha_of(id: Oid) -> CommitSha {
    CommitSha::new(id.to_string())
}

/// None when it is no full id.
pub(crate) fn oid_of(sha: &CommitSha) -> Option<Oid> {
    (sha.as_str().len() == 40).then(|| sha.as_str().parse().ok()).flatten()
}

pub(crate) fn is_missing(error: &git2::Error) -> bool {
    error.code() == git2::ErrorCode::NotFound
}

/// Removes a folder or file, if there is one.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path).or_else(|_| fs::remove_file(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn system_error(error: io::Error) -> git2::Error {
    git2::Error::new(git2::ErrorCode::GenericError, git2::ErrorClass::Os, error.to_string())
}

/// Whether a commit and its tree can be read.
fn is_sound(repository: &Repository, commit: Oid) -> Result<(), git2::Error> {
    repository.find_commit(commit)?.tree().map(drop)
}

fn lock(folder: &Path) -> Result<File, GitError> {
    let dir = || folder.display().to_string();
    let failed = |error| GitError::Mirror { dir: dir(), cause: Box::new(error) };
    // A mirror of a private repository is nobody else's to read.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(GitError::InUse { dir: dir() }),
        Err(fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_no_branch_is_told_before_anybody_looks_for_it() {
        for branch in ["main", "release/1.2", "ä"] {
            assert!(check_branch(branch).is_ok(), "{branch}");
        }
        for branch in ["", "a..b", "a b", "-/", "a.lock", "a~1"] {
            assert!(check_branch(branch).is_err(), "{branch}");
        }
    }

    #[test]
    fn only_full_ids_are_object_ids() {
        assert!(oid_of(&CommitSha::new("a".repeat(40))).is_some());
        for text in ["", "abcd", &"g".repeat(40), &"a".repeat(41)] {
            assert_eq!(oid_of(&CommitSha::new(text)), None);
        }
    }
}
