//! Values of flags: ports, volumes, mounts, sizes, durations, environment files. Pure but for the files that a flag names.

use anyhow::{Context as _, anyhow, bail};
use dhow_wire::{ports, size, time};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// `a=b,c` → pairs; a bare word has an empty value. Quotes around a field keep commas (CSV).
pub(crate) fn csv(text: &str) -> Vec<(&str, &str)> {
    let mut fields = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (field, next) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (field, after) = quoted.split_once('"').unwrap_or((quoted, ""));
                (field, after.strip_prefix(',').unwrap_or(after))
            }
            None => rest.split_once(',').unwrap_or((rest, "")),
        };
        fields.push(field.split_once('=').unwrap_or((field, "")));
        rest = next;
    }
    fields
}

/// `1.5` processors in billionths.
pub(crate) fn nano_cpus(text: &str) -> anyhow::Result<i64> {
    let value = text
        .parse::<f64>()
        .ok()
        .filter(|n| n.is_finite() && *n >= 0.0)
        .with_context(|| format!("failed to parse {text} as a rational number"))?;
    #[allow(clippy::cast_possible_truncation, reason = "a number of processors")]
    let nano = (value * 1e9).round() as i64;
    Ok(nano)
}

/// `--env-file` then `-e`: `NAME` alone takes ours, and is left out if we have none.
pub(crate) fn environment(files: &[PathBuf], flags: &[String]) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for file in files {
        lines.extend(lines_of(file)?);
    }
    lines.extend(flags.iter().cloned());
    let mut out = Vec::with_capacity(lines.len());
    for line in lines {
        if line.contains('=') {
            if line.starts_with('=') {
                bail!("invalid environment variable: {line}");
            }
            out.push(line);
        } else if let Ok(value) = std::env::var(&line) {
            out.push(format!("{line}={value}"));
        }
    }
    Ok(out)
}

fn lines_of(file: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("open {}", file.display()))?;
    let mut out = Vec::new();
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split('=').next().unwrap_or("");
        if name.contains(char::is_whitespace) {
            bail!(
                "invalid env file ({}) line {}: variable '{name}' contains whitespaces",
                file.display(),
                number + 1
            );
        }
        out.push(line.to_owned());
    }
    Ok(out)
}

/// `--label-file` then `-l`.
pub(crate) fn labels(files: &[PathBuf], flags: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut lines = Vec::new();
    for file in files {
        lines.extend(lines_of(file)?);
    }
    lines.extend(flags.iter().cloned());
    Ok(lines
        .into_iter()
        .map(|line| match line.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => (line, String::new()),
        })
        .collect())
}

/// `-p` and `--expose` → ExposedPorts and PortBindings.
pub(crate) fn ports(publish: &[String], expose: &[String]) -> anyhow::Result<(Value, Value)> {
    let mut exposed = Map::new();
    let mut bindings: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for spec in publish {
        for port in ports::parse(spec)? {
            exposed.insert(port.key(), json!({}));
            bindings
                .entry(port.key())
                .or_default()
                .push(json!({ "HostIp": port.host_ip, "HostPort": port.host_port }));
        }
    }
    for spec in expose {
        for (port, protocol) in
            ports::exposed(spec).with_context(|| format!("invalid range format for --expose: {spec}"))?
        {
            exposed.insert(format!("{port}/{protocol}"), json!({}));
        }
    }
    Ok((Value::Object(exposed), json!(bindings)))
}

/// The `-v` values without a source: paths of anonymous volumes.
pub(crate) fn anonymous_volumes(specs: &[String]) -> impl Iterator<Item = String> + '_ {
    specs.iter().filter(|spec| !spec.contains(':')).cloned()
}

fn absolute(path: &str) -> anyhow::Result<String> {
    let relative = path.starts_with("./") || path.starts_with("../") || path == "." || path == "..";
    if relative {
        return Ok(std::path::absolute(path)
            .with_context(|| format!("resolving {path}"))?
            .display()
            .to_string());
    }
    match path.strip_prefix("~/") {
        Some(rest) => Ok(format!("{}/{rest}", std::env::var("HOME").context("~ without HOME")?)),
        None => Ok(path.to_owned()),
    }
}

/// `-v source:target[:options]` with a relative source made absolute.
pub(crate) fn bind(spec: &str) -> anyhow::Result<String> {
    let (source, rest) = spec.split_once(':').unwrap_or((spec, ""));
    if source.is_empty() || rest.is_empty() {
        bail!("invalid spec: {spec}: empty section between colons");
    }
    Ok(format!("{}:{rest}", absolute(source)?))
}

