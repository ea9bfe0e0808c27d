//! The arithmetic of rolling updates, number by number as Kubernetes has it: pure numbers in, sizes of
//! replica sets out.
//!
//! Kubernetes takes one step for each look at a deployment; here the steps repeat until none is left,
//! so a look decides all that can be decided without news from a node.

use dugout_model::Strategy;

/// One replica set as the arithmetic sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct SetSize {
    /// How many pods it shall have.
    pub replicas: u32,
    /// How many of its pods are available now. Nothing of what is decided on the way takes any: a set
    /// that shrinks and grows again in one look keeps them.
    pub available: u32,
}

/// The replica sets of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Sizes {
    /// That of the current template; absent while there is none.
    pub new: Option<SetSize>,
    /// Those of earlier templates, oldest first.
    pub old: Vec<SetSize>,
}

/// How many pods there may be, and how many must serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub desired: u32,
    /// How many more than desired there may be.
    pub surge: u32,
    /// How many fewer than desired may be available.
    pub unavailable: u32,
}

impl Bounds {
    /// Surge rounds up, unavailable rounds down; when both come to nothing, one may be unavailable,
    /// for otherwise nothing could ever move.
    ///
    /// | replicas | surge | unavailable | at most | available at least |
    /// |---|---|---|---|---|
    /// | 10 | 25 % → 3 | 25 % → 2 | 13 | 8 |
    /// | 3 | 25 % → 1 | 25 % → 0 | 4 | 3 |
    /// | 1 | 25 % → 1 | 25 % → 0 | 2 | 1 |
    /// | 4 | 0 | 0 → 1 | 4 | 3 |
    pub fn of(strategy: &Strategy, desired: u32) -> Self {
        let Strategy::RollingUpdate { max_surge, max_unavailable } = strategy else {
            return Self { desired, surge: 0, unavailable: desired };
        };
        let surge = max_surge.rounded_up(desired);
        let unavailable = max_unavailable.rounded_down(desired);
        let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
        Self { desired, surge, unavailable: unavailable.min(desired) }
    }

    /// How many pods there may be at most.
    pub fn most(self) -> u32 {
        self.desired.saturating_add(self.surge)
    }

    /// How many pods must be available before one may be taken away by choice.
    pub fn least_available(self) -> u32 {
        self.desired - self.unavailable
    }
}

impl Sizes {
    /// All pods that shall be.
    pub fn total(&self) -> u32 {
        self.new_replicas() + self.old_replicas()
    }

    fn new_replicas(&self) -> u32 {
        self.new.map_or(0, |set| set.replicas)
    }

    fn old_replicas(&self) -> u32 {
        self.old.iter().map(|set| set.replicas).sum()
    }

    fn available(&self) -> u32 {
        self.new.map_or(0, SetSize::stay_available)
            + self.old.iter().map(|set| set.stay_available()).sum::<u32>()
    }

    /// Whether any set has fewer pods than it has there.
    pub fn has_smaller_than(&self, other: &Sizes) -> bool {
        let pairs = self.old.iter().chain(&self.new).zip(other.old.iter().chain(&other.new));
        pairs.into_iter().any(|(now, before)| now.replicas < before.replicas)
    }

    /// One set after another, from the oldest to the current one.
    fn all_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut SetSize> {
        self.old.iter_mut().chain(self.new.iter_mut())
    }
}

impl SetSize {
    /// How many are available when it has its size: those that are not leave first.
    fn stay_available(self) -> u32 {
        self.available.min(self.replicas)
    }

    fn reduce(&mut self, pods: u32) {
        self.replicas = self.replicas.saturating_sub(pods);
    }
}

/// Takes a rolling update as far as it goes now.
///
/// The documentation's case: 10 replicas, surge 3, unavailable 2, and an image that cannot be had.
/// New may have 13 - 10 = 3. Of the 13, 8 must serve and 3 do not, so 13 - 8 - 3 = 2 old ones leave:
/// old 8. New grows by the two that left: 5. Now 13 - 8 - 5 = 0: stuck at old 8, new 5.
pub(crate) fn roll(sizes: &mut Sizes, bounds: Bounds) {
    // Each step makes the current set larger or an old one smaller, or is the last.
    let steps = u64::from(bounds.desired) + u64::from(sizes.total()) + 2;
    for _ in 0..steps {
        let before = sizes.clone();
        size_new(sizes, bounds);
        clean_up_unavailable(sizes, bounds);
        scale_down_available(sizes, bounds);
        if *sizes == before {
            break;
        }
    }
}

/// Takes the current set as far as it can grow while nothing leaves.
pub(crate) fn grow(sizes: &mut Sizes, bounds: Bounds) {
    let before = sizes.new_replicas();
    size_new(sizes, bounds);
    if let Some(new) = &mut sizes.new {
        new.replicas = new.replicas.max(before);
    }
}

/// Brings the current set as near to `desired` as the surge allows.
fn size_new(sizes: &mut Sizes, bounds: Bounds) {
    let room = bounds.most().saturating_sub(sizes.total());
    if let Some(new) = &mut sizes.new {
        let missing = bounds.desired.saturating_sub(new.replicas);
        new.replicas = (new.replicas + missing.min(room)).min(bounds.desired);
    }
}

