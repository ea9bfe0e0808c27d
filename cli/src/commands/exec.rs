//! `exec` and `attach`: a command in a container, or the container's own process, as if it ran here.

use std::process::ExitCode;

use anyhow::bail;
use dugout_wire::SessionEnd;

use super::targets::first_pod;
use crate::arguments::{ExecArguments, SessionArguments};
use crate::client::Client;
use crate::output::complain;
use crate::session::{Keyboard, Session};
use crate::terminal;

/// A parameter of a query.
type Parameter = (&'static str, String);

pub async fn exec(client: &Client, arguments: ExecArguments) -> anyhow::Result<ExitCode> {
    let ExecArguments { session, command } = arguments;
    let command = command.into_iter().map(|word| ("command", word)).collect();
    talk(client, session, "exec", command).await
}

pub async fn attach(client: &Client, session: SessionArguments) -> anyhow::Result<ExitCode> {
    talk(client, session, "attach", Vec::new()).await
}

/// Opens the session and ends as what runs there ends.
async fn talk(
    client: &Client,
    session: SessionArguments,
    what: &str,
    mut query: Vec<Parameter>,
) -> anyhow::Result<ExitCode> {
    let SessionArguments { pod, container, namespaces, terminal: asked } = session;
    let pod = first_pod(client, namespaces.only(), &pod).await?;
    query.extend(container.map(|name| ("container", name)));
    let tty = asked.tty && terminal::is_input();
    if asked.tty && !tty {
        complain!("Without a terminal: standard input is none.");
    }
    let keyboard = match tty && asked.stdin {
        true => Keyboard::Remote,
        false => Keyboard::Local,
    };
    query.extend([
        ("stdin", asked.stdin.to_string()),
        ("stdout", true.to_string()),
        ("stderr", (!tty).to_string()),
        ("tty", tty.to_string()),
    ]);
    let path = ["api", "v1", "namespaces", &pod.namespace, "pods", &pod.name, what];
    let session = Session::new(client.upgrade(&path, &query).await?).await;
    match session.talk(asked.stdin, keyboard).await? {
        SessionEnd::Exited(code) => Ok(exit_code(code)),
        SessionEnd::Failed(sentence) => bail!(sentence),
    }
}

/// As a shell sees a program's code: its last eight bits, and never success for what is none.
fn exit_code(code: i64) -> ExitCode {
    match u8::try_from(code.rem_euclid(256)).unwrap_or(1) {
        0 if code != 0 => ExitCode::FAILURE,
        byte => ExitCode::from(byte),
    }
}
