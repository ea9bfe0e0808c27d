//! Config maps and secrets.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use dugout_model::{ConfigMap, Secret, SecretValue, StringMap};

use super::metadata::{check, text_or_empty};
use crate::names;
use crate::problems::quoted;
use crate::reader::{Object, Value};

/// The content of one config map or secret.
const CONTENT_LIMIT_BYTES: usize = 1 << 20;

/// As lenient as Kubernetes: the last bits may be anything, and line breaks do not count.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// The keys that a secret must have, by its type.
const SECRET_KEYS: &[(&str, &[&str])] = &[
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/dockercfg", &[".dockercfg"]),
];

pub(super) fn read_config_map(object: &Object<'_>) -> ConfigMap {
    let mut data = StringMap::new();
    if let Some(value) = object.field("data") {
        value.each_entry(|key, value| {
            check_key(&value, key);
            if let Some(text) = text_or_empty(&value) {
                data.insert(key.to_owned(), text.to_owned());
            }
        });
    }
    let mut binary_data = BTreeMap::new();
    if let Some(value) = object.field("binaryData") {
        value.each_entry(|key, value| {
            check_key(&value, key);
            if data.contains_key(key) {
                value.fail(format!("the key {} is in data as well", quoted(key)));
            }
            if let Some(bytes) = read_base64(&value) {
                binary_data.insert(key.to_owned(), bytes);
            }
        });
        check_size(
            &value,
            data.values().map(String::len).chain(binary_data.values().map(Vec::len)),
        );
    } else if let Some(value) = object.field("data") {
        check_size(&value, data.values().map(String::len));
    }
    ConfigMap { data, binary_data, immutable: read_immutable(object) }
}

/// No message about a secret repeats any of its values; the reader sees to that.
pub(super) fn read_secret(object: &Object<'_>) -> Secret {
    let mut data = BTreeMap::new();
    if let Some(value) = object.field("data") {
        value.each_entry(|key, value| {
            check_key(&value, key);
            if let Some(bytes) = read_base64(&value) {
                data.insert(key.to_owned(), SecretValue::new(bytes));
            }
        });
    }
    if let Some(value) = object.field("stringData") {
        value.each_entry(|key, value| {
            check_key(&value, key);
            if let Some(text) = text_or_empty(&value) {
                data.insert(key.to_owned(), SecretValue::new(text));
            }
        });
    }
    if let Some(value) = object.field("stringData").or_else(|| object.field("data")) {
        check_size(&value, data.values().map(|value| value.expose().len()));
    }
    let secret_type = match object.field("type") {
        Some(value) => read_secret_type(&value, &data),
        None => "Opaque".to_owned(),
    };
    Secret { secret_type, data, immutable: read_immutable(object) }
}

fn read_secret_type(value: &Value<'_>, data: &BTreeMap<String, SecretValue>) -> String {
    // A secret's type is no secret, and so is which keys it lacks.
    let Some(text) = value.text() else { return String::new() };
    if text == "kubernetes.io/service-account-token" {
        value.fail_with(
            "tokens of service accounts are not supported: pods get no credentials for an API server",
            "remove the secret",
        );
    }
    let wanted = SECRET_KEYS.iter().find(|(name, _)| *name == text).map(|(_, keys)| *keys);
    for key in wanted.unwrap_or_default() {
        if !data.contains_key(*key) {
            value.fail(format!("a secret of type {text} must have the key {key}"));
        }
    }
    text.to_owned()
}

fn read_immutable(object: &Object<'_>) -> bool {
    object.field("immutable").and_then(|value| value.boolean()).unwrap_or(false)
}

fn check_key(value: &Value<'_>, key: &str) {
    if let Err(rule) = names::check_config_key(key) {
        value.fail(format!("the key {} {rule}", quoted(key)));
    }
}

fn read_base64(value: &Value<'_>) -> Option<Vec<u8>> {
    let text = text_or_empty(value)?;
    let bytes: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
    match BASE64.decode(bytes) {
        Ok(bytes) => Some(bytes),
        Err(_) => {
            value.fail_with(
                "must be base64",
                "plain text goes into data of a ConfigMap, or stringData of a Secret",
            );
            None
        }
    }
}

fn check_size(value: &Value<'_>, sizes: impl Iterator<Item = usize>) {
    let size: usize = sizes.sum();
    if size > CONTENT_LIMIT_BYTES {
        value.fail(format!("the content may take {CONTENT_LIMIT_BYTES} bytes, not {size}"));
    }
}

/// The name of a config map or secret that something refers to.
pub(super) fn read_name(value: &Value<'_>) -> Option<String> {
    let name = value.text()?;
    check(value, name, names::check_subdomain(name));
    Some(name.to_owned())
}
