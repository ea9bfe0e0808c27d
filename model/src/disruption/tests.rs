//! Kubernetes' worked cases: a budget, the pods that it covers, and what may go.

use std::sync::Arc;
use std::time::Duration;

use crate::*;

const ZERO: Duration = Duration::ZERO;

/// A world with one workload and its pods, of which the first ones are ready.
struct Case {
    world: World,
    ids: IdSource,
}

impl Case {
    fn new(workload: fn(u32) -> ObjectSpec, replicas: u32, pods: u32, ready: u32) -> Self {
        let mut ids = IdSource::from_seed(1);
        let world = World::empty(ClusterId(ids.next_uuid()));
        let mut case = Self { world, ids };
        case.workload("web", workload(replicas), pods, ready);
        case
    }

    fn workload(&mut self, name: &str, spec: ObjectSpec, pods: u32, ready: u32) {
        let owner = self.object(name, spec);
        let set = ReplicaSet {
            uid: ReplicaSetUid(self.ids.next_uuid()),
            namespace: NamespaceName::new("demo"),
            name: ObjectName::new(name),
            owner,
            source: SourceName::new("main"),
            template: Arc::new(ResolvedTemplate {
                labels: labels(name),
                annotations: StringMap::default(),
                init_containers: Vec::new(),
                containers: Vec::new(),
                restart_policy: RestartPolicy::Always,
                termination_grace: ZERO,
                node_selector: StringMap::default(),
                volumes: Box::default(),
                image_pull_secrets: Box::default(),
                security: None,
                names: None,
            }),
            template_hash: TemplateHash::new("hash"),
            revision: 1,
            replicas: pods,
            sha: CommitSha::new("sha"),
            created_at: Timestamp::default(),
            pins: Default::default(),
        };
        // Pods first: a reload gives the tables in any order.
        for index in 0..pods {
            let pod = self.pod(&set, index, (index < ready).then_some(Timestamp::default()));
            self.world.apply(&Change::PutPod(Arc::new(pod)));
        }
        self.world.apply(&Change::PutReplicaSet(Arc::new(set)));
    }

    fn object(&mut self, name: &str, spec: ObjectSpec) -> ObjectUid {
        let uid = ObjectUid(self.ids.next_uuid());
        let declared = DeclaredObject {
            key: ObjectKey::new("demo", name),
            labels: StringMap::default(),
            annotations: StringMap::default(),
            policy: ObjectPolicy::default(),
            spec,
            written: None,
            origin: Origin { file: Arc::from("app.yaml"), line: 1 },
        };
        let row = StoredObject {
            uid,
            source: SourceName::new("main"),
            sha: CommitSha::new("sha"),
            generation: 1,
            created_at: Timestamp::default(),
            orphaned: false,
            declared: Arc::new(declared),
        };
        self.world.apply(&Change::PutObject(Arc::new(row)));
        uid
    }

    fn pod(&mut self, set: &ReplicaSet, index: u32, ready_since: Option<Timestamp>) -> Pod {
        Pod {
            uid: PodUid(self.ids.next_uuid()),
            namespace: set.namespace.clone(),
            name: ObjectName::new(format!("{}-{index}", set.name)),
            replica_set: set.uid,
            identity: PodIdentity::Any,
            created_at: Timestamp::default(),
            placement: Placement::On { node: NodeName::new("a"), at: Timestamp::default() },
            lifecycle: Lifecycle::Active,
            seen: Seen::Known(PodStatus {
                drift: Vec::new(),
                pause: None,
                phase: PodPhase::Running,
                init_containers: Vec::new(),
                containers: Vec::new(),
                address: None,
                ready_since,
                milestones: PodMilestones::default(),
            }),
        }
    }

    fn budget(&mut self, limit: DisruptionLimit) -> BudgetStatus {
        self.budget_with(limit, UnhealthyPodEviction::IfHealthyBudget)
    }

    fn budget_with(
        &mut self,
        limit: DisruptionLimit,
        unhealthy: UnhealthyPodEviction,
    ) -> BudgetStatus {
        let selector = Some(LabelSelector::default());
        let budget = PodDisruptionBudget { selector, limit, unhealthy };
        self.object("budget", ObjectSpec::PodDisruptionBudget(Box::new(budget)));
        self.status("budget")
    }

    fn status(&self, budget: &str) -> BudgetStatus {
        let id = ObjectId::new(Kind::PodDisruptionBudget, "demo", budget);
        self.world.budget_status(&self.world.objects[&id]).unwrap()
    }

    fn named(&self, name: &str) -> Arc<Pod> {
        let (namespace, name) = (NamespaceName::new("demo"), ObjectName::new(name));
        Arc::clone(self.world.pods_named(&namespace, &name).next().unwrap())
    }

