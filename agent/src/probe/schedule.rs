//! When each probe of one container is due, and what its results mean. Pure.
//!
//! The tries stand on a grid: the first at the container's start plus `initialDelaySeconds`, then one
//! each `periodSeconds`. Thresholds count results on this grid and nothing else, as on Kubernetes.
//! Beyond that, while a container has not become ready (or started) for the first time, extra tries at
//! short, growing intervals look for the first success, so that a ready pod is known within
//! milliseconds. An extra try that fails counts for nothing.

use std::time::Duration;

use dugout_model::{Container, EnvValue, Probe, ProbeAction, Timestamp};

/// The first interval between extra tries.
const FIRST_EXTRA: Duration = Duration::from_millis(5);
/// The same for a command, which costs the engine far more than a connection.
const FIRST_EXTRA_EXEC: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    Startup,
    Readiness,
    Liveness,
}

impl ProbeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            ProbeKind::Startup => "Startup",
            ProbeKind::Readiness => "Readiness",
            ProbeKind::Liveness => "Liveness",
        }
    }
}

/// What a result changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    Ready(bool),
    /// A regular try failed: the first in a row, or the one that reaches the threshold.
    Unhealthy {
        kind: ProbeKind,
        message: String,
    },
    /// The container shall be killed and started again.
    Condemned {
        kind: ProbeKind,
        message: String,
        /// How long it has to end, where the probe says so.
        grace: Option<Duration>,
    },
}

/// The probes of one run of one container.
#[derive(Clone, Debug)]
pub struct ContainerProbes {
    startup: Option<Schedule>,
    readiness: Option<Schedule>,
    liveness: Option<Schedule>,
    started: bool,
    ready: bool,
    condemned: bool,
}

#[derive(Clone, Debug)]
struct Schedule {
    probe: Probe,
    next_regular: Timestamp,
    extra: Option<Extra>,
    in_flight: Option<Try>,
    successes: u32,
    failures: u32,
    /// Whether any result is known.
    known: bool,
}

#[derive(Clone, Copy, Debug)]
struct Extra {
    at: Timestamp,
    interval: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Try {
    Regular,
    Extra,
}

impl ContainerProbes {
    /// The probes of a container that was started just now.
    pub fn of_fresh(container: &Container<EnvValue>, started_at: Timestamp) -> Self {
        let mut probes = Self::new(container, started_at);
        probes.started = probes.startup.is_none();
        probes.ready = probes.started && probes.readiness.is_none();
        probes
    }

    /// The probes of a container that ran before this agent did: it is taken as started, and whether
    /// it is ready is tried at once.
    pub fn of_adopted(
        container: &Container<EnvValue>,
        started_at: Timestamp,
        now: Timestamp,
    ) -> Self {
        let mut probes = Self::new(container, started_at);
        probes.startup = None;
        probes.started = true;
        probes.ready = probes.readiness.is_none();
        for schedule in [&mut probes.readiness, &mut probes.liveness].into_iter().flatten() {
            schedule.next_regular = schedule.next_regular.max(now);
            if let Some(extra) = schedule.extra.as_mut() {
                extra.at = schedule.next_regular + extra.interval;
            }
        }
        probes
    }

    fn new(container: &Container<EnvValue>, started_at: Timestamp) -> Self {
        let schedule = |probe: &Option<Box<Probe>>, extra| {
            probe.as_deref().map(|probe| Schedule::new(probe.clone(), started_at, extra))
        };
        Self {
            startup: schedule(&container.startup_probe, true),
            readiness: schedule(&container.readiness_probe, true),
            liveness: schedule(&container.liveness_probe, false),
            started: false,
            ready: false,
            condemned: false,
        }
    }

    /// Whether the startup probe has passed, or there is none.
    pub fn started(&self) -> bool {
        self.started
    }

    pub fn ready(&self) -> bool {
        self.ready
    }

    /// Whether readiness is known: a probe has answered, or there is none.
    pub fn known(&self) -> bool {
        self.readiness.as_ref().is_none_or(|schedule| schedule.known)
    }

    /// The next moment at which something is due.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.active().filter_map(|(_, schedule)| schedule.next_at()).min()
    }

