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
/// How long a command may take to end after its terminal was closed, and again after it was killed.
const HANG_UP: Duration = Duration::from_secs(2);
/// How long one may take to begin that nobody waits for any more.
const BEGIN: Duration = Duration::from_secs(600);
/// How often the engine is asked for that, after a while.
const BEGIN_LOOK: Duration = Duration::from_secs(1);
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

    /// Tells a command's processes that their terminal is gone, and kills soon after what is left of them:
    /// the command itself, and what it began in its session. One that was asked for and has not begun is
    /// awaited, and ended then. Returns whether nothing of it runs any more.
    pub(super) async fn hang_up_command(&self, container: &str, exec: &str) -> bool {
        let begin = await_begin(|| self.look_at_exec(exec));
        let leader = tokio::time::timeout(BEGIN, begin).await;
        match leader {
            Ok(Ok(Some(leader))) => {
                self.end_session(container, exec, leader, Signal::HUP).await
                    || self.end_session(container, exec, leader, Signal::KILL).await
            }
            Ok(Ok(None)) => true,
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// Signals a session, and waits until neither we nor the engine know of any process of it.
    async fn end_session(&self, container: &str, exec: &str, leader: Pid, signal: Signal) -> bool {
        let ending = async {
            // Told once that the terminal is gone; killed is also what comes meanwhile.
            let mut sent = Some(signal);
            let mut pause = END_LOOK;
            loop {
                let left = signalled(leader, container, sent).await;
                sent = sent.filter(|signal| *signal == Signal::KILL);
                if left == 0 && has_surely_ended(self.look_at_exec(exec).await)? {
                    return Ok::<(), RuntimeError>(());
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(AWAIT_LOOK);
            }
        };
        matches!(tokio::time::timeout(HANG_UP, ending).await, Ok(Ok(())))
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
            signalled(leader, container, Some(signal)).await;
        }
        Ok(false)
    }
}

/// How far a command has come, as the engine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Was made, and its process is not there yet: a start may be on its way.
    ToBegin,
    /// With its process.
    Runs(Pid),
    Ended,
}

fn progress(state: &ExecInspectResponse) -> Progress {
    let leader = state.pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    match (state.running, state.exit_code, leader) {
        (Some(true), _, Some(leader)) => Progress::Runs(leader),
        // One that has ended has a code.
        (Some(true), _, None) | (_, None, _) => Progress::ToBegin,
        _ => Progress::Ended,
    }
}

/// The leader of a command that was begun or will be; none when it has ended. An engine that does not answer
/// now may begin it yet, so it is asked again.
async fn await_begin<L>(mut look: impl FnMut() -> L) -> Result<Option<Pid>, RuntimeError>
where
    L: Future<Output = Result<Option<ExecInspectResponse>, RuntimeError>>,
{
    let mut pause = END_LOOK;
    loop {
        match look().await {
            Ok(state) => match state.as_ref().map(progress) {
                Some(Progress::Runs(leader)) => return Ok(Some(leader)),
                None | Some(Progress::Ended) => return Ok(None),
                Some(Progress::ToBegin) => {}
            },
            Err(error) if error.may_pass() => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BEGIN_LOOK);
    }
}

/// Whether the engine has seen its end. What may pass says nothing of that.
fn has_surely_ended(
    looked: Result<Option<ExecInspectResponse>, RuntimeError>,
) -> Result<bool, RuntimeError> {
    match looked {
        Ok(state) => Ok(state.is_none_or(|state| progress(&state) == Progress::Ended)),
        Err(error) if error.may_pass() => Ok(false),
        Err(error) => Err(error),
    }
}

