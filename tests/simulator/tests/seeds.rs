//! The promises, over seeds.

#![allow(clippy::panic, reason = "a failure here fails the test")]

use std::time::Duration;

use dugout_simulator::{CrashPoint, Options, Outcome, simulate};

fn must_hold(seed: u64, options: &Options) -> Outcome {
    let outcome = simulate(seed, options);
    if let Some(broken) = &outcome.broken {
        let trace = broken.trace.join("\n");
        let at = broken.at_seconds;
        let (rule, why) = (broken.rule, &broken.why);
        panic!("{trace}\nseed {seed} {options:?} at {at:.3} s: {rule:?}: {why}");
    }
    outcome
}

/// Under faults every promise holds; then everything settles, as it does where nothing ever failed.
fn must_settle_as_in_calm(seeds: std::ops::Range<u64>) {
    settle_as_in_calm(seeds, &Options::FAULTS);
}

fn settle_as_in_calm(seeds: std::ops::Range<u64>, options: &Options) {
    for seed in seeds {
        let outcome = must_hold(seed, options);
        let calm = must_hold(seed, &Options { quiet: Duration::from_secs(60), ..Options::CALM });
        assert_eq!(outcome.end, calm.end, "seed {seed} ends as a calm run does");
    }
}

#[test]
fn a_seed_determines_every_line_of_the_trace() {
    let (one, two) = (simulate(1, &Options::FAULTS), simulate(1, &Options::FAULTS));
    assert_eq!(one.trace_hash, two.trace_hash);
    assert_ne!(one.trace_hash, simulate(2, &Options::FAULTS).trace_hash);
}

#[test]
fn seeds_under_faults_0_to_99() {
    must_settle_as_in_calm(0..100);
}

#[test]
fn seeds_under_faults_100_to_199() {
    must_settle_as_in_calm(100..200);
}

#[test]
fn seeds_with_drained_nodes_0_to_49() {
    settle_as_in_calm(0..50, &Options::DRAINS);
}

#[test]
fn seeds_with_drained_nodes_and_no_faults_0_to_49() {
    settle_as_in_calm(0..50, &Options { with_faults: false, ..Options::DRAINS });
}

/// Each broke a rule once.
#[test]
fn seeds_that_have_found_something() {
    for seed in [447, 641, 10_892] {
        must_settle_as_in_calm(seed..seed + 1);
    }
}

#[test]
fn a_kill_at_any_effect_is_mended_where_jobs_stateful_and_replica_sets_run() {
    must_survive_a_kill_at_any_effect(16, &["Job", "ReplicaSet", "StatefulSet"]);
}

#[test]
fn a_kill_at_any_effect_is_mended_where_daemons_and_schedules_run() {
    must_survive_a_kill_at_any_effect(14, &["CronJob", "DaemonSet"]);
}

#[test]
fn a_kill_at_any_effect_is_mended_where_hooks_and_bare_pods_run() {
    must_survive_a_kill_at_any_effect(5, &["Job demo/migrate", "Pod"]);
}

fn must_survive_a_kill_at_any_effect(seed: u64, kinds: &[&str]) {
    let brief = Options { quiet: Duration::from_secs(60), ..Options::CALM };
    let whole = must_hold(seed, &brief);
    for kind in kinds {
        let has_kind = whole.end.iter().any(|(name, ..)| name.starts_with(kind));
        assert!(has_kind, "seed {seed} has a {kind}; choose another seed that has");
    }
    assert!(whole.effects > 50, "seed {seed} does something");
    for effect in 1..=whole.effects {
        for after in [false, true] {
            let crash = Some(CrashPoint { effect, after });
            let killed = must_hold(seed, &Options { crash, ..brief.clone() });
            assert_eq!(killed.end, whole.end, "seed {seed} ends as without {crash:?}");
        }
    }
}
