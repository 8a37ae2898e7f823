//! `ps`: the processes of a container, by their numbers outside.

use super::{Command, Context, print};
use crate::arguments::{Arguments, value};
use crate::container::Container;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "ps",
    words: (1, usize::MAX),
    usage: "[options] <container-id> [ps options]",
    help: "show the processes of a container",
    flags: &[value("format", "f", "table or json (default: table)")],
    near: false,
    run,
};

fn run(context: &Context, arguments: &Arguments) -> Result<u8, Failure> {
    let container = Container::load(&context.root, arguments.first())?;
    let pids = dhow_runtime::processes(&container.record.cgroups)?;
    match arguments.text("format").unwrap_or("table") {
        "json" => print(&format!("{}\n", serde_json::Value::from(pids)))?,
        "table" => print(&rows(&ps(arguments.rest.get(1..).unwrap_or_default())?, &pids)?)?,
        _ => return Err(Failure::new("invalid format option")),
    }
    Ok(0)
}

/// What the host's `ps` says with these options (default `-ef`).
fn ps(options: &[String]) -> Result<String, Failure> {
    let default = ["-ef".to_owned()];
    let options = if options.is_empty() { &default } else { options };
    let output = std::process::Command::new("ps").args(options).output();
    let output = output.map_err(|e| Failure::new(format!("run ps: {e}")))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("ps {}: {}", options.join(" "), reason.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The header, and the lines about `pids`.
fn rows(listing: &str, pids: &[i32]) -> Result<String, Failure> {
    let header = listing.lines().next().unwrap_or_default();
    let column = header.split_whitespace().position(|title| title == "PID");
    let column = column.ok_or_else(|| Failure::new("couldn't find PID field in ps output"))?;
    let ours = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid: i32| pids.contains(&pid))
    };
    let lines = listing.lines().skip(1).filter(ours);
    Ok([header].into_iter().chain(lines).map(|line| format!("{line}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn only_the_containers_lines() {
        let listing = "UID   PID CMD\nroot   1 init\nroot  17 sleep 17\n";
        assert_eq!(rows(listing, &[17]).unwrap(), "UID   PID CMD\nroot  17 sleep 17\n");
        assert!(rows("CMD\nx\n", &[1]).is_err());
    }
}
