//! What a quota refuses: more than its namespace may have, and pods that do not say what they take.

use dugout_model::{
    Compute, ObjectSpec, ResourceQuota, Severity, Share, declared_pods, resource_name, show_amount,
    surge_pods,
};

use super::admission::{Admission, Ruling, Workload};
use super::{Member, Told};
use crate::decode::{ClaimFacts, Identity};
use crate::reader::Place;

/// How many workloads a message names.
const LISTED: usize = 12;

const CLAIMS: &str = "persistentvolumeclaims";
const COUNTED_CLAIMS: &str = "count/persistentvolumeclaims";

/// What an object takes of one resource.
struct Taken<'a> {
    id: &'a Identity,
    share: Share,
}

impl<'a> Admission<'a> {
    pub(super) fn check_quotas(&self, workloads: &[Workload<'a>], found: &mut Vec<Told<'a>>) {
        for ruling in &self.quotas {
            let ObjectSpec::ResourceQuota(quota) = &ruling.declared.spec else { continue };
            check_stated(ruling, quota, workloads, found);
            for (resource, hard) in quota.hard.iter() {
                let taken = self.taken(quota, resource, workloads);
                let total = taken.iter().map(|one| one.share.total()).fold(0, u64::saturating_add);
                if total > *hard {
                    found.push(exceeded(ruling, resource, *hard, total, taken));
                } else {
                    check_surge(ruling, quota, (resource, *hard, total), workloads, found);
                }
            }
        }
    }

    /// Who takes something of a resource.
    fn taken(
        &self,
        quota: &ResourceQuota,
        resource: &str,
        workloads: &[Workload<'a>],
    ) -> Vec<Taken<'a>> {
        // The workloads are in the order of the objects, of which they are some.
        let mut rest = workloads.iter().peekable();
        let mut taken = Vec::new();
        for member in &self.objects {
            let id = &member.object.id;
            let workload = rest.next_if(|workload| workload.member.object.id == *id);
            let declared = match workload {
                Some(workload) => Some(workload.declared.clone()),
                None => member.declared(),
            };
            let own = match &declared {
                // Claims are counted below, whoever makes them.
                Some(_) if resource == COUNTED_CLAIMS => Share::default(),
                Some(declared) => quota.share_of(resource, declared),
                None => share_of_other(resource, member),
            };
            // A set has claims for each of its pods, also where these are none; what is no workload is one.
            let count = match &declared {
                Some(declared) if workload.is_some() => declared_pods(&declared.spec),
                _ => 1,
            };
            let claims = member.object.links.claims().iter();
            let claims = claims.map(|claim| Share { count, each: each(resource, claim) });
            let shares = std::iter::once(own).chain(claims).filter(|share| share.total() > 0);
            taken.extend(shares.map(|share| Taken { id, share }));
        }
        taken
    }
}

/// What an object takes that is there and that Dugout does not act on.
fn share_of_other(resource: &str, member: &Member<'_>) -> Share {
    let kind = member.object.kind;
    let counted = resource.strip_prefix("count/");
    // Claims are counted by themselves, whoever makes them.
    let is_counted = kind.kind != "PersistentVolumeClaim"
        && counted == Some(resource_name(kind.api_version, kind.kind).as_str());
    Share { count: 1, each: is_counted.into() }
}

/// What one claim takes.
fn each(resource: &str, claim: &ClaimFacts) -> u64 {
    let storage = claim.storage_bytes.unwrap_or(0);
    match resource {
        CLAIMS | COUNTED_CLAIMS => return 1,
        "requests.storage" => return storage,
        _ => {}
    }
    let Some((class, rest)) = resource.split_once(".storageclass.storage.k8s.io/") else {
        return 0;
    };
    match rest {
        _ if claim.class.as_deref() != Some(class) => 0,
        CLAIMS => 1,
        "requests.storage" => storage,
        _ => 0,
    }
}

/// Tells containers that do not say what a quota adds up.
fn check_stated<'a>(
    ruling: &Ruling<'a>,
    quota: &ResourceQuota,
    workloads: &[Workload<'a>],
    found: &mut Vec<Told<'a>>,
) {
    let added: Vec<(&str, Compute)> =
        quota.hard.keys().filter_map(|name| Some((name, Compute::parse(name)?))).collect();
    if added.is_empty() {
        return;
    }
    let counted = workloads.iter().filter(|workload| {
        workload.template().is_some_and(|template| quota.counts_pods_of(template))
    });
    for workload in counted {
        for (index, asked) in workload.containers.iter().enumerate() {
            let missing = added.iter().filter(|(_, compute)| !asked.states(*compute));
            let missing: Vec<&str> = missing.map(|(name, _)| *name).collect();
            if missing.is_empty() {
                continue;
            }
            let message = format!(
                "must state {}: ResourceQuota {} counts it",
                missing.join(", "),
                ruling.declared.key.name
            );
            let hint = "write it, or give the namespace a LimitRange with defaults";
            let place = workload.container_place(index);
            found.push(workload.member.tell(&place, Severity::Error, message, hint));
        }
    }
}

/// Where the amount of a resource stands.
fn place_of(ruling: &Ruling<'_>, resource: &str) -> Place {
    let object = ruling.member.object;
    let hard = object.links.admission.as_ref().map(|facts| &*facts.hard).unwrap_or_default();
    let place = hard.iter().find(|(name, _)| **name == *resource);
    place.map_or_else(|| object.place.clone(), |(_, place)| place.clone())
}

fn exceeded<'a>(
    ruling: &Ruling<'a>,
    resource: &str,
    hard: u64,
    total: u64,
    taken: Vec<Taken<'a>>,
) -> Told<'a> {
    let show = |amount| show_amount(resource, amount);
    let message = format!(
        "may be {}, and what the namespace declares comes to {}: {}",
        show(hard),
        show(total),
        listed(resource, taken)
    );
    let hint = "lower what they ask for, or raise the quota";
    ruling.member.tell(&place_of(ruling, resource), Severity::Error, message, hint)
}

