//! Claims of a class of storage that the source does not declare.

use std::collections::BTreeSet;

use dugout_model::{BUILT_IN_CLASS, DeclaredObject, ObjectSpec, Severity};

use super::{Member, Revision, Told};
use crate::reader::Place;

/// How many names a hint lists.
const LISTED: usize = 12;

/// The name of the class that an object brings: its own, or that of a volume, which need not be an object.
pub(crate) fn class_of(object: &DeclaredObject) -> Option<&str> {
    match &object.spec {
        ObjectSpec::StorageClass(_) => Some(object.key.name.as_str()),
        ObjectSpec::PersistentVolume(volume) => Some(volume.class.as_str()),
        _ => None,
    }
}

impl<'a> Revision<'a> {
    /// Tells claims whose class is not among those that are known. Another source may declare it, so it is no
    /// error; but where none does, no volume is ever made. `known` is asked once, and only if need be.
    pub(super) fn check_classes(
        &self,
        known: impl FnOnce() -> BTreeSet<String>,
        found: &mut Vec<Told<'a>>,
    ) {
        let mut known = Some(known);
        let mut classes = BTreeSet::new();
        for member in self.members.values() {
            for claim in member.object.links.claims() {
                let Some(class) = claim.class.as_deref().filter(|class| *class != BUILT_IN_CLASS)
                else {
                    continue;
                };
                if let Some(known) = known.take() {
                    classes = known();
                }
                if classes.contains(class) {
                    continue;
                }
                let place = Place {
                    line: claim.class_at.line,
                    column: claim.class_at.column,
                    field_path: format!("{}.storageClassName", claim.place.field_path).into(),
                };
                let message = format!(
                    "this source declares no StorageClass {class}: unless another source does, no volume is \
                     ever made for it"
                );
                let hint = classes_hint(&classes);
                found.push(member.tell(&place, Severity::Notice, message, &hint));
            }
        }
    }

    /// The classes of the revision; nothing where one may be in what cannot be used.
    pub(super) fn own_classes(&self) -> Option<BTreeSet<String>> {
        let mut classes = BTreeSet::new();
        for member in self.members.values() {
            match member.object.id.kind {
                "StorageClass" => {
                    classes.insert(member.object.id.key.name.as_str().to_owned());
                }
                "PersistentVolume" => {
                    let declared = Member::declared(member)?;
                    classes.extend(class_of(&declared).map(str::to_owned));
                }
                _ => {}
            }
        }
        Some(classes)
    }
}

fn classes_hint(declared: &BTreeSet<String>) -> String {
    let names = declared.iter().map(String::as_str).filter(|name| !name.is_empty());
    let mut names: Vec<&str> = std::iter::once(BUILT_IN_CLASS).chain(names).take(LISTED).collect();
    names.dedup();
    match names.as_slice() {
        [one] => {
            format!("there is {one}, which is built in; leave storageClassName out to have it")
        }
        several => format!("there are {}; name one of them, or declare it", several.join(", ")),
    }
}
