//! What a commit would do: the planner itself, run forward over nodes that do at once what they are told.
//!
//! Every pod becomes ready, every job succeeds, every container stops when it shall; nodes that are not
//! ready stay so. Nothing of it is stored, and nothing of it needs a rule of its own: what is told is what
//! the same turns would decide, as long as nothing fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    Assignment, Change, Contact, Contacts, ContainerExit, ContainerState, ContainerStatus, End,
    Fact, Forecast, IdSource, Lifecycle, Node, NodeReport, Obstacle, OperatorRequest, Outcome,
    PodMilestones, PodOrder, PodPhase, PodReport, Problem, Quarantine, Release, RestartPolicy,
    Revision, SourceName, Timestamp, Turn, Verdict, VolumeUid, World,
};

use crate::{PlanInput, Settings, Work, assignment, note, plan};

/// How many turns are looked ahead. A rollout takes a few for each pod that it replaces.
const MOST_TURNS: usize = 20_000;
/// How far ahead: a deadline that passes is no longer what a commit asks for.
const HORIZON: Duration = Duration::from_secs(24 * 60 * 60);
/// What the nodes take for everything.
const STEP: Duration = Duration::from_millis(100);

/// Looks ahead from a world.
pub fn forecast(
    world: &World,
    revision: &Revision,
    now: Timestamp,
    settings: &Settings,
) -> Forecast {
    let mut obstacles = Vec::new();
    let mut start = world.clone();
    let key = Quarantine { source: revision.source.clone(), sha: revision.commit.sha.clone() };
    if start.quarantine.remove(&key).is_some() {
        forget_failure(&mut start, &key);
        obstacles.push(Obstacle::Quarantined);
    }
    loop {
        let mut run = Run::new(&start, now, settings);
        run.turn(&[Fact::Revision(Box::new(revision.clone()))]);
        let release = run.release_of(revision);
        let reason =
            release.as_ref().and_then(|release| release.reason.clone()).unwrap_or_default();
        match release.map(|release| release.verdict) {
            Some(Verdict::Rejected) => {
                return Forecast { obstacles, outcome: rejected(run.problems) };
            }
            // A person lets it pass, once for each reason to wait.
            Some(Verdict::Held) if obstacles.len() < 3 => {
                obstacles.push(Obstacle::Held { reason });
                start = run.with_request(OperatorRequest::Approve {
                    source: revision.source.clone(),
                    sha: revision.commit.sha.clone(),
                });
            }
            Some(Verdict::Pending) if obstacles.len() < 3 => {
                obstacles.push(Obstacle::Suspended);
                start = run.with_request(OperatorRequest::Resume(revision.source.clone()));
            }
            _ => {
                let end = run.run_on(&revision.source);
                let notices = run.problems;
                let after = Box::new(run.world);
                return Forecast { obstacles, outcome: Outcome::Applied { after, end, notices } };
            }
        }
    }
}

/// What a commit declares is not told twice to have failed.
fn forget_failure(world: &mut World, key: &Quarantine) {
    let Some(mut source) = world.sources.get(&key.source).map(|source| (**source).clone()) else {
        return;
    };
    source.status.failed_contents.retain(|failed| failed.sha != key.sha);
    world.apply(&Change::PutSource(Arc::new(source)));
}

fn rejected(mut problems: Vec<Problem>) -> Outcome {
    problems.sort();
    Outcome::Rejected { problems }
}

/// A cluster whose time goes as fast as it is looked at.
struct Run<'a> {
    world: World,
    contacts: Contacts,
    now: Timestamp,
    settings: &'a Settings,
    timers: BTreeMap<Work, Timestamp>,
    /// The problems of the revision, as they would be stored.
    problems: Vec<Problem>,
    /// The last release of which a turn said something.
    release: Option<Arc<Release>>,
    turns: usize,
}

impl<'a> Run<'a> {
    fn new(world: &World, now: Timestamp, settings: &'a Settings) -> Self {
        let ready = world.nodes.values().filter(|node| node.is_ready());
        let contact = Contact {
            last_report: now,
            engine_answered: now,
            acknowledged: Turn(0),
            connections: BTreeMap::new(),
        };
        Self {
            world: world.clone(),
            contacts: ready.map(|node| (node.name.clone(), contact.clone())).collect(),
            now,
            settings,
            timers: BTreeMap::from([(Work::Everything, now)]),
            problems: Vec::new(),
            release: None,
            turns: 0,
        }
    }

    /// One turn; says whether it changed anything.
    fn turn(&mut self, facts: &[Fact]) -> bool {
        for fact in facts {
            note(&mut self.contacts, fact, self.now);
        }
        for contact in self.contacts.values_mut() {
            (contact.last_report, contact.engine_answered) = (self.now, self.now);
        }
        let due = self.timers.iter().filter(|(_, at)| **at <= self.now);
        let due: BTreeSet<Work> = due.map(|(work, _)| work.clone()).collect();
        let plan = plan(PlanInput {
            world: &self.world,
            contacts: &self.contacts,
            facts,
            due: &due,
            now: self.now,
            settings: self.settings,
            ids: IdSource::from_seed(self.turns as u64),
        });
        if plan.processed.contains(&Work::Everything) {
            self.timers.clear();
        }
        self.timers.retain(|work, _| !due.contains(work) && !plan.processed.contains(work));
        self.timers.extend(plan.wake_at);
        for change in &plan.changes {
            match change {
                Change::PutRevision(row) => self.problems.clone_from(&row.problems),
                Change::PutRelease(row) => self.release = Some(Arc::clone(row)),
                _ => {}
            }
        }
        self.world = plan.after;
        self.turns += 1;
        !plan.changes.is_empty()
    }

