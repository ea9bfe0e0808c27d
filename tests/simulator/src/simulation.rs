//! One run: events in the order of simulated time, each with what follows from it.

use std::sync::Arc;
use std::time::Duration;

use dugout_agent::converge::{Action, Failure, FailureKind, Outcome as CallOutcome, StopWhy};
use dugout_model::{
    Change, ClusterId, Commit, CommitSha, Fact, NoticedBy, Revision, RevisionContent, RevisionHops,
    SourceDeclaration, SourceName, Timestamp, World,
};

use crate::docker::FakeEngine;
use crate::events::{Answer, Call, Event, Life, Queue};
use crate::ledger::{CommitFault, SharedDatabase};
use crate::node::{Node, Refused};
use crate::random::Random;
use crate::rules::{Broken, Rules, State, settled};
use crate::scenario::{Asks, Scenario, content, nonsense};
use crate::server::{FakeClock, Server};
use crate::trace::Trace;

/// What a run is made of beside its seed.
#[derive(Clone, Debug)]
pub struct Options {
    /// Without it, nothing fails but what the commits themselves bring.
    pub with_faults: bool,
    /// A process is killed at this one of its effects.
    pub crash: Option<CrashPoint>,
    /// How long nothing may change once everything has settled.
    pub quiet: Duration,
}

/// The moment of a kill: before or after an effect, counted over the whole run. Effects are the
/// transactions, the assignments written to a disk, and the calls to container engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPoint {
    pub effect: u64,
    pub after: bool,
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The same for the same seed and options.
    pub trace_hash: String,
    /// How many effects there were: the crash points of this seed.
    pub effects: u64,
    pub turns: u64,
    pub simulated: Duration,
    /// What runs at the end: workload, template, number.
    pub end: Vec<(String, String, usize)>,
    pub broken: Option<Broken>,
}

const NODES: [&str; 3] = ["a", "b", "c"];
const SOURCE: &str = "shop";
const HEARTBEAT: Duration = Duration::from_secs(5);
const WHOLE_LIST: Duration = Duration::from_millis(60);
/// How long everything may take to settle once the faults have stopped.
const SETTLE: Duration = Duration::from_secs(20 * 60);
/// How many events one moment may have: more would be a loop.
const MOMENT_EVENTS: u32 = 10_000;

impl Options {
    /// Nothing fails but what the commits themselves bring, and then an hour is quiet.
    pub const CALM: Options =
        Options { with_faults: false, crash: None, quiet: Duration::from_secs(60 * 60) };
    /// Everything fails that may.
    pub const FAULTS: Options = Options { with_faults: true, ..Options::CALM };
}

/// Runs one seed.
pub fn simulate(seed: u64, options: &Options) -> Outcome {
    let mut simulation = Simulation::new(seed, options);
    let result = simulation.run();
    let broken = result.as_ref().err().map(|rule| Broken {
        seed,
        at_seconds: simulation.now.since(START).as_secs_f64(),
        rule: rule.clone(),
        trace: simulation.trace.tail(),
    });
    let state = result.unwrap_or_default();
    let (turns, effects) = simulation.done_so_far();
    let templates = state.into_iter().flat_map(|(name, templates)| {
        templates.into_iter().map(move |(hash, count)| (name.clone(), hash.to_string(), count))
    });
    Outcome {
        trace_hash: simulation.trace.hash(),
        effects,
        turns,
        simulated: simulation.now.since(START),
        end: templates.collect(),
        broken,
    }
}

const START: Timestamp = Timestamp::from_micros(1_000_000_000_000_000);

struct Simulation {
    with_faults: bool,
    quiet: Duration,
    now: Timestamp,
    clock: FakeClock,
    queue: Queue,
    chance: Random,
    faults: Random,
    scenario: Scenario,
    last: Vec<crate::scenario::Workload>,
    commits: Vec<(CommitSha, RevisionContent)>,
    database: SharedDatabase,
    server: Option<Server>,
    /// A server that does not know yet that another leads.
    deposed: Option<Server>,
    /// The newest revision, which a source loop would read again at a start.
    head: Option<Fact>,
    nodes: Vec<Node>,
    lives: u64,
    /// How many events happened at this moment.
    at_this_moment: u32,
    faults_stopped: bool,
    rules: Rules,
    broken: Option<String>,
    trace: Trace,
}

