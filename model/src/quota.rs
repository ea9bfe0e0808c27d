//! Quotas of a namespace: how much the objects that Git declares there may take together.
//!
//! What counts is what is declared, and not what runs: a deployment takes its replicas, also while a rollout
//! has a few more, and a job its parallel pods for as long as it is declared. How many nodes a daemon set
//! will find is in no commit, so it counts as one pod.

use crate::{
    Completions, Container, ContainerResources, DaemonSetUpdate, DeclaredObject, EnvSource,
    JobSpec, Kind, LabelOperator, ObjectSpec, PodTemplate, ResourceAmounts, ServiceType, Strategy,
};

/// A `v1` ResourceQuota.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ResourceQuota {
    /// The most of each resource.
    pub hard: ResourceAmounts,
    /// Of pods only those count that are in all of these.
    pub scopes: Box<[QuotaScope]>,
    pub scope_selector: Box<[ScopeRequirement]>,
}

/// A set of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuotaScope {
    /// Those with a deadline of their own.
    Terminating,
    NotTerminating,
    /// Those whose containers state no CPU and no memory.
    BestEffort,
    NotBestEffort,
    PriorityClass,
    CrossNamespacePodAffinity,
}

impl QuotaScope {
    pub const ALL: [QuotaScope; 6] = [
        QuotaScope::Terminating,
        QuotaScope::NotTerminating,
        QuotaScope::BestEffort,
        QuotaScope::NotBestEffort,
        QuotaScope::PriorityClass,
        QuotaScope::CrossNamespacePodAffinity,
    ];

    /// As in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            QuotaScope::Terminating => "Terminating",
            QuotaScope::NotTerminating => "NotTerminating",
            QuotaScope::BestEffort => "BestEffort",
            QuotaScope::NotBestEffort => "NotBestEffort",
            QuotaScope::PriorityClass => "PriorityClass",
            QuotaScope::CrossNamespacePodAffinity => "CrossNamespacePodAffinity",
        }
    }
}

/// A scope that pods must be in, or not; of a priority class the values are its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeRequirement {
    pub scope: QuotaScope,
    pub operator: LabelOperator,
}

/// What an object takes of a resource: so many times so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Share {
    pub count: u64,
    pub each: u64,
}

impl Share {
    pub fn total(self) -> u64 {
        self.count.saturating_mul(self.each)
    }

    fn once(each: u64) -> Self {
        Self { count: 1, each }
    }
}

/// What a name in `hard` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted<'a> {
    Pods,
    /// What the containers of pods ask for or may have.
    Compute(Compute),
    NodePorts,
    /// Objects of a kind, by its plural and group as `deployments.apps`.
    Objects(&'a str),
    /// What no object of Dugout's takes anything of.
    Nothing,
}

/// An amount that containers state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compute {
    CpuRequest,
    CpuLimit,
    MemoryRequest,
    MemoryLimit,
}

impl Compute {
    /// What a resource of a quota adds up, if it is that.
    pub fn parse(resource: &str) -> Option<Compute> {
        Some(match resource {
            "cpu" | "requests.cpu" => Compute::CpuRequest,
            "limits.cpu" => Compute::CpuLimit,
            "memory" | "requests.memory" => Compute::MemoryRequest,
            "limits.memory" => Compute::MemoryLimit,
            _ => return None,
        })
    }

    /// How much of it a container states; of a limit none is nothing.
    fn of(self, resources: &ContainerResources) -> u64 {
        match self {
            Compute::CpuRequest => resources.cpu_request_millis,
            Compute::CpuLimit => resources.cpu_limit_millis.unwrap_or(0),
            Compute::MemoryRequest => resources.memory_request_bytes,
            Compute::MemoryLimit => resources.memory_limit_bytes.unwrap_or(0),
        }
    }
}

impl<'a> Counted<'a> {
    fn parse(resource: &'a str) -> Self {
        if let Some(compute) = Compute::parse(resource) {
            return Counted::Compute(compute);
        }
        match resource {
            "pods" | "count/pods" => Counted::Pods,
            "services.nodeports" => Counted::NodePorts,
            "services" | "configmaps" | "secrets" | "replicationcontrollers" | "resourcequotas" => {
                Counted::Objects(resource)
            }
            _ => resource.strip_prefix("count/").map_or(Counted::Nothing, Counted::Objects),
        }
    }
}

