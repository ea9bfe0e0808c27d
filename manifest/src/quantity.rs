//! Kubernetes quantities, exactly: `250m`, `0.5`, `128Mi`, `1e3`.

/// A quantity as a fraction: `mantissa × 10^exponent × 2^binary`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quantity {
    mantissa: u128,
    exponent: i32,
    binary: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoQuantity {
    Malformed,
    Negative,
    TooLarge,
}

impl Quantity {
    pub(crate) fn parse(text: &str) -> Result<Quantity, NoQuantity> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = rest
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(NoQuantity::Malformed);
        }
        let (exponent, binary) = parse_suffix(suffix).ok_or(NoQuantity::Malformed)?;
        // Zeros at both ends say nothing and could be many.
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        if negative && !digits.is_empty() {
            return Err(NoQuantity::Negative);
        }
        if digits.len() > 30 || fraction.len() > 30 {
            return Err(NoQuantity::TooLarge);
        }
        let mantissa =
            if digits.is_empty() { 0 } else { digits.parse().map_err(|_| NoQuantity::TooLarge)? };
        let places = i32::try_from(fraction.len()).map_err(|_| NoQuantity::TooLarge)?;
        Ok(Quantity { mantissa, exponent: exponent - places, binary })
    }

    /// The amount in thousandths, rounded up.
    pub(crate) fn millis(self) -> Result<u64, NoQuantity> {
        self.scaled(3)
    }

    /// The amount in whole units, rounded up.
    pub(crate) fn units(self) -> Result<u64, NoQuantity> {
        self.scaled(0)
    }

    /// Whether it is a whole number of units.
    pub(crate) fn is_whole(self) -> bool {
        let Ok(units) = self.units() else { return true };
        units.checked_mul(1000).is_none_or(|millis| self.millis() == Ok(millis))
    }

    fn scaled(self, places: i32) -> Result<u64, NoQuantity> {
        if self.mantissa == 0 {
            return Ok(0);
        }
        let mantissa = self
            .mantissa
            .checked_mul(1_u128.checked_shl(self.binary).ok_or(NoQuantity::TooLarge)?)
            .ok_or(NoQuantity::TooLarge)?;
        let exponent = self.exponent + places;
        let value = match 10_u128.checked_pow(exponent.unsigned_abs()) {
            Some(power) if exponent >= 0 => {
                mantissa.checked_mul(power).ok_or(NoQuantity::TooLarge)?
            }
            Some(power) => mantissa.div_ceil(power),
            None if exponent > 0 => return Err(NoQuantity::TooLarge),
            // Less than any mantissa can make up for, and more than nothing.
            None => 1,
        };
        // Kubernetes' own amounts are signed.
        i64::try_from(value)
            .ok()
            .and_then(|value| u64::try_from(value).ok())
            .ok_or(NoQuantity::TooLarge)
    }
}

/// The power of ten and of two behind a suffix.
fn parse_suffix(suffix: &str) -> Option<(i32, u32)> {
    Some(match suffix {
        "n" => (-9, 0),
        "u" => (-6, 0),
        "m" => (-3, 0),
        "" => (0, 0),
        "k" => (3, 0),
        "M" => (6, 0),
        "G" => (9, 0),
        "T" => (12, 0),
        "P" => (15, 0),
        "E" => (18, 0),
        "Ki" => (0, 10),
        "Mi" => (0, 20),
        "Gi" => (0, 30),
        "Ti" => (0, 40),
        "Pi" => (0, 50),
        "Ei" => (0, 60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|b| b.is_ascii_digit())
            {
                return None;
            }
            (exponent.parse().ok()?, 0)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> u64 {
        Quantity::parse(text).unwrap().millis().unwrap()
    }

    fn units(text: &str) -> u64 {
        Quantity::parse(text).unwrap().units().unwrap()
    }

    #[test]
    fn quantities_are_exact() {
        assert_eq!(millis("250m"), 250);
        assert_eq!(millis("0.1"), 100);
        assert_eq!(millis("1.5"), 1500);
        assert_eq!(millis(".5"), 500);
        assert_eq!(millis("2."), 2000);
        assert_eq!(millis("+1"), 1000);
        assert_eq!(millis("1e3"), 1_000_000);
        assert_eq!(millis("100u"), 1);
        assert_eq!(millis("1n"), 1);
        assert_eq!(millis("0"), 0);
        assert_eq!(millis("-0"), 0);
        assert_eq!(units("128Mi"), 134_217_728);
        assert_eq!(units("1.5Gi"), 1_610_612_736);
        assert_eq!(units("0.1Ki"), 103);
        assert_eq!(units("64M"), 64_000_000);
        assert_eq!(units("1E"), 1_000_000_000_000_000_000);
        assert_eq!(units("1E2"), 100);
        assert_eq!(units("12e-1"), 2);
        assert_eq!(units("100m"), 1);
        assert_eq!(units("1e-300"), 1);
        assert!(!Quantity::parse("100m").unwrap().is_whole());
        assert!(Quantity::parse("1000m").unwrap().is_whole());
    }

    #[test]
    fn what_is_no_quantity_is_told_apart() {
        for text in ["", "m", "1 Gi", "1gb", "1GB", "0x10", "1..2", "1e", "1e1.5", "1Kib", "１"] {
            assert_eq!(Quantity::parse(text), Err(NoQuantity::Malformed), "{text:?}");
        }
        assert_eq!(Quantity::parse("-1"), Err(NoQuantity::Negative));
        assert_eq!(Quantity::parse("1e999").unwrap().units(), Err(NoQuantity::TooLarge));
        assert_eq!(Quantity::parse("16Ei").unwrap().units(), Err(NoQuantity::TooLarge));
        assert_eq!(Quantity::parse(&"9".repeat(500)), Err(NoQuantity::TooLarge));
        assert_eq!(units(&format!("{}1", "0".repeat(500))), 1);
    }
}
