//! What somebody changed by hand on a container that runs.

use dugout_model::{
    ContainerPort, ContainerResources, Drift, HostPort, NodePrivilege, NodePrivileges, Protocol,
};

use super::*;
use crate::converge::drift::{Difference, Limit, Renewal, differences};
use crate::labels::SANDBOX;
use crate::runtime::{
    ContainerSettings, Correction, EngineRestart, Execution, HOST_NETWORK, Network, PublishedPort,
};
use crate::spec::container_settings;

/// A pod whose container has a memory limit of 128 MiB and runs.
fn limited(policy: RestartPolicy) -> Node {
    let mut template = template("web");
    template.restart_policy = policy;
    template.containers[0].resources =
        ContainerResources { memory_limit_bytes: Some(128 << 20), ..ContainerResources::default() };
    let mut node = Node::new(vec![pod(1, template)]);
    node.see(container(1, 0, running(1)));
    node
}

impl Node {
    /// Somebody changes the newest container of this name.
    fn change(&mut self, name: &str, change: impl FnOnce(&mut ContainerSettings)) {
        let mut containers = self.observed.of_pod(uid(1)).iter().rev();
        let one = containers.find(|one| one.labels.container == name).unwrap();
        let mut changed = one.clone();
        change(&mut changed.settings);
        self.observed.put(changed);
    }
}

fn wanted() -> ContainerSettings {
    let node = limited(RestartPolicy::Always);
    container_settings(&node.assignment.pods[0].template, "web").unwrap()
}

fn pause(settings: &mut ContainerSettings) {
    settings.execution = Execution::Paused;
}

fn halve_memory(settings: &mut ContainerSettings) {
    settings.limits.memory_bytes = Some(64 << 20);
}

fn limit_cpus(settings: &mut ContainerSettings) {
    settings.limits.nano_cpus = Some(500_000_000);
}

fn leave_network(settings: &mut ContainerSettings) {
    settings.networks = [Network::Other("lab".into())].into();
}

fn correct(correction: Correction) -> Action {
    Action::Correct { pod: uid(1), container: "web".into(), id: "id-1-0".into(), correction }
}

#[test]
fn each_difference_is_found_and_said_in_words() {
    type Case = (fn(&mut ContainerSettings), &'static [&'static str]);
    let cases: [Case; 12] = [
        (|_| {}, &[]),
        (pause, &["is paused"]),
        (leave_network, &["is not in its network", "is in the network lab, too"]),
        (halve_memory, &["has a memory limit of 64 MiB and shall have 128 MiB"]),
        // An engine without the means for a limit drops it.
        (|one| one.limits.memory_bytes = None, &[]),
        (
            |one| one.limits.memory_swap_bytes = Some(-1),
            &["has no limit of memory and swap and shall have 128 MiB"],
        ),
        // Nothing is seen of it where the engine does not account for it.
        (|one| one.limits.memory_swap_bytes = None, &[]),
        (
            |one| one.limits.pids_limit = Some(-1),
            &["has no limit of processes and shall have 4096"],
        ),
        (limit_cpus, &["has a CPU limit of 500m and shall have no limit"]),
        (
            |one| one.limits.pids_limit = Some(9),
            &["has a limit of processes of 9 and shall have 4096"],
        ),
        (
            |one| one.limits.cpu_set = Some("0".into()),
            &["may use CPUs 0 alone and shall be free to use any"],
        ),
        (
            |one| one.restart = EngineRestart::Policy("always".into()),
            &["has the engine's restart policy always and shall have none"],
        ),
    ];
    for (change, words) in cases {
        let mut seen = wanted();
        change(&mut seen);
        let found: Vec<String> =
            differences(&seen, &wanted()).iter().map(ToString::to_string).collect();
        assert_eq!(found, words);
    }
}

#[test]
fn what_was_changed_is_put_back_one_thing_after_the_other() {
    let mut node = limited(RestartPolicy::Always);
    assert_eq!(node.plan(), Plan::default());
    node.change("web", |one| {
        pause(one);
        halve_memory(one);
        leave_network(one);
    });
    let limits = wanted().limits;
    type Undo = (Correction, fn(&mut ContainerSettings));
    let undo: [Undo; 4] = [
        (Correction::Unpause, |one| one.execution = Execution::Going),
        (Correction::Connect, |one| _ = one.networks.insert(Network::Default)),
        (Correction::Disconnect { network: "lab".into() }, |one| {
            one.networks = [Network::Default].into();
        }),
        (Correction::Update(limits), |one| one.limits.memory_bytes = Some(128 << 20)),
    ];
    for (correction, effect) in undo {
        assert_eq!(node.plan().actions, [correct(correction)]);
        node.change("web", effect);
    }
    assert_eq!(node.plan(), Plan::default());
    assert_eq!(node.report().drift, [""; 0]);
}

