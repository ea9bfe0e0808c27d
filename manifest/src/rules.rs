//! What Kubernetes demands of fields together, by the type of the object that has them.
//!
//! The tables name these rules. Each looks without telling about types, which the tables tell, and
//! notes what the object says about others.

pub(crate) mod access;
pub(crate) mod admission;
pub(crate) mod batch;
pub(crate) mod config;
pub(crate) mod container;
pub(crate) mod env;
pub(crate) mod extension;
mod host_ports;
mod lifecycle;
pub(crate) mod metadata;
pub(crate) mod network;
pub(crate) mod placement;
pub(crate) mod pod;
pub(crate) mod policy;
pub(crate) mod security;
pub(crate) mod service;
pub(crate) mod storage;
pub(crate) mod volume;
pub(crate) mod workload;
