//! What can be changed on a container while it runs: as the engine takes it, and as it says it.

use std::collections::{BTreeSet, HashMap};

use bollard::models::{
    ContainerState, ContainerStateStatusEnum, ContainerUpdateBody, EndpointSettings, HostConfig,
    PortBinding, PortMap, RestartPolicy, RestartPolicyNameEnum,
};

use super::DEFAULT_NETWORK;
use crate::runtime::{ContainerSettings, EngineRestart, Execution, Limits, Network, PublishedPort};

/// Whether an engine limits swap. One that does not says of every container that nobody limits its swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swap {
    Accounted,
    /// Or it is not known yet.
    Unaccounted,
}

/// The part of a container's description that may be changed later.
pub(super) fn host_config(limits: &Limits) -> HostConfig {
    let Limits { cpu_shares, nano_cpus, cpu_set, memory_bytes, memory_swap_bytes, pids_limit } =
        limits.clone();
    HostConfig {
        cpu_shares,
        nano_cpus,
        cpuset_cpus: cpu_set,
        memory: memory_bytes,
        memory_swap: memory_swap_bytes,
        pids_limit,
        restart_policy: Some(never()),
        ..HostConfig::default()
    }
}

/// Puts back what [`host_config`] had said. What is absent stays as it is.
pub(super) fn update_body(limits: &Limits) -> ContainerUpdateBody {
    let wanted = host_config(limits);
    ContainerUpdateBody {
        cpu_shares: wanted.cpu_shares,
        nano_cpus: wanted.nano_cpus,
        cpuset_cpus: wanted.cpuset_cpus,
        memory: wanted.memory,
        memory_swap: wanted.memory_swap,
        pids_limit: wanted.pids_limit,
        restart_policy: wanted.restart_policy,
        ..ContainerUpdateBody::default()
    }
}

fn never() -> RestartPolicy {
    RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }
}

/// The settings of a container from what the engine says of it.
pub(super) fn observed(
    config: HostConfig,
    networks: Option<&HashMap<String, EndpointSettings>>,
    state: Option<&ContainerState>,
    swap: Swap,
) -> ContainerSettings {
    // Zero is how the engine says that nobody gave one.
    let limit = |number: Option<i64>| number.filter(|number| *number != 0);
    let paused = Some(ContainerStateStatusEnum::PAUSED);
    ContainerSettings {
        limits: Limits {
            cpu_shares: limit(config.cpu_shares),
            nano_cpus: limit(config.nano_cpus)
                .or_else(|| of_quota(config.cpu_quota?, limit(config.cpu_period))),
            cpu_set: config.cpuset_cpus.filter(|set| !set.is_empty()),
            memory_bytes: limit(config.memory),
            memory_swap_bytes: limit(config.memory_swap).filter(|_| swap == Swap::Accounted),
            pids_limit: limit(config.pids_limit),
        },
        restart: restart(config.restart_policy),
        networks: networks.map(of_names).unwrap_or_default(),
        published_ports: published(config.port_bindings.unwrap_or_default()),
        execution: match state.is_some_and(|state| state.status == paused) {
            true => Execution::Paused,
            false => Execution::Going,
        },
    }
}

/// CPUs that are limited in the other of the engine's two ways.
fn of_quota(quota: i64, period: Option<i64>) -> Option<i64> {
    const DEFAULT_PERIOD_MICROS: i64 = 100_000;
    if quota <= 0 {
        return None;
    }
    quota.checked_mul(1_000_000_000)?.checked_div(period.unwrap_or(DEFAULT_PERIOD_MICROS))
}

fn restart(policy: Option<RestartPolicy>) -> EngineRestart {
    match policy.and_then(|policy| policy.name) {
        None | Some(RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY) => {
            EngineRestart::Never
        }
        Some(name) => EngineRestart::Policy(name.to_string()),
    }
}

