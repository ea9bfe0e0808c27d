//! Declared objects and templates.

use std::sync::Arc;

use dugout_model::*;

use super::Dice;

impl Dice {
    pub fn object(&mut self, id: ObjectId, source: SourceName) -> StoredObject {
        StoredObject {
            uid: ObjectUid(self.uuid()),
            source,
            sha: self.sha(),
            generation: self.number(),
            created_at: self.moment(),
            orphaned: self.flip(),
            declared: Arc::new(self.declared(id)),
        }
    }

    pub fn declared(&mut self, id: ObjectId) -> DeclaredObject {
        DeclaredObject {
            spec: self.spec(id.kind),
            key: id.key,
            labels: self.map(),
            annotations: self.map(),
            policy: ObjectPolicy {
                prune: self.pick(&[Prune::Enabled, Prune::Disabled, Prune::Confirm]),
                progress_deadline: self.maybe(Dice::span),
                depends_on: self.some(Dice::object_id).into(),
                hook: self.maybe(|dice| dice.pick(&[Hook::Before, Hook::After])),
            },
            written: None,
            origin: Origin { file: self.text().into(), line: self.small() },
        }
    }

    /// An object of whose pods something was filled in.
    pub fn filled_object(&mut self, id: ObjectId, source: SourceName) -> StoredObject {
        let mut row = self.object(id, source);
        Arc::make_mut(&mut row.declared).written = Some(Box::new(self.written_template()));
        row
    }

    fn written_template(&mut self) -> WrittenTemplate {
        WrittenTemplate {
            resources: self.some(Dice::container_resources).into(),
            image_pull_secrets: self.some(|dice| ObjectName::new(dice.text())).into(),
        }
    }

    fn container_resources(&mut self) -> ContainerResources {
        ContainerResources {
            cpu_request_millis: self.number(),
            memory_request_bytes: self.number(),
            cpu_limit_millis: self.maybe(Dice::number),
            memory_limit_bytes: self.maybe(Dice::number),
        }
    }

    pub(super) fn spec(&mut self, kind: Kind) -> ObjectSpec {
        match kind {
            Kind::Namespace => ObjectSpec::Namespace,
            Kind::LimitRange => ObjectSpec::LimitRange(self.limit_range()),
            Kind::ResourceQuota => ObjectSpec::ResourceQuota(Box::new(self.quota())),
            Kind::ConfigMap => ObjectSpec::ConfigMap(ConfigMap {
                data: self.map(),
                binary_data: self.some(|dice| (dice.text(), dice.bytes())).into_iter().collect(),
                immutable: self.flip(),
            }),
            Kind::Secret => ObjectSpec::Secret(Secret {
                secret_type: self.text(),
                data: self
                    .some(|dice| (dice.text(), SecretValue::new(dice.bytes())))
                    .into_iter()
                    .collect(),
                immutable: self.flip(),
            }),
            Kind::Service => ObjectSpec::Service(Service {
                service_type: self.service_type(),
                selector: self.map(),
                ports: self.some(|dice| ServicePort {
                    name: dice.text(),
                    protocol: dice.protocol(),
                    port: dice.port(),
                    target_port: dice.port_ref(),
                    node_port: dice.maybe(Dice::port),
                }),
            }),
            Kind::StorageClass => ObjectSpec::StorageClass(self.storage_class()),
            Kind::PersistentVolume => {
                ObjectSpec::PersistentVolume(Box::new(self.persistent_volume()))
            }
            Kind::PersistentVolumeClaim => {
                ObjectSpec::PersistentVolumeClaim(Box::new(self.claim()))
            }
            Kind::PodDisruptionBudget => {
                ObjectSpec::PodDisruptionBudget(Box::new(PodDisruptionBudget {
                    selector: self.maybe(Dice::selector),
                    limit: match self.flip() {
                        true => DisruptionLimit::MinAvailable(IntOrPercent::Int(self.small())),
                        false => {
                            DisruptionLimit::MaxUnavailable(IntOrPercent::Percent(self.small()))
                        }
                    },
                    unhealthy: self.pick(&[
                        UnhealthyPodEviction::IfHealthyBudget,
                        UnhealthyPodEviction::AlwaysAllow,
                    ]),
                }))
            }
            Kind::Pod => ObjectSpec::Pod(Box::new(self.pod_template())),
            Kind::ReplicaSet => ObjectSpec::ReplicaSet(Box::new(self.replica_set_spec())),
            Kind::ReplicationController => {
                ObjectSpec::ReplicationController(Box::new(self.replica_set_spec()))
            }
            Kind::Deployment => ObjectSpec::Deployment(Box::new(self.deployment())),
            Kind::StatefulSet => ObjectSpec::StatefulSet(Box::new(self.stateful_set())),
            Kind::DaemonSet => ObjectSpec::DaemonSet(Box::new(self.daemon_set())),
            Kind::Job => ObjectSpec::Job(Box::new(self.job())),
            Kind::CronJob => ObjectSpec::CronJob(Box::new(self.cron_job())),
        }
    }

