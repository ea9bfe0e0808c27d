//! An agent that does what its assignment asks for, with containers that behave as their image says:
//! `…:missing` cannot be had, `…:unready` never becomes ready, `…:flaps` is ready every other two
//! seconds, `…:exits` ends two seconds after it started with the code that its agent was given,
//! everything else is ready a second after it started and gone a second after it was told to
//! stop.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dugout_model::*;

pub struct FakeAgent {
    pub name: NodeName,
    pub instance: String,
    pub engine: EngineId,
    pub capacity: Resources,
    /// How much storage claims may have; one of an earlier release has none.
    pub storage_bytes: Option<u64>,
    /// Whether it does anything at all.
    pub alive: bool,
    pub engine_answers: bool,
    /// Whether it takes over new assignments.
    pub listens: bool,
    /// What it says that it allows; one of before this was asked says nothing.
    pub allowed: Option<NodePrivileges>,
    /// What containers of `…:exits` end with from now on.
    pub exits_with: i64,
    /// An image that it cannot have when a release asks for it.
    pub refuses: Option<String>,
    /// What names of images stand for when it looks. Of those that are not here it says nothing, as an
    /// agent of an earlier release.
    pub finds: BTreeMap<String, ImageDigest>,
    /// Open connections to each pod.
    pub connections: BTreeMap<PodUid, u32>,
    accepted: Turn,
    pods: BTreeMap<PodUid, FakePod>,
    /// The images that it was asked to have, and since when.
    images: BTreeMap<AssignedImage, Timestamp>,
    /// The folders of claims that it has made.
    pub volumes: BTreeSet<VolumeUid>,
    /// For which claim it made each that nobody told it to remove.
    pub claims: BTreeMap<VolumeUid, ObjectKey>,
    /// Whether its storage folder is there.
    pub has_disk: bool,
    /// Pods that found a folder gone that was made before.
    pub lost: BTreeSet<PodUid>,
}

struct FakePod {
    image: String,
    lacks_image: bool,
    found: Option<ImageDigest>,
    fixed: Option<ImageDigest>,
    milestones: PodMilestones,
    stopping_since: Option<Timestamp>,
    exit: Option<ContainerExit>,
}

const TO_BECOME_READY: Duration = Duration::from_secs(1);
const TO_STOP: Duration = Duration::from_secs(1);
const TO_EXIT: Duration = Duration::from_secs(2);
const TO_PULL: Duration = Duration::from_secs(1);

impl FakeAgent {
    pub fn new(name: &str, engine: &str) -> Self {
        Self {
            name: NodeName::new(name),
            instance: format!("instance-of-{name}"),
            engine: EngineId::new(engine),
            capacity: Resources { cpu_millis: 4_000, memory_bytes: 8 << 30, pods: 110 },
            storage_bytes: Some(100 << 30),
            alive: true,
            engine_answers: true,
            listens: true,
            allowed: None,
            exits_with: 0,
            refuses: None,
            finds: BTreeMap::new(),
            connections: BTreeMap::new(),
            accepted: Turn(0),
            pods: BTreeMap::new(),
            images: BTreeMap::new(),
            volumes: BTreeSet::new(),
            claims: BTreeMap::new(),
            has_disk: true,
            lost: BTreeSet::new(),
        }
    }

    pub fn registration(&self) -> NodeRegistration {
        NodeRegistration {
            name: self.name.clone(),
            instance: self.instance.clone(),
            labels: self.labels(),
            capacity: self.capacity,
            storage_bytes: self.storage_bytes,
            engine: self.engine.clone(),
            engine_version: "29".to_owned(),
            agent_version: "0.1".to_owned(),
            address: None,
        }
    }

    fn labels(&self) -> StringMap {
        let name = [("name".to_owned(), self.name.to_string())];
        let allowed = self.allowed.into_iter().flat_map(NodePrivileges::to_labels);
        name.into_iter().chain(allowed).collect()
    }

    /// Everything on its disk is lost, and it starts with another identity.
    pub fn lose_disk(&mut self) {
        self.instance.push_str("-again");
        self.accepted = Turn(0);
        self.pods.clear();
        self.images.clear();
        self.volumes.clear();
        self.claims.clear();
    }

