//! What containers of these tests run.

use std::{
    io::{Read, Write, stderr, stdin, stdout},
    process::{Command, ExitCode},
};

pub(crate) fn main(args: &[String]) -> ExitCode {
    let number = |at: usize| args.get(at).and_then(|a| a.parse::<usize>().ok()).unwrap_or(0);
    let mut out = stdout().lock();
    match args[0].as_str() {
        "exit" => return ExitCode::from(u8::try_from(number(1)).unwrap()),
        "both" => {
            out.write_all(b"to stdout\n").unwrap();
            stderr().write_all(b"to stderr\nno end").unwrap();
        }
        "lines" => (0..number(1)).for_each(|n| writeln!(out, "line {n}").unwrap()),
        "big" => {
            out.write_all(&vec![b'x'; number(1)]).unwrap();
            out.write_all(b"\n").unwrap();
        }
        "binary" => {
            let all: Vec<u8> = (0..=255).collect();
            out.write_all(&all).unwrap();
            out.flush().unwrap();
        }
        "cat" => {
            let mut buffer = [0; 4096];
            loop {
                let count = stdin().read(&mut buffer).unwrap();
                if count == 0 {
                    break;
                }
                out.write_all(&buffer[..count]).unwrap();
                out.flush().unwrap();
            }
            stderr().write_all(b"end of input\n").unwrap();
            return ExitCode::from(3);
        }
        "size" => {
            let mut line = String::new();
            while stdin().read_line(&mut line).unwrap() > 0 {
                let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).unwrap();
                println!("rows {} cols {} {}", size.ws_row, size.ws_col, line.trim());
                line.clear();
            }
        }
        "flood" => loop {
            out.write_all(&[b'y'; 8192]).unwrap();
        },
        "sleep" => {
            out.write_all(b"asleep\n").unwrap();
            out.flush().unwrap();
            std::thread::sleep(std::time::Duration::from_secs(600));
        }
        // Leaves a child behind that holds the streams.
        "stray" => {
            #[expect(clippy::zombie_processes, reason = "a stray is what this is about")]
            let child = Command::new("/bin/inside").arg("sleep").spawn().unwrap();
            writeln!(out, "left {}", child.id()).unwrap();
        }
        // Waits for a child that sleeps.
        "family" => {
            Command::new("/bin/inside").arg("sleep").status().unwrap();
        }
        "fds" => {
            for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
                let path = entry.unwrap().path();
                writeln!(
                    out,
                    "{} {}",
                    path.display(),
                    std::fs::read_link(&path).unwrap_or_default().display()
                )
                .unwrap();
            }
        }
        "memory" => {
            let mut all = Vec::new();
            loop {
                all.push(vec![1_u8; 1 << 20]);
            }
        }
        other => panic!("no such thing: {other}"),
    }
    ExitCode::SUCCESS
}
