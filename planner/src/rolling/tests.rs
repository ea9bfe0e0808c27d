//! The arithmetic against worked cases, most of them from Kubernetes' documentation and tests.

use super::*;
use dugout_model::IntOrPercent;

fn set(replicas: u32, available: u32) -> SetSize {
    SetSize { replicas, available }
}

fn bounds(desired: u32, surge: u32, unavailable: u32) -> Bounds {
    Bounds { desired, surge, unavailable }
}

fn rolled(new: SetSize, old: &[SetSize], bounds: Bounds) -> (u32, Vec<u32>) {
    let mut sizes = Sizes { new: Some(new), old: old.to_vec() };
    roll(&mut sizes, bounds);
    replicas(&sizes)
}

fn scaled(
    new: Option<SetSize>,
    old: &[SetSize],
    bounds: Bounds,
    before: Bounds,
) -> (u32, Vec<u32>) {
    let mut sizes = Sizes { new, old: old.to_vec() };
    scale(&mut sizes, bounds, before);
    replicas(&sizes)
}

fn replicas(sizes: &Sizes) -> (u32, Vec<u32>) {
    (sizes.new_replicas(), sizes.old.iter().map(|set| set.replicas).collect())
}

#[test]
fn surge_rounds_up_and_unavailable_rounds_down() {
    use IntOrPercent::{Int, Percent};
    let cases = [
        (10, Percent(25), Percent(25), (3, 2)),
        (3, Percent(25), Percent(25), (1, 0)),
        (1, Percent(25), Percent(25), (1, 0)),
        (4, Percent(25), Percent(25), (1, 1)),
        (4, Int(0), Int(0), (0, 1)),
        (3, Percent(0), Percent(25), (0, 1)),
        (2, Int(5), Int(7), (5, 2)),
        (0, Percent(25), Percent(25), (0, 0)),
        (100, Percent(100), Percent(0), (100, 0)),
    ];
    for (desired, max_surge, max_unavailable, expected) in cases {
        let bounds = Bounds::of(&Strategy::RollingUpdate { max_surge, max_unavailable }, desired);
        let found = (bounds.surge, bounds.unavailable);
        assert_eq!(found, expected, "{desired} {max_surge:?} {max_unavailable:?}");
    }
}

#[test]
fn an_image_that_cannot_be_had_stops_the_rollout_at_eight_old_and_five_new() {
    assert_eq!(rolled(set(0, 0), &[set(10, 10)], bounds(10, 3, 2)), (5, vec![8]));
    // And there it stays.
    assert_eq!(rolled(set(5, 0), &[set(8, 8)], bounds(10, 3, 2)), (5, vec![8]));
}

#[test]
fn worked_steps_of_a_rolling_update() {
    let cases = [
        // The first set of a deployment takes everything at once.
        (set(0, 0), vec![], bounds(3, 1, 0), (3, vec![])),
        // One more, and nothing leaves before it is available.
        (set(0, 0), vec![set(3, 3)], bounds(3, 1, 0), (1, vec![3])),
        // Then one goes and one comes.
        (set(1, 1), vec![set(3, 3)], bounds(3, 1, 0), (2, vec![2])),
        (set(2, 1), vec![set(2, 2)], bounds(3, 1, 0), (2, vec![2])),
        (set(3, 3), vec![set(1, 1)], bounds(3, 1, 0), (3, vec![0])),
        // Without surge the old one leaves first.
        (set(0, 0), vec![set(3, 3)], bounds(3, 0, 1), (1, vec![2])),
        // Old pods that do not serve are no loss.
        (set(0, 0), vec![set(3, 0)], bounds(3, 1, 1), (2, vec![2])),
        (set(1, 1), vec![set(3, 1)], bounds(3, 1, 0), (2, vec![2])),
        // The oldest template leaves first.
        (set(2, 2), vec![set(1, 1), set(1, 1)], bounds(3, 1, 0), (3, vec![0, 1])),
        // Scaled to nothing, everything goes.
        (set(2, 2), vec![set(2, 2)], bounds(0, 0, 0), (0, vec![0])),
    ];
    for (new, old, bounds, expected) in cases {
        assert_eq!(rolled(new, &old, bounds), expected, "{new:?} {old:?} {bounds:?}");
    }
}

