//! What people's commits declare, as the source's loop reads it.

use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    ClaimRetention, Completions, ConfigMap, Container, ContainerPort, ContainerResources, CronJob,
    DaemonSet, DaemonSetUpdate, DeclaredObject, DeclaredObjects, Deployment, DisruptionLimit,
    EnvSource, Hook, IntOrPercent, JobSpec, Kind, LabelSelector, ObjectId, ObjectKey, ObjectName,
    ObjectPolicy, ObjectSpec, Origin, PodDisruptionBudget, PodTemplate, PortRef, Problem, Protocol,
    PullPolicy, ReplicaSetSpec, RestartPolicy, RevisionContent, Service, ServicePort, ServiceType,
    Severity, StatefulSet, StatefulSetUpdate, Strategy, StringMap, UnhealthyPodEviction,
};

use super::{ALWAYS, Helper, MAIN_CONTAINER, REJECTED_IMAGE, Shape, Workload};

/// The commit as the source loop reads it.
pub(crate) fn content(workloads: &[Workload], config: u8) -> RevisionContent {
    let before = std::iter::once(None).chain(workloads.iter().map(Some));
    let mut objects: Vec<DeclaredObject> =
        workloads.iter().zip(before).map(|(each, before)| each.declared(before)).collect();
    let data = StringMap::from([("greeting".to_owned(), format!("hello {config}"))]);
    let settings = ConfigMap { data, ..ConfigMap::default() };
    objects.push(declare("settings", ObjectSpec::ConfigMap(settings)));
    objects.extend(front(workloads, config));
    let objects = objects.into_iter().map(|object| (object.id(), Arc::new(object))).collect();
    RevisionContent::Objects { objects, notices: Vec::new() }
}

/// A service that means others from commit to commit, on one port or another.
fn front(workloads: &[Workload], config: u8) -> Option<DeclaredObject> {
    let meant = if config == 1 { workloads.last() } else { workloads.first() };
    let port = ServicePort {
        name: String::new(),
        protocol: Protocol::Tcp,
        port: 80,
        target_port: PortRef::Name("http".to_owned()),
        node_port: Some(if config == 2 { 30081 } else { 30080 }),
    };
    let spec = Service {
        service_type: ServiceType::NodePort,
        selector: StringMap::from([("app".to_owned(), meant?.name.to_owned())]),
        ports: vec![port],
    };
    Some(declare("front", ObjectSpec::Service(spec)))
}

/// How many pods of each workload may be moved away at a time: of these the same from commit to commit.
const BUDGETS: [(&str, DisruptionLimit); 4] = [
    ("web", DisruptionLimit::MaxUnavailable(IntOrPercent::Int(0))),
    ("db", DisruptionLimit::MaxUnavailable(IntOrPercent::Int(1))),
    ("set", DisruptionLimit::MinAvailable(IntOrPercent::Percent(50))),
    ("cache", DisruptionLimit::MinAvailable(IntOrPercent::Int(1))),
];

/// Puts disruption budgets beside what a commit declares, unless that is nothing.
pub(crate) fn add_budgets(content: &mut RevisionContent) {
    let RevisionContent::Objects { objects, .. } = content else { return };
    if objects.is_empty() {
        return;
    }
    for (name, limit) in BUDGETS {
        let match_labels = StringMap::from([("app".to_owned(), name.to_owned())]);
        let selector = Some(LabelSelector { match_labels, match_expressions: Vec::new() });
        let unhealthy = UnhealthyPodEviction::default();
        let budget = PodDisruptionBudget { selector, limit, unhealthy };
        let object = declare(name, ObjectSpec::PodDisruptionBudget(Box::new(budget)));
        objects.insert(object.id(), Arc::new(object));
    }
}

/// What a reader would see that passes over errors.
pub(crate) fn what_can_be_read() -> RevisionContent {
    let web = Workload {
        name: ALWAYS.0,
        shape: Shape::Deployment(Strategy::Recreate),
        replicas: 1,
        image: REJECTED_IMAGE,
        min_ready_seconds: 0,
        cpu_millis: 100,
        reads_config: false,
        follows: false,
        work: 0,
        helper: Helper::None,
    };
    content(&[web], 0)
}

