//! Containers as the engine shows them, and which of those that say that they are ours are.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use bollard::Docker;
use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummaryStateEnum,
    DriverData, EndpointSettings, SystemInfo,
};
use dugout_model::{ContainerExit, ImageDigest, Timestamp};

use super::settings::{self, Swap};
use super::{DEFAULT_NETWORK, DockerRuntime, QUICK};
use crate::labels::{ContainerLabels, Owner, UID};
use crate::runtime::{
    ContainerProcess, HOST_NETWORK, ListedState, ObservedContainer, ObservedState, PermanentKind,
    RuntimeError,
};

impl DockerRuntime {
    pub(super) fn note_swap(&self, info: &SystemInfo) {
        self.accounts_swap.store(info.swap_limit == Some(true), Ordering::Relaxed);
    }

    /// An engine that keeps its images in containerd's store names each by a digest, wherever it is from.
    pub(super) fn note_image_store(&self, info: &SystemInfo) {
        let status = info.driver_status.iter().flatten().flatten();
        let names_all =
            status.into_iter().any(|text| text.starts_with("io.containerd.snapshotter"));
        self.names_all_images.store(names_all, Ordering::Relaxed);
    }

    /// One of our containers from what the engine says of it.
    pub(super) async fn observed(
        &self,
        found: ContainerInspectResponse,
        owner: &Owner,
    ) -> Result<Option<ObservedContainer>, RuntimeError> {
        let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
        let Some(ours) = labels.and_then(|labels| ContainerLabels::from_map(labels, owner)) else {
            return Ok(None);
        };
        let name = found.name.as_deref().unwrap_or_default();
        if !self.is_genuine(name, found.image.as_deref(), &ours).await? {
            return Ok(None);
        }
        let swap = match self.accounts_swap.load(Ordering::Relaxed) {
            true => Swap::Accounted,
            false => Swap::Unaccounted,
        };
        Ok(of_labels(found, ours, swap, self.node_address))
    }

    /// Whether we gave a container its labels. One that somebody made of an image that he had committed
    /// from one of ours has them from there, and is his. Whoever renamed one of ours did not make it his.
    pub(crate) async fn is_genuine(
        &self,
        name: &str,
        image: Option<&str>,
        labels: &ContainerLabels,
    ) -> Result<bool, RuntimeError> {
        let has_our_name = name.trim_start_matches('/') == labels.container_name();
        let Some(image) = image.filter(|_| !has_our_name) else { return Ok(true) };
        let call = |docker: Docker| async move { docker.inspect_image(image).await };
        let of_image = match self.call("look for an image", QUICK, call).await {
            Ok(image) => image.config.and_then(|config| config.labels).unwrap_or_default(),
            // Somebody removed it by force: then nothing speaks against the container's own word.
            Err(error) if error.permanent_kind() == Some(PermanentKind::NotFound) => HashMap::new(),
            Err(error) => return Err(error),
        };
        Ok(of_image.get(UID) != Some(&labels.uid.to_string()))
    }
}

fn of_labels(
    found: ContainerInspectResponse,
    labels: ContainerLabels,
    swap: Swap,
    node_address: Option<IpAddr>,
) -> Option<ObservedContainer> {
    let created_at = found.created.as_deref().and_then(moment).unwrap_or_default();
    let networks = found.network_settings.and_then(|all| all.networks);
    let named = found.config.and_then(|config| config.image);
    let image_digest = named.as_deref().and_then(ImageDigest::of_reference);
    let config = found.host_config.unwrap_or_default();
    let process = process(found.state.as_ref(), found.graph_driver);
    Some(ObservedContainer {
        id: found.id?,
        labels,
        image_id: found.image,
        image_digest,
        settings: settings::observed(config, networks.as_ref(), found.state.as_ref(), swap),
        state: observed_state(found.state?, created_at),
        address: address(networks, node_address),
        created_at,
        process,
    })
}

/// Engines write the process 0 where there is none.
fn process(state: Option<&ContainerState>, driver: Option<DriverData>) -> Option<ContainerProcess> {
    let id = u32::try_from(state?.pid?).ok().filter(|id| *id > 0)?;
    let layer = driver.and_then(|mut driver| driver.data.remove("UpperDir")).map(PathBuf::from);
    Some(ContainerProcess { id, layer })
}

