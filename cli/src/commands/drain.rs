//! `dugout node drain`, once it was asked for: tells what leaves and what still stands there.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::bail;
use dugout_api::dugout::DrainAnswer;
use tokio::time::{Instant, sleep};

use crate::client::{Client, Refused};
use crate::output::{complain, print};

const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// Nobody waits longer, and a clock can count it.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 86_400);

/// What each pod that is left waits for, by namespace and name.
type Left = BTreeMap<String, String>;

/// Waits until a node is drained. The server is the one who drains: to stop waiting stops nothing.
pub(super) async fn watch(client: &Client, node: &str, timeout: Duration) -> anyhow::Result<()> {
    let ends_at = Instant::now() + timeout.min(LONGEST_WAIT);
    let mut left = Left::new();
    let mut is_out_of_reach = false;
    loop {
        match look(client, node).await {
            Ok(Some(now)) => {
                is_out_of_reach = false;
                print(&news(&left, &now))?;
                left = now;
                if left.is_empty() {
                    return Ok(print(&format!(
                        "Node {node} is drained. 'dugout node uncordon {node}' lets pods onto it \
                         again.\n"
                    ))?);
                }
            }
            Ok(None) => bail!("node {node} is no longer drained: somebody has ended it"),
            Err(error) if error.downcast_ref::<Refused>().is_some_and(|no| no.code == 404) => {
                return Err(error);
            }
            // Another server may take over: what was asked for is in its database.
            Err(error) => {
                if !is_out_of_reach {
                    complain!("{error:#}; looking again");
                }
                is_out_of_reach = true;
            }
        }
        if Instant::now() >= ends_at {
            bail!(
                "node {node} was not drained in time; {}, and the drain goes on: 'dugout describe node \
                 {node}' shows it, 'dugout node uncordon {node}' ends it",
                what_is_left(left.len())
            );
        }
        sleep(BETWEEN_LOOKS.min(ends_at.saturating_duration_since(Instant::now()))).await;
    }
}

/// A look that finds no pod ends the wait: where none was seen, no look came to an end.
fn what_is_left(pods: usize) -> String {
    match pods {
        0 => "what is left is not known".to_owned(),
        1 => "1 pod is left".to_owned(),
        _ => format!("{pods} pods are left"),
    }
}

/// What is left; nothing when the node is not being drained.
async fn look(client: &Client, node: &str) -> anyhow::Result<Option<Left>> {
    let path = ["apis", "dugout.dev", "v1", "nodes", node, "drain"];
    let answer: DrainAnswer = client.get(&path, &[]).await?;
    if answer.draining_since.is_none() {
        return Ok(None);
    }
    let pods = answer.pods.into_iter();
    Ok(Some(pods.map(|pod| (format!("{}/{}", pod.namespace, pod.name), pod.waits)).collect()))
}

/// What is new since the last look, a line each.
fn news(before: &Left, now: &Left) -> String {
    let gone = before.keys().filter(|pod| !now.contains_key(*pod));
    let gone = gone.map(|pod| format!("{pod}: gone\n"));
    let changed = now.iter().filter(|(pod, waits)| before.get(*pod) != Some(*waits));
    gone.chain(changed.map(|(pod, waits)| format!("{pod}: {waits}\n"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(pods: &[(&str, &str)]) -> Left {
        pods.iter().map(|(pod, waits)| ((*pod).to_owned(), (*waits).to_owned())).collect()
    }

    #[test]
    fn what_is_left_is_told_as_it_is_counted() {
        let told = [0, 1, 2].map(what_is_left);
        assert_eq!(told, ["what is left is not known", "1 pod is left", "2 pods are left"]);
    }

    #[test]
    fn only_what_is_new_is_told() {
        let first = left(&[("demo/a", "it leaves"), ("demo/b", "the budget x needs 1")]);
        assert_eq!(news(&Left::new(), &first), "demo/a: it leaves\ndemo/b: the budget x needs 1\n");
        assert_eq!(news(&first, &first), "");
        let second = left(&[("demo/b", "it leaves")]);
        assert_eq!(news(&first, &second), "demo/a: gone\ndemo/b: it leaves\n");
        assert_eq!(news(&second, &Left::new()), "demo/b: gone\n");
    }
}