    fn may_go(&self, name: &str) -> Result<(), String> {
        self.world.may_evict(&self.named(name)).map_err(|hold| hold.to_string())
    }

    fn leave(&mut self, name: &str) {
        let (since, grace, reason) = (Timestamp::default(), ZERO, StopReason::Evicted);
        let lifecycle = Lifecycle::Stopping { since, grace, reason };
        let pod = Pod { lifecycle, ..(*self.named(name)).clone() };
        self.world.apply(&Change::PutPod(Arc::new(pod)));
    }
}

fn labels(app: &str) -> StringMap {
    let mut labels = StringMap::default();
    labels.insert("app".to_owned(), app.to_owned());
    labels
}

fn replica_set(replicas: u32) -> ObjectSpec {
    ObjectSpec::ReplicaSet(Box::new(ReplicaSetSpec {
        replicas,
        selector: LabelSelector::default(),
        template: template(),
        min_ready: ZERO,
    }))
}

fn template() -> PodTemplate {
    PodTemplate {
        labels: StringMap::default(),
        annotations: StringMap::default(),
        init_containers: Vec::new(),
        containers: Vec::new(),
        restart_policy: RestartPolicy::Always,
        termination_grace: ZERO,
        node_selector: StringMap::default(),
        volumes: Box::default(),
        image_pull_secrets: Box::default(),
        security: None,
        names: None,
    }
}

fn bare(_: u32) -> ObjectSpec {
    ObjectSpec::Pod(Box::new(template()))
}

fn daemon_set(_: u32) -> ObjectSpec {
    ObjectSpec::DaemonSet(Box::new(DaemonSet {
        selector: LabelSelector::default(),
        template: template(),
        update: DaemonSetUpdate::OnDelete,
        min_ready: ZERO,
        revision_history_limit: 0,
    }))
}

fn least(pods: u32) -> DisruptionLimit {
    DisruptionLimit::MinAvailable(IntOrPercent::Int(pods))
}

fn least_share(percent: u32) -> DisruptionLimit {
    DisruptionLimit::MinAvailable(IntOrPercent::Percent(percent))
}

fn most(pods: u32) -> DisruptionLimit {
    DisruptionLimit::MaxUnavailable(IntOrPercent::Int(pods))
}

fn most_share(percent: u32) -> DisruptionLimit {
    DisruptionLimit::MaxUnavailable(IntOrPercent::Percent(percent))
}

/// Expected, current, desired, allowed.
fn numbers(status: &BudgetStatus) -> [u32; 4] {
    let BudgetStatus {
        expected_pods, current_healthy, desired_healthy, disruptions_allowed, ..
    } = *status;
    [expected_pods, current_healthy, desired_healthy, disruptions_allowed]
}

#[test]
fn the_documentations_cases_of_a_budget() {
    // Of Kubernetes' page on budgets: three pods of which two must be there; seven with half of them at
    // least, which is four; with a third away at most, of ten, which is four as well.
    let cases = [
        (3, 3, least(2), [3, 3, 2, 1]),
        (7, 7, least_share(50), [7, 7, 4, 3]),
        (10, 10, most_share(33), [10, 10, 6, 4]),
        (7, 7, most_share(30), [7, 7, 4, 3]),
        (3, 3, most(1), [3, 3, 2, 1]),
        (3, 2, most(1), [3, 2, 2, 0]),
        (3, 1, most(1), [3, 1, 2, 0]),
        (3, 3, most(0), [3, 3, 3, 0]),
        (3, 3, most(5), [3, 3, 0, 3]),
        (3, 3, least_share(100), [3, 3, 3, 0]),
        (1, 1, least(1), [1, 1, 1, 0]),
        (1, 1, least(2), [1, 1, 2, 0]),
        (0, 0, least(0), [0, 0, 0, 0]),
    ];
    for (pods, ready, limit, expected) in cases {
        let mut case = Case::new(replica_set, pods, pods, ready);
        assert_eq!(numbers(&case.budget(limit)), expected, "{pods} {ready} {limit:?}");
    }
}

#[test]
fn a_share_is_of_what_the_workloads_ask_for_and_not_of_what_is_there() {
    let mut case = Case::new(replica_set, 10, 4, 4);
    assert_eq!(numbers(&case.budget(least_share(50))), [10, 4, 5, 0]);
    assert_eq!(numbers(&case.budget(least(3))), [4, 4, 3, 1], "a number counts the pods");
    case.workload("db", replica_set(2), 2, 2);
    assert_eq!(numbers(&case.budget(least_share(50))), [12, 6, 6, 0], "two workloads");
    case.workload("tool", bare(0), 1, 1);
    assert_eq!(numbers(&case.budget(least_share(50))), [12, 7, 6, 1], "a bare pod asks for none");
}

