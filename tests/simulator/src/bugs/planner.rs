//! Bugs of the planner: it reads something else than there is, or what it decides is changed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    Baseline, BaselineRole, Change, Contacts, DeclaredObject, Deployment, Fact, IntOrPercent, Job,
    JobSpec, Kind, Lifecycle, Node, ObjectId, ObjectName, ObjectPolicy, ObjectSpec, Pod,
    PodIdentity, PodUid, Prune, PullGate, ReplicaSet, Resources, Revision, RevisionContent,
    Rollout, Schedule, Seen, Source, StoredObject, Strategy, TemplateHash, Timestamp, Turn, World,
};
use dugout_planner::{Plan, PlanInput, Work};

use super::Bug;

/// The plan of a planner with this bug, if it has one.
pub(crate) fn plan(bug: Option<Bug>, input: PlanInput<'_>) -> Plan {
    let Some(bug) = bug else { return dugout_planner::plan(input) };
    let world = misread_world(bug, &input);
    let contacts = misread_contacts(bug, &input);
    let facts: Vec<Fact> =
        input.facts.iter().map(|fact| misread_fact(bug, input.world, fact)).collect();
    let truth = input.world;
    let mut due = input.due.clone();
    if matches!(bug, Bug::DependsOnIgnored | Bug::HookIgnored) {
        // Who does not know for whom it waits is woken by nobody.
        due.insert(Work::Everything);
    }
    let misled =
        PlanInput { world: &world, contacts: &contacts, facts: &facts, due: &due, ..input };
    with_truth(truth, decided_wrongly(bug, truth, dugout_planner::plan(misled)))
}

/// The same changes, made to the world that there is.
fn with_truth(world: &World, plan: Plan) -> Plan {
    let mut after = world.clone();
    plan.changes.iter().for_each(|change| after.apply(change));
    after.turn = if plan.changes.is_empty() { world.turn } else { world.turn.next() };
    Plan { after, ..plan }
}

/// The world as the planner believes it to be.
fn misread_world(bug: Bug, input: &PlanInput<'_>) -> World {
    let mut world = input.world.clone();
    // What a commit asks for is compared with what there is, and must not differ for the bug alone.
    let is_read = input.facts.iter().any(|fact| matches!(fact, Fact::Revision(_)));
    if !is_read || bug == Bug::PruneForgotten {
        misread_objects(bug, &mut world);
    }
    match bug {
        Bug::StartedCountsAsReady => replace_pods(&mut world, started_as_ready),
        Bug::NameFreedTooEarly => replace_pods(&mut world, stopping_as_nameless),
        Bug::DoubleBooked => {
            let nodes: Vec<Node> = world.nodes.values().map(|node| (**node).clone()).collect();
            for node in nodes {
                let Resources { cpu_millis, memory_bytes, pods } = node.capacity;
                let capacity = Resources { cpu_millis: 2 * cpu_millis, memory_bytes, pods };
                world.apply(&Change::PutNode(Arc::new(Node { capacity, ..node })));
            }
        }
        Bug::QuarantineIgnored => {
            world.quarantine.clear();
            replace_sources(&mut world, |source| source.status.failed_contents.clear());
        }
        Bug::PullGateIgnored => {
            replace_sources(&mut world, |source| source.status.gate = PullGate::Open);
        }
        Bug::PrunedAtOnce | Bug::WayBackIncomplete => misread_baselines(bug, &mut world),
        Bug::DeadlineNeverFires => {
            let rows: Vec<Rollout> = world.rollouts.values().map(|row| (**row).clone()).collect();
            for row in rows {
                let row = Rollout { progressed_at: input.now, ..row };
                world.apply(&Change::PutRollout(Arc::new(row)));
            }
        }
        Bug::BackoffLimitOffByOne if !is_read => {
            let jobs: Vec<Arc<Job>> = world.jobs.values().cloned().collect();
            for job in jobs {
                let backoff_limit = job.spec.backoff_limit + 1;
                let spec = Arc::new(JobSpec { backoff_limit, ..(*job.spec).clone() });
                world.apply(&Change::PutJob(Arc::new(Job { spec, ..(*job).clone() })));
            }
        }
        Bug::ScheduleForgotten => {
            let rows: Vec<Arc<Schedule>> = world.schedules.values().cloned().collect();
            for row in rows {
                let last_scheduled_at = row.last_scheduled_at - Duration::from_secs(60);
                let row = Schedule { last_scheduled_at, ..(*row).clone() };
                world.apply(&Change::PutSchedule(Arc::new(row)));
            }
        }
        Bug::BudgetIgnored if !is_read => forget_budgets(&mut world),
        Bug::ReplicaSetNotReused => {
            let sets: Vec<Arc<ReplicaSet>> = world.replica_sets.values().cloned().collect();
            for set in sets.iter().filter(|set| !is_current(input.world, set)) {
                let template_hash = TemplateHash::new(format!("not {}", set.template_hash));
                let set = ReplicaSet { template_hash, ..(**set).clone() };
                world.apply(&Change::PutReplicaSet(Arc::new(set)));
            }
        }
        _ => {}
    }
    world
}

