//! What a source's folder declares: which of its files are manifests, which folders are kustomizations,
//! and what all of them come to.
//!
//! A kustomization at the top of the folder is rendered, and nothing else is read. Without one the
//! folder is walked: every topmost folder with a kustomization is rendered by itself, unless another
//! kustomization refers to it, and all other manifests are read as they are, unless a kustomization
//! has read them. `.dugoutignore` files leave out what they match, as `.gitignore` does.

mod budget;
mod left_out;
mod notices;
mod parts;
mod settled;
mod walk;

pub(crate) use budget::{RENDERED_BYTE_LIMIT, RENDERED_NODE_LIMIT};
pub use notices::NOTICE_LIMIT;
pub(crate) use walk::{BYTE_LIMIT, ENTRY_LIMIT, FILE_LIMIT};

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use dugout_model::{DeclaredObjects, ObjectId, Problem, RevisionContent, Severity};

use self::budget::Budget;
use self::notices::listed;
use self::parts::{Parts, Search};
use self::settled::Settled;
use self::walk::{Manifest, Walk};
use crate::assemble::{Policy, Revision, Unit};
use crate::blob::{Content, ContentReader, ParsedBlob, parse_blob};
use crate::coverage::Coverage;
use crate::decode::{Other, TypeName};
use crate::kustomize::{ParsedTrees, Rendering, Weight, render};
use crate::lines::Lines;
use crate::problems::Mark;
use crate::tree::{ContentId, Found, Tree, TreeError, is_below};

/// The largest manifest that is read; one is text that people review.
pub const MANIFEST_LIMIT_BYTES: u64 = 4 << 20;

/// What was read of a source's last commit, so that the next costs what changed. It holds what that
/// commit uses and nothing else, so it is as large as the source; all of it can be lost.
#[derive(Default)]
pub struct SourceCache {
    blobs: HashMap<ContentId, ParsedBlob>,
    /// By the folder of the kustomization.
    renderings: HashMap<String, Arc<Rendered>>,
    /// What kustomization files refer to.
    parts: HashMap<ContentId, Arc<Parts>>,
    /// How the last reading can be followed by its differences.
    settled: Option<Settled>,
    /// What the last reading declared, if it had no error and cannot be followed.
    declared: Option<DeclaredObjects>,
}

/// What a source's folder declares, and in what that may differ from before.
pub struct Reading {
    pub content: RevisionContent,
    /// Every object that may differ from the last reading through the same cache; absent when everything
    /// may.
    pub changed: Option<BTreeSet<ObjectId>>,
    /// It was found by what differs from the last reading, so that it cost what changed.
    pub was_followed: bool,
}

/// A kustomization's objects, and what they came from.
struct Rendered {
    content: Content,
    lines: Lines,
    inputs: Inputs,
    /// What all of it costs.
    weight: Weight,
}

/// What a rendering depends on. While the folder of the kustomization is the same, only what it asked
/// for outside can have changed.
struct Inputs {
    folder: Option<ContentId>,
    inside: Vec<(String, Found)>,
    outside: Vec<(String, Found)>,
}

/// Reads a source's folder in a commit.
///
/// # Errors
/// When the commit cannot be read. What is wrong with its files is in the result.
pub fn read_source(
    tree: &dyn Tree,
    path: &str,
    policy: &Policy,
    cache: &mut SourceCache,
) -> Result<RevisionContent, TreeError> {
    let whole = read_whole(tree, &[path], cache)?;
    Ok(whole.finish(tree, policy, |revision| revision.into_content()))
}

