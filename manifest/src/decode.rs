//! From a tree to the objects it declares, with Kubernetes' defaults filled in.
//!
//! A document is validated by its kind's table first. Decoders then go over it again, fill in what
//! is left out and tell what Dugout itself cannot do. They go on after a problem with any value in its
//! place, so that all problems are told at once; an object with an error is never handed out.

use std::fmt;
use std::sync::Arc;

use dugout_model::{
    DeclaredObject, Kind, NamespaceName, ObjectKey, ObjectSpec, Origin, POD_INDEX_LABEL,
    POD_NAME_LABEL, PortRef, StringMap,
};

use crate::problems::Mark;
use crate::reader::{Object, Place, Report, Validated, Value};
use crate::schema::{
    GONE, Handling, KINDS, KindEntry, REMOVED, Schema, Scope, find_kind, format::Format, nearest,
};
use crate::validate::{Context, Effects, View, validate};
use crate::yaml::{Node, Position};

mod batch;
mod config;
mod container;
mod deployment;
mod disruption;
mod env;
mod facts;
mod lifecycle;
mod limits;
mod list;
mod metadata;
pub(crate) mod policy;
mod probe;
mod resources;
mod security;
mod service;
mod storage;
mod volume;
mod workload;

use self::list::{decode_list, is_list_of_known};
pub(crate) use facts::{
    AdmissionFacts, ClaimFacts, ContainerFacts, HostPortFacts, NodePort, Spread, WorkloadFacts,
};

/// Which object it is: unique in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Identity {
    pub kind: &'static str,
    pub key: ObjectKey,
}

impl fmt::Display for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.kind, self.key)
    }
}

/// One object of a kind that Dugout looks into.
#[derive(Clone, Debug)]
pub(crate) struct ParsedObject {
    pub id: Identity,
    pub kind: &'static KindEntry,
    pub place: Place,
    /// Where `metadata.namespace` stands, if it is written.
    pub namespace_at: Option<Position>,
    /// Absent when the object has errors, or is of a kind that Dugout does not act on; then its
    /// existence is all that is known of it.
    pub declared: Option<Arc<DeclaredObject>>,
    pub links: Links,
}

impl ParsedObject {
    /// Takes the names that it has in common with another object from there: what belongs together often
    /// has one name, and a file holds thousands of objects of one namespace.
    pub(crate) fn share_names(&mut self, other: Option<&ObjectKey>) {
        let Some(other) = other else { return };
        let key = &mut self.id.key;
        if key.namespace == other.namespace {
            key.namespace = other.namespace.clone();
        }
        if key.name == other.name {
            key.name = other.name.clone();
        }
        if let Some(declared) = self.declared.as_mut().and_then(Arc::get_mut) {
            declared.key = key.clone();
        }
    }
}

/// What an object says about others, to be checked when all are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links {
    pub references: Vec<Reference>,
    /// Of a workload: the pods that it makes.
    pub pods: Option<Box<PodFacts>>,
    pub service: Option<Box<ServiceFacts>>,
    /// What limits and quotas are held against.
    pub admission: Option<Box<AdmissionFacts>>,
}

impl Links {
    /// Gives back the room that was set aside: they are kept for as long as the file is.
    pub(crate) fn fit(&mut self) {
        self.references.shrink_to_fit();
        if let Some(facts) = &mut self.admission {
            facts.claims.shrink_to_fit();
        }
    }

    /// What is left of them when an object is not acted on: what a service account gives to pods.
    fn without_effect(self) -> Self {
        let secrets = self.admission.map(|facts| facts.pull_secrets).unwrap_or_default();
        let facts = AdmissionFacts { pull_secrets: secrets, ..AdmissionFacts::default() };
        let admission = (!facts.pull_secrets.is_empty()).then(|| Box::new(facts));
        Self { admission, ..Self::default() }
    }

    /// The claims that it is or makes.
    pub(crate) fn claims(&self) -> &[ClaimFacts] {
        self.admission.as_ref().map_or(&[], |facts| &facts.claims)
    }
}

/// Another object that one needs.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    pub kind: &'static str,
    pub name: String,
    pub part: Part,
    /// The one who refers could say that it need not be there.
    pub can_be_optional: bool,
    pub place: Place,
}

