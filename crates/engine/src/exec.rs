//! Additional processes in running containers.

use crate::{Result, containers::Duplex};

/// `POST /containers/x/exec`.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "docker's words")]
pub struct Create {
    pub attach: (bool, bool, bool),
    pub tty: bool,
    pub env: Vec<String>,
    pub cmd: Vec<String>,
    pub user: String,
    pub working_dir: String,
    pub privileged: bool,
    pub detach_keys: String,
    pub console_size: (u16, u16),
}

/// How an exec stands.
#[derive(Debug, Clone)]
pub struct View {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its container.
    pub container: String,
    /// As wanted.
    pub create: Create,
    /// Whether it runs.
    pub running: bool,
    /// Once it has ended.
    pub exit_code: Option<i32>,
    /// Host pid; 0 before the start.
    pub pid: i32,
}

/// The service.
#[derive(Debug)]
pub struct Execs {/* private */}

impl Execs {
    /// `Conflict` when the container does not run or is paused.
    pub async fn create(&self, container: &str, create: Create) -> Result<String> {
        let _unused = (container, create);
        unimplemented!()
    }
    /// Starts it; with streams unless detached. A program that cannot be executed: exit code 126/127 is kept, the error says docker's
    /// `OCI runtime exec failed: exec failed: …: executable file not found in $PATH: unknown`.
    pub async fn start(&self, id: &str, detach: bool, tty: bool, console_size: (u16, u16)) -> Result<Option<Duplex>> {
        let _unused = (id, detach, tty, console_size);
        unimplemented!()
    }
    /// One exec.
    pub fn view(&self, id: &str) -> Result<View> {
        let _unused = id;
        unimplemented!()
    }
    /// Terminal size.
    pub async fn resize(&self, id: &str, rows: u16, cols: u16) -> Result<()> {
        let _unused = (id, rows, cols);
        unimplemented!()
    }
}