    /// What shall be tried now; each is under way until [`ContainerProbes::note`].
    pub fn take_due(&mut self, now: Timestamp) -> Vec<(ProbeKind, Probe)> {
        let due: Vec<ProbeKind> = self
            .active()
            .filter(|(_, schedule)| schedule.next_at().is_some_and(|at| at <= now))
            .map(|(kind, _)| kind)
            .collect();
        due.into_iter()
            .filter_map(|kind| {
                let schedule = self.schedule(kind)?;
                schedule.begin(now);
                Some((kind, schedule.probe.clone()))
            })
            .collect()
    }

    /// Takes in the result of a try.
    pub fn note(
        &mut self,
        kind: ProbeKind,
        result: Result<(), String>,
        now: Timestamp,
    ) -> Vec<Finding> {
        let Some(schedule) = self.schedule(kind) else { return Vec::new() };
        let Some(under_way) = schedule.in_flight.take() else { return Vec::new() };
        schedule.known = true;
        match result {
            Ok(()) => {
                schedule.succeeded(under_way);
                self.after_success(kind)
            }
            Err(message) => {
                schedule.failed(under_way, now);
                if under_way == Try::Extra {
                    return Vec::new();
                }
                self.after_failure(kind, message)
            }
        }
    }

    fn after_success(&mut self, kind: ProbeKind) -> Vec<Finding> {
        let reached = self
            .schedule(kind)
            .is_some_and(|schedule| schedule.successes >= schedule.probe.success_threshold);
        match kind {
            ProbeKind::Startup if reached && !self.started => {
                self.started = true;
                let ready = self.readiness.is_none();
                self.become_ready(ready)
            }
            ProbeKind::Readiness if reached => self.become_ready(true),
            _ => Vec::new(),
        }
    }

    fn after_failure(&mut self, kind: ProbeKind, message: String) -> Vec<Finding> {
        let Some(schedule) = self.schedule(kind) else { return Vec::new() };
        let (failures, threshold) = (schedule.failures, schedule.probe.failure_threshold);
        let grace = schedule.probe.termination_grace;
        let mut findings = Vec::new();
        // Told when it begins and when it counts; not for every try of a pod that stays unready.
        if failures == 1 || failures == threshold {
            findings.push(Finding::Unhealthy { kind, message: message.clone() });
        }
        if failures < threshold {
            return findings;
        }
        if kind == ProbeKind::Readiness {
            findings.extend(self.become_ready(false));
        } else {
            self.condemned = true;
            findings.push(Finding::Condemned { kind, message, grace });
        }
        findings
    }

    /// Nobody acted on what condemned the container: it is probed on, and failures count anew.
    pub fn pardon(&mut self, now: Timestamp) {
        if !std::mem::take(&mut self.condemned) {
            return;
        }
        for schedule in [&mut self.startup, &mut self.liveness].into_iter().flatten() {
            (schedule.failures, schedule.in_flight) = (0, None);
            schedule.next_regular = now + schedule.probe.period;
        }
    }

    fn become_ready(&mut self, ready: bool) -> Vec<Finding> {
        if self.ready == ready {
            return Vec::new();
        }
        self.ready = ready;
        vec![Finding::Ready(ready)]
    }

    fn schedule(&mut self, kind: ProbeKind) -> Option<&mut Schedule> {
        match kind {
            ProbeKind::Startup => self.startup.as_mut(),
            ProbeKind::Readiness => self.readiness.as_mut(),
            ProbeKind::Liveness => self.liveness.as_mut(),
        }
    }

    /// The probes that run now: the others wait for the startup probe, and nothing is tried on a
    /// container that was given up.
    fn active(&self) -> impl Iterator<Item = (ProbeKind, &Schedule)> {
        let (started, condemned) = (self.started, self.condemned);
        [
            (ProbeKind::Startup, self.startup.as_ref()),
            (ProbeKind::Readiness, self.readiness.as_ref()),
            (ProbeKind::Liveness, self.liveness.as_ref()),
        ]
        .into_iter()
        .filter(move |(kind, _)| !condemned && started == (*kind != ProbeKind::Startup))
        .filter_map(|(kind, schedule)| Some((kind, schedule?)))
    }
}

