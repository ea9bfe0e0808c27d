//! What was read as metrics, with the names and labels by which dashboards know a kubelet's, its cAdvisor's,
//! and a node exporter's.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::container::{ContainerUsage, DiskTraffic, Pressure};
use super::network::Traffic;
use super::node::{FileSystem, NodeUsage};
use super::{ContainerName, ContainerReading, Reading, Usage, held};

/// What is older was read before a reading that hangs, and says nothing of now.
const TOO_OLD: Duration = Duration::from_secs(5);

/// Of each container: whether it grows, the name, what it means, and the figure.
type Figure = (Kind, &'static str, &'static str, fn(&ContainerUsage) -> Option<f64>);

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}
use Kind::{Counter, Gauge};

const CONTAINER_FIGURES: [Figure; 18] = [
    (Counter, "container_cpu_user_seconds", "Processor time in the container's own code", |one| {
        Some(one.cpu?.user_seconds)
    }),
    (
        Counter,
        "container_cpu_system_seconds",
        "Processor time in the kernel on behalf of the container",
        |one| Some(one.cpu?.system_seconds),
    ),
    (
        Counter,
        "container_cpu_cfs_periods",
        "Periods in which the limit of processor time was looked at",
        |one| Some(one.bandwidth?.periods as f64),
    ),
    (
        Counter,
        "container_cpu_cfs_throttled_periods",
        "Periods in which the container had used up its limit",
        |one| Some(one.bandwidth?.throttled_periods as f64),
    ),
    (
        Counter,
        "container_cpu_cfs_throttled_seconds",
        "Time that the container waited because of its limit",
        |one| Some(one.bandwidth?.throttled_seconds),
    ),
    (
        Gauge,
        "container_spec_cpu_quota",
        "Processor time that the container may use in a period, in microseconds",
        |one| Some(one.bandwidth?.quota_microseconds? as f64),
    ),
    (
        Gauge,
        "container_spec_cpu_period",
        "The period of the limit of processor time, in microseconds",
        |one| Some(one.bandwidth?.period_microseconds as f64),
    ),
    (
        Gauge,
        "container_memory_usage_bytes",
        "Memory that the container uses, files that can be taken back included",
        |one| Some(one.memory?.usage_bytes as f64),
    ),
    (
        Gauge,
        "container_memory_working_set_bytes",
        "Memory without files that nobody used lately: what its limit is about",
        |one| Some(one.memory?.working_set_bytes as f64),
    ),
    (Gauge, "container_memory_rss", "Memory of no file, in bytes", |one| {
        Some(one.memory?.anonymous_bytes as f64)
    }),
    (Gauge, "container_memory_cache", "Memory of files, in bytes", |one| {
        Some(one.memory?.file_bytes as f64)
    }),
    (Gauge, "container_memory_swap", "What of it is swapped out, in bytes", |one| {
        Some(one.memory?.swap_bytes as f64)
    }),
    (Gauge, "container_memory_max_usage_bytes", "The most memory that it ever used", |one| {
        Some(one.memory?.most_bytes? as f64)
    }),
    (
        Gauge,
        "container_spec_memory_limit_bytes",
        "Memory that the container may use; 0 where there is no limit",
        |one| Some(one.memory?.limit_bytes.unwrap_or(0) as f64),
    ),
    (
        Counter,
        "container_oom_events",
        "Processes of the container that were killed because it had no more memory",
        |one| Some(one.memory?.killed? as f64),
    ),
    (Gauge, "container_threads", "Processes and threads in the container", |one| {
        Some(one.processes? as f64)
    }),
    (
        Counter,
        "container_pressure_cpu_waiting_seconds",
        "Time in which some process of the container waited for a processor",
        |one| Some(one.pressure.cpu?.some.total_seconds),
    ),
    (
        Counter,
        "container_pressure_cpu_stalled_seconds",
        "Time in which every process of the container waited for a processor",
        |one| Some(one.pressure.cpu?.full?.total_seconds),
    ),
];

