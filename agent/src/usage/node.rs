//! What the node as a whole uses, and whether it is short of something.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::container::{DeviceNumber, DiskTraffic, Pressure, TICKS_PER_SECOND};
use super::files::{Files, stall};
use super::network::{self, Network};
use crate::volumes::unescape;

/// The kernel counts what goes to disks in these, whatever the disk's own are.
const SECTOR_BYTES: u64 = 512;
/// The most disks that are told of.
const MOST_DISKS: usize = 64;

/// A node is short of memory when less than this is available, as the kubelet has it by default.
const LEAST_MEMORY_BYTES: u64 = 100 << 20;
/// Or when none of its processes went on for this share of the last minute because of memory.
const MOST_MEMORY_STALL_PERCENT: f64 = 10.0;
/// It is short of disk when less than this of a file system is available, or of its inodes, as the kubelet
/// has it by default.
const LEAST_DISK_SHARE: f64 = 0.10;
const LEAST_INODES_SHARE: f64 = 0.05;
const LEAST_IMAGE_DISK_SHARE: f64 = 0.15;

/// What the node has and uses; what the kernel does not tell is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeUsage {
    pub cores: Option<u64>,
    /// Time in which its processors did something.
    pub cpu_seconds: Option<f64>,
    pub memory: Option<NodeMemory>,
    pub pressure: Pressure,
    pub disks: BTreeMap<String, DiskTraffic>,
    pub network: Network,
    pub file_systems: Vec<FileSystem>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeMemory {
    pub total_bytes: u64,
    /// What new processes could have without swapping.
    pub available_bytes: u64,
    /// What cannot be taken back at once: all but what is free, and files that nobody used lately.
    pub working_set_bytes: u64,
    pub swap_total_bytes: u64,
    pub swap_free_bytes: u64,
}

/// What of the node a file system holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holds {
    /// The agent's files, or volumes.
    Data,
    /// The images and the layers of containers.
    Images,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    pub mount_point: String,
    pub device: String,
    pub kind: String,
    pub holds: Holds,
    pub size_bytes: u64,
    pub free_bytes: u64,
    /// Without what is kept for root.
    pub available_bytes: u64,
    pub inodes: u64,
    pub free_inodes: u64,
}

/// What a node can be short of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    pub memory: bool,
    pub disk: bool,
}

impl NodeUsage {
    /// All but the file systems: these may hang.
    pub(super) fn read(files: &mut Files, devices: &Devices) -> Self {
        let stat = files.read(Path::new("/proc/stat")).unwrap_or_default();
        let (cores, cpu_seconds) = (cores(stat), cpu_seconds(stat));
        let memory = files.read(Path::new("/proc/meminfo")).and_then(memory);
        let mut pressure = |kind: &str| stall(files.read(&Path::new("/proc/pressure").join(kind))?);
        let pressure =
            Pressure { cpu: pressure("cpu"), memory: pressure("memory"), io: pressure("io") };
        Self {
            cores,
            cpu_seconds,
            memory,
            pressure,
            disks: devices.whole_disks(files),
            network: network::of_node(files),
            file_systems: Vec::new(),
        }
    }

    pub fn shortage(&self) -> Shortage {
        let little = self.memory.is_some_and(|one| one.available_bytes < LEAST_MEMORY_BYTES);
        let full = self.pressure.memory.and_then(|stall| stall.full);
        let stalls = full.is_some_and(|time| time.minute_percent >= MOST_MEMORY_STALL_PERCENT);
        Shortage {
            memory: little || stalls,
            disk: self.file_systems.iter().any(FileSystem::is_short),
        }
    }
}

impl FileSystem {
    fn is_short(&self) -> bool {
        // Some have no inodes of their own.
        let is_below = |left: u64, of: u64, share: f64| of > 0 && (left as f64) < share * of as f64;
        let least = match self.holds {
            Holds::Data => LEAST_DISK_SHARE,
            Holds::Images => LEAST_IMAGE_DISK_SHARE,
        };
        is_below(self.available_bytes, self.size_bytes, least)
            || is_below(self.free_inodes, self.inodes, LEAST_INODES_SHARE)
    }
}

