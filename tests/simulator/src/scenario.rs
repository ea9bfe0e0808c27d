//! What people do: commits, good and bad, which a seed determines. The last one is good.

use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    ConfigMap, Container, ContainerPort, ContainerResources, DeclaredObject, Deployment, EnvSource,
    IntOrPercent, LabelSelector, ObjectKey, ObjectName, ObjectPolicy, ObjectSpec, Origin,
    PodTemplate, Problem, Protocol, PullPolicy, RestartPolicy, RevisionContent, Severity, Strategy,
    StringMap,
};

use crate::random::Random;

/// The image of commits that are rejected: nothing of it may ever run.
pub(crate) const REJECTED_IMAGE: &str = "web:rejected";

/// One commit.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    /// How long after the one before.
    pub after: Duration,
    pub asks: Asks,
}

#[derive(Clone, Debug)]
pub(crate) enum Asks {
    Objects(Vec<Workload>, u8),
    /// Its manifests have errors.
    Nonsense,
    /// The commit of this number comes again, as after a forced push.
    Again(usize),
}

/// A deployment, as people write it here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    pub name: &'static str,
    pub replicas: u32,
    pub image: &'static str,
    pub strategy: Strategy,
    pub min_ready_seconds: u64,
    pub reads_config: bool,
}

/// Everything that people do in one run.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub(crate) commits: Vec<Commit>,
}

const GOOD: [&str; 3] = ["web:1", "web:2", "web:slow"];
const BAD: [&str; 3] = ["web:missing", "web:unready", "web:crash"];

impl Scenario {
    pub(crate) fn from(random: &mut Random) -> Self {
        let mut commits = Vec::new();
        let mut workloads = vec![workload(random, "web"), workload(random, "api")];
        let mut config = 0;
        for number in 0..4 + random.below(6) as usize {
            let asks = match random.below(12) {
                0 => Asks::Nonsense,
                1 if number > 1 => Asks::Again(random.below(number as u64 - 1) as usize),
                2 => {
                    config = random.below(3) as u8;
                    Asks::Objects(workloads.clone(), config)
                }
                3 => {
                    let mut bad = workloads.clone();
                    bad[0].image = random.pick(&BAD);
                    Asks::Objects(bad, config)
                }
                4 => Asks::Objects(workloads[..1].to_vec(), config),
                _ => {
                    let changed = random.below(2) as usize;
                    workloads[changed] = workload(random, workloads[changed].name);
                    Asks::Objects(workloads.clone(), config)
                }
            };
            commits.push(Commit { after: random.millis(500, 40_000), asks });
        }
        Self { commits }
    }

    /// The good commit that ends every run.
    pub(crate) fn last(random: &mut Random) -> Vec<Workload> {
        ["web", "api"].map(|name| workload(random, name)).to_vec()
    }
}

fn workload(random: &mut Random, name: &'static str) -> Workload {
    let strategy = match random.below(4) {
        0 => Strategy::Recreate,
        _ => {
            let surge = random.below(3) as u32;
            let unavailable = if surge == 0 { 1 } else { random.below(2) as u32 };
            Strategy::RollingUpdate {
                max_surge: IntOrPercent::Int(surge),
                max_unavailable: IntOrPercent::Int(unavailable),
            }
        }
    };
    Workload {
        name,
        replicas: random.below(6) as u32,
        image: random.pick(&GOOD),
        strategy,
        min_ready_seconds: random.pick(&[0, 0, 3]),
        reads_config: random.one_in(2),
    }
}

/// The commit as the source loop reads it.
pub(crate) fn content(workloads: &[Workload], config: u8) -> RevisionContent {
    let mut objects: Vec<DeclaredObject> = workloads.iter().map(Workload::declared).collect();
    let data = StringMap::from([("greeting".to_owned(), format!("hello {config}"))]);
    let settings = ConfigMap { data, ..ConfigMap::default() };
    objects.push(declare("settings", ObjectSpec::ConfigMap(settings)));
    let objects = objects.into_iter().map(|object| (object.id(), Arc::new(object))).collect();
    RevisionContent::Objects { objects, notices: Vec::new() }
}

pub(crate) fn nonsense() -> RevisionContent {
    RevisionContent::Problems(vec![Problem {
        file: "web.yaml".to_owned(),
        line: 3,
        column: 1,
        severity: Severity::Error,
        field_path: "spec".to_owned(),
        message: format!("unknown field beside image {REJECTED_IMAGE}"),
        hint: None,
    }])
}

impl Workload {
    fn declared(&self) -> DeclaredObject {
        let labels = StringMap::from([("app".to_owned(), self.name.to_owned())]);
        let deployment = Deployment {
            replicas: self.replicas,
            selector: LabelSelector { match_labels: labels.clone(), match_expressions: Vec::new() },
            template: PodTemplate {
                labels,
                annotations: StringMap::new(),
                containers: vec![self.container()],
                restart_policy: RestartPolicy::Always,
                termination_grace: Duration::from_secs(10),
                node_selector: StringMap::new(),
            },
            strategy: self.strategy.clone(),
            min_ready: Duration::from_secs(self.min_ready_seconds),
            progress_deadline: Duration::from_secs(60),
            revision_history_limit: 3,
            paused: false,
        };
        declare(self.name, ObjectSpec::Deployment(Box::new(deployment)))
    }

    fn container(&self) -> Container<EnvSource> {
        let greeting = EnvSource::ConfigMapKey {
            name: "GREETING".to_owned(),
            config_map: ObjectName::new("settings"),
            key: "greeting".to_owned(),
            optional: false,
        };
        Container {
            name: "app".to_owned(),
            image: self.image.to_owned(),
            pull_policy: PullPolicy::IfNotPresent,
            command: Vec::new(),
            args: Vec::new(),
            working_dir: None,
            env: if self.reads_config { vec![greeting] } else { Vec::new() },
            ports: vec![ContainerPort {
                name: "http".to_owned(),
                container_port: 8080,
                protocol: Protocol::Tcp,
            }],
            resources: ContainerResources {
                cpu_request_millis: 100,
                memory_request_bytes: 64 << 20,
                ..ContainerResources::default()
            },
            startup_probe: None,
            readiness_probe: None,
            liveness_probe: None,
        }
    }
}

fn declare(name: &str, spec: ObjectSpec) -> DeclaredObject {
    DeclaredObject {
        key: ObjectKey::new("demo", name),
        labels: StringMap::new(),
        annotations: StringMap::new(),
        policy: ObjectPolicy::default(),
        spec,
        origin: Origin { file: format!("{name}.yaml"), line: 1 },
    }
}