/// What of the other object must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    Key(String),
    Port(PortRef),
    /// It has to be where it shall be before the one that refers to it begins anything new.
    Rollout,
}

/// What a service sees of pods.
#[derive(Clone, Debug, Default)]
pub(crate) struct PodFacts {
    pub labels: StringMap,
    pub port_names: Box<[String]>,
    /// What few have: together, as there are many pods.
    pub rare: Option<Box<RarePodFacts>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct RarePodFacts {
    /// Of a stateful set's pods, which are labelled with their names and ordinals.
    pub ordinals: Option<Ordinals>,
    /// Where they take ports of their nodes.
    pub host_ports: Option<HostPortFacts>,
}

/// Which pods a stateful set has.
#[derive(Clone, Debug)]
pub(crate) struct Ordinals {
    /// What a pod's name begins with, and its ordinal ends.
    pub prefix: String,
    pub ordinals: std::ops::Range<i64>,
}

impl Ordinals {
    fn has_label(&self, key: &str, value: &str) -> bool {
        let ordinal = match key {
            POD_NAME_LABEL => value.strip_prefix(&self.prefix),
            _ => Some(value),
        };
        let number = ordinal.and_then(|text| text.parse::<i64>().ok());
        number.is_some_and(|number| {
            self.ordinals.contains(&number) && ordinal == Some(number.to_string().as_str())
        })
    }
}

impl PodFacts {
    pub(crate) fn ordinals(&self) -> Option<&Ordinals> {
        self.rare.as_ref()?.ordinals.as_ref()
    }

    pub(crate) fn host_ports(&self) -> Option<&HostPortFacts> {
        self.rare.as_ref()?.host_ports.as_ref()
    }

    /// Whether one of them has the label.
    pub(crate) fn has_label(&self, key: &str, value: &str) -> bool {
        if let (Some(ordinals), true) = (self.ordinals(), is_of_ordinals(key)) {
            return ordinals.has_label(key, value);
        }
        self.labels.get(key).is_some_and(|label| label == value)
    }
}

/// Whether the pods of a stateful set have this label beside those of their template.
pub(crate) fn is_of_ordinals(key: &str) -> bool {
    matches!(key, POD_NAME_LABEL | POD_INDEX_LABEL)
}

/// What others see of a service, and whom it means.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServiceFacts {
    pub selector: StringMap,
    /// Name and number.
    pub ports: Box<[(String, u16)]>,
    pub named_targets: Box<[(String, Place)]>,
    /// The ports of the nodes that it takes.
    pub node_ports: Box<[NodePort]>,
    /// A name for another name: it has no ports of its own.
    pub is_external: bool,
}

/// An object of a group that Dugout does not know: an error, unless its group is skipped.
#[derive(Clone, Debug)]
pub(crate) struct ForeignObject {
    /// Shared by those that stand together.
    pub type_name: Arc<TypeName>,
    pub place: Place,
}

impl ForeignObject {
    /// Takes its type from another object that has the same.
    pub(crate) fn share_type(&mut self, other: Option<&ForeignObject>) {
        if let Some(other) = other.filter(|other| other.type_name == self.type_name) {
            self.type_name = Arc::clone(&other.type_name);
        }
    }

    pub(crate) fn group(&self) -> &str {
        self.type_name.api_version.split('/').next().unwrap_or_default()
    }
}

/// What a document says it is, as it is written; empty where it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TypeName {
    pub api_version: String,
    pub kind: String,
}

impl TypeName {
    /// Cut when it is longer than any that Kubernetes would take.
    pub(crate) fn new(api_version: &str, kind: &str) -> Self {
        let cut = |text: &str| text.chars().take(TYPE_NAME_LIMIT).collect();
        Self { api_version: cut(api_version), kind: cut(kind) }
    }
}

const TYPE_NAME_LIMIT: usize = 253;

/// A document that is no object for Dugout, or none that it can tell apart, and why: of the file's
/// problems the one that decides.
#[derive(Clone, Debug)]
pub(crate) struct Other {
    pub type_name: TypeName,
    pub reason: Option<u32>,
}