impl ResourceQuota {
    /// What an object of the quota's namespace takes of a resource.
    pub fn share_of(&self, resource: &str, object: &DeclaredObject) -> Share {
        let spec = &object.spec;
        let pods = || match spec.pod_template() {
            Some(template) if self.counts_pods_of(template) => declared_pods(spec),
            _ => 0,
        };
        match Counted::parse(resource) {
            Counted::Pods => Share { count: pods(), each: 1 },
            Counted::Compute(compute) => {
                let each = spec.pod_template().map_or(0, |template| template.together(compute));
                Share { count: pods(), each }
            }
            Counted::NodePorts => Share::once(node_ports(spec)),
            Counted::Objects(name) => Share::once(u64::from(object.kind().resource_name() == name)),
            Counted::Nothing => Share::default(),
        }
    }

    /// Whether pods of a template are in all of its scopes. No pod has a deadline of its own, a priority
    /// class, or an affinity to pods of other namespaces: manifests that ask for one are refused.
    pub fn counts_pods_of(&self, template: &PodTemplate) -> bool {
        let is_in = |scope: &QuotaScope| match scope {
            QuotaScope::NotTerminating => true,
            QuotaScope::BestEffort => is_best_effort(template),
            QuotaScope::NotBestEffort => !is_best_effort(template),
            QuotaScope::Terminating
            | QuotaScope::PriorityClass
            | QuotaScope::CrossNamespacePodAffinity => false,
        };
        let holds = |requirement: &ScopeRequirement| match &requirement.operator {
            // Of a class that a pod does not have, none of the values is its.
            LabelOperator::Exists | LabelOperator::In(_) => is_in(&requirement.scope),
            LabelOperator::DoesNotExist | LabelOperator::NotIn(_) => !is_in(&requirement.scope),
        };
        self.scopes.iter().all(is_in) && self.scope_selector.iter().all(holds)
    }
}

/// How many pods an object asks for at a time.
pub fn declared_pods(spec: &ObjectSpec) -> u64 {
    match spec {
        ObjectSpec::Deployment(spec) => spec.replicas.into(),
        ObjectSpec::StatefulSet(spec) => spec.replicas.into(),
        ObjectSpec::ReplicaSet(spec) | ObjectSpec::ReplicationController(spec) => {
            spec.replicas.into()
        }
        ObjectSpec::Pod(_) | ObjectSpec::DaemonSet(_) => 1,
        ObjectSpec::Job(spec) => pods_of_job(spec),
        ObjectSpec::CronJob(spec) if spec.suspended => 0,
        ObjectSpec::CronJob(spec) => pods_of_job(&spec.job),
        ObjectSpec::Namespace
        | ObjectSpec::LimitRange(_)
        | ObjectSpec::ResourceQuota(_)
        | ObjectSpec::ConfigMap(_)
        | ObjectSpec::Secret(_)
        | ObjectSpec::Service(_)
        | ObjectSpec::StorageClass(_)
        | ObjectSpec::PersistentVolume(_)
        | ObjectSpec::PersistentVolumeClaim(_)
        | ObjectSpec::PodDisruptionBudget(_) => 0,
    }
}

/// How many pods more than it declares a workload may have while it is rolled out.
pub fn surge_pods(spec: &ObjectSpec) -> u64 {
    match spec {
        ObjectSpec::Deployment(spec) => match spec.strategy {
            Strategy::RollingUpdate { max_surge, .. } => max_surge.rounded_up(spec.replicas).into(),
            Strategy::Recreate => 0,
        },
        ObjectSpec::DaemonSet(spec) => match spec.update {
            DaemonSetUpdate::RollingUpdate { max_surge, .. } => max_surge.rounded_up(1).into(),
            DaemonSetUpdate::OnDelete => 0,
        },
        _ => 0,
    }
}

fn pods_of_job(spec: &JobSpec) -> u64 {
    if spec.suspended {
        return 0;
    }
    let at_most = match spec.completions {
        Completions::Any => u32::MAX,
        Completions::Count(count) | Completions::Indexed(count) => count,
    };
    spec.parallelism.min(at_most).into()
}

fn node_ports(spec: &ObjectSpec) -> u64 {
    match spec {
        ObjectSpec::Service(service) if service.service_type == ServiceType::NodePort => {
            service.ports.len() as u64
        }
        _ => 0,
    }
}