pub(super) fn listed_state(state: ContainerSummaryStateEnum) -> ListedState {
    match state {
        ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::RESTARTING => {
            ListedState::Running
        }
        ContainerSummaryStateEnum::PAUSED => ListedState::Paused,
        ContainerSummaryStateEnum::EXITED => ListedState::Exited,
        ContainerSummaryStateEnum::REMOVING | ContainerSummaryStateEnum::DEAD => {
            ListedState::Removing
        }
        _ => ListedState::Created,
    }
}

fn observed_state(state: ContainerState, created_at: Timestamp) -> ObservedState {
    let started_at = state.started_at.as_deref().and_then(moment);
    match state.status {
        Some(
            ContainerStateStatusEnum::RUNNING
            | ContainerStateStatusEnum::PAUSED
            | ContainerStateStatusEnum::RESTARTING,
        ) => ObservedState::Running { started_at: started_at.unwrap_or(created_at) },
        Some(ContainerStateStatusEnum::EXITED) => {
            let finished_at = state.finished_at.as_deref().and_then(moment);
            ObservedState::Exited {
                started_at: started_at.unwrap_or(created_at),
                exit: ContainerExit {
                    exit_code: state.exit_code.unwrap_or(-1),
                    oom_killed: state.oom_killed.unwrap_or(false),
                    finished_at: finished_at.or(started_at).unwrap_or(created_at),
                },
            }
        }
        Some(ContainerStateStatusEnum::REMOVING | ContainerStateStatusEnum::DEAD) => {
            ObservedState::Removing
        }
        _ => ObservedState::Created,
    }
}

/// The address on the engine's default network, where every container of ours is made; if someone took
/// it from there, that on the first other network by name. Of one on the network of its node it is the node's.
pub(super) fn address(
    networks: Option<HashMap<String, EndpointSettings>>,
    of_node: Option<IpAddr>,
) -> Option<IpAddr> {
    let networks = networks?;
    if networks.contains_key(HOST_NETWORK) {
        return of_node;
    }
    let mut networks: Vec<_> = networks.into_iter().collect();
    networks.sort_by(|(a, _), (b, _)| (a != DEFAULT_NETWORK, a).cmp(&(b != DEFAULT_NETWORK, b)));
    networks.iter().find_map(|(_, network)| network.ip_address.as_ref()?.parse().ok())
}

/// A moment as the engine writes it; its zero value means that there was none.
fn moment(text: &str) -> Option<Timestamp> {
    let micros = chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros();
    (micros > 0).then(|| Timestamp::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_zero_moment_is_none() {
        assert_eq!(moment("0001-01-01T00:00:00Z"), None);
        let at = moment("2026-11-23T20:21:03.047614772Z").unwrap();
        assert_eq!(at.as_micros() % 1_000_000, 47_614);
    }

    #[test]
    fn only_what_runs_has_a_process_and_only_some_drivers_a_layer() {
        let state = |pid| ContainerState { pid: Some(pid), ..ContainerState::default() };
        let data = HashMap::from([("UpperDir".to_owned(), "/layers/1".to_owned())]);
        let driver = || DriverData { name: "overlay2".to_owned(), data: data.clone() };
        let found = process(Some(&state(7)), Some(driver()));
        assert_eq!(found, Some(ContainerProcess { id: 7, layer: Some("/layers/1".into()) }));
        assert_eq!(process(Some(&state(7)), None), Some(ContainerProcess { id: 7, layer: None }));
        assert_eq!(process(Some(&state(0)), Some(driver())), None);
    }

    #[test]
    fn the_address_on_the_default_network_is_the_containers() {
        let network = |ip: &str| EndpointSettings {
            ip_address: Some(ip.to_owned()),
            ..EndpointSettings::default()
        };
        let mut networks = HashMap::from([
            ("b".to_owned(), network("10.0.0.2")),
            ("a".to_owned(), network("")),
            ("c".to_owned(), network("10.0.0.3")),
        ]);
        assert_eq!(address(Some(networks.clone()), None), "10.0.0.2".parse().ok());
        networks.insert("bridge".to_owned(), network("172.17.0.2"));
        assert_eq!(address(Some(networks), None), "172.17.0.2".parse().ok());
        assert_eq!(address(None, None), None);
        let of_node = "192.0.2.7".parse().ok();
        let on_host = HashMap::from([("host".to_owned(), network(""))]);
        assert_eq!(address(Some(on_host), of_node), of_node);
    }
}
