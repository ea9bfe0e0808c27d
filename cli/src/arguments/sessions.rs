//! What can be done inside containers.

use clap::Args;

use super::NamespaceArguments;

/// `dugout exec`
#[derive(Clone, Debug, Args)]
pub struct ExecArguments {
    #[command(flatten)]
    pub session: SessionArguments,
    /// The program and its arguments, after --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// With whom, and how: all of `dugout attach`
#[derive(Clone, Debug, Args)]
pub struct SessionArguments {
    /// A pod, by its name; or TYPE/NAME of what makes pods or leads to them, as deployment/web or
    /// service/web: the first of them that is ready
    #[arg(value_name = "POD|TYPE/NAME")]
    pub pod: String,
    /// The container, where the pod has several
    #[arg(short, long)]
    pub container: Option<String>,
    #[command(flatten)]
    pub namespaces: NamespaceArguments,
    #[command(flatten)]
    pub terminal: TerminalArguments,
}

#[derive(Clone, Copy, Debug, Args)]
pub struct TerminalArguments {
    /// Hand on what comes on standard input
    #[arg(short = 'i', long)]
    pub stdin: bool,
    /// Be its terminal: of this size, and with every key
    #[arg(short = 't', long)]
    pub tty: bool,
}

/// `dugout cp`
#[derive(Clone, Debug, Args)]
pub struct CopyArguments {
    /// What to copy, a file or a folder: PATH of this machine, or POD:PATH, or NAMESPACE/POD:PATH
    #[arg(value_name = "SOURCE")]
    pub from: String,
    /// Where to: into it if it is a folder that is there, else under this name
    #[arg(value_name = "TARGET")]
    pub to: String,
    /// The container, where the pod has several
    #[arg(short, long)]
    pub container: Option<String>,
    #[command(flatten)]
    pub namespaces: NamespaceArguments,
}
