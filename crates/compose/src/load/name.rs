//! Project names.

use crate::error::Error;

/// Makes a legal name out of any text, as Docker Compose does with a folder's name.
#[must_use]
pub fn normalise(text: &str) -> String {
    let legal = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    text.to_lowercase().chars().filter(legal).collect::<String>().trim_start_matches(['_', '-']).to_owned()
}

/// Refuses a name that is not legal as it stands.
///
/// # Errors
/// With what a name may be.
pub fn check(name: &str) -> Result<(), Error> {
    if !name.is_empty() && normalise(name) == name {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "invalid project name \"{name}\": must consist only of lowercase letters, digits, hyphens and underscores, and start with a letter or digit"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (text, name) in
            [("My App", "myapp"), ("_x", "x"), ("a.b-c_1", "ab-c_1"), ("Ünï", "n"), ("9a", "9a")]
        {
            assert_eq!(normalise(text), name, "{text}");
        }
        assert!(check("my-app_1").is_ok());
        for bad in ["", "A", "_a", "a b", "a.b"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
