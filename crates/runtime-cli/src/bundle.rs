//! A bundle: a folder with `config.json` and usually the root file system.

use crate::failure::Failure;
use dhow_oci::runtime::Spec;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What a container is made from.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// Of the container that is made from it.
    pub(crate) id: String,
    /// Absolute, without links.
    pub(crate) path: PathBuf,
    /// `config.json` as it is.
    pub(crate) text: Vec<u8>,
    /// The same, with what depends on bundle and name filled in.
    pub(crate) spec: Spec,
}

/// Reads a specification kept at `path`.
pub(crate) fn parse(path: &Path, text: &[u8]) -> Result<Spec, Failure> {
    serde_json::from_slice(text).map_err(|e| Failure::file("read", path, e))
}

/// `1.2.0`, `1.0.2-dev`: SemVer 2.0.0, which the specification wants.
fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    let number = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    numbers.len() == 3 && numbers.iter().all(number)
}

/// Makes `root.path` and sources of binds absolute, and names cgroups where the specification leaves them to us.
pub(crate) fn complete(spec: &mut Spec, bundle: &Path, id: &str, systemd: bool) {
    if let Some(root) = &mut spec.root {
        root.path = bundle.join(&root.path).to_string_lossy().into_owned();
    }
    for mount in &mut spec.mounts {
        let bind = mount.kind.as_deref() == Some("bind")
            || mount.options.iter().any(|o| o == "bind" || o == "rbind");
        if let (true, Some(source)) = (bind, &mut mount.source) {
            *source = bundle.join(&*source).to_string_lossy().into_owned();
        }
    }
    if let Some(linux) = &mut spec.linux
        && linux.cgroups_path.as_deref().unwrap_or_default().is_empty()
    {
        linux.cgroups_path = Some(if systemd {
            format!("system.slice:dhow-runtime:{id}")
        } else {
            format!("/dhow-runtime-{id}")
        });
    }
}

impl Bundle {
    /// Reads the bundle of the container `id`.
    pub(crate) fn read(path: Option<&str>, id: &str, systemd: bool) -> Result<Self, Failure> {
        let path = Path::new(path.filter(|path| !path.is_empty()).unwrap_or("."));
        let path = path.canonicalize().map_err(|e| Failure::file("chdir", path, e))?;
        let config = path.join("config.json");
        let text = std::fs::read(&config).map_err(|e| match e.kind() {
            ErrorKind::NotFound => Failure::new("JSON specification file config.json not found"),
            _ => Failure::file("open", &config, e),
        })?;
        let mut spec = parse(&config, &text)?;
        if !is_version(&spec.oci_version) {
            return Err(Failure::new(format!("ociVersion: {:?} is no version", spec.oci_version)));
        }
        if spec.process.is_none() {
            return Err(Failure::new("process property must not be empty"));
        }
        if spec.oci_version.is_empty() {
            return Err(Failure::new("ociVersion must not be empty"));
        }
        complete(&mut spec, &path, id, systemd);
        Ok(Self { id: id.to_owned(), path, text, spec })
    }

    /// Where the root file system is.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.spec.root.as_ref().map(|root| PathBuf::from(&root.path)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_three_numbers() {
        assert!(["1.2.0", "1.0.2-dev", "1.1.0+x.1"].into_iter().all(is_version));
        assert!(!["", "1", "1.2", "1.x.0", "1.2.0.1", "v1.2.0", "1..0"].into_iter().any(is_version));
    }

    #[test]
    fn what_the_caller_left_open_is_filled_in() {
        let text = br#"{"root":{"path":"rootfs"},"linux":{},"mounts":[
            {"destination":"/m","source":"data","options":["rbind"]},{"destination":"/p","type":"proc","source":"proc"}]}"#;
        let mut spec = parse(Path::new("x"), text).unwrap();
        complete(&mut spec, Path::new("/b"), "one", false);
        assert_eq!(spec.root.unwrap().path, "/b/rootfs");
        let sources: Vec<_> = spec.mounts.into_iter().map(|mount| mount.source.unwrap()).collect();
        assert_eq!(sources, ["/b/data", "proc"]);
        assert_eq!(spec.linux.unwrap().cgroups_path.unwrap(), "/dhow-runtime-one");
        let text = br#"{"root":{"path":"/r"},"linux":{"cgroupsPath":"/x/y"}}"#;
        let mut spec = parse(Path::new("x"), text).unwrap();
        complete(&mut spec, Path::new("/b"), "one", false);
        assert_eq!(spec.root.unwrap().path, "/r");
        assert_eq!(spec.linux.unwrap().cgroups_path.unwrap(), "/x/y");
    }
}
