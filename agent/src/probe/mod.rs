//! Probes: when to try, what the results mean, and the tries themselves.

mod grpc;
mod schedule;
mod tries;

pub use schedule::{ContainerProbes, Finding, ProbeKind};
pub(crate) use tries::HttpAsk;
pub use tries::{ProbeTarget, try_probe};