fn is_best_effort(template: &PodTemplate) -> bool {
    let all =
        [Compute::CpuRequest, Compute::CpuLimit, Compute::MemoryRequest, Compute::MemoryLimit];
    let states_nothing = |container: &Container<EnvSource>| {
        all.iter().all(|compute| compute.of(&container.resources) == 0)
    };
    template.all_containers().all(states_nothing)
}

impl PodTemplate {
    /// What a pod asks for or may have of it: what its containers do together with the sidecars, or what one
    /// of those does that run before them, with the sidecars that began before it, whichever is more.
    pub fn together(&self, compute: Compute) -> u64 {
        let of = |container: &Container<EnvSource>| compute.of(&container.resources);
        let (mut sidecars, mut most) = (0_u64, 0);
        for init in &self.init_containers {
            let amount = sidecars.saturating_add(of(init));
            most = amount.max(most);
            if init.is_sidecar() {
                sidecars = amount;
            }
        }
        self.containers.iter().map(of).fold(sidecars, u64::saturating_add).max(most)
    }
}

impl Kind {
    /// The version of the API that it is in.
    pub fn api_version(self) -> &'static str {
        match self {
            Kind::Namespace
            | Kind::LimitRange
            | Kind::ResourceQuota
            | Kind::ConfigMap
            | Kind::Secret
            | Kind::Service
            | Kind::PersistentVolume
            | Kind::PersistentVolumeClaim
            | Kind::Pod
            | Kind::ReplicationController => "v1",
            Kind::StorageClass => "storage.k8s.io/v1",
            Kind::PodDisruptionBudget => "policy/v1",
            Kind::ReplicaSet | Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => "apps/v1",
            Kind::Job | Kind::CronJob => "batch/v1",
        }
    }

    /// Its plural and group, as `deployments.apps`; those of the core group as `pods`.
    pub fn resource_name(self) -> String {
        resource_name(self.api_version(), self.as_str())
    }
}

/// The plural and group of a kind of Kubernetes'.
pub fn resource_name(api_version: &str, kind: &str) -> String {
    let singular = kind.to_ascii_lowercase();
    let plural = match singular.as_str() {
        "endpoints" => singular,
        word if word.ends_with('s') => format!("{word}es"),
        word => match word.strip_suffix('y') {
            Some(stem) if !stem.ends_with('a') => format!("{stem}ies"),
            _ => format!("{word}s"),
        },
    };
    match api_version.split_once('/') {
        Some((group, _)) => format!("{plural}.{group}"),
        None => plural,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_resources_are_those_of_an_api_server() {
        for (api_version, kind, name) in [
            ("apps/v1", "Deployment", "deployments.apps"),
            ("v1", "Endpoints", "endpoints"),
            ("networking.k8s.io/v1", "Ingress", "ingresses.networking.k8s.io"),
            ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies.networking.k8s.io"),
            ("storage.k8s.io/v1", "StorageClass", "storageclasses.storage.k8s.io"),
        ] {
            assert_eq!(resource_name(api_version, kind), name);
        }
        assert_eq!(Kind::ResourceQuota.resource_name(), "resourcequotas");
        assert_eq!(Kind::CronJob.resource_name(), "cronjobs.batch");
    }

    #[test]
    fn a_suspended_job_takes_nothing_and_another_its_parallel_pods() {
        let template = PodTemplate {
            labels: Default::default(),
            annotations: Default::default(),
            init_containers: Vec::new(),
            containers: Vec::new(),
            restart_policy: crate::RestartPolicy::Never,
            termination_grace: std::time::Duration::ZERO,
            node_selector: Default::default(),
            volumes: Box::default(),
            image_pull_secrets: Box::default(),
            security: None,
            names: None,
        };
        let job = |parallelism, completions, suspended| {
            ObjectSpec::Job(Box::new(JobSpec {
                completions,
                parallelism,
                backoff_limit: 0,
                active_deadline: None,
                ttl_after_finished: None,
                suspended,
                pod_failure_policy: Vec::new(),
                template: template.clone(),
            }))
        };
        assert_eq!(declared_pods(&job(5, Completions::Count(3), false)), 3);
        assert_eq!(declared_pods(&job(2, Completions::Any, false)), 2);
        assert_eq!(declared_pods(&job(2, Completions::Count(3), true)), 0);
    }
}
