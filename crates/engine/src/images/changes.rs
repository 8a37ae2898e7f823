//! `--change` of `docker commit` and `docker import`: Dockerfile instructions that change an image's configuration. Pure.

use crate::{Error, Kind, Result};
use dhow_oci::image::{ContainerConfig, Empty, Healthcheck};

fn invalid(message: String) -> Error {
    Error::new(Kind::Invalid, message)
}

/// Applies instructions in order.
pub(crate) fn apply(config: &mut ContainerConfig, changes: &[String]) -> Result<()> {
    let lines = changes.iter().flat_map(|change| change.lines()).map(str::trim).filter(|l| !l.is_empty());
    for line in lines {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        if rest.is_empty() {
            return Err(invalid(format!("{} requires at least one argument", word.to_uppercase())));
        }
        match word.to_ascii_uppercase().as_str() {
            "CMD" => config.cmd = Some(command(rest)),
            "ENTRYPOINT" => {
                config.entrypoint = Some(command(rest));
            }
            "ENV" => {
                let env = config.env.get_or_insert_default();
                for (key, value) in pairs(rest)? {
                    env.retain(|old| old.split('=').next() != Some(key.as_str()));
                    env.push(format!("{key}={value}"));
                }
            }
            "LABEL" => config.labels.get_or_insert_default().extend(pairs(rest)?),
            "EXPOSE" => {
                for port in rest.split_whitespace() {
                    let port = if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") };
                    config.exposed_ports.get_or_insert_default().insert(port, Empty {});
                }
            }
            "VOLUME" => {
                let list = json(rest).unwrap_or_else(|| rest.split_whitespace().map(str::to_owned).collect());
                config.volumes.get_or_insert_default().extend(list.into_iter().map(|path| (path, Empty {})));
            }
            "USER" => rest.clone_into(&mut config.user),
            "WORKDIR" => {
                config.working_dir = if rest.starts_with('/') {
                    rest.to_owned()
                } else {
                    format!("{}/{rest}", config.working_dir.trim_end_matches('/'))
                };
            }
            "STOPSIGNAL" => config.stop_signal = Some(rest.to_owned()),
            "ONBUILD" => config.on_build.get_or_insert_default().push(rest.to_owned()),
            "HEALTHCHECK" => config.healthcheck = Some(healthcheck(rest)?),
            other => return Err(invalid(format!("{other} is not a valid change command"))),
        }
    }
    Ok(())
}

fn json(text: &str) -> Option<Vec<String>> {
    text.starts_with('[').then(|| serde_json::from_str(text).ok()).flatten()
}

fn command(text: &str) -> Vec<String> {
    json(text).unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()])
}

fn healthcheck(text: &str) -> Result<Healthcheck> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let test = match word.to_ascii_uppercase().as_str() {
        "NONE" => vec!["NONE".to_owned()],
        "CMD" => match json(rest.trim()) {
            Some(list) => std::iter::once("CMD".to_owned()).chain(list).collect(),
            None => vec!["CMD-SHELL".to_owned(), rest.trim().to_owned()],
        },
        _ => return Err(invalid(format!("HEALTHCHECK {text}: only NONE and CMD are supported in a change"))),
    };
    Ok(Healthcheck { test: Some(test), ..Healthcheck::default() })
}

/// `a=1 b="two words"`, or the old `a rest of line`.
fn pairs(text: &str) -> Result<Vec<(String, String)>> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let (key, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        return Ok(vec![(key.to_owned(), value.trim().to_owned())]);
    }
    let (mut words, mut word, mut quote, mut escaped) = (Vec::new(), String::new(), None, false);
    for c in text.chars() {
        match (c, quote) {
            (c, _) if escaped => {
                word.push(c);
                escaped = false;
            }
            ('\\', _) => escaped = true,
            (c, Some(q)) if c == q => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            (c, None) if c.is_whitespace() => words.push(std::mem::take(&mut word)),
            (c, _) => word.push(c),
        }
    }
    words.push(word);
    words
        .into_iter()
        .filter(|w| !w.is_empty())
        .map(|w| {
            let (key, value) =
                w.split_once('=').ok_or_else(|| invalid(format!("{w:?}: expected name=value")))?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions() {
        let mut config = ContainerConfig { env: Some(vec!["A=0".into()]), ..ContainerConfig::default() };
        let changes =
            ["CMD [\"a\",\"b\"]", "ENV A=1 B=\"two words\"", "EXPOSE 80 53/udp", "WORKDIR /x", "LABEL k v w"];
        apply(&mut config, &changes.map(str::to_owned)).unwrap();
        assert_eq!(config.cmd.unwrap(), ["a", "b"]);
        assert_eq!(config.env.unwrap(), ["A=1", "B=two words"]);
        assert!(config.exposed_ports.unwrap().contains_key("80/tcp"));
        assert_eq!(config.labels.unwrap()["k"], "v w");
        let mut config = ContainerConfig::default();
        assert!(apply(&mut config, &["FROM x".to_owned()]).is_err());
        assert!(apply(&mut config, &["CMD".to_owned()]).is_err());
    }
}
