//! `RUN`: one command on a writable layer, with its mounts.

use super::{Scratch, Solver, Source, State, at, blocking, internal, returned};
use crate::{
    Progress, graph, image,
    instructions::{CommandLine, Instruction, Kind, Mount},
    key::Key,
    rootfs::{self, Root},
};
use dhow_engine::{
    Result,
    containers::Output,
    steps::{Step, StepMount, StepNetwork},
};
use dhow_oci::{Digest, image::ContainerConfig};
use futures_util::future::{BoxFuture, FutureExt as _};
use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};
use tokio::sync::{OwnedMutexGuard, mpsc};

/// What a step's mounts stand on, kept until it has ended.
#[derive(Default)]
struct Held {
    mounts: Vec<StepMount>,
    scratches: Vec<Scratch>,
    folders: Vec<PathBuf>,
    locks: Vec<OwnedMutexGuard<()>>,
    env: Vec<String>,
}

impl Drop for Held {
    fn drop(&mut self) {
        for folder in std::mem::take(&mut self.folders) {
            if let Err(error) = std::fs::remove_dir_all(&folder) {
                tracing::warn!(%error, folder = %folder.display(), "cannot remove a mount of a build step");
            }
        }
    }
}

impl Solver {
    pub(super) fn run<'a>(
        &'a self,
        state: &'a mut State,
        instruction: &'a Instruction,
        id: u32,
    ) -> BoxFuture<'a, Result<(bool, Option<Digest>)>> {
        async move {
            let Kind::Run { command, mounts, network, security, heredocs } = &instruction.kind else {
                return Err(internal("not a RUN"));
            };
            let command = with_heredocs(command, heredocs);
            let config = state.image.config.clone();
            let args = image::args(&command, &config);
            let network = self.network(network.as_deref(), instruction)?;
            self.allowed(security.as_deref(), instruction)?;
            let build_args = self.build_args(state);
            let env = config.env.clone().unwrap_or_default();
            let mut key = Key::new("run")
                .layers(state.layers())
                .list(&args)
                .list(&env)
                .list(build_args.iter().map(|(name, value)| format!("{name}={value}")))
                .text(&config.user)
                .text(&config.working_dir)
                .text(&format!("{network:?}"))
                .list(&self.request.extra_hosts);
            for mount in mounts {
                key = self.mount_key(key, state, instruction, mount).await?;
            }
            let key = key.end();
            let line = created_by(&command, &config, &build_args);
            if let Some(record) = self.cached(&key) {
                self.add(state, record.layer, &record.created, line);
                return Ok((true, None));
            }
            let _held = self.cache.hold(&key).await;
            if let Some(record) = self.cached(&key) {
                self.add(state, record.layer, &record.created, line);
                return Ok((true, None));
            }
            let mut held = Held::default();
            for mount in mounts {
                self.mount(&mut held, state, instruction, mount).await?;
            }
            let scratch = self.scratch(state.layers()).await?;
            let step = Step {
                snapshot: scratch.snapshot.clone(),
                args: args.clone(),
                env: self.step_env(env, &build_args, &held),
                cwd: if config.working_dir.is_empty() { "/".to_owned() } else { config.working_dir.clone() },
                user: config.user.clone(),
                mounts: std::mem::take(&mut held.mounts),
                network,
                extra_hosts: self.request.extra_hosts.clone(),
                hostname: String::new(),
                shm_size: self.request.shm_size,
                resources: self.request.resources.clone(),
                privileged: false,
            };
            let (sender, output) = mpsc::channel(64);
            let (code, ()) =
                futures_util::future::join(self.engine.steps().run(step, sender), self.relay(id, output))
                    .await;
            blocking(move || {
                drop(held);
                Ok(())
            })
            .await?;
            match code? {
                0 => {}
                code => {
                    return Err(dhow_engine::Error::new(
                        dhow_engine::Kind::Invalid,
                        returned(&args, &command, code),
                    ));
                }
            }
            let result = self.commit(state, &key, scratch, line).await?;
            self.cache.release(&key);
            Ok((false, result))
        }
        .boxed()
    }

    /// What `--security` asks for: nothing but the sandbox is granted.
    fn allowed(&self, security: Option<&str>, instruction: &Instruction) -> Result<()> {
        let refuse = |message: &str| Err(at(&self.request, instruction.line, message));
        match security {
            None | Some("sandbox") => Ok(()),
            Some("insecure") => {
                refuse("RUN --security=insecure needs an entitlement that this engine does not grant")
            }
            Some(other) => refuse(&format!("invalid security mode {other:?}")),
        }
    }

    async fn relay(&self, id: u32, mut output: mpsc::Receiver<Output>) {
        while let Some(Output { stream, data }) = output.recv().await {
            self.tell(Progress::Output { id, stream, data }).await;
        }
    }

    fn network(&self, flag: Option<&str>, instruction: &Instruction) -> Result<StepNetwork> {
        match flag.unwrap_or(&self.request.network) {
            "" | "default" | "bridge" => Ok(StepNetwork::Default),
            "none" => Ok(StepNetwork::None),
            "host" => Ok(StepNetwork::Host),
            // A Dockerfile names only what every builder has; the user's flag may name a network of this engine.
            other if flag.is_none() => Ok(StepNetwork::Named(other.to_owned())),
            other => Err(at(&self.request, instruction.line, &format!("invalid network mode {other:?}"))),
        }
    }

    /// The stage's ARGs that have a value and no ENV over them.
    fn build_args(&self, state: &State) -> BTreeMap<String, String> {
        let env = state.image.config.env.as_deref().unwrap_or_default();
        let set = state.args.iter().filter(|(name, _)| image::env_value(env, name).is_none());
        set.filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect()
    }

    fn step_env(
        &self,
        mut env: Vec<String>,
        build_args: &BTreeMap<String, String>,
        held: &Held,
    ) -> Vec<String> {
        env.extend(build_args.iter().map(|(name, value)| format!("{name}={value}")));
        for name in graph::PROXIES {
            if let Some(Some(value)) = self.request.args.get(*name)
                && image::env_value(&env, name).is_none()
            {
                env.push(format!("{name}={value}"));
            }
        }
        env.extend(held.env.iter().cloned());
        env
    }

    fn mount_key<'a>(
        &'a self,
        mut key: Key,
        state: &'a State,
        instruction: &'a Instruction,
        mount: &'a Mount,
    ) -> BoxFuture<'a, Result<Key>> {
        async move {
            let options = self.options(state, instruction, mount)?;
            key = key.text(&mount.kind).list(
                options
                    .iter()
                    .filter(|(name, _)| mount.kind != "secret" || name.as_str() != "id")
                    .map(|(name, value)| format!("{name}={value}")),
            );
            if mount.kind == "bind" {
                let from = options.get("from").map(String::as_str);
                match self.source(self.stage_number(instruction), from, instruction.line).await? {
                    Source::Layers(layers) => key = key.layers(&layers),
                    Source::Context => {
                        let (context, path) = (self.request.context.clone(), source_path(&options));
                        let sum = blocking(move || {
                            let root = Root::open_path(&context).map_err(internal)?;
                            let placed = crate::copy::Placed { from: path, to: PathBuf::new() };
                            crate::key::content(&root, &[placed], &|_| false).map_err(internal)
                        })
                        .await
                        .map_err(|error| at(&self.request, instruction.line, &error.message))?;
                        key = key.text(&sum);
                    }
                }
            }
            Ok(key)
        }
        .boxed()
    }

    /// The stage that an instruction stands in.
    fn stage_number(&self, instruction: &Instruction) -> usize {
        self.graph.stages.iter().rposition(|stage| stage.line <= instruction.line).unwrap_or(0)
    }

    fn options(
        &self,
        state: &State,
        instruction: &Instruction,
        mount: &Mount,
    ) -> Result<BTreeMap<String, String>> {
        let mut options = BTreeMap::new();
        for (name, value) in &mount.options {
            let name = match name.as_str() {
                "dst" | "destination" => "target",
                "src" => "source",
                "ro" => "readonly",
                "rw" => "readwrite",
                other => other,
            };
            options.insert(name.to_owned(), self.expand(state, instruction, value)?);
        }
        Ok(options)
    }

    fn mount<'a>(
        &'a self,
        held: &'a mut Held,
        state: &'a State,
        instruction: &'a Instruction,
        mount: &'a Mount,
    ) -> BoxFuture<'a, Result<()>> {
        async move {
            let options = self.options(state, instruction, mount)?;
            let line = instruction.line;
            let target =
                options.get("target").map(|path| crate::absolute(&state.image.config.working_dir, path));
            match mount.kind.as_str() {
                "tmpfs" => {
                    let target =
                        target.ok_or_else(|| at(&self.request, line, "--mount=type=tmpfs needs a target"))?;
                    let size = options
                        .get("size")
                        .map(|text| {
                            size(text)
                                .ok_or_else(|| at(&self.request, line, &format!("invalid size {text:?}")))
                        })
                        .transpose()?;
                    held.mounts.push(StepMount { source: None, target, readonly: false, size });
                }
                "secret" => self.secret(held, instruction, &options, target)?,
                "cache" => {
                    let target =
                        target.ok_or_else(|| at(&self.request, line, "--mount=type=cache needs a target"))?;
                    self.cache_mount(held, instruction, &options, target, flag(&options, "readonly")).await?;
                }
                _ => {
                    let target =
                        target.ok_or_else(|| at(&self.request, line, "--mount=type=bind needs a target"))?;
                    self.bind(held, instruction, &options, target, !flag(&options, "readwrite")).await?;
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn secret(
        &self,
        held: &mut Held,
        instruction: &Instruction,
        options: &BTreeMap<String, String>,
        target: Option<String>,
    ) -> Result<()> {
        let fail = |message: String| at(&self.request, instruction.line, &message);
        let id = options
            .get("id")
            .cloned()
            .or_else(|| Some(target.as_deref()?.rsplit('/').next()?.to_owned()))
            .ok_or_else(|| fail("--mount=type=secret needs an id".into()))?;
        let required = flag(options, "required");
        let Some(secret) = self.request.secrets.get(&id) else {
            return if required { Err(fail(format!("secret {id}: not found"))) } else { Ok(()) };
        };
        if let Some(name) = options.get("env") {
            let text = String::from_utf8(secret.clone())
                .map_err(|_| fail(format!("secret {id} is no text and cannot be an environment variable")))?;
            held.env.push(format!("{name}={text}"));
            if target.is_none() {
                return Ok(());
            }
        }
        let number = |name: &str, base: u32, default: u32| {
            options.get(name).map_or(Ok(default), |text| {
                u32::from_str_radix(text, base)
                    .map_err(|_| fail(format!("invalid {name} {text:?} of secret {id}")))
            })
        };
        let folder = self.private_folder(held)?;
        let file = folder.join("secret");
        std::fs::write(&file, secret).map_err(internal)?;
        std::os::unix::fs::chown(&file, Some(number("uid", 10, 0)?), Some(number("gid", 10, 0)?))
            .map_err(internal)?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(number("mode", 8, 0o400)?))
            .map_err(internal)?;
        held.mounts.push(StepMount {
            source: Some(file),
            target: target.unwrap_or_else(|| format!("/run/secrets/{id}")),
            readonly: true,
            size: None,
        });
        Ok(())
    }

    /// A folder that only root sees, removed with the step.
    fn private_folder(&self, held: &mut Held) -> Result<PathBuf> {
        let folder = self.engine.store().root().join("tmp").join(crate::random_id()?);
        std::fs::create_dir(&folder).map_err(internal)?;
        held.folders.push(folder.clone());
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).map_err(internal)?;
        Ok(folder)
    }

    fn cache_mount<'a>(
        &'a self,
        held: &'a mut Held,
        instruction: &'a Instruction,
        options: &'a BTreeMap<String, String>,
        target: String,
        readonly: bool,
    ) -> BoxFuture<'a, Result<()>> {
        async move {
            let line = instruction.line;
            if options.contains_key("from") {
                return Err(at(&self.request, line, "--mount=type=cache,from=… is not built yet"));
            }
            // the id is only ever a hash in a path
            let id = Key::new("cache-mount").text(options.get("id").unwrap_or(&target)).end();
            let name = id.get(..32).unwrap_or_default().to_owned();
            let folder = match options.get("sharing").map_or("shared", String::as_str) {
                "shared" => self.cache_folder(&name),
                // private: a folder of its own would begin empty; this one, used by one at a time, is as safe and warm
                "locked" | "private" => {
                    held.locks.push(self.cache.hold(&format!("mount {name}")).await);
                    self.cache_folder(&name)
                }
                other => return Err(at(&self.request, line, &format!("unsupported sharing mode {other:?}"))),
            };
            if !folder.exists() {
                let number = |key: &str, base: u32, default: u32| {
                    options.get(key).map_or(Ok(default), |text| {
                        u32::from_str_radix(text, base)
                            .map_err(|_| at(&self.request, line, &format!("invalid {key} {text:?}")))
                    })
                };
                let (uid, gid, mode) =
                    (number("uid", 10, 0)?, number("gid", 10, 0)?, number("mode", 8, 0o755)?);
                std::fs::create_dir_all(&folder).map_err(internal)?;
                std::os::unix::fs::chown(&folder, Some(uid), Some(gid)).map_err(internal)?;
                std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).map_err(internal)?;
            }
            held.mounts.push(StepMount { source: Some(folder), target, readonly, size: None });
            Ok(())
        }
        .boxed()
    }

    fn cache_folder(&self, name: &str) -> PathBuf {
        self.engine.store().root().join("build/cache-mounts").join(name)
    }

    /// A bind of the context, a stage or an image. What is written to it is thrown away: it is a copy, unless it is read-only.
    fn bind<'a>(
        &'a self,
        held: &'a mut Held,
        instruction: &'a Instruction,
        options: &'a BTreeMap<String, String>,
        target: String,
        readonly: bool,
    ) -> BoxFuture<'a, Result<()>> {
        async move {
            let from = options.get("from").map(String::as_str);
            let path = source_path(options);
            let source = self.source(self.stage_number(instruction), from, instruction.line).await?;
            let folder = self.private_folder(held)?;
            let tree = match &source {
                Source::Context => None,
                Source::Layers(layers) => Some(self.scratch(layers).await?),
            };
            let (context, copy) = (self.request.context.clone(), folder.join("bind"));
            let (tree, copied) = blocking(move || {
                let root = match &tree {
                    None => Root::open_path(&context).map_err(internal)?,
                    Some(scratch) => super::tree(scratch)?,
                };
                let copied = copy_out(&root, &path, &copy);
                drop(root);
                Ok((tree, copied))
            })
            .await?;
            held.scratches.extend(tree);
            copied.map_err(|error| {
                at(&self.request, instruction.line, &format!("--mount=type=bind: {error}"))
            })?;
            held.mounts.push(StepMount { source: Some(folder.join("bind")), target, readonly, size: None });
            Ok(())
        }
        .boxed()
    }
}

