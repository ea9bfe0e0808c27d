//! A walk through a source's folder: what is a manifest, what is a kustomization, what is left out.

use std::sync::Arc;

use dugout_model::{Problem, Severity};
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::file_problem;
use crate::kustomize::FILE_NAMES;
use crate::layout::is_manifest_path;
use crate::problems::quoted;
use crate::tree::{
    ContentId, Found, IS_SPECIAL, PathProblem, Tree, TreeError, follow, parent, within,
};

/// How many manifests one source may have.
pub(crate) const FILE_LIMIT: usize = 100_000;
/// How many bytes its manifests may have together.
pub(crate) const BYTE_LIMIT: u64 = 256 << 20;
/// How many files and folders are looked at.
pub(crate) const ENTRY_LIMIT: usize = 1_000_000;
/// Folders within folders.
pub(super) const DEPTH_LIMIT: usize = 100;
/// What tells a Helm chart.
const CHART_FILE: &str = "Chart.yaml";
/// Names what is left out, in the language of `.gitignore`.
pub(super) const IGNORE_FILE: &str = ".dugoutignore";
pub(super) const IGNORE_LIMIT_BYTES: u64 = 64 << 10;

/// What a source's folder holds.
#[derive(Default)]
pub(super) struct Walk {
    /// In the order of their paths.
    pub manifests: Vec<Manifest>,
    /// The topmost folders with a kustomization, in the order of their paths.
    pub kustomizations: Vec<String>,
    pub problems: Vec<Problem>,
    /// Every folder that was walked.
    pub folders: Vec<(String, Listed)>,
    /// There are files and folders alone, so that what a folder means follows from what is in it.
    pub is_plain: bool,
}

/// What a folder holds.
pub(super) struct Listed {
    pub id: ContentId,
    pub entries: Arc<[(String, Found)]>,
}

pub(super) struct Manifest {
    pub path: Arc<str>,
    /// Where the file is when the path is a link, and otherwise the same.
    pub target: Arc<str>,
    pub id: ContentId,
    pub size_bytes: u64,
}

pub(super) fn walk(tree: &dyn Tree, tops: &[&str]) -> Result<Walk, TreeError> {
    let mut walker = Walker {
        tree,
        walk: Walk { is_plain: true, ..Walk::default() },
        ignores: Vec::new(),
        entries: 0,
        bytes: 0,
        is_full: false,
    };
    for top in tops {
        walker.top(top)?;
    }
    let mut walk = walker.walk;
    walk.manifests.sort_by(|a, b| a.path.cmp(&b.path));
    walk.manifests.dedup_by(|a, b| a.path == b.path);
    walk.kustomizations.sort();
    walk.kustomizations.dedup();
    Ok(walk)
}

struct Walker<'t> {
    tree: &'t dyn Tree,
    walk: Walk,
    /// The ignore files on the way, each with its folder, the outermost first.
    ignores: Vec<(String, Gitignore)>,
    entries: usize,
    bytes: u64,
    /// A limit was passed, which is told.
    is_full: bool,
}

