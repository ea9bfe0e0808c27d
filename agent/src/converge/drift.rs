//! Drift: in what a container that runs differs from what its pod's template asks for, because somebody
//! changed it by hand or an agent of before made it otherwise, and how that is put back. Pure.
//!
//! What ended or is gone is not drift: it is healed, whatever the policy.

use std::collections::BTreeSet;
use std::fmt;

use dugout_model::{AssignedPod, Drift, NamespaceOwner, RestartPolicy, Timestamp};

use super::{Action, PodMemory, PodView, Step, StopWhy, stop};
use crate::labels::SANDBOX;
use crate::runtime::{
    ContainerSettings, Correction, EngineRestart, Execution, HOST_NETWORK, Network,
    ObservedContainer, PublishedPort,
};
use crate::spec::container_settings;

/// One thing that is not as the template has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    Paused,
    /// It is not in the network that it was made in.
    OutOfNetwork,
    InNetwork(String),
    /// It was made with a network of another's.
    Owner {
        shall: NamespaceOwner,
    },
    Ports {
        is: BTreeSet<PublishedPort>,
        shall: BTreeSet<PublishedPort>,
    },
    Limit {
        limit: Limit,
        is: Option<i64>,
        shall: Option<i64>,
    },
    /// It may use these CPUs alone.
    CpuSet(String),
    /// The engine would start it again.
    Restart(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Memory,
    /// With memory.
    Swap,
    Cpus,
    CpuShares,
    Processes,
}

/// A container of a pod that is not as its template has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drifted<'a> {
    pub container: &'a ObservedContainer,
    pub differences: Vec<Difference>,
}

/// What is remembered of a container's differences, until there are none.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DriftMemory {
    /// What was told.
    pub told: Vec<Difference>,
    /// Corrections that failed in a row.
    pub failures: u32,
    /// No correction before this moment.
    pub not_before: Option<Timestamp>,
    pub renewal: Renewal,
}

/// Whether the container was made anew for its differences. An engine that gives every container what
/// nobody asked for would have it made anew for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Renewal {
    #[default]
    Untried,
    Tried,
}

/// How a difference is put back.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mend {
    InPlace(Correction),
    /// A limit that nobody asked for, or what a container is made with: no engine changes it while the
    /// container runs.
    Anew,
}

/// In what a running container differs.
pub fn differences(seen: &ContainerSettings, wanted: &ContainerSettings) -> Vec<Difference> {
    let mut found = Vec::new();
    if seen.execution == Execution::Paused && wanted.execution == Execution::Going {
        found.push(Difference::Paused);
    }
    found.extend(network_differences(seen, wanted));
    let (is, shall) = (&seen.limits, &wanted.limits);
    let limits = [
        (Limit::Memory, is.memory_bytes, shall.memory_bytes),
        (Limit::Swap, is.memory_swap_bytes, shall.memory_swap_bytes),
        (Limit::Cpus, is.nano_cpus, shall.nano_cpus),
        (Limit::CpuShares, is.cpu_shares, shall.cpu_shares),
        (Limit::Processes, is.pids_limit, shall.pids_limit),
    ];
    // One that is not there at all was not taken off by hand: an engine without the means for it drops it.
    let differing = limits.into_iter().filter(|(_, is, shall)| is.is_some() && is != shall);
    found.extend(differing.map(|(limit, is, shall)| {
        let is = is.filter(|number| *number > 0);
        Difference::Limit { limit, is, shall }
    }));
    if let Some(set) = is.cpu_set.as_ref().filter(|set| shall.cpu_set.as_ref() != Some(set)) {
        found.push(Difference::CpuSet(set.clone()));
    }
    if let (EngineRestart::Policy(policy), EngineRestart::Never) = (&seen.restart, &wanted.restart)
    {
        found.push(Difference::Restart(policy.clone()));
    }
    found
}

fn network_differences(seen: &ContainerSettings, wanted: &ContainerSettings) -> Vec<Difference> {
    let mut found = Vec::new();
    let host = Network::Other(HOST_NETWORK.to_owned());
    let is_on_host = |settings: &ContainerSettings| settings.networks.contains(&host);
    let has_own = |settings: &ContainerSettings| settings.networks.contains(&Network::Default);
    if is_on_host(seen) && has_own(wanted) {
        found.push(Difference::Owner { shall: NamespaceOwner::Pod });
    } else if has_own(seen) && is_on_host(wanted) {
        found.push(Difference::Owner { shall: NamespaceOwner::Host });
    } else if has_own(wanted) && !has_own(seen) {
        found.push(Difference::OutOfNetwork);
    }
    found.extend(seen.networks.difference(&wanted.networks).filter_map(|network| match network {
        Network::Other(name) if *network != host => Some(Difference::InNetwork(name.clone())),
        _ => None,
    }));
    if seen.published_ports != wanted.published_ports {
        let (is, shall) = (seen.published_ports.clone(), wanted.published_ports.clone());
        found.push(Difference::Ports { is, shall });
    }
    found
}

