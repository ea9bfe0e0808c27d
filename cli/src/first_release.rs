//! The first release after a start: waiting for its verdict, and telling a person what is there now.

mod waits;

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use dugout_agent::events::reason;
use dugout_model::{
    Event, Kind, ObjectKey, Quarantine, Release, ServiceType, SourceCondition, SourceName,
    Timestamp, Verdict, World, chain,
};
use dugout_reconciler::{Leading, Reconciler};
use tokio::time::Instant;

use crate::data_dir::Phase;
use crate::first_release::waits::Waits;
use crate::output::tell;

/// How often it is looked again though nothing changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long another server may lead before it is told: after a crash the database takes a moment to see
/// that the leader before this one is gone.
const STANDBY_PATIENCE: Duration = Duration::from_secs(20);

/// How many of the newest events are looked through after a start.
const EVENTS: u32 = 1_000;

/// How the first release ended.
pub enum FirstRelease {
    Healthy { release: Box<Release> },
    Unhealthy { reason: String },
}

/// Waits until the newest release of a source has a verdict, by what was seen since the start; or until
/// it is clear that another server decides.
pub async fn wait(reconciler: &Reconciler, source: &SourceName) -> FirstRelease {
    tokio::select! {
        first = decided(reconciler, source) => first,
        reason = led_elsewhere(reconciler) => FirstRelease::Unhealthy { reason },
    }
}

