//! A cursor over a tree that tells every problem it meets and never stops at the first.
//!
//! An [`Object`] checks all keys of its map against its [`Schema`] when it is opened: unknown fields,
//! fields without effect, fields that are refused, and required ones that are missing. Decoders then
//! ask for fields by name; a field that the table calls acted on and nobody asked for is a mistake of
//! ours, and is told as one rather than ignored.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;

use dugout_model::{Problem, Severity};

use crate::problems::{Mark, Problems, quoted};
use crate::schema::{Field, Schema, Support};
use crate::yaml::{Entry, Node, Position, ScalarKind, Value as Tree};

mod view;

pub(crate) use view::View;

/// What is a boolean to kubectl and a text to kustomize.
const WORDS_OF_BOOLEANS: [&str; 6] = ["yes", "no", "on", "off", "y", "n"];

/// What is told of a null in a list.
const EMPTY_ITEM: &str = "an item of the list is empty";

/// What is shared by everything read from one document.
#[derive(Debug)]
pub(crate) struct Report {
    problems: RefCell<Problems>,
    /// No message may repeat a value: the document is a secret.
    sensitive: Cell<bool>,
    validated: Cell<Validated>,
}

/// Whether the tables have told what is wrong with the form of values, so that reading them tells it
/// no more, and what they found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validated {
    No,
    Sound,
    /// A decoder may then not come to fields that it would read.
    Unsound,
}

impl Report {
    /// Goes on with the problems of the documents before.
    pub(crate) fn new(problems: Problems) -> Self {
        Self {
            problems: RefCell::new(problems),
            sensitive: Cell::new(false),
            validated: Cell::new(Validated::No),
        }
    }

    pub(crate) fn into_problems(self) -> Problems {
        self.problems.into_inner()
    }

    /// Whether messages may repeat values, from here on.
    pub(crate) fn hide_values(&self, hide: bool) {
        self.sensitive.set(hide);
    }

    pub(crate) fn set_validated(&self, validated: Validated) {
        self.validated.set(validated);
    }

    pub(crate) fn error_count(&self) -> usize {
        self.problems.borrow().error_count()
    }

    pub(crate) fn mark(&self) -> Mark {
        self.problems.borrow().mark()
    }

    pub(crate) fn deciding_since(&self, mark: Mark) -> Option<u32> {
        self.problems.borrow().deciding_since(mark)
    }

    /// Whether what is told from here on is only counted, so that hints are not worth their price.
    fn is_full(&self) -> bool {
        self.problems.borrow().is_full()
    }
}

/// Where a value stands in its object, as a chain on the stack: most values never have a problem.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path<'s> {
    parent: Option<&'s Path<'s>>,
    step: Step<'s>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'s> {
    Root,
    Field(&'s str),
    Index(usize),
    /// A key that the user chose.
    Key(&'s str),
}

impl<'s> Path<'s> {
    pub(crate) const ROOT: Path<'static> = Path { parent: None, step: Step::Root };

    fn then(&'s self, step: Step<'s>) -> Path<'s> {
        Path { parent: Some(self), step }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(out)?;
            if !matches!(parent.step, Step::Root) && matches!(self.step, Step::Field(_)) {
                out.write_str(".")?;
            }
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) => out.write_str(name),
            Step::Index(index) => write!(out, "[{index}]"),
            Step::Key(key) => {
                let short: String = key.chars().take(80).collect();
                write!(out, "['{}']", short.escape_debug())
            }
        }
    }
}

/// A place to tell a problem about later, when the whole revision is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub line: u32,
    pub column: u32,
    pub field_path: Box<str>,
}

/// One value with all that is needed to tell what is wrong with it.
#[derive(Clone, Copy)]
pub(crate) struct Value<'s> {
    node: &'s Node<'s>,
    path: Path<'s>,
    report: &'s Report,
    inner: Option<&'static Schema>,
    /// Where the key stands that the user chose for it; itself where there is none.
    key_at: Position,
}

/// A map whose fields a schema knows.
pub(crate) struct Object<'s> {
    entries: &'s [Entry<'s>],
    at: Position,
    path: Path<'s>,
    report: &'s Report,
    schema: &'static Schema,
    errors_before: usize,
    /// One bit for each field of the schema that a decoder asked for.
    asked: Cell<u64>,
}

impl<'s> Value<'s> {
    pub(crate) fn root(
        node: &'s Node<'s>,
        report: &'s Report,
        schema: Option<&'static Schema>,
    ) -> Self {
        Self { node, path: Path::ROOT, report, inner: schema, key_at: node.at }
    }

