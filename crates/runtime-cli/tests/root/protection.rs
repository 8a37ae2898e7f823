//! The runtime's own file, with an attacker in the container.

use crate::fixture::{bench, eventually};

/// CVE-2019-5736: a process of the container is the runtime's program (`/proc/self/exe`), another one opens its file and writes to it
/// once it has ended.
#[test]
fn root_the_program_cannot_be_overwritten() {
    let Some(mut b) = bench(&["sleep", "1000"]) else { return };
    // Also where the container may mount.
    b.configure(|config| {
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set].as_array_mut().unwrap().push("CAP_SYS_ADMIN".into());
        }
    });
    b.program = b.dir.join("copy");
    std::fs::copy(crate::fixture::PROGRAM, &b.program).unwrap();
    let before = std::fs::read(&b.program).unwrap();
    // A state that is a pipe holds whoever reads it.
    let trap = b.bundle().join("rootfs/root/x");
    std::fs::create_dir_all(&trap).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        trap.join("state.json"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert_eq!(b.quietly(&["run", "--detach", "@a"]), 0);
    let held = ["exec", "--detach", "@a", "/proc/self/exe", "--root", "/root", "state", "x"];
    assert_eq!(b.quietly(&held), 0);
    // Detached, as the kernel lets nobody write to a program that runs; it tries until nobody runs it any more.
    let script =
        "for p in /proc/[0-9]*; do e=\"$(readlink $p/exe)\" && [ \"$e\" != /bin/busybox ] && victim=$p; done
        exec 9<$victim/exe || exec touch /failed
        mount -o remount,bind,rw /proc/self/fd/9
        kill -KILL ${victim#/proc/}
        for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; echo pwned >/proc/self/fd/9; done 2>/tried
        mv /tried /done";
    assert_eq!(b.quietly(&["exec", "--detach", "@a", "sh", "-c", script]), 0);
    let (failed, done) = (b.bundle().join("rootfs/failed"), b.bundle().join("rootfs/done"));
    eventually(|| done.exists() || failed.exists(), || "no end of the attack".to_owned());
    let told = std::fs::read_to_string(done).expect("the attack did not take place");
    assert!(std::fs::read(&b.program).unwrap() == before, "the program was overwritten: {told}");
    assert!(told.contains("/proc/self/fd/9"), "nobody was refused: {told}");
}
