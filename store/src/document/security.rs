//! The stored form of a pod's rights, names and streams.

use std::net::IpAddr;

use dugout_model::{
    Capabilities, ContainerSecurity, Escalation, GroupChange, HostAlias, Input, MountAccess,
    NamespaceOwner, Output, PodNames, PodSecurity, Privilege, Processes, Profile, RootUser,
    Streams, Sysctl, VolumeGroup,
};

use super::mirror::mirror;

mirror! {
    struct ContainerSecurity as ContainerSecurityDocument {
        user: Option<u32>,
        group: Option<u32>,
        root_user: RootUser,
        escalation: Escalation,
        privilege: Privilege,
        capabilities: Capabilities,
        root_filesystem: MountAccess,
        seccomp: Option<Profile>,
        app_armor: Option<Profile>,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum RootUser as RootUserDocument { Allowed, Refused }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum Escalation as EscalationDocument { Refused, Allowed }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum Privilege as PrivilegeDocument { Ordinary, Privileged }
}

mirror! {
    struct Capabilities as CapabilitiesDocument { add: Box<[String]>, drop: Box<[String]> }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum Profile as ProfileDocument { RuntimeDefault, Unconfined, Localhost(name: String) }
}

mirror! {
    struct PodSecurity as PodSecurityDocument {
        supplemental_groups: Box<[u32]>,
        volume_group: Option<VolumeGroup>,
        sysctls: Box<[Sysctl]>,
        network: NamespaceOwner,
        ipc: NamespaceOwner,
        processes: Processes,
    }
}

mirror! {
    struct VolumeGroup as VolumeGroupDocument { id: u32, change: GroupChange }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum GroupChange as GroupChangeDocument { Always, OnRootMismatch }
}

mirror! {
    struct Sysctl as SysctlDocument { name: String, value: String }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum NamespaceOwner as NamespaceOwnerDocument { Pod, Host }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum Processes as ProcessesDocument { Container, Pod, Host }
}

mirror! {
    struct PodNames as PodNamesDocument {
        hostname: Option<String>,
        host_aliases: Box<[HostAlias]>,
        nameservers: Box<[IpAddr]>,
        searches: Box<[String]>,
        options: Box<[String]>,
    }
}

mirror! {
    struct HostAlias as HostAliasDocument { address: IpAddr, hostnames: Box<[String]> }
}

mirror! {
    #[derive(Default, PartialEq)]
    struct Streams as StreamsDocument { input: Input, output: Output }
}

mirror! {
    #[derive(Default, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Input as InputDocument { #[default] Closed, Open, OpenOnce }
}

mirror! {
    #[derive(Default, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Output as OutputDocument { #[default] Streams, Terminal }
}

impl StreamsDocument {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
