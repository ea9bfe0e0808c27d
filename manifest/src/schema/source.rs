//! Dugout's own kind: further sources, declared in Git.

use super::format::{GIT_URL, RELATIVE_PATH, SUBDOMAIN};
use super::value::{BOOL, TEXT, int, object, text, texts, words};
use super::{API_VERSION, KIND, METADATA, STATUS, Schema, checked, table};

pub(super) static SOURCE: Schema = table(
    "Source",
    &[API_VERSION, KIND, METADATA, checked("spec", object(&SOURCE_SPEC)).required(), STATUS],
);

static SOURCE_SPEC: Schema = table(
    "SourceSpec",
    &[
        checked("url", text(GIT_URL)).required(),
        checked("branch", TEXT),
        checked("path", text(RELATIVE_PATH)),
        checked("pollIntervalSeconds", int(1, 86_400)),
        checked("suspended", BOOL),
        checked("onFailure", words(&["revert", "hold"])),
        checked("drift", words(&["correct", "warn"])),
        checked("deletionBudgetPercent", int(0, 100)),
        checked("skipGroups", texts(SUBDOMAIN)),
    ],
);
