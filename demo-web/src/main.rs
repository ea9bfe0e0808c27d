//! `dugout-web`: reads its settings, serves, and leaves well on SIGTERM.
//!
//! As process 1 of a container it has no default action for signals, so it handles them itself.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use dugout_demo_web::{Control, DrainOutcome, Server, Settings};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const SIGNAL_STACK_BYTES: usize = 64 * 1024;

fn main() -> ExitCode {
    let settings = match Settings::read(|name| std::env::var(name).ok(), host_name) {
        Ok(settings) => settings,
        Err(error) => return fail(&error),
    };
    match run(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

fn run(settings: &Settings) -> Result<(), Box<dyn std::error::Error>> {
    let stop = watch_signals()?;
    if !settings.start_delay.is_zero() {
        say(&format!("waits {} s before it listens", settings.start_delay.as_secs()));
        if stop.recv_timeout(settings.start_delay).is_ok() {
            say("told to stop before it listened; exits");
            return Ok(());
        }
    }
    let control = Arc::new(Control::new(settings.fail_health, settings.fail_ready));
    let server = Server::start(settings, control)?;
    say(&format!("version {} listens on {}", settings.version, server.address()));
    let told_to_stop = match settings.exit_after {
        Some(lifetime) => stop.recv_timeout(lifetime).is_ok(),
        None => stop.recv().is_ok(),
    };
    if !told_to_stop {
        say("exits with code 1, as EXIT_AFTER_SECONDS asks");
        std::process::exit(1);
    }
    say("told to stop; answers what is still asked");
    match server.drain() {
        DrainOutcome::Complete => say("everybody is served; exits"),
        DrainOutcome::Cut { connections } => {
            say(&format!("DRAIN_SECONDS are over; exits with {connections} connections open"));
        }
    }
    Ok(())
}

/// Sends a message for every signal that asks the process to stop.
fn watch_signals() -> std::io::Result<Receiver<()>> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().name("signals".to_owned()).stack_size(SIGNAL_STACK_BYTES).spawn(
        move || {
            for _ in signals.forever() {
                if sender.send(()).is_err() {
                    return;
                }
            }
        },
    )?;
    Ok(receiver)
}

/// One line for the container's log. A log that nobody takes any more must not end the server.
fn say(message: &str) {
    let _ = writeln!(io::stdout().lock(), "dugout-web: {message}");
}

/// Prints the error with its causes.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    let mut text = format!("dugout-web: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    let _ = writeln!(io::stderr().lock(), "{text}");
    ExitCode::from(2)
}

/// Asked of the kernel, because a static program must not ask the C library's name service.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned())
}
