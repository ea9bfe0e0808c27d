//! Lines of several files in one range of numbers, so that a value keeps its place through a rendering.
//!
//! A position has a line and a column and no file, which keeps the trees of plain files small. Whoever
//! joins files gives each a stretch of numbers of its own; the file is found again from the number.

/// The files that share a range of line numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    /// The first number of each file, which stands for the file as a whole, with its path; rising.
    files: Vec<(u32, String)>,
    next: u32,
}

impl Lines {
    /// Takes in a file; gives what has to be added to its own line numbers.
    pub(crate) fn add(&mut self, path: &str, line_count: usize) -> u32 {
        let first = self.next;
        let count = u32::try_from(line_count).unwrap_or(u32::MAX);
        self.next = first.saturating_add(count).saturating_add(2);
        self.files.push((first, path.to_owned()));
        first
    }

    /// The file and its own line behind a number; line 0 is the file as a whole.
    pub(crate) fn locate(&self, line: u32) -> (&str, u32) {
        let after = self.files.partition_point(|(first, _)| *first <= line);
        match after.checked_sub(1).and_then(|index| self.files.get(index)) {
            Some((first, path)) => (path, line - first),
            None => ("", line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_leads_back_to_its_file() {
        let mut lines = Lines::default();
        let first = lines.add("a.yaml", 10);
        let second = lines.add("b/c.yaml", 0);
        let third = lines.add("d.yaml", 3);
        assert_eq!(lines.locate(first), ("a.yaml", 0));
        assert_eq!(lines.locate(first + 11), ("a.yaml", 11));
        assert_eq!(lines.locate(second + 1), ("b/c.yaml", 1));
        assert_eq!(lines.locate(third + 3), ("d.yaml", 3));
    }
}
