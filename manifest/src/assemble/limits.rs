//! What a limit range refuses: containers, pods and claims that ask for too much or too little.

use dugout_model::{LimitRangeItem, LimitType, Severity, show_amount};

use super::Told;
use super::admission::{Admission, Amounts, Asked, Ruling, Workload};
use crate::reader::Place;

impl<'a> Admission<'a> {
    pub(super) fn check_limits(
        &self,
        workloads: &[Workload<'a>],
        shown: &dyn Fn(&str) -> String,
        found: &mut Vec<Told<'a>>,
    ) {
        for ruling in &self.ranges {
            for item in ruling.limit_range().map(|range| range.limits.iter()).unwrap_or_default() {
                let hint = hint(ruling, item, shown);
                match item.limit_type {
                    LimitType::Container => check_containers(item, workloads, &hint, found),
                    LimitType::Pod => check_pods(item, workloads, &hint, found),
                    LimitType::PersistentVolumeClaim => self.check_claims(item, &hint, found),
                }
            }
        }
        if !self.ranges.is_empty() {
            check_filled(workloads, found);
        }
    }

    fn check_claims(&self, item: &LimitRangeItem, hint: &str, found: &mut Vec<Told<'a>>) {
        for member in &self.objects {
            for claim in member.object.links.claims() {
                // That it asks for nothing is an error of its own.
                let Some(storage) = claim.storage_bytes else { continue };
                let bounds = [
                    (item.min.get("storage").filter(|least| storage < **least), "least"),
                    (item.max.get("storage").filter(|most| storage > **most), "most"),
                ];
                for (bound, word) in bounds {
                    let Some(bound) = bound else { continue };
                    let (storage, bound) =
                        (show_amount("storage", storage), show_amount("storage", *bound));
                    let message = format!(
                        "requests {storage} of storage, and must request at {word} {bound}"
                    );
                    found.push(member.tell(&claim.place, Severity::Error, message, hint));
                }
            }
        }
    }
}

fn hint(ruling: &Ruling<'_>, item: &LimitRangeItem, shown: &dyn Fn(&str) -> String) -> String {
    let (file, line) = ruling.member.place();
    let (name, file) = (&ruling.declared.key.name, shown(file));
    format!("so LimitRange {name} has it in {file}:{line} for each {}", item.limit_type.as_str())
}

fn check_containers<'a>(
    item: &LimitRangeItem,
    workloads: &[Workload<'a>],
    hint: &str,
    found: &mut Vec<Told<'a>>,
) {
    for workload in workloads {
        for (index, asked) in workload.containers.iter().enumerate() {
            for message in broken(item, |resource| asked.amounts(resource)) {
                tell(workload, &workload.container_place(index), message, hint, found);
            }
        }
    }
}

fn check_pods<'a>(
    item: &LimitRangeItem,
    workloads: &[Workload<'a>],
    hint: &str,
    found: &mut Vec<Told<'a>>,
) {
    for workload in workloads {
        for message in broken(item, |resource| together(workload, resource)) {
            let message = format!("the containers together: {message}");
            tell(workload, &workload.pod_place(), message, hint, found);
        }
    }
}

/// A default limit may be less than what a container requests by itself.
fn check_filled<'a>(workloads: &[Workload<'a>], found: &mut Vec<Told<'a>>) {
    for workload in workloads {
        for (index, asked) in workload.containers.iter().enumerate() {
            for resource in ["cpu", "memory"] {
                let Amounts { request: Some(request), limit: Some(limit) } =
                    asked.amounts(resource)
                else {
                    continue;
                };
                if request > limit {
                    let (request, limit) =
                        (show_amount(resource, request), show_amount(resource, limit));
                    let message = format!(
                        "requests {request} of {resource}, and its limit is {limit} with the \
                         defaults of the namespace"
                    );
                    let hint = "write both; a LimitRange fills in what a container does not say";
                    tell(workload, &workload.container_place(index), message, hint, found);
                }
            }
        }
    }
}

