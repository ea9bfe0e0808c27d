//! What a commit may not change of an object that it keeps, as Kubernetes has it.
//!
//! The way on from a job that failed is open, or from a claim that has no volume yet, and a hook is another
//! run with each release that asks other work of it. The way back is always open: what came with a release
//! that never became healthy can be changed at will, and so can everything by a commit of Dugout's own that
//! takes others back.

use std::sync::Arc;

use dugout_model::{
    Commit, CommitSha, DeclaredObject, JobSpec, Kind, ObjectSpec, PersistentVolumeClaim,
    PodTemplate, Problem, Severity, Source, SourceName, StoredObject, World,
};

/// What begins the line in the message of a commit that takes another back.
const REVERTS: &str = "Dugout-Reverts: ";

/// What begins the line that says for which source that was done; several may share a branch.
const OF_SOURCE: &str = "Dugout-Source: ";

/// What a claim is told that asks for less than it did.
const LESS: &str = "must not become less than its volume has";

/// Whether a commit takes others back for this source, by its message.
pub(super) fn takes_back(commit: &Commit, source: &SourceName) -> bool {
    is_of(commit, source) && commit.message.lines().any(|line| line.starts_with(REVERTS))
}

/// A commit that names no source is meant for all.
fn is_of(commit: &Commit, source: &SourceName) -> bool {
    let mut sources = commit.message.lines().filter_map(|line| line.strip_prefix(OF_SOURCE));
    sources.next().is_none_or(|name| name.trim() == source.as_str())
}

/// Whether a commit takes this other one back for a source, by its message.
pub(crate) fn takes_back_commit(commit: &Commit, source: &SourceName, other: &CommitSha) -> bool {
    if !is_of(commit, source) {
        return false;
    }
    let mut reverts = commit.message.lines().filter_map(|line| line.strip_prefix(REVERTS));
    reverts.any(|sha| sha.trim() == other.as_str())
}

/// What is wrong with the step from one object to the next.
pub(super) fn forbidden_changes(
    world: &World,
    source: &Source,
    stored: &StoredObject,
    next: &DeclaredObject,
) -> Vec<Problem> {
    let mut changed = changed_fields(&stored.declared, next);
    if grows_too_far(world, stored, next) {
        let message =
            "cannot become more than its volume has: its StorageClass does not allow that";
        changed.push(Change { field_path: "spec.resources.requests.storage", message });
    }
    if has_room_for(world, stored, next) {
        changed.retain(|change| change.message != LESS);
    }
    let is_hook = next.policy.hook.is_some();
    let may_change = !is_bound(world, stored)
        && (is_hook
            || has_failed(world, stored)
            || has_no_volume(world, stored)
            || !is_established(world, source, stored));
    if changed.is_empty() || may_change {
        return Vec::new();
    }
    changed.into_iter().map(|change| problem(next, change)).collect()
}

/// Whether it is a declared volume that a claim has: whatever became of its release, pods have what is there.
fn is_bound(world: &World, stored: &StoredObject) -> bool {
    let declared = &stored.declared;
    declared.kind() == Kind::PersistentVolume
        && world.bindings_of_volume(&declared.key.name).any(|binding| binding.is_held())
}

/// Whether a claim asks for no less than its volume has: what it asked for beyond that never came.
fn has_room_for(world: &World, stored: &StoredObject, next: &DeclaredObject) -> bool {
    let ObjectSpec::PersistentVolumeClaim(next) = &next.spec else { return false };
    let binding = world.binding_of(&stored.declared.key);
    binding.is_some_and(|binding| next.request_bytes >= binding.capacity_bytes)
}

/// Whether it is a job that failed: to ask for other work under its name is how to mend it.
fn has_failed(world: &World, stored: &StoredObject) -> bool {
    let ObjectSpec::Job(spec) = &stored.declared.spec else { return false };
    let mut jobs = world.jobs_of(stored.uid).filter(|job| job.spec.asks_same_work(spec));
    jobs.any(|job| job.is_finished() && !job.is_complete())
}

/// Whether it is a claim that asks for more than its volume has, where that cannot grow.
fn grows_too_far(world: &World, stored: &StoredObject, next: &DeclaredObject) -> bool {
    let ObjectSpec::PersistentVolumeClaim(next) = &next.spec else { return false };
    world.binding_of(&stored.declared.key).is_some_and(|binding| {
        let class = world.storage_class(&binding.class);
        let may_grow = binding.node().is_some() && class.is_some_and(|class| class.is_expandable);
        next.request_bytes > binding.capacity_bytes && !may_grow
    })
}

