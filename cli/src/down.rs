//! `dugout down`: stops the control plane of a data directory and removes the containers that it and the
//! agent of that directory made on this machine's engine.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use dugout_agent::AgentError;
use dugout_agent::labels::Owner;
use dugout_agent::local::{AgentFolder, Local, LocalError, Node, Removed};
use dugout_model::{ClusterId, chain};

use crate::arguments::DownArguments;
use crate::control_plane::ControlPlane;
use crate::data_dir::{DataDir, DataDirError, Lock, Running};
use crate::output::{complain, tell};
use crate::postgres;

/// How long a running control plane may take to stop: what its own parts may, one after the other, and a
/// little for the rest. A PostgreSQL in a container is sooner gone than a private one, unless its engine hangs.
const STOP_DEADLINE: Duration = ControlPlane::STOP_DEADLINE
    .saturating_add(postgres::STOP_DEADLINE)
    .saturating_add(Duration::from_secs(5));

const VOLUMES_LEFT: &str = "the volumes of its pods are not all removed; run `dugout down` again, as root where containers wrote there as root";

pub async fn run(arguments: DownArguments) -> anyhow::Result<ExitCode> {
    let data_dir = DataDir::choose(arguments.data_dir.as_deref())?;
    if !data_dir.root().exists() {
        tell!("Nothing to do: there is no data directory {}.", data_dir.root().display());
        return Ok(ExitCode::SUCCESS);
    }
    if AgentFolder::is(data_dir.root()) {
        return agent_alone(data_dir.root(), &arguments).await;
    }
    // Before anything is written or stopped: what --data-dir names may be anything.
    data_dir.require_own()?;
    let running = last_start(&data_dir)?;
    // An agent in a process of its own refuses before anything is stopped; the one of `dugout up` ends
    // with it.
    let holder = data_dir.lock_holder();
    let is_of_up = running.as_ref().is_some_and(|running| holder == Some(running.process_id));
    let alone = if is_of_up { None } else { take_agent(&data_dir.agent())? };
    let lock = stop_control_plane(&data_dir).await?;
    let agent = if is_of_up { take_agent(&data_dir.agent())? } else { alone };
    postgres::stop_left_running(data_dir.root())
        .await
        .context("the private PostgreSQL that was left running cannot be stopped")?;
    remove_containers(agent.as_ref(), running.as_ref(), &arguments).await?;
    if let Some(agent) = &agent {
        agent.remove_volumes().context(VOLUMES_LEFT)?;
    }
    if let Some(running) = running.as_ref().filter(|_| arguments.purge) {
        let local = engine(running, arguments.docker_host.as_deref()).await?;
        remove_images(&local, &running.images).await?;
    }
    remove_postgres(&data_dir, running.as_ref(), &arguments).await?;
    if arguments.purge {
        data_dir.purge()?;
        tell!("Removed the data directory {}.", data_dir.root().display());
    }
    drop(lock);
    tell!("Your Git repositories were not touched.");
    Ok(ExitCode::SUCCESS)
}

