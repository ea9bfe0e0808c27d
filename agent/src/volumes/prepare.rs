//! Making the volumes of a pod. Every step looks first at what is there.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use dugout_model::{
    AssignedPod, ClaimPlace, EmptyDir, FileContent, NodeName, PersistentVolumeSource, Timestamp,
    Volume, VolumeFiles, VolumeSource,
};
use rustix::mount::mount_bind;

use super::beneath::{self, Held};
use super::layout::{VOLUMES, nested_places, place};
use super::mount_table::MountTable;
use super::storage_root::StorageRoot;
use crate::spec::Allocatable;

use super::{
    VolumeError, VolumeProblem, group, host_path, memory, payload, remove, storage, writer,
};

/// What must be there before a container of a pod is made or started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Preparation {
    pub pod: AssignedPod,
    pub node: NodeName,
    /// What it has for pods, once its engine has said so.
    pub allocatable: Option<Allocatable>,
    /// When it was asked for; it names the folder of files that are new.
    pub wall: Timestamp,
    /// The pod's own.
    pub folder: PathBuf,
    /// That of the volumes of claims.
    pub storage: PathBuf,
    pub parts: Vec<Part>,
}

/// A file or folder of a volume that a container mounts alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub volume: String,
    /// Inside the volume.
    pub path: String,
    /// Where it is mounted for the engine to find.
    pub target: PathBuf,
}

pub(super) fn prepare(wanted: &Preparation, storage: &StorageRoot) -> Result<(), VolumeError> {
    let folder = |source| VolumeError::Folder { path: wanted.folder.clone(), source };
    make_private(&wanted.folder.join(VOLUMES)).map_err(folder)?;
    let mounted = MountTable::read().map_err(folder)?;
    let template = &wanted.pod.template;
    for volume in template.mounted_volumes() {
        make(wanted, volume, (&mounted, storage)).map_err(|problem| {
            let volume = volume.name.clone();
            VolumeError::Volume { volume, problem }
        })?;
    }
    for part in &wanted.parts {
        let volume = template.volumes.iter().find(|volume| volume.name == part.volume);
        let Some(volume) = volume else { continue };
        let volume_place = place((&wanted.folder, &wanted.storage), &wanted.pod, volume);
        mount_part(part, &volume_place, &mounted).map_err(|problem| {
            let volume = volume.name.clone();
            VolumeError::Volume { volume, problem }
        })?;
    }
    Ok(())
}

fn make(
    wanted: &Preparation,
    volume: &Volume<VolumeFiles>,
    (mounted, storage): (&MountTable, &StorageRoot),
) -> Result<(), VolumeProblem> {
    let path = place((&wanted.folder, &wanted.storage), &wanted.pod, volume);
    let io = |source| VolumeProblem::Io { path: path.clone(), source };
    let group = wanted.pod.template.volume_group();
    match &volume.source {
        VolumeSource::HostPath(host_path) => host_path::check(host_path),
        VolumeSource::EmptyDir(EmptyDir::Disk) => make_open(&path, group).map_err(io),
        VolumeSource::EmptyDir(EmptyDir::Memory { size_limit_bytes }) => {
            if mounted.contains(&path) {
                return Ok(());
            }
            make_private(&path).map_err(io)?;
            let size_bytes = memory::size_bytes(&wanted.pod.template, *size_limit_bytes);
            memory::mount_empty(&path, size_bytes, group)
        }
        VolumeSource::Files(files) => {
            if !files.iter().any(|file| matches!(file.content, FileContent::Secret(_))) {
                make_open(&path, None).map_err(io)?;
            } else if !mounted.contains(&path) {
                make_private(&path).map_err(io)?;
                memory::mount_private(&path)?;
            }
            let node = (&wanted.node, wanted.allocatable);
            let payload = payload::of(files, &wanted.pod, node, group)?;
            let written = writer::write(&path, &payload, wanted.wall);
            written.map_err(|source| VolumeProblem::Files { source })?;
            let nested = nested_places(&wanted.pod.template, &volume.name);
            nested.iter().try_for_each(|place| make_place(&path.join(place))).map_err(io)?;
            group.map_or(Ok(()), |group| group::own_files(&path, group)).map_err(io)
        }
        VolumeSource::Claim(_) => make_claim(wanted, volume, &path, storage),
    }
}

