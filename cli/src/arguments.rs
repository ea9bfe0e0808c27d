//! The command line: every command and flag of the `dugout` binary.
//!
//! Each flag also has an environment variable, `DUGOUT_` and its name (`--poll-interval` is
//! `DUGOUT_POLL_INTERVAL`; an agent's `--token` alone is `DUGOUT_JOIN_TOKEN`, since `DUGOUT_TOKEN` holds
//! the operator token), and a key in the configuration file; [`crate::settings`] adds both.

mod agent;
mod nodes;
mod sessions;
mod span;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use dugout_manifest::{check_label_value, check_qualified_name};
use dugout_model::{Drift, OnFailure};

pub use agent::{AgentArguments, AgentCommand, NodeArguments, PodArguments};
pub use nodes::{NodeCommand, TokenCommand};
pub use sessions::{CopyArguments, ExecArguments, SessionArguments};
pub(crate) use span::span;

/// GitOps for containers on your own Docker hosts: what is committed is what runs.
#[derive(Debug, Parser)]
#[command(name = "dugout", version, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(flatten)]
    pub client: ClientArguments,
    #[command(subcommand)]
    pub command: Command,
}

/// Where the defaults of flags are, shown below a command's own ones.
const GENERAL: &str = "General options";
const ASKING: &str = "Options of the commands that ask a server";

/// How to reach the server.
#[derive(Clone, Debug, Args)]
pub struct ClientArguments {
    /// The server to ask
    #[arg(
        long,
        global = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:7300",
        help_heading = ASKING
    )]
    pub server: String,
    /// A file with the operator token; the variable DUGOUT_TOKEN holds the token itself
    /// [default: operator.token in the data directory]
    #[arg(long, global = true, value_name = "FILE", help_heading = ASKING)]
    pub token_file: Option<PathBuf>,
    /// Where Dugout keeps its files on this machine
    /// [default: /var/lib/dugout for root, else dugout in the user's data directory]
    #[arg(long, global = true, value_name = "DIR", help_heading = GENERAL)]
    pub data_dir: Option<PathBuf>,
    /// A YAML file with defaults for flags, as 'server: http://…'
    /// [default: dugout/config.yaml in the user's configuration directory]
    #[arg(long, global = true, value_name = "FILE", help_heading = GENERAL)]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start everything on this machine and apply a repository
    #[command(after_help = SETTINGS)]
    Up(UpArguments),
    /// Stop what 'up' or 'server' started here, and remove the containers of this machine's data directory
    Down(DownArguments),
    /// Run the control plane alone
    #[command(after_help = SETTINGS)]
    Server(ServerArguments),
    /// Run one node and join it to a server; or look after a node on its own machine, without a server
    Agent(AgentArguments),
    /// Show on one screen what runs, what waits and why
    Status(StatusArguments),
    /// List objects, or show one
    Get(GetArguments),
    /// Show one object with its events
    Describe(DescribeArguments),
    /// Show what happened lately
    Events(EventsArguments),
    /// Show releases and their verdicts, newest first
    History(HistoryArguments),
    /// Show every step of a commit with its time; of the newest one if none is named
    Timeline(TimelineArguments),
    /// Show the log of a pod, or of all pods of what makes them
    Logs(LogsArguments),
    /// Run a command in a container
    #[command(after_help = "Ends with the command's exit code.")]
    Exec(ExecArguments),
    /// Join what a container runs
    #[command(
        after_help = "Ends with the container's exit code. Who leaves does not end the container."
    )]
    Attach(SessionArguments),
    /// Copy files and folders into a container or out of it
    Cp(CopyArguments),
    /// Tell what a commit would do: objects, pods that start and stop, whether it fits
    #[command(
        after_help = "Ends with 1 when the commit would be rejected, would fail or would not come to an end."
    )]
    Plan(PlanArguments),
    /// Look at a source's repository now
    Sync(SourceArguments),
    /// See a source's commits and do not apply them; what fails still goes back, and is reverted in Git later
    Suspend(SourceArguments),
    /// Apply a source's commits again
    Resume(SourceArguments),
    /// Let a commit pass that is held
    Approve(ApproveArguments),
    /// Commit a revert to the source's repository and push it; while that cannot be reached, go back all the same and push it later
    Rollback(RollbackArguments),
    /// Let a pod start anew, as another pod, if disruption budgets allow that
    Restart(RestartArguments),
    /// Check manifests and kustomizations without a server
    Validate(ValidateArguments),
    /// Keep new pods off a node, or let them in again
    #[command(subcommand)]
    Node(NodeCommand),
    /// Manage the tokens with which agents join
    #[command(subcommand)]
    Token(TokenCommand),
    /// Show the version of this program and of the server
    Version,
}