/// Who takes how much, the most first.
fn listed(resource: &str, mut taken: Vec<Taken<'_>>) -> String {
    let show = |amount| show_amount(resource, amount);
    taken.sort_by(|a, b| b.share.total().cmp(&a.share.total()).then_with(|| a.id.cmp(b.id)));
    let mut listed: Vec<String> = taken
        .iter()
        .take(LISTED)
        .map(|Taken { id, share }| {
            let (kind, name, each) = (id.kind, &id.key.name, show(share.each));
            match share.count {
                1 => format!("{kind} {name} {each}"),
                count => format!("{kind} {name} {count} × {each}"),
            }
        })
        .collect();
    if let Some(rest) = taken.get(LISTED..).filter(|rest| !rest.is_empty()) {
        let sum = rest.iter().map(|one| one.share.total()).fold(0, u64::saturating_add);
        listed.push(format!("{} more {}", rest.len(), show(sum)));
    }
    listed.join(", ")
}

/// Tells that a quota is exceeded for a while when all is rolled out at a time, as a commit may do.
fn check_surge<'a>(
    ruling: &Ruling<'a>,
    quota: &ResourceQuota,
    (resource, hard, total): (&str, u64, u64),
    workloads: &[Workload<'a>],
    found: &mut Vec<Told<'a>>,
) {
    let is_of_pods =
        matches!(resource, "pods" | "count/pods") || Compute::parse(resource).is_some();
    let mut surges = Vec::new();
    for workload in workloads.iter().filter(|_| is_of_pods) {
        let share = quota.share_of(resource, &workload.declared);
        let surge = Share { count: surge_pods(&workload.declared.spec), ..share };
        if share.count > 0 && surge.total() > 0 {
            surges.push(Taken { id: &workload.member.object.id, share: surge });
        }
    }
    let most = surges.iter().map(|one| one.share.total()).fold(total, u64::saturating_add);
    if most <= hard {
        return;
    }
    let show = |amount| show_amount(resource, amount);
    let message = format!(
        "may be {}, and comes to as much as {} while what the namespace declares is rolled out: {} and {}",
        show(hard),
        show(most),
        show(total),
        listed(resource, surges)
    );
    let hint = "a quota holds for the replicas; set maxSurge: 0 to stay within it always";
    found.push(ruling.member.tell(&place_of(ruling, resource), Severity::Notice, message, hint));
}
