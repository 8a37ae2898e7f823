//! What a command fails with: one sentence and an exit code.

use dhow_runtime::Error;
use std::fmt::Display;
use std::path::Path;

/// A sentence for the log and for stderr, and the exit code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) code: u8,
}

impl Failure {
    /// A failure of exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    /// A refused operation on a file.
    pub(crate) fn file(operation: &str, path: &Path, error: impl Display) -> Self {
        Self::new(format!("{operation} {}: {}", path.display(), plain(&error.to_string())))
    }

    /// The same under the name of what was tried.
    pub(crate) fn during(self, what: &str) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// The same with another exit code.
    pub(crate) fn code(self, code: u8) -> Self {
        Self { code, ..self }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(sentence(&error))
    }
}

/// The kernel's words as Go writes them: lower case, without a number.
fn plain(text: &str) -> String {
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Engines look for runc's words about programs that cannot be run; all else is ours.
fn sentence(error: &Error) -> String {
    const NOENT: i32 = 2;
    const NOTDIR: i32 = 20;
    if error.step != "exec" {
        return error.to_string();
    }
    let kernel = plain(&std::io::Error::from_raw_os_error(error.errno).to_string());
    match error.errno {
        _ if !error.detail.is_empty() => format!("exec: {:?}: {}", error.object, error.detail),
        NOENT | NOTDIR => format!("exec: {:?}: stat {}: {kernel}", error.object, error.object),
        _ => format!("exec: {:?}: {kernel}", error.object),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(object: &str, errno: i32, detail: &str) -> String {
        let (step, object, detail) = ("exec".to_owned(), object.to_owned(), detail.to_owned());
        Failure::from(Error { step, object, errno, detail }).message
    }

    #[test]
    fn programs_that_cannot_run_are_told_in_runcs_words() {
        let missing = exec("nosuch", 2, "executable file not found in $PATH");
        assert_eq!(missing, "exec: \"nosuch\": executable file not found in $PATH");
        assert_eq!(exec("/no", 2, ""), "exec: \"/no\": stat /no: no such file or directory");
        assert_eq!(exec("/bin", 13, ""), "exec: \"/bin\": permission denied");
        assert_eq!(exec("/x", 8, ""), "exec: \"/x\": exec format error");
    }
}