/// What came of a document, or of an item of a list.
pub(crate) enum Decoded {
    Object(Box<ParsedObject>),
    Foreign(ForeignObject),
    /// A kind that is never supported, and that nothing refers to.
    Refused(TypeName),
    /// It is not known which object this is; the report says why.
    Unknown(TypeName),
}

/// Reads one document; a list gives what its items are. Each comes with the problem that decides what
/// becomes of it, `since` being where those of the document begin.
pub(crate) fn decode(root: &Node<'_>, report: &Report, since: Mark) -> Vec<(Decoded, Option<u32>)> {
    let mut findings = Findings { found: Vec::with_capacity(1), report, mark: since };
    let value = Value::root(root, report, None);
    decode_value(&value, report, &mut findings);
    // Of a list itself, behind its items.
    if report.deciding_since(findings.mark).is_some() {
        findings.push(Decoded::Refused(type_name_of(&value)));
    }
    findings.found
}

/// What was found so far, with the problems of each.
struct Findings<'r> {
    found: Vec<(Decoded, Option<u32>)>,
    report: &'r Report,
    /// Where the problems of the next one begin.
    mark: Mark,
}

impl Findings<'_> {
    fn push(&mut self, decoded: Decoded) {
        let reason = self.report.deciding_since(self.mark);
        self.mark = self.report.mark();
        self.found.push((decoded, reason));
    }
}

/// What a document says it is, complete or not.
fn type_name_of(value: &Value<'_>) -> TypeName {
    let Some(view) = View::of(*value) else { return TypeName::default() };
    let written = |name| view.written(name).unwrap_or_default();
    TypeName::new(written("apiVersion"), written("kind"))
}

fn decode_value(value: &Value<'_>, report: &Report, found: &mut Findings<'_>) {
    let Some((api_version, kind)) = type_of(value) else {
        return found.push(Decoded::Unknown(type_name_of(value)));
    };
    let type_name = || TypeName::new(api_version, kind);
    let Some(entry) = find_kind(api_version, kind) else {
        if is_list_of_known(api_version, kind) {
            return decode_list(value, report, found);
        }
        return found.push(tell_unknown_type(value, api_version, kind));
    };
    match (&entry.handling, entry.schema) {
        (Handling::List, _) => decode_list(value, report, found),
        (_, Some(schema)) => {
            report.hide_values(entry.kind == "Secret");
            found.push(decode_object(value, entry, schema, report));
            report.hide_values(false);
        }
        (Handling::Refused(why), None) => {
            value.fail(format!("Dugout does not support {kind}: {why}"));
            found.push(match kind {
                // They make other objects.
                "Kustomization" | "Component" => Decoded::Unknown(type_name()),
                _ => Decoded::Refused(type_name()),
            });
        }
        (Handling::Acted(_) | Handling::NotYet { .. } | Handling::Notice(_), None) => {
            value.fail(format!("{kind} has no table of fields; this is a mistake in Dugout"));
            found.push(Decoded::Unknown(type_name()));
        }
    }
}

/// `apiVersion` and `kind`.
fn type_of<'s>(value: &Value<'s>) -> Option<(&'s str, &'s str)> {
    let Some(view) = View::of(*value) else {
        value.fail("a document must be a map with apiVersion and kind");
        return None;
    };
    let hint = "if it is meant for another program, name it in .dugoutignore or move it out of the source's path";
    match (view.written("apiVersion"), view.written("kind")) {
        (Some(api_version), Some(kind)) => return Some((api_version, kind)),
        (None, None) => {
            value.fail_with("this is no Kubernetes object: apiVersion and kind are missing", hint);
        }
        (None, Some(kind)) => match KINDS.iter().find(|entry| entry.kind == kind) {
            Some(entry) => value.fail_with(
                "apiVersion is missing",
                format!("a {kind} is in {}", entry.api_version),
            ),
            None => value.fail_with("apiVersion is missing", hint),
        },
        (Some(_), None) => value.fail_with("kind is missing", hint),
    }
    None
}