#[test]
fn what_shall_only_be_shown_is_shown_and_left() {
    let mut node = limited(RestartPolicy::Always);
    node.assignment.pods[0].drift = Drift::Warn;
    node.change("web", pause);
    assert_eq!(node.plan(), Plan::default());
    assert_eq!(node.report().drift, ["container web is paused"]);
}

#[test]
fn a_limit_that_cannot_be_lifted_is_taken_off_with_its_container_once() {
    let mut node = limited(RestartPolicy::Always);
    node.change("web", limit_cpus);
    let why = "has a CPU limit of 500m and shall have no limit".to_owned();
    assert_eq!(node.plan().actions, [stop_action(0, 7, StopWhy::Drifted(why))]);
    node.succeed();
    let limit = Difference::Limit { limit: Limit::Cpus, is: Some(500_000_000), shall: None };
    assert_eq!(node.memory().container("web").drift.renewal, Renewal::Tried);
    // An engine that limits every container is not argued with.
    node.see(container(1, 0, exited(1, 100)));
    node.see(container(1, 1, running(101)));
    node.change("web", limit_cpus);
    assert_eq!(node.plan(), Plan::default());
    assert_eq!(node.report().drift, [format!("container web {limit}")]);
}

#[test]
fn what_runs_to_its_end_or_drains_is_not_ended_for_a_limit() {
    for policy in [RestartPolicy::OnFailure, RestartPolicy::Never] {
        let mut node = limited(policy);
        node.change("web", limit_cpus);
        assert_eq!(node.plan(), Plan::default());
        node.change("web", pause);
        assert_eq!(node.plan().actions, [correct(Correction::Unpause)]);
    }
    let mut node = limited(RestartPolicy::Always);
    node.assignment.pods[0].order = PodOrder::Run { draining: true };
    node.change("web", limit_cpus);
    assert_eq!(node.plan(), Plan::default());
}

#[test]
fn a_correction_that_fails_waits_ever_longer_and_holds_nothing_up() {
    let mut node = limited(RestartPolicy::Always);
    node.change("web", pause);
    node.fail(FailureKind::Permanent);
    assert_eq!(node.plan(), Plan { wake_at: Some(at(110)), ..Plan::default() });
    node.now = 110;
    node.fail(FailureKind::Permanent);
    assert_eq!(node.plan(), Plan { wake_at: Some(at(130)), ..Plan::default() });
    node.see(container(1, 0, exited(1, 110)));
    assert_eq!(node.plan().actions, [create(1, 1)]);
}

#[test]
fn a_pod_that_leaves_is_stopped_as_it_is() {
    let mut node = limited(RestartPolicy::Always);
    node.change("web", pause);
    node.assignment.pods[0].order = PodOrder::Stop { grace: Duration::from_secs(3) };
    assert_eq!(node.plan().actions, [stop_action(0, 3, StopWhy::Ordered)]);
    assert_eq!(node.report().drift, [""; 0]);
}

#[test]
fn a_shared_network_is_put_back_where_it_belongs() {
    let mut template = template("web");
    let other = dugout_model::Container { name: "other".into(), ..template.containers[0].clone() };
    template.containers.push(other);
    let mut node = Node::new(vec![pod(1, template)]);
    for name in [SANDBOX, "web", "other"] {
        let mut one = container(1, 0, running(1));
        one.id = format!("id-{name}");
        one.labels.container = name.into();
        node.see(one);
    }
    assert_eq!(node.plan(), Plan::default());
    node.change(SANDBOX, leave_network);
    let (pod, container, id) = (uid(1), SANDBOX.to_owned(), format!("id-{SANDBOX}"));
    let correction = Correction::Connect;
    assert_eq!(node.plan().actions, [Action::Correct { pod, container, id, correction }]);
    assert_eq!(node.report().drift[0], "the sandbox is not in its network");
    // It is never ended for a limit: its pod would go with it.
    node.change(SANDBOX, |one| {
        one.networks = [Network::Default].into();
        limit_cpus(one);
    });
    assert_eq!(node.plan(), Plan::default());
}

