//! Values of flags: ports, volumes, mounts, sizes, durations, environment files. Pure but for the files that a flag names.

use anyhow::{Context as _, anyhow, bail};
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

/// Go's durations (`1m30s`, `1.5h`, `100ms`) in nanoseconds.
pub(crate) fn duration(text: &str) -> anyhow::Result<i64> {
    let bad = || anyhow!("time: invalid duration {text:?}");
    if text == "0" {
        return Ok(0);
    }
    let (negative, mut rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let mut total = 0f64;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(|| anyhow!("time: missing unit in duration {text:?}"))?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, next) = tail.split_at(unit_end);
        let scale = match unit {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => bail!("time: unknown unit {unit:?} in duration {text:?}"),
        };
        total += number.parse::<f64>().map_err(|_| bad())? * scale;
        rest = next;
    }
    if total > 9.2e18 {
        return Err(bad());
    }
    #[allow(clippy::cast_possible_truncation, reason = "bounded above")]
    let nanos = total as i64;
    Ok(if negative { -nanos } else { nanos })
}

/// `512m`, `1.5g`, `64KiB`, `100` in bytes: go-units' RAMInBytes.
pub(crate) fn bytes(text: &str) -> anyhow::Result<i64> {
    let lower = text.trim().to_lowercase();
    let end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(end);
    let shift = match unit.trim().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => bail!("invalid size: '{text}'"),
    };
    let value = number.parse::<f64>().map_err(|_| anyhow!("invalid size: '{text}'"))?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "sizes are far below 2^53"
    )]
    let bytes = (value * (1u64 << shift) as f64) as i64;
    Ok(bytes)
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

fn port_range(text: &str, whole: &str) -> anyhow::Result<(u16, u16)> {
    let bad = || anyhow!("invalid containerPort: {whole}");
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse::<u16>().map_err(|_| bad())?, last.parse::<u16>().map_err(|_| bad())?);
    if first > last {
        return Err(bad());
    }
    Ok((first, last))
}

fn protocol(text: &str, whole: &str) -> anyhow::Result<String> {
    let lower = text.to_lowercase();
    match lower.as_str() {
        "tcp" | "udp" | "sctp" => Ok(lower),
        _ => bail!("invalid proto: {text} in {whole}"),
    }
}

