//! The tables against Kubernetes' own types: no field too few, none too many, none of another type.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::{
    admissionregistration, apps, autoscaling, batch, core, discovery, networking, node, policy,
    rbac, scheduling, storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration;
use schemars::SchemaGenerator;
use serde_json::{Map, Value as Json};

use crate::schema::format::{BASE64, Format, TIME};
use crate::schema::value::Type;
use crate::schema::{Field, KINDS, Schema, find_kind};

/// Dugout's own kinds, which Kubernetes does not have.
const OWN: &[&str] = &["Source"];

/// Fields that are looked into less than their type would allow, and why that is no loss: they are
/// written by API servers, or are schemas of custom resources, which Dugout does not have.
const LOOSE: &[&str] = &["status", "managedFields"];

/// Fields that Kubernetes' published types require and its API servers do without, or fill in.
const OPTIONAL_AFTER_ALL: &[(&str, &str)] = &[("LimitRangeSpec", "limits"), ("ObjectMeta", "name")];

/// Where our table is another one by design: names and types that differ in a template.
const NARROWED: &[(&str, &str)] = &[
    ("PersistentVolumeClaim", "PersistentVolumeClaim of a StatefulSet"),
    ("ObjectReference", "ObjectReference to a claim"),
];

macro_rules! upstream_kinds {
    ($generator:expr, $($kind:ident: $path:ty),* $(,)?) => {
        [$((stringify!($kind), <$path as k8s_openapi::Resource>::API_VERSION, {
            let _ = $generator.subschema_for::<$path>();
            <$path as schemars::JsonSchema>::schema_name().into_owned()
        })),*]
    };
}

struct Upstream {
    definitions: Map<String, Json>,
    /// The name of the definition by API version and kind.
    kinds: BTreeMap<(&'static str, &'static str), String>,
}

impl Upstream {
    fn new() -> Self {
        let mut generator = SchemaGenerator::default();
        let kinds = upstream_kinds!(
            generator,
            Namespace: core::v1::Namespace,
            ConfigMap: core::v1::ConfigMap,
            Secret: core::v1::Secret,
            Service: core::v1::Service,
            Endpoints: core::v1::Endpoints,
            Pod: core::v1::Pod,
            PodTemplate: core::v1::PodTemplate,
            ReplicationController: core::v1::ReplicationController,
            PersistentVolume: core::v1::PersistentVolume,
            PersistentVolumeClaim: core::v1::PersistentVolumeClaim,
            ResourceQuota: core::v1::ResourceQuota,
            LimitRange: core::v1::LimitRange,
            ServiceAccount: core::v1::ServiceAccount,
            Deployment: apps::v1::Deployment,
            StatefulSet: apps::v1::StatefulSet,
            DaemonSet: apps::v1::DaemonSet,
            ReplicaSet: apps::v1::ReplicaSet,
            Job: batch::v1::Job,
            CronJob: batch::v1::CronJob,
            EndpointSlice: discovery::v1::EndpointSlice,
            Ingress: networking::v1::Ingress,
            IngressClass: networking::v1::IngressClass,
            NetworkPolicy: networking::v1::NetworkPolicy,
            StorageClass: storage::v1::StorageClass,
            CSIDriver: storage::v1::CSIDriver,
            PodDisruptionBudget: policy::v1::PodDisruptionBudget,
            HorizontalPodAutoscaler: autoscaling::v1::HorizontalPodAutoscaler,
            HorizontalPodAutoscaler: autoscaling::v2::HorizontalPodAutoscaler,
            PriorityClass: scheduling::v1::PriorityClass,
            RuntimeClass: node::v1::RuntimeClass,
            Role: rbac::v1::Role,
            RoleBinding: rbac::v1::RoleBinding,
            ClusterRole: rbac::v1::ClusterRole,
            ClusterRoleBinding: rbac::v1::ClusterRoleBinding,
            CustomResourceDefinition: apiextensions::v1::CustomResourceDefinition,
            APIService: apiregistration::v1::APIService,
            MutatingWebhookConfiguration: admissionregistration::v1::MutatingWebhookConfiguration,
            ValidatingWebhookConfiguration:
                admissionregistration::v1::ValidatingWebhookConfiguration,
        );
        let kinds =
            kinds.into_iter().map(|(kind, version, name)| ((version, kind), name)).collect();
        Self { definitions: generator.take_definitions(true), kinds }
    }
}

