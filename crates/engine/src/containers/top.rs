//! `docker top`: the processes of a container's cgroups, as ps prints them. Read from /proc: no `ps` on the host or in the image is needed.

use super::Top;
use crate::{Error, Kind, Result, error::io};
use std::{collections::HashMap, fs};

/// A process, as far as the columns need it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Row {
    pid: i32,
    ppid: i32,
    uid: u32,
    tty: i32,
    ticks: u64,
    start_ticks: u64,
    rss_kib: u64,
    vsz_kib: u64,
    state: String,
    command: String,
    name: String,
}

/// The columns of a format.
fn columns(args: &str) -> Result<Vec<&'static str>> {
    const KNOWN: [(&str, &str); 17] = [
        ("pid", "PID"),
        ("ppid", "PPID"),
        ("uid", "UID"),
        ("user", "USER"),
        ("comm", "COMMAND"),
        ("cmd", "CMD"),
        ("args", "COMMAND"),
        ("command", "COMMAND"),
        ("rss", "RSS"),
        ("vsz", "VSZ"),
        ("stat", "STAT"),
        ("s", "S"),
        ("time", "TIME"),
        ("tty", "TT"),
        ("tname", "TTY"),
        ("etime", "ELAPSED"),
        ("c", "C"),
    ];
    let words: Vec<&str> = args.split_whitespace().collect();
    let list = match words.as_slice() {
        [] | ["-ef" | "-fe" | "ef"] => {
            return Ok(vec!["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
        }
        ["aux" | "-aux" | "axu" | "u"] => {
            return Ok(vec![
                "USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND",
            ]);
        }
        ["-e" | "-A" | "ax" | "-ax"] => return Ok(vec!["PID", "TTY", "TIME", "CMD"]),
        ["-o" | "o" | "-eo" | "-Ao" | "axo", rest @ ..] => rest.join(","),
        ["-e" | "-A" | "ax", "-o" | "o", rest @ ..] => rest.join(","),
        _ => {
            return Err(Error::new(
                Kind::Unsupported,
                format!("ps arguments {args:?} are not supported: use -ef, aux, -e, or -o with columns"),
            ));
        }
    };
    let mut found = Vec::new();
    for word in list.split(',').map(str::trim).filter(|w| !w.is_empty()) {
        let column =
            KNOWN.iter().find(|(known, _)| *known == word).map(|(_, title)| *title).ok_or_else(|| {
                Error::new(Kind::Unsupported, format!("the ps column {word:?} is not supported"))
            })?;
        found.push(column);
    }
    if !found.contains(&"PID") {
        return Err(Error::new(Kind::Internal, "Couldn't find PID field in ps output"));
    }
    Ok(found)
}

/// See the module. Blocking.
pub(super) fn top(cgroups: &[std::path::PathBuf], args: &str) -> Result<Top> {
    let columns = columns(args)?;
    let pids = dhow_runtime::processes(cgroups)?;
    let users = users();
    let facts = Facts::read()?;
    let mut rows: Vec<Row> = pids.into_iter().filter_map(read).collect();
    rows.sort_by_key(|row| row.pid);
    let processes = rows
        .iter()
        .map(|row| columns.iter().map(|column| facts.cell(row, column, &users)).collect())
        .collect();
    Ok(Top { titles: columns.iter().map(|c| (*c).to_owned()).collect(), processes })
}

/// The machine's clock and memory.
struct Facts {
    boot: i64,
    now: i64,
    memory_kib: u64,
}

impl Facts {
    fn read() -> Result<Self> {
        let text = fs::read_to_string("/proc/stat").map_err(|e| io("read", "/proc/stat", e))?;
        let boot = text
            .lines()
            .find_map(|l| l.strip_prefix("btime "))
            .and_then(|n| n.trim().parse().ok())
            .unwrap_or(0);
        let memory = fs::read_to_string("/proc/meminfo").map_err(|e| io("read", "/proc/meminfo", e))?;
        let memory_kib = memory
            .lines()
            .find_map(|l| l.strip_prefix("MemTotal:"))
            .and_then(|n| n.trim().trim_end_matches(" kB").parse().ok())
            .unwrap_or(1);
        Ok(Self { boot, now: jiff::Timestamp::now().as_second(), memory_kib })
    }

    fn cell(&self, row: &Row, column: &str, users: &HashMap<u32, String>) -> String {
        let ran = (self.now - self.boot).saturating_sub((row.start_ticks / 100) as i64).max(1) as u64;
        let percent = row.ticks as f64 / ran as f64;
        let user = || users.get(&row.uid).cloned().unwrap_or_else(|| row.uid.to_string());
        match column {
            "PID" => row.pid.to_string(),
            "PPID" => row.ppid.to_string(),
            "UID" | "USER" => user(),
            "C" => (percent as u64).min(99).to_string(),
            "%CPU" => format!("{percent:.1}"),
            "%MEM" => format!("{:.1}", row.rss_kib as f64 * 100.0 / self.memory_kib as f64),
            "VSZ" => row.vsz_kib.to_string(),
            "RSS" => row.rss_kib.to_string(),
            "STAT" | "S" => row.state.clone(),
            "TTY" | "TT" => terminal(row.tty),
            "TIME" => clock(row.ticks / 100),
            "ELAPSED" => clock(ran),
            "STIME" | "START" => self.begun(row),
            "CMD" | "COMMAND" if !row.command.is_empty() => row.command.clone(),
            _ => format!("[{}]", row.name),
        }
    }

    fn begun(&self, row: &Row) -> String {
        let second = self.boot + (row.start_ticks / 100) as i64;
        let Ok(stamp) = jiff::Timestamp::from_second(second) else { return "?".to_owned() };
        let zoned = stamp.to_zoned(jiff::tz::TimeZone::system());
        let format = if self.now - second < 86_400 { "%H:%M" } else { "%b%d" };
        zoned.strftime(format).to_string()
    }
}

fn clock(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn terminal(number: i32) -> String {
    match (number >> 8 & 0xfff, number & 0xff) {
        (0, 0) => "?".to_owned(),
        (136..=143, minor) => format!("pts/{minor}"),
        (4, minor) => format!("tty{minor}"),
        _ => "?".to_owned(),
    }
}

/// A process; `None` if it has just ended.
fn read(pid: i32) -> Option<Row> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command).trim_end_matches('\0').replace('\0', " ");
    let mut row = parse(&stat)?;
    row.command = command;
    row.uid = status.lines().find_map(|l| l.strip_prefix("Uid:"))?.split_whitespace().next()?.parse().ok()?;
    Some(row)
}

