//! Getting files into a rendering: from the tree, parsed once, remembered as inputs, and within limits.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use dugout_model::Problem;

use super::edit::{self, Fault, Owned, Weight};
use super::placement::{Placement, Source};
use crate::blob::text_of;
use crate::lines::Lines;
use crate::problems::{Problems, quoted};
use crate::tree::{ContentId, Found, IS_SPECIAL, PathProblem, Tree, TreeError, follow, join};
use crate::yaml::{Dialect, Document, Documents, Node, Position, Value};

/// The largest file that a rendering reads.
const FILE_LIMIT_BYTES: u64 = 4 << 20;
/// How many kustomizations one rendering may go through, each as often as it is referred to.
pub(crate) const KUSTOMIZATION_LIMIT: usize = 1_000;
/// How many values one rendering may make, read ones included.
pub(crate) const NODE_LIMIT: usize = 1_000_000;
/// How many bytes of text one rendering may make, read ones included.
pub(crate) const BYTE_LIMIT: usize = 64 << 20;
/// How many comparisons one rendering may take.
const WORK_LIMIT: usize = 1_000_000_000;
/// How many bytes of files are kept parsed for other renderings of the same commit.
const KEPT_LIMIT_BYTES: usize = 16 << 20;

/// Why a rendering ends early.
pub(super) enum Stop {
    /// The commit cannot be read.
    Broken(TreeError),
    /// A limit was passed; already told.
    Limit,
}

impl From<TreeError> for Stop {
    fn from(error: TreeError) -> Self {
        Stop::Broken(error)
    }
}

/// A file as it was parsed, with its own line numbers.
struct Parsed {
    documents: Vec<Owned>,
    problems: Vec<Problem>,
    line_count: usize,
    weight: Weight,
}

/// Files that were parsed for renderings of one commit, so that a base is parsed once.
#[derive(Default)]
pub(crate) struct ParsedTrees {
    by_id: HashMap<(ContentId, Dialect), Arc<Parsed>>,
    bytes: usize,
}

/// What one rendering reads.
pub(super) struct Loader<'t> {
    tree: &'t dyn Tree,
    parsed: &'t mut ParsedTrees,
    /// Every path that was asked for, with what was there.
    pub inputs: BTreeMap<String, Found>,
    pub lines: Lines,
    pub problems: Problems,
    /// An object that is asked for could not be had, so none can be said to be missing.
    pub has_missing: bool,
    /// The first line number of each file.
    starts: HashMap<String, u32>,
    spent: Weight,
    worked: usize,
    kustomizations: usize,
    /// The file whose inline texts were placed last.
    source: Option<(String, Source)>,
}

impl<'t> Loader<'t> {
    pub fn new(tree: &'t dyn Tree, parsed: &'t mut ParsedTrees) -> Self {
        Self {
            tree,
            parsed,
            inputs: BTreeMap::new(),
            lines: Lines::default(),
            problems: Problems::default(),
            has_missing: false,
            starts: HashMap::new(),
            spent: Weight::default(),
            worked: 0,
            kustomizations: 0,
            source: None,
        }
    }

    /// A path as a hint writes it.
    pub fn shown(&self, path: &str) -> String {
        self.tree.shown(path)
    }

    /// Tells a fault, unless it may only follow from one that was told.
    pub fn tell(&mut self, fault: Fault) {
        if fault.is_of_missing && self.has_missing {
            return;
        }
        self.problems.error(fault.at, fault.message, fault.hint.as_deref());
    }

