//! From the crash of a container until it runs again, beside a restart by the engine that grants no time.

use std::time::Duration;

use dugout_tests::engine::{Engine, Starts};
use dugout_tests::rig::signal;
use dugout_tests::statistics::{Sample, verdict};
use rustix::process::Signal;

use super::Node;
use crate::measure::{nanos_now, span_between, start_of};

/// Each crash needs a container of its own: the second one of a container in a row waits.
const CRASHES: usize = 20;

pub fn run(node: &mut Node) {
    node.scale(CRASHES);
    let recipe = node.recipe();
    let mut engine = Engine::connect();
    let plain = engine.create_and_start(&recipe);
    let (mut raw, mut ours) = (Vec::new(), Vec::new());
    for container in node.rig.containers() {
        raw.push(restart(&mut engine, &plain));
        let process = engine.process_of(&container);
        let mut starts = Starts::follow();
        let crashed = nanos_now();
        signal(process, Signal::KILL);
        ours.push(start_of(&mut starts, &node.rig, crashed));
        node.rig.wait_for_ready(CRASHES);
    }
    engine.remove(&plain);
    let (raw, ours) = (Sample::new(raw), Sample::new(ours));
    println!("crash→runs again                     {}", ours.show());
    println!("  docker restart -t 0 beside it      {}", raw.show());
    let ratio = ours.p50() / raw.p50();
    let goal = "crash to running again ≤ 1.1 × a restart by the engine";
    verdict(goal, &format!("{ratio:.3} ×"), ratio <= 1.1);
}

fn restart(engine: &mut Engine, container: &str) -> Duration {
    let mut starts = Starts::follow();
    let asked = nanos_now();
    engine.restart(container);
    let start = std::iter::repeat_with(|| starts.wait()).find(|start| start.id == container);
    span_between(asked, start.expect("it starts again").at_nanos)
}
