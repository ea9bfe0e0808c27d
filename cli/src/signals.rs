//! How a person or a supervisor ends the process: the first signal stops it in order, the second at
//! once.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code of a process that a second signal cut off (128 + SIGINT).
const CUT_OFF: i32 = 130;

/// Cancels the returned token at the first SIGINT, SIGTERM or SIGHUP (the terminal was closed); a second
/// SIGINT or SIGTERM ends the process. A terminal that goes away often tells it more than once, so a
/// further SIGHUP cuts nothing off.
pub fn shutdown_token() -> anyhow::Result<CancellationToken> {
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = either(&mut interrupt, &mut terminate) => {}
            _ = hangup.recv() => {}
        }
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