/// Setting the stage, and the two phases.
impl Simulation {
    fn new(seed: u64, options: &Options) -> Self {
        let mut seeds = Random::from_seed(seed);
        let (mut people, chance, faults) = (seeds.fork(), seeds.fork(), seeds.fork());
        let scenario = Scenario::from(&mut people);
        let last = Scenario::last(&mut people);
        let nodes = NODES.map(|name| Node::new(name, FakeEngine::new(name, seeds.fork()))).into();
        let world = World::empty(ClusterId(uuid::Uuid::from_u128(7)));
        Self {
            with_faults: options.with_faults,
            quiet: options.quiet,
            now: START,
            clock: FakeClock::default(),
            queue: Queue::default(),
            chance,
            faults,
            scenario,
            last,
            commits: Vec::new(),
            database: SharedDatabase::new(world, options.crash),
            server: None,
            deposed: None,
            head: None,
            nodes,
            lives: 0,
            at_this_moment: 0,
            faults_stopped: false,
            rules: Rules::default(),
            broken: None,
            trace: Trace::default(),
        }
    }

    fn run(&mut self) -> Result<State, String> {
        self.queue.push(self.now, Event::ServerStart);
        for node in 0..self.nodes.len() {
            self.queue.push(self.now + Duration::from_millis(100), Event::AgentStart(node));
        }
        let mut at = self.now;
        for (number, commit) in self.scenario.commits.iter().enumerate() {
            at = at + commit.after;
            self.queue.push(at, Event::Commit(number));
        }
        let end = at + Duration::from_secs(30);
        self.queue.push(end, Event::FaultsEnd);
        if self.with_faults {
            self.queue.push(self.now + Duration::from_secs(3), Event::Fault);
        }
        self.run_until(end)?;
        self.end_faults();
        let state = self.settle()?;
        let done = self.done_so_far();
        self.run_until(self.now + self.quiet)?;
        if self.done_so_far() != done {
            return Err("something changed though nothing happened".to_owned());
        }
        Ok(state)
    }

    fn run_until(&mut self, end: Timestamp) -> Result<(), String> {
        while let Some((at, event)) = self.queue.pop_before(end) {
            self.at_this_moment = if at == self.now { self.at_this_moment + 1 } else { 0 };
            if self.at_this_moment > MOMENT_EVENTS {
                return Err(format!("time stands still: again and again {event:?}"));
            }
            self.now = at;
            self.clock.set(at);
            self.happen(event);
            if let Some(rule) = self.broken.take() {
                return Err(rule);
            }
        }
        self.now = end;
        self.clock.set(end);
        Ok(())
    }

    /// Runs until everything is as it was asked, at most for [`SETTLE`].
    fn settle(&mut self) -> Result<State, String> {
        let end = self.now + SETTLE;
        loop {
            self.run_until(self.now + Duration::from_secs(10))?;
            let world = self.database.open().world.clone();
            match settled(&self.nodes, &world, self.now) {
                Ok(state) => return Ok(state),
                Err(why) if self.now >= end => return Err(format!("it does not settle: {why}")),
                Err(_) => {}
            }
        }
    }

    /// Everything is mended, and a last good commit comes.
    fn end_faults(&mut self) {
        self.faults_stopped = true;
        self.note("faults end".to_owned());
        for node in 0..self.nodes.len() {
            self.queue.push(self.now, Event::NodeBack(node));
        }
        let last = self.last.clone();
        self.commit(content(&last, 9));
    }

    /// Turns and effects.
    fn done_so_far(&self) -> (u64, u64) {
        let database = self.database.open();
        (database.world.turn.0, database.effects)
    }

    fn note(&mut self, line: String) {
        self.trace.note(self.now, line);
    }

    fn disturb(&mut self) {
        self.rules.disturbed_at = self.now;
    }

    fn next_life(&mut self) -> Life {
        self.lives += 1;
        Life(self.lives)
    }

