//! Claims with and without volumes, volumes that were made and declared, and a class.

use std::sync::Arc;

use dugout_model::*;
use uuid::Uuid;

use super::{START, stored};

const GIB: u64 = 1 << 30;

fn asks(class: Option<&str>) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        access_modes: [AccessMode::ReadWriteOnce].into(),
        class: class.map(ObjectName::new),
        request_bytes: GIB,
        selector: None,
        volume_name: None,
    }
}

fn binding(uid: u128, claim: &str, volume: BoundVolume, state: BindingState) -> VolumeBinding {
    VolumeBinding {
        uid: VolumeUid(Uuid::from_u128(uid)),
        claim: ObjectKey::new("demo", claim),
        owner: ObjectUid(Uuid::from_u128(uid + 1)),
        source: None,
        retention: None,
        class: ObjectName::new("local"),
        capacity_bytes: GIB,
        access_modes: [AccessMode::ReadWriteOnce].into(),
        reclaim: ReclaimPolicy::Retain,
        volume,
        state,
        bound_at: START,
    }
}

/// The world with storage: a claim that waits, one that has a folder on a node, one of a stateful set,
/// and a declared volume that is kept.
pub fn with_storage(mut world: World) -> World {
    let place = VolumePlace {
        source: PersistentVolumeSource::Local { path: "/disks/1".to_owned() },
        nodes: Some(NodeAffinity {
            terms: [NodeTerm {
                labels: LabelSelector::default(),
                names: [NodeName::new("a")].into(),
            }]
            .into(),
        }),
    };
    let disk = PersistentVolume {
        capacity_bytes: 2 * GIB,
        access_modes: [AccessMode::ReadWriteOnce].into(),
        class: ObjectName::new("disks"),
        claim: None,
        place: place.clone(),
    };
    let class = StorageClass { is_default: true, is_expandable: false, ..StorageClass::built_in() };
    let claim = |class| ObjectSpec::PersistentVolumeClaim(Box::new(asks(class)));
    let objects = [
        stored(340, "demo", "waits", claim(None)),
        stored(341, "demo", "data", claim(Some("local"))),
        stored(342, "", "disk", ObjectSpec::PersistentVolume(Box::new(disk))),
        stored(343, "", "fast", ObjectSpec::StorageClass(class)),
    ];
    let made = || BoundVolume::Provisioned { node: NodeName::new("a") };
    let declared = BoundVolume::Declared { name: ObjectName::new("disk"), place };
    let released = BindingState::Released { since: START };
    let of_set = VolumeBinding {
        retention: Some(ClaimRetention::default()),
        ..binding(520, "data-db-0", made(), BindingState::Bound)
    };
    let bindings = [
        binding(510, "data", made(), BindingState::Bound),
        of_set,
        binding(530, "former", declared, released),
    ];
    for object in objects {
        world.apply(&Change::PutObject(Arc::new(object)));
    }
    for row in bindings {
        world.apply(&Change::PutVolumeBinding(Arc::new(row)));
    }
    world
}
