//! One run of one hook.

use std::time::Duration;

use dugout_model::{LifecycleHandler, chain};

use crate::probe::{HttpAsk, ProbeTarget};
use crate::runtime::{ContainerRuntime, RuntimeError};

/// What Kubernetes' hooks call themselves; some servers answer it in a special way.
const AGENT: &str = concat!("kube-lifecycle/dugout-", env!("CARGO_PKG_VERSION"));

/// Why a hook did no good, in the words that people are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HookError {
    /// It was not run, or that is not known: the engine was away, or there was no place for it in time.
    NotRun(String),
    Failed(String),
}

impl HookError {
    pub fn message(&self) -> &str {
        match self {
            HookError::NotRun(message) | HookError::Failed(message) => message,
        }
    }
}

/// What is done about the same hook that an earlier life of the agent began and that still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Earlier {
    /// There is none.
    Impossible,
    /// Its end is this one's.
    Awaited,
}

/// Runs a hook, for no longer than `deadline`.
pub(crate) async fn run_hook<R: ContainerRuntime>(
    runtime: &R,
    target: &ProbeTarget,
    handler: &LifecycleHandler,
    earlier: Earlier,
    deadline: Duration,
) -> Result<(), HookError> {
    let ended = match handler {
        LifecycleHandler::Exec { command } => {
            return run_command(runtime, &target.container_id, command, earlier, deadline).await;
        }
        LifecycleHandler::HttpGet(action) => match HttpAsk::new(target, action, AGENT) {
            Ok(ask) => {
                let answer = tokio::time::timeout(deadline, ask.status()).await;
                let late = || format!("no answer within {} s", deadline.as_secs_f64());
                answer.map_err(|_| late()).and_then(|answer| answer).map(drop)
            }
            Err(why) => Err(why),
        },
        LifecycleHandler::TcpSocket { .. } => {
            Err("Kubernetes has no hook that opens a connection; use exec or httpGet".to_owned())
        }
        LifecycleHandler::Sleep(time) => {
            tokio::time::sleep(deadline.min(*time)).await;
            Ok(())
        }
    };
    ended.map_err(HookError::Failed)
}

/// It has the deadline itself, and must not be dropped while it ends what is late.
async fn run_command<R: ContainerRuntime>(
    runtime: &R,
    id: &str,
    command: &[String],
    earlier: Earlier,
    deadline: Duration,
) -> Result<(), HookError> {
    let failed = |error: RuntimeError| match error {
        error if error.is_engine_unavailable() => HookError::NotRun(chain(&error)),
        error if error.is_deadline() => HookError::Failed(format!(
            "the command did not end within {} s",
            deadline.as_secs_f64()
        )),
        error => HookError::Failed(chain(&error)),
    };
    let resumed = match earlier {
        Earlier::Impossible => None,
        Earlier::Awaited => runtime.await_exec(id, command, deadline).await.map_err(failed)?,
    };
    let code = match resumed {
        Some(code) => code,
        None => runtime.exec(id, command, deadline).await.map_err(failed)?.exit_code,
    };
    match code {
        0 => Ok(()),
        // Not what it said, as with Kubernetes: events are for everyone, and hooks know secrets.
        code => Err(HookError::Failed(format!("the command ended with code {code}"))),
    }
}
