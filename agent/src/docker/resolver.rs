//! What a node's resolver is set to, of which a container's is made where its pod adds to it.
//!
//! Docker gives a container the search domains and the options of the node, or, where it is told of any,
//! those alone. Kubernetes adds a pod's to them, and begins with nothing where `dnsPolicy` is `None`: then a
//! pod names its servers, and only then.

use std::fs::File;
use std::io::{self, Read as _};

use dugout_model::PodNames;

const FILE: &str = "/etc/resolv.conf";
/// Where the node asks its own systemd-resolved, the engine takes what that one asks.
const FILE_OF_RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
const RESOLVED: &str = "127.0.0.53";
const MOST_BYTES: u64 = 1 << 16;
/// What the engine is told to search nowhere with.
const NO_SEARCH: &str = ".";
/// An option that says what holds anyway: without any the engine takes the node's.
const NO_OPTION: &str = "ndots:1";

/// The search domains and options of a resolver.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Resolver {
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

/// Whether the node's resolver must be known to make that of a pod.
pub(super) fn needs_nodes(names: &PodNames) -> bool {
    names.nameservers.is_empty() && !(names.searches.is_empty() && names.options.is_empty())
}

/// What the engine is told for a pod on a node; what is empty is the node's.
pub(super) fn of_pod(names: &PodNames, of_node: &Resolver) -> Resolver {
    if !names.nameservers.is_empty() {
        let or = |own: &[String], nothing: &str| match own {
            [] => vec![nothing.to_owned()],
            own => own.to_vec(),
        };
        let (searches, options) = (or(&names.searches, NO_SEARCH), or(&names.options, NO_OPTION));
        return Resolver { searches, options };
    }
    let mut made = Resolver::default();
    if !names.searches.is_empty() {
        for domain in of_node.searches.iter().chain(&names.searches) {
            if !made.searches.contains(domain) {
                made.searches.push(domain.clone());
            }
        }
    }
    if !names.options.is_empty() {
        let name = |option: &String| option.split(':').next().unwrap_or_default().to_owned();
        let is_own = |option: &&String| names.options.iter().any(|own| name(own) == name(option));
        made.options = of_node.options.iter().filter(|option| !is_own(option)).cloned().collect();
        made.options.extend_from_slice(&names.options);
    }
    made
}

/// Reads the node's. Waits for the disk.
pub(super) fn read() -> io::Result<Resolver> {
    let text = read_file(FILE)?;
    let mut servers = text.lines().filter_map(|line| line.strip_prefix("nameserver"));
    let asks_resolved = servers.next().is_some_and(|server| server.trim() == RESOLVED);
    match asks_resolved && servers.next().is_none() {
        true => read_file(FILE_OF_RESOLVED).or(Ok(text)).map(|text| parse(&text)),
        false => Ok(parse(&text)),
    }
}

fn read_file(path: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Of several lines the last counts, as resolv.conf(5) has it.
fn parse(text: &str) -> Resolver {
    let mut found = Resolver::default();
    for line in text.lines() {
        let mut words = line.split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("search" | "domain") => {
                found.searches = words.filter(|domain| domain != NO_SEARCH).collect();
            }
            Some("options") => found.options = words.collect(),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn names(searches: &[&str], options: &[&str]) -> PodNames {
        let (searches, options) = (words(searches).into(), words(options).into());
        PodNames { searches, options, ..PodNames::default() }
    }

    fn node() -> Resolver {
        parse(
            "# by hand\nnameserver 192.0.2.1\nsearch old\nsearch a.example b.example\noptions edns0 ndots:3\n",
        )
    }

    #[test]
    fn a_pods_domains_and_options_are_added_to_those_of_its_node() {
        assert_eq!(node().searches, ["a.example", "b.example"]);
        let made = of_pod(&names(&["c.example", "a.example"], &["ndots:5", "rotate"]), &node());
        assert_eq!(made.searches, ["a.example", "b.example", "c.example"]);
        assert_eq!(made.options, ["edns0", "ndots:5", "rotate"]);
        // What a pod says nothing of is the engine's to choose.
        assert_eq!(of_pod(&names(&["c.example"], &[]), &node()).options, [""; 0]);
        assert!(!needs_nodes(&names(&[], &[])));
        assert_eq!(of_pod(&names(&[], &[]), &node()), Resolver::default());
    }

    #[test]
    fn a_pod_with_servers_of_its_own_has_nothing_of_its_node() {
        let with_server = |searches: &[&str], options: &[&str]| PodNames {
            nameservers: [[10, 0, 0, 3].into()].into(),
            ..names(searches, options)
        };
        let bare = of_pod(&with_server(&[], &[]), &node());
        assert_eq!((bare.searches, bare.options), (words(&["."]), words(&["ndots:1"])));
        let full = of_pod(&with_server(&["c.example"], &["rotate"]), &node());
        assert_eq!((full.searches, full.options), (words(&["c.example"]), words(&["rotate"])));
        assert!(!needs_nodes(&with_server(&["c.example"], &[])));
    }
}
