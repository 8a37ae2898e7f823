//! Compiling the mounts of a specification.

use super::{Body, namespaces, text};
use crate::step::{Attributes, FsOption, IdMap, Step, Tree};
use crate::{Error, Host};
use dhow_oci::runtime as spec;
use dhow_sys::clone::new;
use dhow_sys::mount::{attr, propagation};
use std::ffi::CString;

/// fstab words and what they mean for mount_setattr.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) bind: Option<bool>,
    pub(crate) attributes: Attributes,
    pub(crate) data: Vec<(String, Option<String>)>,
    /// Words about the file system as a whole, which a bind cannot change.
    superblock: Vec<&'static str>,
    copy_up: bool,
    remount: bool,
    /// Id-mapped, and with everything below.
    idmap: Option<bool>,
}

/// Words about one attribute: (word, set, clear). With an `r` before it, of all mounts below as well.
const ATTRIBUTES: [(&str, u64, u64); 18] = [
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
];

/// Words that the kernel takes for every file system.
const SUPERBLOCK: [&str; 7] = ["async", "dirsync", "sync", "lazytime", "nolazytime", "mand", "nomand"];

/// Words without effect here.
const WITHOUT_EFFECT: [&str; 6] = ["defaults", "loud", "silent", "iversion", "noiversion", "newinstance"];

fn attribute(word: &str) -> Option<(u64, u64)> {
    ATTRIBUTES.iter().find(|(name, ..)| *name == word).map(|(_, set, clear)| (*set, *clear))
}

impl Options {
    pub(crate) fn parse(words: &[String]) -> Self {
        let mut options = Self::default();
        words.iter().for_each(|word| options.word(word));
        options
    }

    fn word(&mut self, word: &str) {
        let Attributes { set, clear, recursive_set, recursive_clear, propagation } = &mut self.attributes;
        let recursive = word.strip_prefix('r').unwrap_or(word);
        if let Some((on, off)) = attribute(word) {
            (*set, *clear) = (*set & !off | on, *clear & !on | off);
        } else if let Some((on, off)) = attribute(recursive) {
            (*recursive_set, *recursive_clear) = (*recursive_set & !off | on, *recursive_clear & !on | off);
        } else if let Some(kind) = propagation_of(recursive) {
            *propagation = kind;
        } else if let Some(known) = SUPERBLOCK.iter().find(|known| **known == word) {
            self.superblock.push(known);
        } else {
            match word {
                "bind" => self.bind = Some(self.bind.unwrap_or(false)),
                "rbind" => self.bind = Some(true),
                "tmpcopyup" => self.copy_up = true,
                "remount" => self.remount = true,
                "idmap" => self.idmap = Some(self.idmap.unwrap_or(false)),
                "ridmap" => self.idmap = Some(true),
                _ if WITHOUT_EFFECT.contains(&word) || word.is_empty() => {}
                _ => match word.split_once('=') {
                    Some((key, value)) => self.data.push((key.to_owned(), Some(value.to_owned()))),
                    None => self.data.push((word.to_owned(), None)),
                },
            }
        }
    }

