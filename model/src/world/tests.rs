//! The indexes against the rows.

use super::*;
use crate::{IdSource, Lifecycle, Placement, PodIdentity, Seen, Timestamp, Unschedulable};

fn pod(ids: &mut IdSource, placement: Placement) -> Pod {
    Pod {
        uid: PodUid(ids.next_uuid()),
        namespace: NamespaceName::new("demo"),
        name: ObjectName::new("web"),
        replica_set: ReplicaSetUid(uuid::Uuid::nil()),
        identity: PodIdentity::Any,
        created_at: Timestamp::default(),
        placement,
        lifecycle: Lifecycle::Active,
        seen: Seen::Absent,
    }
}

#[test]
fn indexes_follow_the_rows_and_leave_nothing_behind() {
    let mut ids = IdSource::from_seed(1);
    let mut world = World::empty(ClusterId(ids.next_uuid()));
    let empty = world.clone();
    let mut row = pod(&mut ids, Placement::Waiting(Unschedulable::default()));
    world.apply(&Change::PutPod(Arc::new(row.clone())));
    assert_eq!(world.unplaced_pods().count(), 1);

    let node = NodeName::new("a");
    row.placement = Placement::On { node: node.clone(), at: Timestamp::default() };
    world.apply(&Change::PutPod(Arc::new(row.clone())));
    world.apply(&Change::PutPod(Arc::new(row.clone())));
    assert_eq!(world.unplaced_pods().count(), 0);
    assert_eq!(world.pods_on(&node).count(), 1);
    assert_eq!(world.pods_of(row.replica_set).count(), 1);
    assert_eq!(world.pods_named(&row.namespace, &row.name).count(), 1);

    world.apply(&Change::DeletePod(row.uid));
    assert_eq!(world, empty);
}
