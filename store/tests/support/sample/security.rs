//! Rights, names and streams of pods.

use dugout_model::*;

use super::Dice;

impl Dice {
    pub(super) fn container_security(&mut self) -> ContainerSecurity {
        ContainerSecurity {
            user: self.maybe(Dice::id),
            group: self.maybe(Dice::id),
            root_user: self.pick(&[RootUser::Allowed, RootUser::Refused]),
            escalation: self.pick(&[Escalation::Refused, Escalation::Allowed]),
            privilege: self.pick(&[Privilege::Ordinary, Privilege::Privileged]),
            capabilities: Capabilities {
                add: self.some(Dice::text).into(),
                drop: self.some(Dice::text).into(),
            },
            root_filesystem: self.pick(&[MountAccess::ReadWrite, MountAccess::ReadOnly]),
            seccomp: self.maybe(Dice::profile),
            app_armor: self.maybe(Dice::profile),
        }
    }

    fn id(&mut self) -> u32 {
        self.below(1 << 31) as u32
    }

    fn profile(&mut self) -> Profile {
        match self.below(3) {
            0 => Profile::RuntimeDefault,
            1 => Profile::Unconfined,
            _ => Profile::Localhost(self.text()),
        }
    }

    pub(super) fn pod_security(&mut self) -> PodSecurity {
        let owners = [NamespaceOwner::Pod, NamespaceOwner::Host];
        PodSecurity {
            supplemental_groups: self.some(Dice::id).into(),
            volume_group: self.maybe(|dice| VolumeGroup {
                id: dice.id(),
                change: dice.pick(&[GroupChange::Always, GroupChange::OnRootMismatch]),
            }),
            sysctls: self.some(|dice| Sysctl { name: dice.text(), value: dice.text() }).into(),
            network: self.pick(&owners),
            ipc: self.pick(&owners),
            processes: self.pick(&[Processes::Container, Processes::Pod, Processes::Host]),
        }
    }

    pub(super) fn pod_names(&mut self) -> PodNames {
        PodNames {
            hostname: self.maybe(Dice::text),
            host_aliases: self
                .some(|dice| HostAlias {
                    address: dice.address(),
                    hostnames: dice.some(Dice::text).into(),
                })
                .into(),
            nameservers: self.some(Dice::address).into(),
            searches: self.some(Dice::text).into(),
            options: self.some(Dice::text).into(),
        }
    }

    pub(super) fn streams(&mut self) -> Streams {
        Streams {
            input: self.pick(&[Input::Closed, Input::Open, Input::OpenOnce]),
            output: self.pick(&[Output::Streams, Output::Terminal]),
        }
    }
}
