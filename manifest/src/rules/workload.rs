//! Workloads: their selector, template and way of replacing pods.

use super::host_ports::note_spread;
use super::pod::{check_restart_policy, note_pods};
use crate::decode::{Ordinals, Spread};
use crate::validate::{Context, View};

pub(crate) fn deployment(spec: &View<'_>, context: &mut Context) {
    runs_on(spec, "Deployment", context);
    check_selector(spec);
    let min_ready = spec.int("minReadySeconds").unwrap_or(0);
    let deadline = spec.int("progressDeadlineSeconds").unwrap_or(600);
    if deadline <= min_ready && deadline >= 0 {
        spec.fail_at(
            "progressDeadlineSeconds",
            &format!("{deadline} s must be longer than minReadySeconds, which is {min_ready} s"),
            "no pod could become available in time",
        );
    }
    spec.within("strategy", |strategy| {
        if strategy.text("type") == Some("Recreate") {
            if let Some(value) = strategy.get("rollingUpdate") {
                value.fail_with("has no meaning with type Recreate", "remove it, or the type");
            }
            return;
        }
        strategy.within("rollingUpdate", |details| check_rolling(details, "25%", "25%"));
    });
}

/// Pods must be able to be replaced.
fn check_rolling(details: &View<'_>, surge: &str, unavailable: &str) {
    let is_none = |name, default: &str| match details.has(name) {
        true => is_zero(details, name),
        false => default == "0",
    };
    if is_none("maxSurge", surge) && is_none("maxUnavailable", unavailable) {
        details.fail_with(
            "maxSurge and maxUnavailable must not both be 0: no pod could ever be replaced",
            "set maxSurge: 1 to replace pods without losing capacity",
        );
    }
}

pub(crate) fn replica_set(spec: &View<'_>, context: &mut Context) {
    runs_on(spec, "ReplicaSet", context);
    check_selector(spec);
}

/// Its selector is a plain map, and is the template's labels when it is left out.
pub(crate) fn replication_controller(spec: &View<'_>, context: &mut Context) {
    runs_on(spec, "ReplicationController", context);
    let Some(selector) = spec.get("selector").filter(|selector| selector.len() > 0) else { return };
    let labels = &context.links.pods;
    let matches = spec
        .pairs("selector")
        .all(|(key, value)| labels.as_ref().is_some_and(|pods| pods.has_label(key, value)));
    if !matches {
        tell_mismatch(&selector);
    }
}

/// Notes the name, which the rule for the spec needs.
pub(crate) fn stateful_set_name(set: &View<'_>, context: &mut Context) {
    let name = set.within("metadata", |metadata| metadata.text("name").map(str::to_owned));
    context.stateful_set = name.flatten();
}

pub(crate) fn stateful_set(spec: &View<'_>, context: &mut Context) {
    runs_on(spec, "StatefulSet", context);
    note_ordinals(spec, context);
    check_selector(spec);
    let mut names = Vec::new();
    spec.each("volumeClaimTemplates", |claim| {
        claim.within("metadata", |metadata| {
            let Some(value) = metadata.get("name") else { return };
            let Some(name) = value.as_text() else { return };
            if names.iter().any(|known| known == name) {
                value.fail(format!("the name {} stands here twice", value.quote(name)));
            }
            names.push(name.to_owned());
        });
    });
    context.claim_volumes = names;
    if let Some(name) = spec.get("serviceName") {
        context.refer("Service", &name, crate::decode::Part::Whole);
    }
    check_update_strategy(spec);
    spec.within("updateStrategy", |strategy| {
        strategy.within("rollingUpdate", |details| {
            if is_zero(details, "maxUnavailable") {
                details.fail_at(
                    "maxUnavailable",
                    "must not be 0: no pod could ever be replaced",
                    "remove it, which means 1",
                );
            }
        });
    });
}

fn note_ordinals(spec: &View<'_>, context: &mut Context) {
    let Some(name) = &context.stateful_set else { return };
    let Some(pods) = &mut context.links.pods else { return };
    let first = spec.within("ordinals", |ordinals| ordinals.int("start")).flatten().unwrap_or(0);
    let end = first.saturating_add(spec.int("replicas").unwrap_or(1));
    let ordinals = Ordinals { prefix: format!("{name}-"), ordinals: first..end };
    pods.rare.get_or_insert_default().ordinals = Some(ordinals);
}