/// What the last start here said of itself. Without it the containers are still found by what the agent
/// keeps.
fn last_start(data_dir: &DataDir) -> anyhow::Result<Option<Running>> {
    match data_dir.read_running() {
        Ok(running) => Ok(running),
        Err(error @ DataDirError::NotUnderstood { .. }) => {
            complain!(
                "dugout: {}; so the images that were made for the example stay",
                chain(&error)
            );
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Takes down what an agent with a data directory of its own runs.
async fn agent_alone(path: &Path, arguments: &DownArguments) -> anyhow::Result<ExitCode> {
    let Some(agent) = take_agent(path)? else { return Ok(ExitCode::SUCCESS) };
    remove_node(&agent, None, arguments).await?;
    agent.remove_volumes().context(VOLUMES_LEFT)?;
    if arguments.purge {
        agent.purge()?;
        tell!("Removed the data directory {}.", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes an agent's data directory, where there is one, so that none starts meanwhile.
fn take_agent(path: &Path) -> anyhow::Result<Option<AgentFolder>> {
    if !path.is_dir() {
        return Ok(None);
    }
    match AgentFolder::take(path) {
        Ok(agent) => Ok(Some(agent)),
        Err(LocalError::Folder(error)) if matches!(*error, AgentError::DataDirInUse { .. }) => {
            bail!(
                "the agent with the data directory {} is still running, and nothing was changed; end its process, then run `dugout down` again",
                path.display()
            )
        }
        Err(error) => Err(error.into()),
    }
}

/// Removes the containers of this data directory's node. Those of the other nodes of its cluster are told:
/// their agents tend them, and would make them again at once.
async fn remove_containers(
    agent: Option<&AgentFolder>,
    running: Option<&Running>,
    arguments: &DownArguments,
) -> anyhow::Result<()> {
    let own = running.and_then(|running| Some((running, running.whole_cluster()?)));
    let Some((running, cluster)) = own else {
        return match agent {
            Some(agent) => remove_node(agent, running, arguments).await,
            None => Ok(()),
        };
    };
    let cluster = cluster.parse().map(ClusterId).context("the cluster's id is damaged")?;
    let local = engine(running, arguments.docker_host.as_deref()).await?;
    let incomplete = "not everything could be removed; run `dugout down` again";
    let removed = match agent.map(AgentFolder::node) {
        Some(Ok(None)) => Removed::default(),
        Some(Ok(Some(node))) => {
            let owner = Owner { cluster, node: node.owner.node.clone() };
            // The start found the engine where it is asked now, so nothing more tells which it is.
            local.remove_node(&Node { owner, engine: None }).await.context(incomplete)?
        }
        // Which of them are of its node cannot be read any more.
        Some(Err(_)) | None => local.remove_everything(cluster).await.context(incomplete)?,
    };
    tell!("Removed {removed}.");
    let nodes = agent
        .into_iter()
        .flat_map(|agent| agent.node().ok().flatten().into_iter().chain(agent.former()));
    let former: Vec<&Node> = nodes.filter(|node| node.owner.cluster != cluster).collect();
    remove_nodes(&former, Some(running), arguments).await?;
    tell_of_others(&local, cluster).await
}

/// Says which containers of a cluster stay, and how they go.
async fn tell_of_others(local: &Local, cluster: ClusterId) -> anyhow::Result<()> {
    let others = local.nodes_of(cluster).await.context("what is left cannot be looked at")?;
    for (node, count) in others {
        let labels = Owner { cluster, node: node.clone() }.filters();
        let filters: Vec<String> =
            labels.iter().map(|label| format!("--filter label={label}")).collect();
        tell!(
            "Left {} of node {node}, another of this cluster: end its agent, then run `dugout down` with its data directory; where that is lost, docker rm --force $(docker ps --all --quiet {}).",
            Removed { containers: count },
            filters.join(" ")
        );
    }
    Ok(())
}

/// Removes the containers that an agent's folder tells of, those of former clusters, too.
async fn remove_node(
    agent: &AgentFolder,
    running: Option<&Running>,
    arguments: &DownArguments,
) -> anyhow::Result<()> {
    let Some(node) = agent.node()? else { return Ok(()) };
    let nodes: Vec<&Node> = std::iter::once(node).chain(agent.former()).collect();
    remove_nodes(&nodes, running, arguments).await
}

async fn remove_nodes(
    nodes: &[&Node],
    running: Option<&Running>,
    arguments: &DownArguments,
) -> anyhow::Result<()> {
    let Some(first) = nodes.first() else { return Ok(()) };
    let docker_host =
        arguments.docker_host.as_deref().or(running.map(|running| &*running.docker_host));
    let local = Local::connect(docker_host).await.with_context(|| {
        format!(
            "the containers of node {} are still there; start the engine, or name it with --docker-host, then run `dugout down` again",
            first.owner.node
        )
    })?;
    for node in nodes {
        let removed = local
            .remove_node(node)
            .await
            .context("not everything could be removed; run `dugout down` again")?;
        tell!("Removed {removed} of node {} of cluster {}.", node.owner.node, node.owner.cluster);
    }
    Ok(())
}

/// Ends the process that holds the data directory, and takes the directory for this one.
async fn stop_control_plane(data_dir: &DataDir) -> anyhow::Result<Lock> {
    let started = Instant::now();
    let mut told = false;
    loop {
        match data_dir.lock() {
            Ok(lock) => {
                if told {
                    tell!("Stopped the control plane.");
                }
                return Ok(lock);
            }
            Err(DataDirError::InUse { .. }) if started.elapsed() < STOP_DEADLINE => {
                if let (false, Some(process_id)) = (told, data_dir.lock_holder()) {
                    terminate(process_id)?;
                    told = true;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(DataDirError::InUse { .. }) => {
                let process =
                    data_dir.lock_holder().map_or_else(String::new, |id| format!(" {id}"));
                bail!(
                    "the control plane did not stop within {} s, and no container was removed; end its process{process} yourself, then run `dugout down` again",
                    STOP_DEADLINE.as_secs()
                )
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sends SIGTERM to the process that holds the data directory's lock.
fn terminate(process_id: u32) -> anyhow::Result<()> {
    let pid = i32::try_from(process_id)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .context("the data directory names no sound process id")?;
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).with_context(|| {
        format!("process {process_id} cannot be stopped; are you the user who started it?")
    })
}

async fn engine(running: &Running, docker_host: Option<&str>) -> anyhow::Result<Local> {
    let host = docker_host.unwrap_or(&running.docker_host);
    Local::connect(Some(host)).await.with_context(|| {
        format!("the container engine at {host} does not answer; start it, then run `dugout down` again to remove the containers")
    })
}

/// Removes the images that were made for the example, but for those that a container of somebody else
/// still uses.
async fn remove_images(local: &Local, images: &[String]) -> anyhow::Result<()> {
    let (mut gone, mut left) = (Vec::new(), Vec::new());
    for image in images {
        let removed = local
            .remove_made_image(image)
            .await
            .with_context(|| format!("the image {image} cannot be removed"))?;
        if removed { &mut gone } else { &mut left }.push(image.as_str());
    }
    let nameless = local
        .remove_nameless_made_images()
        .await
        .context("the example's earlier images cannot be removed")?;
    if nameless > 0 {
        tell!("Removed {nameless} of the example's earlier images, which had no name any more.");
    }
    if !gone.is_empty() {
        tell!("Removed the images {}.", gone.join(", "));
    }
    if !left.is_empty() {
        tell!("Left the images {}: they are used, or somebody else's.", left.join(", "));
    }
    Ok(())
}

/// Removes the PostgreSQL container that stood in for an installed server; with `--purge` the volume with
/// its data, too.
async fn remove_postgres(
    data_dir: &DataDir,
    running: Option<&Running>,
    arguments: &DownArguments,
) -> anyhow::Result<()> {
    let Ok(password) = std::fs::read_to_string(data_dir.postgres_password()) else {
        return Ok(());
    };
    let host = arguments.docker_host.as_deref().or(running.map(|running| &*running.docker_host));
    let local = Local::connect(host).await.context("the container engine does not answer")?;
    let password = password.trim();
    if arguments.purge {
        local.remove_postgres(password).await.context("the PostgreSQL container is still there")
    } else {
        local.stop_postgres(password).await.context("the PostgreSQL container is still there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_start_that_left_nothing_readable_behind_is_taken_down_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        std::fs::create_dir(&data_dir).unwrap();
        std::fs::write(data_dir.join("running.json"), "{").unwrap();
        let arguments =
            DownArguments { data_dir: Some(data_dir.clone()), purge: true, docker_host: None };
        run(arguments).await.unwrap();
        assert!(!data_dir.exists());
    }
}
