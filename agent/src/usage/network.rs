//! What went through network devices, as `/proc/PID/net/dev` tells it of the network that a process is in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::files::Files;

/// The most devices of one network that are told of.
const MOST_DEVICES: usize = 64;

/// What went through a device since it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub received: Direction,
    pub transmitted: Direction,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Direction {
    pub bytes: u64,
    pub packets: u64,
    pub errors: u64,
    pub dropped: u64,
}

/// By the names of the devices; what stays on the machine by itself (`lo`) is not told.
pub type Network = BTreeMap<String, Traffic>;

/// The network of a process.
pub(super) fn of_process(files: &mut Files, process_id: u32) -> Option<Network> {
    let path = PathBuf::from(format!("/proc/{process_id}/net/dev"));
    Some(parse(files.read(&path)?, |_| true))
}

/// The network of the machine, without the devices that lead into containers.
pub(super) fn of_node(files: &mut Files) -> Network {
    let table = files.read(Path::new("/proc/self/net/dev")).unwrap_or_default();
    parse(table, |device| !device.starts_with("veth"))
}

fn parse(table: &str, is_told: impl Fn(&str) -> bool) -> Network {
    let lines = table.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(device, counts)| (device.trim(), counts))
        .filter(|(device, _)| *device != "lo" && is_told(device))
        .filter_map(|(device, counts)| Some((device.to_owned(), traffic(counts)?)))
        .take(MOST_DEVICES)
        .collect()
}

/// Eight columns of what came, then of what went.
fn traffic(counts: &str) -> Option<Traffic> {
    let columns: Vec<u64> =
        counts.split_ascii_whitespace().map_while(|column| column.parse().ok()).collect();
    let direction = |from: usize| match columns.get(from..from + 4)? {
        [bytes, packets, errors, dropped] => {
            Some(Direction { bytes: *bytes, packets: *packets, errors: *errors, dropped: *dropped })
        }
        _ => None,
    };
    Some(Traffic { received: direction(0)?, transmitted: direction(8)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       2    0    0    0     0          0         0      100       2    0    0    0     0       0          0
  eth0:90210735   14203    1    2    0     0          0         7  1508394   11002    3    4    0     0       0          0
veth1a2: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0
";

    #[test]
    fn each_device_tells_what_came_and_what_went() {
        let network = parse(TABLE, |device| !device.starts_with("veth"));
        let received = Direction { bytes: 90_210_735, packets: 14_203, errors: 1, dropped: 2 };
        let transmitted = Direction { bytes: 1_508_394, packets: 11_002, errors: 3, dropped: 4 };
        assert_eq!(
            network,
            Network::from([("eth0".to_owned(), Traffic { received, transmitted })])
        );
    }

    #[test]
    fn a_line_that_is_cut_tells_nothing() {
        assert_eq!(parse("eth0: 1 2 3 4 5 6 7 8 9", |_| true), Network::new());
    }
}
