//! What goes wrong, by chance, until the faults stop.

use std::time::Duration;

use super::Simulation;
use crate::events::Event;
use crate::ledger::CommitFault;

impl Simulation {
    pub(super) fn fault(&mut self) {
        if self.faults_stopped {
            return;
        }
        let next = self.faults.millis(500, 15_000);
        self.queue.push(self.now + next, Event::Fault);
        let node = self.faults.below(self.nodes.len() as u64) as usize;
        self.disturb();
        match self.faults.below(11) {
            0 => self.kill_server(),
            1 => self.kill_agent(node),
            2 => self.cut_off(node),
            3 => self.go_dark(node),
            4 => self.kill_container(node),
            5 => self.remove_container(node),
            6 => self.database.open().fault = CommitFault::Before,
            7 => self.depose(),
            // It is written, and whoever wrote it does not know.
            8 => self.database.open().fault = CommitFault::After,
            9 => {
                self.note(format!("images of {} are pruned", self.nodes[node].name));
                self.nodes[node].engine.prune_images();
            }
            _ => {
                // The engine falls with everything in it, and comes back at once.
                self.note(format!("engine {} falls", self.nodes[node].name));
                let now = self.now;
                self.nodes[node].engine.end_all(now);
                self.list(node);
            }
        }
    }

    pub(super) fn cut_off(&mut self, node: usize) {
        self.note(format!("node {} is cut off", self.nodes[node].name));
        self.nodes[node].is_cut_off = true;
        self.nodes[node].silent_since.get_or_insert(self.now);
        let back = self.faults.millis(1_000, 60_000);
        self.queue.push(self.now + back, Event::NodeBack(node));
    }

    pub(super) fn go_dark(&mut self, node: usize) {
        self.note(format!("node {} goes dark", self.nodes[node].name));
        let now = self.now;
        self.nodes[node].is_dark = true;
        self.nodes[node].silent_since.get_or_insert(now);
        self.nodes[node].agent = None;
        self.nodes[node].engine.end_all(now);
        let back = self.faults.millis(1_000, 60_000);
        self.queue.push(self.now + back, Event::NodeBack(node));
    }

    pub(super) fn node_back(&mut self, node: usize) {
        let is_back = self.nodes[node].is_cut_off || self.nodes[node].is_dark;
        if is_back {
            self.note(format!("node {} is back", self.nodes[node].name));
            self.disturb();
        }
        self.nodes[node].is_cut_off = false;
        self.nodes[node].is_dark = false;
        self.nodes[node].silent_since = None;
        if self.nodes[node].agent.is_none() {
            self.queue.push(self.now + Duration::from_millis(200), Event::AgentStart(node));
        }
    }

    pub(super) fn any_container(&mut self, node: usize) -> Option<String> {
        let ids: Vec<String> = self.nodes[node].engine.containers.keys().cloned().collect();
        (!ids.is_empty()).then(|| self.faults.pick(&ids))
    }

    pub(super) fn kill_container(&mut self, node: usize) {
        let Some(id) = self.any_container(node) else { return };
        let now = self.now;
        self.note(format!("somebody kills {id}"));
        self.nodes[node].engine.end(&id, 137, now);
        self.tell_engine_event(node, &id);
    }

    pub(super) fn remove_container(&mut self, node: usize) {
        let Some(id) = self.any_container(node) else { return };
        self.note(format!("somebody removes {id}"));
        if let Some(removed) = self.nodes[node].engine.containers.remove(&id) {
            self.rules.forget_crashes(&removed.observed.labels);
        }
        self.list(node);
    }

    /// Another server leads though the one before still lives and does not know.
    pub(super) fn depose(&mut self) {
        if let Some(server) = self.server.take() {
            self.note(format!("server {} is deposed", server.life.0));
            self.deposed = Some(server);
            self.start_server();
        }
    }
}
