//! What must hold at every moment, whatever fails: looked up in what really runs, not in what anybody
//! believes.

mod books;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dugout_agent::labels::ContainerLabels;
use dugout_model::{
    AssignedPod, DaemonSet, DaemonSetUpdate, IntOrPercent, JobUid, Lifecycle, ObjectName,
    ObjectSpec, ObjectUid, Pod, PodUid, ReleaseId, ReplicaSetUid, RestartPolicy, StatefulSetUpdate,
    StopReason, StoredObject, Strategy, TemplateHash, Timestamp, Verdict, World,
};

use crate::docker::FakeContainer;
use crate::git::Git;
use crate::node::Node;
use crate::scenario::{MAIN_CONTAINER, REJECTED_IMAGE};

pub(crate) use books::Seen;

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The planner's own check accepts every plan.
    PlansAreSound,
    /// No two pods with one name run.
    NamesAreUnique,
    /// A pod runs on one node alone.
    PodsStay,
    /// Pods of one template run the same images.
    ImagesAreOne,
    /// Each container of a pod runs once.
    ContainersRunOnce,
    /// What runs before a pod's work has ended when that begins.
    InitComesFirst,
    /// What may not be started again is not.
    NeverMeansOnce,
    /// A job is complete when enough of its pods did what they should.
    WorkIsCounted,
    /// A job that failed too often gives up.
    JobsGiveUp,
    /// One time of a schedule makes one job.
    TimesRunOnce,
    /// What is known to be gone does not begin.
    GoneStaysGone,
    /// Nothing of a commit with errors runs.
    RejectedNeverRuns,
    /// What is stopped by choice leaves enough that serves.
    EnoughServe,
    /// What is stopped by choice has no request under way.
    RequestsEnd,
    /// What crashes again and again waits ever longer.
    CrashesBackOff,
    /// One generation of an assignment has one content.
    GenerationsFence,
    /// A deposed leader writes nothing.
    OneWriter,
    /// What is not committed does not exist.
    TransactionsAreWhole,
    /// The world in memory is the database.
    MemoryIsTheDatabase,
    /// What is healthy is what its commit declares.
    GitIsTheTruth,
    /// What went back is taken back in Git, too.
    RevertsCome,
    /// And no more than once.
    RevertsComeOnce,
    /// A commit that removes too much is held.
    DeletionsAreHeld,
    /// A template has one replica set.
    TemplatesAreReused,
    /// A node that is silent is not ready.
    SilenceIsNoticed,
    /// A release comes to a verdict.
    ReleasesEnd,
    /// Once nothing fails any more, everything is as it was asked.
    EverythingSettles,
    /// And then nothing changes.
    QuietStaysQuiet,
    /// A moment has an end.
    TimeGoesOn,
}

/// That a rule is broken, and how.
#[derive(Clone, Debug)]
pub(crate) struct Breach {
    pub rule: Rule,
    pub why: String,
}

impl Rule {
    pub(crate) fn broken(self, why: impl Into<String>) -> Breach {
        Breach { rule: self, why: why.into() }
    }
}

/// A rule that was broken, when, and what happened before.
#[derive(Clone, Debug)]
pub struct Broken {
    pub seed: u64,
    /// Seconds into the run.
    pub at_seconds: f64,
    pub rule: Rule,
    pub why: String,
    /// The last lines of the trace.
    pub trace: Vec<String>,
}

/// How long after a fault, a crash or a commit the promise of availability counts again.
const CALM: Duration = Duration::from_secs(40);