/// What is kept of what served or leaves.
fn misread_baselines(bug: Bug, world: &mut World) {
    let rows: Vec<Arc<Baseline>> = world.baselines.values().cloned().collect();
    match (bug, rows.as_slice()) {
        (Bug::WayBackIncomplete, [_, .., last]) => world.apply(&Change::DeleteBaseline(last.key())),
        (Bug::PrunedAtOnce, rows) => {
            for row in rows {
                if world.objects.contains_key(&row.object) {
                    continue;
                }
                let row = Baseline { role: BaselineRole::Leaving, ..(**row).clone() };
                world.apply(&Change::PutBaseline(Arc::new(row)));
            }
        }
        _ => {}
    }
}

fn forget_budgets(world: &mut World) {
    let budgets = world.objects_of(Kind::PodDisruptionBudget);
    let budgets: Vec<ObjectId> = budgets.map(|row| row.declared.id()).collect();
    budgets.into_iter().for_each(|budget| world.apply(&Change::DeleteObject(budget)));
}

fn is_current(world: &World, set: &ReplicaSet) -> bool {
    world.current_replica_set(set.owner).is_none_or(|current| current.uid == set.uid)
}

fn misread_objects(bug: Bug, world: &mut World) {
    let rows: Vec<Arc<StoredObject>> = world.objects.values().cloned().collect();
    for row in rows {
        let mut declared = (*row.declared).clone();
        misread_policy(bug, &mut declared.policy);
        misread_spec(bug, &mut declared.spec);
        if declared != *row.declared {
            let declared = Arc::new(declared);
            world.apply(&Change::PutObject(Arc::new(StoredObject { declared, ..(*row).clone() })));
        }
    }
}

fn misread_policy(bug: Bug, policy: &mut ObjectPolicy) {
    match bug {
        Bug::DependsOnIgnored => policy.depends_on = Box::default(),
        Bug::HookIgnored => policy.hook = None,
        Bug::PruneForgotten => policy.prune = Prune::Disabled,
        _ => {}
    }
}

fn misread_spec(bug: Bug, spec: &mut ObjectSpec) {
    if bug == Bug::MinReadyIgnored {
        match spec {
            ObjectSpec::Deployment(spec) => spec.min_ready = Default::default(),
            ObjectSpec::StatefulSet(spec) => spec.min_ready = Default::default(),
            ObjectSpec::DaemonSet(spec) => spec.min_ready = Default::default(),
            _ => {}
        }
    }
    if let (Bug::BackoffLimitOffByOne, ObjectSpec::Job(spec)) = (bug, &mut *spec) {
        spec.backoff_limit += 1;
    }
    if let ObjectSpec::Deployment(deployment) = spec {
        deployment.strategy = misread_strategy(bug, deployment);
    }
}