    fn limit_range(&mut self) -> LimitRange {
        let item = |dice: &mut Dice| LimitRangeItem {
            limit_type: dice.pick(&[
                LimitType::Container,
                LimitType::Pod,
                LimitType::PersistentVolumeClaim,
            ]),
            min: dice.amounts(),
            max: dice.amounts(),
            default_limits: dice.amounts(),
            default_requests: dice.amounts(),
            max_limit_request_ratio: dice.amounts(),
        };
        // At least one, so that the golden rows have its form whatever the dice say.
        let mut limits = vec![item(self)];
        limits.extend(self.some(item));
        LimitRange { limits: limits.into() }
    }

    fn quota(&mut self) -> ResourceQuota {
        let requirement = |dice: &mut Dice| ScopeRequirement {
            scope: dice.pick(&QuotaScope::ALL),
            operator: LabelOperator::In(dice.some(Dice::text)),
        };
        ResourceQuota {
            hard: self.amounts(),
            scopes: self.some(|dice| dice.pick(&QuotaScope::ALL)).into(),
            scope_selector: self.some(requirement).into(),
        }
    }

    fn amounts(&mut self) -> ResourceAmounts {
        self.some(|dice| (dice.text(), dice.number())).into_iter().collect()
    }

    pub(super) fn deployment(&mut self) -> Deployment {
        Deployment {
            replicas: self.small(),
            selector: self.selector(),
            template: self.pod_template(),
            strategy: match self.flip() {
                true => Strategy::Recreate,
                false => Strategy::RollingUpdate {
                    max_surge: IntOrPercent::Int(self.small()),
                    max_unavailable: IntOrPercent::Percent(self.small()),
                },
            },
            min_ready: self.span(),
            progress_deadline: self.span(),
            revision_history_limit: self.small(),
            paused: self.flip(),
        }
    }

    pub(super) fn selector(&mut self) -> LabelSelector {
        LabelSelector {
            match_labels: self.map(),
            match_expressions: self.some(|dice| LabelRequirement {
                key: dice.text(),
                operator: match dice.below(4) {
                    0 => LabelOperator::In(dice.some(Dice::text)),
                    1 => LabelOperator::NotIn(dice.some(Dice::text)),
                    2 => LabelOperator::Exists,
                    _ => LabelOperator::DoesNotExist,
                },
            }),
        }
    }

    pub(super) fn pod_template(&mut self) -> PodTemplate {
        PodTemplate {
            labels: self.map(),
            annotations: self.map(),
            init_containers: self.some(|dice| dice.container(Dice::env_source)),
            containers: self.some(|dice| dice.container(Dice::env_source)),
            restart_policy: self.restart_policy(),
            termination_grace: self.span(),
            node_selector: self.map(),
            volumes: self.some(|dice| dice.volume(Dice::projection)).into(),
            image_pull_secrets: self.some(|dice| ObjectName::new(dice.text())).into(),
            security: self.maybe(Dice::pod_security).map(Box::new),
            names: self.maybe(Dice::pod_names).map(Box::new),
        }
    }

    pub(super) fn restart_policy(&mut self) -> RestartPolicy {
        self.pick(&[RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never])
    }

    pub(super) fn identity(&mut self) -> PodIdentity {
        match self.below(4) {
            0 => PodIdentity::Any,
            1 => PodIdentity::Ordinal(self.small()),
            2 => PodIdentity::OnNode(NodeName::new("a")),
            _ => PodIdentity::CompletionIndex(self.small()),
        }
    }

    fn replica_set_spec(&mut self) -> ReplicaSetSpec {
        ReplicaSetSpec {
            replicas: self.small(),
            selector: self.selector(),
            template: self.pod_template(),
            min_ready: self.span(),
        }
    }

