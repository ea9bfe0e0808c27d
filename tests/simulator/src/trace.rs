//! The trace: what happened, in order, with a hash that two runs of one seed must share.

use std::collections::VecDeque;

use dugout_model::Timestamp;
use sha2::{Digest as _, Sha256};

/// How many lines are kept for a person to read when a rule breaks.
const KEPT_LINES: usize = 400;

#[derive(Default)]
pub(crate) struct Trace {
    hash: Sha256,
    lines: VecDeque<String>,
}

impl Trace {
    pub fn note(&mut self, at: Timestamp, line: String) {
        let line = format!("{:>12.3} {line}", at.as_micros() as f64 / 1e6);
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
        if self.lines.len() == KEPT_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    pub fn hash(&self) -> String {
        hex::encode(self.hash.clone().finalize())
    }

    pub fn tail(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }
}
