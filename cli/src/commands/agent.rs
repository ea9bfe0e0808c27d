//! `agent ps`, `pause`, `stop` and `resume`: what a person may do on the node's own machine, also while no
//! server answers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use dugout_agent::break_glass::{Answer, EngineState, InFlight, PodLine, Request, Target, ask};
use dugout_agent::local::{AgentFolder, Local, LocalError};
use dugout_wire::Pause;

use super::look::print_value;
use crate::arguments::{AgentCommand, NodeArguments, Output, PodArguments};
use crate::client::Usage;
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
            let (target, node) = (target(&arguments)?, Node::of(arguments.node)?);
            let pod = node.change(Request::Pause(target)).await?;
            match &pod.in_flight {
                None => {
                    tell!("Pod {} is paused: this node leaves it alone until resume.", named(&pod));
                }
                Some(in_flight) => tell!("{}", paused_late(&pod, in_flight)),
            }
            Ok(())
        }
        AgentCommand::Stop(arguments) => {
            let (target, node) = (target(&arguments)?, Node::of(arguments.node)?);
            let pod = node.change(Request::Stop(target)).await?;
            node.until_stopped(&pod).await?;
            tell!("Pod {} is stopped, and stays so until resume.", named(&pod));
            Ok(())
        }
        AgentCommand::Resume(arguments) => {
            let (target, node) = (target(&arguments)?, Node::of(arguments.node)?);
            let pod = node.change(Request::Resume(target)).await?;
            tell!("Pod {} is tended again.", named(&pod));
            Ok(())
        }
    }
}

/// POD, NAMESPACE/POD as for cp, or pod/POD as other commands print it.
fn target(arguments: &PodArguments) -> anyhow::Result<Target> {
    let PodArguments { pod, namespaces, .. } = arguments;
    let asked = namespaces.only();
    let (namespace, name) = match pod.split_once('/') {
        None | Some(("pod" | "pods", _)) => {
            (asked, pod.split_once('/').map_or(pod.as_str(), |(_, name)| name))
        }
        Some((namespace, name)) => {
            if let Some(other) = asked.filter(|other| *other != namespace) {
                let sentence = format!("'{pod}' is not in namespace {other}, which -n names");
                return Err(Usage(sentence).into());
            }
            (Some(namespace), name)
        }
    };
    if name.is_empty() || name.contains('/') || namespace == Some("") {
        return Err(Usage(format!("'{pod}' is not POD, NAMESPACE/POD or pod/POD")).into());
    }
    Ok(Target { namespace: namespace.map(str::to_owned), pod: name.to_owned() })
}

/// What the engine was asked for before the pause goes on.
fn paused_late(pod: &PodLine, in_flight: &InFlight) -> String {
    let InFlight { call, seconds } = in_flight;
    format!(
        "Pod {} is being {} (for {seconds} s by now), which cannot be taken back; after that this node leaves it alone until resume.",
        named(pod),
        call.participle()
    )
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
        if pod.is_surely_stopped() {
            return Ok(());
        }
        let mut last = pod.clone();
        let patience = Duration::from_secs(pod.grace_seconds) + STOP_MARGIN;
        let stopping = async {
            loop {
                let pods = self.list().await?;
                match pods.into_iter().find(|one| one.uid == pod.uid) {
                    Some(now) if !now.is_surely_stopped() => last = now,
                    Some(_) | None => return anyhow::Ok(()),
                }
                tokio::time::sleep(STOP_LOOK).await;
            }
        };
        match tokio::time::timeout(patience, stopping).await {
            Ok(ended) => ended,
            Err(_) => bail!(not_stopped(&last)),
        }
    }
}

/// Why nobody can say that it is stopped.
fn not_stopped(pod: &PodLine) -> String {
    let why = match (pod.engine, &pod.in_flight) {
        (EngineState::Away, _) => "the container engine does not answer".to_owned(),
        (EngineState::NotListed, _) => {
            "the container engine has not said yet what it has".to_owned()
        }
        (EngineState::Answers, Some(InFlight { call, seconds })) => {
            format!("it is being {} for {seconds} s by now", call.participle())
        }
        (EngineState::Answers, None) => "it still runs".to_owned(),
    };
    format!(
        "pod {} is told to stop, and stays so until resume, but {why}; 'dugout agent ps' shows how it is",
        named(pod)
    )
}

fn is_in_use(error: &LocalError) -> bool {
    matches!(error, LocalError::Folder(inner)
        if matches!(**inner, dugout_agent::AgentError::DataDirInUse { .. }))
}