    /// Counts an effect; gives whether its process is killed before or after it.
    fn effect(&mut self) -> Option<CrashPoint> {
        self.database.open().effect()
    }
}

/// What follows from each event.
impl Simulation {
    fn happen(&mut self, event: Event) {
        match event {
            Event::Commit(number) => self.people_commit(number),
            Event::ServerStart => self.start_server(),
            Event::ServerDue(life) => {
                let now = self.now;
                let server = self.server.as_mut().filter(|server| server.life == life);
                if server.is_some_and(|server| server.alarm.rings(now)) {
                    self.serve(Vec::new());
                }
            }
            Event::Arrives { node, life, fact } => self.arrive(node, life, *fact),
            Event::Assigned { node, life, assignment } => self.assigned(node, life, assignment),
            Event::AgentStart(node) => self.start_agent(node),
            Event::AgentBeat(node, life) => self.beat(node, life),
            Event::AgentWake(node, life) => {
                let now = self.now;
                if self.nodes[node].agent(life).is_some_and(|agent| agent.alarm.rings(now)) {
                    self.settle_node(node);
                }
            }
            Event::Called { node, life, call } => self.called(node, life, &call),
            Event::Listed { node, life, asked } => {
                let containers = self.nodes[node].engine.containers.values();
                let seen = containers.map(|one| one.observed.clone()).collect();
                let now = self.now;
                if let Some(agent) = self.nodes[node].agent(life) {
                    agent.listed(seen, asked, now);
                    self.settle_node(node);
                }
            }
            Event::Ends { node, container, started_at } => self.ends(node, &container, started_at),
            Event::Fault => self.fault(),
            Event::NodeBack(node) => self.node_back(node),
            Event::FaultsEnd => {}
        }
    }

    fn people_commit(&mut self, number: usize) {
        match self.scenario.commits[number].asks.clone() {
            Asks::Objects(workloads, config) => self.commit(content(&workloads, config)),
            Asks::Nonsense => self.commit(nonsense()),
            Asks::Again(number) => {
                if let Some((sha, content)) = self.commits.get(number).cloned() {
                    self.note(format!("commit {} comes again", sha.short()));
                    self.read(&sha, content);
                }
            }
        }
    }

    fn commit(&mut self, content: RevisionContent) {
        let sha = CommitSha::new(format!("{:08x}{}", self.commits.len() + 1, "0".repeat(32)));
        self.note(format!("commit {}", sha.short()));
        self.commits.push((sha.clone(), content.clone()));
        self.read(&sha, content);
    }

    /// The source loop reads a commit, and tells the engine when there is one.
    fn read(&mut self, sha: &CommitSha, content: RevisionContent) {
        self.disturb();
        let revision = Revision {
            source: SourceName::new(SOURCE),
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
        };
        let fact = Fact::Revision(Box::new(revision));
        self.head = Some(fact.clone());
        self.serve(vec![fact]);
    }
}

/// The server.
impl Simulation {
    fn start_server(&mut self) {
        if self.server.is_some() {
            return;
        }
        let life = self.next_life();
        self.note(format!("server {} leads", life.0));
        self.server = Some(Server::start(life, &self.database, &self.clock));
        let mut facts = vec![Fact::SourceDeclared(SourceDeclaration {
            name: SourceName::new(SOURCE),
            url: "file:///shop.git".to_owned(),
            branch: "main".to_owned(),
            path: String::new(),
            poll_interval: Duration::from_secs(5),
        })];
        facts.extend(self.head.clone());
        self.serve(facts);
    }

    fn kill_server(&mut self) {
        if let Some(server) = self.server.take() {
            self.note(format!("server {} is gone", server.life.0));
            self.disturb();
            let pause = self.chance.millis(100, 3_000);
            self.queue.push(self.now + pause, Event::ServerStart);
        }
    }

    /// One turn of whoever leads.
    fn serve(&mut self, facts: Vec<Fact>) {
        let Some(mut server) = self.server.take() else { return };
        let lives = server.step(facts);
        self.take_committed();
        let alarm = server.due_at().and_then(|at| server.alarm.set(at.max(self.now)));
        let life = server.life;
        self.server = Some(server);
        if !lives {
            return self.kill_server();
        }
        if let Some(at) = alarm {
            self.queue.push(at, Event::ServerDue(life));
        }
        self.offer_assignments();
    }

