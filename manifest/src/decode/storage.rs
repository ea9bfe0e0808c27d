//! Claims, persistent volumes and storage classes.

use dugout_model::{
    AccessMode, ClaimName, ClaimRetention, ClaimTemplate, ClaimVolume, HostPath, HostPathType,
    LOCAL_PROVISIONER, LOCAL_PROVISIONERS, LabelSelector, MountAccess, NO_PROVISIONER,
    NodeAffinity, NodeName, NodeTerm, ObjectKey, ObjectName, PersistentVolume,
    PersistentVolumeClaim, PersistentVolumeSource, PodTemplate, Projection, ReclaimPolicy,
    StorageClass, StringMap, Volume, VolumePlace, VolumeSource,
};

use super::container::read_texts;
use super::deployment::{read_requirement, read_selector};
use super::metadata::{read_annotations, read_own_labels};
use super::policy;
use super::volume::read_host_path;
use crate::quantity::Quantity;
use crate::reader::{Object, Value};

/// What says that claims which name no class have this one.
const DEFAULT_CLASS: [&str; 2] = [
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];

const POLICIES: [(&str, ReclaimPolicy); 2] =
    [("Retain", ReclaimPolicy::Retain), ("Delete", ReclaimPolicy::Delete)];

pub(super) fn read_claim(object: &Object<'_>) -> PersistentVolumeClaim {
    let spec = object.field("spec").and_then(|value| value.object());
    spec.map_or_else(empty_claim, |spec| read_claim_spec(&spec))
}

fn read_claim_spec(spec: &Object<'_>) -> PersistentVolumeClaim {
    let class = spec.field("storageClassName").and_then(|value| value.text().map(ObjectName::new));
    let resources = spec.field("resources").and_then(|value| value.object());
    let requests = resources.as_ref().and_then(|resources| resources.field("requests"));
    PersistentVolumeClaim {
        access_modes: read_access_modes(spec),
        class,
        request_bytes: requests.map_or(0, |value| read_storage(&value)),
        selector: spec.field("selector").and_then(|value| read_selector(&value)),
        volume_name: name_in(spec, "volumeName"),
    }
}

/// Stands in where an error was told.
fn empty_claim() -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        access_modes: Box::default(),
        class: None,
        request_bytes: 0,
        selector: None,
        volume_name: None,
    }
}

fn read_access_modes(spec: &Object<'_>) -> Box<[AccessMode]> {
    let texts = spec.field("accessModes").map(|value| read_texts(&value)).unwrap_or_default();
    let mut modes: Vec<AccessMode> =
        texts.iter().filter_map(|text| AccessMode::parse(text)).collect();
    modes.sort_unstable();
    modes.dedup();
    modes.into()
}

/// The amount of storage in a map of amounts.
fn read_storage(amounts: &Value<'_>) -> u64 {
    let mut bytes = 0;
    amounts.each_entry(|key, value| {
        let quantity = value.as_written().and_then(|text| Quantity::parse(text).ok());
        match (key, quantity.map(Quantity::units)) {
            ("storage", Some(Ok(units))) => bytes = units,
            ("storage", Some(Err(_))) => value.fail("is too large"),
            ("storage", None) => {}
            _ => value.notice("has no effect: a volume has storage and nothing else"),
        }
    });
    bytes
}

/// An empty name is none.
fn name_in(object: &Object<'_>, field: &'static str) -> Option<ObjectName> {
    let value = object.field(field)?;
    value.text().filter(|text| !text.is_empty()).map(ObjectName::new)
}

pub(super) fn read_volume(object: &Object<'_>) -> PersistentVolume {
    let spec = object.field("spec").and_then(|value| value.object());
    let volume = spec.and_then(|spec| read_volume_spec(&spec));
    // Stands in where an error was told.
    volume.unwrap_or_else(|| PersistentVolume {
        capacity_bytes: 0,
        access_modes: Box::default(),
        class: ObjectName::new(""),
        claim: None,
        place: VolumePlace {
            source: PersistentVolumeSource::Local { path: String::new() },
            nodes: None,
        },
    })
}