/// What a type of Kubernetes is, by its JSON schema.
#[derive(Debug, PartialEq)]
enum Shape<'a> {
    Text,
    Bytes,
    Time,
    Bool,
    Int,
    Number,
    Quantity,
    IntOrText,
    Any,
    Object(&'a str),
    List(Box<Shape<'a>>),
    Map(Box<Shape<'a>>),
}

fn shape(schema: &Json) -> Shape<'_> {
    let named = schema.get("$ref").or_else(|| schema.pointer("/allOf/0/$ref"));
    if let Some(name) = named.and_then(Json::as_str) {
        let name = name.rsplit('/').next().unwrap_or(name);
        return match name.rsplit('.').next().unwrap_or(name) {
            "Quantity" => Shape::Quantity,
            "Time" | "MicroTime" => Shape::Time,
            "IntOrString" => Shape::IntOrText,
            "RawExtension"
            | "FieldsV1"
            | "JSON"
            | "JSONSchemaPropsOrBool"
            | "JSONSchemaPropsOrArray"
            | "JSONSchemaPropsOrStringArray"
            | "CustomResourceSubresourceStatus" => Shape::Any,
            _ => Shape::Object(name),
        };
    }
    let kind = match schema.get("type") {
        Some(Json::Array(several)) => {
            several.iter().filter_map(Json::as_str).find(|name| *name != "null")
        }
        Some(one) => one.as_str(),
        None => None,
    };
    let format = schema.get("format").and_then(Json::as_str);
    match kind {
        Some("string") if format == Some("byte") => Shape::Bytes,
        Some("string") => Shape::Text,
        Some("boolean") => Shape::Bool,
        Some("integer") => Shape::Int,
        Some("number") => Shape::Number,
        Some("array") => Shape::List(Box::new(schema.get("items").map_or(Shape::Any, shape))),
        Some("object") => match schema.get("additionalProperties") {
            Some(inner) => Shape::Map(Box::new(shape(inner))),
            None => Shape::Any,
        },
        _ => Shape::Any,
    }
}

/// Whether a table's type accepts what the shape allows. Gives the definition to go on with.
fn fits<'a>(value: &Type, shape: &Shape<'a>) -> Result<Option<&'a str>, ()> {
    let is = |format: &Format, other: Format| match (format, other) {
        (Format::Rule { name, .. }, Format::Rule { name: wanted, .. }) => *name == wanted,
        _ => false,
    };
    match (value, shape) {
        (Type::Text(format), Shape::Bytes) if is(format, BASE64) => Ok(None),
        (Type::Text(format), Shape::Time) if is(format, TIME) => Ok(None),
        (Type::Text(_), Shape::Text)
        | (Type::Bool, Shape::Bool)
        | (Type::Int { .. } | Type::Mode, Shape::Int)
        | (Type::Number, Shape::Number)
        | (Type::Quantity, Shape::Quantity)
        | (Type::Port | Type::IntOrPercent { .. }, Shape::IntOrText)
        | (Type::Any, Shape::Any) => Ok(None),
        (Type::Object(_), Shape::Object(name)) => Ok(Some(name)),
        (_, Shape::List(item)) => match (value, &**item) {
            (Type::Texts(_), Shape::Text) | (Type::Ints { .. }, Shape::Int) => Ok(None),
            (Type::Any, Shape::Any) => Ok(None),
            (Type::Objects(_), Shape::Object(name)) => Ok(Some(name)),
            _ => Err(()),
        },
        (_, Shape::Map(item)) => match (value, &**item) {
            (Type::TextMap { values, .. }, Shape::Bytes) if is(values, BASE64) => Ok(None),
            (Type::TextMap { .. }, Shape::Text) | (Type::Quantities, Shape::Quantity) => Ok(None),
            (Type::Any, Shape::Any) => Ok(None),
            (Type::ObjectMap(_), Shape::Object(name)) => Ok(Some(name)),
            _ => Err(()),
        },
        _ => Err(()),
    }
}

struct Comparison<'a> {
    upstream: &'a Upstream,
    seen: BTreeSet<(&'static str, &'a str)>,
    wrong: Vec<String>,
}

impl<'a> Comparison<'a> {
    fn compare(&mut self, table: &'static Schema, definition: &'a str) {
        if !self.seen.insert((table.name, definition)) {
            return;
        }
        let short = definition.rsplit('.').next().unwrap_or(definition);
        let known = &self.upstream.definitions[definition];
        let properties: Vec<(&String, &Json)> =
            known.get("properties").and_then(Json::as_object).into_iter().flatten().collect();
        let required: Vec<&str> = known
            .get("required")
            .and_then(Json::as_array)
            .map(|names| names.iter().filter_map(Json::as_str).collect())
            .unwrap_or_default();
        for (name, property) in &properties {
            match table.fields.iter().find(|field| field.name == **name) {
                None => self.wrong.push(format!("{short}.{name} is in no table")),
                Some(field) => {
                    let must = required.contains(&name.as_str());
                    self.compare_field(short, table, field, property, must);
                }
            }
        }
        for field in table.fields {
            if !properties.iter().any(|(name, _)| *name == field.name) {
                self.wrong.push(format!("{short}.{} does not exist in Kubernetes", field.name));
            }
        }
    }

    fn compare_field(
        &mut self,
        short: &str,
        table: &'static Schema,
        field: &'static Field,
        property: &'a Json,
        must: bool,
    ) {
        let narrowed = NARROWED.contains(&(short, table.name)) || table.name.contains("template");
        if must
            && !field.required
            && !narrowed
            && !OPTIONAL_AFTER_ALL.contains(&(short, field.name))
        {
            self.wrong.push(format!("{short}.{} is required", field.name));
        }
        if LOOSE.contains(&field.name) {
            return;
        }
        let shape = shape(property);
        match fits(&field.value, &shape) {
            Err(()) => self.wrong.push(format!(
                "{short}.{} is {shape:?}, and not {:?}",
                field.name,
                field
                    .value
                    .schema()
                    .map_or_else(|| format!("{:?}", field.value), |schema| schema.name.to_owned())
            )),
            Ok(None) => {}
            Ok(Some(definition)) => {
                if let Some(inner) = field.value.schema() {
                    self.compare(inner, definition);
                }
            }
        }
    }
}

#[test]
fn tables_hold_exactly_what_kubernetes_has() {
    let upstream = Upstream::new();
    let mut comparison =
        Comparison { upstream: &upstream, seen: BTreeSet::new(), wrong: Vec::new() };
    for entry in KINDS.iter().filter(|entry| !OWN.contains(&entry.kind)) {
        let Some(table) = entry.schema else { continue };
        let name = upstream.kinds.get(&(entry.api_version, entry.kind));
        let name = name.unwrap_or_else(|| panic!("{} is not compared", entry.kind));
        comparison.compare(table, name);
    }
    for (version, kind) in upstream.kinds.keys() {
        assert!(find_kind(version, kind).is_some(), "{kind} of {version} has no table");
    }
    let wrong = comparison.wrong;
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    assert!(comparison.seen.len() > 250, "only {} types were compared", comparison.seen.len());
}
