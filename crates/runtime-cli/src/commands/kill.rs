//! `kill`: a signal to the container's first process, or to all.

use super::{Command, Context};
use crate::arguments::{Arguments, switch};
use crate::container::Container;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "kill",
    words: (1, 2),
    usage: "[options] <container-id> [signal]",
    help: "send a signal to a container (default: SIGTERM)",
    flags: &[switch("all", "a", "to every process of the container")],
    near: false,
    run,
};

fn run(context: &Context, arguments: &Arguments) -> Result<u8, Failure> {
    let container = Container::load(&context.root, arguments.first())?;
    let signal = signal(arguments.rest.get(1).map_or("SIGTERM", String::as_str))?;
    if arguments.is("all") {
        dhow_runtime::signal_all(&container.record.cgroups, signal)?;
        return Ok(0);
    }
    if !container.record.process.signal(signal)? {
        return Err(Failure::new("container not running"));
    }
    Ok(0)
}

/// A number, or a name with or without `SIG`.
fn signal(word: &str) -> Result<i32, Failure> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let unknown = || Failure::new(format!("unknown signal {word:?}"));
    if let Ok(number) = word.parse::<i32>() {
        return if (0..=64).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let upper = word.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let known = match name {
        "IOT" => Some(6),
        "CLD" => Some(17),
        "POLL" => Some(29),
        _ => NAMES.iter().position(|known| *known == name).and_then(|at| i32::try_from(at + 1).ok()),
    };
    let real_time = |prefix: &str, from: i32, sign: i32| {
        let rest = name.strip_prefix(prefix)?;
        let offset: i32 = if rest.is_empty() { 0 } else { rest.get(1..)?.parse().ok()? };
        Some(from + sign * offset).filter(|number| (34..=64).contains(number))
    };
    known.or_else(|| real_time("RTMIN", 34, 1)).or_else(|| real_time("RTMAX", 64, -1)).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::signal;

    #[test]
    fn signals_by_any_name() {
        for (word, number) in [
            ("9", 9),
            ("KILL", 9),
            ("sigterm", 15),
            ("SIGSYS", 31),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("CHLD", 17),
            ("0", 0),
        ] {
            assert_eq!(signal(word).unwrap(), number, "{word}");
        }
        for word in ["FOO", "65", "-1", "", "RTMIN+99", "SIG"] {
            assert!(signal(word).is_err(), "{word:?}");
        }
    }
}
