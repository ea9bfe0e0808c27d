//! From the parser's events to a tree: anchors, tags, keys, and every limit.

use std::borrow::Cow;
use std::collections::BTreeMap;

use granit_parser::{
    ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag,
};

use super::json::Pieces;
use super::merge::{Copies, merge_and_check};
use super::scalar::{resolve_plain, time_of};
use super::{
    BYTES_PER_NODE, DEPTH_LIMIT, DOCUMENT_LIMIT, Entry, FEW_NODES, NODE_LIMIT, Node, Position,
    ScalarKind, Value,
};
use crate::problems::{Problems, quoted};

/// Who reads a file: what YAML 1.1 takes for booleans and times is not the same to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Dialect {
    /// kubectl: keys as `y` and `on` are booleans, which are no keys; times are texts.
    Kubectl,
    /// kustomize in resources and patches that are merged: keys are texts, and times are written anew.
    Resources,
    /// kustomize in JSON patches: keys that are booleans become `true` or `false`; times are texts.
    JsonPatches,
}

/// The documents of a file, one after another, so that only one tree is in memory at a time.
pub(crate) struct Documents<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// Where the text of the parser begins in the file.
    start: Position,
    /// The documents that follow what the parser reads.
    rest: Pieces<'a>,
    dialect: Dialect,
    /// How many values each may hold.
    node_limit: usize,
    count: usize,
    ended: bool,
    /// All of the file.
    text: &'a str,
}

/// What one document is.
#[derive(Debug)]
pub(crate) enum Document<'a> {
    Tree(Node<'a>),
    /// It could not be read; its problems say why.
    Broken,
}

/// Why the rest of a document is not read.
enum Stop {
    Syntax(ScanError),
    /// A limit was passed; already told.
    Limit,
}

impl<'a> Documents<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self::with_dialect(text, Dialect::Kubectl)
    }

    pub(crate) fn with_dialect(text: &'a str, dialect: Dialect) -> Self {
        let mut rest = Pieces::of(text);
        let (first, start) = rest.next().unwrap_or((text, Position { line: 1, column: 1 }));
        Self {
            parser: parser(first),
            start,
            rest,
            dialect,
            node_limit: (text.len() / BYTES_PER_NODE).clamp(FEW_NODES, NODE_LIMIT),
            count: 0,
            ended: false,
            text,
        }
    }

    /// The next document that is not empty. Documents after a broken one are still found.
    pub(crate) fn next(&mut self, problems: &mut Problems) -> Option<Document<'a>> {
        while !self.ended {
            match self.parser.next_event() {
                None | Some(Ok((Event::StreamEnd, _))) => match self.rest.next() {
                    Some((text, start)) => (self.parser, self.start) = (parser(text), start),
                    None => self.ended = true,
                },
                Some(Ok((Event::DocumentStart(..), span))) => {
                    self.count += 1;
                    if self.count > DOCUMENT_LIMIT {
                        let message = format!("a file may hold {DOCUMENT_LIMIT} documents");
                        let at = position(&span.start, self.start);
                        problems.error(at, message, Some("split the file"));
                        self.ended = true;
                        return Some(Document::Broken);
                    }
                    match self.read_document(problems) {
                        Some(Document::Tree(node)) if node.is_null() => {}
                        Some(document) => return Some(document),
                        None => {}
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    self.recover(Stop::Syntax(error), problems);
                    return Some(Document::Broken);
                }
            }
        }
        None
    }

    fn read_document(&mut self, problems: &mut Problems) -> Option<Document<'a>> {
        let mut composer = Composer::new(self.node_limit, self.start, self.dialect);
        loop {
            let step = match self.parser.next_event() {
                None => return None,
                Some(Ok((Event::DocumentEnd, _))) => {
                    return match (composer.root, composer.broken) {
                        (Some(_), true) => Some(Document::Broken),
                        (root, _) => root.map(Document::Tree),
                    };
                }
                Some(Ok((event, span))) => composer.take(event, &span, problems),
                Some(Err(error)) => Err(Stop::Syntax(error)),
            };
            if let Err(stop) = step {
                self.recover(stop, problems);
                return Some(Document::Broken);
            }
        }
    }

    /// Tells why, and goes on behind the next document separator.
    fn recover(&mut self, stop: Stop, problems: &mut Problems) {
        if let Stop::Syntax(error) = stop {
            if let Some(at) = conflict_in(self.text) {
                let message = "Git left the marker of a conflict here";
                problems.error(
                    at,
                    message,
                    Some("choose between both sides, and remove the markers"),
                );
                self.ended = true;
                return;
            }
            let at = position(error.marker(), self.start);
            let hint = match has_template_before(self.text, at.line) {
                true => Some(RENDER_FIRST),
                false => hint(error.kind()),
            };
            problems.error(at, format!("not valid YAML: {}", error.info()), hint);
        }
        // An error here can only repeat what was told: the input is text in memory.
        if matches!(self.parser.proceed_next_document(), Ok(true)) {
            return;
        }
        match self.rest.next() {
            Some((text, start)) => (self.parser, self.start) = (parser(text), start),
            None => self.ended = true,
        }
    }
}

