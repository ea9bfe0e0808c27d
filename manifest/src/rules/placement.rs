//! Affinity, tolerations and spreading.

use crate::schema::PLACEMENT;
use crate::validate::{Context, View};

pub(crate) fn node_requirement(requirement: &View<'_>, context: &mut Context) {
    super::metadata::requirement(requirement, context);
    if !matches!(requirement.text("operator"), Some("Gt" | "Lt")) {
        return;
    }
    let values = requirement.texts("values");
    if values.len() != 1 || values.iter().any(|value| value.parse::<i64>().is_err()) {
        requirement.fail_at(
            "values",
            "must be one whole number in quotes with this operator",
            "Gt and Lt compare with it",
        );
    }
}

pub(crate) fn toleration(toleration: &View<'_>, _: &mut Context) {
    let exists = toleration.text("operator") == Some("Exists");
    if exists && toleration.is_filled("value") {
        toleration.fail_at("value", "has no meaning with operator Exists", "remove it");
    }
    if !exists && !toleration.is_filled("key") {
        toleration.fail_at("operator", "must be Exists when there is no key", "write the key");
    }
    if toleration.has("tolerationSeconds")
        && toleration.text("effect").is_some_and(|effect| effect != "NoExecute")
    {
        toleration.fail_at(
            "effect",
            "must be NoExecute with tolerationSeconds",
            "remove one of them",
        );
    }
}

pub(crate) fn spread(constraint: &View<'_>, _: &mut Context) {
    if constraint.text("whenUnsatisfiable") == Some("DoNotSchedule") {
        let message = format!("is not supported: {PLACEMENT}");
        let hint = "ScheduleAnyway makes a preference of it, which has no effect";
        constraint.fail_at("whenUnsatisfiable", &message, hint);
    }
    if constraint.has("minDomains")
        && constraint.text("whenUnsatisfiable").is_some_and(|what| what != "DoNotSchedule")
    {
        constraint.fail_at(
            "minDomains",
            "has a meaning with whenUnsatisfiable: DoNotSchedule alone",
            "remove it",
        );
    }
}
