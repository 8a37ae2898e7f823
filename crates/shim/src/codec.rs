//! Requests and events as bytes: version, kind, sequence number, fields. Numbers are little-endian, texts and bytes have a length of
//! four bytes before them. Decoding never panics and never believes a length.

use crate::protocol::{Event, Exit, LogConfig, Outside, Request, StdioConfig, Target};
use std::{io, os::unix::ffi::OsStrExt, os::unix::ffi::OsStringExt, path::PathBuf};

/// Of the messages. A shim outlives the daemon that started it: another layout needs another number.
const VERSION: u8 = 1;

struct Writer(Vec<u8>);

impl Writer {
    fn new(kind: u8, seq: u32) -> Self {
        let mut writer = Self(Vec::with_capacity(64));
        writer.u8(VERSION).u8(kind).u32(seq);
        writer
    }
    fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }
    fn flag(&mut self, value: bool) -> &mut Self {
        self.u8(u8::from(value))
    }
    fn u16(&mut self, value: u16) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
    fn i32(&mut self, value: i32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
    fn bytes(&mut self, value: &[u8]) -> &mut Self {
        // Longer than 4 GiB is refused by the receiver's limit anyway.
        self.u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(value);
        self
    }
    fn target(&mut self, target: &Target) -> &mut Self {
        match target {
            Target::Init => self.u8(0),
            Target::Exec(id) => self.u8(1).bytes(id.as_bytes()),
        }
    }
    fn exit(&mut self, exit: &Exit) -> &mut Self {
        self.i32(exit.code).flag(exit.oom);
        self.0.extend_from_slice(&exit.at.to_le_bytes());
        self
    }
    fn stdio(&mut self, stdio: &StdioConfig) -> &mut Self {
        self.flag(stdio.tty).flag(stdio.stdin).flag(stdio.stdin_once).u16(stdio.size.0).u16(stdio.size.1)
    }
    fn log(&mut self, log: &LogConfig) -> &mut Self {
        match log {
            LogConfig::None => self.u8(0),
            LogConfig::JsonFile { path, max_size, max_files, attrs } => self
                .u8(1)
                .bytes(path.as_os_str().as_bytes())
                .u64(*max_size)
                .u32(*max_files)
                .bytes(attrs.as_bytes()),
        }
    }
}

impl Writer {
    fn words(&mut self, words: &[String]) -> &mut Self {
        self.u32(u32::try_from(words.len()).unwrap_or(u32::MAX));
        for word in words {
            self.bytes(word.as_bytes());
        }
        self
    }
    fn outside(&mut self, outside: Option<&Outside>) -> &mut Self {
        self.flag(outside.is_some());
        if let Some(Outside { program, args, id, config }) = outside {
            self.bytes(program.as_os_str().as_bytes()).words(args).bytes(id.as_bytes()).bytes(config);
        }
        self
    }
}

struct Reader<'a>(&'a [u8]);

fn garbage(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk().ok_or_else(|| garbage("message is too short"))?;
        self.0 = rest;
        Ok(*head)
    }
    fn u8(&mut self) -> io::Result<u8> {
        self.take().map(u8::from_le_bytes)
    }
    fn flag(&mut self) -> io::Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(garbage("message has a flag that is neither 0 nor 1")),
        }
    }
    fn u16(&mut self) -> io::Result<u16> {
        self.take().map(u16::from_le_bytes)
    }
    fn u32(&mut self) -> io::Result<u32> {
        self.take().map(u32::from_le_bytes)
    }
    fn i32(&mut self) -> io::Result<i32> {
        self.take().map(i32::from_le_bytes)
    }
    fn i64(&mut self) -> io::Result<i64> {
        self.take().map(i64::from_le_bytes)
    }
    fn u64(&mut self) -> io::Result<u64> {
        self.take().map(u64::from_le_bytes)
    }
    fn bytes(&mut self) -> io::Result<&'a [u8]> {
        let length = self.u32()? as usize;
        let (head, rest) = self.0.split_at_checked(length).ok_or_else(|| garbage("message is too short"))?;
        self.0 = rest;
        Ok(head)
    }
    fn text(&mut self) -> io::Result<String> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| garbage("message has a text that is not UTF-8"))
    }
    fn path(&mut self) -> io::Result<PathBuf> {
        Ok(std::ffi::OsString::from_vec(self.bytes()?.to_vec()).into())
    }
    fn words(&mut self) -> io::Result<Vec<String>> {
        // As long as there is something: a length that lies ends with the message.
        (0..self.u32()?).map(|_| self.text()).collect()
    }
    fn outside(&mut self) -> io::Result<Option<Outside>> {
        if !self.flag()? {
            return Ok(None);
        }
        let (program, args, id) = (self.path()?, self.words()?, self.text()?);
        Ok(Some(Outside { program, args, id, config: self.bytes()?.to_vec() }))
    }
    fn target(&mut self) -> io::Result<Target> {
        match self.u8()? {
            0 => Ok(Target::Init),
            1 => self.text().map(Target::Exec),
            _ => Err(garbage("message names an unknown kind of process")),
        }
    }
    fn exit(&mut self) -> io::Result<Exit> {
        Ok(Exit { code: self.i32()?, oom: self.flag()?, at: self.i64()? })
    }
    fn stdio(&mut self) -> io::Result<StdioConfig> {
        let (tty, stdin, stdin_once) = (self.flag()?, self.flag()?, self.flag()?);
        Ok(StdioConfig { tty, stdin, stdin_once, size: (self.u16()?, self.u16()?) })
    }
    fn log(&mut self) -> io::Result<LogConfig> {
        match self.u8()? {
            0 => Ok(LogConfig::None),
            1 => {
                let path = self.path()?;
                let (max_size, max_files, attrs) = (self.u64()?, self.u32()?, self.text()?);
                Ok(LogConfig::JsonFile { path, max_size, max_files, attrs })
            }
            _ => Err(garbage("message names an unknown log driver")),
        }
    }
    /// Version, kind and number; the fields are left.
    fn head(&mut self) -> io::Result<(u8, u32)> {
        if self.u8()? != VERSION {
            return Err(garbage("message is of another version"));
        }
        Ok((self.u8()?, self.u32()?))
    }
    fn end<T>(&self, value: T) -> io::Result<T> {
        if self.0.is_empty() { Ok(value) } else { Err(garbage("message is too long")) }
    }
}