/// Builds the tree of one document. Uses no recursion, so depth costs memory only, and that is limited.
struct Composer<'a> {
    node_limit: usize,
    start: Position,
    dialect: Dialect,
    open: Vec<Open<'a>>,
    anchors: BTreeMap<usize, Node<'a>>,
    copies: Copies,
    nodes: usize,
    root: Option<Node<'a>>,
    broken: bool,
}

/// A list or map whose end has not come yet.
struct Open<'a> {
    at: Position,
    anchor: usize,
    items: Items<'a>,
}

enum Items<'a> {
    List(Vec<Node<'a>>),
    Map { entries: Vec<Entry<'a>>, key: Option<Key<'a>> },
}

struct Key<'a> {
    text: Cow<'a, str>,
    at: Position,
}

impl<'a> Composer<'a> {
    fn new(node_limit: usize, start: Position, dialect: Dialect) -> Self {
        Self {
            node_limit,
            start,
            dialect,
            open: Vec::new(),
            anchors: BTreeMap::new(),
            copies: Copies::default(),
            nodes: 0,
            root: None,
            broken: false,
        }
    }

    fn take(&mut self, event: Event<'a>, span: &Span, problems: &mut Problems) -> Result<(), Stop> {
        let at = position(&span.start, self.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if self.expects_key() {
                    let key = self.read_key(text, style, tag.as_deref(), at, problems);
                    self.put_key(key);
                    return Ok(());
                }
                let node = self.read_scalar(text, style, tag.as_deref(), at, problems);
                self.put(node, anchor, problems)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.open(Items::List(Vec::new()), anchor, tag.as_deref(), at, problems)
            }
            Event::MappingStart(_, anchor, tag) => {
                let items = Items::Map { entries: Vec::new(), key: None };
                self.open(items, anchor, tag.as_deref(), at, problems)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(problems),
            Event::Alias(_) | Event::UnresolvedAlias(_) if self.expects_key() => {
                self.refuse_key(at, problems);
                Ok(())
            }
            Event::Alias(id) => {
                let node = self.copy_of(id, at, problems)?;
                self.put(node, 0, problems)
            }
            Event::UnresolvedAlias(name) => {
                self.broken = true;
                let message = format!("the alias *{} has no anchor before it", quoted(&name));
                problems.error(at, message, Some("define it with & earlier in the document"));
                self.put(null(at), 0, problems)
            }
            _ => Ok(()),
        }
    }

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { items: Items::Map { key: None, .. }, .. }))
    }

    fn put_key(&mut self, new: Key<'a>) {
        if let Some(Open { items: Items::Map { key, .. }, .. }) = self.open.last_mut() {
            *key = Some(new);
        }
    }

    fn open(
        &mut self,
        items: Items<'a>,
        anchor: usize,
        tag: Option<&Tag>,
        at: Position,
        problems: &mut Problems,
    ) -> Result<(), Stop> {
        if tag.is_some_and(|tag| !matches!(tag.core_suffix(), Some("map" | "seq"))) {
            self.refuse_tag(at, problems);
        }
        if self.open.len() >= DEPTH_LIMIT {
            let message = format!("values nest deeper than {DEPTH_LIMIT} levels");
            problems.error(at, message, None);
            return Err(Stop::Limit);
        }
        let anchor = if self.expects_key() {
            self.refuse_key(at, problems);
            AS_KEY
        } else {
            anchor
        };
        self.open.push(Open { at, anchor, items });
        Ok(())
    }

    fn close(&mut self, problems: &mut Problems) -> Result<(), Stop> {
        let Some(Open { at, anchor, items }) = self.open.pop() else { return Ok(()) };
        if anchor == AS_KEY {
            return Ok(());
        }
        let value = match items {
            Items::List(nodes) => Value::List(fitted(nodes)),
            Items::Map { entries, .. } => Value::Map(fitted(
                merge_and_check(entries, &mut self.copies, problems).map_err(|()| Stop::Limit)?,
            )),
        };
        self.put(Node { at, value }, anchor, problems)
    }

    /// Puts a finished value where it belongs, and remembers it when it has an anchor.
    fn put(&mut self, node: Node<'a>, anchor: usize, problems: &mut Problems) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes + self.copies.nodes > self.node_limit {
            let message = match self.node_limit {
                NODE_LIMIT => format!("a document may hold {NODE_LIMIT} values"),
                limit => format!("a document of a file of this size may hold {limit} values"),
            };
            problems.error(node.at, message, Some("split it"));
            return Err(Stop::Limit);
        }
        if anchor != 0 {
            let copy = self.copies.copy(&node).ok_or_else(|| too_many_copies(node.at, problems))?;
            self.anchors.insert(anchor, copy);
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open { items: Items::List(nodes), .. }) => push(nodes, node),
            Some(Open { items: Items::Map { entries, key }, .. }) => {
                if let Some(Key { text, at }) = key.take() {
                    push(entries, Entry { key: text, key_at: at, node });
                }
            }
        }
        Ok(())
    }

    fn copy_of(
        &mut self,
        id: usize,
        at: Position,
        problems: &mut Problems,
    ) -> Result<Node<'a>, Stop> {
        let Some(node) = self.anchors.get(&id) else {
            self.broken = true;
            problems.error(at, "an alias may not stand inside its own anchor", None);
            return Ok(null(at));
        };
        self.copies.copy(node).ok_or_else(|| too_many_copies(at, problems))
    }

    fn read_scalar(
        &mut self,
        text: Cow<'a, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        at: Position,
        problems: &mut Problems,
    ) -> Node<'a> {
        let kind = match tag.map(|tag| tag.core_suffix()) {
            None if style == ScalarStyle::Plain => resolve_plain(&text),
            None | Some(Some("str")) => ScalarKind::Text,
            Some(Some("int" | "float" | "bool" | "null")) => resolve_plain(&text),
            Some(_) => {
                self.refuse_tag(at, problems);
                ScalarKind::Text
            }
        };
        let is_time_read = self.dialect == Dialect::Resources && kind == ScalarKind::Text;
        let text = match time_of(&text).filter(|_| is_time_read && tag.is_none()) {
            Some(time) if style == ScalarStyle::Plain => Cow::Owned(time),
            _ => text,
        };
        Node { at, value: Value::Scalar { text, kind } }
    }

    /// A key as text. What YAML reads as something else must be quoted, so that the file and the object
    /// cannot differ.
    fn read_key(
        &mut self,
        text: Cow<'a, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        at: Position,
        problems: &mut Problems,
    ) -> Key<'a> {
        let node = self.read_scalar(text, style, tag, at, problems);
        let Value::Scalar { text, kind } = node.value else {
            return Key { text: Cow::Borrowed(""), at };
        };
        let what = match kind {
            ScalarKind::Text => None,
            ScalarKind::Int(number) if number.to_string() == *text => None,
            ScalarKind::Int(_) | ScalarKind::Float => Some("a number"),
            ScalarKind::Bool(_) if matches!(&*text, "true" | "false") => None,
            ScalarKind::Bool(_) if self.dialect == Dialect::Resources => None,
            ScalarKind::Bool(value) if self.dialect == Dialect::JsonPatches => {
                return Key { text: Cow::Owned(value.to_string()), at };
            }
            ScalarKind::Bool(_) => Some("a boolean"),
            ScalarKind::Null => Some("null"),
        };
        if let Some(what) = what {
            self.broken = true;
            let message = format!("the key {} is {what} in YAML", quoted(&text));
            problems.error(at, message, Some("put it in quotes"));
        }
        Key { text, at }
    }

    /// Takes note of a key that is no text. The tree stays in step, and is dropped in the end.
    fn refuse_key(&mut self, at: Position, problems: &mut Problems) {
        self.broken = true;
        let message = "a key must be text, not a list, a map or an alias";
        problems.error(at, message, Some(RENDER_FIRST));
        self.put_key(Key { text: Cow::Borrowed(""), at });
    }

    fn refuse_tag(&mut self, at: Position, problems: &mut Problems) {
        self.broken = true;
        problems.error(
            at,
            "this YAML tag has no meaning in a Kubernetes manifest",
            Some("remove it"),
        );
    }
}

