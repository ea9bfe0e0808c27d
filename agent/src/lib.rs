//! The node: makes one Docker engine run what the control plane assigned to it.

pub mod backoff;
pub mod converge;
pub mod docker;
pub mod labels;
pub mod metrics;
pub mod runtime;
pub mod spec;
#[cfg(test)]
mod testing;
