//! One file's content, read without knowing where it lies, so that it can be kept by its Git blob id.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dugout_model::{
    ContainerDefaults, DeclaredObject, ObjectName, Origin, Problem, WrittenTemplate,
};

use crate::decode::{
    Decoded, ForeignObject, Identity, Links, Other, ParsedObject, TypeName, WorkloadFacts, decode,
};
use crate::lines::Lines;
use crate::problems::{Mark, Problems};
use crate::reader::{Place, Report};
use crate::schema::KindEntry;
use crate::yaml::{Document, Documents, FILE_LIMIT_BYTES, Node, Position};

/// What one file holds: its objects, and what is wrong with it for itself. A clone shares the content.
#[derive(Clone)]
pub struct ParsedBlob {
    pub(crate) content: Arc<Content>,
}

/// It is kept for long, once for each file, and most files are small: lists have no room to grow.
pub(crate) struct Content {
    pub objects: Box<[BlobObject]>,
    /// With an empty `file`, or, of a rendering, with that which is to be mended.
    pub problems: Box<[Problem]>,
    /// A document could not be told apart, so what seems to be missing elsewhere may be in it.
    pub has_unknown: bool,
    /// Objects of groups that Dugout does not know; a source's policy says what they are.
    pub foreign: Box<[ForeignObject]>,
    /// What else there is: documents that are refused, and kustomizations.
    pub others: Box<[Other]>,
}

/// One object of a file.
pub(crate) struct BlobObject {
    pub id: Identity,
    pub kind: &'static KindEntry,
    pub place: Place,
    pub namespace_at: Option<Position>,
    pub links: Links,
    /// One more than the number of its reason: thousands of objects are kept, and few have any.
    reason: Option<NonZeroU32>,
    shared: Mutex<Shared>,
}

/// What is handed out again and again.
#[derive(Default)]
struct Shared {
    /// The object with the path that it was last asked for at. A file stays at its path from commit to
    /// commit, so the same shared value is handed out each time.
    declared: Option<Arc<DeclaredObject>>,
    /// The same with what the limits of its namespace fill in, for the defaults that were asked for last.
    filled: Option<Box<Filled>>,
}

/// What a namespace gives to pods that say nothing themselves.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct PodDefaults {
    pub containers: ContainerDefaults,
    /// Those of its service account, for a pod without any.
    pub pull_secrets: Box<[ObjectName]>,
}

/// An object whose pods have the defaults of their namespace.
struct Filled {
    defaults: PodDefaults,
    /// As it is written.
    of: Arc<DeclaredObject>,
    /// The same one where they say all.
    object: Arc<DeclaredObject>,
}

impl BlobObject {
    fn new(parsed: ParsedObject, reason: Option<u32>) -> Self {
        let ParsedObject { id, kind, place, namespace_at, declared, mut links } = parsed;
        links.fit();
        let reason = reason.and_then(|number| NonZeroU32::MIN.checked_add(number));
        let shared = Mutex::new(Shared { declared, filled: None });
        Self { id, kind, place, namespace_at, links, reason, shared }
    }

    /// Of the file's problems, the one that decides what becomes of the object.
    pub fn reason(&self) -> Option<u32> {
        self.reason.map(|after| after.get() - 1)
    }

    /// Where its namespace is written, or else where it begins.
    pub fn namespace_place(&self) -> Place {
        let Some(at) = self.namespace_at else { return self.place.clone() };
        let own = &self.place.field_path;
        let field_path = match own.is_empty() {
            true => "metadata.namespace".into(),
            false => format!("{own}.metadata.namespace").into(),
        };
        Place { line: at.line, column: at.column, field_path }
    }

    /// Says once where the object came from.
    fn settle(&mut self, origin: Origin) {
        let shared = self.shared.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(declared) = &mut shared.declared {
            Arc::make_mut(declared).origin = origin;
        }
    }

    /// The object with the origin that it was last given; nothing when it has errors.
    pub fn declared(&self) -> Option<Arc<DeclaredObject>> {
        self.lock().declared.clone()
    }

    /// The object as it stands in the file at `path`; nothing when it has errors.
    pub fn declared_in(&self, path: &Arc<str>) -> Option<Arc<DeclaredObject>> {
        let mut shared = self.lock();
        let declared = shared.declared.as_mut()?;
        if declared.origin.file != *path {
            Arc::make_mut(declared).origin.file = Arc::clone(path);
        }
        Some(Arc::clone(declared))
    }