/// What the rules remember from moment to moment.
#[derive(Default)]
pub(crate) struct Rules {
    /// The last moment at which something failed or somebody asked for something else.
    pub disturbed_at: Timestamp,
    /// The same, but for containers that ended by themselves.
    pub asked_at: Timestamp,
    /// The node on which each pod ran first.
    ran_on: BTreeMap<PodUid, usize>,
    /// Pods whose rows went.
    gone: BTreeSet<PodUid>,
    crashes: BTreeMap<(PodUid, String), Crashes>,
    verdicts: BTreeMap<ReleaseId, Verdict>,
    /// Containers that were begun.
    begun: BTreeSet<(PodUid, String)>,
    /// Those that ended well by themselves.
    done: BTreeSet<(PodUid, String)>,
    /// Pods of each job that ended by themselves, and whether they did well.
    work: BTreeMap<JobUid, BTreeMap<PodUid, bool>>,
    scheduled: BTreeSet<(ObjectUid, Timestamp)>,
    /// Until when each pod that leaves has time for its requests.
    drained_by: BTreeMap<PodUid, Timestamp>,
    /// The world after the turn before.
    before: Option<World>,
}

/// How often a container crashed in a row, and when it did last.
#[derive(Clone, Copy, Default)]
struct Crashes {
    count: u32,
    at: Timestamp,
}

/// The back-off of Kubernetes, reckoned apart from the agent's.
const BACK_OFF: Duration = Duration::from_secs(10);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

impl Rules {
    /// Looks at everything that runs.
    pub fn look(&mut self, nodes: &[Node]) -> Result<(), Breach> {
        let mut names = BTreeMap::new();
        let mut contents = BTreeMap::new();
        for (number, node) in nodes.iter().enumerate() {
            let mut running = BTreeSet::new();
            for container in node.engine.running() {
                let labels = &container.observed.labels;
                if *names.entry(labels.pod.as_str()).or_insert(labels.uid) != labels.uid {
                    let why = format!("two pods with the name {} run", labels.pod);
                    return Err(Rule::NamesAreUnique.broken(why));
                }
                if !running.insert((labels.uid, labels.container.as_str())) {
                    let why = format!("pod {} runs a container twice on one node", labels.pod);
                    return Err(Rule::ContainersRunOnce.broken(why));
                }
                if *self.ran_on.entry(labels.uid).or_insert(number) != number {
                    let why = format!("pod {} runs on a second node", labels.pod);
                    return Err(Rule::PodsStay.broken(why));
                }
                let pod = self.before.as_ref().and_then(|before| before.pods.get(&labels.uid));
                if let Some(set) = pod.map(|pod| pod.replica_set)
                    && *contents
                        .entry((set, labels.container.as_str()))
                        .or_insert(&container.content)
                        != &container.content
                {
                    let why = format!("pod {} runs another image than its peers", labels.pod);
                    return Err(Rule::ImagesAreOne.broken(why));
                }
                if container.image == REJECTED_IMAGE {
                    let why = format!("pod {} is of a rejected commit", labels.pod);
                    return Err(Rule::RejectedNeverRuns.broken(why));
                }
            }
        }
        Ok(())
    }

    /// A container is started.
    pub fn started(
        &mut self,
        labels: &ContainerLabels,
        pod: Option<&AssignedPod>,
        now: Timestamp,
    ) -> Result<(), Breach> {
        let template = pod.map(|pod| &pod.template);
        let policy = template.map(|template| template.restart_policy_of(&labels.container));
        let is_first = self.begun.insert((labels.uid, labels.container.clone()));
        if is_first && labels.container == MAIN_CONTAINER {
            let first = template.into_iter().flat_map(|template| &template.init_containers);
            let has_ended = |name: &str| self.done.contains(&(labels.uid, name.to_owned()));
            if let Some(init) =
                first.filter(|one| !one.is_sidecar()).find(|one| !has_ended(&one.name))
            {
                let why = format!("pod {} begins before its {} has ended", labels.pod, init.name);
                return Err(Rule::InitComesFirst.broken(why));
            }
        }
        let may_run_again = labels.is_sandbox() || policy != Some(RestartPolicy::Never);
        if !is_first && !may_run_again {
            let why = format!("pod {} runs a second time", labels.pod);
            return Err(Rule::NeverMeansOnce.broken(why));
        }
        if self.gone.contains(&labels.uid) {
            let why = format!("pod {} was gone", labels.pod);
            return Err(Rule::GoneStaysGone.broken(why));
        }
        let key = (labels.uid, labels.container.clone());
        let crashes = self.crashes.get(&key).copied().unwrap_or_default();
        let Some(doublings) = crashes.count.checked_sub(2) else { return Ok(()) };
        let wait = (BACK_OFF * 2_u32.pow(doublings.min(8))).min(LONGEST_BACK_OFF);
        // Whoever kills a container, or an agent, ends the waiting.
        if crashes.at > self.asked_at && now.since(crashes.at) < wait {
            let why = format!("pod {} starts anew before {wait:?} are over", labels.pod);
            return Err(Rule::CrashesBackOff.broken(why));
        }
        Ok(())
    }

