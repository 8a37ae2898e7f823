//! `cp`: files to and from a container, as tar streams.

use super::{tell, transfer};
use crate::client::{Client, channel_body, empty, escape};
use anyhow::{Context as _, bail};
use base64::Engine as _;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::Value;
use std::{
    io::{Read, Write},
    path::{Component, Path, PathBuf},
};
use tokio::sync::mpsc;

// `dhow cp`
#[derive(Debug, clap::Args)]
pub(crate) struct Cp {
    /// Archive mode (copy all uid/gid information)
    #[arg(short, long)]
    archive: bool,
    /// Always follow symbol link in SRC_PATH
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Suppress progress output during copy
    #[arg(short, long)]
    quiet: bool,
    /// CONTAINER:SRC_PATH, SRC_PATH or -
    source: String,
    /// CONTAINER:DEST_PATH, DEST_PATH or -
    destination: String,
}

/// `name:path`, unless it is plainly a local path.
fn remote(text: &str) -> Option<(&str, &str)> {
    if text.starts_with('/') || text.starts_with('.') {
        return None;
    }
    text.split_once(':').filter(|(name, _)| !name.is_empty() && !name.contains('/'))
}

impl Cp {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        match (remote(&self.source), remote(&self.destination)) {
            (Some((name, path)), None) => self.download_from(client, name, path).await,
            (None, Some((name, path))) => self.upload_to(client, name, path).await,
            (Some(_), Some(_)) => bail!("copying between containers is not supported"),
            (None, None) => bail!("must specify at least one container source"),
        }
    }

    async fn stat(client: &Client, name: &str, path: &str) -> anyhow::Result<Option<Value>> {
        let url = format!("/containers/{}/archive?path={}", escape(name), escape(path));
        let response = client.send(http::Method::HEAD, &url, &[], empty()).await?;
        match response.status().as_u16() {
            404 => Ok(None),
            200 => Ok(Some(path_stat(&response)?)),
            status => bail!("stat of {name}:{path}: the engine answered {status}"),
        }
    }

    async fn download_from(&self, client: &Client, name: &str, path: &str) -> anyhow::Result<u8> {
        let mut path = path.to_owned();
        if self.follow_link
            && let Some(stat) = Self::stat(client, name, &path).await?
            && let Some(target) = stat["linkTarget"].as_str().filter(|target| !target.is_empty())
        {
            target.clone_into(&mut path);
        }
        let url = format!("/containers/{}/archive?path={}", escape(name), escape(&path));
        let response = client.call(http::Method::GET, &url, &[], empty()).await?;
        let stat = path_stat(&response)?;
        let (reader, feeding) = download(response);
        if self.destination == "-" {
            let copied =
                tokio::task::spawn_blocking(move || copy_out(reader, &mut std::io::stdout().lock())).await?;
            feeding.await??;
            copied?;
            return Ok(0);
        }
        let target = Extract::plan(&stat, &path, &self.destination)?;
        let archive = self.archive;
        let done = tokio::task::spawn_blocking(move || target.apply(reader, archive)).await?;
        feeding.await??;
        let bytes = done?;
        self.report(bytes, &self.destination);
        Ok(0)
    }

    async fn upload_to(&self, client: &Client, name: &str, path: &str) -> anyhow::Result<u8> {
        let stat = Self::stat(client, name, path).await?;
        let is_dir = stat.as_ref().is_some_and(|stat| stat["mode"].as_u64().unwrap_or(0) & (1 << 31) != 0);
        if self.source == "-" {
            if !is_dir {
                bail!("destination \"{name}:{path}\" must be a directory");
            }
            return Self::put(client, name, path, transfer::upload(None)?, self.archive).await;
        }
        let local = PathBuf::from(&self.source);
        let real = if self.follow_link { local.canonicalize() } else { Ok(local.clone()) }
            .with_context(|| format!("lstat {}", local.display()))?;
        let info = real.symlink_metadata().with_context(|| format!("lstat {}", local.display()))?;
        let contents = self.source.ends_with("/.") || self.source == ".";
        let (folder, inside) = if is_dir {
            let base = if contents {
                PathBuf::new()
            } else {
                PathBuf::from(local.file_name().context("the source has no name")?)
            };
            (path.to_owned(), base)
        } else {
            if stat.is_some() && info.is_dir() {
                bail!("cannot copy a directory to a file: {name}:{path}");
            }
            if stat.is_none() && path.ends_with('/') && !info.is_dir() {
                bail!("destination directory \"{name}:{path}\" must be a directory that exists");
            }
            let trimmed = path.trim_end_matches('/');
            let (parent, file) = trimmed.rsplit_once('/').unwrap_or((".", trimmed));
            (if parent.is_empty() { "/".to_owned() } else { parent.to_owned() }, PathBuf::from(file))
        };
        let (sender, receiver) = mpsc::channel(4);
        let packing = tokio::task::spawn_blocking(move || pack(&real, &inside, ChunkWriter { sender }));
        let outcome = Self::put(client, name, &folder, channel_body(receiver), self.archive).await;
        let packed = packing.await?;
        outcome?;
        self.report(packed?, &format!("{name}:{path}"));
        Ok(0)
    }

    async fn put(
        client: &Client,
        name: &str,
        folder: &str,
        body: crate::client::Body,
        keep_owner: bool,
    ) -> anyhow::Result<u8> {
        let url = format!(
            "/containers/{}/archive?path={}&noOverwriteDirNonDir=true&copyUIDGID={}",
            escape(name),
            escape(folder),
            u8::from(keep_owner)
        );
        client
            .call(http::Method::PUT, &url, &[("Content-Type", "application/x-tar".to_owned())], body)
            .await?;
        Ok(0)
    }

    fn report(&self, bytes: u64, to: &str) {
        if !self.quiet && crate::terminal::stdout_is_terminal() {
            #[allow(clippy::cast_precision_loss, reason = "printed with four digits")]
            let size = super::units::size(bytes as f64);
            tell(&format!("Successfully copied {size} to {to}"));
        }
    }
}