/// How processes waited for memory and disks: the name for a container, that for the node, what it means, and
/// the figure.
type Waiting = (&'static str, &'static str, &'static str, fn(&Pressure) -> Option<f64>);

const WAITING: [Waiting; 4] = [
    (
        "container_pressure_memory_waiting_seconds",
        "node_pressure_memory_waiting_seconds",
        "Time in which some process waited for memory",
        |one| Some(one.memory?.some.total_seconds),
    ),
    (
        "container_pressure_memory_stalled_seconds",
        "node_pressure_memory_stalled_seconds",
        "Time in which every process waited for memory",
        |one| Some(one.memory?.full?.total_seconds),
    ),
    (
        "container_pressure_io_waiting_seconds",
        "node_pressure_io_waiting_seconds",
        "Time in which some process waited for a disk",
        |one| Some(one.io?.some.total_seconds),
    ),
    (
        "container_pressure_io_stalled_seconds",
        "node_pressure_io_stalled_seconds",
        "Time in which every process waited for a disk",
        |one| Some(one.io?.full?.total_seconds),
    ),
];

type Disk = (&'static str, &'static str, fn(&DiskTraffic) -> u64);

const CONTAINER_DISKS: [Disk; 4] = [
    ("container_fs_reads_bytes", "Bytes that the container read from a disk", |one| one.read_bytes),
    ("container_fs_writes_bytes", "Bytes that the container wrote to a disk", |one| {
        one.write_bytes
    }),
    ("container_fs_reads", "Reads of the container from a disk", |one| one.reads),
    ("container_fs_writes", "Writes of the container to a disk", |one| one.writes),
];
const NODE_DISKS: [Disk; 4] = [
    ("node_disk_read_bytes", "Bytes read from a disk of the node", |one| one.read_bytes),
    ("node_disk_written_bytes", "Bytes written to a disk of the node", |one| one.write_bytes),
    ("node_disk_reads_completed", "Reads from a disk of the node", |one| one.reads),
    ("node_disk_writes_completed", "Writes to a disk of the node", |one| one.writes),
];

type Wire = (&'static str, &'static str, fn(&Traffic) -> u64);

const CONTAINER_NETWORK: [Wire; 8] = [
    ("container_network_receive_bytes", "Bytes that came to the pod", |one| one.received.bytes),
    ("container_network_receive_packets", "Packets that came to the pod", |one| {
        one.received.packets
    }),
    ("container_network_receive_errors", "Errors while receiving", |one| one.received.errors),
    ("container_network_receive_packets_dropped", "Packets to the pod that were dropped", |one| {
        one.received.dropped
    }),
    ("container_network_transmit_bytes", "Bytes that the pod sent", |one| one.transmitted.bytes),
    ("container_network_transmit_packets", "Packets that the pod sent", |one| {
        one.transmitted.packets
    }),
    ("container_network_transmit_errors", "Errors while sending", |one| one.transmitted.errors),
    ("container_network_transmit_packets_dropped", "Packets of the pod that were dropped", |one| {
        one.transmitted.dropped
    }),
];
const NODE_NETWORK: [Wire; 2] = [
    ("node_network_receive_bytes", "Bytes that came to the node", |one| one.received.bytes),
    ("node_network_transmit_bytes", "Bytes that the node sent", |one| one.transmitted.bytes),
];
type Space = (&'static str, &'static str, fn(&FileSystem) -> u64);

const NODE_FILE_SYSTEMS: [Space; 5] = [
    (
        "node_filesystem_size_bytes",
        "Size of a file system with files of the agent or engine",
        |one| one.size_bytes,
    ),
    ("node_filesystem_free_bytes", "What is free of it", |one| one.free_bytes),
    ("node_filesystem_avail_bytes", "What is free of it for everybody", |one| one.available_bytes),
    ("node_filesystem_files", "Inodes of the file system", |one| one.inodes),
    ("node_filesystem_files_free", "Inodes that are free", |one| one.free_inodes),
];

type Gathered<'a> = Vec<(Vec<(&'static str, &'a str)>, f64)>;

impl Collector for Usage {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if held(&self.0.machine).is_none() {
            return Ok(());
        }
        let reading = held(&self.0.reading).clone();
        let reading = reading.filter(|reading| reading.at.elapsed() < TOO_OLD);
        let file_systems = held(&self.0.file_systems).clone();
        let node = reading
            .as_ref()
            .map(|reading| NodeUsage { file_systems, ..reading.node.clone() })
            .unwrap_or_default();
        encode(encoder, reading.as_deref(), &node)
    }
}