/// As [`read_source`], for a source that is read again and again: where the last reading through this
/// cache found no error, it costs what changed since. Of its notices the first
/// [`NOTICE_LIMIT`] are listed, and how many there are.
///
/// # Errors
/// As [`read_source`].
pub fn read_revision(
    tree: &dyn Tree,
    path: &str,
    policy: &Policy,
    cache: &mut SourceCache,
) -> Result<Reading, TreeError> {
    let mut before = cache.declared.take();
    if let Some(mut settled) = cache.settled.take() {
        before = Some(settled.objects());
        let mut fresh = SourceCache::default();
        if let Some(changed) = settled.follow(tree, path, policy, &mut fresh)? {
            let content = settled.content();
            cache.settled = Some(settled);
            return Ok(Reading { content, changed: Some(changed), was_followed: true });
        }
        // What was read stays at hand for the whole reading.
        settled.give_back(cache);
        cache.add(fresh);
    }
    let whole = read_whole(tree, &[path], cache)?;
    let (content, linked) = whole.finish(tree, policy, |revision| {
        let linked = revision.notices_by_namespace();
        (revision.into_content(), linked)
    });
    let mut changed = None;
    if let RevisionContent::Objects { objects, .. } = &content {
        changed = before.map(|before| difference(&before, objects));
        match Settled::of(tree, path, policy, whole, objects, linked)? {
            // It has all that was read.
            Some(settled) => {
                *cache = SourceCache { settled: Some(settled), ..SourceCache::default() };
            }
            None => cache.declared = Some(objects.clone()),
        }
    }
    Ok(Reading { content: listed(content, path), changed, was_followed: false })
}

/// The objects that are not the same in both. What was not read or rendered anew is shared, and is told
/// to be the same without a look at it.
fn difference(before: &DeclaredObjects, after: &DeclaredObjects) -> BTreeSet<ObjectId> {
    let mut changed = BTreeSet::new();
    let mut old = before.iter().peekable();
    for (id, object) in after {
        while let Some((gone, _)) = old.next_if(|(other, _)| *other < id) {
            changed.insert(gone.clone());
        }
        let known = old.next_if(|(other, _)| *other == id);
        if known.is_none_or(|(_, other)| other != object) {
            changed.insert(id.clone());
        }
    }
    changed.extend(old.map(|(id, _)| id.clone()));
    changed
}

/// Reads several folders and files as one source. A file is a manifest whatever its name, but for a
/// kustomization, which stands for its folder. Manifests that are left out, because they are hidden or because
/// no kustomization names them, are notices.
///
/// # Errors
/// As [`read_source`].
pub fn read_paths(
    tree: &dyn Tree,
    paths: &[&str],
    policy: &Policy,
    cache: &mut SourceCache,
) -> Result<RevisionContent, TreeError> {
    let mut whole = read_whole(tree, paths, cache)?;
    whole.tell_left_out(tree)?;
    Ok(whole.finish(tree, policy, |revision| revision.into_content()))
}

/// The same with a count of what is understood, what has no effect and what is refused.
///
/// # Errors
/// As [`read_source`].
pub fn survey_paths(
    tree: &dyn Tree,
    paths: &[&str],
    policy: &Policy,
) -> Result<(RevisionContent, Coverage), TreeError> {
    let mut whole = read_whole(tree, paths, &mut SourceCache::default())?;
    whole.tell_left_out(tree)?;
    Ok(whole.finish(tree, policy, |revision| {
        let coverage = revision.coverage();
        (revision.into_content(), coverage)
    }))
}

impl SourceCache {
    /// Whether the next reading begins with what differs from the last, so that it asks for no folder that
    /// is the same, but for what is rendered anew.
    pub fn is_followed(&self) -> bool {
        self.settled.is_some()
    }

    /// Adds what was read for a commit that was not read to its end.
    fn add(&mut self, other: SourceCache) {
        self.blobs.extend(other.blobs);
        self.renderings.extend(other.renderings);
        self.parts.extend(other.parts);
    }
}

/// Everything that was read of a source.
struct Whole {
    walk: Walk,
    /// What the kustomizations refer to.
    search: Search,
    /// The manifests that no kustomization has read.
    plain: Vec<(Manifest, ParsedBlob)>,
    renderings: Vec<(String, Arc<Rendered>)>,
    problems: Vec<Problem>,
}

