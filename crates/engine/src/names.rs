//! Made-up names: an adjective and the name of somebody worth remembering, as docker's users expect them.

const ADJECTIVES: &[&str] = &[
    "able", "agile", "amber", "ample", "ardent", "bold", "brave", "breezy", "bright", "brisk", "calm",
    "candid", "clever", "cosy", "crisp", "curious", "daring", "deft", "eager", "early", "earnest", "fair",
    "fleet", "fond", "frank", "gentle", "glad", "golden", "happy", "hardy", "honest", "humble", "jolly",
    "keen", "kind", "lively", "loyal", "lucid", "mellow", "merry", "modest", "neat", "nimble", "noble",
    "patient", "placid", "polite", "proud", "quick", "quiet", "ready", "sharp", "silent", "sleek", "steady",
    "sunny", "swift", "tidy", "trusty", "upbeat", "vivid", "warm", "wise", "witty", "zesty",
];

const SURNAMES: &[&str] = &[
    "albuzjani",
    "aryabhata",
    "babbage",
    "banzai",
    "bartik",
    "bell",
    "bohr",
    "boyd",
    "carson",
    "cerf",
    "cori",
    "curie",
    "darwin",
    "dijkstra",
    "einstein",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "feynman",
    "franklin",
    "galileo",
    "galois",
    "gauss",
    "goodall",
    "hamilton",
    "hawking",
    "hertz",
    "hopper",
    "hypatia",
    "ibnbattuta",
    "ibnmajid",
    "johnson",
    "kepler",
    "knuth",
    "kovalevskaya",
    "lalande",
    "lamarr",
    "lamport",
    "leavitt",
    "liskov",
    "lovelace",
    "maxwell",
    "meitner",
    "mendel",
    "mirzakhani",
    "morse",
    "neumann",
    "newton",
    "nightingale",
    "noether",
    "pascal",
    "perlman",
    "planck",
    "ramanujan",
    "ritchie",
    "rosalind",
    "shannon",
    "tesla",
    "thompson",
    "torvalds",
    "turing",
    "volta",
    "wiles",
    "wing",
    "wu",
    "zhenghe",
];

/// A name; from the second attempt on with a digit behind it, so that a free one is found soon.
pub(crate) fn made_up(attempt: usize) -> String {
    let pick = |list: &[&'static str]| list[fastrand::usize(..list.len())];
    let name = format!("{}_{}", pick(ADJECTIVES), pick(SURNAMES));
    if attempt == 0 {
        name
    } else {
        format!("{name}{}", fastrand::u32(..10u32.saturating_pow(attempt.min(9) as u32)))
    }
}

/// 64 random hexadecimal digits: the id of a container, network, exec or anonymous volume. Never all digits in the first twelve, because such a
/// short id would read as a number where a host name is wanted.
pub(crate) fn id() -> crate::Result<String> {
    use std::fmt::Write;
    loop {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes).map_err(|e| {
            crate::Error::new(crate::Kind::Internal, format!("read random bytes for an id: {e}"))
        })?;
        let mut text = String::with_capacity(64);
        for byte in bytes {
            write!(text, "{byte:02x}").unwrap_or_default();
        }
        if text.bytes().take(12).any(|b| b.is_ascii_alphabetic()) {
            return Ok(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_names_are_valid_and_ids_are_ids() {
        for attempt in 0..3 {
            let name = made_up(attempt);
            assert!(
                name.contains('_')
                    && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{name}"
            );
        }
        let id = id().unwrap();
        assert!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()));
    }
}