fn tell<'a>(
    workload: &Workload<'a>,
    place: &Place,
    message: String,
    hint: &str,
    found: &mut Vec<Told<'a>>,
) {
    found.push(workload.member.tell(place, Severity::Error, message, hint));
}

/// What a pod asks of a resource: what its containers do together with the sidecars, or what one of those
/// does that run before them, with the sidecars that began before it, whichever is more. What none of
/// them states, the pod does not.
fn together(workload: &Workload<'_>, resource: &str) -> Amounts {
    let (first, others) =
        workload.containers.split_at_checked(workload.init_count()).unwrap_or_default();
    let sum = |of: fn(Amounts) -> Option<u64>| {
        let of = |asked: &Asked| of(asked.amounts(resource));
        workload.containers.iter().any(|asked| of(asked).is_some()).then(|| {
            let (mut sidecars, mut most) = (0_u64, 0);
            for asked in first {
                let amount = sidecars.saturating_add(of(asked).unwrap_or(0));
                most = amount.max(most);
                if asked.is_sidecar {
                    sidecars = amount;
                }
            }
            let others = others.iter().map(|asked| of(asked).unwrap_or(0));
            others.fold(sidecars, u64::saturating_add).max(most)
        })
    };
    Amounts { request: sum(|amounts| amounts.request), limit: sum(|amounts| amounts.limit) }
}

/// In what an item is broken.
fn broken(item: &LimitRangeItem, amounts: impl Fn(&str) -> Amounts) -> Vec<String> {
    let mut broken = Vec::new();
    for (resource, least) in item.min.iter() {
        broken.extend(below(resource, *least, amounts(resource)));
    }
    for (resource, most) in item.max.iter() {
        broken.extend(above(resource, *most, amounts(resource)));
    }
    for (resource, ratio) in item.max_limit_request_ratio.iter() {
        if matches!(resource, "cpu" | "memory") {
            broken.extend(beyond_ratio(resource, *ratio, amounts(resource)));
        }
    }
    broken
}

fn below(resource: &str, least: u64, amounts: Amounts) -> Option<String> {
    let show = |amount| show_amount(resource, amount);
    match amounts {
        Amounts { request: None, .. } => {
            Some(format!("must request at least {} of {resource}", show(least)))
        }
        Amounts { request: Some(request), .. } if request < least => Some(format!(
            "requests {} of {resource}, and must request at least {}",
            show(request),
            show(least)
        )),
        Amounts { limit: Some(limit), .. } if limit < least => Some(format!(
            "limits {resource} to {}, which must be at least {}",
            show(limit),
            show(least)
        )),
        _ => None,
    }
}

fn above(resource: &str, most: u64, amounts: Amounts) -> Option<String> {
    let show = |amount| show_amount(resource, amount);
    match amounts {
        Amounts { limit: None, .. } => {
            Some(format!("must limit {resource} to at most {}", show(most)))
        }
        Amounts { limit: Some(limit), .. } if limit > most => Some(format!(
            "limits {resource} to {}, which must be at most {}",
            show(limit),
            show(most)
        )),
        Amounts { request: Some(request), .. } if request > most => Some(format!(
            "requests {} of {resource}, and may request at most {}",
            show(request),
            show(most)
        )),
        _ => None,
    }
}

/// Thousandths as a decimal, as `1.5`.
fn show_ratio(thousandths: u64) -> String {
    let shown = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    shown.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The ratio is in thousandths.
fn beyond_ratio(resource: &str, ratio: u64, amounts: Amounts) -> Option<String> {
    let times = show_ratio(ratio);
    let stated = |amount: Option<u64>| amount.filter(|amount| *amount > 0);
    let (request, limit) = (stated(amounts.request), stated(amounts.limit));
    let (Some(request), Some(limit)) = (request, limit) else {
        return Some(format!(
            "must request and limit {resource}: the limit may be at most {times} times the request"
        ));
    };
    let is_beyond = u128::from(limit) * 1000 > u128::from(request) * u128::from(ratio);
    is_beyond.then(|| {
        let (request, limit) = (show_amount(resource, request), show_amount(resource, limit));
        format!("limits {resource} to {limit}, more than {times} times its request of {request}")
    })
}
