//! `meta.k8s.io/v1` tables: what `kubectl get` and `dugout get` print.

use std::time::Duration;

use dugout_model::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::age::age;
use crate::columns;
use crate::convert::Object;
use crate::resource::Resource;

/// A table as it goes over the wire.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    pub api_version: String,
    pub kind: String,
    pub metadata: ListMeta,
    pub column_definitions: Vec<Column>,
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub cell_type: String,
    /// `name` for the column that names the object.
    pub format: String,
    pub description: String,
    /// Above 0: only in wide output.
    pub priority: i32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub cells: Vec<Value>,
    /// The object, its metadata alone, or nothing, as the caller asked.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub object: Value,
}

/// How much of each object a table carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IncludeObject {
    None,
    Metadata,
    Object,
}

/// The table of some objects of one resource.
pub(crate) fn table(
    resource: Resource,
    metadata: ListMeta,
    objects: &[Object],
    include: IncludeObject,
    now: Timestamp,
) -> Table {
    let rows = objects
        .iter()
        .map(|object| Row { cells: columns::cells(object, now), object: carried(object, include) })
        .collect();
    Table {
        api_version: "meta.k8s.io/v1".to_owned(),
        kind: "Table".to_owned(),
        metadata,
        column_definitions: columns::definitions(resource),
        rows,
    }
}

fn carried(object: &Object, include: IncludeObject) -> Value {
    match include {
        IncludeObject::None => Value::Null,
        IncludeObject::Metadata => serde_json::json!({
            "apiVersion": "meta.k8s.io/v1",
            "kind": "PartialObjectMetadata",
            "metadata": object.metadata(),
        }),
        // Every value in an object has text keys and finite numbers, so this does not fail.
        IncludeObject::Object => serde_json::to_value(object).unwrap_or(Value::Null),
    }
}

/// The time since a moment as a cell shows it.
pub(crate) fn age_cell(at: Option<&Time>, now: Timestamp) -> Value {
    let Some(at) = at else { return Value::from("<unknown>") };
    Value::from(age(since(at, now)))
}

pub(crate) fn since(at: &Time, now: Timestamp) -> Duration {
    now.since(Timestamp::from_micros(at.0.as_microsecond()))
}
