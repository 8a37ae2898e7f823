//! What a process is given besides its user: scheduling, clocks, keys, limits.

use crate::cases::{end, words};
use crate::fixture::Box;
use dhow_oci::runtime as spec;

pub(crate) const CASES: &[(&str, fn())] = &[
    ("root_scheduling", scheduling),
    ("root_exec_processors", processors),
    ("root_personality_and_memory_policy", personality),
    ("root_session_keyring", keyring),
    ("root_unknown_capabilities", unknown_capabilities),
    ("root_console_size_of_the_specification", console_size),
    ("root_umask_and_domain", umask_and_domain),
    ("root_network_devices", network_devices),
];

fn scheduling() {
    // Fields 18 and following of stat: priority, nice; 40, 41: real-time priority, policy.
    let fields = |stat: &str| -> Vec<i64> {
        let after = stat.rsplit(") ").next().unwrap();
        after.split_whitespace().skip(1).map(|n| n.parse().unwrap_or(0)).collect()
    };
    let mut b = Box::new(&["probe", "cat", "/proc/self/stat"]);
    b.process().scheduler =
        Some(spec::Scheduler { policy: "SCHED_BATCH".to_owned(), nice: 7, ..Default::default() });
    b.process().io_priority = Some(spec::IoPriority { class: "IOPRIO_CLASS_IDLE".to_owned(), priority: 0 });
    let out = b.run().unwrap().out;
    let stat = fields(&out);
    assert_eq!((stat[15], stat[37]), (7, 3), "{out}");
    b.process().args = words(&["probe", "ioprio"]);
    assert_eq!(b.run().unwrap().out, "3 0\n");
    b.process().io_priority = Some(spec::IoPriority { class: "IOPRIO_CLASS_BE".to_owned(), priority: 6 });
    b.process().scheduler = None;
    assert_eq!(b.run().unwrap().out, "2 6\n");
    b.done();
}

fn processors() {
    let b = Box::new(&["probe", "hold"]);
    let (process, _read) = b.start().unwrap();
    let affinity = |initial: &str, last: &str| {
        let (initial, last) = (initial.to_owned(), last.to_owned());
        let ended = b.exec(&process, |p| {
            p.args = words(&["probe", "cat", "/proc/self/status"]);
            p.exec_cpu_affinity = Some(spec::CpuAffinity { initial, last });
        });
        ended.map(|e| e.out.lines().find(|l| l.starts_with("Cpus_allowed_list:")).unwrap().to_owned())
    };
    assert_eq!(affinity("0", "").unwrap(), "Cpus_allowed_list:\t0");
    assert_eq!(affinity("0-1", "1").unwrap(), "Cpus_allowed_list:\t1");
    let error = affinity("4000", "").err().unwrap();
    assert_eq!((error.step.as_str(), error.errno), ("sched_setaffinity", 22));
    end(&b, &process);
    drop(process);
    b.done();
}

fn personality() {
    let mut b = Box::new(&["probe", "uname"]);
    assert_eq!(b.run().unwrap().out, "x86_64\n");
    b.linux().personality = Some(spec::Personality { domain: "LINUX32".to_owned(), flags: Vec::new() });
    assert_eq!(b.run().unwrap().out, "i686\n");
    let (process, _read) = {
        b.process().args = words(&["probe", "hold"]);
        b.start().unwrap()
    };
    assert_eq!(b.exec(&process, |p| p.args = words(&["probe", "uname"])).unwrap().out, "i686\n");
    end(&b, &process);
    drop(process);
    b.linux().personality = None;
    b.linux().memory_policy = Some(spec::MemoryPolicy {
        mode: "MPOL_BIND".to_owned(),
        nodes: "0".to_owned(),
        flags: words(&["MPOL_F_STATIC_NODES"]),
    });
    b.process().args = words(&["probe", "cat", "/proc/self/numa_maps"]);
    let out = b.run().unwrap().out;
    assert!(out.contains(" bind=static:0 "), "{out}");
    b.done();
}

fn keyring() {
    let mut b = Box::new(&["probe", "cat", "/proc/keys"]);
    b.linux().masked_paths.clear();
    b.options.id = format!("keys-{}", std::process::id());
    let name = format!("_ses.{}:", b.options.id);
    assert!(!b.run().unwrap().out.contains(&name));
    b.options.keyring = true;
    let out = b.run().unwrap().out;
    assert!(out.lines().any(|l| l.contains(" keyring ") && l.contains(&name)), "{out}");
    b.done();
}