pub(super) fn encode(
    mut encoder: DescriptorEncoder<'_>,
    reading: Option<&Reading>,
    node: &NodeUsage,
) -> fmt::Result {
    let failed = reading.is_none_or(|reading| reading.is_cut);
    let help = "Whether the containers could not be read, or not all of them in time";
    let failed = vec![(vec![], f64::from(u8::from(failed)))];
    family(&mut encoder, Gauge, "container_scrape_error", help, failed)?;
    let Some(reading) = reading else { return Ok(()) };
    containers(&mut encoder, &reading.containers)?;
    container_disks(&mut encoder, &reading.containers)?;
    container_networks(&mut encoder, &reading.containers)?;
    machine(&mut encoder, node)?;
    node_devices(&mut encoder, node)
}

fn containers(
    encoder: &mut DescriptorEncoder<'_>,
    all: &[(ContainerName, ContainerReading)],
) -> fmt::Result {
    let used = || all.iter().filter_map(|(name, one)| Some((name, one, one.usage.as_ref()?)));
    let each = |figure: &dyn Fn(&ContainerReading, &ContainerUsage) -> Option<f64>| {
        let rows =
            used().filter_map(|(name, one, usage)| Some((labels(name, one), figure(one, usage)?)));
        rows.collect::<Gathered<'_>>()
    };
    let mut cpu = each(&|_, usage| Some(usage.cpu?.seconds));
    // As who counts each processor would tell all of them together.
    cpu.iter_mut().for_each(|(labels, _)| labels.push(("cpu", "total")));
    let help = "Processor time that the container used";
    family(encoder, Counter, "container_cpu_usage_seconds", help, cpu)?;
    for (kind, name, help, figure) in CONTAINER_FIGURES {
        family(encoder, kind, name, help, each(&|_, usage| figure(usage)))?;
    }
    for (name, _, help, figure) in WAITING {
        let rows = each(&|_, usage| figure(&usage.pressure));
        family(encoder, Counter, name, help, rows)?;
    }
    let help = "What the files take that the container wrote into its own layer";
    let rows = each(&|one, _| Some(one.layer_bytes? as f64));
    family(encoder, Gauge, "container_fs_usage_bytes", help, rows)?;
    let started = each(&|one, _| Some(one.started_at.as_micros() as f64 / 1e6));
    let help = "When the container began, in seconds since 1970";
    family(encoder, Gauge, "container_start_time_seconds", help, started)
}

fn labels<'a>(name: &'a ContainerName, one: &'a ContainerReading) -> Vec<(&'static str, &'a str)> {
    let mut labels = Vec::with_capacity(5);
    labels.push(("namespace", name.namespace.as_str()));
    labels.push(("pod", name.pod.as_str()));
    labels.push(("container", name.container.as_str()));
    labels.push(("image", one.image.as_str()));
    labels
}

fn container_disks(
    encoder: &mut DescriptorEncoder<'_>,
    all: &[(ContainerName, ContainerReading)],
) -> fmt::Result {
    for (family_name, help, figure) in CONTAINER_DISKS {
        let mut rows: Gathered<'_> = Vec::new();
        for (name, one) in all {
            let disks = one.usage.iter().flat_map(|usage| usage.disks.values());
            for (device, disk) in one.devices.iter().zip(disks) {
                let mut labels = labels(name, one);
                labels.push(("device", device));
                rows.push((labels, figure(disk) as f64));
            }
        }
        family(encoder, Counter, family_name, help, rows)?;
    }
    Ok(())
}

/// The network is the pod's, whichever of its containers it was read with.
fn container_networks(
    encoder: &mut DescriptorEncoder<'_>,
    all: &[(ContainerName, ContainerReading)],
) -> fmt::Result {
    for (family_name, help, figure) in CONTAINER_NETWORK {
        let mut rows: Gathered<'_> = Vec::new();
        let mut told = None;
        for (name, one) in all.iter().filter(|(_, one)| !one.network.is_empty()) {
            // Where the sandbox is gone each of its containers was read with the same network.
            if told.replace((&name.namespace, &name.pod)) == Some((&name.namespace, &name.pod)) {
                continue;
            }
            for (device, traffic) in &one.network {
                let labels = vec![
                    ("namespace", name.namespace.as_str()),
                    ("pod", name.pod.as_str()),
                    ("interface", device.as_str()),
                ];
                rows.push((labels, figure(traffic) as f64));
            }
        }
        family(encoder, Counter, family_name, help, rows)?;
    }
    Ok(())
}

