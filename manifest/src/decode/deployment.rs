//! Deployments and what selects their pods.

use std::time::Duration;

use dugout_model::{
    Deployment, IntOrPercent, LabelOperator, LabelRequirement, LabelSelector, PodTemplate, Strategy,
};

use super::Links;
use super::container;
use super::metadata::{check, read_annotations, read_labels};
use crate::names;
use crate::reader::{Object, Value};
use crate::yaml::ScalarKind;

/// The largest number that Kubernetes takes where it counts or waits.
pub(super) const INT32_MAX: u32 = 2_147_483_647;

/// More replicas than this are taken for a typing mistake.
const REPLICA_LIMIT: u32 = 10_000;

const QUARTER: IntOrPercent = IntOrPercent::Percent(25);

pub(super) fn read(object: &Object<'_>, links: &mut Links) -> Deployment {
    let spec = object.field("spec").and_then(|value| value.object());
    let Some(spec) = spec else { return empty() };
    let number = |name, lowest, highest, default| {
        spec.field(name).and_then(|value| value.u32(lowest, highest)).unwrap_or(default)
    };
    let min_ready = number("minReadySeconds", 0, INT32_MAX, 0);
    let progress_deadline = number("progressDeadlineSeconds", 0, INT32_MAX, 600);
    if progress_deadline <= min_ready {
        spec.fail_at(
            "progressDeadlineSeconds",
            &format!(
                "{progress_deadline} s must be longer than minReadySeconds, which is {min_ready} s"
            ),
            "no pod could become available in time",
        );
    }
    let template = spec
        .field("template")
        .and_then(|value| value.object())
        .map_or_else(empty_template, |template| read_template(&template, links));
    let selector =
        spec.field("selector").map(|value| read_selector(&value, &template)).unwrap_or_default();
    Deployment {
        replicas: number("replicas", 0, REPLICA_LIMIT, 1),
        selector,
        template,
        strategy: spec.field("strategy").map_or(rolling(QUARTER, QUARTER), |value| {
            value.object().map_or(Strategy::Recreate, |strategy| read_strategy(&strategy))
        }),
        min_ready: seconds(min_ready),
        progress_deadline: seconds(progress_deadline),
        revision_history_limit: number("revisionHistoryLimit", 0, INT32_MAX, 10),
        paused: spec.field("paused").and_then(|value| value.boolean()).unwrap_or(false),
    }
}

/// Stands in where an error was told.
fn empty() -> Deployment {
    Deployment {
        replicas: 0,
        selector: LabelSelector::default(),
        template: empty_template(),
        strategy: Strategy::Recreate,
        min_ready: Duration::ZERO,
        progress_deadline: Duration::ZERO,
        revision_history_limit: 0,
        paused: false,
    }
}

fn empty_template() -> PodTemplate {
    PodTemplate {
        labels: Default::default(),
        annotations: Default::default(),
        containers: Vec::new(),
        termination_grace: Duration::ZERO,
        node_selector: Default::default(),
    }
}

fn rolling(max_surge: IntOrPercent, max_unavailable: IntOrPercent) -> Strategy {
    Strategy::RollingUpdate { max_surge, max_unavailable }
}

pub(super) fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into())
}

fn read_strategy(strategy: &Object<'_>) -> Strategy {
    #[derive(Clone, Copy, PartialEq)]
    enum Type {
        Recreate,
        RollingUpdate,
    }
    let words = [("RollingUpdate", Type::RollingUpdate), ("Recreate", Type::Recreate)];
    let chosen = strategy
        .field("type")
        .and_then(|value| value.one_of(&words))
        .unwrap_or(Type::RollingUpdate);
    let details = strategy.field("rollingUpdate");
    if chosen == Type::Recreate {
        if let Some(value) = details {
            value.fail_with("has no meaning with type Recreate", "remove it, or the type");
        }
        return Strategy::Recreate;
    }
    let Some(details) = details.and_then(|value| value.object()) else {
        return rolling(QUARTER, QUARTER);
    };
    let max_surge = details
        .field("maxSurge")
        .and_then(|value| read_int_or_percent(&value, INT32_MAX))
        .unwrap_or(QUARTER);
    let max_unavailable = details
        .field("maxUnavailable")
        .and_then(|value| read_int_or_percent(&value, 100))
        .unwrap_or(QUARTER);
    let is_zero = |amount| matches!(amount, IntOrPercent::Int(0) | IntOrPercent::Percent(0));
    if is_zero(max_surge) && is_zero(max_unavailable) {
        details.fail_with(
            "maxSurge and maxUnavailable must not both be 0: no pod could ever be replaced",
            "set maxSurge: 1 to replace pods without losing capacity",
        );
    }
    rolling(max_surge, max_unavailable)
}

