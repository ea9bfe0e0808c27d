//! A container's rights, namespaces and names as the engine takes them.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HostConfig};
use dugout_model::{
    Capabilities, ContainerSecurity, Escalation, Input, MountAccess, NamespaceOwner, Output,
    Privilege, Profile, RootUser, Streams,
};

use crate::docker::resolver::{self, Resolver};
use crate::runtime::{ContainerSpec, HOST_NETWORK, Isolation, Namespaces, ProcessOwner};

/// What had to be looked up before a container can be described.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(in crate::docker) struct Looked {
    /// As the engine takes it; the image's when absent.
    pub user: Option<String>,
    /// The content of the seccomp profile.
    pub seccomp: Option<String>,
    /// The node's, where the pod adds to it.
    pub resolver: Resolver,
}

/// Whether the image must be asked for its user, because what is wanted depends on it.
pub(in crate::docker) fn needs_image_user(security: &ContainerSecurity) -> bool {
    security.user.is_none() && (security.root_user == RootUser::Refused || security.group.is_some())
}

/// The user that a container runs as, where it is not just that of its image, whose user is given if it
/// was asked for. The sentences are those that the kubelet says.
///
/// # Errors
/// When root may not start it and its user is root, or is not known not to be.
pub(in crate::docker) fn user(
    security: &ContainerSecurity,
    image_user: &str,
) -> Result<Option<String>, String> {
    let image_user = image_user.split(':').next().unwrap_or_default();
    let refuses_root = security.root_user == RootUser::Refused;
    let name = match security.user {
        Some(0) if refuses_root => {
            return Err("container's runAsUser breaks non-root policy".to_owned());
        }
        Some(user) => user.to_string(),
        None => {
            if refuses_root {
                check_image_user(image_user)?;
            }
            let Some(group) = security.group else { return Ok(None) };
            let user = if image_user.is_empty() { "0" } else { image_user };
            return Ok(Some(format!("{user}:{group}")));
        }
    };
    Ok(Some(match security.group {
        Some(group) => format!("{name}:{group}"),
        None => name,
    }))
}

fn check_image_user(user: &str) -> Result<(), String> {
    match user.parse::<u32>() {
        Ok(0) => Err("container has runAsNonRoot and image will run as root".to_owned()),
        Ok(_) => Ok(()),
        Err(_) if user.is_empty() => {
            Err("container has runAsNonRoot and image will run as root".to_owned())
        }
        Err(_) => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root"
        )),
    }
}

/// Adds them to a description that has everything else.
pub(super) fn add(body: &mut ContainerCreateBody, spec: &ContainerSpec, looked: &Looked) {
    body.user.clone_from(&looked.user);
    add_streams(body, spec.streams);
    if let Some(host) = &mut body.host_config {
        add_rights(host, &spec.isolation, looked);
        add_namespaces(host, spec);
        add_names(host, &spec.isolation, &looked.resolver);
    }
}

fn add_streams(body: &mut ContainerCreateBody, streams: Streams) {
    let Streams { input, output } = streams;
    body.open_stdin = (input != Input::Closed).then_some(true);
    body.stdin_once = (input == Input::OpenOnce).then_some(true);
    body.tty = (output == Output::Terminal).then_some(true);
}

fn add_rights(host: &mut HostConfig, isolation: &Isolation, looked: &Looked) {
    let security = &isolation.security;
    let some = |names: &[String]| (!names.is_empty()).then(|| names.to_vec());
    host.privileged = (security.privilege == Privilege::Privileged).then_some(true);
    host.readonly_rootfs = (security.root_filesystem == MountAccess::ReadOnly).then_some(true);
    let Capabilities { add, drop } = &security.capabilities;
    let is_all = |name: &String| name.eq_ignore_ascii_case("ALL");
    // Docker would give all to who adds and drops all; with others what is dropped is dropped.
    let drops_all = drop.iter().any(is_all);
    let add: Vec<String> =
        add.iter().filter(|name| !(drops_all && is_all(name))).cloned().collect();
    host.cap_add = some(&add);
    host.cap_drop = some(drop);
    let groups: Vec<String> = isolation.groups.iter().map(u32::to_string).collect();
    host.group_add = some(&groups);
    let mut options = Vec::new();
    if security.escalation == Escalation::Refused {
        options.push("no-new-privileges".to_owned());
    }
    match (&security.seccomp, &looked.seccomp) {
        (Some(Profile::Unconfined), _) => options.push("seccomp=unconfined".to_owned()),
        (_, Some(profile)) => options.push(format!("seccomp={profile}")),
        (_, None) => {}
    }
    match &security.app_armor {
        Some(Profile::Unconfined) => options.push("apparmor=unconfined".to_owned()),
        Some(Profile::Localhost(name)) => options.push(format!("apparmor={name}")),
        Some(Profile::RuntimeDefault) | None => {}
    }
    host.security_opt = Some(options);
}