/// The newest container of each name that runs, with its differences; most have none.
pub fn of_running<'a>(
    pod: &AssignedPod,
    containers: &'a [ObservedContainer],
) -> impl Iterator<Item = Drifted<'a>> {
    newest_running(containers).filter_map(|container| {
        let wanted = container_settings(&pod.template, &container.labels.container)?;
        let differences = differences(&container.settings, &wanted);
        Some(Drifted { container, differences })
    })
}

/// Whether nobody halted what runs of a pod or took it from every network.
pub fn can_be_reached(pod: &AssignedPod, containers: &[ObservedContainer]) -> bool {
    newest_running(containers).all(|one| {
        let wanted = container_settings(&pod.template, &one.labels.container);
        let has_network = wanted.is_some_and(|wanted| !wanted.networks.is_empty());
        one.settings.execution == Execution::Going
            && !(has_network && one.settings.networks.is_empty())
    })
}

/// So much of it is said; somebody may bring a container into any number of networks.
const MOST_SENTENCES: usize = 16;

/// In what a pod differs, a sentence each.
pub fn sentences(pod: &AssignedPod, containers: &[ObservedContainer]) -> Vec<String> {
    let told = of_running(pod, containers).flat_map(|drifted| {
        let container = described(&drifted.container.labels.container);
        drifted.differences.into_iter().map(move |one| format!("{container} {one}"))
    });
    told.take(MOST_SENTENCES).collect()
}

/// A container by its name, as a sentence begins.
pub fn described(container: &str) -> String {
    match container {
        SANDBOX => "the sandbox".to_owned(),
        name => format!("container {name}"),
    }
}

/// What a correction of this container would be now, after one that was made.
pub fn next_correction(pod: &AssignedPod, one: &ObservedContainer) -> Option<Correction> {
    let wanted = container_settings(&pod.template, &one.labels.container)?;
    first_in_place(&differences(&one.settings, &wanted), &wanted)
}

/// Puts back the next thing that somebody changed, unless that shall only be shown.
pub(super) fn correct(view: &PodView<'_>, containers: &[ObservedContainer]) -> Step {
    if view.pod.drift == Drift::Warn {
        return Step::Nothing;
    }
    let mut wait: Option<Timestamp> = None;
    for Drifted { container, differences } in of_running(view.pod, containers) {
        let memory = view.memory.and_then(|memory| drift_memory(memory, container));
        let Some(step) = mend(view, container, &differences, memory) else { continue };
        match memory.and_then(|memory| memory.not_before).filter(|until| *until > view.now) {
            None => return step,
            Some(until) => wait = Some(wait.map_or(until, |earlier| earlier.min(until))),
        }
    }
    wait.map_or(Step::Nothing, Step::Wait)
}

fn mend(
    view: &PodView<'_>,
    one: &ObservedContainer,
    differences: &[Difference],
    memory: Option<&DriftMemory>,
) -> Option<Step> {
    let name = &one.labels.container;
    let wanted = container_settings(&view.pod.template, name)?;
    let lasting = differences.iter().find(|one| one.mend(&wanted) == Mend::Anew);
    // What runs to its end would have failed, a sandbox takes the whole pod with it, and what the node does
    // not allow any more could not be made again.
    let is_worth_it = !one.labels.is_sandbox() || lasting.is_some_and(Difference::is_of_network);
    let may_renew = !view.draining
        && is_worth_it
        && view.policy.forbidden(view.pod).is_empty()
        && view.pod.template.restart_policy_of(name) == RestartPolicy::Always
        && memory.is_none_or(|memory| memory.renewal == Renewal::Untried);
    if let Some(lasting) = lasting.filter(|_| may_renew) {
        let grace = view.pod.template.termination_grace;
        return Some(stop(view.pod.uid, one, grace, StopWhy::Drifted(lasting.to_string())));
    }
    let correction = first_in_place(differences, &wanted)?;
    let (pod, container, id) = (view.pod.uid, name.clone(), one.id.clone());
    Some(Step::Act(Action::Correct { pod, container, id, correction }))
}

fn first_in_place(differences: &[Difference], wanted: &ContainerSettings) -> Option<Correction> {
    differences.iter().find_map(|one| match one.mend(wanted) {
        Mend::InPlace(correction) => Some(correction),
        Mend::Anew => None,
    })
}

