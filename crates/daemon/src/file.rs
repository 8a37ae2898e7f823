//! `daemon.json`: the same settings in dockerd's names. A setting given twice, or unknown, is an error as with dockerd.

use crate::config::Flags;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
};

const DEFAULT: &str = "/etc/dhow/daemon.json";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct File {
    hosts: Vec<String>,
    tls: Option<bool>,
    tlsverify: Option<bool>,
    tlscacert: Option<PathBuf>,
    tlscert: Option<PathBuf>,
    tlskey: Option<PathBuf>,
    data_root: Option<PathBuf>,
    exec_root: Option<PathBuf>,
    pidfile: Option<PathBuf>,
    insecure_registries: Vec<String>,
    registry_mirrors: Vec<String>,
    log_driver: Option<String>,
    log_opts: BTreeMap<String, String>,
    default_address_pools: Vec<Pool>,
    bip: Option<String>,
    labels: Vec<String>,
    dns: Vec<IpAddr>,
    debug: bool,
    host_ca: bool,
    instance: Option<String>,
    runtimes: BTreeMap<String, Runtime>,
    default_runtime: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Runtime {
    path: String,
    #[serde(default)]
    runtime_args: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pool {
    base: String,
    size: u8,
}

/// The flags with what the file adds.
pub(crate) fn merge(flags: Flags) -> Result<Flags> {
    let path = flags.config_file.clone();
    let text = match std::fs::read_to_string(path.as_deref().unwrap_or(Path::new(DEFAULT))) {
        Ok(text) => text,
        Err(error) if path.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(flags),
        Err(error) => {
            let path = path.unwrap_or_else(|| DEFAULT.into());
            return Err(error)
                .with_context(|| format!("cannot read the configuration file {}", path.display()));
        }
    };
    let path = path.unwrap_or_else(|| DEFAULT.into());
    add(flags, &text).with_context(|| format!("configuration file {}", path.display()))
}

fn add(mut flags: Flags, text: &str) -> Result<Flags> {
    if text.trim().is_empty() {
        return Ok(flags);
    }
    let file: File = serde_json::from_str(text)?;
    list("hosts", &mut flags.host, file.hosts)?;
    one("tls", &mut flags.tls, file.tls)?;
    one("tlsverify", &mut flags.tlsverify, file.tlsverify)?;
    one("tlscacert", &mut flags.tlscacert, file.tlscacert)?;
    one("tlscert", &mut flags.tlscert, file.tlscert)?;
    one("tlskey", &mut flags.tlskey, file.tlskey)?;
    one("data-root", &mut flags.data_root, file.data_root)?;
    one("exec-root", &mut flags.exec_root, file.exec_root)?;
    one("pidfile", &mut flags.pidfile, file.pidfile)?;
    list("insecure-registries", &mut flags.insecure_registry, file.insecure_registries)?;
    list("registry-mirrors", &mut flags.registry_mirror, file.registry_mirrors)?;
    one("log-driver", &mut flags.log_driver, file.log_driver)?;
    list("log-opts", &mut flags.log_opt, file.log_opts.iter().map(|(k, v)| format!("{k}={v}")).collect())?;
    let pools =
        file.default_address_pools.iter().map(|pool| format!("base={},size={}", pool.base, pool.size));
    list("default-address-pools", &mut flags.default_address_pool, pools.collect())?;
    one("bip", &mut flags.bip, file.bip)?;
    list("labels", &mut flags.label, file.labels)?;
    list("dns", &mut flags.dns, file.dns)?;
    one("instance", &mut flags.instance, file.instance)?;
    let runtimes = file.runtimes.iter().map(|(name, runtime)| format!("{name}={}", runtime.path));
    list("runtimes", &mut flags.add_runtime, runtimes.collect())?;
    flags.runtime_args = file.runtimes.into_iter().map(|(name, it)| (name, it.runtime_args)).collect();
    one("default-runtime", &mut flags.default_runtime, file.default_runtime)?;
    flags.debug |= file.debug;
    flags.host_ca |= file.host_ca;
    Ok(flags)
}

fn one<T>(name: &str, flag: &mut Option<T>, file: Option<T>) -> Result<()> {
    if file.is_some() {
        if flag.is_some() {
            bail!("{name} is specified both as a flag and in the configuration file");
        }
        *flag = file;
    }
    Ok(())
}

fn list<T>(name: &str, flag: &mut Vec<T>, file: Vec<T>) -> Result<()> {
    if !file.is_empty() {
        if !flag.is_empty() {
            bail!("{name} is specified both as a flag and in the configuration file");
        }
        *flag = file;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_adds_to_the_flags() {
        let flags = Flags { bip: Some("10.0.0.1/24".into()), ..Flags::default() };
        let text = r#"{"data-root": "/d", "debug": true, "default-runtime": "c",
            "runtimes": {"c": {"path": "/bin/c", "runtimeArgs": ["-v"]}}, "log-opts": {"max-size": "1m"},
            "default-address-pools": [{"base": "10.9.0.0/16", "size": 24}], "insecure-registries": ["r:5000"]}"#;
        let flags = add(flags, text).unwrap();
        assert_eq!(flags.data_root, Some("/d".into()));
        assert_eq!(flags.add_runtime, ["c=/bin/c"]);
        assert_eq!(
            (flags.default_runtime.as_deref(), &flags.runtime_args["c"]),
            (Some("c"), &vec!["-v".to_owned()])
        );
        assert_eq!(flags.log_opt, ["max-size=1m"]);
        assert_eq!(flags.default_address_pool, ["base=10.9.0.0/16,size=24"]);
        assert!(flags.debug && flags.bip.is_some());
    }

    #[test]
    fn twice_or_unknown_is_refused() {
        let flags = Flags { bip: Some("10.0.0.1/24".into()), ..Flags::default() };
        let twice = add(flags.clone(), r#"{"bip": "10.0.0.1/24"}"#).unwrap_err().to_string();
        assert!(twice.contains("bip is specified both"), "{twice}");
        let unknown = add(flags, r#"{"storage-driver": "zfs"}"#).unwrap_err().to_string();
        assert!(unknown.contains("storage-driver"), "{unknown}");
    }
}
