//! A cluster in memory: the engine's turn around the planner, and agents that do at once what their
//! assignment asks for. Every turn is held against the rules that every turn must keep.

pub mod agent;
pub mod objects;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dugout_model::*;
use dugout_planner::{PlanInput, PlanReport, Settings, Work, check, note, plan};

use agent::FakeAgent;

pub const SOURCE: &str = "shop";

/// One cluster with everything that it ever told.
pub struct Cluster {
    pub world: World,
    pub contacts: Contacts,
    pub now: Timestamp,
    pub agents: BTreeMap<NodeName, FakeAgent>,
    pub timeline: Vec<TimelineEntry>,
    pub events: Vec<Event>,
    pub releases: BTreeMap<ReleaseId, Arc<Release>>,
    pub report: PlanReport,
    settings: Settings,
    timers: BTreeMap<Work, Timestamp>,
    commits: u32,
    /// What each commit declared.
    declared: BTreeMap<CommitSha, DeclaredObjects>,
}

impl Cluster {
    /// A cluster with a source and these nodes, each with an engine of its own.
    pub fn with_nodes(names: &[&str]) -> Self {
        let mut cluster = Self {
            world: World::empty(ClusterId(uuid::Uuid::nil())),
            contacts: Contacts::new(),
            now: Timestamp::from_micros(1_000_000_000_000_000),
            agents: BTreeMap::new(),
            timeline: Vec::new(),
            events: Vec::new(),
            releases: BTreeMap::new(),
            report: PlanReport::default(),
            settings: Settings { node_timeout: Duration::from_secs(15) },
            timers: BTreeMap::from([(Work::Everything, Timestamp::default())]),
            commits: 0,
            declared: BTreeMap::new(),
        };
        cluster.declare_source(SOURCE);
        for name in names {
            cluster.join(name, &format!("engine-of-{name}"));
        }
        cluster
    }

    pub fn declaration(&self, name: &str) -> SourceDeclaration {
        SourceDeclaration {
            name: SourceName::new(name),
            url: format!("file:///{name}.git"),
            branch: "main".to_owned(),
            path: String::new(),
            poll_interval: Duration::from_secs(5),
            on_failure: OnFailure::Revert,
            drift: Drift::Correct,
        }
    }

    pub fn declare_source(&mut self, name: &str) {
        self.turn(&[Fact::SourceDeclared(self.declaration(name))]);
    }

    /// What becomes of releases that fail from now on.
    pub fn on_failure(&mut self, on_failure: OnFailure) {
        let declaration = SourceDeclaration { on_failure, ..self.declaration(SOURCE) };
        self.turn(&[Fact::SourceDeclared(declaration)]);
    }

    pub fn join(&mut self, name: &str, engine: &str) {
        let agent = FakeAgent::new(name, engine);
        let registration = agent.registration();
        self.agents.insert(NodeName::new(name), agent);
        self.turn(&[Fact::NodeJoined(registration)]);
    }

    pub fn agent(&mut self, name: &str) -> &mut FakeAgent {
        self.agents.get_mut(&NodeName::new(name)).expect("the node exists")
    }

    /// One turn of the engine, and every rule that a turn must keep.
    pub fn turn(&mut self, facts: &[Fact]) {
        for fact in facts {
            note(&mut self.contacts, fact, self.now);
        }
        let due: BTreeSet<Work> =
            self.timers.iter().filter(|(_, at)| **at <= self.now).map(|(w, _)| w.clone()).collect();
        let result = self.plan(&self.world, facts, &due);
        let again = self.plan(&self.world, facts, &due);
        assert_eq!(result, again, "the same input gives the same plan");
        let everything = BTreeSet::from([Work::Everything]);
        let whole = self.plan(&self.world, facts, &everything);
        assert_eq!(result.changes, whole.changes, "looking at everything finds nothing more");
        let compared = self.plan(&self.world, &without_difference(facts), &due);
        assert_eq!(result, compared, "knowing what differs changes nothing");
        assert_eq!(check(&self.world, &result), [], "the check accepts the plan");
        let mut applied = self.world.clone();
        result.changes.iter().for_each(|change| applied.apply(change));
        applied.turn = result.after.turn;
        assert_eq!(applied, result.after, "the world after is the world with the changes");
        assert_eq!(loaded(&applied), applied, "a new leader reads the same world");
        let settled = self.plan(&result.after, &[], &everything);
        assert_eq!(settled.changes, [], "planning again changes nothing");

        for work in due.iter().chain(&result.processed) {
            self.timers.remove(work);
        }
        if result.processed.contains(&Work::Everything) {
            self.timers.clear();
        }
        self.timers.extend(result.wake_at);
        for change in &result.changes {
            match change {
                Change::AppendTimeline(entry) => self.timeline.push((**entry).clone()),
                Change::AppendEvent(event) => self.events.push((**event).clone()),
                Change::PutRelease(row) => {
                    self.releases.insert(row.id, Arc::clone(row));
                }
                _ => {}
            }
        }
        self.world = result.after;
        self.report = result.report;
    }