#[test]
fn a_share_of_what_has_no_number_of_replicas_lets_nothing_go() {
    let mut case = Case::new(daemon_set, 0, 2, 2);
    let status = case.budget(most(1));
    assert_eq!(status.disruptions_allowed, 0);
    assert_eq!(status.no_scale, Some(ObjectId::new(Kind::DaemonSet, "demo", "web")));
    let why = case.may_go("web-0").unwrap_err();
    assert!(why.contains("DaemonSet demo/web, which has no number of replicas"), "{why}");
    case.budget(least(1));
    assert_eq!(case.may_go("web-0"), Ok(()));
}

#[test]
fn each_pod_that_goes_uses_the_budget_up() {
    let mut case = Case::new(replica_set, 3, 3, 3);
    case.budget(least(2));
    assert_eq!(case.may_go("web-0"), Ok(()));
    case.leave("web-0");
    let held = "the disruption budget budget needs 2 healthy pods and has 2 currently";
    assert_eq!(case.may_go("web-1"), Err(held.to_owned()));
    assert_eq!(case.may_go("web-0"), Ok(()), "it leaves already");
}

#[test]
fn a_pod_that_is_not_ready_goes_when_the_others_suffice_or_always() {
    let mut case = Case::new(replica_set, 3, 3, 2);
    case.budget(least(2));
    assert_eq!(case.may_go("web-2"), Ok(()), "two are ready and two must be");
    assert!(case.may_go("web-1").is_err());
    case.budget(least(3));
    assert!(case.may_go("web-2").is_err());
    case.budget_with(least(3), UnhealthyPodEviction::AlwaysAllow);
    assert_eq!(case.may_go("web-2"), Ok(()));
    assert!(case.may_go("web-1").is_err(), "this one is ready");
}

#[test]
fn with_one_more_that_serves_the_last_one_may_go() {
    let mut case = Case::new(replica_set, 1, 1, 1);
    case.budget(most(0));
    let pod = case.named("web-0");
    assert!(case.world.may_evict(&pod).is_err());
    assert_eq!(case.world.may_evict_with(&pod, 1), Ok(()));
    case.budget(least(2));
    assert!(case.world.may_evict_with(&pod, 1).is_err());
}

#[test]
fn a_pod_in_two_budgets_stays() {
    let mut case = Case::new(replica_set, 3, 3, 3);
    case.budget(least(0));
    let selector = Some(LabelSelector { match_labels: labels("web"), ..LabelSelector::default() });
    let budget = PodDisruptionBudget { selector, limit: least(0), unhealthy: Default::default() };
    case.object("another", ObjectSpec::PodDisruptionBudget(Box::new(budget)));
    let why = case.may_go("web-0").unwrap_err();
    assert!(why.contains("more than one disruption budget (another, budget)"), "{why}");
}

#[test]
fn a_selector_chooses_and_none_chooses_nothing() {
    let mut case = Case::new(replica_set, 2, 2, 2);
    case.workload("db", replica_set(1), 1, 1);
    let mut pods = |name: &str, selector| {
        let budget =
            PodDisruptionBudget { selector, limit: least(0), unhealthy: Default::default() };
        case.object(name, ObjectSpec::PodDisruptionBudget(Box::new(budget)));
        case.status(name).expected_pods
    };
    let of = |app| Some(LabelSelector { match_labels: labels(app), ..LabelSelector::default() });
    assert_eq!(pods("web", of("web")), 2);
    assert_eq!(pods("db", of("db")), 1);
    assert_eq!(pods("all", Some(LabelSelector::default())), 3);
    assert_eq!(pods("none", None), 0);
}

#[test]
fn the_counts_follow_the_rows_in_whatever_order_they_come() {
    let mut case = Case::new(replica_set, 3, 3, 3);
    case.budget(least(2));
    case.leave("web-1");
    let mut reloaded = World::empty(case.world.cluster);
    for row in case.world.objects.values() {
        reloaded.apply(&Change::PutObject(Arc::clone(row)));
    }
    for row in case.world.replica_sets.values() {
        reloaded.apply(&Change::PutReplicaSet(Arc::clone(row)));
    }
    for row in case.world.pods.values() {
        reloaded.apply(&Change::PutPod(Arc::clone(row)));
    }
    assert_eq!(reloaded, case.world);
    let pods: Vec<PodUid> = reloaded.pods.keys().copied().collect();
    for pod in pods {
        reloaded.apply(&Change::DeletePod(pod));
    }
    let id = ObjectId::new(Kind::PodDisruptionBudget, "demo", "budget");
    let status = reloaded.budget_status(&reloaded.objects[&id]).unwrap();
    assert_eq!(numbers(&status), [0, 0, 2, 0]);
}