pub(crate) fn nothing() -> RevisionContent {
    RevisionContent::Objects { objects: DeclaredObjects::new(), notices: Vec::new() }
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
    fn declared(&self, before: Option<&Workload>) -> DeclaredObject {
        let mut object = declare(self.name, self.spec());
        let awaited = before.filter(|other| self.follows && other.may_be_awaited());
        object.policy.depends_on = awaited.map(|other| other.id()).into_iter().collect();
        if let Shape::Job { hook, .. } = self.shape {
            object.policy.hook = hook;
        }
        object
    }

    fn may_be_awaited(&self) -> bool {
        !matches!(self.shape, Shape::Job { hook: Some(Hook::After), .. })
    }

    fn job_spec(
        &self,
        completions: Completions,
        backoff_limit: u32,
        restart: RestartPolicy,
    ) -> JobSpec {
        JobSpec {
            completions,
            parallelism: 1,
            backoff_limit,
            active_deadline: None,
            ttl_after_finished: None,
            suspended: false,
            pod_failure_policy: Vec::new(),
            template: PodTemplate { restart_policy: restart, ..self.template() },
        }
    }

    fn id(&self) -> ObjectId {
        let kind = match self.shape {
            Shape::Deployment(_) => Kind::Deployment,
            Shape::StatefulSet { .. } => Kind::StatefulSet,
            Shape::DaemonSet { .. } => Kind::DaemonSet,
            Shape::ReplicaSet => Kind::ReplicaSet,
            Shape::Pod => Kind::Pod,
            Shape::Job { .. } => Kind::Job,
            Shape::CronJob { .. } => Kind::CronJob,
        };
        ObjectId::new(kind, "demo", self.name)
    }

    fn spec(&self) -> ObjectSpec {
        let (selector, template, replicas) = (self.selector(), self.template(), self.replicas);
        let min_ready = Duration::from_secs(self.min_ready_seconds);
        match &self.shape {
            Shape::Deployment(strategy) => ObjectSpec::Deployment(Box::new(Deployment {
                replicas,
                selector,
                template,
                strategy: strategy.clone(),
                min_ready,
                progress_deadline: Duration::from_secs(60),
                revision_history_limit: 3,
                paused: false,
            })),
            Shape::StatefulSet { order, max_unavailable } => {
                ObjectSpec::StatefulSet(Box::new(StatefulSet {
                    claim_templates: Box::default(),
                    claim_retention: ClaimRetention::default(),
                    replicas,
                    selector,
                    template,
                    service_name: String::new(),
                    first_ordinal: 0,
                    pod_management: *order,
                    update: StatefulSetUpdate::RollingUpdate {
                        partition: 0,
                        max_unavailable: IntOrPercent::Int(*max_unavailable),
                    },
                    min_ready,
                    revision_history_limit: 3,
                }))
            }
            Shape::DaemonSet { max_surge, max_unavailable } => {
                ObjectSpec::DaemonSet(Box::new(DaemonSet {
                    selector,
                    template,
                    update: DaemonSetUpdate::RollingUpdate {
                        max_surge: IntOrPercent::Int(*max_surge),
                        max_unavailable: IntOrPercent::Int(*max_unavailable),
                    },
                    min_ready,
                    revision_history_limit: 3,
                }))
            }
            Shape::ReplicaSet => {
                let spec = ReplicaSetSpec { replicas, selector, template, min_ready };
                ObjectSpec::ReplicaSet(Box::new(spec))
            }
            Shape::Pod => ObjectSpec::Pod(Box::new(template)),
            Shape::Job { completions, backoff_limit, restart, .. } => {
                let spec = self.job_spec(*completions, *backoff_limit, *restart);
                ObjectSpec::Job(Box::new(spec))
            }
            Shape::CronJob { concurrency, history_limit, suspended } => {
                let job = self.job_spec(Completions::Count(1), 1, RestartPolicy::Never);
                ObjectSpec::CronJob(Box::new(CronJob {
                    schedule: "* * * * *".to_owned(),
                    time_zone: None,
                    concurrency: *concurrency,
                    starting_deadline: None,
                    suspended: *suspended,
                    successful_history_limit: *history_limit,
                    failed_history_limit: 1,
                    job_labels: StringMap::new(),
                    job_annotations: StringMap::new(),
                    job,
                }))
            }
        }
    }

    fn labels(&self) -> StringMap {
        StringMap::from([("app".to_owned(), self.name.to_owned())])
    }

    fn selector(&self) -> LabelSelector {
        LabelSelector { match_labels: self.labels(), match_expressions: Vec::new() }
    }

    fn template(&self) -> PodTemplate {
        PodTemplate {
            labels: self.labels(),
            annotations: StringMap::new(),
            containers: vec![self.container()],
            init_containers: match self.helper {
                Helper::None => Vec::new(),
                Helper::Init => vec![self.helping("prepare", "job:done", None)],
                Helper::Sidecar => {
                    vec![self.helping("beside", "web:1", Some(RestartPolicy::Always))]
                }
            },
            restart_policy: RestartPolicy::Always,
            termination_grace: Duration::from_secs(10),
            node_selector: StringMap::new(),
            volumes: Box::default(),
            image_pull_secrets: Box::default(),
            security: None,
            names: None,
        }
    }

    fn helping(
        &self,
        name: &str,
        image: &str,
        restart_policy: Option<RestartPolicy>,
    ) -> Container<EnvSource> {
        let (name, image) = (name.to_owned(), image.to_owned());
        let resources = ContainerResources::default();
        Container { name, image, restart_policy, resources, ports: Vec::new(), ..self.container() }
    }

    fn container(&self) -> Container<EnvSource> {
        let greeting = EnvSource::ConfigMapKey {
            name: "GREETING".to_owned(),
            config_map: ObjectName::new("settings"),
            key: "greeting".to_owned(),
            optional: false,
        };
        Container {
            name: MAIN_CONTAINER.to_owned(),
            image: self.image.to_owned(),
            pull_policy: PullPolicy::IfNotPresent,
            command: Vec::new(),
            args: vec![self.work.to_string()].into_iter().filter(|_| self.is_work()).collect(),
            working_dir: None,
            env: if self.reads_config { vec![greeting] } else { Vec::new() },
            ports: vec![ContainerPort {
                name: "http".to_owned(),
                container_port: 8080,
                protocol: Protocol::Tcp,
                host: None,
            }],
            resources: ContainerResources {
                cpu_request_millis: self.cpu_millis,
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
        }
    }
}

fn declare(name: &str, spec: ObjectSpec) -> DeclaredObject {
    let progress_deadline = Some(Duration::from_secs(60));
    DeclaredObject {
        key: ObjectKey::new("demo", name),
        labels: StringMap::new(),
        annotations: StringMap::new(),
        policy: ObjectPolicy { progress_deadline, ..ObjectPolicy::default() },
        spec,
        written: None,
        origin: Origin { file: format!("{name}.yaml").into(), line: 1 },
    }
}
