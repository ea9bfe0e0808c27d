//! Rights and names. What a container says of its rights takes the place of what its pod says.

use std::net::IpAddr;

use dugout_model::{
    Capabilities, ContainerSecurity, Escalation, GroupChange, HostAlias, Input, MountAccess,
    NamespaceOwner, Output, PodNames, PodSecurity, Privilege, Processes, Profile, RootUser,
    Streams, Sysctl, VolumeGroup,
};

use super::container::read_texts;
use super::deployment::INT32_MAX;
use crate::reader::Object;
use crate::rules::security::dotted;

/// What a pod says of its containers' rights, for those that say nothing themselves.
#[derive(Default)]
pub(super) struct Rights {
    user: Option<u32>,
    group: Option<u32>,
    is_non_root: Option<bool>,
    seccomp: Option<Profile>,
    app_armor: Option<Profile>,
}

impl Rights {
    fn read(context: &Object<'_>) -> Self {
        Self {
            user: number(context, "runAsUser"),
            group: number(context, "runAsGroup"),
            is_non_root: flag(context, "runAsNonRoot"),
            seccomp: profile(context, "seccompProfile"),
            app_armor: profile(context, "appArmorProfile"),
        }
    }
}

/// The rights of a container of a pod.
pub(super) fn read_container(
    container: &Object<'_>,
    of_pod: &Rights,
) -> Option<Box<ContainerSecurity>> {
    let context = container.field("securityContext").and_then(|value| value.object());
    let mut security = context.as_ref().map(read_own).unwrap_or_default();
    let own = context.as_ref().map(Rights::read).unwrap_or_default();
    security.user = own.user.or(of_pod.user);
    security.group = own.group.or(of_pod.group);
    security.root_user = match own.is_non_root.or(of_pod.is_non_root) {
        Some(true) => RootUser::Refused,
        Some(false) | None => RootUser::Allowed,
    };
    // The engine's own is what it gets that says nothing.
    let seccomp = own.seccomp.or_else(|| of_pod.seccomp.clone());
    security.seccomp = seccomp.filter(|profile| *profile != Profile::RuntimeDefault);
    security.app_armor = own.app_armor.or_else(|| of_pod.app_armor.clone());
    (security != ContainerSecurity::default()).then(|| Box::new(security))
}

/// What a container alone can say.
fn read_own(context: &Object<'_>) -> ContainerSecurity {
    let privilege = match is_true(context, "privileged") {
        true => Privilege::Privileged,
        false => Privilege::Ordinary,
    };
    let capabilities = context.field("capabilities").and_then(|all| all.object());
    let capabilities = capabilities.map(|all| read_capabilities(&all)).unwrap_or_default();
    // Both imply that rights can be gained.
    let is_mighty = privilege == Privilege::Privileged
        || capabilities.add.iter().any(|name| name == "SYS_ADMIN" || name == "CAP_SYS_ADMIN");
    let may_gain = is_true(context, "allowPrivilegeEscalation") || is_mighty;
    ContainerSecurity {
        escalation: if may_gain { Escalation::Allowed } else { Escalation::Refused },
        privilege,
        capabilities,
        root_filesystem: match is_true(context, "readOnlyRootFilesystem") {
            true => MountAccess::ReadOnly,
            false => MountAccess::ReadWrite,
        },
        ..ContainerSecurity::default()
    }
}

fn read_capabilities(all: &Object<'_>) -> Capabilities {
    let list = |name| all.field(name).map(|value| read_texts(&value)).unwrap_or_default();
    let (mut add, drop): (Vec<String>, Vec<String>) = (list("add"), list("drop"));
    let is_all = |name: &String| name.eq_ignore_ascii_case("ALL");
    // Who drops all has what else is added and no more, as with containerd. Docker would give all.
    if drop.iter().any(is_all) {
        add.retain(|name| !is_all(name));
    }
    Capabilities { add: add.into(), drop: drop.into() }
}

fn profile(context: &Object<'_>, name: &'static str) -> Option<Profile> {
    read_profile(&context.field(name)?.object()?)
}

fn read_profile(profile: &Object<'_>) -> Option<Profile> {
    match profile.field("type")?.text()? {
        "RuntimeDefault" => Some(Profile::RuntimeDefault),
        "Unconfined" => Some(Profile::Unconfined),
        _ => Some(Profile::Localhost(profile.field("localhostProfile")?.text()?.to_owned())),
    }
}

