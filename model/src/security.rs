//! With which rights the containers of a pod run, and what of its node a pod may touch.

use std::fmt;

use crate::{
    Container, MountAccess, Node, PodTemplate, ResolvedTemplate, StringMap, Volume, VolumeSource,
};

/// The rights of one container: what its pod says, with what it says itself in the place of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSecurity {
    /// The image's when absent.
    pub user: Option<u32>,
    /// That of the user when absent.
    pub group: Option<u32>,
    pub root_user: RootUser,
    pub escalation: Escalation,
    pub privilege: Privilege,
    pub capabilities: Capabilities,
    pub root_filesystem: MountAccess,
    /// The engine's own filter of system calls when absent.
    pub seccomp: Option<Profile>,
    /// The engine's own profile, where the node has AppArmor, when absent.
    pub app_armor: Option<Profile>,
}

/// What every container gets that says nothing.
impl Default for ContainerSecurity {
    fn default() -> Self {
        Self {
            user: None,
            group: None,
            root_user: RootUser::default(),
            escalation: Escalation::default(),
            privilege: Privilege::default(),
            capabilities: Capabilities::default(),
            root_filesystem: MountAccess::ReadWrite,
            seccomp: None,
            app_armor: None,
        }
    }
}

/// Whether a container may start as root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RootUser {
    #[default]
    Allowed,
    /// It does not start unless its user is known to be another.
    Refused,
}

/// Whether a process may gain more rights than its parent has, as with a setuid program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Escalation {
    #[default]
    Refused,
    Allowed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Privilege {
    #[default]
    Ordinary,
    /// As good as root on the node.
    Privileged,
}

/// Parts of root's power, as `NET_ADMIN` or `ALL`, beside or without those that the engine gives.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Capabilities {
    pub add: Box<[String]>,
    pub drop: Box<[String]>,
}

/// A profile of seccomp or AppArmor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Profile {
    RuntimeDefault,
    Unconfined,
    /// One of the node's own.
    Localhost(String),
}

/// What a pod says of all its containers together.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PodSecurity {
    /// Groups that every process has beside its own.
    pub supplemental_groups: Box<[u32]>,
    pub volume_group: Option<VolumeGroup>,
    pub sysctls: Box<[Sysctl]>,
    pub network: NamespaceOwner,
    pub ipc: NamespaceOwner,
    pub processes: Processes,
}

/// The group that a pod's own volumes belong to, and that all its processes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeGroup {
    pub id: u32,
    pub change: GroupChange,
}

/// When what is in a volume is given to the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum GroupChange {
    #[default]
    Always,
    /// Only where the volume's own folder does not belong to it yet.
    OnRootMismatch,
}

/// A setting of the kernel's that each pod has for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sysctl {
    /// With dots.
    pub name: String,
    pub value: String,
}

/// Whose network or shared memory a pod's containers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum NamespaceOwner {
    #[default]
    Pod,
    Host,
}

/// Which processes a container sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Processes {
    /// Its own.
    #[default]
    Container,
    /// Those of all containers of its pod.
    Pod,
    /// All that run on the node.
    Host,
}

/// Something that a pod may do only on a node that allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodePrivilege {
    /// A container with all rights.
    Privileged,
    /// The node's network.
    HostNetwork,
    /// The node's processes.
    HostPid,
    /// The node's shared memory.
    HostIpc,
    /// A file or folder of the node.
    HostPath,
    /// A capability that the engine does not give by itself.
    Capabilities,
    /// A kernel setting that is not known to stay inside the pod.
    Sysctls,
    /// No filter of system calls, or no AppArmor profile.
    Unconfined,
    /// A port of the node's own.
    HostPort,
}

impl NodePrivilege {
    pub const ALL: [NodePrivilege; 9] = [
        NodePrivilege::Privileged,
        NodePrivilege::HostNetwork,
        NodePrivilege::HostPid,
        NodePrivilege::HostIpc,
        NodePrivilege::HostPath,
        NodePrivilege::Capabilities,
        NodePrivilege::Sysctls,
        NodePrivilege::Unconfined,
        NodePrivilege::HostPort,
    ];

