//! What a turn looks at, and how it grows from what changes.

use std::collections::BTreeSet;

use dugout_model::{Kind, NodeName, ObjectKey, ObjectUid, SourceName, World};

/// A piece of the world that can be looked at by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// The verdict over a source's open release.
    Source(SourceName),
    /// A workload with its replica sets and pods, also when it has left Git.
    Workload(ObjectUid),
    /// A node's condition, and the pods that leave it.
    Node(NodeName),
    /// The pods that wait for a node, and those that lost theirs.
    Placement,
    /// All of these.
    Everything,
}

/// The work of one turn that is still to be done.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    pub sources: BTreeSet<SourceName>,
    /// Sources that were judged, whose gate is to be looked at.
    pub gates: BTreeSet<SourceName>,
    pub workloads: BTreeSet<ObjectUid>,
    /// Workloads that may have waited for something that came about during the looks: for another
    /// workload, or for the name of a pod that is gone.
    pub woken: BTreeSet<ObjectUid>,
    pub nodes: BTreeSet<NodeName>,
    pub placement: bool,
    /// Claims that something happened to, so that their volumes are looked at.
    pub claims: BTreeSet<ObjectKey>,
    /// Sources whose gate is closed, and whose pods may now be placed on other nodes than before.
    pub choices: BTreeSet<SourceName>,
    /// Something changed that pods of drained nodes may have waited for.
    pub evictions: bool,
    /// Drained nodes were looked at.
    pub drains: bool,
    /// Nodes whose assignment may have become another.
    pub assignments: BTreeSet<NodeName>,
}

impl Dirty {
    pub fn from_due(due: &BTreeSet<Work>, world: &World) -> Self {
        let mut dirty = Self::default();
        for work in due {
            match work {
                Work::Source(source) => {
                    dirty.sources.insert(source.clone());
                }
                Work::Workload(workload) => {
                    dirty.workloads.insert(*workload);
                    // A pod may have become available since.
                    dirty.evictions = true;
                }
                Work::Node(node) => {
                    dirty.nodes.insert(node.clone());
                }
                Work::Placement => {
                    dirty.placement = true;
                    dirty.evictions = true;
                }
                Work::Everything => dirty.add_everything(world),
            }
        }
        dirty
    }

    fn add_everything(&mut self, world: &World) {
        self.sources.extend(world.sources.keys().cloned());
        let declared = Kind::WORKLOADS.into_iter().flat_map(|kind| world.objects_of(kind));
        self.workloads.extend(declared.map(|object| object.uid));
        self.workloads.extend(world.replica_sets.values().map(|set| set.owner));
        self.workloads.extend(world.jobs.values().map(|job| job.owner));
        self.workloads.extend(world.schedules.keys().copied());
        self.workloads.extend(world.rollouts.keys().copied());
        self.nodes.extend(world.nodes.keys().cloned());
        self.assignments.extend(world.nodes.keys().cloned());
        self.claims.extend(world.volume_bindings.values().map(|row| row.claim.clone()));
        self.placement = true;
        self.evictions = true;
    }
}