fn machine(encoder: &mut DescriptorEncoder<'_>, node: &NodeUsage) -> fmt::Result {
    let mut one = |kind, name: &str, help, figure: Option<f64>| {
        let rows = figure.map(|figure| (vec![], figure)).into_iter().collect();
        family(encoder, kind, name, help, rows)
    };
    let memory = node.memory;
    let bytes = |of: fn(&super::node::NodeMemory) -> u64| memory.map(|memory| of(&memory) as f64);
    one(Gauge, "machine_cpu_cores", "Processors of the node", node.cores.map(|n| n as f64))?;
    one(Gauge, "machine_memory_bytes", "Memory of the node", bytes(|all| all.total_bytes))?;
    one(Gauge, "machine_swap_bytes", "Swap of the node", bytes(|all| all.swap_total_bytes))?;
    let help = "Time in which the node's processors did something";
    one(Counter, "node_cpu_usage_seconds", help, node.cpu_seconds)?;
    let help = "Memory of the node in use, without files that nobody used lately";
    one(Gauge, "node_memory_working_set_bytes", help, bytes(|all| all.working_set_bytes))?;
    let help = "Memory of the node that new processes could have without swapping";
    one(Gauge, "node_memory_MemAvailable_bytes", help, bytes(|all| all.available_bytes))?;
    let help = "Swap of the node that is free";
    one(Gauge, "node_memory_SwapFree_bytes", help, bytes(|all| all.swap_free_bytes))?;
    let waited = node.pressure.cpu.map(|cpu| cpu.some.total_seconds);
    let help = "Time in which some process waited for a processor";
    one(Counter, "node_pressure_cpu_waiting_seconds", help, waited)?;
    for (_, name, help, figure) in WAITING {
        one(Counter, name, help, figure(&node.pressure))?;
    }
    let shortage = node.shortage();
    let rows = [("memory", shortage.memory), ("disk", shortage.disk)];
    let rows = rows.map(|(of, is)| (vec![("resource", of)], f64::from(u8::from(is))));
    let help =
        "Whether the node is short of a resource, as the kubelet would call it under pressure";
    family(encoder, Gauge, "dugout_agent_node_pressure", help, rows.into())
}

fn node_devices(encoder: &mut DescriptorEncoder<'_>, node: &NodeUsage) -> fmt::Result {
    for (name, help, figure) in NODE_DISKS {
        let rows = node.disks.iter();
        let rows = rows.map(|(disk, all)| (vec![("device", disk.as_str())], figure(all) as f64));
        family(encoder, Counter, name, help, rows.collect())?;
    }
    for (name, help, figure) in NODE_NETWORK {
        let rows = node.network.iter();
        let rows =
            rows.map(|(device, all)| (vec![("device", device.as_str())], figure(all) as f64));
        family(encoder, Counter, name, help, rows.collect())?;
    }
    for (name, help, figure) in NODE_FILE_SYSTEMS {
        let rows = node.file_systems.iter().map(|one| {
            let labels = vec![
                ("device", one.device.as_str()),
                ("fstype", one.kind.as_str()),
                ("mountpoint", one.mount_point.as_str()),
            ];
            (labels, figure(one) as f64)
        });
        family(encoder, Gauge, name, help, rows.collect())?;
    }
    Ok(())
}

/// Nothing is said of a family without figures.
fn family(
    encoder: &mut DescriptorEncoder<'_>,
    kind: Kind,
    name: &str,
    help: &str,
    rows: Gathered<'_>,
) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let metric_type = match kind {
        Counter => MetricType::Counter,
        Gauge => MetricType::Gauge,
    };
    let mut family = encoder.encode_descriptor(name, help, None, metric_type)?;
    for (labels, figure) in rows {
        let row = family.encode_family(&labels)?;
        match kind {
            Counter => ConstCounter::new(figure).encode(row)?,
            Gauge => ConstGauge::new(figure).encode(row)?,
        }
    }
    Ok(())
}
