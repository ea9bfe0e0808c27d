//! The planner as a whole: stories through `plan` over a cluster in memory, and properties over
//! random ones. Every turn of every test is held against the rules in the harness.

#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod budget;
mod checks;
mod cron_jobs;
mod daemon_sets;
mod declared_pods;
mod draining;
mod evictions;
mod forecast;
mod gate;
mod gate_way_back;
mod harness;
mod host_ports;
mod jobs;
mod nodes;
mod order;
mod pins;
mod properties;
mod pruning;
mod pull_secrets;
mod rollouts;
mod services;
mod sources;
mod stateful_sets;
mod storage;
mod templates;
mod volumes;
mod way_back;