/// As below, where to wait is allowed: it reads the list of all processes.
async fn signalled(leader: Pid, container: &str, signal: Option<Signal>) -> usize {
    let container = container.to_owned();
    let signalling =
        tokio::task::spawn_blocking(move || signal_session(leader, &container, signal));
    signalling.await.unwrap_or(0)
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

/// Sends a signal to the processes of a session that are in a control group with this container's id in its
/// path, and returns how many there are.
///
/// The engine runs each command as the leader of a session of its own, so its children get it,
/// too. A number says nothing by itself: it may be of another machine, or used again by now. The process
/// is held first and its control group is read then: if what was read belongs to the container and what
/// is held still lives, both are the same process. A session's number is not used again while it has a
/// process, so what outlives its leader is found as well.
fn signal_session(leader: Pid, container: &str, signal: Option<Signal>) -> usize {
    let Ok(processes) = std::fs::read_dir("/proc") else { return 0 };
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut found = 0;
    for process in numbers.filter_map(Pid::from_raw) {
        if session(process) != Some(leader) {
            continue;
        }
        let Ok(held) = pidfd_open(process, PidfdFlags::empty()) else { continue };
        let groups = std::fs::read_to_string(format!("/proc/{process}/cgroup"));
        if !groups.is_ok_and(|groups| groups.contains(container)) {
            continue;
        }
        found += 1;
        match signal.map(|signal| pidfd_send_signal(&held, signal)) {
            None | Some(Ok(()) | Err(Errno::SRCH)) => {}
            Some(Err(error)) => tracing::warn!(%process, %error, "a command cannot be ended"),
        }
    }
    found
}

/// The leader of a living process's session, by its `stat` (proc_pid_stat(5)): its third word is the
/// process's state, its sixth the session; the second is its name in brackets, which may hold anything.
fn session(process: Pid) -> Option<Pid> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut words = after_name.split_whitespace();
    // What has ended stays in the list until its parent looks, which in a container may be never.
    if matches!(words.next()?, "Z" | "X") {
        return None;
    }
    Pid::from_raw(words.nth(2)?.parse().ok()?)
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
        let kill = Some(Signal::KILL);
        let other = signal_session(session, "0123456789abcdef of another container", kill);
        assert_eq!(other, 0);
        assert!(child.try_wait().expect("it can be asked").is_none(), "it is not the container's");
        // The second may not be there yet; to count ends nothing.
        let began = std::time::Instant::now();
        while signal_session(session, &own, None) < 2 {
            assert!(began.elapsed() < Duration::from_secs(60), "it has no child");
            std::thread::yield_now();
        }
        assert!(child.try_wait().expect("it can be asked").is_none());
        assert_eq!(signal_session(session, &own, kill), 2);
        child.wait().expect("it ended");
    }

    fn state(running: bool, exit_code: Option<i64>, pid: i64) -> ExecInspectResponse {
        let (running, pid) = (Some(running), Some(pid));
        ExecInspectResponse { running, exit_code, pid, ..ExecInspectResponse::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_does_not_answer_now_is_asked_again_for_a_command() {
        let hiccup = || RuntimeError::Transient { operation: "exec inspect", message: "no".into() };
        let slow = || RuntimeError::Deadline { operation: "exec inspect", after: QUICK };
        let mut answers = vec![
            Err(hiccup()),
            Ok(Some(state(false, None, 0))),
            Err(slow()),
            Ok(Some(state(true, None, 7))),
        ]
        .into_iter();
        let leader = await_begin(|| std::future::ready(answers.next().expect("an answer"))).await;
        assert_eq!(leader.expect("it is waited for"), Pid::from_raw(7));
        assert!(!has_surely_ended(Err(hiccup())).expect("it may pass"));
        assert!(has_surely_ended(Ok(None)).expect("an answer"));

        let gone = || RuntimeError::Permanent {
            operation: "exec inspect",
            kind: PermanentKind::Invalid,
            message: "no".into(),
        };
        assert!(await_begin(|| std::future::ready(Err(gone()))).await.is_err());
        assert!(has_surely_ended(Err(gone())).is_err());
    }

    #[test]
    fn a_command_that_was_not_begun_has_not_ended() {
        let leader = Pid::from_raw(7).expect("a number");
        for (state, meant) in [
            (state(false, None, 0), Progress::ToBegin),
            (state(true, None, 0), Progress::ToBegin),
            (state(true, None, 7), Progress::Runs(leader)),
            (state(false, Some(0), 0), Progress::Ended),
            (state(false, Some(137), 7), Progress::Ended),
        ] {
            assert_eq!(progress(&state), meant, "{state:?}");
        }
    }
}