const RENDER_FIRST: &str =
    "a template's {{ }} must be rendered before, as `helm template` does, or quoted";

/// How many lines before a mistake are searched for its cause.
const CAUSE_LINES: usize = 3;

/// Whether a template stands in a line or right before it, where YAML does not expect one.
fn has_template_before(text: &str, line: u32) -> bool {
    let end = usize::try_from(line).unwrap_or(usize::MAX);
    let lines = text.lines().take(end).skip(end.saturating_sub(CAUSE_LINES));
    lines.into_iter().any(|line| {
        let start = line.trim_start().trim_start_matches("- ");
        let value = start.split_once(": ").map_or("", |(_, value)| value.trim_start());
        start.starts_with("{{") || value.starts_with("{{")
    })
}

/// Where Git says that two sides differ, if it also says where the other side begins and both end.
fn conflict_in(text: &str) -> Option<Position> {
    let (mut first, mut is_halved) = (None, false);
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("<<<<<<< ") {
            first = first.or(Some(index));
        } else if line == "=======" {
            is_halved = first.is_some();
        } else if line.starts_with(">>>>>>> ") && is_halved {
            let line = u32::try_from(first?.saturating_add(1)).unwrap_or(u32::MAX);
            return Some(Position { line, column: 1 });
        }
    }
    None
}

