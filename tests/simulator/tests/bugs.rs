//! The rules find every bug: planted one by one, each breaks a rule within a few seeds.

#![allow(clippy::panic, reason = "a failure here fails the test")]

use std::time::Duration;

use dugout_simulator::{Bug, Options, Rule, simulate};

/// How many seeds may pass before a bug is found.
const SEEDS: u64 = 60;

/// Runs seeds with a bug, each with faults and without, until a rule is broken. It must be the one that says
/// what the bug does wrong, with this word.
fn is_found(bug: Bug, expected: Rule, word: &str) {
    is_found_by(bug, &[expected], word);
}

/// The same for a bug that does more than one thing wrong.
fn is_found_by(bug: Bug, expected: &[Rule], word: &str) {
    let with_drains = bug == Bug::BudgetIgnored;
    let quiet = Duration::from_secs(60);
    let brief = Options { bug: Some(bug), with_drains, quiet, ..Options::CALM };
    let seeds = (0..SEEDS).flat_map(|seed| [(seed, false), (seed, true)]);
    for (seed, with_faults) in seeds {
        let outcome = simulate(seed, &Options { with_faults, ..brief.clone() });
        if let Some(broken) = outcome.broken {
            println!(
                "{bug:?}: seed {seed}, faults {with_faults}, {:?} {}",
                broken.rule, broken.why
            );
            let is_its_own = expected.contains(&broken.rule);
            assert!(is_its_own, "{bug:?} breaks {:?}: {}", broken.rule, broken.why);
            assert!(broken.why.contains(word), "{bug:?} is told of: {}", broken.why);
            return;
        }
    }
    panic!("{bug:?} is not found in {SEEDS} seeds");
}

#[test]
fn surge_off_by_one_is_found() {
    is_found(Bug::SurgeOffByOne, Rule::PlansAreSound, "pods and may have");
}

#[test]
fn unavailable_rounded_up_is_found() {
    is_found(Bug::UnavailableRoundedUp, Rule::PlansAreSound, "available pods by choice");
}

#[test]
fn started_counts_as_ready_is_found() {
    is_found(Bug::StartedCountsAsReady, Rule::PlansAreSound, "");
}

#[test]
fn min_ready_ignored_is_found() {
    is_found(Bug::MinReadyIgnored, Rule::PlansAreSound, "");
}

#[test]
fn recreate_overlaps_is_found() {
    is_found(Bug::RecreateOverlaps, Rule::PlansAreSound, "earlier ones are not gone");
}

#[test]
fn pruned_at_once_is_found() {
    is_found(Bug::PrunedAtOnce, Rule::PlansAreSound, "left Git and is let go");
}

#[test]
fn pull_gate_ignored_is_found() {
    is_found(Bug::PullGateIgnored, Rule::PlansAreSound, "before every image");
}

#[test]
fn pin_ignored_is_found() {
    is_found(Bug::PinIgnored, Rule::ImagesAreOne, "another image");
}

#[test]
fn not_drained_is_found() {
    is_found(Bug::NotDrained, Rule::RequestsEnd, "");
}

#[test]
fn name_freed_too_early_is_found() {
    is_found(Bug::NameFreedTooEarly, Rule::PlansAreSound, "");
}

#[test]
fn lost_counts_as_ended_is_found() {
    is_found(Bug::LostCountsAsEnded, Rule::GoneStaysGone, "");
}

#[test]
fn node_loss_not_noticed_is_found() {
    is_found(Bug::NodeLossNotNoticed, Rule::SilenceIsNoticed, "");
}

#[test]
fn double_booked_is_found() {
    is_found(Bug::DoubleBooked, Rule::PlansAreSound, "more reserved than it has");
}

#[test]
fn generation_not_raised_is_found() {
    is_found(Bug::GenerationNotRaised, Rule::PlansAreSound, "its generation is not this turn");
}

#[test]
fn generation_not_checked_is_found() {
    // Which of the two comes first is chance: an old assignment has what is gone, and what ran once.
    is_found_by(Bug::GenerationNotChecked, &[Rule::GoneStaysGone, Rule::NeverMeansOnce], "");
}

#[test]
fn adopts_nothing_is_found() {
    is_found(Bug::AdoptsNothing, Rule::ContainersRunOnce, "");
}