/// A line for each core follows the one for all.
fn cores(stat: &str) -> Option<u64> {
    let is_core = |line: &&str| {
        let number = line.strip_prefix("cpu").and_then(|rest| rest.split(' ').next());
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let count = stat.lines().filter(is_core).count();
    u64::try_from(count).ok().filter(|count| *count > 0)
}

/// User, nice, system, idle, waiting for disks, interrupts, soft interrupts; what follows is in the first two,
/// or was another machine's.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> =
        line.split_ascii_whitespace().map_while(|field| field.parse().ok()).collect();
    match ticks.get(..7)? {
        [user, nice, system, _, _, interrupts, soft] => {
            Some((user + nice + system + interrupts + soft) as f64 / TICKS_PER_SECOND)
        }
        _ => None,
    }
}

fn memory(table: &str) -> Option<NodeMemory> {
    let bytes = |key: &str| {
        let line = table.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
    };
    let total_bytes = bytes("MemTotal")?;
    let free_bytes = bytes("MemFree")?;
    let unused = free_bytes + bytes("Inactive(file)").unwrap_or(0);
    Some(NodeMemory {
        total_bytes,
        available_bytes: bytes("MemAvailable").unwrap_or(free_bytes),
        working_set_bytes: total_bytes.saturating_sub(unused),
        swap_total_bytes: bytes("SwapTotal").unwrap_or(0),
        swap_free_bytes: bytes("SwapFree").unwrap_or(0),
    })
}

/// The disks of the machine and their parts, by number.
#[derive(Debug, Default)]
pub(super) struct Devices(BTreeMap<DeviceNumber, (String, DiskTraffic)>);

impl Devices {
    pub fn read(files: &mut Files) -> Self {
        let table = files.read(Path::new("/proc/diskstats")).unwrap_or_default();
        Self(table.lines().filter_map(device).collect())
    }

    /// Its name as a path, as the kubelet's metrics have it.
    pub fn name(&self, number: DeviceNumber) -> String {
        match self.0.get(&number) {
            Some((name, _)) => format!("/dev/{name}"),
            None => format!("{}:{}", number.0, number.1),
        }
    }

    /// Without parts of disks, without what is made of other disks (its traffic is theirs), and without what
    /// is in memory.
    fn whole_disks(&self, files: &Files) -> BTreeMap<String, DiskTraffic> {
        let is_disk = |name: &str| {
            let in_memory = ["loop", "ram", "zram"].iter().any(|kind| name.starts_with(kind));
            let block = Path::new("/sys/block").join(name.replace('/', "!"));
            !in_memory && files.exists(&block) && !files.has_entries(&block.join("slaves"))
        };
        let disks = self.0.values().filter(|(name, _)| is_disk(name)).take(MOST_DISKS);
        disks.cloned().collect()
    }
}

/// Major and minor number, name; reads, merged, sectors, milliseconds; the same of writes; and more.
fn device(line: &str) -> Option<(DeviceNumber, (String, DiskTraffic))> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let device = DeviceNumber(fields.first()?.parse().ok()?, fields.get(1)?.parse().ok()?);
    let traffic = DiskTraffic {
        reads: number(3)?,
        read_bytes: number(5)?.saturating_mul(SECTOR_BYTES),
        writes: number(7)?,
        write_bytes: number(9)?.saturating_mul(SECTOR_BYTES),
    };
    Some((device, ((*fields.get(2)?).to_owned(), traffic)))
}

/// The file systems of some folders, each once, with what is free of them. May take as long as the slowest.
pub(super) fn file_systems(files: &mut Files, folders: &[(Holds, PathBuf)]) -> Vec<FileSystem> {
    let table = files.read(Path::new("/proc/self/mountinfo")).unwrap_or_default();
    let mut found: Vec<FileSystem> = Vec::new();
    for (holds, folder) in folders {
        // Links in the path lead elsewhere.
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        let Some(mut one) = file_system(table, &folder, *holds) else { continue };
        let same = found.iter_mut().find(|other| other.mount_point == one.mount_point);
        if let Some(other) = same {
            other.holds = other.holds.max(*holds);
            continue;
        }
        let Ok(disk) = rustix::fs::statvfs(&folder) else { continue };
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        one.size_bytes = bytes(disk.f_blocks);
        one.free_bytes = bytes(disk.f_bfree);
        one.available_bytes = bytes(disk.f_bavail);
        one.inodes = disk.f_files;
        one.free_inodes = disk.f_ffree;
        found.push(one);
    }
    found
}

