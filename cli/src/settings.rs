//! Where a flag's value comes from: the command line, else its environment variable, else the
//! configuration file, else its default.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::builder::FalseyValueParser;
use clap::{ArgAction, Command, CommandFactory, FromArgMatches};
use serde::Deserialize;

use crate::arguments::Arguments;

/// Flags that are only for the command line.
const NO_TWIN: [&str; 2] = ["help", "version"];

/// Parses the command line. Ends the process with 2 and a message when it is wrong, and with 0
/// after printing help.
pub fn parse(line: Vec<OsString>) -> anyhow::Result<Arguments> {
    let file = match named_file(&line) {
        Some(path) => Some(path),
        None => default_file().filter(|path| path.exists()),
    };
    let mut command = with_twins(Arguments::command());
    if let Some(path) = file {
        let values = read(&path)?;
        check_keys(&values, &path, &command)?;
        command = with_defaults(command, &values);
    }
    let matches = command.get_matches_from(line);
    Ok(Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))
}

/// Gives every flag of a command and of its subcommands its environment variable.
fn with_twins(command: Command) -> Command {
    let command = command.mut_args(|argument| {
        let Some(long) = argument.get_long().map(str::to_owned) else { return argument };
        if NO_TWIN.contains(&long.as_str()) {
            return argument;
        }
        let argument = match argument.get_action() {
            ArgAction::SetTrue => argument.value_parser(FalseyValueParser::new()),
            _ => argument,
        };
        match argument.get_env() {
            Some(_) => argument,
            None => argument.env(variable(&long)).hide_env_values(true),
        }
    });
    command.mut_subcommands(with_twins)
}

/// `--poll-interval` is `DUGOUT_POLL_INTERVAL`.
fn variable(long: &str) -> String {
    format!("DUGOUT_{}", long.replace('-', "_").to_ascii_uppercase())
}

/// The file that the command line or the environment names.
fn named_file(line: &[OsString]) -> Option<PathBuf> {
    let mut words = line.iter();
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--") => break,
            Some("--config") => return words.next().map(PathBuf::from),
            Some(text) => {
                if let Some(path) = text.strip_prefix("--config=") {
                    return Some(PathBuf::from(path));
                }
            }
            None => {}
        }
    }
    std::env::var_os("DUGOUT_CONFIG").map(PathBuf::from)
}

fn default_file() -> Option<PathBuf> {
    let folder = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")))?;
    Some(folder.join("dugout/config.yaml"))
}

/// One value of the file, or several for a flag that may be given several times.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Value {
    Flag(bool),
    Number(i64),
    Text(String),
    List(Vec<String>),
}

impl Value {
    fn texts(&self) -> Vec<String> {
        match self {
            Value::Flag(flag) => vec![flag.to_string()],
            Value::Number(number) => vec![number.to_string()],
            Value::Text(text) => vec![text.clone()],
            Value::List(texts) => texts.clone(),
        }
    }
}

type Values = BTreeMap<String, Value>;

fn read(path: &Path) -> anyhow::Result<Values> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the configuration file {} cannot be read", path.display()))?;
    if text.trim().is_empty() {
        return Ok(Values::new());
    }
    serde_saphyr::from_str(&text).with_context(|| {
        format!(
            "the configuration file {} must be YAML with one 'flag: value' per line",
            path.display()
        )
    })
}

