//! How much of a repository Dugout understands, as a table or as JSON.

use std::fmt::Write as _;

use dugout_api::dugout::Problem as SerialisedProblem;
use dugout_manifest::{Coverage, KindName, Tally};
use dugout_model::Problem;
use serde::Serialize;

use super::folder_tree::FolderTree;
use super::{counted, told};
use crate::output::{Grid, Paint};

/// The coverage as it is told.
#[derive(Serialize)]
pub(super) struct Shown {
    files: usize,
    documents: Counts,
    kinds: Vec<ShownKind>,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Counts {
    understood: usize,
    notice: usize,
    refused: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownKind {
    /// Empty for what cannot be told apart, and for paths that are not read.
    kind: String,
    api_version: String,
    #[serde(flatten)]
    counts: Counts,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialised")]
    first_error: Option<Problem>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialised")]
    first_notice: Option<Problem>,
}

fn serialised<S: serde::Serializer>(
    problem: &Option<Problem>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    problem.as_ref().map(SerialisedProblem::from).serialize(serializer)
}

impl Shown {
    /// With `strict`, what has no effect is refused.
    pub fn new(coverage: &Coverage, tree: &FolderTree, strict: bool) -> Self {
        let kinds: Vec<ShownKind> = coverage
            .kinds
            .iter()
            .map(|(name, tally)| ShownKind::new(name, tally.clone(), tree, strict))
            .collect();
        let documents = kinds.iter().fold(Counts::default(), |sum, kind| Counts {
            understood: sum.understood + kind.counts.understood,
            notice: sum.notice + kind.counts.notice,
            refused: sum.refused + kind.counts.refused,
        });
        Self { files: tree.read_count(), documents, kinds }
    }

    pub fn as_json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// A table of the kinds, the first reasons, and the sum.
    pub fn as_text(&self) -> String {
        let mut grid = Grid::new(["KIND", "API VERSION", "UNDERSTOOD", "NOTICE", "REFUSED"]);
        let mut reasons = String::new();
        for ShownKind { kind, api_version, counts, first_error, first_notice } in &self.kinds {
            let word = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
            let count = |count: usize| count.to_string();
            grid.row([
                word(kind),
                word(api_version),
                count(counts.understood),
                count(counts.notice),
                count(counts.refused),
            ]);
            for problem in first_error.iter().chain(first_notice) {
                let _ = writeln!(reasons, "{problem}");
            }
        }
        let mut text = grid.render(Paint::for_stdout());
        if !reasons.is_empty() {
            let _ = write!(text, "\nThe first of each kind:\n{reasons}");
        }
        let Counts { understood, notice, refused } = self.documents;
        let _ = writeln!(
            text,
            "\n{} in {}: {understood} understood, {notice} accepted with a notice, {refused} refused",
            counted(understood + notice + refused, "document"),
            counted(self.files, "file"),
        );
        text
    }
}

impl ShownKind {
    fn new(name: &KindName, tally: Tally, tree: &FolderTree, strict: bool) -> Self {
        let Tally { understood, mut noticed, mut refused, first_notice, first_error } = tally;
        let tell = |problem: Option<Problem>| problem.map(|problem| told(problem, tree, strict));
        let (mut first_error, mut first_notice) = (tell(first_error), tell(first_notice));
        if strict {
            refused += std::mem::take(&mut noticed);
            first_error = first_error.into_iter().chain(first_notice.take()).min();
        }
        Self {
            kind: name.kind.clone(),
            api_version: name.api_version.clone(),
            counts: Counts { understood, notice: noticed, refused },
            first_error,
            first_notice,
        }
    }
}