#[test]
fn scaling_in_the_middle_of_a_rollout_is_shared_in_proportion() {
    // The documentation's case: 5 more, 3 of them to the old and 2 to the new.
    let (before, after) = (bounds(10, 3, 2), bounds(15, 3, 2));
    assert_eq!(scaled(Some(set(5, 0)), &[set(8, 8)], after, before), (7, vec![11]));
    // And back again.
    assert_eq!(scaled(Some(set(7, 0)), &[set(11, 11)], before, after), (5, vec![8]));
    // To nothing.
    assert_eq!(scaled(Some(set(5, 0)), &[set(8, 8)], bounds(0, 0, 0), before), (0, vec![0]));
}

#[test]
fn a_lowered_surge_alone_takes_nothing() {
    assert_eq!(
        scaled(None, &[set(2, 0), set(3, 3)], bounds(3, 1, 0), bounds(3, 2, 1)),
        (0, vec![2, 3])
    );
}

#[test]
fn a_new_set_that_serves_all_of_the_new_number_is_all_that_is_kept() {
    let (one, two) = (bounds(1, 1, 0), bounds(2, 1, 0));
    assert_eq!(scaled(Some(set(1, 1)), &[set(1, 1)], one, two), (1, vec![0]));
    assert_eq!(scaled(Some(set(1, 0)), &[set(1, 1)], one, two), (1, vec![1]));
}

#[test]
fn scaling_with_one_template_goes_to_that_one() {
    let (five, ten) = (bounds(5, 2, 1), bounds(10, 3, 2));
    assert_eq!(scaled(Some(set(5, 5)), &[set(0, 0)], ten, five), (10, vec![0]));
    assert_eq!(scaled(Some(set(0, 0)), &[set(5, 5)], ten, five), (0, vec![10]));
    assert_eq!(scaled(None, &[set(0, 0), set(5, 5)], ten, five), (0, vec![0, 10]));
    // None is active: the latest.
    assert_eq!(scaled(None, &[set(0, 0), set(0, 0)], ten, five), (0, vec![0, 10]));
    assert_eq!(scaled(Some(set(0, 0)), &[set(0, 0)], ten, five), (10, vec![0]));
}

#[test]
fn a_full_new_template_ends_the_old_ones_also_while_paused() {
    let same = bounds(3, 1, 0);
    assert_eq!(scaled(Some(set(3, 3)), &[set(1, 1)], same, same), (3, vec![0]));
}

#[test]
fn every_rollout_whose_pods_come_up_ends_and_keeps_its_bounds_on_the_way() {
    for desired in 0..12 {
        for surge in 0..4 {
            for unavailable in 0..4_u32 {
                if surge == 0 && unavailable == 0 {
                    continue;
                }
                let bounds = bounds(desired, surge, unavailable.min(desired));
                let mut sizes = Sizes { new: Some(set(0, 0)), old: vec![set(desired, desired)] };
                for _ in 0..=2 * desired {
                    roll(&mut sizes, bounds);
                    assert!(sizes.total() <= bounds.most(), "{sizes:?} {bounds:?}");
                    assert!(sizes.available() >= bounds.least_available(), "{sizes:?} {bounds:?}");
                    // One more of the new ones becomes available.
                    if let Some(new) = &mut sizes.new {
                        new.available = (new.available + 1).min(new.replicas);
                    }
                }
                roll(&mut sizes, bounds);
                assert_eq!(replicas(&sizes), (desired, vec![0]), "{bounds:?}");
            }
        }
    }
}

#[test]
fn a_set_that_shrinks_and_grows_again_in_one_look_keeps_its_available_pods() {
    let mut sizes = Sizes { new: Some(set(3, 3)), old: vec![set(2, 2)] };
    scale(&mut sizes, bounds(3, 1, 0), bounds(4, 1, 2));
    assert_eq!(replicas(&sizes), (2, vec![2]));
    roll(&mut sizes, bounds(3, 1, 0));
    assert_eq!(replicas(&sizes), (3, vec![0]));
}

#[test]
fn scaling_never_makes_more_of_what_is_too_many_already() {
    let old = [set(1, 0), set(2, 0), set(2, 0)];
    assert_eq!(scaled(None, &old, bounds(2, 0, 2), bounds(1, 0, 1)), (0, vec![0, 1, 1]));
}