    /// Tells a fault, and whether all went well.
    pub fn check<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.tell(fault)).ok()
    }

    /// Pays for values that are about to be made.
    pub fn pay(&mut self, weight: Weight, at: Position) -> Result<(), Stop> {
        self.spent.add(weight);
        if self.spent.nodes <= NODE_LIMIT && self.spent.bytes <= BYTE_LIMIT {
            return Ok(());
        }
        let message =
            format!("this makes more than {NODE_LIMIT} values or {} MiB of text", BYTE_LIMIT >> 20);
        self.tell(Fault::new(at, message).hint("split the kustomization into several"));
        Err(Stop::Limit)
    }

    /// Pays for comparisons that are about to be made.
    pub fn work(&mut self, comparisons: usize, at: Position) -> Result<(), Stop> {
        self.worked = self.worked.saturating_add(comparisons);
        if self.worked <= WORK_LIMIT {
            return Ok(());
        }
        let message = "too many patches meet too many values here";
        self.tell(Fault::new(at, message).hint("split the kustomization into several"));
        Err(Stop::Limit)
    }

    /// What the lines of a file begin at.
    pub fn start_of(&mut self, path: &str, line_count: usize) -> u32 {
        if let Some(start) = self.starts.get(path) {
            return *start;
        }
        let start = self.lines.add(path, line_count);
        self.starts.insert(path.to_owned(), start);
        start
    }

    pub fn count_kustomization(&mut self, at: Position) -> Result<(), Stop> {
        self.kustomizations += 1;
        if self.kustomizations <= KUSTOMIZATION_LIMIT {
            return Ok(());
        }
        let message = format!(
            "more than {KUSTOMIZATION_LIMIT} kustomizations come together here, each counted as often as it is referred to"
        );
        self.tell(Fault::new(at, message).hint("refer to a shared base once"));
        Err(Stop::Limit)
    }

    fn look(&mut self, path: &str) -> Result<Found, TreeError> {
        if let Some(found) = self.inputs.get(path) {
            return Ok(found.clone());
        }
        let found = self.tree.find(path)?;
        self.inputs.insert(path.to_owned(), found.clone());
        Ok(found)
    }

    /// What a path in a kustomization of `folder` leads to; `at` is where the path stands.
    pub fn find(
        &mut self,
        folder: &str,
        path: &str,
        at: Position,
    ) -> Result<Result<(String, Found), Fault>, Stop> {
        let joined = match join(folder, path) {
            Ok(joined) => joined,
            Err(problem) => return Ok(Err(path_fault(path, problem, at, self.tree))),
        };
        match follow(&joined, &mut |path| self.look(path))? {
            Ok((path, found)) => Ok(Ok((path, found))),
            Err(problem) => Ok(Err(path_fault(path, problem, at, self.tree))),
        }
    }

    /// The bytes of a file that a kustomization of `folder` names, with its path.
    pub fn bytes(
        &mut self,
        folder: &str,
        name: &str,
        at: Position,
    ) -> Result<Result<(String, Vec<u8>), Fault>, Stop> {
        let (path, id, size_bytes) = match self.find(folder, name, at)? {
            Ok((path, Found::File { id, size_bytes })) => (path, id, size_bytes),
            Ok((_, found)) => return Ok(Err(no_file(name, &found, at))),
            Err(fault) => return Ok(Err(fault)),
        };
        if size_bytes > FILE_LIMIT_BYTES {
            return Ok(Err(too_large(name, size_bytes, at)));
        }
        let size = usize::try_from(size_bytes).unwrap_or(usize::MAX);
        self.pay(Weight { nodes: 1, bytes: size }, at)?;
        let bytes = self.tree.read(&path, id)?;
        Ok(Ok((path, bytes)))
    }

    /// The documents of a file that was found, with numbers of this rendering's lines. What is wrong
    /// with the file is told; nothing is given then.
    pub fn documents(
        &mut self,
        path: &str,
        found: &Found,
        at: Position,
    ) -> Result<Option<Vec<Owned>>, Stop> {
        self.read(path, found, Dialect::Kubectl, at)
    }

    fn read(
        &mut self,
        path: &str,
        found: &Found,
        dialect: Dialect,
        at: Position,
    ) -> Result<Option<Vec<Owned>>, Stop> {
        let Found::File { id, size_bytes } = *found else {
            self.tell(no_file(path, found, at));
            return Ok(None);
        };
        if size_bytes > FILE_LIMIT_BYTES {
            self.tell(too_large(path, size_bytes, at));
            return Ok(None);
        }
        let parsed = self.parse(path, id, dialect)?;
        let first = self.start_of(path, parsed.line_count);
        for problem in &parsed.problems {
            self.problems.add(Problem { line: problem.line + first, ..problem.clone() });
        }
        self.pay(parsed.weight, at)?;
        if !parsed.problems.is_empty() {
            return Ok(None);
        }
        Ok(Some(parsed.documents.iter().map(|node| edit::to_owned(node, first)).collect()))
    }

    /// The same for resources.
    pub fn resources(
        &mut self,
        path: &str,
        found: &Found,
        at: Position,
    ) -> Result<Option<Vec<Owned>>, Stop> {
        let mut documents = self.read(path, found, Dialect::Resources, at)?;
        documents.iter_mut().flatten().for_each(edit::as_resource);
        Ok(documents)
    }

    /// The same for patches: operations in a list are read in another way than what is merged.
    pub fn patches(
        &mut self,
        path: &str,
        found: &Found,
        at: Position,
    ) -> Result<Option<Vec<Owned>>, Stop> {
        let documents = self.resources(path, found, at)?;
        match documents.as_deref().is_some_and(are_operations) {
            true => self.read(path, found, Dialect::JsonPatches, at),
            false => Ok(documents),
        }
    }

    fn parse(&mut self, path: &str, id: ContentId, dialect: Dialect) -> Result<Arc<Parsed>, Stop> {
        if let Some(parsed) = self.parsed.by_id.get(&(id, dialect)) {
            return Ok(Arc::clone(parsed));
        }
        let bytes = self.tree.read(path, id)?;
        let parsed = Arc::new(parse(&bytes, dialect));
        if self.parsed.bytes.saturating_add(bytes.len()) <= KEPT_LIMIT_BYTES {
            self.parsed.bytes += bytes.len();
            self.parsed.by_id.insert((id, dialect), Arc::clone(&parsed));
        }
        Ok(parsed)
    }

    /// The documents of a text inside a kustomization, which stands at `at`.
    pub fn inline(&mut self, text: &str, at: Position) -> Result<Option<Vec<Owned>>, Stop> {
        let mut parsed = parse(text.as_bytes(), Dialect::Resources);
        let has_operations = parsed.problems.is_empty() && are_operations(&parsed.documents);
        if has_operations {
            parsed = parse(text.as_bytes(), Dialect::JsonPatches);
        }
        let placement = self.placement(text, at)?;
        for problem in &parsed.problems {
            let Position { line, column } =
                placement.of(Position { line: problem.line, column: problem.column });
            self.problems.add(Problem { line, column, ..problem.clone() });
        }
        self.pay(parsed.weight, at)?;
        if !parsed.problems.is_empty() {
            return Ok(None);
        }
        let mut documents = parsed.documents.clone();
        for document in &mut documents {
            placement.apply(document);
            if !has_operations {
                edit::as_resource(document);
            }
        }
        Ok(Some(documents))
    }

    /// Where the lines of a text inside a kustomization stand in its file.
    fn placement(&mut self, text: &str, at: Position) -> Result<Placement, Stop> {
        let (path, line) = self.lines.locate(at.line);
        if self.source.as_ref().is_none_or(|(read, _)| read != path) {
            let Some(Found::File { id, .. }) = self.inputs.get(path) else {
                return Ok(Placement::At(at));
            };
            let bytes = self.tree.read(path, *id)?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            self.source = Some((path.to_owned(), Source::new(text)));
        }
        let source = self.source.as_ref().map(|(_, source)| source);
        Ok(source.map_or(Placement::At(at), |source| Placement::find(text, at, source, line)))
    }
}

