//! How often callers may show join tokens that are not valid: so often at once, so often after that,
//! from one network and in all. Pure: the time comes in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use dugout_model::peer_network;

/// How many guesses go through at once after a quiet time, and how soon there is another one.
#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    interval: Duration,
}

const PER_PEER: Rate = Rate { burst: 20, interval: Duration::from_secs(1) };
/// A token has 256 random bits, so this is no matter of finding one out: each guess asks the database.
const IN_ALL: Rate = Rate { burst: 200, interval: Duration::from_millis(50) };

/// Peers that are remembered. What is older than their burst is forgotten, so the rate in all keeps
/// their number below this.
const PEERS_MAX: usize = 4_096;

/// The guesses that were made of late.
#[derive(Debug, Default)]
pub(crate) struct Guesses {
    by_peer: HashMap<IpAddr, Account>,
    in_all: Account,
}

/// When all that was taken is paid back (the generic cell rate algorithm); never, when nothing was.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    settled_at: Option<Instant>,
}

impl Account {
    fn debt(self, now: Instant) -> Duration {
        self.settled_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }

    /// How long until there is another guess.
    fn wait(self, rate: Rate, now: Instant) -> Duration {
        self.debt(now).saturating_sub(rate.interval * rate.burst.saturating_sub(1))
    }

    fn take(&mut self, rate: Rate, now: Instant) {
        self.settled_at = Some(now + self.debt(now) + rate.interval);
    }

    fn give_back(&mut self, rate: Rate) {
        self.settled_at = self.settled_at.and_then(|at| at.checked_sub(rate.interval));
    }
}

impl Guesses {
    /// Takes one guess before the token is looked at, so that many at once are no way around.
    ///
    /// # Errors
    /// How long to wait, when there is none left.
    pub fn take(&mut self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let peer = peer_network(peer);
        if self.by_peer.len() >= PEERS_MAX {
            self.by_peer.retain(|_, account| account.debt(now) > Duration::ZERO);
        }
        let account = self.by_peer.get(&peer).copied().unwrap_or_default();
        let wait = account.wait(PER_PEER, now).max(self.in_all.wait(IN_ALL, now));
        if wait > Duration::ZERO {
            return Err(wait);
        }
        self.in_all.take(IN_ALL, now);
        self.by_peer.entry(peer).or_default().take(PER_PEER, now);
        Ok(())
    }

    /// It was no guess: the token is right, or nobody could tell.
    pub fn give_back(&mut self, peer: IpAddr) {
        self.in_all.give_back(IN_ALL);
        if let Some(account) = self.by_peer.get_mut(&peer_network(peer)) {
            account.give_back(PER_PEER);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn taken(guesses: &mut Guesses, from: &str, now: Instant, tries: usize) -> usize {
        (0..tries).filter(|_| guesses.take(peer(from), now).is_ok()).count()
    }

    #[test]
    fn one_peer_has_its_burst_and_then_its_rate_and_others_are_not_concerned() {
        let (mut guesses, start) = (Guesses::default(), Instant::now());
        assert_eq!(taken(&mut guesses, "192.0.2.1", start, 100), 20);
        assert_eq!(guesses.take(peer("192.0.2.1"), start), Err(PER_PEER.interval));
        assert_eq!(taken(&mut guesses, "192.0.2.2", start, 1), 1);
        let later = start + Duration::from_secs(3);
        assert_eq!(taken(&mut guesses, "192.0.2.1", later, 100), 3);
        let much_later = start + Duration::from_secs(86_400);
        assert_eq!(taken(&mut guesses, "192.0.2.1", much_later, 100), 20);
    }

    #[test]
    fn many_peers_together_have_a_bound_too() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        let all: usize =
            (0..250).map(|last| taken(&mut guesses, &format!("192.0.2.{last}"), now, 5)).sum();
        assert_eq!(all, 200);
    }

    #[test]
    fn a_right_token_costs_nothing() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        for _ in 0..1_000 {
            guesses.take(peer("192.0.2.1"), now).expect("a guess is left");
            guesses.give_back(peer("192.0.2.1"));
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut guesses, mut now) = (Guesses::default(), Instant::now());
        for number in 0..20_000_u32 {
            let from = IpAddr::V4(std::net::Ipv4Addr::from(number));
            // As fast as the rate in all lets them through.
            while let Err(wait) = guesses.take(from, now) {
                now += wait;
            }
            assert!(guesses.by_peer.len() <= PEERS_MAX);
        }
    }
}