/// Stands in for an anchor at a list or map in the place of a key: what it holds is dropped.
const AS_KEY: usize = usize::MAX;

/// Most lists and maps are short, and room for more would be most of what they take.
fn fitted<T>(mut list: Vec<T>) -> Vec<T> {
    list.shrink_to_fit();
    list
}

/// Adds to a list that, once it is long, grows by a quarter and not to twice its size.
fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() && list.len() >= LONG {
        list.reserve_exact(list.len() / 4);
    }
    list.push(item);
}

/// So many items make a list long.
const LONG: usize = 1_000;

fn too_many_copies(at: Position, problems: &mut Problems) -> Stop {
    problems.error(at, "aliases copy too much", Some("write the values out"));
    Stop::Limit
}

fn null<'a>(at: Position) -> Node<'a> {
    Node { at, value: Value::Scalar { text: Cow::Borrowed("~"), kind: ScalarKind::Null } }
}

/// A place in the file, in which the text that is parsed begins at `start`.
fn position(marker: &Marker, start: Position) -> Position {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let (line, column) = (number(marker.line()).max(1), number(marker.col()).saturating_add(1));
    let before = if line == 1 { start.column.saturating_sub(1) } else { 0 };
    Position {
        line: line.saturating_add(start.line.saturating_sub(1)),
        column: column.saturating_add(before),
    }
}

fn parser(text: &str) -> Parser<'_, StrInput<'_>> {
    let options = granit_parser::options! {
        emit_unresolved_aliases: true,
        emit_comments: false,
        block_scalar_eof_without_line_feed: true,
    };
    Parser::new_from_str_with_options(text, options)
}

/// What usually mends the mistakes that are made often.
fn hint(kind: &ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::TabInIndentation
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabAtBlockScalarStart => Some("indent with spaces; YAML allows no tabs there"),
        ErrorKind::UnclosedQuotedScalar => Some("a closing quote is missing"),
        ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::SimpleKeyExpected
        | ErrorKind::InvalidSimpleKey => {
            Some("look at the indentation and for a missing colon on this line and the one before")
        }
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping => Some("a closing bracket is missing"),
        ErrorKind::UnexpectedCharacter { .. } => Some("put the text in quotes"),
        ErrorKind::RecursionLimitExceeded => Some("the values nest too deep"),
        _ => None,
    }
}
