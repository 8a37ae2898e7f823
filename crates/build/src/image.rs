//! The configuration of what is being built, and its history in BuildKit's words.

use crate::instructions::{CommandLine, Kind, Probe};
use dhow_oci::image::{ContainerConfig, Empty, Healthcheck, History, ImageConfig};
use std::collections::BTreeMap;

const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// The shell of shell-form instructions.
pub(crate) fn shell(config: &ContainerConfig) -> Vec<String> {
    config.shell.clone().unwrap_or_else(|| DEFAULT_SHELL.map(str::to_owned).to_vec())
}

/// A command line as the process gets it.
pub(crate) fn args(command: &CommandLine, config: &ContainerConfig) -> Vec<String> {
    match command {
        CommandLine::Exec(words) => words.clone(),
        CommandLine::Shell(text) => {
            let mut words = shell(config);
            words.push(text.clone());
            words
        }
    }
}

/// The value of a variable in `NAME=value` lines.
pub(crate) fn env_value<'a>(env: &'a [String], name: &str) -> Option<&'a str> {
    env.iter().find_map(|line| line.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

/// Sets a variable, in its place if it is there.
pub(crate) fn set_env(env: &mut Vec<String>, name: &str, value: &str) {
    let line = format!("{name}={value}");
    match env.iter_mut().find(|old| old.split_once('=').is_some_and(|(key, _)| key == name)) {
        Some(old) => *old = line,
        None => env.push(line),
    }
}

/// Applies an instruction that changes only the configuration; arguments are expanded already.
pub(crate) fn apply(image: &mut ImageConfig, kind: &Kind) {
    let config = &mut image.config;
    match kind {
        Kind::Env(pairs) => {
            let env = config.env.get_or_insert_default();
            for (name, value) in pairs {
                set_env(env, name, value);
            }
        }
        Kind::Label(pairs) => config.labels.get_or_insert_default().extend(pairs.iter().cloned()),
        Kind::Cmd(command) => config.cmd = Some(args(command, config)),
        Kind::Entrypoint(command) => {
            config.entrypoint = Some(args(command, config)).filter(|words| !words.is_empty());
            // a new entrypoint makes an inherited CMD meaningless
            config.cmd = None;
        }
        Kind::Expose(ports) => {
            let exposed = config.exposed_ports.get_or_insert_default();
            exposed.extend(ports.iter().flat_map(|port| expose(port)).map(|port| (port, Empty {})));
        }
        Kind::User(user) => config.user.clone_from(user),
        Kind::Volume(paths) => {
            config.volumes.get_or_insert_default().extend(paths.iter().map(|path| (path.clone(), Empty {})))
        }
        Kind::Shell(words) => config.shell = Some(words.clone()),
        Kind::StopSignal(signal) => config.stop_signal = Some(signal.clone()),
        Kind::Healthcheck(probe) => config.healthcheck = Some(healthcheck(probe.as_ref())),
        Kind::Onbuild(text) => config.on_build.get_or_insert_default().push(text.clone()),
        Kind::Maintainer(name) => image.author = Some(name.clone()),
        _ => {}
    }
}

/// `80`, `80/udp`, `8000-8002`.
fn expose(port: &str) -> Vec<String> {
    let (range, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) => {
            (first..=last).map(|port| format!("{port}/{}", protocol.to_lowercase())).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether every `EXPOSE` argument is a port.
pub(crate) fn check_expose(ports: &[String]) -> Result<(), String> {
    match ports.iter().find(|port| expose(port).is_empty()) {
        Some(bad) => Err(format!("invalid containerPort: {bad}")),
        None => Ok(()),
    }
}

fn healthcheck(probe: Option<&Probe>) -> Healthcheck {
    let Some(probe) = probe else {
        return Healthcheck { test: Some(vec!["NONE".to_owned()]), ..Healthcheck::default() };
    };
    let test = match &probe.command {
        CommandLine::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
        CommandLine::Exec(words) => std::iter::once("CMD".to_owned()).chain(words.iter().cloned()).collect(),
    };
    let nanos = |time: std::time::Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    Healthcheck {
        test: Some(test),
        interval: nanos(probe.interval),
        timeout: nanos(probe.timeout),
        start_period: nanos(probe.start_period),
        start_interval: nanos(probe.start_interval),
        retries: probe.retries,
    }
}

/// Adds a line of history. What changes no file has the time of what came before it, as BuildKit has it: the same
/// Dockerfile over the same layers is the same image.
pub(crate) fn record(image: &mut ImageConfig, created_by: String, layer_created: Option<&str>) {
    let before =
        || image.history.last().and_then(|line| line.created.clone()).or_else(|| image.created.clone());
    let created = layer_created.map(str::to_owned).or_else(before);
    image.history.push(History {
        created,
        created_by: Some(created_by),
        author: None,
        comment: Some("buildkit.dockerfile.v0".to_owned()),
        empty_layer: layer_created.is_none(),
    });
}

/// How an instruction stands in the history: `RUN /bin/sh -c … # buildkit`, `ENV a=b`.
pub(crate) fn created_by(
    kind: &Kind,
    text: &str,
    config: &ContainerConfig,
    build_args: &BTreeMap<String, String>,
) -> String {
    match kind {
        Kind::Run { command, heredocs, .. } => {
            let mut line = String::from("RUN ");
            if !build_args.is_empty() {
                let shown: Vec<String> =
                    build_args.iter().map(|(name, value)| format!("{name}={value}")).collect();
                line.push_str(&format!("|{} {} ", shown.len(), shown.join(" ")));
            }
            line.push_str(&args(command, config).join(" "));
            for heredoc in heredocs {
                line.push_str(&format!("\n{}{}", heredoc.content, heredoc.name));
            }
            line + " # buildkit"
        }
        Kind::Copy(copy) => {
            let verb = if copy.add { "ADD" } else { "COPY" };
            let sources: Vec<&str> = copy
                .sources
                .iter()
                .map(String::as_str)
                .chain(copy.heredocs.iter().map(|_| "<<heredoc"))
                .collect();
            format!("{verb} {} {} # buildkit", sources.join(" "), copy.destination)
        }
        Kind::Cmd(_) => format!("CMD {:?}", config.cmd.clone().unwrap_or_default()),
        Kind::Entrypoint(_) => format!("ENTRYPOINT {:?}", config.entrypoint.clone().unwrap_or_default()),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_change_the_configuration() {
        let mut image = ImageConfig::default();
        image.config.cmd = Some(vec!["old".into()]);
        let env = |pairs: &[(&str, &str)]| {
            Kind::Env(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
        };
        for kind in [
            env(&[("A", "1"), ("B", "2")]),
            env(&[("A", "3")]),
            Kind::Entrypoint(CommandLine::Shell("run".into())),
            Kind::Expose(vec!["80".into(), "90-91/UDP".into()]),
            Kind::Healthcheck(None),
        ] {
            apply(&mut image, &kind);
        }
        assert_eq!(image.config.env.unwrap(), ["A=3", "B=2"]);
        assert_eq!(image.config.entrypoint.unwrap(), ["/bin/sh", "-c", "run"]);
        assert_eq!(image.config.cmd, None);
        assert_eq!(
            image.config.exposed_ports.unwrap().into_keys().collect::<Vec<_>>(),
            ["80/tcp", "90/udp", "91/udp"]
        );
        assert_eq!(image.config.healthcheck.unwrap().test.unwrap(), ["NONE"]);
        assert!(check_expose(&["x".into()]).is_err());
    }
}
