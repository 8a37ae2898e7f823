//! `build`: what a Dockerfile may say, when the cache hits, and that a failed build leaves nothing.

use super::images::{nothing_temporary, stored_layers};
use dhow_testkit::{Daemon, Ran, is_root};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A build context: a folder with a Dockerfile.
struct Context(PathBuf);

impl Context {
    fn new(daemon: &Daemon, name: &str, dockerfile: &str) -> Self {
        let folder = daemon.folder().join(name);
        fs::create_dir_all(&folder).unwrap();
        let context = Self(folder);
        context.write("Dockerfile", dockerfile);
        context
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

/// `dhow build -t NAME FLAGS CONTEXT`.
fn build(daemon: &Daemon, context: &Context, flags: &[&str]) -> Ran {
    daemon.dhow(&[&["build", "-t", "built"], flags, &[context.path()]].concat())
}

/// Builds, then runs the shell script in the image.
#[track_caller]
fn built(daemon: &Daemon, context: &Context, flags: &[&str], script: &str) -> String {
    build(daemon, context, flags).ok();
    daemon.dhow(&["run", "--rm", "built", "sh", "-c", script]).ok().to_owned()
}

/// The image's id after a build.
#[track_caller]
fn id(daemon: &Daemon, context: &Context, flags: &[&str]) -> String {
    build(daemon, context, flags).ok();
    daemon.dhow(&["inspect", "-f", "{{.Id}}", "built"]).ok().to_owned()
}

/// Most of what a Dockerfile may say about stages, arguments, copies and the image's configuration.
const STAGES: &str = r#"# syntax=docker/dockerfile:1
ARG BASE=no-such-image
ARG TAG=latest
FROM ${BASE}:${TAG} AS tools
ARG BASE
ARG GREETING="hello you"
RUN echo "$GREETING from $BASE" > /greeting && mkdir -p /tree/sub && echo deep > /tree/sub/leaf
FROM busybox AS unused
RUN echo never-run-me && false
FROM busybox
COPY --from=tools --chown=app:extra --chmod=640 /greeting /srv/greeting
COPY --from=tools /tree /tree
COPY --chown=1234:55 one.txt two.txt /texts/
COPY folder /folder
WORKDIR /srv
WORKDIR inner
ENV WHO=world LONG="a b"
RUN <<EOF
echo "here $WHO" > /heredoc
pwd >> /heredoc
EOF
COPY <<-"END" /inline
	kept $WHO
	END
USER app
LABEL a=1 b="two words"
EXPOSE 80 53/udp
VOLUME /vol
HEALTHCHECK --interval=7s CMD test -e /heredoc
STOPSIGNAL SIGINT
SHELL ["/bin/sh", "-ec"]
ENTRYPOINT ["/bin/sh"]
CMD ["-c", "id -un"]
"#;

#[test]
fn root_build_stages_arguments_and_copies() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let context = Context::new(&daemon, "stages", STAGES);
    context.write("one.txt", "1");
    context.write("two.txt", "2");
    context.write("folder/inner/file", "f");
    context.write("folder/skip.log", "x");
    context.write(".dockerignore", "# comment\n**/*.log\n!**/keep.log\n");
    context.write("folder/keep.log", "k");
    build(&daemon, &context, &[]).fails(1, "no-such-image");
    let flags = ["--build-arg", "BASE=busybox", "--build-arg", "GREETING=good day"];
    build(&daemon, &context, &flags).ok();
    assert_eq!(daemon.dhow(&["run", "--rm", "built"]).ok(), "app");
    let sh = |script: &str| daemon.dhow(&["run", "--rm", "-u", "0", "built", "-c", script]).ok().to_owned();
    assert_eq!(
        sh("cat /srv/greeting; stat -c '%a %u %g' /srv/greeting"),
        "good day from busybox\n640 1000 2000"
    );
    assert_eq!(sh("cat /tree/sub/leaf"), "deep");
    assert_eq!(sh("cat /texts/one.txt /texts/two.txt; stat -c '%u %g' /texts/one.txt"), "121234 55");
    assert_eq!(sh("find /folder -type f | sort"), "/folder/inner/file\n/folder/keep.log");
    assert_eq!(
        sh("cat /heredoc /inline; pwd; echo $WHO $LONG"),
        "here world\n/srv/inner\nkept $WHO\n/srv/inner\nworld a b"
    );
    let inspected = daemon.dhow(&[
        "inspect",
        "-f",
        "{{json .Config.Labels}} {{json .Config.ExposedPorts}} {{json .Config.Volumes}} {{.Config.StopSignal}} {{json .Config.Shell}} {{json .Config.Healthcheck}}",
        "built",
    ]);
    for part in [
        r#"{"a":"1","b":"two words"}"#,
        r#"{"53/udp":{},"80/tcp":{}}"#,
        r#"{"/vol":{}}"#,
        "SIGINT",
        r#"["/bin/sh","-ec"]"#,
        r#""Interval":7000000000"#,
    ] {
        assert!(inspected.ok().contains(part), "{part} is not in {}", inspected.out);
    }
    build(&daemon, &context, &[&flags[..], &["--target", "unused"]].concat()).fails(1, "never-run-me");
    build(&daemon, &context, &[&flags[..], &["--target", "nowhere"]].concat()).fails(1, "nowhere");
    daemon.finish();
}

#[test]
fn root_build_mounts_archives_and_onbuild() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let context = Context::new(
        &daemon,
        "mounts",
        r#"FROM busybox AS data
RUN echo from-stage > /payload
FROM busybox
ARG ROUND=0
RUN --mount=type=cache,target=/cache echo round $ROUND >> /cache/rounds && cp /cache/rounds /rounds
RUN --mount=type=bind,source=file,target=/bound cat /bound > /from-context
RUN --mount=type=bind,from=data,source=/payload,target=/p cat /p > /from-stage
RUN --mount=type=tmpfs,target=/scratch touch /scratch/x && grep -c ' /scratch tmpfs' /proc/mounts > /tmpfs
RUN --mount=type=secret,id=token wc -c < /run/secrets/token > /length
RUN --mount=type=secret,id=missing test ! -e /run/secrets/missing
ADD archive.tar.gz /unpacked/
ADD --chown=app archive.tar.gz /unpacked2/
COPY archive.tar.gz /whole/
"#,
    );
    context.write("file", "from-context");
    context.write("pack/inner/text", "packed");
    let tar = std::process::Command::new("tar")
        .args(["-C", &format!("{}/pack", context.path()), "-czf"])
        .arg(context.0.join("archive.tar.gz"))
        .arg(".")
        .status()
        .unwrap();
    assert!(tar.success());
    let secret = daemon.folder().join("token");
    fs::write(&secret, "do-not-tell").unwrap();
    let secret = format!("id=token,src={}", secret.display());
    let script = "cat /from-context /from-stage /tmpfs /length /unpacked/inner/text; ls /whole; ls /cache /scratch /run/secrets 2>/dev/null | grep -v : | grep .";
    let first = built(&daemon, &context, &["--secret", &secret], &format!("{script}; cat /rounds"));
    assert_eq!(first, "from-contextfrom-stage\n1\n11\npackedarchive.tar.gz\nround 0");
    let second = built(&daemon, &context, &["--secret", &secret, "--build-arg", "ROUND=1"], "cat /rounds");
    assert_eq!(second, "round 0\nround 1", "the cache mount outlives the build");
    let history = daemon.dhow(&["history", "--no-trunc", "built"]);
    assert!(!history.ok().contains("do-not-tell"));
    for file in files_with(daemon.folder(), "do-not-tell") {
        assert!(file.ends_with("token"), "the secret is in {}", file.display());
    }