/// Whether it is a claim that waits for its volume: another may be easier to have.
fn has_no_volume(world: &World, stored: &StoredObject) -> bool {
    stored.as_claim().is_some() && world.binding_of(&stored.declared.key).is_none()
}

/// Whether the object was like this when its source was last healthy. What a release was like that failed
/// long ago is not in the world any more; what differs since then is.
fn is_established(world: &World, source: &Source, stored: &StoredObject) -> bool {
    let key = (source.name.clone(), stored.declared.id());
    source.status.healthy.is_some()
        && world.baselines.get(&key).is_none_or(|baseline| {
            let before = baseline.before.as_ref();
            !baseline.role.is_gone_back_to()
                || before.is_some_and(|before| before.declared.asks_same(&stored.declared))
        })
}

/// A field that cannot change, and why.
struct Change {
    field_path: &'static str,
    message: &'static str,
}

fn changed_fields(old_object: &DeclaredObject, new_object: &DeclaredObject) -> Vec<Change> {
    const CONTENT: &str = "cannot change: the object was declared immutable";
    const IMMUTABLE: &str = "cannot be taken back once it is true";
    let change = |field_path, message| Change { field_path, message };
    let mut changes = Vec::new();
    match (&old_object.spec, &new_object.spec) {
        (ObjectSpec::Deployment(old), ObjectSpec::Deployment(new))
            if old.selector != new.selector =>
        {
            let message = "cannot change: the pods of the old selector would have no owner";
            changes.push(change("spec.selector", message));
        }
        (ObjectSpec::ConfigMap(old), ObjectSpec::ConfigMap(new)) if old.immutable => {
            if !new.immutable {
                changes.push(change("immutable", IMMUTABLE));
            }
            if old.data != new.data {
                changes.push(change("data", CONTENT));
            }
            if old.binary_data != new.binary_data {
                changes.push(change("binaryData", CONTENT));
            }
        }
        (ObjectSpec::Secret(old), ObjectSpec::Secret(new)) => {
            if old.secret_type != new.secret_type {
                changes.push(change("type", "cannot change"));
            }
            if old.immutable && !new.immutable {
                changes.push(change("immutable", IMMUTABLE));
            }
            if old.immutable && old.data != new.data {
                changes.push(change("data", CONTENT));
            }
        }
        _ => changes.extend(changed_workload(old_object, new_object)),
    }
    changes
}

/// The same for workloads other than Deployments, by the rules of `apps/v1`, `batch/v1` and `v1`.
fn changed_workload(old_object: &DeclaredObject, new_object: &DeclaredObject) -> Vec<Change> {
    const SELECTOR: &str = "cannot change: the pods of the old selector would have no owner";
    let mut changes = Vec::new();
    let mut keep = |is_same: bool, field_path, message| {
        if !is_same {
            changes.push(Change { field_path, message });
        }
    };
    match (&old_object.spec, &new_object.spec) {
        (ObjectSpec::Pod(_), ObjectSpec::Pod(_)) => {
            let message = "cannot change, but for its images, labels and annotations";
            let is_kept = is_same_template(old_object, new_object, is_same_but_images);
            keep(is_kept, "spec", message);
        }
        (ObjectSpec::ReplicaSet(old), ObjectSpec::ReplicaSet(new)) => {
            keep(old.selector == new.selector, "spec.selector", SELECTOR);
        }
        (ObjectSpec::DaemonSet(old), ObjectSpec::DaemonSet(new)) => {
            keep(old.selector == new.selector, "spec.selector", SELECTOR);
        }
        (ObjectSpec::StatefulSet(old), ObjectSpec::StatefulSet(new)) => {
            keep(old.selector == new.selector, "spec.selector", SELECTOR);
            let message = "cannot change: its pods' names are in that domain";
            keep(old.service_name == new.service_name, "spec.serviceName", message);
            let is_same = old.claim_templates == new.claim_templates;
            let message = "cannot change: its pods have claims by them";
            keep(is_same, "spec.volumeClaimTemplates", message);
            let is_same = old.pod_management == new.pod_management;
            keep(is_same, "spec.podManagementPolicy", "cannot change");
        }
        (ObjectSpec::PersistentVolumeClaim(old), ObjectSpec::PersistentVolumeClaim(new)) => {
            let grown =
                PersistentVolumeClaim { request_bytes: new.request_bytes, ..(**old).clone() };
            keep(grown == **new, "spec", "cannot change, but to request more storage");
            let is_kept = new.request_bytes >= old.request_bytes;
            keep(is_kept, "spec.resources.requests.storage", LESS);
        }
        (ObjectSpec::PersistentVolume(old), ObjectSpec::PersistentVolume(new)) => {
            let message = "cannot change: pods may have what is there";
            keep(old.place == new.place, "spec", message);
        }
        (ObjectSpec::StorageClass(old), ObjectSpec::StorageClass(new)) => {
            let is_same = old.provisioner == new.provisioner;
            keep(is_same, "provisioner", "cannot change");
            let is_same = old.reclaim == new.reclaim;
            keep(is_same, "reclaimPolicy", "cannot change: claims have volumes by it");
        }
        (ObjectSpec::Job(old), ObjectSpec::Job(new)) => {
            let is_kept = is_same_template(old_object, new_object, PodTemplate::eq);
            changes.extend(changed_job(is_kept, old, new));
        }
        // Anything of the others may change, and another kind is another object.
        _ => {}
    }
    changes
}

