//! A container engine whose containers behave as their image's tag says: `missing` cannot be pulled,
//! `unready` never becomes ready, `crash` ends a second after each start, `slow` takes eight seconds to
//! become ready, `done` ends well after a while, `fails` ends badly, and `flaky` now so and now so;
//! everything else is ready soon. The registry's tags move: what each stands for is another image every
//! few seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use dugout_agent::converge::images::{ImageAction, ImageOutcome};
use dugout_agent::converge::{Action, Failure, FailureKind};
use dugout_agent::labels::{ContainerLabels, SANDBOX, claimed_volumes};
use dugout_agent::runtime::{ObservedContainer, ObservedState};
use dugout_agent::spec::container_settings;
use dugout_model::{AssignedPod, ContainerExit, ImageDigest, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::random::Random;
use crate::scenario::MAIN_CONTAINER;

#[derive(Clone, Debug)]
pub(crate) struct FakeContainer {
    pub observed: ObservedContainer,
    pub image: String,
    /// What it is made of, whatever it was called.
    pub content: ImageDigest,
    /// When its probes pass; never without it.
    pub ready_at: Option<Timestamp>,
}

/// How a container ends by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub at: Timestamp,
    pub exit_code: i64,
}

/// What came of a call.
pub(crate) enum Effect {
    Done,
    /// An image is there.
    Found(ImageDigest),
    /// A container runs that will end by itself.
    Started(End),
}

/// How long a tag stands for one image.
const TAG_MOVES_EVERY_SECONDS: i64 = 7;

/// What the registry gives for a name with a tag now.
fn what_tag_stands_for(image: &str, now: Timestamp) -> ImageDigest {
    let moves = now.as_micros() / 1_000_000 / TAG_MOVES_EVERY_SECONDS;
    let hash = Sha256::digest(format!("{image} {moves}"));
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    ImageDigest::new(format!("sha256:{digits}"))
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
    /// Those that it has, by the names and digests that it knows them by.
    images: BTreeMap<String, ImageDigest>,
    random: Random,
    made: u64,
    node: String,
}

impl FakeEngine {
    pub fn new(node: &str, random: Random) -> Self {
        Self {
            containers: BTreeMap::new(),
            images: BTreeMap::new(),
            random,
            made: 0,
            node: node.to_owned(),
        }
    }

    /// How long a call takes.
    pub fn takes(&mut self, action: &Action) -> Duration {
        match action {
            Action::Pull { .. } => self.random.millis(100, 3_000),
            Action::Find { .. } => self.random.millis(1, 10),
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
    pub fn fetch(&mut self, image: &str, action: ImageAction, now: Timestamp) -> ImageOutcome {
        let found = match action {
            ImageAction::Look => self.find(image),
            ImageAction::Pull => self.pull(image, now),
        };
        match found {
            Ok(digest) => ImageOutcome::Present { digest: Some(digest) },
            Err(Failure { kind: FailureKind::NotFound, .. }) => ImageOutcome::Absent,
            Err(failure) => ImageOutcome::Failed(failure),
        }
    }

    /// Somebody clears the disk: images go that no container is made of.
    pub fn prune_images(&mut self) {
        let containers = &self.containers;
        self.images.retain(|_, digest| containers.values().any(|one| one.content == *digest));
    }

    fn find(&self, image: &str) -> Result<ImageDigest, Failure> {
        let found = self.images.get(image).cloned();
        found.ok_or_else(|| failure(FailureKind::NotFound, "no such image"))
    }

    fn pull(&mut self, image: &str, now: Timestamp) -> Result<ImageDigest, Failure> {
        if image.ends_with(":missing") {
            return Err(failure(FailureKind::Permanent, "manifest unknown"));
        }
        let named = ImageDigest::of_reference(image);
        let digest = named.unwrap_or_else(|| what_tag_stands_for(image, now));
        self.images.insert(digest.reference(image), digest.clone());
        self.images.insert(image.to_owned(), digest.clone());
        Ok(digest)
    }

    /// A call takes effect. The value is how the container that it started will end by itself.
    pub fn apply(
        &mut self,
        action: &Action,
        pod: Option<&AssignedPod>,
        now: Timestamp,
    ) -> Result<Effect, Failure> {
        match action {
            Action::Pull { image, .. } => self.pull(image, now).map(Effect::Found),
            Action::Find { image, .. } => self.find(image).map(Effect::Found),
            Action::Create { container, image, attempt, crashes, .. } => {
                let Some(pod) = pod else {
                    return Err(failure(FailureKind::Permanent, "made for no pod"));
                };
                let attempt = (*attempt, *crashes);
                self.create(pod, container, image, attempt, now).map(|()| Effect::Done)
            }
            Action::Start { id, .. } => {
                Ok(self.start(id, now)?.map_or(Effect::Done, Effect::Started))
            }
            Action::Stop { targets, .. } => {
                for target in targets {
                    self.end(&target.id, 0, now);
                }
                Ok(Effect::Done)
            }
            // Nobody changes anything by hand here.
            Action::Correct { .. } => Ok(Effect::Done),
            Action::Remove { id, .. } => {
                self.containers.remove(id);
                Ok(Effect::Done)
            }
        }
    }

    fn create(
        &mut self,
        pod: &AssignedPod,
        container: &str,
        made_of: &str,
        (attempt, crashes): (u32, u32),
        now: Timestamp,
    ) -> Result<(), Failure> {
        let image = match pod.template.container(container) {
            Some(wanted) => wanted.image.clone(),
            // An engine has what a sandbox is made of.
            None if container == SANDBOX => SANDBOX.to_owned(),
            None => return Err(failure(FailureKind::Permanent, "no such container")),
        };
        let content = match container {
            SANDBOX => what_tag_stands_for(SANDBOX, Timestamp::default()),
            _ => self.find(made_of)?,
        };
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
            image_id: Some(content.to_string()),
            image_digest: ImageDigest::of_reference(made_of),
            state: ObservedState::Created,
            settings,
            address: None,
            created_at: now,
            process: None,
        };
        self.containers.insert(id, FakeContainer { observed, image, content, ready_at: None });
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