fn parse(stat: &str) -> Option<Row> {
    let (head, tail) = stat.rsplit_once(')')?;
    let (pid, name) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let number = |i: usize| fields.get(i).and_then(|n| n.parse::<u64>().ok());
    Some(Row {
        pid: pid.trim().parse().ok()?,
        name: name.to_owned(),
        state: (*fields.first()?).to_owned(),
        ppid: fields.get(1)?.parse().ok()?,
        tty: fields.get(4)?.parse().ok()?,
        ticks: number(11)? + number(12)?,
        start_ticks: number(19)?,
        vsz_kib: number(20)? / 1024,
        rss_kib: number(21)? * 4,
        ..Row::default()
    })
}

/// The host's user names: ps on the host prints those.
fn users() -> HashMap<u32, String> {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut parts = line.split(':');
            let name = parts.next()?;
            Some((parts.nth(1)?.parse().ok()?, name.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_stat_lines() {
        assert_eq!(columns("").unwrap()[0], "UID");
        assert_eq!(columns("-o pid,comm").unwrap(), ["PID", "COMMAND"]);
        assert!(columns("-o comm").is_err() && columns("--forest").is_err());
        let line = "42 (a b) c) S 1 42 42 34816 42 4194304 1 0 0 0 150 50 0 0 20 0 1 0 5000 1048576 256 0";
        let row = parse(line).unwrap();
        assert_eq!((row.pid, row.name.as_str(), row.ppid, row.ticks), (42, "a b) c", 1, 200));
        assert_eq!((row.vsz_kib, row.rss_kib, terminal(row.tty).as_str()), (1024, 1024, "pts/0"));
        assert_eq!(clock(3_725), "01:02:05");
    }
}