fn misread_strategy(bug: Bug, deployment: &Deployment) -> Strategy {
    let replicas = deployment.replicas;
    match (bug, &deployment.strategy) {
        (Bug::SurgeOffByOne, Strategy::RollingUpdate { max_surge, max_unavailable }) => {
            let surge = match *max_surge {
                IntOrPercent::Int(pods) => pods,
                IntOrPercent::Percent(percent) => (percent * replicas).div_ceil(100),
            };
            Strategy::RollingUpdate {
                max_surge: IntOrPercent::Int(surge + 1),
                max_unavailable: *max_unavailable,
            }
        }
        (Bug::UnavailableRoundedUp, Strategy::RollingUpdate { max_surge, max_unavailable }) => {
            let unavailable = match *max_unavailable {
                IntOrPercent::Int(pods) => pods,
                IntOrPercent::Percent(percent) => (percent * replicas).div_ceil(100),
            };
            Strategy::RollingUpdate {
                max_surge: *max_surge,
                max_unavailable: IntOrPercent::Int(unavailable),
            }
        }
        (Bug::RecreateOverlaps, Strategy::Recreate) => Strategy::RollingUpdate {
            max_surge: IntOrPercent::Int(0),
            max_unavailable: IntOrPercent::Percent(100),
        },
        (_, strategy) => strategy.clone(),
    }
}

fn replace_sources(world: &mut World, change: impl Fn(&mut Source)) {
    let sources: Vec<Source> = world.sources.values().map(|row| (**row).clone()).collect();
    for mut source in sources {
        change(&mut source);
        world.apply(&Change::PutSource(Arc::new(source)));
    }
}

fn replace_pods(world: &mut World, with: impl Fn(&Pod) -> Option<Pod>) {
    let pods: Vec<Pod> = world.pods.values().filter_map(|pod| with(pod)).collect();
    pods.into_iter().for_each(|pod| world.apply(&Change::PutPod(Arc::new(pod))));
}

fn started_as_ready(pod: &Pod) -> Option<Pod> {
    let mut status = pod.seen.known()?.clone();
    let started_at = status.milestones.started_at?;
    status.ready_since.get_or_insert(started_at);
    Some(Pod { seen: Seen::Known(status), ..pod.clone() })
}

fn stopping_as_nameless(pod: &Pod) -> Option<Pod> {
    let name = ObjectName::new(format!("{}-before", pod.name));
    let nameless = Pod { name, identity: PodIdentity::Any, ..pod.clone() };
    matches!(pod.lifecycle, Lifecycle::Stopping { .. }).then_some(nameless)
}

fn misread_contacts(bug: Bug, input: &PlanInput<'_>) -> Contacts {
    let mut contacts = input.contacts.clone();
    for contact in contacts.values_mut() {
        match bug {
            Bug::NodeLossNotNoticed => {
                (contact.last_report, contact.engine_answered) = (input.now, input.now);
            }
            Bug::NotDrained => {
                contact.acknowledged = Turn(u64::MAX);
                contact.connections.clear();
            }
            _ => {}
        }
    }
    contacts
}

fn misread_fact(bug: Bug, world: &World, fact: &Fact) -> Fact {
    let Fact::Revision(revision) = fact else { return fact.clone() };
    let mut revision: Revision = (**revision).clone();
    match (bug, &mut revision.content) {
        (Bug::HeldDeletionPruned, _) => {
            revision.commit.message.push_str("\n\nDugout-Allow-Delete: 1000");
        }
        (Bug::ConfigurationNotRolled, RevisionContent::Objects { objects, .. }) => {
            let is_config =
                |object: &DeclaredObject| matches!(object.spec, ObjectSpec::ConfigMap(_));
            let rows = world.objects.iter().filter(|(_, row)| is_config(&row.declared));
            for (id, row) in rows {
                if let Some(asked) = objects.get_mut(id) {
                    *asked = Arc::clone(&row.declared);
                }
            }
        }
        _ => {}
    }
    Fact::Revision(Box::new(revision))
}

