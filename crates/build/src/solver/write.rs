//! `COPY` and `ADD`: files from the context, a stage, an image, a heredoc, an archive or a URL, written into a layer.

use super::{Solver, Source, State, at, blocking, internal};
use crate::{
    archive,
    copy::{self, Chmod, Look},
    image,
    instructions::{Copy, Instruction},
    key::{self, Key},
    patterns,
    rootfs::{self, Root},
    words,
};
use dhow_engine::Result;
use dhow_oci::Digest;
use futures_util::future::{BoxFuture, FutureExt as _};
use std::{
    io,
    path::{Path, PathBuf},
};

/// A `COPY` with everything expanded and resolved, ready for a thread.
struct Job {
    sources: Vec<String>,
    /// Name and bytes: heredocs and what was fetched.
    inline: Vec<(String, Vec<u8>)>,
    destination: PathBuf,
    folder: bool,
    look: Look,
    exclude: Vec<String>,
    parents: bool,
    unpack: bool,
}

impl Solver {
    pub(super) fn write<'a>(
        &'a self,
        stage: usize,
        state: &'a mut State,
        instruction: &'a Instruction,
        copy: &'a Copy,
    ) -> BoxFuture<'a, Result<(bool, Option<Digest>)>> {
        async move {
            let line_number = instruction.line;
            let mut sources = copy
                .sources
                .iter()
                .map(|source| self.expand(state, instruction, source))
                .collect::<Result<Vec<_>>>()?;
            let destination = self.expand(state, instruction, &copy.destination)?;
            let folder = destination.ends_with('/')
                || destination.is_empty()
                || destination.ends_with("/.")
                || destination == ".";
            let inline = self.inline(state, instruction, copy, &mut sources).await?;
            let source = self.source(stage, copy.from.as_deref(), instruction.line).await?;
            let chown =
                copy.chown.as_deref().map(|text| self.expand(state, instruction, text)).transpose()?;
            let mode = copy
                .chmod
                .as_deref()
                .map(|text| self.expand(state, instruction, text))
                .transpose()?
                .map(|text| Chmod::parse(&text))
                .transpose()
                .map_err(|error| at(&self.request, line_number, &error))?;
            let owner = match &chown {
                Some(text) => Some(
                    self.owner(state, text)
                        .await
                        .map_err(|error| at(&self.request, line_number, &error.message))?,
                ),
                None if matches!(source, Source::Context) => Some((0, 0)),
                None => None,
            };
            let to = crate::absolute(&state.image.config.working_dir, &destination);
            let job = Job {
                sources,
                inline,
                destination: rootfs::clean(Path::new(&to)),
                folder,
                look: Look { owner, mode },
                exclude: copy
                    .exclude
                    .iter()
                    .map(|pattern| self.expand(state, instruction, pattern))
                    .collect::<Result<_>>()?,
                parents: copy.parents,
                unpack: copy.add,
            };
            let line = image::created_by(
                &instruction.kind,
                "",
                &state.image.config,
                &std::collections::BTreeMap::new(),
            );
            self.write_job(state, instruction, source, job, line).await
        }
        .boxed()
    }

    /// What comes without a source: the heredocs, and the URLs of an ADD, which leave `sources`.
    async fn inline(
        &self,
        state: &State,
        instruction: &Instruction,
        copy: &Copy,
        sources: &mut Vec<String>,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        let mut inline = Vec::new();
        for heredoc in &copy.heredocs {
            let content = if heredoc.expand {
                words::expand_raw(&heredoc.content, self.graph.escape, &|name| self.variable(state, name))
                    .map_err(|error| at(&self.request, instruction.line, &error))?
            } else {
                heredoc.content.clone()
            };
            inline.push((heredoc.name.clone(), content.into_bytes()));
        }
        if copy.add {
            let (urls, files): (Vec<_>, Vec<_>) = std::mem::take(sources)
                .into_iter()
                .partition(|source| source.starts_with("http://") || source.starts_with("https://"));
            *sources = files;
            for url in urls {
                let checksum =
                    copy.checksum.as_deref().map(|text| self.expand(state, instruction, text)).transpose()?;
                inline.push(
                    crate::fetch::fetch(&url, checksum.as_deref()).await.map_err(|error| {
                        at(&self.request, instruction.line, &format!("ADD {url}: {error}"))
                    })?,
                );
            }
        }
        Ok(inline)
    }

    fn write_job<'a>(
        &'a self,
        state: &'a mut State,
        instruction: &'a Instruction,
        source: Source,
        job: Job,
        line: String,
    ) -> BoxFuture<'a, Result<(bool, Option<Digest>)>> {
        async move {
            let line_number = instruction.line;
            let plain = job_key(&job, state.layers());
            // a stage whose layers are the same has the same files: no need to read them
            let quick = match &source {
                Source::Layers(layers) => Some(Key::new("from").text(&plain).layers(layers).end()),
                Source::Context => None,
            };
            if let Some(record) = quick.as_ref().and_then(|key| self.cached(key)) {
                self.add(state, record.layer, &record.created, line);
                return Ok((true, None));
            }
            let from = match &source {
                Source::Context => None,
                Source::Layers(layers) => Some(self.scratch(layers).await?),
            };
            let context = self.request.context.clone();
            let target = self.scratch(state.layers()).await?;
            let (from, target, job, found) = blocking(move || {
                let found = (|| {
                    let root = open(from.as_ref(), &context)?;
                    let into = Root::new(
                        target
                            .snapshot
                            .mount()
                            .map_err(|e| io::Error::other(crate::from_store(e).message))?,
                    );
                    let placed =
                        copy::place(&root, &into, &job.sources, &job.destination, job.folder, job.parents)?;
                    let excluded = |path: &Path| patterns::excluded(&job.exclude, &path.to_string_lossy());
                    let sum = key::content(&root, &placed, &excluded)?;
                    io::Result::Ok((root, into, placed, sum))
                })();
                Ok((from, target, job, found))
            })
            .await?;
            let (root, into, placed, sum) =
                found.map_err(|error| at(&self.request, line_number, &error.to_string()))?;
            let key = Key::new("copy").text(&plain).text(&sum).end();
            if let Some(record) = self.cached(&key) {
                if let Some(quick) = quick {
                    self.cache.put(&quick, record.layer.clone(), record.size, &record.created);
                }
                drop((root, into));
                self.add(state, record.layer, &record.created, line);
                return Ok((true, None));
            }
            let written = blocking(move || Ok(write_all(&root, &into, &placed, &job))).await?;
            drop(from);
            written.map_err(|error| at(&self.request, line_number, &error.to_string()))?;
            let result = self.commit(state, &key, target, line).await?;
            if let (Some(quick), Some(record)) = (quick, self.cache.get(&key)) {
                self.cache.put(&quick, record.layer, record.size, &record.created);
            }
            Ok((false, result))
        }
        .boxed()
    }

    /// `user[:group]`, names looked up in the image.
    fn owner<'a>(&'a self, state: &'a State, text: &'a str) -> BoxFuture<'a, Result<(u32, u32)>> {
        async move {
            let (user, group) =
                text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
            let (user, group) = (user.to_owned(), group.map(str::to_owned));
            let scratch = self.scratch(state.layers()).await?;
            blocking(move || {
                let read = |path: &str| -> Result<String> {
                    let bytes = scratch
                        .snapshot
                        .read_file(path, 1 << 20)
                        .map_err(crate::from_store)?
                        .unwrap_or_default();
                    Ok(String::from_utf8_lossy(&bytes).into_owned())
                };
                let (uid, primary) = match user.parse::<u32>() {
                    Ok(uid) => (uid, None),
                    Err(_) => {
                        let passwd = read("/etc/passwd")?;
                        let fields = passwd
                            .lines()
                            .map(|line| line.split(':').collect::<Vec<_>>())
                            .find(|fields| fields.first() == Some(&user.as_str()));
                        let fields = fields.ok_or_else(|| {
                            internal(format!(
                                "unable to find user {user}: no matching entries in passwd file"
                            ))
                        })?;
                        let number =
                            |at: usize| fields.get(at).and_then(|text: &&str| text.parse::<u32>().ok());
                        (number(2).unwrap_or(0), number(3))
                    }
                };
                let gid = match group.as_deref().map(str::parse::<u32>) {
                    None => primary.unwrap_or(uid),
                    Some(Ok(gid)) => gid,
                    Some(Err(_)) => {
                        let name = group.unwrap_or_default();
                        let groups = read("/etc/group")?;
                        let found = groups
                            .lines()
                            .map(|line| line.split(':').collect::<Vec<_>>())
                            .find(|fields| fields.first() == Some(&name.as_str()));
                        found.and_then(|fields| fields.get(2)?.parse().ok()).ok_or_else(|| {
                            internal(format!(
                                "unable to find group {name}: no matching entries in group file"
                            ))
                        })?
                    }
                };
                Ok((uid, gid))
            })
            .await
        }
        .boxed()
    }
}

