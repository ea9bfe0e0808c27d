//! Where the time of a commit goes: the spans between the steps of its timeline.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use dugout_tests::rig::Rig;
use dugout_tests::statistics::Sample;
use serde_json::Value;

/// The spans of many commits, by step.
#[derive(Default)]
pub struct Hops {
    spans: BTreeMap<&'static str, Vec<Duration>>,
}

impl Hops {
    const STEPS: [(&'static str, &'static str, &'static str); 7] = [
        ("noticed", "fetched", "1 fetch"),
        ("fetched", "validated", "2 read and validate"),
        ("validated", "applied", "3 plan"),
        ("applied", "accepted", "4 commit, deliver, accept"),
        ("accepted", "created", "5 create"),
        ("created", "started", "6 start"),
        ("started", "ready", "7 probe"),
    ];

    /// Adds the steps of a commit whose branch moved at a moment.
    pub fn add(&mut self, rig: &Rig, sha: &str, moved_nanos: i128) {
        let entries = timeline(rig, sha);
        let at = |step: &str| step_at(&entries, step);
        let moved = DateTime::from_timestamp_nanos(
            i64::try_from(moved_nanos).expect("a moment of this century"),
        );
        if let Some(noticed) = at("noticed") {
            let span = (noticed - moved).to_std().unwrap_or_default();
            self.spans.entry("0 notice").or_default().push(span);
        }
        for (from, to, name) in Self::STEPS {
            if let (Some(from), Some(to)) = (at(from), at(to)) {
                // Steps of the node and of the server are told by two readings of one clock.
                let span = (to - from).to_std().unwrap_or_default();
                self.spans.entry(name).or_default().push(span);
            }
        }
    }

    pub fn print(&self) {
        for (name, spans) in &self.spans {
            println!("  hop {name:<32} {}", Sample::new(spans.iter().copied()).show());
        }
    }
}

/// The steps of a commit.
pub fn timeline(rig: &Rig, sha: &str) -> Vec<Value> {
    rig.items(&format!("/apis/dugout.dev/v1/timelineentries?commit={sha}"))
}

/// When a step of a timeline was first taken.
pub fn step_at(entries: &[Value], step: &str) -> Option<DateTime<Utc>> {
    let entry = entries.iter().find(|entry| entry["step"] == step)?;
    Some(DateTime::parse_from_rfc3339(entry["at"].as_str()?).ok()?.to_utc())
}
