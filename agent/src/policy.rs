//! What this node allows its pods.

use std::path::{Path, PathBuf};

use dugout_model::{AssignedClaim, AssignedPod, ClaimPlace, NodePrivilege, NodePrivileges};

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

    /// What a pod asks for and this node does not allow. A declared volume is a path of the node.
    pub(crate) fn forbidden(&self, pod: &AssignedPod) -> NodePrivileges {
        let is_declared = |claim: &AssignedClaim| matches!(claim.place, ClaimPlace::Declared(_));
        let of_claims = pod.claims.iter().any(is_declared).then_some(NodePrivilege::HostPath);
        let asked = pod.template.privileges().iter().chain(of_claims);
        asked.collect::<NodePrivileges>().without(self.allowed)
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