impl Schedule {
    fn new(probe: Probe, started_at: Timestamp, extra: bool) -> Self {
        let first = started_at + probe.initial_delay;
        let interval = match probe.action {
            ProbeAction::Exec { .. } => FIRST_EXTRA_EXEC,
            ProbeAction::HttpGet(_) | ProbeAction::TcpSocket { .. } | ProbeAction::Grpc { .. } => {
                FIRST_EXTRA
            }
        };
        // With a higher threshold one early success proves nothing.
        let extra = extra && probe.success_threshold <= 1 && interval < probe.period;
        Self {
            next_regular: first,
            extra: extra.then_some(Extra { at: first + interval, interval }),
            in_flight: None,
            successes: 0,
            failures: 0,
            known: false,
            probe,
        }
    }

    fn next_at(&self) -> Option<Timestamp> {
        if self.in_flight.is_some() {
            return None;
        }
        Some(self.extra.map_or(self.next_regular, |extra| extra.at.min(self.next_regular)))
    }

    fn begin(&mut self, now: Timestamp) {
        if self.next_regular <= now {
            self.in_flight = Some(Try::Regular);
            // A tick that was missed is not made up for.
            let next = self.next_regular + self.probe.period;
            self.next_regular = if next > now { next } else { now + self.probe.period };
        } else {
            self.in_flight = Some(Try::Extra);
        }
    }

    fn succeeded(&mut self, under_way: Try) {
        self.extra = None;
        self.failures = 0;
        if under_way == Try::Regular || self.probe.success_threshold <= 1 {
            self.successes = self.successes.saturating_add(1);
        }
    }

    fn failed(&mut self, under_way: Try, now: Timestamp) {
        if let Some(extra) = self.extra.as_mut() {
            let interval = extra.interval;
            extra.at = now + interval;
            extra.interval = interval.saturating_mul(2);
            if interval >= self.probe.period {
                self.extra = None;
            }
        }
        if under_way == Try::Regular {
            self.successes = 0;
            self.failures = self.failures.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, template};

    fn probe(initial: u64, period: u64, successes: u32, failures: u32) -> Option<Box<Probe>> {
        Some(Box::new(Probe {
            action: ProbeAction::TcpSocket { host: None, port: dugout_model::PortRef::Number(80) },
            initial_delay: Duration::from_secs(initial),
            period: Duration::from_secs(period),
            timeout: Duration::from_secs(1),
            success_threshold: successes,
            failure_threshold: failures,
            termination_grace: None,
        }))
    }

    fn container() -> Container<EnvValue> {
        template("web").containers.remove(0)
    }

    fn bad() -> Result<(), String> {
        Err("refused".into())
    }

    /// Tries everything due until `until` with one result; gives the moments of the tries.
    fn play(
        probes: &mut ContainerProbes,
        until: Timestamp,
        result: &Result<(), String>,
    ) -> (Vec<Duration>, Vec<Finding>) {
        let (mut moments, mut findings) = (Vec::new(), Vec::new());
        while let Some(now) = probes.next_at().filter(|now| *now <= until) {
            for (kind, _) in probes.take_due(now) {
                moments.push(now.since(at(0)));
                findings.extend(probes.note(kind, result.clone(), now));
            }
        }
        (moments, findings)
    }

    #[test]
    fn without_probes_a_container_is_ready_when_it_runs() {
        let probes = ContainerProbes::of_fresh(&container(), at(0));
        assert!(probes.ready() && probes.known());
        assert_eq!(probes.next_at(), None);
    }

    #[test]
    fn readiness_is_tried_at_once_and_then_at_growing_intervals() {
        let mut wanted = container();
        wanted.readiness_probe = probe(0, 1, 1, 3);
        let mut probes = ContainerProbes::of_fresh(&wanted, at(0));
        let (moments, findings) = play(&mut probes, at(1), &bad());
        let millis: Vec<u128> = moments.iter().map(Duration::as_millis).collect();
        assert_eq!(millis, [0, 5, 15, 35, 75, 155, 315, 635, 1000]);
        // Two of them count, and the first of these is told.
        assert_eq!(findings.len(), 1);
        let due = probes.next_at().unwrap();
        probes.take_due(due);
        assert_eq!(probes.note(ProbeKind::Readiness, Ok(()), due), [Finding::Ready(true)]);
    }

    #[test]
    fn readiness_is_lost_after_its_failure_threshold() {
        let mut wanted = container();
        wanted.readiness_probe = probe(0, 10, 1, 3);
        let mut probes = ContainerProbes::of_fresh(&wanted, at(0));
        assert_eq!(play(&mut probes, at(0), &Ok(())).1, [Finding::Ready(true)]);
        let (moments, findings) = play(&mut probes, at(30), &bad());
        assert_eq!(moments, [10, 20, 30].map(Duration::from_secs));
        assert_eq!(findings.last(), Some(&Finding::Ready(false)));
        assert!(!probes.ready());
        // Once it was ready there are no extra tries: the period rules.
        assert_eq!(play(&mut probes, at(40), &Ok(())).0, [Duration::from_secs(40)]);
        assert!(probes.ready());
    }

    #[test]
    fn a_success_threshold_counts_regular_tries_alone() {
        let mut wanted = container();
        wanted.readiness_probe = probe(2, 10, 3, 3);
        let mut probes = ContainerProbes::of_fresh(&wanted, at(0));
        let (moments, findings) = play(&mut probes, at(22), &Ok(()));
        assert_eq!(moments, [2, 12, 22].map(Duration::from_secs));
        assert_eq!(findings, [Finding::Ready(true)]);
    }

    #[test]
    fn liveness_condemns_at_its_threshold_and_then_rests() {
        let mut wanted = container();
        wanted.liveness_probe = probe(5, 10, 1, 2);
        let mut probes = ContainerProbes::of_fresh(&wanted, at(0));
        let (moments, findings) = play(&mut probes, at(100), &bad());
        assert_eq!(moments, [5, 15].map(Duration::from_secs));
        assert!(matches!(findings.last(), Some(Finding::Condemned { .. })));
        assert_eq!(probes.next_at(), None);
        // Somebody had it left alone; now it is tended again.
        probes.pardon(at(200));
        let (moments, findings) = play(&mut probes, at(300), &bad());
        assert_eq!(moments, [210, 220].map(Duration::from_secs));
        assert!(matches!(findings.last(), Some(Finding::Condemned { .. })));
    }

    #[test]
    fn the_others_wait_for_the_startup_probe() {
        let mut wanted = container();
        wanted.startup_probe = probe(0, 10, 1, 30);
        wanted.readiness_probe = probe(0, 10, 1, 3);
        wanted.liveness_probe = probe(0, 10, 1, 3);
        let mut probes = ContainerProbes::of_fresh(&wanted, at(0));
        let kinds = |probes: &mut ContainerProbes, now| {
            probes.take_due(now).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&mut probes, at(0)), [ProbeKind::Startup]);
        assert!(!probes.ready());
        probes.note(ProbeKind::Startup, Ok(()), at(0));
        assert_eq!(kinds(&mut probes, at(0)), [ProbeKind::Readiness, ProbeKind::Liveness]);
    }

