//! A cluster of a benchmark's own: its nodes, its commits, and what its nodes report.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    Commit, CommitSha, Container, ContainerPort, ContainerResources, ContainerState,
    ContainerStatus, DeclaredObject, DeclaredObjects, Deployment, Difference, Drift, EngineId,
    Fact, IntOrPercent, LabelSelector, NodeName, NodeRegistration, NodeReport, NoticedBy,
    ObjectKey, ObjectPolicy, ObjectSpec, OnFailure, Origin, Pod, PodMilestones, PodPhase,
    PodReport, PodTemplate, Protocol, PullPolicy, Resources, RestartPolicy, Revision,
    RevisionContent, RevisionHops, SourceDeclaration, SourceName, Strategy, StringMap, Timestamp,
    World,
};

/// Pods of one deployment.
pub const REPLICAS: u32 = 40;
const SOURCE: &str = "bench";

/// What a cluster begins with: a source, and so many nodes.
pub fn beginning(nodes: u32) -> Vec<Fact> {
    let mut facts = vec![Fact::SourceDeclared(SourceDeclaration {
        name: SourceName::new(SOURCE),
        url: "file:///bench.git".to_owned(),
        branch: "main".to_owned(),
        path: String::new(),
        poll_interval: Duration::from_secs(5),
        on_failure: OnFailure::Revert,
        drift: Drift::Correct,
    })];
    facts.extend((0..nodes).map(|number| {
        let name = format!("node-{number:05}");
        Fact::NodeJoined(NodeRegistration {
            name: NodeName::new(&name),
            instance: name.clone(),
            labels: StringMap::from([("kubernetes.io/hostname".to_owned(), name.clone())]),
            capacity: Resources { cpu_millis: 64_000, memory_bytes: 256 << 30, pods: 250 },
            storage_bytes: None,
            engine: EngineId::new(&name),
            engine_version: "20.10".to_owned(),
            agent_version: "0.1".to_owned(),
            address: None,
        })
    }));
    facts
}

/// The commits of the source so far.
#[derive(Default)]
pub struct Commits {
    count: u32,
    /// What the last one declared, and its name.
    declared: DeclaredObjects,
    last: Option<CommitSha>,
}

impl Commits {
    /// A commit in which these deployments have another image than before.
    pub fn commit(&mut self, changed: Range<u32>, image: u32, now: Timestamp) -> Fact {
        let mut ids = BTreeSet::new();
        for number in changed {
            let object = deployment(&format!("web-{number:05}"), format!("web:{image}"));
            ids.insert(object.id());
            self.declared.insert(object.id(), Arc::new(object));
        }
        self.count += 1;
        let sha = CommitSha::new(format!("{:040x}", self.count));
        let before = self.last.replace(sha.clone());
        Fact::Revision(Box::new(Revision {
            source: SourceName::new(SOURCE),
            commit: Commit {
                sha,
                author: "bench".to_owned(),
                message: "bench".to_owned(),
                committed_at: now,
                parents: Vec::new(),
            },
            content: RevisionContent::Objects {
                objects: self.declared.clone(),
                notices: Vec::new(),
            },
            hops: RevisionHops {
                noticed_by: NoticedBy::Poll,
                noticed_at: now,
                fetched_at: now,
                validated_at: now,
            },
            rewritten: false,
            since: before.map(|from| Difference { from, ids }),
        }))
    }
}

/// A node's report in which all of its pods are ready.
pub fn all_ready_on(world: &World, node: &NodeName, now: Timestamp) -> Fact {
    report(world, node, |pod| {
        let started_at = pod.ready_since().unwrap_or(now);
        (0, started_at)
    })
}

/// The same, in which each pod was restarted so often and started then.
pub fn report(world: &World, node: &NodeName, told: impl Fn(&Pod) -> (u32, Timestamp)) -> Fact {
    let pods = world.pods_on(node).filter(|pod| pod.is_active());
    let report = |pod: &Arc<Pod>| {
        let (restarts, started_at) = told(pod);
        let main = ContainerStatus {
            name: "app".to_owned(),
            state: ContainerState::Running { started_at },
            ready: true,
            restarts,
            container_id: None,
            last_exit: None,
            image_id: None,
            image_digest: None,
        };
        let report = PodReport {
            phase: PodPhase::Running,
            init_containers: Vec::new(),
            containers: vec![main],
            address: Some([10, 0, 0, 1].into()),
            ready: true,
            connections: 0,
            milestones: PodMilestones { ready_at: Some(started_at), ..PodMilestones::default() },
            drift: Vec::new(),
            pause: None,
        };
        (pod.uid, report)
    };
    Fact::Report(Box::new(NodeReport {
        node: node.clone(),
        instance: node.to_string(),
        acknowledged: world.turn,
        engine_answers: true,
        pods: pods.map(report).collect(),
        images: None,
        volumes: None,
        events: Vec::new(),
        first_event: None,
    }))
}

fn deployment(name: &str, image: String) -> DeclaredObject {
    let labels = StringMap::from([("app".to_owned(), name.to_owned())]);
    let container = Container {
        name: "app".to_owned(),
        image,
        pull_policy: PullPolicy::IfNotPresent,
        command: Vec::new(),
        args: Vec::new(),
        working_dir: None,
        env: Vec::new(),
        ports: vec![ContainerPort {
            name: "http".to_owned(),
            container_port: 8080,
            protocol: Protocol::Tcp,
            host: None,
        }],
        resources: ContainerResources {
            cpu_request_millis: 100,
            memory_request_bytes: 64 << 20,
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
    let deployment = Deployment {
        replicas: REPLICAS,
        selector: LabelSelector { match_labels: labels.clone(), ..LabelSelector::default() },
        template: PodTemplate {
            labels,
            annotations: StringMap::new(),
            containers: vec![container],
            init_containers: Vec::new(),
            restart_policy: RestartPolicy::Always,
            termination_grace: Duration::from_secs(30),
            node_selector: StringMap::new(),
            volumes: Box::default(),
            image_pull_secrets: Box::default(),
            security: None,
            names: None,
        },
        strategy: Strategy::RollingUpdate {
            max_surge: IntOrPercent::Percent(25),
            max_unavailable: IntOrPercent::Percent(25),
        },
        min_ready: Duration::ZERO,
        progress_deadline: Duration::from_secs(600),
        revision_history_limit: 10,
        paused: false,
    };
    DeclaredObject {
        key: ObjectKey::new("bench", name),
        labels: StringMap::new(),
        annotations: StringMap::new(),
        policy: ObjectPolicy::default(),
        spec: ObjectSpec::Deployment(Box::new(deployment)),
        written: None,
        origin: Origin { file: format!("{name}.yaml").into(), line: 1 },
    }
}
