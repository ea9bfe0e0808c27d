//! What a person on this node asks for while no agent runs: it is read off the labels of the containers,
//! and noted in the data directory for the agent that comes.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as State};
use dugout_model::{Pause, PodUid};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{AgentFolder, Local, LocalError, REMOVES_AT_ONCE};
use crate::AgentError;
use crate::break_glass::{Answer, ContainerLine, PodLine, Request, find};
use crate::labels::ContainerLabels;
use crate::paused::{PAUSED_FILE, PausedPods};
use crate::runtime::ContainerRuntime as _;

/// A container with what its labels say.
type Labelled = (ContainerLabels, ContainerSummary);

impl Local {
    /// Does what an agent would, for a directory whose agent does not run. A stop is done when this returns;
    /// hooks before it are not run, for what they are only the agent knows.
    ///
    /// # Errors
    /// When the directory or the engine cannot be used.
    pub async fn operate(
        &self,
        folder: &AgentFolder,
        request: &Request,
    ) -> Result<Answer, LocalError> {
        let Some(node) = folder.node()? else {
            return Ok(Answer::Refused("its agent was never told to run anything".to_owned()));
        };
        self.require_engine_of(node)?;
        let mut paused =
            PausedPods::open(folder.path()).map_err(|error| unusable(folder, error))?;
        let containers = self.pods_of(node.owner.filters()).await?;
        let pods = lines(&containers, &paused);
        let Some((target, pause)) = request.change() else { return Ok(Answer::Pods(pods)) };
        let pod = match find(&pods, target) {
            Ok(pod) => pod.clone(),
            Err(sentence) => return Ok(Answer::Refused(sentence)),
        };
        let uid = PodUid(pod.uid);
        paused.set(uid, pause).map_err(|error| unusable(folder, error))?;
        if pause == Some(Pause::Stopped) {
            self.stop_pod(containers.get(&uid).map_or(&[], Vec::as_slice)).await?;
        }
        let now = lines(&self.pods_of(node.owner.filters()).await?, &paused);
        let after = now.into_iter().find(|one| one.uid == pod.uid);
        Ok(Answer::Done(after.unwrap_or(PodLine { pause: pause.map(Into::into), ..pod })))
    }

    async fn pods_of(
        &self,
        filters: Vec<String>,
    ) -> Result<BTreeMap<PodUid, Vec<Labelled>>, LocalError> {
        let mut pods: BTreeMap<PodUid, Vec<Labelled>> = BTreeMap::new();
        for mut one in self.labelled(filters).await? {
            let labels: HashMap<String, String> = one.labels.take().unwrap_or_default();
            if let Some(labels) = ContainerLabels::of_any_owner(&labels) {
                pods.entry(labels.uid).or_default().push((labels, one));
            }
        }
        for containers in pods.values_mut() {
            containers.sort_by_key(|(labels, _)| std::cmp::Reverse(labels.attempt));
        }
        Ok(pods)
    }

    /// Its containers, each with its grace, and then what they shared.
    async fn stop_pod(&self, containers: &[Labelled]) -> Result<(), LocalError> {
        for sandbox in [false, true] {
            let these = containers
                .iter()
                .filter(|(labels, one)| labels.is_sandbox() == sandbox && runs(one));
            futures_util::stream::iter(these)
                .map(|(labels, one)| async move {
                    let id = one.id.as_deref().unwrap_or_default();
                    self.runtime.stop(id, labels.grace).await
                })
                .buffer_unordered(REMOVES_AT_ONCE)
                .try_collect::<()>()
                .await
                .map_err(|error| self.failed(error))?;
        }
        Ok(())
    }
}

fn unusable(folder: &AgentFolder, source: std::io::Error) -> LocalError {
    let path = folder.path().join(PAUSED_FILE);
    LocalError::Folder(Box::new(AgentError::Paused { path, source }))
}

fn runs(one: &ContainerSummary) -> bool {
    matches!(one.state, Some(State::RUNNING | State::PAUSED | State::RESTARTING))
}

/// The pods with the newest container of each name.
fn lines(pods: &BTreeMap<PodUid, Vec<Labelled>>, paused: &PausedPods) -> Vec<PodLine> {
    let mut all = Vec::new();
    for (uid, containers) in pods {
        let Some((first, _)) = containers.first() else { continue };
        let mut lines: BTreeMap<&str, ContainerLine> = BTreeMap::new();
        for (labels, one) in containers.iter().filter(|(labels, _)| !labels.is_sandbox()) {
            lines.entry(&labels.container).or_insert_with(|| ContainerLine {
                name: labels.container.clone(),
                id: one.id.clone().unwrap_or_default(),
                running: runs(one),
                restarts: labels.attempt,
            });
        }
        let longest = containers.iter().map(|(labels, _)| labels.grace).max().unwrap_or_default();
        all.push(PodLine {
            namespace: first.namespace.to_string(),
            name: first.pod.to_string(),
            uid: uid.0,
            order: None,
            pause: paused.get(*uid).map(Into::into),
            containers: lines.into_values().collect(),
            grace_seconds: longest.as_secs(),
        });
    }
    all.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
    all
}