/// Old pods that do not serve are no loss, as long as all that is not available yet might still fail.
fn clean_up_unavailable(sizes: &mut Sizes, bounds: Bounds) {
    let mut budget = may_leave(sizes, bounds);
    for set in &mut sizes.old {
        let leaving = (set.replicas - set.stay_available()).min(budget);
        set.reduce(leaving);
        budget -= leaving;
    }
}

/// Old pods that serve leave as far as enough others are available.
fn scale_down_available(sizes: &mut Sizes, bounds: Bounds) {
    if may_leave(sizes, bounds) == 0 {
        return;
    }
    let mut budget = sizes.available().saturating_sub(bounds.least_available());
    for set in &mut sizes.old {
        let leaving = set.replicas.min(budget);
        set.reduce(leaving);
        budget -= leaving;
    }
}

/// How many old pods may leave if none of the new ones that are not available yet ever becomes so.
fn may_leave(sizes: &Sizes, bounds: Bounds) -> u32 {
    let new_unavailable = sizes.new.map_or(0, |set| set.replicas - set.stay_available());
    sizes.total().saturating_sub(bounds.least_available()).saturating_sub(new_unavailable)
}

/// Follows a changed number of replicas without going on with the rollout: a single set takes all of
/// it; in the middle of a rollout each set grows or shrinks by its share, and what rounding leaves
/// over goes to the largest.
///
/// The documentation's case: old 8 and new 5 of 10 replicas with surge 3, scaled to 15. There may be
/// 18 now and are 13, so 5 come: old gets 8·18/13 - 8 = 3, new gets 5·18/13 - 5 = 2.
pub(crate) fn scale(sizes: &mut Sizes, bounds: Bounds, before: Bounds) {
    if has_several_active(sizes) {
        if !is_saturated(sizes, bounds, before) {
            scale_in_proportion(sizes, bounds, before);
        }
        // With the new number as well: else the next look would find it, though nothing happened.
        if is_saturated(sizes, bounds, bounds) {
            sizes.old.iter_mut().for_each(|set| set.replicas = 0);
        }
    }
    // Shares may have left a single set, which has no use for the surge.
    if !has_several_active(sizes)
        && let Some(set) = active_or_latest(sizes)
    {
        set.replicas = bounds.desired;
    }
}

fn has_several_active(sizes: &mut Sizes) -> bool {
    sizes.all_mut().filter(|set| set.replicas > 0).count() > 1
}

/// The only set with replicas, or the latest if none has any.
fn active_or_latest(sizes: &mut Sizes) -> Option<&mut SetSize> {
    let none_active = sizes.total() == 0;
    sizes.all_mut().rev().find(|set| none_active || set.replicas > 0)
}

/// Whether the current set is all that is asked for.
fn is_saturated(sizes: &Sizes, bounds: Bounds, before: Bounds) -> bool {
    before.desired == bounds.desired
        && sizes
            .new
            .is_some_and(|new| new.replicas == bounds.desired && new.available >= bounds.desired)
}

fn scale_in_proportion(sizes: &mut Sizes, bounds: Bounds, before: Bounds) {
    let most = if bounds.desired == 0 { 0 } else { i64::from(bounds.most()) };
    let to_add = most - i64::from(sizes.total());
    // Whoever lowers the surge alone asks for no fewer pods, and those too many may be all that serve: the
    // rollout takes them when it goes on. Here Kubernetes shrinks the largest set, whether it serves or not.
    if to_add == 0 || to_add < 0 && before.desired == bounds.desired {
        return;
    }
    // More than were allowed before may be there, where a release was kept from stopping them.
    let most_before = before.most().max(sizes.total());
    let mut sets: Vec<&mut SetSize> = sizes.all_mut().filter(|set| set.replicas > 0).collect();
    // Largest first. Of equals, the newer grows first and the older shrinks first.
    if to_add > 0 {
        sets.reverse();
    }
    sets.sort_by_key(|set| std::cmp::Reverse(set.replicas));
    let mut added = 0;
    for set in &mut sets {
        let allowed = to_add - added;
        let fraction = fraction(set.replicas, bounds, most_before);
        let part = if to_add > 0 { fraction.min(allowed) } else { fraction.max(allowed) };
        set.replicas = non_negative(i64::from(set.replicas) + part);
        added += part;
    }
    if let Some(largest) = sets.first_mut() {
        let leftover = to_add - added;
        largest.replicas = non_negative(i64::from(largest.replicas) + leftover);
    }
}

/// By how much a set grows when all grow from the former bounds to the new ones, rounded to the
/// nearest.
fn fraction(replicas: u32, bounds: Bounds, most_before: u32) -> i64 {
    let replicas = i64::from(replicas);
    let (most, most_before) = (i64::from(bounds.most()), i64::from(most_before).max(1));
    if bounds.desired == 0 {
        return -replicas;
    }
    (2 * replicas * most + most_before) / (2 * most_before) - replicas
}

fn non_negative(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