/// Sees to it that the volume of a claim is there, and gives it to the pod's group once for each pod.
fn make_claim(
    wanted: &Preparation,
    volume: &Volume<VolumeFiles>,
    path: &Path,
    root: &StorageRoot,
) -> Result<(), VolumeProblem> {
    let io = |source| VolumeProblem::Io { path: path.to_owned(), source };
    let assigned = wanted.pod.claims.iter().find(|claim| claim.volume == volume.name);
    let owned = match assigned.map(|claim| &claim.place) {
        None => return Err(VolumeProblem::Unbound),
        Some(ClaimPlace::Provisioned { volume, is_new }) => {
            root.check()?;
            storage::make(&wanted.storage, *volume, *is_new)?;
            true
        }
        Some(ClaimPlace::Declared(source)) => {
            host_path::check(&source.host_path())?;
            matches!(source, PersistentVolumeSource::Local { .. })
        }
    };
    let security = wanted.pod.template.security.as_deref();
    let Some(group) = security.and_then(|security| security.volume_group).filter(|_| owned) else {
        return Ok(());
    };
    let done = wanted.folder.join(VOLUMES).join(format!(".owned-{}", volume.name));
    if !done.exists() {
        group::own_volume(path, group).map_err(io)?;
        File::create(&done).map_err(io)?;
    }
    Ok(())
}

/// Makes a folder that nobody but the agent enters, with those above it.
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes a folder in a volume of files for another volume to be mounted on.
fn make_place(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(folder)
}

/// Makes a folder in which everybody may write. It appears with its mode, and one that is there stays as
/// its containers left it.
pub(super) fn make_open(folder: &Path, group: Option<u32>) -> io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    let new = folder.with_extension("new");
    make_private(&new)?;
    match group {
        Some(group) => group::own_open(&new, group)?,
        None => fs::set_permissions(&new, Permissions::from_mode(0o777))?,
    }
    fs::rename(&new, folder)
}

/// Mounts a part of a volume where the engine will look for it, unless just that is mounted there. The
/// engine follows links wherever they lead, so it is never given the path itself.
fn mount_part(part: &Part, volume: &Path, mounted: &MountTable) -> Result<(), VolumeProblem> {
    let io = |source| VolumeProblem::Io { path: part.target.clone(), source };
    let held = beneath::open(volume, &part.path)?;
    if mounted.contains(&part.target) {
        remove::part_from_node(&part.target).map_err(io)?;
        if is_same(&held, &part.target).map_err(io)? {
            return Ok(());
        }
        remove::unmount(&part.target).map_err(io)?;
    }
    make_target(&part.target, held.is_folder).map_err(io)?;
    mount_bind(beneath::through(&held.file), &part.target).map_err(|error| match error {
        rustix::io::Errno::PERM => VolumeProblem::MayNotMountPart { path: part.path.clone() },
        error => io(error.into()),
    })?;
    // What the node mounts below is seen here, and what is unmounted here is not unmounted there.
    remove::part_from_node(&part.target).map_err(io)
}

fn is_same(held: &Held, target: &Path) -> io::Result<bool> {
    let (held, target) = (fs::metadata(beneath::through(&held.file))?, fs::metadata(target)?);
    Ok((held.dev(), held.ino()) == (target.dev(), target.ino()))
}

/// A mount needs a file or folder to lie on. What another start left there is none of a volume's.
fn make_target(target: &Path, is_folder: bool) -> io::Result<()> {
    if let Some(folder) = target.parent() {
        make_private(folder)?;
    }
    remove::remove_target(target)?;
    match is_folder {
        true => make_private(target),
        false => File::create_new(target).map(drop),
    }
}