fn read_whole(
    tree: &dyn Tree,
    paths: &[&str],
    cache: &mut SourceCache,
) -> Result<Whole, TreeError> {
    let SourceCache { blobs, renderings: mut known, parts, .. } = std::mem::take(cache);
    let mut walk = walk::walk(tree, paths)?;
    let mut problems = walk.problems.clone();
    let mut search = Search::new(parts);
    let units = parts::units(tree, &walk.kustomizations, &mut search, &mut problems)?;
    cache.parts = search.parts().collect();
    let mut parsed_trees = ParsedTrees::default();
    let mut renderings = Vec::with_capacity(units.len());
    let mut budget = Budget::default();
    for folder in units {
        let rendered = match known.remove(&folder) {
            Some(rendered) if rendered.inputs.are_same(tree, &folder)? => rendered,
            _ => Arc::new(Rendered::make(tree, &folder, &mut parsed_trees)?),
        };
        budget.put(&rendered);
        if budget.is_passed() {
            problems.push(budget::passed(&folder));
            // Which files the others would have taken is not known.
            walk.manifests.clear();
            break;
        }
        cache.renderings.insert(folder.clone(), Arc::clone(&rendered));
        renderings.push((folder, rendered));
    }
    let plain = read_plain(
        tree,
        std::mem::take(&mut walk.manifests),
        &renderings,
        &blobs,
        cache,
        &mut problems,
    )?;
    Ok(Whole { walk, search, plain, renderings, problems })
}

impl Whole {
    fn tell_left_out(&mut self, tree: &dyn Tree) -> Result<(), TreeError> {
        let plain: Vec<&str> = self.plain.iter().map(|(manifest, _)| &*manifest.target).collect();
        let problems = left_out::left_out(tree, &self.walk.folders, &self.renderings, &plain)?;
        self.problems.extend(problems);
        Ok(())
    }

    /// Joins what was read.
    fn finish<R>(
        &self,
        tree: &dyn Tree,
        policy: &Policy,
        finish: impl FnOnce(Revision<'_>) -> R,
    ) -> R {
        let files = self
            .plain
            .iter()
            .map(|(manifest, blob)| Unit::File { path: &manifest.path, content: &blob.content });
        let rendered = self.renderings.iter().map(|(folder, rendered)| Unit::Rendered {
            folder,
            content: &rendered.content,
            lines: &rendered.lines,
        });
        let shown = |path: &str| tree.shown(path);
        finish(Revision::new(files.chain(rendered), self.problems.clone(), policy, &shown))
    }
}

/// The manifests that no kustomization has read.
fn read_plain(
    tree: &dyn Tree,
    manifests: Vec<Manifest>,
    renderings: &[(String, Arc<Rendered>)],
    known: &HashMap<ContentId, ParsedBlob>,
    cache: &mut SourceCache,
    problems: &mut Vec<Problem>,
) -> Result<Vec<(Manifest, ParsedBlob)>, TreeError> {
    let taken: BTreeSet<&str> =
        renderings.iter().flat_map(|(_, rendered)| rendered.inputs.files_outside()).collect();
    let mut plain = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        let Manifest { path, target, id, size_bytes } = &manifest;
        if taken.contains(&**target) || is_read_inside(renderings, target) {
            continue;
        }
        if *size_bytes > MANIFEST_LIMIT_BYTES {
            let message = format!(
                "the file has {size_bytes} bytes; a manifest may have {MANIFEST_LIMIT_BYTES}"
            );
            problems.push(file_problem(
                path,
                Severity::Error,
                message,
                "split it into several files",
            ));
            continue;
        }
        let blob = match cache.blobs.get(id).or_else(|| known.get(id)) {
            Some(blob) => blob.clone(),
            None => parse_blob(&tree.read(target, *id)?),
        };
        cache.blobs.insert(*id, blob.clone());
        plain.push((manifest, blob));
    }
    Ok(plain)
}

/// Whether a kustomization around a file has read it. Only a file that is asked for by its name, or by a link,
/// is in the folder of one; both are in the order of their paths.
fn is_read_inside(renderings: &[(String, Arc<Rendered>)], path: &str) -> bool {
    let around = path.match_indices('/').map(|(end, _)| &path[..end]);
    std::iter::once("").chain(around).any(|folder| {
        let place = renderings.binary_search_by(|(other, _)| other.as_str().cmp(folder));
        let rendering = place.ok().and_then(|place| renderings.get(place));
        rendering.is_some_and(|(_, rendered)| rendered.inputs.has_inside(path))
    })
}

