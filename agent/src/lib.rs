//! The node: makes one Docker engine run what the control plane assigned to it.

pub mod accepted;
pub mod backoff;
pub mod converge;
pub mod docker;
pub mod events;
pub mod labels;
pub mod metrics;
pub mod probe;
pub mod proxy;
pub mod runtime;
pub mod spec;
#[cfg(test)]
mod testing;
mod tls;
