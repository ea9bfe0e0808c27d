//! Under which name a pod runs, which names it can find, and what its containers' standard streams are.

use std::net::IpAddr;

/// The names that a pod sees.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PodNames {
    /// The pod's own name when absent.
    pub hostname: Option<String>,
    /// Lines of `/etc/hosts`.
    pub host_aliases: Box<[HostAlias]>,
    /// In the place of those of the engine, where there are any.
    pub nameservers: Box<[IpAddr]>,
    /// Domains in which a short name is looked for, beside the node's; instead of them with servers of its
    /// own.
    pub searches: Box<[String]>,
    /// As `ndots:5`; with the node's as the domains are.
    pub options: Box<[String]>,
}

/// An address and its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAlias {
    pub address: IpAddr,
    pub hostnames: Box<[String]>,
}

/// What a container reads from and writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Streams {
    pub input: Input,
    pub output: Output,
}

/// Its standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Input {
    /// It is at its end at once.
    #[default]
    Closed,
    Open,
    /// It ends with the first who was attached to it.
    OpenOnce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Output {
    #[default]
    Streams,
    Terminal,
}
