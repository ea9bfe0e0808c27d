//! What a plain scalar means: the rules of the YAML library inside kubectl, which are YAML 1.1's.

use std::borrow::Cow;

use super::ScalarKind;

/// The kind of a scalar that has neither quotes nor a tag.
pub(crate) fn resolve_plain(text: &str) -> ScalarKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return ScalarKind::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return ScalarKind::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return ScalarKind::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => return ScalarKind::Float,
        _ => {}
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return ScalarKind::Text;
    }
    let digits: Cow<'_, str> =
        if text.contains('_') { text.replace('_', "").into() } else { text.into() };
    match parse_int(&digits) {
        Int::Value(value) => ScalarKind::Int(value),
        Int::TooLarge => ScalarKind::Float,
        Int::Other if is_float(&digits) => {
            whole(&digits).map_or(ScalarKind::Float, ScalarKind::Int)
        }
        Int::Other => ScalarKind::Text,
    }
}

enum Int {
    Value(i64),
    TooLarge,
    Other,
}

/// A whole number; a leading `0`, `0o`, `0x` or `0b` gives the base.
fn parse_int(text: &str) -> Int {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let prefixed = |prefix: char| {
        digits
            .strip_prefix('0')
            .and_then(|rest| rest.strip_prefix([prefix, prefix.to_ascii_uppercase()]))
    };
    let (base, digits) = if let Some(rest) = prefixed('x') {
        (16, rest)
    } else if let Some(rest) = prefixed('o') {
        (8, rest)
    } else if let Some(rest) = prefixed('b') {
        (2, rest)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, &digits[1..])
    } else {
        (10, digits)
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
        return Int::Other;
    }
    let Ok(magnitude) = i128::from_str_radix(digits, base) else { return Int::TooLarge };
    let value = if negative { -magnitude } else { magnitude };
    i64::try_from(value).map_or(Int::TooLarge, Int::Value)
}

/// The whole number that a float is. On the way to an API server YAML becomes JSON, in which `3.0` and `1e3`
/// are 3 and 1000. Beyond what a float tells apart nobody means a whole number.
fn whole(text: &str) -> Option<i64> {
    const EXACT: f64 = (1_i64 << 53) as f64;
    let float: f64 = text.parse().ok()?;
    (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i64)
}

/// `[+-]? (digits [. digits] | . digits) [e [+-] digits]`
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_ok = match mantissa.split_once('.') {
        Some((whole, fraction)) => {
            all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty())
        }
        None => !mantissa.is_empty() && all_digits(mantissa),
    };
    let exponent_ok = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    mantissa_ok && exponent_ok
}

/// A plain date, or a date and a time, as kustomize writes it anew.
pub(crate) fn time_of(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if bytes.get(4) != Some(&b'-') || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return None;
    }
    // With a space there is no zone, and it is that of Greenwich.
    let (date, time) = match (text.split_once(['T', 't']), text.split_once(' ')) {
        (Some((date, time)), _) => (date, Some(time.to_owned())),
        (None, Some((_, time))) if time.contains(['Z', '+', '-']) => return None,
        (None, Some((date, time))) => (date, Some(format!("{time}Z"))),
        (None, None) => (text, None),
    };
    let mut parts = date.splitn(3, '-');
    let year: i16 = parts.next()?.parse().ok()?;
    let (month, day) = (short_number(parts.next()?)?, short_number(parts.next()?)?);
    jiff::civil::Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let time = match time {
        Some(time) => time_of_day(&time)?,
        None => "00:00:00Z".to_owned(),
    };
    Some(format!("{year:04}-{month:02}-{day:02}T{time}"))
}