impl Walker<'_> {
    /// A folder, or a file that is asked for by its name.
    fn top(&mut self, top: &str) -> Result<(), TreeError> {
        let tree = self.tree;
        let name = top.rsplit('/').next().unwrap_or(top);
        match follow(top, &mut |path| tree.find(path))? {
            Ok((_, Found::File { .. })) if FILE_NAMES.contains(&name) => {
                self.walk.kustomizations.push(parent(top).to_owned());
            }
            Ok((target, Found::File { id, size_bytes })) => {
                self.manifest(top, &target, id, size_bytes);
            }
            Ok((folder, Found::Folder { id })) => {
                let entries = self.tree.list(&folder)?;
                self.walk.is_plain &= folder == top;
                if has_kustomization(&entries) {
                    self.walk.kustomizations.push(folder);
                } else {
                    self.folder(&folder, id, entries, 0)?;
                }
            }
            _ => {
                let hint = "give the path of a folder in the repository";
                self.tell(top, Severity::Error, "there is no such file or folder", hint);
            }
        }
        Ok(())
    }

    fn folder(
        &mut self,
        folder: &str,
        id: ContentId,
        entries: Vec<(String, Found)>,
        depth: usize,
    ) -> Result<(), TreeError> {
        self.entries += entries.len();
        self.walk.is_plain &= is_plain(&entries);
        if self.entries > ENTRY_LIMIT || depth > DEPTH_LIMIT {
            self.fill(folder, "it holds too many files and folders");
            return Ok(());
        }
        let ignores = self.ignores.len();
        self.read_ignore_file(folder, &entries)?;
        if let Some((name, _)) = entries.iter().find(|(name, _)| name == CHART_FILE) {
            let path = within(folder, name);
            self.tell(
                &path,
                Severity::Error,
                "this folder is a Helm chart, and Dugout does not render charts",
                "commit what `helm template` prints, or leave the folder out with .dugoutignore",
            );
        } else {
            for (name, found) in &entries {
                if !self.is_full {
                    self.entry(&within(folder, name), name, found, depth)?;
                }
            }
        }
        self.ignores.truncate(ignores);
        self.walk.folders.push((folder.to_owned(), Listed { id, entries: entries.into() }));
        Ok(())
    }

    fn entry(
        &mut self,
        path: &str,
        name: &str,
        found: &Found,
        depth: usize,
    ) -> Result<(), TreeError> {
        let is_folder = matches!(found, Found::Folder { .. } | Found::Foreign);
        if name.starts_with('.') || self.is_ignored(path, is_folder) {
            return Ok(());
        }
        match found {
            Found::Folder { id } => {
                let entries = self.tree.list(path)?;
                if has_kustomization(&entries) {
                    self.walk.kustomizations.push(path.to_owned());
                    return Ok(());
                }
                self.folder(path, *id, entries, depth + 1)
            }
            Found::File { id, size_bytes } if is_manifest_path(name) => {
                self.manifest(path, path, *id, *size_bytes);
                Ok(())
            }
            Found::Link { .. } => self.link(path, name),
            Found::Foreign => {
                self.tell(
                    path,
                    Severity::Notice,
                    "is not read: it is another repository",
                    "commit its files here, or make it a source of its own",
                );
                Ok(())
            }
            Found::Special if is_manifest_path(name) => {
                self.tell(path, Severity::Error, IS_SPECIAL, "put a file there");
                Ok(())
            }
            Found::NoText => {
                self.tell(path, Severity::Error, "this path is not UTF-8 text", "rename it");
                Ok(())
            }
            Found::File { .. } | Found::Special | Found::Nothing => Ok(()),
        }
    }

    /// A link to a manifest is the manifest; a link to a folder is not walked.
    fn link(&mut self, path: &str, name: &str) -> Result<(), TreeError> {
        let tree = self.tree;
        match follow(path, &mut |path| tree.find(path))? {
            Ok((target, Found::File { id, size_bytes })) if is_manifest_path(name) => {
                self.manifest(path, &target, id, size_bytes);
            }
            Ok((_, Found::File { .. })) => {}
            Ok((_, Found::Folder { .. })) => self.tell(
                path,
                Severity::Notice,
                "is not read: it is a link to a folder",
                "put the folder itself there, or refer to it from a kustomization",
            ),
            elsewhere => {
                let why = match elsewhere {
                    Ok((_, Found::Foreign)) => "it is a link into another repository",
                    Ok(_) => "it is a link to nothing",
                    Err(PathProblem::Circle) => "it is a link that leads round in a circle",
                    Err(_) => "it is a link that leads out of the repository",
                };
                // By another name it may still be meant for a folder.
                match is_manifest_path(name) {
                    true => {
                        let message = format!("cannot be read: {why}");
                        self.tell(path, Severity::Error, &message, "put the file itself there");
                    }
                    false => {
                        let message = format!("is not read: {why}");
                        let hint = "put there what is meant, or remove it";
                        self.tell(path, Severity::Notice, &message, hint);
                    }
                }
            }
        }
        Ok(())
    }

    fn manifest(&mut self, path: &str, target: &str, id: ContentId, size_bytes: u64) {
        self.bytes = self.bytes.saturating_add(size_bytes);
        if self.walk.manifests.len() >= FILE_LIMIT || self.bytes > BYTE_LIMIT {
            let why = format!(
                "it holds more than {FILE_LIMIT} manifests or {} MiB of them",
                BYTE_LIMIT >> 20
            );
            self.fill(path, &why);
            return;
        }
        let path: Arc<str> = path.into();
        let target = if *target == *path { Arc::clone(&path) } else { target.into() };
        self.walk.manifests.push(Manifest { path, target, id, size_bytes });
    }

    fn is_ignored(&self, path: &str, is_folder: bool) -> bool {
        for (folder, ignore) in self.ignores.iter().rev() {
            let inside = path.get(folder.len()..).unwrap_or_default().trim_start_matches('/');
            match ignore.matched(inside, is_folder) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => {}
            }
        }
        false
    }

    fn read_ignore_file(
        &mut self,
        folder: &str,
        entries: &[(String, Found)],
    ) -> Result<(), TreeError> {
        let found = entries.iter().find(|(name, _)| name == IGNORE_FILE);
        let path = within(folder, IGNORE_FILE);
        let (id, size_bytes) = match found {
            Some((_, Found::File { id, size_bytes })) => (id, size_bytes),
            None => return Ok(()),
            Some(_) => {
                self.tell(&path, Severity::Error, "this is no file", "put the file itself there");
                return Ok(());
            }
        };
        if *size_bytes > IGNORE_LIMIT_BYTES {
            let message = format!("the file has more than {IGNORE_LIMIT_BYTES} bytes");
            self.tell(&path, Severity::Error, &message, "leave out whole folders");
            return Ok(());
        }
        let bytes = self.tree.read(&path, *id)?;
        let problems = &mut self.walk.problems;
        let ignore = patterns(&bytes, &mut |number, line| {
            let mut problem = file_problem(
                &path,
                Severity::Error,
                format!("{} is no pattern", quoted(line)),
                "write patterns as in .gitignore",
            );
            problem.line = number;
            problem.column = 1;
            problems.push(problem);
        });
        match ignore {
            Some(ignore) => self.ignores.push((folder.to_owned(), ignore)),
            None => self.tell(&path, Severity::Error, "its patterns are too large", "shorten them"),
        }
        Ok(())
    }

    fn fill(&mut self, path: &str, why: &str) {
        if !self.is_full {
            self.is_full = true;
            let message = format!("the source cannot be read whole: {why}");
            let hint = "give the source a smaller path, or leave folders out with .dugoutignore";
            self.walk.problems.push(file_problem(path, Severity::Error, message, hint));
        }
    }

    fn tell(&mut self, path: &str, severity: Severity, message: &str, hint: &str) {
        self.walk.problems.push(file_problem(path, severity, message, hint));
    }
}

/// The patterns of an ignore file; `tell` gets the lines that are none. Nothing when they are too large.
pub(super) fn patterns(bytes: &[u8], tell: &mut dyn FnMut(u32, &str)) -> Option<Gitignore> {
    let mut builder = GitignoreBuilder::new("");
    for (index, line) in String::from_utf8_lossy(bytes).lines().enumerate() {
        if builder.add_line(None, line).is_err() {
            tell(u32::try_from(index + 1).unwrap_or(u32::MAX), line);
        }
    }
    builder.build().ok()
}

/// Whether a folder without a kustomization holds nothing that says how others are to be read, and nothing
/// that is elsewhere.
pub(super) fn is_plain(entries: &[(String, Found)]) -> bool {
    entries.iter().all(|(name, found)| {
        name != IGNORE_FILE
            && name != CHART_FILE
            && (name.starts_with('.') || matches!(found, Found::File { .. } | Found::Folder { .. }))
    })
}

pub(super) fn has_kustomization(entries: &[(String, Found)]) -> bool {
    entries.iter().any(|(name, found)| {
        FILE_NAMES.contains(&name.as_str())
            && matches!(found, Found::File { .. } | Found::Link { .. })
    })
}