fn read_volume_spec(spec: &Object<'_>) -> Option<PersistentVolume> {
    let claim = spec.field("claimRef").and_then(|value| read_claim_reference(&value.object()?));
    let affinity = spec.field("nodeAffinity").and_then(|value| value.object());
    let required = affinity.as_ref().and_then(|affinity| affinity.field("required"));
    let nodes = required.and_then(|value| read_affinity(&value.object()?));
    let class = name_in(spec, "storageClassName").unwrap_or_else(|| ObjectName::new(""));
    let capacity_bytes = spec.field("capacity").map_or(0, |value| read_storage(&value));
    let access_modes = read_access_modes(spec);
    let inside = |field| spec.field(field).and_then(|value| value.object());
    let source = if let Some(local) = inside("local") {
        PersistentVolumeSource::Local { path: read_local(&local)? }
    } else {
        PersistentVolumeSource::HostPath(read_host_path(&inside("hostPath")?)?)
    };
    // Every node has a path: without a node to be on, pods would find another folder on each.
    if let (PersistentVolumeSource::HostPath(HostPath { path_type, .. }), None) = (&source, &nodes)
        && matches!(path_type, HostPathType::Any | HostPathType::DirectoryOrCreate)
        && let Some(value) = spec.field("hostPath")
    {
        value.notice_with(
            "each node has a folder of its own there: a pod that comes to another node finds other data",
            "say on which node it is with nodeAffinity, or mount the same folder there on all",
        );
    }
    let place = VolumePlace { source, nodes };
    Some(PersistentVolume { capacity_bytes, access_modes, class, claim, place })
}

fn read_local(local: &Object<'_>) -> Option<String> {
    let value = local.field("path")?;
    let path = value.text()?;
    if !path.starts_with('/') {
        let message = format!("must be an absolute path, which {} is not", value.quote(path));
        value.fail_with(message, "begin it with a slash");
    }
    Some(path.to_owned())
}

fn read_claim_reference(reference: &Object<'_>) -> Option<ObjectKey> {
    // They can say nothing else.
    for name in ["apiVersion", "kind"] {
        reference.field(name);
    }
    let namespace = name_in(reference, "namespace");
    let name = name_in(reference, "name")?;
    let namespace = namespace.as_ref().map_or(super::DEFAULT_NAMESPACE, ObjectName::as_str);
    Some(ObjectKey::new(namespace, name.as_str()))
}

fn read_affinity(selector: &Object<'_>) -> Option<NodeAffinity> {
    let terms = selector.field("nodeSelectorTerms")?;
    Some(NodeAffinity { terms: terms.each(|term| read_term(&term.object()?)).into() })
}

fn read_term(term: &Object<'_>) -> Option<NodeTerm> {
    let read = |value: Value<'_>| {
        let requirement = value.object()?;
        let read = read_requirement(&requirement);
        if read.is_none() && !requirement.has_errors() {
            requirement.fail_with(
                "compares numbers, which labels of Dugout's nodes are not",
                "use In, NotIn, Exists or DoesNotExist",
            );
        }
        read
    };
    let match_expressions = term.field("matchExpressions").map(|value| value.each(read));
    let fields = term.field("matchFields").map(|value| value.each(read)).unwrap_or_default();
    let mut names = Vec::new();
    for field in &fields {
        match (&*field.key, &field.operator) {
            ("metadata.name", dugout_model::LabelOperator::In(values)) => {
                names.extend(values.iter().map(NodeName::new));
            }
            _ => term.fail_with(
                "matches a field of nodes that it cannot",
                "write metadata.name, In and the names of nodes",
            ),
        }
    }
    let match_expressions = match_expressions.unwrap_or_default();
    let labels = LabelSelector { match_labels: StringMap::default(), match_expressions };
    Some(NodeTerm { labels, names: names.into() })
}