    /// Somebody removes a container, and with its labels what tells how often it crashed.
    pub fn forget_crashes(&mut self, labels: &ContainerLabels) {
        self.crashes.remove(&(labels.uid, labels.container.clone()));
    }

    /// A pod with requests under way is stopped by order: only when its time for them is over.
    pub fn cut_short(&self, pod: PodUid, now: Timestamp) -> Result<(), Breach> {
        match self.drained_by.get(&pod) {
            Some(until) if now < *until => {
                let why = format!("pod {pod} is stopped with requests under way");
                Err(Rule::RequestsEnd.broken(why))
            }
            _ => Ok(()),
        }
    }

    /// A container ended by itself.
    pub fn ended(
        &mut self,
        labels: &ContainerLabels,
        started_at: Timestamp,
        exit_code: i64,
        now: Timestamp,
    ) {
        if exit_code == 0 {
            self.done.insert((labels.uid, labels.container.clone()));
        }
        let before = self.before.as_ref();
        let pod = before.and_then(|before| before.pods.get(&labels.uid));
        if let Some(pod) = pod.filter(|_| labels.container == MAIN_CONTAINER) {
            let job = self.work.entry(JobUid(pod.replica_set.0)).or_default();
            job.insert(labels.uid, exit_code == 0);
        }
        let key = (labels.uid, labels.container.clone());
        let crashes = self.crashes.entry(key).or_default();
        if now.since(started_at) >= FORGOTTEN_AFTER {
            crashes.count = 0;
        }
        *crashes = Crashes { count: crashes.count + 1, at: now };
    }

    /// A container is stopped by order while it serves: enough others must serve.
    pub fn stopped(
        &self,
        nodes: &[Node],
        world: &World,
        pod: PodUid,
        now: Timestamp,
    ) -> Result<(), Breach> {
        if now.since(self.disturbed_at) < CALM {
            return Ok(());
        }
        let pod_row = world.pods.get(&pod);
        if pod_row.is_some_and(|pod| is_evicted(pod)) {
            // A drain is bounded by budgets, which the check reckons.
            return Ok(());
        }
        let owner = pod_row.and_then(|pod| world.replica_set_of(pod));
        let Some(owner) = owner.map(|set| set.owner) else { return Ok(()) };
        let Some(object) = world.workload_by_uid(owner) else { return Ok(()) };
        let serving: Vec<_> = serving(nodes, world, &object.declared.key.name, now)
            .filter(|one| one.observed.labels.uid != pod)
            .map(|one| one.observed.labels.uid)
            .collect();
        let enough = match &object.declared.spec {
            ObjectSpec::DaemonSet(spec) => nodes_without(world, &serving) <= tolerated(spec),
            spec => serving.len() >= least(spec),
        };
        match enough {
            true => Ok(()),
            false => Err(Rule::EnoughServe.broken(format!(
                "{} has {} serving pods left by choice, and must keep more",
                object.declared.id(),
                serving.len()
            ))),
        }
    }
}

/// Whether a pod is moved away from a node that is drained, or starts anew at a person's wish.
fn is_evicted(pod: &Pod) -> bool {
    match pod.lifecycle {
        Lifecycle::Active => false,
        Lifecycle::Draining { reason, .. } | Lifecycle::Stopping { reason, .. } => {
            matches!(reason, StopReason::Evicted | StopReason::Asked)
        }
    }
}

