//! `--control`: listening on what stdin says, until it ends.

use crate::support::Folder;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
};

#[test]
fn addresses_come_and_go_while_it_runs_and_it_ends_with_its_stdin() {
    let folder = Folder::new();
    let mut broker = Command::new(env!("CARGO_BIN_EXE_dhow-broker"))
        .args(["--control", "--data"])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = broker.stdin.take().unwrap();
    let mut answers = BufReader::new(broker.stdout.take().unwrap()).lines();
    let mut say = |line: &str| {
        writeln!(input, "{line}").unwrap();
        answers.next().unwrap().unwrap()
    };
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (first, second, taken) = (free(), free(), TcpListener::bind("127.0.0.1:0").unwrap());
    let held = taken.local_addr().unwrap();
    assert_eq!(say(&format!("{first}")), format!(r#"{{"failed":{{}},"listening":["{first}"]}}"#));
    let mut old = TcpStream::connect(first).unwrap();
    // ApiVersions, whose answer says that the broker has taken the connection: one that waits goes with the address.
    old.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 255, 255]).unwrap();
    let mut length = [0; 4];
    old.read_exact(&mut length).unwrap();
    old.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize]).unwrap();
    let answer = say(&format!("{second}@lo {held} nonsense"));
    assert!(answer.contains(&format!(r#""listening":["{second}@lo"]"#)), "{answer}");
    assert!(answer.contains(&format!(r#""{held}":"Address in use"#)), "{answer}");
    assert!(answer.contains(r#""nonsense":"not ADDRESS:PORT""#), "{answer}");
    assert!(TcpStream::connect(first).is_err(), "the address that went is still served");
    drop(TcpStream::connect(second).unwrap());
    drop(taken);
    assert!(say(&format!("{held}")).contains(&format!(r#"["{held}"]"#)), "tried again");
    // Who is connected stays so.
    old.set_nonblocking(true).unwrap();
    assert_eq!(old.peek(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(input);
    assert!(broker.wait().unwrap().success());
}
