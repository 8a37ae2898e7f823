//! Topic ids and their like.

use std::fmt;

/// Sixteen bytes; printed as Kafka's tools do, in URL-safe base64 without padding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// No id.
    pub const ZERO: Self = Self([0; 16]);

    /// Whether it is none.
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bits = 0u128;
        let digits = text.as_bytes();
        if digits.len() != DIGITS {
            return None;
        }
        let mut last = 0;
        for digit in digits {
            let value = u8::try_from(ALPHABET.iter().position(|known| known == digit)?).ok()?;
            last = value;
            bits = (bits << 6) | u128::from(value);
        }
        // 22 digits are 132 bits: the first four went over the top, the last four are padding
        let first = ALPHABET.iter().position(|known| known == &digits[0])?;
        let bits = (bits >> 4) | (u128::try_from(first).ok()? << 122);
        (last & 0xf == 0).then(|| Self(bits.to_be_bytes()))
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const DIGITS: usize = 22;

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        let digit = |value: u128| char::from(ALPHABET[usize::from(value.to_le_bytes()[0] & 0x3f)]);
        (0..DIGITS - 1)
            .map(|index| digit(bits >> (122 - 6 * index)))
            .try_for_each(|one| write!(f, "{one}"))?;
        write!(f, "{}", digit(bits << 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_come_back(bytes: [u8; 16]) {
            prop_assert_eq!(Uuid::parse(&Uuid(bytes).to_string()), Some(Uuid(bytes)));
        }
    }

    #[test]
    fn printed_as_kafka_does() {
        // what Java's Uuid.toString prints
        assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(Uuid([0xff; 16]).to_string(), "_____________________w");
        assert_eq!(Uuid::parse("AAAAAAAAAAAAAAAAAAAAA!"), None);
        assert_eq!(Uuid::parse("AAAAAAAAAAAAAAAAAAAAAB"), None);
    }
}
