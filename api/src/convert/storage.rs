//! Claims, persistent volumes and storage classes, with the phases that Kubernetes gives them.

use std::collections::BTreeMap;

use dugout_model::{
    AccessMode, BindingState, BoundVolume, ClaimTemplate, HOSTNAME_LABEL, HostPath, LabelOperator,
    NodeAffinity, PersistentVolume, PersistentVolumeClaim, PersistentVolumeSource, ReclaimPolicy,
    StorageClass, StoredObject, VolumeBinding, VolumePlace,
};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::storage::v1 as storage;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::View;
use super::meta::{bytes, list, selector, some_text, strings, time, version};

impl View<'_> {
    pub(super) fn claim(
        self,
        metadata: ObjectMeta,
        object: &StoredObject,
        spec: &PersistentVolumeClaim,
    ) -> core::PersistentVolumeClaim {
        let binding = self.world.binding_of(&object.declared.key).map(AsRef::as_ref);
        claim(metadata, spec, binding)
    }

    /// A claim that a stateful set has made, or one that left Git while a pod uses it.
    pub fn made_claim(self, binding: &VolumeBinding) -> core::PersistentVolumeClaim {
        let template = self.world.claim_maker(&binding.claim);
        let template = template.map(|(_, template, _)| template);
        let asked = PersistentVolumeClaim {
            access_modes: binding.access_modes.clone(),
            class: Some(binding.class.clone()),
            request_bytes: binding.capacity_bytes,
            selector: None,
            volume_name: None,
        };
        let of = |map: fn(&ClaimTemplate) -> &dugout_model::StringMap| {
            template.and_then(|template| strings(map(template)))
        };
        let metadata = ObjectMeta {
            annotations: of(|template| &template.annotations),
            creation_timestamp: time(binding.bound_at),
            labels: of(|template| &template.labels),
            name: Some(binding.claim.name.to_string()),
            namespace: Some(binding.claim.namespace.to_string()),
            resource_version: version(self),
            uid: Some(binding.uid.to_string()),
            ..ObjectMeta::default()
        };
        let spec = template.map_or(&asked, |template| &template.claim);
        claim(metadata, spec, Some(binding))
    }

    pub(super) fn declared_volume(
        self,
        metadata: ObjectMeta,
        object: &StoredObject,
        spec: &PersistentVolume,
    ) -> core::PersistentVolume {
        let name = &object.declared.key.name;
        let binding = self.world.volume_bindings.values().find(|binding| {
            matches!(&binding.volume, BoundVolume::Declared { name: own, .. } if own == name)
        });
        let binding = binding.map(AsRef::as_ref);
        let claim = binding.map(|binding| &binding.claim).or(spec.claim.as_ref());
        let mut volume = volume(metadata, &spec.place);
        volume.spec = volume.spec.map(|known| core::PersistentVolumeSpec {
            access_modes: modes(&spec.access_modes),
            capacity: Some(storage(spec.capacity_bytes)),
            claim_ref: claim.map(claim_reference),
            persistent_volume_reclaim_policy: Some("Retain".to_owned()),
            storage_class_name: some_text(spec.class.as_str()),
            ..known
        });
        volume.status = Some(volume_status(binding));
        volume
    }

    /// A volume that a node's agent made.
    pub fn made_volume(self, binding: &VolumeBinding) -> core::PersistentVolume {
        let node = binding.node().map(ToString::to_string).unwrap_or_default();
        let class = self.world.storage_class(&binding.class);
        let provisioner = class.map(|class| class.provisioner).unwrap_or_default();
        let provisioned_by = "pv.kubernetes.io/provisioned-by".to_owned();
        let metadata = ObjectMeta {
            annotations: Some(BTreeMap::from([(provisioned_by, provisioner)])),
            creation_timestamp: time(binding.bound_at),
            name: Some(binding.volume_name().to_string()),
            resource_version: version(self),
            uid: Some(binding.uid.to_string()),
            ..ObjectMeta::default()
        };
        let on_node = core::NodeSelectorRequirement {
            key: HOSTNAME_LABEL.to_owned(),
            operator: "In".to_owned(),
            values: Some(vec![node]),
        };
        let term =
            core::NodeSelectorTerm { match_expressions: Some(vec![on_node]), match_fields: None };
        core::PersistentVolume {
            metadata,
            spec: Some(core::PersistentVolumeSpec {
                access_modes: modes(&binding.access_modes),
                capacity: Some(storage(binding.capacity_bytes)),
                claim_ref: Some(claim_reference(&binding.claim)),
                node_affinity: Some(core::VolumeNodeAffinity {
                    required: Some(core::NodeSelector { node_selector_terms: vec![term] }),
                }),
                persistent_volume_reclaim_policy: Some(binding.reclaim.as_str().to_owned()),
                storage_class_name: some_text(binding.class.as_str()),
                volume_mode: Some("Filesystem".to_owned()),
                ..core::PersistentVolumeSpec::default()
            }),
            status: Some(volume_status(Some(binding))),
        }
    }

    /// The class that is there though Git does not declare it.
    pub fn built_in_class(self, name: &str) -> storage::StorageClass {
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            resource_version: version(self),
            ..ObjectMeta::default()
        };
        class(self.with_default(metadata, name), &StorageClass::built_in())
    }

    pub(super) fn declared_class(
        self,
        metadata: ObjectMeta,
        spec: &StorageClass,
    ) -> storage::StorageClass {
        class(metadata, spec)
    }

    /// Says which class claims have that name none, as Kubernetes does.
    fn with_default(self, mut metadata: ObjectMeta, name: &str) -> ObjectMeta {
        if self.world.default_storage_class().as_str() == name {
            let key = "storageclass.kubernetes.io/is-default-class".to_owned();
            metadata.annotations.get_or_insert_default().insert(key, "true".to_owned());
        }
        metadata
    }
}

