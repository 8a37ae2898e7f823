//! dhowd's flags, and the engine's configuration made of them. dockerd's names where they mean the same.

use anyhow::{Context, Result, bail};
use clap::Parser;
use dhow_engine::{Config, RuntimeProgram, Runtimes, Subnet, containers::LogSpec};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
};

pub(crate) const DATA_ROOT: &str = "/var/lib/dhow";
pub(crate) const EXEC_ROOT: &str = "/run/dhow";
/// Where docker's clients look; served as well, unless another engine does.
pub(crate) const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// The container engine of Dhow.
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "dhowd", version, about = "The container engine of Dhow: serves the Docker Engine API")]
pub(crate) struct Flags {
    /// Socket to serve: unix:///path, tcp://address:port, or fd:// for what systemd passes; repeatable. Default:
    /// <exec-root>/docker.sock, and /var/run/docker.sock unless another engine holds it
    #[arg(short = 'H', long = "host", value_name = "SOCKET")]
    pub(crate) host: Vec<String>,
    /// Use TLS on TCP sockets; implied by --tlsverify. Without it only loopback addresses are served, unless this is --tls=false
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) tls: Option<bool>,
    /// Use TLS and let only clients in whose certificate the CA has signed
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) tlsverify: Option<bool>,
    /// Trust clients' certificates signed only by this CA [default: ~/.docker/ca.pem]
    #[arg(long, value_name = "FILE")]
    pub(crate) tlscacert: Option<PathBuf>,
    /// TLS certificate [default: ~/.docker/cert.pem]
    #[arg(long, value_name = "FILE")]
    pub(crate) tlscert: Option<PathBuf>,
    /// TLS key [default: ~/.docker/key.pem]
    #[arg(long, value_name = "FILE")]
    pub(crate) tlskey: Option<PathBuf>,
    /// Where images, containers and volumes lie
    #[arg(long, value_name = "DIR")]
    pub(crate) data_root: Option<PathBuf>,
    /// Where what does not outlive a reboot lies
    #[arg(long, value_name = "DIR")]
    pub(crate) exec_root: Option<PathBuf>,
    /// File to write the process id to
    #[arg(short = 'p', long, value_name = "FILE")]
    pub(crate) pidfile: Option<PathBuf>,
    /// JSON file with the same settings, in dockerd's names [default: /etc/dhow/daemon.json, if it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) config_file: Option<PathBuf>,
    /// Registry (host[:port] or network) that may be plain HTTP or have a bad certificate; repeatable
    #[arg(long, value_name = "REGISTRY")]
    pub(crate) insecure_registry: Vec<String>,
    /// URL tried first for docker.io; repeatable
    #[arg(long, value_name = "URL")]
    pub(crate) registry_mirror: Vec<String>,
    /// Default log driver: json-file, local, none, syslog, journald, fluentd, gelf
    #[arg(long, value_name = "DRIVER")]
    pub(crate) log_driver: Option<String>,
    /// Option of the default log driver, name=value; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) log_opt: Vec<String>,
    /// Addresses for networks without their own: base=10.10.0.0/16,size=24; repeatable
    #[arg(long, value_name = "POOL")]
    pub(crate) default_address_pool: Vec<String>,
    /// Address and prefix length of the default bridge: 172.26.0.1/16
    #[arg(long, value_name = "CIDR")]
    pub(crate) bip: Option<String>,
    /// Label of this engine, name=value; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) label: Vec<String>,
    /// OCI runtime that containers can name, name=path; repeatable
    #[arg(long, value_name = "NAME=PATH")]
    pub(crate) add_runtime: Vec<String>,
    /// Runtime of containers that name none: one that was added, or a program with runc's command line [default: our own]
    #[arg(long, visible_alias = "runtime", value_name = "NAME")]
    pub(crate) default_runtime: Option<String>,
    /// Words before those of the engine on a runtime's command line, from the file
    #[arg(skip)]
    pub(crate) runtime_args: BTreeMap<String, Vec<String>>,
    /// DNS server for containers; repeatable
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) dns: Vec<IpAddr>,
    /// Log more
    #[arg(short = 'D', long)]
    pub(crate) debug: bool,
    /// Bind the host's certificates into build steps, for networks with a proxy that opens TLS
    #[arg(long)]
    pub(crate) host_ca: bool,
    /// Distinguishes engines on one machine (their bridges and firewall table) [default: none for the default exec root, else made
    /// of it]
    #[arg(long, value_name = "NAME")]
    pub(crate) instance: Option<String>,
    /// When ending with no container running: take this instance's bridges and firewall table away
    #[arg(long)]
    pub(crate) cleanup: bool,
}

/// How TCP sockets are secured.
#[derive(Debug, Clone)]
pub(crate) enum Security {
    /// With TLS.
    Tls(dhow_api::Tls),
    /// Nobody asked: only this machine is let in.
    Loopback,
    /// `--tls=false`: whoever reaches them is root.
    Open,
}

impl Flags {
    fn exec_root(&self) -> PathBuf {
        self.exec_root.clone().unwrap_or_else(|| EXEC_ROOT.into())
    }

