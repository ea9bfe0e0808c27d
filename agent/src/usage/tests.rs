//! Readings of machines of both versions of control groups, from files as their kernels write them (those of the
//! hybrid one are a recording), and what Prometheus is shown of them.

use std::fs;
use std::path::Path;
use std::time::Instant;

use dugout_model::{NamespaceName, ObjectName, Timestamp};
use prometheus_client::registry::Registry;

use super::container::{Bandwidth, Cpu, DeviceNumber, DiskTraffic, Memory};
use super::node::NodeMemory;
use super::*;

const ID: &str = "2f8d2a4c9b1e0f3d5a7c6e8b9d0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b";

/// A folder with the files of a recording, each below a line that names it.
fn machine(recording: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in recording.split("==> ").skip(1) {
        let (path, text) = file.split_once('\n').unwrap();
        let path = folder.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn hybrid() -> tempfile::TempDir {
    machine(include_str!("recorded/hybrid.txt"))
}

fn unified() -> tempfile::TempDir {
    machine(include_str!("recorded/unified.txt"))
}

fn name(container: &str) -> ContainerName {
    ContainerName {
        namespace: NamespaceName::new("shop"),
        pod: ObjectName::new("web-1"),
        container: container.to_owned(),
    }
}

fn measured(scope: Scope) -> Measured {
    Measured {
        id: ID.to_owned(),
        process_id: 4321,
        image: "web:1".to_owned(),
        started_at: Timestamp::from_micros(1_700_000_000_500_000),
        layer: None,
        scope,
    }
}

fn read(folder: &Path, containers: MeasuredContainers) -> Reading {
    let usage = Usage::default();
    usage.measure(containers);
    usage.0.read(Files::below(folder))
}

fn read_one(folder: &Path) -> ContainerReading {
    let containers = [(name("web"), measured(Scope::ContainerAndNetwork))];
    let mut reading = read(folder, containers.into());
    reading.containers.pop().unwrap().1
}

#[test]
fn a_container_of_version_1_is_read() {
    let folder = hybrid();
    let one = read_one(folder.path());
    let usage = one.usage.unwrap();
    let cpu = usage.cpu.unwrap();
    assert!(cpu.seconds > 0.0 && cpu.system_seconds > cpu.user_seconds, "{cpu:?}");
    let bandwidth = usage.bandwidth.unwrap();
    assert_eq!(
        (bandwidth.quota_microseconds, bandwidth.period_microseconds),
        (Some(50_000), 100_000)
    );
    assert!(bandwidth.throttled_periods > 0 && bandwidth.throttled_seconds > 0.0);
    let memory = usage.memory.unwrap();
    assert_eq!(memory.limit_bytes, Some(64 << 20));
    assert_eq!(memory.killed, Some(0));
    assert!(memory.working_set_bytes < memory.usage_bytes, "{memory:?}");
    assert!(memory.file_bytes > 0 && memory.anonymous_bytes > 0);
    let traffic = DiskTraffic { read_bytes: 8 << 20, write_bytes: 1 << 20, reads: 128, writes: 8 };
    assert_eq!(usage.disks, [(DeviceNumber(254, 0), traffic)].into());
    assert_eq!(one.devices, ["/dev/vda"]);
    assert_eq!(usage.processes, Some(2));
    // The unified hierarchy beside tells how it waited.
    assert!(usage.pressure.cpu.unwrap().some.total_seconds > 0.0);
    assert_eq!(one.network.keys().collect::<Vec<_>>(), ["eth0"]);
}

#[test]
fn a_container_of_version_2_is_read() {
    let folder = unified();
    let one = read_one(folder.path());
    let usage = one.usage.unwrap();
    let cpu = Cpu { seconds: 93.817265, user_seconds: 81.20311, system_seconds: 12.614155 };
    assert_eq!(usage.cpu, Some(cpu));
    let bandwidth = Bandwidth {
        periods: 1440,
        throttled_periods: 33,
        throttled_seconds: 1.25,
        quota_microseconds: Some(150_000),
        period_microseconds: 100_000,
    };
    assert_eq!(usage.bandwidth, Some(bandwidth));
    let memory = Memory {
        usage_bytes: 150 << 20,
        working_set_bytes: 110 << 20,
        anonymous_bytes: 90 << 20,
        file_bytes: 50 << 20,
        swap_bytes: 4096,
        most_bytes: Some(200 << 20),
        limit_bytes: None,
        killed: Some(2),
    };
    assert_eq!(usage.memory, Some(memory));
    let traffic = DiskTraffic { read_bytes: 8 << 20, write_bytes: 1 << 20, reads: 128, writes: 8 };
    assert_eq!(usage.disks, [(DeviceNumber(8, 0), traffic)].into());
    assert_eq!(one.devices, ["/dev/sda"]);
    assert_eq!(usage.processes, Some(17));
    assert_eq!(usage.pressure.io.unwrap().full.unwrap().total_seconds, 1.5);
    assert_eq!(one.network["eth0"].received.bytes, 5_021_043);
}

#[test]
fn the_node_is_read() {
    let folder = hybrid();
    let node = read(folder.path(), MeasuredContainers::new()).node;
    assert_eq!(node.cores, Some(2));
    assert!(node.cpu_seconds.is_some_and(|seconds| seconds > 1000.0));
    let NodeMemory { total_bytes, available_bytes, working_set_bytes, .. } = node.memory.unwrap();
    assert!(available_bytes < total_bytes && working_set_bytes < total_bytes);
    assert_eq!(node.disks.keys().collect::<Vec<_>>(), ["vda"], "loops are no disks");
    assert!(node.network.contains_key("eth0"));
    assert!(node.network.keys().all(|device| device != "lo" && !device.starts_with("veth")));
    assert!(node.pressure.io.is_some());
    assert!(!node.shortage().memory);
}

#[test]
fn a_container_that_ended_or_whose_process_is_anothers_is_left_out() {
    let folder = hybrid();
    let ended = Measured { process_id: 99, ..measured(Scope::Container) };
    let other = Measured { id: "f00d".repeat(16), ..measured(Scope::Container) };
    let containers = [(name("ended"), ended), (name("other"), other)];
    assert!(read(folder.path(), containers.into()).containers.is_empty());
}

#[test]
fn dashboards_find_their_names_and_labels() {
    let folder = unified();
    let containers = [(name("web"), measured(Scope::ContainerAndNetwork))];
    let text = shown_of(read(folder.path(), containers.into()));
    for line in [
        "container_cpu_usage_seconds_total{namespace=\"shop\",pod=\"web-1\",container=\"web\",image=\"web:1\",cpu=\"total\"} 93.817265",
        "container_memory_working_set_bytes{namespace=\"shop\",pod=\"web-1\",container=\"web\",image=\"web:1\"} 115343360.0",
        "container_spec_memory_limit_bytes{namespace=\"shop\",pod=\"web-1\",container=\"web\",image=\"web:1\"} 0.0",
        "container_network_receive_bytes_total{namespace=\"shop\",pod=\"web-1\",interface=\"eth0\"} 5021043.0",
        "container_fs_reads_bytes_total{namespace=\"shop\",pod=\"web-1\",container=\"web\",image=\"web:1\",device=\"/dev/sda\"} 8388608.0",
        "container_pressure_io_stalled_seconds_total{namespace=\"shop\",pod=\"web-1\",container=\"web\",image=\"web:1\"} 1.5",
        "container_start_time_seconds{namespace=\"shop\",pod=\"web-1\",container=\"web\",image=\"web:1\"} 1700000000.5",
        "container_scrape_error{} 0.0",
        "dugout_agent_node_pressure{resource=\"memory\"} 0.0",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
    }
}

#[test]
fn the_network_of_a_pod_is_told_once() {
    let folder = unified();
    let sandbox = (name("POD"), measured(Scope::Network));
    let containers = [sandbox, (name("web"), measured(Scope::Container))];
    let text = shown_of(read(folder.path(), containers.into()));
    assert_eq!(text.matches("\ncontainer_network_receive_bytes_total{").count(), 1);
    assert_eq!(text.matches("\ncontainer_threads{").count(), 1, "a sandbox is no container");
    let each = measured(Scope::ContainerAndNetwork);
    let containers = [(name("a"), each.clone()), (name("b"), each)];
    let text = shown_of(read(folder.path(), containers.into()));
    assert_eq!(text.matches("\ncontainer_network_receive_bytes_total{").count(), 1);
    assert_eq!(text.matches("\ncontainer_threads{").count(), 2);
}

/// What is shown of a reading that was just made.
fn shown_of(reading: Reading) -> String {
    let usage = Usage::default();
    usage.begin([]);
    *held(&usage.0.reading) = Some(Arc::new(reading));
    text_of(&usage)
}

fn text_of(usage: &Usage) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(usage.clone()));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text
}

#[test]
fn what_could_not_be_read_is_told_and_what_is_old_is_not() {
    let usage = Usage::default();
    assert_eq!(text_of(&usage), "# EOF\n", "the engine is elsewhere");
    usage.begin([]);
    assert!(text_of(&usage).contains("container_scrape_error{} 1.0\n"));
    let folder = unified();
    let mut reading = read(folder.path(), MeasuredContainers::new());
    reading.at = Instant::now() - Duration::from_secs(6);
    let text = shown_of(reading);
    assert!(text.contains("container_scrape_error{} 1.0\n"), "{text}");
    assert!(!text.contains("machine_cpu_cores"), "{text}");
}

#[tokio::test]
async fn a_reading_that_hangs_leaves_the_caller_go() {
    let usage = Usage::default();
    usage.begin([]);
    let hangs = Arc::clone(&usage.0.places.reading).acquire_owned().await.unwrap();
    tokio::time::pause();
    usage.refresh().await;
    assert!(held(&usage.0.reading).is_none());
    tokio::time::resume();
    drop(hangs);
    usage.refresh().await;
    let node = held(&usage.0.reading).as_ref().map(|reading| reading.node.clone()).unwrap();
    assert!(node.cores.is_some_and(|cores| cores > 0));
}
