//! `-v` and `HostConfig.Binds`: `source:target[:mode]`.

use crate::Malformed;

/// A `-v`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bind {
    /// Absolute: a path of the host; else a volume's name; empty: an anonymous volume.
    pub source: String,
    /// Absolute, cleaned.
    pub target: String,
    /// As given after the second colon.
    pub mode: String,
    /// `ro`.
    pub readonly: bool,
    /// `nocopy`.
    pub no_copy: bool,
    /// `rprivate`, `rshared`, …; empty where not given.
    pub propagation: String,
}

impl Bind {
    /// Whether the source is a path of the host.
    #[must_use]
    pub fn is_path(&self) -> bool {
        self.source.starts_with('/')
    }
}

const PROPAGATIONS: [&str; 6] = ["private", "rprivate", "slave", "rslave", "shared", "rshared"];

/// Reads a bind.
///
/// # Errors
/// docker's `invalid volume specification: 'x'` with what is wrong.
pub fn parse(text: &str) -> Result<Bind, Malformed> {
    let bad = |why: &str| Malformed(format!("invalid volume specification: '{text}'{why}"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts.as_slice() {
        [target] => ("", *target, ""),
        // `/a:ro` is no bind: docker reads the second part as the target and finds it is none.
        [source, target] => (*source, *target, ""),
        [source, target, mode] => (*source, *target, *mode),
        _ => return Err(bad("")),
    };
    if (parts.len() > 1 && source.is_empty()) || target.is_empty() {
        return Err(bad(""));
    }
    if !target.starts_with('/') {
        let kind = if source.starts_with('/') { "bind" } else { "volume" };
        return Err(bad(&format!(
            ": invalid mount config for type \"{kind}\": invalid mount path: '{target}' mount path must be absolute"
        )));
    }
    let target = clean(target);
    if target == "/" {
        return Err(bad(": destination can't be '/'"));
    }
    let mut bind = Bind { source: source.to_owned(), target, mode: mode.to_owned(), ..Bind::default() };
    if bind.is_path() {
        bind.source = clean(source);
    } else if !source.is_empty() {
        check_name(source)?;
    }
    let (mut access, mut label) = (0, 0);
    for word in mode.split(',').filter(|word| !word.is_empty()) {
        match word {
            "ro" | "rw" => {
                access += 1;
                bind.readonly = word == "ro";
            }
            "z" | "Z" => label += 1,
            "nocopy" if !bind.is_path() => bind.no_copy = true,
            "consistent" | "cached" | "delegated" if bind.is_path() => {}
            word if PROPAGATIONS.contains(&word) && bind.is_path() && bind.propagation.is_empty() => {
                word.clone_into(&mut bind.propagation);
            }
            _ => return Err(Malformed(format!("invalid mode: {mode}"))),
        }
    }
    if access > 1 || label > 1 {
        return Err(Malformed(format!("invalid mode: {mode}")));
    }
    Ok(bind)
}

/// docker's rule for names of volumes.
///
/// # Errors
/// docker's sentence.
pub fn check_name(name: &str) -> Result<(), Malformed> {
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.len() > 1 && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(ok) {
        return Ok(());
    }
    Err(Malformed(format!(
        "{name:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )))
}

/// Go's `path.Clean` for absolute paths.
#[must_use]
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads() {
        let bind = parse("/a/../b:/c/:ro,z,rslave").unwrap();
        assert_eq!(
            (bind.source.as_str(), bind.target.as_str(), bind.mode.as_str()),
            ("/b", "/c", "ro,z,rslave")
        );
        assert!(bind.readonly && bind.is_path());
        assert_eq!(bind.propagation, "rslave");
        let named = parse("data:/var/lib:nocopy").unwrap();
        assert!(named.no_copy && !named.is_path() && !named.readonly);
        assert_eq!(parse("/data").unwrap(), Bind { target: "/data".into(), ..Bind::default() });
        assert_eq!(parse("vol:/x").unwrap().mode, "");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, words) in [
            ("", "invalid volume specification: ''"),
            ("a:b:c:d", "invalid volume specification"),
            (":/a", "invalid volume specification"),
            ("/a:b", "must be absolute"),
            ("/a:/", "destination can't be '/'"),
            ("/a:/b:wr", "invalid mode: wr"),
            ("/a:/b:ro,rw", "invalid mode: ro,rw"),
            ("vol:/b:rshared", "invalid mode"),
            ("../x:/b", "includes invalid characters for a local volume name"),
            ("x:/b", "includes invalid characters"),
        ] {
            assert!(parse(text).is_err_and(|e| e.0.contains(words)), "{text}");
        }
    }
}