/// One whose number the engine is to find has none here.
fn published(bindings: PortMap) -> BTreeSet<PublishedPort> {
    let all = bindings.into_iter().flat_map(|(port, bindings)| {
        bindings.unwrap_or_default().into_iter().map(move |binding| (port.clone(), binding))
    });
    let published = all.map(|(port, PortBinding { host_ip, host_port })| PublishedPort {
        port,
        at: host_port.and_then(|port| port.parse().ok()).unwrap_or(0),
        address: host_ip.and_then(|address| address.parse().ok()),
    });
    published.map(PublishedPort::normalized).collect()
}

fn of_names(networks: &HashMap<String, EndpointSettings>) -> BTreeSet<Network> {
    let network = |name: &String| match name.as_str() {
        DEFAULT_NETWORK => Network::Default,
        _ => Network::Other(name.clone()),
    };
    networks.keys().map(network).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Limits {
        Limits {
            cpu_shares: Some(512),
            nano_cpus: Some(1_500_000_000),
            cpu_set: Some("0-1".to_owned()),
            memory_bytes: Some(64 << 20),
            memory_swap_bytes: Some(64 << 20),
            pids_limit: Some(4096),
        }
    }

    fn of_config(config: HostConfig) -> ContainerSettings {
        observed(config, None, None, Swap::Accounted)
    }

    #[test]
    fn what_a_container_is_made_with_is_what_is_seen_of_it() {
        for limits in [all(), Limits::default()] {
            let seen = of_config(host_config(&limits));
            assert_eq!((seen.limits, seen.restart), (limits, EngineRestart::Never));
        }
    }

    #[test]
    fn an_update_says_everything_that_was_said_when_it_was_made() {
        let (made, update) = (host_config(&all()), update_body(&all()));
        let made = serde_json::to_value(made).unwrap();
        assert_eq!(made, serde_json::to_value(update).unwrap());
    }

    #[test]
    fn what_the_engine_says_instead_of_no_limit_is_none() {
        let seen = of_config(HostConfig {
            cpu_shares: Some(0),
            cpuset_cpus: Some(String::new()),
            memory: Some(0),
            pids_limit: None,
            ..HostConfig::default()
        });
        assert_eq!(seen.limits, Limits::default());
    }

    #[test]
    fn swap_is_seen_where_the_engine_accounts_for_it() {
        let config = || HostConfig { memory_swap: Some(-1), ..HostConfig::default() };
        let seen = |swap| observed(config(), None, None, swap).limits.memory_swap_bytes;
        assert_eq!((seen(Swap::Accounted), seen(Swap::Unaccounted)), (Some(-1), None));
    }

    #[test]
    fn a_quota_limits_the_cpus_too() {
        let config = |period| HostConfig {
            cpu_quota: Some(50_000),
            cpu_period: period,
            ..HostConfig::default()
        };
        assert_eq!(of_config(config(None)).limits.nano_cpus, Some(500_000_000));
        assert_eq!(of_config(config(Some(25_000))).limits.nano_cpus, Some(2_000_000_000));
    }

    #[test]
    fn networks_restart_policy_and_pause_are_seen() {
        let policy =
            RestartPolicy { name: Some(RestartPolicyNameEnum::ALWAYS), maximum_retry_count: None };
        let config = HostConfig { restart_policy: Some(policy), ..HostConfig::default() };
        let networks = HashMap::from([
            (DEFAULT_NETWORK.to_owned(), EndpointSettings::default()),
            ("other".to_owned(), EndpointSettings::default()),
        ]);
        let status = Some(ContainerStateStatusEnum::PAUSED);
        let state = ContainerState { status, ..ContainerState::default() };
        let seen = observed(config, Some(&networks), Some(&state), Swap::Accounted);
        let expected = [Network::Default, Network::Other("other".to_owned())];
        assert_eq!(seen.networks, expected.into());
        assert_eq!(seen.restart, EngineRestart::Policy("always".to_owned()));
        assert_eq!(seen.execution, Execution::Paused);
    }
}