    fn release_of(&self, revision: &Revision) -> Option<Arc<Release>> {
        let sha = &revision.commit.sha;
        self.release.clone().filter(|release| release.commit.sha == *sha)
    }

    /// The world as it is when a person asks for something before the commit comes.
    fn with_request(&self, request: OperatorRequest) -> World {
        let mut run = Run::new(&self.world, self.now, self.settings);
        run.turn(&[Fact::Operator(request)]);
        run.world
    }

    /// Lets the nodes work until nothing is left to do.
    fn run_on(&mut self, source: &SourceName) -> End {
        let horizon = self.now + HORIZON;
        while self.turns < MOST_TURNS {
            self.now = self.now + STEP;
            let reports = self.reports();
            let is_changed = self.turn(&reports);
            if let Some(end) = self.end(source).filter(|_| !self.has_leaving_pods()) {
                return end;
            }
            if is_changed {
                continue;
            }
            // What waits for a node would only run into its deadline.
            let next = self.timers.values().min().copied().filter(|_| !self.is_stuck(source));
            match next.filter(|at| *at < horizon) {
                Some(at) => self.now = at.max(self.now),
                None => return self.end(source).unwrap_or(End::Waiting),
            }
        }
        End::Unknown
    }

    /// What has become of the release, if it has come to an end.
    fn end(&self, source: &SourceName) -> Option<End> {
        let release = self.release.as_ref().filter(|release| release.source == *source);
        let release = release.or_else(|| self.world.newest_release(source))?;
        match release.verdict {
            Verdict::Rolling => None,
            Verdict::Failed | Verdict::Reverted => {
                Some(End::Failed { reason: release.reason.clone().unwrap_or_default() })
            }
            _ => Some(End::Healthy),
        }
    }

    fn has_leaving_pods(&self) -> bool {
        self.world.pods.values().any(|pod| {
            let is_leaving = !matches!(pod.lifecycle, Lifecycle::Active);
            let node = pod.node().and_then(|node| self.world.nodes.get(node));
            is_leaving && node.is_some_and(|node| node.is_ready())
        })
    }

    fn is_stuck(&self, source: &SourceName) -> bool {
        let is_ours = |pod: &Arc<dugout_model::Pod>| {
            self.world.replica_set_of(pod).is_some_and(|set| set.source == *source)
        };
        self.world.unplaced_pods().any(is_ours)
    }

    /// Every ready node that was told something new has done it.
    fn reports(&self) -> Vec<Fact> {
        let ready = self.world.nodes.values().filter(|node| node.is_ready());
        ready
            .filter_map(|node| {
                let assignment = assignment(&self.world, &node.name)?;
                let contact = self.contacts.get(&node.name)?;
                if contact.acknowledged == assignment.generation {
                    return None;
                }
                Some(Fact::Report(Box::new(NodeReport {
                    node: node.name.clone(),
                    instance: node.instance.clone(),
                    acknowledged: assignment.generation,
                    engine_answers: true,
                    pods: self.pod_reports(&assignment),
                    // Foreseen is what happens if nothing goes wrong: all images are there.
                    images: None,
                    volumes: Some(self.volumes_on(node, &assignment)),
                    events: Vec::new(),
                    first_event: None,
                })))
            })
            .collect()
    }

    /// The folders that a node that did all it was told has.
    fn volumes_on(&self, node: &Node, assignment: &Assignment) -> BTreeSet<VolumeUid> {
        let bindings = self.world.bindings_on(&node.name).map(|binding| binding.uid);
        bindings.filter(|uid| !assignment.deleted_volumes.contains(uid)).collect()
    }

    fn pod_reports(&self, assignment: &Assignment) -> BTreeMap<dugout_model::PodUid, PodReport> {
        let report = |pod: &dugout_model::AssignedPod| {
            let is_run = self.world.jobs.contains_key(&dugout_model::JobUid(pod.replica_set.0));
            let ends = is_run && pod.template.restart_policy != RestartPolicy::Always;
            let names = pod.template.containers.iter().map(|container| container.name.as_str());
            (pod.uid, self.report(pod.order, ends, names))
        };
        assignment.pods.iter().map(report).collect()
    }

    fn report<'n>(
        &self,
        order: PodOrder,
        ends: bool,
        names: impl Iterator<Item = &'n str>,
    ) -> PodReport {
        let now = self.now;
        let is_gone = matches!(order, PodOrder::Stop { .. });
        let state = match ends {
            true => ContainerState::Terminated(ContainerExit {
                exit_code: 0,
                oom_killed: false,
                finished_at: now,
            }),
            false => ContainerState::Running { started_at: now },
        };
        let container = |name: &str| ContainerStatus {
            name: name.to_owned(),
            state: state.clone(),
            ready: !ends,
            restarts: 0,
            container_id: None,
            image_id: None,
            image_digest: None,
            last_exit: None,
        };
        PodReport {
            phase: match (is_gone, ends) {
                (true, _) => PodPhase::Gone,
                (false, true) => PodPhase::Succeeded,
                (false, false) => PodPhase::Running,
            },
            containers: if is_gone { Vec::new() } else { names.map(container).collect() },
            // Whether a pod is ready is told of the whole.
            init_containers: Vec::new(),
            address: None,
            ready: !is_gone && !ends,
            connections: 0,
            milestones: PodMilestones {
                started_at: Some(now),
                ready_at: (!is_gone && !ends).then_some(now),
                ..PodMilestones::default()
            },
            drift: Vec::new(),
            pause: None,
        }
    }
}
