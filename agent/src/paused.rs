//! Pods that a person told this node's agent to leave alone or to keep stopped. They are on disk before he
//! is answered, so a restarted agent knows them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dugout_model::{Pause, PodUid};
use dugout_wire as wire;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::file::replace;

pub(crate) const PAUSED_FILE: &str = "paused.json";

/// The pauses of a node, by pod.
#[derive(Debug, Default)]
pub(crate) struct PausedPods {
    /// Where they are kept; nowhere in a node that lives in memory alone.
    folder: Option<PathBuf>,
    pods: BTreeMap<PodUid, Pause>,
}

#[derive(Default, Serialize, Deserialize)]
struct PausedFile {
    pods: BTreeMap<Uuid, wire::Pause>,
}

impl PausedPods {
    /// Reads them; there are none where there is no file.
    ///
    /// # Errors
    /// When the file cannot be read: a pod that somebody paused must not be touched because of that.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let file = match fs::read(folder.join(PAUSED_FILE)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => PausedFile::default(),
            Err(error) => return Err(error),
        };
        let pods = file.pods.into_iter().map(|(uid, pause)| (PodUid(uid), pause.into())).collect();
        Ok(Self { folder: Some(folder.to_owned()), pods })
    }

    pub fn get(&self, pod: PodUid) -> Option<Pause> {
        self.pods.get(&pod).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = (PodUid, Pause)> {
        self.pods.iter().map(|(uid, pause)| (*uid, *pause))
    }

    /// Notes it on disk, and then here.
    pub fn set(&mut self, pod: PodUid, pause: Option<Pause>) -> io::Result<()> {
        let mut pods = self.pods.clone();
        match pause {
            Some(pause) => pods.insert(pod, pause),
            None => pods.remove(&pod),
        };
        self.become_these(pods)
    }

    /// Forgets the pods that are no more.
    pub fn retain(&mut self, stays: impl Fn(PodUid) -> bool) -> io::Result<()> {
        let mut pods = self.pods.clone();
        pods.retain(|uid, _| stays(*uid));
        self.become_these(pods)
    }

    fn become_these(&mut self, pods: BTreeMap<PodUid, Pause>) -> io::Result<()> {
        if pods == self.pods {
            return Ok(());
        }
        if let Some(folder) = &self.folder {
            let pods = pods.iter().map(|(uid, pause)| (uid.0, (*pause).into())).collect();
            let bytes = serde_json::to_vec(&PausedFile { pods }).map_err(io::Error::other)?;
            replace(folder, PAUSED_FILE, &bytes)?;
        }
        self.pods = pods;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::uid;

    #[test]
    fn what_was_paused_is_known_in_the_next_life_and_forgotten_with_its_pod() {
        let folder = tempfile::tempdir().unwrap();
        let mut paused = PausedPods::open(folder.path()).unwrap();
        assert_eq!(paused.iter().count(), 0);
        paused.set(uid(1), Some(Pause::LeftAlone)).unwrap();
        paused.set(uid(2), Some(Pause::Stopped)).unwrap();
        paused.set(uid(3), Some(Pause::Stopped)).unwrap();
        paused.set(uid(3), None).unwrap();
        let mut next = PausedPods::open(folder.path()).unwrap();
        let known: Vec<_> = next.iter().collect();
        assert_eq!(known, [(uid(1), Pause::LeftAlone), (uid(2), Pause::Stopped)]);
        next.retain(|pod| pod == uid(2)).unwrap();
        assert_eq!(PausedPods::open(folder.path()).unwrap().get(uid(1)), None);
        assert_eq!(PausedPods::open(folder.path()).unwrap().get(uid(2)), Some(Pause::Stopped));
    }

    #[test]
    fn what_cannot_be_read_or_written_is_not_taken_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(PAUSED_FILE), "{").unwrap();
        assert!(PausedPods::open(folder.path()).is_err());
        let gone = folder.path().join("gone");
        let mut paused = PausedPods { folder: Some(gone), ..PausedPods::default() };
        assert!(paused.set(uid(1), Some(Pause::LeftAlone)).is_err());
        assert_eq!(paused.get(uid(1)), None);
    }
}
