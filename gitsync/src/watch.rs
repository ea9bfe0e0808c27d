//! Notices commits in a repository on this machine as they happen.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use dugout_model::{NoticedBy, Timestamp};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::{Doorbell, GitError, libgit, local};

/// Rings a doorbell whenever a branch of a local repository may have moved, until dropped.
///
/// Only a hint: when the system has no watches left, or the repository is gone, nothing rings and
/// polling finds what is new. A repository that is removed and made again is picked up again.
pub struct Watch {
    wake: SyncSender<Wake>,
    thread: Option<JoinHandle<()>>,
}

enum Wake {
    Event,
    Stop,
}

/// Changes that come in a burst (a push of many branches, `git gc`) ring once.
const SETTLE: Duration = Duration::from_millis(2);
/// How often it is checked that what is watched is still the repository.
const CHECK: Duration = Duration::from_secs(1);

impl Watch {
    /// Watches the repository at a path: bare, with a work tree, or a linked work tree. What happens
    /// after this returns rings, if the repository is there, with the time by the clock that is given.
    ///
    /// # Errors
    /// The Git library cannot be set up, or no thread can be made.
    pub fn start(
        path: &Path,
        doorbell: Arc<Doorbell>,
        now: impl Fn() -> Timestamp + Send + 'static,
    ) -> Result<Watch, GitError> {
        libgit::prepare()?;
        // One pending wake is enough: whoever takes it looks at everything.
        let (wake, woken) = mpsc::sync_channel(1);
        let mut watcher = Watching {
            path: path.to_owned(),
            wake: wake.clone(),
            doorbell,
            now: Box::new(now),
            armed: None,
        };
        watcher.arm();
        let thread = thread::Builder::new()
            .name("gitsync-watch".to_owned())
            .spawn(move || watcher.run(&woken))
            .map_err(|error| GitError::Setup(Box::new(error)))?;
        Ok(Watch { wake, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Waits for a free place if an event is pending; the thread takes it within milliseconds.
        let _ = self.wake.send(Wake::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Watching {
    path: PathBuf,
    wake: SyncSender<Wake>,
    doorbell: Arc<Doorbell>,
    now: Box<dyn Fn() -> Timestamp + Send>,
    armed: Option<Armed>,
}

/// Watches that are set, and on what.
struct Armed {
    folders: Vec<(PathBuf, Identity)>,
    /// A watched folder went away.
    broken: Arc<AtomicBool>,
    _watcher: RecommendedWatcher,
}

/// A folder, as opposed to another of the same name. The time is there because a number is used
/// again at once on some file systems.
#[derive(PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    made: Option<SystemTime>,
}

impl Watching {
    fn run(mut self, woken: &Receiver<Wake>) {
        loop {
            match woken.recv_timeout(CHECK) {
                Ok(Wake::Event) => {
                    thread::sleep(SETTLE);
                    if let Ok(Wake::Stop) = woken.try_recv() {
                        return;
                    }
                    self.ring();
                }
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if !self.armed.as_ref().is_some_and(Armed::is_intact) {
                self.armed = None;
                self.arm();
                if self.armed.is_some() {
                    // Whatever happened while nobody watched.
                    self.ring();
                }
            }
        }
    }

    fn ring(&self) {
        self.doorbell.ring(NoticedBy::FileEvent, (self.now)());
    }

    /// Sets the watches, or leaves it for the next check.
    fn arm(&mut self) {
        let Some(common) = local::common_folder(&self.path) else { return };
        let common = common.canonicalize().unwrap_or(common);
        let heads = common.join("refs/heads");
        let mut folders = Vec::new();
        for folder in [&common, &heads] {
            let Some(identity) = identity(folder) else { return };
            folders.push((folder.clone(), identity));
        }
        let broken = Arc::new(AtomicBool::new(false));
        let handler = handler(&common, &heads, &broken, self.wake.clone());
        let Ok(mut watcher) = notify::recommended_watcher(handler) else { return };
        // `packed-refs` is in the common folder; branches with slashes are in folders below the heads.
        let set = watcher
            .watch(&common, RecursiveMode::NonRecursive)
            .and_then(|()| watcher.watch(&heads, RecursiveMode::Recursive));
        if set.is_ok() {
            self.armed = Some(Armed { folders, broken, _watcher: watcher });
        }
    }
}

impl Armed {
    fn is_intact(&self) -> bool {
        !self.broken.load(Ordering::Relaxed)
            && self.folders.iter().all(|(path, seen)| identity(path).as_ref() == Some(seen))
    }
}

/// Passes on what may mean that a branch moved.
fn handler(
    common: &Path,
    heads: &Path,
    broken: &Arc<AtomicBool>,
    wake: SyncSender<Wake>,
) -> impl FnMut(notify::Result<Event>) + Send + 'static {
    let (common, heads) = (common.to_owned(), heads.to_owned());
    let packed = common.join("packed-refs");
    let broken = Arc::clone(broken);
    move |event| {
        let relevant = match event {
            // Events were lost or watches failed: look, and set them anew.
            Err(_) => {
                broken.store(true, Ordering::Relaxed);
                true
            }
            Ok(event) if event.need_rescan() => {
                broken.store(true, Ordering::Relaxed);
                true
            }
            Ok(event) => {
                let is_root = |path: &PathBuf| *path == common || *path == heads;
                if matches!(event.kind, EventKind::Remove(_)) && event.paths.iter().any(is_root) {
                    broken.store(true, Ordering::Relaxed);
                }
                let names_branch = |path: &PathBuf| {
                    let lock = path.extension().is_some_and(|ending| ending == "lock");
                    !lock && (*path == packed || path.starts_with(&heads))
                };
                !matches!(event.kind, EventKind::Access(_))
                    && event.paths.iter().any(|path| names_branch(path) || is_root(path))
            }
        };
        if relevant {
            // Full means that a wake is pending, which is as good.
            let _ = wake.try_send(Wake::Event);
        }
    }
}

fn identity(folder: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(folder).ok()?;
    Some(Identity { device: metadata.dev(), inode: metadata.ino(), made: metadata.created().ok() })
}