    /// Where the value stands.
    pub(crate) fn at(&self) -> Position {
        self.node.at
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.node.value, Tree::List(_))
    }

    pub(crate) fn place(&self) -> Place {
        let Position { line, column } = self.node.at;
        Place { line, column, field_path: self.path.to_string().into() }
    }

    /// Tells an error at this value.
    pub(crate) fn fail(&self, message: impl Into<String>) {
        self.tell(Severity::Error, message.into(), None);
    }

    pub(crate) fn fail_with(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.tell(Severity::Error, message.into(), Some(hint.into()));
    }

    pub(crate) fn notice(&self, message: impl Into<String>) {
        self.tell(Severity::Notice, message.into(), None);
    }

    pub(crate) fn notice_with(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.tell(Severity::Notice, message.into(), Some(hint.into()));
    }

    /// Tells an error of the key that the user chose for this value.
    pub(crate) fn fail_key(&self, message: impl Into<String>, hint: Option<&str>) {
        let hint = hint.map(str::to_owned);
        self.report.tell(Severity::Error, self.key_at, &self.path, message.into(), hint);
    }

    pub(crate) fn notice_key(&self, message: impl Into<String>, hint: Option<&str>) {
        let hint = hint.map(str::to_owned);
        self.report.tell(Severity::Notice, self.key_at, &self.path, message.into(), hint);
    }

    /// Tells that the value has the wrong form, unless the tables did.
    fn mistyped(&self, message: impl Into<String>, hint: impl Into<String>) {
        if self.report.validated.get() == Validated::No {
            self.fail_with(message, hint);
        }
    }

    fn mistyped_bare(&self, message: impl Into<String>) {
        if self.report.validated.get() == Validated::No {
            self.fail(message);
        }
    }

    fn tell(&self, severity: Severity, message: String, hint: Option<String>) {
        self.report.tell(severity, self.node.at, &self.path, message, hint);
    }

    /// The value as text.
    pub(crate) fn text(&self) -> Option<&'s str> {
        match &self.node.value {
            Tree::Scalar { text, kind: ScalarKind::Text } => Some(text),
            Tree::Scalar { text, kind } if !self.report.sensitive.get() => {
                let what = self.describe();
                let hint = match kind {
                    ScalarKind::Null => "write \"\" for an empty text".to_owned(),
                    _ => format!("put it in quotes: {text:?}"),
                };
                self.mistyped(format!("must be text, not {what}"), hint);
                None
            }
            Tree::Scalar { .. } => {
                self.mistyped(format!("must be text, not {}", self.describe()), "put it in quotes");
                None
            }
            _ => {
                self.mistyped_bare(format!("must be text, not {}", self.describe()));
                None
            }
        }
    }

    /// The value as a whole number between two bounds, both included.
    pub(crate) fn int(&self, lowest: i64, highest: i64) -> Option<i64> {
        let Tree::Scalar { kind: ScalarKind::Int(number), .. } = self.node.value else {
            let message = format!("must be a whole number, not {}", self.describe());
            match &self.node.value {
                Tree::Scalar { text, kind: ScalarKind::Text } if text.parse::<i64>().is_ok() => {
                    self.mistyped(message, "take the quotes away");
                }
                _ => self.mistyped_bare(message),
            }
            return None;
        };
        if (lowest..=highest).contains(&number) {
            return Some(number);
        }
        self.mistyped_bare(format!("must be between {lowest} and {highest}, not {number}"));
        None
    }

    pub(crate) fn u32(&self, lowest: u32, highest: u32) -> Option<u32> {
        self.int(lowest.into(), highest.into()).and_then(|number| u32::try_from(number).ok())
    }

    /// A port number.
    pub(crate) fn port(&self) -> Option<u16> {
        self.int(1, 65535).and_then(|number| u16::try_from(number).ok())
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        if let Tree::Scalar { kind: ScalarKind::Bool(value), .. } = self.node.value {
            return Some(value);
        }
        let is_word = self.as_text().is_some_and(|text| {
            WORDS_OF_BOOLEANS.iter().any(|word| text.eq_ignore_ascii_case(word))
        });
        let hint = match is_word {
            true => {
                "write true or false: this is a text in quotes, and without where kustomize reads it"
            }
            false => "write true or false without quotes",
        };
        self.mistyped(format!("must be true or false, not {}", self.describe()), hint);
        None
    }

    /// One of a few words, given with what each means.
    pub(crate) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*meaning);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.mistyped_bare(format!("{} is not one of {}", self.quote(text), known.join(", ")));
        None
    }

    pub(crate) fn is_null(&self) -> bool {
        self.node.is_null()
    }

    /// The number zero, which Kubernetes takes for "not set" in many fields.
    pub(crate) fn is_zero(&self) -> bool {
        self.kind() == Some(ScalarKind::Int(0))
    }

    pub(crate) fn kind(&self) -> Option<ScalarKind> {
        match self.node.value {
            Tree::Scalar { kind, .. } => Some(kind),
            _ => None,
        }
    }

    /// A number or a text, as it is written.
    pub(crate) fn number_or_text(&self) -> Option<&'s str> {
        match &self.node.value {
            Tree::Scalar {
                text,
                kind: ScalarKind::Text | ScalarKind::Int(_) | ScalarKind::Float,
            } => Some(text),
            _ => {
                self.mistyped_bare(format!("must be a number or text, not {}", self.describe()));
                None
            }
        }
    }

    /// The map as the object that the table says it is; opened, it has told what the table knows.
    pub(crate) fn object(&self) -> Option<Object<'s>> {
        let Some(schema) = self.inner else {
            self.fail("this field has no table of fields; this is a mistake in Dugout");
            return None;
        };
        let Tree::Map(entries) = &self.node.value else {
            self.mistyped_bare(format!("must be a map, not {}", self.describe()));
            return None;
        };
        Some(Object::open(entries, self, schema))
    }

    /// Calls `take` with each item of the list, and gathers what it gives.
    pub(crate) fn each<T>(&self, mut take: impl FnMut(Value<'_>) -> Option<T>) -> Vec<T> {
        let Tree::List(items) = &self.node.value else {
            self.mistyped_bare(format!("must be a list, not {}", self.describe()));
            return Vec::new();
        };
        let mut taken = Vec::with_capacity(items.len());
        for (index, node) in items.iter().enumerate() {
            let path = self.path.then(Step::Index(index));
            let item =
                Value { node, path, report: self.report, inner: self.inner, key_at: node.at };
            if node.is_null() {
                item.mistyped(EMPTY_ITEM, "remove it or fill it in");
            } else {
                taken.extend(take(item));
            }
        }
        taken
    }

    /// Calls `take` with each key that the user chose and its value; null values too.
    pub(crate) fn each_entry(&self, mut take: impl FnMut(&str, Value<'_>)) {
        let Tree::Map(entries) = &self.node.value else {
            self.mistyped_bare(format!("must be a map, not {}", self.describe()));
            return;
        };
        for entry in entries {
            take(&entry.key, self.under_key(entry));
        }
    }

    /// Text for a message, unless the document is a secret.
    pub(crate) fn quote(&self, text: &str) -> String {
        if self.report.sensitive.get() { "the value".to_owned() } else { quoted(text) }
    }

    /// What the value is, for messages.
    pub(crate) fn describe(&self) -> String {
        let shown = |what: &str, text: &str| {
            if self.report.sensitive.get() {
                what.to_owned()
            } else {
                format!("{what} {}", quoted(text).trim_matches('"'))
            }
        };
        match &self.node.value {
            Tree::List(_) => "a list".to_owned(),
            Tree::Map(_) => "a map".to_owned(),
            Tree::Scalar { text, kind } => match kind {
                ScalarKind::Null => "empty".to_owned(),
                ScalarKind::Bool(_) => shown("the boolean", text),
                ScalarKind::Int(_) | ScalarKind::Float => shown("the number", text),
                ScalarKind::Text if self.report.sensitive.get() => "text".to_owned(),
                ScalarKind::Text => format!("the text {}", quoted(text)),
            },
        }
    }

    /// Whether the value means the same as leaving its field out.
    pub(crate) fn is_harmless(&self, harmless: &[&str]) -> bool {
        match &self.node.value {
            Tree::List(items) => items.is_empty(),
            Tree::Map(entries) => entries.is_empty(),
            Tree::Scalar { kind: ScalarKind::Null, .. } => true,
            Tree::Scalar { text, .. } => text.is_empty() || harmless.contains(&&**text),
        }
    }
}

impl Report {
    fn tell(
        &self,
        severity: Severity,
        at: Position,
        path: &Path<'_>,
        message: String,
        hint: Option<String>,
    ) {
        self.problems.borrow_mut().add(Problem {
            file: String::new(),
            line: at.line,
            column: at.column,
            severity,
            field_path: path.to_string(),
            message,
            hint,
        });
    }
}

impl<'s> Object<'s> {
    fn open(entries: &'s [Entry<'s>], value: &Value<'s>, schema: &'static Schema) -> Self {
        let object = Self {
            entries,
            at: value.node.at,
            path: value.path,
            report: value.report,
            schema,
            errors_before: value.report.error_count(),
            asked: Cell::new(0),
        };
        if value.report.validated.get() != Validated::No {
            return object;
        }
        let mut seen = BTreeSet::new();
        for entry in entries {
            match schema.position(&entry.key) {
                Some(index) => {
                    if !entry.node.is_null() {
                        seen.insert(index);
                    }
                    object.check_known(entry, &schema.fields[index]);
                }
                None => object.tell_unknown(entry),
            }
        }
        for (index, field) in schema.fields.iter().enumerate() {
            if field.required && !seen.contains(&index) {
                object.tell_missing(field.name);
            }
        }
        object
    }

    fn tell_missing(&self, name: &'static str) {
        let path = self.path.then(Step::Field(name));
        self.report.tell(Severity::Error, self.at, &path, "is required".to_owned(), None);
    }

    fn tell_unknown(&self, entry: &Entry<'_>) {
        let message = format!("there is no field {} here", quoted(&entry.key));
        let nearest = if self.report.is_full() { None } else { self.schema.nearest(&entry.key) };
        let hint = nearest.map(|name| format!("did you mean {name}?"));
        self.report.tell(Severity::Error, entry.key_at, &self.path, message, hint);
    }

    fn check_known(&self, entry: &'s Entry<'s>, field: &'static Field) {
        let (severity, why, harmless) = match field.support {
            Support::Acted | Support::Checked => return,
            Support::Notice { why, harmless } => (Severity::Notice, why, harmless),
            Support::Refused { why, harmless } => (Severity::Error, why, harmless),
        };
        let path = self.path.then(Step::Field(field.name));
        let value = Value {
            node: &entry.node,
            path,
            report: self.report,
            inner: None,
            key_at: entry.key_at,
        };
        if value.is_harmless(harmless) {
            return;
        }
        let message = match severity {
            Severity::Notice => why.to_owned(),
            Severity::Error => format!("is not supported: {why}"),
        };
        self.report.tell(severity, entry.key_at, &path, message, None);
    }

    /// A field that has a value; null counts as absent, as it does to Kubernetes.
    pub(crate) fn field<'o>(&'o self, name: &'static str) -> Option<Value<'o>> {
        let index = self.schema.position(name)?;
        self.asked.set(self.asked.get() | 1 << index);
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        if entry.node.is_null() {
            return None;
        }
        let path = self.path.then(Step::Field(name));
        let inner = self.schema.fields[index].value.schema();
        let key_at = entry.key_at;
        Some(Value { node: &entry.node, path, report: self.report, inner, key_at })
    }

    /// Whether an error was told since the object was opened; what seems missing may have been refused.
    pub(crate) fn has_errors(&self) -> bool {
        self.report.error_count() > self.errors_before
    }

    /// Tells an error about the object as a whole.
    pub(crate) fn fail_with(&self, message: impl Into<String>, hint: impl Into<String>) {
        let (message, hint) = (message.into(), Some(hint.into()));
        self.report.tell(Severity::Error, self.at, &self.path, message, hint);
    }

    /// Tells an error about a field that is not there.
    pub(crate) fn fail_at(&self, name: &'static str, message: &str, hint: &str) {
        let path = self.path.then(Step::Field(name));
        let hint = Some(hint.to_owned());
        self.report.tell(Severity::Error, self.at, &path, message.to_owned(), hint);
    }

    /// Where the map begins.
    pub(crate) fn at(&self) -> Position {
        self.at
    }
}

impl Drop for Object<'_> {
    /// Fields that the table promises to act on must have been read.
    fn drop(&mut self) {
        if self.has_errors() || self.report.validated.get() == Validated::Unsound {
            return;
        }
        for entry in self.entries {
            let Some(index) = self.schema.position(&entry.key) else { continue };
            let promised = matches!(self.schema.fields[index].support, Support::Acted);
            if promised && self.asked.get() & (1 << index) == 0 {
                let path = self.path.then(Step::Field(self.schema.fields[index].name));
                let message = "was not read; this is a mistake in Dugout".to_owned();
                self.report.tell(Severity::Error, entry.key_at, &path, message, None);
            }
        }
    }
}
