//! Keeps a mirror's packs few: every fetch over the network adds one, and libgit2 never merges them.
//!
//! The packs of the first fetch stay as they are (the base); everything fetched since is put into one
//! pack from time to time. So the work follows what changed, not the size of the repository. When the
//! merged pack outgrows the base, it becomes part of it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};

/// So many packs beside the base are left alone.
const LOOSE_PACKS: usize = 24;
/// Names the base: a commit on the first line, then a pack on each.
const BASE_FILE: &str = "dugout-base";

struct Base {
    commit: Oid,
    packs: BTreeSet<String>,
}

/// Merges if it is time to, and tells which files are now superfluous. Everything reachable from
/// `head` stays readable whenever this is cut short.
pub(crate) fn merge_small_packs(
    repository_path: &Path,
    head: Oid,
) -> Result<Option<Vec<PathBuf>>, Error> {
    let folder = repository_path.join("objects/pack");
    let packs = packs_in(&folder)?;
    let Some(base) = read_base(repository_path).filter(|base| base.packs.is_subset(&packs)) else {
        write_base(repository_path, &Base { commit: head, packs })?;
        return Ok(None);
    };
    if packs.len() <= base.packs.len() + LOOSE_PACKS {
        return Ok(None);
    }
    let merged = write_pack(repository_path, &folder, head, base.commit).map_err(Error::other)?;
    let mut kept = base.packs.clone();
    kept.extend(merged);
    if size_of(&folder, kept.difference(&base.packs)) > size_of(&folder, base.packs.iter()) {
        write_base(repository_path, &Base { commit: head, packs: kept.clone() })?;
    }
    let superseded = packs.difference(&kept).flat_map(|name| {
        // The index first: a pack without its index is only garbage.
        ["idx", "pack"].map(|ending| folder.join(name).with_extension(ending))
    });
    Ok(Some(superseded.collect()))
}

/// Removes superfluous files. One that stays costs only room.
pub(crate) fn remove(files: &[PathBuf]) {
    for file in files {
        let _ = fs::remove_file(file);
    }
}

/// Everything that `head` has and `base` has not, as one pack. None if there is nothing.
fn write_pack(
    repository_path: &Path,
    folder: &Path,
    head: Oid,
    base: Oid,
) -> Result<Option<String>, git2::Error> {
    let repository = Repository::open_bare(repository_path)?;
    let mut walk = repository.revwalk()?;
    walk.push(head)?;
    walk.hide(base)?;
    let mut builder = repository.packbuilder()?;
    builder.insert_walk(&mut walk)?;
    if builder.object_count() == 0 {
        return Ok(None);
    }
    builder.write(folder, 0)?;
    Ok(builder.name()?.map(|name| format!("pack-{name}.pack")))
}

fn packs_in(folder: &Path) -> Result<BTreeSet<String>, Error> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        names.extend(name.to_str().filter(|name| name.ends_with(".pack")).map(str::to_owned));
    }
    Ok(names)
}

fn size_of<'a>(folder: &Path, names: impl Iterator<Item = &'a String>) -> u64 {
    names.filter_map(|name| fs::metadata(folder.join(name)).ok()).map(|file| file.len()).sum()
}

fn read_base(repository_path: &Path) -> Option<Base> {
    let text = fs::read_to_string(repository_path.join(BASE_FILE)).ok()?;
    let mut lines = text.lines();
    let commit = lines.next()?.parse().ok()?;
    Some(Base { commit, packs: lines.map(str::to_owned).collect() })
}

fn write_base(repository_path: &Path, base: &Base) -> Result<(), Error> {
    let mut text = format!("{}\n", base.commit);
    for name in &base.packs {
        if name.contains('\n') {
            return Err(Error::from(ErrorKind::InvalidData));
        }
        text.push_str(name);
        text.push('\n');
    }
    let fresh = repository_path.join("dugout-base.new");
    fs::write(&fresh, text)?;
    fs::rename(fresh, repository_path.join(BASE_FILE))
}
