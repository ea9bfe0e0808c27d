//! Images that go when their disk is full: one after the other, by what is assigned by then.

use std::collections::BTreeSet;

use dugout_model::{AssignedImage, PullPolicy, ReleaseId};

use super::*;
use crate::image_gc::DiskUse;
use crate::testing::at;

const MEBIBYTE: u64 = 1 << 20;

fn image(number: u64) -> HeldImage {
    let tags = vec![format!("r.io/app{number}:1")];
    HeldImage { id: format!("id{number}"), tags, size_bytes: 10 * MEBIBYTE }
}

/// A node that has pulled images 1 to 4, and nothing that names one.
fn full(engine: &Arc<Engine>) -> (Node<Engine>, tempfile::TempDir) {
    let mut node = node_of(engine);
    let folder = tempfile::tempdir().unwrap();
    let policy = ImageGcPolicy { minimum_age: Duration::ZERO, ..ImageGcPolicy::default() };
    node.image_gc = Some(ImageGcStart::new(folder.path(), policy).into());
    node.take_accepted(Arc::new(assignment(1, vec![])), None);
    node.engine.answers = true;
    for number in 1..=4 {
        node.at(at(number), at(number));
        node.image_pulled(image(number).tags[0].clone(), image(number).id);
    }
    node.at(at(100), at(100));
    (node, folder)
}

/// Two of them have to go.
fn survey() -> Result<ImageSurvey, RuntimeError> {
    let disk = DiskUse { total_bytes: 200 * MEBIBYTE, used_bytes: 180 * MEBIBYTE };
    let images = (1..=4).map(image).collect();
    Ok(ImageSurvey { images, in_use: BTreeSet::new(), disk: Some(disk) })
}

async fn until_removed(engine: &Engine, ids: &[&str]) {
    until(&format!("{ids:?}"), || engine.removals.lock().unwrap().as_slice() == ids).await;
}

fn refused() -> RuntimeError {
    RuntimeError::Transient { operation: "remove an image", message: "no".to_owned() }
}

#[tokio::test]
async fn one_that_cannot_be_removed_keeps_no_other_from_going() {
    let engine = Arc::new(Engine::default());
    let (mut node, _folder) = full(&engine);
    node.images_surveyed(survey());
    until_removed(&engine, &["id1"]).await;
    node.image_removed(Err(refused()));
    until_removed(&engine, &["id1", "id2"]).await;
    node.image_removed(Ok(()));
    until_removed(&engine, &["id1", "id2", "id3"]).await;
    node.image_removed(Ok(()));
    tokio::time::sleep(Duration::from_millis(50)).await;
    until_removed(&engine, &["id1", "id2", "id3"]).await;
}

#[tokio::test]
async fn what_is_asked_for_meanwhile_stays_and_is_looked_for_only_after_a_removal() {
    let engine = Arc::new(Engine::default());
    let (mut node, _folder) = full(&engine);
    node.images_surveyed(survey());
    let asked = |number| AssignedImage {
        release: ReleaseId(1),
        image: image(number).tags[0].clone(),
        policy: PullPolicy::IfNotPresent,
        digest: None,
    };
    let mut next = assignment(2, vec![]);
    next.images = vec![asked(1), asked(2)];
    node.take_accepted(Arc::new(next), None);
    node.fetch_images();
    let is_in_flight = |node: &mut Node<Engine>, number| {
        node.images.get_mut(&asked(number)).is_some_and(|memory| memory.is_in_flight)
    };
    assert!(!is_in_flight(&mut node, 1), "it is being removed");
    assert!(is_in_flight(&mut node, 2));
    node.image_removed(Ok(()));
    until_removed(&engine, &["id1", "id3"]).await;
    node.fetch_images();
    assert!(is_in_flight(&mut node, 1));
}

#[tokio::test]
async fn a_new_owner_begins_to_look_anew() {
    let engine = Arc::new(Engine::default());
    let (mut node, _folder) = full(&engine);
    node.images_surveyed(survey());
    until_removed(&engine, &["id1"]).await;
    let mut other = assignment(1, vec![]);
    other.cluster = ClusterId(Uuid::from_u128(78));
    node.take_accepted(Arc::new(other), None);
    assert!(!node.is_being_removed(&image(1).tags[0]));
    assert!(node.collect_images().is_some(), "it waits for its time, and for no answer");
}
