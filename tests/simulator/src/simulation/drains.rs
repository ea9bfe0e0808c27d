//! People drain a node now and then, and let pods onto it again some time later.

use std::time::Duration;

use dugout_model::{Fact, OperatorRequest};

use super::Simulation;
use crate::events::Event;

/// How soon a person looks whether what was asked for has come about.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Simulation {
    pub(super) fn drain(&mut self) {
        if self.faults_stopped {
            return;
        }
        let next = self.drains.millis(5_000, 90_000);
        self.queue.push(self.now + next, Event::Drain);
        let node = self.drains.below(self.nodes.len() as u64) as usize;
        let back = self.drains.millis(2_000, 120_000);
        let name = self.nodes[node].name.clone();
        self.note(format!("node {name} is drained"));
        self.disturb();
        self.serve(vec![Fact::Operator(OperatorRequest::Drain(name))]);
        self.queue.push(self.now + back, Event::Uncordon(node));
    }

    /// The request may be lost on its way, as any other.
    pub(super) fn uncordon(&mut self, node: usize) {
        let name = self.nodes[node].name.clone();
        let is_drained = self
            .database
            .open()
            .world
            .nodes
            .get(&name)
            .is_some_and(|row| row.draining_since().is_some());
        if is_drained {
            self.note(format!("node {name} is uncordoned"));
            self.disturb();
            self.serve(vec![Fact::Operator(OperatorRequest::Uncordon(name))]);
            self.queue.push(self.now + LOOK_AGAIN, Event::Uncordon(node));
        }
    }
}
