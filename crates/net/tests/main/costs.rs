//! What a start costs. Bounds are loose (other programs share the machine); run with `--nocapture` for the numbers.

use crate::host::on_host;
use dhow_net::{Protocol, Publish};
use rustix::fd::AsFd;
use std::{
    collections::BTreeMap,
    io::Write,
    time::{Duration, Instant},
};

const ROUNDS: usize = 40;

#[test]
fn root_a_start_is_cheap() {
    on_host(|host| {
        let plain = host.spec("plain", |spec| spec.dns = false);
        let named = host.network("named");
        let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
        for round in 0..ROUNDS {
            let mut time = |what, start: Instant| times.entry(what).or_default().push(start.elapsed());
            for (network, what) in [(&plain, "attach"), (&named, "attach with names")] {
                let start = Instant::now();
                let sandbox = host.net.sandbox(&BTreeMap::new()).unwrap();
                time("sandbox", start);
                let container =
                    crate::host::Container { name: format!("c{round}"), sandbox, ends: Vec::new() };
                let wish = container.wish(network);
                let start = Instant::now();
                let end = host.net.attach(container.sandbox.as_fd(), &wish).unwrap();
                time(what, start);
                let port =
                    Publish { container_port: 80, protocol: Protocol::Tcp, host_ip: None, host_port: (0, 0) };
                let start = Instant::now();
                host.net.publish(&end, &[port]).unwrap();
                time("publish", start);
                let start = Instant::now();
                host.net.release(&container.name, &[end], &[]).unwrap();
                time("release", start);
            }
        }
        for (what, times) in &mut times {
            times.sort();
            let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
            writeln!(std::io::stderr(), "{what}: median {median:?}, worst {worst:?}").unwrap();
            // an emulated processor tells nothing about a real one
            let emulated = std::env::var_os("DHOW_EMULATED").is_some();
            assert!(emulated || median < Duration::from_millis(20), "{what}: {median:?}");
        }
    });
}
