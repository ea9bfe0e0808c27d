//! Limits and quotas of a namespace, with what the objects in it come to.

use std::collections::BTreeMap;

use dugout_model::{
    LabelOperator, LimitRange, LimitRangeItem, ResourceAmounts, ResourceQuota, ScopeRequirement,
    StoredObject, show_amount, show_millis,
};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::View;
use super::meta::list;

type Quantities = BTreeMap<String, Quantity>;

pub(super) fn limit_range(metadata: ObjectMeta, spec: &LimitRange) -> core::LimitRange {
    let limits = spec.limits.iter().map(limit_range_item).collect();
    core::LimitRange { metadata, spec: Some(core::LimitRangeSpec { limits }) }
}

fn limit_range_item(item: &LimitRangeItem) -> core::LimitRangeItem {
    let ratio = item.max_limit_request_ratio.iter();
    let ratio = ratio.map(|(name, ratio)| (name.to_owned(), Quantity(show_millis(*ratio))));
    core::LimitRangeItem {
        default: some(amounts(&item.default_limits)),
        default_request: some(amounts(&item.default_requests)),
        max: some(amounts(&item.max)),
        max_limit_request_ratio: some(ratio.collect()),
        min: some(amounts(&item.min)),
        type_: item.limit_type.as_str().to_owned(),
    }
}

impl View<'_> {
    pub(super) fn quota(
        self,
        metadata: ObjectMeta,
        object: &StoredObject,
        spec: &ResourceQuota,
    ) -> core::ResourceQuota {
        let hard = amounts(&spec.hard);
        let scopes = spec.scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
        let required: Vec<_> = spec.scope_selector.iter().map(requirement).collect();
        let selector = (!required.is_empty())
            .then_some(core::ScopeSelector { match_expressions: Some(required) });
        core::ResourceQuota {
            metadata,
            spec: Some(core::ResourceQuotaSpec {
                hard: some(hard.clone()),
                scope_selector: selector,
                scopes: list(scopes),
            }),
            status: Some(core::ResourceQuotaStatus {
                hard: some(hard),
                used: some(self.used(object, spec)),
            }),
        }
    }

    /// What the objects of the namespace come to, as they are declared.
    fn used(self, object: &StoredObject, spec: &ResourceQuota) -> Quantities {
        let namespace = &object.declared.key.namespace;
        let all = self.world.objects.values();
        let own = all.filter(|other| other.declared.key.namespace == *namespace);
        let mut used: BTreeMap<&str, u64> = spec.hard.keys().map(|name| (name, 0)).collect();
        for other in own {
            for (resource, sum) in &mut used {
                let share = spec.share_of(resource, &other.declared).total();
                *sum = sum.saturating_add(share);
            }
        }
        used.into_iter()
            .map(|(name, sum)| (name.to_owned(), Quantity(show_amount(name, sum))))
            .collect()
    }
}

fn requirement(requirement: &ScopeRequirement) -> core::ScopedResourceSelectorRequirement {
    let (operator, values) = match &requirement.operator {
        LabelOperator::In(values) => ("In", Some(values.clone())),
        LabelOperator::NotIn(values) => ("NotIn", Some(values.clone())),
        LabelOperator::Exists => ("Exists", None),
        LabelOperator::DoesNotExist => ("DoesNotExist", None),
    };
    core::ScopedResourceSelectorRequirement {
        operator: operator.to_owned(),
        scope_name: requirement.scope.as_str().to_owned(),
        values,
    }
}

fn amounts(amounts: &ResourceAmounts) -> Quantities {
    let shown =
        |(name, amount): (&str, &u64)| (name.to_owned(), Quantity(show_amount(name, *amount)));
    amounts.iter().map(shown).collect()
}

fn some(amounts: Quantities) -> Option<Quantities> {
    (!amounts.is_empty()).then_some(amounts)
}
