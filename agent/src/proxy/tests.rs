//! The proxy against real sockets on the loopback address.

use std::time::Instant;

use dugout_model::{AssignedService, AssignedServicePort, Endpoint};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::table::Choice;
use super::*;
use crate::testing::{assignment, uid};

/// A server that greets with a letter and then echoes.
async fn greeter(letter: u8) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                client.write_all(&[letter]).await.unwrap();
                let (mut read, mut write) = client.split();
                tokio::io::copy(&mut read, &mut write).await.ok();
            });
        }
    });
    address
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

fn service(node_port: u16, pods: &[(u128, SocketAddr)]) -> Assignment {
    let endpoints = pods.iter().map(|(pod, address)| Endpoint {
        pod: uid(*pod),
        port: address.port(),
        place: EndpointPlace::SameEngine { address: address.ip() },
    });
    let mut assignment = assignment(1, vec![]);
    assignment.services = vec![AssignedService {
        key: ObjectKey::new("demo", "web"),
        ports: vec![AssignedServicePort {
            name: String::new(),
            protocol: Protocol::Tcp,
            port: 80,
            node_port,
            endpoints: endpoints.collect(),
        }],
    }];
    assignment
}

/// A service whose one pod is on this node and not ready.
fn service_without_ready_pod(node_port: u16) -> Assignment {
    let mut assignment = service(node_port, &[]);
    let endpoint = Endpoint { pod: uid(9), port: 80, place: EndpointPlace::Local };
    assignment.services[0].ports[0].endpoints.push(endpoint);
    assignment
}

fn proxy() -> (Proxy, mpsc::Receiver<PortNews>) {
    let (news, receiver) = mpsc::channel(8);
    (Proxy::new(AgentMetrics::unregistered(), news), receiver)
}