    /// What became durable goes to the trace.
    fn take_committed(&mut self) {
        let committed = std::mem::take(&mut self.database.open().committed);
        for change in committed {
            match change {
                Change::AppendTimeline(entry) => self.note(format!(
                    "{} {} {} {}",
                    entry.sha.short(),
                    entry.step.as_str(),
                    entry.subject,
                    entry.message
                )),
                Change::PutPod(pod) => self.note(format!(
                    "pod {} {:?} {}",
                    pod.name,
                    pod.lifecycle,
                    pod.node().map_or("nowhere", |node| node.as_str())
                )),
                Change::DeletePod(uid) => self.note(format!("pod row {uid} goes")),
                _ => {}
            }
        }
    }

    /// Wakes the poll of each node whose assignment is another now.
    fn offer_assignments(&mut self) {
        for node in 0..self.nodes.len() {
            let held = self.nodes[node].accepted.as_ref().map(|held| held.generation);
            let name = self.nodes[node].name.clone();
            let offered = self
                .server
                .as_ref()
                .and_then(|server| server.world().nodes.get(&name))
                .map(|row| row.generation);
            if offered.is_some() && offered != held {
                self.offer(node);
            }
        }
    }

    /// Sends a node its assignment; on its way it may be late or lost.
    fn offer(&mut self, node: usize) {
        let Some(server) = &self.server else { return };
        let Some(assignment) = server.assignment(&self.nodes[node].name) else { return };
        let Some(agent) = &self.nodes[node].agent else { return };
        let life = agent.life;
        if self.nodes[node].is_cut_off || self.is_lost() {
            return;
        }
        let delay = self.delay();
        self.queue.push(self.now + delay, Event::Assigned { node, life, assignment });
    }

    fn is_lost(&mut self) -> bool {
        self.is_faulty() && self.faults.one_in(20)
    }

    fn is_faulty(&self) -> bool {
        self.with_faults && !self.faults_stopped
    }

    fn delay(&mut self) -> Duration {
        if self.is_faulty() && self.faults.one_in(15) {
            return self.faults.millis(200, 4_000);
        }
        self.chance.millis(1, 20)
    }

    fn arrive(&mut self, node: usize, life: Life, fact: Fact) {
        if self.nodes[node].is_cut_off {
            return;
        }
        if let Some(mut deposed) = self.deposed.take() {
            // It may write nothing any more; it ends with the first turn that would.
            let turn = self.database.open().world.turn;
            let lives = deposed.step(vec![fact.clone()]);
            if self.database.open().world.turn != turn {
                self.broken = Some("a deposed server wrote".to_owned());
            }
            if lives {
                self.deposed = Some(deposed);
            }
        }
        let is_join = matches!(fact, Fact::NodeJoined(_));
        let knows = |server: &Server, name| server.world().nodes.contains_key(name);
        let known =
            self.server.as_ref().is_some_and(|server| knows(server, &self.nodes[node].name));
        if self.server.is_none() || !(is_join || known) {
            return;
        }
        self.serve(vec![fact]);
        if is_join && self.server.is_some() {
            if let Some(agent) = self.nodes[node].agent(life) {
                agent.is_registered = true;
            }
            self.offer(node);
        }
    }
}

/// The nodes.
impl Simulation {
    fn start_agent(&mut self, node: usize) {
        if self.nodes[node].is_dark || self.nodes[node].agent.is_some() {
            return;
        }
        let life = self.next_life();
        self.note(format!("agent {} starts", self.nodes[node].name));
        self.nodes[node].start_agent(life);
        self.list(node);
        self.queue.push(self.now, Event::AgentBeat(node, life));
    }

    fn kill_agent(&mut self, node: usize) {
        if self.nodes[node].agent.take().is_some() {
            self.note(format!("agent {} is killed", self.nodes[node].name));
            self.disturb();
            let pause = self.chance.millis(100, 5_000);
            self.queue.push(self.now + pause, Event::AgentStart(node));
        }
    }

