//! The program inside the containers of this crate's tests: a few commands in one static binary, so that a test needs no image of anybody else's.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]

use std::{
    env, fs,
    io::{self, BufRead, Read, Write},
    net::{TcpListener, TcpStream},
    process::ExitCode,
    thread,
    time::Duration,
};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("box: {failure}");
            ExitCode::from(99)
        }
    }
}

fn run(words: &[&str]) -> io::Result<u8> {
    match words {
        ["echo", rest @ ..] => println!("{}", rest.join(" ")),
        ["both", out, err] => {
            println!("{out}");
            eprintln!("{err}");
        }
        ["exit", code] => return Ok(code.parse().unwrap_or(98)),
        // dies of TERM as a PID 1 with a handler would: the kernel ignores TERM for a PID 1 without one
        ["sleep"] => loop {
            thread::sleep(Duration::from_secs(3600));
        },
        ["nap", millis] => thread::sleep(Duration::from_millis(millis.parse().unwrap_or(0))),
        ["cat"] => {
            for line in io::stdin().lock().lines() {
                println!("{}", line?);
            }
        }
        ["read", path] => io::stdout().write_all(&fs::read(path)?)?,
        ["write", path, text] => fs::write(path, text)?,
        ["exists", path] => return Ok(u8::from(fs::symlink_metadata(path).is_err())),
        ["env", name] => println!("{}", env::var(name).unwrap_or_default()),
        ["serve", port] => {
            let listener = TcpListener::bind(("0.0.0.0", port.parse().unwrap_or(80)))?;
            println!("ready");
            for stream in listener.incoming() {
                stream?.write_all(b"hello from inside")?;
            }
        }
        ["fetch", address] => {
            let mut text = String::new();
            TcpStream::connect(address)?.read_to_string(&mut text)?;
            println!("{text}");
        }
        ["count", n] => {
            for i in 0..n.parse().unwrap_or(0) {
                println!("line {i}");
            }
        }
        other => {
            eprintln!("box: no such command {other:?}");
            return Ok(97);
        }
    }
    Ok(0)
}