/// Whether a patch is operations of a JSON patch.
fn are_operations(documents: &[Owned]) -> bool {
    matches!(documents, [Node { value: Value::List(_), .. }])
}

fn parse(bytes: &[u8], dialect: Dialect) -> Parsed {
    let mut problems = Problems::default();
    let mut documents = Vec::new();
    let mut weight = Weight::default();
    match text_of(bytes) {
        Ok(text) => {
            let mut stream = Documents::with_dialect(text, dialect);
            while let Some(document) = stream.next(&mut problems) {
                let Document::Tree(root) = document else { continue };
                let root = edit::to_owned(&root, 0);
                weight.add(edit::weigh(&root));
                documents.push(root);
            }
        }
        Err(no_text) => problems.error(no_text.at, no_text.message, Some(no_text.hint)),
    }
    let line_count = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
    Parsed { documents, problems: problems.into_list(), line_count, weight }
}

fn path_fault(path: &str, problem: PathProblem, at: Position, tree: &dyn Tree) -> Fault {
    let shown = quoted(path);
    let (message, hint) = match problem {
        PathProblem::Absolute => {
            (format!("{shown} is a path of a machine"), "write it as seen from this kustomization")
        }
        PathProblem::Outside => (
            format!("{shown} leads out of {}", tree.outermost()),
            "everything that a commit means must be in the commit; copy it into the repository",
        ),
        PathProblem::Circle => {
            (format!("{shown} is a link that leads round in a circle"), "put the file itself there")
        }
    };
    Fault::new(at, message).hint(hint)
}

fn no_file(path: &str, found: &Found, at: Position) -> Fault {
    let shown = quoted(path);
    match found {
        Found::Folder { .. } => Fault::new(at, format!("{shown} is a folder, not a file")),
        Found::Foreign => Fault::new(at, format!("{shown} is in another repository"))
            .hint("submodules are not read; commit the files here"),
        Found::Special => Fault::new(at, format!("{shown} {IS_SPECIAL}")),
        _ => Fault::new(at, format!("there is no file {shown}"))
            .hint("paths are seen from the folder of this kustomization"),
    }
}

fn too_large(path: &str, size_bytes: u64, at: Position) -> Fault {
    let message =
        format!("the file {} has {size_bytes} bytes; it may have {FILE_LIMIT_BYTES}", quoted(path));
    Fault::new(at, message).hint("split it into several files")
}
