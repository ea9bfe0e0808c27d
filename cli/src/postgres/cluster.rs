//! Makes the database's files, and finds the server that fits those that are there.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::error::PostgresError;
use super::find::{self, Found};
use super::home::Home;
use super::log::Log;
use super::user::Account;
use super::{DATABASE, tool};

/// How long one program may take to make its part of a new database.
const DEADLINE: Duration = Duration::from_secs(180);

/// Makes a database. It is made under another name and renamed when it is whole and on the disk, so
/// an interrupted start leaves none.
pub async fn make(
    found: &Found,
    home: &Home,
    account: &Account,
    log: &Log,
) -> Result<(), PostgresError> {
    let half_made = home.half_made();
    let failed = |source: io::Error| home.failed("making the database in", source);
    DirBuilder::new().mode(0o700).create(&half_made).map_err(failed)?;
    account.give(&half_made).map_err(failed)?;
    if let Err(error) = fill(found, home, account, log, &half_made).await {
        home.remove_half_made();
        return Err(error);
    }
    fs::rename(&half_made, home.data()).map_err(failed)?;
    home.sync().map_err(failed)
}

/// Runs the server's own tools; nothing else needs to be installed. They leave the writing to the
/// disk to the last step.
async fn fill(
    found: &Found,
    home: &Home,
    account: &Account,
    log: &Log,
    dir: &Path,
) -> Result<(), PostgresError> {
    let step = async |program: &'static str, arguments: &[&str], input: String| {
        let mark = log.mark();
        let path = found.bin_dir.join(program);
        let mut command: Command = account.command(&path);
        command.args(arguments).arg("-D").arg(dir);
        if program == "postgres" {
            command.arg("postgres");
        }
        // Ctrl-C is ours to answer.
        command.process_group(0).stdout(log.writer()?).stderr(log.writer()?);
        match tool::run(command, input.as_bytes(), DEADLINE).await {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(PostgresError::ToolFailed {
                program,
                status: output.status,
                log: log.since(mark),
                hint: home.hint(),
            }),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                let seconds = DEADLINE.as_secs();
                Err(PostgresError::ToolLate { program, seconds, log: log.since(mark) })
            }
            Err(source) => Err(account.not_run(&path, source)),
        }
    };
    let initialise = [
        "--username",
        DATABASE,
        "--encoding=UTF8",
        "--no-locale",
        "--data-checksums",
        "--auth-local=peer",
        "--auth-host=reject",
        "--no-sync",
    ];
    step("initdb", &initialise, String::new()).await?;
    // Without a client: the server itself runs what it reads. An error must end it.
    let alone = ["--single", "-c", "exit_on_error=on", "-c", "fsync=off"];
    step("postgres", &alone, dugout_store::create_database_statement(DATABASE)).await?;
    step("initdb", &["--sync-only"], String::new()).await
}

/// The server that can work on the files that are there: the given one, else another that is
/// installed.
pub fn matching(
    found: &Found,
    home: &Home,
    events: &impl Fn(&str),
) -> Result<Found, PostgresError> {
    let path = home.data();
    let made_by: u32 = home
        .read_foreign(&path.join("PG_VERSION"))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| PostgresError::Damaged { path: path.clone() })?;
    if made_by == found.major() {
        return Ok(found.clone());
    }
    match find::find_major(made_by) {
        Some(other) => {
            events(&format!(
                "the database was made by PostgreSQL {made_by}: using {} in {}",
                other.version,
                other.bin_dir.display()
            ));
            Ok(other)
        }
        None => {
            Err(PostgresError::OtherVersion { path, made_by, installed: found.version.clone() })
        }
    }
}
