//! The terminal that a session is held on: its size, and the time in which every key is the session's.

use std::io;

use dugout_wire::TerminalSize;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};

/// Whether standard input is a terminal.
pub fn is_input() -> bool {
    isatty(io::stdin())
}

/// How large the terminal is; none where there is none.
pub fn size() -> Option<TerminalSize> {
    let size = tcgetwinsize(io::stdout()).or_else(|_| tcgetwinsize(io::stdin())).ok()?;
    let size = TerminalSize { width: size.ws_col, height: size.ws_row };
    (size.width > 0 && size.height > 0).then_some(size)
}

/// While it lives the terminal neither shows what is typed nor acts on it: Ctrl-C, too, is for whoever
/// reads. Then it is again as it was.
pub struct Raw {
    before: Termios,
}

impl Raw {
    pub fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
