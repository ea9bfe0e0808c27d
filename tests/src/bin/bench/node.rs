//! The node alone: an agent beside a control plane that is another process, and each of its promises beside
//! what a bare client of the same engine does in the same rounds.

mod adopt;
mod crash;
mod start;

use std::time::{Duration, Instant};

use dugout_tests::engine::{Engine, Recipe};
use dugout_tests::http::{self, Client};
use dugout_tests::rig::{Rig, docker};
use dugout_tests::second_agent::SecondAgent;
use dugout_tests::statistics::verdict;

use crate::measure::{cpu_ticks, pss_mib};

/// The pods of a full node.
const PODS: usize = 100;

/// By which the agent's node is chosen.
const LABEL: [&str; 2] = ["--label", "bench=node"];

/// How long nothing happens before memory is read, and while processor time is.
const SETTLE: Duration = Duration::from_secs(10);
const IDLE_SPAN: Duration = Duration::from_secs(20);

pub fn run() {
    let mut node = Node::start();
    node.footprint("idle", (8.0, 0.5));
    start::one(&mut node);
    crash::run(&mut node);
    start::many(&mut node);
    node.scale(PODS);
    node.footprint(&format!("with {PODS} pods"), (16.0, f64::INFINITY));
    node.scrape();
    adopt::run(&mut node);
}

/// A control plane, and an agent on which alone the application runs.
struct Node {
    /// Before the rig, whose folder it needs to take its containers with it.
    agent: SecondAgent,
    rig: Rig,
    token: String,
    http: Client,
}

impl Node {
    fn start() -> Self {
        let mut rig = Rig::without_commit("bench-node");
        rig.application.replicas = 0;
        // The pod's, after all that is the container's.
        "      nodeSelector: {bench: node}\n".clone_into(&mut rig.application.container_extra);
        let first = rig.commit_application("Nothing runs");
        rig.up(&["--node-name", "first"]);
        rig.wait_for_verdict(&first, "healthy");
        let token = rig.dugout_ok(&["token", "create"]).trim().to_owned();
        let agent = SecondAgent::start_copy(&rig, &token, &LABEL);
        rig.wait_for("the agent's node is ready", |rig| {
            let nodes = rig.dugout_ok(&["get", "nodes"]);
            nodes.lines().any(|line| line.contains("second") && line.contains(" Ready "))
        });
        Self { agent, rig, token, http: http::client(true) }
    }

    /// Has so many replicas run, and nothing else.
    fn scale(&mut self, replicas: usize) {
        self.rig.application.replicas = u32::try_from(replicas).expect("small");
        self.rig.commit_application("Scale");
        self.rig.wait_for_ready(replicas);
    }

    /// What it takes to make a container like one of the pods' without an agent.
    fn recipe(&self) -> Recipe {
        let containers = self.rig.containers();
        Engine::connect().recipe_of(containers.first().expect("a pod runs"))
    }

    fn metrics(&self) -> Option<String> {
        http::text(&self.http, &format!("http://127.0.0.1:{}/metrics", self.agent.metrics_port))
    }

    /// Memory and processor time of the agent while nothing happens, with the most that each should be.
    fn footprint(&self, when: &str, (most_mib, most_percent): (f64, f64)) {
        std::thread::sleep(SETTLE);
        let process = self.agent.process_id();
        let ticks = cpu_ticks(process);
        std::thread::sleep(IDLE_SPAN);
        // A tick is a hundredth of a second.
        let percent = (cpu_ticks(process) - ticks) as f64 / IDLE_SPAN.as_secs_f64();
        let pss = pss_mib(process);
        let goal = format!("agent {when} ≤ {most_mib} MiB PSS");
        verdict(&goal, &format!("{pss:.1} MiB"), pss <= most_mib);
        let value = format!("{percent:.2} % of a core");
        match most_percent.is_finite() {
            true => {
                let goal = format!("agent {when} ≤ {most_percent} % of a core");
                verdict(&goal, &value, percent <= most_percent);
            }
            false => println!("agent {when}: {value}, its pods probed every second"),
        }
    }

    /// What it costs to show what the pods use.
    fn scrape(&self) {
        const SCRAPES: u32 = 10;
        let process = self.agent.process_id();
        let (ticks, mut longest) = (cpu_ticks(process), Duration::ZERO);
        for _ in 0..SCRAPES {
            let began = Instant::now();
            let text = self.metrics().expect("the agent shows its metrics");
            longest = longest.max(began.elapsed());
            assert!(text.contains("container_scrape_error{} 0"), "{text}");
            // A reading is shared by those who ask within a moment.
            std::thread::sleep(Duration::from_millis(400));
        }
        let each = f64::from(u32::try_from(cpu_ticks(process) - ticks).unwrap_or(u32::MAX)) * 10.0
            / f64::from(SCRAPES);
        println!(
            "metrics of {PODS} pods: the slowest of {SCRAPES} took {:.1} ms; {each:.0} ms of processor each",
            longest.as_secs_f64() * 1e3
        );
    }

    fn containers_started_at(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for id in self.rig.containers() {
            lines.push(docker(&["inspect", "--format", "{{.Id}} {{.State.StartedAt}}", &id]));
        }
        lines.join("\n")
    }
}