fn check_keys(values: &Values, path: &Path, command: &Command) -> anyhow::Result<()> {
    let mut known = BTreeSet::new();
    collect_flags(command, &mut known);
    let unknown: Vec<&str> =
        values.keys().map(String::as_str).filter(|key| !known.contains(*key)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    bail!(
        "the configuration file {} has keys that are no flags: {}; the flags are: {}",
        path.display(),
        unknown.join(", "),
        known.join(", ")
    )
}

fn collect_flags(command: &Command, flags: &mut BTreeSet<String>) {
    let own = command.get_arguments().filter_map(|argument| argument.get_long());
    let own = own.filter(|long| !NO_TWIN.contains(long) && *long != "config");
    flags.extend(own.map(str::to_owned));
    for subcommand in command.get_subcommands() {
        collect_flags(subcommand, flags);
    }
}

/// Makes the file's values the defaults of the flags that it names.
fn with_defaults(command: Command, values: &Values) -> Command {
    let command = command.mut_args(|argument| {
        match argument.get_long().and_then(|long| values.get(long)) {
            // A default does not count as given, so a required flag must not be required any more.
            Some(value) => argument.required(false).default_values(value.texts()),
            None => argument,
        }
    });
    command.mut_subcommands(|subcommand| with_defaults(subcommand, values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Command as Asked;

    fn parsed(line: &[&str], file: &str) -> Arguments {
        let values: Values = serde_saphyr::from_str(file).expect("YAML");
        let command = with_twins(Arguments::command());
        check_keys(&values, Path::new("file"), &command).expect("known keys");
        let matches = with_defaults(command, &values).try_get_matches_from(line).expect("parses");
        Arguments::from_arg_matches(&matches).expect("fits")
    }

    #[test]
    fn the_command_line_is_sound() {
        with_twins(Arguments::command()).debug_assert();
    }

    #[test]
    fn every_flag_has_an_environment_variable() {
        fn check(command: &Command) {
            for argument in command.get_arguments() {
                let Some(long) = argument.get_long() else { continue };
                if NO_TWIN.contains(&long) {
                    continue;
                }
                let name = argument.get_env().expect(long).to_str().expect("text");
                assert!(name.starts_with("DUGOUT_"), "{long}");
            }
            command.get_subcommands().for_each(check);
        }
        check(&with_twins(Arguments::command()));
    }

    #[test]
    fn the_file_gives_defaults_that_the_command_line_overrides() {
        let file = "server: http://there:1\nlabel: [a=b, c=d]\nallow: [privileged, hostPID]\ntoken: secret\nfollow: true\n";
        let arguments = parsed(&["dugout", "status"], file);
        assert_eq!(arguments.client.server, "http://there:1");
        let arguments = parsed(&["dugout", "status", "--server", "http://here:2"], file);
        assert_eq!(arguments.client.server, "http://here:2");
        let Asked::Agent(agent) = parsed(&["dugout", "agent"], file).command else {
            panic!("an agent was asked for")
        };
        assert_eq!(
            (agent.server.as_deref(), agent.token.as_deref()),
            (Some("http://there:1"), Some("secret"))
        );
        assert_eq!(agent.labels.len(), 2);
        assert_eq!(agent.policy.allowed().to_string(), "privileged, hostPID");
        let Asked::Logs(logs) = parsed(&["dugout", "logs", "web"], file).command else {
            panic!("logs were asked for")
        };
        assert!(logs.follow);
    }

    #[test]
    fn flags_of_the_client_stand_before_or_after_the_command() {
        for line in [
            ["dugout", "--server", "http://x", "status"],
            ["dugout", "status", "--server", "http://x"],
        ] {
            assert_eq!(parsed(&line, "{}").client.server, "http://x");
        }
        let arguments = parsed(&["dugout", "up", "--data-dir", "/d"], "{}");
        let Asked::Up(up) = arguments.command else { panic!("up was asked for") };
        assert_eq!(up.data_dir, Some(PathBuf::from("/d")));
        let arguments = parsed(&["dugout", "--data-dir", "/d", "down"], "{}");
        let Asked::Down(down) = arguments.command else { panic!("down was asked for") };
        assert_eq!(down.data_dir, Some(PathBuf::from("/d")));
    }

    #[test]
    fn a_key_that_is_no_flag_is_refused() {
        let values: Values = serde_saphyr::from_str("sever: x").expect("YAML");
        let command = with_twins(Arguments::command());
        let error = check_keys(&values, Path::new("config.yaml"), &command).expect_err("unknown");
        assert!(error.to_string().contains("sever"), "{error}");
    }
}
