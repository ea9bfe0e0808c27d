//! Metadata and requirements on labels.

use crate::validate::{Context, View};

/// All annotations of an object together.
const ANNOTATIONS_LIMIT_BYTES: usize = 256 << 10;

pub(crate) fn object(metadata: &View<'_>, _: &mut Context) {
    check_annotations(metadata);
}

pub(crate) fn template(metadata: &View<'_>, _: &mut Context) {
    check_annotations(metadata);
}

fn check_annotations(metadata: &View<'_>) {
    let size: usize = metadata.pairs("annotations").map(|(key, text)| key.len() + text.len()).sum();
    if size > ANNOTATIONS_LIMIT_BYTES
        && let Some(value) = metadata.get("annotations")
    {
        value.fail(format!("annotations may take {ANNOTATIONS_LIMIT_BYTES} bytes, not {size}"));
    }
}

/// A requirement on a label or on a quota's scope: values go with In and NotIn alone.
pub(crate) fn requirement(requirement: &View<'_>, _: &mut Context) {
    let has_values = requirement.count("values") > 0;
    match requirement.text("operator") {
        Some("In" | "NotIn") if !has_values => requirement.fail_at(
            "values",
            "must list at least one value",
            "In and NotIn compare with it",
        ),
        Some("Exists" | "DoesNotExist") if has_values => requirement.fail_at(
            "values",
            "must not be there with this operator",
            "remove it, or use In",
        ),
        _ => {}
    }
}
