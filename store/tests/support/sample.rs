//! Random values of the model, determined by a seed, that between them use every case of every type.

mod declared;
mod security;
mod storage;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use dugout_model::*;

pub struct Dice {
    ids: IdSource,
}

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice { ids: IdSource::from_seed(seed) }
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.ids.next_u64() % bound
    }

    pub fn flip(&mut self) -> bool {
        self.below(2) == 0
    }

    pub fn uuid(&mut self) -> uuid::Uuid {
        self.ids.next_uuid()
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Dice) -> T) -> Option<T> {
        self.flip().then(|| make(self))
    }

    fn some<T>(&mut self, mut make: impl FnMut(&mut Dice) -> T) -> Vec<T> {
        (0..self.below(3)).map(|_| make(self)).collect()
    }

    /// Text with everything that could be mangled on the way.
    pub fn text(&mut self) -> String {
        const PIECES: [&str; 12] = [
            "web",
            "",
            "\0",
            "\u{1a}",
            "\u{1a}0",
            "\\u0000",
            "\"'",
            "\\",
            "é\u{1f600}",
            "\n\t\u{7f}",
            "$1 %",
            "\u{feff}",
        ];
        (0..self.below(4)).map(|_| self.pick(&PIECES)).collect()
    }

    pub fn number(&mut self) -> u64 {
        let number = self.ids.next_u64();
        self.pick(&[0, 1, u64::MAX, u64::from(u32::MAX) + 1, number])
    }

    fn small(&mut self) -> u32 {
        self.below(u64::from(u32::MAX)) as u32
    }

    fn port(&mut self) -> u16 {
        self.below(65_536) as u16
    }

    pub fn moment(&mut self) -> Timestamp {
        Timestamp::from_micros(1_763_928_000_000_000 + self.below(1_000_000_000_000) as i64)
    }

    fn span(&mut self) -> Duration {
        Duration::from_nanos(self.ids.next_u64())
    }

    fn bytes(&mut self) -> Vec<u8> {
        self.some(|dice| dice.below(256) as u8)
    }

    fn map(&mut self) -> StringMap {
        self.some(|dice| (dice.text(), dice.text())).into_iter().collect()
    }

    fn address(&mut self) -> IpAddr {
        let bits = self.uuid().as_u128();
        match self.flip() {
            true => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
            false => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        }
    }

    pub fn sha(&mut self) -> CommitSha {
        CommitSha::new(format!("{}{:08x}", self.uuid().simple(), self.small()))
    }
}

/// What is chosen and what is seen.
impl Dice {
    pub fn rollout(&mut self, workload: ObjectUid) -> Rollout {
        Rollout {
            workload,
            generation: self.number(),
            state: match self.below(5) {
                0 => RolloutState::Progressing,
                1 => RolloutState::Waiting { message: self.text() },
                2 => RolloutState::Complete,
                3 => RolloutState::Failed {
                    reason: RolloutFailure::ProgressDeadlineExceeded,
                    message: self.text(),
                },
                _ => RolloutState::Failed {
                    reason: RolloutFailure::ImageUnavailable,
                    message: self.text(),
                },
            },
            progressed_at: self.moment(),
            milestone: RolloutMilestone {
                updated: self.small(),
                ready: self.small(),
                available: self.small(),
                old: self.small(),
            },
        }
    }

    pub fn replica_set(&mut self, uid: ReplicaSetUid) -> ReplicaSet {
        ReplicaSet {
            uid,
            namespace: NamespaceName::new(self.text()),
            name: ObjectName::new(self.text()),
            owner: ObjectUid(uuid::Uuid::from_u128(u128::from(self.below(4)))),
            source: SourceName::new(self.text()),
            template: self.template(),
            template_hash: TemplateHash::new(self.text()),
            revision: self.number(),
            replicas: self.small(),
            sha: self.sha(),
            created_at: self.moment(),
            pins: self.pins(),
        }
    }

