//! An archive of a file or folder of this machine. Links stay links; what is neither file, folder nor
//! link is left out, with a warning.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Read as _, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bytes::Bytes;
use dugout_wire::{Owner, SESSION_CHUNK_BYTES};
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

type Pieces = mpsc::Sender<io::Result<Bytes>>;

/// Packs `from` under a name, and returns the warnings. An archive that cannot be packed to its end ends
/// with an error, so that nobody takes it for whole.
pub(super) fn pack(
    from: &Path,
    name: &Path,
    owner: Owner,
    pieces: Pieces,
) -> anyhow::Result<Vec<String>> {
    let writer = BufWriter::with_capacity(SESSION_CHUNK_BYTES, PieceWriter(pieces.clone()));
    let packed = write(from, name, owner, writer);
    if let Err(error) = &packed {
        // Nobody reads any more when this fails.
        let _ = pieces.blocking_send(Err(io::Error::other(format!("{error:#}"))));
    }
    packed
}

fn write(
    from: &Path,
    name: &Path,
    owner: Owner,
    writer: impl Write,
) -> anyhow::Result<Vec<String>> {
    let mut archive = Builder::new(writer);
    let mut packed = Packed::default();
    let mut left: Vec<(PathBuf, PathBuf)> = vec![(from.to_owned(), name.to_owned())];
    let mut is_first = true;
    while let Some((path, name)) = left.pop() {
        // What is named is meant, also where it is a link.
        let found = if is_first { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
        is_first = false;
        let found = found.with_context(|| format!("{} cannot be read", path.display()))?;
        append(&mut archive, &path, &name, &found, owner, &mut packed)
            .with_context(|| format!("{} cannot be copied", path.display()))?;
        if found.is_dir() {
            let entries = fs::read_dir(&path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            for entry in entries {
                let entry = entry?;
                left.push((entry.path(), name.join(entry.file_name())));
            }
        }
    }
    archive.into_inner()?.flush()?;
    Ok(packed.warnings)
}

/// What was packed so far.
#[derive(Default)]
struct Packed {
    warnings: Vec<String>,
    /// Files with several names, by device and number, with the first name that was packed.
    names: HashMap<(u64, u64), PathBuf>,
}

fn append(
    archive: &mut Builder<impl Write>,
    path: &Path,
    name: &Path,
    found: &Metadata,
    owner: Owner,
    packed: &mut Packed,
) -> anyhow::Result<()> {
    let mut header = Header::new_gnu();
    // The owner becomes another there, who must not lend his rights to everybody who runs the file.
    header.set_mode(found.mode() & 0o1777);
    header.set_mtime(u64::try_from(found.mtime()).unwrap_or(0));
    header.set_uid(owner.uid);
    header.set_gid(owner.gid);
    header.set_size(0);
    if found.is_dir() {
        header.set_entry_type(EntryType::Directory);
        archive.append_data(&mut header, name, io::empty())?;
    } else if found.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        archive.append_link(&mut header, name, fs::read_link(path)?)?;
    } else if let Some(first) = packed.names.get(&(found.dev(), found.ino())) {
        header.set_entry_type(EntryType::Link);
        archive.append_link(&mut header, name, first)?;
    } else if found.is_file() {
        if found.nlink() > 1 {
            packed.names.insert((found.dev(), found.ino()), name.to_owned());
        }
        header.set_entry_type(EntryType::Regular);
        header.set_size(found.len());
        let mut content = File::open(path)?.take(found.len());
        archive.append_data(&mut header, name, &mut content)?;
        if content.limit() > 0 {
            bail!("it became shorter while it was read");
        }
    } else {
        packed
            .warnings
            .push(format!("{} is left out: it is no file, folder or link", path.display()));
    }
    Ok(())
}

/// Sends what is written, and waits for whoever is slower.
struct PieceWriter(Pieces);

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = bytes.get(..bytes.len().min(SESSION_CHUNK_BYTES)).unwrap_or(bytes);
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(piece)));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
