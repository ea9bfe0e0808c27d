//! What the limits and quotas of a namespace make of its workloads: defaults are filled in first, and then what
//! is beyond a limit or a quota is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use dugout_model::{
    Compute, ContainerDefaults, ContainerResources, DeclaredObject, LimitRange, NamespaceName,
    ObjectName, ObjectSpec, PodTemplate, StatedRequests,
};

use super::{Member, Revision, Told};
use crate::blob::PodDefaults;
use crate::decode::{Identity, WorkloadFacts};
use crate::reader::Place;
use crate::rules::admission::DEFAULT_ACCOUNT;

/// The limits, quotas and objects of one namespace.
#[derive(Default)]
pub(super) struct Admission<'a> {
    pub ranges: Vec<Ruling<'a>>,
    pub quotas: Vec<Ruling<'a>>,
    pub objects: Vec<Member<'a>>,
    /// What each service account gives to its pods.
    pull_secrets: BTreeMap<&'a str, &'a [ObjectName]>,
    /// One of the limits or quotas has an error, so nothing can be said.
    is_unknown: bool,
}

/// A limit range or a quota.
pub(super) struct Ruling<'a> {
    pub member: Member<'a>,
    pub declared: Arc<DeclaredObject>,
}

impl Ruling<'_> {
    pub(super) fn limit_range(&self) -> Option<&LimitRange> {
        match &self.declared.spec {
            ObjectSpec::LimitRange(range) => Some(range),
            _ => None,
        }
    }
}

/// What asks for pods, with the defaults of its namespace.
pub(super) struct Workload<'a> {
    pub member: Member<'a>,
    pub declared: Arc<DeclaredObject>,
    facts: &'a WorkloadFacts,
    /// In the order of its containers, those that run first before the others.
    pub containers: Vec<Asked>,
}

/// What a container asks for, after what was filled in.
#[derive(Clone, Copy, Default)]
pub(super) struct Asked {
    pub cpu: Amounts,
    pub memory: Amounts,
    pub is_sidecar: bool,
}

/// What is asked of one resource; a request of nothing is one.
#[derive(Clone, Copy, Default)]
pub(super) struct Amounts {
    pub request: Option<u64>,
    pub limit: Option<u64>,
}

impl Asked {
    fn of(
        resources: &ContainerResources,
        stated: StatedRequests,
        defaults: &ContainerDefaults,
        is_sidecar: bool,
    ) -> Self {
        let request = |amount: u64, is_stated: bool, default: Option<u64>| {
            (is_stated || default.is_some()).then_some(amount)
        };
        let cpu = Amounts {
            request: request(resources.cpu_request_millis, stated.cpu, defaults.cpu_request_millis),
            limit: resources.cpu_limit_millis,
        };
        let memory = Amounts {
            request: request(
                resources.memory_request_bytes,
                stated.memory,
                defaults.memory_request_bytes,
            ),
            limit: resources.memory_limit_bytes,
        };
        Self { cpu, memory, is_sidecar }
    }

    /// What it asks of `cpu` or of `memory`, the only resources of containers.
    pub(super) fn amounts(&self, resource: &str) -> Amounts {
        if resource == "cpu" { self.cpu } else { self.memory }
    }

    /// Whether it says how much of this it asks for.
    pub(super) fn states(&self, compute: Compute) -> bool {
        match compute {
            Compute::CpuRequest => self.cpu.request.is_some(),
            Compute::CpuLimit => self.cpu.limit.is_some(),
            Compute::MemoryRequest => self.memory.request.is_some(),
            Compute::MemoryLimit => self.memory.limit.is_some(),
        }
    }
}

impl<'a> Workload<'a> {
    /// What a member asks for; nothing when it makes no pods, or has errors.
    fn of(
        member: Member<'a>,
        defaults: &ContainerDefaults,
        pull_secrets: &BTreeMap<&str, &[ObjectName]>,
    ) -> Option<Self> {
        let facts = member.object.pod_facts()?;
        let account = facts.service_account.as_deref().unwrap_or(DEFAULT_ACCOUNT);
        let pull_secrets = pull_secrets.get(account).copied().unwrap_or_default().into();
        let all = PodDefaults { containers: *defaults, pull_secrets };
        let declared = member.object.filled(member.declared()?, &all);
        let template = declared.spec.pod_template()?;
        let containers = template.all_containers().zip(&facts.containers);
        let containers = containers.map(|(container, facts)| {
            Asked::of(&container.resources, facts.stated, defaults, container.is_sidecar())
        });
        let containers = containers.collect();
        Some(Self { member, declared, facts, containers })
    }

