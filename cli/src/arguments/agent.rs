//! `dugout agent`: one node, and what a person may do on its machine without a server.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{NamespaceArguments, Output, label, listen_address, node_name};

/// Shown below the flags.
const BREAK_GLASS: &str = "\
Commands that need only this node (ps, pause, stop, resume) speak with its agent over a socket in the agent's
data directory, and do without an agent where none runs. They change what the node does, not what is
committed: the control plane sees a paused pod as it is, with the condition dugout.dev/Paused, and goes on to
 expect what Git declares. A pod that is told to go gets no traffic, paused or not. A rolling release does not wait
 for a paused pod, which runs on beside the new ones; where the old one must go first (Recreate, StatefulSet,
 DaemonSet without surge) the release waits, up to its progress deadline.";

/// `dugout agent`
#[derive(Clone, Debug, Args)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
#[command(after_help = BREAK_GLASS)]
pub struct AgentArguments {
    #[command(subcommand)]
    pub command: Option<AgentCommand>,
    /// The server to join
    #[arg(long, value_name = "URL", required = true)]
    pub server: Option<String>,
    /// A file with the join token that 'dugout token create' printed
    #[arg(long, value_name = "FILE")]
    pub join_token_file: Option<PathBuf>,
    /// The join token itself, which others on this machine can read on the command line; the variable
    /// DUGOUT_JOIN_TOKEN holds it, too
    #[arg(long, env = "DUGOUT_JOIN_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The name of this node [default: the machine's host name]
    #[arg(long, value_name = "NAME", value_parser = node_name)]
    pub name: Option<String>,
    /// The container engine, as tcp://127.0.0.1:2375 [default: the variable DOCKER_HOST, else
    /// unix:///var/run/docker.sock; a docker context is not read]
    #[arg(long, value_name = "URI")]
    pub docker_host: Option<String>,
    /// A label of this node; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    #[command(flatten)]
    pub policy: crate::node_policy::NodePolicyArguments,
    /// Where the agent keeps its files [default: agent in the data directory of the machine]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The address at which people and other nodes reach this one
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<IpAddr>,
    /// Where to serve /metrics and /healthz, as 127.0.0.1:7301, to whoever can reach it
    /// [default: nowhere]
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address)]
    pub metrics_listen: Option<SocketAddr>,
    #[command(flatten)]
    pub image_gc: crate::image_gc_arguments::ImageGcArguments,
    #[command(flatten)]
    pub storage: crate::storage_arguments::StorageArguments,
}

/// What a person may do on the node's own machine, also while no server answers.
#[derive(Clone, Debug, Subcommand)]
pub enum AgentCommand {
    /// List the pods of this node
    Ps {
        #[command(flatten)]
        namespaces: NamespaceArguments,
        #[command(flatten)]
        node: NodeArguments,
        /// The form of the output [default: a table]
        #[arg(short, long)]
        output: Option<Output>,
    },
    /// Have the agent leave a pod alone until resume: it is not started again, healed, changed, stopped or
    /// removed, whatever is committed or assigned; the pause outlives the agent. What the engine was asked for
    /// before goes on, and is told
    Pause(PodArguments),
    /// Stop a pod's containers now, gracefully, and keep it stopped until resume; the server sees a pod that
    /// is not ready, and starts no other in its place. Ends once nothing of it runs
    Stop(PodArguments),
    /// Have the agent tend a pod again that was paused or stopped
    Resume(PodArguments),
}

/// Which pod of the node.
#[derive(Clone, Debug, Args)]
pub struct PodArguments {
    /// A pod of this node: POD, NAMESPACE/POD or its uid
    pub pod: String,
    #[command(flatten)]
    pub namespaces: NamespaceArguments,
    #[command(flatten)]
    pub node: NodeArguments,
}

/// Which node it is.
#[derive(Clone, Debug, Args)]
pub struct NodeArguments {
    /// The agent's data directory, or the one of the machine that has it
    /// [default: the data directory of the machine]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The container engine, where no agent runs [default: the variable DOCKER_HOST, else
    /// unix:///var/run/docker.sock]
    #[arg(long, value_name = "URI")]
    pub docker_host: Option<String>,
}