fn read_int_or_percent(value: &Value<'_>, highest_percent: u32) -> Option<IntOrPercent> {
    if matches!(value.kind(), Some(ScalarKind::Int(_))) {
        return value.u32(0, INT32_MAX).map(IntOrPercent::Int);
    }
    let text = value.text()?;
    let percent = text
        .strip_suffix('%')
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse::<u32>().ok());
    match percent {
        Some(percent) if percent <= highest_percent => Some(IntOrPercent::Percent(percent)),
        Some(_) => {
            value.fail(format!("must be at most {highest_percent}%, not {text}"));
            None
        }
        None => {
            value.fail_with(
                format!("must be a whole number or a percentage, not {}", value.quote(text)),
                "write 1 or \"25%\"",
            );
            None
        }
    }
}

fn read_template(template: &Object<'_>, links: &mut Links) -> PodTemplate {
    let metadata = template.field("metadata").and_then(|value| value.object());
    let map = |name, read: fn(&Value<'_>) -> _| {
        metadata
            .as_ref()
            .and_then(|metadata| metadata.field(name).map(|value| read(&value)))
            .unwrap_or_default()
    };
    let (labels, annotations) = (map("labels", read_labels), map("annotations", read_annotations));
    let Some(spec) = template.field("spec").and_then(|value| value.object()) else {
        return PodTemplate { labels, annotations, ..empty_template() };
    };
    if let Some(value) = spec.field("restartPolicy")
        && let Some(policy) = value.text()
        && policy != "Always"
    {
        value.fail(format!("must be Always in a Deployment, not {}", value.quote(policy)));
    }
    let grace = spec
        .field("terminationGracePeriodSeconds")
        .and_then(|value| value.u32(0, INT32_MAX))
        .unwrap_or(30);
    let mut containers = Vec::new();
    if let Some(value) = spec.field("containers") {
        containers = value.each(|value| Some(container::read(&value.object()?, links)));
        if containers.len() > 1 {
            value.fail_with(
                format!(
                    "a pod has exactly one container in Dugout, and here are {}",
                    containers.len()
                ),
                "make a Deployment of each",
            );
        } else if containers.is_empty() {
            value.fail("a pod must have a container");
        }
    }
    PodTemplate {
        labels,
        annotations,
        containers,
        termination_grace: seconds(grace),
        node_selector: spec
            .field("nodeSelector")
            .map(|value| read_labels(&value))
            .unwrap_or_default(),
    }
}

fn read_selector(value: &Value<'_>, template: &PodTemplate) -> LabelSelector {
    let Some(object) = value.object() else { return LabelSelector::default() };
    let match_labels =
        object.field("matchLabels").map(|value| read_labels(&value)).unwrap_or_default();
    let match_expressions = object
        .field("matchExpressions")
        .map(|value| value.each(|item| read_requirement(&item.object()?)))
        .unwrap_or_default();
    let selector = LabelSelector { match_labels, match_expressions };
    if selector == LabelSelector::default() {
        value.fail_with(
            "must select something: it is empty",
            "add matchLabels with a label of the template",
        );
    } else if !selector.matches(&template.labels) {
        value.fail_with(
            "does not match the labels of the template, spec.template.metadata.labels",
            "give the template every label that is selected",
        );
    }
    selector
}

fn read_requirement(requirement: &Object<'_>) -> Option<LabelRequirement> {
    #[derive(Clone, Copy)]
    enum Operator {
        In,
        NotIn,
        Exists,
        DoesNotExist,
    }
    let key = requirement.field("key").and_then(|value| {
        let key = value.text()?;
        check(&value, key, names::check_qualified_name(key));
        Some(key.to_owned())
    });
    let values = requirement.field("values");
    let listed = values
        .map(|value| {
            value.each(|item| {
                let text = item.text()?;
                check(&item, text, names::check_label_value(text));
                Some(text.to_owned())
            })
        })
        .unwrap_or_default();
    let words = [
        ("In", Operator::In),
        ("NotIn", Operator::NotIn),
        ("Exists", Operator::Exists),
        ("DoesNotExist", Operator::DoesNotExist),
    ];
    let operator = requirement.field("operator")?.one_of(&words)?;
    let wants_values = matches!(operator, Operator::In | Operator::NotIn);
    if wants_values && listed.is_empty() {
        requirement.fail_at(
            "values",
            "must list at least one value",
            "In and NotIn compare with it",
        );
    } else if let Some(values) = values.filter(|_| !wants_values && !listed.is_empty()) {
        values.fail_with("must not be there with this operator", "remove it, or use In");
    }
    let operator = match operator {
        Operator::In => LabelOperator::In(listed),
        Operator::NotIn => LabelOperator::NotIn(listed),
        Operator::Exists => LabelOperator::Exists,
        Operator::DoesNotExist => LabelOperator::DoesNotExist,
    };
    Some(LabelRequirement { key: key?, operator })
}
