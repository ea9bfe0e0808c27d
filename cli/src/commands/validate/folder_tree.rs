//! The files of this machine as the manifests' reader asks for them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use dugout_manifest::{ContentId, Found, MANIFEST_LIMIT_BYTES, Tree, TreeError};

use crate::client::Usage;

/// More files than this in one folder are taken for a mistake in the path.
const MOST_ENTRIES: usize = 200_000;
/// What standard input is called in problems.
const STANDARD_INPUT: &str = "stdin";

/// From where paths are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShownFrom {
    /// The working directory, as whoever called the command writes them.
    Here,
    /// The top of the repository, as its forge writes them; without a repository, as [`Self::Here`].
    Repository,
}

/// The repository around the given paths, or without one the working directory, or else what the paths name.
pub(super) struct FolderTree {
    root: PathBuf,
    is_repository: bool,
    /// What shown paths are relative to, where they lie below it.
    base: PathBuf,
    /// What is no file in a folder, as standard input, by the name that its problems carry.
    streams: BTreeMap<String, Vec<u8>>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// Every path has an id of its own: nothing is read twice, and nothing is kept for later.
    ids: BTreeMap<String, u64>,
    read: BTreeSet<String>,
}

impl FolderTree {
    /// Kustomizations may refer to what is beside the paths, as far as their repository goes.
    pub fn around(paths: &[PathBuf], shown_from: ShownFrom) -> anyhow::Result<Self> {
        let here = std::env::current_dir()
            .and_then(|here| here.canonicalize())
            .context("the working directory cannot be found")?;
        let (mut roots, mut named) = (BTreeSet::new(), Vec::new());
        for path in paths.iter().filter(|path| path.as_os_str() != "-") {
            let path = canonical(path)?;
            let top = path.ancestors().find(|folder| folder.join(".git").exists());
            roots.insert(top.map(Path::to_owned));
            named.push(path);
        }
        let (root, repository) = match roots.into_iter().collect::<Vec<_>>().as_slice() {
            [Some(root)] => (root.clone(), Some(root.clone())),
            _ => (around_all(&named, &here), None),
        };
        let is_repository = repository.is_some();
        let base = match (shown_from, repository) {
            (ShownFrom::Repository, Some(repository)) => repository,
            _ => here,
        };
        Ok(Self { root, is_repository, base, streams: BTreeMap::new(), state: RefCell::default() })
    }

    /// Takes in a path of the command line; gives the path in the tree.
    pub fn add(&mut self, path: &Path) -> anyhow::Result<String> {
        if path.as_os_str() == "-" {
            let known = format!("<{STANDARD_INPUT}>");
            if self.streams.contains_key(&known) {
                // It has been read to its end.
                return Ok(known);
            }
            let bytes =
                read_limited(io::stdin().lock()).context("standard input cannot be read")?;
            return self.add_stream(STANDARD_INPUT.to_owned(), bytes);
        }
        let whole = canonical(path)?;
        let metadata = fs::metadata(&whole).with_context(|| cannot_read(path))?;
        if !metadata.is_file() && !metadata.is_dir() {
            let file = fs::File::open(path).with_context(|| cannot_read(path))?;
            let bytes = read_limited(file).with_context(|| cannot_read(path))?;
            return self.add_stream(path.to_string_lossy().into_owned(), bytes);
        }
        let inside = whole.strip_prefix(&self.root).with_context(|| cannot_read(path))?;
        let mut parts = Vec::new();
        for part in inside.components() {
            match part {
                Component::Normal(part) => parts.push(text(part)?),
                _ => bail!(cannot_read(path)),
            }
        }
        Ok(parts.join("/"))
    }

    fn add_stream(&mut self, name: String, bytes: Vec<u8>) -> anyhow::Result<String> {
        let path = format!("<{name}>");
        self.streams.insert(path.clone(), bytes);
        Ok(path)
    }

    /// How many files were read.
    pub fn read_count(&self) -> usize {
        self.state.borrow().read.len()
    }

    fn id(&self, path: &str) -> ContentId {
        let mut state = self.state.borrow_mut();
        let next = state.ids.len() as u64;
        let number = *state.ids.entry(path.to_owned()).or_insert(next);
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        ContentId(id)
    }
}

