//! How things end: containers, daemons, clients, shims.

use crate::fixture::{Container, exec};
use dhow_shim::{Event, Request, StdioConfig, Target, read_exit};

pub(crate) const CASES: &[(&str, fn())] = &[
    ("root_a_new_daemon_adopts", a_new_daemon_adopts),
    ("root_an_end_without_a_daemon", an_end_without_a_daemon),
    ("root_strays_do_not_hold_the_end_up", strays_do_not_hold_the_end_up),
    ("root_an_exec_is_killed_with_its_children", an_exec_is_killed_with_its_children),
    ("root_a_full_disk_costs_records_only", a_full_disk_costs_records_only),
    ("root_the_program_is_an_init_too", the_program_is_an_init_too),
    ("root_the_container_dies_with_its_shim", the_container_dies_with_its_shim),
    ("root_signals_do_not_end_a_shim", signals_do_not_end_a_shim),
    ("root_a_client_that_never_reads_is_dropped", a_client_that_never_reads_is_dropped),
    ("root_the_oom_killer_is_seen", the_oom_killer_is_seen),
    ("root_goodbye_is_refused_while_it_runs", goodbye_is_refused_while_it_runs),
    ("root_a_daemon_that_goes_before_the_start", a_daemon_that_goes_before_the_start),
];

fn a_new_daemon_adopts() {
    let mut container = Container::new(&["cat"]);
    container.stdio = StdioConfig { stdin: true, stdin_once: true, ..StdioConfig::default() };
    let pid = container.start();
    let client = container.attach(Target::Init, true);
    client.send(b"before\n");
    client.until("before\n");
    let Event::Started { pid: exec_pid, .. } = container.exec("e", &["sleep"], StdioConfig::default()) else {
        panic!("no exec")
    };
    // The daemon is killed: all its descriptors go at once, the attached client's too.
    drop(client);
    container.disconnect();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let hello = container.reconnect();
    let execs = vec![("e".to_owned(), exec_pid)];
    assert_eq!(hello, Event::Hello { pid: Some(pid), running: true, exit: None, execs });
    // stdin is still open, for a new client.
    let client = container.attach(Target::Init, true);
    client.send(b"after\n");
    client.until("after\n");
    client.end_input();
    assert_eq!(container.exit(&exec("e")).code, 137);
    assert_eq!(container.exit(&Target::Init).code, 3);
    let texts: Vec<_> = container.records("").into_iter().map(|(text, _)| text).collect();
    assert_eq!(texts, ["before\n", "after\n", "end of input\n"]);
    container.finish();
}

fn an_end_without_a_daemon() {
    let container = Container::new(&["lines", "5"]);
    container.create();
    container.go();
    container.disconnect();
    container.wait_for_shim();
    let exit = read_exit(&container.dir).unwrap();
    assert_eq!(exit.code, 0);
    assert_eq!(container.records("").len(), 5);
    container.nothing_left();
}

fn strays_do_not_hold_the_end_up() {
    // In the container's own pid namespace: they die with PID 1.
    let container = Container::new(&["stray"]);
    let begin = std::time::Instant::now();
    container.start();
    assert_eq!(container.exit(&Target::Init).code, 0);
    container.finish();
    // In the host's: they are killed.
    let mut container = Container::new(&["stray"]);
    container.spec.linux.as_mut().unwrap().namespaces.retain(|namespace| namespace.kind != "pid");
    let client = container.attach(Target::Init, false);
    container.start();
    assert_eq!(container.exit(&Target::Init).code, 0);
    assert!(begin.elapsed().as_secs() < 5);
    let (out, _) = client.frames();
    let text = String::from_utf8(out).unwrap();
    let pid = text.split_whitespace().skip_while(|word| *word != "left").nth(1).unwrap().to_owned();
    container.finish();
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z"), "{state}");

    // An exec's child does not hold up the news of its end.
    let container = Container::new(&["sleep"]);
    container.start();
    let client = container.attach(exec("s"), false);
    container.exec("s", &["stray"], StdioConfig::default());
    let begin = std::time::Instant::now();
    assert_eq!(container.exit(&exec("s")).code, 0);
    assert!(begin.elapsed().as_millis() < 1500);
    client.frames();
    container.signal(Target::Init, 9);
    container.exit(&Target::Init);
    container.finish();
}

fn an_exec_is_killed_with_its_children() {
    let container = Container::new(&["sleep"]);
    container.start();
    let client = container.attach(exec("f"), false);
    container.exec("f", &["family"], StdioConfig::default());
    client.until("asleep");
    let cgroups = container.plan().cgroup_dirs().to_vec();
    assert_eq!(dhow_runtime::processes(&cgroups).unwrap().len(), 3);
    container.signal(exec("f"), 9);
    assert_eq!(container.exit(&exec("f")).code, 137);
    client.frames();
    assert_eq!(dhow_runtime::processes(&cgroups).unwrap().len(), 1, "its child is left");
    container.signal(Target::Init, 9);
    container.exit(&Target::Init);
    container.finish();
}

