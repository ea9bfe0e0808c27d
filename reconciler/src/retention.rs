//! Forgetting: events and old history are kept for a bounded time.

use std::sync::Arc;
use std::time::Duration;

use dugout_model::chain;
use dugout_store::Store;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::handle::{EngineHandle, Leading};

/// How long events and old history are kept.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// How often it is looked for what is older.
const INTERVAL: Duration = Duration::from_secs(3600);

/// How much is removed in one statement, so that none holds others up.
const ROWS_PER_STATEMENT: u32 = 5_000;

/// Removes what is too old, until shutdown. Only the leader does it.
pub(crate) async fn run(
    store: Store,
    engine: EngineHandle,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        if engine.leading() != Leading::Here {
            continue;
        }
        match store.forget_old(clock.now() - KEPT, ROWS_PER_STATEMENT).await {
            Ok(forgotten) => tracing::debug!(?forgotten, "removed old history"),
            Err(error) => tracing::warn!(error = %chain(&error), "old history is not removed yet"),
        }
    }
}