    /// Where the containers of its pods say what they need, if it makes pods.
    pub fn pod_facts(&self) -> Option<&WorkloadFacts> {
        self.links.admission.as_ref()?.pod.as_ref()
    }

    /// Whether it gives something to pods of its namespace that they do not say themselves.
    pub fn gives_defaults(&self) -> bool {
        let secrets = self.links.admission.as_ref().map(|facts| &facts.pull_secrets);
        self.id.kind == "LimitRange" || secrets.is_some_and(|secrets| !secrets.is_empty())
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Nothing can panic while the lock is held, and the value is whole at any time.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An object of this content with the defaults of its namespace filled in where its containers do not
    /// speak; itself where they say all. What was handed out is handed out again while both are the same.
    pub fn filled(
        &self,
        declared: Arc<DeclaredObject>,
        defaults: &PodDefaults,
    ) -> Arc<DeclaredObject> {
        let Some(facts) = self.pod_facts() else { return declared };
        if *defaults == PodDefaults::default() {
            return declared;
        }
        let known = &mut self.lock().filled;
        if let Some(known) = known.as_ref()
            && Arc::ptr_eq(&known.of, &declared)
            && known.defaults == *defaults
        {
            return Arc::clone(&known.object);
        }
        let mut object = DeclaredObject::clone(&declared);
        if let Some(template) = object.spec.pod_template_mut() {
            let written = WrittenTemplate::of(template);
            let containers = template.init_containers.iter_mut().chain(&mut template.containers);
            for (container, facts) in containers.zip(&facts.containers) {
                container.resources = defaults.containers.fill(container.resources, facts.stated);
            }
            if template.image_pull_secrets.is_empty() {
                template.image_pull_secrets.clone_from(&defaults.pull_secrets);
            }
            if WrittenTemplate::of(template) != written {
                object.written = Some(Box::new(written));
            }
        }
        let object = match object.written {
            Some(_) => Arc::new(object),
            None => Arc::clone(&declared),
        };
        let filled =
            Filled { defaults: defaults.clone(), of: declared, object: Arc::clone(&object) };
        *known = Some(Box::new(filled));
        object
    }
}

impl fmt::Debug for ParsedBlob {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ParsedBlob")
            .field("objects", &self.content.objects.len())
            .field("problems", &self.content.problems.len())
            .finish_non_exhaustive()
    }
}

/// Reads a file. It never fails: what is wrong with it is in the result, and told by
/// [`crate::assemble`], which also checks what objects say about each other.
pub fn parse_blob(bytes: &[u8]) -> ParsedBlob {
    let mut reader = ContentReader::new(Problems::default());
    match text_of(bytes) {
        Ok(text) => {
            let mut documents = Documents::of(text);
            let mut mark = reader.problems.mark();
            while let Some(document) = documents.next(&mut reader.problems) {
                match document {
                    Document::Tree(root) => reader.read(&root, mark),
                    Document::Broken => reader.add_unknown(mark),
                }
                mark = reader.problems.mark();
            }
            reader.add_rest(mark);
        }
        Err(NoText { at, message, hint }) => {
            let mark = reader.problems.mark();
            reader.problems.error(at, message, Some(hint));
            reader.add_unknown(mark);
        }
    }
    ParsedBlob { content: Arc::new(reader.into_content()) }
}

/// Reads one tree after the other.
pub(crate) struct ContentReader {
    objects: Vec<BlobObject>,
    foreign: Vec<ForeignObject>,
    others: Vec<Other>,
    problems: Problems,
    has_unknown: bool,
}

impl ContentReader {
    /// Goes on with problems that were found before.
    pub(crate) fn new(problems: Problems) -> Self {
        Self {
            objects: Vec::new(),
            foreign: Vec::new(),
            others: Vec::new(),
            problems,
            has_unknown: false,
        }
    }

