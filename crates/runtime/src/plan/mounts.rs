//! Compiling the mounts of a specification.

use super::text;
use crate::step::{FsOption, Step};
use crate::{Error, Host};
use dhow_oci::runtime as spec;
use dhow_sys::mount::{attr, propagation};
use std::path::Path;

/// fstab words and what they mean for mount_setattr.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) bind: Option<bool>,
    pub(crate) set: u64,
    pub(crate) clear: u64,
    pub(crate) recursive_set: u64,
    pub(crate) propagation: u64,
    pub(crate) data: Vec<(String, Option<String>)>,
}

/// Words about one attribute: (word, set, clear).
const ATTRIBUTES: [(&str, u64, u64); 19] = [
    ("ro", attr::RDONLY, 0),
    ("rw", 0, attr::RDONLY),
    ("nosuid", attr::NOSUID, 0),
    ("suid", 0, attr::NOSUID),
    ("nodev", attr::NODEV, 0),
    ("dev", 0, attr::NODEV),
    ("noexec", attr::NOEXEC, 0),
    ("exec", 0, attr::NOEXEC),
    ("noatime", attr::NOATIME, attr::ATIME),
    ("atime", attr::RELATIME, attr::ATIME),
    ("relatime", attr::RELATIME, attr::ATIME),
    ("norelatime", attr::STRICTATIME, attr::ATIME),
    ("strictatime", attr::STRICTATIME, attr::ATIME),
    ("nostrictatime", attr::RELATIME, attr::ATIME),
    ("nodiratime", attr::NODIRATIME, 0),
    ("diratime", 0, attr::NODIRATIME),
    ("nosymfollow", attr::NOSYMFOLLOW, 0),
    ("symfollow", 0, attr::NOSYMFOLLOW),
    ("defaults", 0, 0),
];

/// Words that mean nothing for a mount by descriptor.
const WITHOUT_EFFECT: [&str; 12] = [
    "async",
    "dirsync",
    "sync",
    "lazytime",
    "nolazytime",
    "silent",
    "loud",
    "mand",
    "nomand",
    "iversion",
    "noiversion",
    "newinstance",
];

impl Options {
    pub(crate) fn parse(words: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        for word in words {
            options.word(word)?;
        }
        Ok(options)
    }

    fn word(&mut self, word: &str) -> Result<(), String> {
        if let Some((_, set, clear)) = ATTRIBUTES.iter().find(|(name, ..)| *name == word) {
            self.set = self.set & !clear | set;
            self.clear = self.clear & !set | clear;
            return Ok(());
        }
        let recursive = word.strip_prefix('r').unwrap_or(word);
        if let Some(kind) = propagation_of(recursive) {
            self.propagation = kind;
            return Ok(());
        }
        match word {
            "bind" => self.bind = Some(self.bind.unwrap_or(false)),
            "rbind" => self.bind = Some(true),
            "rro" => self.recursive_set |= attr::RDONLY,
            "rnosuid" => self.recursive_set |= attr::NOSUID,
            "rnodev" => self.recursive_set |= attr::NODEV,
            "rnoexec" => self.recursive_set |= attr::NOEXEC,
            "remount" => return Err("a container cannot start with a remount".to_owned()),
            "tmpcopyup" | "idmap" | "ridmap" => return Err(format!("option {word:?} is not supported yet")),
            _ if WITHOUT_EFFECT.contains(&word) || word.is_empty() => {}
            _ => match word.split_once('=') {
                Some((key, value)) => self.data.push((key.to_owned(), Some(value.to_owned()))),
                None => self.data.push((word.to_owned(), None)),
            },
        }
        Ok(())
    }
}

pub(crate) fn propagation_of(word: &str) -> Option<u64> {
    Some(match word {
        "private" => propagation::PRIVATE,
        "slave" => propagation::SLAVE,
        "shared" => propagation::SHARED,
        "unbindable" => propagation::UNBINDABLE,
        _ => return None,
    })
}

/// The steps for one mount, and what has to wait until everything is mounted.
pub(super) fn compile(
    mount: &spec::Mount,
    cgroup: &super::cgroups::Place,
    host: &Host,
    late: &mut Vec<Step>,
) -> Result<Step, Error> {
    let field = format!("mounts {}", mount.destination);
    if !mount.destination.starts_with('/') {
        return Err(Error::invalid(field, "the destination must be absolute"));
    }
    if !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty() {
        return Err(Error::invalid(field, "id-mapped mounts are not supported yet"));
    }
    let options = Options::parse(&mount.options).map_err(|e| Error::invalid(&field, e))?;
    let target = text(&field, &mount.destination)?;
    let kind = mount.kind.as_deref().unwrap_or("");
    let source = mount.source.as_deref().unwrap_or(kind);
    if let Some(recursive) = options.bind.or((kind == "bind").then_some(false)) {
        if let Some((key, _)) = options.data.first() {
            return Err(Error::invalid(&field, format_args!("unknown option {key:?} of a bind mount")));
        }
        if !Path::new(source).is_absolute() {
            return Err(Error::invalid(&field, format_args!("the source {source:?} must be absolute")));
        }
        return Ok(Step::Bind {
            source: text(&field, source)?,
            target,
            recursive,
            set: options.set,
            clear: options.clear,
            recursive_set: options.recursive_set,
            propagation: options.propagation,
        });
    }
    match kind {
        "" => return Err(Error::invalid(field, "a mount without a type must be a bind")),
        "cgroup" | "cgroup2" => return cgroup.mount(target, &options, host),
        _ => {}
    }
    let mut attributes = options.set | options.recursive_set;
    if kind == "tmpfs" && attributes & attr::RDONLY != 0 {
        attributes &= !attr::RDONLY;
        late.push(Step::MountReadOnly { path: target.clone() });
    }
    let data = options.data.iter().map(|(key, value)| {
        let value = value.as_ref().map(|value| text(&field, value)).transpose()?;
        Ok(FsOption { key: text(&field, key)?, value })
    });
    Ok(Step::Filesystem {
        kind: text(&field, kind)?,
        source: text(&field, source)?,
        target,
        options: data.collect::<Result<_, Error>>()?,
        attributes,
        propagation: options.propagation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Options {
        Options::parse(&words.split(',').map(str::to_owned).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_last_word_about_an_attribute_wins() {
        let o = parse("ro,nosuid,rw,strictatime,noatime");
        assert_eq!(o.set, attr::NOSUID | attr::NOATIME);
        assert_eq!(o.clear, attr::RDONLY | attr::ATIME);
    }

    #[test]
    fn recursive_words_are_not_mistaken_for_propagation_or_data() {
        let o = parse("rbind,rprivate,rro");
        assert_eq!(
            (o.bind, o.propagation, o.recursive_set),
            (Some(true), propagation::PRIVATE, attr::RDONLY)
        );
        assert!(o.data.is_empty());
        assert_eq!(parse("relatime").clear, attr::ATIME);
        assert_eq!(parse("bind").bind, Some(false));
    }

    #[test]
    fn what_is_not_known_goes_to_the_file_system() {
        assert_eq!(
            parse("mode=755,newinstance,noswap").data,
            [("mode".to_owned(), Some("755".to_owned())), ("noswap".to_owned(), None)]
        );
        assert!(Options::parse(&["tmpcopyup".to_owned()]).is_err());
    }
}
