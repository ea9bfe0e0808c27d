//! The quick choice against the slow one that goes through all nodes.

use std::time::Duration;

use dugout_model::{
    Change, ClusterId, CommitSha, Container, ContainerResources, EngineId, EnvValue, IdSource,
    Lifecycle, NamespaceName, NodeCondition, NotReadyReason, ObjectName, Placement, Pod,
    PodIdentity, PodUid, PullPolicy, ResolvedTemplate, RestartPolicy, Seen, SourceName, StringMap,
    TemplateHash, Timestamp, Turn,
};
use proptest::prelude::*;

use super::*;

/// The best node, found by looking at every one.
fn slow(world: &World, set: &ReplicaSet) -> Option<NodeName> {
    let rooms = Rooms::default();
    let needs = Needs::of(set);
    let requests = needs.resources;
    let siblings = by_node(world, [set.uid]);
    let relatives = by_node(world, world.replica_sets_of(set.owner).map(|set| set.uid));
    let nodes = world.nodes.values();
    let open: Vec<_> =
        nodes.filter(|node| rooms.refuses(world, node, set, needs).is_none()).collect();
    let use_after =
        |node: &Node| scarcest_use(world.reserved_on(&node.name).plus(requests), node.capacity);
    let strangers = open.iter().filter(|node| !relatives.contains_key(&node.name));
    let mut emptiest: BTreeMap<CapacityClass, (u64, NodeName)> = BTreeMap::new();
    for node in strangers {
        let used = scarcest_use(world.reserved_on(&node.name), node.capacity);
        let candidate = (used, node.name.clone());
        let best = emptiest.entry(CapacityClass::of(node.capacity)).or_insert(candidate.clone());
        *best = candidate.min(best.clone());
    }
    let stranger = emptiest.into_values().map(|(_, name)| (use_after(&world.nodes[&name]), name));
    let family = open.iter().filter_map(|node| {
        let count = |of: &BTreeMap<NodeName, u32>| of.get(&node.name).copied().unwrap_or(0);
        let key = (count(&siblings), count(&relatives), use_after(node), node.name.clone());
        relatives.contains_key(&node.name).then_some(key)
    });
    let best_of_family = family.min().map(|(.., name)| name);
    stranger.min().map(|(_, name)| name).or(best_of_family)
}

fn node(number: u32, cpu: u64, state: u8) -> Arc<Node> {
    let name = NodeName::new(format!("n{number:02}"));
    let silent = NodeCondition::NotReady {
        reason: NotReadyReason::AgentSilent,
        since: Timestamp::default(),
    };
    let zone = StringMap::from([("zone".to_owned(), (number % 2).to_string())]);
    Arc::new(Node {
        instance: name.to_string(),
        labels: zone,
        capacity: Resources { cpu_millis: cpu * 100, memory_bytes: 1 << 20, pods: 12 },
        storage_bytes: None,
        engine: EngineId::new(name.as_str()),
        engine_version: String::new(),
        agent_version: String::new(),
        address: None,
        condition: if state == 1 { silent } else { NodeCondition::Ready },
        scheduling: if state == 2 { Scheduling::Cordoned } else { Scheduling::Schedulable },
        pulls: Vec::new(),
        generation: Turn(0),
        last_event: None,
        joined_at: Timestamp::default(),
        name,
    })
}

/// The replica sets of two workloads, of which the second asks for more, and the third for a zone.
fn sets() -> [Arc<ReplicaSet>; 3] {
    [(1, 0, 100, false), (1, 1, 250, false), (2, 2, 150, true)].map(|(owner, uid, cpu, in_zone)| {
        let container: Container<EnvValue> = Container {
            name: "app".to_owned(),
            image: "web:1".to_owned(),
            pull_policy: PullPolicy::IfNotPresent,
            command: Vec::new(),
            args: Vec::new(),
            working_dir: None,
            env: Vec::new(),
            ports: Vec::new(),
            resources: ContainerResources {
                cpu_request_millis: cpu,
                ..ContainerResources::default()
            },
            startup_probe: None,
            readiness_probe: None,
            liveness_probe: None,
            lifecycle: None,
            restart_policy: None,
            mounts: Box::default(),
            security: None,
            streams: dugout_model::Streams::default(),
        };
        let zone = in_zone.then(|| ("zone".to_owned(), "1".to_owned()));
        Arc::new(ReplicaSet {
            uid: ReplicaSetUid(uuid::Uuid::from_u128(uid)),
            namespace: NamespaceName::new("demo"),
            name: ObjectName::new("web"),
            owner: ObjectUid(uuid::Uuid::from_u128(owner)),
            source: SourceName::new("shop"),
            template: Arc::new(ResolvedTemplate {
                labels: StringMap::new(),
                annotations: StringMap::new(),
                init_containers: Vec::new(),
                containers: vec![container],
                restart_policy: RestartPolicy::Always,
                termination_grace: Duration::ZERO,
                node_selector: zone.into_iter().collect(),
                volumes: Box::default(),
                image_pull_secrets: Box::default(),
                security: None,
                names: None,
            }),
            template_hash: TemplateHash::new("1"),
            revision: 1,
            replicas: 1,
            sha: CommitSha::new("1"),
            created_at: Timestamp::default(),
            pins: Default::default(),
        })
    })
}

fn pod(ids: &mut IdSource, set: &ReplicaSet, node: NodeName) -> Arc<Pod> {
    Arc::new(Pod {
        uid: PodUid(ids.next_uuid()),
        namespace: NamespaceName::new("demo"),
        name: ObjectName::new("web"),
        replica_set: set.uid,
        identity: PodIdentity::Any,
        created_at: Timestamp::default(),
        placement: Placement::On { node, at: Timestamp::default() },
        lifecycle: Lifecycle::Active,
        seen: Seen::Absent,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Pod by pod until nothing fits, whatever was found on the way and whichever list it is read from.
    #[test]
    fn the_quick_choice_is_the_slow_one(
        nodes in prop::collection::vec((prop::sample::select(vec![4_u64, 5, 16, 64]), 0_u8..6), 1..12),
        order in prop::collection::vec(0_usize..3, 1..120),
        listed in any::<bool>(),
    ) {
        let mut ids = IdSource::from_seed(1);
        let mut world = World::empty(ClusterId(uuid::Uuid::nil()));
        for (number, (cpu, state)) in (0..).zip(nodes) {
            world.apply(&Change::PutNode(node(number, cpu, state)));
        }
        let sets = sets();
        for set in &sets {
            world.apply(&Change::PutReplicaSet(Arc::clone(set)));
        }
        let mut rooms = Rooms::default();
        for which in order {
            let set = &sets[which];
            if listed {
                let mut search = rooms.take_search(&world, set);
                if let Strangers::InOrder { passed_over } = &mut search.strangers {
                    *passed_over = PASSED_OVER_MAX + 1;
                }
                rooms.searches.insert(set.uid, search);
            }
            let expected = slow(&world, set);
            let found = rooms.choose(&world, set);
            prop_assert_eq!(found.as_ref().ok(), expected.as_ref());
            match found {
                Ok(name) => {
                    world.apply(&Change::PutPod(pod(&mut ids, set, name.clone())));
                    rooms.placed(set, &name);
                }
                Err(why) => {
                    prop_assert_eq!(why.removed.values().sum::<u32>() as usize, world.nodes.len());
                }
            }
        }
    }
}