/// What is not a flag, because it is secret or belongs to the environment.
const SETTINGS: &str = "\
Settings of the environment:
  DUGOUT_GIT_USERNAME, DUGOUT_GIT_PASSWORD  for a repository over HTTP; the password may be a token
  DUGOUT_GIT_SSH_KEY                        the file of the only SSH key to try
                                            [default: the SSH agent, then the usual files in ~/.ssh]
  DUGOUT_GIT_SSH_PASSPHRASE                 of that key
  DUGOUT_GIT_KNOWN_HOSTS                    the only file of known hosts that counts
                                            [default: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts]
  DUGOUT_WEBHOOK_SECRET                     the secret that signs webhooks
  DUGOUT_WEBHOOK_SECRET_GITHUB, DUGOUT_WEBHOOK_SECRET_GENERIC
                                            the same for one endpoint alone
  DUGOUT_LOG                                how much is logged, as debug or dugout_reconciler=debug,info
                                            [default: info]";

/// What `dugout up` and `dugout server` have in common.
#[derive(Clone, Debug, Args)]
pub struct ControlPlaneArguments {
    /// The branch to follow
    #[arg(long, default_value = "main")]
    pub branch: String,
    /// The folder of the repository with the manifests; all of it if empty
    #[arg(long, value_name = "DIR", default_value = "")]
    pub path: String,
    /// An API group whose custom resources are for another program and left out; several between commas
    #[arg(long = "skip-group", value_name = "GROUP", value_delimiter = ',')]
    pub skip_groups: Vec<String>,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7300", value_parser = listen_address)]
    pub listen: SocketAddr,
    /// A name by which programs on this machine may call the server without a token, as a proxy
    /// would; may be given several times
    #[arg(long = "host-name", value_name = "NAME")]
    pub host_names: Vec<String>,
    /// A file with the secret that signs webhooks
    #[arg(long, value_name = "FILE")]
    pub webhook_secret_file: Option<PathBuf>,
    /// How often to look at the repository when nothing says that it changed; a number with ms, s, m,
    /// h or d
    #[arg(long, value_name = "SPAN", default_value = "5s", value_parser = poll_interval)]
    pub poll_interval: Duration,
    /// What becomes of a release that fails: `revert` puts back everything that was healthy before and
    /// pushes a revert commit, `hold` leaves what runs as it is
    #[arg(long, value_name = "POLICY", default_value = "revert", value_parser = on_failure)]
    pub on_failure: OnFailure,
    /// What becomes of what somebody changed by hand on a container that runs: `correct` puts it back,
    /// `warn` only shows it
    #[arg(long, value_name = "POLICY", default_value = "correct", value_parser = drift)]
    pub drift: Drift,
    /// How long a node may be silent before its pods move; a number with ms, s, m, h or d
    #[arg(long, value_name = "SPAN", default_value = "15s", value_parser = node_timeout)]
    pub node_timeout: Duration,
}

/// `dugout up`
#[derive(Clone, Debug, Args)]
pub struct UpArguments {
    /// The Git repository to follow, a path or a URL [default: ./dugout-demo, made if missing]
    #[arg(long, value_name = "PATH|URL")]
    pub repo: Option<String>,
    #[command(flatten)]
    pub control_plane: ControlPlaneArguments,
    /// Where Dugout keeps its files on this machine
    /// [default: /var/lib/dugout for root, else dugout in the user's data directory]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The container engine, as tcp://127.0.0.1:2375 [default: the variable DOCKER_HOST, else
    /// unix:///var/run/docker.sock; a docker context is not read]
    #[arg(long, value_name = "URI")]
    pub docker_host: Option<String>,
    /// A PostgreSQL to use [default: a private one in the data directory]
    #[arg(long, value_name = "URL")]
    pub postgres_url: Option<String>,
    /// Return when the first release is healthy, or say why it is not
    #[arg(long)]
    pub detach: bool,
    /// The name of this machine's node [default: its host name]
    #[arg(long, value_name = "NAME", value_parser = node_name)]
    pub node_name: Option<String>,
    /// A label of this machine's node; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    #[command(flatten)]
    pub image_gc: crate::image_gc_arguments::ImageGcArguments,
    #[command(flatten)]
    pub storage: crate::storage_arguments::StorageArguments,
    #[command(flatten)]
    pub policy: crate::node_policy::NodePolicyArguments,
}