    /// Takes over the assignment, lets time pass for its pods, and reports.
    pub fn work(&mut self, now: Timestamp, assignment: Option<&Assignment>) -> Option<Fact> {
        if !self.alive {
            return None;
        }
        if let Some(assignment) = assignment.filter(|_| self.listens && self.engine_answers) {
            self.accept(now, assignment);
        }
        // Its proxies may also send to pods of other agents on the same engine.
        let foreign = self.connections.iter().map(|(uid, count)| (*uid, foreign_pod(*count)));
        let mut pods: BTreeMap<PodUid, PodReport> = foreign.collect();
        for (uid, pod) in &mut self.pods {
            let connections = self.connections.get(uid).copied().unwrap_or(0);
            pod.end(now, self.exits_with);
            if pod.found.is_none() {
                pod.found = self.finds.get(&pod.image).cloned();
            }
            pod.lacks_image = pod.image.ends_with(":missing")
                || self.refuses.as_ref() == Some(&pod.image) && pod.milestones.started_at.is_none();
            pods.insert(*uid, pod.report(now, connections));
        }
        Some(Fact::Report(Box::new(NodeReport {
            node: self.name.clone(),
            instance: self.instance.clone(),
            acknowledged: self.accepted,
            engine_answers: self.engine_answers,
            pods,
            images: Some(
                self.images
                    .iter()
                    .map(|(each, since)| (each.clone(), self.pulled(each, *since, now)))
                    .collect(),
            ),
            volumes: self.storage_bytes.filter(|_| self.has_disk).map(|_| self.volumes.clone()),
            events: Vec::new(),
            first_event: None,
        })))
    }

    fn pulled(&self, image: &AssignedImage, since: Timestamp, now: Timestamp) -> ImageReport {
        let is_refused = self.refuses.as_ref() == Some(&image.image);
        if now.since(since) < TO_PULL {
            ImageReport::Pulling { trouble: None }
        } else if image.image.ends_with(":missing") || is_refused {
            ImageReport::Failed { message: "manifest unknown".to_owned() }
        } else {
            let found = self.finds.get(&image.image);
            ImageReport::Held { digest: image.digest.as_ref().or(found).cloned() }
        }
    }

    /// Removes folders, by order of the control plane or by a person's hand.
    pub fn remove_folders(&mut self, gone: &[VolumeUid]) {
        self.volumes.retain(|volume| !gone.contains(volume));
        self.claims.retain(|volume, _| !gone.contains(volume));
    }

    fn make_folders(&mut self, assigned: &AssignedPod) {
        for claim in assigned.claims.iter().filter(|_| self.has_disk) {
            let mut volumes = assigned.template.claims();
            let named = volumes.find(|(volume, _)| **volume == claim.volume);
            let Some((_, source)) = named else { continue };
            let name = source.claim.of_pod(&assigned.name);
            match claim.place {
                ClaimPlace::Provisioned { volume, is_new: true } => {
                    self.volumes.insert(volume);
                    let key = ObjectKey { namespace: assigned.namespace.clone(), name };
                    self.claims.insert(volume, key);
                }
                ClaimPlace::Provisioned { volume, is_new: false } => {
                    if !self.volumes.contains(&volume) {
                        self.lost.insert(assigned.uid);
                    }
                }
                ClaimPlace::Declared(_) => {}
            }
        }
    }

    fn accept(&mut self, now: Timestamp, assignment: &Assignment) {
        assert!(assignment.generation >= self.accepted, "generations only grow");
        self.accepted = assignment.generation;
        self.pods.retain(|uid, _| assignment.pods.iter().any(|pod| pod.uid == *uid));
        self.images.retain(|image, _| assignment.images.contains(image));
        for image in &assignment.images {
            self.images.entry(image.clone()).or_insert(now);
        }
        self.remove_folders(&assignment.deleted_volumes);
        for assigned in &assignment.pods {
            self.make_folders(assigned);
            let is_new = !self.pods.contains_key(&assigned.uid);
            if is_new && assigned.order == (PodOrder::Run { draining: true }) {
                continue;
            }
            let pod = self.pods.entry(assigned.uid).or_insert_with(|| FakePod {
                image: assigned.template.containers[0].image.clone(),
                lacks_image: false,
                found: None,
                fixed: None,
                milestones: PodMilestones { accepted_at: Some(now), ..PodMilestones::default() },
                stopping_since: None,
                exit: None,
            });
            let fixed = assigned.pin_of(&pod.image).and_then(|pin| pin.digest.clone());
            pod.fixed = pod.fixed.take().or(fixed);
            if let PodOrder::Stop { .. } = assigned.order {
                pod.stopping_since.get_or_insert(now);
            }
        }
    }
}