fn add_namespaces(host: &mut HostConfig, spec: &ContainerSpec) {
    let isolation = &spec.isolation;
    if isolation.ipc == NamespaceOwner::Host {
        host.ipc_mode = Some("host".to_owned());
    }
    if isolation.network == NamespaceOwner::Host {
        host.network_mode = Some(HOST_NETWORK.to_owned());
    }
    host.pid_mode = match (isolation.processes, &spec.namespaces) {
        (ProcessOwner::Host, _) => Some("host".to_owned()),
        (ProcessOwner::Sandbox, Namespaces::Joined { sandbox }) => {
            Some(format!("container:{sandbox}"))
        }
        (ProcessOwner::Sandbox | ProcessOwner::Container, _) => None,
    };
    let sysctls = isolation.sysctls.iter().map(|one| (one.name.clone(), one.value.clone()));
    let sysctls: HashMap<String, String> = sysctls.collect();
    host.sysctls = (!sysctls.is_empty()).then_some(sysctls);
}

fn add_names(host: &mut HostConfig, isolation: &Isolation, of_node: &Resolver) {
    let some = |words: Vec<String>| (!words.is_empty()).then_some(words);
    let names = &isolation.names;
    let aliases = names
        .host_aliases
        .iter()
        .flat_map(|alias| alias.hostnames.iter().map(|name| format!("{name}:{}", alias.address)));
    host.extra_hosts = some(aliases.collect());
    host.dns = some(names.nameservers.iter().map(ToString::to_string).collect());
    let resolver = resolver::of_pod(names, of_node);
    host.dns_search = some(resolver.searches);
    host.dns_options = some(resolver.options);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanting(user: Option<u32>, group: Option<u32>, root_user: RootUser) -> ContainerSecurity {
        ContainerSecurity { user, group, root_user, ..ContainerSecurity::default() }
    }

    #[test]
    fn a_container_runs_as_its_own_user_or_as_that_of_its_image() {
        for (own_user, own_group, image, expected) in [
            (None, None, "1000", None),
            (Some(7), None, "1000", Some("7")),
            (Some(7), Some(8), "1000:9", Some("7:8")),
            (None, Some(8), "web:9", Some("web:8")),
            (None, Some(8), "", Some("0:8")),
            (Some(0), None, "1000", Some("0")),
        ] {
            let made = user(&wanting(own_user, own_group, RootUser::Allowed), image);
            assert_eq!(made, Ok(expected.map(str::to_owned)), "{own_user:?} {own_group:?} {image}");
        }
    }

    #[test]
    fn root_starts_nothing_that_refuses_it() {
        for (own, image, words) in [
            (Some(0), "1000", "breaks non-root policy"),
            (None, "", "will run as root"),
            (None, "0:7", "will run as root"),
            (None, "web", "non-numeric user (web)"),
        ] {
            let refused = user(&wanting(own, None, RootUser::Refused), image).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
        for (own, image) in [(Some(5), ""), (None, "1000"), (None, "1000:0")] {
            assert!(user(&wanting(own, None, RootUser::Refused), image).is_ok());
        }
    }

    #[test]
    fn a_container_that_says_nothing_gains_no_rights() {
        let mut host = HostConfig::default();
        add_rights(&mut host, &Isolation::default(), &Looked::default());
        let expected = HostConfig {
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            ..HostConfig::default()
        };
        assert_eq!(host, expected);
    }

    #[test]
    fn who_adds_and_drops_all_capabilities_has_those_that_are_named() {
        let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        for (add, drop, expected) in [
            (&["ALL", "CHOWN"][..], &["ALL"][..], Some(words(&["CHOWN"]))),
            (&["ALL"], &["all"], None),
            (&["ALL"], &["CHOWN"], Some(words(&["ALL"]))),
        ] {
            let capabilities = Capabilities { add: words(add).into(), drop: words(drop).into() };
            let security = ContainerSecurity { capabilities, ..ContainerSecurity::default() };
            let mut host = HostConfig::default();
            add_rights(
                &mut host,
                &Isolation { security, ..Isolation::default() },
                &Looked::default(),
            );
            assert_eq!((host.cap_add, host.cap_drop), (expected, Some(words(drop))));
        }
    }

    #[test]
    fn profiles_are_told_by_their_content_or_name() {
        let security = ContainerSecurity {
            escalation: Escalation::Allowed,
            seccomp: Some(Profile::Localhost("a.json".to_owned())),
            app_armor: Some(Profile::Localhost("mine".to_owned())),
            ..ContainerSecurity::default()
        };
        let isolation = Isolation { security, ..Isolation::default() };
        let looked = Looked { seccomp: Some("{}".to_owned()), ..Looked::default() };
        let mut host = HostConfig::default();
        add_rights(&mut host, &isolation, &looked);
        let expected = ["seccomp={}", "apparmor=mine"].map(str::to_owned).to_vec();
        assert_eq!(host.security_opt, Some(expected));
    }
}
