//! JSON documents one after another in a file, with nothing between them, as kubectl takes them.

use serde::de::IgnoredAny;
use serde_json::Deserializer;
use serde_json::de::StrRead;
use serde_json::de::StreamDeserializer;

use super::Position;

/// The JSON documents of a text, each with where it begins; the whole text when it is anything else.
pub(super) struct Pieces<'a> {
    text: &'a str,
    /// Where the rest begins.
    at: Position,
    /// The ends of those that are left, absent when the text is one piece.
    values: Option<StreamDeserializer<'a, StrRead<'a>, IgnoredAny>>,
    taken: usize,
}

impl<'a> Pieces<'a> {
    pub fn of(text: &'a str) -> Self {
        let values = || Deserializer::from_str(text).into_iter::<IgnoredAny>();
        let is_json = text.trim_start().starts_with('{');
        let has_several = is_json && values().nth(1).is_some() && values().all(|one| one.is_ok());
        Self {
            text,
            at: Position { line: 1, column: 1 },
            values: has_several.then(values),
            taken: 0,
        }
    }

    /// The next one.
    pub fn next(&mut self) -> Option<(&'a str, Position)> {
        let start = self.taken;
        let end = match &mut self.values {
            Some(values) => {
                values.next()?.ok()?;
                values.byte_offset()
            }
            None if start == 0 => self.text.len(),
            None => return None,
        };
        self.taken = end.max(1);
        let piece = self.text.get(start..end)?;
        let at = self.at;
        for character in piece.chars() {
            self.at = match character {
                '\n' => Position { line: self.at.line.saturating_add(1), column: 1 },
                _ => Position { column: self.at.column.saturating_add(1), ..self.at },
            };
        }
        Some((piece, at))
    }
}