/// A file or folder of a tree, as a copy that may be bound and written to.
fn copy_out(root: &Root, from: &Path, to: &Path) -> std::io::Result<()> {
    let info = root.info(from, true)?.ok_or_else(|| {
        std::io::Error::new(std::io::ErrorKind::NotFound, format!("{}: not found", from.display()))
    })?;
    let parent = to.parent().unwrap_or(Path::new("/"));
    let target = Root::open_path(parent)?;
    let name = PathBuf::from(to.file_name().unwrap_or_default());
    if info.kind == rootfs::Type::Dir {
        std::fs::create_dir(to)?;
    }
    crate::copy::copy(
        root,
        &target,
        &crate::copy::Placed { from: from.to_owned(), to: name },
        &crate::copy::Look::default(),
        &|_| false,
    )
}

/// A bare flag, `=true` or `=1`.
fn flag(options: &BTreeMap<String, String>, name: &str) -> bool {
    options.get(name).is_some_and(|value| value.is_empty() || value == "true" || value == "1")
}

fn source_path(options: &BTreeMap<String, String>) -> PathBuf {
    rootfs::clean(Path::new(options.get("source").map_or("", String::as_str)))
}

fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// The line of the image's history, of the command alone.
fn created_by(
    command: &CommandLine,
    config: &ContainerConfig,
    build_args: &BTreeMap<String, String>,
) -> String {
    let kind = Kind::Run {
        command: command.clone(),
        mounts: Vec::new(),
        network: None,
        security: None,
        heredocs: Vec::new(),
    };
    image::created_by(&kind, "", config, build_args)
}

