//! Kubernetes' rules for texts that are no names: paths, addresses, times. Each gives the rule that was
//! broken, as the end of a sentence that begins with the text.

use std::net::IpAddr;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::names;

type Checked = Result<(), &'static str>;

fn ensure(holds: bool, broken: &'static str) -> Checked {
    if holds { Ok(()) } else { Err(broken) }
}

/// As lenient as Kubernetes: the last bits may be anything, and line breaks do not count.
const BASE64_ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// The bytes behind base64 as Kubernetes reads it.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    if text.bytes().any(|byte| matches!(byte, b'\n' | b'\r')) {
        let bytes: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
        return BASE64_ENGINE.decode(bytes).ok();
    }
    BASE64_ENGINE.decode(text).ok()
}

pub(crate) fn check_base64(text: &str) -> Checked {
    ensure(
        decode_base64(text).is_some(),
        "must be base64; plain text goes into data of a ConfigMap, or stringData of a Secret",
    )
}

pub(crate) fn check_absolute_path(text: &str) -> Checked {
    ensure(text.starts_with('/'), "must be an absolute path, which begins with a slash")
}

pub(crate) fn check_no_backsteps(text: &str) -> Checked {
    ensure(!text.split('/').any(|part| part == ".."), "must not contain ..")
}

/// A path below the volume: not absolute, and no step back.
pub(crate) fn check_relative_path(text: &str) -> Checked {
    ensure(!text.starts_with('/'), "must be a relative path, without a slash at its beginning")?;
    check_no_backsteps(text)
}

/// A file in a volume. Names with two dots at their beginning are what swaps its files at once.
pub(crate) fn check_file_path(text: &str) -> Checked {
    check_relative_path(text)?;
    ensure(!text.starts_with(".."), "must not begin with ..")
}

/// Where a volume goes in a container. Engines split mounts at colons.
pub(crate) fn check_mount_path(text: &str) -> Checked {
    ensure(!text.contains(':'), "must not contain a colon")?;
    check_no_backsteps(text)
}

/// The path of a probe; Kubernetes puts a missing slash there itself.
pub(crate) fn check_url_path(text: &str) -> Checked {
    ensure(
        text.bytes().all(|byte| byte.is_ascii_graphic()),
        "must be printable ASCII characters without spaces",
    )
}

pub(crate) fn check_ip(text: &str) -> Checked {
    ensure(text.parse::<IpAddr>().is_ok(), "is not an IP address, as 10.9.8.7 or fd00::1 is")
}

pub(crate) fn check_cluster_ip(text: &str) -> Checked {
    ensure(
        text == "None" || text.parse::<IpAddr>().is_ok(),
        "must be None for a headless service, or an IP address",
    )
}

/// An address that traffic of a service may go to: not the sender's own.
pub(crate) fn check_endpoint_ip(text: &str) -> Checked {
    check_ip(text)?;
    let Ok(address) = text.parse::<IpAddr>() else { return Ok(()) };
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    ensure(
        !(address.is_unspecified()
            || address.is_loopback()
            || address.is_multicast()
            || link_local),
        "must not be an unspecified, loopback, link-local or multicast address",
    )
}

/// An address range, as `10.0.0.0/8`.
pub(crate) fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length: u8 = length.parse().ok()?;
    (length <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, length))
}

pub(crate) fn check_cidr(text: &str) -> Checked {
    ensure(parse_cidr(text).is_some(), "is not an address range, as 10.0.0.0/8 is")
}

pub(crate) fn check_header_name(text: &str) -> Checked {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    ensure(text.bytes().all(token), "is not the name of an HTTP header")
}

pub(crate) fn check_header_value(text: &str) -> Checked {
    let printable = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
    ensure(text.bytes().all(printable), "must be printable ASCII characters")
}

pub(crate) fn check_host(text: &str) -> Checked {
    ensure(
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte)),
        "is not the name or address of a host",
    )
}

/// Indexes of a job, as `0,2-4`, rising.
pub(crate) fn check_indexes(text: &str) -> Checked {
    const RULE: &str = "must be rising numbers and ranges between commas, as 0,2-4";
    let mut last: Option<u32> = None;
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (Ok(from), Ok(to)) = (from.parse::<u32>(), to.parse::<u32>()) else {
            return Err(RULE);
        };
        let rises = last.is_none_or(|last| last < from);
        ensure(rises && (from < to || !part.contains('-')), RULE)?;
        last = Some(to);
    }
    Ok(())
}