    pub fn pod(&mut self, uid: PodUid, replica_set: ReplicaSetUid) -> Pod {
        Pod {
            uid,
            namespace: NamespaceName::new(self.text()),
            name: ObjectName::new(format!("web-{uid}")),
            replica_set,
            identity: self.identity(),
            created_at: self.moment(),
            placement: match self.flip() {
                true => Placement::Waiting(self.unschedulable()),
                false => Placement::On { node: self.node_name(), at: self.moment() },
            },
            lifecycle: self.lifecycle(),
            seen: match self.below(3) {
                0 => Seen::Absent,
                1 => Seen::Unknown { since: self.moment(), last: self.maybe(Dice::pod_status) },
                _ => Seen::Known(self.pod_status()),
            },
        }
    }

    /// A pod that was not there before.
    pub fn new_pod(&mut self, replica_set: ReplicaSetUid) -> Pod {
        let uid = PodUid(self.uuid());
        self.pod(uid, replica_set)
    }

    fn unschedulable(&mut self) -> Unschedulable {
        const FILTERS: [NodeFilter; 7] = [
            NodeFilter::NotReady,
            NodeFilter::Cordoned,
            NodeFilter::NodeSelector,
            NodeFilter::InsufficientCpu,
            NodeFilter::InsufficientMemory,
            NodeFilter::TooManyPods,
            NodeFilter::NotAllowed,
        ];
        let removed = self.some(|dice| (dice.pick(&FILTERS), dice.small()));
        Unschedulable { removed: BTreeMap::from_iter(removed) }
    }

    fn lifecycle(&mut self) -> Lifecycle {
        let reason =
            self.pick(&[StopReason::Scaled, StopReason::OwnerRemoved, StopReason::NodeLost]);
        match self.below(3) {
            0 => Lifecycle::Active,
            1 => Lifecycle::Draining {
                since: self.moment(),
                since_turn: Turn(self.number()),
                deadline: self.moment(),
                reason,
            },
            _ => Lifecycle::Stopping { since: self.moment(), grace: self.span(), reason },
        }
    }

    fn pod_status(&mut self) -> PodStatus {
        let mut status = PodStatus {
            phase: self.pick(&[
                PodPhase::Pending,
                PodPhase::Running,
                PodPhase::Succeeded,
                PodPhase::Failed,
                PodPhase::Gone,
            ]),
            init_containers: Vec::new(),
            containers: self.some(|dice| ContainerStatus {
                name: dice.text(),
                state: dice.container_state(),
                ready: dice.flip(),
                restarts: dice.small(),
                container_id: dice.maybe(Dice::text),
                image_id: dice.maybe(Dice::text),
                image_digest: dice.maybe(Dice::digest),
                last_exit: dice.maybe(Dice::exit),
            }),
            address: self.maybe(Dice::address),
            ready_since: self.maybe(Dice::moment),
            milestones: PodMilestones {
                accepted_at: self.maybe(Dice::moment),
                pulled_at: self.maybe(Dice::moment),
                created_at: self.maybe(Dice::moment),
                started_at: self.maybe(Dice::moment),
                ready_at: self.maybe(Dice::moment),
                stopped_at: self.maybe(Dice::moment),
            },
            pause: None,
            drift: self.some(Dice::text),
        };
        status.pause = match status.drift.len() {
            0 => None,
            1 => Some(Pause::LeftAlone),
            _ => Some(Pause::Stopped),
        };
        status
    }

    fn container_state(&mut self) -> ContainerState {
        match self.below(3) {
            0 => ContainerState::Waiting {
                reason: self.pick(&WaitingReason::ALL),
                message: self.text(),
            },
            1 => ContainerState::Running { started_at: self.moment() },
            _ => ContainerState::Terminated(self.exit()),
        }
    }

    fn exit(&mut self) -> ContainerExit {
        ContainerExit {
            exit_code: self.pick(&[0, 137, -1, i64::MIN]),
            oom_killed: self.flip(),
            finished_at: self.moment(),
        }
    }

    pub fn node_name(&mut self) -> NodeName {
        NodeName::new(self.pick(&["a", "b", "c", "odd\0name"]))
    }

