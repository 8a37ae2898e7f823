//! One error for the whole room.

use rustix::io::Errno;
use std::fmt;

/// What failed, on which object, with which errno. One record, the same inside the child and outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What was being done: `mount`, `exec`, `write cgroup`.
    pub step: String,
    /// To what: a path, a name.
    pub object: String,
    /// The kernel's word, 0 where the plan itself is wrong.
    pub errno: i32,
    /// A sentence, where errno says too little.
    pub detail: String,
}

impl Error {
    /// A refused system call.
    pub(crate) fn os(step: &str, object: impl fmt::Display, errno: Errno) -> Self {
        Self {
            step: step.to_owned(),
            object: object.to_string(),
            errno: errno.raw_os_error(),
            detail: String::new(),
        }
    }

    /// A refused file operation of std.
    pub(crate) fn io(step: &str, object: impl fmt::Display, error: &std::io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(0);
        let detail = if errno == 0 { error.to_string() } else { String::new() };
        Self { step: step.to_owned(), object: object.to_string(), errno, detail }
    }

    /// A specification that asks for what is wrong or not offered.
    pub(crate) fn invalid(field: impl fmt::Display, detail: impl fmt::Display) -> Self {
        Self { step: "plan".to_owned(), object: field.to_string(), errno: 0, detail: detail.to_string() }
    }

    /// The same with a sentence.
    pub(crate) fn because(mut self, detail: impl fmt::Display) -> Self {
        self.detail = detail.to_string();
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.step, self.object)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        if self.errno != 0 {
            let text = std::io::Error::from_raw_os_error(self.errno).to_string();
            let text = text.split(" (os error").next().unwrap_or_default().to_lowercase();
            write!(f, ": {text}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
