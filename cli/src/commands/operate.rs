//! Steering: `sync`, `suspend`, `resume`, `rollback`, `node` and `token`.

use dugout_api::dugout::{JoinTokenAnswer, RollbackAnswer, RollbackBody, SyncAnswer};
use serde_json::{Value, json};

use super::source_named;
use crate::arguments::{NodeCommand, RollbackArguments, SourceArguments, TokenCommand};
use crate::client::Client;
use crate::output::{print, short};

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
    let reverted: Vec<&str> = done.reverted.iter().map(|sha| short(sha)).collect();
    Ok(print(&format!(
        "Pushed {} to {} of source {name}: it reverts {} and brings back {}.\n\
         'dugout timeline {}' shows its way.\n",
        short(&done.commit),
        done.branch,
        reverted.join(", "),
        short(&done.to),
        short(&done.commit)
    ))?)
}

pub async fn node(client: &Client, command: NodeCommand) -> anyhow::Result<()> {
    let (name, verb, sentence) = match command {
        NodeCommand::Cordon { name } => (name, "cordon", "takes no new pods"),
        NodeCommand::Uncordon { name } => (name, "uncordon", "takes new pods again"),
    };
    let [apis, group, version] = DUGOUT;
    let _: Value = client.post(&[apis, group, version, "nodes", &name, verb], &json!({})).await?;
    Ok(print(&format!("Node {name} {sentence}.\n"))?)
}

/// Prints the token alone, so that it can be handed on.
pub async fn token(client: &Client, command: TokenCommand) -> anyhow::Result<()> {
    let TokenCommand::Create = command;
    let [apis, group, version] = DUGOUT;
    let answer: JoinTokenAnswer =
        client.post(&[apis, group, version, "jointokens"], &json!({})).await?;
    Ok(print(&format!("{}\n", answer.token))?)
}