#[test]
fn what_was_changed_is_put_back_while_the_start_of_another_container_waits() {
    let mut template = template("web");
    let other = Container { name: "other".into(), ..template.containers[0].clone() };
    template.containers.push(other);
    let mut node = Node::new(vec![pod(1, template)]);
    let mut sandbox = container(1, 0, running(1));
    (sandbox.id, sandbox.labels.container) = ("sandbox".into(), SANDBOX.into());
    node.see(sandbox);
    let mut web = container(1, 0, running(2));
    web.settings = container_settings(&node.assignment.pods[0].template, "web").unwrap();
    node.see(web);
    node.fail(FailureKind::Permanent);
    assert_eq!(node.plan().actions, []);
    node.change("web", pause);
    assert_eq!(node.plan().actions, [correct(Correction::Unpause)]);
    node.succeed();
    node.change("web", |one| one.execution = Execution::Going);
    let waits = node.plan();
    assert!(waits.actions.is_empty() && waits.wake_at.is_some(), "it still has its wait");
}

fn port_of_node(at: u16) -> PublishedPort {
    PublishedPort { port: "8080/tcp".into(), at, address: None }
}

/// A pod with one container at a port of its node that allows it, or with two that share a sandbox.
fn at_port(containers: &[&str]) -> Node {
    let mut template = template("web");
    let host = Some(HostPort { port: 80, address: Some([0, 0, 0, 0].into()) });
    let (name, protocol, container_port) = (String::new(), Protocol::Tcp, 8080);
    template.containers[0].ports = vec![ContainerPort { name, container_port, protocol, host }];
    for name in containers.iter().filter(|name| !["web", SANDBOX].contains(name)) {
        let other =
            Container { name: (*name).into(), ports: vec![], ..template.containers[0].clone() };
        template.containers.push(other);
    }
    let mut node = Node::new(vec![pod(1, template)]);
    node.policy.allowed = [NodePrivilege::HostPort].into_iter().collect();
    for name in containers {
        let mut one = container(1, 0, running(1));
        one.id = format!("id-{name}");
        one.labels.container = (*name).into();
        node.see(one);
    }
    node
}

/// As it was made by an agent that knew no ports of nodes.
#[test]
fn a_container_without_its_port_of_the_node_is_made_anew_where_it_may_be() {
    let mut node = at_port(&["web"]);
    assert_eq!(node.plan(), Plan::default(), "what is right runs on");
    node.change("web", |one| one.published_ports.clear());
    let words = "has no port of the node and shall have port 80 for 8080/tcp";
    let stopped = |node: &Node| match node.plan().actions.as_slice() {
        [Action::Stop { targets, why, .. }] => Some((targets[0].container.clone(), why.clone())),
        _ => None,
    };
    let why = StopWhy::Drifted(words.to_owned());
    assert_eq!(stopped(&node), Some(("web".to_owned(), why.clone())));
    node.policy.allowed = NodePrivileges::default();
    assert_eq!(node.plan(), Plan::default(), "it could not be made again");

    let mut node = at_port(&[SANDBOX, "web", "other"]);
    assert_eq!(node.plan(), Plan::default());
    node.change(SANDBOX, |one| one.published_ports = [port_of_node(81)].into());
    let words = "has port 81 for 8080/tcp of the node and shall have port 80 for 8080/tcp";
    let why = StopWhy::Drifted(words.to_owned());
    assert_eq!(stopped(&node), Some((SANDBOX.to_owned(), why)), "the network is the sandbox's");
}

#[test]
fn a_container_on_the_network_of_another_is_told_apart() {
    let own = wanted();
    let host = [Network::Other(HOST_NETWORK.to_owned())].into();
    let on_host = ContainerSettings { networks: host, ..wanted() };
    let told = |seen: &ContainerSettings, wanted: &ContainerSettings| {
        differences(seen, wanted).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(told(&own, &on_host), ["has a network of its own and shall have the node's"]);
    assert_eq!(told(&on_host, &own), ["has the node's network and shall have its own"]);
    assert_eq!(told(&on_host, &on_host), [""; 0]);
}
