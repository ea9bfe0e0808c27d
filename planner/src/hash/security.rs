//! The part of a template's identity that its rights and names are.

use dugout_model::{
    ContainerSecurity, Escalation, GroupChange, HostAlias, Input, MountAccess, NamespaceOwner,
    Output, PodNames, PodSecurity, Privilege, Processes, Profile, RootUser, Streams, Sysctl,
    VolumeGroup,
};

use super::Encoder;

impl Encoder {
    pub(super) fn container_security(&mut self, security: &ContainerSecurity) {
        let ContainerSecurity {
            user,
            group,
            root_user,
            escalation,
            privilege,
            capabilities,
            root_filesystem,
            seccomp,
            app_armor,
        } = security;
        self.option(user.map(u64::from), Self::number);
        self.option(group.map(u64::from), Self::number);
        self.tag(match root_user {
            RootUser::Allowed => 0,
            RootUser::Refused => 1,
        });
        self.tag(match escalation {
            Escalation::Refused => 0,
            Escalation::Allowed => 1,
        });
        self.tag(match privilege {
            Privilege::Ordinary => 0,
            Privilege::Privileged => 1,
        });
        self.list(&capabilities.add, |encoder, name| encoder.text(name));
        self.list(&capabilities.drop, |encoder, name| encoder.text(name));
        self.tag(match root_filesystem {
            MountAccess::ReadWrite => 0,
            MountAccess::ReadOnly => 1,
        });
        self.option(seccomp.as_ref(), Self::profile);
        self.option(app_armor.as_ref(), Self::profile);
    }

    fn profile(&mut self, profile: &Profile) {
        match profile {
            Profile::RuntimeDefault => self.tag(0),
            Profile::Unconfined => self.tag(1),
            Profile::Localhost(name) => {
                self.tag(2);
                self.text(name);
            }
        }
    }

    pub(super) fn streams(&mut self, streams: Streams) {
        let Streams { input, output } = streams;
        self.tag(match input {
            Input::Closed => 0,
            Input::Open => 1,
            Input::OpenOnce => 2,
        });
        self.tag(match output {
            Output::Streams => 0,
            Output::Terminal => 1,
        });
    }

    pub(super) fn pod_security(&mut self, security: &PodSecurity) {
        let PodSecurity { supplemental_groups, volume_group, sysctls, network, ipc, processes } =
            security;
        self.list(supplemental_groups, |encoder, group| encoder.number((*group).into()));
        self.option(*volume_group, |encoder, VolumeGroup { id, change }| {
            encoder.number(id.into());
            encoder.tag(match change {
                GroupChange::Always => 0,
                GroupChange::OnRootMismatch => 1,
            });
        });
        self.list(sysctls, |encoder, Sysctl { name, value }| {
            encoder.text(name);
            encoder.text(value);
        });
        for owner in [network, ipc] {
            self.tag(match owner {
                NamespaceOwner::Pod => 0,
                NamespaceOwner::Host => 1,
            });
        }
        self.tag(match processes {
            Processes::Container => 0,
            Processes::Pod => 1,
            Processes::Host => 2,
        });
    }

    pub(super) fn names(&mut self, names: &PodNames) {
        let PodNames { hostname, host_aliases, nameservers, searches, options } = names;
        self.option(hostname.as_deref(), Self::text);
        self.list(host_aliases, |encoder, HostAlias { address, hostnames }| {
            encoder.text(&address.to_string());
            encoder.list(hostnames, |encoder, name| encoder.text(name));
        });
        self.list(nameservers, |encoder, server| encoder.text(&server.to_string()));
        self.list(searches, |encoder, domain| encoder.text(domain));
        self.list(options, |encoder, option| encoder.text(option));
    }
}
