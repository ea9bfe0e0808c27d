//! Namespaces, config maps and secrets.

use super::format::Format::Free;
use super::format::{BASE64, CONFIG_KEY};
use super::value::{BOOL, TEXT, TEXTS, object, text_map};
use super::{API_VERSION, KIND, METADATA, STATUS, Schema, acted, notice, table};
use crate::rules::config;

pub(super) static NAMESPACE: Schema = table(
    "Namespace",
    &[API_VERSION, KIND, METADATA, acted("spec", object(&NAMESPACE_SPEC)), STATUS],
);

pub(super) static NAMESPACE_SPEC: Schema = table(
    "NamespaceSpec",
    &[notice("finalizers", TEXTS, "has no effect: Dugout has no finalizers")],
);

pub(super) static CONFIG_MAP: Schema = table(
    "ConfigMap",
    &[
        API_VERSION,
        KIND,
        METADATA,
        acted("data", text_map(CONFIG_KEY, Free)),
        acted("binaryData", text_map(CONFIG_KEY, BASE64)),
        acted("immutable", BOOL),
    ],
)
.with(&[config::config_map]);

pub(super) static SECRET: Schema = table(
    "Secret",
    &[
        API_VERSION,
        KIND,
        METADATA,
        acted("type", TEXT),
        acted("data", text_map(CONFIG_KEY, BASE64)),
        acted("stringData", text_map(CONFIG_KEY, Free)),
        acted("immutable", BOOL),
    ],
)
.with(&[config::secret]);
