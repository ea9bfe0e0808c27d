//! Storage: what is declared of it, and which claim has which volume.

use dugout_model::*;

use super::Dice;

impl Dice {
    fn access_modes(&mut self) -> Box<[AccessMode]> {
        self.some(|dice| dice.pick(&AccessMode::ALL)).into()
    }

    fn policy(&mut self) -> ReclaimPolicy {
        self.pick(&[ReclaimPolicy::Retain, ReclaimPolicy::Delete])
    }

    fn object_name(&mut self) -> ObjectName {
        ObjectName::new(self.text())
    }

    pub(super) fn claim(&mut self) -> PersistentVolumeClaim {
        PersistentVolumeClaim {
            access_modes: self.access_modes(),
            class: self.maybe(Dice::object_name),
            request_bytes: self.number(),
            selector: self.maybe(Dice::selector),
            volume_name: self.maybe(Dice::object_name),
        }
    }

    pub(super) fn persistent_volume(&mut self) -> PersistentVolume {
        PersistentVolume {
            capacity_bytes: self.number(),
            access_modes: self.access_modes(),
            class: self.object_name(),
            claim: self.maybe(|dice| ObjectKey::new(dice.text(), dice.text())),
            place: self.place(),
        }
    }

    fn place(&mut self) -> VolumePlace {
        let path = self.text();
        VolumePlace {
            source: match self.flip() {
                true => PersistentVolumeSource::Local { path },
                false => PersistentVolumeSource::HostPath(HostPath {
                    path,
                    path_type: HostPathType::Directory,
                }),
            },
            nodes: self.maybe(|dice| NodeAffinity {
                terms: dice
                    .some(|dice| NodeTerm {
                        labels: dice.selector(),
                        names: dice.some(Dice::node_name).into(),
                    })
                    .into(),
            }),
        }
    }

    pub(super) fn storage_class(&mut self) -> StorageClass {
        StorageClass {
            provisioner: self.text(),
            reclaim: self.policy(),
            is_expandable: self.flip(),
            is_default: self.flip(),
        }
    }

    /// A stateful set with claims of its own.
    pub fn with_claims(&mut self, set: StatefulSet) -> StatefulSet {
        let claim_templates = [ClaimTemplate {
            name: self.object_name(),
            labels: self.map(),
            annotations: self.map(),
            claim: self.claim(),
        }];
        StatefulSet {
            claim_templates: claim_templates.into(),
            claim_retention: self.retention(),
            ..set
        }
    }

    fn retention(&mut self) -> ClaimRetention {
        ClaimRetention { when_deleted: self.policy(), when_scaled: self.policy() }
    }

    pub fn volume_binding(&mut self, uid: VolumeUid) -> VolumeBinding {
        VolumeBinding {
            uid,
            claim: ObjectKey::new(self.pick(&["demo", "odd\0name"]), self.text()),
            owner: ObjectUid(self.uuid()),
            retention: self.maybe(Dice::retention),
            class: self.object_name(),
            capacity_bytes: self.number(),
            access_modes: self.access_modes(),
            reclaim: self.policy(),
            volume: match self.flip() {
                true => BoundVolume::Provisioned { node: self.node_name() },
                false => BoundVolume::Declared { name: self.object_name(), place: self.place() },
            },
            state: match self.below(4) {
                0 => BindingState::Provisioning,
                1 => BindingState::Bound,
                2 => BindingState::Released { since: self.moment() },
                _ => BindingState::Deleting { since: self.moment() },
            },
            bound_at: self.moment(),
            source: self.maybe(|dice| SourceName::new(dice.pick(&["shop", "infra"]))),
        }
    }
}