    pub fn node(&mut self, name: NodeName) -> Node {
        let mut node = self.node_without_events(name);
        // Of the numbers that it has: golden rows of before stay what they are.
        node.last_event = (node.generation.0 % 2 == 1).then(|| EventNumber {
            run: uuid::Uuid::from_u128(node.generation.0.into()),
            number: node.generation.0,
        });
        node
    }

    fn node_without_events(&mut self, name: NodeName) -> Node {
        Node {
            name,
            instance: self.text(),
            labels: self.map(),
            capacity: Resources {
                cpu_millis: self.number(),
                memory_bytes: self.number(),
                pods: self.number(),
            },
            storage_bytes: None,
            engine: EngineId::new(self.pick(&["one", "two"])),
            engine_version: self.text(),
            agent_version: self.text(),
            address: self.maybe(Dice::address),
            condition: match self.below(3) {
                0 => NodeCondition::Ready,
                1 => NodeCondition::NotReady {
                    since: self.moment(),
                    reason: NotReadyReason::AgentSilent,
                },
                _ => NodeCondition::NotReady {
                    since: self.moment(),
                    reason: NotReadyReason::EngineUnavailable,
                },
            },
            scheduling: match self.flip() {
                true => Scheduling::Cordoned,
                false => Scheduling::Schedulable,
            },
            pulls: self.some(Dice::pull),
            generation: Turn(self.number()),
            last_event: None,
            joined_at: self.moment(),
        }
    }

    fn digest(&mut self) -> ImageDigest {
        ImageDigest::new(format!("sha256:{:064x}", self.number()))
    }

    fn pins(&mut self) -> ImagePins {
        self.some(|dice| (dice.text(), dice.digest())).into_iter().collect()
    }

    fn pull(&mut self) -> ImagePull {
        ImagePull {
            source: SourceName::new(self.pick(&["shop", "infra"])),
            release: ReleaseId(self.number()),
            asked_at: self.moment(),
            image: self.text(),
            policy: self.pick(&[PullPolicy::Always, PullPolicy::IfNotPresent, PullPolicy::Never]),
            digest: self.maybe(Dice::digest),
            pull_secrets: self.some(|dice| ObjectKey::new(dice.text(), dice.text())).into(),
            state: match self.below(3) {
                0 => PullState::Wanted { trouble: self.maybe(Dice::text) },
                1 => PullState::Held,
                _ => PullState::Failed { message: self.text() },
            },
        }
    }
}

/// Sources, their commits, and history.
impl Dice {
    pub fn source(&mut self, name: SourceName) -> Source {
        let mut source = Source {
            name,
            url: self.text(),
            branch: self.text(),
            path: self.text(),
            poll_interval: self.span(),
            on_failure: self.pick(&OnFailure::ALL),
            drift: self.pick(&Drift::ALL),
            suspended: self.flip(),
            status: SourceStatus {
                head: self.maybe(Dice::sha),
                applied: self.maybe(Dice::sha),
                gate: match self.below(4) {
                    0 => PullGate::Open,
                    1 => {
                        let scope = self.pick(&[GateScope::Release, GateScope::Workload]);
                        PullGate::Unasked { release: ReleaseId(self.number()), scope }
                    }
                    2 => PullGate::Shut { release: ReleaseId(self.number()) },
                    _ => PullGate::Pulling {
                        release: ReleaseId(self.number()),
                        scope: self.pick(&[GateScope::Release, GateScope::Workload]),
                        since: self.moment(),
                        deadline: self.moment(),
                        lacks_room: self.flip(),
                    },
                },
                healthy: self.maybe(Dice::sha),
                condition: match self.below(7) {
                    0 => SourceCondition::Unread,
                    1 => SourceCondition::Readable,
                    2 => SourceCondition::Unreachable { message: self.text() },
                    3 => SourceCondition::BranchMissing,
                    4 => SourceCondition::PathMissing,
                    5 => SourceCondition::Corrupt { message: self.text() },
                    _ => SourceCondition::NotPlanned { message: self.text() },
                },
                since: self.moment(),
                approved: self.maybe(Dice::sha),
                failure: self.maybe(|dice| Failure { sha: dice.sha(), since: dice.moment() }),
                owed_revert: self.maybe(|dice| OwedRevert {
                    failed: dice.sha(),
                    to: dice.sha(),
                    reason: dice.text(),
                    delayed_by: dice.maybe(Dice::text),
                }),
                failed_contents: Vec::new(),
            },
        };
        // By dice of its own: what was drawn before this field came stays as it was.
        let mut dice = Dice::new(source.status.since.as_micros().unsigned_abs());
        source.status.failed_contents = dice.some(|dice| FailedContent {
            content: ContentHash::new(dice.text()),
            sha: dice.sha(),
            reason: dice.text(),
        });
        source
    }

