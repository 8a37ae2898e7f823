//! The program itself, on a port of its own.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex, mpsc},
    time::Duration,
};

/// A running broker; killed at the end of the test.
pub(crate) struct Served {
    child: Child,
    pub(crate) address: String,
    log: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Served {
    /// Starts the program on the data in `folder`, on a port of 127.0.0.1.
    pub(crate) fn start(folder: &Path, flags: &[&str]) -> Self {
        Self::command(Command::new(env!("CARGO_BIN_EXE_dhow-broker")), folder, "127.0.0.1:0", flags)
    }

    /// Starts it by a command that ends in the program's name.
    pub(crate) fn command(mut command: Command, folder: &Path, listen: &str, flags: &[&str]) -> Self {
        command.arg("--data").arg(folder).args(["--listen", listen]).args(flags);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let (found, listening) = mpsc::channel();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("listening address=") {
                    // the test that started it may be over
                    drop(found.send(address.to_owned()));
                }
                kept.0.lock().unwrap().push(line);
                kept.1.notify_all();
            }
        });
        let address = listening.recv_timeout(Duration::from_secs(20));
        let address = address.unwrap_or_else(|_| panic!("it does not listen: {:?}", log.0.lock().unwrap()));
        Self { child, address, log }
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.0.lock().unwrap().join("\n")
    }

    /// Waits until it has logged `text`.
    pub(crate) fn logged(&self, text: &str) {
        let missing = |lines: &mut Vec<String>| !lines.iter().any(|line| line.contains(text));
        let lines = self.log.0.lock().unwrap();
        let waited = self.log.1.wait_timeout_while(lines, Duration::from_secs(10), missing).unwrap();
        assert!(!waited.1.timed_out(), "not logged: {text}: {:?}", waited.0);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
    }

    /// SIGTERM, and the exit status.
    pub(crate) fn stop(mut self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{}", self.log());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // gone already, if the test stopped it
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
