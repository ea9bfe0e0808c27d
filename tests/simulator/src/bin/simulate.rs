//! Runs many seeds: `simulate [FIRST [COUNT]]`. It ends with 1 when a rule broke, and says which seed
//! and what happened before it. The hash of all traces is the same wherever the same seeds are run.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use dugout_simulator::{Options, simulate};
use sha2::{Digest as _, Sha256};

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|word| word.parse::<u64>());
    let (first, count) = match (numbers.next(), numbers.next()) {
        (None, _) => (0, 1_000),
        (Some(Ok(first)), None) => (first, 1_000),
        (Some(Ok(first)), Some(Ok(count))) => (first, count),
        _ => {
            eprintln!("usage: simulate [FIRST [COUNT]], two numbers");
            return ExitCode::from(2);
        }
    };
    let started = Instant::now();
    let mut simulated = Duration::ZERO;
    let mut traces = Sha256::new();
    for seed in first..first.saturating_add(count) {
        // In every other run people drain nodes, too.
        let options = if seed % 2 == 0 { Options::FAULTS } else { Options::DRAINS };
        let outcome = simulate(seed, &options);
        simulated += outcome.simulated;
        traces.update(&outcome.trace_hash);
        if let Some(broken) = outcome.broken {
            println!("{}", broken.trace.join("\n"));
            println!(
                "seed {seed} at {:.3} s, trace {}: {:?}: {}",
                broken.at_seconds, outcome.trace_hash, broken.rule, broken.why
            );
            return ExitCode::FAILURE;
        }
    }
    let took = started.elapsed();
    let ratio = simulated.as_secs_f64() / took.as_secs_f64();
    println!(
        "{count} seeds in {:.1} s: {ratio:.0} × real time, traces {}",
        took.as_secs_f64(),
        hex::encode(traces.finalize())
    );
    ExitCode::SUCCESS
}