fn is_zero(details: &View<'_>, name: &'static str) -> bool {
    details
        .get(name)
        .is_some_and(|value| value.as_int() == Some(0) || value.as_text() == Some("0%"))
}

pub(crate) fn daemon_set(spec: &View<'_>, context: &mut Context) {
    runs_on(spec, "DaemonSet", context);
    check_selector(spec);
    check_update_strategy(spec);
    spec.within("updateStrategy", |strategy| {
        strategy.within("rollingUpdate", |details| {
            check_rolling(details, "0", "1");
            let is_set = |name| {
                details.get(name).is_some_and(|value| {
                    value.as_int().is_some_and(|number| number > 0)
                        || value.as_text().is_some_and(|text| text != "0%")
                })
            };
            if is_set("maxSurge") && (is_set("maxUnavailable") || !details.has("maxUnavailable")) {
                details.fail_with(
                    "maxSurge needs maxUnavailable: 0 in a DaemonSet",
                    "a node has one of its pods more, or one less",
                );
            }
        });
    });
}

fn check_update_strategy(spec: &View<'_>) {
    spec.within("updateStrategy", |strategy| {
        if strategy.text("type") == Some("OnDelete")
            && let Some(value) = strategy.get("rollingUpdate")
        {
            value.fail_with("has no meaning with type OnDelete", "remove it, or the type");
        }
    });
}

/// Pods of all these are started again whenever they end.
fn runs_on(spec: &View<'_>, kind: &str, context: &mut Context) {
    spec.within("template", |template| {
        check_restart_policy(template, kind, &["Always"]);
        note_pods(template, context);
        note_spread(
            context,
            match kind {
                "DaemonSet" => Spread::EveryNode,
                _ => Spread::Pods(spec.int("replicas").unwrap_or(1)),
            },
        );
        template.within("spec", |pod| {
            if pod.has("activeDeadlineSeconds") {
                pod.fail_at(
                    "activeDeadlineSeconds",
                    &format!("must not be there in a {kind}: its pods have no deadline"),
                    "remove it",
                );
            }
            if pod.count("ephemeralContainers") > 0 {
                pod.fail_at(
                    "ephemeralContainers",
                    "must not be there in a template",
                    "they are added to running pods",
                );
            }
        });
    });
}

/// A selector must select the pods of its own template.
pub(super) fn check_selector(spec: &View<'_>) {
    let Some(value) = spec.get("selector") else { return };
    let Some(selector) = View::of(value) else { return };
    if selector.count("matchLabels") == 0 && selector.count("matchExpressions") == 0 {
        value.fail_with(
            "must select something: it is empty",
            "add matchLabels with a label of the template",
        );
        return;
    }
    let Some(template) = spec.get("template").and_then(|value| value.entries().map(|_| value))
    else {
        return;
    };
    let Some(template) = View::of(template) else { return };
    let matches = template
        .within("metadata", |metadata| {
            let label = |key: &str| metadata.pairs("labels").find(|(own, _)| *own == key);
            let mut matches = selector
                .pairs("matchLabels")
                .all(|(key, value)| label(key).is_some_and(|(_, own)| own == value));
            selector.each("matchExpressions", |requirement| {
                let Some(key) = requirement.text("key") else { return };
                let own = label(key).map(|(_, own)| own);
                let values = requirement.texts("values");
                matches &= match requirement.text("operator") {
                    Some("In") => own.is_some_and(|own| values.contains(&own)),
                    Some("NotIn") => own.is_none_or(|own| !values.contains(&own)),
                    Some("Exists") => own.is_some(),
                    Some("DoesNotExist") => own.is_none(),
                    _ => true,
                };
            });
            matches
        })
        .unwrap_or(false);
    if !matches {
        tell_mismatch(&value);
    }
}

fn tell_mismatch(selector: &crate::reader::Value<'_>) {
    selector.fail_with(
        "does not match the labels of the template, spec.template.metadata.labels",
        "give the template every label that is selected",
    );
}
