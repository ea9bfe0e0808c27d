//! Text as PostgreSQL can hold it. `text` and `jsonb` refuse the character U+0000, which a manifest
//! or a program's message may well hold, and one such character must not stop every later turn. So
//! U+0000 is stored as U+001A followed by `0`, and U+001A itself as U+001A followed by `1`.

use std::borrow::Cow;

const MARK: char = '\u{1a}';

/// Plain text, for a `text` column.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', MARK]) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0' => escaped.extend([MARK, '0']),
            MARK => escaped.extend([MARK, '1']),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

/// The text behind what [`escape`] made.
pub(crate) fn unescape(text: String) -> String {
    if !text.contains(MARK) {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            MARK => plain.push(if characters.next() == Some('0') { '\0' } else { MARK }),
            other => plain.push(other),
        }
    }
    plain
}

/// JSON text, for a `jsonb` column. In it both characters appear only as `\u0000` and `\u001a`.
pub(crate) fn escape_json(json: String) -> String {
    map_escapes(json, |code, rest| match code {
        "0000" => Some(("\\u001a0", rest)),
        "001a" => Some(("\\u001a1", rest)),
        _ => None,
    })
}

/// The JSON text behind what [`escape_json`] made and PostgreSQL gave back.
pub(crate) fn unescape_json(json: String) -> String {
    map_escapes(json, |code, rest| match (code, rest.as_bytes().first()) {
        ("001a", Some(b'0')) => Some(("\\u0000", &rest[1..])),
        ("001a", Some(b'1')) => Some(("\\u001a", &rest[1..])),
        _ => None,
    })
}

/// Replaces `\uXXXX` escapes. `map` gets the four digits and what follows, and gives the replacement
/// and what follows it, or nothing to leave the escape as it is.
fn map_escapes(
    json: String,
    map: impl for<'a> Fn(&str, &'a str) -> Option<(&'static str, &'a str)>,
) -> String {
    if !json.contains("\\u00") {
        return json;
    }
    let mut mapped = String::with_capacity(json.len() + 16);
    let mut rest = json.as_str();
    while let Some(position) = rest.find('\\') {
        // A backslash in JSON always has a character after it; it is ASCII, as is all of `\uXXXX`.
        let escape_end =
            if rest[position..].starts_with("\\u") { position + 6 } else { position + 2 };
        let Some(escape) = rest.get(position..escape_end) else { break };
        mapped.push_str(&rest[..position]);
        let after = &rest[escape_end..];
        match escape.get(2..).and_then(|code| map(code, after)) {
            Some((replacement, remaining)) => {
                mapped.push_str(replacement);
                rest = remaining;
            }
            None => {
                mapped.push_str(escape);
                rest = after;
            }
        }
    }
    mapped.push_str(rest);
    mapped
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: [&str; 8] = [
        "",
        "plain",
        "\0",
        "\u{1a}",
        "\u{1a}0\0\u{1a}1",
        "a\\u0000b\\\0",
        "\\\\u001a0 \"quoted\" \u{1f} é \u{10ffff}",
        "ends with a backslash\\",
    ];

    #[test]
    fn every_text_comes_back_and_none_holds_a_nul() {
        for sample in SAMPLES {
            let escaped = escape(sample).into_owned();
            assert!(!escaped.contains('\0'));
            assert_eq!(unescape(escaped), sample);
        }
    }

    #[test]
    fn every_json_text_comes_back_and_none_holds_an_escaped_nul() {
        for sample in SAMPLES {
            let json = serde_json::to_string(sample).unwrap();
            let escaped = escape_json(json.clone());
            let held: String = serde_json::from_str(&escaped).unwrap();
            assert!(!held.contains('\0'));
            assert_eq!(held, escape(sample), "text and JSON columns hold the same");
            assert_eq!(unescape_json(escaped), json);
        }
    }
}
