//! Probes: when to try, what the results mean, and the tries themselves.

mod schedule;
mod tries;

pub use schedule::{ContainerProbes, Finding, ProbeKind};
pub use tries::{ProbeTarget, try_probe};
