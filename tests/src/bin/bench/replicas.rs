//! Twenty replicas from zero beside the fastest plain concurrency, in turns.

use std::collections::BTreeMap;
use std::time::Duration;

use dugout_tests::engine::{Engine, Starts};
use dugout_tests::rig::Rig;
use dugout_tests::statistics::{Sample, verdict};

use crate::measure::{branch_moved_at, raw_burst, start_of};

const REPLICAS: usize = 20;
const CONCURRENCIES: [usize; 5] = [1, 2, 4, 8, 16];
const ROUNDS: usize = 5;

pub fn run() {
    let mut rig = Rig::without_commit("bench-zero");
    rig.application.replicas = 1;
    let first = rig.commit_application("One");
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    let recipe = Engine::connect().recipe_of(&rig.containers()[0]);
    scale(&mut rig, 0);
    let mut raw: BTreeMap<usize, Vec<Duration>> = BTreeMap::new();
    let mut ours = Vec::new();
    for _ in 0..ROUNDS {
        for concurrency in CONCURRENCIES {
            raw.entry(concurrency).or_default().push(raw_burst(&recipe, REPLICAS, concurrency));
        }
        ours.push(all_started(&mut rig));
        rig.wait_for_ready(REPLICAS);
        scale(&mut rig, 0);
    }
    let mut floor = f64::MAX;
    for (concurrency, spans) in raw {
        let middle = Sample::new(spans).p50() / 1e3;
        println!(
            "raw {REPLICAS} containers, {concurrency:>2} at once    {middle:.2} s (median of {ROUNDS})"
        );
        floor = floor.min(middle);
    }
    let middle = Sample::new(ours).p50() / 1e3;
    println!("commit→{REPLICAS} replicas running         {middle:.2} s (median of {ROUNDS})");
    verdict(
        "20 replicas from zero ≤ 1.05 × the fastest raw concurrency",
        &format!("{:.2} ×", middle / floor),
        middle <= 1.05 * floor,
    );
}

/// From the commit to the last start.
fn all_started(rig: &mut Rig) -> Duration {
    let mut starts = Starts::follow();
    rig.application.replicas = u32::try_from(REPLICAS).expect("small");
    rig.commit_application("Twenty");
    let committed = branch_moved_at(&rig.repository.path.join(".git"));
    let mut last = Duration::ZERO;
    for _ in 0..REPLICAS {
        last = start_of(&mut starts, rig, committed);
    }
    last
}

fn scale(rig: &mut Rig, replicas: u32) {
    rig.application.replicas = replicas;
    rig.commit_application("Scale");
    rig.wait_for_ready(replicas as usize);
}
