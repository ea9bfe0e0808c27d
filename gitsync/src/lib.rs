//! Repositories: mirror, fetch, folders, watch, revert and push. The only room that knows libgit2.
//!
//! Nothing of a repository is ever executed: no hooks, no filters, no credential helpers, no `git`
//! process. Settings of the machine's users (`~/.gitconfig`, `/etc/gitconfig`) have no effect here.
//! A work tree is never made; the one exception that touches one that is already there is a revert
//! in a local repository whose branch is checked out (see [`Mirror::revert`]).

mod create;
mod credentials;
mod deadline;
mod doorbell;
mod error;
mod folder;
mod http;
mod known_hosts;
mod libgit;
mod local;
mod location;
mod mirror;
mod negotiation;
mod network;
mod owner;
mod pack;
mod revert;
mod schedule;
mod tree;
mod watch;
mod worktree;

pub use create::create_repository;
pub use credentials::{Credentials, SshKey};
pub use doorbell::{Doorbell, Ring};
pub use error::{FetchProblem, GitError, LocationProblem, RevertProblem, TreeProblem};
pub use folder::{EntryKind, FolderEntry, FolderId};
pub use location::Location;
pub use mirror::{Fetched, Mirror, Remote, check_branch};
pub use revert::{Content, Identity, Onto, Place, RevertRequest, Reverted};
pub use schedule::PollSchedule;
pub use tree::{BlobId, check_path};
pub use watch::Watch;
