//! Containers: probes, hooks, resources, rights.

use std::collections::BTreeSet;

use crate::problems::quoted;
use crate::quantity::Quantity;
use crate::validate::{Context, View};

pub(crate) fn container(container: &View<'_>, _: &mut Context) {
    let mut names = BTreeSet::new();
    container.each("ports", |port| names.extend(port.text("name").map(str::to_owned)));
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        container.within(probe, |view| {
            check_named_ports(view, &names);
            if probe != "readinessProbe" {
                check_success_threshold(view);
                return;
            }
            if view.has("terminationGracePeriodSeconds") {
                view.fail_at(
                    "terminationGracePeriodSeconds",
                    "must not be there for a readiness probe",
                    "remove it: an unready container is not stopped",
                );
            }
        });
    }
    container.within("lifecycle", |hooks| {
        for hook in ["postStart", "preStop"] {
            hooks.within(hook, |view| check_named_ports(view, &names));
        }
    });
    check_variables(container);
}

fn check_success_threshold(probe: &View<'_>) {
    if probe.int("successThreshold").is_some_and(|threshold| threshold > 1) {
        let message = "must be 1 for a liveness and a startup probe";
        probe.fail_at("successThreshold", message, "remove it");
    }
}

fn check_named_ports(action: &View<'_>, known: &BTreeSet<String>) {
    for name in ["httpGet", "tcpSocket"] {
        action.within(name, |view| {
            let Some(port) = view.get("port") else { return };
            let Some(text) = port.as_text() else { return };
            if known.contains(text) || crate::names::check_port_name(text).is_err() {
                return;
            }
            let hint = match known.is_empty() {
                true => "name the port in the container's ports".to_owned(),
                false => {
                    let names: Vec<&str> = known.iter().map(String::as_str).collect();
                    format!("it has {}", names.join(", "))
                }
            };
            port.fail_with(format!("the container has no port named {}", port.quote(text)), hint);
        });
    }
}

/// The same variable twice is allowed, and rarely meant.
fn check_variables(container: &View<'_>) {
    let mut seen = BTreeSet::new();
    container.each("env", |variable| {
        let Some(name) = variable.get("name") else { return };
        if let Some(text) = name.as_text()
            && !seen.insert(text.to_owned())
        {
            let message = format!("the variable {} stands here twice", name.quote(text));
            name.notice_with(message, "the later one wins");
        }
    });
}

pub(crate) fn probe(probe: &View<'_>, _: &mut Context) {
    probe.exactly_one(&["httpGet", "tcpSocket", "exec", "grpc"]);
}

pub(crate) fn hook(hook: &View<'_>, _: &mut Context) {
    hook.exactly_one(&["exec", "httpGet", "tcpSocket", "sleep"]);
}

pub(crate) fn mount(mount: &View<'_>, _: &mut Context) {
    if mount.is_filled("subPath") && mount.is_filled("subPathExpr") {
        mount.fail_with("has both subPath and subPathExpr", "keep one of them");
    }
    let recursive = mount.text("recursiveReadOnly").is_some_and(|mode| mode != "Disabled");
    if recursive && !mount.is_true("readOnly") {
        mount.fail_at("recursiveReadOnly", "needs readOnly: true", "set it, or remove this");
    }
}

pub(crate) fn security(rights: &View<'_>, _: &mut Context) {
    if rights.boolean("allowPrivilegeEscalation") != Some(false) {
        return;
    }
    let adds_all = rights
        .within("capabilities", |capabilities| {
            capabilities
                .texts("add")
                .iter()
                .any(|name| matches!(*name, "SYS_ADMIN" | "CAP_SYS_ADMIN"))
        })
        .unwrap_or(false);
    if rights.is_true("privileged") || adds_all {
        rights.fail_at(
            "allowPrivilegeEscalation",
            "must not be false for a container that is privileged or has SYS_ADMIN",
            "remove one of them",
        );
    }
}

/// A resource that Kubernetes itself knows.
fn is_standard(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage" | "storage")
        || name.starts_with("hugepages-")
}

/// Requests are at most limits, and equal to them where Kubernetes lends nothing.
pub(crate) fn resources(resources: &View<'_>, _: &mut Context) {
    for list in ["requests", "limits"] {
        let Some(amounts) = resources.get(list) else { continue };
        for entry in amounts.entries().unwrap_or_default() {
            if !entry.key.contains('/') && !is_standard(&entry.key) {
                let value = amounts.under_key(entry);
                value.fail_with(
                    format!("{} is no resource of a container", quoted(&entry.key)),
                    "there are cpu, memory, ephemeral-storage, hugepages-SIZE and names with a domain, as example.com/gpu",
                );
            }
        }
    }
    let (Some(requests), Some(limits)) = (resources.get("requests"), resources.get("limits"))
    else {
        return;
    };
    for entry in requests.entries().unwrap_or_default() {
        let request = requests.under_key(entry);
        let limit = limits
            .entries()
            .unwrap_or_default()
            .iter()
            .find(|limit| limit.key == entry.key)
            .and_then(|limit| amount(limits.under_key(limit).as_written()?));
        let (Some(request), Some(limit)) = (request.as_written().and_then(amount), limit) else {
            continue;
        };
        let lends = matches!(&*entry.key, "cpu" | "memory" | "ephemeral-storage");
        if request > limit {
            let message = format!("{} is requested beyond its limit", entry.key);
            resources.fail_at("requests", &message, "raise the limit or lower the request");
        } else if !lends && request != limit {
            let message = format!("{} must be requested as much as its limit", entry.key);
            resources.fail_at("requests", &message, "make them equal");
        }
    }
}

fn amount(text: &str) -> Option<u64> {
    Quantity::parse(text).ok()?.millis().ok()
}
