//! Which containers are measured, and with which their pod's network is.

use super::*;
use crate::labels::SANDBOX;
use crate::runtime::{ContainerProcess, HOST_NETWORK};
use crate::testing::exited;
use crate::usage::{MeasuredContainers, Scope};

/// The container of a pod that runs since a moment, its process named after that.
fn named(number: u128, name: &str, since: u64) -> ObservedContainer {
    let mut one = container(number, 0, running(since));
    one.id = format!("{name}-{number}");
    one.labels.container = name.to_owned();
    let id = u32::try_from(since).unwrap();
    one.process = Some(ContainerProcess { id, layer: None });
    one
}

fn joined(number: u128, name: &str, since: u64) -> ObservedContainer {
    let mut one = named(number, name, since);
    one.settings.networks.clear();
    one
}

fn on_host(mut one: ObservedContainer) -> ObservedContainer {
    one.settings.networks = [Network::Other(HOST_NETWORK.to_owned())].into();
    one
}

fn measured(node: &mut Node<Engine>, seen: Vec<ObservedContainer>) -> Arc<MeasuredContainers> {
    for one in seen {
        node.see(one);
    }
    node.tell_measured();
    node.metrics.usage.measured()
}

fn scopes(measured: &MeasuredContainers) -> Vec<(String, Scope)> {
    let scope = |(name, one): (&crate::usage::ContainerName, &crate::usage::Measured)| {
        (format!("{}/{}", name.pod, name.container), one.scope)
    };
    measured.iter().map(scope).collect()
}

#[tokio::test]
async fn the_network_of_a_pod_is_read_with_its_sandbox_or_its_only_container() {
    let mut node = node_of(&Arc::new(Engine::default()));
    node.take_accepted(Arc::new(assignment(1, vec![pod(1, template("web"))])), None);
    let seen = vec![
        named(1, "web", 1),
        named(2, SANDBOX, 2),
        joined(2, "a", 3),
        joined(2, "b", 4),
        on_host(named(3, "agent", 5)),
        on_host(named(4, SANDBOX, 6)),
        joined(4, "c", 7),
    ];
    let all = measured(&mut node, seen);
    let expected = [
        ("web-1/web", Scope::ContainerAndNetwork),
        ("web-2/POD", Scope::Network),
        ("web-2/a", Scope::Container),
        ("web-2/b", Scope::Container),
        ("web-3/agent", Scope::Container),
        ("web-4/c", Scope::Container),
    ];
    assert_eq!(scopes(&all), expected.map(|(name, scope)| (name.to_owned(), scope)));
    assert_eq!(node.metrics.containers.get(), 5, "a sandbox is none of a pod's containers");
    let images: Vec<&str> = all.values().map(|one| one.image.as_str()).collect();
    assert_eq!(images[..2], ["image:1", "sha256:1"], "as assigned, else as the engine names it");
    // Nothing is told anew where nothing changed.
    assert!(Arc::ptr_eq(&all, &measured(&mut node, vec![])));
}

#[tokio::test]
async fn what_ended_or_began_anew_is_told() {
    let mut node = node_of(&Arc::new(Engine::default()));
    let before = measured(&mut node, vec![named(1, "web", 1), named(2, "web", 2)]);
    let mut ended = named(2, "web", 2);
    ended.state = exited(2, 3);
    ended.process = None;
    let after = measured(&mut node, vec![named(1, "web", 9), ended]);
    let processes =
        |all: &MeasuredContainers| -> Vec<u32> { all.values().map(|one| one.process_id).collect() };
    assert_eq!((processes(&before), processes(&after)), (vec![1, 2], vec![9]));
}

#[tokio::test]
async fn of_two_pods_of_one_name_the_newer_is_told() {
    let mut node = node_of(&Arc::new(Engine::default()));
    let mut leaving = named(1, "web", 1);
    leaving.labels.pod = named(2, "web", 2).labels.pod;
    let all = measured(&mut node, vec![named(2, "web", 2), leaving]);
    assert_eq!(all.values().map(|one| one.process_id).collect::<Vec<_>>(), [2]);
}
