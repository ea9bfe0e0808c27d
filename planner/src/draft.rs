//! The draft of the next world: what the stages of a turn change together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dugout_model::{
    BaselineKey, Change, Contacts, Event, IdSource, JobUid, NodeName, ObjectId, ObjectKey,
    ObjectUid, Pod, PodUid, Quarantine, Release, ReleaseId, ReplicaSet, ReplicaSetUid, SourceName,
    StoredRevision, TimelineEntry, Timestamp, Turn, VolumeUid, World,
};

use crate::releases::GoingBack;
use crate::work::Dirty;
use crate::{Plan, PlanInput, PlanReport, Settings, Work};

mod marks;

/// A world in the making.
pub(crate) struct Draft<'a> {
    pub before: &'a World,
    /// The world with every change so far.
    pub world: World,
    pub contacts: &'a Contacts,
    pub settings: &'a Settings,
    pub now: Timestamp,
    /// The turn that this becomes, if it changes anything.
    pub turn: Turn,
    pub ids: IdSource,
    pub dirty: Dirty,
    pub report: PlanReport,
    /// Workloads that would have let a pod go in this turn, were the gate of their release open.
    pub held: BTreeSet<ObjectUid>,
    /// The images that releases wait for, as long as no node or source changes.
    pub awaited: BTreeMap<ReleaseId, BTreeSet<String>>,
    /// Releases whose workloads were woken for the images that came in this turn.
    pub served: BTreeSet<ReleaseId>,
    /// Releases that were found failing in this turn and go back: it is planned anew for them.
    pub going_back: BTreeMap<SourceName, GoingBack>,
    wake_at: BTreeMap<Work, Timestamp>,
    processed: BTreeSet<Work>,
    rows: BTreeSet<Row>,
    /// Kept apart from the world, which forgets closed releases.
    releases: BTreeMap<ReleaseId, Arc<Release>>,
    revisions: Vec<Arc<StoredRevision>>,
    timeline: Vec<TimelineEntry>,
    events: Vec<Event>,
}

/// A row that was changed, ordered so that rows follow what they refer to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Row {
    Source(SourceName),
    Node(NodeName),
    VolumeBinding(VolumeUid),
    Object(ObjectId),
    Rollout(ObjectUid),
    Job(JobUid),
    Schedule(ObjectUid),
    ReplicaSet(ReplicaSetUid),
    Pod(PodUid),
    Baseline(BaselineKey),
    Release(ReleaseId),
    Quarantine(Quarantine),
}