async fn led_elsewhere(reconciler: &Reconciler) -> String {
    let mut since = None;
    loop {
        if let Leading::Elsewhere { holder, .. } = reconciler.leading() {
            if since.get_or_insert_with(Instant::now).elapsed() >= STANDBY_PATIENCE {
                return format!(
                    "another server leads with this database: {holder}. This one stands by and takes over when that ends; for a cluster of its own, give it a database of its own with --postgres-url"
                );
            }
        } else {
            since = None;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

async fn decided(reconciler: &Reconciler, source: &SourceName) -> FirstRelease {
    reconciler.settled().await;
    let mut worlds = reconciler.worlds();
    let mut waits = Waits::new();
    loop {
        let now = reconciler.clock().now();
        let world = worlds.borrow_and_update().clone();
        if let Some(first) = verdict(&world, source, now) {
            return first;
        }
        waits.tell(&world, source, now);
        // Availability also comes with time, without a change of the world.
        let changed = tokio::time::timeout(LOOK_INTERVAL, worlds.changed()).await;
        if matches!(changed, Ok(Err(_))) {
            return FirstRelease::Unhealthy { reason: "the control plane stopped".to_owned() };
        }
    }
}

fn verdict(world: &World, source: &SourceName, now: Timestamp) -> Option<FirstRelease> {
    let row = world.sources.get(source)?;
    let unreadable = |reason: String| Some(FirstRelease::Unhealthy { reason });
    match (&row.status.condition, &row.status.head) {
        (SourceCondition::Unread, _) | (SourceCondition::Readable, None) => return None,
        (SourceCondition::Readable, Some(_)) => {}
        (SourceCondition::Unreachable { message }, _) => {
            return unreadable(format!("{} cannot be reached: {message}", row.url));
        }
        (SourceCondition::BranchMissing, _) => {
            return unreadable(format!("{} has no branch {}", row.url, row.branch));
        }
        (SourceCondition::PathMissing, _) => {
            return unreadable(format!("{} has no folder {}", row.url, row.path));
        }
        (SourceCondition::Corrupt { message }, _) => {
            return unreadable(format!("{} is damaged: {message}", row.url));
        }
        (SourceCondition::NotPlanned { message }, _) => return unreadable(message.clone()),
    }
    if let Some(sha) = row.status.head.as_ref().filter(|sha| {
        world.quarantine.contains(&Quarantine { source: source.clone(), sha: (*sha).clone() })
    }) {
        return unreadable(format!("commit {} failed before; commit something else", sha.short()));
    }
    let release = world.newest_release(source)?;
    if Some(&release.commit.sha) != row.status.head.as_ref() {
        return None;
    }
    match release.verdict {
        // It was healthy before; its pods may just be coming back.
        Verdict::Healthy if !all_available(world, source, now) => None,
        Verdict::Healthy => Some(FirstRelease::Healthy { release: Box::new((**release).clone()) }),
        Verdict::Rolling | Verdict::Pending => None,
        verdict => Some(FirstRelease::Unhealthy {
            reason: format!(
                "commit {} is {}: {}",
                release.commit.sha.short(),
                verdict.as_str(),
                release.reason.as_deref().unwrap_or("`dugout timeline` says more")
            ),
        }),
    }
}

/// Whether every workload of the source that asks for a number of pods has them.
fn all_available(world: &World, source: &SourceName, now: Timestamp) -> bool {
    let mut objects = world.objects.values().filter(|object| object.source == *source);
    objects.all(|object| {
        world.availability(object, now).is_none_or(|pods| pods.available >= pods.desired)
    })
}

impl FirstRelease {
    /// What whoever waits for the start is told. What nobody can reach is not there, however healthy its
    /// pods are. `events` are those since the start, the newest last.
    pub fn phase(&self, world: &World, events: &[Event]) -> Phase {
        match self {
            FirstRelease::Unhealthy { reason } => Phase::Unhealthy(reason.clone()),
            FirstRelease::Healthy { .. } => {
                let closed =
                    addresses(world, events).into_iter().find_map(|address| address.closed);
                closed.map_or(Phase::Healthy, Phase::Unhealthy)
            }
        }
    }

    /// Tells what was applied, what to open, and what to try next.
    pub fn print(&self, world: &World, events: &[Event], server_url: &str, is_demo: bool) {
        match self {
            FirstRelease::Healthy { release } => {
                let span = release
                    .finished_at
                    .map(|at| format!(" after {:.1} s", at.since(release.started_at).as_secs_f64()))
                    .unwrap_or_default();
                let kinds: Vec<String> =
                    world.objects.keys().map(std::string::ToString::to_string).collect();
                tell!(
                    "Applied   {} \"{}\", healthy{span}",
                    release.commit.sha.short(),
                    release.commit.subject()
                );
                tell!("          {}", kinds.join(", "));
            }
            FirstRelease::Unhealthy { reason } => tell!("Waiting   {reason}"),
        }
        tell!("\nOpen");
        for Address { url, service, closed } in addresses(world, events) {
            match closed {
                None => tell!("  {url:<28}{service}"),
                Some(why) => tell!(
                    "  {url:<28}{service} is NOT there: {why}. End the program that has the port, or give the Service another nodePort"
                ),
            }
        }
        tell!("  {server_url:<28}Dugout itself");
        tell!("\nTry next");
        if let Some(line) = export_line() {
            tell!("  {line}");
        }
        if is_demo {
            tell!(
                "  sed -i 's/web:1.0/web:2.0/' dugout-demo/apps/web/deployment.yaml && git -C dugout-demo commit -am 'Web 2.0'"
            );
            tell!("  dugout timeline                                  watch it roll, step by step");
            tell!("  git -C dugout-demo revert --no-edit HEAD         and it is back");
        } else {
            tell!("  dugout status       what runs, what waits and why");
            tell!("  dugout timeline     every step of the newest commit");
            tell!("  dugout rollback     the way back, as a revert commit");
        }
    }
}

/// What happened since a start, the oldest first; nothing where the database does not answer, which the
/// log says.
pub async fn events_since(reconciler: &Reconciler, start: Timestamp) -> Vec<Event> {
    let mut events = match reconciler.store().events(None, EVENTS).await {
        Ok(events) => events,
        Err(error) => {
            tracing::warn!(error = %chain(&error), "the events of this start cannot be read");
            Vec::new()
        }
    };
    events.retain(|event| event.at >= start);
    events
}

/// What makes a shell find this program as `dugout`; `None` where it does already.
fn export_line() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    if program.file_name() != Some(OsStr::new("dugout")) {
        return None;
    }
    (!is_on(std::env::var_os("PATH").as_deref(), &program)).then(|| {
        program.parent().map(|folder| format!("export PATH=\"{}:$PATH\"", folder.display()))
    })?
}

/// Whether `dugout` means this program with such a `PATH`.
fn is_on(path: Option<&OsStr>, program: &Path) -> bool {
    let first = path.and_then(|path| {
        std::env::split_paths(path).find_map(|folder| folder.join("dugout").canonicalize().ok())
    });
    first.is_some_and(|first| program.canonicalize().is_ok_and(|program| program == first))
}

/// A node port on this machine.
struct Address {
    url: String,
    service: String,
    /// Why it is not open.
    closed: Option<String>,
}

/// The node ports on this machine. `events` are those since the start, the newest last.
fn addresses(world: &World, events: &[Event]) -> Vec<Address> {
    let mut addresses = Vec::new();
    for object in world.objects_of(Kind::Service) {
        let Some(service) = object.as_service() else { continue };
        if service.service_type != ServiceType::NodePort {
            continue;
        }
        let id = object.declared.id();
        for port in service.ports.iter().filter_map(|port| port.node_port) {
            addresses.push(Address {
                url: format!("http://127.0.0.1:{port}"),
                service: id.to_string(),
                closed: not_open(events, &id.key, port).map(str::to_owned),
            });
        }
    }
    addresses
}

/// Why a service's node port is not open, in the words of the agent that said it last.
fn not_open<'a>(events: &'a [Event], service: &ObjectKey, node_port: u16) -> Option<&'a str> {
    let about = |event: &&Event| {
        matches!(&*event.reason, reason::NODE_PORT_UNAVAILABLE | reason::NODE_PORT_AVAILABLE)
            && event.kind == "Service"
            && event.namespace == service.namespace
            && event.name == service.name.as_str()
            && event.message.starts_with(&format!("node port {node_port} "))
    };
    let last = events.iter().rev().find(about)?;
    (last.reason == reason::NODE_PORT_UNAVAILABLE).then_some(&*last.message)
}