fn tell_unknown_type(value: &Value<'_>, api_version: &str, kind: &str) -> Decoded {
    let type_name = TypeName::new(api_version, kind);
    let shown = |text: &str| crate::problems::quoted(text);
    let same =
        |entry_version: &str, entry_kind: &str| entry_kind == kind && entry_version == api_version;
    if let Some(removed) = REMOVED.iter().find(|removed| same(removed.api_version, removed.kind)) {
        let message = format!(
            "Kubernetes no longer serves {kind} in {api_version}; that version was removed"
        );
        value.fail_with(message, format!("use {}", removed.instead));
        return Decoded::Unknown(type_name);
    }
    if let Some((.., instead)) = GONE.iter().find(|(version, gone, _)| same(version, gone)) {
        value.fail_with(format!("Kubernetes has no {kind} any more"), *instead);
        return Decoded::Refused(type_name);
    }
    if let Some(entry) = KINDS.iter().find(|entry| entry.kind == kind)
        && is_core(api_version)
    {
        let message = format!("there is no {kind} in {}", shown(api_version));
        value.fail_with(message, format!("use {}", entry.api_version));
        return Decoded::Unknown(type_name);
    }
    if is_core(api_version) {
        let message = format!("there is no kind {} in {}", shown(kind), shown(api_version));
        match nearest(kind, KINDS.iter().map(|entry| entry.kind)) {
            Some(name) => value.fail_with(message, format!("did you mean {name}?")),
            None => value.fail(message),
        }
        return Decoded::Unknown(type_name);
    }
    Decoded::Foreign(ForeignObject { type_name: Arc::new(type_name), place: value.place() })
}

/// Whether a group is one of Kubernetes' own, in any version.
fn is_core(api_version: &str) -> bool {
    let group = |version: &'_ str| {
        version.split_once('/').map_or(String::new(), |(group, _)| group.to_owned())
    };
    let wanted = group(api_version);
    KINDS.iter().any(|entry| group(entry.api_version) == wanted)
        || REMOVED.iter().any(|removed| group(removed.api_version) == wanted)
}

fn decode_object(
    value: &Value<'_>,
    entry: &'static KindEntry,
    schema: &'static Schema,
    report: &Report,
) -> Decoded {
    let errors_before = report.error_count();
    let effects = match entry.handling {
        Handling::Acted(_) => Effects::Told,
        _ => Effects::Known,
    };
    let mut context = Context::default();
    validate(value, schema, effects, &mut context);
    let identified = identify(value, entry);
    let mut links = context.links;
    let declared = match &entry.handling {
        Handling::Acted(kind) => {
            let sound = report.error_count() == errors_before;
            report.set_validated(if sound { Validated::Sound } else { Validated::Unsound });
            let value = value.as_type(schema);
            let declared = read_declared(&value, *kind, identified.as_ref(), &mut links);
            report.set_validated(Validated::No);
            declared.filter(|_| report.error_count() == errors_before)
        }
        Handling::NotYet { what, hint } => {
            let message = format!("Dugout does not {what} yet");
            match hint.is_empty() {
                true => value.fail(message),
                false => value.fail_with(message, *hint),
            }
            None
        }
        Handling::Refused(why) => {
            value.fail(format!("Dugout does not support {}: {why}", entry.kind));
            None
        }
        Handling::Notice(why) => {
            value.notice(format!("a {} {why}", entry.kind));
            links = links.without_effect();
            None
        }
        Handling::List => None,
    };
    let Some((id, namespace_at)) = identified else {
        return Decoded::Unknown(TypeName::new(entry.api_version, entry.kind));
    };
    let declared = declared.map(Arc::new);
    let place = value.place();
    Decoded::Object(Box::new(ParsedObject {
        id,
        kind: entry,
        place,
        namespace_at,
        declared,
        links,
    }))
}