/// What a pod says of all its containers together, and of each.
pub(super) fn read_pod(spec: &Object<'_>) -> (Option<Box<PodSecurity>>, Rights) {
    let context = spec.field("securityContext").and_then(|value| value.object());
    let rights = context.as_ref().map(Rights::read).unwrap_or_default();
    let owner = |name| match is_true(spec, name) {
        true => NamespaceOwner::Host,
        false => NamespaceOwner::Pod,
    };
    let processes = match (is_true(spec, "hostPID"), is_true(spec, "shareProcessNamespace")) {
        (true, _) => Processes::Host,
        (false, true) => Processes::Pod,
        (false, false) => Processes::Container,
    };
    let security = PodSecurity {
        network: owner("hostNetwork"),
        ipc: owner("hostIPC"),
        processes,
        ..context.as_ref().map(read_context).unwrap_or_default()
    };
    ((security != PodSecurity::default()).then(|| Box::new(security)), rights)
}

fn read_context(context: &Object<'_>) -> PodSecurity {
    let groups = context.field("supplementalGroups");
    let sysctls = context.field("sysctls");
    PodSecurity {
        supplemental_groups: groups
            .map(|value| value.each(|group| group.u32(0, INT32_MAX)).into())
            .unwrap_or_default(),
        volume_group: read_volume_group(context),
        sysctls: sysctls
            .map(|value| value.each(|sysctl| read_sysctl(&sysctl.object()?)).into())
            .unwrap_or_default(),
        ..PodSecurity::default()
    }
}

fn read_volume_group(context: &Object<'_>) -> Option<VolumeGroup> {
    let words = [("Always", GroupChange::Always), ("OnRootMismatch", GroupChange::OnRootMismatch)];
    let change = context.field("fsGroupChangePolicy").and_then(|value| value.one_of(&words));
    let id = number(context, "fsGroup")?;
    Some(VolumeGroup { id, change: change.unwrap_or_default() })
}

fn read_sysctl(sysctl: &Object<'_>) -> Option<Sysctl> {
    let name = dotted(sysctl.field("name")?.text()?);
    Some(Sysctl { name, value: sysctl.field("value")?.text()?.to_owned() })
}

/// The names that a pod sees.
pub(super) fn read_names(spec: &Object<'_>) -> Option<Box<PodNames>> {
    // With any policy but None the engine's servers are asked, and a rule demands that it names none.
    let _policy = spec.field("dnsPolicy").and_then(|value| value.text());
    let dns = spec.field("dnsConfig").and_then(|value| value.object());
    let dns = dns.as_ref();
    let texts = |name| {
        let value = dns.and_then(|dns| dns.field(name));
        value.map(|value| read_texts(&value)).unwrap_or_default()
    };
    let hostname = spec.field("hostname").and_then(|value| value.text().map(str::to_owned));
    let options = dns.and_then(|dns| dns.field("options"));
    let aliases = spec.field("hostAliases");
    let names = PodNames {
        hostname: hostname.filter(|name| !name.is_empty()),
        host_aliases: aliases
            .map(|value| value.each(|alias| read_alias(&alias.object()?)).into())
            .unwrap_or_default(),
        nameservers: texts("nameservers").iter().filter_map(|text| text.parse().ok()).collect(),
        searches: texts("searches").into(),
        options: options
            .map(|value| value.each(|option| read_option(&option.object()?)).into())
            .unwrap_or_default(),
    };
    (names != PodNames::default()).then(|| Box::new(names))
}

fn read_alias(alias: &Object<'_>) -> Option<HostAlias> {
    let address: IpAddr = alias.field("ip")?.text()?.parse().ok()?;
    let hostnames = alias.field("hostnames").map(|value| read_texts(&value)).unwrap_or_default();
    Some(HostAlias { address, hostnames: hostnames.into() })
}

fn read_option(option: &Object<'_>) -> Option<String> {
    let name = option.field("name")?.text()?.to_owned();
    let value = option.field("value").and_then(|value| value.text().map(str::to_owned));
    Some(match value.filter(|value| !value.is_empty()) {
        Some(value) => format!("{name}:{value}"),
        None => name,
    })
}

/// What a container's standard streams are.
pub(super) fn read_streams(container: &Object<'_>) -> Streams {
    let is = |name| is_true(container, name);
    Streams {
        input: match (is("stdin"), is("stdinOnce")) {
            (false, _) => Input::Closed,
            (true, false) => Input::Open,
            (true, true) => Input::OpenOnce,
        },
        output: match is("tty") {
            true => Output::Terminal,
            false => Output::Streams,
        },
    }
}

fn number(object: &Object<'_>, name: &'static str) -> Option<u32> {
    object.field(name)?.u32(0, INT32_MAX)
}

fn flag(object: &Object<'_>, name: &'static str) -> Option<bool> {
    object.field(name)?.boolean()
}

fn is_true(object: &Object<'_>, name: &'static str) -> bool {
    flag(object, name) == Some(true)
}