impl Rendered {
    fn make(
        tree: &dyn Tree,
        folder: &str,
        parsed_trees: &mut ParsedTrees,
    ) -> Result<Self, TreeError> {
        let Rendering { objects, mut weight, problems, lines, inputs } =
            render(tree, folder, parsed_trees)?;
        let failed = problems.error_count() > 0;
        let reason = problems.deciding_since(Mark::default());
        let mut reader = ContentReader::new(problems);
        for object in &objects {
            let mark = reader.mark();
            reader.read(object, mark);
        }
        let type_name = TypeName::new("kustomize.config.k8s.io/v1beta1", "Kustomization");
        reader.add_other(Other { type_name, reason });
        let mut content = reader.into_content();
        content.has_unknown |= failed;
        content.locate(&lines);
        weight.add(weigh(&content.problems, inputs.keys()));
        let (inside, outside) = inputs.into_iter().partition(|(path, _)| is_below(path, folder));
        let inputs = Inputs { folder: folder_id(tree, folder)?, inside, outside };
        Ok(Self { content, lines, inputs, weight })
    }
}

/// What a rendering costs beside its objects.
fn weigh<'p>(problems: &[Problem], paths: impl Iterator<Item = &'p String>) -> Weight {
    let mut weight = Weight::default();
    for problem in problems {
        let Problem { file, field_path, message, hint, .. } = problem;
        let hint = hint.as_ref().map_or(0, String::len);
        let bytes = file.len() + field_path.len() + message.len() + hint;
        weight.add(Weight { nodes: 1, bytes });
    }
    paths.for_each(|path| weight.add(Weight { nodes: 1, bytes: path.len() }));
    weight
}

impl Inputs {
    /// The files that it has read.
    fn files(&self) -> impl Iterator<Item = &str> {
        let all = self.inside.iter().chain(&self.outside);
        let files = all.filter(|(_, found)| matches!(found, Found::File { .. }));
        files.map(|(path, _)| path.as_str())
    }

    /// The files that it has read elsewhere.
    fn files_outside(&self) -> impl Iterator<Item = &str> {
        let files = self.outside.iter().filter(|(_, found)| matches!(found, Found::File { .. }));
        files.map(|(path, _)| path.as_str())
    }

    /// Whether it has read a file of its own folder.
    fn has_inside(&self, path: &str) -> bool {
        let place = self.inside.binary_search_by(|(other, _)| other.as_str().cmp(path));
        let input = place.ok().and_then(|place| self.inside.get(place));
        input.is_some_and(|(_, found)| matches!(found, Found::File { .. }))
    }

    fn are_same(&self, tree: &dyn Tree, folder: &str) -> Result<bool, TreeError> {
        let same = |inputs: &[(String, Found)]| {
            for (path, found) in inputs {
                if !is_same(&tree.find(path)?, found) {
                    return Ok::<bool, TreeError>(false);
                }
            }
            Ok(true)
        };
        if !same(&self.outside)? {
            return Ok(false);
        }
        let unchanged = self.folder.is_some() && folder_id(tree, folder)? == self.folder;
        Ok(unchanged || same(&self.inside)?)
    }
}

/// Whether a rendering sees no difference: of a folder it asks only that it is one.
fn is_same(a: &Found, b: &Found) -> bool {
    matches!((a, b), (Found::Folder { .. }, Found::Folder { .. })) || a == b
}

fn folder_id(tree: &dyn Tree, folder: &str) -> Result<Option<ContentId>, TreeError> {
    Ok(match tree.find(folder)? {
        Found::Folder { id } => Some(id),
        _ => None,
    })
}

/// A problem with a file as a whole.
fn file_problem(path: &str, severity: Severity, message: impl Into<String>, hint: &str) -> Problem {
    Problem {
        file: path.to_owned(),
        line: 0,
        column: 0,
        severity,
        field_path: String::new(),
        message: message.into(),
        hint: Some(hint.to_owned()),
    }
}