fn claim(
    metadata: ObjectMeta,
    spec: &PersistentVolumeClaim,
    binding: Option<&VolumeBinding>,
) -> core::PersistentVolumeClaim {
    let is_bound = binding.is_some_and(|binding| binding.state == BindingState::Bound);
    let class = binding.map(|binding| &binding.class).or(spec.class.as_ref());
    let capacity = binding.filter(|_| is_bound).map(|binding| binding.capacity_bytes);
    let requests = Some(storage(spec.request_bytes));
    core::PersistentVolumeClaim {
        metadata,
        spec: Some(core::PersistentVolumeClaimSpec {
            access_modes: modes(&spec.access_modes),
            resources: Some(core::VolumeResourceRequirements { limits: None, requests }),
            selector: spec.selector.as_ref().map(selector),
            storage_class_name: class.map(ToString::to_string),
            volume_mode: Some("Filesystem".to_owned()),
            volume_name: binding
                .map(VolumeBinding::volume_name)
                .or(spec.volume_name.clone())
                .map(|name| name.to_string()),
            ..core::PersistentVolumeClaimSpec::default()
        }),
        status: Some(core::PersistentVolumeClaimStatus {
            access_modes: binding.filter(|_| is_bound).and_then(|one| modes(&one.access_modes)),
            capacity: capacity.map(storage),
            phase: Some(if is_bound { "Bound" } else { "Pending" }.to_owned()),
            ..core::PersistentVolumeClaimStatus::default()
        }),
    }
}

pub(super) fn template(template: &ClaimTemplate) -> core::PersistentVolumeClaim {
    let metadata = ObjectMeta {
        annotations: strings(&template.annotations),
        labels: strings(&template.labels),
        name: Some(template.name.to_string()),
        ..ObjectMeta::default()
    };
    core::PersistentVolumeClaim { status: None, ..claim(metadata, &template.claim, None) }
}

