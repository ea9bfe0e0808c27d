//! What the name of an image stands for never becomes something else.

use dugout_model::{Change, ImagePins};

use super::{Checker, Violation};
use crate::Plan;

impl Checker<'_> {
    pub(super) fn pins(&mut self, plan: &Plan) {
        for change in &plan.changes {
            let (before, after) = match change {
                Change::PutReplicaSet(row) => {
                    (self.before.replica_sets.get(&row.uid).map(|known| &known.pins), &row.pins)
                }
                Change::PutRelease(row) => {
                    (self.before.releases.get(&row.id).map(|known| &known.pins), &row.pins)
                }
                _ => continue,
            };
            for image in before.into_iter().flat_map(|before| moved(before, after)) {
                self.require(false, || Violation::PinMoved { image });
            }
        }
    }
}

/// The images that stood for something and stand for something else, or for nothing.
fn moved(before: &ImagePins, after: &ImagePins) -> Vec<String> {
    let moved = before.iter().filter(|(image, digest)| after.get(*image) != Some(digest));
    moved.map(|(image, _)| image.clone()).collect()
}