    fn stateful_set(&mut self) -> StatefulSet {
        StatefulSet {
            replicas: self.small(),
            selector: self.selector(),
            template: self.pod_template(),
            service_name: self.text(),
            first_ordinal: self.small(),
            pod_management: self.pick(&[PodManagement::OrderedReady, PodManagement::Parallel]),
            update: match self.flip() {
                true => StatefulSetUpdate::OnDelete,
                false => StatefulSetUpdate::RollingUpdate {
                    partition: self.small(),
                    max_unavailable: IntOrPercent::Int(self.small()),
                },
            },
            min_ready: self.span(),
            revision_history_limit: self.small(),
            claim_templates: Box::default(),
            claim_retention: ClaimRetention::default(),
        }
    }

    fn daemon_set(&mut self) -> DaemonSet {
        DaemonSet {
            selector: self.selector(),
            template: self.pod_template(),
            update: match self.flip() {
                true => DaemonSetUpdate::OnDelete,
                false => DaemonSetUpdate::RollingUpdate {
                    max_surge: IntOrPercent::Int(self.small()),
                    max_unavailable: IntOrPercent::Percent(self.small()),
                },
            },
            min_ready: self.span(),
            revision_history_limit: self.small(),
        }
    }

    pub(super) fn job(&mut self) -> JobSpec {
        JobSpec {
            completions: match self.below(3) {
                0 => Completions::Any,
                1 => Completions::Count(self.small()),
                _ => Completions::Indexed(self.small()),
            },
            parallelism: self.small(),
            backoff_limit: self.small(),
            active_deadline: self.maybe(Dice::span),
            ttl_after_finished: self.maybe(Dice::span),
            suspended: self.flip(),
            pod_failure_policy: self.some(|dice| PodFailureRule {
                action: dice.pick(&[
                    PodFailureAction::FailJob,
                    PodFailureAction::Ignore,
                    PodFailureAction::Count,
                ]),
                when: match dice.below(3) {
                    0 => PodFailureMatch::ExitCodeIn {
                        container: dice.maybe(Dice::text),
                        codes: vec![1, -1],
                    },
                    1 => PodFailureMatch::ExitCodeNotIn { container: None, codes: vec![] },
                    _ => PodFailureMatch::Disrupted,
                },
            }),
            template: self.pod_template(),
        }
    }

    pub fn job_run(&mut self, uid: JobUid) -> Job {
        Job {
            uid,
            namespace: NamespaceName::new(self.text()),
            name: ObjectName::new(self.text()),
            labels: self.map(),
            annotations: self.map(),
            owner: ObjectUid(uuid::Uuid::from_u128(u128::from(self.below(4)))),
            source: SourceName::new(self.text()),
            sha: self.sha(),
            scheduled_at: self.maybe(Dice::moment),
            created_at: self.moment(),
            started_at: self.maybe(Dice::moment),
            spec: Arc::new(self.job()),
            state: match self.below(4) {
                0 => JobState::Running,
                1 => JobState::Suspended,
                2 => JobState::Complete { at: self.moment() },
                _ => JobState::Failed {
                    at: self.moment(),
                    reason: self.pick(&[
                        JobFailure::BackoffLimitExceeded,
                        JobFailure::DeadlineExceeded,
                        JobFailure::PodFailurePolicy,
                    ]),
                    message: self.text(),
                },
            },
            tally: JobTally {
                succeeded: self.small(),
                failed: self.small(),
                completed_indexes: self.some(Dice::small).into_iter().collect(),
                failed_in_a_row: self.small(),
                last_failed_at: self.maybe(Dice::moment),
            },
        }
    }

    pub fn schedule(&mut self, cron_job: ObjectUid) -> Schedule {
        Schedule {
            cron_job,
            last_scheduled_at: self.moment(),
            last_succeeded_at: self.maybe(Dice::moment),
        }
    }

    pub(super) fn cron_job(&mut self) -> CronJob {
        CronJob {
            schedule: self.text(),
            time_zone: self.maybe(Dice::text),
            concurrency: self.pick(&[
                ConcurrencyPolicy::Allow,
                ConcurrencyPolicy::Forbid,
                ConcurrencyPolicy::Replace,
            ]),
            starting_deadline: self.maybe(Dice::span),
            suspended: self.flip(),
            successful_history_limit: self.small(),
            failed_history_limit: self.small(),
            job_labels: self.map(),
            job_annotations: self.map(),
            job: self.job(),
        }
    }

