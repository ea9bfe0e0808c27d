//! What the environment asks of the server. Every value is checked once, at the start.

use std::time::Duration;

/// How the server is set up, from the environment variables named at each field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `PORT`, 8080 by default; 0 lets the system choose.
    pub port: u16,
    /// `VERSION`, which an image bakes in.
    pub version: String,
    /// `POD_NAME`, or the host's name.
    pub pod_name: String,
    /// `PAGE_TITLE`.
    pub title: String,
    /// `PAGE_COLOR`: a CSS colour.
    pub color: String,
    /// `GREETING`.
    pub greeting: String,
    /// `FAIL_HEALTH`: `/healthz` fails from the start.
    pub fail_health: bool,
    /// `FAIL_READY`: `/readyz` fails from the start.
    pub fail_ready: bool,
    /// `LOG_REQUESTS`: one line for each request that is not a probe.
    pub log_requests: bool,
    /// `START_DELAY_SECONDS`: how long it waits before it listens.
    pub start_delay: Duration,
    /// `EXIT_AFTER_SECONDS`: it exits with code 1 this long after it began to listen.
    pub exit_after: Option<Duration>,
    /// `DRAIN_SECONDS`, 10 by default: the longest time between SIGTERM and its exit. Keep it below
    /// the pod's `terminationGracePeriodSeconds`.
    pub drain: Duration,
}

/// A variable that the server cannot act on. It refuses to start rather than guess.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("{name}={value:?} is not a number of at most {limit}; set a whole number or remove it")]
    Number { name: &'static str, value: String, limit: u64 },
    #[error("{name}={value:?} is neither yes nor no; set 1, true, 0 or false")]
    Switch { name: &'static str, value: String },
    #[error(
        "PAGE_COLOR={value:?} is not a CSS colour; set a name, #rrggbb or a function like rgb()"
    )]
    Color { value: String },
}

/// The longest span that a setting may ask for, in seconds.
const SPAN_LIMIT_SECONDS: u64 = 86_400;

impl Settings {
    /// Reads the settings. `lookup` gives the value of a variable; an empty one counts as unset.
    /// `host_name` is asked for when neither `POD_NAME` nor `HOSTNAME` is set.
    pub fn read(
        lookup: impl Fn(&str) -> Option<String>,
        host_name: impl FnOnce() -> Option<String>,
    ) -> Result<Settings, SettingsError> {
        let lookup = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let text = |name: &str, default: &str| lookup(name).unwrap_or_else(|| default.to_owned());
        let number = |name, limit| parse_number(name, lookup(name), limit);
        let switch = |name| parse_switch(name, lookup(name));
        Ok(Settings {
            port: number("PORT", u64::from(u16::MAX))?
                .and_then(|port| u16::try_from(port).ok())
                .unwrap_or(8080),
            version: text("VERSION", "unversioned"),
            pod_name: lookup("POD_NAME")
                .or_else(|| lookup("HOSTNAME"))
                .or_else(host_name)
                .unwrap_or_else(|| "unnamed".to_owned()),
            title: text("PAGE_TITLE", "Dugout"),
            color: parse_color(text("PAGE_COLOR", "#2f6f4f"))?,
            greeting: text("GREETING", "Every player in position."),
            fail_health: switch("FAIL_HEALTH")?,
            fail_ready: switch("FAIL_READY")?,
            log_requests: switch("LOG_REQUESTS")?,
            start_delay: Duration::from_secs(
                number("START_DELAY_SECONDS", SPAN_LIMIT_SECONDS)?.unwrap_or(0),
            ),
            exit_after: number("EXIT_AFTER_SECONDS", SPAN_LIMIT_SECONDS)?.map(Duration::from_secs),
            drain: Duration::from_secs(number("DRAIN_SECONDS", SPAN_LIMIT_SECONDS)?.unwrap_or(10)),
        })
    }
}

fn parse_number(
    name: &'static str,
    value: Option<String>,
    limit: u64,
) -> Result<Option<u64>, SettingsError> {
    let Some(value) = value else { return Ok(None) };
    match value.parse::<u64>() {
        Ok(number) if number <= limit => Ok(Some(number)),
        _ => Err(SettingsError::Number { name, value, limit }),
    }
}

fn parse_switch(name: &'static str, value: Option<String>) -> Result<bool, SettingsError> {
    match value.as_deref() {
        None | Some("0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        Some(_) => Err(SettingsError::Switch { name, value: value.unwrap_or_default() }),
    }
}

/// Takes a colour only when it cannot end the style sheet's declaration that it goes into.
fn parse_color(value: String) -> Result<String, SettingsError> {
    let hex = |digits: &str| {
        matches!(digits.len(), 3 | 4 | 6 | 8) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let function = |text: &str| {
        let Some((name, arguments)) =
            text.strip_suffix(')').and_then(|inner| inner.split_once('('))
        else {
            return false;
        };
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && arguments
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b" ,.%/-+".contains(&byte))
    };
    let named =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    if value.strip_prefix('#').map_or_else(|| named(&value) || function(&value), hex) {
        Ok(value)
    } else {
        Err(SettingsError::Color { value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let lookup = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        Settings::read(lookup, || Some("host".to_owned()))
    }

    #[test]
    fn nothing_set_gives_a_server_on_8080_that_is_named_after_its_host() {
        let settings = read(&[("PORT", "")]).unwrap();
        assert_eq!(settings.port, 8080);
        assert_eq!(settings.pod_name, "host");
        assert_eq!(settings.drain, Duration::from_secs(10));
        assert!(!settings.fail_ready && settings.exit_after.is_none());
    }

    #[test]
    fn every_variable_reaches_its_field() {
        let settings = read(&[
            ("PORT", "81"),
            ("POD_NAME", "web-1"),
            ("HOSTNAME", "other"),
            ("FAIL_READY", "1"),
            ("FAIL_HEALTH", "true"),
            ("EXIT_AFTER_SECONDS", "3"),
            ("START_DELAY_SECONDS", "2"),
            ("DRAIN_SECONDS", "4"),
        ])
        .unwrap();
        assert_eq!((settings.port, settings.pod_name.as_str()), (81, "web-1"));
        assert!(settings.fail_ready && settings.fail_health);
        assert_eq!(settings.exit_after, Some(Duration::from_secs(3)));
        assert_eq!(settings.start_delay, Duration::from_secs(2));
        assert_eq!(settings.drain, Duration::from_secs(4));
    }

    #[test]
    fn a_value_that_means_nothing_is_refused_with_its_name() {
        for (name, value) in [("PORT", "65536"), ("DRAIN_SECONDS", "-1"), ("FAIL_READY", "maybe")] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }

    #[test]
    fn colors_are_css_and_nothing_more() {
        for good in ["teal", "#fff", "#2f6f4f", "rgb(1, 2, 3)", "oklch(60% 0.1 120 / 0.5)"] {
            assert_eq!(read(&[("PAGE_COLOR", good)]).map(|read| read.color).as_deref(), Ok(good));
        }
        for bad in ["#ggg", "#12345", "red;}", "url(x:y)", "(1)", "</style>"] {
            assert!(read(&[("PAGE_COLOR", bad)]).is_err(), "{bad}");
        }
    }
}
