//! Starts of pods beside raw starts of the same container.

use std::collections::BTreeMap;
use std::time::Duration;

use dugout_tests::engine::Starts;
use dugout_tests::statistics::{Sample, verdict};

use super::{Node, PODS};
use crate::hops::{Hops, step_at, timeline};
use crate::measure::{ROUNDS, branch_moved_at, raw_burst, raw_start, span_between, start_of};

const CONCURRENCIES: [usize; 4] = [4, 8, 16, 32];
const BURSTS: usize = 3;

/// From an assignment that is on the node's disk to the start of its pod's container.
pub fn one(node: &mut Node) {
    node.scale(1);
    let recipe = node.recipe();
    let (mut raw, mut ours) = (Vec::new(), Vec::new());
    let mut hops = Hops::default();
    for round in 0..ROUNDS {
        raw.push(raw_start(&recipe));
        let rig = &mut node.rig;
        rig.application.greeting = format!("round-{round}");
        let mut starts = Starts::follow();
        let commit = rig.commit_application("Round");
        let moved = branch_moved_at(&rig.repository.path.join(".git"));
        let started = moved + nanos(start_of(&mut starts, rig, moved));
        rig.wait_for_verdict(&commit, "healthy");
        rig.wait_for_ready(1);
        hops.add(rig, &commit, moved);
        let accepted = step_at(&timeline(rig, &commit), "accepted").expect("it was accepted");
        let accepted = accepted.timestamp_nanos_opt().expect("a moment of this century");
        ours.push(span_between(accepted.into(), started));
    }
    let (raw, ours) = (Sample::new(raw), Sample::new(ours));
    println!("accepted→pod runs                    {}", ours.show());
    println!("  raw create+start beside it         {}", raw.show());
    hops.print();
    let ratio = ours.p50() / raw.p50();
    verdict("start of a pod ≤ raw create+start", &format!("{ratio:.3} ×"), ratio <= 1.0);
}

fn nanos(span: Duration) -> i128 {
    i128::try_from(span.as_nanos()).expect("it fits")
}

/// From the commit to the last start.
pub fn many(node: &mut Node) {
    node.scale(1);
    let recipe = node.recipe();
    node.scale(0);
    let mut raw: BTreeMap<usize, Vec<Duration>> = BTreeMap::new();
    let mut ours = Vec::new();
    for _ in 0..BURSTS {
        for concurrency in CONCURRENCIES {
            let span = raw_burst(&recipe, PODS, concurrency);
            raw.entry(concurrency).or_default().push(span);
        }
        ours.push(all_started(node));
        node.rig.wait_for_ready(PODS);
        node.scale(0);
    }
    let mut floor = f64::MAX;
    for (concurrency, spans) in raw {
        let middle = Sample::new(spans).p50() / 1e3;
        println!(
            "raw {PODS} containers, {concurrency:>2} at once    {middle:.2} s (median of {BURSTS})"
        );
        floor = floor.min(middle);
    }
    let middle = Sample::new(ours).p50() / 1e3;
    println!("commit→{PODS} pods running             {middle:.2} s (median of {BURSTS})");
    let ratio = middle / floor;
    let goal = format!("{PODS} pods ≤ 1.02 × the fastest raw concurrency");
    verdict(&goal, &format!("{ratio:.3} ×"), ratio <= 1.02);
}

fn all_started(node: &mut Node) -> Duration {
    let rig = &mut node.rig;
    let mut starts = Starts::follow();
    rig.application.replicas = u32::try_from(PODS).expect("small");
    rig.commit_application("All");
    let committed = branch_moved_at(&rig.repository.path.join(".git"));
    let spans = (0..PODS).map(|_| start_of(&mut starts, rig, committed));
    spans.last().expect("there are pods")
}
