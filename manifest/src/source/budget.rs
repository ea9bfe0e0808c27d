//! How much the kustomizations of one revision may make together: each has limits of its own, and many
//! that are made from one base could still multiply it without bound.

use dugout_model::{Problem, Severity};

use super::{Rendered, file_problem};
use crate::kustomize::Weight;

/// How many values the kustomizations of a revision may make.
pub(crate) const RENDERED_NODE_LIMIT: usize = 10_000_000;
/// How many bytes of text they may make. What was read on the way and what there is to say counts as well,
/// because it is kept.
pub(crate) const RENDERED_BYTE_LIMIT: usize = 256 << 20;

/// What the renderings of a revision cost together.
#[derive(Default)]
pub(super) struct Budget {
    spent: Weight,
}

impl Budget {
    pub fn put(&mut self, rendered: &Rendered) {
        self.spent.add(rendered.weight);
    }

    pub fn take(&mut self, rendered: &Rendered) {
        self.spent.take(rendered.weight);
    }

    pub fn is_passed(&self) -> bool {
        self.spent.nodes > RENDERED_NODE_LIMIT || self.spent.bytes > RENDERED_BYTE_LIMIT
    }
}

/// Tells that the limit is passed with the kustomization in a folder.
pub(super) fn passed(folder: &str) -> Problem {
    let message = format!(
        "with this kustomization, those of the source make more than {RENDERED_NODE_LIMIT} values or {} MiB \
         of text together; nothing further is read",
        RENDERED_BYTE_LIMIT >> 20
    );
    let hint = "make several sources of it, or leave folders out with .dugoutignore; where every overlay \
                repeats one large base, put what is large into an image or a volume";
    file_problem(if folder.is_empty() { "." } else { folder }, Severity::Error, message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_bytes_are_limited_each() {
        let spent = |nodes, bytes| Budget { spent: Weight { nodes, bytes } }.is_passed();
        assert!(!spent(RENDERED_NODE_LIMIT, RENDERED_BYTE_LIMIT));
        assert!(spent(RENDERED_NODE_LIMIT + 1, 0));
        assert!(spent(0, RENDERED_BYTE_LIMIT + 1));
    }
}
