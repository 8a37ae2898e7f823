//! Mounts: what users ask for → what the container has → what the runtime mounts. Parsing and resolving are pure; making volumes
//! and folders is in `create` and `start`.

use super::{Host, MountKind, MountPoint, MountSpec};
use crate::{Error, Kind, Result};
use dhow_oci::runtime as oci;
use std::collections::BTreeMap;

const PROPAGATIONS: [&str; 6] = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, message)
}

impl MountSpec {
    /// A mount of this kind with everything else at its default.
    #[must_use]
    pub fn new(kind: MountKind, source: &str, target: &str) -> Self {
        Self {
            kind,
            source: source.to_owned(),
            target: target.to_owned(),
            readonly: false,
            create_source: false,
            propagation: String::new(),
            no_copy: false,
            subpath: String::new(),
            labels: BTreeMap::new(),
            driver_options: BTreeMap::new(),
            tmpfs_size: None,
            tmpfs_mode: None,
            from_mount: false,
            mode: String::new(),
        }
    }

    /// Parses `-v`: `/host:/inside[:mode]`, `volume:/inside[:mode]`, `/inside`.
    ///
    /// # Errors
    /// `Invalid`, in docker's words.
    pub fn parse_bind(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            let tail = if why.is_empty() { String::new() } else { format!(": {why}") };
            invalid(format!("invalid volume specification: '{text}'{tail}"))
        };
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, mode) = match parts.as_slice() {
            [target] => ("", *target, ""),
            [source, target] if !source.is_empty() => (*source, *target, ""),
            [source, target, mode] if !source.is_empty() => (*source, *target, *mode),
            _ => return Err(wrong("")),
        };
        let kind = if source.starts_with('/') { MountKind::Bind } else { MountKind::Volume };
        let mut mount = Self::new(kind, source, target);
        mount.create_source = kind == MountKind::Bind;
        mode.clone_into(&mut mount.mode);
        for word in mode.split(',').filter(|w| !w.is_empty()) {
            match word {
                "ro" => mount.readonly = true,
                "rw" | "z" | "Z" | "consistent" | "cached" | "delegated" => {}
                "nocopy" if kind == MountKind::Volume => mount.no_copy = true,
                other if kind == MountKind::Bind && PROPAGATIONS.contains(&other) => {
                    other.clone_into(&mut mount.propagation);
                }
                _ => return Err(invalid(format!("invalid mode: {mode}"))),
            }
        }
        mount.check().map_err(|e| wrong(&e.message))?;
        Ok(mount)
    }

    /// Refuses what docker refuses, before anything is made.
    pub(crate) fn check(&mut self) -> Result<()> {
        let word = match self.kind {
            MountKind::Bind => "bind",
            MountKind::Volume => "volume",
            MountKind::Tmpfs => "tmpfs",
            MountKind::Image => "image",
        };
        let wrong = |why: String| Err(invalid(format!("invalid mount config for type \"{word}\": {why}")));
        if self.target.is_empty() {
            return wrong("field Target must not be empty".to_owned());
        }
        if !self.target.starts_with('/') {
            return wrong(format!("invalid mount path: '{}' mount path must be absolute", self.target));
        }
        self.target = clean(&self.target);
        if self.target == "/" {
            return wrong("invalid specification: destination can't be '/'".to_owned());
        }
        match self.kind {
            MountKind::Bind if self.source.is_empty() => wrong("field Source must not be empty".to_owned()),
            MountKind::Bind if !self.source.starts_with('/') => {
                wrong(format!("invalid mount path: '{}' mount path must be absolute", self.source))
            }
            MountKind::Tmpfs if !self.source.is_empty() => {
                wrong("field Source must not be specified".to_owned())
            }
            MountKind::Image => Err(Error::new(
                Kind::Unsupported,
                "mounts of type \"image\" are not supported by this engine",
            )),
            _ if !self.subpath.is_empty() => {
                Err(Error::new(Kind::Unsupported, "the subpath of a volume is not supported by this engine"))
            }
            _ => Ok(()),
        }
    }
}