    fn plan(&self, world: &World, facts: &[Fact], due: &BTreeSet<Work>) -> dugout_planner::Plan {
        plan(PlanInput {
            world,
            contacts: &self.contacts,
            facts,
            due,
            now: self.now,
            settings: &self.settings,
            ids: IdSource::from_seed(7 ^ world.turn.0.rotate_left(32)),
        })
    }

    /// Time goes on a little, every agent does its work and reports.
    pub fn step(&mut self, span: Duration) {
        self.now = self.now + span;
        let mut facts = Vec::new();
        for (name, agent) in &mut self.agents {
            let assignment = dugout_planner::assignment(&self.world, name);
            facts.extend(agent.work(self.now, assignment.as_ref()));
        }
        self.turn(&facts);
    }

    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.step(Duration::from_millis(250));
        }
    }

    pub fn run_in_steps(&mut self, steps: u32, span: Duration) {
        for _ in 0..steps {
            self.step(span);
        }
    }

    /// A leader starts anew with nothing but the world.
    pub fn restart_engine(&mut self) {
        let contact = Contact {
            last_report: self.now,
            engine_answered: self.now,
            acknowledged: Turn(0),
            connections: BTreeMap::new(),
        };
        self.contacts = self
            .world
            .nodes
            .values()
            .filter(|node| node.is_ready())
            .map(|node| (node.name.clone(), contact.clone()))
            .collect();
        self.timers = BTreeMap::from([(Work::Everything, self.now)]);
        self.turn(&[]);
    }

    /// A new commit with these objects; gives its sha.
    pub fn commit(&mut self, objects: Vec<DeclaredObject>) -> CommitSha {
        let sha = self.new_sha();
        self.push(&sha, objects);
        sha
    }

    /// The same with this message; gives its sha.
    pub fn commit_with_message(
        &mut self,
        objects: Vec<DeclaredObject>,
        message: &str,
    ) -> CommitSha {
        let sha = self.new_sha();
        let mut revision = self.revision(SOURCE, &sha, content_of(objects));
        revision.commit.message = message.to_owned();
        self.turn(&[Fact::Revision(Box::new(revision))]);
        sha
    }

    /// A new commit with these objects that says how many others it may remove.
    pub fn commit_allowing(&mut self, removed: usize, objects: Vec<DeclaredObject>) -> CommitSha {
        let sha = self.new_sha();
        self.push_with(&sha, objects, &format!("Less\n\nDugout-Allow-Delete: {removed}\n"));
        sha
    }

    pub fn new_sha(&mut self) -> CommitSha {
        self.commits += 1;
        CommitSha::new(format!("{:08x}{}", self.commits, "0".repeat(32)))
    }

    /// The source loop read this commit.
    pub fn push(&mut self, sha: &CommitSha, objects: Vec<DeclaredObject>) {
        self.push_with(sha, objects, "A change");
    }

    /// The same with this message.
    pub fn push_with(&mut self, sha: &CommitSha, objects: Vec<DeclaredObject>, message: &str) {
        let content = content_of(objects);
        let RevisionContent::Objects { objects, .. } = &content else { unreachable!() };
        self.declared.insert(sha.clone(), objects.clone());
        let since = self.difference_to(objects);
        let mut revision = Revision { since, ..self.revision(SOURCE, sha, content) };
        revision.commit.message = message.to_owned();
        self.turn(&[Fact::Revision(Box::new(revision))]);
    }

    /// What the source loop knows: in what these objects differ from those applied last.
    fn difference_to(&self, objects: &DeclaredObjects) -> Option<Difference> {
        let from = self.world.sources[&SourceName::new(SOURCE)].status.applied.clone()?;
        let before = self.declared.get(&from)?;
        let differs = |id: &&ObjectId| before.get(*id) != objects.get(*id);
        let ids = before.keys().chain(objects.keys()).filter(differs).cloned().collect();
        Some(Difference { from, ids })
    }

    pub fn push_problems(&mut self, problems: Vec<Problem>) -> CommitSha {
        let sha = self.new_sha();
        let content = RevisionContent::Problems(problems);
        self.turn(&[Fact::Revision(Box::new(self.revision(SOURCE, &sha, content)))]);
        sha
    }

    pub fn revision(&self, source: &str, sha: &CommitSha, content: RevisionContent) -> Revision {
        Revision {
            source: SourceName::new(source),
            commit: Commit {
                sha: sha.clone(),
                author: "Ada <ada@example.com>".to_owned(),
                message: "A change".to_owned(),
                committed_at: self.now,
                parents: Vec::new(),
            },
            content,
            hops: RevisionHops {
                noticed_by: NoticedBy::Webhook,
                noticed_at: self.now,
                fetched_at: self.now,
                validated_at: self.now,
            },
            rewritten: false,
            since: None,
        }
    }
}

