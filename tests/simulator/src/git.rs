//! Git: every commit that was ever made, and the branch that ends with one of them.

use std::collections::BTreeMap;

use dugout_model::{CommitSha, OwedRevert, RevisionContent, SourceName};

/// What people say of their commits.
pub(crate) const PEOPLES_MESSAGE: &str = "A change";

/// A commit, with all that it declares.
#[derive(Clone, Debug)]
pub(crate) struct GitCommit {
    pub parent: Option<CommitSha>,
    pub message: String,
    /// What it declares, as far as it can be read.
    pub content: RevisionContent,
}

/// The repository that people and Dugout push to.
#[derive(Default)]
pub(crate) struct Git {
    commits: BTreeMap<CommitSha, GitCommit>,
    /// In the order in which they were made.
    shas: Vec<CommitSha>,
    pub head: Option<CommitSha>,
}

impl Git {
    pub fn get(&self, sha: &CommitSha) -> Option<&GitCommit> {
        self.commits.get(sha)
    }

    /// The commit of this number among those of people.
    pub fn of_people(&self, number: usize) -> Option<CommitSha> {
        let is_of_people =
            |sha: &&CommitSha| self.get(sha).is_some_and(|each| each.message == PEOPLES_MESSAGE);
        self.shas.iter().filter(is_of_people).nth(number).cloned()
    }

    /// Commits on top of the branch.
    pub fn commit(&mut self, message: String, content: RevisionContent) -> CommitSha {
        let number = self.shas.len() + 1;
        let sha = CommitSha::new(format!("{number:08x}{}", "0".repeat(32)));
        let parent = self.head.replace(sha.clone());
        self.commits.insert(sha.clone(), GitCommit { parent, message, content });
        self.shas.push(sha.clone());
        sha
    }

    /// Whether one commit is in the history of another.
    pub fn descends(&self, sha: &CommitSha, from: &CommitSha) -> bool {
        let parent = |sha: &CommitSha| self.get(sha)?.parent.clone();
        std::iter::successors(Some(sha.clone()), parent).any(|each| each == *from)
    }

    /// Pushes the commit that takes a failed one back, if there is one to go back to.
    pub fn revert(&mut self, source: &SourceName, owed: &OwedRevert) -> Option<CommitSha> {
        let content = self.get(&owed.to)?.content.clone();
        let message = format!(
            "Revert\n\nDugout-Reverts: {}\nDugout-Source: {source}\nDugout-Reason: {}\n",
            owed.failed, owed.reason
        );
        Some(self.commit(message, content))
    }

    /// A commit that two others take back, if there is one.
    pub fn reverted_twice(&self) -> Option<&CommitSha> {
        let takes_back = |commit: &&GitCommit, sha: &CommitSha| {
            commit.message.contains(&format!("Dugout-Reverts: {sha}\n"))
        };
        self.shas
            .iter()
            .find(|sha| self.commits.values().filter(|commit| takes_back(commit, sha)).count() > 1)
    }
}
