//! HOME of the user, from the container's /etc/passwd, where the specification does not say it.

use super::{Done, Named};
use dhow_sys::exec::Image;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};

/// Lines longer than this are no users.
const LINE: usize = 1024;
/// Files longer than this are no lists of users.
const MOST: usize = 1 << 20;

/// Sets HOME to the home of `uid`, or `/` for a user without one. Called with the container's root in place.
pub(super) fn set(uid: u32, image: &mut Image) -> Done<'static> {
    let mut found = [0u8; LINE];
    let length = look_up(uid, &mut found);
    let home = found.get(..length).filter(|home| !home.is_empty()).unwrap_or(b"/");
    image.set_variable(b"HOME", home).named("set", b"HOME")
}

/// Reads line by line; how many bytes of `home` were filled. What cannot be read has no users: docker starts such images too.
fn look_up(uid: u32, home: &mut [u8; LINE]) -> usize {
    // Not blocking: the image may have a FIFO there.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let Ok(file) = openat(CWD, c"/etc/passwd", flags, Mode::empty()) else { return 0 };
    if !fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile) {
        return 0;
    }
    let (mut line, mut filled, mut total) = ([0u8; LINE], 0, 0);
    let mut chunk = [0u8; 4096];
    while let Ok(read @ 1..) = rustix::io::read(&file, &mut chunk) {
        total += read;
        for &byte in chunk.get(..read).unwrap_or_default() {
            if byte != b'\n' {
                if let Some(place) = line.get_mut(filled) {
                    *place = byte;
                }
                filled += 1;
                continue;
            }
            if let Some(found) = line.get(..filled).and_then(|line| home_of(line, uid)) {
                return copy(found, home);
            }
            filled = 0;
        }
        if total > MOST {
            return 0;
        }
    }
    line.get(..filled).and_then(|line| home_of(line, uid)).map_or(0, |found| copy(found, home))
}

fn copy(from: &[u8], to: &mut [u8; LINE]) -> usize {
    to.get_mut(..from.len()).map_or(0, |place| {
        place.copy_from_slice(from);
        from.len()
    })
}

/// `name:password:uid:gid:gecos:home:shell`.
fn home_of(line: &[u8], uid: u32) -> Option<&[u8]> {
    let mut fields = line.split(|&b| b == b':');
    let number = fields.nth(2)?;
    let number: u32 = std::str::from_utf8(number).ok()?.parse().ok()?;
    if number == uid { fields.nth(2) } else { None }
}

#[cfg(test)]
mod tests {
    use super::home_of;

    #[test]
    fn finds_the_sixth_field() {
        assert_eq!(home_of(b"app:x:1000:1000:A, B:/home/app:/bin/sh", 1000), Some(&b"/home/app"[..]));
        assert_eq!(home_of(b"app:x:1000:1000::/home/app:/bin/sh", 0), None);
        assert_eq!(home_of(b"+::::::", 0), None);
        assert_eq!(home_of(b"", 0), None);
    }
}