    fn list(&mut self, node: usize) {
        let Some(agent) = &mut self.nodes[node].agent else { return };
        let (life, asked) = (agent.life, agent.ask());
        self.queue.push(self.now + WHOLE_LIST, Event::Listed { node, life, asked });
    }

    /// What an agent does regularly, whatever happened: it looks, reports and polls.
    fn beat(&mut self, node: usize, life: Life) {
        let Some(agent) = self.nodes[node].agent(life) else { return };
        let is_registered = agent.is_registered;
        self.list(node);
        if is_registered {
            self.report(node, true);
            self.offer(node);
        } else {
            let fact = Fact::NodeJoined(self.nodes[node].registration());
            self.send(node, fact);
        }
        self.queue.push(self.now + HEARTBEAT, Event::AgentBeat(node, life));
    }

    fn report(&mut self, node: usize, is_due: bool) {
        let now = self.now;
        let is_registered = self.nodes[node].agent.as_ref().is_some_and(|one| one.is_registered);
        if !is_registered {
            return;
        }
        if let Some((report, is_news)) = self.nodes[node].report(now)
            && (is_due || is_news)
        {
            self.send(node, Fact::Report(Box::new(report)));
        }
    }

    fn send(&mut self, node: usize, fact: Fact) {
        let Some(agent) = &self.nodes[node].agent else { return };
        let life = agent.life;
        if self.nodes[node].is_cut_off || self.is_lost() {
            return;
        }
        let delay = self.delay();
        let event = Event::Arrives { node, life, fact: Box::new(fact) };
        if self.is_faulty() && self.faults.one_in(25) {
            self.queue.push(self.now + delay, event.clone());
        }
        self.queue.push(self.now + delay, event);
    }

    fn assigned(&mut self, node: usize, life: Life, assignment: dugout_model::SharedAssignment) {
        if self.nodes[node].agent(life).is_none() || self.nodes[node].is_cut_off {
            return;
        }
        match self.nodes[node].judge(&assignment) {
            Ok(()) => {}
            Err(Refused::Older) => return,
            Err(Refused::OtherContent) => {
                self.broken = Some("one generation has two contents".to_owned());
                return;
            }
        }
        if self.nodes[node].accepted.as_ref().is_none_or(|held| **held != *assignment) {
            let crash = self.effect();
            if crash.is_some_and(|crash| !crash.after) {
                return self.kill_agent(node);
            }
            let (name, generation) = (self.nodes[node].name.clone(), assignment.generation.0);
            self.note(format!("agent {name} accepts {generation}"));
            self.nodes[node].accept(Arc::clone(&assignment));
            if crash.is_some() {
                return self.kill_agent(node);
            }
            self.note_draining(node, &assignment);
        }
        self.settle_node(node);
    }

    /// Pods that leave have connections for a while.
    fn note_draining(&mut self, node: usize, assignment: &dugout_model::Assignment) {
        use dugout_model::PodOrder;
        let leaving = |order| order == PodOrder::Run { draining: true };
        for pod in assignment.pods.iter().filter(|pod| leaving(pod.order)) {
            let until = self.now + self.chance.millis(0, 3_000);
            if let Some(agent) = &mut self.nodes[node].agent {
                agent.keep_busy(pod.uid, until);
            }
        }
    }

    /// Begins everything that follows from what an agent knows now.
    fn settle_node(&mut self, node: usize) {
        let now = self.now;
        let plan = self.nodes[node].plan(now);
        for action in plan.actions {
            let pod = self.nodes[node].assigned(action.pod()).cloned();
            let answer = match self.is_faulty().then(|| self.faults.below(60)) {
                Some(0) => Answer::Lost,
                Some(1) => Answer::Refused,
                _ => Answer::Given,
            };
            let takes = self.nodes[node].engine.takes(&action);
            let call = Box::new(Call { action, pod, answer });
            let Some(agent) = &mut self.nodes[node].agent else { return };
            agent.begin(&call);
            let life = agent.life;
            self.queue.push(now + takes, Event::Called { node, life, call });
        }
        self.report(node, false);
        let wake_at = [plan.wake_at, self.nodes[node].wake_at(now)].into_iter().flatten().min();
        let soon = now + Duration::from_millis(1);
        if let (Some(at), Some(agent)) = (wake_at, &mut self.nodes[node].agent)
            && let Some(at) = agent.alarm.set(at.max(soon))
        {
            self.queue.push(at, Event::AgentWake(node, agent.life));
        }
    }

