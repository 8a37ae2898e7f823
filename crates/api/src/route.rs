//! Matching a method and a path against the list of routes.

use crate::{call::Call, reply::Reply};
use dhow_wire::query::decode;
use http::Method;
use std::{future::Future, pin::Pin};

/// A handler, boxed.
pub(crate) type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Reply> + Send>>;

/// What becomes of a handler whose client goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is dropped.
    Read,
    /// It runs to its end in a task of its own: nothing is left half-changed.
    Change,
}

/// One line of the list.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// `/containers/{}/json`; `{}` is one segment, `{*}` one or more (names of images).
    pub(crate) pattern: &'static str,
    /// Minor of the API version that brought it.
    pub(crate) since: u16,
    pub(crate) kind: Kind,
    pub(crate) handler: Handler,
}

/// The parameters, decoded, if the path fits the pattern.
pub(crate) fn fit(pattern: &str, path: &str) -> Option<Vec<String>> {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> =
        path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path).split('/').collect();
    let spare = path.len().checked_sub(pattern.len())?;
    let mut params = Vec::new();
    let mut rest = path.as_slice();
    for part in pattern {
        let take = if part == "{*}" { 1 + spare } else { 1 };
        let (these, after) = rest.split_at_checked(take)?;
        match part {
            "{}" | "{*}" => {
                let param = these.iter().map(|segment| decode(segment, false)).collect::<Vec<_>>().join("/");
                if param.is_empty() {
                    return None;
                }
                params.push(param);
            }
            literal if these == [literal] => {}
            _ => return None,
        }
        rest = after;
    }
    rest.is_empty().then_some(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_paths_only() {
        assert_eq!(fit("/info", "/info"), Some(vec![]));
        assert_eq!(fit("/info", "/info/"), Some(vec![]));
        assert_eq!(fit("/info", "/info/x"), None);
        assert_eq!(fit("/containers/{}/json", "/containers/a%2Fb/json"), Some(vec!["a/b".into()]));
        assert_eq!(fit("/containers/{}/json", "/containers//json"), None);
        assert_eq!(fit("/containers/{}/json", "/containers/a/b/json"), None);
    }

    #[test]
    fn names_of_images_span_segments() {
        assert_eq!(
            fit("/images/{*}/json", "/images/localhost:5000/a/b:1/json"),
            Some(vec!["localhost:5000/a/b:1".into()])
        );
        assert_eq!(fit("/images/{*}", "/images/busybox"), Some(vec!["busybox".into()]));
        assert_eq!(fit("/images/{*}/json", "/images/json"), None);
    }
}