/// A revision that declares these objects.
/// The world as a new leader makes it, from its rows.
fn loaded(world: &World) -> World {
    let mut loaded = World::empty(world.cluster);
    let rows = (world.sources.values().cloned().map(Change::PutSource))
        .chain(world.nodes.values().cloned().map(Change::PutNode))
        .chain(world.volume_bindings.values().cloned().map(Change::PutVolumeBinding))
        .chain(world.objects.values().cloned().map(Change::PutObject))
        .chain(world.rollouts.values().cloned().map(Change::PutRollout))
        .chain(world.jobs.values().cloned().map(Change::PutJob))
        .chain(world.schedules.values().cloned().map(Change::PutSchedule))
        .chain(world.replica_sets.values().cloned().map(Change::PutReplicaSet))
        .chain(world.pods.values().cloned().map(Change::PutPod))
        .chain(world.baselines.values().cloned().map(Change::PutBaseline))
        .chain(world.releases.values().cloned().map(Change::PutRelease))
        .chain(world.quarantine.iter().cloned().map(Change::PutQuarantine));
    rows.for_each(|row| loaded.apply(&row));
    loaded.turn = world.turn;
    loaded
}

pub fn content_of(objects: Vec<DeclaredObject>) -> RevisionContent {
    let objects = objects.into_iter().map(|object| (object.id(), Arc::new(object))).collect();
    RevisionContent::Objects { objects, notices: Vec::new() }
}

/// The same facts, as a source loop tells them that has just begun.
fn without_difference(facts: &[Fact]) -> Vec<Fact> {
    let without = |fact: &Fact| match fact {
        Fact::Revision(revision) => {
            Fact::Revision(Box::new(Revision { since: None, ..(**revision).clone() }))
        }
        other => other.clone(),
    };
    facts.iter().map(without).collect()
}

/// What a test looks at.
impl Cluster {
    pub fn release(&self, sha: &CommitSha) -> &Release {
        let mut of_sha = self.releases.values().rev().filter(|row| row.commit.sha == *sha);
        of_sha.next().expect("the commit has a release")
    }

    pub fn verdict(&self, sha: &CommitSha) -> Verdict {
        self.release(sha).verdict
    }

    pub fn deployment(&self, name: &str) -> ObjectUid {
        self.world.objects[&ObjectId::new(Kind::Deployment, "demo", name)].uid
    }

    pub fn rollout(&self, name: &str) -> &RolloutState {
        &self.world.rollouts[&self.deployment(name)].state
    }

    pub fn rollout_of(&self, kind: Kind, name: &str) -> &RolloutState {
        let uid = self.world.objects[&ObjectId::new(kind, "demo", name)].uid;
        &self.world.rollouts[&uid].state
    }

    /// Every active pod with its image, by name.
    pub fn named_images(&self) -> Vec<(String, String)> {
        let image = |pod: &Arc<Pod>| {
            self.world.replica_set_of(pod).expect("a set").template.containers[0].image.clone()
        };
        let mut pods: Vec<_> =
            self.active().iter().map(|pod| (pod.name.to_string(), image(pod))).collect();
        pods.sort();
        pods
    }

    /// The names of all pods that are not known to be gone.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.world.pods.values().map(|pod| pod.name.to_string()).collect();
        names.sort();
        names
    }

    /// Replicas of each replica set of a deployment, from the oldest revision to the newest.
    pub fn sizes(&self, name: &str) -> Vec<u32> {
        let mut sets: Vec<_> = self.world.replica_sets_of(self.deployment(name)).collect();
        sets.sort_by_key(|set| set.revision);
        sets.into_iter().map(|set| set.replicas).collect()
    }

    pub fn active(&self) -> Vec<Arc<Pod>> {
        self.world.pods.values().filter(|pod| pod.is_active()).cloned().collect()
    }

    pub fn ready(&self) -> usize {
        self.active().iter().filter(|pod| pod.ready_since().is_some()).count()
    }

    /// The active pods of each node, by node.
    pub fn spread(&self) -> BTreeMap<String, usize> {
        let mut spread = BTreeMap::new();
        for pod in self.active() {
            let node = pod.node().map_or("nowhere".to_owned(), ToString::to_string);
            *spread.entry(node).or_default() += 1;
        }
        spread
    }

    /// The image of each active pod, sorted.
    pub fn images(&self) -> Vec<String> {
        let image = |pod: &Arc<Pod>| {
            self.world.replica_set_of(pod).expect("a set").template.containers[0].image.clone()
        };
        let mut images: Vec<String> = self.active().iter().map(image).collect();
        images.sort();
        images
    }

    pub fn steps(&self, sha: &CommitSha) -> Vec<Step> {
        let entries = self.timeline.iter().filter(|entry| entry.sha == *sha);
        entries.map(|entry| entry.step).collect()
    }

    pub fn events_with(&self, reason: &str) -> Vec<&Event> {
        self.events.iter().filter(|event| event.reason == reason).collect()
    }
}

pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
