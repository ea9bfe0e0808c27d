//! How a person or a supervisor ends the process: the first signal stops it in order, the second at
//! once.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code of a process that a second signal cut off (128 + SIGINT).
const CUT_OFF: i32 = 130;

/// Cancels the returned token at the first SIGINT or SIGTERM; a second one ends the process.
pub fn shutdown_token() -> anyhow::Result<CancellationToken> {
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        cancelled.cancel();
        either(&mut interrupt, &mut terminate).await;
        std::process::exit(CUT_OFF);
    });
    Ok(token)
}

fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("a signal handler cannot be installed")
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
