//! What a container is given of its pod's rights, namespaces and names. Pure.

use std::path::{Component, Path};

use dugout_model::{
    AssignedPod, Container, EnvValue, NodeName, PodNames, PodSecurity, Processes, Profile,
    ResolvedTemplate,
};

use super::{Place, SpecError};
use crate::policy::NodePolicy;
use crate::runtime::{Isolation, Namespaces, ProcessOwner};

/// Refuses a pod that asks for more than the node allows.
pub(crate) fn check(
    pod: &AssignedPod,
    node: &NodeName,
    policy: &NodePolicy,
) -> Result<(), SpecError> {
    let forbidden = policy.forbidden(pod);
    if !forbidden.is_empty() {
        let node = node.clone();
        return Err(SpecError::NotAllowed { node, privileges: forbidden });
    }
    check_paths(&pod.template)
}

/// No name leads out of the agent's own folders, whatever the control plane says: manifests with such are
/// refused long before.
fn check_paths(template: &ResolvedTemplate) -> Result<(), SpecError> {
    let is_inside = |path: &str| {
        let mut parts = Path::new(path).components().peekable();
        parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
    };
    let is_name = |name: &str| is_inside(name) && !name.contains('/');
    let mut profiles = template.all_containers().filter_map(|container| {
        match container.security.as_deref()?.seccomp.as_ref()? {
            Profile::Localhost(path) => Some(path),
            Profile::RuntimeDefault | Profile::Unconfined => None,
        }
    });
    let volumes = template.volumes.iter().map(|volume| &volume.name);
    let mut bad_names = volumes.filter(|name| !is_name(name));
    match bad_names.next().or_else(|| profiles.find(|path| !is_inside(path))) {
        Some(name) => Err(SpecError::OutOfFolder { name: name.clone() }),
        None => Ok(()),
    }
}

/// The isolation of a container in these namespaces.
pub(super) fn isolation(
    pod: &AssignedPod,
    container: &Container<EnvValue>,
    namespaces: &Namespaces,
    place: &Place<'_>,
) -> Isolation {
    let of_pod = pod.template.security.as_deref().cloned().unwrap_or_default();
    let security = container.security.as_deref().cloned().unwrap_or_default();
    let mut groups = of_pod.supplemental_groups.to_vec();
    groups.extend(of_pod.volume_group.map(|group| group.id));
    groups.dedup();
    let seccomp_file = match &security.seccomp {
        Some(Profile::Localhost(path)) => Some(place.policy.seccomp.join(path)),
        Some(Profile::RuntimeDefault | Profile::Unconfined) | None => None,
    };
    let processes = match (of_pod.processes, namespaces) {
        (Processes::Host, _) => ProcessOwner::Host,
        (Processes::Pod, Namespaces::Joined { .. }) => ProcessOwner::Sandbox,
        (Processes::Pod | Processes::Container, _) => ProcessOwner::Container,
    };
    let shared = shared(pod, &of_pod, namespaces);
    Isolation { security, groups, seccomp_file, processes, ..shared }
}

/// The isolation of what holds the namespaces of a pod.
pub(super) fn of_sandbox(pod: &AssignedPod, namespaces: &Namespaces) -> Isolation {
    let of_pod = pod.template.security.as_deref().cloned().unwrap_or_default();
    shared(pod, &of_pod, namespaces)
}

/// What goes with the namespaces, of which only one container of a pod is asked.
fn shared(pod: &AssignedPod, of_pod: &PodSecurity, namespaces: &Namespaces) -> Isolation {
    let ipc = of_pod.ipc;
    match namespaces {
        Namespaces::Joined { .. } => Isolation { ipc, ..Isolation::default() },
        Namespaces::Own { .. } | Namespaces::Offered { .. } => Isolation {
            ipc,
            network: of_pod.network,
            sysctls: of_pod.sysctls.to_vec(),
            names: pod.template.names.as_deref().cloned().unwrap_or_default(),
            ..Isolation::default()
        },
    }
}

