//! The rights, names and streams of a pod and its containers.

use std::net::IpAddr;

use dugout_model as model;
use serde::{Deserialize, Serialize};

use crate::volume::MountAccess;

/// Writes a type for the wire and its two conversions from one list of fields or cases. Every field is
/// named in both, so a new one cannot be forgotten.
macro_rules! same_as_model {
    ($(#[$meta:meta])* struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? }) => {
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        $(#[$meta])*
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl From<&model::$name> for $name {
            fn from(value: &model::$name) -> Self {
                let model::$name { $($field),* } = value;
                Self { $($field: Convert::convert($field)),* }
            }
        }

        impl From<$name> for model::$name {
            fn from(value: $name) -> Self {
                let $name { $($field),* } = value;
                Self { $($field: Convert::convert(&$field)),* }
            }
        }

        same_as_model!(@convert $name);
    };
    ($(#[$meta:meta])* enum $name:ident { $first:ident $(, $case:ident)* $(,)? }) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        $(#[$meta])*
        pub enum $name { #[default] $first, $($case),* }

        impl From<&model::$name> for $name {
            fn from(value: &model::$name) -> Self {
                match value {
                    model::$name::$first => Self::$first,
                    $(model::$name::$case => Self::$case),*
                }
            }
        }

        impl From<$name> for model::$name {
            fn from(value: $name) -> Self {
                match value {
                    $name::$first => Self::$first,
                    $($name::$case => Self::$case),*
                }
            }
        }

        same_as_model!(@convert $name);
    };
    (@convert $name:ident) => {
        impl Convert<$name> for model::$name {
            fn convert(&self) -> $name {
                self.into()
            }
        }

        impl Convert<model::$name> for $name {
            fn convert(&self) -> model::$name {
                self.clone().into()
            }
        }
    };
}

/// One side of a conversion, in whatever holds it.
trait Convert<To> {
    fn convert(&self) -> To;
}

impl<From: Convert<To>, To> Convert<Option<To>> for Option<From> {
    fn convert(&self) -> Option<To> {
        self.as_ref().map(Convert::convert)
    }
}

impl<From: Convert<To>, To> Convert<Vec<To>> for Box<[From]> {
    fn convert(&self) -> Vec<To> {
        self.iter().map(Convert::convert).collect()
    }
}

impl<From: Convert<To>, To> Convert<Box<[To]>> for Vec<From> {
    fn convert(&self) -> Box<[To]> {
        self.iter().map(Convert::convert).collect()
    }
}

macro_rules! plain {
    ($($type:ty),*) => {
        $(impl Convert<$type> for $type {
            fn convert(&self) -> $type {
                self.clone()
            }
        })*
    };
}

plain!(u32, String, IpAddr);

same_as_model! {
    struct ContainerSecurity {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<u32>,
        root_user: RootUser,
        escalation: Escalation,
        privilege: Privilege,
        capabilities: Capabilities,
        root_filesystem: MountAccess,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seccomp: Option<Profile>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        app_armor: Option<Profile>,
    }
}

same_as_model! { enum RootUser { Allowed, Refused } }
same_as_model! { enum Escalation { Refused, Allowed } }
same_as_model! { enum Privilege { Ordinary, Privileged } }
same_as_model! { struct Capabilities { add: Vec<String>, drop: Vec<String> } }

impl Convert<MountAccess> for model::MountAccess {
    fn convert(&self) -> MountAccess {
        (*self).into()
    }
}

impl Convert<model::MountAccess> for MountAccess {
    fn convert(&self) -> model::MountAccess {
        (*self).into()
    }
}

/// Of seccomp or AppArmor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Profile {
    RuntimeDefault,
    Unconfined,
    Localhost(String),
}

impl Convert<Profile> for model::Profile {
    fn convert(&self) -> Profile {
        match self {
            model::Profile::RuntimeDefault => Profile::RuntimeDefault,
            model::Profile::Unconfined => Profile::Unconfined,
            model::Profile::Localhost(name) => Profile::Localhost(name.clone()),
        }
    }
}

impl Convert<model::Profile> for Profile {
    fn convert(&self) -> model::Profile {
        match self {
            Profile::RuntimeDefault => model::Profile::RuntimeDefault,
            Profile::Unconfined => model::Profile::Unconfined,
            Profile::Localhost(name) => model::Profile::Localhost(name.clone()),
        }
    }
}

same_as_model! {
    struct PodSecurity {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        supplemental_groups: Vec<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        volume_group: Option<VolumeGroup>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sysctls: Vec<Sysctl>,
        network: NamespaceOwner,
        ipc: NamespaceOwner,
        processes: Processes,
    }
}

same_as_model! { struct VolumeGroup { id: u32, change: GroupChange } }
same_as_model! { enum GroupChange { Always, OnRootMismatch } }
same_as_model! { struct Sysctl { name: String, value: String } }
same_as_model! { enum NamespaceOwner { Pod, Host } }
same_as_model! { enum Processes { Container, Pod, Host } }

same_as_model! {
    struct PodNames {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hostname: Option<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        host_aliases: Vec<HostAlias>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        nameservers: Vec<IpAddr>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        searches: Vec<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        options: Vec<String>,
    }
}

same_as_model! { struct HostAlias { address: IpAddr, hostnames: Vec<String> } }
same_as_model! { #[derive(Default)] struct Streams { input: Input, output: Output } }
same_as_model! { enum Input { Closed, Open, OpenOnce } }
same_as_model! { enum Output { Streams, Terminal } }

impl Streams {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
