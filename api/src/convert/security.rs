//! The rights and names of pods, as Kubernetes says them.

use dugout_model::{
    Container, ContainerSecurity, Escalation, GroupChange, Input, MountAccess, NamespaceOwner,
    Output, PodNames, PodSecurity, Privilege, Processes, Profile, RootUser,
};
use k8s_openapi::api::core::v1 as core;

use super::meta::list;

/// Adds to a container what it says of its rights and streams.
pub(super) fn add_to_container<Env>(to: &mut core::Container, container: &Container<Env>) {
    to.security_context = container.security.as_deref().map(container_security);
    let is = |yes: bool| yes.then_some(true);
    to.stdin = is(container.streams.input != Input::Closed);
    to.stdin_once = is(container.streams.input == Input::OpenOnce);
    to.tty = is(container.streams.output == Output::Terminal);
}

/// Adds to a pod what it says of its rights and names.
pub(super) fn add_to_pod(
    to: &mut core::PodSpec,
    security: Option<&PodSecurity>,
    names: Option<&PodNames>,
) {
    if let Some(security) = security {
        let is = |yes: bool| yes.then_some(true);
        to.host_network = is(security.network == NamespaceOwner::Host);
        to.host_ipc = is(security.ipc == NamespaceOwner::Host);
        to.host_pid = is(security.processes == Processes::Host);
        to.share_process_namespace = is(security.processes == Processes::Pod);
        let context = pod_security(security);
        to.security_context = (context != core::PodSecurityContext::default()).then_some(context);
    }
    if let Some(names) = names {
        add_names(to, names);
    }
}

fn container_security(security: &ContainerSecurity) -> core::SecurityContext {
    let capabilities = core::Capabilities {
        add: list(security.capabilities.add.to_vec()),
        drop: list(security.capabilities.drop.to_vec()),
    };
    core::SecurityContext {
        allow_privilege_escalation: Some(security.escalation == Escalation::Allowed),
        app_armor_profile: security.app_armor.as_ref().map(|profile| core::AppArmorProfile {
            localhost_profile: localhost(profile),
            type_: profile_type(profile),
        }),
        capabilities: (capabilities != core::Capabilities::default()).then_some(capabilities),
        privileged: (security.privilege == Privilege::Privileged).then_some(true),
        read_only_root_filesystem: (security.root_filesystem == MountAccess::ReadOnly)
            .then_some(true),
        run_as_group: security.group.map(i64::from),
        run_as_non_root: (security.root_user == RootUser::Refused).then_some(true),
        run_as_user: security.user.map(i64::from),
        seccomp_profile: security.seccomp.as_ref().map(|profile| core::SeccompProfile {
            localhost_profile: localhost(profile),
            type_: profile_type(profile),
        }),
        ..core::SecurityContext::default()
    }
}

fn profile_type(profile: &Profile) -> String {
    let word = match profile {
        Profile::RuntimeDefault => "RuntimeDefault",
        Profile::Unconfined => "Unconfined",
        Profile::Localhost(_) => "Localhost",
    };
    word.to_owned()
}

fn localhost(profile: &Profile) -> Option<String> {
    match profile {
        Profile::Localhost(name) => Some(name.clone()),
        Profile::RuntimeDefault | Profile::Unconfined => None,
    }
}

fn pod_security(security: &PodSecurity) -> core::PodSecurityContext {
    let sysctls = security
        .sysctls
        .iter()
        .map(|sysctl| core::Sysctl { name: sysctl.name.clone(), value: sysctl.value.clone() });
    let groups = security.supplemental_groups.iter().map(|group| i64::from(*group));
    core::PodSecurityContext {
        fs_group: security.volume_group.map(|group| group.id.into()),
        fs_group_change_policy: security
            .volume_group
            .filter(|group| group.change == GroupChange::OnRootMismatch)
            .map(|_| "OnRootMismatch".to_owned()),
        supplemental_groups: list(groups.collect()),
        sysctls: list(sysctls.collect()),
        ..core::PodSecurityContext::default()
    }
}

fn add_names(to: &mut core::PodSpec, names: &PodNames) {
    to.hostname.clone_from(&names.hostname);
    let aliases = names.host_aliases.iter().map(|alias| core::HostAlias {
        hostnames: list(alias.hostnames.to_vec()),
        ip: alias.address.to_string(),
    });
    to.host_aliases = list(aliases.collect());
    let options = names.options.iter().map(|option| {
        let (name, value) = match option.split_once(':') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (option.as_str(), None),
        };
        core::PodDNSConfigOption { name: Some(name.to_owned()), value }
    });
    let config = core::PodDNSConfig {
        nameservers: list(names.nameservers.iter().map(ToString::to_string).collect()),
        options: list(options.collect()),
        searches: list(names.searches.to_vec()),
    };
    // Servers of its own are asked alone.
    to.dns_policy = config.nameservers.is_some().then(|| "None".to_owned());
    to.dns_config = (config != core::PodDNSConfig::default()).then_some(config);
}