fn path_stat(response: &http::Response<hyper::body::Incoming>) -> anyhow::Result<Value> {
    let header = response
        .headers()
        .get("X-Docker-Container-Path-Stat")
        .context("the engine's answer has no path stat")?;
    Ok(serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(header.as_bytes())?)?)
}

/// A response's body as a blocking reader, and the task that feeds it.
fn download(
    response: http::Response<hyper::body::Incoming>,
) -> (ChunkReader, tokio::task::JoinHandle<anyhow::Result<()>>) {
    let (sender, receiver) = mpsc::channel(4);
    let mut body = response.into_body();
    let task = tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data()
                && sender.send(data).await.is_err()
            {
                break;
            }
        }
        Ok(())
    });
    (ChunkReader { receiver, left: Bytes::new() }, task)
}

struct ChunkReader {
    receiver: mpsc::Receiver<Bytes>,
    left: Bytes,
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.left.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(chunk) => self.left = chunk,
            }
        }
        let chunk = self.left.split_to(self.left.len().min(buffer.len()));
        if let Some(target) = buffer.get_mut(..chunk.len()) {
            target.copy_from_slice(&chunk);
        }
        Ok(chunk.len())
    }
}

struct ChunkWriter {
    sender: mpsc::Sender<std::io::Result<Bytes>>,
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.sender.blocking_send(Ok(Bytes::copy_from_slice(bytes))) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(std::io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn copy_out(mut reader: ChunkReader, out: &mut impl Write) -> anyhow::Result<()> {
    std::io::copy(&mut reader, out)?;
    Ok(out.flush()?)
}

/// Where a downloaded tar goes: into `folder`, its first component renamed.
struct Extract {
    folder: PathBuf,
    /// `None`: the first component is dropped (`SRC/.`).
    first: Option<PathBuf>,
}

impl Extract {
    /// docker's rules for a destination that is a folder, a file, or absent.
    fn plan(stat: &Value, source: &str, destination: &str) -> anyhow::Result<Self> {
        let target = Path::new(destination);
        let source_is_dir = stat["mode"].as_u64().unwrap_or(0) & (1 << 31) != 0;
        let name = stat["name"].as_str().unwrap_or_default();
        if target.is_dir() {
            let contents = source.ends_with("/.");
            return Ok(Self { folder: target.to_owned(), first: (!contents).then(|| PathBuf::from(name)) });
        }
        if destination.ends_with('/') && !source_is_dir {
            bail!("invalid output path: directory \"{destination}\" does not exist");
        }
        if target.exists() && source_is_dir {
            bail!("cannot copy a directory to a file: {destination}");
        }
        let parent =
            target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !parent.is_dir() {
            bail!("invalid output path: directory \"{}\" does not exist", parent.display());
        }
        Ok(Self {
            folder: parent.to_owned(),
            first: Some(PathBuf::from(target.file_name().context("the destination has no name")?)),
        })
    }

    /// Bytes written. Every entry stays below `folder`: no `..`, and no link on the way is followed.
    fn apply(&self, reader: ChunkReader, keep_owner: bool) -> anyhow::Result<u64> {
        let mut archive = tar::Archive::new(reader);
        archive.set_preserve_permissions(true);
        archive.set_preserve_ownerships(keep_owner);
        archive.set_overwrite(true);
        let mut total = 0;
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = entry.path()?.into_owned();
            let inside = self.place(&path)?;
            total += entry.size();
            if inside.as_os_str().is_empty() {
                continue;
            }
            let kind = entry.header().entry_type();
            let target = self.folder.join(&inside);
            refuse_links(&self.folder, &inside)?;
            if kind.is_dir() {
                std::fs::create_dir_all(&target).with_context(|| format!("making {}", target.display()))?;
            } else if kind.is_hard_link() {
                let link = entry.link_name()?.context("a hard link without a target")?.into_owned();
                let original = self.folder.join(self.place(&link)?);
                remove_file(&target)?;
                std::fs::hard_link(&original, &target)
                    .with_context(|| format!("linking {}", target.display()))?;
                continue;
            } else {
                remove_file(&target)?;
            }
            entry.unpack(&target).with_context(|| format!("writing {}", target.display()))?;
        }
        Ok(total)
    }

    fn place(&self, path: &Path) -> anyhow::Result<PathBuf> {
        let mut parts =
            path.components().filter(|part| !matches!(part, Component::CurDir | Component::RootDir));
        let mut out = PathBuf::new();
        if let Some(_first) = parts.next()
            && let Some(first) = &self.first
        {
            out.push(first);
        }
        for part in parts {
            match part {
                Component::Normal(name) => out.push(name),
                _ => bail!("the engine sent an entry that leads out of the folder: {}", path.display()),
            }
        }
        Ok(out)
    }
}

fn remove_file(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("replacing {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// A link that an earlier entry made must not lead a later one elsewhere.
fn refuse_links(folder: &Path, inside: &Path) -> anyhow::Result<()> {
    let mut at = folder.to_owned();
    let parts: Vec<_> = inside.components().collect();
    for part in parts.iter().take(parts.len().saturating_sub(1)) {
        at.push(part);
        if at.is_symlink() {
            bail!("refusing to write through the symbolic link {}", at.display());
        }
    }
    Ok(())
}

/// Packs a file or folder under the name `inside`; bytes of content.
fn pack(source: &Path, inside: &Path, out: ChunkWriter) -> anyhow::Result<u64> {
    let mut builder = tar::Builder::new(std::io::BufWriter::with_capacity(256 << 10, out));
    builder.follow_symlinks(false);
    let mut total = 0;
    add(&mut builder, source, inside, &mut total)?;
    builder.into_inner()?.flush()?;
    Ok(total)
}

fn add(
    builder: &mut tar::Builder<impl Write>,
    source: &Path,
    inside: &Path,
    total: &mut u64,
) -> anyhow::Result<()> {
    let info = source.symlink_metadata().with_context(|| format!("lstat {}", source.display()))?;
    if !inside.as_os_str().is_empty() {
        builder
            .append_path_with_name(source, inside)
            .with_context(|| format!("reading {}", source.display()))?;
    }
    if info.is_dir() {
        let mut names: Vec<_> = std::fs::read_dir(source)?
            .collect::<Result<Vec<_>, _>>()
            .with_context(|| format!("reading {}", source.display()))?;
        names.sort_by_key(std::fs::DirEntry::file_name);
        for entry in names {
            add(builder, &entry.path(), &inside.join(entry.file_name()), total)?;
        }
    } else {
        *total += info.len();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_are_told_apart() {
        assert_eq!(remote("web:/a"), Some(("web", "/a")));
        for local in ["/a:b", "./web:/a", "a/b:c", ":x", "file"] {
            assert_eq!(remote(local), None, "{local}");
        }
    }

    #[test]
    fn entries_never_leave_the_folder() {
        let target = Extract { folder: "/t".into(), first: Some("new".into()) };
        assert_eq!(target.place(Path::new("old/a")).unwrap(), Path::new("new/a"));
        assert!(target.place(Path::new("old/../../a")).is_err());
    }
}