    /// The attribute bits of a new mount, which has nothing below.
    pub(super) fn bits(&self) -> u64 {
        self.attributes.set & !self.attributes.recursive_clear | self.attributes.recursive_set
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

/// What a mount's steps depend on besides itself.
pub(super) struct Compiler<'a> {
    pub(super) linux: &'a spec::Linux,
    pub(super) options: &'a super::Options,
    pub(super) place: &'a super::cgroups::Place,
    pub(super) host: &'a Host,
}

impl Compiler<'_> {
    /// The step for one mount; in `late` what has to wait until everything is mounted.
    pub(super) fn mount(
        &self,
        mount: &spec::Mount,
        body: &mut Body,
        late: &mut Vec<Step>,
    ) -> Result<Step, Error> {
        let field = format!("mounts {}", mount.destination);
        let target = self.target(&field, mount, body)?;
        let options = Options::parse(&mount.options);
        let kind = mount.kind.as_deref().unwrap_or("");
        let mapped =
            options.idmap.is_some() || !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty();
        if options.remount {
            if let Some((key, _)) = options.data.first() {
                return Err(Error::invalid(&field, format_args!("a remount cannot change {key:?}")));
            }
            return Ok(Step::Remount { path: target, attributes: options.attributes });
        }
        if let Some(recursive) = options.bind.or((kind == "bind").then_some(false)) {
            return self.bind(&field, mount, target, &options, recursive, body);
        }
        if mapped {
            return Err(Error::invalid(field, "id maps are for bind mounts"));
        }
        match kind {
            "" => return Err(Error::invalid(field, "a mount without a type must be a bind")),
            "cgroup" | "cgroup2" => return self.place.mount(target, &options, self.host),
            _ => {}
        }
        let source = text(&field, mount.source.as_deref().unwrap_or(kind))?;
        let mut attributes = options.bits();
        if kind == "tmpfs" && attributes & attr::RDONLY != 0 {
            attributes &= !attr::RDONLY;
            late.push(Step::MountReadOnly { path: target.clone() });
        }
        let data = self.data(&field, kind, &options)?;
        let propagation = options.attributes.propagation;
        if options.copy_up {
            if kind != "tmpfs" {
                return Err(Error::invalid(field, "tmpcopyup is for a tmpfs"));
            }
            return Ok(Step::CopyUp { source, target, options: data, attributes, propagation });
        }
        let fallback = (kind == "sysfs" && body.in_userns && body.namespaces & new::NET == 0)
            .then(|| tree(body, c"/sys".to_owned(), false, &options.attributes));
        let kind = text(&field, kind)?;
        Ok(Step::Filesystem { kind, source, target, options: data, attributes, propagation, fallback })
    }

    /// A relative one, which config.md allowed once, begins at the root.
    fn target(&self, field: &str, mount: &spec::Mount, body: &mut Body) -> Result<CString, Error> {
        if mount.destination.starts_with('/') {
            return text(field, &mount.destination);
        }
        if mount.destination.is_empty() {
            return Err(Error::invalid(field, "a destination is required"));
        }
        body.warnings.push(format!("{field}: a destination should be absolute; it is taken from the root"));
        text(field, format!("/{}", mount.destination))
    }

    fn bind(
        &self,
        field: &str,
        mount: &spec::Mount,
        target: CString,
        options: &Options,
        recursive: bool,
        body: &mut Body,
    ) -> Result<Step, Error> {
        // they are the file system's, which is mounted already: mount(2) ignores them as well
        for (key, _) in &options.data {
            body.warnings.push(format!("{field}: the option {key:?} has no meaning for a bind mount"));
        }
        let source = self.options.outside(field, mount.source.as_deref().unwrap_or_default())?;
        let attributes = options.attributes.clone();
        let idmap = self.idmap(field, mount, options, body)?;
        if idmap.is_none() && !body.in_userns {
            return Ok(Step::Bind { source, target, recursive, attributes });
        }
        let index = tree(body, source.clone(), recursive, &attributes);
        if let Some(Tree::Path { idmap: place, idmap_recursive, .. }) = body.trees.last_mut() {
            (*place, *idmap_recursive) = (idmap, options.idmap == Some(true));
        }
        Ok(Step::Attach { tree: index, source, target })
    }

    /// The id map of a mount: its own, or the container's.
    fn idmap(
        &self,
        field: &str,
        mount: &spec::Mount,
        options: &Options,
        body: &mut Body,
    ) -> Result<Option<u32>, Error> {
        let (uids, gids) = (&mount.uid_mappings, &mount.gid_mappings);
        let map = match (uids.is_empty(), gids.is_empty()) {
            (true, true) if options.idmap.is_none() => return Ok(None),
            (false, false) => IdMap::Ranges {
                uids: namespaces::lines(&format!("{field}: uidMappings"), uids)?,
                gids: namespaces::lines(&format!("{field}: gidMappings"), gids)?,
            },
            (true, true) => match (&body.user, body.joins.iter().find(|join| join.flag == new::USER)) {
                (Some(maps), _) => IdMap::Ranges { uids: maps.uids.clone(), gids: maps.gids.clone() },
                (None, Some(join)) => IdMap::Namespace { path: join.path.clone() },
                (None, None) => {
                    let detail = "idmap needs uidMappings and gidMappings, or a user namespace";
                    return Err(Error::invalid(field, detail));
                }
            },
            _ => return Err(Error::invalid(field, "uidMappings and gidMappings belong together")),
        };
        let at = body.id_maps.iter().position(|known| *known == map).unwrap_or_else(|| {
            body.id_maps.push(map);
            body.id_maps.len() - 1
        });
        Ok(u32::try_from(at).ok())
    }