fn drift_memory<'a>(memory: &'a PodMemory, one: &ObservedContainer) -> Option<&'a DriftMemory> {
    memory.containers.get(&one.labels.container).map(|memory| &memory.drift)
}

fn newest_running(containers: &[ObservedContainer]) -> impl Iterator<Item = &ObservedContainer> {
    // By name and attempt, so the last of a name is its newest.
    let nexts = containers.iter().skip(1).map(Some).chain([None]);
    containers.iter().zip(nexts).filter_map(|(one, next)| {
        let is_newest = next.is_none_or(|next| next.labels.container != one.labels.container);
        (is_newest && one.is_running()).then_some(one)
    })
}

impl Difference {
    /// Whether a pod cannot be reached as it shall be.
    fn is_of_network(&self) -> bool {
        matches!(self, Difference::Owner { .. } | Difference::Ports { .. })
    }

    fn mend(&self, wanted: &ContainerSettings) -> Mend {
        match self {
            Difference::Paused => Mend::InPlace(Correction::Unpause),
            Difference::OutOfNetwork => Mend::InPlace(Correction::Connect),
            Difference::InNetwork(network) => {
                Mend::InPlace(Correction::Disconnect { network: network.clone() })
            }
            Difference::Limit { shall: Some(_), .. } | Difference::Restart(_) => {
                Mend::InPlace(Correction::Update(wanted.limits.clone()))
            }
            Difference::Limit { shall: None, .. }
            | Difference::CpuSet(_)
            | Difference::Owner { .. }
            | Difference::Ports { .. } => Mend::Anew,
        }
    }
}

/// As it follows the container's name.
impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Paused => out.write_str("is paused"),
            Difference::OutOfNetwork => out.write_str("is not in its network"),
            Difference::InNetwork(network) => write!(out, "is in the network {network}, too"),
            Difference::Owner { shall: NamespaceOwner::Host } => {
                out.write_str("has a network of its own and shall have the node's")
            }
            Difference::Owner { shall: NamespaceOwner::Pod } => {
                out.write_str("has the node's network and shall have its own")
            }
            Difference::Ports { is, shall } => {
                let (is, shall) = (show_ports(is), show_ports(shall));
                write!(out, "has {is} of the node and shall have {shall}")
            }
            Difference::Limit { limit, is: Some(is), shall: Some(shall) } => {
                let (is, shall) = (limit.amount(*is), limit.amount(*shall));
                write!(out, "has {is} and shall have {shall}", is = limit.with(&is))
            }
            Difference::Limit { limit, is: Some(is), shall: None } => {
                write!(out, "has {} and shall have no limit", limit.with(&limit.amount(*is)))
            }
            Difference::Limit { limit, is: None, shall: Some(shall) } => {
                write!(out, "has no {limit} and shall have {}", limit.amount(*shall))
            }
            Difference::Limit { limit, is: None, shall: None } => write!(out, "has no {limit}"),
            Difference::CpuSet(set) => {
                write!(out, "may use CPUs {set} alone and shall be free to use any")
            }
            Difference::Restart(policy) => {
                write!(out, "has the engine's restart policy {policy} and shall have none")
            }
        }
    }
}

/// Ports of a node, as `port 80 for 8080/tcp`.
fn show_ports(ports: &BTreeSet<PublishedPort>) -> String {
    let show = |PublishedPort { port, at, address }: &PublishedPort| match address {
        Some(address) => format!("port {at} at {address} for {port}"),
        None => format!("port {at} for {port}"),
    };
    let shown: Vec<String> = ports.iter().map(show).collect();
    if shown.is_empty() { "no port".to_owned() } else { shown.join(", ") }
}

impl Limit {
    fn with(self, amount: &str) -> String {
        format!("a {self} of {amount}")
    }

    fn amount(self, number: i64) -> String {
        const MEBIBYTE: i64 = 1 << 20;
        match self {
            Limit::Memory | Limit::Swap if number % MEBIBYTE == 0 => {
                format!("{} MiB", number / MEBIBYTE)
            }
            Limit::Memory | Limit::Swap => format!("{number} bytes"),
            // Thousandths, as Kubernetes has them.
            Limit::Cpus if number % 1_000_000 == 0 => format!("{}m", number / 1_000_000),
            Limit::Cpus => format!("{number} billionths"),
            Limit::CpuShares | Limit::Processes => number.to_string(),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Limit::Memory => "memory limit",
            Limit::Swap => "limit of memory and swap",
            Limit::Cpus => "CPU limit",
            Limit::CpuShares => "CPU share",
            Limit::Processes => "limit of processes",
        })
    }
}
