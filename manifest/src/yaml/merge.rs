//! Merge keys, unique keys, and the budget of what copies may cost.

use std::collections::BTreeSet;

use super::{COPIED_BYTE_LIMIT, COPIED_NODE_LIMIT, Entry, Node, Value};
use crate::problems::{Problems, quoted};

/// What aliases and merges have copied in a document so far.
#[derive(Debug, Default)]
pub(super) struct Copies {
    pub(super) nodes: usize,
    bytes: usize,
}

impl Copies {
    /// A copy, unless it would cost more than all copies of a document may.
    pub(super) fn copy<'a>(&mut self, node: &Node<'a>) -> Option<Node<'a>> {
        self.pay(node).then(|| node.clone())
    }

    /// Counts a value; stops as soon as a limit is passed. Recursion is bounded by the depth limit.
    fn pay(&mut self, node: &Node<'_>) -> bool {
        self.nodes += 1;
        if self.nodes > COPIED_NODE_LIMIT || self.bytes > COPIED_BYTE_LIMIT {
            return false;
        }
        match &node.value {
            Value::Scalar { text, .. } => {
                self.bytes += text.len();
                self.bytes <= COPIED_BYTE_LIMIT
            }
            Value::List(items) => items.iter().all(|item| self.pay(item)),
            Value::Map(entries) => entries.iter().all(|entry| {
                self.bytes += entry.key.len();
                self.pay(&entry.node)
            }),
        }
    }
}

/// Replaces `<<` by what it names, and tells keys that come twice. Keys of the map itself win over
/// merged ones, earlier merged ones over later. Fails when copies cost too much, which is then told.
pub(super) fn merge_and_check<'a>(
    entries: Vec<Entry<'a>>,
    copies: &mut Copies,
    problems: &mut Problems,
) -> Result<Vec<Entry<'a>>, ()> {
    let mut own = entries;
    let mut merged = Vec::new();
    for entry in own.extract_if(.., |entry| entry.key == "<<") {
        collect_merged(entry, &mut merged, copies, problems)?;
    }
    drop_repeated(&mut own, |first, again| {
        let message = format!("the key {} stands here for the second time", quoted(&again.key));
        let hint = format!("the first is in line {}; keep one of them", first.key_at.line);
        problems.error(again.key_at, message, Some(&hint));
    });
    if !merged.is_empty() {
        own.extend(merged);
        drop_repeated(&mut own, |_, _| {});
    }
    Ok(own)
}

fn collect_merged<'a>(
    entry: Entry<'a>,
    merged: &mut Vec<Entry<'a>>,
    copies: &mut Copies,
    problems: &mut Problems,
) -> Result<(), ()> {
    let maps = match entry.node.value {
        Value::Map(entries) => vec![entries],
        Value::List(items) if items.iter().all(|item| matches!(item.value, Value::Map(_))) => items
            .into_iter()
            .filter_map(|item| match item.value {
                Value::Map(entries) => Some(entries),
                _ => None,
            })
            .collect(),
        _ => {
            problems.error(entry.key_at, "<< takes a map or a list of maps", None);
            return Ok(());
        }
    };
    for entries in maps {
        copies.nodes += entries.len();
        if copies.nodes > COPIED_NODE_LIMIT {
            problems.error(entry.key_at, "merge keys copy too much", Some("write the values out"));
            return Err(());
        }
        merged.extend(entries);
    }
    Ok(())
}

/// Keeps the first entry of each key, in the order of the file; calls `told` for each one dropped.
fn drop_repeated<'a>(entries: &mut Vec<Entry<'a>>, mut told: impl FnMut(&Entry<'a>, &Entry<'a>)) {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_unstable_by(|a, b| entries[*a].key.cmp(&entries[*b].key).then(a.cmp(b)));
    let mut repeated = BTreeSet::new();
    let mut first = 0;
    for index in 1..order.len() {
        if entries[order[index]].key == entries[order[first]].key {
            told(&entries[order[first]], &entries[order[index]]);
            repeated.insert(order[index]);
        } else {
            first = index;
        }
    }
    if !repeated.is_empty() {
        let mut index = 0;
        entries.retain(|_| {
            index += 1;
            !repeated.contains(&(index - 1))
        });
    }
}