fn volume(metadata: ObjectMeta, place: &VolumePlace) -> core::PersistentVolume {
    let mut spec = core::PersistentVolumeSpec {
        node_affinity: place.nodes.as_ref().map(affinity),
        volume_mode: Some("Filesystem".to_owned()),
        ..core::PersistentVolumeSpec::default()
    };
    match &place.source {
        PersistentVolumeSource::Local { path } => {
            spec.local = Some(core::LocalVolumeSource { fs_type: None, path: path.clone() });
        }
        PersistentVolumeSource::HostPath(HostPath { path, path_type }) => {
            spec.host_path = Some(core::HostPathVolumeSource {
                path: path.clone(),
                type_: some_text(path_type.as_str()),
            });
        }
    }
    core::PersistentVolume { metadata, spec: Some(spec), status: None }
}

fn volume_status(binding: Option<&VolumeBinding>) -> core::PersistentVolumeStatus {
    let (phase, message) = match binding.map(|binding| binding.state) {
        None => ("Available", None),
        Some(BindingState::Provisioning) => ("Pending", None),
        Some(BindingState::Bound) => ("Bound", None),
        Some(BindingState::Released { .. }) => {
            ("Released", Some("it is kept for a claim of the same name"))
        }
        Some(BindingState::Deleting { .. }) => {
            ("Released", Some("its node removes it, with what is in it"))
        }
    };
    core::PersistentVolumeStatus {
        last_phase_transition_time: None,
        message: message.map(str::to_owned),
        phase: Some(phase.to_owned()),
        reason: None,
    }
}

fn class(metadata: ObjectMeta, spec: &StorageClass) -> storage::StorageClass {
    storage::StorageClass {
        allow_volume_expansion: spec.is_expandable.then_some(true),
        metadata,
        provisioner: spec.provisioner.clone(),
        reclaim_policy: Some(match spec.reclaim {
            ReclaimPolicy::Retain => "Retain".to_owned(),
            ReclaimPolicy::Delete => "Delete".to_owned(),
        }),
        volume_binding_mode: Some("WaitForFirstConsumer".to_owned()),
        ..storage::StorageClass::default()
    }
}

fn affinity(nodes: &NodeAffinity) -> core::VolumeNodeAffinity {
    let requirement =
        |key: &str, operator: &str, values: Vec<String>| core::NodeSelectorRequirement {
            key: key.to_owned(),
            operator: operator.to_owned(),
            values: list(values),
        };
    let terms = nodes.terms.iter().map(|term| {
        let expressions = term.labels.match_expressions.iter().map(|one| match &one.operator {
            LabelOperator::In(values) => requirement(&one.key, "In", values.clone()),
            LabelOperator::NotIn(values) => requirement(&one.key, "NotIn", values.clone()),
            LabelOperator::Exists => requirement(&one.key, "Exists", Vec::new()),
            LabelOperator::DoesNotExist => requirement(&one.key, "DoesNotExist", Vec::new()),
        });
        let names: Vec<String> = term.names.iter().map(ToString::to_string).collect();
        let fields = (!names.is_empty()).then(|| vec![requirement("metadata.name", "In", names)]);
        core::NodeSelectorTerm {
            match_expressions: list(expressions.collect()),
            match_fields: fields,
        }
    });
    let node_selector_terms = terms.collect();
    core::VolumeNodeAffinity { required: Some(core::NodeSelector { node_selector_terms }) }
}

fn claim_reference(claim: &dugout_model::ObjectKey) -> core::ObjectReference {
    core::ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("PersistentVolumeClaim".to_owned()),
        name: Some(claim.name.to_string()),
        namespace: Some(claim.namespace.to_string()),
        ..core::ObjectReference::default()
    }
}

fn modes(modes: &[AccessMode]) -> Option<Vec<String>> {
    list(modes.iter().map(|mode| mode.as_str().to_owned()).collect())
}

fn storage(amount: u64) -> BTreeMap<String, Quantity> {
    BTreeMap::from([("storage".to_owned(), bytes(amount))])
}
