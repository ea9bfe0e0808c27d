//! Sets libgit2 up once for the whole process.

use std::sync::OnceLock;

use git2::ConfigLevel;

use crate::{GitError, http};

/// How long one connection attempt over SSH may take. A fetch's own deadline may be shorter.
const CONNECT_TIMEOUT_MILLISECONDS: i32 = 10_000;
/// How long a connection may be silent.
const SILENCE_TIMEOUT_MILLISECONDS: i32 = 30_000;

/// Sets the process-wide options. Every public entry that reaches libgit2 calls it first.
///
/// * No file of the machine's users changes what we do: `url.*.insteadOf`, `http.sslVerify` and the
///   like of `~/.gitconfig` have no effect.
/// * The ownership check (`safe.directory`) is off. It guards programs that run what a foreign
///   repository's configuration names: hooks, filters, helpers, a file system monitor. We run none of
///   them, and a server that runs as root has to read its user's repository.
/// * A silent server cannot hold a thread for ever.
pub(crate) fn prepare() -> Result<(), GitError> {
    static DONE: OnceLock<Result<(), git2::Error>> = OnceLock::new();
    DONE.get_or_init(set_options).as_ref().map_err(|error| {
        GitError::Setup(Box::new(git2::Error::new(error.code(), error.class(), error.message())))
    })?;
    Ok(())
}

fn set_options() -> Result<(), git2::Error> {
    let levels =
        [ConfigLevel::System, ConfigLevel::XDG, ConfigLevel::Global, ConfigLevel::ProgramData];
    for level in levels {
        // SAFETY: the options are globals of libgit2 that it reads without a lock. This runs once,
        // before any other call of this crate, and no other crate of the program uses libgit2.
        unsafe { git2::opts::set_search_path(level, "")? };
    }
    // SAFETY: as above.
    unsafe {
        git2::opts::set_verify_owner_validation(false)?;
        git2::opts::set_server_connect_timeout_in_milliseconds(CONNECT_TIMEOUT_MILLISECONDS)?;
        git2::opts::set_server_timeout_in_milliseconds(SILENCE_TIMEOUT_MILLISECONDS)?;
        http::register()?;
    }
    Ok(())
}