    /// Reads a document; what was told of it before begins at `since`.
    pub(crate) fn read(&mut self, root: &Node<'_>, since: Mark) {
        let report = Report::new(std::mem::take(&mut self.problems));
        for (decoded, reason) in decode(root, &report, since) {
            match decoded {
                Decoded::Object(mut object) => {
                    object.share_names(self.objects.last().map(|object| &object.id.key));
                    self.objects.push(BlobObject::new(*object, reason));
                }
                Decoded::Foreign(mut object) => {
                    object.share_type(self.foreign.last());
                    self.foreign.push(object);
                }
                Decoded::Refused(type_name) => self.others.push(Other { type_name, reason }),
                Decoded::Unknown(type_name) => {
                    self.has_unknown = true;
                    self.others.push(Other { type_name, reason });
                }
            }
        }
        self.problems = report.into_problems();
    }

    /// A document that cannot be told apart, for reasons that were told since a mark.
    fn add_unknown(&mut self, since: Mark) {
        self.has_unknown = true;
        let reason = self.problems.deciding_since(since);
        self.others.push(Other { type_name: TypeName::default(), reason });
    }

    /// What was told after the last document, of one that is empty.
    fn add_rest(&mut self, since: Mark) {
        let reason = self.problems.deciding_since(since);
        if reason.is_some() {
            self.others.push(Other { type_name: TypeName::default(), reason });
        }
    }

    /// Adds what is no document of its own.
    pub(crate) fn add_other(&mut self, other: Other) {
        self.others.push(other);
    }

    pub(crate) fn mark(&self) -> Mark {
        self.problems.mark()
    }

    pub(crate) fn into_content(self) -> Content {
        Content {
            objects: self.objects.into(),
            foreign: self.foreign.into(),
            others: self.others.into(),
            problems: self.problems.into_list().into(),
            has_unknown: self.has_unknown,
        }
    }
}

impl Content {
    /// Finds the files of problems and objects again, whose lines are numbers of `lines`.
    pub(crate) fn locate(&mut self, lines: &Lines) {
        for problem in &mut self.problems {
            let (file, line) = lines.locate(problem.line);
            (problem.file, problem.line) = (file.to_owned(), line);
        }
        for object in &mut self.objects {
            let (file, line) = lines.locate(object.place.line);
            object.settle(Origin { file: file.into(), line });
        }
    }
}

/// Why a file is not read at all.
pub(crate) struct NoText {
    pub at: Position,
    pub message: String,
    pub hint: &'static str,
}

/// The text behind an optional byte-order mark.
pub(crate) fn text_of(bytes: &[u8]) -> Result<&str, NoText> {
    let refuse = |message: String, hint| NoText { at: Position::default(), message, hint };
    if bytes.len() > FILE_LIMIT_BYTES {
        let message =
            format!("the file has {} bytes; a manifest may have {FILE_LIMIT_BYTES}", bytes.len());
        return Err(refuse(message, "split it into several files"));
    }
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(refuse("the file is UTF-16".to_owned(), "save it as UTF-8"));
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let last_line = before.rsplit('\n').next().unwrap_or_default();
        let number = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
        let at = Position {
            line: number(before.bytes().filter(|byte| *byte == b'\n').count()),
            column: number(last_line.chars().count()),
        };
        let message = "the file is not UTF-8 here".to_owned();
        NoText { at, message, hint: "save it as UTF-8; binary data goes into binaryData as base64" }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// What a namespace without anything to fill in asks of each of its workloads for every commit.
    #[test]
    fn an_object_that_says_all_is_handed_out_as_it_is() {
        let pod = |resources: &str| {
            let text = format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec:\n  containers:\n  \
                 - {{name: main, image: a/b, resources: {resources}}}\n"
            );
            parse_blob(text.as_bytes())
        };
        let containers =
            ContainerDefaults { cpu_request_millis: Some(100), ..ContainerDefaults::default() };
        let defaults = PodDefaults { containers, ..PodDefaults::default() };
        let (says, silent) = (pod("{requests: {cpu: 1}}"), pod("{}"));
        for (blob, defaults, is_filled) in [
            (&silent, PodDefaults::default(), false),
            (&says, defaults.clone(), false),
            (&silent, defaults, true),
        ] {
            let object = blob.content.objects.first().unwrap();
            let declared = object.declared().unwrap();
            let first = object.filled(Arc::clone(&declared), &defaults);
            assert_eq!(!Arc::ptr_eq(&first, &declared), is_filled);
            assert!(Arc::ptr_eq(&first, &object.filled(Arc::clone(&declared), &defaults)));
            assert_eq!(first.written.is_some(), is_filled);
            assert_eq!(first.written_template().as_deref(), declared.spec.pod_template());
        }
    }
}
