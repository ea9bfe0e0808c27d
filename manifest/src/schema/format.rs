//! The forms that texts may have, by name.

use crate::names;
use crate::{image, text_forms};

/// What a text must look like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Format {
    /// Any text; not an empty one where it is required.
    Any,
    /// Any text, also an empty one.
    Free,
    /// One of a few words.
    Words(&'static [&'static str]),
    /// A rule with its name. It gives the rule that was broken, as the end of a sentence that begins
    /// with the text.
    Rule { name: &'static str, check: fn(&str) -> Result<(), &'static str> },
    /// The same for texts that may hold a password, which no message repeats.
    Private { name: &'static str, check: fn(&str) -> Result<(), &'static str> },
}

const fn rule(name: &'static str, check: fn(&str) -> Result<(), &'static str>) -> Format {
    Format::Rule { name, check }
}

pub(crate) const ABSOLUTE_PATH: Format = rule("absolute path", text_forms::check_absolute_path);
pub(crate) const ANNOTATION_KEY: Format = rule("qualified name", names::check_annotation_key);
pub(crate) const BACKSTEP_FREE_PATH: Format =
    rule("path without ..", text_forms::check_no_backsteps);
pub(crate) const BASE64: Format = rule("base64", text_forms::check_base64);
pub(crate) const CIDR: Format = rule("address range", text_forms::check_cidr);
pub(crate) const CLUSTER_IP: Format = rule("IP address or None", text_forms::check_cluster_ip);
pub(crate) const CONFIG_KEY: Format = rule("key of a config map", names::check_config_key);
pub(crate) const CONTROLLER: Format = rule("domain/path", names::check_controller);
pub(crate) const CRON: Format = rule("cron schedule", text_forms::check_cron_schedule);
pub(crate) const DEVICE_PATH: Format = rule("path without ..", text_forms::check_mount_path);
pub(crate) const DNS_SEARCH: Format = rule("DNS name", names::check_dns_search);
pub(crate) const ENDPOINT_IP: Format = rule("IP address", text_forms::check_endpoint_ip);
pub(crate) const FIELD_PATH: Format = rule("field of a pod", text_forms::check_field_path);
pub(crate) const FILE_PATH: Format = rule("relative path", text_forms::check_file_path);
pub(crate) const GIT_URL: Format =
    Format::Private { name: "address of a Git repository", check: text_forms::check_git_url };
pub(crate) const HEADER_NAME: Format = rule("HTTP header", text_forms::check_header_name);
pub(crate) const HEADER_VALUE: Format = rule("printable text", text_forms::check_header_value);
pub(crate) const HOST: Format = rule("host", text_forms::check_host);
pub(crate) const IMAGE: Format = rule("image", image::check);
pub(crate) const INDEXES: Format = rule("indexes", text_forms::check_indexes);
pub(crate) const INGRESS_HOST: Format = rule("DNS name, maybe with *.", names::check_ingress_host);
pub(crate) const IP: Format = rule("IP address", text_forms::check_ip);
pub(crate) const LABEL: Format = rule("DNS label", names::check_label);
pub(crate) const LABEL_VALUE: Format = rule("label value", names::check_label_value);
pub(crate) const MEDIUM: Format = rule("Memory or HugePages", text_forms::check_medium);
pub(crate) const MOUNT_PATH: Format = rule("path without :", text_forms::check_mount_path);
pub(crate) const PATH_SEGMENT: Format = rule("name without /", names::check_path_segment);
pub(crate) const PORT_NAME: Format = rule("port name", names::check_port_name);
pub(crate) const QUALIFIED_NAME: Format = rule("qualified name", names::check_qualified_name);
pub(crate) const RELATIVE_PATH: Format = rule("relative path", text_forms::check_relative_path);
pub(crate) const SERVICE_NAME: Format = rule("service name", names::check_service_name);
pub(crate) const SIGNAL: Format = rule("signal", text_forms::check_signal);
pub(crate) const SUBDOMAIN: Format = rule("DNS name", names::check_subdomain);
pub(crate) const SUBDOMAIN_DOT: Format = rule("DNS name", names::check_dns_search);
pub(crate) const SYSCTL_NAME: Format = rule("name of a sysctl", text_forms::check_sysctl);
pub(crate) const TIME: Format = rule("time", text_forms::check_time);
pub(crate) const TIME_ZONE: Format = rule("time zone", text_forms::check_time_zone);
pub(crate) const URL_PATH: Format = rule("path", text_forms::check_url_path);
pub(crate) const VARIABLE: Format = rule("name of a variable", names::check_variable);
pub(crate) const WEBHOOK_NAME: Format = rule("DNS name of three parts", names::check_webhook_name);
