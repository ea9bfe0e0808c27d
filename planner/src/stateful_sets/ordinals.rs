//! Which ordinals of a stateful set may come or go next: places in, moves out.
//!
//! Ordered, a pod comes when every lower one is available, and the highest surplus one goes first,
//! alone, when all that stay are available. Parallel, they come and go together. Either way an update
//! goes from the highest ordinal down, and at most `max_unavailable` are not available because of it.

use dugout_model::PodManagement;

/// What is at an ordinal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// Nothing, and a pod can come.
    Free,
    /// Nothing, and no pod can come: there is no template, or its name is taken.
    Barred,
    /// A pod that is not known to be gone.
    Leaving,
    Active {
        /// It has an earlier template and shall have the current one.
        is_outdated: bool,
        is_available: bool,
    },
}

impl Slot {
    fn is_available(self) -> bool {
        matches!(self, Slot::Active { is_available: true, .. })
    }

    fn is_active(self) -> bool {
        matches!(self, Slot::Active { .. })
    }
}

/// The ordinals of a stateful set, each list from the lowest to the highest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slots {
    pub wanted: Vec<(u32, Slot)>,
    /// Those that nobody asks for any more.
    pub surplus: Vec<(u32, Slot)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    pub order: PodManagement,
    /// How many pods an update may take away at a time; none when it is left to people.
    pub max_unavailable: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    Make(u32),
    Leave(u32),
}

/// What can be done now. When pods come, nothing else is done in the same round.
pub(super) fn moves(slots: &Slots, rules: &Rules) -> Vec<Move> {
    let coming = coming(slots, rules.order);
    if !coming.is_empty() {
        return coming.into_iter().map(Move::Make).collect();
    }
    let mut going = surplus_going(slots, rules.order);
    let is_shrinking =
        slots.surplus.iter().any(|(_, slot)| *slot == Slot::Leaving) || !going.is_empty();
    // In order, a template follows once nobody leaves for fewer replicas any more.
    if !(is_shrinking && rules.order == PodManagement::OrderedReady) {
        going.extend(updated(slots, rules.max_unavailable));
    }
    going.into_iter().map(Move::Leave).collect()
}

fn coming(slots: &Slots, order: PodManagement) -> Vec<u32> {
    let free = |(_, slot): &&(u32, Slot)| *slot == Slot::Free;
    let mut ordinals = slots.wanted.iter();
    match order {
        PodManagement::Parallel => ordinals.filter(free).map(|(ordinal, _)| *ordinal).collect(),
        PodManagement::OrderedReady => {
            let next = ordinals.find(|(_, slot)| !slot.is_available());
            next.filter(free).map(|(ordinal, _)| *ordinal).into_iter().collect()
        }
    }
}

fn surplus_going(slots: &Slots, order: PodManagement) -> Vec<u32> {
    let active = slots.surplus.iter().rev().filter(|(_, slot)| slot.is_active());
    let active = active.map(|(ordinal, _)| *ordinal);
    match order {
        PodManagement::Parallel => active.collect(),
        PodManagement::OrderedReady => {
            let others_leave = slots.surplus.iter().any(|(_, slot)| *slot == Slot::Leaving);
            let all_serve = slots.wanted.iter().all(|(_, slot)| slot.is_available());
            active.take(usize::from(all_serve && !others_leave)).collect()
        }
    }
}

