//! The example's application: a small web server without an async runtime, so that it is one static
//! binary of a few hundred kilobytes. One thread serves one connection; connections are bounded.
//!
//! It does well what a workload behind a rolling update must do: on SIGTERM it goes on accepting and
//! answering, tells each client to come back on another connection, and leaves when nobody is served
//! any more. And it does badly on request, so that an example can show what happens then.

mod connection;
mod control;
mod http;
mod page;
mod routes;
mod server;
mod settings;

pub use control::Control;
pub use server::{DrainOutcome, ListenError, Server};
pub use settings::{Settings, SettingsError};