#[test]
fn back_off_not_applied_is_found() {
    is_found(Bug::BackOffNotApplied, Rule::CrashesBackOff, "");
}

#[test]
fn stale_epoch_accepted_is_found() {
    is_found(Bug::StaleEpochAccepted, Rule::OneWriter, "");
}

#[test]
fn part_of_a_transaction_is_found() {
    is_found(Bug::PartOfATransaction, Rule::TransactionsAreWhole, "");
}

#[test]
fn load_forgets_quarantine_is_found() {
    is_found(Bug::LoadForgetsQuarantine, Rule::MemoryIsTheDatabase, "");
}

#[test]
fn quarantine_ignored_is_found() {
    is_found(Bug::QuarantineIgnored, Rule::PlansAreSound, "quarantined");
}

#[test]
fn rejected_partly_applied_is_found() {
    is_found(Bug::RejectedPartlyApplied, Rule::RejectedNeverRuns, "");
}

#[test]
fn prune_forgotten_is_found() {
    is_found(Bug::PruneForgotten, Rule::GitIsTheTruth, "");
}

#[test]
fn held_deletion_pruned_is_found() {
    is_found(Bug::HeldDeletionPruned, Rule::DeletionsAreHeld, "");
}

#[test]
fn configuration_not_rolled_is_found() {
    is_found(Bug::ConfigurationNotRolled, Rule::GitIsTheTruth, "");
}

#[test]
fn depends_on_ignored_is_found() {
    is_found(Bug::DependsOnIgnored, Rule::PlansAreSound, "while it waits for");
}

#[test]
fn deadline_never_fires_is_found() {
    is_found(Bug::DeadlineNeverFires, Rule::ReleasesEnd, "");
}

#[test]
fn way_back_incomplete_is_found() {
    is_found(Bug::WayBackIncomplete, Rule::PlansAreSound, "something of it is not back");
}

#[test]
fn replica_set_not_reused_is_found() {
    is_found(Bug::ReplicaSetNotReused, Rule::TemplatesAreReused, "");
}

#[test]
fn revert_not_pushed_is_found() {
    is_found(Bug::RevertNotPushed, Rule::RevertsCome, "");
}

#[test]
fn revert_pushed_twice_is_found() {
    is_found(Bug::RevertPushedTwice, Rule::RevertsComeOnce, "");
}

#[test]
fn hook_ignored_is_found() {
    is_found(Bug::HookIgnored, Rule::PlansAreSound, "while it waits for Job");
}

#[test]
fn completions_counted_twice_is_found() {
    is_found(Bug::CompletionsCountedTwice, Rule::WorkIsCounted, "");
}

#[test]
fn backoff_limit_off_by_one_is_found() {
    is_found(Bug::BackoffLimitOffByOne, Rule::JobsGiveUp, "");
}

#[test]
fn schedule_forgotten_is_found() {
    is_found(Bug::ScheduleForgotten, Rule::TimesRunOnce, "");
}

#[test]
fn restart_policy_ignored_is_found() {
    is_found(Bug::RestartPolicyIgnored, Rule::NeverMeansOnce, "");
}

#[test]
fn init_not_awaited_is_found() {
    is_found(Bug::InitNotAwaited, Rule::InitComesFirst, "");
}

#[test]
fn ready_too_early_is_found() {
    is_found(Bug::ReadyTooEarly, Rule::EnoughServe, "");
}

#[test]
fn gone_too_early_is_found() {
    is_found(Bug::GoneTooEarly, Rule::NamesAreUnique, "");
}

#[test]
fn stop_forgotten_is_found() {
    is_found(Bug::StopForgotten, Rule::EverythingSettles, "");
}

#[test]
fn assignment_of_another_is_found() {
    is_found(Bug::AssignmentOfAnother, Rule::PodsStay, "");
}

#[test]
fn assignment_cut_short_is_found() {
    is_found(Bug::AssignmentCutShort, Rule::GenerationsFence, "");
}

#[test]
fn heartbeats_are_written_is_found() {
    is_found(Bug::HeartbeatsAreWritten, Rule::QuietStaysQuiet, "");
}

#[test]
fn wakes_at_once_is_found() {
    is_found(Bug::WakesAtOnce, Rule::TimeGoesOn, "");
}

#[test]
fn budget_ignored_is_found() {
    is_found(Bug::BudgetIgnored, Rule::PlansAreSound, "does not let go");
}
