//! A connection to systemd's manager: its private socket, else the system bus.

use super::message::{Address, Incoming, Writer, call, parse, size};
use crate::Error;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send,
    socket_with,
};

/// Where systemd answers root without a bus between (sd-bus' `unix:path=`).
const PRIVATE: &str = "/run/systemd/private";
const SYSTEM: &str = "/run/dbus/system_bus_socket";

const MANAGER: Address<'static> = Address {
    destination: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};
const BUS: Address<'static> = Address {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};

/// How long systemd may take for one answer; jobs of scopes take milliseconds.
const PATIENCE: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

/// What systemd refuses, by its D-Bus name.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) name: String,
    pub(super) text: String,
}

#[derive(Debug)]
pub(super) struct Bus {
    socket: OwnedFd,
    serial: u32,
    /// Jobs that ended, with their results, before anybody asked.
    ended: Vec<(String, String)>,
}

fn fail(errno: Errno) -> Error {
    Error::os("ask", "systemd", errno)
}

impl Bus {
    pub(super) fn open() -> Result<Self, Error> {
        match Self::at(PRIVATE) {
            Ok(bus) => return Ok(bus),
            Err(e)
                if e.errno == Errno::NOENT.raw_os_error() || e.errno == Errno::CONNREFUSED.raw_os_error() => {
            }
            Err(e) => return Err(e),
        }
        let mut bus = Self::at(SYSTEM)?;
        bus.ask(BUS, "Hello", "", Writer::default())?;
        let mut rule = Writer::default();
        rule.text("type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'");
        bus.ask(BUS, "AddMatch", "s", rule)?;
        bus.ask(MANAGER, "Subscribe", "", Writer::default())?;
        Ok(bus)
    }

    fn at(path: &str) -> Result<Self, Error> {
        let named = |e| Error::os("connect to systemd", path, e);
        let address = SocketAddrUnix::new(path).map_err(named)?;
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(named)?;
        connect(&socket, &address).map_err(named)?;
        let mut bus = Self { socket, serial: 0, ended: Vec::new() };
        bus.authenticate().map_err(|e| e.because(path))?;
        Ok(bus)
    }

    /// SASL EXTERNAL: the kernel says who we are, the text says it in hexadecimal digits of decimal ones.
    fn authenticate(&mut self) -> Result<(), Error> {
        let uid = rustix::process::geteuid().as_raw().to_string();
        let hex: String = uid.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.send(format!("\0AUTH EXTERNAL {hex}\r\nBEGIN\r\n").as_bytes())?;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0u8; 1];
            self.fill(&mut byte)?;
            line.extend_from_slice(&byte);
            if line.len() > 512 {
                return Err(fail(Errno::PROTO));
            }
        }
        if line.starts_with(b"OK ") {
            return Ok(());
        }
        Err(fail(Errno::ACCESS).because(String::from_utf8_lossy(&line).trim_end()))
    }

    fn send(&self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let sent = retry_on_intr(|| send(&self.socket, bytes, SendFlags::NOSIGNAL)).map_err(fail)?;
            bytes = bytes.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    /// Reads until `buffer` is full.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Error> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let mut fds = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN)];
            if retry_on_intr(|| poll(&mut fds, Some(&PATIENCE))).map_err(fail)? == 0 {
                return Err(fail(Errno::TIMEDOUT));
            }
            match retry_on_intr(|| recv(&self.socket, &mut *rest, RecvFlags::empty())).map_err(fail)? {
                (_, 0) => return Err(fail(Errno::CONNRESET)),
                (_, length) => filled += length,
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Incoming, Error> {
        let garbled = || fail(Errno::PROTO).because("its answer is no D-Bus message");
        let mut head = [0u8; 16];
        self.fill(&mut head)?;
        let mut bytes = head.to_vec();
        bytes.resize(size(&head).ok_or_else(garbled)?, 0);
        self.fill(bytes.get_mut(16..).unwrap_or_default())?;
        parse(&bytes).ok_or_else(garbled)
    }

    /// Calls, and waits for the answer. Ends of jobs that come between are kept.
    fn exchange(
        &mut self,
        to: Address<'_>,
        member: &str,
        signature: &str,
        body: Writer,
    ) -> Result<Result<Incoming, Refusal>, Error> {
        self.serial += 1;
        self.send(&call(to, member, self.serial, signature, body))?;
        loop {
            let mut message = self.receive()?;
            match message.kind {
                2 if message.reply_to == self.serial => return Ok(Ok(message)),
                3 if message.reply_to == self.serial => {
                    let text = message.texts.drain(..).next().unwrap_or_default();
                    return Ok(Err(Refusal { name: message.error, text }));
                }
                _ => self.note(message),
            }
        }
    }

    fn note(&mut self, message: Incoming) {
        if message.kind == 4
            && message.member == "JobRemoved"
            && let [job, _, result] = message.texts.as_slice()
        {
            self.ended.push((job.clone(), result.clone()));
        }
    }

    fn ask(
        &mut self,
        to: Address<'_>,
        member: &str,
        signature: &str,
        body: Writer,
    ) -> Result<Incoming, Error> {
        self.exchange(to, member, signature, body)?.map_err(|refusal| refused(member, &refusal))
    }

    /// A method of the manager.
    pub(super) fn manager(
        &mut self,
        member: &str,
        signature: &str,
        body: Writer,
    ) -> Result<Result<Incoming, Refusal>, Error> {
        self.exchange(MANAGER, member, signature, body)
    }

    /// Waits for the end of a job, by its path; its result (`done`, `failed`, `timeout` …).
    pub(super) fn job(&mut self, path: &str) -> Result<String, Error> {
        loop {
            if let Some((_, result)) = self.ended.iter().find(|(job, _)| job == path) {
                return Ok(result.clone());
            }
            let message = self.receive()?;
            self.note(message);
        }
    }
}

/// A refusal as an error.
pub(super) fn refused(member: &str, refusal: &Refusal) -> Error {
    let Refusal { name, text } = refusal;
    Error {
        step: "ask systemd".to_owned(),
        object: member.to_owned(),
        errno: 0,
        detail: format!("{text} ({name})"),
    }
}