pub(crate) fn encode_request(seq: u32, request: &Request) -> Vec<u8> {
    let kind = match request {
        Request::Create { .. } => 1,
        Request::Go => 2,
        Request::Exec { .. } => 3,
        Request::Attach { .. } => 4,
        Request::Signal { .. } => 5,
        Request::Resize { .. } => 6,
        Request::Goodbye => 7,
        Request::Runtime { .. } => 8,
    };
    let mut w = Writer::new(kind, seq);
    match request {
        Request::Create { plan, netns, stdio, log, outside } => {
            w.bytes(plan).flag(*netns).stdio(stdio).log(log).outside(outside.as_ref())
        }
        Request::Runtime { words, input } => w.words(words).bytes(input),
        Request::Exec { id, plan, stdio } => w.bytes(id.as_bytes()).bytes(plan).stdio(stdio),
        Request::Attach { target, stdin, stdout, stderr } => {
            w.target(target).flag(*stdin).flag(*stdout).flag(*stderr)
        }
        Request::Signal { target, signal } => w.target(target).i32(*signal),
        Request::Resize { target, rows, cols } => w.target(target).u16(*rows).u16(*cols),
        Request::Go | Request::Goodbye => &mut w,
    };
    w.0
}

pub(crate) fn decode_request(bytes: &[u8]) -> io::Result<(u32, Request)> {
    let mut r = Reader(bytes);
    let (kind, seq) = r.head()?;
    let request = match kind {
        1 => Request::Create {
            plan: r.bytes()?.to_vec(),
            netns: r.flag()?,
            stdio: r.stdio()?,
            log: r.log()?,
            outside: r.outside()?,
        },
        2 => Request::Go,
        3 => Request::Exec { id: r.text()?, plan: r.bytes()?.to_vec(), stdio: r.stdio()? },
        4 => Request::Attach { target: r.target()?, stdin: r.flag()?, stdout: r.flag()?, stderr: r.flag()? },
        5 => Request::Signal { target: r.target()?, signal: r.i32()? },
        6 => Request::Resize { target: r.target()?, rows: r.u16()?, cols: r.u16()? },
        7 => Request::Goodbye,
        8 => Request::Runtime { words: r.words()?, input: r.bytes()?.to_vec() },
        _ => return Err(garbage("message is an unknown request")),
    };
    r.end((seq, request))
}