/// The path without `.`, `..` and doubled slashes, as Go's `path.Clean`.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Everything wanted in one list, each target once: `--mount` and `-v`, then what `--volumes-from` brings, then the image's and user's
/// anonymous volumes where nothing else is mounted.
pub(crate) fn gather(host: &Host, volumes: &[String]) -> Result<Vec<MountSpec>> {
    let mut wanted = host.mounts.clone();
    for bind in &host.binds {
        let parsed = MountSpec::parse_bind(bind)?;
        if !wanted.iter().any(|m| !m.from_mount && clean(&m.target) == parsed.target) {
            wanted.push(parsed);
        }
    }
    for mount in &mut wanted {
        mount.check()?;
    }
    for (i, mount) in wanted.iter().enumerate() {
        let again = wanted.iter().skip(i + 1).any(|m| m.target == mount.target);
        if again || host.tmpfs.keys().any(|t| clean(t) == mount.target) {
            return Err(invalid(format!("Duplicate mount point: {}", mount.target)));
        }
    }
    for target in volumes {
        let target = clean(target);
        if target == "/" {
            return Err(invalid("invalid volume specification: '/': destination can't be '/'"));
        }
        let taken =
            wanted.iter().any(|m| m.target == target) || host.tmpfs.keys().any(|t| clean(t) == target);
        if !taken {
            wanted.push(MountSpec::new(MountKind::Volume, "", &target));
        }
    }
    Ok(wanted)
}

