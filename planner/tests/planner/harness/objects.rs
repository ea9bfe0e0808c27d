//! Declared objects for tests, with what a test does not care about filled in.

use std::time::Duration;

use dugout_model::*;

pub fn deployment(name: &str, replicas: u32, image: &str) -> Deployment {
    Deployment {
        replicas,
        selector: LabelSelector::default(),
        template: PodTemplate {
            labels: StringMap::from([("app".to_owned(), name.to_owned())]),
            annotations: StringMap::new(),
            containers: vec![container(image)],
            init_containers: vec![],
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
        progress_deadline: Duration::from_secs(60),
        revision_history_limit: 10,
        paused: false,
    }
}

pub fn container<Env>(image: &str) -> Container<Env> {
    Container {
        name: "app".to_owned(),
        image: image.to_owned(),
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
    }
}

pub fn declare(name: &str, spec: ObjectSpec) -> DeclaredObject {
    DeclaredObject {
        key: ObjectKey::new("demo", name),
        labels: StringMap::new(),
        annotations: StringMap::new(),
        policy: ObjectPolicy::default(),
        spec,
        written: None,
        origin: Origin { file: format!("{name}.yaml").into(), line: 1 },
    }
}

/// The deployment `web`.
pub fn web(replicas: u32, image: &str) -> DeclaredObject {
    named("web", deployment("web", replicas, image))
}

pub fn named(name: &str, deployment: Deployment) -> DeclaredObject {
    declare(name, ObjectSpec::Deployment(Box::new(deployment)))
}

/// The deployment `web` with a change to it.
pub fn web_with(
    replicas: u32,
    image: &str,
    change: impl FnOnce(&mut Deployment),
) -> DeclaredObject {
    let mut asked = deployment("web", replicas, image);
    change(&mut asked);
    named("web", asked)
}

pub fn config(name: &str, key: &str, value: &str) -> DeclaredObject {
    let data = StringMap::from([(key.to_owned(), value.to_owned())]);
    declare(name, ObjectSpec::ConfigMap(ConfigMap { data, ..ConfigMap::default() }))
}

/// A service of type NodePort for the pods of the deployment with its name.
pub fn service(name: &str, node_port: u16) -> DeclaredObject {
    declare(
        name,
        ObjectSpec::Service(Service {
            service_type: ServiceType::NodePort,
            selector: StringMap::from([("app".to_owned(), name.to_owned())]),
            ports: vec![ServicePort {
                name: String::new(),
                protocol: Protocol::Tcp,
                port: 80,
                target_port: PortRef::Name("http".to_owned()),
                node_port: Some(node_port),
            }],
        }),
    )
}

/// Takes a variable from a key of a config map.
pub fn env_from_config(config_map: &str, key: &str) -> EnvSource {
    EnvSource::ConfigMapKey {
        name: key.to_uppercase(),
        config_map: ObjectName::new(config_map),
        key: key.to_owned(),
        optional: false,
    }
}

/// A job that asks for one pod of this image to succeed.
pub fn job_spec(image: &str) -> JobSpec {
    JobSpec {
        completions: Completions::Count(1),
        parallelism: 1,
        backoff_limit: 6,
        active_deadline: None,
        ttl_after_finished: None,
        suspended: false,
        pod_failure_policy: Vec::new(),
        template: PodTemplate {
            restart_policy: RestartPolicy::Never,
            ..deployment("job", 1, image).template
        },
    }
}

/// The job `job`.
pub fn job(image: &str, change: impl FnOnce(&mut JobSpec)) -> DeclaredObject {
    let mut spec = job_spec(image);
    change(&mut spec);
    declare("job", ObjectSpec::Job(Box::new(spec)))
}

/// The cron job `tick`, every minute.
pub fn cron_job(image: &str, change: impl FnOnce(&mut CronJob)) -> DeclaredObject {
    let mut spec = CronJob {
        schedule: "* * * * *".to_owned(),
        time_zone: None,
        concurrency: ConcurrencyPolicy::Allow,
        starting_deadline: None,
        suspended: false,
        successful_history_limit: 3,
        failed_history_limit: 1,
        job_labels: StringMap::new(),
        job_annotations: StringMap::new(),
        job: job_spec(image),
    };
    change(&mut spec);
    declare("tick", ObjectSpec::CronJob(Box::new(spec)))
}

/// The stateful set `db`: ordered, updated one by one.
pub fn db(replicas: u32, image: &str, change: impl FnOnce(&mut StatefulSet)) -> DeclaredObject {
    let mut spec = StatefulSet {
        replicas,
        selector: LabelSelector::default(),
        template: deployment("db", 1, image).template,
        service_name: "db".to_owned(),
        first_ordinal: 0,
        pod_management: PodManagement::OrderedReady,
        update: StatefulSetUpdate::RollingUpdate {
            partition: 0,
            max_unavailable: IntOrPercent::Int(1),
        },
        min_ready: Duration::ZERO,
        revision_history_limit: 10,
        claim_templates: Box::default(),
        claim_retention: ClaimRetention::default(),
    };
    change(&mut spec);
    declare("db", ObjectSpec::StatefulSet(Box::new(spec)))
}

/// The daemon set `logs`: on every node, updated one by one.
pub fn logs(image: &str, change: impl FnOnce(&mut DaemonSet)) -> DeclaredObject {
    let mut spec = DaemonSet {
        selector: LabelSelector::default(),
        template: deployment("logs", 1, image).template,
        update: DaemonSetUpdate::RollingUpdate {
            max_surge: IntOrPercent::Int(0),
            max_unavailable: IntOrPercent::Int(1),
        },
        min_ready: Duration::ZERO,
        revision_history_limit: 10,
    };
    change(&mut spec);
    declare("logs", ObjectSpec::DaemonSet(Box::new(spec)))
}

/// The replica set `set`.
pub fn declared_set(replicas: u32, image: &str) -> DeclaredObject {
    let template = deployment("set", 1, image).template;
    let selector = LabelSelector::default();
    let spec = ReplicaSetSpec { replicas, selector, template, min_ready: Duration::ZERO };
    declare("set", ObjectSpec::ReplicaSet(Box::new(spec)))
}

/// A bare pod.
pub fn bare(name: &str, image: &str) -> DeclaredObject {
    declare(name, ObjectSpec::Pod(Box::new(deployment(name, 1, image).template)))
}

/// An object that waits for others of its namespace.
pub fn after<const N: usize>(
    mut object: DeclaredObject,
    others: [(Kind, &str); N],
) -> DeclaredObject {
    let ids = others.map(|(kind, name)| ObjectId::new(kind, "demo", name));
    object.policy.depends_on = ids.into();
    object
}

/// A job of this name that comes before or after everything.
pub fn hook(name: &str, image: &str, hook: Hook) -> DeclaredObject {
    let mut object = declare(name, ObjectSpec::Job(Box::new(job_spec(image))));
    object.policy.hook = Some(hook);
    object
}

/// The disruption budget `budget`, over the pods of the workload with this name.
pub fn budget(name: &str, limit: DisruptionLimit) -> DeclaredObject {
    budget_named("budget", name, limit)
}

pub fn budget_named(budget: &str, name: &str, limit: DisruptionLimit) -> DeclaredObject {
    let match_labels = StringMap::from([("app".to_owned(), name.to_owned())]);
    let selector = Some(LabelSelector { match_labels, ..LabelSelector::default() });
    let unhealthy = UnhealthyPodEviction::IfHealthyBudget;
    let spec = PodDisruptionBudget { selector, limit, unhealthy };
    declare(budget, ObjectSpec::PodDisruptionBudget(Box::new(spec)))
}

pub fn min_available(pods: u32) -> DisruptionLimit {
    DisruptionLimit::MinAvailable(IntOrPercent::Int(pods))
}
