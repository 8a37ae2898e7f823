//! Pulls from a real registry on loopback: whole images, wrong digests, cut layers.

use super::images::{nothing_temporary, stored_layers};
use dhow_testkit::{Daemon, is_root};
use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Debian's `docker-registry` on a port of its own, with its files in the daemon's folder.
struct Registry {
    child: Child,
    port: u16,
    files: PathBuf,
}

impl Registry {
    fn start(folder: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let files = folder.join("registry");
        fs::create_dir_all(&files).unwrap();
        let config = folder.join("registry.yml");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            files.display()
        );
        fs::write(&config, text).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is not installed: run `cargo xtask test`, which installs it");
        let registry = Self { child, port, files };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "the registry does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
        registry
    }

    fn name(&self, image: &str) -> String {
        format!("127.0.0.1:{}/{image}", self.port)
    }

    /// Puts an archive of `save` into it.
    fn fill(&self, archive: &Path, image: &str) {
        let output = Command::new("skopeo")
            .args(["copy", "-q", "--insecure-policy", "--dest-tls-verify=false"])
            .arg(format!("docker-archive:{}", archive.display()))
            .arg(format!("docker://{}", self.name(image)))
            .output()
            .expect("skopeo is not installed: run `cargo xtask test`, which installs it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The file of its largest blob: the layer.
    fn layer(&self) -> PathBuf {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else if path.ends_with("data") {
                    found.push(path);
                }
            }
        }
        let mut blobs = Vec::new();
        walk(&self.files.join("docker/registry/v2/blobs"), &mut blobs);
        blobs.into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // it may have ended by itself
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn root_pulls_are_whole_or_leave_nothing() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let registry = Registry::start(daemon.folder());
    let archive = daemon.folder().join("saved.tar");
    daemon.dhow(&["save", "-o", archive.to_str().unwrap(), "busybox"]).ok();
    registry.fill(&archive, "team/box:1");
    // the manifest changes on the way: layers are compressed in a registry
    let content = |image: &str| {
        daemon.dhow(&["inspect", "-f", "{{json .RootFS}} {{json .Config}}", image]).ok().to_owned()
    };
    let pushed = content("busybox");
    daemon.dhow(&["rmi", "busybox"]).ok();
    let image = registry.name("team/box:1");

    let pulled = daemon.dhow(&["pull", &image]);
    assert!(pulled.ok().contains("Downloaded newer image"), "{}", pulled.out);
    assert_eq!(content(&image), pushed, "the image that was pushed");
    let id = daemon.dhow(&["inspect", "-f", "{{.Id}}", &image]).ok().to_owned();
    assert_eq!(daemon.dhow(&["run", "--rm", &image, "echo", "pulled"]).ok(), "pulled");
    let digests = daemon.dhow(&["inspect", "-f", "{{index .RepoDigests 0}}", &image]).ok().to_owned();
    assert!(daemon.dhow(&["pull", &image]).ok().contains("Image is up to date"));
    daemon.dhow(&["rmi", "-f", &id]).ok();
    daemon.dhow(&["pull", "-q", &digests]).ok();
    assert_eq!(daemon.dhow(&["run", "--rm", &digests, "echo", "by digest"]).ok(), "by digest");
    daemon.dhow(&["rmi", "-f", &id]).ok();
    assert_eq!(daemon.docker(&["run", "--rm", &image, "echo", "docker pulls too"]).ok(), "docker pulls too");
    daemon.dhow(&["rmi", "-f", &id]).ok();

    let nothing = |after: &str| {
        assert_eq!(daemon.dhow(&["images", "-aq"]).ok(), "", "{after}");
        assert_eq!(daemon.dhow(&["ps", "-aq"]).ok(), "", "{after}");
        // the files of a container with --rm, and with them its image's layers, go a moment after its end
        let began = Instant::now();
        while !stored_layers(&daemon).is_empty() {
            assert!(began.elapsed() < Duration::from_secs(10), "{after}: {:?}", stored_layers(&daemon));
            std::thread::sleep(Duration::from_millis(10));
        }
        nothing_temporary(&daemon);
    };
    nothing("rmi");
    daemon.dhow(&["pull", &registry.name("team/box:2")]).fails(1, "team/box:2");
    daemon.dhow(&["pull", &registry.name("nobody/nothing")]).fails(1, "nobody/nothing");
    let wrong = registry.name(&format!("team/box@sha256:{}", "0".repeat(64)));
    daemon.dhow(&["pull", &wrong]).fails(1, "0000");
    daemon.dhow(&["run", "--rm", &registry.name("team/box:3"), "true"]).fails(125, "team/box:3");
    nothing("names that are not there");

    let layer = registry.layer();
    let whole = fs::read(&layer).unwrap();
    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 0x55;
    fs::write(&layer, &changed).unwrap();
    let ran = daemon.dhow(&["pull", &image]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    nothing("a changed layer");
    fs::write(&layer, &whole[..whole.len() / 2]).unwrap();
    let ran = daemon.dhow(&["pull", &image]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    nothing("a cut layer");
    fs::write(&layer, &whole).unwrap();
    daemon.dhow(&["pull", "-q", &image]).ok();
    assert_eq!(daemon.dhow(&["run", "--rm", &image, "echo", "well again"]).ok(), "well again");
    let port = registry.port;
    drop(registry);
    daemon.dhow(&["pull", &image]).fails(1, &format!("127.0.0.1:{port}"));
    daemon.finish();
}

#[test]
fn root_pushes_send_what_the_registry_lacks() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let registry = Registry::start(daemon.folder());
    let context = daemon.folder().join("pushed");
    fs::create_dir(&context).unwrap();
    fs::write(context.join("Dockerfile"), "FROM busybox\nRUN echo from the registry > /word\n").unwrap();
    let (first, second) = (registry.name("some/thing:1"), registry.name("other:2"));
    daemon.dhow(&["build", "-q", "-t", &first, context.to_str().unwrap()]).ok();
    let pushed = daemon.dhow(&["push", &first]);
    assert_eq!(pushed.ok().matches(": Pushed").count(), 2, "{}", pushed.out);
    assert!(pushed.out.contains("1: digest: sha256:"), "{}", pushed.out);
    // again, by docker's own words: nothing is sent
    let again = daemon.docker(&["push", &first]);
    assert_eq!(again.ok().matches(": Layer already exists").count(), 2, "{}", again.out);
    // to another repository of the same registry: taken over there
    daemon.dhow(&["tag", &first, &second]).ok();
    let mounted = daemon.dhow(&["push", &second]);
    assert_eq!(mounted.ok().matches(": Mounted from some/thing").count(), 2, "{}", mounted.out);
    // what came back is what went
    daemon.dhow(&["rmi", "-f", &first, &second]).ok();
    assert_eq!(daemon.dhow(&["run", "--rm", &second, "cat", "/word"]).ok(), "from the registry");
    let digest = |out: &str| out.rsplit("digest: ").next().unwrap().split(' ').next().unwrap().to_owned();
    let by_digest = format!("{}@{}", registry.name("other"), digest(mounted.ok()));
    daemon.dhow(&["pull", "-q", &by_digest]).ok();
    // refusals name what is missing
    daemon.dhow(&["push", &registry.name("absent:1")]).fails(1, "tag does not exist");
    daemon.dhow(&["push", &by_digest]).fails(1, "cannot push a digest reference");
    drop(registry);
    daemon.dhow(&["push", &second]).fails(1, "connection refused");
    daemon.finish();
}