/// How many pods must go on serving whatever is stopped by choice.
fn least(spec: &ObjectSpec) -> usize {
    let (replicas, surge, unavailable) = match spec {
        ObjectSpec::Deployment(spec) => match spec.strategy {
            Strategy::Recreate => return 0,
            Strategy::RollingUpdate { max_surge, max_unavailable } => {
                (spec.replicas, max_surge, max_unavailable)
            }
        },
        ObjectSpec::StatefulSet(spec) => match spec.update {
            StatefulSetUpdate::OnDelete => (spec.replicas, IntOrPercent::Int(1), NONE),
            StatefulSetUpdate::RollingUpdate { max_unavailable, .. } => {
                (spec.replicas, NONE, max_unavailable)
            }
        },
        // Nothing rolls here.
        ObjectSpec::ReplicaSet(spec) => (spec.replicas, IntOrPercent::Int(1), NONE),
        _ => return 0,
    };
    // A share of the pods, in hundredths: of those that come on top every part of one counts, of those
    // that may be missing only whole ones.
    let hundredths = |asked| match asked {
        IntOrPercent::Int(pods) => pods * 100,
        IntOrPercent::Percent(percent) => percent * replicas,
    };
    let is_stuck = hundredths(surge) == 0 && hundredths(unavailable) < 100;
    let missing = if is_stuck { 1 } else { hundredths(unavailable) / 100 };
    replicas.saturating_sub(missing) as usize
}

const NONE: IntOrPercent = IntOrPercent::Int(0);

/// How many nodes may be without a serving daemon because of an update.
fn tolerated(spec: &DaemonSet) -> usize {
    match spec.update {
        DaemonSetUpdate::RollingUpdate { max_unavailable: IntOrPercent::Int(number), .. } => {
            number as usize
        }
        DaemonSetUpdate::RollingUpdate { .. } | DaemonSetUpdate::OnDelete => usize::MAX,
    }
}

/// The ready nodes on which none of these pods is.
fn nodes_without(world: &World, serving: &[PodUid]) -> usize {
    let pods = serving.iter().filter_map(|uid| world.pods.get(uid));
    let with: BTreeSet<_> = pods.filter_map(|pod| pod.node()).collect();
    world.nodes.values().filter(|node| node.is_ready() && !with.contains(&node.name)).count()
}

/// The serving containers of a workload, whatever their template.
fn serving<'a>(
    nodes: &'a [Node],
    world: &'a World,
    name: &'a ObjectName,
    now: Timestamp,
) -> impl Iterator<Item = &'a FakeContainer> {
    let of_name = move |one: &&FakeContainer| {
        let set =
            world.pods.get(&one.observed.labels.uid).and_then(|pod| world.replica_set_of(pod));
        set.and_then(|set| world.workload_by_uid(set.owner))
            .is_some_and(|object| object.declared.key.name == *name)
    };
    nodes
        .iter()
        .flat_map(|node| node.engine.running())
        .filter(move |one| one.serves(now))
        .filter(of_name)
}

/// What runs for each workload: the identity of its templates, and how many serve of each.
pub(crate) type State = BTreeMap<String, BTreeMap<TemplateHash, usize>>;