impl Tree for FolderTree {
    fn find(&self, path: &str) -> Result<Found, TreeError> {
        if let Some(bytes) = self.streams.get(path) {
            return Ok(Found::File { id: self.id(path), size_bytes: bytes.len() as u64 });
        }
        // The system would follow links on the way; whoever asks does that, and stays inside.
        let links = path.match_indices('/').map(|(end, _)| self.root.join(&path[..end]));
        if links.into_iter().any(|folder| folder.is_symlink()) {
            return Ok(Found::Nothing);
        }
        let whole = self.root.join(path);
        let metadata = match fs::symlink_metadata(&whole) {
            Ok(metadata) => metadata,
            Err(error) if is_absence(&error) => return Ok(Found::Nothing),
            Err(error) => return Err(failed(&whole, error)),
        };
        let kind = metadata.file_type();
        Ok(if kind.is_dir() && !path.is_empty() && whole.join(".git").exists() {
            Found::Foreign
        } else if kind.is_dir() {
            Found::Folder { id: self.id(path) }
        } else if kind.is_file() {
            Found::File { id: self.id(path), size_bytes: metadata.len() }
        } else if kind.is_symlink() {
            let target = fs::read_link(&whole).map_err(|error| failed(&whole, error))?;
            match target.into_os_string().into_string() {
                Ok(target) => Found::Link { target },
                Err(_) => Found::NoText,
            }
        } else {
            Found::Special
        })
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, Found)>, TreeError> {
        let whole = self.root.join(folder);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&whole).map_err(|error| failed(&whole, error))? {
            let name = entry.map_err(|error| failed(&whole, error))?.file_name();
            let found = match name.to_str() {
                Some(".git") => continue,
                Some(name) if folder.is_empty() => self.find(name)?,
                Some(name) => self.find(&format!("{folder}/{name}"))?,
                None => Found::NoText,
            };
            entries.push((name.to_string_lossy().into_owned(), found));
            if entries.len() > MOST_ENTRIES {
                let message = format!("{} holds more than {MOST_ENTRIES} files", whole.display());
                return Err(message.into());
            }
        }
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(entries)
    }

    fn read(&self, path: &str, _: ContentId) -> Result<Vec<u8>, TreeError> {
        self.state.borrow_mut().read.insert(path.to_owned());
        if let Some(bytes) = self.streams.get(path) {
            return Ok(bytes.clone());
        }
        let whole = self.root.join(path);
        let file = fs::File::open(&whole).map_err(|error| failed(&whole, error))?;
        read_limited(file).map_err(|error| failed(&whole, error))
    }

    fn outermost(&self) -> String {
        match self.is_repository {
            true => "the repository".to_owned(),
            false => format!(
                "{}, which is what is looked at where there is no Git repository",
                self.root.display()
            ),
        }
    }

    fn shown(&self, path: &str) -> String {
        if self.streams.contains_key(path) {
            return path.trim_matches(['<', '>']).to_owned();
        }
        let whole = self.root.join(path);
        let shown = whole.strip_prefix(&self.base).unwrap_or(&whole).to_string_lossy().into_owned();
        if shown.is_empty() { ".".to_owned() } else { shown }
    }
}

/// The folder that kustomizations may not leave where there is no repository: the working directory, if all paths
/// are in it, or else the one that holds all that the paths name.
fn around_all(named: &[PathBuf], here: &Path) -> PathBuf {
    if named.iter().all(|path| path.starts_with(here)) {
        return here.to_owned();
    }
    let mut folders =
        named.iter().map(|path| if path.is_dir() { path } else { path.parent().unwrap_or(path) });
    let Some(first) = folders.next() else { return here.to_owned() };
    folders.fold(first.to_owned(), |root, folder| {
        let shared = root.ancestors().find(|ancestor| folder.starts_with(ancestor));
        shared.unwrap_or(Path::new("/")).to_owned()
    })
}

/// Reads no more than a manifest may have, and one byte, by which too many are told.
fn read_limited(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(MANIFEST_LIMIT_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput
    )
}

fn failed(path: &Path, error: io::Error) -> TreeError {
    format!("{} cannot be read: {error}", path.display()).into()
}

/// A path without links; one that is not there was called wrongly.
fn canonical(path: &Path) -> anyhow::Result<PathBuf> {
    path.canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Usage(format!("there is no file or folder {}", path.display())).into()
        }
        _ => anyhow::Error::new(error).context(cannot_read(path)),
    })
}

fn cannot_read(path: &Path) -> String {
    format!("{} cannot be read", path.display())
}

fn text(part: &OsStr) -> anyhow::Result<String> {
    let text = part.to_str().map(str::to_owned);
    text.with_context(|| format!("the path {} is no UTF-8 text", part.to_string_lossy()))
}
