//! A root file system from the machine's static busybox, as a tar to import.

use std::path::Path;

const APPLETS: &[&str] = &[
    "sh",
    "ash",
    "cat",
    "echo",
    "ls",
    "sleep",
    "true",
    "false",
    "env",
    "id",
    "ps",
    "kill",
    "hostname",
    "ip",
    "ping",
    "nslookup",
    "wget",
    "nc",
    "mkdir",
    "rm",
    "rmdir",
    "touch",
    "cp",
    "mv",
    "ln",
    "chmod",
    "chown",
    "head",
    "tail",
    "grep",
    "sed",
    "awk",
    "wc",
    "sort",
    "seq",
    "dd",
    "date",
    "mount",
    "umount",
    "df",
    "du",
    "stat",
    "readlink",
    "stty",
    "tty",
    "printf",
    "test",
    "yes",
    "tar",
    "gzip",
    "md5sum",
    "sha256sum",
    "find",
    "xargs",
    "cut",
    "tr",
    "uname",
    "whoami",
    "pwd",
    "basename",
    "dirname",
    "ulimit",
    "mknod",
    "od",
    "hexdump",
    "vi",
    "tee",
    "timeout",
    "time",
    "usleep",
    "nproc",
    "free",
    "top",
];

/// Where Debian's `busybox-static` puts it.
fn busybox() -> &'static Path {
    let found = ["/bin/busybox", "/usr/bin/busybox"].iter().map(Path::new).find(|path| path.exists());
    found.expect("busybox-static is not installed: run `cargo xtask test`, which installs it")
}

/// The tar: /bin/busybox and its applets, /etc/passwd and group, /tmp.
#[must_use]
pub fn busybox_tar() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.mode(tar::HeaderMode::Deterministic);
    let header = |kind: tar::EntryType, mode: u32, size: u64| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_mtime(1_700_000_000);
        header.set_uid(0);
        header.set_gid(0);
        header
    };
    for (folder, mode) in [
        ("bin", 0o755),
        ("etc", 0o755),
        ("tmp", 0o1777),
        ("root", 0o700),
        ("var", 0o755),
        ("home", 0o755),
        ("usr", 0o755),
        ("usr/bin", 0o755),
    ] {
        builder
            .append_data(&mut header(tar::EntryType::Directory, mode, 0), folder, std::io::empty())
            .unwrap();
    }
    let program = std::fs::read(busybox()).unwrap();
    builder
        .append_data(
            &mut header(tar::EntryType::Regular, 0o755, program.len() as u64),
            "bin/busybox",
            program.as_slice(),
        )
        .unwrap();
    for applet in APPLETS {
        builder
            .append_link(&mut header(tar::EntryType::Symlink, 0o777, 0), format!("bin/{applet}"), "busybox")
            .unwrap();
    }
    let files = [
        (
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/false\napp:x:1000:1000:app:/home:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
        ),
        ("etc/group", "root:x:0:\ndaemon:x:1:\napp:x:1000:\nextra:x:2000:app\nnobody:x:65534:\n"),
    ];
    for (name, text) in files {
        builder
            .append_data(
                &mut header(tar::EntryType::Regular, 0o644, text.len() as u64),
                name,
                text.as_bytes(),
            )
            .unwrap();
    }
    builder.into_inner().unwrap()
}