    /// Sockets to serve; `true`: it is no mistake if another engine holds it.
    pub(crate) fn hosts(&self) -> Vec<(String, bool)> {
        if !self.host.is_empty() {
            return self.host.iter().map(|host| (host.clone(), false)).collect();
        }
        let own = self.exec_root().join("docker.sock");
        let mut hosts = vec![(format!("unix://{}", own.display()), false)];
        if self.exec_root() == Path::new(EXEC_ROOT) {
            hosts.push((format!("unix://{DOCKER_SOCKET}"), true));
        }
        hosts
    }

    /// How TCP sockets are secured.
    pub(crate) fn security(&self) -> Result<Security> {
        let (tls, verify) = (self.tls.unwrap_or(false), self.tlsverify.unwrap_or(false));
        if !tls && !verify {
            let asked = self.tls == Some(false) || self.tlsverify == Some(false);
            return Ok(if asked { Security::Open } else { Security::Loopback });
        }
        let home = std::env::var_os("DOCKER_CERT_PATH").map(PathBuf::from).unwrap_or_else(|| {
            std::env::var_os("HOME").map_or_else(|| "/root".into(), PathBuf::from).join(".docker")
        });
        let file = |given: &Option<PathBuf>, name: &str| given.clone().unwrap_or_else(|| home.join(name));
        let authority = verify.then(|| file(&self.tlscacert, "ca.pem"));
        let (certificate, key) = (file(&self.tlscert, "cert.pem"), file(&self.tlskey, "key.pem"));
        Ok(Security::Tls(dhow_api::Tls::read(&certificate, &key, authority.as_deref())?))
    }

    /// What the engine is opened with.
    pub(crate) fn engine(self, shim: PathBuf) -> Result<Config> {
        let exec_root = std::path::absolute(self.exec_root()).context("--exec-root")?;
        let data_root = self.data_root.unwrap_or_else(|| DATA_ROOT.into());
        let instance = self.instance.unwrap_or_else(|| instance(&exec_root));
        if !instance.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()) || instance.len() > 8 {
            bail!("--instance {instance:?}: at most 8 small letters and digits");
        }
        Ok(Config {
            data_root: std::path::absolute(data_root).context("--data-root")?,
            exec_root,
            init: Some(shim.clone()),
            shim,
            instance,
            pools: self.default_address_pool.iter().map(|text| pool(text)).collect::<Result<_>>()?,
            bip: self.bip.as_deref().map(|text| subnet(text).context("--bip")).transpose()?,
            log: log(self.log_driver, pairs("--log-opt", &self.log_opt)?)?,
            labels: pairs("--label", &self.label)?,
            registry: dhow_registry::Config {
                insecure: self.insecure_registry,
                mirrors: self.registry_mirror,
            },
            host_ca: self.host_ca,
            runtimes: runtimes(&self.add_runtime, self.default_runtime, self.runtime_args)?,
            dns: self.dns,
            debug: self.debug,
        })
    }
}

/// What was added, and the default: where nobody added one of its name, the program of that name.
fn runtimes(
    added: &[String],
    default: Option<String>,
    mut args: BTreeMap<String, Vec<String>>,
) -> Result<Runtimes> {
    let mut all = Runtimes::default();
    for text in added {
        let Some((name, path)) =
            text.split_once('=').filter(|(name, path)| !name.is_empty() && !path.is_empty())
        else {
            bail!("invalid runtime argument: {text}");
        };
        let program = RuntimeProgram { path: path.into(), args: args.remove(name).unwrap_or_default() };
        if all.programs.insert(name.to_owned(), program).is_some() {
            bail!("runtime {name:?} was already defined");
        }
    }
    let Some(default) = default else { return Ok(all) };
    if default == "dhow" {
        return Ok(all);
    }
    if let Some(program) = all.programs.get(&default) {
        program.locate().with_context(|| format!("--default-runtime {default:?}"))?;
        return Ok(Runtimes { default, ..all });
    }
    let program = RuntimeProgram { path: PathBuf::from(&default), args: Vec::new() };
    let located = program.locate().ok().filter(|path| path.is_file());
    match (located, program.path.file_name().and_then(|name| name.to_str())) {
        (Some(_), Some(name)) => {
            all.default = name.to_owned();
            all.programs.insert(name.to_owned(), program);
            Ok(all)
        }
        _ => bail!("specified default runtime '{default}' does not exist"),
    }
}

/// Six digits of the exec root's name (FNV-1a); none for the default one.
fn instance(exec_root: &Path) -> String {
    if exec_root == Path::new(EXEC_ROOT) {
        return String::new();
    }
    let bytes = exec_root.as_os_str().as_encoded_bytes();
    let hash =
        bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    format!("{:06x}", hash & 0x00ff_ffff)
}

fn log(driver: Option<String>, options: BTreeMap<String, String>) -> Result<LogSpec> {
    let log = LogSpec { driver: driver.unwrap_or_else(|| "json-file".to_owned()), options };
    dhow_engine::containers::check_log(&log).context("--log-driver, --log-opt")?;
    Ok(log)
}

