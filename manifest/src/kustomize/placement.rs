//! Where a text that stands inside a file has its lines and columns in that file.

use super::edit::Owned;
use crate::yaml::{Position, Value};

/// How places of a text become places of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// The text stands there as it is, so many lines below and columns to the right.
    Moved { lines: u32, columns: u32 },
    /// It was folded or unescaped: all of it is told where it begins.
    At(Position),
}

impl Placement {
    /// The text is the value that begins at `at`, in line `line` of its own file. The parser lets a
    /// block of text begin at its first character, below its mark.
    pub fn find(text: &str, at: Position, source: &Source, line: u32) -> Self {
        let Some(first) = source.line(line) else { return Placement::At(at) };
        let column = at.column.saturating_sub(1);
        let start =
            first.char_indices().nth(column as usize).map_or(first.len(), |(start, _)| start);
        let (before, rest) = first.split_at(start);
        if before.trim().is_empty()
            && let Some((mark_line, mark)) = source.filled_above(line)
            && let Some(style) = block_style(mark)
        {
            let read = text.lines().find(|line| is_filled(line)).map_or(0, indentation);
            let below = line.saturating_sub(mark_line);
            return match style {
                Style::Literal => Placement::Moved {
                    lines: at.line.saturating_sub(below),
                    columns: indentation(first).saturating_sub(read),
                },
                Style::Folded => Placement::At(at),
            };
        }
        let lines = at.line.saturating_sub(1);
        match rest.strip_prefix(['"', '\'']) {
            Some(inside) if inside.starts_with(text) => {
                Placement::Moved { lines, columns: at.column }
            }
            None if rest.starts_with(text) => Placement::Moved { lines, columns: column },
            _ => Placement::At(at),
        }
    }

    /// A place of the text in its file.
    pub fn of(self, inside: Position) -> Position {
        match self {
            Placement::Moved { lines, columns } => Position {
                line: inside.line.saturating_add(lines),
                column: inside.column.saturating_add(columns),
            },
            Placement::At(at) => at,
        }
    }

    /// Moves everything in a tree that was read from the text.
    pub fn apply(self, node: &mut Owned) {
        node.at = self.of(node.at);
        match &mut node.value {
            Value::Scalar { .. } => {}
            Value::List(items) => items.iter_mut().for_each(|item| self.apply(item)),
            Value::Map(entries) => {
                for entry in entries {
                    entry.key_at = self.of(entry.key_at);
                    self.apply(&mut entry.node);
                }
            }
        }
    }
}

/// A file's text by its lines.
pub(super) struct Source {
    text: String,
    /// Where each line begins.
    starts: Vec<u32>,
}

impl Source {
    pub fn new(text: String) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = ends.filter_map(|(end, _)| u32::try_from(end + 1).ok());
        let starts = std::iter::once(0).chain(starts).collect();
        Self { text, starts }
    }

    /// A line by its number, which begins at 1.
    fn line(&self, number: u32) -> Option<&str> {
        let index = (number as usize).checked_sub(1)?;
        let start = *self.starts.get(index)? as usize;
        let end = self.starts.get(index + 1).map_or(self.text.len(), |end| *end as usize);
        self.text.get(start..end).map(str::trim_end)
    }

    /// The nearest line above that is not blank, with its number.
    fn filled_above(&self, number: u32) -> Option<(u32, &str)> {
        let above = (1..number).rev().filter_map(|above| Some((above, self.line(above)?)));
        above.into_iter().find(|(_, line)| is_filled(line))
    }
}

#[derive(Clone, Copy)]
enum Style {
    Literal,
    Folded,
}

/// Of a line at whose end a block of text is announced, as `patch: |-`, how its lines are read.
fn block_style(line: &str) -> Option<Style> {
    let line = line.split_once(" #").map_or(line, |(line, _)| line).trim_end();
    let mark = line.rsplit([' ', '\t']).next()?;
    let style = match mark.as_bytes().first()? {
        b'|' => Style::Literal,
        b'>' => Style::Folded,
        _ => return None,
    };
    let is_indicator = |byte: &u8| matches!(byte, b'+' | b'-' | b'1'..=b'9');
    (mark.len() <= 3 && mark.as_bytes()[1..].iter().all(is_indicator)).then_some(style)
}

fn is_filled(line: &str) -> bool {
    !line.trim().is_empty()
}

/// How many spaces a line begins with.
fn indentation(line: &str) -> u32 {
    let spaces = line.bytes().take_while(|byte| *byte == b' ').count();
    u32::try_from(spaces).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_in_its_file_whatever_its_style() {
        let at = |line, column| Position { line, column };
        for (source, text, begins, expected) in [
            ("patch: |\n    a: 1\n", "a: 1\n", at(2, 5), at(2, 8)),
            ("patch: |- # x\n\n  a:\n    b: 1", "\na:\n  b: 1", at(3, 3), at(2, 6)),
            ("- |2\n    a: 1\n", "  a: 1\n", at(2, 3), at(2, 6)),
            ("patch: '[a, b]'\n", "[a, b]", at(1, 8), at(1, 12)),
            ("ä: [a, b]\n", "[a, b]", at(1, 4), at(1, 7)),
            ("a: |\n  x\npatch: \"a:\\n  b\"\n", "a:\n  b", at(3, 8), at(3, 8)),
            ("patch: >\n  a: 1\n", "a: 1\n", at(2, 3), at(2, 3)),
            ("", "a", at(1, 8), at(1, 8)),
        ] {
            let file = Source::new(source.to_owned());
            let placement = Placement::find(text, begins, &file, begins.line);
            assert_eq!(placement.of(at(1, 4)), expected, "{source:?}");
        }
    }
}
