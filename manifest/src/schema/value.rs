//! What the value of a field may be.

use super::Schema;
use super::format::{Format, LABEL_VALUE, QUALIFIED_NAME};

/// What a value must be. Null counts as absent everywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Type {
    Text(Format),
    Texts(Format),
    /// Texts under keys that the user chose; null is the empty text there.
    TextMap {
        keys: Format,
        values: Format,
    },
    Bool,
    /// A whole number between two bounds, both included.
    Int {
        lowest: i64,
        highest: i64,
    },
    Ints {
        lowest: i64,
        highest: i64,
    },
    /// Permissions of a file: nine bits, mostly written in octal.
    Mode,
    Number,
    /// An amount that is not negative, as `250m` or `1Gi`.
    Quantity,
    /// Quantities by the name of a resource.
    Quantities,
    /// A number that is not negative, or a percentage.
    IntOrPercent {
        highest_percent: u32,
    },
    /// The number of a port, or its name.
    Port,
    Object(&'static Schema),
    Objects(&'static Schema),
    /// Objects under keys that the user chose.
    ObjectMap(&'static Schema),
    /// A map whose content is not looked at.
    AnyMap,
    /// A value that is not looked at.
    Any,
}

pub(crate) const INT32_MIN: i64 = i32::MIN as i64;
pub(crate) const INT32_MAX: i64 = i32::MAX as i64;
pub(crate) const INT64_MIN: i64 = i64::MIN;
pub(crate) const INT64_MAX: i64 = i64::MAX;

pub(crate) const TEXT: Type = text(Format::Any);
/// Text that may be empty also where it is required.
pub(crate) const FREE_TEXT: Type = text(Format::Free);
pub(crate) const TEXTS: Type = texts(Format::Any);
pub(crate) const BOOL: Type = Type::Bool;
/// What counts, or waits for seconds.
pub(crate) const COUNT: Type = int(0, INT32_MAX);
pub(crate) const MODE: Type = Type::Mode;
pub(crate) const NUMBER: Type = Type::Number;
pub(crate) const QUANTITY: Type = Type::Quantity;
pub(crate) const QUANTITIES: Type = Type::Quantities;
pub(crate) const PORT: Type = Type::Port;
pub(crate) const ANY: Type = Type::Any;
/// Labels, or a selector of equal labels.
pub(crate) const LABELS: Type = text_map(QUALIFIED_NAME, LABEL_VALUE);

pub(crate) const fn text(format: Format) -> Type {
    Type::Text(format)
}

pub(crate) const fn texts(format: Format) -> Type {
    Type::Texts(format)
}

pub(crate) const fn words(words: &'static [&'static str]) -> Type {
    Type::Text(Format::Words(words))
}

pub(crate) const fn text_map(keys: Format, values: Format) -> Type {
    Type::TextMap { keys, values }
}

pub(crate) const fn int(lowest: i64, highest: i64) -> Type {
    Type::Int { lowest, highest }
}

pub(crate) const fn ints(lowest: i64, highest: i64) -> Type {
    Type::Ints { lowest, highest }
}

pub(crate) const fn int_or_percent(highest_percent: u32) -> Type {
    Type::IntOrPercent { highest_percent }
}

pub(crate) const fn object(schema: &'static Schema) -> Type {
    Type::Object(schema)
}

pub(crate) const fn objects(schema: &'static Schema) -> Type {
    Type::Objects(schema)
}

pub(crate) const fn object_map(schema: &'static Schema) -> Type {
    Type::ObjectMap(schema)
}

impl Type {
    /// The table of the object, or of the objects in the list or map.
    pub(crate) fn schema(&self) -> Option<&'static Schema> {
        match self {
            Type::Object(schema) | Type::Objects(schema) | Type::ObjectMap(schema) => Some(schema),
            _ => None,
        }
    }
}
