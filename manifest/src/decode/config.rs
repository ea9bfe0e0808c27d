//! Config maps and secrets.

use dugout_model::{ConfigMap, Secret, SecretValue, SortedMap};

use super::metadata::{read_texts, text_or_empty};
use crate::reader::{Object, Value};
use crate::text_forms::decode_base64;

pub(super) fn read_config_map(object: &Object<'_>) -> ConfigMap {
    let data = object.field("data").map(|value| read_texts(&value)).unwrap_or_default();
    let binary_data = object.field("binaryData").map(|value| read_bytes(&value));
    let binary_data = binary_data.into_iter().flatten().collect();
    ConfigMap { data, binary_data, immutable: read_immutable(object) }
}

/// No message about a secret repeats any of its values; the reader sees to that.
pub(super) fn read_secret(object: &Object<'_>) -> Secret {
    let bytes = object.field("data").map(|value| read_bytes(&value)).unwrap_or_default();
    let mut data: Vec<(String, SecretValue)> =
        bytes.into_iter().map(|(key, bytes)| (key, SecretValue::new(bytes))).collect();
    if let Some(value) = object.field("stringData") {
        // They win over `data`, as the last of a key stays.
        value.each_entry(|key, value| {
            if let Some(text) = text_or_empty(&value) {
                data.push((key.to_owned(), SecretValue::new(text)));
            }
        });
    }
    let data: SortedMap<SecretValue> = data.into_iter().collect();
    let secret_type = match object.field("type") {
        Some(value) => read_secret_type(&value),
        None => "Opaque".to_owned(),
    };
    Secret { secret_type, data, immutable: read_immutable(object) }
}

fn read_secret_type(value: &Value<'_>) -> String {
    let text = value.text().unwrap_or_default();
    if text == "kubernetes.io/service-account-token" {
        value.fail_with(
            "tokens of service accounts are not supported: pods get no credentials for an API server",
            "remove the secret",
        );
    }
    if text.is_empty() { "Opaque".to_owned() } else { text.to_owned() }
}

fn read_immutable(object: &Object<'_>) -> bool {
    object.field("immutable").and_then(|value| value.boolean()).unwrap_or(false)
}

/// What is written as base64, by key.
fn read_bytes(value: &Value<'_>) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    value.each_entry(|key, value| {
        if let Some(bytes) = text_or_empty(&value).and_then(decode_base64) {
            all.push((key.to_owned(), bytes));
        }
    });
    all
}