    /// A call takes effect, also when the agent that made it is gone.
    fn called(&mut self, node: usize, life: Life, call: &Call) {
        if self.nodes[node].is_dark {
            return;
        }
        let crash = self.effect();
        if crash.is_some_and(|crash| !crash.after) && self.nodes[node].agent(life).is_some() {
            return self.kill_agent(node);
        }
        let refusal =
            |message: &str| Failure { kind: FailureKind::Transient, message: message.to_owned() };
        let result = match call.answer {
            Answer::Refused => Err(refusal("the engine is busy")),
            Answer::Given | Answer::Lost => self.apply(node, call),
        };
        if crash.is_some() {
            return self.kill_agent(node);
        }
        let outcome = match (call.answer, result) {
            (Answer::Lost, _) => CallOutcome::Failed(refusal("the answer did not come in time")),
            (_, Ok(())) => CallOutcome::Done,
            (_, Err(failure)) => CallOutcome::Failed(failure),
        };
        self.answered(node, life, call, &outcome);
    }

    fn apply(&mut self, node: usize, call: &Call) -> Result<(), Failure> {
        let now = self.now;
        if let Action::Stop { pod, id, why: StopWhy::Ordered, .. } = &call.action {
            let containers = &self.nodes[node].engine.containers;
            if containers.get(id).is_some_and(|one| one.is_ready(now)) {
                let world = self.database.open().world.clone();
                if let Err(rule) = self.rules.stopped(&self.nodes, &world, *pod, now) {
                    self.broken = Some(rule);
                }
            }
        }
        self.note(format!("{} does {}", self.nodes[node].name, words(&call.action)));
        let ends_at = self.nodes[node].engine.apply(&call.action, call.pod.as_ref(), now)?;
        if let (Some(at), Action::Start { id, .. }) = (ends_at, &call.action) {
            let container = id.clone();
            self.queue.push(at, Event::Ends { node, container, started_at: now });
        }
        if let Err(rule) = self.rules.look(&self.nodes) {
            self.broken = Some(rule);
        }
        Ok(())
    }

    fn answered(&mut self, node: usize, life: Life, call: &Call, outcome: &CallOutcome) {
        let now = self.now;
        let seen = match &call.action {
            Action::Start { id, .. } | Action::Stop { id, .. } => {
                self.nodes[node].engine.containers.get(id).map(|one| one.observed.clone())
            }
            Action::Create { pod, container, attempt, .. } => {
                let mut all = self.nodes[node].engine.containers.values();
                all.find(|one| {
                    let labels = &one.observed.labels;
                    labels.uid == *pod
                        && labels.container == *container
                        && labels.attempt == *attempt
                })
                .map(|one| one.observed.clone())
            }
            Action::Pull { .. } | Action::Remove { .. } => None,
        };
        let is_done = *outcome == CallOutcome::Done;
        let Some(agent) = self.nodes[node].agent(life) else { return };
        agent.end(call, outcome, now);
        if is_done {
            if let Some(seen) = seen {
                agent.see(seen, now);
            }
            if let Action::Remove { id, .. } = &call.action {
                agent.removed(id);
            }
        } else {
            self.list(node);
        }
        self.settle_node(node);
    }

    /// A container ends by itself.
    fn ends(&mut self, node: usize, container: &str, started_at: Timestamp) {
        use dugout_agent::runtime::ObservedState;
        let now = self.now;
        let engine = &mut self.nodes[node].engine;
        let is_this_run = engine
            .containers
            .get(container)
            .is_some_and(|one| one.observed.state == ObservedState::Running { started_at });
        if !is_this_run {
            return;
        }
        engine.end(container, 1, now);
        self.note(format!("{container} ends"));
        self.disturb();
        self.tell_engine_event(node, container);
    }

