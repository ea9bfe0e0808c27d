//! Pods: what containers, volumes and the network of one pod say of each other.

use std::collections::{BTreeMap, BTreeSet};

use super::{admission, env, host_ports, lifecycle};
use crate::decode::{Part, PodFacts};
use crate::problems::quoted;
use crate::reader::Value;
use crate::validate::{Context, View};

pub(super) const CONTAINER_LISTS: [&str; 3] =
    ["containers", "initContainers", "ephemeralContainers"];

/// A pod that stands alone.
pub(crate) fn pod(pod: &View<'_>, context: &mut Context) {
    note_pods(pod, context);
}

/// Notes what services see of the pods that a pod or a template describes.
pub(crate) fn note_pods(template: &View<'_>, context: &mut Context) {
    let mut facts = PodFacts::default();
    let mut port_names = Vec::new();
    template.within("metadata", |metadata| {
        facts.labels =
            metadata.pairs("labels").map(|(key, value)| (key, value.to_owned())).collect();
    });
    template.within("spec", |spec| {
        for list in CONTAINER_LISTS {
            spec.each(list, |container| {
                container.each("ports", |port| {
                    port_names.extend(port.text("name").map(str::to_owned));
                });
            });
        }
    });
    facts.port_names = port_names.into();
    facts.rare = host_ports::note(template);
    context.links.pods = Some(Box::new(facts));
}

pub(crate) fn pod_spec(spec: &View<'_>, context: &mut Context) {
    admission::note_pod(spec, context);
    check_names(spec);
    check_volumes(spec, context);
    host_ports::check(spec);
    check_dns(spec);
    check_init_containers(spec);
    lifecycle::check(spec);
    env::check_resource_containers(spec);
    if let (Some(new), Some(old)) = (spec.text("serviceAccountName"), spec.text("serviceAccount"))
        && new != old
    {
        spec.fail_at(
            "serviceAccount",
            "must be equal to serviceAccountName",
            "remove it: it is the old name of that field",
        );
    }
    spec.each("imagePullSecrets", |secret| {
        if let Some(name) = secret.get("name") {
            context.refer("Secret", &name, Part::Whole);
        }
    });
}

/// How many servers and domains the C library of a container looks at.
const DNS_LIMITS: [(&str, usize); 2] = [("nameservers", 3), ("searches", 32)];

fn check_dns(spec: &View<'_>) {
    if spec.text("dnsPolicy") == Some("None")
        && spec.within("dnsConfig", |config| config.count("nameservers")).unwrap_or(0) == 0
    {
        spec.fail_at("dnsConfig", "must name a server with dnsPolicy: None", "add nameservers");
    }
    spec.within("dnsConfig", |config| {
        for (name, most) in DNS_LIMITS {
            let count = config.count(name);
            if count > most {
                let message = format!("must list at most {most}, not {count}");
                config.fail_at(name, &message, "the others would never be asked");
            }
        }
    });
}

/// Containers of all three lists share one set of names.
fn check_names(spec: &View<'_>) {
    let mut seen = BTreeMap::new();
    for list in CONTAINER_LISTS {
        spec.each(list, |container| {
            let Some(name) = container.text("name") else { return };
            if let Some(other) = seen.insert(name.to_owned(), list)
                // Inside one list, the table tells it.
                && other != list
                && let Some(value) = container.get("name")
            {
                value.fail(format!("the name {} stands in {other} as well", value.quote(name)));
            }
        });
    }
}