/// `-p [ip:][host[-range]:]container[-range][/proto]` and `--expose` → ExposedPorts and PortBindings.
pub(crate) fn ports(publish: &[String], expose: &[String]) -> anyhow::Result<(Value, Value)> {
    let mut exposed = Map::new();
    let mut bindings: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for spec in publish {
        let (address, proto) =
            spec.rsplit_once('/').map_or(Ok((spec.as_str(), "tcp".to_owned())), |(address, proto)| {
                protocol(proto, spec).map(|p| (address, p))
            })?;
        let (front, container) = address.rsplit_once(':').unwrap_or(("", address));
        let (ip, host) = match front.strip_prefix('[') {
            Some(rest) => {
                let (ip, tail) =
                    rest.split_once(']').with_context(|| format!("invalid IP address in {spec}"))?;
                (ip, tail.strip_prefix(':').unwrap_or(""))
            }
            None => front.rsplit_once(':').unwrap_or(("", front)),
        };
        if !ip.is_empty() && ip.parse::<std::net::IpAddr>().is_err() {
            bail!("invalid IP address: {ip}");
        }
        if container.is_empty() {
            bail!("no port specified: {spec}<empty>");
        }
        let (first, last) = port_range(container, container)?;
        let host_range = if host.is_empty() {
            None
        } else {
            Some(port_range(host, host).map_err(|_| anyhow!("invalid hostPort: {host}"))?)
        };
        if let Some((low, high)) = host_range
            && high - low != last - first
            && first != last
        {
            bail!("invalid ranges specified for container and host Ports: {container} and {host}");
        }
        for port in first..=last {
            let key = format!("{port}/{proto}");
            let host_port = match host_range {
                None => String::new(),
                Some((low, high)) if first == last && low != high => format!("{low}-{high}"),
                Some((low, _)) => (low + (port - first)).to_string(),
            };
            exposed.insert(key.clone(), json!({}));
            bindings.entry(key).or_default().push(json!({ "HostIp": ip, "HostPort": host_port }));
        }
    }
    for spec in expose {
        let (range, proto) =
            spec.rsplit_once('/').map_or(Ok((spec.as_str(), "tcp".to_owned())), |(range, proto)| {
                protocol(proto, spec).map(|p| (range, p))
            })?;
        let (first, last) =
            port_range(range, range).map_err(|_| anyhow!("invalid range format for --expose: {spec}"))?;
        for port in first..=last {
            exposed.insert(format!("{port}/{proto}"), json!({}));
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
            "tmpfs-size" => {
                drop(tmpfs.insert("SizeBytes".into(), json!(bytes(value).map_err(|e| bad(e.to_string()))?)))
            }
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
    if flags.is_empty() {
        return Ok(None);
    }
    let mut map: BTreeMap<&str, BTreeMap<&str, bool>> = BTreeMap::new();
    for filter in flags {
        let (key, value) = filter.split_once('=').with_context(|| {
            format!(
                "invalid argument {filter:?} for \"-f, --filter\": bad format of filter (expected name=value)"
            )
        })?;
        map.entry(key.trim()).or_default().insert(value.trim(), true);
    }
    Ok(Some(serde_json::to_string(&map)?))
}

/// `--since`/`--until`: a duration back from now, RFC 3339, a date, or seconds since the epoch → seconds with a fraction.
pub(crate) fn moment(text: &str) -> anyhow::Result<String> {
    if text.parse::<f64>().is_ok() {
        return Ok(text.to_owned());
    }
    let seconds = |time: jiff::Timestamp| format!("{}.{:09}", time.as_second(), time.subsec_nanosecond());
    if let Ok(nanos) = duration(text) {
        let now = jiff::Timestamp::now();
        return Ok(seconds(now - jiff::SignedDuration::from_nanos(nanos)));
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(seconds(time));
    }
    let local = text
        .parse::<jiff::civil::DateTime>()
        .or_else(|_| text.parse::<jiff::civil::Date>().map(|date| date.at(0, 0, 0, 0)));
    match local.map(|time| time.to_zoned(jiff::tz::TimeZone::system())) {
        Ok(Ok(zoned)) => Ok(seconds(zoned.timestamp())),
        _ => bail!("failed to parse value as time or duration: {text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_gos() {
        for (text, nanos) in [
            ("1s", 1_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("100ms", 100_000_000),
            ("-2s", -2_000_000_000),
            ("0", 0),
        ] {
            assert_eq!(duration(text).unwrap(), nanos, "{text}");
        }
        for bad in ["", "5", "1x", "s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for (text, size) in [
            ("512m", 512 << 20),
            ("1.5g", 3 << 29),
            ("64KiB", 64 << 10),
            ("100", 100),
            ("2kb", 2048),
            ("6M", 6 << 20),
        ] {
            assert_eq!(bytes(text).unwrap(), size, "{text}");
        }
        assert!(bytes("12q").is_err());
    }

    #[test]
    fn ports_have_all_of_dockers_forms() {
        let read = |spec: &str| ports(&[spec.to_owned()], &[]).map(|(_, bindings)| bindings.to_string());
        assert_eq!(read("80").unwrap(), r#"{"80/tcp":[{"HostIp":"","HostPort":""}]}"#);
        assert_eq!(
            read("127.0.0.1:8080:80/udp").unwrap(),
            r#"{"80/udp":[{"HostIp":"127.0.0.1","HostPort":"8080"}]}"#
        );
        assert_eq!(read("[::1]:8080:80").unwrap(), r#"{"80/tcp":[{"HostIp":"::1","HostPort":"8080"}]}"#);
        assert_eq!(
            read("8000-8001:80-81").unwrap(),
            r#"{"80/tcp":[{"HostIp":"","HostPort":"8000"}],"81/tcp":[{"HostIp":"","HostPort":"8001"}]}"#
        );
        assert_eq!(read("8000-8010:80").unwrap(), r#"{"80/tcp":[{"HostIp":"","HostPort":"8000-8010"}]}"#);
        for bad in ["", "a", "80:b", "1:2:3", "80/foo", "70000", "8000-8001:80-85", "9-8"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn mounts_name_what_is_wrong() {
        let good = mount("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777").unwrap();
        assert_eq!(good["TmpfsOptions"], json!({ "SizeBytes": 1 << 20, "Mode": 0o1777 }));
        assert_eq!(mount("type=bind,src=/a,dst=/b,ro").unwrap()["ReadOnly"], json!(true));
        assert!(mount("type=bind,src=/a").unwrap_err().to_string().contains("target is required"));
        assert!(mount("type=bind,foo=1,dst=/b").unwrap_err().to_string().contains("unexpected key 'foo'"));
    }
}
