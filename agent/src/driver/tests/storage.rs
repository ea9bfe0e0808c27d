//! The folders of claims: when they are looked at, and what is said when they cannot be.

use std::collections::BTreeSet;

use dugout_model::VolumeUid;

use super::*;
use crate::testing::at;
use crate::volumes::{FoundStorage, StorageError};

fn found() -> Result<FoundStorage, StorageError> {
    let volumes = BTreeSet::from([VolumeUid(Uuid::from_u128(7))]);
    Ok(FoundStorage { volumes, capacity_bytes: 1000 })
}

#[tokio::test]
async fn a_folder_that_cannot_be_looked_into_is_unknown_and_looked_at_again() {
    let mut node = node_of(&Arc::default());
    let (sender, bytes) = watch::channel(0);
    node.storage.tell_capacity(sender);
    node.at(at(100), at(100));
    node.take_accepted(Arc::new(assignment(1, vec![])), None);
    assert_eq!(node.find_storage_when_due(), None, "a look is under way");
    node.storage_found(0, found());
    assert_eq!(node.storage.held, Some(found().unwrap().volumes));
    assert_eq!(*bytes.borrow(), 1000);

    // A person may remove a folder at any time: the look comes though nothing happens.
    assert_eq!(node.find_storage_when_due(), Some(at(160)));
    node.at(at(160), at(160));
    assert_eq!(node.find_storage_when_due(), None);
    node.storage_found(0, Err(StorageError::Deadline { seconds: 60 }));
    assert_eq!(node.storage.held, None, "unknown is not empty");
    assert_eq!(*bytes.borrow(), 0);
    assert_eq!(node.find_storage_when_due(), Some(at(170)));
    node.at(at(170), at(170));
    assert_eq!(node.find_storage_when_due(), None);
    node.storage_found(0, found());
    assert_eq!((node.storage.held.is_some(), *bytes.borrow()), (true, 1000));
}

#[tokio::test]
async fn what_is_asked_for_during_a_look_is_looked_at_after_it() {
    let mut node = node_of(&Arc::default());
    node.at(at(100), at(100));
    for generation in 1..=2 {
        node.take_accepted(Arc::new(assignment(generation, vec![])), None);
    }
    node.storage_found(0, found());
    assert_eq!(node.storage.held, None, "it began before the second assignment");
    node.storage_found(0, found());
    assert!(node.storage.held.is_some());
}
