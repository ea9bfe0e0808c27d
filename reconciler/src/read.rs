//! Reading a commit: the manifests of its folder, parsed once for each blob, assembled into what the
//! commit declares or what is wrong with it.

use std::collections::HashMap;

use dugout_gitsync::{
    BlobId, FileEntry, GitError, Limits, Listing, Mirror, SkipReason, TreeProblem,
};
use dugout_manifest::ParsedBlob;
use dugout_model::{Commit, CommitSha, Problem, RevisionContent, Severity, SourceCondition, chain};

/// The largest manifest that is read. A larger one is a problem of the revision.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Parsed blobs by id: the same content is parsed once, however often it is committed.
pub(crate) type ParsedBlobs = HashMap<BlobId, ParsedBlob>;

/// A commit that was read.
pub(crate) struct ReadCommit {
    pub commit: Commit,
    pub content: RevisionContent,
}

/// Why a commit cannot be read, as far as it is the repository's fault and not the manifests'.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadProblem {
    #[error("the commit cannot be read")]
    Commit(#[source] GitError),
    #[error("the commit's files cannot be read")]
    Tree(#[source] TreeProblem),
}

impl ReadProblem {
    pub fn condition(&self) -> SourceCondition {
        match self {
            ReadProblem::Tree(problem) => problem.condition(),
            ReadProblem::Commit(_) => None,
        }
        .unwrap_or_else(|| SourceCondition::Corrupt { message: chain(self) })
    }
}

/// Reads a commit. `parsed` is what earlier commits left; it comes back holding this commit's blobs
/// and no others, so that it is as large as the folder.
pub(crate) fn read_commit(
    mirror: &Mirror,
    sha: &CommitSha,
    path: &str,
    parsed: &mut ParsedBlobs,
) -> Result<ReadCommit, ReadProblem> {
    let commit = mirror.commit(sha).map_err(ReadProblem::Commit)?;
    let listing = mirror
        .files(sha, path, &Limits::default(), dugout_manifest::is_manifest_path)
        .map_err(ReadProblem::Tree)?;
    let mut known = std::mem::take(parsed);
    let mut problems = skipped(&listing);
    let mut files = Vec::with_capacity(listing.files.len());
    for file in &listing.files {
        match parse(mirror, file, &mut known) {
            Ok(blob) => {
                parsed.insert(file.blob, blob.clone());
                files.push((file.path.as_str(), blob));
            }
            Err(TreeProblem::FileTooLarge { .. }) => problems.push(too_large(file)),
            Err(problem) => return Err(ReadProblem::Tree(problem)),
        }
    }
    let content = dugout_manifest::assemble(files.iter().map(|(path, blob)| (*path, blob)));
    Ok(ReadCommit { commit, content: with_problems(content, problems) })
}

fn parse(
    mirror: &Mirror,
    file: &FileEntry,
    known: &mut ParsedBlobs,
) -> Result<ParsedBlob, TreeProblem> {
    if let Some(blob) = known.remove(&file.blob) {
        return Ok(blob);
    }
    let bytes = mirror.read(file.blob, FILE_BYTES_MAX)?;
    Ok(dugout_manifest::parse_blob(&bytes))
}

/// Manifests that are there and were not followed are errors: leaving them out in silence would apply
/// something else than what the folder shows. Anything else that was not followed is no manifest.
fn skipped(listing: &Listing) -> Vec<Problem> {
    listing
        .skipped
        .iter()
        .filter(|skipped| {
            skipped.reason == SkipReason::PathNotUtf8
                || dugout_manifest::is_manifest_path(&skipped.path)
        })
        .map(|skipped| skipped.problem(Severity::Error))
        .collect()
}

fn too_large(file: &FileEntry) -> Problem {
    Problem {
        file: file.path.clone(),
        line: 0,
        column: 0,
        severity: Severity::Error,
        field_path: String::new(),
        message: format!(
            "the file has {} bytes; a manifest may have {FILE_BYTES_MAX}",
            file.size_bytes
        ),
        hint: Some("split it into several files".to_owned()),
    }
}

/// Adds problems of the repository to those of the manifests.
fn with_problems(content: RevisionContent, problems: Vec<Problem>) -> RevisionContent {
    if problems.is_empty() {
        return content;
    }
    let mut all = match content {
        RevisionContent::Problems(found) => found,
        RevisionContent::Objects { notices, .. } => notices,
    };
    all.extend(problems);
    all.sort();
    RevisionContent::Problems(all)
}
