//! The flags that say what pods may do on a node.

use clap::Args;
use dugout_model::{NodePrivilege, NodePrivileges};

/// What pods may do on the node of `dugout up` and `dugout agent`.
#[derive(Clone, Debug, Args)]
pub struct NodePolicyArguments {
    /// What pods may do on this node beside what every container may: privileged, hostNetwork, hostPID,
    /// hostIPC, hostPath, hostPort, capabilities, sysctls, unconfined; or none
    #[arg(long, value_name = "PRIVILEGE", value_delimiter = ',', default_value = "hostPath", value_parser = privilege)]
    pub allow: Vec<Option<NodePrivilege>>,
}

impl NodePolicyArguments {
    pub fn allowed(&self) -> NodePrivileges {
        self.allow.iter().copied().flatten().collect()
    }
}

/// One word of `--allow`; `none` adds nothing.
fn privilege(word: &str) -> Result<Option<NodePrivilege>, String> {
    match word {
        "none" => Ok(None),
        word => dugout_agent::policy::parse_privilege(word).map(Some),
    }
}
