//! `dugout up --detach`: the same program in the background, followed until its first release is
//! healthy or it says why not.

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::arguments::UpArguments;
use crate::data_dir::{DataDir, DataDirError, Phase, Running};
use crate::log_file;
use crate::output::complain;
use crate::up::require_room;

/// How often the background process is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A few lines come with each start; what is longer than this is moved away first.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;

/// Starts this program again with the same arguments but `--detach`, in a process group of its own, with
/// its output in the data directory's log; shows that output until the start is over.
pub fn run(
    data_dir: &DataDir,
    arguments: &UpArguments,
    deadline: Duration,
) -> anyhow::Result<ExitCode> {
    data_dir.create()?;
    // Whoever holds the lock keeps it: this only says so early and in the foreground.
    drop(data_dir.lock()?);
    require_room(data_dir, arguments)?;
    let log_path = data_dir.output();
    log_file::bound(&log_path, OUTPUT_BYTES_MAX);
    let mut log = Follower::at_end_of(&log_path)?;
    let mut child = spawn(&log_path)?;
    let started = Instant::now();
    loop {
        log.copy_to(&mut std::io::stdout())?;
        if let Some(status) =
            child.try_wait().context("the background process cannot be watched")?
        {
            log.copy_to(&mut std::io::stdout())?;
            bail!(
                "the background process ended early ({status}); its log is {}",
                log_path.display()
            );
        }
        let phase = said(data_dir)?
            .filter(|running| running.process_id == child.id())
            .map(|running| running.phase);
        match phase {
            Some(Phase::Healthy) => {
                log.copy_to(&mut std::io::stdout())?;
                return Ok(ExitCode::SUCCESS);
            }
            Some(Phase::Unhealthy(reason)) => {
                log.copy_to(&mut std::io::stdout())?;
                complain!("dugout: the first release is not healthy: {reason}");
                complain!(
                    "dugout: it keeps running; look with `dugout status`, stop it with `dugout down`"
                );
                return Ok(ExitCode::FAILURE);
            }
            Some(Phase::Starting) | None if started.elapsed() > deadline => {
                complain!(
                    "dugout: no release was healthy within {} s; it keeps running: `dugout status` says what waits",
                    deadline.as_secs()
                );
                return Ok(ExitCode::FAILURE);
            }
            Some(Phase::Starting) | None => std::thread::sleep(LOOK_INTERVAL),
        }
    }
}

/// What the newest start said; nothing while an older one's words are there that cannot be understood.
fn said(data_dir: &DataDir) -> Result<Option<Running>, DataDirError> {
    match data_dir.read_running() {
        Err(DataDirError::NotUnderstood { .. }) => Ok(None),
        said => said,
    }
}

fn spawn(log_path: &Path) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("this program's own path cannot be found")?;
    let arguments = std::env::args_os().skip(1).filter(|argument| argument != "--detach");
    let log = log_file::append_to(log_path)
        .with_context(|| format!("the log {} cannot be written", log_path.display()))?;
    let errors = log.try_clone().context("the log cannot be shared")?;
    Command::new(program)
        .args(arguments)
        // The environment wins over a configuration file that says `detach: true`.
        .env("DUGOUT_DETACH", "false")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        // A group of its own: Ctrl-C in this terminal does not reach it.
        .process_group(0)
        .spawn()
        .context("the background process cannot be started")
}

/// Reads what is appended to a file.
struct Follower {
    path: std::path::PathBuf,
    at: u64,
}

impl Follower {
    fn at_end_of(path: &Path) -> anyhow::Result<Self> {
        let at = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        Ok(Self { path: path.to_owned(), at })
    }

    fn copy_to(&mut self, out: &mut impl Write) -> anyhow::Result<()> {
        let Ok(mut file) = std::fs::File::open(&self.path) else { return Ok(()) };
        file.seek(SeekFrom::Start(self.at)).context("the log cannot be read")?;
        let mut fresh = Vec::new();
        self.at += file.read_to_end(&mut fresh).context("the log cannot be read")? as u64;
        // A closed terminal must not stop what was started.
        let _ = out.write_all(&fresh).and_then(|()| out.flush());
        Ok(())
    }
}