/// The outdated pods that leave for their successors. One that does not serve is no loss and goes
/// whatever its state, as long as not too many others are on their way; one that serves goes when
/// enough are left.
fn updated(slots: &Slots, max_unavailable: u32) -> Vec<u32> {
    let count = |is_counted: fn(Slot) -> bool| {
        slots.wanted.iter().filter(|(_, slot)| is_counted(*slot)).count()
    };
    let most = max_unavailable as usize;
    let on_their_way = count(|slot| {
        matches!(slot, Slot::Leaving | Slot::Active { is_outdated: false, is_available: false })
    });
    let outdated = |serves: bool| {
        let chosen = Slot::Active { is_outdated: true, is_available: serves };
        let slots = slots.wanted.iter().rev().filter(move |(_, slot)| *slot == chosen);
        slots.map(|(ordinal, _)| *ordinal)
    };
    let broken = outdated(false).take(most.saturating_sub(on_their_way));
    let unavailable = count(|slot| !slot.is_available());
    let serving = outdated(true).take(most.saturating_sub(unavailable));
    broken.chain(serving).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVES: Slot = Slot::Active { is_outdated: false, is_available: true };
    const STARTS: Slot = Slot::Active { is_outdated: false, is_available: false };
    const OLD: Slot = Slot::Active { is_outdated: true, is_available: true };
    const BROKEN: Slot = Slot::Active { is_outdated: true, is_available: false };

    /// The moves for these places from ordinal 0 on; nobody asks for the surplus ones, which follow.
    fn moved(
        order: PodManagement,
        wanted: &[Slot],
        surplus: &[Slot],
        max_unavailable: u32,
    ) -> Vec<Move> {
        let mut numbered = (0..).zip(wanted.iter().chain(surplus).copied());
        let wanted = numbered.by_ref().take(wanted.len()).collect();
        let slots = Slots { wanted, surplus: numbered.collect() };
        moves(&slots, &Rules { order, max_unavailable })
    }

    fn ordered(wanted: &[Slot], surplus: &[Slot], max_unavailable: u32) -> Vec<Move> {
        moved(PodManagement::OrderedReady, wanted, surplus, max_unavailable)
    }

    fn parallel(wanted: &[Slot], surplus: &[Slot]) -> Vec<Move> {
        moved(PodManagement::Parallel, wanted, surplus, 1)
    }

    #[test]
    fn ordered_pods_come_one_after_another() {
        use Slot::{Barred, Free, Leaving};
        assert_eq!(ordered(&[Free, Free], &[], 1), [Move::Make(0)]);
        assert_eq!(ordered(&[STARTS, Free], &[], 1), []);
        assert_eq!(ordered(&[SERVES, Free], &[], 1), [Move::Make(1)]);
        assert_eq!(ordered(&[Leaving, Free], &[], 1), []);
        assert_eq!(ordered(&[Barred, Free], &[], 1), []);
        assert_eq!(parallel(&[Free, STARTS, Free], &[]), [Move::Make(0), Move::Make(2)]);
    }

    #[test]
    fn of_an_ordered_set_the_highest_leaves_first_and_alone() {
        assert_eq!(ordered(&[SERVES], &[SERVES, SERVES], 1), [Move::Leave(2)]);
        assert_eq!(ordered(&[SERVES], &[SERVES, Slot::Leaving], 1), []);
        assert_eq!(ordered(&[STARTS], &[SERVES], 1), [], "those that stay come first");
        assert_eq!(ordered(&[SERVES], &[STARTS, SERVES], 1), [Move::Leave(2)]);
        assert_eq!(parallel(&[STARTS], &[SERVES, SERVES]), [Move::Leave(2), Move::Leave(1)]);
    }

    #[test]
    fn an_update_goes_down_from_the_highest_ordinal() {
        assert_eq!(ordered(&[OLD, OLD, OLD], &[], 1), [Move::Leave(2)]);
        assert_eq!(ordered(&[OLD, OLD, Slot::Leaving], &[], 1), []);
        assert_eq!(ordered(&[OLD, OLD, STARTS], &[], 1), []);
        assert_eq!(ordered(&[OLD, OLD, SERVES], &[], 1), [Move::Leave(1)]);
        assert_eq!(ordered(&[OLD, OLD, OLD], &[], 2), [Move::Leave(2), Move::Leave(1)]);
        assert_eq!(ordered(&[OLD, OLD], &[], 0), [], "it is left to people");
    }

    #[test]
    fn a_broken_pod_is_not_waited_for_when_its_template_is_taken_back() {
        assert_eq!(ordered(&[SERVES, SERVES, BROKEN], &[], 1), [Move::Leave(2)]);
        assert_eq!(ordered(&[BROKEN, Slot::Free, Slot::Free], &[], 1), [Move::Leave(0)]);
        assert_eq!(ordered(&[BROKEN, BROKEN], &[], 1), [Move::Leave(1)], "one at a time");
        assert_eq!(ordered(&[OLD, BROKEN], &[], 1), [Move::Leave(1)], "and no other beside it");
        assert_eq!(ordered(&[BROKEN, SERVES], &[SERVES], 1), [Move::Leave(0)]);
    }

    #[test]
    fn in_order_a_template_follows_once_the_surplus_is_gone() {
        assert_eq!(ordered(&[OLD, OLD], &[OLD], 1), [Move::Leave(2)]);
        assert_eq!(ordered(&[OLD, OLD], &[Slot::Leaving], 1), []);
        assert_eq!(ordered(&[OLD, OLD], &[], 1), [Move::Leave(1)]);
        // What is broken is mended by the template, and else nobody could leave for ever.
        assert_eq!(ordered(&[OLD, BROKEN], &[OLD], 1), [Move::Leave(1)]);
    }
}