    /// What the file system itself is told.
    fn data(&self, field: &str, kind: &str, options: &Options) -> Result<Vec<FsOption>, Error> {
        let mut data = Vec::new();
        for word in &options.superblock {
            data.push(FsOption { key: text(field, word)?, value: None });
        }
        for (key, value) in &options.data {
            let value = value.as_ref().map(|value| text(field, value)).transpose()?;
            data.push(FsOption { key: text(field, key)?, value });
        }
        if let Some(label) = self.linux.mount_label.as_deref().filter(|label| !label.is_empty())
            && !matches!(kind, "proc" | "sysfs" | "mqueue")
        {
            if !self.host.selinux {
                let detail = "this host has no SELinux, or it is off";
                return Err(Error::invalid("linux.mountLabel", detail));
            }
            data.push(FsOption { key: c"context".to_owned(), value: Some(text(field, label)?) });
        }
        Ok(data)
    }
}

/// One more tree for the parent to make; its index.
pub(super) fn tree(body: &mut Body, source: CString, recursive: bool, attributes: &Attributes) -> u32 {
    body.trees.push(Tree::Path {
        source,
        recursive,
        attributes: attributes.clone(),
        idmap: None,
        idmap_recursive: false,
        device: None,
    });
    u32::try_from(body.trees.len() - 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Options {
        Options::parse(&words.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_last_word_about_an_attribute_wins() {
        let o = parse("ro,nosuid,rw,strictatime,noatime").attributes;
        assert_eq!(o.set, attr::NOSUID | attr::NOATIME);
        assert_eq!(o.clear, attr::RDONLY | attr::ATIME);
    }

    #[test]
    fn recursive_words_are_not_mistaken_for_propagation_or_data() {
        let o = parse("rbind,rprivate,rro");
        let a = &o.attributes;
        assert_eq!(
            (o.bind, a.propagation, a.recursive_set),
            (Some(true), propagation::PRIVATE, attr::RDONLY)
        );
        assert!(o.data.is_empty());
        assert_eq!(parse("relatime").attributes.clear, attr::ATIME);
        assert_eq!(parse("bind").bind, Some(false));
    }

    /// The tables of config.md (1.3): every word is known, and none of them is data for the file system.
    #[test]
    fn every_word_of_the_specification_is_known() {
        const PLAIN: &str = "async,atime,bind,defaults,dev,diratime,dirsync,exec,iversion,lazytime,loud,mand,noatime,nodev,nodiratime,\
            noexec,noiversion,nolazytime,nomand,norelatime,nostrictatime,nosuid,nosymfollow,private,rbind,relatime,remount,ro,rprivate,\
            rshared,rslave,runbindable,rw,shared,silent,slave,strictatime,suid,symfollow,sync,tmpcopyup,unbindable,idmap,ridmap";
        const RECURSIVE: &str = "ratime,rdev,rdiratime,rexec,rnoatime,rnodev,rnodiratime,rnoexec,rnorelatime,rnostrictatime,rnosuid,\
            rnosymfollow,rrelatime,rro,rrw,rstrictatime,rsuid,rsymfollow";
        assert_eq!(parse(PLAIN).data, []);
        for word in RECURSIVE.split(',') {
            let Attributes { recursive_set, recursive_clear, set, clear, .. } = parse(word).attributes;
            assert!(recursive_set | recursive_clear != 0 && set | clear == 0, "{word}");
            let (on, off) = attribute(&word[1..]).unwrap();
            assert_eq!((recursive_set, recursive_clear), (on, off), "{word}");
        }
        let o = parse("sync,ridmap,tmpcopyup,remount");
        assert_eq!(
            (o.superblock.as_slice(), o.idmap, o.copy_up, o.remount),
            (&["sync"][..], Some(true), true, true)
        );
    }

    #[test]
    fn what_is_not_known_goes_to_the_file_system() {
        assert_eq!(
            parse("mode=755,newinstance,noswap").data,
            [("mode".to_owned(), Some("755".to_owned())), ("noswap".to_owned(), None)]
        );
    }
}
