//! A start that failed, in docker's words. Pure. Clients match these texts to choose 127 and 126.

use crate::{Error, Kind};
use dhow_runtime::Error as Refusal;

/// The step of an error that another runtime logged.
const OUTSIDE: &str = "runtime";
const ENOENT: i32 = 2;
const EACCES: i32 = 13;
const ENOTDIR: i32 = 20;
const EISDIR: i32 = 21;

/// What went wrong, as runc would say it.
pub(crate) fn sentence(refusal: &Refusal) -> String {
    let Refusal { step, object, errno, detail } = refusal;
    if step == OUTSIDE {
        return as_go_writes(crate::runtimes::reason(detail));
    }
    if step != "exec" {
        return crate::error::runtime_sentence(refusal);
    }
    match *errno {
        ENOENT if !object.contains('/') => format!("exec: \"{object}\": executable file not found in $PATH"),
        ENOENT | ENOTDIR => {
            let why = std::io::Error::from_raw_os_error(*errno).to_string().to_ascii_lowercase();
            let why = why.split(" (os error").next().unwrap_or_default().to_owned();
            format!("exec: \"{object}\": stat {object}: {why}")
        }
        EACCES => format!("exec: \"{object}\": permission denied"),
        EISDIR => format!("exec: \"{object}\": is a directory"),
        8 => format!("exec {object}: exec format error"),
        _ => crate::error::runtime_sentence(refusal),
    }
}

/// The kernel's words without capitals: clients choose 127 and 126 by them, and not every runtime is written in Go.
fn as_go_writes(sentence: String) -> String {
    ["No such file or directory", "Permission denied", "Not a directory", "Is a directory"]
        .iter()
        .fold(sentence, |text, words| text.replace(words, &words.to_lowercase()))
}

/// The exit code that docker stores.
pub(crate) fn exit_code(refusal: &Refusal) -> i32 {
    match (refusal.step.as_str(), refusal.errno) {
        ("exec", ENOENT | ENOTDIR) => 127,
        ("exec", EACCES | EISDIR | 8) => 126,
        (OUTSIDE, _) => said(&sentence(refusal)),
        _ => 128,
    }
}

/// The same from another runtime's sentence, by the words that docker looks for.
fn said(sentence: &str) -> i32 {
    let says = |words: &[&str]| words.iter().any(|word| sentence.contains(word));
    if says(&["executable file not found", "no such file or directory"]) {
        127
    } else if says(&["permission denied", "not a directory", "is a directory", "exec format error"]) {
        126
    } else {
        128
    }
}

/// The error of a `start`.
pub(super) fn start_error(refusal: &Refusal) -> (Error, i32) {
    let code = exit_code(refusal);
    let ours = if refusal.step == OUTSIDE { "" } else { "unable to start container process: " };
    let message = format!(
        "failed to create task for container: failed to create shim task: OCI runtime create failed: {ours}{}: unknown",
        sentence(refusal)
    );
    let kind = if code == 128 { Kind::Internal } else { Kind::Invalid };
    (Error::new(kind, message), code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(object: &str, errno: i32) -> Refusal {
        Refusal { step: "exec".into(), object: object.into(), errno, detail: String::new() }
    }

    #[test]
    fn another_runtimes_words_and_codes() {
        for (words, expected) in [
            ("exec: \\\"x\\\": executable file not found in $PATH", 127),
            ("executable file `x` not found: No such file or directory", 127),
            ("open executable: Permission denied", 126),
            ("cgroup is frozen", 128),
        ] {
            let detail = format!("{{\"level\":\"error\",\"msg\":\"{words}\"}}");
            let (error, code) =
                start_error(&Refusal { step: OUTSIDE.into(), object: "r".into(), errno: 0, detail });
            assert_eq!(code, expected, "{error}");
            assert!(!error.message.contains("No such") && !error.message.contains("Permission"), "{error}");
            assert!(error.message.ends_with(": unknown") && !error.message.contains("level"), "{error}");
        }
    }

    #[test]
    fn dockers_words_and_codes() {
        let (error, code) = start_error(&refused("nope", ENOENT));
        assert!(
            error.message.contains("exec: \"nope\": executable file not found in $PATH: unknown"),
            "{error}"
        );
        assert_eq!(code, 127);
        let (error, code) = start_error(&refused("/nope", ENOENT));
        assert!(error.message.contains("stat /nope: no such file or directory"), "{error}");
        assert_eq!(code, 127);
        let (error, code) = start_error(&refused("/etc/passwd", EACCES));
        assert!(error.message.contains("permission denied"), "{error}");
        assert_eq!(code, 126);
    }
}