fn unknown_capabilities() {
    let mut b = Box::new(&["probe", "cat", "/proc/self/status"]);
    let capabilities = b.process().capabilities.as_mut().unwrap();
    capabilities.bounding.push("CAP_FLY".to_owned());
    capabilities.effective.push("CAP_FLY".to_owned());
    let warnings = b.plan().unwrap().warnings().join(" ");
    assert!(warnings.contains("CAP_FLY"), "{warnings}");
    assert!(b.run().unwrap().out.contains("CapEff:\t00000000a80425fb"));
    b.done();
}

fn console_size() {
    let mut b = Box::new(&["probe", "exit", "0"]);
    b.process().terminal = true;
    b.process().console_size = Some(spec::ConsoleSize { height: 33, width: 111 });
    let plan = b.plan().unwrap();
    let mut process =
        dhow_runtime::create(&plan, None, dhow_runtime::Stdio::Terminal { size: (0, 0) }).unwrap();
    let size = rustix::termios::tcgetwinsize(process.console().unwrap()).unwrap();
    assert_eq!((size.ws_row, size.ws_col), (33, 111));
    drop(process);
    b.done();
}

fn umask_and_domain() {
    let mut b = Box::new(&["probe", "cat", "/proc/self/status", "/proc/sys/kernel/domainname"]);
    b.process().user.umask = Some(0o77);
    b.process().user.additional_gids = (1000..2000).collect();
    b.spec.domainname = Some("first".to_owned());
    b.linux().sysctl.insert("kernel.domainname".to_owned(), "second".to_owned());
    b.linux().sysctl.insert("net/ipv4/ip_default_ttl".to_owned(), "77".to_owned());
    let out = b.run().unwrap().out;
    assert!(out.contains("Umask:\t0077\n") && out.contains(" 1998 1999 \n"), "{out}");
    // The specification's own field has the last word.
    assert!(out.ends_with("first\n"), "{out}");
    b.spec.domainname = None;
    assert!(b.run().unwrap().out.ends_with("second\n"));
    b.process().args = words(&["probe", "cat", "/proc/sys/net/ipv4/ip_default_ttl"]);
    assert_eq!(b.run().unwrap().out, "77\n");
    for (key, sentence) in
        [("kernel.hostname", "conflicts"), ("kernel.panic", "not namespaced"), ("net..x", "is no sysctl")]
    {
        b.linux().sysctl.insert(key.to_owned(), "1".to_owned());
        assert!(b.run().err().unwrap().to_string().contains(sentence), "{key}");
        b.linux().sysctl.remove(key);
    }
    b.done();
}

fn network_devices() {
    use dhow_sys::netlink::{Family, Socket, route};
    // A network of this test's own is "the host".
    dhow_sys::netns::unshare().unwrap();
    let here = dhow_sys::netns::current().unwrap();
    let mut socket = Socket::open(Family::Route).unwrap();
    let veth = |name, peer| {
        let namespace = rustix::fd::AsFd::as_fd(&here);
        let mac = [2, 0, 0, 0, 0, 7];
        route::add_veth(&route::Veth {
            name,
            peer,
            bridge: 0,
            mtu: 1400,
            namespace,
            mac,
            isolated: false,
            hairpin: false,
        })
    };
    for in_userns in [false, true] {
        socket.request(&veth("out0", "out1")).unwrap();
        let index = route::link(&mut socket, "out1").unwrap().index;
        socket.request(&route::add_address(index, "10.9.8.7".parse().unwrap(), 24)).unwrap();
        socket.request(&route::set_up(index)).unwrap();
        let mut b = Box::new(&["probe", "cat", "/proc/net/dev", "/proc/net/fib_trie", "/proc/net/route"]);
        if in_userns {
            crate::ids::map(&mut b);
        }
        let device = spec::NetDevice { name: Some("eth9".to_owned()) };
        b.linux().net_devices.insert("out1".to_owned(), device);
        // A setting of the interface is made when it is there.
        b.linux().sysctl.insert("net.ipv4.conf.eth9.forwarding".to_owned(), "1".to_owned());
        let out = b.run().unwrap().out;
        assert!(out.contains("eth9:") && !out.contains("out1"), "{out}");
        assert!(out.contains("|-- 10.9.8.7\n"), "{out}");
        // The route is there because it is up.
        assert!(out.contains("eth9\t0008090A"), "{out}");
        b.linux().net_devices.clear();
        b.linux().net_devices.insert("nothing".to_owned(), spec::NetDevice::default());
        b.linux().sysctl.remove("net.ipv4.conf.eth9.forwarding");
        let error = b.run().err().unwrap();
        assert_eq!(
            (error.step.as_str(), error.object.as_str(), error.errno),
            ("move network device", "nothing", 19)
        );
        b.done();
        // The other end went with the container's namespace.
        let begun = std::time::Instant::now();
        while route::link(&mut socket, "out0").is_ok() && begun.elapsed().as_secs() < 10 {
            std::thread::yield_now();
        }
    }
}