    pub fn baseline(&mut self, source: SourceName) -> Baseline {
        let object = self.object_id();
        let mut form = || self.maybe(|dice| Arc::new(dice.object(object.clone(), source.clone())));
        let (before, served) = (form(), form());
        let role = self.pick(&[
            BaselineRole::Healthy,
            BaselineRole::Past,
            BaselineRole::Replaced,
            BaselineRole::Leaving,
        ]);
        Baseline { source, role, sha: self.sha(), before, served, object }
    }

    pub fn commit(&mut self) -> Commit {
        Commit {
            sha: self.sha(),
            author: self.text(),
            message: self.text(),
            committed_at: self.moment(),
            parents: self.some(Dice::sha),
        }
    }

    pub fn object_id(&mut self) -> ObjectId {
        // Those that came later are left out: with them, the same dice would show other rows.
        let mut kinds = Kind::ALL.to_vec();
        kinds.retain(|kind| !matches!(kind, Kind::LimitRange | Kind::ResourceQuota));
        let (kind, namespace) = (self.pick(&kinds), self.pick(&["", "demo"]));
        ObjectId::new(kind, namespace, self.pick(&["web", "api", "odd\0name"]))
    }

    pub fn release(&mut self, id: ReleaseId, source: SourceName) -> Release {
        Release {
            id,
            source,
            commit: self.commit(),
            verdict: self.pick(&Verdict::ALL),
            reason: self.maybe(Dice::text),
            touched: self.some(Dice::object_id).into_iter().collect(),
            started_at: self.moment(),
            finished_at: self.maybe(Dice::moment),
            revert: self.maybe(|dice| match dice.below(4) {
                3 => RevertOutcome::Overtaken { commit: dice.sha() },
                0 => RevertOutcome::Pushed { commit: dice.sha() },
                1 => RevertOutcome::OnBranch { branch: dice.text(), message: dice.text() },
                _ => RevertOutcome::Refused { message: dice.text() },
            }),
            pins: self.pins(),
        }
    }

    pub fn revision(&mut self, source: SourceName) -> StoredRevision {
        StoredRevision {
            source,
            commit: self.commit(),
            problems: self.some(Dice::problem),
            hops: RevisionHops {
                noticed_by: self.pick(&NoticedBy::ALL),
                noticed_at: self.moment(),
                fetched_at: self.moment(),
                validated_at: self.moment(),
            },
            rewritten: self.flip(),
        }
    }

    fn problem(&mut self) -> Problem {
        Problem {
            file: self.text(),
            line: self.small(),
            column: self.small(),
            severity: self.pick(&[Severity::Error, Severity::Notice]),
            field_path: self.text(),
            message: self.text(),
            hint: self.maybe(Dice::text),
        }
    }

    pub fn timeline_entry(&mut self, source: SourceName, sha: CommitSha) -> TimelineEntry {
        TimelineEntry {
            source,
            sha,
            at: self.moment(),
            step: self.pick(&Step::ALL),
            subject: self.text(),
            message: self.text(),
        }
    }

    pub fn event(&mut self) -> Event {
        Event {
            at: self.moment(),
            event_type: self.pick(&[EventType::Normal, EventType::Warning]),
            kind: self.text(),
            namespace: NamespaceName::new(self.pick(&["", "demo", "odd\0name"])),
            name: self.text(),
            reason: self.text(),
            message: self.text(),
        }
    }
}