/// `RUN <<EOF`: the heredoc is the script; with a command before it, it is that command's input, as the shell reads it.
fn with_heredocs(command: &CommandLine, heredocs: &[crate::parser::Heredoc]) -> CommandLine {
    let (CommandLine::Shell(text), [first, rest @ ..]) = (command, heredocs) else { return command.clone() };
    let bare = text
        .strip_prefix("<<")
        .map(|name| name.trim_start_matches('-').trim_matches(|c| c == '"' || c == '\''));
    if rest.is_empty() && bare == Some(first.name.as_str()) {
        if first.content.starts_with("#!") {
            // the interpreter is named in the script: written to a file and executed
            let script = format!(
                "f=$(mktemp) && cat > \"$f\" <<'{0}'\n{1}{0}\nchmod +x \"$f\" && \"$f\"; c=$?; rm -f \"$f\"; exit $c",
                first.name, first.content
            );
            return CommandLine::Shell(script);
        }
        return CommandLine::Shell(first.content.clone());
    }
    let bodies: String =
        heredocs.iter().map(|heredoc| format!("\n{}{}", heredoc.content, heredoc.name)).collect();
    CommandLine::Shell(format!("{text}{bodies}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::Heredoc;

    #[test]
    fn heredocs_become_scripts() {
        let doc = |content: &str| Heredoc { name: "EOF".into(), expand: true, content: content.into() };
        let run = |text: &str, docs: &[Heredoc]| match with_heredocs(&CommandLine::Shell(text.into()), docs) {
            CommandLine::Shell(text) => text,
            CommandLine::Exec(_) => panic!(),
        };
        assert_eq!(run("<<EOF", &[doc("a\nb\n")]), "a\nb\n");
        assert_eq!(run("cat <<EOF > x", &[doc("a\n")]), "cat <<EOF > x\na\nEOF");
        assert!(run("<<EOF", &[doc("#!/usr/bin/env python3\nprint(1)\n")]).contains("chmod +x"));
        assert_eq!(size("10m"), Some(10 << 20));
        assert_eq!(size("x"), None);
    }
}
