//! Actions on files.

use super::Answer;
use rustix::{
    fs::{FileType, Mode, OFlags, makedev, mknodat, open},
    mount::{MountFlags, mount},
};
use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    process::{Command, Stdio},
};

pub(super) fn act(words: &[&str]) -> Answer {
    match words {
        ["read", path] => Ok(fs::read_to_string(path)?.trim_end().escape_default().to_string()),
        ["write", path, text @ ..] => done(fs::write(path, text.join(" "))),
        ["make", path] => done(fs::File::create_new(path).map(drop)),
        ["mkdir", path] => done(fs::create_dir(path)),
        ["list", path] => list(path),
        ["stat", path] => stat(path),
        ["open", path, access] => {
            let access = match *access {
                "r" => OFlags::RDONLY,
                "w" => OFlags::WRONLY,
                _ => OFlags::RDWR,
            };
            done(
                open(*path, access | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())
                    .map(drop),
            )
        }
        ["link", path] => Ok(fs::read_link(path)?.display().to_string()),
        ["mknod", path, kind, major, minor] => {
            let kind = if *kind == "b" { FileType::BlockDevice } else { FileType::CharacterDevice };
            let device = makedev(number(major)?, number(minor)?);
            done(mknodat(rustix::fs::CWD, *path, kind, Mode::RUSR, device))
        }
        ["run", path] => {
            let status = Command::new(path).arg("exit 3").stdin(Stdio::null()).status()?;
            Ok(format!("exit {}", status.code().unwrap_or(-1)))
        }
        ["chmod", path, mode] => done(fs::set_permissions(path, fs::Permissions::from_mode(number(mode)?))),
        ["mount", path] => done(mount("tmpfs", *path, "tmpfs", MountFlags::empty(), None)),
        _ => Err(io::Error::other(format!("no such action: {words:?}"))),
    }
}

/// Every success without a value.
pub(super) fn done<E: Into<io::Error>>(result: Result<(), E>) -> Answer {
    result.map(|()| "ok".to_owned()).map_err(Into::into)
}

/// A number of the command line.
pub(super) fn number<T: std::str::FromStr>(word: &str) -> io::Result<T> {
    word.parse().map_err(|_| io::Error::other(format!("not a number: {word}")))
}

fn list(path: &str) -> Answer {
    let mut names: Vec<String> = fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    names.sort();
    Ok(names.join(" "))
}

/// Kind, device number, permissions, owner: `c 1:3 666 0:0`.
fn stat(path: &str) -> Answer {
    let info = fs::symlink_metadata(path)?;
    let kind = info.file_type();
    let letter = match () {
        () if kind.is_char_device() => 'c',
        () if kind.is_block_device() => 'b',
        () if kind.is_fifo() => 'p',
        () if kind.is_dir() => 'd',
        () if kind.is_symlink() => 'l',
        () if kind.is_file() => 'f',
        () => '?',
    };
    let device = info.rdev();
    Ok(format!(
        "{letter} {}:{} {:o} {}:{}",
        rustix::fs::major(device),
        rustix::fs::minor(device),
        info.mode() & 0o7777,
        info.uid(),
        info.gid()
    ))
}