fn a_full_disk_costs_records_only() {
    use rustix::mount::{MountFlags, UnmountFlags};
    let mut container = Container::new(&["cat"]);
    let disk = container.root.join("disk");
    std::fs::create_dir(&disk).unwrap();
    rustix::mount::mount("none", &disk, "tmpfs", MountFlags::empty(), c"size=64k").unwrap();
    container.log_dir = disk.clone();
    container.stdio = StdioConfig { stdin: true, stdin_once: true, ..StdioConfig::default() };
    let client = container.attach(Target::Init, true);
    container.start();
    let line = [b'l'; 999].iter().chain(b"\n").copied().collect::<Vec<_>>();
    for round in 0..200 {
        client.send(&line);
        let mut left = line.len() + 8;
        while left > 0 {
            left = left.saturating_sub(client.read(left).len());
        }
        if round == 150 {
            rustix::mount::mount_remount(&disk, MountFlags::empty(), c"size=10m").unwrap();
        }
    }
    client.end_input();
    client.frames();
    assert_eq!(container.exit(&Target::Init).code, 3);
    let text = std::fs::read_to_string(container.log()).unwrap();
    let whole = |line: &&str| serde_json::from_str::<serde_json::Value>(line).is_ok();
    let (good, torn): (Vec<_>, Vec<_>) = text.lines().partition(whole);
    assert!(torn.len() <= 1, "{torn:?}");
    let notes: Vec<_> = good.iter().filter(|line| line.contains("could not be logged")).collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    let lost: usize = notes[0].split_whitespace().find_map(|word| word.parse().ok()).unwrap();
    // Every line is there, or told to be lost; and the one of stderr.
    assert_eq!(good.len() - 1 + lost, 201);
    rustix::mount::unmount(&disk, UnmountFlags::DETACH).unwrap();
    container.finish();
}

fn the_program_is_an_init_too() {
    let mut container = Container::new(&["exit", "42"]);
    container.init = true;
    container.start();
    assert_eq!(container.exit(&Target::Init).code, 42);
    container.finish();
    // It passes signals on, which PID 1 itself would not get.
    let mut container = Container::new(&["sleep"]);
    container.init = true;
    let client = container.attach(Target::Init, false);
    container.start();
    client.until("asleep");
    container.signal(Target::Init, 15);
    assert_eq!(container.exit(&Target::Init).code, 128 + 15);
    container.finish();
}

fn the_container_dies_with_its_shim() {
    let container = Container::new(&["sleep"]);
    let pid = container.start();
    let process = rustix::process::Pid::from_raw(pid).unwrap();
    let pidfd = rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty()).unwrap();
    let shim = rustix::process::Pid::from_raw(i32::try_from(container.shim_pid()).unwrap()).unwrap();
    rustix::process::kill_process(shim, rustix::process::Signal::KILL).unwrap();
    let mut fds = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    let patience = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut fds, Some(&patience)), Ok(1));
    container.wait_for_shim();
    assert_eq!(read_exit(&container.dir).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    dhow_runtime::remove_cgroups(container.plan().cgroup_dirs()).unwrap();
    container.nothing_left();
}

fn signals_do_not_end_a_shim() {
    let container = Container::new(&["sleep"]);
    container.start();
    let shim = rustix::process::Pid::from_raw(i32::try_from(container.shim_pid()).unwrap()).unwrap();
    for signal in [rustix::process::Signal::HUP, rustix::process::Signal::TERM, rustix::process::Signal::INT]
    {
        rustix::process::kill_process(shim, signal).unwrap();
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", shim.as_raw_pid())).unwrap();
    assert!(status.contains(&format!("NSsid:\t{}", shim.as_raw_pid())), "its own session");
    // Its program is a sealed copy.
    let exe = std::fs::read_link(format!("/proc/{}/exe", shim.as_raw_pid())).unwrap();
    assert!(exe.to_str().unwrap().starts_with("/memfd:dhow-shim"), "{exe:?}");
    assert!(
        std::fs::OpenOptions::new().write(true).open(format!("/proc/{}/exe", shim.as_raw_pid())).is_err()
    );
    // PID 1 has no handler for these, so the kernel drops them; a real-time one can be sent as well.
    container.signal(Target::Init, 15);
    container.signal(Target::Init, 37);
    container.exec("e", &["sleep"], StdioConfig::default());
    container.signal(exec("e"), 37);
    assert_eq!(container.exit(&exec("e")).code, 128 + 37);
    container.signal(Target::Init, 9);
    assert_eq!(container.exit(&Target::Init).code, 137);
    container.finish();
}

fn a_client_that_never_reads_is_dropped() {
    let container = Container::new(&["lines", "1000000"]);
    let never = container.attach(Target::Init, false);
    let reads = container.attach(Target::Init, false);
    let begin = std::time::Instant::now();
    container.start();
    let reader = std::thread::spawn(move || reads.frames().0.len());
    // Its queue fills, the container waits for it, ten seconds go by without one byte read: then things go on without it.
    container.exit_within(&Target::Init, 60);
    assert!((9..60).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    assert_eq!(
        reader.join().unwrap(),
        (0..1_000_000).map(|n: u32| format!("line {n}\n").len()).sum::<usize>()
    );
    drop(never);
    container.finish();
}

fn the_oom_killer_is_seen() {
    let mut container = Container::new(&["memory"]);
    let memory =
        dhow_oci::runtime::Memory { limit: Some(16 << 20), swap: Some(16 << 20), ..Default::default() };
    container.spec.linux.as_mut().unwrap().resources.get_or_insert_default().memory = Some(memory);
    container.start();
    let exit = container.exit(&Target::Init);
    assert_eq!((exit.code, exit.oom), (137, true));
    container.finish();
}

fn goodbye_is_refused_while_it_runs() {
    let container = Container::new(&["sleep"]);
    container.start();
    let event = container.ask(&Request::Goodbye, &[]);
    assert!(matches!(event, Event::Failed { .. }), "{event:?}");
    container.signal(Target::Init, 9);
    container.exit(&Target::Init);
    container.finish();
}

fn a_daemon_that_goes_before_the_start() {
    let container = Container::new(&["sleep"]);
    let pid = container.create();
    container.disconnect();
    container.wait_for_shim();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(!container.root.join("upper").exists());
    container.nothing_left();
}