impl<'a> Draft<'a> {
    pub fn new(input: &PlanInput<'a>) -> Self {
        let mut processed = BTreeSet::new();
        if input.due.contains(&Work::Everything) {
            processed.insert(Work::Everything);
        }
        Self {
            before: input.world,
            world: input.world.clone(),
            contacts: input.contacts,
            settings: input.settings,
            now: input.now,
            turn: input.world.turn.next(),
            ids: input.ids.clone(),
            dirty: Dirty::from_due(input.due, input.world),
            report: PlanReport::default(),
            held: BTreeSet::new(),
            awaited: BTreeMap::new(),
            served: BTreeSet::new(),
            going_back: BTreeMap::new(),
            wake_at: BTreeMap::new(),
            processed,
            rows: BTreeSet::new(),
            releases: BTreeMap::new(),
            revisions: Vec::new(),
            timeline: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Whether this turn has told of a claim already, with this reason.
    pub fn has_told(&self, claim: &ObjectKey, reason: &str) -> bool {
        self.events.iter().any(|event| {
            event.reason == reason
                && event.namespace == claim.namespace
                && event.name == claim.name.as_str()
        })
    }

    /// Applies a change, and marks the work that it concerns for the stages that follow.
    pub fn push(&mut self, change: Change) {
        self.mark(&change);
        self.world.apply(&change);
        match change {
            Change::PutSource(row) => self.touch(Row::Source(row.name.clone())),
            Change::PutObject(row) => self.touch(Row::Object(row.declared.id())),
            Change::DeleteObject(id) => self.touch(Row::Object(id)),
            Change::PutRollout(row) => self.touch(Row::Rollout(row.workload)),
            Change::DeleteRollout(uid) => self.touch(Row::Rollout(uid)),
            Change::PutJob(row) => self.touch(Row::Job(row.uid)),
            Change::DeleteJob(uid) => self.touch(Row::Job(uid)),
            Change::PutSchedule(row) => self.touch(Row::Schedule(row.cron_job)),
            Change::DeleteSchedule(cron_job) => self.touch(Row::Schedule(cron_job)),
            Change::PutReplicaSet(row) => self.touch(Row::ReplicaSet(row.uid)),
            Change::DeleteReplicaSet(uid) => self.touch(Row::ReplicaSet(uid)),
            Change::PutPod(row) => self.touch(Row::Pod(row.uid)),
            Change::DeletePod(uid) => self.touch(Row::Pod(uid)),
            Change::PutNode(row) => self.touch(Row::Node(row.name.clone())),
            Change::DeleteNode(name) => self.touch(Row::Node(name)),
            Change::PutVolumeBinding(row) => self.touch(Row::VolumeBinding(row.uid)),
            Change::DeleteVolumeBinding(uid) => self.touch(Row::VolumeBinding(uid)),
            Change::PutBaseline(row) => self.touch(Row::Baseline(row.key())),
            Change::DeleteBaseline(key) => self.touch(Row::Baseline(key)),
            Change::PutRelease(row) => {
                self.touch(Row::Release(row.id));
                self.releases.insert(row.id, row);
            }
            Change::PutQuarantine(row) => self.touch(Row::Quarantine(row)),
            Change::PutRevision(row) => self.revisions.push(row),
            Change::AppendTimeline(entry) => self.timeline.push(*entry),
            Change::AppendEvent(event) => self.events.push(*event),
        }
    }

    pub fn put_pod(&mut self, pod: Pod) {
        crate::jobs::count(self, &pod);
        self.push(Change::PutPod(Arc::new(pod)));
    }

    /// The replica set and template behind a pod.
    pub fn replica_set_of(&self, pod: &Pod) -> Option<Arc<ReplicaSet>> {
        self.world.replica_set_of(pod).cloned()
    }

    /// Says that work was looked at, and when it must be looked at again.
    pub fn done(&mut self, work: Work, wake_at: Option<Timestamp>) {
        if let Some(at) = wake_at {
            self.wake_at.insert(work.clone(), at);
        }
        self.processed.insert(work);
    }

    /// The plan: the net difference between the world before and the draft.
    pub fn finish(mut self) -> Plan {
        let changes = self.net_changes();
        // A large turn would else hold its rows and two new worlds at a time: only a debug build compares.
        self.rows = BTreeSet::new();
        if !changes.is_empty() {
            self.world.turn = self.turn;
        }
        let drafted = cfg!(debug_assertions).then_some(self.world);
        let mut after = self.before.clone();
        after.apply_all(&changes);
        if !changes.is_empty() {
            after.turn = self.turn;
        }
        debug_assert!(
            drafted.is_none_or(|drafted| drafted == after),
            "the net changes must lead to the drafted world"
        );
        Plan {
            changes,
            after,
            wake_at: self.wake_at,
            processed: self.processed,
            report: self.report,
        }
    }

    fn touch(&mut self, row: Row) {
        self.rows.insert(row);
    }

    fn net_changes(&mut self) -> Vec<Change> {
        let (mut puts, mut deletes) = (Vec::new(), Vec::new());
        for row in &self.rows {
            match self.net_change(row) {
                Some((true, change)) => puts.push(change),
                Some((false, change)) => deletes.push(change),
                None => {}
            }
        }
        // Revisions first: releases refer to them. Deletions last and backwards, for the same reason.
        let revisions = std::mem::take(&mut self.revisions).into_iter().map(Change::PutRevision);
        let timeline = std::mem::take(&mut self.timeline).into_iter();
        let events = std::mem::take(&mut self.events).into_iter();
        let sources = puts.iter().take_while(|put| matches!(put, Change::PutSource(_))).count();
        puts.splice(sources..sources, revisions);
        puts.extend(deletes.into_iter().rev());
        puts.extend(timeline.map(|entry| Change::AppendTimeline(Box::new(entry))));
        puts.extend(events.map(|event| Change::AppendEvent(Box::new(event))));
        puts.shrink_to_fit();
        puts
    }

    /// What became of one row: `true` with a put, `false` with a deletion, nothing when it is as before.
    fn net_change(&self, row: &Row) -> Option<(bool, Change)> {
        let (before, after) = (self.before, &self.world);
        match row {
            Row::Source(name) => {
                net(before.sources.get(name), after.sources.get(name), Change::PutSource, None)
            }
            Row::Node(name) => net(
                before.nodes.get(name),
                after.nodes.get(name),
                Change::PutNode,
                Some(Change::DeleteNode(name.clone())),
            ),
            Row::Object(id) => net(
                before.objects.get(id),
                after.objects.get(id),
                Change::PutObject,
                Some(Change::DeleteObject(id.clone())),
            ),
            Row::Rollout(uid) => net(
                before.rollouts.get(uid),
                after.rollouts.get(uid),
                Change::PutRollout,
                Some(Change::DeleteRollout(*uid)),
            ),
            Row::Job(uid) => net(
                before.jobs.get(uid),
                after.jobs.get(uid),
                Change::PutJob,
                Some(Change::DeleteJob(*uid)),
            ),
            Row::Schedule(cron_job) => net(
                before.schedules.get(cron_job),
                after.schedules.get(cron_job),
                Change::PutSchedule,
                Some(Change::DeleteSchedule(*cron_job)),
            ),
            Row::ReplicaSet(uid) => net(
                before.replica_sets.get(uid),
                after.replica_sets.get(uid),
                Change::PutReplicaSet,
                Some(Change::DeleteReplicaSet(*uid)),
            ),
            Row::Pod(uid) => net(
                before.pods.get(uid),
                after.pods.get(uid),
                Change::PutPod,
                Some(Change::DeletePod(*uid)),
            ),
            Row::VolumeBinding(uid) => net(
                before.volume_bindings.get(uid),
                after.volume_bindings.get(uid),
                Change::PutVolumeBinding,
                Some(Change::DeleteVolumeBinding(*uid)),
            ),
            Row::Baseline(key) => net(
                before.baselines.get(key),
                after.baselines.get(key),
                Change::PutBaseline,
                Some(Change::DeleteBaseline(key.clone())),
            ),
            Row::Release(id) => {
                net(before.releases.get(id), self.releases.get(id), Change::PutRelease, None)
            }
            Row::Quarantine(row) => (!before.quarantine.contains(row))
                .then(|| (true, Change::PutQuarantine(row.clone()))),
        }
    }
}

/// The change that leads from one row to the other.
fn net<T: PartialEq>(
    before: Option<&Arc<T>>,
    after: Option<&Arc<T>>,
    put: impl FnOnce(Arc<T>) -> Change,
    delete: Option<Change>,
) -> Option<(bool, Change)> {
    match (before, after) {
        (None, None) => None,
        (Some(before), Some(after)) if before == after => None,
        (_, Some(after)) => Some((true, put(Arc::clone(after)))),
        (Some(_), None) => delete.map(|change| (false, change)),
    }
}