    pub fn template(&mut self) -> SharedTemplate {
        Arc::new(ResolvedTemplate {
            labels: self.map(),
            annotations: self.map(),
            init_containers: self.some(|dice| dice.container(Dice::env_value)),
            containers: self.some(|dice| dice.container(Dice::env_value)),
            restart_policy: self.restart_policy(),
            termination_grace: self.span(),
            node_selector: self.map(),
            volumes: self.some(|dice| dice.volume(Dice::files)).into(),
            image_pull_secrets: self.some(|dice| ObjectName::new(dice.text())).into(),
            security: self.maybe(Dice::pod_security).map(Box::new),
            names: self.maybe(Dice::pod_names).map(Box::new),
        })
    }

    pub(super) fn container<Env>(&mut self, env: impl FnMut(&mut Dice) -> Env) -> Container<Env> {
        Container {
            name: self.text(),
            image: self.text(),
            pull_policy: self.pick(&[
                PullPolicy::Always,
                PullPolicy::IfNotPresent,
                PullPolicy::Never,
            ]),
            command: self.some(Dice::text),
            args: self.some(Dice::text),
            working_dir: self.maybe(Dice::text),
            env: self.some(env),
            ports: self.some(|dice| ContainerPort {
                name: dice.text(),
                container_port: dice.port(),
                protocol: dice.protocol(),
                host: None,
            }),
            resources: self.container_resources(),
            startup_probe: self.maybe(Dice::probe).map(Box::new),
            readiness_probe: self.maybe(Dice::probe).map(Box::new),
            liveness_probe: self.maybe(Dice::probe).map(Box::new),
            lifecycle: self.maybe(Dice::container_lifecycle).map(Box::new),
            restart_policy: self.maybe(Dice::restart_policy),
            mounts: self.some(Dice::mount).into(),
            security: self.maybe(Dice::container_security).map(Box::new),
            streams: self.streams(),
        }
    }

    fn volume<F>(&mut self, files: impl FnOnce(&mut Dice) -> F) -> Volume<F> {
        Volume {
            name: self.text(),
            source: match self.below(4) {
                3 => VolumeSource::Files(files(self)),
                0 => VolumeSource::EmptyDir(EmptyDir::Disk),
                1 => VolumeSource::EmptyDir(EmptyDir::Memory {
                    size_limit_bytes: self.maybe(Dice::number),
                }),
                _ => VolumeSource::HostPath(HostPath {
                    path: self.text(),
                    path_type: self.pick(&[
                        HostPathType::Any,
                        HostPathType::DirectoryOrCreate,
                        HostPathType::Directory,
                        HostPathType::FileOrCreate,
                        HostPathType::File,
                        HostPathType::Socket,
                        HostPathType::CharDevice,
                        HostPathType::BlockDevice,
                    ]),
                }),
            },
        }
    }

    fn projection(&mut self) -> Projection {
        Projection {
            default_mode: self.mode(),
            sources: self
                .some(|dice| {
                    let (name, optional) = (ObjectName::new(dice.text()), dice.flip());
                    let items = dice.some(|dice| KeyFile {
                        key: dice.text(),
                        path: dice.text(),
                        mode: dice.maybe(Dice::mode),
                    });
                    let items = items.into();
                    match dice.below(3) {
                        0 => FileSource::ConfigMap { config_map: name, items, optional },
                        1 => FileSource::Secret { secret: name, items, optional },
                        _ => FileSource::Fields(dice.some(Dice::field_file).into()),
                    }
                })
                .into(),
        }
    }

    fn field_file(&mut self) -> FieldFile {
        let (path, field) = (self.text(), self.file_field());
        FieldFile { path, content: FieldFileContent::Field(field), mode: self.maybe(Dice::mode) }
    }

    fn files(&mut self) -> VolumeFiles {
        self.some(|dice| VolumeFile {
            path: dice.text(),
            mode: dice.mode(),
            content: match dice.below(3) {
                0 => FileContent::Plain(dice.bytes().into()),
                1 => FileContent::Secret(SecretValue::new(dice.bytes())),
                _ => FileContent::Field(dice.file_field()),
            },
        })
        .into()
    }

    fn file_field(&mut self) -> FileField {
        match self.below(3) {
            0 => FileField::Labels,
            1 => FileField::Annotations,
            _ => FileField::One(self.pod_field()),
        }
    }

    fn mode(&mut self) -> FileMode {
        FileMode::new(self.below(0o1000) as u16)
    }

    fn mount(&mut self) -> VolumeMount {
        let sub_path = self.text();
        VolumeMount {
            volume: self.text(),
            path: self.text(),
            access: self.pick(&[MountAccess::ReadWrite, MountAccess::ReadOnly]),
            sub_path: self.pick(&[
                None,
                Some(SubPath::Fixed(sub_path.clone())),
                Some(SubPath::Expanded(sub_path)),
            ]),
            propagation: self.pick(&[MountPropagation::None, MountPropagation::HostToContainer]),
        }
    }