pub(crate) fn check_medium(text: &str) -> Checked {
    ensure(
        matches!(text, "Memory" | "HugePages") || text.starts_with("HugePages-"),
        "must be Memory, HugePages or HugePages-SIZE",
    )
}

/// A signal of Linux by its name.
pub(crate) fn check_signal(text: &str) -> Checked {
    const NAMES: &[&str] = &[
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT",
        "KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT", "RTMIN", "RTMAX", "SEGV", "STKFLT", "STOP",
        "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH",
        "XCPU", "XFSZ",
    ];
    let known = text.strip_prefix("SIG").is_some_and(|name| {
        let real_time = name
            .strip_prefix("RTMIN+")
            .or_else(|| name.strip_prefix("RTMAX-"))
            .and_then(|offset| offset.parse::<u8>().ok())
            .is_some_and(|offset| offset <= 15);
        NAMES.contains(&name) || real_time
    });
    ensure(known, "is not a signal, as SIGTERM is")
}

pub(crate) fn check_sysctl(text: &str) -> Checked {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| {
        part.bytes().next().is_some_and(alphanumeric)
            && part.bytes().last().is_some_and(alphanumeric)
            && part.bytes().all(|byte| alphanumeric(byte) || b"-_".contains(&byte))
    };
    ensure(
        text.len() <= 253 && text.split(['.', '/']).all(part),
        "is not the name of a sysctl, as net.core.somaxconn is",
    )
}

/// A moment as `2026-01-31T12:00:00Z`, with a fraction and an offset if wanted.
pub(crate) fn check_time(text: &str) -> Checked {
    ensure(is_time(text), "is not a time, as 2026-01-31T12:00:00Z is")
}

fn is_time(text: &str) -> bool {
    let number = |from: usize, to: usize, lowest: u32, highest: u32| {
        text.get(from..to)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse::<u32>().ok())
            .is_some_and(|number| (lowest..=highest).contains(&number))
    };
    let marks = [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':')];
    let date = number(0, 4, 0, 9999) && number(5, 7, 1, 12) && number(8, 10, 1, 31);
    let time = number(11, 13, 0, 23) && number(14, 16, 0, 59) && number(17, 19, 0, 60);
    if !date || !time || !marks.iter().all(|(at, mark)| text[*at..].starts_with(*mark)) {
        return false;
    }
    let rest = &text[19..];
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
            if zone.len() == fraction.len() {
                return false;
            }
            zone
        }
        None => rest,
    };
    match zone.strip_prefix(['+', '-']) {
        Some(offset) => {
            offset.len() == 5
                && offset.as_bytes()[2] == b':'
                && offset.bytes().enumerate().all(|(at, byte)| at == 2 || byte.is_ascii_digit())
        }
        None => zone == "Z",
    }
}

/// A schedule that Kubernetes' cron jobs take.
pub(crate) fn check_cron_schedule(text: &str) -> Result<(), &'static str> {
    dugout_model::CronSchedule::parse(text).map(drop)
}

/// The name of a time zone by its form: `UTC`, `Europe/Berlin`.
pub(crate) fn check_time_zone(text: &str) -> Checked {
    ensure(text != "Local", "depends on the machine; name a zone, as Europe/Berlin")?;
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+-_".contains(&byte);
    let part = |part: &str| {
        part.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && part.bytes().all(letter)
    };
    ensure(
        text.len() <= 64 && text.split('/').all(part),
        "is not the name of a time zone, as Europe/Berlin is",
    )?;
    let is_known = jiff::tz::TimeZoneDatabase::bundled().get(text).is_ok();
    ensure(is_known, "is no time zone of the IANA database; one of them is Europe/Berlin")
}

