//! Commands inside running containers, and the end of those that take too long.
//!
//! Docker has no call that ends a command. One that did not end in time would stay, and a probe that
//! hangs would add one each period until the container has no process left to give. So its processes are
//! killed; where that cannot be done (an engine on another machine, an agent that may not), the same
//! command is not run again in this container until the earlier one has ended by itself.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as BollardError;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::ExecInspectResponse;
use futures_util::TryStreamExt;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{DockerRuntime, QUICK};
use crate::runtime::{ExecOutcome, PermanentKind, RuntimeError};

/// How much of a command's output is kept.
const MAX_OUTPUT_BYTES: usize = 4096;
/// How long a killed command may take until the engine has seen its end.
const END: Duration = Duration::from_secs(2);
/// How long a command may take to end after its terminal was closed.
const HANG_UP: Duration = Duration::from_secs(2);
/// How often the engine is asked for that.
const END_LOOK: Duration = Duration::from_millis(20);
/// How often the engine is asked for the end of one that an earlier life began.
const AWAIT_LOOK: Duration = Duration::from_millis(100);
/// How many commands that could not be ended are remembered. A container has three probes at most.
const MAX_LATE: usize = 1024;

/// The commands that did not end in time and could not be ended: the engine's id for each, by container
/// and command.
#[derive(Debug, Default)]
pub(super) struct LateCommands(Mutex<HashMap<(String, Vec<String>), String>>);

impl LateCommands {
    fn get(&self, container: &str, command: &[String]) -> Option<String> {
        self.held().get(&(container.to_owned(), command.to_vec())).cloned()
    }

    fn note(&self, container: &str, command: &[String], exec: String) {
        let mut held = self.held();
        if held.len() < MAX_LATE {
            held.insert((container.to_owned(), command.to_vec()), exec);
        }
    }

    fn forget(&self, container: &str, command: &[String]) {
        self.held().remove(&(container.to_owned(), command.to_vec()));
    }

