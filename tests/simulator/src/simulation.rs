//! One run: events in the order of simulated time, each with what follows from it.

mod agents;
mod drains;
mod faults;
mod source;

use std::time::Duration;

use dugout_model::{Change, ClusterId, Fact, RevisionContent, Timestamp, World};

use crate::bugs::{Bug, assignment_with};
use crate::docker::FakeEngine;
use crate::events::{Event, Life, Queue};
use crate::git::{Git, PEOPLES_MESSAGE};
use crate::ledger::SharedDatabase;
use crate::node::Node;
use crate::random::Random;
use crate::rules::{Breach, Broken, Rule, Rules, Seen, State, settled};
use crate::scenario::{Asks, Scenario, add_budgets, content, nonsense, nothing};
use crate::server::{FakeClock, Server};
use crate::trace::Trace;
use source::SourceLoop;

/// What a run is made of beside its seed.
#[derive(Clone, Debug)]
pub struct Options {
    /// Without it, nothing fails but what the commits themselves bring.
    pub with_faults: bool,
    /// People drain nodes now and then, and every commit has disruption budgets.
    pub with_drains: bool,
    /// A process is killed at this one of its effects.
    pub crash: Option<CrashPoint>,
    /// What is done wrong on purpose.
    pub bug: Option<Bug>,
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
/// How long what was under way may take when everything is as it was asked: an assignment that is not
/// accepted yet, a report that an older one overtook.
const REST: Duration = Duration::from_secs(10);
/// How many events one moment may have: more would be a loop.
const MOMENT_EVENTS: u32 = 10_000;

impl Options {
    /// Nothing fails but what the commits themselves bring, and then an hour is quiet.
    pub const CALM: Options = Options {
        with_faults: false,
        with_drains: false,
        crash: None,
        bug: None,
        quiet: Duration::from_secs(60 * 60),
    };
    /// Everything fails that may.
    pub const FAULTS: Options = Options { with_faults: true, ..Options::CALM };
    /// And people drain nodes beside that.
    pub const DRAINS: Options = Options { with_drains: true, ..Options::FAULTS };
}

/// Runs one seed.
pub fn simulate(seed: u64, options: &Options) -> Outcome {
    let mut simulation = Simulation::new(seed, options);
    let result = simulation.run();
    let broken = result.as_ref().err().map(|breach| Broken {
        seed,
        at_seconds: simulation.now.since(START).as_secs_f64(),
        rule: breach.rule,
        why: breach.why.clone(),
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
    with_drains: bool,
    quiet: Duration,
    now: Timestamp,
    clock: FakeClock,
    queue: Queue,
    chance: Random,
    faults: Random,
    drains: Random,
    scenario: Scenario,
    bug: Option<Bug>,
    database: SharedDatabase,
    server: Option<Server>,
    /// A server that does not know yet that another leads.
    deposed: Option<Server>,
    git: Git,
    source: SourceLoop,
    nodes: Vec<Node>,
    lives: u64,
    /// How many assignments were sent.
    offers: u64,
    /// How many events happened at this moment.
    at_this_moment: u32,
    faults_stopped: bool,
    rules: Rules,
    broken: Option<Breach>,
    trace: Trace,
}

/// Setting the stage, and the two phases.
impl Simulation {
    fn new(seed: u64, options: &Options) -> Self {
        let mut seeds = Random::from_seed(seed);
        let (mut people, chance, faults) = (seeds.fork(), seeds.fork(), seeds.fork());
        let scenario = Scenario::from(&mut people);
        let nodes = NODES
            .map(|name| Node::new(name, FakeEngine::new(name, seeds.fork()), options.bug))
            .into();
        // Drawn last, so that a seed without drains is what it was.
        let drains = seeds.fork();
        let world = World::empty(ClusterId(uuid::Uuid::from_u128(7)));
        Self {
            with_faults: options.with_faults,
            with_drains: options.with_drains,
            quiet: options.quiet,
            now: START,
            clock: FakeClock::default(),
            queue: Queue::default(),
            chance,
            faults,
            drains,
            scenario,
            bug: options.bug,
            database: SharedDatabase::new(world, options.crash, options.bug),
            server: None,
            deposed: None,
            git: Git::default(),
            source: SourceLoop::default(),
            nodes,
            lives: 0,
            offers: 0,
            at_this_moment: 0,
            faults_stopped: false,
            rules: Rules::default(),
            broken: None,
            trace: Trace::default(),
        }
    }

    fn run(&mut self) -> Result<State, Breach> {
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
        if self.with_drains {
            self.queue.push(self.now + Duration::from_secs(5), Event::Drain);
        }
        self.run_until(end)?;
        self.end_faults();
        let state = self.settle()?;
        self.run_until(self.now + REST)?;
        let done = self.done_so_far();
        self.run_until(self.now + self.quiet)?;
        if self.done_so_far() != done {
            let why = "something changed though nothing happened";
            return Err(Rule::QuietStaysQuiet.broken(why));
        }
        Ok(state)
    }

    fn run_until(&mut self, end: Timestamp) -> Result<(), Breach> {
        while let Some((at, event)) = self.queue.pop_before(end) {
            self.at_this_moment = if at == self.now { self.at_this_moment + 1 } else { 0 };
            if self.at_this_moment > MOMENT_EVENTS {
                return Err(Rule::TimeGoesOn.broken(format!("again and again {event:?}")));
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
    fn settle(&mut self) -> Result<State, Breach> {
        let end = self.now + SETTLE;
        loop {
            self.run_until(self.now + Duration::from_secs(10))?;
            let world = self.database.open().world.clone();
            match settled(&self.nodes, &world, &self.git, self.now) {
                Ok(state) => return Ok(state),
                Err(why) if self.now >= end => return Err(Rule::EverythingSettles.broken(why)),
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
            self.queue.push(self.now, Event::Uncordon(node));
        }
        let last = self.scenario.last.clone();
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

    /// Something fails, or somebody asks for something else.
    fn disturb(&mut self) {
        (self.rules.disturbed_at, self.rules.asked_at) = (self.now, self.now);
    }

    /// The first rule that is broken ends the run.
    fn note_broken(&mut self, result: Result<(), Breach>) {
        if let Err(breach) = result {
            self.broken.get_or_insert(breach);
        }
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
            Event::Fetched { node, life, fetch } => self.fetched(node, life, &fetch),
            Event::Listed { node, life, asked } => {
                let containers = self.nodes[node].engine.containers.values();
                let seen = containers.map(|one| one.observed.clone()).collect();
                let now = self.now;
                if let Some(agent) = self.nodes[node].agent(life) {
                    agent.listed(seen, asked, now);
                    self.settle_node(node);
                }
            }
            Event::Ends { node, container, started_at, exit_code } => {
                self.ends(node, &container, started_at, exit_code);
            }
            Event::SourceLooks(life) => self.look_at_branch(life),
            Event::Fault => self.fault(),
            Event::NodeBack(node) => self.node_back(node),
            Event::Drain => self.drain(),
            Event::Uncordon(node) => self.uncordon(node),
            Event::FaultsEnd => {}
        }
    }

    fn people_commit(&mut self, number: usize) {
        match self.scenario.commits[number].asks.clone() {
            Asks::Objects(workloads, config) | Asks::Bad(workloads, config) => {
                self.commit(content(&workloads, config));
            }
            Asks::Nonsense => self.commit(nonsense()),
            Asks::Nothing => self.commit(nothing()),
            Asks::Again(number) => {
                if let Some(sha) = self.git.of_people(number) {
                    self.note(format!("commit {} comes again", sha.short()));
                    self.git.head = Some(sha);
                    self.tell_of_branch();
                }
            }
        }
    }

    fn commit(&mut self, mut content: RevisionContent) {
        if self.with_drains {
            add_budgets(&mut content);
        }
        let sha = self.git.commit(PEOPLES_MESSAGE.to_owned(), content);
        self.note(format!("commit {}", sha.short()));
        self.tell_of_branch();
    }

    /// A webhook calls, or does not: then the branch is looked at some time later.
    fn tell_of_branch(&mut self) {
        self.disturb();
        if !self.is_lost() {
            let delay = self.delay();
            self.ring(delay);
        }
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
        let declaration = self.declaration();
        self.serve(vec![Fact::SourceDeclared(declaration)]);
        self.begin_source(life);
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
        if let Some(breach) = server.refused() {
            self.note_broken(Err(breach));
        }
        self.take_committed();
        if lives {
            let database = self.database.open().world.clone();
            let (world, since) = (server.world(), server.since);
            let seen = Seen { nodes: &self.nodes, git: &self.git, led_since: since, now: self.now };
            let sound = self.rules.believed(world, &database, &seen);
            self.note_broken(sound);
        }
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
        self.ring_for_owed();
    }

    /// What became durable goes to the trace.
    fn take_committed(&mut self) {
        let committed = std::mem::take(&mut self.database.open().committed);
        let world = self.database.open().world.clone();
        let sound = self.rules.committed(&committed, &world, &self.git);
        self.note_broken(sound);
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
        let other = server.assignment(&self.nodes[0].name);
        let assignment = assignment_with(self.bug, assignment, other, self.offers);
        self.offers += 1;
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
                let why = "a deposed server wrote";
                self.note_broken(Err(Rule::OneWriter.broken(why)));
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