/// `dugout down`
#[derive(Clone, Debug, Args)]
pub struct DownArguments {
    /// Where Dugout keeps its files on this machine
    /// [default: /var/lib/dugout for root, else dugout in the user's data directory]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Remove the data directory, too: history, tokens, the private database and the volumes of claims that
    /// lie there; and the images that were made for the example
    #[arg(long)]
    pub purge: bool,
    /// The container engine [default: the one that was used]
    #[arg(long, value_name = "URI")]
    pub docker_host: Option<String>,
}

/// `dugout server`
#[derive(Clone, Debug, Args)]
pub struct ServerArguments {
    /// The Git repository to follow, a path or a URL
    #[arg(long, value_name = "PATH|URL")]
    pub repo: String,
    #[command(flatten)]
    pub control_plane: ControlPlaneArguments,
    /// Where Dugout keeps its files on this machine
    /// [default: /var/lib/dugout for root, else dugout in the user's data directory]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The PostgreSQL to use
    #[arg(long, value_name = "URL")]
    pub postgres_url: String,
}

/// `dugout status`
#[derive(Clone, Debug, Args)]
pub struct StatusArguments {
    /// Only this namespace
    #[arg(short, long)]
    pub namespace: Option<String>,
}

/// Which namespaces to look in: all of them if none is named.
#[derive(Clone, Debug, Args)]
pub struct NamespaceArguments {
    /// Only this namespace [default: all]
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// All namespaces, also when the environment or the configuration names one
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,
}

impl NamespaceArguments {
    /// The one namespace to look in.
    pub fn only(&self) -> Option<&str> {
        self.namespace.as_deref().filter(|_| !self.all_namespaces)
    }
}

/// `dugout get`
#[derive(Clone, Debug, Args)]
pub struct GetArguments {
    /// What to list: pods, deployments, statefulsets, jobs, services, nodes, sources, releases, …
    pub kind: String,
    /// Only the one with this name
    pub name: Option<String>,
    #[command(flatten)]
    pub namespaces: NamespaceArguments,
    /// Only what has these labels, as app=web,tier!=back
    #[arg(short = 'l', long, default_value = "")]
    pub selector: String,
    /// The form of the output [default: a table]
    #[arg(short, long)]
    pub output: Option<Output>,
}

/// `dugout describe`
#[derive(Clone, Debug, Args)]
pub struct DescribeArguments {
    /// What it is: pod, deployment, statefulset, job, service, node, source, release, …
    pub kind: String,
    /// Its name
    pub name: String,
    #[command(flatten)]
    pub namespaces: NamespaceArguments,
}

/// `dugout events`
#[derive(Clone, Debug, Args)]
pub struct EventsArguments {
    #[command(flatten)]
    pub namespaces: NamespaceArguments,
    /// Only warnings
    #[arg(long)]
    pub warnings: bool,
    /// How many, newest ones
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
    /// The form of the output [default: a table]
    #[arg(short, long)]
    pub output: Option<Output>,
}

/// `dugout history`
#[derive(Clone, Debug, Args)]
pub struct HistoryArguments {
    /// Only this source
    pub source: Option<String>,
    /// How many, newest ones
    #[arg(long, default_value_t = 20)]
    pub limit: u32,
    /// The form of the output [default: a table]
    #[arg(short, long)]
    pub output: Option<Output>,
}

/// `dugout timeline`
#[derive(Clone, Debug, Args)]
pub struct TimelineArguments {
    /// The first characters of a commit [default: the newest release's]
    pub commit: Option<String>,
    /// The form of the output [default: a table]
    #[arg(short, long)]
    pub output: Option<Output>,
}

/// `dugout logs`
#[derive(Clone, Debug, Args)]
pub struct LogsArguments {
    /// A pod, or what makes pods, as deployment/NAME, statefulset/NAME or job/NAME, for all of them
    pub target: String,
    /// The container, where a pod has several
    #[arg(short, long)]
    pub container: Option<String>,
    #[command(flatten)]
    pub namespaces: NamespaceArguments,
    /// Stay and show what comes
    #[arg(short, long)]
    pub follow: bool,
    /// Only so many of the last lines [default: all]
    #[arg(long, value_name = "LINES")]
    pub tail: Option<u32>,
    /// Only what is younger, as 10m; a number with ms, s, m, h or d
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub since: Option<Duration>,
    /// Begin each line with its time
    #[arg(long)]
    pub timestamps: bool,
}

#[derive(Clone, Debug, Args)]
pub struct RestartArguments {
    /// The pod; what makes pods starts all of them anew when its manifest changes in Git
    pub pod: String,
    #[command(flatten)]
    pub namespaces: NamespaceArguments,
}

/// A command about one source.
#[derive(Clone, Debug, Args)]
pub struct SourceArguments {
    /// The source; may be left out when there is only one. Without it, sync looks at all
    pub source: Option<String>,
}

