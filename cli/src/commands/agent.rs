//! `agent ps`, `pause`, `stop` and `resume`: what a person may do on the node's own machine, also while no
//! server answers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use dugout_agent::break_glass::{Answer, PodLine, Request, Target, ask};
use dugout_agent::local::{AgentFolder, Local, LocalError};
use dugout_wire::Pause;

use super::look::print_value;
use crate::arguments::{AgentCommand, NodeArguments, Output, PodArguments};
use crate::data_dir::DataDir;
use crate::output::{Grid, Paint, complain, print, tell};

/// How much longer than its grace a stop may take: the engine kills, and removes nothing.
const STOP_MARGIN: Duration = Duration::from_secs(30);
const STOP_LOOK: Duration = Duration::from_millis(200);

/// How often, and after what pause, the agent is asked again that uses the directory and does not listen.
const TRIES: u32 = 15;
const PAUSE: Duration = Duration::from_millis(200);

/// The node of this machine.
struct Node {
    folder: PathBuf,
    docker_host: Option<String>,
}

pub async fn operate(command: AgentCommand) -> anyhow::Result<()> {
    match command {
        AgentCommand::Ps { namespaces, node, output } => {
            let mut pods = Node::of(node)?.list().await?;
            pods.retain(|pod| namespaces.only().is_none_or(|namespace| pod.namespace == namespace));
            show(&pods, output)
        }
        AgentCommand::Pause(arguments) => {
            let (node, target) = (Node::of(arguments.node.clone())?, target(arguments));
            let pod = node.change(Request::Pause(target)).await?;
            tell!("Pod {} is paused: this node leaves it alone until resume.", named(&pod));
            Ok(())
        }
        AgentCommand::Stop(arguments) => {
            let (node, target) = (Node::of(arguments.node.clone())?, target(arguments));
            let pod = node.change(Request::Stop(target)).await?;
            node.until_stopped(&pod).await?;
            tell!("Pod {} is stopped, and stays so until resume.", named(&pod));
            Ok(())
        }
        AgentCommand::Resume(arguments) => {
            let (node, target) = (Node::of(arguments.node.clone())?, target(arguments));
            let pod = node.change(Request::Resume(target)).await?;
            tell!("Pod {} is tended again.", named(&pod));
            Ok(())
        }
    }
}

fn target(arguments: PodArguments) -> Target {
    let PodArguments { pod, namespaces, .. } = arguments;
    // NAMESPACE/POD, as for cp.
    match pod.split_once('/') {
        Some((namespace, name)) => {
            Target { namespace: Some(namespace.to_owned()), pod: name.to_owned() }
        }
        None => Target { namespace: namespaces.only().map(str::to_owned), pod },
    }
}

fn named(pod: &PodLine) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}

/// Where the agent of this machine keeps its files: there, or in a data directory that has one.
fn agent_folder(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let root = match given {
        Some(given) => given.to_owned(),
        None => DataDir::default_root()?,
    };
    let candidates = [root.join("agent"), root];
    match candidates.iter().find(|folder| AgentFolder::is(folder)) {
        Some(folder) => Ok(folder.clone()),
        None => bail!(
            "no agent has used the data directory {}; name the agent's with --data-dir",
            candidates[1].display()
        ),
    }
}

impl Node {
    fn of(arguments: NodeArguments) -> anyhow::Result<Self> {
        let NodeArguments { data_dir, docker_host } = arguments;
        Ok(Self { folder: agent_folder(data_dir.as_deref())?, docker_host })
    }

    /// Asks the agent; where none runs, does it without.
    async fn ask(&self, request: &Request) -> anyhow::Result<Answer> {
        let mut tries = 1;
        let folder = loop {
            if let Some(answer) = ask(&self.folder, request).await? {
                return Ok(answer);
            }
            // While it is ours no agent starts with it.
            match AgentFolder::take(&self.folder) {
                // It starts or ends just now, or somebody else asks.
                Err(error) if is_in_use(&error) && tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) if is_in_use(&error) => bail!(
                    "an agent uses {} and does not answer; it may be of an earlier release",
                    self.folder.display()
                ),
                taken => break taken?,
            }
        };
        let local = Local::connect(self.docker_host.as_deref()).await?;
        complain!("No agent runs here; what is known comes from the container engine.");
        Ok(local.operate(&folder, request).await?)
    }

    async fn list(&self) -> anyhow::Result<Vec<PodLine>> {
        match self.ask(&Request::List).await? {
            Answer::Pods(pods) => Ok(pods),
            Answer::Refused(sentence) => bail!(sentence),
            Answer::Done(_) => bail!("the agent answered something else"),
        }
    }

    async fn change(&self, request: Request) -> anyhow::Result<PodLine> {
        match self.ask(&request).await? {
            Answer::Done(pod) => Ok(pod),
            Answer::Refused(sentence) => bail!(sentence),
            Answer::Pods(_) => bail!("the agent answered something else"),
        }
    }

    async fn until_stopped(&self, pod: &PodLine) -> anyhow::Result<()> {
        if pod.running() == 0 {
            return Ok(());
        }
        let patience = Duration::from_secs(pod.grace_seconds) + STOP_MARGIN;
        let stopping = async {
            loop {
                let pods = self.list().await?;
                let now = pods.iter().find(|one| one.uid == pod.uid);
                if now.is_none_or(|one| one.running() == 0) {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(STOP_LOOK).await;
            }
        };
        tokio::time::timeout(patience, stopping)
            .await
            .with_context(|| format!("pod {} is told to stop, and still runs", named(pod)))?
    }
}

fn is_in_use(error: &LocalError) -> bool {
    matches!(error, LocalError::Folder(inner)
        if matches!(**inner, dugout_agent::AgentError::DataDirInUse { .. }))
}

fn show(pods: &[PodLine], output: Option<Output>) -> anyhow::Result<()> {
    match output {
        None | Some(Output::Wide) => {}
        Some(Output::Name) => {
            let names: String = pods.iter().map(|pod| format!("pod/{}\n", pod.name)).collect();
            return Ok(print(&names)?);
        }
        Some(other) => {
            let items = serde_json::json!({ "items": pods });
            return print_value(&items, Some(other));
        }
    }
    let wide = output == Some(Output::Wide);
    let mut header = vec!["NAMESPACE", "NAME", "RUNNING", "RESTARTS", "ASKED", "PAUSED"];
    if wide {
        header.extend(["UID", "CONTAINERS"]);
    }
    let mut grid = Grid::new(header);
    for pod in pods {
        let restarts: u32 = pod.containers.iter().map(|one| one.restarts).sum();
        let mut cells = vec![
            pod.namespace.clone(),
            pod.name.clone(),
            format!("{}/{}", pod.running(), pod.containers.len()),
            restarts.to_string(),
            pod.order.map_or("-", |order| order.as_str()).to_owned(),
            pod.pause.map_or("-", pause_word).to_owned(),
        ];
        if wide {
            cells.push(pod.uid.to_string());
            let ids = pod
                .containers
                .iter()
                .map(|one| format!("{}={}", one.name, one.id.get(..12).unwrap_or(&one.id)));
            cells.push(ids.collect::<Vec<_>>().join(","));
        }
        grid.row(cells);
    }
    Ok(print(&grid.render(Paint::for_stdout()))?)
}

fn pause_word(pause: Pause) -> &'static str {
    match pause {
        Pause::LeftAlone => "left alone",
        Pause::Stopped => "stopped",
    }
}
