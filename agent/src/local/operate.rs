//! What a person on this node asks for while no agent runs: it is read off the labels of the containers,
//! and noted in the data directory for the agent that comes.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as State};
use dugout_model::{Pause, PodUid};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{AgentFolder, Local, LocalError, REMOVES_AT_ONCE};
use crate::AgentError;
use crate::break_glass::{Answer, ContainerLine, EngineState, PodLine, Request, find};
use crate::converge::{Stage, Stopping};
use crate::labels::{ContainerLabels, Owner};
use crate::paused::{PAUSED_FILE, PausedPods};
use crate::records::{PodRecord, Records, Version};
use crate::runtime::{ContainerRuntime as _, ObservedContainer, ObservedState};

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
            let containers = containers.get(&uid).map_or(&[][..], Vec::as_slice);
            let seen = self.seen(&node.owner, containers).await?;
            note_stop(folder.path(), uid, &seen).map_err(|error| unusable(folder, error))?;
            self.stop_pod(containers).await?;
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

    async fn seen(
        &self,
        owner: &Owner,
        containers: &[Labelled],
    ) -> Result<Vec<ObservedContainer>, LocalError> {
        let mut seen = Vec::with_capacity(containers.len());
        for (_, one) in containers {
            let id = one.id.as_deref().unwrap_or_default();
            let found = self.runtime.inspect(owner, id).await;
            seen.extend(found.map_err(|error| self.failed(error))?);
        }
        Ok(seen)
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

/// Notes before a stop, as the agent does, what is stopped: its end says nothing of its work, also when the
/// pod is resumed before an agent has seen it. Of pods that are always started again nothing is noted.
fn note_stop(folder: &Path, pod: PodUid, seen: &[ObservedContainer]) -> std::io::Result<()> {
    let (records, mut found) = Records::open(folder)?;
    let Some(record) = found.remove(&pod) else { return Ok(()) };
    let stopped = stopped(record.clone(), seen);
    if stopped == record {
        return Ok(());
    }
    records.write(pod, Version::default(), &stopped)
}

/// The record of a pod whose containers are stopped now: what had ended before keeps its end.
fn stopped(mut record: PodRecord, seen: &[ObservedContainer]) -> PodRecord {
    for one in seen {
        let Some(attempt) = record.get_mut(&one.labels.container) else { continue };
        if attempt.number != one.labels.attempt {
            continue;
        }
        let after = match attempt.stage {
            Stage::Begun => None,
            Stage::Stopping(why) => Some(why),
            Stage::Ended { .. } => continue,
        };
        match &one.state {
            ObservedState::Running { .. } => {
                attempt.stage = Stage::Stopping(Stopping::Ordered);
            }
            ObservedState::Exited { exit, .. } => {
                attempt.stage = Stage::Ended { exit: exit.clone(), after };
            }
            ObservedState::Created | ObservedState::Removing => {}
        }
    }
    record
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
            engine: EngineState::Answers,
            in_flight: None,
        });
    }
    all.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
    all
}

#[cfg(test)]
mod tests {
    use dugout_model::{PodPhase, RestartPolicy};

    use super::*;
    use crate::Kept;
    use crate::converge::{Attempt, ExitCause, Health, PodMemory, pod_report};
    use crate::testing::*;

    /// What the next agent tells of a pod whose container runs once, was seen so by the local stop and has
    /// ended with this code since.
    fn told(before: ObservedState, code: i64, is_resumed: bool) -> PodPhase {
        let folder = tempfile::tempdir().unwrap();
        let begun = Attempt { number: 0, stage: Stage::Begun };
        let record = PodRecord::from([("web".to_owned(), begun)]);
        let (records, _) = Records::open(folder.path()).unwrap();
        records.write(uid(1), Version(7), &record).unwrap();
        PausedPods::open(folder.path()).unwrap().set(uid(1), Some(Pause::Stopped)).unwrap();
        note_stop(folder.path(), uid(1), &[container(1, 0, before)]).unwrap();
        if is_resumed {
            PausedPods::open(folder.path()).unwrap().set(uid(1), None).unwrap();
        }

        let mut kept = Kept::open(folder.path(), &crate::StorageConfig::default()).unwrap();
        let mut once = template("web");
        once.restart_policy = RestartPolicy::Never;
        let pod = pod(1, once);
        let mut memory = PodMemory::new(pod.namespace.clone(), pod.name.clone());
        memory.restore(kept.recorded.remove(&uid(1)).unwrap());
        memory.pause = kept.paused.get(uid(1));
        let one = container(1, 0, exited_with(1, 2, code));
        let ObservedState::Exited { started_at, exit } = &one.state else { unreachable!() };
        memory.note_appeared(&one.labels);
        memory.note_exit(&one.id, &one.labels, *started_at, exit, ExitCause::Itself, at(3));
        if !is_resumed {
            let report = pod_report(
                Some(&pod),
                std::slice::from_ref(&one),
                Some(&memory),
                Health::default(),
                true,
            );
            assert_eq!(report.phase, PodPhase::Running);
            memory.resume();
        }
        pod_report(Some(&pod), &[one], Some(&memory), Health::default(), true).phase
    }

    #[test]
    fn what_is_stopped_without_an_agent_has_neither_failed_nor_succeeded() {
        for is_resumed in [false, true] {
            for code in [0, 143] {
                assert_eq!(told(running(1), code, is_resumed), PodPhase::Running, "{is_resumed}");
            }
        }
    }

    #[test]
    fn what_had_ended_before_it_was_stopped_keeps_its_end() {
        for is_resumed in [false, true] {
            assert_eq!(told(exited_with(1, 2, 0), 0, is_resumed), PodPhase::Succeeded);
            assert_eq!(told(exited_with(1, 2, 3), 3, is_resumed), PodPhase::Failed);
        }
    }
}
