//! The server's log: one file that the server appends to and we keep small.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;
use std::time::Duration;

use super::error::{LogLines, PostgresError};
use super::home::Home;

/// Past this the log moves to `log.old`, over the one before.
const SIZE_LIMIT: u64 = 8 * 1024 * 1024;
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// What an error shows of it.
const SHOWN_LINES: usize = 8;
const SHOWN_BYTES: u64 = 4096;

pub struct Log {
    home: Home,
    file: File,
}

impl Log {
    pub fn open(home: &Home) -> Result<Self, PostgresError> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(home.log())
            .map_err(|source| home.failed("opening the log in", source))?;
        Ok(Self { home: home.clone(), file })
    }

    /// The log as a program's output.
    pub fn writer(&self) -> Result<Stdio, PostgresError> {
        let file = self
            .file
            .try_clone()
            .map_err(|source| self.home.failed("opening the log in", source))?;
        Ok(file.into())
    }

    /// Where the log ends now.
    pub fn mark(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }

    /// The last lines that were written after the mark.
    pub fn since(&self, mark: u64) -> LogLines {
        let path = self.home.log();
        let from = mark.max(self.mark().saturating_sub(SHOWN_BYTES));
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.take(SHOWN_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<String> =
            text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        let lines = lines[lines.len().saturating_sub(SHOWN_LINES)..].to_vec();
        LogLines { path, lines }
    }

    /// Moves a log that is too long away. The server goes on at the start of the file.
    pub fn bound(&self) -> Result<(), PostgresError> {
        if self.mark() <= SIZE_LIMIT {
            return Ok(());
        }
        let move_away = || -> io::Result<()> {
            let path = self.home.log();
            fs::copy(&path, path.with_extension("old"))?;
            self.file.set_len(0)
        };
        move_away().map_err(|source| self.home.failed("cutting the log in", source))
    }
}

/// Keeps the log small for as long as it is polled.
pub async fn keep_bounded(home: Home) {
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        if let Err(error) = Log::open(&home).and_then(|log| log.bound()) {
            tracing::warn!(error = %dugout_model::chain(&error), "the log of the private PostgreSQL grows");
        }
    }
}
