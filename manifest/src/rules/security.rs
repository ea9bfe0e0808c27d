//! What rights and names say of each other.

use crate::reader::Value;
use crate::validate::{Context, View};

pub(crate) fn capabilities(capabilities: &View<'_>, _: &mut Context) {
    for list in ["add", "drop"] {
        let Some(names) = capabilities.get(list) else { continue };
        for (index, node) in names.items().unwrap_or_default().iter().enumerate() {
            check_capability(&names.item(index, node));
        }
    }
}

fn check_capability(name: &Value<'_>) {
    let Some(text) = name.as_text() else { return };
    let is_sound = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if !is_sound {
        let hint = "write it in capital letters, as NET_ADMIN or ALL";
        name.fail_with(format!("{} is no capability", name.quote(text)), hint);
    }
}

/// Kernel settings that a namespace of their own keeps from the rest of the node.
const NAMESPACED: [&str; 3] = ["net.", "kernel.shm", "fs.mqueue."];
const NAMESPACED_EXACTLY: [&str; 2] = ["kernel.msgmax", "kernel.sem"];

pub(crate) fn sysctl(sysctl: &View<'_>, _: &mut Context) {
    let Some(name) = sysctl.text("name") else { return };
    let name = dotted(name);
    let is_namespaced = NAMESPACED.iter().any(|prefix| name.starts_with(prefix))
        || name.starts_with("kernel.msg")
        || NAMESPACED_EXACTLY.contains(&name.as_str());
    if !is_namespaced {
        let message = "is a setting of the whole node and not of a pod";
        sysctl.fail_at("name", message, "set it on the node");
    }
}

/// A kernel setting's name with its parts set apart by dots. As in Kubernetes and sysctl(8), what stands
/// between the first two parts says what sets them apart, and the other of the two belongs to a part, as in
/// the name of a network interface.
pub(crate) fn dotted(name: &str) -> String {
    if name.find(['.', '/']).is_none_or(|at| name[at..].starts_with('.')) {
        return name.to_owned();
    }
    let swap = |letter| match letter {
        '/' => '.',
        '.' => '/',
        other => other,
    };
    name.chars().map(swap).collect()
}

/// The file of a seccomp profile is below the node's folder for them.
pub(crate) fn profile_path(profile: &View<'_>, _: &mut Context) {
    let Some(path) = profile.text("localhostProfile") else { return };
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        profile.fail_at(
            "localhostProfile",
            "must be a relative path without ..",
            "it is looked for in the folder seccomp of the node's data directory",
        );
    }
}

/// What the namespaces that a pod shares with its node leave no room for.
pub(crate) fn pod(spec: &View<'_>, _: &mut Context) {
    if spec.is_true("hostPID") && spec.is_true("shareProcessNamespace") {
        spec.fail_at(
            "shareProcessNamespace",
            "must not be true with hostPID: true",
            "keep one of the two",
        );
    }
    let on_host = (spec.is_true("hostNetwork"), spec.is_true("hostIPC"));
    spec.within("securityContext", |security| {
        security.each("sysctls", |sysctl| {
            let Some(name) = sysctl.text("name") else { return };
            let name = dotted(name);
            let of = match on_host {
                (true, _) if name.starts_with("net.") => "hostNetwork",
                (_, true)
                    if ["kernel.shm", "kernel.msg", "kernel.sem"]
                        .iter()
                        .any(|of| name.starts_with(of))
                        || name.starts_with("fs.mqueue.") =>
                {
                    "hostIPC"
                }
                _ => return,
            };
            let message = format!("cannot be set with {of}: true, where it is the node's");
            sysctl.fail_at("name", &message, "remove one of the two");
        });
    });
    check_nameservers(spec);
}

/// Docker asks the servers that it is given in the place of its own, and not beside them.
fn check_nameservers(spec: &View<'_>) {
    if spec.text("dnsPolicy") == Some("None") {
        return;
    }
    spec.within("dnsConfig", |config| {
        if config.is_filled("nameservers") {
            config.fail_at(
                "nameservers",
                "Docker asks them in the place of the node's and not beside them",
                "say so with dnsPolicy: None, or remove them",
            );
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settings_name_is_read_with_either_mark_between_its_parts() {
        for (written, name) in [
            ("net.ipv4.tcp_syncookies", "net.ipv4.tcp_syncookies"),
            ("net/ipv4/tcp_syncookies", "net.ipv4.tcp_syncookies"),
            ("net.ipv4.conf.eno2/100.rp_filter", "net.ipv4.conf.eno2/100.rp_filter"),
            ("net/ipv4/conf/eno2.100/rp_filter", "net.ipv4.conf.eno2/100.rp_filter"),
            ("kernel", "kernel"),
        ] {
            assert_eq!(dotted(written), name, "{written}");
        }
    }
}
