//! A container engine whose containers behave as their image's tag says: `missing` cannot be pulled,
//! `unready` never becomes ready, `crash` ends a second after each start, `slow` takes eight seconds to
//! become ready, `done` ends well after a while, `fails` ends badly, and `flaky` now so and now so;
//! everything else is ready soon.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dugout_agent::converge::images::{ImageAction, ImageOutcome};
use dugout_agent::converge::{Action, Failure, FailureKind};
use dugout_agent::labels::{ContainerLabels, SANDBOX, claimed_volumes};
use dugout_agent::runtime::{ObservedContainer, ObservedState};
use dugout_agent::spec::container_settings;
use dugout_model::{AssignedPod, ContainerExit, Timestamp};

use crate::random::Random;
use crate::scenario::MAIN_CONTAINER;

#[derive(Clone, Debug)]
pub(crate) struct FakeContainer {
    pub observed: ObservedContainer,
    pub image: String,
    /// When its probes pass; never without it.
    pub ready_at: Option<Timestamp>,
}

/// How a container ends by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub at: Timestamp,
    pub exit_code: i64,
}

impl FakeContainer {
    /// Whether it is the container that does its pod's work, and does it.
    pub fn serves(&self, now: Timestamp) -> bool {
        self.observed.labels.container == MAIN_CONTAINER
            && self.observed.is_running()
            && self.ready_at.is_some_and(|at| at <= now)
    }
}

/// One node's engine; it outlives the agent.
pub(crate) struct FakeEngine {
    pub containers: BTreeMap<String, FakeContainer>,
    images: BTreeSet<String>,
    random: Random,
    made: u64,
    node: String,
}

impl FakeEngine {
    pub fn new(node: &str, random: Random) -> Self {
        Self {
            containers: BTreeMap::new(),
            images: BTreeSet::new(),
            random,
            made: 0,
            node: node.to_owned(),
        }
    }

    /// How long a call takes.
    pub fn takes(&mut self, action: &Action) -> Duration {
        match action {
            Action::Pull { .. } => self.random.millis(100, 3_000),
            Action::Create { .. } | Action::Correct { .. } | Action::Remove { .. } => {
                self.random.millis(5, 40)
            }
            Action::Start { .. } => self.random.millis(30, 400),
            Action::Stop { grace, .. } => self.random.millis(10, 2_000).min(*grace),
        }
    }

    /// How long an effect for an image takes.
    pub fn image_takes(&mut self, action: ImageAction) -> Duration {
        match action {
            ImageAction::Look => self.random.millis(1, 10),
            ImageAction::Pull => self.random.millis(100, 3_000),
        }
    }

    /// An image is looked for or pulled.
    pub fn fetch(&mut self, image: &str, action: ImageAction) -> ImageOutcome {
        if action == ImageAction::Pull && image.ends_with(":missing") {
            return ImageOutcome::Failed(failure(FailureKind::Permanent, "manifest unknown"));
        }
        if action == ImageAction::Pull {
            self.images.insert(image.to_owned());
        }
        if self.images.contains(image) { ImageOutcome::Present } else { ImageOutcome::Absent }
    }

    /// Somebody clears the disk: images go that no container is made of.
    pub fn prune_images(&mut self) {
        let containers = &self.containers;
        self.images.retain(|image| containers.values().any(|one| one.image == *image));
    }

    /// A call takes effect. The value is how the container that it started will end by itself.
    pub fn apply(
        &mut self,
        action: &Action,
        pod: Option<&AssignedPod>,
        now: Timestamp,
    ) -> Result<Option<End>, Failure> {
        match action {
            Action::Pull { image, .. } if image.ends_with(":missing") => {
                Err(failure(FailureKind::Permanent, "manifest unknown"))
            }
            Action::Pull { image, .. } => {
                self.images.insert(image.clone());
                Ok(None)
            }
            Action::Create { container, attempt, crashes, .. } => {
                let Some(pod) = pod else {
                    return Err(failure(FailureKind::Permanent, "made for no pod"));
                };
                self.create(pod, container, *attempt, *crashes, now).map(|()| None)
            }
            Action::Start { id, .. } => self.start(id, now),
            Action::Stop { targets, .. } => {
                for target in targets {
                    self.end(&target.id, 0, now);
                }
                Ok(None)
            }
            // Nobody changes anything by hand here.
            Action::Correct { .. } => Ok(None),
            Action::Remove { id, .. } => {
                self.containers.remove(id);
                Ok(None)
            }
        }
    }