/// `dugout approve`
#[derive(Clone, Debug, Args)]
pub struct ApproveArguments {
    /// The commit, by its first characters; 'dugout status' names the one that is held
    #[arg(value_name = "COMMIT")]
    pub commit: String,
    /// Its source; may be left out when there is only one
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
}

/// `dugout plan`
#[derive(Clone, Debug, Args)]
pub struct PlanArguments {
    /// A branch of the source's repository, or a commit that was fetched, by its first characters [default:
    /// the newest commit of the source's branch]
    #[arg(value_name = "REF")]
    pub reference: Option<String>,
    /// The source; may be left out when there is only one
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    /// The form of the output
    #[arg(short, long, default_value = "text")]
    pub output: PlanOutput,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanOutput {
    Text,
    Json,
}

/// `dugout rollback`
#[derive(Clone, Debug, Args)]
pub struct RollbackArguments {
    /// The source; may be left out when there is only one
    pub source: Option<String>,
    /// The commit whose content shall be back [default: the last healthy one before this]
    #[arg(long, value_name = "COMMIT")]
    pub to: Option<String>,
    /// Why, for the message of the commit
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `dugout validate`
#[derive(Clone, Debug, Args)]
pub struct ValidateArguments {
    /// Files and folders, checked together as one source; - reads from standard input
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// What has no effect here is an error, too: notices become errors
    #[arg(long)]
    pub strict: bool,
    /// An API group whose custom resources are for another program and left out; several between commas
    #[arg(long = "skip-group", value_name = "GROUP", value_delimiter = ',')]
    pub skip_groups: Vec<String>,
    /// How much of it Dugout understands, by kind, in place of the single problems; as text or json
    #[arg(long)]
    pub coverage: bool,
    /// The form of the output; it is never guessed from where the command runs
    #[arg(short, long, default_value = "text")]
    pub output: ProblemOutput,
}

/// The form of what a command lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Json,
    Yaml,
    Wide,
    Name,
}

/// The form in which problems are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProblemOutput {
    /// One problem a line, as file:line:column: severity: field: message (hint)
    Text,
    /// An array of problems; an object with --coverage
    Json,
    /// Annotations of a GitHub Actions run, with paths from the top of the repository
    Github,
    /// A SARIF 2.1.0 log for code scanning, with paths from the top of the repository
    Sarif,
}

fn on_failure(text: &str) -> Result<OnFailure, String> {
    OnFailure::parse(text).ok_or_else(|| "give revert or hold".to_owned())
}

fn drift(text: &str) -> Result<Drift, String> {
    Drift::parse(text).ok_or_else(|| "give correct or warn".to_owned())
}

/// A label as Kubernetes takes it: a selector can name no other.
fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("give KEY=VALUE")?;
    check_qualified_name(key).map_err(|rule| format!("the key {rule}"))?;
    check_label_value(value).map_err(|rule| format!("the value {rule}"))?;
    if key.starts_with("dugout.dev/allow-") {
        return Err("what a node allows is said with --allow".to_owned());
    }
    Ok((key.to_owned(), value.to_owned()))
}

fn node_name(text: &str) -> Result<String, String> {
    let name = dugout_wire::parse_node_name(text).map_err(|error| error.to_string())?;
    Ok(name.to_string())
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "give an IP address and a port, as 127.0.0.1:7300 or [::]:7300".to_owned())
}

/// Each poll asks the repository's server, which may be a forge for everybody.
fn poll_interval(text: &str) -> Result<Duration, String> {
    at_least(text, Duration::from_secs(1))
}

/// Agents report each second where there is no news. With less than a few of those a node would be lost
/// and found all the time.
fn node_timeout(text: &str) -> Result<Duration, String> {
    at_least(text, Duration::from_secs(3))
}

fn at_least(text: &str, least: Duration) -> Result<Duration, String> {
    let given = span(text)?;
    if given < least {
        return Err(format!("give {} s or more", least.as_secs()));
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_before_anything_is_started() {
        assert!(poll_interval("0s").is_err() && poll_interval("999ms").is_err());
        assert_eq!(poll_interval("1s"), Ok(Duration::from_secs(1)));
        assert!(node_timeout("1ms").is_err() && node_timeout("3s").is_ok());
        assert!(node_name("Bad Name!").is_err() && node_name("node-1.example").is_ok());
        assert!(label("a b=c").is_err() && label("a=b c").is_err() && label("a").is_err());
        let known = label("example.com/zone=").expect("a label may be empty");
        assert_eq!(known, ("example.com/zone".to_owned(), String::new()));
        assert!(listen_address("localhost:7300").is_err() && listen_address("[::1]:1").is_ok());
    }
}
