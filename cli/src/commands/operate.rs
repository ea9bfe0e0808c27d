//! Steering: `sync`, `suspend`, `resume`, `approve`, `rollback`, `restart`, `node` and `token`.

use dugout_api::dugout::{
    ApproveBody, JoinTokenAnswer, JoinTokenBody, JoinTokenItem, JoinTokenList, RollbackAnswer,
    RollbackBody, SyncAnswer,
};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::{drain, one_pod, source_named};
use crate::arguments::{
    ApproveArguments, NodeCommand, RestartArguments, RollbackArguments, SourceArguments,
    TokenCommand,
};
use crate::client::Client;
use crate::output::{Grid, Paint, age_of, between, complain, now, print, short};

const DUGOUT: [&str; 3] = ["apis", "dugout.dev", "v1"];

pub async fn sync(client: &Client, arguments: SourceArguments) -> anyhow::Result<()> {
    let [apis, group, version] = DUGOUT;
    let answer: SyncAnswer = match &arguments.source {
        Some(name) => {
            client.post(&[apis, group, version, "sources", name, "sync"], &json!({})).await?
        }
        None => client.post(&[apis, group, version, "sync"], &json!({})).await?,
    };
    Ok(print(&format!(
        "Looking at {} now; 'dugout status' shows what it finds.\n",
        answer.sources.join(", ")
    ))?)
}

pub async fn suspend(client: &Client, arguments: SourceArguments) -> anyhow::Result<()> {
    let name = source_named(client, arguments.source).await?;
    let [apis, group, version] = DUGOUT;
    let _: Value =
        client.post(&[apis, group, version, "sources", &name, "suspend"], &json!({})).await?;
    Ok(print(&format!(
        "Source {name} is suspended: its commits are seen and not applied, and what runs stays. \
         'dugout resume {name}' applies them again.\n"
    ))?)
}

pub async fn resume(client: &Client, arguments: SourceArguments) -> anyhow::Result<()> {
    let name = source_named(client, arguments.source).await?;
    let [apis, group, version] = DUGOUT;
    let _: Value =
        client.post(&[apis, group, version, "sources", &name, "resume"], &json!({})).await?;
    Ok(print(&format!("Source {name} is followed again.\n"))?)
}

pub async fn rollback(client: &Client, arguments: RollbackArguments) -> anyhow::Result<()> {
    let name = source_named(client, arguments.source).await?;
    let body = RollbackBody { to: arguments.to, reason: arguments.reason };
    let [apis, group, version] = DUGOUT;
    let done: RollbackAnswer =
        client.post(&[apis, group, version, "sources", &name, "rollback"], &body).await?;
    let Some(commit) = done.commit else {
        let why = done.delayed_by.unwrap_or_default();
        return Ok(print(&format!(
            "Brought back {} on the nodes, for {} of source {name} cannot be reached: {why}\n\
             The commit that says so is pushed as soon as it can be; 'dugout status' tells.\n",
            short(&done.to),
            done.branch
        ))?);
    };
    let reverted: Vec<&str> = done.reverted.iter().map(|sha| short(sha)).collect();
    Ok(print(&format!(
        "Pushed {} to {} of source {name}: it reverts {} and brings back {}.\n\
         'dugout timeline {}' shows its way.\n",
        short(&commit),
        done.branch,
        reverted.join(", "),
        short(&done.to),
        short(&commit)
    ))?)
}

/// The pod leaves as on a drained node, and its workload makes another.
pub async fn restart(client: &Client, arguments: RestartArguments) -> anyhow::Result<()> {
    let pod = one_pod(client, arguments.namespaces.only(), &arguments.pod).await?;
    let path = ["api", "v1", "namespaces", &pod.namespace, "pods", &pod.name, "eviction"];
    let eviction = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"namespace": &pod.namespace, "name": &pod.name},
    });
    let _: Value = client.post(&path, &eviction).await?;
    Ok(print(&format!(
        "Pod {}/{} leaves, and another takes its place; 'dugout get pods' shows them.\n",
        pod.namespace, pod.name
    ))?)
}

pub async fn node(client: &Client, command: NodeCommand) -> anyhow::Result<()> {
    let (name, verb, sentence) = match &command {
        NodeCommand::Cordon { name } => (name, "cordon", "takes no new pods"),
        NodeCommand::Uncordon { name } => (name, "uncordon", "takes new pods again"),
        NodeCommand::Drain { name, .. } => {
            (name, "drain", "takes no new pods, and those that it has leave")
        }
        NodeCommand::Delete { name } => {
            (name, "delete", "is forgotten, and what it ran starts elsewhere")
        }
    };
    let [apis, group, version] = DUGOUT;
    let _: Value = client.post(&[apis, group, version, "nodes", name, verb], &json!({})).await?;
    print(&format!("Node {name} {sentence}.\n"))?;
    match &command {
        NodeCommand::Drain { name, timeout, no_wait: false } => {
            drain::watch(client, name, *timeout).await
        }
        NodeCommand::Drain { no_wait: true, .. }
        | NodeCommand::Cordon { .. }
        | NodeCommand::Uncordon { .. }
        | NodeCommand::Delete { .. } => Ok(()),
    }
}

/// Prints a new token alone, so that it can be handed on; the rest is for a person.
pub async fn token(client: &Client, command: TokenCommand) -> anyhow::Result<()> {
    let [apis, group, version] = DUGOUT;
    let tokens = [apis, group, version, "jointokens"];
    match command {
        TokenCommand::Create { valid_for } => {
            let body = JoinTokenBody { valid_for_seconds: valid_for.map(|span| span.as_secs()) };
            let answer: JoinTokenAnswer = client.post(&tokens, &body).await?;
            if let Some(name) = &answer.name {
                complain!("Made {name}; 'dugout token revoke {name}' ends it.");
            }
            Ok(print(&format!("{}\n", answer.token))?)
        }
        TokenCommand::List => {
            let list: JoinTokenList = client.get(&tokens, &[]).await?;
            Ok(print(&tokens_table(&list.items, now()).render(Paint::for_stdout()))?)
        }
        TokenCommand::Revoke { name } => {
            let _: Value = client
                .post(&[apis, group, version, "jointokens", &name, "revoke"], &json!({}))
                .await?;
            Ok(print(&format!(
                "{name} is refused from now on; a server that stands by believes it for another \
                 minute at most.\n"
            ))?)
        }
    }
}

fn tokens_table(tokens: &[JoinTokenItem], now: Timestamp) -> Grid {
    let mut grid = Grid::new(["NAME", "AGE", "EXPIRES"]);
    for token in tokens {
        let expires = match token.expires_at {
            None => "never".to_owned(),
            Some(at) if at <= now => "expired".to_owned(),
            Some(at) => format!("in {}", dugout_api::age(between(now, at))),
        };
        let age = token.created_at.map(|at| age_of(at, now)).unwrap_or_default();
        grid.row([token.name.clone(), age, expires]);
    }
    grid
}

pub async fn approve(client: &Client, arguments: ApproveArguments) -> anyhow::Result<()> {
    let name = source_named(client, arguments.source).await?;
    let [apis, group, version] = DUGOUT;
    let body = ApproveBody { commit: arguments.commit.clone() };
    let _: Value = client.post(&[apis, group, version, "sources", &name, "approve"], &body).await?;
    Ok(print(&format!(
        "Commit {} of source {name} is approved and applied now; 'dugout status' shows its way.\n",
        arguments.commit
    ))?)
}