async fn dial(port: u16) -> (TcpStream, u8) {
    // The listener opens in the background.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(mut client) => {
                let letter = client.read_u8().await.unwrap();
                return (client, letter);
            }
            Err(_) if Instant::now() < deadline => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn connections_are_spread_and_both_ways_end_by_themselves() {
    let (a, b) = (greeter(b'a').await, greeter(b'b').await);
    let port = free_port().await;
    let (mut proxy, _news) = proxy();
    proxy.apply(&service(port, &[(1, a), (2, b)]), &BTreeMap::new());
    let (mut first, one) = dial(port).await;
    let (_second, two) = dial(port).await;
    assert_ne!(one, two);

    let sent = vec![7u8; 300_000];
    let (mut read, mut write) = first.split();
    let writing = async {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut got = Vec::new();
    let (_, read) = tokio::join!(writing, read.read_to_end(&mut got));
    read.unwrap();
    assert_eq!(got, sent);
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_is_passed_over() {
    let dead = SocketAddr::from(([127, 0, 0, 1], free_port().await));
    let b = greeter(b'b').await;
    let port = free_port().await;
    let (mut proxy, _news) = proxy();
    proxy.apply(&service(port, &[(1, dead), (2, b)]), &BTreeMap::new());
    for _ in 0..4 {
        assert_eq!(dial(port).await.1, b'b');
    }
}

#[tokio::test]
async fn a_connection_waits_for_an_endpoint_and_is_reset_when_none_comes() {
    let a = greeter(b'a').await;
    let port = free_port().await;
    let (mut proxy, _news) = proxy();
    proxy.apply(&service_without_ready_pod(port), &BTreeMap::new());
    let waiting = tokio::spawn(async move { dial(port).await.1 });
    tokio::time::sleep(Duration::from_millis(50)).await;
    proxy.apply(&service(port, &[(1, a)]), &BTreeMap::new());
    assert_eq!(waiting.await.unwrap(), b'a');

    proxy.apply(&service_without_ready_pod(port), &BTreeMap::new());
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let error = client.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_pod_that_left_keeps_its_connections_and_gets_no_new_ones() {
    let (a, b) = (greeter(b'a').await, greeter(b'b').await);
    let port = free_port().await;
    let (mut proxy, _news) = proxy();
    proxy.apply(&service(port, &[(1, a)]), &BTreeMap::new());
    let (mut old, _) = dial(port).await;
    proxy.apply(&service(port, &[(2, b)]), &BTreeMap::new());
    for _ in 0..4 {
        assert_eq!(dial(port).await.1, b'b');
    }
    old.write_all(b"x").await.unwrap();
    assert_eq!(old.read_u8().await.unwrap(), b'x');
    assert_eq!(proxy.busy_connections(uid(1)), 1);
    // Idle now, and so no reason to wait for it.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(proxy.busy_connections(uid(1)), 0);
    old.write_all(b"y").await.unwrap();
    assert_eq!(old.read_u8().await.unwrap(), b'y');
    assert_eq!(proxy.busy_connections(uid(1)), 1);
    drop(old);
}

#[tokio::test]
async fn a_local_pod_serves_while_it_is_ready() {
    let a = greeter(b'a').await;
    let port = free_port().await;
    let mut assignment = service(port, &[(1, a)]);
    assignment.services[0].ports[0].endpoints[0].place = EndpointPlace::Local;
    let pod = |ready| BTreeMap::from([(uid(1), LocalPod { address: a.ip(), ready })]);
    assert_eq!(wanted_ports(&assignment, &pod(true))[&port].endpoints, [(uid(1), a)]);
    assert_eq!(wanted_ports(&assignment, &pod(false))[&port].endpoints, []);
    assert_eq!(wanted_ports(&assignment, &BTreeMap::new())[&port].endpoints, []);
}

#[tokio::test]
async fn a_port_in_use_is_told_once_and_does_not_stop_the_others() {
    let a = greeter(b'a').await;
    let taken = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let taken_port = taken.local_addr().unwrap().port();
    let port = free_port().await;
    let mut wanted = service(taken_port, &[(1, a)]);
    let mut second = service(port, &[(1, a)]).services.remove(0);
    second.key = ObjectKey::new("demo", "other");
    wanted.services.push(second);
    let (mut proxy, mut news) = proxy();
    proxy.apply(&wanted, &BTreeMap::new());
    assert_eq!(dial(port).await.1, b'a');
    let PortNews::Unavailable { node_port, .. } = news.recv().await.unwrap() else { panic!() };
    assert_eq!(node_port, taken_port);
}

#[tokio::test]
async fn a_port_belongs_to_one_agent_until_it_ends_or_has_no_pods_behind_it() {
    let (a, b) = (greeter(b'a').await, greeter(b'b').await);
    let port = free_port().await;
    let (mut one, _one_news) = proxy();
    let (mut two, mut news) = proxy();
    one.apply(&service(port, &[(1, a)]), &BTreeMap::new());
    assert_eq!(dial(port).await.1, b'a');
    two.apply(&service(port, &[(2, b)]), &BTreeMap::new());
    assert!(matches!(news.recv().await, Some(PortNews::Unavailable { .. })));
    for _ in 0..4 {
        assert_eq!(dial(port).await.1, b'a');
    }
    one.apply(&service(port, &[]), &BTreeMap::new());
    assert!(matches!(news.recv().await, Some(PortNews::Available { .. })));
    assert_eq!(dial(port).await.1, b'b');
}

#[test]
fn the_least_loaded_endpoint_is_chosen_and_equals_take_turns() {
    let traffic = Traffic::default();
    let address = |last| SocketAddr::from(([127, 0, 0, last], 80));
    let table = Table::new(vec![(uid(1), address(1)), (uid(2), address(2)), (uid(3), address(3))]);
    let now = Instant::now();
    let choose = |tried: &[usize]| match table.choose(&traffic, tried, now) {
        Choice::Endpoint(chosen) => chosen,
        other => panic!("{other:?}"),
    };
    let first = choose(&[]);
    let second = choose(&[]);
    let third = choose(&[]);
    assert_eq!([first.place, second.place, third.place], [0, 1, 2]);
    drop(second);
    assert_eq!(choose(&[]).place, 1);
    table.mark_down(1, now);
    assert_ne!(choose(&[]).place, 1);
    assert_eq!(choose(&[0, 2]).place, 1, "better down than nothing");
    assert!(matches!(table.choose(&traffic, &[0, 1, 2], now), Choice::NoEndpoint));
    table.retire();
    assert!(matches!(table.choose(&traffic, &[], now), Choice::Retired));
}