fn flag(value: &str, key: &str) -> anyhow::Result<bool> {
    match value.to_lowercase().as_str() {
        "" | "1" | "true" | "t" => Ok(true),
        "0" | "false" | "f" => Ok(false),
        _ => bail!("invalid value for {key}: {value}"),
    }
}

/// `--mount type=…,source=…,target=…`.
pub(crate) fn mount(spec: &str) -> anyhow::Result<Value> {
    let bad = |why: String| anyhow!("invalid argument {spec:?} for \"--mount\" flag: {why}");
    let (mut kind, mut source, mut target, mut readonly) = ("volume", String::new(), String::new(), false);
    let (mut bind, mut volume, mut tmpfs, mut image) = (Map::new(), Map::new(), Map::new(), Map::new());
    let (mut labels, mut driver_options) = (Map::new(), Map::new());
    let pair = |value: &str| {
        value.split_once('=').map_or((value.to_owned(), json!("")), |(k, v)| (k.to_owned(), json!(v)))
    };
    for (key, value) in csv(spec) {
        match key.to_lowercase().as_str() {
            "type" => kind = value,
            "source" | "src" => source = value.to_owned(),
            "target" | "dst" | "destination" => target = value.to_owned(),
            "readonly" | "ro" => readonly = flag(value, key).map_err(|e| bad(e.to_string()))?,
            "rw" => readonly = !flag(value, key).map_err(|e| bad(e.to_string()))?,
            "bind-propagation" => drop(bind.insert("Propagation".into(), json!(value))),
            "bind-recursive" => match value {
                "enabled" => {}
                "disabled" => drop(bind.insert("NonRecursive".into(), json!(true))),
                "writable" => drop(bind.insert("ReadOnlyNonRecursive".into(), json!(true))),
                "readonly" => drop(bind.insert("ReadOnlyForceRecursive".into(), json!(true))),
                other => return Err(bad(format!("invalid value for {key}: {other}"))),
            },
            "bind-create-src" | "create-host-path" => {
                drop(bind.insert("CreateMountpoint".into(), json!(flag(value, key)?)))
            }
            "volume-nocopy" => drop(volume.insert("NoCopy".into(), json!(flag(value, key)?))),
            "volume-subpath" => drop(volume.insert("Subpath".into(), json!(value))),
            "volume-label" => drop(labels.insert(pair(value).0, pair(value).1)),
            "volume-driver" => drop(driver_options.insert("Name".into(), json!(value))),
            "volume-opt" => {
                let (name, option) = pair(value);
                match driver_options.entry("Options").or_insert_with(|| json!({})) {
                    Value::Object(options) => drop(options.insert(name, option)),
                    _ => return Err(bad("volume-opt".into())),
                }
            }
            "image-subpath" => drop(image.insert("Subpath".into(), json!(value))),
            "tmpfs-size" => drop(
                tmpfs.insert("SizeBytes".into(), json!(size::ram(value).map_err(|e| bad(e.to_string()))?)),
            ),
            "tmpfs-mode" => drop(tmpfs.insert(
                "Mode".into(),
                json!(
                        u32::from_str_radix(value, 8)
                            .map_err(|_| bad(format!("invalid value for {key}: {value}")))?
                    ),
            )),
            _ => return Err(bad(format!("unexpected key '{key}' in '{key}={value}'"))),
        }
    }
    if target.is_empty() {
        return Err(bad("target is required".into()));
    }
    let mut out = json!({ "Type": kind, "Source": if kind == "bind" { absolute(&source)? } else { source }, "Target": target, "ReadOnly": readonly });
    if !labels.is_empty() {
        volume.insert("Labels".into(), Value::Object(labels));
    }
    if !driver_options.is_empty() {
        volume.insert("DriverConfig".into(), Value::Object(driver_options));
    }
    if let Value::Object(map) = &mut out {
        for (key, options) in [
            ("BindOptions", bind),
            ("VolumeOptions", volume),
            ("TmpfsOptions", tmpfs),
            ("ImageOptions", image),
        ] {
            if !options.is_empty() {
                map.insert(key.into(), Value::Object(options));
            }
        }
    }
    Ok(out)
}

/// `no`, `always`, `unless-stopped`, `on-failure[:n]`.
pub(crate) fn restart(text: &str) -> anyhow::Result<Value> {
    let (name, count) = text.split_once(':').map_or((text, None), |(name, count)| (name, Some(count)));
    let count = match count {
        None => 0,
        Some(count) => count
            .parse::<i64>()
            .map_err(|_| anyhow!("invalid restart policy format: maximum retry count must be an integer"))?,
    };
    Ok(json!({ "Name": name, "MaximumRetryCount": count }))
}

