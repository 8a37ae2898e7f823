//! Terminals: ours, and those handed to a socket.

use crate::fixture::{Bench, bench};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::json;
use std::fs::File;
use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixListener;

/// The master that comes over the console socket while `words` run.
fn master(b: &Bench, words: &dyn Fn(&str) -> Vec<String>) -> File {
    let path = b.dir.join("console");
    drop(std::fs::remove_file(&path));
    let listener = UnixListener::bind(&path).unwrap();
    let words = words(path.to_str().unwrap());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(b.quietly(&words), 0);
    let (socket, _) = listener.accept().unwrap();
    let (mut name, mut space) = ([0; 64], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))]);
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let read = recvmsg(&socket, &mut [IoSliceMut::new(&mut name)], &mut control, flags).unwrap().bytes;
    assert_eq!(&name[..read], b"/dev/ptmx");
    let fd = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    File::from(fd.unwrap())
}

/// Until the other end is closed, which a terminal's master tells by EIO.
fn all(mut master: File) -> String {
    let (mut text, mut chunk) = (Vec::new(), [0; 256]);
    while let Ok(read @ 1..) = master.read(&mut chunk) {
        text.extend_from_slice(&chunk[..read]);
    }
    String::from_utf8(text).unwrap()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn root_terminals_go_to_the_console_socket() {
    let Some(b) = bench(&["sh", "-c", "tty; stty size; sleep 1000"]) else { return };
    b.configure(|config| {
        config["process"]["terminal"] = json!(true);
        config["process"]["consoleSize"] = json!({"height": 21, "width": 43});
    });
    b.run(&["create", "@a"]).fails(1, "without setting console socket");
    let mut first = master(&b, &|socket| words(&["create", "--console-socket", socket, "@a"]));
    b.run(&["start", "@a"]).ok();
    let mut text = [0; 17];
    first.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"/dev/pts/0\r\n21 43");
    let further = ["sh", "-c", "tty; exit 3"];
    let exec = master(&b, &|socket| {
        words(&[&["exec", "--detach", "--tty", "--console-socket", socket, "@a"], &further[..]].concat())
    });
    assert_eq!(all(exec), "/dev/pts/1\r\n");
}

#[test]
fn root_exec_with_our_terminal() {
    let Some(b) = bench(&["sleep", "1000"]) else { return };
    assert_eq!(b.quietly(&["run", "--detach", "@a"]), 0);
    let ran = b.run(&["exec", "--tty", "@a", "sh", "-c", "tty; exit 4"]);
    assert_eq!((ran.code, ran.out.as_str()), (4, "/dev/pts/0\r\n"), "{ran:?}");
    let mut typed = b.command(&["exec", "--tty", "@a", "sh", "-c", "read line; echo got $line"]);
    let file = b.dir.join("typed");
    std::fs::write(&file, "words\n").unwrap();
    let output = typed.stdin(File::open(&file).unwrap()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("got words\r\n"), "{output:?}");
    // The process's own copy of the terminal is the last one: its end must not come before its word.
    b.run(&["exec", "--tty", "@a", "nosuch"]).fails(255, "executable file not found in $PATH");
}