fn show(pods: &[PodLine], output: Option<Output>) -> anyhow::Result<()> {
    match output {
        None | Some(Output::Wide) => {}
        Some(Output::Name) => {
            let names: String = pods.iter().map(|pod| format!("{}\n", named(pod))).collect();
            return Ok(print(&names)?);
        }
        Some(other) => {
            let items = serde_json::json!({ "items": pods });
            return print_value(&items, Some(other));
        }
    }
    match pods.first().map(|pod| pod.engine) {
        None | Some(EngineState::Answers) => {}
        Some(EngineState::NotListed) => {
            complain!("The containers have not been listed yet; whether a pod runs is not known.");
        }
        Some(EngineState::Away) => {
            complain!("The container engine does not answer; this is what it said last.");
        }
    }
    Ok(print(&table(pods, output == Some(Output::Wide)).render(Paint::for_stdout()))?)
}

fn table(pods: &[PodLine], wide: bool) -> Grid {
    let mut header = vec!["NAMESPACE", "NAME", "RUNNING", "RESTARTS", "ASKED", "PAUSED", "DOING"];
    if wide {
        header.extend(["UID", "CONTAINERS"]);
    }
    let mut grid = Grid::new(header);
    for pod in pods {
        let restarts: u32 = pod.containers.iter().map(|one| one.restarts).sum();
        let mut cells = vec![
            pod.namespace.clone(),
            pod.name.clone(),
            match pod.engine {
                EngineState::NotListed => "unknown".to_owned(),
                EngineState::Answers | EngineState::Away => {
                    format!("{}/{}", pod.running(), pod.containers.len())
                }
            },
            restarts.to_string(),
            pod.order.map_or("-", |order| order.as_str()).to_owned(),
            pod.pause.map_or("-", pause_word).to_owned(),
            pod.in_flight.as_ref().map_or_else(
                || "-".to_owned(),
                |one| format!("{} ({} s)", one.call.as_str(), one.seconds),
            ),
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
    grid
}

fn pause_word(pause: Pause) -> &'static str {
    match pause {
        Pause::LeftAlone => "left alone",
        Pause::Stopped => "stopped",
    }
}

#[cfg(test)]
mod tests {
    use dugout_agent::break_glass::Call;

    use super::*;
    use crate::arguments::NamespaceArguments;

    fn meant(pod: &str, namespace: Option<&str>) -> Result<(Option<String>, String), String> {
        let namespaces =
            NamespaceArguments { namespace: namespace.map(str::to_owned), all_namespaces: false };
        let node = NodeArguments { data_dir: None, docker_host: None };
        let target = target(&PodArguments { pod: pod.to_owned(), namespaces, node });
        target.map(|target| (target.namespace, target.pod)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_pod_is_named_as_the_list_and_other_commands_print_it() {
        let of = |namespace: Option<&str>| Ok((namespace.map(str::to_owned), "web".to_owned()));
        assert_eq!(meant("web", None), of(None));
        assert_eq!(meant("web", Some("a")), of(Some("a")));
        assert_eq!(meant("a/web", None), of(Some("a")));
        assert_eq!(meant("a/web", Some("a")), of(Some("a")));
        assert_eq!(meant("pod/web", Some("a")), of(Some("a")));
        assert_eq!(meant("pods/web", None), of(None));
        let other = meant("a/web", Some("b")).unwrap_err();
        assert!(other.contains("'a/web' is not in namespace b"), "{other}");
        for no_pod in ["", "/web", "a/", "pod/", "a/b/c"] {
            assert!(meant(no_pod, None).is_err(), "{no_pod}");
        }
    }

    #[test]
    fn what_is_not_known_or_under_way_is_said() {
        let in_flight = Some(InFlight { call: Call::Stop, seconds: 12 });
        let pod = PodLine {
            namespace: "a".into(),
            name: "web".into(),
            uid: Default::default(),
            order: None,
            pause: Some(Pause::LeftAlone),
            containers: vec![],
            grace_seconds: 30,
            engine: EngineState::Answers,
            in_flight: in_flight.clone(),
        };
        let told = paused_late(&pod, in_flight.as_ref().unwrap());
        assert!(told.contains("is being stopped (for 12 s by now)"), "{told}");
        assert!(not_stopped(&pod).contains("being stopped for 12 s"));
        let away = PodLine { engine: EngineState::Away, ..pod.clone() };
        assert!(not_stopped(&away).contains("does not answer"));
        let listed = table(std::slice::from_ref(&pod), false).render(Paint::never());
        assert!(listed.contains("0/0") && listed.contains("stop (12 s)"), "{listed}");
        let not_listed = PodLine { engine: EngineState::NotListed, ..pod };
        let listed = table(&[not_listed], false).render(Paint::never());
        assert!(listed.contains("unknown") && !listed.contains("0/0"), "{listed}");
    }
}
