//! The images that this agent has pulled, on disk: `images.json`, replaced whole. Where it is lost or
//! cannot be read, nothing that was pulled before is ever removed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use dugout_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::file;
use crate::image_gc::{PulledImage, PulledImages};

const FILE: &str = "images.json";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    images: BTreeMap<String, StoredImage>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredImage {
    names: Vec<String>,
    used_at: i64,
}

/// Where they are written.
#[derive(Debug)]
pub(crate) struct PulledStore {
    folder: PathBuf,
    /// The version on disk: writes may overtake each other.
    written: Mutex<u64>,
}

impl PulledStore {
    /// Reads what an earlier life wrote.
    pub fn open(folder: &Path) -> (Self, PulledImages) {
        let found = match std::fs::read(folder.join(FILE)) {
            Ok(bytes) => serde_json::from_slice::<Stored>(&bytes).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Stored { images: BTreeMap::new() })
            }
            Err(error) => Err(error),
        };
        let stored = found.unwrap_or_else(|error| {
            tracing::warn!(%error, "which images were pulled cannot be read; they stay");
            Stored { images: BTreeMap::new() }
        });
        let image = |image: StoredImage| PulledImage {
            names: image.names.into_iter().collect(),
            used_at: Timestamp::from_micros(image.used_at),
        };
        let images = stored.images.into_iter().map(|(id, stored)| (id, image(stored))).collect();
        (Self { folder: folder.to_owned(), written: Mutex::new(0) }, images)
    }

    /// Writes them, unless a later version was written already.
    pub fn write(&self, version: u64, images: &PulledImages) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if version <= *written {
            return Ok(());
        }
        let stored = |image: &PulledImage| StoredImage {
            names: image.names.iter().cloned().collect(),
            used_at: image.used_at.as_micros(),
        };
        let images = images.iter().map(|(id, image)| (id.clone(), stored(image))).collect();
        let bytes = serde_json::to_vec(&Stored { images }).map_err(io::Error::other)?;
        file::replace(&self.folder, FILE, &bytes)?;
        *written = version;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn the_last_version_is_what_the_next_life_finds() {
        let folder = tempfile::tempdir().unwrap();
        let (store, found) = PulledStore::open(folder.path());
        assert_eq!(found, PulledImages::new());
        let image = PulledImage { names: ["web:1".to_owned()].into(), used_at: at(5) };
        let images = PulledImages::from([("sha256:1".to_owned(), image)]);
        store.write(2, &images).unwrap();
        store.write(1, &PulledImages::new()).unwrap();
        assert_eq!(PulledStore::open(folder.path()).1, images);
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        assert_eq!(PulledStore::open(folder.path()).1, PulledImages::new());
    }
}