/// The plan as it is carried out.
fn decided_wrongly(bug: Bug, world: &World, mut plan: Plan) -> Plan {
    match bug {
        Bug::GenerationNotRaised => replace_nodes(&mut plan, world, |node, before| Node {
            generation: before.generation,
            ..node.clone()
        }),
        // That it was misread is no reason to write it.
        Bug::DoubleBooked => replace_nodes(&mut plan, world, |node, before| Node {
            capacity: before.capacity,
            ..node.clone()
        }),
        Bug::ReplicaSetNotReused => {
            for change in &mut plan.changes {
                if let Change::PutReplicaSet(row) = change
                    && let Some(before) = world.replica_sets.get(&row.uid)
                {
                    let template_hash = before.template_hash.clone();
                    *row = Arc::new(ReplicaSet { template_hash, ..(**row).clone() });
                }
            }
        }
        Bug::NameFreedTooEarly => {
            for change in &mut plan.changes {
                if let Change::PutPod(row) = change
                    && let Some(before) = world.pods.get(&row.uid)
                {
                    let (name, identity) = (before.name.clone(), before.identity.clone());
                    *row = Arc::new(Pod { name, identity, ..(**row).clone() });
                }
            }
        }
        Bug::BackoffLimitOffByOne => replace_jobs(&mut plan, world, |job, before| Job {
            spec: Arc::clone(&before.spec),
            ..job.clone()
        }),
        Bug::CompletionsCountedTwice => replace_jobs(&mut plan, world, |job, before| {
            let mut job = job.clone();
            job.tally.succeeded += job.tally.succeeded.saturating_sub(before.tally.succeeded);
            job
        }),
        Bug::HeartbeatsAreWritten if plan.changes.is_empty() => {
            plan.changes.extend(world.nodes.values().cloned().map(Change::PutNode));
        }
        Bug::WakesAtOnce => {
            plan.wake_at.insert(Work::Placement, Timestamp::default());
        }
        Bug::RevertNotPushed => {
            for change in &mut plan.changes {
                if let Change::PutSource(row) = change {
                    let mut source = (**row).clone();
                    source.status.owed_revert = None;
                    *row = Arc::new(source);
                }
            }
        }
        Bug::LostCountsAsEnded => forget_lost(&mut plan, world),
        _ => {}
    }
    plan
}

fn replace_jobs(plan: &mut Plan, world: &World, with: impl Fn(&Job, &Job) -> Job) {
    for change in &mut plan.changes {
        if let Change::PutJob(row) = change
            && let Some(before) = world.jobs.get(&row.uid)
        {
            *row = Arc::new(with(row, before));
        }
    }
}

fn replace_nodes(plan: &mut Plan, world: &World, with: impl Fn(&Node, &Node) -> Node) {
    for change in &mut plan.changes {
        if let Change::PutNode(row) = change
            && let Some(before) = world.nodes.get(&row.name)
        {
            *row = Arc::new(with(row, before));
        }
    }
}

/// Forgets the pods that are to stop on a node that is lost, as if it had said that they are gone.
fn forget_lost(plan: &mut Plan, world: &World) {
    let after = with_truth(world, plan.clone()).after;
    let lost: Vec<Arc<Node>> =
        after.nodes.values().filter(|node| !node.is_ready()).cloned().collect();
    for node in lost {
        let stops = |pod: &&Arc<Pod>| matches!(pod.lifecycle, Lifecycle::Stopping { .. });
        let gone: BTreeSet<PodUid> =
            world.pods_on(&node.name).filter(stops).map(|pod| pod.uid).collect();
        if gone.is_empty() {
            continue;
        }
        plan.changes.retain(|change| match change {
            Change::PutPod(row) => !gone.contains(&row.uid),
            Change::PutNode(row) => row.name != node.name,
            _ => true,
        });
        let generation = world.turn.next();
        let row = Arc::new(Node { generation, ..(*node).clone() });
        plan.changes.push(Change::PutNode(row));
        plan.changes.extend(gone.into_iter().map(Change::DeletePod));
    }
}