    fn create(
        &mut self,
        pod: &AssignedPod,
        container: &str,
        attempt: u32,
        crashes: u32,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let image = match pod.template.container(container) {
            Some(wanted) => wanted.image.clone(),
            // An engine has what a sandbox is made of.
            None if container == SANDBOX => SANDBOX.to_owned(),
            None => return Err(failure(FailureKind::Permanent, "no such container")),
        };
        if !self.images.contains(&image) && container != SANDBOX {
            return Err(failure(FailureKind::NotFound, "no such image"));
        }
        let labels = ContainerLabels {
            namespace: pod.namespace.clone(),
            pod: pod.name.clone(),
            uid: pod.uid,
            container: container.to_owned(),
            attempt,
            crashes,
            grace: pod.template.termination_grace,
            volumes: if container == SANDBOX { Vec::new() } else { claimed_volumes(pod) },
        };
        let is_taken = self.containers.values().any(|one| one.observed.labels == labels);
        if is_taken {
            return Err(failure(FailureKind::Transient, "the name is taken"));
        }
        let Some(settings) = container_settings(&pod.template, container) else {
            return Err(failure(FailureKind::Permanent, "no such container"));
        };
        self.made += 1;
        let id = format!("{}-{:05}", self.node, self.made);
        let observed = ObservedContainer {
            id: id.clone(),
            labels,
            image_id: Some(image.clone()),
            state: ObservedState::Created,
            settings,
            address: None,
            created_at: now,
            process: None,
        };
        self.containers.insert(id, FakeContainer { observed, image, ready_at: None });
        Ok(())
    }

    fn start(&mut self, id: &str, now: Timestamp) -> Result<Option<End>, Failure> {
        let soon = self.random.millis(200, 1_500);
        let flaky = self.random.below(2) as i64;
        let Some(container) = self.containers.get_mut(id) else {
            return Err(failure(FailureKind::NotFound, "no such container"));
        };
        if container.observed.is_running() {
            return Ok(None);
        }
        container.observed.state = ObservedState::Running { started_at: now };
        container.observed.address = Some([10, 0, 0, 1].into());
        let tag = container.image.rsplit(':').next().unwrap_or_default();
        container.ready_at = match tag {
            "unready" => None,
            "slow" => Some(now + Duration::from_secs(8)),
            _ => Some(now + soon),
        };
        let at = now + Duration::from_secs(1);
        Ok(match tag {
            "crash" | "fails" => Some(End { at, exit_code: 1 }),
            "done" => Some(End { at: at + soon, exit_code: 0 }),
            "flaky" => Some(End { at: at + soon, exit_code: flaky }),
            _ => None,
        })
    }

    /// A running container ends.
    pub fn end(&mut self, id: &str, exit_code: i64, now: Timestamp) {
        let Some(container) = self.containers.get_mut(id) else { return };
        if let ObservedState::Running { started_at } = container.observed.state {
            let exit = ContainerExit { exit_code, oom_killed: false, finished_at: now };
            container.observed.state = ObservedState::Exited { started_at, exit };
            container.observed.address = None;
        }
    }

    /// Power is lost, or the engine is stopped with everything in it.
    pub fn end_all(&mut self, now: Timestamp) {
        let running: Vec<String> = self.containers.keys().cloned().collect();
        for id in running {
            self.end(&id, 137, now);
        }
    }

    pub fn running(&self) -> impl Iterator<Item = &FakeContainer> {
        self.containers.values().filter(|one| one.observed.is_running())
    }
}

fn failure(kind: FailureKind, message: &str) -> Failure {
    Failure { kind, message: message.to_owned() }
}
