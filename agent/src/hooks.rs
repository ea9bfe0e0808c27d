//! One run of one hook.

use std::time::Duration;

use dugout_model::LifecycleHandler;

use crate::probe::{HttpAsk, ProbeTarget, run_command};
use crate::runtime::ContainerRuntime;

/// What Kubernetes' hooks call themselves; some servers answer it in a special way.
const AGENT: &str = concat!("kube-lifecycle/dugout-", env!("CARGO_PKG_VERSION"));

/// Runs a hook, for no longer than `deadline`. The error is what to tell people.
pub(crate) async fn run_hook<R: ContainerRuntime>(
    runtime: &R,
    target: &ProbeTarget,
    handler: &LifecycleHandler,
    deadline: Duration,
) -> Result<(), String> {
    match handler {
        LifecycleHandler::Exec { command } => {
            // It has the same deadline itself, and must not be dropped while it ends what is late.
            let id = &target.container_id;
            match run_command(runtime, id, command, deadline).await?.exit_code {
                0 => Ok(()),
                // Not what it said, as with Kubernetes: events are for everyone, and hooks know secrets.
                code => Err(format!("the command ended with code {code}")),
            }
        }
        LifecycleHandler::HttpGet(action) => {
            let ask = HttpAsk::new(target, action, AGENT)?;
            let answer = tokio::time::timeout(deadline, ask.status()).await;
            let late = || format!("no answer within {} s", deadline.as_secs_f64());
            answer.map_err(|_| late())?.map(drop)
        }
        LifecycleHandler::TcpSocket { .. } => {
            Err("Kubernetes has no hook that opens a connection; use exec or httpGet".to_owned())
        }
        LifecycleHandler::Sleep(time) => {
            tokio::time::sleep(deadline.min(*time)).await;
            Ok(())
        }
    }
}