    /// Its word on a command line and in labels: the manifest's field where there is one.
    pub fn as_str(self) -> &'static str {
        match self {
            NodePrivilege::Privileged => "privileged",
            NodePrivilege::HostNetwork => "hostNetwork",
            NodePrivilege::HostPid => "hostPID",
            NodePrivilege::HostIpc => "hostIPC",
            NodePrivilege::HostPath => "hostPath",
            NodePrivilege::Capabilities => "capabilities",
            NodePrivilege::Sysctls => "sysctls",
            NodePrivilege::Unconfined => "unconfined",
            NodePrivilege::HostPort => "hostPort",
        }
    }

    /// The label by which a node says whether it allows this.
    fn label(self) -> String {
        format!("dugout.dev/allow-{self}")
    }

    pub fn parse(word: &str) -> Option<NodePrivilege> {
        NodePrivilege::ALL.into_iter().find(|privilege| privilege.as_str() == word)
    }
}

impl fmt::Display for NodePrivilege {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Some of them.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct NodePrivileges(u16);

impl NodePrivileges {
    /// What a node allows that nobody told anything else.
    pub fn of_any_node() -> Self {
        NodePrivileges::from_iter([NodePrivilege::HostPath])
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn contains(self, privilege: NodePrivilege) -> bool {
        self.0 & Self::bit(privilege) != 0
    }

    pub fn iter(self) -> impl Iterator<Item = NodePrivilege> {
        NodePrivilege::ALL.into_iter().filter(move |privilege| self.contains(*privilege))
    }

    /// Those that are not among the others.
    pub fn without(self, others: NodePrivileges) -> NodePrivileges {
        NodePrivileges(self.0 & !others.0)
    }

    /// The labels by which a node says what it allows: a yes or no for each.
    pub fn to_labels(self) -> impl Iterator<Item = (String, String)> {
        NodePrivilege::ALL
            .into_iter()
            .map(move |privilege| (privilege.label(), self.contains(privilege).to_string()))
    }

    /// What a node with these labels allows. An agent of before this was asked says nothing.
    pub fn from_labels(labels: &StringMap) -> Self {
        // An agent of before host ports has the word, and gives such a pod a network of its own.
        let knows_network = labels.contains_key(&NodePrivilege::HostPort.label());
        let allowed = |privilege: &NodePrivilege| match labels.get(&privilege.label()) {
            Some(_) if *privilege == NodePrivilege::HostNetwork && !knows_network => false,
            Some(word) => word == "true",
            None => Self::of_any_node().contains(*privilege),
        };
        NodePrivilege::ALL.into_iter().filter(allowed).collect()
    }

    /// Whether a node with these labels says what it allows.
    fn are_told_by(labels: &StringMap) -> bool {
        labels.contains_key(&NodePrivilege::Privileged.label())
    }

    fn bit(privilege: NodePrivilege) -> u16 {
        1 << privilege as u16
    }
}

impl FromIterator<NodePrivilege> for NodePrivileges {
    fn from_iter<I: IntoIterator<Item = NodePrivilege>>(privileges: I) -> Self {
        NodePrivileges(privileges.into_iter().fold(0, |bits, one| bits | Self::bit(one)))
    }
}

impl fmt::Display for NodePrivileges {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.iter().map(NodePrivilege::as_str).collect();
        out.write_str(&words.join(", "))
    }
}

impl fmt::Debug for NodePrivileges {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{{{self}}}")
    }
}

impl Node {
    /// Whether its policy allows all of them. An agent of before there was a policy drops every security
    /// context unread, so it runs no pod that has one.
    pub fn allows(&self, rights: Rights) -> bool {
        let Rights { privileges, context } = rights;
        // Most pods ask for nothing.
        let keeps_context =
            context == SecurityContext::None || NodePrivileges::are_told_by(&self.labels);
        keeps_context
            && (privileges.is_empty()
                || privileges.without(NodePrivileges::from_labels(&self.labels)).is_empty())
    }
}