    pub(super) fn env_source(&mut self) -> EnvSource {
        let (name, key, optional) = (self.text(), self.text(), self.flip());
        let (object, prefix) = (ObjectName::new(self.text()), self.text());
        match self.below(7) {
            0 => EnvSource::Literal { name, value: key },
            1 => EnvSource::ConfigMapKey { name, config_map: object, key, optional },
            2 => EnvSource::SecretKey { name, secret: object, key, optional },
            3 => EnvSource::Field { name, field: self.pod_field() },
            4 => EnvSource::Resource { name, resource: self.resource() },
            5 => EnvSource::AllOfConfigMap { config_map: object, prefix, optional },
            _ => EnvSource::AllOfSecret { secret: object, prefix, optional },
        }
    }

    pub(super) fn env_value(&mut self) -> EnvValue {
        EnvValue {
            name: self.text(),
            content: match self.below(4) {
                0 => EnvContent::Text(self.text()),
                1 => EnvContent::Secret(SecretValue::new(self.bytes())),
                2 => EnvContent::NodeResource(NodeResource {
                    kind: self.pick(&[NodeResourceKind::Cpu, NodeResourceKind::Memory]),
                    divisor: u64::from(self.small()),
                }),
                _ => EnvContent::Field(self.pod_field()),
            },
        }
    }

    pub(super) fn pod_field(&mut self) -> PodField {
        match self.below(6) {
            0 => PodField::Name,
            1 => PodField::Namespace,
            2 => PodField::Uid,
            3 => PodField::NodeName,
            4 => PodField::Label(self.text()),
            _ => PodField::Annotation(self.text()),
        }
    }

    pub(super) fn probe(&mut self) -> Probe {
        let host = self.maybe(Dice::text);
        Probe {
            action: match self.below(4) {
                0 => ProbeAction::HttpGet(self.http_get()),
                1 => ProbeAction::TcpSocket { host, port: self.port_ref() },
                2 => ProbeAction::Grpc { port: self.port(), service: self.text() },
                _ => ProbeAction::Exec { command: self.some(Dice::text) },
            },
            initial_delay: self.span(),
            period: self.span(),
            timeout: self.span(),
            success_threshold: self.small(),
            failure_threshold: self.small(),
            termination_grace: self.maybe(Dice::span),
        }
    }

    fn http_get(&mut self) -> HttpGetAction {
        HttpGetAction {
            scheme: self.pick(&[HttpScheme::Http, HttpScheme::Https]),
            host: self.maybe(Dice::text),
            port: self.port_ref(),
            path: self.text(),
            headers: self.some(|dice| (dice.text(), dice.text())),
        }
    }

    pub(super) fn container_lifecycle(&mut self) -> ContainerLifecycle {
        ContainerLifecycle {
            post_start: self.maybe(Dice::handler),
            pre_stop: self.maybe(Dice::handler),
            stop_signal: self.maybe(Dice::text),
        }
    }

    fn handler(&mut self) -> LifecycleHandler {
        let host = self.maybe(Dice::text);
        match self.below(4) {
            0 => LifecycleHandler::HttpGet(self.http_get()),
            1 => LifecycleHandler::TcpSocket { host, port: self.port_ref() },
            2 => LifecycleHandler::Exec { command: self.some(Dice::text) },
            _ => LifecycleHandler::Sleep(self.span()),
        }
    }

    fn resource(&mut self) -> ResourceFieldSelector {
        ResourceFieldSelector {
            container: self.maybe(Dice::text),
            field: self.pick(&[
                ResourceField::CpuRequest,
                ResourceField::CpuLimit,
                ResourceField::MemoryRequest,
                ResourceField::MemoryLimit,
            ]),
            divisor: u64::from(self.small()),
        }
    }

    fn service_type(&mut self) -> ServiceType {
        let name = ServiceType::ExternalName(self.text());
        self.pick(&[ServiceType::ClusterIp, ServiceType::Headless, ServiceType::NodePort, name])
    }

    pub(super) fn protocol(&mut self) -> Protocol {
        self.pick(&[Protocol::Tcp, Protocol::Udp])
    }

    pub(super) fn port_ref(&mut self) -> PortRef {
        match self.flip() {
            true => PortRef::Number(self.port()),
            false => PortRef::Name(self.text()),
        }
    }
}