/// The same for jobs, by the rules of `batch/v1`.
fn changed_job(is_same_template: bool, old: &JobSpec, new: &JobSpec) -> Vec<Change> {
    const MESSAGE: &str = "cannot change once the job exists: it would be another job";
    let kept = [
        (is_same_template, "spec.template"),
        (old.completions == new.completions, "spec.completions"),
        (old.pod_failure_policy == new.pod_failure_policy, "spec.podFailurePolicy"),
    ];
    let changed = kept.into_iter().filter(|(is_same, _)| !is_same);
    changed.map(|(_, field_path)| Change { field_path, message: MESSAGE }).collect()
}

/// Whether the templates of two objects are the same, be it only in what their manifests say: what a
/// namespace fills in reaches what is made after it.
fn is_same_template(
    old: &DeclaredObject,
    new: &DeclaredObject,
    is_same: impl Fn(&PodTemplate, &PodTemplate) -> bool,
) -> bool {
    let both = old.spec.pod_template().zip(new.spec.pod_template());
    let written = || old.written_template().zip(new.written_template());
    both.is_some_and(|(old, new)| is_same(old, new))
        || written().is_some_and(|(old, new)| is_same(&old, &new))
}

/// Whether pods are made of it when it is new, and never of what it says later.
pub(super) fn is_made_once(spec: &ObjectSpec) -> bool {
    matches!(spec, ObjectSpec::Pod(_) | ObjectSpec::Job(_))
}

/// What a revision asks for of an object that is there. The pods of a Pod or Job are made once; as long as its
/// manifest says the same of them, they stay as they were filled in then, as on Kubernetes.
pub(super) fn as_made(stored: &DeclaredObject, next: &Arc<DeclaredObject>) -> Arc<DeclaredObject> {
    let templates = stored.spec.pod_template().zip(next.spec.pod_template());
    let templates = templates.filter(|_| is_made_once(&next.spec));
    let Some((made, asked)) = templates else { return Arc::clone(next) };
    if made == asked || stored.written_template() != next.written_template() {
        return Arc::clone(next);
    }
    let mut kept = DeclaredObject::clone(next);
    if let Some(template) = kept.spec.pod_template_mut() {
        template.clone_from(made);
    }
    kept.written.clone_from(&stored.written);
    Arc::new(kept)
}

fn is_same_but_images(old: &PodTemplate, new: &PodTemplate) -> bool {
    let mut old = old.clone();
    (old.labels, old.annotations) = (new.labels.clone(), new.annotations.clone());
    let containers = old.init_containers.iter_mut().zip(&new.init_containers);
    for (old, new) in containers.chain(old.containers.iter_mut().zip(&new.containers)) {
        old.image.clone_from(&new.image);
    }
    old == *new
}

fn problem(next: &DeclaredObject, change: Change) -> Problem {
    Problem {
        file: next.origin.file.to_string(),
        line: next.origin.line,
        column: 1,
        severity: Severity::Error,
        field_path: change.field_path.to_owned(),
        message: change.message.to_owned(),
        hint: Some(
            "give the object another name, or remove it in one commit and add it in the next"
                .to_owned(),
        ),
    }
}