/// A pod that is known by its connections alone.
fn foreign_pod(connections: u32) -> PodReport {
    PodReport {
        phase: PodPhase::Running,
        init_containers: Vec::new(),
        containers: Vec::new(),
        address: None,
        ready: false,
        connections,
        milestones: PodMilestones::default(),
        drift: Vec::new(),
        pause: None,
    }
}

impl FakePod {
    fn end(&mut self, now: Timestamp, exit_code: i64) {
        let is_due = self.milestones.started_at.is_some_and(|at| now.since(at) >= TO_EXIT);
        if self.image.ends_with(":exits") && is_due && self.stopping_since.is_none() {
            let exit = ContainerExit { exit_code, oom_killed: false, finished_at: now };
            self.exit.get_or_insert(exit);
        }
    }

    fn report(&mut self, now: Timestamp, connections: u32) -> PodReport {
        // An agent that says what it finds waits for what holds for all.
        let awaits = self.found.is_some() && self.fixed.is_none();
        if !self.lacks_image && !awaits {
            self.milestones.pulled_at.get_or_insert(now);
            self.milestones.created_at.get_or_insert(now);
            self.milestones.started_at.get_or_insert(now);
        }
        let started_at = self.milestones.started_at;
        let is_stopped = self.stopping_since.is_some_and(|since| now.since(since) >= TO_STOP)
            || (self.stopping_since.is_some() && started_at.is_none());
        let ready = !is_stopped
            && self.stopping_since.is_none()
            && self.exit.is_none()
            && !self.image.ends_with(":unready")
            && (!self.image.ends_with(":flaps") || now.as_micros() / 2_000_000 % 2 == 1)
            && started_at.is_some_and(|at| now.since(at) >= TO_BECOME_READY);
        if ready {
            self.milestones.ready_at.get_or_insert(now);
        }
        if is_stopped {
            self.milestones.stopped_at.get_or_insert(now);
        }
        let ended = self.exit.as_ref().map(|exit| exit.exit_code);
        let phase = match (is_stopped, started_at) {
            (true, _) => PodPhase::Gone,
            _ if ended == Some(0) => PodPhase::Succeeded,
            _ if ended.is_some() => PodPhase::Failed,
            (false, Some(_)) => PodPhase::Running,
            (false, None) => PodPhase::Pending,
        };
        PodReport {
            phase,
            init_containers: vec![],
            containers: vec![self.container(started_at, ready)],
            address: (phase == PodPhase::Running).then_some([10, 0, 0, 1].into()),
            ready,
            connections,
            milestones: self.milestones,
            pause: None,
            drift: match self.image.ends_with(":drifts") {
                true => vec!["container app is paused".to_owned()],
                false => Vec::new(),
            },
        }
    }

    fn container(&self, started_at: Option<Timestamp>, ready: bool) -> ContainerStatus {
        let state = match started_at {
            _ if self.exit.is_some() => {
                ContainerState::Terminated(self.exit.clone().expect("it ended"))
            }
            Some(started_at) => ContainerState::Running { started_at },
            None if !self.lacks_image => ContainerState::Waiting {
                reason: WaitingReason::ContainerCreating,
                message: String::new(),
            },
            None => ContainerState::Waiting {
                reason: WaitingReason::ErrImagePull,
                message: format!("image {} is not to be had", self.image),
            },
        };
        ContainerStatus {
            name: "app".to_owned(),
            state,
            ready,
            restarts: 0,
            container_id: None,
            image_id: None,
            image_digest: self
                .found
                .as_ref()
                .and(self.fixed.as_ref().or(self.found.as_ref()))
                .cloned(),
            last_exit: None,
        }
    }
}