/// The one that was mounted last of those that hold a folder.
fn file_system(table: &str, folder: &Path, holds: Holds) -> Option<FileSystem> {
    let mut best: Option<(PathBuf, FileSystem)> = None;
    for line in table.lines() {
        let Some((mount, system)) = line.split_once(" - ") else { continue };
        let Some(point) = mount.split(' ').nth(4) else { continue };
        let point = unescape(point.as_bytes());
        let is_better = best.as_ref().is_none_or(|(other, _)| point.starts_with(other));
        if !folder.starts_with(&point) || !is_better {
            continue;
        }
        let mut system = system.split(' ').map(str::to_owned);
        let one = FileSystem {
            mount_point: point.to_string_lossy().into_owned(),
            kind: system.next().unwrap_or_default(),
            device: system.next().unwrap_or_default(),
            holds,
            size_bytes: 0,
            free_bytes: 0,
            available_bytes: 0,
            inodes: 0,
            free_inodes: 0,
        };
        best = Some((point, one));
    }
    best.map(|(_, one)| one)
}

#[cfg(test)]
mod tests {
    use super::super::files::Stall;
    use super::super::files::StallTime;
    use super::*;

    const TABLE: &str = "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 22 254:16 / /var/lib/docker rw,relatime shared:2 - xfs /dev/vdb rw
41 40 0:50 / /var/lib/docker/overlay2/1/merged rw - overlay overlay rw,lowerdir=a
42 22 0:51 / /var/lib/docker-other rw - tmpfs tmpfs rw
";

    #[test]
    fn the_file_system_of_a_folder_is_the_innermost() {
        let of = |folder: &str| file_system(TABLE, Path::new(folder), Holds::Data).unwrap();
        assert_eq!(of("/var/lib/docker").device, "/dev/vdb");
        assert_eq!(of("/var/lib/docker/volumes/a").mount_point, "/var/lib/docker");
        assert_eq!(of("/var/lib/dugout").kind, "ext4");
    }

    fn disk(holds: Holds, available_bytes: u64, free_inodes: u64) -> FileSystem {
        let (mount_point, device, kind) = ("/".to_owned(), "/dev/a".to_owned(), "ext4".to_owned());
        FileSystem {
            mount_point,
            device,
            kind,
            holds,
            size_bytes: 1000,
            free_bytes: available_bytes,
            available_bytes,
            inodes: 100,
            free_inodes,
        }
    }

    #[test]
    fn a_node_is_short_of_disk_below_the_kubelets_thresholds() {
        assert!(!disk(Holds::Data, 100, 5).is_short());
        assert!(disk(Holds::Data, 99, 5).is_short());
        assert!(disk(Holds::Data, 100, 4).is_short());
        assert!(disk(Holds::Images, 149, 5).is_short());
        assert!(!disk(Holds::Images, 150, 5).is_short());
        let without_inodes = FileSystem { inodes: 0, ..disk(Holds::Data, 100, 0) };
        assert!(!without_inodes.is_short());
    }

    #[test]
    fn a_node_is_short_of_memory_when_little_is_left_or_all_wait_for_it() {
        let with = |available_bytes, minute_percent| {
            let full = Some(StallTime { minute_percent, total_seconds: 1.0 });
            let memory = Some(Stall { full, ..Stall::default() });
            NodeUsage {
                memory: Some(NodeMemory { available_bytes, ..NodeMemory::default() }),
                pressure: Pressure { memory, ..Pressure::default() },
                ..NodeUsage::default()
            }
        };
        let (plenty, calm) = (100 << 20, 9.9);
        assert!(!with(plenty, calm).shortage().memory);
        assert!(with(plenty - 1, calm).shortage().memory);
        assert!(with(plenty, 10.0).shortage().memory);
        assert!(!NodeUsage::default().shortage().memory, "what is not known is no shortage");
    }
}
