//! Amounts of resources, and how people read them.

use crate::SortedMap;

/// Amounts by the name of a resource: of CPU in thousandths, of everything else in whole units.
pub type ResourceAmounts = SortedMap<u64>;

/// Thousandths in the shortest form, as `2` or `250m`.
pub fn show_millis(millis: u64) -> String {
    match millis.is_multiple_of(1000) {
        true => (millis / 1000).to_string(),
        false => format!("{millis}m"),
    }
}

/// Bytes in the largest binary unit that is exact, as `512Mi`.
pub fn show_bytes(count: u64) -> String {
    const UNITS: [(u32, &str); 6] =
        [(60, "Ei"), (50, "Pi"), (40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")];
    let exact = UNITS.iter().find(|(shift, _)| count > 0 && count.is_multiple_of(1 << shift));
    match exact {
        Some((shift, unit)) => format!("{}{unit}", count >> shift),
        None => count.to_string(),
    }
}

/// Whether amounts of a resource are in thousandths. The names are those of containers and of quotas.
pub fn is_in_millis(resource: &str) -> bool {
    matches!(resource, "cpu" | "requests.cpu" | "limits.cpu")
}

/// An amount as people write it.
pub fn show_amount(resource: &str, amount: u64) -> String {
    if is_in_millis(resource) {
        return show_millis(amount);
    }
    let has_bytes = ["memory", "storage"].iter().any(|end| resource.ends_with(end))
        || resource.contains("hugepages-");
    match has_bytes {
        true => show_bytes(amount),
        false => amount.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_as_they_are_written() {
        for (resource, amount, shown) in [
            ("cpu", 250, "250m"),
            ("limits.cpu", 2000, "2"),
            ("requests.memory", 512 << 20, "512Mi"),
            ("memory", 1000, "1000"),
            ("memory", 0, "0"),
            ("gold.storageclass.storage.k8s.io/requests.storage", 1 << 40, "1Ti"),
            ("requests.hugepages-2Mi", 4 << 20, "4Mi"),
            ("pods", 1024, "1024"),
        ] {
            assert_eq!(show_amount(resource, amount), shown, "{resource}");
        }
    }
}
