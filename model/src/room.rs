//! What is left on each node, kept at hand: the scheduler asks for it with every pod, and may not go
//! through all pods and nodes for one.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::{Node, NodeName, Resources};

/// Nodes of about the same size: within a quarter of each resource.
///
/// Among them the one with the least use is the one with the most left, whatever a pod asks for; between
/// a small machine and a large one that depends on the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CapacityClass(u32);

impl CapacityClass {
    pub fn of(capacity: Resources) -> Self {
        let parts = [capacity.cpu_millis, capacity.memory_bytes, capacity.pods];
        Self(parts.into_iter().fold(0, |class, amount| (class << 9) | magnitude(amount)))
    }
}

/// Its binary magnitude and the two digits after the first, as one number: at most 256.
fn magnitude(amount: u64) -> u32 {
    let Some(bits) = amount.checked_ilog2() else { return 0 };
    // Between 4 and 7: 1.00 to 1.11 in binary.
    let digits = if bits >= 2 { amount >> (bits - 2) } else { amount << (2 - bits) };
    1 + bits * 4 + u32::try_from(digits & 3).unwrap_or(0)
}

/// The use of the resource that is scarcest, in millionths.
pub fn scarcest_use(used: Resources, capacity: Resources) -> u64 {
    let share = |used: u64, capacity: u64| match capacity {
        0 if used == 0 => 0,
        0 => 1_000_000,
        _ => u64::try_from(u128::from(used) * 1_000_000 / u128::from(capacity)).unwrap_or(u64::MAX),
    };
    let shares = [
        share(used.cpu_millis, capacity.cpu_millis),
        share(used.memory_bytes, capacity.memory_bytes),
        share(used.pods, capacity.pods),
    ];
    shares.into_iter().max().unwrap_or(0)
}

/// A sum that never overflows, so that what was added can be taken away again in any order: people may
/// ask for absurd amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Total {
    cpu_millis: u128,
    memory_bytes: u128,
    pods: u128,
}

impl Total {
    fn plus(self, other: Resources) -> Self {
        Self {
            cpu_millis: self.cpu_millis + u128::from(other.cpu_millis),
            memory_bytes: self.memory_bytes + u128::from(other.memory_bytes),
            pods: self.pods + u128::from(other.pods),
        }
    }

    /// Takes away what was added before.
    fn minus(self, other: Resources) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_sub(other.cpu_millis.into()),
            memory_bytes: self.memory_bytes.saturating_sub(other.memory_bytes.into()),
            pods: self.pods.saturating_sub(other.pods.into()),
        }
    }

    fn as_resources(self) -> Resources {
        let cut = |sum: u128| u64::try_from(sum).unwrap_or(u64::MAX);
        Resources {
            cpu_millis: cut(self.cpu_millis),
            memory_bytes: cut(self.memory_bytes),
            pods: cut(self.pods),
        }
    }
}

/// What is reserved on each node, and the nodes in the order of their use.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Rooms {
    reserved: OrdMap<NodeName, Total>,
    emptiest: OrdSet<(CapacityClass, u64, NodeName)>,
}

impl Rooms {
    pub fn reserved_on(&self, node: &NodeName) -> Resources {
        self.reserved.get(node).map(|total| total.as_resources()).unwrap_or_default()
    }

    pub fn classes(&self) -> impl Iterator<Item = CapacityClass> {
        let mut next = self.emptiest.get_min().map(|(class, ..)| *class);
        std::iter::from_fn(move || {
            let class = next?;
            let above = (CapacityClass(class.0.saturating_add(1)), 0, NodeName::new(""));
            next = self.emptiest.range(above..).next().map(|(class, ..)| *class);
            Some(class)
        })
    }

    pub fn emptiest(&self, class: CapacityClass) -> impl Iterator<Item = (u64, &NodeName)> {
        self.emptiest
            .range((class, 0, NodeName::new(""))..)
            .take_while(move |(of, ..)| *of == class)
            .map(|(_, used, name)| (*used, name))
    }

    /// Reserves something on a node, which may be unknown, in the place of what was reserved before.
    pub fn exchange(
        &mut self,
        name: &NodeName,
        node: Option<&Arc<Node>>,
        (before, after): (Resources, Resources),
    ) {
        if let Some(node) = node {
            self.remove(node);
        }
        let known = self.reserved.get(name).copied().unwrap_or_default();
        let after = known.minus(before).plus(after);
        if after == Total::default() {
            self.reserved.remove(name);
        } else {
            self.reserved.insert(name.clone(), after);
        }
        if let Some(node) = node {
            self.insert(node);
        }
    }

    /// Puts a node among the others.
    pub fn insert(&mut self, node: &Node) {
        self.emptiest.insert(self.place_of(node));
    }

    pub fn remove(&mut self, node: &Node) {
        self.emptiest.remove(&self.place_of(node));
    }

    fn place_of(&self, node: &Node) -> (CapacityClass, u64, NodeName) {
        let used = scarcest_use(self.reserved_on(&node.name), node.capacity);
        (CapacityClass::of(node.capacity), used, node.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_a_quarter_wide_and_none_is_another() {
        let of = |memory_bytes| {
            CapacityClass::of(Resources { cpu_millis: 2_000, memory_bytes, pods: 110 })
        };
        assert_eq!(of(1000), of(1023));
        assert_ne!(of(1023), of(1024));
        assert_eq!(of(1024), of(1279));
        assert_ne!(of(1279), of(1280));
        assert_ne!(of(0), of(1));
        assert_ne!(of(1), of(2));
        assert_ne!(of(2), of(3));
        assert!(of(u64::MAX) > of(u64::MAX / 2));
        let most = Resources { cpu_millis: u64::MAX, memory_bytes: u64::MAX, pods: u64::MAX };
        assert_eq!(CapacityClass::of(most).0, (256 << 18) | (256 << 9) | 256);
    }
}
