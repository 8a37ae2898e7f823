//! docker's filters: key → values, and how each kind of object matches them.

use crate::Result;
use std::collections::BTreeMap;

/// Parsed `filters=` of a request. Values of one key are alternatives (labels: all must hold).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(pub BTreeMap<String, Vec<String>>);

impl Filters {
    /// Refuses keys outside `known` with docker's `invalid filter 'x'`.
    ///
    /// # Errors
    /// `Invalid`.
    pub fn only(&self, known: &[&str]) -> Result<()> {
        let _unused = known;
        unimplemented!()
    }

    /// The values of a key.
    #[must_use]
    pub fn all(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether labels satisfy `label` (`k`, `k=v`; all) and `label!`.
    #[must_use]
    pub fn labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let _unused = labels;
        unimplemented!()
    }
}