fn open(from: Option<&super::Scratch>, context: &Path) -> io::Result<Root> {
    match from {
        None => Root::open_path(context),
        Some(scratch) => super::tree(scratch).map_err(|error| io::Error::other(error.message)),
    }
}

fn job_key(job: &Job, layers: &[Digest]) -> String {
    let mut key = Key::new(if job.unpack { "add" } else { "copy" })
        .layers(layers)
        .list(&job.sources)
        .text(&job.destination.to_string_lossy())
        .text(&format!("{} {} {:?}", job.folder, job.parents, job.look))
        .list(&job.exclude);
    for (name, bytes) in &job.inline {
        key.part(name.as_bytes());
        key.part(bytes);
    }
    key.end()
}

fn write_all(root: &Root, into: &Root, placed: &[copy::Placed], job: &Job) -> io::Result<()> {
    let excluded = |path: &Path| patterns::excluded(&job.exclude, &path.to_string_lossy());
    for one in placed {
        if job.unpack && archive::is_archive(root, &one.from)? {
            // an archive's content goes into the destination, which is a folder then
            archive::unpack(root, &one.from, into, &job.destination, job.look.owner)?;
        } else {
            copy::copy(root, into, one, &job.look, &excluded)?;
        }
    }
    let several = job.inline.len() + placed.len() > 1;
    for (name, bytes) in &job.inline {
        let is_dir = job.folder
            || several
            || into.info(&job.destination, true)?.is_some_and(|info| info.kind == rootfs::Type::Dir);
        let path = if is_dir { job.destination.join(name) } else { job.destination.clone() };
        archive::write_file(into, &path, bytes, &job.look)?;
    }
    Ok(())
}