pub(super) fn read_class(object: &Object<'_>, annotations: &StringMap) -> StorageClass {
    let provisioner = object.field("provisioner");
    let name = provisioner.as_ref().and_then(|value| value.text()).unwrap_or_default();
    let is_known = LOCAL_PROVISIONERS.contains(&name) || name == NO_PROVISIONER;
    if let Some(value) = provisioner.as_ref().filter(|_| !is_known && !name.is_empty()) {
        let message = format!(
            "is not supported: Dugout makes volumes on the nodes' own disks, and {} does not",
            value.quote(name)
        );
        let hint =
            format!("use {LOCAL_PROVISIONER}, or {NO_PROVISIONER} for volumes that are declared");
        value.fail_with(message, hint);
    }
    let policy = object.field("reclaimPolicy").and_then(|value| value.one_of(&POLICIES));
    let expansion = object.field("allowVolumeExpansion").and_then(|value| value.boolean());
    StorageClass {
        provisioner: name.to_owned(),
        // As Kubernetes has it.
        reclaim: policy.unwrap_or(ReclaimPolicy::Delete),
        is_expandable: expansion.unwrap_or(false),
        is_default: DEFAULT_CLASS
            .iter()
            .any(|key| annotations.get(key).is_some_and(|value| value == "true")),
    }
}

/// A pod's volume that is a claim's.
pub(super) fn read_claim_volume(source: &Object<'_>) -> Option<ClaimVolume> {
    let is_read_only = source.field("readOnly").and_then(|value| value.boolean());
    let access = match is_read_only.unwrap_or(false) {
        true => MountAccess::ReadOnly,
        false => MountAccess::ReadWrite,
    };
    let claim = ClaimName::Named(ObjectName::new(source.field("claimName")?.text()?));
    Some(ClaimVolume { claim, access })
}

/// The claims that a stateful set makes for each pod.
pub(super) fn read_claim_templates(spec: &Object<'_>) -> Box<[ClaimTemplate]> {
    let Some(value) = spec.field("volumeClaimTemplates") else { return Box::default() };
    let template = |value: Value<'_>| {
        let template = value.object()?;
        for name in ["apiVersion", "kind"] {
            template.field(name);
        }
        let metadata = template.field("metadata").and_then(|value| value.object())?;
        let labels = metadata.field("labels").map(|value| read_own_labels(&value));
        let annotations = metadata.field("annotations").map(|value| {
            policy::check_prune(&value);
            read_annotations(&value)
        });
        Some(ClaimTemplate {
            name: name_in(&metadata, "name")?,
            labels: labels.unwrap_or_default(),
            annotations: annotations.unwrap_or_default(),
            claim: read_claim(&template),
        })
    };
    value.each(template).into()
}

pub(super) fn read_claim_retention(spec: &Object<'_>) -> ClaimRetention {
    let retention = spec.field("persistentVolumeClaimRetentionPolicy");
    let Some(retention) = retention.and_then(|value| value.object()) else {
        return ClaimRetention::default();
    };
    let policy = |name| {
        let word = retention.field(name).and_then(|value| value.one_of(&POLICIES));
        word.unwrap_or(ReclaimPolicy::Retain)
    };
    let (when_deleted, when_scaled) = (policy("whenDeleted"), policy("whenScaled"));
    ClaimRetention { when_deleted, when_scaled }
}

/// The template with a volume for each claim of its pods, in the place of one of the same name.
pub(super) fn with_claims(mut template: PodTemplate, claims: &[ClaimTemplate]) -> PodTemplate {
    if claims.is_empty() {
        return template;
    }
    let is_claim =
        |volume: &Volume<Projection>| claims.iter().any(|claim| claim.name.as_str() == volume.name);
    let mut volumes: Vec<Volume<Projection>> = template.volumes.into_vec();
    volumes.retain(|volume| !is_claim(volume));
    volumes.extend(claims.iter().map(|claim| Volume {
        name: claim.name.to_string(),
        source: VolumeSource::Claim(ClaimVolume {
            claim: ClaimName::OfTemplate(claim.name.clone()),
            access: MountAccess::ReadWrite,
        }),
    }));
    template.volumes = volumes.into();
    template
}
