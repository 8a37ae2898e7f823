//! `image bootstrap`: a base image from the distribution's signed packages, where no registry is reachable.

use super::{Exit, print_line, pull, tell, transfer};
use crate::client::{Client, Lines, query};
use anyhow::{Context as _, bail};
use std::process::{Command, Stdio};

// `dhow image bootstrap`
#[derive(Debug, clap::Args)]
pub(crate) struct Bootstrap {
    /// Packages to install besides the base system
    #[arg(long, value_delimiter = ',')]
    packages: Vec<String>,
    /// Mirror to take packages from (default: this machine's apt sources)
    #[arg(long)]
    mirror: Option<String>,
    /// debian:SUITE, debian:SUITE-slim or ubuntu:SUITE
    #[arg(value_name = "NAME:SUITE")]
    image: String,
}

/// What mmdebstrap is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Recipe {
    suite: String,
    slim: bool,
}

const SUITES: &[&str] = &["bookworm", "trixie", "forky", "sid", "bullseye", "noble", "jammy", "resolute"];

impl Recipe {
    fn of(image: &str) -> anyhow::Result<Self> {
        let (name, tag) = image.rsplit_once(':').unwrap_or((image, "latest"));
        let name = name.rsplit('/').next().unwrap_or(name);
        if !matches!(name, "debian" | "ubuntu") {
            bail!("cannot bootstrap {image}: only debian:SUITE[-slim] and ubuntu:SUITE are known");
        }
        let (suite, slim) = tag.strip_suffix("-slim").map_or((tag, false), |suite| (suite, true));
        if !SUITES.contains(&suite) {
            bail!("cannot bootstrap {image}: unknown suite {suite:?} (known: {})", SUITES.join(", "));
        }
        Ok(Self { suite: suite.to_owned(), slim })
    }

    /// mmdebstrap's arguments; the tar goes to stdout.
    fn arguments(&self, packages: &[String], mirror: Option<&str>) -> Vec<String> {
        let mut args: Vec<String> =
            ["--quiet", "--variant=minbase", "--mode=root", "--format=tar"].map(str::to_owned).to_vec();
        if self.slim {
            for path in ["/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*"] {
                args.push(format!("--dpkgopt=path-exclude={path}"));
            }
            args.push("--dpkgopt=path-include=/usr/share/doc/*/copyright".to_owned());
        }
        args.push("--aptopt=Apt::Install-Recommends \"false\"".to_owned());
        if !packages.is_empty() {
            args.push(format!("--include={}", packages.join(",")));
        }
        args.push(self.suite.clone());
        args.push("-".to_owned());
        args.extend(mirror.map(str::to_owned));
        args
    }
}

impl Bootstrap {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let recipe = Recipe::of(&self.image)?;
        let mut child = Command::new("mmdebstrap")
            .args(recipe.arguments(&self.packages, self.mirror.as_deref()))
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("starting mmdebstrap (install the mmdebstrap package)")?;
        let tar = child.stdout.take().context("mmdebstrap has no output")?;
        tell(&format!("Making {} from the distribution's packages (suite {})", self.image, recipe.suite));
        let image = pull::with_tag(&self.image);
        let (repository, tag) = image.rsplit_once(':').unwrap_or((&image, "latest"));
        let (repository, tag) = (repository.to_owned(), tag.to_owned());
        let waiting = std::sync::Arc::new(std::sync::Mutex::new(None));
        let body = transfer::upload_reader(Checked { tar, child: Some(child), status: waiting.clone() });
        let pairs = [
            ("fromSrc", "-".to_owned()),
            ("repo", repository),
            ("tag", tag),
            ("message", format!("bootstrapped from packages: {}", self.packages.join(","))),
            ("changes", "CMD [\"bash\"]".to_owned()),
            ("changes", "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ];
        let headers = [("Content-Type", "application/x-tar".to_owned())];
        let outcome = async {
            let response = client
                .call(http::Method::POST, &format!("/images/create{}", query(&pairs)), &headers, body)
                .await?;
            pull::show(Lines::new(response), true, true).await
        }
        .await;
        if let Some(failure) = waiting.lock().ok().and_then(|mut slot| slot.take()) {
            return Err(Exit(1, failure).into());
        }
        outcome?;
        print_line(&image)?;
        Ok(0)
    }
}

/// mmdebstrap's output, which ends in an error if mmdebstrap failed: a cut-off tar must not become an image.
struct Checked {
    tar: std::process::ChildStdout,
    child: Option<std::process::Child>,
    status: std::sync::Arc<std::sync::Mutex<Option<String>>>,
}

impl std::io::Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.tar.read(buffer)?;
        if count == 0
            && let Some(mut child) = self.child.take()
        {
            let status = child.wait()?;
            if !status.success() {
                let text = format!("mmdebstrap failed ({status}): the image was not made");
                if let Ok(mut slot) = self.status.lock() {
                    *slot = Some(text.clone());
                }
                return Err(std::io::Error::other(text));
            }
        }
        Ok(count)
    }
}

impl Drop for Checked {
    fn drop(&mut self) {
        // the engine refused in the middle: mmdebstrap cleans up after itself when its output breaks, and is waited for here
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_name_what_is_unknown() {
        assert_eq!(
            Recipe::of("debian:bookworm-slim").unwrap(),
            Recipe { suite: "bookworm".into(), slim: true }
        );
        assert_eq!(
            Recipe::of("docker.io/library/ubuntu:noble").unwrap(),
            Recipe { suite: "noble".into(), slim: false }
        );
        assert!(Recipe::of("alpine:3").unwrap_err().to_string().contains("alpine:3"));
        assert!(Recipe::of("debian:potato").unwrap_err().to_string().contains("potato"));
        let args = Recipe::of("debian:bookworm").unwrap().arguments(&["python3".into(), "curl".into()], None);
        assert!(
            args.contains(&"--include=python3,curl".to_owned())
                && args.ends_with(&["bookworm".into(), "-".into()])
        );
    }
}
