//! What people see: aligned tables, colour where it helps, ages, and a quiet end when a pipe closes.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::jiff::Timestamp;

/// Writes to standard output.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| {
        io::Error::new(error.kind(), format!("standard output cannot be written: {error}"))
    })
}

/// A line on standard output for whoever may be reading while a program works. A terminal that has gone,
/// or a full disk behind the output, must not end what runs: then it is not told.
macro_rules! tell {
    ($($text:tt)*) => { $crate::output::line(&mut std::io::stdout().lock(), format_args!($($text)*)) };
}

/// The same on standard error.
macro_rules! complain {
    ($($text:tt)*) => { $crate::output::line(&mut std::io::stderr().lock(), format_args!($($text)*)) };
}

pub(crate) use {complain, tell};

/// What [`tell`] and [`complain`] do.
pub fn line(out: &mut impl Write, text: fmt::Arguments<'_>) {
    let _ = writeln!(out, "{text}");
}

/// Words of somebody else, as names of files in a container, for a terminal: what would steer it is shown
/// and not sent.
pub fn shown(text: &str) -> String {
    let escaped = |letter: char| match letter {
        '\n' | '\t' => letter.to_string(),
        control if control.is_control() => control.escape_default().to_string(),
        other => other.to_string(),
    };
    text.chars().map(escaped).collect()
}

/// Whether to colour: only on a terminal, and never against `NO_COLOR`.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    on: bool,
}

impl Paint {
    pub fn for_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self { on: io::stdout().is_terminal() && !refused && !dumb }
    }

    #[cfg(test)]
    pub fn never() -> Self {
        Self { on: false }
    }

    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// Colours a word by what it means; leaves others as they are.
    pub fn word(self, text: &str) -> String {
        match meaning(text) {
            Some(Meaning::Good) => self.with("32", text),
            Some(Meaning::Busy) => self.with("33", text),
            Some(Meaning::Bad) => self.with("31", text),
            None => text.to_owned(),
        }
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

enum Meaning {
    Good,
    Busy,
    Bad,
}

fn meaning(word: &str) -> Option<Meaning> {
    match word {
        "healthy" | "Ready" | "Running" | "Readable" | "Active" => Some(Meaning::Good),
        "pending" | "held" | "rolling" | "Pending" | "Draining" | "Terminating" | "Pulling"
        | "ContainerCreating" | "Unread" | "suspended" => Some(Meaning::Busy),
        "rejected"
        | "failed"
        | "reverted"
        | "Warning"
        | "NotReady"
        | "Unknown"
        | "Failed"
        | "Error"
        | "CrashLoopBackOff"
        | "ErrImagePull"
        | "ErrImageNeverPull"
        | "OOMKilled"
        | "CreateContainerError"
        | "CreateContainerConfigError"
        | "EngineUnavailable"
        | "Unreachable"
        | "BranchMissing"
        | "PathMissing"
        | "Corrupt"
        | "NotPlanned"
        | "error" => Some(Meaning::Bad),
        _ => None,
    }
}

/// Rows of cells in aligned columns.
#[derive(Debug)]
pub struct Grid {
    rows: Vec<Vec<String>>,
}

impl Grid {
    pub fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        Self { rows: vec![header.into_iter().map(Into::into).collect()] }
    }

    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// How many rows there are below the header.
    pub fn len(&self) -> usize {
        self.rows.len() - 1
    }

    /// Three spaces between columns, none at the end of a line.
    pub fn render(&self, paint: Paint) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let shown = if index == 0 { paint.dim(cell) } else { paint.word(cell) };
                line.push_str(&shown);
                if column + 1 < row.len() {
                    let padding = widths[column] - cell.chars().count() + 3;
                    line.extend(std::iter::repeat_n(' ', padding));
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// This moment.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The first characters of a commit, as Git shows them.
pub fn short(sha: &str) -> &str {
    sha.get(..8).unwrap_or(sha)
}

/// The time since a moment, as `kubectl` prints it.
pub fn age_of(at: Timestamp, now: Timestamp) -> String {
    dugout_api::age(between(at, now))
}

/// The span between two moments; zero if they are the other way around.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    let micros = to.as_microsecond().saturating_sub(from.as_microsecond());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// A span in the unit in which a person compares it: `4.2ms`, `812ms`, `3.41s`, `5m12s`.
pub fn took(span: Duration) -> String {
    let milliseconds = span.as_secs_f64() * 1000.0;
    if milliseconds < 10.0 {
        format!("{milliseconds:.1}ms")
    } else if milliseconds < 1000.0 {
        format!("{milliseconds:.0}ms")
    } else if milliseconds < 60_000.0 {
        format!("{:.2}s", milliseconds / 1000.0)
    } else {
        dugout_api::age(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_space() {
        let mut grid = Grid::new(["NAME", "STATUS", ""]);
        grid.row(["web", "Running", ""]);
        grid.row(["a-longer-name", "ok", "x"]);
        assert_eq!(
            grid.render(Paint::never()),
            "NAME            STATUS\nweb             Running\na-longer-name   ok        x\n"
        );
        assert_eq!(grid.len(), 2);
    }

    #[test]
    fn spans_are_shown_in_the_unit_that_fits() {
        assert_eq!(took(Duration::from_micros(4230)), "4.2ms");
        assert_eq!(took(Duration::from_millis(812)), "812ms");
        assert_eq!(took(Duration::from_millis(3406)), "3.41s");
        assert_eq!(took(Duration::from_secs(312)), "5m12s");
    }
}