    let parent = Context::new(
        &daemon,
        "parent",
        "FROM busybox\nONBUILD COPY given /taken\nONBUILD RUN cat /taken > /seen\n",
    );
    daemon.dhow(&["build", "-t", "parent", parent.path()]).ok();
    let child = Context::new(&daemon, "child", "FROM parent\n");
    child.write("given", "for the child");
    assert_eq!(built(&daemon, &child, &[], "cat /seen"), "for the child");
    assert_eq!(daemon.dhow(&["inspect", "-f", "{{json .Config.OnBuild}}", "built"]).ok(), "null");
    daemon.finish();
}

/// Every file below `folder` that has `text` in it.
fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files_with(&entry.path(), text));
        } else if kind.is_file()
            && fs::read(entry.path())
                .is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
        {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn root_build_cache_hits_exactly_when_nothing_changed() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let context = Context::new(
        &daemon,
        "cached",
        r#"FROM busybox
ARG UNUSED
RUN head -c 8 /dev/urandom | md5sum > /first
COPY wanted /wanted
RUN head -c 8 /dev/urandom | md5sum > /second
ARG USED=1
RUN echo $USED; head -c 8 /dev/urandom | md5sum > /third
"#,
    );
    context.write("wanted", "1");
    context.write("other", "1");
    let sums = |flags: &[&str]| -> Vec<String> {
        built(&daemon, &context, flags, "cat /first /second /third").lines().map(str::to_owned).collect()
    };
    /// Which of the three random steps ran again.
    fn again(before: &[String], after: &[String]) -> Vec<usize> {
        (0..3).filter(|step| before[*step] != after[*step]).collect()
    }
    let first = sums(&[]);
    let image = id(&daemon, &context, &[]);
    assert_eq!(sums(&[]), first, "nothing changed");
    assert_eq!(id(&daemon, &context, &[]), image, "and so the same image");
    context.write("other", "2");
    assert_eq!(sums(&[]), first, "a file that no instruction copies");
    let wanted = context.0.join("wanted");
    fs::remove_file(&wanted).unwrap();
    context.write("wanted", "1");
    assert_eq!(sums(&[]), first, "a new time of change with the same content");
    let other = sums(&["--build-arg", "USED=2"]);
    assert_eq!(again(&first, &other), [2], "an argument counts from where it is used");
    assert_eq!(sums(&[]), first, "and the former result is still known");
    context.write("wanted", "2");
    let changed = sums(&[]);
    assert_eq!(again(&first, &changed), [1, 2], "content counts from its COPY on");
    std::os::unix::fs::chown(&wanted, Some(7), Some(7)).unwrap();
    assert_eq!(sums(&[]), changed, "docker's COPY does not look at the owner");
    fs::set_permissions(&wanted, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(again(&changed, &sums(&[])), [1, 2], "a mode counts");
    let before = sums(&[]);
    assert_eq!(again(&before, &sums(&["--no-cache"])), [0, 1, 2]);
    daemon.finish();
}

#[test]
fn root_bad_builds_are_named_and_leave_nothing() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let layers = stored_layers(&daemon);
    let images = daemon.dhow(&["images", "-aq"]).ok().to_owned();
    let fails = |dockerfile: &str, wanted: &[&str]| {
        let context = Context::new(&daemon, "bad", dockerfile);
        let ran = build(&daemon, &context, &[]);
        assert_ne!(ran.code, 0, "{dockerfile}\n{}{}", ran.out, ran.err);
        for text in wanted {
            assert!(ran.err.contains(text), "{dockerfile}\nsaid {}\nnot  {text}", ran.err);
        }
        ran
    };
    fails("FROM busybox\nRUM echo\n", &["line 2", "RUM"]);
    fails("FROM busybox\n\n\nCOPY only-one\n", &["line 4", "COPY"]);
    fails("RUN echo\n", &["line 1", "no build stage"]);
    fails("FROM busybox\nCOPY --no-such=1 a b\n", &["line 2", "no-such"]);
    fails("FROM busybox\nRUN <<END\necho\n", &["line 2", "END"]);
    fails("FROM busybox\nCOPY nothing /x\n", &["nothing"]);
    fails("FROM busybox\nCOPY ../../etc/passwd /x\nRUN cat /x\n", &["etc/passwd"]);
    fails("FROM busybox\nCOPY --from=nobody /a /b\n", &["nobody"]);
    fails("FROM busybox\nEXPOSE eighty\n", &["eighty"]);
    fails("FROM no-such-image-here\n", &["no-such-image-here"]);
    fails("", &["Dockerfile"]);
    let ran = fails(
        "FROM busybox\nRUN echo made > /made\nUSER app\nRUN echo last words; exit 9\n",
        &["exit 9", "9"],
    );
    assert!(ran.err.contains("last words") || ran.out.contains("last words"), "{}{}", ran.out, ran.err);
    fails("FROM busybox\nUSER stranger\nRUN true\n", &["stranger"]);
    fails("FROM busybox\nRUN [\"no-such-program\"]\n", &["no-such-program"]);
    daemon.dhow(&["build", "/no/such/folder"]).fails(1, "/no/such/folder");
    let empty = daemon.folder().join("empty");
    fs::create_dir(&empty).unwrap();
    daemon.dhow(&["build", empty.to_str().unwrap()]).fails(1, "Dockerfile");
    fs::write(empty.join("Dockerfile"), "FROM busybox\nRUN true\n").unwrap();
    daemon.dhow(&["build", "-t", "UPPER", empty.to_str().unwrap()]).fails(1, "UPPER");
    assert_eq!(daemon.dhow(&["ps", "-aq"]).ok(), "");
    assert_eq!(daemon.dhow(&["images", "-aq"]).ok(), images);
    nothing_temporary(&daemon);
    daemon.dhow(&["builder", "prune", "-af"]).ok();
    assert_eq!(stored_layers(&daemon), layers, "only the cache kept the steps that went well");
    daemon.finish();
}

#[test]
fn root_the_stock_docker_cli_builds() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let context = Context::new(
        &daemon,
        "docker",
        "FROM busybox AS one\nARG WORD=none\nRUN echo $WORD > /word\nFROM busybox\nCOPY --from=one --chmod=600 /word /word\nCOPY in .\n",
    );
    context.write("in", "side");
    let docker = |args: &[&str]| {
        let mut command = daemon.docker_command(args);
        let output = command.env("DOCKER_BUILDKIT", "0").stdin(std::process::Stdio::null()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
    };
    let (code, text) = docker(&["build", "-t", "stock:1", "--build-arg", "WORD=given", context.path()]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("Successfully tagged stock:1"), "{text}");
    assert_eq!(daemon.docker(&["run", "--rm", "stock:1", "cat", "/word", "/in"]).ok(), "given\nside");
    let (code, text) = docker(&["build", "-q", "-t", "stock:1", "--build-arg", "WORD=given", context.path()]);
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("sha256:"), "{text}");
    context.write("Dockerfile", "FROM busybox\nRUN exit 5\n");
    let (code, text) = docker(&["build", context.path()]);
    assert_eq!(code, 5, "{text}");
    assert!(text.contains("returned a non-zero code: 5"), "{text}");
    daemon.finish();
}
