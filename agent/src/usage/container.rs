//! What a container uses, as its control groups of either version tell it.

use std::collections::BTreeMap;
use std::path::Path;

use super::cgroups::{ContainerGroups, Group};
use super::files::{Files, Stall, stall, value};

/// In how many parts of a second version 1 counts the time of user and system: `USER_HZ`, which is the same
/// on every machine that an engine runs on.
pub(super) const TICKS_PER_SECOND: f64 = 100.0;
/// Version 1 writes the largest number of pages where there is no limit.
const NO_LIMIT_BYTES: u64 = 1 << 62;

/// What one container uses. What its groups do not tell is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerUsage {
    pub cpu: Option<Cpu>,
    pub bandwidth: Option<Bandwidth>,
    pub memory: Option<Memory>,
    pub disks: BTreeMap<DeviceNumber, DiskTraffic>,
    pub processes: Option<u64>,
    pub pressure: Pressure,
}

/// Processor time since the container began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cpu {
    pub seconds: f64,
    pub user_seconds: f64,
    pub system_seconds: f64,
}

/// How its limit of processor time was kept: of so many periods it used up its share in some, and then waited.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bandwidth {
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_seconds: f64,
    /// What it may use in each period; absent where there is no limit.
    pub quota_microseconds: Option<u64>,
    pub period_microseconds: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub usage_bytes: u64,
    /// What cannot be taken back at once: the usage without files that nobody used lately.
    pub working_set_bytes: u64,
    /// Of no file.
    pub anonymous_bytes: u64,
    pub file_bytes: u64,
    pub swap_bytes: u64,
    pub most_bytes: Option<u64>,
    pub limit_bytes: Option<u64>,
    /// How many of its processes were killed because it had no more memory.
    pub killed: Option<u64>,
}

/// A disk by its major and minor number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceNumber(pub u32, pub u32);

/// What went to a disk and came from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskTraffic {
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub reads: u64,
    pub writes: u64,
}

/// How its processes waited; told by version 2 alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    pub cpu: Option<Stall>,
    pub memory: Option<Stall>,
    pub io: Option<Stall>,
}

impl ContainerUsage {
    pub(super) fn read(files: &mut Files, groups: &ContainerGroups) -> Self {
        let mut pressure = |kind: &str| stall(files.read(&groups.unified()?.join(kind))?);
        let pressure = Pressure {
            cpu: pressure("cpu.pressure"),
            memory: pressure("memory.pressure"),
            io: pressure("io.pressure"),
        };
        let processes = match groups.of("pids") {
            Some(Group::V1(folder) | Group::V2(folder)) => {
                files.number(&folder.join("pids.current"))
            }
            None => None,
        };
        Self {
            cpu: cpu(files, groups),
            bandwidth: bandwidth(files, groups),
            memory: memory(files, groups),
            disks: disks(files, groups),
            processes,
            pressure,
        }
    }
}

fn cpu(files: &mut Files, groups: &ContainerGroups) -> Option<Cpu> {
    match groups.of("cpuacct")? {
        Group::V1(folder) => {
            let nanoseconds = files.number(&folder.join("cpuacct.usage"))?;
            let split = files.read(&folder.join("cpuacct.stat")).unwrap_or_default();
            let seconds = |key| value(split, key).unwrap_or(0) as f64 / TICKS_PER_SECOND;
            Some(Cpu {
                seconds: nanoseconds as f64 / 1e9,
                user_seconds: seconds("user"),
                system_seconds: seconds("system"),
            })
        }
        Group::V2(folder) => {
            let table = files.read(&folder.join("cpu.stat"))?;
            let seconds = |key| value(table, key).map(|micros| micros as f64 / 1e6);
            Some(Cpu {
                seconds: seconds("usage_usec")?,
                user_seconds: seconds("user_usec").unwrap_or(0.0),
                system_seconds: seconds("system_usec").unwrap_or(0.0),
            })
        }
    }
}

fn bandwidth(files: &mut Files, groups: &ContainerGroups) -> Option<Bandwidth> {
    let (folder, quota_microseconds, period_microseconds, seconds) = match groups.of("cpu")? {
        Group::V1(folder) => {
            // Less than nothing where there is no limit.
            let quota = files.number(&folder.join("cpu.cfs_quota_us"));
            let period = files.number(&folder.join("cpu.cfs_period_us"))?;
            (folder, quota, period, ("throttled_time", 1e9))
        }
        Group::V2(folder) => {
            let limit = files.read(&folder.join("cpu.max"))?;
            let (quota, period) = limit.trim().split_once(' ')?;
            (folder, quota.parse().ok(), period.parse().ok()?, ("throttled_usec", 1e6))
        }
    };
    let table = files.read(&folder.join("cpu.stat"))?;
    let (throttled, per_second) = seconds;
    Some(Bandwidth {
        periods: value(table, "nr_periods")?,
        throttled_periods: value(table, "nr_throttled")?,
        throttled_seconds: value(table, throttled)? as f64 / per_second,
        quota_microseconds,
        period_microseconds,
    })
}

