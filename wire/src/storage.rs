//! Where the volumes of claims are.

use dugout_model as model;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::volume::{HostPathType, MountAccess};

/// What a volume of a template is that is a claim's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimVolume {
    pub claim: ClaimName,
    pub access: MountAccess,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClaimName {
    Named(String),
    OfTemplate(String),
}

/// Where it is for one pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignedClaim {
    /// The volume's name in the pod.
    pub volume: String,
    pub place: ClaimPlace,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClaimPlace {
    #[serde(rename_all = "camelCase")]
    Provisioned {
        volume: Uuid,
        is_new: bool,
    },
    Local {
        path: String,
    },
    #[serde(rename_all = "camelCase")]
    HostPath {
        path: String,
        path_type: HostPathType,
    },
}

impl From<&model::ClaimVolume> for ClaimVolume {
    fn from(value: &model::ClaimVolume) -> Self {
        let model::ClaimVolume { claim, access } = value;
        let claim = match claim {
            model::ClaimName::Named(name) => ClaimName::Named(name.to_string()),
            model::ClaimName::OfTemplate(name) => ClaimName::OfTemplate(name.to_string()),
        };
        Self { claim, access: (*access).into() }
    }
}

impl From<ClaimVolume> for model::ClaimVolume {
    fn from(value: ClaimVolume) -> Self {
        let ClaimVolume { claim, access } = value;
        let claim = match claim {
            ClaimName::Named(name) => model::ClaimName::Named(model::ObjectName::new(name)),
            ClaimName::OfTemplate(name) => {
                model::ClaimName::OfTemplate(model::ObjectName::new(name))
            }
        };
        Self { claim, access: access.into() }
    }
}

impl From<&model::AssignedClaim> for AssignedClaim {
    fn from(value: &model::AssignedClaim) -> Self {
        use model::PersistentVolumeSource as Source;
        let model::AssignedClaim { volume, place } = value;
        let place = match place {
            model::ClaimPlace::Provisioned { volume, is_new } => {
                ClaimPlace::Provisioned { volume: volume.0, is_new: *is_new }
            }
            model::ClaimPlace::Declared(Source::Local { path }) => {
                ClaimPlace::Local { path: path.clone() }
            }
            model::ClaimPlace::Declared(Source::HostPath(model::HostPath { path, path_type })) => {
                ClaimPlace::HostPath { path: path.clone(), path_type: (*path_type).into() }
            }
        };
        Self { volume: volume.clone(), place }
    }
}

impl From<AssignedClaim> for model::AssignedClaim {
    fn from(value: AssignedClaim) -> Self {
        use model::PersistentVolumeSource as Source;
        let AssignedClaim { volume, place } = value;
        let place = match place {
            ClaimPlace::Provisioned { volume, is_new } => {
                model::ClaimPlace::Provisioned { volume: model::VolumeUid(volume), is_new }
            }
            ClaimPlace::Local { path } => model::ClaimPlace::Declared(Source::Local { path }),
            ClaimPlace::HostPath { path, path_type } => {
                let path = model::HostPath { path, path_type: path_type.into() };
                model::ClaimPlace::Declared(Source::HostPath(path))
            }
        };
        Self { volume, place }
    }
}
