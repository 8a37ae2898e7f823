//! `DIR/exit`: one line, `code oom nanoseconds`, that outlives the shim.

use crate::protocol::Exit;
use std::{fs, io, path::Path};

/// Reads `DIR/exit`: how the container of a shim that is gone ended.
///
/// # Errors
/// `NotFound` if it did not say (it was killed).
pub fn read_exit(dir: &Path) -> io::Result<Exit> {
    let path = dir.join("exit");
    let text = fs::read_to_string(&path)?;
    parse(&text).ok_or_else(|| {
        let message = format!("{}: not an exit record", path.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    })
}

/// Writes it: a reader sees all of it or nothing.
pub(crate) fn write_exit(dir: &Path, exit: &Exit) -> io::Result<()> {
    let temporary = dir.join("exit.new");
    fs::write(&temporary, format!("{} {} {}\n", exit.code, u8::from(exit.oom), exit.at))?;
    fs::rename(&temporary, dir.join("exit"))
}

fn parse(text: &str) -> Option<Exit> {
    let mut words = text.strip_suffix('\n')?.split(' ');
    let (code, oom, at) = (words.next()?, words.next()?, words.next()?);
    let oom = match oom {
        "0" => false,
        "1" => true,
        _ => return None,
    };
    let exit = Exit { code: code.parse().ok()?, oom, at: at.parse().ok()? };
    words.next().is_none().then_some(exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let dir = std::env::temp_dir().join(format!("dhow-shim-exit-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        assert_eq!(read_exit(&dir).unwrap_err().kind(), io::ErrorKind::NotFound);
        let exit = Exit { code: 137, oom: true, at: 1_700_000_000_123_456_789 };
        write_exit(&dir, &exit).unwrap();
        assert_eq!(read_exit(&dir).unwrap(), exit);
        fs::write(dir.join("exit"), "137 1").unwrap();
        assert_eq!(read_exit(&dir).unwrap_err().kind(), io::ErrorKind::InvalidData);
        fs::remove_dir_all(&dir).unwrap();
    }
}
