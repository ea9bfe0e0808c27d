//! The `dugout` binary: parses the command line, calls the command, prints what went wrong.

// They panic where the output cannot be written; `output` has what does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
mod backend;
mod client;
mod commands;
mod control_plane;
mod control_plane_settings;
mod data_dir;
mod database;
mod demo;
mod detach;
mod down;
mod first_release;
mod http_port;
mod image_gc_arguments;
mod log_file;
mod logging;
mod metrics;
mod node_policy;
mod output;
mod postgres;
mod serve;
mod session;
mod settings;
mod signals;
mod storage_arguments;
mod terminal;
mod up;

use std::io;
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::arguments::{AgentArguments, Arguments, Command};
use crate::client::{Client, Usage};
use crate::commands::{
    agent, copy, exec, history, logs, look, operate, plan, status, validate, version,
};
use crate::output::{complain, shown};

/// Something went wrong.
const FAILED: u8 = 1;
/// The command was called wrongly.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain!("dugout: {}", shown(&error.to_string()));
            for cause in error.chain().skip(1) {
                complain!("  because: {}", shown(&cause.to_string()));
            }
            let usage = error.downcast_ref::<Usage>().is_some();
            ExitCode::from(if usage { USAGE } else { FAILED })
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    // One provider of cryptography in the whole program; a second call would change nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Arguments { client, command } = settings::parse(std::env::args_os().collect())?;
    match command {
        Command::Validate(arguments) => validate::validate(&arguments),
        Command::Up(arguments) => up::run(arguments),
        Command::Down(arguments) => one_thread()?.block_on(down::run(arguments)),
        Command::Server(arguments) => serve::server(arguments),
        Command::Agent(AgentArguments { command: Some(command), .. }) => {
            one_thread()?.block_on(agent::operate(command))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Agent(arguments) => serve::agent(arguments),
        Command::Plan(arguments) => {
            one_thread()?.block_on(plan::plan(&Client::new(&client)?, arguments))
        }
        Command::Exec(arguments) => {
            one_thread()?.block_on(exec::exec(&Client::new(&client)?, arguments))
        }
        Command::Attach(arguments) => {
            one_thread()?.block_on(exec::attach(&Client::new(&client)?, arguments))
        }
        command => {
            one_thread()?.block_on(ask(&Client::new(&client)?, command))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The runtime of a command that asks and ends.
fn one_thread() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")
}

/// The commands that ask a server.
async fn ask(client: &Client, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Status(arguments) => status::status(client, arguments).await,
        Command::Get(arguments) => look::get(client, arguments).await,
        Command::Describe(arguments) => look::describe(client, arguments).await,
        Command::Events(arguments) => look::events(client, arguments).await,
        Command::History(arguments) => history::history(client, arguments).await,
        Command::Timeline(arguments) => history::timeline(client, arguments).await,
        Command::Logs(arguments) => logs::logs(client, arguments).await,
        Command::Cp(arguments) => copy::copy(client, arguments).await,
        Command::Sync(arguments) => operate::sync(client, arguments).await,
        Command::Suspend(arguments) => operate::suspend(client, arguments).await,
        Command::Resume(arguments) => operate::resume(client, arguments).await,
        Command::Approve(arguments) => operate::approve(client, arguments).await,
        Command::Rollback(arguments) => operate::rollback(client, arguments).await,
        Command::Restart(arguments) => operate::restart(client, arguments).await,
        Command::Node(command) => operate::node(client, command).await,
        Command::Token(command) => operate::token(client, command).await,
        Command::Version => version::version(client).await,
        Command::Up(_)
        | Command::Down(_)
        | Command::Server(_)
        | Command::Agent(_)
        | Command::Plan(_)
        | Command::Exec(_)
        | Command::Attach(_)
        | Command::Validate(_) => {
            // Dispatched before.
            bail!("this command is not one that only asks a server")
        }
    }
}

/// Whoever read our output has seen enough.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