/// A field of the pod that containers and volumes may get.
pub(crate) fn check_field_path(text: &str) -> Checked {
    const FIELDS: &[&str] = &[
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "metadata.labels",
        "metadata.annotations",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];
    let keyed = ["metadata.labels['", "metadata.annotations['"]
        .iter()
        .find_map(|start| text.strip_prefix(start)?.strip_suffix("']"))
        .is_some_and(|key| names::check_annotation_key(key).is_ok());
    ensure(
        FIELDS.contains(&text) || keyed,
        "is not a field of a pod that can be handed on, as metadata.name or metadata.labels['KEY'] is",
    )
}

/// A repository by path, URL or `user@host:path`, without credentials.
pub(crate) fn check_git_url(text: &str) -> Checked {
    let rest = match text.split_once("://") {
        Some((scheme, rest)) => {
            ensure(
                matches!(scheme, "file" | "http" | "https" | "ssh"),
                "must begin with https://, http://, ssh:// or file://, or be user@host:path",
            )?;
            rest
        }
        None => text,
    };
    let host = rest.split('/').next().unwrap_or(rest);
    let has_password = host.split_once('@').is_some_and(|(user, _)| user.contains(':'));
    ensure(!has_password, "must not contain a password")?;
    ensure(!text.bytes().any(|byte| byte <= b' '), "must not contain spaces")
}

#[cfg(test)]
mod tests {
    use super::*;

    type Check = fn(&str) -> Checked;

    fn all(check: Check, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(check(text), Ok(()), "{text:?}");
        }
        for text in bad {
            assert!(check(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn paths_stay_where_they_belong() {
        all(check_relative_path, &["a", "a/b", "a..b"], &["/a", "..", "a/../b"]);
        all(check_mount_path, &["/srv", "srv"], &["/a:b", "/a/../b"]);
        all(check_absolute_path, &["/"], &["a", "./a"]);
        all(check_url_path, &["/healthz?x=1", "healthz"], &["/a b", "/ä"]);
    }

    #[test]
    fn addresses_are_addresses() {
        all(check_ip, &["10.0.0.1", "::1"], &["10.0.0", "10.0.0.256", "web", "10.0.0.1/8"]);
        all(
            check_cidr,
            &["10.0.0.0/8", "::/0", "fd00::/64"],
            &["10.0.0.0", "10.0.0.0/33", "a/8", "1.2.3.4/+8"],
        );
        all(check_endpoint_ip, &["10.0.0.1"], &["127.0.0.1", "169.254.0.1", "0.0.0.0", "fe80::1"]);
        all(check_cluster_ip, &["None", "10.0.0.1"], &["none", "Nope"]);
    }

    #[test]
    fn times_and_zones_have_a_form() {
        all(
            check_time,
            &["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456Z", "2026-01-31T12:00:00+01:00"],
            &[
                "2026-01-31",
                "2026-13-31T12:00:00Z",
                "2026-01-31T12:00:00",
                "2026-01-31 12:00:00Z",
                "2026-01-31T12:00:00.Z",
                "ä",
                "2026-01-3äT12:00:00Z",
            ],
        );
        all(
            check_time_zone,
            &["UTC", "Europe/Berlin", "Etc/GMT+1"],
            &["Local", "Europe/", "/UTC", "../x", "TZ=UTC"],
        );
    }

    #[test]
    fn other_forms_follow_kubernetes() {
        all(check_indexes, &["0", "0,2-4", "1-3,5"], &["", "2,1", "1-1", "3-2", "a", "1,,2"]);
        all(check_signal, &["SIGTERM", "SIGRTMIN+3"], &["TERM", "SIGNOPE", "SIGRTMIN+99"]);
        all(
            check_sysctl,
            &["net.core.somaxconn", "kernel/shm_rmid_forced"],
            &["", "net..a", "Net.a"],
        );
        all(
            check_field_path,
            &["metadata.name", "status.podIP", "metadata.labels['app']"],
            &["spec.x", "metadata.labels[app]", "metadata.labels['']"],
        );
        all(
            check_git_url,
            &["https://example.com/a.git", "git@example.com:a.git", "/srv/a"],
            &["ftp://a", "https://a:b@example.com/a", "a b"],
        );
        all(check_base64, &["", "YQ==", "YQ=="], &["YQ", "a b", "?"]);
        all(check_medium, &["Memory", "HugePages-2Mi"], &["memory"]);
    }
}