/// `hours:minutes:seconds`, a fraction of a second if there is one, and `Z` or the distance to it.
fn time_of_day(text: &str) -> Option<String> {
    let end = text.find(['Z', '+', '-'])?;
    let (clock, zone) = text.split_at(end);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = clock.splitn(3, ':').map(short_number);
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    if hours > 23 || minutes > 59 || seconds > 59 || !all_digits(fraction) {
        return None;
    }
    let zone = match zone {
        "Z" | "+00:00" | "-00:00" => "Z",
        zone if zone.len() == 6 && zone.starts_with(['+', '-']) && zone.as_bytes()[3] == b':' => {
            let (hours, minutes) = (zone.get(1..3)?, zone.get(4..6)?);
            (all_digits(hours) && all_digits(minutes) && hours < "25" && minutes < "60")
                .then_some(zone)?
        }
        _ => return None,
    };
    let fraction = fraction.get(..9).unwrap_or(fraction).trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{hours:02}:{minutes:02}:{seconds:02}{point}{fraction}{zone}"))
}

/// A number of one or two digits.
fn short_number(text: &str) -> Option<u8> {
    let is_short = matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_short.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_anew() {
        let cases = [
            ("2001-01-01", Some("2001-01-01T00:00:00Z")),
            ("2001-1-1", Some("2001-01-01T00:00:00Z")),
            ("2001-1-1T1:2:3Z", Some("2001-01-01T01:02:03Z")),
            ("2001-01-01T10:00:00.100Z", Some("2001-01-01T10:00:00.1Z")),
            ("2001-01-01T10:00:00+02:00", Some("2001-01-01T10:00:00+02:00")),
            ("2001-01-01T10:00:00+00:00", Some("2001-01-01T10:00:00Z")),
            ("2001-01-01T10:00:00.123456789123Z", Some("2001-01-01T10:00:00.123456789Z")),
            ("2001-02-29", None),
            ("2001-13-01", None),
            ("02001-01-01", None),
            ("2001-001-01", None),
            ("2001-01-01 10:00:00", Some("2001-01-01T10:00:00Z")),
            ("2001-01-01 10:00:00.50", Some("2001-01-01T10:00:00.5Z")),
            ("2001-01-01 10:00:00Z", None),
            ("2001-01-01T10:00:00", None),
            ("2001-01-01T24:00:00Z", None),
            ("2001-12-14t21:59:43.10-05:00", Some("2001-12-14T21:59:43.1-05:00")),
            ("2001-01-01T10:00:00Z07:00", None),
            ("2001-01-0é", None),
        ];
        for (text, time) in cases {
            assert_eq!(time_of(text).as_deref(), time, "{text:?}");
        }
    }

    #[test]
    fn plain_scalars_mean_what_they_mean_to_kubectl() {
        use ScalarKind::{Bool, Float, Int, Null, Text};
        let cases = [
            ("", Null),
            ("~", Null),
            ("NULL", Null),
            ("nil", Text),
            ("yes", Bool(true)),
            ("On", Bool(true)),
            ("y", Bool(true)),
            ("off", Bool(false)),
            ("oN", Text),
            ("0", Int(0)),
            ("-1", Int(-1)),
            ("+7", Int(7)),
            ("0644", Int(420)),
            ("0o644", Int(420)),
            ("0x1F", Int(31)),
            ("0b101", Int(5)),
            ("1_000", Int(1000)),
            ("08", Int(8)),
            ("1.0", Int(1)),
            ("-3.00", Int(-3)),
            (".5", Float),
            ("1.5", Float),
            ("1e3", Int(1000)),
            ("1.e+3", Int(1000)),
            ("25e-1", Float),
            ("250e-1", Int(25)),
            ("1e17", Float),
            ("1e999", Float),
            ("99999999999999999999", Float),
            ("100m", Text),
            ("1.2.3", Text),
            ("-", Text),
            ("+", Text),
            (".", Text),
            ("0x", Text),
            ("2001-01-01", Text),
            (".inf", Float),
            ("12:30:45", Text),
        ];
        for (text, kind) in cases {
            assert_eq!(resolve_plain(text), kind, "{text:?}");
        }
    }
}
