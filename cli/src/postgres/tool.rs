//! Runs a program to its end, with a deadline.

use std::io;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// For programs that only answer a question.
pub const QUESTION_DEADLINE: Duration = Duration::from_secs(10);

/// Runs a command; past the deadline it is killed and the error is `TimedOut`.
pub async fn run(command: Command, input: &[u8], deadline: Duration) -> io::Result<Output> {
    use tokio::io::AsyncWriteExt;
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let work = async move {
        if let Some(mut stdin) = child.stdin.take() {
            // A program that ends without reading says why with its status.
            let _ = stdin.write_all(input).await;
        }
        child.wait_with_output().await
    };
    match tokio::time::timeout(deadline, work).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// What a command that is known to say little prints, or nothing when it fails. Blocks for at most
/// the deadline of a question.
pub fn output_of(mut command: Command) -> Option<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let started = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if started.elapsed() > QUESTION_DEADLINE {
            // It may have ended in between.
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