/// Whether everything is as it was asked, with nothing beside it; and what that is.
pub(crate) fn settled(
    nodes: &[Node],
    world: &World,
    git: &Git,
    now: Timestamp,
) -> Result<State, String> {
    let mut state = State::new();
    let mut expected = BTreeSet::new();
    for object in world.objects.values().filter(|object| object.declared.spec.is_workload()) {
        let name = object.declared.id().to_string();
        if matches!(object.declared.spec, ObjectSpec::Job(_) | ObjectSpec::CronJob(_)) {
            let pods = work_done(world, object)?;
            expected.extend(pods.iter().map(|pod| pod.uid));
            state.entry(name).or_default().insert(TemplateHash::new("done"), 1);
            continue;
        }
        let Some(current) = world.current_replica_set(object.uid) else {
            return Err(format!("{name} has no template"));
        };
        let pods = pods_asked_for(world, object, current.uid);
        expected.extend(pods.iter().map(|pod| pod.uid));
        let serving = nodes
            .iter()
            .flat_map(|node| node.engine.running())
            .filter(|one| one.serves(now))
            .filter(|one| pods.iter().any(|pod| pod.uid == one.observed.labels.uid))
            .count();
        let asked = replicas(&object.declared.spec, nodes.len());
        if serving != asked || pods.len() != serving {
            let rows = pods.len();
            return Err(format!("{name}: {asked} asked, {rows} pods, {serving} serve"));
        }
        state.entry(name).or_default().insert(current.template_hash.clone(), serving);
    }
    if let Some(pod) = world.pods.values().find(|pod| !expected.contains(&pod.uid)) {
        return Err(format!("pod {} is left over in the books", pod.name));
    }
    let all = nodes.iter().flat_map(|node| node.engine.containers.values());
    let running = all.filter(|one| one.observed.is_running());
    if let Some(orphan) = { running }.find(|one| !expected.contains(&one.observed.labels.uid)) {
        return Err(format!("container {} is an orphan", orphan.observed.id));
    }
    match world.releases.values().next_back() {
        Some(newest) if Some(&newest.commit.sha) != git.head.as_ref() => {
            Err(format!("the newest release is of {}", newest.commit.sha.short()))
        }
        Some(newest) if newest.verdict == Verdict::Healthy => Ok(state),
        newest => Err(format!("the newest release is {:?}", newest.map(|newest| newest.verdict))),
    }
}

/// The pods of a job, or of those that a schedule made: all of them have ended.
fn work_done<'a>(world: &'a World, object: &StoredObject) -> Result<Vec<&'a Pod>, String> {
    let name = object.declared.id();
    let jobs: Vec<_> = world.jobs_of(object.uid).collect();
    if let Some(job) = jobs.iter().find(|job| !job.is_finished()) {
        return Err(format!("job {} is {}", job.name, job.state));
    }
    let is_complete = match &object.declared.spec {
        ObjectSpec::Job(spec) => {
            jobs.iter().any(|job| job.is_complete() && job.spec.asks_same_work(spec))
        }
        _ => true,
    };
    let pods: Vec<&Pod> =
        jobs.iter().flat_map(|job| world.pods_of(job.replica_set())).map(AsRef::as_ref).collect();
    match pods.iter().find(|pod| !pod.is_active() || !pod.is_finished()) {
        _ if !is_complete => Err(format!("{name} is not complete")),
        Some(pod) => Err(format!("pod {} of {name} has not ended", pod.name)),
        None => Ok(pods),
    }
}

/// The pods that a workload may have in the end: those of its newest template. A replica set keeps those
/// of earlier ones.
fn pods_asked_for<'a>(
    world: &'a World,
    object: &StoredObject,
    current: ReplicaSetUid,
) -> Vec<&'a Pod> {
    let keeps_all = matches!(object.declared.spec, ObjectSpec::ReplicaSet(_));
    let sets = world.replica_sets_of(object.uid);
    let sets = sets.filter(|set| keeps_all || set.uid == current);
    sets.flat_map(|set| world.pods_of(set.uid)).map(AsRef::as_ref).collect()
}

/// How many pods a workload asks for.
fn replicas(spec: &ObjectSpec, nodes: usize) -> usize {
    match spec {
        ObjectSpec::Deployment(spec) => spec.replicas as usize,
        ObjectSpec::StatefulSet(spec) => spec.replicas as usize,
        ObjectSpec::ReplicaSet(spec) => spec.replicas as usize,
        ObjectSpec::DaemonSet(_) => nodes,
        _ => 1,
    }
}