/// Which object it is, and where its namespace is written; nothing when it has no name.
fn identify(value: &Value<'_>, entry: &'static KindEntry) -> Option<(Identity, Option<Position>)> {
    let root = View::of(*value)?;
    let metadata = root.get("metadata")?;
    let metadata = View::of(metadata)?;
    let name = metadata.get("name");
    if let (Some(value), Format::Rule { check, .. }) = (&name, entry.name)
        && let Some(text) = value.as_text()
        && !text.is_empty()
        && let Err(broken) = check(text)
    {
        value.fail(format!("{} {broken}", value.quote(text)));
    }
    let namespace = metadata.get("namespace");
    if entry.scope == Scope::Cluster
        && let Some(value) = &namespace
    {
        value.notice_with(
            format!("has no effect: {} objects are in no namespace", entry.kind),
            "remove this field",
        );
    }
    let name = metadata.text("name")?;
    let namespace_text = match entry.scope {
        Scope::Cluster => "",
        Scope::Namespaced => metadata.text("namespace").unwrap_or(DEFAULT_NAMESPACE),
    };
    let key = ObjectKey { namespace: NamespaceName::new(namespace_text), name: name.into() };
    Some((Identity { kind: entry.kind, key }, namespace.map(|value| value.at())))
}

/// The object in Dugout's own form. Whether it may be used is the caller's to know.
fn read_declared(
    value: &Value<'_>,
    kind: Kind,
    identified: Option<&(Identity, Option<Position>)>,
    links: &mut Links,
) -> Option<DeclaredObject> {
    let object = value.object()?;
    // Read above; asking again says that they were not overlooked.
    for name in ["apiVersion", "kind"] {
        object.field(name);
    }
    let metadata = object.field("metadata").and_then(|value| value.object());
    let (labels, annotations) = metadata.as_ref().map(metadata::read).unwrap_or_default();
    let spec = read_spec(&object, kind, &labels, &annotations);
    let key = identified?.0.key.clone();
    let metadata = metadata.as_ref();
    let policy = metadata.map(|metadata| policy::read(metadata, kind, &key, links));
    let policy = policy.unwrap_or_default();
    let origin = Origin { file: Arc::default(), line: value.place().line };
    Some(DeclaredObject { key, labels, annotations, policy, spec, written: None, origin })
}

/// The labels and annotations are those of the object itself: a bare pod's are its pod's.
fn read_spec(
    object: &Object<'_>,
    kind: Kind,
    labels: &StringMap,
    annotations: &StringMap,
) -> ObjectSpec {
    match kind {
        Kind::Namespace => {
            // There is nothing to act on in it.
            object.field("spec");
            ObjectSpec::Namespace
        }
        Kind::LimitRange => ObjectSpec::LimitRange(limits::read_range(object)),
        Kind::ResourceQuota => ObjectSpec::ResourceQuota(Box::new(limits::read_quota(object))),
        Kind::ConfigMap => ObjectSpec::ConfigMap(config::read_config_map(object)),
        Kind::Secret => ObjectSpec::Secret(config::read_secret(object)),
        Kind::Service => ObjectSpec::Service(service::read(object)),
        Kind::StorageClass => ObjectSpec::StorageClass(storage::read_class(object, annotations)),
        Kind::PersistentVolume => {
            ObjectSpec::PersistentVolume(Box::new(storage::read_volume(object)))
        }
        Kind::PersistentVolumeClaim => {
            ObjectSpec::PersistentVolumeClaim(Box::new(storage::read_claim(object)))
        }
        Kind::PodDisruptionBudget => {
            ObjectSpec::PodDisruptionBudget(Box::new(disruption::read(object)))
        }
        Kind::Deployment => ObjectSpec::Deployment(Box::new(deployment::read(object))),
        Kind::StatefulSet => ObjectSpec::StatefulSet(Box::new(workload::read_stateful_set(object))),
        Kind::DaemonSet => ObjectSpec::DaemonSet(Box::new(workload::read_daemon_set(object))),
        Kind::ReplicaSet => ObjectSpec::ReplicaSet(Box::new(workload::read_replica_set(object))),
        Kind::ReplicationController => ObjectSpec::ReplicationController(Box::new(
            workload::read_replication_controller(object),
        )),
        Kind::Pod => ObjectSpec::Pod(Box::new(workload::read_pod(object, labels, annotations))),
        Kind::Job => ObjectSpec::Job(Box::new(batch::read_job(object))),
        Kind::CronJob => ObjectSpec::CronJob(Box::new(batch::read_cron_job(object))),
    }
}

/// The namespace of objects that name none.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";
