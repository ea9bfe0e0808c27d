//! The working tree: its text files, and the Rust files as each target reaches them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::tokens::Tokens;

/// Folders that hold no source of ours.
const SKIPPED_FOLDERS: [&str; 5] = [".git", ".dugout", "dugout-demo", "node_modules", "target"];

/// One text file.
pub struct TextFile {
    /// From the root, with forward slashes.
    pub path: String,
    pub text: String,
}

/// One Rust file.
pub struct RustFile {
    pub path: String,
    pub text: String,
    pub tokens: Tokens,
    /// Whether it is part of tests alone. Absent when no target reaches the file.
    pub only_tests: Option<bool>,
}

impl RustFile {
    /// The top-level folder.
    pub fn room(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Every file of the tree that is text, sorted by path.
pub fn text_files() -> Vec<TextFile> {
    let root = root();
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        // Cargo marks its target folders, wherever they are.
        if folder.join("CACHEDIR.TAG").exists() {
            continue;
        }
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let (name, path) = (entry.file_name(), entry.path());
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !SKIPPED_FOLDERS.iter().any(|skipped| name == *skipped) {
                folders.push(path);
            } else if kind.is_file()
                && let Ok(text) = fs::read_to_string(&path)
            {
                files.push(TextFile { path: relative(&root, &path), text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// Every Rust file of the tree, sorted by path.
pub fn rust_files() -> Vec<RustFile> {
    let mut files: BTreeMap<String, RustFile> = BTreeMap::new();
    for file in text_files() {
        if file.path.ends_with(".rs") {
            let tokens = Tokens::parse(&file.text)
                .unwrap_or_else(|error| panic!("{}: cannot be read as Rust: {error}", file.path));
            let row =
                RustFile { path: file.path.clone(), text: file.text, tokens, only_tests: None };
            files.insert(file.path, row);
        }
    }
    for (path, in_test) in target_roots() {
        reach(&mut files, path, in_test);
    }
    files.into_values().collect()
}

/// What cargo says of the workspace, without resolving anything.
pub fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The file that each target begins with, and whether the target is a test or a benchmark.
fn target_roots() -> Vec<(String, bool)> {
    let mut roots = Vec::new();
    for package in metadata()["packages"].as_array().unwrap() {
        for target in package["targets"].as_array().unwrap() {
            let path = relative(&root(), Path::new(target["src_path"].as_str().unwrap()));
            let kind = target["kind"][0].as_str().unwrap();
            roots.push((path, matches!(kind, "test" | "bench")));
        }
    }
    roots
}

/// Marks a file, and every file that it declares as a module, as part of a target.
fn reach(files: &mut BTreeMap<String, RustFile>, first: String, in_test: bool) {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![(first, in_test, true)];
    while let Some((path, in_test, is_root)) = waiting.pop() {
        if !seen.insert((path.clone(), in_test)) {
            continue;
        }
        let Some(file) = files.get_mut(&path) else { continue };
        file.only_tests = Some(file.only_tests.unwrap_or(true) && in_test);
        for module in &file.tokens.modules {
            for candidate in candidates(&path, is_root, module) {
                waiting.push((candidate, in_test || module.in_test, false));
            }
        }
        for include in &file.tokens.includes {
            waiting.push((join(parent(&path), include), in_test, false));
        }
    }
}

/// Where a module may be.
fn candidates(
    declared_in: &str,
    is_root: bool,
    module: &crate::tokens::ModuleDeclaration,
) -> Vec<String> {
    let folder = parent(declared_in);
    if let Some(path) = &module.path {
        return vec![join(folder, path)];
    }
    let file_name = declared_in.rsplit('/').next().unwrap_or_default();
    let mut base = if is_root || file_name == "mod.rs" {
        folder.to_owned()
    } else {
        declared_in.trim_end_matches(".rs").to_owned()
    };
    for inline in &module.inside {
        base = join(&base, inline);
    }
    vec![
        join(&base, &format!("{}.rs", module.name)),
        join(&base, &format!("{}/mod.rs", module.name)),
    ]
}

/// The folder of a path, empty at the root.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A path seen from a folder, both from the root; `.` and `..` are worked out.
pub fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}