/// What is mounted must be there.
fn check_volumes(spec: &View<'_>, context: &Context) {
    let mut known: BTreeSet<String> = context.claim_volumes.iter().cloned().collect();
    let mut claims = known.clone();
    let mut others = BTreeSet::new();
    spec.each("volumes", |volume| {
        let Some(name) = volume.text("name") else { return };
        known.insert(name.to_owned());
        match volume.has("persistentVolumeClaim") || volume.has("ephemeral") {
            true => claims.insert(name.to_owned()),
            false => others.insert(name.to_owned()),
        };
    });
    for list in CONTAINER_LISTS {
        spec.each(list, |container| {
            let mut mounted = BTreeSet::new();
            container.each("volumeMounts", |mount| {
                let Some(name) = mount.get("name") else { return };
                check_volume(&name, &known);
                mounted.extend(name.as_text().map(str::to_owned));
            });
            container.each("volumeDevices", |device| {
                let Some(name) = device.get("name") else { return };
                check_volume(&name, &known);
                let Some(text) = name.as_text() else { return };
                if others.contains(text) && !claims.contains(text) {
                    name.fail("must be a volume of a claim to be a device");
                }
                if mounted.contains(text) {
                    name.fail("is mounted by this container as well; it can be one of the two");
                }
            });
            check_paths(container);
        });
    }
}

fn check_volume(name: &Value<'_>, known: &BTreeSet<String>) {
    let Some(text) = name.as_text() else { return };
    if text.is_empty() || known.contains(text) {
        return;
    }
    let message = format!("the pod has no volume {}", name.quote(text));
    let hint = match known.is_empty() {
        true => "add it to the pod's volumes".to_owned(),
        false => {
            let names: Vec<&str> = known.iter().map(String::as_str).take(12).collect();
            format!("it has {}", names.join(", "))
        }
    };
    name.fail_with(message, hint);
}

/// A path holds one volume, mounted or as a device.
fn check_paths(container: &View<'_>) {
    let mut paths = BTreeSet::new();
    container.each("volumeMounts", |mount| {
        paths.extend(mount.text("mountPath").map(str::to_owned));
    });
    container.each("volumeDevices", |device| {
        if let Some(path) = device.get("devicePath")
            && path.as_text().is_some_and(|text| paths.contains(text))
        {
            path.fail("is the path of a mount as well");
        }
    });
}

/// A container that ends cannot be probed or hooked, and one of those that do not begin first is no
/// sidecar.
fn check_init_containers(spec: &View<'_>) {
    let policy = spec.text("restartPolicy").unwrap_or("Always");
    spec.each("containers", |container| {
        if container.text("restartPolicy") == Some("Always") && policy != "Always" {
            container.fail_at(
                "restartPolicy",
                "must be that of the pod",
                "remove it, or move the container to initContainers, where it makes a sidecar",
            );
        }
    });
    spec.each("initContainers", |container| {
        if container.text("restartPolicy") == Some("Always") {
            return;
        }
        for name in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if container.has(name) {
                container.fail_at(
                    name,
                    "must not be there for a container that runs to its end",
                    "remove it, or set restartPolicy: Always",
                );
            }
        }
    });
}

/// A seccomp or AppArmor profile.
pub(crate) fn profile(profile: &View<'_>, _: &mut Context) {
    let local = profile.text("type") == Some("Localhost");
    if local && !profile.is_filled("localhostProfile") {
        profile.fail_at("localhostProfile", "is required with type: Localhost", "name the profile");
    }
    if !local && profile.is_filled("localhostProfile") {
        profile.fail_at(
            "localhostProfile",
            "has a meaning with type: Localhost alone",
            "remove it",
        );
    }
}

/// Tells when pods of an owner must be restarted otherwise than they say. Gives whether all is well.
pub(crate) fn check_restart_policy(template: &View<'_>, kind: &str, allowed: &[&str]) {
    template.within("spec", |spec| {
        let written = spec.text("restartPolicy");
        let policy = written.unwrap_or("Always");
        if allowed.contains(&policy) || !["Always", "OnFailure", "Never"].contains(&policy) {
            return;
        }
        let message = match written {
            Some(policy) => {
                format!("must be {} in a {kind}, not {}", allowed.join(" or "), quoted(policy))
            }
            None => format!("must be {} in a {kind}", allowed.join(" or ")),
        };
        spec.fail_at("restartPolicy", &message, &format!("write restartPolicy: {}", allowed[0]));
    });
}