/// `seccomp=FILE` carries the file's content; the rest goes as it is.
pub(crate) fn security_option(text: &str) -> anyhow::Result<String> {
    match text.split_once('=') {
        Some(("seccomp", file))
            if file != "unconfined" && file != "builtin" && !file.trim_start().starts_with('{') =>
        {
            let profile = std::fs::read_to_string(file)
                .with_context(|| format!("opening seccomp profile ({file}) failed"))?;
            let parsed: Value = serde_json::from_str(&profile)
                .with_context(|| format!("compacting json for seccomp profile ({file}) failed"))?;
            Ok(format!("seccomp={parsed}"))
        }
        _ => Ok(text.to_owned()),
    }
}

/// `host:ip` or `host=ip`.
pub(crate) fn extra_host(text: &str) -> anyhow::Result<String> {
    let (name, address) = text
        .split_once('=')
        .or_else(|| text.split_once(':'))
        .with_context(|| format!("bad format for add-host: {text:?}"))?;
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    if name.is_empty() || (bare != "host-gateway" && bare.parse::<std::net::IpAddr>().is_err()) {
        bail!("invalid IP address in add-host: {address:?}");
    }
    Ok(format!("{name}:{bare}"))
}

/// `nofile=1024:2048`.
pub(crate) fn ulimit(text: &str) -> anyhow::Result<Value> {
    let bad = || anyhow!("invalid ulimit argument: {text}");
    let (name, limits) = text.split_once('=').ok_or_else(bad)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let (soft, hard) = (soft.parse::<i64>().map_err(|_| bad())?, hard.parse::<i64>().map_err(|_| bad())?);
    if hard != -1 && (soft == -1 || soft > hard) {
        bail!("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}");
    }
    Ok(json!({ "Name": name, "Soft": soft, "Hard": hard }))
}

/// `/dev/a[:/dev/b][:rwm]`.
pub(crate) fn device(text: &str) -> anyhow::Result<Value> {
    let parts: Vec<&str> = text.split(':').collect();
    let modes = |text: &str| !text.is_empty() && text.bytes().all(|b| b"rwm".contains(&b));
    let (outside, inside, access) = match parts.as_slice() {
        [outside] => (*outside, *outside, "rwm"),
        [outside, access] if modes(access) => (*outside, *outside, *access),
        [outside, inside] => (*outside, *inside, "rwm"),
        [outside, inside, access] if modes(access) => (*outside, *inside, *access),
        _ => bail!("invalid device specification: {text}"),
    };
    Ok(json!({ "PathOnHost": outside, "PathInContainer": inside, "CgroupPermissions": access }))
}

/// `--filter a=b` flags as the API's `filters` parameter.
pub(crate) fn filters(flags: &[String]) -> anyhow::Result<Option<String>> {
    let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for filter in flags {
        let (key, value) = filter.split_once('=').with_context(|| {
            format!(
                "invalid argument {filter:?} for \"-f, --filter\": bad format of filter (expected name=value)"
            )
        })?;
        map.entry(key.trim().to_owned()).or_default().push(value.trim().to_owned());
    }
    Ok((!map.is_empty()).then(|| dhow_wire::filters::encode(&map)))
}

/// `--since`/`--until` as seconds since the epoch with a fraction.
pub(crate) fn moment(text: &str) -> anyhow::Result<String> {
    let now =
        i64::try_from(jiff::Timestamp::now().as_nanosecond()).context("the clock is beyond the year 2262")?;
    let nanos = time::query(text, now)?.unwrap_or(0);
    Ok(format!("{}.{:09}", nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000)))
}

/// `--opt a=b`, `--label a=b` as an object; a bare key has an empty value.
pub(crate) fn options(flags: &[String]) -> Map<String, Value> {
    let pair = |flag: &String| match flag.split_once('=') {
        Some((key, value)) => (key.to_owned(), json!(value)),
        None => (flag.clone(), json!("")),
    };
    flags.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_name_what_is_wrong() {
        let good = mount("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777").unwrap();
        assert_eq!(good["TmpfsOptions"], json!({ "SizeBytes": 1 << 20, "Mode": 0o1777 }));
        assert_eq!(mount("type=bind,src=/a,dst=/b,ro").unwrap()["ReadOnly"], json!(true));
        assert!(mount("type=bind,src=/a").unwrap_err().to_string().contains("target is required"));
        assert!(mount("type=bind,foo=1,dst=/b").unwrap_err().to_string().contains("unexpected key 'foo'"));
    }
}