pub(crate) fn encode_event(event: &Event) -> Vec<u8> {
    let (kind, seq) = match event {
        Event::Hello { .. } => (129, 0),
        Event::Created { seq, .. } => (130, *seq),
        Event::Started { seq, .. } => (131, *seq),
        Event::Done { seq } => (132, *seq),
        Event::Failed { seq, .. } => (133, *seq),
        Event::Exited { .. } => (134, 0),
    };
    let mut w = Writer::new(kind, seq);
    match event {
        Event::Hello { pid, running, exit, execs } => {
            w.i32(pid.unwrap_or(0)).flag(*running).flag(exit.is_some());
            if let Some(exit) = exit {
                w.exit(exit);
            }
            w.u32(u32::try_from(execs.len()).unwrap_or(u32::MAX));
            for (id, pid) in execs {
                w.bytes(id.as_bytes()).i32(*pid);
            }
        }
        Event::Created { pid, .. } | Event::Started { pid, .. } => {
            w.i32(*pid);
        }
        Event::Done { .. } => {}
        Event::Failed { step, object, errno, detail, .. } => {
            w.bytes(step.as_bytes()).bytes(object.as_bytes()).i32(*errno).bytes(detail.as_bytes());
        }
        Event::Exited { target, exit } => {
            w.target(target).exit(exit);
        }
    }
    w.0
}

pub(crate) fn decode_event(bytes: &[u8]) -> io::Result<Event> {
    let mut r = Reader(bytes);
    let (kind, seq) = r.head()?;
    let event = match kind {
        129 => {
            let pid = Some(r.i32()?).filter(|pid| *pid != 0);
            let running = r.flag()?;
            let exit = if r.flag()? { Some(r.exit()?) } else { None };
            let count = r.u32()?;
            let mut execs = Vec::new();
            for _ in 0..count {
                execs.push((r.text()?, r.i32()?));
            }
            Event::Hello { pid, running, exit, execs }
        }
        130 => Event::Created { seq, pid: r.i32()? },
        131 => Event::Started { seq, pid: r.i32()? },
        132 => Event::Done { seq },
        133 => Event::Failed { seq, step: r.text()?, object: r.text()?, errno: r.i32()?, detail: r.text()? },
        134 => Event::Exited { target: r.target()?, exit: r.exit()? },
        _ => return Err(garbage("message is an unknown event")),
    };
    r.end(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Vec<Request> {
        let stdio = StdioConfig { tty: true, stdin: true, stdin_once: true, size: (24, 80) };
        let log =
            LogConfig::JsonFile { path: "/a/b".into(), max_size: 1 << 40, max_files: 3, attrs: "{}".into() };
        let exec = || Target::Exec("id".into());
        vec![
            Request::Create {
                plan: vec![1, 2],
                netns: true,
                stdio: stdio.clone(),
                log,
                outside: Some(Outside {
                    program: "/bin/runc".into(),
                    args: vec!["--debug".into()],
                    id: "c".into(),
                    config: b"{}".to_vec(),
                }),
            },
            Request::Runtime { words: vec!["pause".into()], input: vec![1] },
            Request::Create {
                plan: vec![],
                netns: false,
                stdio: StdioConfig::default(),
                log: LogConfig::None,
                outside: None,
            },
            Request::Go,
            Request::Exec { id: "é".into(), plan: vec![9; 70_000], stdio },
            Request::Attach { target: Target::Init, stdin: true, stdout: false, stderr: true },
            Request::Signal { target: exec(), signal: 37 },
            Request::Resize { target: exec(), rows: 1, cols: 65535 },
            Request::Goodbye,
        ]
    }

    fn events() -> Vec<Event> {
        let exit = Exit { code: 137, oom: true, at: -1 };
        vec![
            Event::Hello { pid: None, running: false, exit: None, execs: vec![] },
            Event::Hello { pid: Some(4), running: true, exit: Some(exit), execs: vec![("a".into(), 7)] },
            Event::Created { seq: 1, pid: 2 },
            Event::Started { seq: u32::MAX, pid: 2 },
            Event::Done { seq: 3 },
            Event::Failed {
                seq: 4,
                step: "exec".into(),
                object: "x".into(),
                errno: 2,
                detail: String::new(),
            },
            Event::Exited { target: Target::Exec("x".into()), exit },
        ]
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for (seq, request) in (0_u32..).zip(requests()) {
            assert_eq!(decode_request(&encode_request(seq, &request)).unwrap(), (seq, request));
        }
        for event in events() {
            assert_eq!(decode_event(&encode_event(&event)).unwrap(), event);
        }
    }

    #[test]
    fn garbage_is_an_error() {
        let messages = requests()
            .into_iter()
            .map(|r| encode_request(1, &r))
            .chain(events().into_iter().map(|e| encode_event(&e)));
        for message in messages {
            for length in (0..message.len()).take(200) {
                assert!(
                    decode_request(&message[..length]).is_err() && decode_event(&message[..length]).is_err()
                );
            }
            let mut longer = message.clone();
            longer.push(0);
            assert!(decode_request(&longer).is_err() && decode_event(&longer).is_err());
            for at in 0..message.len().min(200) {
                let mut broken = message.clone();
                broken[at] ^= 0xff;
                // Must return, whatever it returns.
                drop((decode_request(&broken), decode_event(&broken)));
            }
        }
    }
}