/// The capabilities that Docker gives a container by itself.
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The kernel settings that Kubernetes calls safe: each pod has its own, and no other pod is hurt.
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

impl ContainerSecurity {
    fn privileges(&self) -> impl Iterator<Item = NodePrivilege> {
        let is_unconfined = |profile: &Option<Profile>| match profile {
            Some(Profile::Unconfined) => true,
            // An engine takes this name for no profile at all.
            Some(Profile::Localhost(name)) => name.trim() == "unconfined",
            Some(Profile::RuntimeDefault) | None => false,
        };
        let is_free = is_unconfined(&self.seccomp) || is_unconfined(&self.app_armor);
        let is_added = |name: &String| {
            let name = name.strip_prefix("CAP_").unwrap_or(name);
            !DEFAULT_CAPABILITIES.contains(&name)
        };
        let asked = [
            (self.privilege == Privilege::Privileged, NodePrivilege::Privileged),
            (self.capabilities.add.iter().any(is_added), NodePrivilege::Capabilities),
            (is_free, NodePrivilege::Unconfined),
        ];
        asked.into_iter().filter(|(is_asked, _)| *is_asked).map(|(_, privilege)| privilege)
    }
}

impl PodSecurity {
    fn privileges(&self) -> impl Iterator<Item = NodePrivilege> {
        let is_unsafe = |sysctl: &Sysctl| !SAFE_SYSCTLS.contains(&sysctl.name.as_str());
        let asked = [
            (self.network == NamespaceOwner::Host, NodePrivilege::HostNetwork),
            (self.processes == Processes::Host, NodePrivilege::HostPid),
            (self.ipc == NamespaceOwner::Host, NodePrivilege::HostIpc),
            (self.sysctls.iter().any(is_unsafe), NodePrivilege::Sysctls),
        ];
        asked.into_iter().filter(|(is_asked, _)| *is_asked).map(|(_, privilege)| privilege)
    }
}

/// What a pod asks of the policy of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    pub privileges: NodePrivileges,
    pub context: SecurityContext,
}

/// Whether a pod or a container of it has a security context, whatever it says: to run it without would
/// give it more than it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityContext {
    None,
    Some,
}

fn rights_of<E, V>(
    pod: Option<&PodSecurity>,
    containers: [&[Container<E>]; 2],
    volumes: &[Volume<V>],
) -> Rights {
    let all = || containers.into_iter().flatten();
    let is_mounted = |volume: &Volume<V>| {
        all().flat_map(|one| &one.mounts).any(|mount| mount.volume == volume.name)
    };
    let is_of_host = |volume: &&Volume<V>| matches!(volume.source, VolumeSource::HostPath(_));
    let mounts_host = volumes.iter().filter(is_of_host).any(is_mounted);
    let contexts = || all().filter_map(|container| container.security.as_deref());
    let of_containers = contexts().flat_map(ContainerSecurity::privileges);
    let of_pod = pod.into_iter().flat_map(PodSecurity::privileges);
    let of_volumes = mounts_host.then_some(NodePrivilege::HostPath);
    // On the node's network every port is the node's, and that is asked for as such.
    let has_own_network = pod.is_none_or(|pod| pod.network == NamespaceOwner::Pod);
    let takes_port = has_own_network
        && all().flat_map(|container| &container.ports).any(|port| port.host.is_some());
    let of_ports = takes_port.then_some(NodePrivilege::HostPort);
    Rights {
        privileges: of_containers.chain(of_pod).chain(of_volumes).chain(of_ports).collect(),
        context: match pod.is_some() || contexts().next().is_some() {
            true => SecurityContext::Some,
            false => SecurityContext::None,
        },
    }
}

impl PodTemplate {
    /// What a node must allow to run a pod of this template.
    pub fn rights(&self) -> Rights {
        let containers = [self.init_containers.as_slice(), &self.containers];
        rights_of(self.security.as_deref(), containers, &self.volumes)
    }
}

