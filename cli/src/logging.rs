//! Where the log goes: standard error for servers and agents, a file for `dugout up`, whose terminal
//! is for people.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Mutex;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use crate::client::Usage;
use crate::log_file::LogFile;

/// The environment variable that says how much is logged, as `debug` or `dugout_agent=debug,info`.
const FILTER_VARIABLE: &str = "DUGOUT_LOG";

// The subscriber's own complaint about a log that cannot be written would go to standard error, and end
// the process where that cannot be written, either.
const COMPLAINS: bool = false;

/// Logs to standard error.
pub fn to_standard_error() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(filter()?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .log_internal_errors(COMPLAINS)
        .init();
    Ok(())
}

/// Appends to a file that only its owner can read and that never grows large.
pub fn to_file(path: &Path) -> anyhow::Result<()> {
    let file = LogFile::open(path)
        .with_context(|| format!("the log {} cannot be written", path.display()))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter()?)
        .with_ansi(false)
        .with_writer(Mutex::new(file))
        .log_internal_errors(COMPLAINS)
        .init();
    Ok(())
}

fn filter() -> anyhow::Result<EnvFilter> {
    let Some(asked) = std::env::var_os(FILTER_VARIABLE).filter(|asked| !asked.is_empty()) else {
        return Ok(EnvFilter::new("info"));
    };
    EnvFilter::try_new(asked.to_string_lossy()).map_err(|error| {
        let rule = "give it as debug, or as dugout_agent=debug,info";
        Usage(format!("{FILTER_VARIABLE} cannot be used: {error}; {rule}")).into()
    })
}
