//! What readers and agents see of the world: a snapshot, and a wake-up for each node whose
//! assignment changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use dugout_model::{Change, ClusterId, NodeName, Turn, World};
use tokio::sync::watch;

/// Holds the last published world. It outlives the engine: while no engine runs, readers and agents
/// go on with what was published last.
pub struct Publisher {
    world: watch::Sender<Arc<World>>,
    /// One channel a node, so that a change wakes only the agents it concerns.
    generations: Mutex<HashMap<NodeName, watch::Sender<Turn>>>,
}

impl Publisher {
    pub fn new(cluster: ClusterId) -> Self {
        let (world, _) = watch::channel(Arc::new(World::empty(cluster)));
        Self { world, generations: Mutex::new(HashMap::new()) }
    }

    /// The last published world.
    pub fn world(&self) -> Arc<World> {
        Arc::clone(&self.world.borrow())
    }

    /// Follows the published worlds.
    pub fn worlds(&self) -> watch::Receiver<Arc<World>> {
        self.world.subscribe()
    }

    /// Follows the generation of one node's assignment; absent when there is no such node.
    pub fn generation(&self, node: &NodeName) -> Option<watch::Receiver<Turn>> {
        // The world is read under the lock: a node that leaves it afterwards takes its channel along.
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.world().nodes.get(node)?.generation;
        let channel = generations.entry(node.clone()).or_insert_with(|| watch::channel(current).0);
        Some(channel.subscribe())
    }

    /// Publishes a world that was just loaded.
    pub(crate) fn publish_all(&self, world: &World) {
        self.world.send_replace(Arc::new(world.clone()));
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations
            .retain(|name, channel| world.nodes.contains_key(name) && channel.receiver_count() > 0);
        for (name, channel) in generations.iter() {
            if let Some(node) = world.nodes.get(name) {
                channel.send_replace(node.generation);
            }
        }
    }

    /// Publishes a world after a turn's changes.
    pub(crate) fn publish(&self, world: &World, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        self.world.send_replace(Arc::new(world.clone()));
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                Change::PutNode(node) => {
                    if let Some(channel) = generations.get(&node.name) {
                        channel.send_if_modified(|held| {
                            std::mem::replace(held, node.generation) != node.generation
                        });
                    }
                }
                Change::DeleteNode(name) => {
                    generations.remove(name);
                }
                _ => {}
            }
        }
    }
}
