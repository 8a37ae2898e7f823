//! The status column of `docker ps`, and the command column.

use crate::duration::spoken;

/// What the status text of a container depends on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Standing<'a> {
    /// `created running paused restarting removing exited dead`.
    pub status: &'a str,
    /// Last exit code.
    pub exit_code: i32,
    /// Nanoseconds since the epoch; 0 never.
    pub started: i64,
    /// Likewise.
    pub finished: i64,
    /// `starting healthy unhealthy`; empty without a probe.
    pub health: &'a str,
}

/// `Up 2 seconds (healthy)`, `Exited (0) 3 minutes ago`, `Created`.
#[must_use]
pub fn text(standing: &Standing<'_>, now: i64) -> String {
    let since = |then: i64| spoken((now - then).max(0) / 1_000_000_000);
    let code = standing.exit_code;
    match standing.status {
        "running" => match standing.health {
            "" | "none" => format!("Up {}", since(standing.started)),
            "starting" => format!("Up {} (health: starting)", since(standing.started)),
            health => format!("Up {} ({health})", since(standing.started)),
        },
        "paused" => format!("Up {} (Paused)", since(standing.started)),
        "restarting" => format!("Restarting ({code}) {} ago", since(standing.finished)),
        "removing" => "Removal In Progress".to_owned(),
        "dead" => "Dead".to_owned(),
        "exited" if standing.finished != 0 => format!("Exited ({code}) {} ago", since(standing.finished)),
        "exited" | "created" => "Created".to_owned(),
        other => other.to_owned(),
    }
}

/// Program and arguments; arguments with a space in single quotes.
#[must_use]
pub fn command(path: &str, args: &[String]) -> String {
    let mut text = path.to_owned();
    for arg in args {
        text.push(' ');
        if arg.contains(' ') {
            text.push_str(&format!("'{arg}'"));
        } else {
            text.push_str(arg);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_dockers_words() {
        let second = 1_000_000_000;
        let base =
            Standing { started: 100 * second, finished: 160 * second, exit_code: 3, ..Standing::default() };
        for (status, health, wanted) in [
            ("created", "", "Created"),
            ("running", "", "Up About a minute"),
            ("running", "healthy", "Up About a minute (healthy)"),
            ("running", "starting", "Up About a minute (health: starting)"),
            ("paused", "", "Up About a minute (Paused)"),
            ("restarting", "", "Restarting (3) Less than a second ago"),
            ("exited", "", "Exited (3) Less than a second ago"),
            ("removing", "", "Removal In Progress"),
            ("dead", "", "Dead"),
        ] {
            assert_eq!(text(&Standing { status, health, ..base }, 160 * second), wanted);
        }
    }

    #[test]
    fn arguments_with_spaces_are_quoted() {
        assert_eq!(command("sh", &["-c".into(), "echo hi".into()]), "sh -c 'echo hi'");
        assert_eq!(command("sh", &[]), "sh");
    }
}
