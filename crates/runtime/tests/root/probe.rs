//! The contained program.

use std::fs;
use std::process::ExitCode;

/// Leaves a grandchild to PID 1, and counts the dead that nobody collected.
fn orphans() -> ExitCode {
    let mut parent = std::process::Command::new("/bin/probe").args(["exit", "0"]).spawn().unwrap();
    parent.wait().unwrap();
    let script = std::process::Command::new("/bin/probe").args(["parent"]).output().unwrap();
    assert!(script.status.success());
    let grandchild: u32 = String::from_utf8(script.stdout).unwrap().trim().parse().unwrap();
    // It ends when its pipe closes, which output() waited for; PID 1 then collects it.
    let stat = || fs::read_to_string(format!("/proc/{grandchild}/stat"));
    let begun = std::time::Instant::now();
    while stat().is_ok() && begun.elapsed().as_secs() < 5 {
        std::thread::yield_now();
    }
    println!("zombies {}", u8::from(stat().is_ok()));
    ExitCode::from(5)
}

#[allow(clippy::too_many_lines, reason = "one line a word")]
pub(crate) fn main(args: &[String]) -> ExitCode {
    match args.get(1).map_or("", String::as_str) {
        "exit" => ExitCode::from(args[2].parse::<u8>().unwrap()),
        "cat" => {
            for path in &args[2..] {
                match fs::read_to_string(path) {
                    Ok(text) => print!("{text}"),
                    Err(e) => println!("{path}: {}", e.kind()),
                }
            }
            ExitCode::SUCCESS
        }
        "ls" => {
            for path in &args[2..] {
                match fs::read_dir(path) {
                    Ok(entries) => {
                        let mut names: Vec<_> =
                            entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
                        names.sort();
                        println!("{}", names.join(" "));
                    }
                    Err(e) => println!("{path}: {}", e.kind()),
                }
            }
            ExitCode::SUCCESS
        }
        "fds" => {
            let mut names: Vec<_> = fs::read_dir("/proc/self/fd")
                .unwrap()
                .map(|e| e.unwrap().path())
                .filter(|p| !fs::read_link(p).is_ok_and(|t| t.to_string_lossy().contains("/fd")))
                .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
                .collect();
            names.sort();
            println!("{}", names.join(" "));
            ExitCode::SUCCESS
        }
        "write" => match fs::write(&args[2], &args[3]) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                println!("{}", e.raw_os_error().unwrap());
                ExitCode::FAILURE
            }
        },
        "stat" => {
            use std::os::unix::fs::MetadataExt;
            for path in &args[2..] {
                match fs::symlink_metadata(path) {
                    Ok(m) => println!("{} {:o} {}:{} {:x}", path, m.mode(), m.uid(), m.gid(), m.rdev()),
                    Err(e) => println!("{path}: {}", e.kind()),
                }
            }
            ExitCode::SUCCESS
        }
        "make" => {
            fs::write(&args[2], "made").unwrap();
            ExitCode::SUCCESS
        }
        // A hook: leaves what it is told and what it sees at `args[2]`, and ends as `args[3]` says.
        "hook" => {
            let mut state = String::new();
            std::io::Read::read_to_string(&mut std::io::stdin(), &mut state).unwrap();
            let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            let here = std::env::current_dir().unwrap();
            let variable = std::env::var("HOOK").unwrap_or_default();
            let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
            let caps = status.lines().find(|l| l.starts_with("CapEff:")).unwrap_or_default();
            let said = format!("{state}\n{}{}\n{variable}\n{caps}\n", name, here.display());
            if args[2] != "-" {
                let mut file = fs::OpenOptions::new().create(true).append(true).open(&args[2]).unwrap();
                std::io::Write::write_all(&mut file, said.as_bytes()).unwrap();
            }
            println!("I say {}", args[3]);
            match args[3].as_str() {
                "hang" => loop {
                    std::thread::park();
                },
                code => ExitCode::from(code.parse::<u8>().unwrap()),
            }
        }
        "clocks" => {
            let now = |id| rustix::time::clock_gettime(id).tv_sec;
            println!("{} {}", now(rustix::time::ClockId::Monotonic), now(rustix::time::ClockId::Boottime));
            ExitCode::SUCCESS
        }
        "uname" => {
            println!("{}", rustix::system::uname().machine().to_string_lossy());
            ExitCode::SUCCESS
        }
        "ioprio" => {
            let (class, level) = dhow_sys::ioprio::get().unwrap();
            println!("{class} {level}");
            ExitCode::SUCCESS
        }
        "pwd" => {
            println!("{}", std::env::current_dir().unwrap().display());
            ExitCode::SUCCESS
        }
        "env" => {
            std::env::vars().for_each(|(k, v)| println!("{k}={v}"));
            ExitCode::SUCCESS
        }
        "links" => {
            for path in &args[2..] {
                println!("{}", fs::read_link(path).unwrap().display());
            }
            ExitCode::SUCCESS
        }
        "tty" => {
            use std::io::IsTerminal;
            println!("{} {}", std::io::stdin().is_terminal(), fs::File::open("/dev/tty").is_ok());
            ExitCode::SUCCESS
        }
        "calls" => {
            let errno =
                |result: rustix::io::Result<()>| result.err().map_or(0, rustix::io::Errno::raw_os_error);
            let mount =
                rustix::mount::mount("none", "/tmp", "tmpfs", rustix::mount::MountFlags::empty(), None);
            println!("mount {}", errno(mount));
            println!(
                "clone3 {}",
                dhow_sys::clone::clone3(0, None).err().map_or(0, rustix::io::Errno::raw_os_error)
            );
            ExitCode::SUCCESS
        }
        "device" => {
            let device = rustix::fs::makedev(args[3].parse().unwrap(), args[4].parse().unwrap());
            let (kind, mode) =
                (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::from_raw_mode(0o666));
            rustix::fs::mknodat(rustix::fs::CWD, &args[2], kind, mode, device).unwrap();
            match fs::File::open(&args[2]) {
                Ok(_) => println!("opened"),
                Err(e) => println!("{}", e.raw_os_error().unwrap()),
            }
            ExitCode::SUCCESS
        }
        "orphans" => orphans(),
        "parent" => {
            #[allow(clippy::zombie_processes, reason = "the orphan that PID 1 must collect")]
            let child = std::process::Command::new("/bin/probe").args(["exit", "0"]).spawn().unwrap();
            println!("{}", child.id());
            ExitCode::SUCCESS
        }
        // Touches so many MiB, then waits for its end.
        "eat" => {
            let mut all = Vec::new();
            for _ in 0..args[2].parse::<usize>().unwrap() {
                all.push(vec![1u8; 1 << 20]);
            }
            println!("{} MiB", all.len());
            loop {
                std::thread::park();
            }
        }
        // A child that eats and is killed for it.
        "parent-of-eater" => {
            let mut eater = std::process::Command::new("/bin/probe").args(["eat", &args[2]]).spawn().unwrap();
            eater.wait().unwrap();
            loop {
                std::thread::park();
            }
        }
        // Forks for ever; every child does the same.
        "bomb" => loop {
            match std::process::Command::new("/bin/probe").arg("bomb").spawn() {
                Ok(child) => std::mem::forget(child),
                Err(_) => std::thread::yield_now(),
            }
        },
        "hold" => loop {
            std::thread::park();
        },
        other => crate::checks::main(other, &args[2..]),
    }
}
