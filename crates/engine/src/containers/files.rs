//! `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf` of a container, as docker writes them. Pure text, and one writer that keeps the inode, because
//! the files are bind-mounted while they change.

use crate::{Result, error::io};
use std::{io::Write, net::IpAddr, path::Path};

/// The text of `/etc/hosts`: docker's head, then `extra` (address, names), in order.
pub(crate) fn hosts(entries: &[(String, String)], ipv6: bool) -> String {
    let mut text = String::from("127.0.0.1\tlocalhost\n");
    if ipv6 {
        text.push_str(
            "::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\n\
             ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
        );
    }
    for (address, names) in entries {
        text.push_str(&format!("{address}\t{names}\n"));
    }
    text
}

/// The text of `/etc/resolv.conf`.
pub(crate) fn resolv(servers: &[IpAddr], search: &[String], options: &[String]) -> String {
    let mut text = String::new();
    for server in servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    let search: Vec<&str> = search.iter().map(String::as_str).filter(|s| *s != ".").collect();
    if !search.is_empty() {
        text.push_str(&format!("search {}\n", search.join(" ")));
    }
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
}

/// Puts new text into a file, in place.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let put = || {
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        file.write_all(text.as_bytes())
    };
    put().map_err(|e| io("write", path.display(), e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_dockers() {
        let text = hosts(&[("172.17.0.2".into(), "web.lan web".into())], false);
        assert_eq!(text, "127.0.0.1\tlocalhost\n172.17.0.2\tweb.lan web\n");
        let servers = ["127.0.0.11".parse().unwrap()];
        assert_eq!(
            resolv(&servers, &["lan".into(), ".".into()], &["ndots:0".into()]),
            "nameserver 127.0.0.11\nsearch lan\noptions ndots:0\n"
        );
    }
}
