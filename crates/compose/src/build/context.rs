//! A folder as a tar stream, without what `.dockerignore` names.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::sync::mpsc;

use super::ignore::Patterns;
use crate::error::Error;

/// Bytes in one piece of the stream.
const CHUNK: usize = 256 * 1024;
/// Pieces that may wait for the engine.
const DEPTH: usize = 4;

/// A folder to send.
#[derive(Debug)]
pub struct Context {
    folder: PathBuf,
    patterns: Patterns,
    /// The Dockerfile's path inside the archive.
    pub dockerfile: String,
    /// A Dockerfile that is not in the folder.
    foreign: Option<Vec<u8>>,
}

impl Context {
    /// Reads the ignore file. `dockerfile` is relative to the folder (or absolute, also outside of it); `inline` is its text instead.
    ///
    /// # Errors
    /// If the folder or the Dockerfile does not exist, or a pattern is malformed.
    pub fn open(folder: &Path, dockerfile: Option<&str>, inline: Option<&str>) -> Result<Self, Error> {
        if !folder.is_dir() {
            return Err(Error::invalid(format!("build context {} is not a folder", folder.display())));
        }
        let name = dockerfile.unwrap_or("Dockerfile");
        let path = crate::load::clean(&folder.join(name));
        let (dockerfile, foreign) = match (inline, path.strip_prefix(folder)) {
            (Some(text), _) => (".dhow-dockerfile".to_owned(), Some(text.as_bytes().to_vec())),
            (None, Ok(inside)) => (inside.to_string_lossy().into_owned(), None),
            (None, Err(_)) => {
                (".dhow-dockerfile".to_owned(), Some(std::fs::read(&path).map_err(Error::io(&path))?))
            }
        };
        if inline.is_none() && !path.is_file() {
            return Err(Error::invalid(format!("Dockerfile {} does not exist", path.display())));
        }
        // `x.Dockerfile.dockerignore` beside the Dockerfile wins over `.dockerignore`.
        let own = PathBuf::from(format!("{}.dockerignore", path.display()));
        let file = if own.is_file() { own } else { folder.join(".dockerignore") };
        let patterns = match std::fs::read_to_string(&file) {
            Ok(text) => Patterns::parse(&text)
                .map_err(|message| Error::invalid(format!("{}: {message}", file.display())))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Patterns::default(),
            Err(error) => return Err(Error::io(file)(error)),
        };
        Ok(Self { folder: folder.to_path_buf(), patterns, dockerfile, foreign })
    }

    /// The archive, read by a thread of its own while the engine takes it.
    pub fn stream(self) -> impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static {
        let (sender, receiver) = mpsc::channel::<Result<Bytes, io::Error>>(DEPTH);
        std::thread::spawn(move || {
            let writer = Pieces { sender: sender.clone(), buffer: Vec::with_capacity(CHUNK) };
            if let Err(error) = self.write(writer) {
                // When the engine has hung up there is nobody to tell.
                drop(sender.blocking_send(Err(error)));
            }
        });
        stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|piece| (piece, receiver))
        })
    }

    fn write(&self, writer: Pieces) -> io::Result<()> {
        let mut builder = tar::Builder::new(writer);
        builder.follow_symlinks(false);
        self.folder(&mut builder, Path::new(""))?;
        if let Some(text) = &self.foreign {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, &self.dockerfile, text.as_slice())?;
        }
        builder.into_inner()?.finish()
    }

    fn folder(&self, builder: &mut tar::Builder<Pieces>, inside: &Path) -> io::Result<()> {
        let named = |error: io::Error, path: &Path| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        };
        let here = self.folder.join(inside);
        let mut entries = std::fs::read_dir(&here)
            .and_then(Iterator::collect::<io::Result<Vec<_>>>)
            .map_err(|error| named(error, &here))?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let inside = inside.join(entry.file_name());
            let path = self.folder.join(&inside);
            let kind = entry.file_type().map_err(|error| named(error, &path))?;
            let text = inside.to_string_lossy();
            // The builder needs these two even when they are ignored.
            let needed = text == self.dockerfile.as_str() || text == ".dockerignore";
            let ignored = self.patterns.matches(&text) && !needed;
            if kind.is_dir() {
                if !ignored {
                    builder.append_path_with_name(&path, &inside).map_err(|error| named(error, &path))?;
                }
                if !ignored
                    || self.patterns.has_exceptions()
                    || Path::new(&self.dockerfile).starts_with(&inside)
                {
                    self.folder(builder, &inside)?;
                }
            } else if !ignored && (kind.is_file() || kind.is_symlink()) {
                builder.append_path_with_name(&path, &inside).map_err(|error| named(error, &path))?;
            }
        }
        Ok(())
    }
}

/// A writer that passes on pieces.
struct Pieces {
    sender: mpsc::Sender<Result<Bytes, io::Error>>,
    buffer: Vec<u8>,
}

impl Pieces {
    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        self.sender.blocking_send(Ok(piece.into())).map_err(|_| {
            io::Error::new(io::ErrorKind::BrokenPipe, "the engine takes no more of the build context")
        })
    }

    fn finish(mut self) -> io::Result<()> {
        if self.buffer.is_empty() { Ok(()) } else { self.send() }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
