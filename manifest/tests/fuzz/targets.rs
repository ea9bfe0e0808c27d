//! What must hold for every input, as functions of bytes, which any fuzzer can call. They panic where something does not hold.

use std::collections::BTreeSet;

use dugout_manifest::{
    Coverage, Files, Outcome, Policy, SourceCache, assemble, parse_blob, read_source, survey_paths,
};
use dugout_model::{RevisionContent, Severity};

/// More is only slower: what goes wrong does so with little.
pub const INPUT_LIMIT_BYTES: usize = 64 << 10;
/// Begins each file of a tree, before its path.
pub const FILE_MARK: &str = "=== ";
/// Between a link and where it leads.
const LINK_MARK: &str = " -> ";
const FILE_LIMIT: usize = 32;

/// One file of YAML, alone.
pub fn yaml(bytes: &[u8]) {
    if bytes.len() > INPUT_LIMIT_BYTES {
        return;
    }
    let content = assemble([("a.yaml", &parse_blob(bytes))], &Policy::default());
    check(&content);
    let mut files = Files::default();
    files.add("a.yaml", bytes);
    assert_eq!(content, read_source_again(&files), "a file and a folder with it are the same");
}

/// A small tree, with a kustomization or without. Each file begins with a line `=== path`, each link is a
/// line `=== path -> target`.
pub fn kustomize(bytes: &[u8]) {
    if bytes.len() <= INPUT_LIMIT_BYTES {
        check(&read_source_again(&files_of(bytes)));
    }
}

/// Reads a tree twice, and with its count, and gives the one result that all must have.
fn read_source_again(files: &Files) -> RevisionContent {
    let policy = Policy::default();
    let mut cache = SourceCache::default();
    let mut read = || match read_source(files, "", &policy, &mut cache) {
        Ok(content) => content,
        Err(error) => panic!("a tree in memory can be read: {error}"),
    };
    let content = read();
    assert_eq!(content, read(), "what was kept gives the same");
    match survey_paths(files, &[""], &policy) {
        Ok((counted, coverage)) => {
            assert_eq!(content, counted, "counting changes nothing");
            check_coverage(&content, &coverage);
        }
        Err(error) => panic!("a tree in memory can be read: {error}"),
    }
    content
}

fn check(content: &RevisionContent) {
    match content {
        RevisionContent::Problems(problems) => {
            assert!(problems.iter().any(|problem| problem.severity == Severity::Error));
            assert!(problems.is_sorted());
            // A line comes with a column, and a problem with its file.
            assert!(problems.iter().all(|problem| problem.line > 0 || problem.column == 0));
            assert!(problems.iter().all(|problem| !problem.message.is_empty()));
        }
        RevisionContent::Objects { objects, notices } => {
            assert!(objects.iter().all(|(id, object)| *id == object.id()));
            assert!(notices.iter().all(|notice| notice.severity == Severity::Notice));
        }
    }
}

/// The count and the problems say the same.
fn check_coverage(content: &RevisionContent, coverage: &Coverage) {
    let refused = coverage.count(Outcome::Refused);
    match content {
        RevisionContent::Problems(_) => assert!(refused > 0, "an error belongs to a document"),
        RevisionContent::Objects { objects, notices } => {
            assert_eq!(refused, 0);
            assert!(objects.len() <= coverage.total());
            assert_eq!(coverage.count(Outcome::Noticed) > 0, !notices.is_empty());
        }
    }
}

/// The tree that bytes stand for; what comes before the first mark is a kustomization.
pub fn files_of(bytes: &[u8]) -> Files {
    let mut files = Files::default();
    let mut path = "kustomization.yaml".to_owned();
    let mut content: Vec<u8> = Vec::new();
    let mut taken = BTreeSet::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(named) = line.strip_prefix(FILE_MARK.as_bytes()) else {
            content.extend_from_slice(line);
            continue;
        };
        add(&mut files, &mut taken, &path, &content);
        content.clear();
        if taken.len() >= FILE_LIMIT {
            return files;
        }
        path = String::from_utf8_lossy(named).trim_end().to_owned();
    }
    add(&mut files, &mut taken, &path, &content);
    files
}

/// Adds a file or a link where the path is one that a commit can have.
fn add(files: &mut Files, taken: &mut BTreeSet<String>, name: &str, content: &[u8]) {
    let (path, target) = match name.split_once(LINK_MARK) {
        Some((path, target)) => (path, Some(target)),
        None => (name, None),
    };
    let is_part = |part: &str| !matches!(part, "" | "." | ".." | ".git") && !part.contains('\0');
    let is_folder = |path: &str, file: &str| {
        file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if !path.split('/').all(is_part)
        || taken.iter().any(|other| is_folder(path, other) || is_folder(other, path))
    {
        return;
    }
    taken.insert(path.to_owned());
    match target {
        Some(target) => files.add_link(path, target),
        None => files.add(path, content),
    }
}
