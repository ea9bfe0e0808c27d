//! The fields that say with which rights a pod's containers run, and which names it has.

use super::format::{DNS_SEARCH, IP, SUBDOMAIN, SYSCTL_NAME};
use super::value::{BOOL, FREE_TEXT, INT32_MAX, TEXT, TEXTS, int, ints, object, objects, text};
use super::value::{texts, words};
use super::{Schema, acted, checked, refused, table};
use crate::rules::{container, pod, security};

const SE_LINUX: &str = "Docker labels all containers of a node alike; Dugout cannot choose";
const WINDOWS: &str = "nodes run Linux";
const UNMASKED: &str =
    "Kubernetes has it with hostUsers: false alone, which Docker cannot give to one container";

pub(super) static POD_SECURITY_CONTEXT: Schema = table(
    "PodSecurityContext",
    &[
        acted("runAsUser", int(0, INT32_MAX)),
        acted("runAsGroup", int(0, INT32_MAX)),
        acted("runAsNonRoot", BOOL),
        acted("supplementalGroups", ints(0, INT32_MAX)),
        refused(
            "supplementalGroupsPolicy",
            words(&["Merge", "Strict"]),
            "Docker always adds the groups that the image gives its user",
        )
        .unless(&["Merge"]),
        acted("fsGroup", int(0, INT32_MAX)),
        acted("fsGroupChangePolicy", words(&["OnRootMismatch", "Always"])),
        acted("sysctls", objects(&SYSCTL)).unique_by("name"),
        acted("seccompProfile", object(&SECCOMP_PROFILE)),
        acted("appArmorProfile", object(&APP_ARMOR_PROFILE)),
        refused("seLinuxOptions", object(&SE_LINUX_OPTIONS), SE_LINUX),
        refused("seLinuxChangePolicy", words(&["Recursive", "MountOption"]), SE_LINUX),
        refused("windowsOptions", object(&WINDOWS_SECURITY_CONTEXT_OPTIONS), WINDOWS),
    ],
);

pub(super) static SECURITY_CONTEXT: Schema = table(
    "SecurityContext",
    &[
        acted("runAsUser", int(0, INT32_MAX)),
        acted("runAsGroup", int(0, INT32_MAX)),
        acted("runAsNonRoot", BOOL),
        acted("privileged", BOOL),
        acted("allowPrivilegeEscalation", BOOL),
        acted("capabilities", object(&CAPABILITIES)),
        acted("readOnlyRootFilesystem", BOOL),
        acted("seccompProfile", object(&SECCOMP_PROFILE)),
        acted("appArmorProfile", object(&APP_ARMOR_PROFILE)),
        refused("procMount", words(&["Default", "Unmasked"]), UNMASKED).unless(&["Default"]),
        refused("seLinuxOptions", object(&SE_LINUX_OPTIONS), SE_LINUX),
        refused("windowsOptions", object(&WINDOWS_SECURITY_CONTEXT_OPTIONS), WINDOWS),
    ],
)
.with(&[container::security]);

pub(super) static CAPABILITIES: Schema =
    table("Capabilities", &[acted("add", TEXTS), acted("drop", TEXTS)])
        .with(&[security::capabilities]);

pub(super) static SYSCTL: Schema = table(
    "Sysctl",
    &[acted("name", text(SYSCTL_NAME)).required(), acted("value", FREE_TEXT).required()],
)
.with(&[security::sysctl]);

pub(super) static SE_LINUX_OPTIONS: Schema = table(
    "SELinuxOptions",
    &[checked("level", TEXT), checked("role", TEXT), checked("type", TEXT), checked("user", TEXT)],
);

pub(super) static SECCOMP_PROFILE: Schema = table(
    "SeccompProfile",
    &[
        acted("localhostProfile", TEXT),
        acted("type", words(&["Localhost", "RuntimeDefault", "Unconfined"])).required(),
    ],
)
.with(&[pod::profile, security::profile_path]);

pub(super) static APP_ARMOR_PROFILE: Schema = table(
    "AppArmorProfile",
    &[
        acted("localhostProfile", TEXT),
        acted("type", words(&["Localhost", "RuntimeDefault", "Unconfined"])).required(),
    ],
)
.with(&[pod::profile]);

pub(super) static WINDOWS_SECURITY_CONTEXT_OPTIONS: Schema = table(
    "WindowsSecurityContextOptions",
    &[
        checked("gmsaCredentialSpec", TEXT),
        checked("gmsaCredentialSpecName", TEXT),
        checked("hostProcess", BOOL),
        checked("runAsUserName", TEXT),
    ],
);

pub(super) static POD_DNS_CONFIG: Schema = table(
    "PodDNSConfig",
    &[
        acted("nameservers", texts(IP)),
        acted("options", objects(&POD_DNS_CONFIG_OPTION)),
        acted("searches", texts(DNS_SEARCH)),
    ],
);

pub(super) static POD_DNS_CONFIG_OPTION: Schema =
    table("PodDNSConfigOption", &[acted("name", TEXT).required(), acted("value", TEXT)]);

pub(super) static HOST_ALIAS: Schema =
    table("HostAlias", &[acted("hostnames", texts(SUBDOMAIN)), acted("ip", text(IP)).required()]);
