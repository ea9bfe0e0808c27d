//! The arguments that say where the volumes of claims lie.

use std::path::PathBuf;

use clap::Args;
use dugout_agent::StorageConfig;

/// Where a node keeps what PersistentVolumeClaims ask for
#[derive(Clone, Debug, Args)]
pub struct StorageArguments {
    /// The folder with the volumes of claims [default: in the data directory]
    #[arg(long, value_name = "DIR")]
    pub storage_path: Option<PathBuf>,
    /// How much claims may ask for together, in bytes or as 500Gi [default: what the disk of the folder
    /// holds]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub storage_capacity: Option<u64>,
}

impl StorageArguments {
    pub fn config(&self) -> StorageConfig {
        StorageConfig { path: self.storage_path.clone(), capacity_bytes: self.storage_capacity }
    }
}

/// Bytes, with a suffix of Kubernetes' quantities or without.
fn size(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let factor: u64 = match suffix {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return Err("give bytes, or a number with k, M, G, T, Ki, Mi, Gi or Ti".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "give a whole number, as 500Gi".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "that is more than can be counted".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_or_have_a_suffix() {
        assert_eq!(size("500"), Ok(500));
        assert_eq!(size("2Gi"), Ok(2 << 30));
        assert_eq!(size("3M"), Ok(3_000_000));
        for wrong in ["", "Gi", "1.5Gi", "-1", "1gb", "99999999Ti"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
