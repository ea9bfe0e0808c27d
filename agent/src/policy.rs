//! What this node allows its pods.

use std::path::{Path, PathBuf};

use dugout_model::{NodePrivilege, NodePrivileges, ResolvedTemplate};

/// The folder in the data directory with the node's own seccomp profiles.
const SECCOMP: &str = "seccomp";

/// What pods may do here. Whatever the control plane asks for, the agent makes no container that goes
/// beyond it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePolicy {
    pub allowed: NodePrivileges,
    /// Where the files of seccomp profiles are that a manifest calls local.
    pub seccomp: PathBuf,
}

impl NodePolicy {
    pub fn new(allowed: NodePrivileges, data_dir: &Path) -> Self {
        Self { allowed, seccomp: data_dir.join(SECCOMP) }
    }

    /// What a pod of this template asks for and this node does not allow.
    pub(crate) fn forbidden(&self, template: &ResolvedTemplate) -> NodePrivileges {
        template.privileges().without(self.allowed)
    }
}

/// Reads a word of `--allow`.
///
/// # Errors
/// With a sentence, where there is no such privilege.
pub fn parse_privilege(word: &str) -> Result<NodePrivilege, String> {
    NodePrivilege::parse(word).ok_or_else(|| {
        let known = NodePrivileges::from_iter(NodePrivilege::ALL);
        format!("there are {known}")
    })
}
