//! From the start of an agent until it knows every container that an earlier life of it left running.

use std::time::{Duration, Instant};

use dugout_tests::statistics::{Sample, verdict};

use super::{LABEL, Node, PODS};

const ROUNDS: usize = 5;
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

pub fn run(node: &mut Node) {
    let before = node.containers_started_at();
    let mut spans = Vec::new();
    for _ in 0..ROUNDS {
        node.agent.kill();
        let began = Instant::now();
        node.agent.start_again(&node.rig, &node.token, &LABEL);
        let all = format!("\ndugout_agent_containers {PODS}\n");
        while !node.metrics().is_some_and(|text| text.contains(&all)) {
            assert!(began.elapsed() < Duration::from_secs(60), "it adopts them in time");
            std::thread::sleep(LOOK_INTERVAL);
        }
        spans.push(began.elapsed());
        node.rig.wait_for_ready(PODS);
    }
    assert_eq!(node.containers_started_at(), before, "each runs on");
    let sample = Sample::new(spans);
    println!("start of the agent→{PODS} pods adopted  {}", sample.show());
    let value = format!("{:.2} s", sample.p50() / 1e3);
    verdict(&format!("{PODS} pods adopted ≤ 1 s"), &value, sample.p50() <= 1e3);
}
