//! A map that is made once, read often and kept in great numbers.

use std::collections::BTreeMap;
use std::fmt;

/// A map from texts, in the order of its keys. It is a list of exactly its size: most maps of labels
/// have an entry or two, where a tree sets eleven places aside.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SortedMap<V> {
    /// Sorted by key; no key twice.
    entries: Box<[(Box<str>, V)]>,
}

impl<V> SortedMap<V> {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn get(&self, key: &str) -> Option<&V> {
        let index = self.find(key).ok()?;
        self.entries.get(index).map(|(_, value)| value)
    }

    pub fn contains_key(&self, key: &str) -> bool {
        self.find(key).is_ok()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn iter(&self) -> Iter<'_, V> {
        Iter(self.entries.iter())
    }

    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Adds an entry or replaces its value. It moves all others: many are better collected.
    pub fn insert(&mut self, key: impl Into<Box<str>>, value: V) {
        let key = key.into();
        let mut entries = std::mem::take(&mut self.entries).into_vec();
        match entries.binary_search_by(|entry| (*entry.0).cmp(&key)) {
            Ok(index) => entries[index].1 = value,
            Err(index) => {
                entries.reserve_exact(1);
                entries.insert(index, (key, value));
            }
        }
        self.entries = entries.into_boxed_slice();
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| (*entry.0).cmp(key))
    }
}

impl<V> Default for SortedMap<V> {
    fn default() -> Self {
        Self { entries: Box::default() }
    }
}

impl<V: fmt::Debug> fmt::Debug for SortedMap<V> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self).finish()
    }
}

/// Of several entries with one key the last stays.
impl<K: Into<Box<str>>, V> FromIterator<(K, V)> for SortedMap<V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut entries: Vec<(Box<str>, V)> =
            entries.into_iter().map(|(key, value)| (key.into(), value)).collect();
        // A stable sort keeps what came later behind what came before it.
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        entries.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                std::mem::swap(later, earlier);
            }
            is_same
        });
        Self { entries: entries.into_boxed_slice() }
    }
}

impl<K: Into<Box<str>>, V, const COUNT: usize> From<[(K, V); COUNT]> for SortedMap<V> {
    fn from(entries: [(K, V); COUNT]) -> Self {
        entries.into_iter().collect()
    }
}

impl<V> From<BTreeMap<String, V>> for SortedMap<V> {
    fn from(map: BTreeMap<String, V>) -> Self {
        map.into_iter().collect()
    }
}

impl<V: Clone> From<&SortedMap<V>> for BTreeMap<String, V> {
    fn from(map: &SortedMap<V>) -> Self {
        map.iter().map(|(key, value)| (key.to_owned(), value.clone())).collect()
    }
}

impl<K: Into<Box<str>>, V> Extend<(K, V)> for SortedMap<V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        let own = std::mem::take(self).into_iter();
        *self = own.chain(entries.into_iter().map(|(key, value)| (key.into(), value))).collect();
    }
}

impl<'a, V> IntoIterator for &'a SortedMap<V> {
    type Item = (&'a str, &'a V);
    type IntoIter = Iter<'a, V>;

    fn into_iter(self) -> Iter<'a, V> {
        self.iter()
    }
}

impl<V> IntoIterator for SortedMap<V> {
    type Item = (Box<str>, V);
    type IntoIter = std::vec::IntoIter<(Box<str>, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_vec().into_iter()
    }
}

/// The entries of a [`SortedMap`] in the order of their keys.
#[derive(Debug)]
pub struct Iter<'a, V>(std::slice::Iter<'a, (Box<str>, V)>);

impl<V> Clone for Iter<'_, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (&'a str, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (&**key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<V> ExactSizeIterator for Iter<'_, V> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_in_the_order_of_keys_and_the_last_of_a_key_stays() {
        let map = SortedMap::from([("b", 1), ("a", 2), ("b", 3), ("c", 4), ("b", 5)]);
        assert_eq!(map.iter().collect::<Vec<_>>(), [("a", &2), ("b", &5), ("c", &4)]);
        assert_eq!((map.get("b"), map.get("d"), map.len()), (Some(&5), None, 3));
        assert!(map.contains_key("a") && !map.contains_key(""));
    }

    #[test]
    fn an_entry_that_is_inserted_is_found_among_the_others() {
        let mut map = SortedMap::new();
        for (key, value) in [("m", 1), ("z", 2), ("a", 3), ("m", 4)] {
            map.insert(key, value);
        }
        assert_eq!(map, SortedMap::from([("a", 3), ("m", 4), ("z", 2)]));
        map.extend([("z", 5), ("b", 6)]);
        assert_eq!(map, SortedMap::from([("a", 3), ("b", 6), ("m", 4), ("z", 5)]));
    }
}