#[cfg(test)]
mod tests {
    use dugout_model::EventType;

    use super::*;

    #[test]
    fn a_node_port_is_there_unless_its_last_word_says_no() {
        let service = ObjectKey::new("demo", "web");
        let said = |reason: &str, message: &str| Event {
            at: Timestamp::from_micros(1),
            event_type: EventType::Warning,
            kind: "Service".to_owned(),
            namespace: service.namespace.clone(),
            name: service.name.to_string(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        let taken = "node port 30080 cannot be opened on node n: in use";
        let no = said(reason::NODE_PORT_UNAVAILABLE, taken);
        let yes = said(reason::NODE_PORT_AVAILABLE, "node port 30080 is open on node n");
        let other = said(reason::NODE_PORT_AVAILABLE, "node port 3008 is open on node n");
        let last_word = |events: &[Event]| not_open(events, &service, 30080).map(str::to_owned);
        assert_eq!(last_word(&[]), None);
        assert_eq!(last_word(&[yes.clone(), no.clone(), other]), Some(taken.to_owned()));
        assert_eq!(last_word(&[no.clone(), yes]), None);
        assert_eq!(not_open(&[no], &ObjectKey::new("demo", "api"), 30080), None);
    }

    #[test]
    fn a_shell_finds_the_program_only_where_it_is_the_first_of_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = |name: &str| {
            let path = folder.path().join(name).join("dugout");
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(&path, "").expect("a file");
            path
        };
        let (ours, other) = (program("ours"), program("other"));
        let path = |programs: &[&Path]| {
            let folders = programs.iter().filter_map(|program| program.parent());
            std::env::join_paths(folders).expect("a path")
        };
        assert!(is_on(Some(&path(&[Path::new("/nonexistent/dugout"), &ours, &other])), &ours));
        assert!(!is_on(Some(&path(&[&other, &ours])), &ours));
        assert!(!is_on(Some(OsStr::new("/nonexistent")), &ours));
        assert!(!is_on(None, &ours));
    }
}