    #[test]
    fn a_startup_probe_condemns_only_after_all_of_its_time() {
        let mut wanted = container();
        wanted.startup_probe = probe(0, 1, 1, 5);
        let mut probes = ContainerProbes::of_fresh(&wanted, at(0));
        let (moments, findings) = play(&mut probes, at(100), &bad());
        assert_eq!(moments.last(), Some(&Duration::from_secs(4)));
        assert!(matches!(findings.last(), Some(Finding::Condemned { .. })));
    }

    #[test]
    fn a_container_that_ran_before_is_taken_as_started() {
        let mut wanted = container();
        wanted.startup_probe = probe(0, 10, 1, 3);
        wanted.readiness_probe = probe(60, 10, 1, 3);
        let mut probes = ContainerProbes::of_adopted(&wanted, at(0), at(1000));
        assert!(!probes.known());
        assert_eq!(probes.next_at(), Some(at(1000)));
        assert_eq!(play(&mut probes, at(1000), &Ok(())).1, [Finding::Ready(true)]);
        assert!(probes.known());
    }

    #[test]
    fn ticks_that_were_missed_are_not_made_up_for() {
        let mut wanted = container();
        wanted.liveness_probe = probe(0, 10, 1, 3);
        let mut probes = ContainerProbes::of_fresh(&wanted, at(0));
        assert_eq!(probes.take_due(at(95)).len(), 1);
        probes.note(ProbeKind::Liveness, bad(), at(95));
        assert_eq!(probes.next_at(), Some(at(105)));
    }
}
