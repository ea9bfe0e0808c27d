//! `metadata`: names, labels and annotations.

use dugout_model::{Kind, ObjectKey, StringMap};

use super::object_key;
use crate::names;
use crate::problems::quoted;
use crate::reader::{Object, Place, Value};

pub(super) struct Metadata {
    pub key: ObjectKey,
    pub labels: StringMap,
    pub annotations: StringMap,
    pub namespace_place: Option<Place>,
}

/// All annotations of an object together.
const ANNOTATIONS_LIMIT_BYTES: usize = 256 << 10;

/// A copy of the object, which kubectl leaves; of a secret, it holds the content.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Annotations by which other programs are steered; the sentence follows the key.
const FOREIGN_ANNOTATIONS: &[(&str, &str)] = &[
    ("service.beta.kubernetes.io/", "steers a cloud's load balancers, of which Dugout makes none"),
    ("service.kubernetes.io/", "steers how Kubernetes spreads traffic"),
    ("cloud.google.com/", "steers a cloud's load balancers, of which Dugout makes none"),
    ("networking.gke.io/", "steers a cloud's load balancers, of which Dugout makes none"),
    ("alb.ingress.kubernetes.io/", "steers a cloud's load balancers, of which Dugout makes none"),
    ("eks.amazonaws.com/", "gives pods a cloud's credentials, which Dugout does not"),
    ("iam.gke.io/", "gives pods a cloud's credentials, which Dugout does not"),
    ("azure.workload.identity/", "gives pods a cloud's credentials, which Dugout does not"),
    (
        "container.apparmor.security.beta.kubernetes.io/",
        "sets an AppArmor profile, which Dugout does not",
    ),
    ("seccomp.security.alpha.kubernetes.io/", "sets a seccomp profile, which Dugout does not"),
    ("cluster-autoscaler.kubernetes.io/", "steers an autoscaler, which Dugout does not have"),
    ("deployment.kubernetes.io/revision", "is set by Kubernetes; Dugout counts revisions itself"),
];

/// Reads the metadata of an object; nothing when it cannot be told which object it is.
pub(super) fn read(metadata: &Object<'_>, kind: Kind) -> Option<Metadata> {
    let name = metadata.field("name").and_then(|value| {
        let name = value.text()?;
        let rule = match kind {
            Kind::Namespace => names::check_label(name),
            Kind::Service => names::check_service_name(name),
            Kind::ConfigMap | Kind::Secret | Kind::Deployment => names::check_subdomain(name),
        };
        check(&value, name, rule);
        Some(name)
    });
    let namespace_field = metadata.field("namespace");
    let namespace = namespace_field.and_then(|value| {
        let namespace = value.text()?;
        if kind == Kind::Namespace {
            value.fail_with("a Namespace is in no namespace", "remove this field");
        } else {
            check(&value, namespace, names::check_label(namespace));
        }
        Some(namespace)
    });
    let labels = metadata.field("labels").map(|value| read_labels(&value)).unwrap_or_default();
    let annotations =
        metadata.field("annotations").map(|value| read_annotations(&value)).unwrap_or_default();
    Some(Metadata {
        key: object_key(kind, namespace, name?),
        labels,
        annotations,
        namespace_place: namespace_field.map(|value| value.place()),
    })
}

/// Tells when a text breaks a rule for names.
pub(super) fn check(value: &Value<'_>, text: &str, rule: Result<(), &'static str>) {
    if let Err(rule) = rule {
        value.fail(format!("{} {rule}", value.quote(text)));
    }
}

/// Labels, or a selector's `matchLabels`, or a node selector.
pub(super) fn read_labels(value: &Value<'_>) -> StringMap {
    let mut labels = StringMap::new();
    value.each_entry(|key, value| {
        if let Err(rule) = names::check_qualified_name(key) {
            value.fail(format!("the key {} {rule}", quoted(key)));
        }
        if let Some(text) = text_or_empty(&value) {
            check(&value, text, names::check_label_value(text));
            labels.insert(key.to_owned(), text.to_owned());
        }
    });
    labels
}

pub(super) fn read_annotations(value: &Value<'_>) -> StringMap {
    let mut annotations = StringMap::new();
    value.each_entry(|key, value| {
        // Kubernetes allows upper case in the prefix of an annotation, and only there.
        if let Err(rule) = names::check_qualified_name(&key.to_ascii_lowercase()) {
            value.fail(format!("the key {} {rule}", quoted(key)));
        }
        if key == LAST_APPLIED {
            value.notice_with("has no effect, and is not kept: kubectl left it", "remove it");
            return;
        }
        if let Some((_, why)) = FOREIGN_ANNOTATIONS.iter().find(|(start, _)| key.starts_with(start))
        {
            value.notice(format!("has no effect: it {why}"));
        }
        if let Some(text) = text_or_empty(&value) {
            annotations.insert(key.to_owned(), text.to_owned());
        }
    });
    let size: usize = annotations.iter().map(|(key, text)| key.len() + text.len()).sum();
    if size > ANNOTATIONS_LIMIT_BYTES {
        value.fail(format!("annotations may take {ANNOTATIONS_LIMIT_BYTES} bytes, not {size}"));
    }
    annotations
}

/// Text in a map of texts, where Kubernetes takes null for the empty text.
pub(super) fn text_or_empty<'s>(value: &Value<'s>) -> Option<&'s str> {
    if value.is_null() { Some("") } else { value.text() }
}
