//! Cache keys: everything that can change a step's result, and nothing else.

use crate::{
    copy::{Excluded, Placed, xattrs},
    rootfs::{self, Root, Type, named},
};
use dhow_oci::Digest;
use ring::digest::{Context, SHA256};
use rustix::{
    fd::{AsFd, BorrowedFd},
    fs::{self, Mode, OFlags},
};
use std::{fs::File, io, path::Path};

/// Gathers what a result depends on; every part is framed, so that no two different lists have the same bytes.
pub(crate) struct Key(Context);

impl Key {
    pub(crate) fn new(kind: &str) -> Self {
        let mut key = Self(Context::new(&SHA256));
        key.part(b"dhow-build-1");
        key.part(kind.as_bytes());
        key
    }

    pub(crate) fn part(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        self.part(text.as_bytes());
        self
    }

    pub(crate) fn list<T: AsRef<str>>(mut self, items: impl IntoIterator<Item = T>) -> Self {
        let mut count = 0u64;
        for item in items {
            self.part(item.as_ref().as_bytes());
            count += 1;
        }
        self.part(&count.to_le_bytes());
        self
    }

    pub(crate) fn layers(self, layers: &[Digest]) -> Self {
        self.list(layers.iter().map(Digest::as_str))
    }

    pub(crate) fn end(self) -> String {
        use std::fmt::Write as _;
        self.0.finish().as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap_or_default();
            text
        })
    }
}

/// The content of what is copied: names, types, modes, owners, link targets, attributes, bytes; no times.
pub(crate) fn content(source: &Root, placed: &[Placed], excluded: Excluded<'_>) -> io::Result<String> {
    let mut key = Key::new("content");
    for Placed { from, to } in placed {
        key.part(to.as_os_str().as_encoded_bytes());
        let fd = source.open(from, OFlags::PATH).map_err(|e| named(from, e))?;
        let info = rootfs::info(fd.as_fd()).map_err(|e| named(from, e))?;
        if info.kind == Type::Dir {
            let fd = source.open(from, OFlags::RDONLY | OFlags::DIRECTORY).map_err(|e| named(from, e))?;
            key.part(b"dir");
            meta(&mut key, &info);
            tree(&mut key, fd.as_fd(), Path::new(""), excluded)?;
        } else {
            let fd = source.open(from, OFlags::RDONLY).map_err(|e| named(from, e))?;
            file(&mut key, fd.as_fd(), &info)?;
        }
    }
    Ok(key.end())
}

fn meta(key: &mut Key, info: &rootfs::Info) {
    for number in [info.mode, info.uid, info.gid] {
        key.part(&number.to_le_bytes());
    }
}

fn file(key: &mut Key, fd: BorrowedFd<'_>, info: &rootfs::Info) -> io::Result<()> {
    key.part(b"file");
    meta(key, info);
    for (name, value) in xattrs(fd)? {
        key.part(name.as_bytes());
        key.part(&value);
    }
    let mut sum = Context::new(&SHA256);
    let mut reader = File::from(fd.try_clone_to_owned()?);
    let mut buffer = vec![0; 128 << 10];
    loop {
        let count = io::Read::read(&mut reader, &mut buffer)?;
        if count == 0 {
            break;
        }
        sum.update(buffer.get(..count).unwrap_or_default());
    }
    key.part(sum.finish().as_ref());
    Ok(())
}

fn tree(key: &mut Key, folder: BorrowedFd<'_>, inside: &Path, excluded: Excluded<'_>) -> io::Result<()> {
    rootfs::within(inside)?;
    for name in rootfs::names(folder).map_err(|e| named(inside, e))? {
        let inside = inside.join(&name);
        if excluded(&inside) {
            continue;
        }
        let fail = |e| named(&inside, e);
        let info = rootfs::entry(folder, &name).map_err(fail)?;
        key.part(inside.as_os_str().as_encoded_bytes());
        match info.kind {
            Type::Dir => {
                let fd = fs::openat(
                    folder,
                    &name,
                    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                    Mode::empty(),
                )
                .map_err(fail)?;
                key.part(b"dir");
                meta(key, &info);
                tree(key, fd.as_fd(), &inside, excluded)?;
            }
            Type::File => {
                let fd = fs::openat(
                    folder,
                    &name,
                    OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                    Mode::empty(),
                )
                .map_err(fail)?;
                file(key, fd.as_fd(), &info)?;
            }
            Type::Link => {
                key.part(b"link");
                key.part(fs::readlinkat(folder, &name, Vec::new()).map_err(fail)?.as_bytes());
            }
            Type::Other => key.part(b"other"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        os::unix::fs::{PermissionsExt as _, symlink},
        path::PathBuf,
    };

    fn key(folder: &Path) -> String {
        let root = Root::open_path(folder).unwrap();
        content(&root, &[Placed { from: PathBuf::new(), to: "/x".into() }], &|_| false).unwrap()
    }

    #[test]
    fn any_change_of_content_changes_the_key_and_times_do_not() {
        let folder = std::env::temp_dir().join(format!("dhow-key-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("d")).unwrap();
        std::fs::write(folder.join("d/f"), "one").unwrap();
        symlink("f", folder.join("d/l")).unwrap();
        let mut seen = vec![key(&folder)];
        File::options()
            .write(true)
            .open(folder.join("d/f"))
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH)
            .unwrap();
        assert_eq!(seen[0], key(&folder), "a time is no content");
        let steps: [&dyn Fn(); 6] = [
            &|| std::fs::write(folder.join("d/f"), "two").unwrap(),
            &|| std::fs::set_permissions(folder.join("d/f"), std::fs::Permissions::from_mode(0o700)).unwrap(),
            &|| std::fs::rename(folder.join("d/f"), folder.join("d/g")).unwrap(),
            &|| std::fs::remove_file(folder.join("d/l")).unwrap(),
            &|| symlink("g", folder.join("d/l")).unwrap(),
            &|| std::fs::rename(folder.join("d"), folder.join("e")).unwrap(),
        ];
        for step in steps {
            step();
            let now = key(&folder);
            assert!(!seen.contains(&now));
            seen.push(now);
        }
        std::fs::remove_dir_all(&folder).unwrap();
        assert_ne!(Key::new("a").text("bc").end(), Key::new("a").text("b").text("c").end());
        assert_ne!(
            Key::new("a").list(["x"]).list(["y"]).end(),
            Key::new("a").list(["x", "y"]).list::<&str>([]).end()
        );
    }
}
