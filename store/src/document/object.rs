//! The stored form of declared objects.

use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    CommitSha, ConfigMap, ContainerResources, CronJob, DaemonSet, DeclaredObject, Deployment,
    DisruptionLimit, Hook, IntOrPercent, JobSpec, Kind, LabelOperator, LabelRequirement,
    LabelSelector, LimitRange, LimitRangeItem, LimitType, NamespaceName, ObjectId, ObjectKey,
    ObjectName, ObjectPolicy, ObjectSpec, ObjectUid, Origin, PersistentVolume,
    PersistentVolumeClaim, PodDisruptionBudget, PodTemplate, PortRef, Protocol, Prune, QuotaScope,
    ReplicaSetSpec, ResourceAmounts, ResourceQuota, ScopeRequirement, Secret, SecretValue, Service,
    ServicePort, ServiceType, SortedMap, SourceName, StatefulSet, StorageClass, StoredObject,
    StringMap, Timestamp, UnhealthyPodEviction, WrittenTemplate,
};

use super::mirror::mirror;

mirror! {
    struct StoredObject as StoredObjectDocument {
        uid: ObjectUid,
        source: SourceName,
        sha: CommitSha,
        generation: u64,
        created_at: Timestamp,
        // What came later is written only where it says something, here and below: an earlier release
        // reads the rest.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        orphaned: bool,
        declared: Arc<DeclaredObject>,
    }
}

mirror! {
    struct DeclaredObject as DeclaredObjectDocument {
        key: ObjectKey,
        labels: StringMap,
        annotations: StringMap,
        #[serde(default, skip_serializing_if = "ObjectPolicyDocument::is_default")]
        policy: ObjectPolicy,
        spec: ObjectSpec,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        written: Option<Box<WrittenTemplate>>,
        origin: Origin,
    }
}

mirror! {
    struct WrittenTemplate as WrittenTemplateDocument {
        resources: Box<[ContainerResources]>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        image_pull_secrets: Box<[ObjectName]>,
    }
}

mirror! {
    #[derive(Default)]
    struct ObjectPolicy as ObjectPolicyDocument {
        #[serde(default, skip_serializing_if = "PruneDocument::is_enabled")]
        prune: Prune,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        progress_deadline: Option<Duration>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        depends_on: Box<[ObjectId]>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hook: Option<Hook>,
    }
}

impl ObjectPolicyDocument {
    fn is_default(&self) -> bool {
        self.prune.is_enabled()
            && self.progress_deadline.is_none()
            && self.depends_on.is_empty()
            && self.hook.is_none()
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    #[derive(Default)]
    enum Prune as PruneDocument {
        #[default]
        Enabled,
        Disabled,
        Confirm,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum Hook as HookDocument {
        Before,
        After,
    }
}

impl PruneDocument {
    fn is_enabled(&self) -> bool {
        matches!(self, Self::Enabled)
    }
}

mirror! {
    struct ObjectKey as ObjectKeyDocument { namespace: NamespaceName, name: ObjectName }
}

mirror! {
    struct ObjectId as ObjectIdDocument { kind: Kind, key: ObjectKey }
}

mirror! {
    // Named as in manifests: the names are in a key column.
    enum Kind as KindDocument {
        Namespace,
        LimitRange,
        ResourceQuota,
        ConfigMap,
        Secret,
        Service,
        StorageClass,
        PersistentVolume,
        PersistentVolumeClaim,
        PodDisruptionBudget,
        Pod,
        ReplicaSet,
        ReplicationController,
        Deployment,
        StatefulSet,
        DaemonSet,
        Job,
        CronJob,
    }
}

mirror! {
    struct Origin as OriginDocument { file: Arc<str>, line: u32 }
}

mirror! {
    #[serde(tag = "kind", content = "value")]
    enum ObjectSpec as ObjectSpecDocument {
        Namespace,
        LimitRange(value: LimitRange),
        ResourceQuota(value: Box<ResourceQuota>),
        ConfigMap(value: ConfigMap),
        Secret(value: Secret),
        Service(value: Service),
        StorageClass(value: StorageClass),
        PersistentVolume(value: Box<PersistentVolume>),
        PersistentVolumeClaim(value: Box<PersistentVolumeClaim>),
        PodDisruptionBudget(value: Box<PodDisruptionBudget>),
        Pod(value: Box<PodTemplate>),
        ReplicaSet(value: Box<ReplicaSetSpec>),
        ReplicationController(value: Box<ReplicaSetSpec>),
        Deployment(value: Box<Deployment>),
        StatefulSet(value: Box<StatefulSet>),
        DaemonSet(value: Box<DaemonSet>),
        Job(value: Box<JobSpec>),
        CronJob(value: Box<CronJob>),
    }
}

mirror! {
    struct LimitRange as LimitRangeDocument { limits: Box<[LimitRangeItem]> }
}

mirror! {
    struct LimitRangeItem as LimitRangeItemDocument {
        limit_type: LimitType,
        min: ResourceAmounts,
        max: ResourceAmounts,
        default_limits: ResourceAmounts,
        default_requests: ResourceAmounts,
        max_limit_request_ratio: ResourceAmounts,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum LimitType as LimitTypeDocument { Container, Pod, PersistentVolumeClaim }
}

mirror! {
    struct ResourceQuota as ResourceQuotaDocument {
        hard: ResourceAmounts,
        scopes: Box<[QuotaScope]>,
        scope_selector: Box<[ScopeRequirement]>,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum QuotaScope as QuotaScopeDocument {
        Terminating,
        NotTerminating,
        BestEffort,
        NotBestEffort,
        PriorityClass,
        CrossNamespacePodAffinity,
    }
}

mirror! {
    struct ScopeRequirement as ScopeRequirementDocument {
        scope: QuotaScope,
        operator: LabelOperator,
    }
}

mirror! {
    struct ConfigMap as ConfigMapDocument {
        data: StringMap,
        binary_data: SortedMap<Vec<u8>>,
        immutable: bool,
    }
}

mirror! {
    struct Secret as SecretDocument {
        secret_type: String,
        data: SortedMap<SecretValue>,
        immutable: bool,
    }
}

mirror! {
    struct Service as ServiceDocument {
        service_type: ServiceType,
        selector: StringMap,
        ports: Vec<ServicePort>,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum ServiceType as ServiceTypeDocument { ClusterIp, Headless, NodePort, ExternalName(name: String) }
}

mirror! {
    struct ServicePort as ServicePortDocument {
        name: String,
        protocol: Protocol,
        port: u16,
        target_port: PortRef,
        node_port: Option<u16>,
    }
}

mirror! {
    struct PodDisruptionBudget as PodDisruptionBudgetDocument {
        selector: Option<LabelSelector>,
        limit: DisruptionLimit,
        unhealthy: UnhealthyPodEviction,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum DisruptionLimit as DisruptionLimitDocument {
        MinAvailable(pods: IntOrPercent),
        MaxUnavailable(pods: IntOrPercent),
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum UnhealthyPodEviction as UnhealthyPodEvictionDocument { IfHealthyBudget, AlwaysAllow }
}

mirror! {
    struct LabelSelector as LabelSelectorDocument {
        match_labels: StringMap,
        match_expressions: Vec<LabelRequirement>,
    }
}

mirror! {
    struct LabelRequirement as LabelRequirementDocument { key: String, operator: LabelOperator }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum LabelOperator as LabelOperatorDocument {
        In(values: Vec<String>),
        NotIn(values: Vec<String>),
        Exists,
        DoesNotExist,
    }
}