    pub(super) fn template(&self) -> Option<&PodTemplate> {
        self.declared.spec.pod_template()
    }

    /// How many of the containers run before the others.
    pub(super) fn init_count(&self) -> usize {
        self.template().map_or(0, |template| template.init_containers.len())
    }

    /// Where the spec of its pods stands.
    pub(super) fn pod_place(&self) -> Place {
        let at = self.facts.at;
        Place { line: at.line, column: at.column, field_path: self.pod_path().into() }
    }

    fn pod_path(&self) -> String {
        let own = match self.member.object.id.kind {
            "Pod" => "spec",
            "CronJob" => "spec.jobTemplate.spec.template.spec",
            _ => "spec.template.spec",
        };
        match &*self.member.object.place.field_path {
            "" => own.to_owned(),
            item => format!("{item}.{own}"),
        }
    }

    /// Where a container says what it needs, or else where it stands.
    pub(super) fn container_place(&self, index: usize) -> Place {
        let Some(facts) = self.facts.containers.get(index) else { return self.pod_place() };
        let (list, index) = match index.checked_sub(self.init_count()) {
            Some(index) => ("containers", index),
            None => ("initContainers", index),
        };
        let end = if facts.has_resources { ".resources" } else { "" };
        let field_path = format!("{}.{list}[{index}]{end}", self.pod_path()).into();
        Place { line: facts.at.line, column: facts.at.column, field_path }
    }
}

impl<'a> Revision<'a> {
    /// Fills in the defaults of each namespace, and tells what its limits and quotas refuse.
    pub(super) fn admit(&mut self, found: &mut Vec<Told<'a>>) {
        // What is not known could be what fills in, or what a quota counts.
        if self.has_unknown {
            return;
        }
        for admission in self.admissions().into_values().filter(|one| !one.is_unknown) {
            let ranges = admission.ranges.iter().filter_map(Ruling::limit_range);
            let defaults = ContainerDefaults::of(ranges);
            let (members, secrets) = (admission.objects.iter(), &admission.pull_secrets);
            let workloads: Vec<Workload<'a>> =
                members.filter_map(|one| Workload::of(*one, &defaults, secrets)).collect();
            admission.check_limits(&workloads, self.shown, found);
            admission.check_quotas(&workloads, found);
            let admitted = workloads.into_iter();
            self.admitted
                .extend(admitted.map(|workload| (&workload.member.object.id, workload.declared)));
        }
    }

    /// The namespaces with a limit range, a quota, or a service account that gives something.
    fn admissions(&self) -> BTreeMap<&'a NamespaceName, Admission<'a>> {
        let mut admissions: BTreeMap<&'a NamespaceName, Admission<'a>> = BTreeMap::new();
        for member in self.members.values().copied() {
            let Identity { kind, key } = &member.object.id;
            let is_range = *kind == "LimitRange";
            if !is_range && *kind != "ResourceQuota" {
                let facts = member.object.links.admission.as_deref();
                let secrets = facts.map(|facts| &*facts.pull_secrets).unwrap_or_default();
                if !secrets.is_empty() {
                    let admission = admissions.entry(&key.namespace).or_default();
                    admission.pull_secrets.insert(key.name.as_str(), secrets);
                }
                continue;
            }
            let admission = admissions.entry(&key.namespace).or_default();
            let Some(declared) = member.declared() else {
                admission.is_unknown = true;
                continue;
            };
            let rulings = if is_range { &mut admission.ranges } else { &mut admission.quotas };
            rulings.push(Ruling { member, declared });
        }
        if !admissions.is_empty() {
            for member in self.members.values() {
                if let Some(admission) = admissions.get_mut(&member.object.id.key.namespace) {
                    admission.objects.push(*member);
                }
            }
        }
        admissions
    }
}