    /// The engine's word on a container reaches the agent, or not.
    fn tell_engine_event(&mut self, node: usize, container: &str) {
        let now = self.now;
        if self.is_lost() {
            return;
        }
        let seen =
            self.nodes[node].engine.containers.get(container).map(|one| one.observed.clone());
        if let (Some(agent), Some(seen)) = (&mut self.nodes[node].agent, seen) {
            agent.see(seen, now);
            self.settle_node(node);
        }
    }
}

/// What goes wrong.
impl Simulation {
    fn fault(&mut self) {
        if self.faults_stopped {
            return;
        }
        let next = self.faults.millis(500, 15_000);
        self.queue.push(self.now + next, Event::Fault);
        let node = self.faults.below(self.nodes.len() as u64) as usize;
        self.disturb();
        match self.faults.below(9) {
            0 => self.kill_server(),
            1 => self.kill_agent(node),
            2 => self.cut_off(node),
            3 => self.go_dark(node),
            4 => self.kill_container(node),
            5 => self.remove_container(node),
            6 => self.database.open().fault = CommitFault::Before,
            7 => self.depose(),
            _ => {
                // The engine falls with everything in it, and comes back at once.
                self.note(format!("engine {} falls", self.nodes[node].name));
                let now = self.now;
                self.nodes[node].engine.end_all(now);
                self.list(node);
            }
        }
    }

    fn cut_off(&mut self, node: usize) {
        self.note(format!("node {} is cut off", self.nodes[node].name));
        self.nodes[node].is_cut_off = true;
        let back = self.faults.millis(1_000, 60_000);
        self.queue.push(self.now + back, Event::NodeBack(node));
    }

    fn go_dark(&mut self, node: usize) {
        self.note(format!("node {} goes dark", self.nodes[node].name));
        let now = self.now;
        self.nodes[node].is_dark = true;
        self.nodes[node].agent = None;
        self.nodes[node].engine.end_all(now);
        let back = self.faults.millis(1_000, 60_000);
        self.queue.push(self.now + back, Event::NodeBack(node));
    }

    fn node_back(&mut self, node: usize) {
        let is_back = self.nodes[node].is_cut_off || self.nodes[node].is_dark;
        if is_back {
            self.note(format!("node {} is back", self.nodes[node].name));
            self.disturb();
        }
        self.nodes[node].is_cut_off = false;
        self.nodes[node].is_dark = false;
        if self.nodes[node].agent.is_none() {
            self.queue.push(self.now + Duration::from_millis(200), Event::AgentStart(node));
        }
    }

    fn any_container(&mut self, node: usize) -> Option<String> {
        let ids: Vec<String> = self.nodes[node].engine.containers.keys().cloned().collect();
        (!ids.is_empty()).then(|| self.faults.pick(&ids))
    }

    fn kill_container(&mut self, node: usize) {
        let Some(id) = self.any_container(node) else { return };
        let now = self.now;
        self.note(format!("somebody kills {id}"));
        self.nodes[node].engine.end(&id, 137, now);
        self.tell_engine_event(node, &id);
    }

    fn remove_container(&mut self, node: usize) {
        let Some(id) = self.any_container(node) else { return };
        self.note(format!("somebody removes {id}"));
        self.nodes[node].engine.containers.remove(&id);
        self.list(node);
    }

    /// Another server leads though the one before still lives and does not know.
    fn depose(&mut self) {
        if let Some(server) = self.server.take() {
            self.note(format!("server {} is deposed", server.life.0));
            self.deposed = Some(server);
            self.start_server();
        }
    }
}

fn words(action: &Action) -> String {
    match action {
        Action::Pull { image, .. } => format!("pull {image}"),
        Action::Create { pod, attempt, .. } => format!("create {pod} {attempt}"),
        Action::Start { id, .. } => format!("start {id}"),
        Action::Stop { id, why, .. } => format!("stop {id} {why:?}"),
        Action::Remove { id, .. } => format!("remove {id}"),
    }
}