fn memory(files: &mut Files, groups: &ContainerGroups) -> Option<Memory> {
    match groups.of("memory")? {
        Group::V1(folder) => memory_v1(files, folder),
        Group::V2(folder) => memory_v2(files, folder),
    }
}

fn memory_v1(files: &mut Files, folder: &Path) -> Option<Memory> {
    let usage_bytes = files.number(&folder.join("memory.usage_in_bytes"))?;
    let limit_bytes = files.number(&folder.join("memory.limit_in_bytes"));
    let most_bytes = files.number(&folder.join("memory.max_usage_in_bytes"));
    let killed =
        files.read(&folder.join("memory.oom_control")).and_then(|table| value(table, "oom_kill"));
    let table = files.read(&folder.join("memory.stat"))?;
    let of = |key| value(table, key).unwrap_or(0);
    Some(Memory {
        usage_bytes,
        working_set_bytes: usage_bytes.saturating_sub(of("total_inactive_file")),
        anonymous_bytes: of("total_rss"),
        file_bytes: of("total_cache"),
        swap_bytes: of("total_swap"),
        most_bytes,
        limit_bytes: limit_bytes.filter(|bytes| *bytes < NO_LIMIT_BYTES),
        killed,
    })
}

fn memory_v2(files: &mut Files, folder: &Path) -> Option<Memory> {
    let usage_bytes = files.number(&folder.join("memory.current"))?;
    // It says `max` where there is none.
    let limit_bytes = files.number(&folder.join("memory.max"));
    let most_bytes = files.number(&folder.join("memory.peak"));
    let swap_bytes = files.number(&folder.join("memory.swap.current")).unwrap_or(0);
    let killed =
        files.read(&folder.join("memory.events")).and_then(|table| value(table, "oom_kill"));
    let table = files.read(&folder.join("memory.stat"))?;
    let of = |key| value(table, key).unwrap_or(0);
    Some(Memory {
        usage_bytes,
        working_set_bytes: usage_bytes.saturating_sub(of("inactive_file")),
        anonymous_bytes: of("anon"),
        file_bytes: of("file"),
        swap_bytes,
        most_bytes,
        limit_bytes,
        killed,
    })
}

fn disks(files: &mut Files, groups: &ContainerGroups) -> BTreeMap<DeviceNumber, DiskTraffic> {
    let mut disks = BTreeMap::new();
    // The controller has another name in each version.
    match groups.of("blkio") {
        Some(Group::V1(folder)) => {
            let bytes = throttled(files, folder, "io_service_bytes");
            add_v1(&bytes, &mut disks, |disk| (&mut disk.read_bytes, &mut disk.write_bytes));
            let operations = throttled(files, folder, "io_serviced");
            add_v1(&operations, &mut disks, |disk| (&mut disk.reads, &mut disk.writes));
        }
        Some(Group::V2(folder)) => {
            let table = files.read(&folder.join("io.stat")).unwrap_or_default();
            disks.extend(table.lines().filter_map(disk_v2));
        }
        None => {}
    }
    disks
}

/// A table of the container with the groups inside; of it alone where the kernel does not add up.
fn throttled(files: &mut Files, folder: &Path, what: &str) -> String {
    let mut names = ["_recursive", ""].into_iter().map(|end| format!("blkio.throttle.{what}{end}"));
    names.find_map(|name| files.read(&folder.join(name)).map(str::to_owned)).unwrap_or_default()
}

/// Takes over a table of lines as `8:0 Read 4096`.
fn add_v1(
    table: &str,
    disks: &mut BTreeMap<DeviceNumber, DiskTraffic>,
    fields: impl Fn(&mut DiskTraffic) -> (&mut u64, &mut u64),
) {
    for line in table.lines() {
        let mut words = line.split(' ');
        let (Some(device), Some(kind), Some(count)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let (Some(device), Ok(count)) = (DeviceNumber::parse(device), count.parse()) else {
            continue;
        };
        let (read, written) = fields(disks.entry(device).or_default());
        match kind {
            "Read" => *read = count,
            "Write" => *written = count,
            _ => {}
        }
    }
}

/// Reads a line as `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`.
fn disk_v2(line: &str) -> Option<(DeviceNumber, DiskTraffic)> {
    let (device, fields) = line.split_once(' ')?;
    let of = |key: &str| {
        let text = fields.split(' ').find_map(|field| field.strip_prefix(key))?;
        text.trim().parse().ok()
    };
    let traffic = DiskTraffic {
        read_bytes: of("rbytes=")?,
        write_bytes: of("wbytes=")?,
        reads: of("rios=")?,
        writes: of("wios=")?,
    };
    Some((DeviceNumber::parse(device)?, traffic))
}

impl DeviceNumber {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once(':')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}
