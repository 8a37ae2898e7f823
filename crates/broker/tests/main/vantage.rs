//! One broker, reached from several places: each is told the address that it used.

use crate::{kcat::metadata, served::Served, support::Folder, tools::skipped};
use std::process::Command;

/// Two network namespaces with a cable between them; gone at the end of the test.
struct Networks {
    broker: String,
    client: String,
}

fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Networks {
    fn new() -> Self {
        let pid = std::process::id();
        let this = Self { broker: format!("dhow-b{pid}"), client: format!("dhow-c{pid}") };
        let (broker, client) = (&this.broker, &this.client);
        ip(&format!("netns add {broker}"));
        ip(&format!("netns add {client}"));
        ip(&format!("-n {broker} link add b0 type veth peer name c0 netns {client}"));
        for (netns, link, address) in [(broker, "b0", "10.9.0.1/24"), (client, "c0", "10.9.0.2/24")] {
            ip(&format!("-n {netns} addr add {address} dev {link}"));
            ip(&format!("-n {netns} link set {link} up"));
            ip(&format!("-n {netns} link set lo up"));
        }
        // as a published port does it: another number, another address
        let rules = "add table ip nat; add chain ip nat pre { type nat hook prerouting priority dstnat; };
            add rule ip nat pre tcp dport 19999 redirect to :9092";
        let output = Command::new("ip").args(["netns", "exec", broker, "nft", rules]).output().unwrap();
        assert!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr));
        this
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for netns in [&self.broker, &self.client] {
            // a failing test has said why
            drop(Command::new("ip").args(["netns", "del", netns]).status());
        }
    }
}

fn within(netns: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", netns, program]);
    command
}

#[test]
fn root_every_client_is_told_the_address_that_it_used() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("REQUIRE_ROOT").is_none(), "not root");
        return skipped("network namespaces need root");
    }
    let networks = Networks::new();
    let folder = Folder::new();
    let program = within(&networks.broker, env!("CARGO_BIN_EXE_dhow-broker"));
    let broker = Served::command(program, folder.path(), "[::]:9092", &[]);
    for (netns, address) in [
        (&networks.broker, "127.0.0.1:9092"),
        (&networks.broker, "[::1]:9092"),
        (&networks.client, "10.9.0.1:9092"),
        // the broker's own socket has port 9092: what the client used is known to the kernel alone
        (&networks.client, "10.9.0.1:19999"),
    ] {
        let Some(listed) = metadata(within(netns, "kcat"), address) else { return };
        let told = listed.split("\"brokers\":[").nth(1).and_then(|rest| rest.split('"').nth(5));
        let plain = address.replace(['[', ']'], "");
        assert_eq!(told.map(|told| told.replace(['[', ']'], "")), Some(plain), "{listed}\n{}", broker.log());
    }
}
