//! Forgetting: events and old history are kept for a bounded time.

use std::sync::Arc;
use std::time::Duration;

use dugout_model::chain;
use dugout_store::{Forgotten, Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::handle::{EngineHandle, Leading};

/// How long events and old history are kept.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// How often it is looked for what is older.
const INTERVAL: Duration = Duration::from_secs(3600);

/// How much is removed of each table in one statement, so that none holds others up.
const ROWS_PER_STATEMENT: u32 = 5_000;

/// How long others have the database to themselves between two statements.
const BREATH: Duration = Duration::from_millis(100);

/// Removes what is too old, when leading begins and then every hour, until shutdown. Only the leader
/// does it.
pub(crate) async fn run(
    store: Store,
    engine: EngineHandle,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) {
    let work = async {
        while engine.until_leading().await {
            let before = clock.now() - KEPT;
            let forget = || {
                let (store, leading) = (store.clone(), engine.leading());
                async move {
                    match leading {
                        Leading::Here => store.forget_old(before, ROWS_PER_STATEMENT).await,
                        _ => Ok(Forgotten::default()),
                    }
                }
            };
            if let Err(error) = forget_all(forget).await {
                tracing::warn!(error = %chain(&error), "old history is not removed yet");
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = work => {}
    }
}

/// Repeats a bounded removal until it finds less than it may take.
async fn forget_all<F>(mut forget: impl FnMut() -> F) -> Result<(), StoreError>
where
    F: Future<Output = Result<Forgotten, StoreError>>,
{
    loop {
        let forgotten = forget().await?;
        tracing::debug!(?forgotten, "removed old history");
        if forgotten.largest() < u64::from(ROWS_PER_STATEMENT) {
            return Ok(());
        }
        tokio::time::sleep(BREATH).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_until_less_than_a_statement_may_take_is_left() {
        let full = u64::from(ROWS_PER_STATEMENT);
        let mut found = vec![
            Forgotten { events: 3, ..Forgotten::default() },
            Forgotten { timeline: full, ..Forgotten::default() },
            Forgotten { events: full, releases: 1, ..Forgotten::default() },
        ];
        forget_all(|| std::future::ready(Ok(found.pop().unwrap()))).await.unwrap();
        assert!(found.is_empty(), "{found:?} is left");
    }
}