impl ResolvedTemplate {
    /// What a node must allow to run a pod of this template.
    pub fn rights(&self) -> Rights {
        let containers = [self.init_containers.as_slice(), &self.containers];
        rights_of(self.security.as_deref(), containers, &self.volumes)
    }

    /// The privileges among them.
    pub fn privileges(&self) -> NodePrivileges {
        self.rights().privileges
    }

    /// Which processes each of its containers sees.
    pub fn processes(&self) -> Processes {
        self.security.as_deref().map(|security| security.processes).unwrap_or_default()
    }

    /// The group that its own volumes belong to.
    pub fn volume_group(&self) -> Option<u32> {
        self.security.as_deref()?.volume_group.map(|group| group.id)
    }

    /// Whose network its containers have.
    pub fn network(&self) -> NamespaceOwner {
        self.security.as_deref().map(|security| security.network).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_allows_survives_its_labels() {
        for privilege in NodePrivilege::ALL {
            assert_eq!(NodePrivilege::parse(privilege.as_str()), Some(privilege));
            let allowed = NodePrivileges::from_iter([privilege]);
            let labels: StringMap = allowed.to_labels().collect();
            assert_eq!(NodePrivileges::from_labels(&labels), allowed);
        }
        let all = NodePrivileges::from_iter(NodePrivilege::ALL);
        let before = all.to_labels().filter(|(label, _)| !label.ends_with("hostPort"));
        let before = NodePrivileges::from_labels(&before.collect());
        assert_eq!(all.without(before).to_string(), "hostNetwork, hostPort", "it knew neither");
        assert_eq!(NodePrivileges::from_labels(&StringMap::new()), NodePrivileges::of_any_node());
        assert_eq!(NodePrivileges::of_any_node().to_string(), "hostPath");
    }

    #[test]
    fn a_container_asks_a_node_for_what_goes_beyond_the_engines_defaults() {
        let asked = |security: ContainerSecurity| NodePrivileges::from_iter(security.privileges());
        assert_eq!(asked(ContainerSecurity::default()), NodePrivileges::default());
        let adding = |name: &str| Capabilities { add: [name.to_owned()].into(), drop: [].into() };
        for (name, privileges) in [
            ("CHOWN", NodePrivileges::default()),
            ("CAP_CHOWN", NodePrivileges::default()),
            ("NET_ADMIN", NodePrivileges::from_iter([NodePrivilege::Capabilities])),
            ("ALL", NodePrivileges::from_iter([NodePrivilege::Capabilities])),
        ] {
            let security = ContainerSecurity { capabilities: adding(name), ..Default::default() };
            assert_eq!(asked(security), privileges, "{name}");
        }
        let profile = Some(Profile::Unconfined);
        let unconfined = NodePrivileges::from_iter([NodePrivilege::Unconfined]);
        let seccomp = ContainerSecurity { seccomp: profile.clone(), ..Default::default() };
        let app_armor = ContainerSecurity { app_armor: profile, ..Default::default() };
        assert_eq!([asked(seccomp), asked(app_armor)], [unconfined; 2]);
    }

    #[test]
    fn a_pod_asks_a_node_for_its_namespaces_and_for_unsafe_settings() {
        let asked = |security: PodSecurity| NodePrivileges::from_iter(security.privileges());
        let sysctl = |name: &str| PodSecurity {
            sysctls: [Sysctl { name: name.to_owned(), value: "1".to_owned() }].into(),
            ..Default::default()
        };
        assert_eq!(asked(sysctl("net.ipv4.tcp_syncookies")), NodePrivileges::default());
        assert_eq!(asked(sysctl("net.core.somaxconn")).to_string(), "sysctls");
        let host = PodSecurity {
            network: NamespaceOwner::Host,
            ipc: NamespaceOwner::Host,
            processes: Processes::Host,
            ..Default::default()
        };
        assert_eq!(asked(host).to_string(), "hostNetwork, hostPID, hostIPC");
        let shared = PodSecurity { processes: Processes::Pod, ..Default::default() };
        assert_eq!(asked(shared), NodePrivileges::default());
    }
}
