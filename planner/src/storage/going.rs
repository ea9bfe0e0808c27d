//! What a change of an object would take away of data, before it does.
//!
//! A commit that deletes data is held back like one that deletes objects, and a removal of a declared volume
//! that a claim has is refused. What a release or a person goes back from keeps its data, whatever its class
//! says: nobody asked for its end.

use std::collections::BTreeSet;
use std::sync::Arc;

use dugout_model::{
    Change, DeclaredObject, DeclaredObjects, EventType, Kind, ObjectId, ObjectSpec, Problem, Prune,
    ReclaimPolicy, Severity, SourceName, StatefulSet, StoredObject, VolumeBinding, World,
};

use super::needs::retention_of;
use super::volume_subject;
use crate::draft::Draft;

/// The volumes whose data goes when an object becomes another, or nothing; with what the template of the claim
/// says of its pruning, where a stateful set makes it.
pub(crate) fn data_lost_by<'w>(
    world: &'w World,
    row: &'w StoredObject,
    next: Option<&DeclaredObject>,
) -> Vec<(&'w Arc<VolumeBinding>, Prune)> {
    let lost: Vec<_> = match &row.declared.spec {
        ObjectSpec::PersistentVolumeClaim(_) if next.is_none() => {
            let own = world.binding_of(&row.declared.key);
            own.map(|binding| (binding, row.declared.policy.prune)).into_iter().collect()
        }
        ObjectSpec::StatefulSet(set) => {
            let next = next.and_then(|next| match &next.spec {
                ObjectSpec::StatefulSet(set) => Some(&**set),
                _ => None,
            });
            of_set(world, row, set, next)
        }
        _ => Vec::new(),
    };
    let is_deleted = |binding: &VolumeBinding| {
        binding.reclaim == ReclaimPolicy::Delete && binding.node().is_some()
    };
    lost.into_iter().filter(|(binding, _)| is_deleted(binding)).collect()
}

/// The same of the claims of a stateful set.
fn of_set<'w>(
    world: &'w World,
    row: &'w StoredObject,
    set: &'w StatefulSet,
    next: Option<&StatefulSet>,
) -> Vec<(&'w Arc<VolumeBinding>, Prune)> {
    let mut lost = Vec::new();
    for template in &set.claim_templates {
        let policy = match next {
            None => retention_of(set, template).when_deleted,
            Some(next) => retention_of(next, template).when_scaled,
        };
        if policy == ReclaimPolicy::Retain {
            continue;
        }
        for claim in world.bound_claims_of_template(&row.declared.key, &template.name) {
            let binding = world.binding_of(claim).filter(|binding| binding.owner == row.uid);
            let Some(binding) = binding else { continue };
            let ordinal = claim.name.as_str().rsplit('-').next().and_then(|text| text.parse().ok());
            let stays =
                next.zip(ordinal).is_some_and(|(next, ordinal): (_, u32)| next.asks_for(ordinal));
            if !stays {
                lost.push((binding, template.prune()));
            }
        }
    }
    lost
}

/// Has the data stay that objects take with them which a commit goes back from. `objects` is what is asked for
/// from now on, of what is in question.
pub(crate) fn keep_data(
    draft: &mut Draft<'_>,
    source: &SourceName,
    objects: &DeclaredObjects,
    in_question: &BTreeSet<ObjectId>,
) {
    for id in in_question {
        let row = draft.world.objects.get(id).filter(|row| row.source == *source).cloned();
        if let Some(row) = row {
            keep_data_of(draft, &row, objects.get(id).map(|next| &**next));
        }
    }
}

/// The same for one object.
pub(crate) fn keep_data_of(
    draft: &mut Draft<'_>,
    row: &StoredObject,
    next: Option<&DeclaredObject>,
) {
    let lost = data_lost_by(&draft.world, row, next);
    let lost: Vec<Arc<VolumeBinding>> =
        lost.into_iter().map(|(binding, _)| Arc::clone(binding)).collect();
    for binding in lost {
        let message =
            format!("what asks for its claim {} is taken back; what is in it stays", binding.claim);
        draft.event(EventType::Normal, volume_subject(&binding), "VolumeRetained", message);
        let row = VolumeBinding { reclaim: ReclaimPolicy::Retain, ..(*binding).clone() };
        draft.push(Change::PutVolumeBinding(Arc::new(row)));
    }
}

/// What is wrong with a commit that removes declared volumes which claims still have: what takes their place
/// could be given to others, and nobody would see where the pods' data is.
pub(crate) fn refused_removals(
    world: &World,
    source: &SourceName,
    objects: &DeclaredObjects,
    in_question: &BTreeSet<ObjectId>,
) -> Vec<Problem> {
    let removed = in_question
        .iter()
        .filter(|id| id.kind == Kind::PersistentVolume && !objects.contains_key(*id));
    let removed = removed.filter_map(|id| world.objects.get(id)).filter(|row| {
        let stays = row.orphaned || row.declared.policy.prune == Prune::Disabled;
        row.source == *source && !stays
    });
    let mut problems = Vec::new();
    for row in removed {
        let mut held = world.bindings_of_volume(&row.declared.key.name);
        let user = held.find(|one| one.is_held() && is_asked_after(world, source, objects, one));
        let Some(binding) = user else { continue };
        problems.push(Problem {
            file: row.declared.origin.file.to_string(),
            line: row.declared.origin.line,
            column: 1,
            severity: Severity::Error,
            field_path: "metadata.name".to_owned(),
            message: format!(
                "{} cannot leave Git or get another name: PersistentVolumeClaim {} has it",
                row.declared.id(),
                binding.claim
            ),
            hint: Some("remove what asks for the claim first, or in the same commit".to_owned()),
        });
    }
    problems
}

/// Whether a claim is asked for when a source declares these objects.
fn is_asked_after(
    world: &World,
    source: &SourceName,
    objects: &DeclaredObjects,
    binding: &VolumeBinding,
) -> bool {
    let key = &binding.claim;
    let id = ObjectId { kind: Kind::PersistentVolumeClaim, key: key.clone() };
    let is_others = |id: &ObjectId| world.objects.get(id).is_some_and(|row| row.source != *source);
    if objects.contains_key(&id) || is_others(&id) {
        return true;
    }
    world.claim_makers(key).any(|(row, _, ordinal)| {
        let id = row.declared.id();
        let next = objects.get(&id).map(|next| &next.spec);
        let spec = next.or_else(|| is_others(&id).then_some(&row.declared.spec));
        matches!(spec, Some(ObjectSpec::StatefulSet(set)) if set.asks_for(ordinal))
    })
}
