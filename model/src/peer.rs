//! Callers from the network, as far as limits tell them apart.

use std::net::{IpAddr, Ipv6Addr};

/// What counts as one caller: an IPv4 address, or the /64 that an IPv6 host can choose its address in.
pub fn peer_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> IpAddr {
        peer_network(text.parse().unwrap())
    }

    #[test]
    fn a_host_cannot_hide_in_its_own_network() {
        assert_eq!(network("2001:db8:1:2:a::1"), network("2001:db8:1:2::"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("2001:db8:1:2::"), network("2001:db8:1:3::"));
    }
}