    /// A container's commands end with it.
    pub(super) fn forget_container(&self, container: &str) {
        self.held().retain(|(of, _), _| of != container);
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<(String, Vec<String>), String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DockerRuntime {
    /// Runs a command, and ends it when the deadline passes.
    pub(super) async fn run_command(
        &self,
        container: &str,
        command: &[String],
        deadline: Duration,
    ) -> Result<ExecOutcome, RuntimeError> {
        if let Some(exec) = self.late.get(container, command) {
            if !self.has_ended(container, &exec, Some(Signal::KILL)).await? {
                return Err(RuntimeError::Transient {
                    operation: "exec",
                    message: "the same command still runs from an earlier time, could not be ended, and is not run twice".to_owned(),
                });
            }
            self.late.forget(container, command);
        }
        let made = OnceLock::new();
        let run = |docker| run_and_read(docker, container, command, &made);
        let result = self.call("exec", deadline, run).await;
        if let (Err(RuntimeError::Deadline { .. }), Some(exec)) = (&result, made.into_inner())
            && !self.end(container, &exec).await
        {
            self.late.note(container, command, exec);
        }
        result
    }

    /// Waits for a command that still runs, and ends it when the deadline passes.
    pub(super) async fn await_command(
        &self,
        container: &str,
        command: &[String],
        deadline: Duration,
    ) -> Result<Option<i64>, RuntimeError> {
        let look = |docker: Docker| async move { docker.inspect_container(container, None).await };
        let found = self.call("inspect", QUICK, look).await?;
        for exec in found.exec_ids.unwrap_or_default() {
            let state = self.look_at_exec(&exec).await?;
            if state.as_ref().is_none_or(|state| !is_running(state, command)) {
                continue;
            }
            let Ok(code) = tokio::time::timeout(deadline, self.await_end(&exec)).await else {
                if !self.end(container, &exec).await {
                    self.late.note(container, command, exec);
                }
                return Err(RuntimeError::Deadline { operation: "exec", after: deadline });
            };
            return code.map(Some);
        }
        Ok(None)
    }

    async fn await_end(&self, exec: &str) -> Result<i64, RuntimeError> {
        loop {
            match self.look_at_exec(exec).await? {
                Some(state) if state.running != Some(false) => {
                    tokio::time::sleep(AWAIT_LOOK).await;
                }
                // An engine forgets in time what has ended.
                ended => return Ok(ended.and_then(|state| state.exit_code).unwrap_or(0)),
            }
        }
    }

    /// What the engine knows of a command.
    async fn look_at_exec(&self, exec: &str) -> Result<Option<ExecInspectResponse>, RuntimeError> {
        let look = |docker: Docker| async move { docker.inspect_exec(exec).await };
        match self.call("exec inspect", QUICK, look).await {
            Ok(state) => Ok(Some(state)),
            Err(error) if error.permanent_kind() == Some(PermanentKind::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Kills a command's processes and returns whether the engine has seen its end.
    async fn end(&self, container: &str, exec: &str) -> bool {
        let ending = async {
            while !self.has_ended(container, exec, Some(Signal::KILL)).await? {
                tokio::time::sleep(END_LOOK).await;
            }
            Ok::<(), RuntimeError>(())
        };
        matches!(tokio::time::timeout(END, ending).await, Ok(Ok(())))
    }

    /// Tells a command's processes that their terminal is gone, and kills what is left of them soon
    /// after. Returns whether the engine has seen its end.
    pub(super) async fn hang_up_command(&self, container: &str, exec: &str) -> bool {
        let ending = async {
            let mut signal = Some(Signal::HUP);
            while !self.has_ended(container, exec, signal.take()).await? {
                tokio::time::sleep(END_LOOK).await;
            }
            Ok::<(), RuntimeError>(())
        };
        matches!(tokio::time::timeout(HANG_UP, ending).await, Ok(Ok(())))
            || self.end(container, exec).await
    }

    /// Whether a command has ended; sends a signal to what is there of one that has not.
    async fn has_ended(
        &self,
        container: &str,
        exec: &str,
        signal: Option<Signal>,
    ) -> Result<bool, RuntimeError> {
        let Some(state) = self.look_at_exec(exec).await? else { return Ok(true) };
        if state.running == Some(false) {
            return Ok(true);
        }
        let leader = state.pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let (Some(leader), Some(signal)) = (leader, signal) {
            let container = container.to_owned();
            // Reads the list of all processes.
            let signalling =
                tokio::task::spawn_blocking(move || signal_session(leader, &container, signal));
            let _ = signalling.await;
        }
        Ok(false)
    }
}

/// Whether it is this command and has not ended.
fn is_running(state: &ExecInspectResponse, command: &[String]) -> bool {
    let Some(process) = &state.process_config else { return false };
    let words = process.entrypoint.iter().chain(process.arguments.iter().flatten());
    state.running == Some(true) && words.eq(command)
}

async fn run_and_read(
    docker: Docker,
    container: &str,
    command: &[String],
    made: &OnceLock<String>,
) -> Result<ExecOutcome, BollardError> {
    let options = CreateExecOptions {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(command.to_vec()),
        ..CreateExecOptions::default()
    };
    let exec = docker.create_exec(container, options).await?.id;
    let exec = made.get_or_init(|| exec);
    let mut output = Vec::new();
    let started = docker.start_exec(exec, None::<StartExecOptions>).await?;
    if let StartExecResults::Attached { output: mut chunks, .. } = started {
        while let Some(chunk) = chunks.try_next().await? {
            let room = MAX_OUTPUT_BYTES.saturating_sub(output.len());
            let chunk = chunk.into_bytes();
            output.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        }
    }
    let ended = docker.inspect_exec(exec).await?;
    Ok(ExecOutcome {
        exit_code: ended.exit_code.unwrap_or(-1),
        output: String::from_utf8_lossy(&output).into_owned(),
    })
}

/// Sends a signal to the processes of a session that are in a control group with this container's id in its path.
///
/// The engine runs each command as the leader of a session of its own, so its children get it,
/// too. A number says nothing by itself: it may be of another machine, or used again by now. The process
/// is held first and its control group is read then: if what was read belongs to the container and what
/// is held still lives, both are the same process.
fn signal_session(leader: Pid, container: &str, signal: Signal) {
    let Ok(processes) = std::fs::read_dir("/proc") else { return };
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    for process in numbers.filter_map(Pid::from_raw) {
        if session(process) != Some(leader) {
            continue;
        }
        let Ok(held) = pidfd_open(process, PidfdFlags::empty()) else { continue };
        let groups = std::fs::read_to_string(format!("/proc/{process}/cgroup"));
        if groups.is_ok_and(|groups| groups.contains(container)) {
            match pidfd_send_signal(&held, signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => {
                    tracing::warn!(%process, %error, "a command cannot be ended");
                }
            }
        }
    }
}

/// The leader of a process's session, by the sixth word of its `stat` (proc_pid_stat(5)); the second is
/// its name in brackets, which may hold anything.
fn session(process: Pid) -> Option<Pid> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    Pid::from_raw(after_name.split_whitespace().nth(3)?.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    use super::*;

    fn sleeper() -> Child {
        let mut command = Command::new("setsid");
        command.args(["--wait", "sh", "-c", "sleep 1000 & exec sleep 1000"]).process_group(0);
        command.spawn().expect("setsid is there")
    }

    fn session_of(child: &Child) -> Option<Pid> {
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let first = std::fs::read_to_string(children).ok()?;
        let first = Pid::from_raw(first.split_whitespace().next()?.parse().ok()?)?;
        (session(first) == Some(first)).then_some(first)
    }

    #[test]
    fn only_what_lies_in_the_containers_control_group_is_killed() {
        let own = std::fs::read_to_string("/proc/self/cgroup").expect("control groups");
        let own = own.lines().next().expect("a line").to_owned();
        let mut child = sleeper();
        let session =
            std::iter::repeat_with(|| session_of(&child)).take(1_000_000).flatten().next();
        let session = session.expect("it leads a session");
        signal_session(session, "0123456789abcdef of another container", Signal::KILL);
        assert!(child.try_wait().expect("it can be asked").is_none(), "it is not the container's");
        signal_session(session, &own, Signal::KILL);
        child.wait().expect("it ended");
    }
}