fn pairs(flag: &str, list: &[String]) -> Result<BTreeMap<String, String>> {
    let split = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => bail!("{flag} {text:?}: expected name=value"),
    };
    list.iter().map(split).collect()
}

fn subnet(text: &str) -> Result<Subnet> {
    let (address, prefix) =
        text.split_once('/').with_context(|| format!("{text:?}: expected address/length"))?;
    let address: IpAddr = address.parse().with_context(|| format!("{text:?}: no IP address"))?;
    let prefix: u8 = prefix.parse().with_context(|| format!("{text:?}: no prefix length"))?;
    if prefix > if address.is_ipv4() { 32 } else { 128 } {
        bail!("{text:?}: the prefix is longer than the address");
    }
    Ok(Subnet { address, prefix })
}

/// `base=10.10.0.0/16,size=24`.
fn pool(text: &str) -> Result<(Subnet, u8)> {
    let (mut base, mut size) = (None, None);
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("base", value)) => base = Some(subnet(value)?),
            Some(("size", value)) => {
                size = Some(value.parse::<u8>().with_context(|| format!("{text:?}: size"))?)
            }
            _ => bail!("--default-address-pool {text:?}: expected base=<subnet>,size=<length>"),
        }
    }
    match (base, size) {
        (Some(base), Some(size)) if size >= base.prefix => Ok((base, size)),
        (Some(_), Some(_)) => {
            bail!("--default-address-pool {text:?}: networks would be larger than the pool")
        }
        _ => bail!("--default-address-pool {text:?}: expected base=<subnet>,size=<length>"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(args: &[&str]) -> Flags {
        Flags::parse_from(std::iter::once("dhowd").chain(args.iter().copied()))
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Flags::command().debug_assert();
    }

    #[test]
    fn defaults_are_the_houses() {
        let flags = flags(&[]);
        let hosts = flags.hosts();
        assert_eq!(hosts[0], ("unix:///run/dhow/docker.sock".to_owned(), false));
        assert_eq!(hosts[1], ("unix:///var/run/docker.sock".to_owned(), true));
        let config = flags.engine("/x/dhow-shim".into()).unwrap();
        assert_eq!((config.instance.as_str(), config.data_root.to_str()), ("", Some("/var/lib/dhow")));
    }

    #[test]
    fn another_exec_root_is_another_instance() {
        let a = flags(&["--exec-root", "/tmp/a"]);
        assert_eq!(a.hosts(), [("unix:///tmp/a/docker.sock".to_owned(), false)]);
        let (a, b) = (instance(Path::new("/tmp/a")), instance(Path::new("/tmp/b")));
        assert!(a != b && a.len() == 6);
        assert!(flags(&["--instance", "Not-Good"]).engine("/x".into()).is_err());
    }

    #[test]
    fn runtimes_are_added_and_one_is_the_default() {
        let config = |args: &[&str]| flags(args).engine("/x".into()).map(|config| config.runtimes);
        let all = config(&["--add-runtime", "crun=/usr/bin/env", "--default-runtime", "crun"]).unwrap();
        assert_eq!((all.default_name(), all.own()), ("crun", "runc"));
        // a program that nobody added: by name or by path
        for given in ["env", "/usr/bin/env"] {
            let all = config(&["--runtime", given]).unwrap();
            assert_eq!((all.default_name(), all.programs["env"].path.to_str()), ("env", Some(given)));
        }
        assert_eq!(config(&["--default-runtime", "dhow"]).unwrap().default_name(), "runc");
        let refused = |args: &[&str]| config(args).unwrap_err().to_string();
        assert_eq!(refused(&["--runtime", "nope"]), "specified default runtime 'nope' does not exist");
        assert_eq!(refused(&["--add-runtime", "crun"]), "invalid runtime argument: crun");
        assert!(refused(&["--add-runtime", "a=/b", "--add-runtime", "a=/c"]).contains("already defined"));
    }

    #[test]
    fn values_are_parsed_and_refused_by_name() {
        let config = flags(&[
            "--default-address-pool",
            "base=10.10.0.0/16,size=24",
            "--bip",
            "10.1.0.1/24",
            "--label",
            "a=b",
            "--log-opt",
            "max-size=1m",
            "-H",
            "tcp://127.0.0.1:0",
        ]);
        assert_eq!(config.hosts(), [("tcp://127.0.0.1:0".to_owned(), false)]);
        let config = config.engine("/x".into()).unwrap();
        assert_eq!(config.pools[0].1, 24);
        assert_eq!(config.bip.map(|bip| bip.prefix), Some(24));
        assert_eq!(config.log.options["max-size"], "1m");
        for bad in [
            ["--bip", "10.1.0.1"],
            ["--bip", "10.1.0.1/33"],
            ["--default-address-pool", "base=10.0.0.0/24,size=16"],
            ["--default-address-pool", "10.0.0.0/8"],
            ["--label", "a"],
            ["--log-driver", "splunk"],
            ["--log-opt", "nope=1"],
        ] {
            assert!(flags(&bad).engine("/x".into()).is_err(), "{bad:?}");
        }
    }
}
