//! As which user the private PostgreSQL runs. It refuses root, so root must choose another.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::PostgresError;
use super::home::Home;
use super::tool;

/// The user that PostgreSQL's packages make.
const PACKAGED_USER: &str = "postgres";

/// What the programs of the server may see of our environment. The rest could change what they do.
const ENVIRONMENT: [&str; 2] = ["PATH", "LD_LIBRARY_PATH"];

/// The user of the server, and the user of this process.
#[derive(Clone, Debug)]
pub struct Account {
    pub user_id: u32,
    pub group_id: u32,
    pub name: String,
    /// The user of this process, who must be let in.
    pub our_name: String,
    /// Whether this process is root and becomes the user for every program of the server.
    switches: bool,
}

/// Chooses the user: the owner of the database that is there; else ourselves; for root the user
/// `postgres`, else the one who called sudo. Not `nobody`: other services run as that user, and could
/// read the records.
pub async fn choose(home: &Home) -> Result<Account, PostgresError> {
    let our_id = rustix::process::geteuid().as_raw();
    let our_name = name_of(our_id).await?;
    let owner_id = home.data_owner()?;
    if our_id != 0 {
        return match owner_id {
            Some(owner_id) if owner_id != our_id => {
                let owner = name_of(owner_id).await.unwrap_or_else(|_| owner_id.to_string());
                Err(PostgresError::OtherOwner { path: home.data(), owner })
            }
            _ => Ok(Account {
                user_id: our_id,
                group_id: rustix::process::getegid().as_raw(),
                name: our_name.clone(),
                our_name,
                switches: false,
            }),
        };
    }
    let user_id = match owner_id {
        Some(0) => return Err(PostgresError::OwnedByRoot { path: home.data() }),
        Some(owner_id) => owner_id,
        None => unprivileged_user().await.ok_or(PostgresError::NoUser)?,
    };
    let name = name_of(user_id).await?;
    let group_id = id(&["-g", &name])
        .await
        .and_then(|text| text.parse().ok())
        .ok_or(PostgresError::NamelessUser { user_id })?;
    Ok(Account { user_id, group_id, name, our_name, switches: true })
}

impl Account {
    /// A command that runs as the user, with nothing of ours that it does not need.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").current_dir("/");
        for name in ENVIRONMENT {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if self.switches {
            // The library also drops root's other groups.
            command.uid(self.user_id).gid(self.group_id);
        }
        command
    }

    /// Gives the user what we made for it.
    pub fn give(&self, path: &Path) -> io::Result<()> {
        if self.switches {
            std::os::unix::fs::chown(path, Some(self.user_id), Some(self.group_id))?;
        }
        Ok(())
    }

    /// Checks that the user can enter a folder and all above it, by trying.
    pub async fn check_entry(&self, folder: &Path) -> Result<(), PostgresError> {
        if !self.switches {
            return Ok(());
        }
        let mut folders: Vec<&Path> = folder.ancestors().collect();
        folders.reverse();
        // Prints how many could be entered.
        let script = r#"n=0; for d; do cd -- "$d" || break; n=$((n+1)); done; echo "$n""#;
        let shell = PathBuf::from("/bin/sh");
        let mut command = self.command(&shell);
        command.args(["-c", script, "sh"]).args(&folders);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let output = tool::run(command, &[], tool::QUESTION_DEADLINE)
            .await
            .map_err(|source| self.not_run(&shell, source))?;
        let entered = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(0_usize);
        match folders.get(entered) {
            None => Ok(()),
            Some(closed) => Err(PostgresError::CannotEnter {
                user: self.name.clone(),
                path: (*closed).to_owned(),
            }),
        }
    }

    pub fn not_run(&self, program: &Path, source: io::Error) -> PostgresError {
        PostgresError::NotRun { program: program.to_owned(), user: self.name.clone(), source }
    }
}

async fn unprivileged_user() -> Option<u32> {
    let sudo_user = std::env::var("SUDO_UID").ok();
    let candidates = [id(&["-u", PACKAGED_USER]).await, sudo_user];
    candidates.into_iter().flatten().filter_map(|text| text.parse().ok()).find(|&id| id != 0)
}

async fn name_of(user_id: u32) -> Result<String, PostgresError> {
    // `id` prints the number of a user without a name, and fails or not as it likes.
    id(&["-un", &user_id.to_string()])
        .await
        .filter(|name| name.parse::<u32>().is_err())
        .ok_or(PostgresError::NamelessUser { user_id })
}

/// Asks the system's user database, which may be more than /etc/passwd.
async fn id(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("id");
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
    let output = tool::run(command, &[], tool::QUESTION_DEADLINE).await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// Whether the file belongs to this user and nobody else may touch it.
pub fn is_private_to(user_id: u32, metadata: &std::fs::Metadata) -> bool {
    metadata.uid() == user_id && metadata.mode() & 0o077 == 0
}
