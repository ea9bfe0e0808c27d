//! The benchmark of the main job: every figure stands beside its floor, measured in the same run.
//!
//! `bench [PART]…` measures only the named parts.

#![allow(clippy::expect_used, reason = "a measurement that cannot be made ends the benchmark")]

mod cluster;
mod commit;
mod durable;
mod hops;
mod manifests;
mod measure;
mod memory;
mod node;
mod planner;
mod push;
mod replicas;
mod revert;

/// What is measured, in this order.
const PARTS: [(&str, fn()); 9] = [
    ("commit", commit::run),
    ("push", push::run),
    ("revert", revert::run),
    ("memory", memory::run),
    ("replicas", replicas::run),
    ("node", node::run),
    ("manifests", manifests::run),
    ("planner", planner::run),
    ("durable", durable::run),
];

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let known: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = asked.iter().find(|name| !known.contains(&name.as_str())) {
        eprintln!("bench: there is no part {unknown:?}; there are {}", known.join(", "));
        std::process::exit(2);
    }
    measure::print_machine();
    for (name, run) in PARTS {
        if asked.is_empty() || asked.iter().any(|one| one == name) {
            println!("\n== {name}");
            run();
        }
    }
}
