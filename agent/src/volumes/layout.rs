//! Where the volumes of a pod lie, and what of them a container mounts. Pure.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use dugout_model::{
    AssignedPod, ClaimPlace, ClusterId, Container, EnvValue, MountAccess, NodeName, PodUid,
    ResolvedTemplate, Timestamp, Volume, VolumeFiles, VolumeMount, VolumeSource,
};

use super::{Part, Preparation, storage};
use crate::runtime::BindMount;

/// The folders of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pods: PathBuf,
    /// With the volumes of claims.
    storage: PathBuf,
}

impl Layout {
    pub fn new(volumes: &Path, storage: &Path, cluster: ClusterId) -> Self {
        let cluster = cluster.to_string();
        Self { pods: volumes.join(&cluster), storage: storage.join(cluster) }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.pods
    }

    pub(crate) fn storage(&self) -> &Path {
        &self.storage
    }

    pub(crate) fn pod(&self, pod: PodUid) -> PathBuf {
        self.pods.join(pod.to_string())
    }

    fn part(&self, pod: PodUid, container: &str, index: usize) -> PathBuf {
        self.pod(pod).join(PARTS).join(container).join(index.to_string())
    }

    /// What a container mounts, in the order in which it is written. `sub_paths` has the part of each
    /// mount, with its variables filled in.
    pub(crate) fn mounts(
        &self,
        pod: &AssignedPod,
        container: &Container<EnvValue>,
        sub_paths: &[Option<String>],
    ) -> Vec<BindMount> {
        let mounts = container.mounts.iter().zip(sub_paths).enumerate();
        mounts
            .filter_map(|(index, (mount, sub_path))| {
                let volume = pod.template.volumes.iter().find(|one| one.name == mount.volume)?;
                let source = match sub_path {
                    None => place((&self.pod(pod.uid), &self.storage), pod, volume),
                    Some(_) => self.part(pod.uid, &container.name, index),
                };
                Some(BindMount {
                    source,
                    target: absolute(&mount.path),
                    access: match &volume.source {
                        VolumeSource::Files(_) => MountAccess::ReadOnly,
                        VolumeSource::Claim(claim) if claim.access == MountAccess::ReadOnly => {
                            MountAccess::ReadOnly
                        }
                        VolumeSource::EmptyDir(_)
                        | VolumeSource::HostPath(_)
                        | VolumeSource::Claim(_) => mount.access,
                    },
                    propagation: mount.propagation,
                })
            })
            .collect()
    }

    /// What must be there before this container is made or started; `None` when its pod mounts nothing.
    pub(crate) fn preparation(
        &self,
        pod: &AssignedPod,
        container: &Container<EnvValue>,
        sub_paths: &[Option<String>],
        (node, wall): (&NodeName, Timestamp),
    ) -> Option<Preparation> {
        pod.template.mounted_volumes().next()?;
        let mounts = container.mounts.iter().zip(sub_paths).enumerate();
        let parts = mounts.filter_map(|(index, (mount, sub_path))| {
            Some(Part {
                volume: mount.volume.clone(),
                path: sub_path.clone()?,
                target: self.part(pod.uid, &container.name, index),
            })
        });
        Some(Preparation {
            pod: pod.clone(),
            node: node.clone(),
            allocatable: None,
            wall,
            folder: self.pod(pod.uid),
            storage: self.storage.clone(),
            parts: parts.collect(),
        })
    }
}

/// The folder of the parts in that of a pod.
pub(super) const PARTS: &str = "parts";
/// The folder of the volumes in that of a pod.
pub(super) const VOLUMES: &str = "volumes";

/// Where a volume of the pod with this folder lies, or in that of the volumes of claims.
pub(super) fn place(
    (folder, storage): (&Path, &Path),
    pod: &AssignedPod,
    volume: &Volume<VolumeFiles>,
) -> PathBuf {
    let own = || folder.join(VOLUMES).join(&volume.name);
    match &volume.source {
        VolumeSource::HostPath(host_path) => PathBuf::from(&host_path.path),
        VolumeSource::EmptyDir(_) | VolumeSource::Files(_) => own(),
        VolumeSource::Claim(_) => {
            let claim = pod.claims.iter().find(|claim| claim.volume == volume.name);
            match claim.map(|claim| &claim.place) {
                Some(ClaimPlace::Provisioned { volume, .. }) => storage::place(storage, *volume),
                Some(ClaimPlace::Declared(source)) => PathBuf::from(source.host_path().path),
                // It is not made before that is known.
                None => own(),
            }
        }
    }
}

/// The folders of a volume on which containers mount other volumes. The engine cannot make them in one
/// that is mounted read-only; the kubelet makes them in volumes of files, too.
pub(super) fn nested_places(template: &ResolvedTemplate, volume: &str) -> BTreeSet<String> {
    let containers = template.init_containers.iter().chain(&template.containers);
    containers
        .flat_map(|container| {
            let whole = |mount: &&VolumeMount| mount.volume == volume && mount.sub_path.is_none();
            container.mounts.iter().filter(whole).flat_map(|outer| {
                let above = absolute(outer.path.trim_end_matches('/'));
                container.mounts.iter().filter_map(move |inner| {
                    let path = absolute(&inner.path);
                    let below = path.strip_prefix(&above)?.strip_prefix('/')?;
                    let below = below.trim_matches('/');
                    (!below.is_empty()).then(|| below.to_owned())
                })
            })
        })
        .collect()
}

/// A mount path as the engine takes it.
fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}
