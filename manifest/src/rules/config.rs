//! Config maps and secrets.

use std::collections::BTreeSet;

use crate::problems::quoted;
use crate::text_forms::decode_base64;
use crate::validate::{Context, View};

/// The content of one config map or secret.
const CONTENT_LIMIT_BYTES: usize = 1 << 20;

/// The keys that a secret must have, by its type.
const SECRET_KEYS: &[(&str, &[&str])] = &[
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/dockercfg", &[".dockercfg"]),
];

pub(crate) fn config_map(map: &View<'_>, _: &mut Context) {
    if let Some(binary) = map.get("binaryData") {
        let plain: BTreeSet<&str> = keys(map, "data").collect();
        for entry in binary.entries().unwrap_or_default() {
            if plain.contains(&*entry.key) {
                let value = binary.under_key(entry);
                value.fail_key(format!("the key {} is in data as well", quoted(&entry.key)), None);
            }
        }
    }
    let size = plain_bytes(map, "data") + decoded_bytes(map, "binaryData", |_| true);
    check_size(map, size, &["binaryData", "data"]);
}

/// No message about a secret repeats any of its values; its keys and its type are no secret.
pub(crate) fn secret(secret: &View<'_>, _: &mut Context) {
    let replaced: BTreeSet<&str> = keys(secret, "stringData").collect();
    let size = plain_bytes(secret, "stringData")
        + decoded_bytes(secret, "data", |key| !replaced.contains(key));
    check_size(secret, size, &["stringData", "data"]);
    let Some(value) = secret.get("type") else { return };
    let Some(text) = value.as_text() else { return };
    let wanted = SECRET_KEYS.iter().find(|(name, _)| *name == text).map(|(_, keys)| *keys);
    let all: BTreeSet<&str> = replaced.into_iter().chain(keys(secret, "data")).collect();
    for key in wanted.unwrap_or_default() {
        if !all.contains(key) {
            value.fail(format!("a secret of type {text} must have the key {key}"));
        }
    }
    for key in wanted.unwrap_or_default() {
        if key.starts_with(".docker") && !is_json_object(secret, key) {
            value.fail_with(
                format!("the key {key} of a secret of type {text} must hold a JSON object"),
                "write what `kubectl create secret docker-registry --dry-run=client -o yaml` prints",
            );
        }
    }
    if text == "kubernetes.io/basic-auth"
        && !["username", "password"].iter().any(|key| all.contains(key))
    {
        value.fail(format!("a secret of type {text} must have the key username or password"));
    }
}

/// Whether a key holds a JSON object. One that is missing, or that is no base64, is told elsewhere.
fn is_json_object(secret: &View<'_>, key: &str) -> bool {
    let find = |field| secret.pairs(field).find(|(own, _)| *own == key).map(|(_, text)| text);
    let bytes = match (find("stringData"), find("data")) {
        (Some(text), _) => Some(text.as_bytes().to_vec()),
        (None, Some(text)) => decode_base64(text),
        (None, None) => None,
    };
    bytes.is_none_or(|bytes| {
        serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes).is_ok()
    })
}

fn keys<'s>(object: &View<'s>, name: &'static str) -> impl Iterator<Item = &'s str> {
    object.members(name).iter().map(|entry| &*entry.key)
}

fn plain_bytes(object: &View<'_>, name: &'static str) -> usize {
    object.pairs(name).map(|(_, text)| text.len()).sum()
}

/// How many bytes come of base64, without decoding it.
fn decoded_bytes(object: &View<'_>, name: &'static str, counts: impl Fn(&str) -> bool) -> usize {
    let decoded = |text: &str| {
        let signs = text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r' | b'=')).count();
        signs * 3 / 4
    };
    object.pairs(name).filter(|(key, _)| counts(key)).map(|(_, text)| decoded(text)).sum()
}

fn check_size(object: &View<'_>, size: usize, names: &[&'static str]) {
    if size <= CONTENT_LIMIT_BYTES {
        return;
    }
    let message = format!("the content may take {CONTENT_LIMIT_BYTES} bytes, not {size}");
    if let Some(name) = names.iter().find(|name| object.has(name))
        && let Some(value) = object.get(name)
    {
        value.fail(message);
    }
}