/// Refuses volume names that docker refuses, in its words.
pub(crate) fn check_volume_name(name: &str) -> Result<()> {
    let word = |b: u8| b.is_ascii_alphanumeric();
    let rest = |b: u8| word(b) || matches!(b, b'_' | b'.' | b'-');
    let bytes = name.as_bytes();
    if bytes.len() >= 2 && word(bytes[0]) && bytes.iter().all(|&b| rest(b)) && bytes.len() <= 255 {
        return Ok(());
    }
    if bytes.len() == 1 && word(bytes[0]) {
        return Err(invalid(format!(
            "create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )));
    }
    Err(invalid(format!(
        "create {name}: \"{name}\" includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )))
}

/// What the runtime mounts for a mount point. `options` are the volume's driver options.
pub(crate) fn bind(point: &MountPoint, options: &BTreeMap<String, String>) -> oci::Mount {
    let access = if point.rw { "rw" } else { "ro" };
    let mut mount = oci::Mount {
        destination: point.target.clone(),
        kind: Some("bind".to_owned()),
        source: Some(point.source.to_string_lossy().into_owned()),
        options: vec!["rbind".to_owned(), access.to_owned()],
        ..oci::Mount::default()
    };
    let given = |key: &str| options.get(key).map(String::as_str).unwrap_or_default();
    if !given("device").is_empty() {
        mount.source = Some(given("device").to_owned());
        let words: Vec<&str> = given("o").split(',').filter(|w| !w.is_empty()).collect();
        if !words.iter().any(|w| *w == "bind" || *w == "rbind") {
            mount.kind = Some(given("type").to_owned());
            mount.options = words.into_iter().map(str::to_owned).collect();
            if !point.rw {
                mount.options.push("ro".to_owned());
            }
            return mount;
        }
    }
    let propagation = if point.propagation.is_empty() { "rprivate" } else { &point.propagation };
    mount.options.push(propagation.to_owned());
    mount
}

/// `--tmpfs path=options` and `--mount type=tmpfs`.
pub(crate) fn tmpfs(target: &str, given: &str) -> oci::Mount {
    const PAIRS: [(&str, &str); 6] = [
        ("noexec", "exec"),
        ("nosuid", "suid"),
        ("nodev", "dev"),
        ("ro", "rw"),
        ("noatime", "atime"),
        ("sync", "async"),
    ];
    let mut options: Vec<String> = ["noexec", "nosuid", "nodev"].map(str::to_owned).to_vec();
    for word in given.split(',').filter(|w| !w.is_empty()) {
        let key = word.split_once('=').map_or(word, |(key, _)| key);
        let rival = PAIRS.iter().find_map(|&(a, b)| match key {
            k if k == a => Some(b),
            k if k == b => Some(a),
            _ => None,
        });
        options.retain(|old| {
            let old = old.split_once('=').map_or(old.as_str(), |(key, _)| key);
            old != key && Some(old) != rival
        });
        options.push(word.to_owned());
    }
    oci::Mount {
        destination: clean(target),
        kind: Some("tmpfs".to_owned()),
        source: Some("tmpfs".to_owned()),
        options,
        ..oci::Mount::default()
    }
}

/// The options of `--mount type=tmpfs` as text.
pub(crate) fn tmpfs_options(mount: &MountSpec) -> String {
    let mut words = Vec::new();
    if mount.readonly {
        words.push("ro".to_owned());
    }
    if let Some(mode) = mount.tmpfs_mode.filter(|m| *m != 0) {
        words.push(format!("mode={mode:o}"));
    }
    if let Some(size) = mount.tmpfs_size.filter(|s| *s > 0) {
        words.push(format!("size={size}"));
    }
    words.join(",")
}

/// Parents before children.
pub(crate) fn order(mounts: &mut [oci::Mount]) {
    mounts.sort_by_key(|m| m.destination.split('/').filter(|p| !p.is_empty()).count());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_binds_as_docker_does() {
        let bind = MountSpec::parse_bind("/a:/b/../c:ro,rshared").unwrap();
        assert_eq!((bind.kind, bind.target.as_str(), bind.readonly), (MountKind::Bind, "/c", true));
        assert_eq!((bind.propagation.as_str(), bind.create_source), ("rshared", true));
        let named = MountSpec::parse_bind("data:/b:nocopy").unwrap();
        assert_eq!((named.kind, named.source.as_str(), named.no_copy), (MountKind::Volume, "data", true));
        for (text, message) in [
            ("a:b:c:d", "invalid volume specification: 'a:b:c:d'"),
            (":/b", "invalid volume specification: ':/b'"),
            ("/a:/b:xx", "invalid mode: xx"),
            (
                "/a:/",
                "invalid volume specification: '/a:/': invalid mount config for type \"bind\": invalid specification: destination can't be '/'",
            ),
            (
                "/a:b",
                "invalid volume specification: '/a:b': invalid mount config for type \"bind\": invalid mount path: 'b' mount path must be absolute",
            ),
        ] {
            assert_eq!(MountSpec::parse_bind(text).unwrap_err().message, message);
        }
    }

    #[test]
    fn each_target_once_and_explicit_beats_anonymous() {
        let mut host = Host { binds: vec!["/a:/data".into()], ..Host::default() };
        let all = gather(&host, &["/data/".into(), "/other".into()]).unwrap();
        let seen: Vec<_> = all.iter().map(|m| (m.kind, m.target.as_str())).collect();
        assert_eq!(seen, [(MountKind::Bind, "/data"), (MountKind::Volume, "/other")]);
        host.tmpfs.insert("/data".into(), String::new());
        assert_eq!(gather(&host, &[]).unwrap_err().message, "Duplicate mount point: /data");
    }

    #[test]
    fn tmpfs_options_override_the_defaults() {
        assert_eq!(tmpfs("/x/", "exec,size=1m,size=2m").options, ["nosuid", "nodev", "exec", "size=2m"]);
    }

    #[test]
    fn volume_names() {
        assert!(check_volume_name("a.b-c_D1").is_ok());
        for bad in ["", "a", "-ab", "a/b", "../x", "a b"] {
            assert!(check_volume_name(bad).is_err(), "{bad}");
        }
    }
}
