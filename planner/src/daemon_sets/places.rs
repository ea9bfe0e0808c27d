//! Which daemons may come or go next: what is on each node in, moves out, with the arithmetic of
//! Kubernetes.
//!
//! Without a surge a daemon leaves, and its successor comes when it is gone; at most `maxUnavailable`
//! nodes are without one because of that. With a surge the successor comes beside it, on at most
//! `maxSurge` nodes at a time, and it leaves when the successor is available. A daemon that does not
//! serve is no loss and counts against neither.

use dugout_model::{DaemonSetUpdate, NodeName, PodUid, Timestamp};

/// What a daemon set has on a ready node that shall have a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub node: NodeName,
    /// Those that are not leaving.
    pub daemons: Vec<Daemon>,
    /// None is leaving that is not known to be gone.
    pub is_vacated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Daemon {
    pub age: Age,
    pub is_available: bool,
    pub created_at: Timestamp,
    pub pod: PodUid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    Outdated,
    Current,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Move {
    Make(NodeName),
    Leave(PodUid),
}

/// What can be done now; `has_template` is whether pods can be made.
pub(super) fn moves(places: &[Place], update: &DaemonSetUpdate, has_template: bool) -> Vec<Move> {
    let surplus: Vec<Move> = places.iter().flat_map(surplus).collect();
    if !surplus.is_empty() {
        return surplus;
    }
    let mut moves = if has_template { first_ones(places) } else { Vec::new() };
    let DaemonSetUpdate::RollingUpdate { max_surge, max_unavailable } = *update else {
        return moves;
    };
    let desired = u32::try_from(places.len()).unwrap_or(u32::MAX);
    match max_surge.rounded_up(desired) {
        0 => moves.extend(replaced(places, max_unavailable.rounded_up(desired).max(1))),
        most => moves.extend(doubled(places, most)),
    }
    moves
}

/// Of each age a node keeps one: the one that serves, or else the one that came first.
fn surplus(place: &Place) -> Vec<Move> {
    let mut moves = Vec::new();
    for age in [Age::Outdated, Age::Current] {
        let mut same: Vec<&Daemon> = place.of_age(age).collect();
        same.sort_by_key(|daemon| (!daemon.is_available, daemon.created_at, daemon.pod));
        moves.extend(same.into_iter().skip(1).map(|daemon| Move::Leave(daemon.pod)));
    }
    moves
}

/// Nodes without a pod get one at once.
fn first_ones(places: &[Place]) -> Vec<Move> {
    let empty = places.iter().filter(|place| place.daemons.is_empty() && place.is_vacated);
    empty.map(|place| Move::Make(place.node.clone())).collect()
}

/// One leaves, the next comes when it is gone.
fn replaced(places: &[Place], most: u32) -> Vec<Move> {
    // Where an outdated one and its successor stand side by side, a surge was asked for before.
    let (doubled, single): (Vec<&Place>, Vec<&Place>) =
        places.iter().partition(|place| place.current().is_some() && place.outdated().is_some());
    let mut moves: Vec<Move> = doubled.into_iter().filter_map(settled).collect();
    let without = places.iter().filter(|place| !place.daemons.iter().any(|each| each.is_available));
    let mut budget = (most as usize).saturating_sub(without.count());
    for daemon in single.into_iter().filter_map(Place::outdated) {
        if !daemon.is_available {
            moves.push(Move::Leave(daemon.pod));
        } else if budget > 0 {
            budget -= 1;
            moves.push(Move::Leave(daemon.pod));
        }
    }
    moves
}

/// The next one comes beside it, and it leaves when that one serves.
fn doubled(places: &[Place], most: u32) -> Vec<Move> {
    let is_under_way = |place: &&Place| {
        place.outdated().is_some() && place.current().is_some_and(|each| !each.is_available)
    };
    let mut budget = (most as usize).saturating_sub(places.iter().filter(is_under_way).count());
    let mut moves = Vec::new();
    for place in places {
        let Some(outdated) = place.outdated() else { continue };
        if place.current().is_some() {
            moves.extend(settled(place));
        } else if !place.is_vacated {
            // Three on one node are one too many.
        } else if !outdated.is_available {
            moves.push(Move::Make(place.node.clone()));
        } else if budget > 0 {
            budget -= 1;
            moves.push(Move::Make(place.node.clone()));
        }
    }
    moves
}

/// The outdated one leaves when its successor serves, or when it does not serve itself.
fn settled(place: &Place) -> Option<Move> {
    let (outdated, current) = (place.outdated()?, place.current()?);
    let is_done = current.is_available || !outdated.is_available;
    is_done.then_some(Move::Leave(outdated.pod))
}

impl Place {
    fn of_age(&self, age: Age) -> impl Iterator<Item = &Daemon> {
        self.daemons.iter().filter(move |daemon| daemon.age == age)
    }

    fn outdated(&self) -> Option<&Daemon> {
        self.of_age(Age::Outdated).next()
    }

    fn current(&self) -> Option<&Daemon> {
        self.of_age(Age::Current).next()
    }
}

#[cfg(test)]
mod tests {
    use dugout_model::IntOrPercent;

    use super::*;

    const OLD: (Age, bool) = (Age::Outdated, true);
    const BROKEN: (Age, bool) = (Age::Outdated, false);
    const NEW: (Age, bool) = (Age::Current, true);
    const STARTS: (Age, bool) = (Age::Current, false);

    /// Nodes 0, 1, … with these daemons; the pods of node 2 are numbers 20 and 21.
    fn places(daemons: &[&[(Age, bool)]]) -> Vec<Place> {
        let daemon = |node: usize, index: usize, (age, is_available): (Age, bool)| Daemon {
            age,
            is_available,
            created_at: Timestamp::default(),
            pod: PodUid(uuid::Uuid::from_u128((node * 10 + index) as u128)),
        };
        let place = |(node, here): (usize, &&[(Age, bool)])| Place {
            node: NodeName::new(node.to_string()),
            daemons: here.iter().enumerate().map(|(at, each)| daemon(node, at, *each)).collect(),
            is_vacated: true,
        };
        daemons.iter().enumerate().map(place).collect()
    }

    fn said(places: &[Place], surge: IntOrPercent, unavailable: IntOrPercent) -> Vec<String> {
        let update =
            DaemonSetUpdate::RollingUpdate { max_surge: surge, max_unavailable: unavailable };
        let say = |each: Move| match each {
            Move::Make(node) => format!("make on {node}"),
            Move::Leave(pod) => format!("leave {}", pod.0.as_u128()),
        };
        moves(places, &update, true).into_iter().map(say).collect()
    }

    const NONE: IntOrPercent = IntOrPercent::Int(0);
    const ONE: IntOrPercent = IntOrPercent::Int(1);

    #[test]
    fn a_node_without_a_pod_gets_one_when_the_one_before_is_gone() {
        let mut here = places(&[&[], &[NEW], &[]]);
        here[2].is_vacated = false;
        assert_eq!(said(&here, NONE, ONE), ["make on 0"]);
        assert_eq!(moves(&here, &DaemonSetUpdate::OnDelete, false), []);
    }

    #[test]
    fn without_a_surge_so_many_leave_as_may_be_unavailable() {
        assert_eq!(said(&places(&[&[OLD], &[OLD], &[OLD]]), NONE, ONE), ["leave 0"]);
        let half = IntOrPercent::Percent(50);
        assert_eq!(said(&places(&[&[OLD], &[OLD], &[OLD]]), NONE, half), ["leave 0", "leave 10"]);
        assert_eq!(said(&places(&[&[STARTS], &[OLD], &[OLD]]), NONE, ONE), [""; 0]);
        assert_eq!(said(&places(&[&[NEW], &[OLD], &[OLD]]), NONE, NONE), ["leave 10"]);
    }

    #[test]
    fn one_that_does_not_serve_is_no_loss() {
        let here = places(&[&[OLD], &[BROKEN], &[BROKEN]]);
        assert_eq!(said(&here, NONE, ONE), ["leave 10", "leave 20"]);
        assert_eq!(said(&places(&[&[OLD], &[BROKEN]]), ONE, NONE), ["make on 0", "make on 1"]);
    }

    #[test]
    fn with_a_surge_the_successor_comes_first() {
        assert_eq!(said(&places(&[&[OLD], &[OLD]]), ONE, NONE), ["make on 0"]);
        assert_eq!(said(&places(&[&[OLD, STARTS], &[OLD]]), ONE, NONE), [""; 0]);
        assert_eq!(said(&places(&[&[OLD, NEW], &[OLD]]), ONE, NONE), ["leave 0", "make on 1"]);
        assert_eq!(said(&places(&[&[BROKEN, OLD]]), ONE, NONE), ["leave 0"]);
    }
}
