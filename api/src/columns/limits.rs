//! The columns of limits and quotas.

use k8s_openapi::api::core::v1::{LimitRange, ResourceQuota};
use serde_json::Value;

/// How much of each amount is taken: what limits may come to apart from all else.
pub(super) fn quota_cells(name: Value, quota: &ResourceQuota, age: Value) -> Vec<Value> {
    let status = quota.status.as_ref();
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, hard) in status.and_then(|status| status.hard.as_ref()).into_iter().flatten() {
        let used = status.and_then(|status| status.used.as_ref()?.get(resource));
        let used = used.map_or("0", |used| used.0.as_str());
        let column = if resource.starts_with("limits.") { &mut limits } else { &mut requests };
        column.push(format!("{resource}: {used}/{}", hard.0));
    }
    vec![name, requests.join(", ").into(), limits.join(", ").into(), age]
}

pub(super) fn limit_range_cells(name: Value, range: &LimitRange) -> Vec<Value> {
    let created = range.metadata.creation_timestamp.as_ref();
    vec![name, created.map(|time| time.0.to_string()).unwrap_or_default().into()]
}