/// The pod's host name: its own name, unless it says another.
pub(super) fn hostname(pod: &AssignedPod, most: usize) -> String {
    let names: Option<&PodNames> = pod.template.names.as_deref();
    let told = names.and_then(|names| names.hostname.as_deref());
    told.unwrap_or(pod.name.as_str()).chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use dugout_model::{
        Capabilities, ContainerSecurity, HostAlias, NamespaceOwner, NodePrivilege, Privilege,
        Sysctl, VolumeGroup,
    };

    use super::super::container_spec;
    use super::*;
    use crate::runtime::ContainerSpec;
    use crate::testing;

    fn spec_of(
        pod: &AssignedPod,
        container: &str,
        allowed: &[NodePrivilege],
    ) -> Result<ContainerSpec, SpecError> {
        let (owner, volumes) = (testing::owner(), testing::layout());
        let allowed = allowed.iter().copied().collect();
        let policy = NodePolicy::new(allowed, "/data".as_ref());
        let sandbox = pod.template.shares_sandbox().then_some("abc");
        let allocatable = None;
        let place =
            Place { owner: &owner, sandbox, volumes: &volumes, allocatable, policy: &policy };
        container_spec(pod, container, 0, 0, &place)
    }

    fn pod_with(security: PodSecurity, names: PodNames) -> AssignedPod {
        let mut template = testing::template("web");
        template.security = Some(Box::new(security));
        template.names = Some(Box::new(names));
        testing::pod(1, template)
    }

    #[test]
    fn a_node_refuses_what_it_does_not_allow() {
        let mut template = testing::template("web");
        let privilege = Privilege::Privileged;
        let add = ["NET_ADMIN".to_owned()].into();
        template.containers[0].security = Some(Box::new(ContainerSecurity {
            privilege,
            capabilities: Capabilities { add, ..Capabilities::default() },
            ..ContainerSecurity::default()
        }));
        let pod = testing::pod(1, template);
        let refused = spec_of(&pod, "web", &[NodePrivilege::Capabilities]).unwrap_err();
        assert!(refused.to_string().contains("does not allow privileged"), "{refused}");
        let all = [NodePrivilege::Capabilities, NodePrivilege::Privileged];
        let made = spec_of(&pod, "web", &all).unwrap();
        assert_eq!(made.isolation.security.privilege, Privilege::Privileged);
    }

    #[test]
    fn no_name_leads_out_of_the_agents_folders() {
        let volume = |name: &str| dugout_model::Volume {
            name: name.to_owned(),
            source: dugout_model::VolumeSource::EmptyDir(dugout_model::EmptyDir::Disk),
        };
        let profile = |path: &str| ContainerSecurity {
            seccomp: Some(Profile::Localhost(path.to_owned())),
            ..ContainerSecurity::default()
        };
        let refuses = |volume_name: &str, path: &str| {
            let mut template = testing::template("web");
            template.volumes = [volume(volume_name)].into();
            template.containers[0].security = Some(Box::new(profile(path)));
            spec_of(&testing::pod(1, template), "web", &[]).is_err()
        };
        assert!(!refuses("data", "teams/web.json"));
        for name in ["/etc", "../../etc", "a/b", "..", ".", ""] {
            assert!(refuses(name, "web.json"), "{name}");
        }
        for path in ["/etc/x.json", "../x.json", "teams/../../x.json", ""] {
            assert!(refuses("data", path), "{path}");
        }
    }

    #[test]
    fn a_profile_of_this_name_is_no_profile() {
        let mut template = testing::template("web");
        template.containers[0].security = Some(Box::new(ContainerSecurity {
            app_armor: Some(Profile::Localhost("unconfined".to_owned())),
            ..ContainerSecurity::default()
        }));
        let pod = testing::pod(1, template);
        let refused = spec_of(&pod, "web", &[]).unwrap_err();
        assert!(refused.to_string().contains("does not allow unconfined"), "{refused}");
        assert!(spec_of(&pod, "web", &[NodePrivilege::Unconfined]).is_ok());
    }

    #[test]
    fn groups_are_those_of_the_pod_and_of_its_volumes() {
        let security = PodSecurity {
            supplemental_groups: [7, 8].into(),
            volume_group: Some(VolumeGroup { id: 9, change: Default::default() }),
            ..PodSecurity::default()
        };
        let made = spec_of(&pod_with(security, PodNames::default()), "web", &[]).unwrap();
        assert_eq!(made.isolation.groups, [7, 8, 9]);
    }

    #[test]
    fn what_goes_with_shared_namespaces_is_asked_of_the_sandbox_alone() {
        let sysctl = Sysctl { name: "net.ipv4.tcp_syncookies".to_owned(), value: "0".to_owned() };
        let security = PodSecurity {
            sysctls: [sysctl.clone()].into(),
            processes: Processes::Pod,
            ..PodSecurity::default()
        };
        let alias =
            HostAlias { address: [10, 0, 0, 1].into(), hostnames: ["db".to_owned()].into() };
        let names = PodNames {
            hostname: Some("told".to_owned()),
            host_aliases: [alias].into(),
            ..PodNames::default()
        };
        let pod = pod_with(security, names.clone());
        let sandbox = spec_of(&pod, crate::labels::SANDBOX, &[]).unwrap();
        assert_eq!(sandbox.namespaces, Namespaces::Offered { hostname: "told".to_owned() });
        assert_eq!((sandbox.isolation.names, sandbox.isolation.sysctls), (names, vec![sysctl]));
        let joined = spec_of(&pod, "web", &[]).unwrap().isolation;
        assert_eq!(joined.processes, ProcessOwner::Sandbox);
        assert_eq!((joined.names, joined.sysctls), (PodNames::default(), vec![]));
    }

    #[test]
    fn the_nodes_namespaces_are_given_where_it_allows_them() {
        let security = PodSecurity {
            ipc: NamespaceOwner::Host,
            processes: Processes::Host,
            ..PodSecurity::default()
        };
        let pod = pod_with(security, PodNames::default());
        assert!(spec_of(&pod, "web", &[NodePrivilege::HostIpc]).is_err());
        let both = [NodePrivilege::HostIpc, NodePrivilege::HostPid];
        let made = spec_of(&pod, "web", &both).unwrap().isolation;
        assert_eq!((made.ipc, made.processes), (NamespaceOwner::Host, ProcessOwner::Host));
    }
}
