//! Limits and quotas of a namespace.

use std::collections::BTreeMap;

use dugout_model::{
    LabelOperator, LimitRange, LimitRangeItem, LimitType, QuotaScope, ResourceAmounts,
    ResourceQuota, ScopeRequirement, is_in_millis,
};

use super::container::read_texts;
use crate::problems::quoted;
use crate::quantity::Quantity;
use crate::reader::{Object, Value};

const TYPES: &[(&str, LimitType)] = &[
    ("Container", LimitType::Container),
    ("Pod", LimitType::Pod),
    ("PersistentVolumeClaim", LimitType::PersistentVolumeClaim),
];

pub(super) fn read_range(object: &Object<'_>) -> LimitRange {
    let spec = object.field("spec").and_then(|value| value.object());
    let limits = spec.as_ref().and_then(|spec| spec.field("limits"));
    let limits = limits.map(|value| value.each(|item| read_item(&item.object()?)));
    LimitRange { limits: limits.unwrap_or_default().into() }
}

fn read_item(item: &Object<'_>) -> Option<LimitRangeItem> {
    let limit_type = item.field("type")?.one_of(TYPES)?;
    let amounts = |name| item.field(name).map(|value| read_limits(&value, limit_type));
    let ratio = item.field("maxLimitRequestRatio");
    let ratio = ratio.map(|value| read_amounts(&value, |_| true)).unwrap_or_default();
    let mut read = LimitRangeItem {
        limit_type,
        min: amounts("min").unwrap_or_default(),
        max: amounts("max").unwrap_or_default(),
        default_limits: amounts("default").unwrap_or_default(),
        default_requests: amounts("defaultRequest").unwrap_or_default(),
        max_limit_request_ratio: ratio,
    };
    if limit_type == LimitType::Container {
        derive_defaults(&mut read);
    }
    Some(read)
}

/// The defaults that a range does not name, as an API server fills them in.
fn derive_defaults(item: &mut LimitRangeItem) {
    item.default_limits = joined(&item.default_limits, &item.max);
    item.default_requests = joined(&item.default_requests, &item.default_limits);
    item.default_requests = joined(&item.default_requests, &item.min);
}

/// The first amounts, and those of the second that are not among them.
fn joined(first: &ResourceAmounts, second: &ResourceAmounts) -> ResourceAmounts {
    let mut all: BTreeMap<String, u64> = second.into();
    all.extend(BTreeMap::<String, u64>::from(first));
    all.into()
}

/// Amounts of what Dugout gives to containers, or to claims.
fn read_limits(value: &Value<'_>, limit_type: LimitType) -> ResourceAmounts {
    let (known, what): (&[&str], _) = match limit_type {
        LimitType::Container | LimitType::Pod => {
            (&["cpu", "memory"], "Dugout reserves and limits cpu and memory")
        }
        LimitType::PersistentVolumeClaim => (&["storage"], "a claim requests storage"),
    };
    value.each_entry(|resource, value| {
        if !known.contains(&resource) {
            value.fail(format!("{} is not supported: {what}", quoted(resource)));
        }
    });
    read_amounts(value, is_in_millis)
}

fn read_amounts(value: &Value<'_>, in_millis: impl Fn(&str) -> bool) -> ResourceAmounts {
    let mut amounts = Vec::new();
    value.each_entry(|resource, value| {
        let Some(quantity) = value.as_written().and_then(|text| Quantity::parse(text).ok()) else {
            return;
        };
        let amount = if in_millis(resource) { quantity.millis() } else { quantity.units() };
        match amount {
            Ok(amount) => amounts.push((resource.to_owned(), amount)),
            // Else the tables have told it.
            Err(_) if quantity.units().is_ok() => value.fail("is too large"),
            Err(_) => {}
        }
    });
    amounts.into_iter().collect()
}

pub(super) fn read_quota(object: &Object<'_>) -> ResourceQuota {
    let spec = object.field("spec").and_then(|value| value.object());
    let Some(spec) = spec else { return ResourceQuota::default() };
    let hard = spec.field("hard").map(|value| read_amounts(&value, is_in_millis));
    let scopes = spec.field("scopes").map(|value| value.each(|value| read_scope(&value)));
    let selector = spec.field("scopeSelector").and_then(|value| value.object());
    let required = selector.as_ref().and_then(|selector| selector.field("matchExpressions"));
    let required = required.map(|value| value.each(|item| read_requirement(&item.object()?)));
    ResourceQuota {
        hard: hard.unwrap_or_default(),
        scopes: scopes.unwrap_or_default().into(),
        scope_selector: required.unwrap_or_default().into(),
    }
}

fn read_scope(value: &Value<'_>) -> Option<QuotaScope> {
    let text = value.text()?;
    let scope = QuotaScope::ALL.into_iter().find(|scope| scope.as_str() == text);
    if scope.is_none() {
        value.fail(format!("{} is not supported: Dugout uses no storage drivers", quoted(text)));
    }
    scope
}

fn read_requirement(requirement: &Object<'_>) -> Option<ScopeRequirement> {
    let scope = requirement.field("scopeName").and_then(|value| read_scope(&value));
    let values = requirement.field("values").map(|value| read_texts(&value)).unwrap_or_default();
    let operator = match requirement.field("operator")?.text()? {
        "In" => LabelOperator::In(values),
        "NotIn" => LabelOperator::NotIn(values),
        "Exists" => LabelOperator::Exists,
        "DoesNotExist" => LabelOperator::DoesNotExist,
        _ => return None,
    };
    Some(ScopeRequirement { scope: scope?, operator })
}
