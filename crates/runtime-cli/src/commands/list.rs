//! `list`: every container of the root.

use super::{Command, Context, print};
use crate::arguments::{Arguments, switch, value};
use crate::container::Container;
use crate::failure::Failure;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

pub(super) const COMMAND: Command = Command {
    name: "list",
    words: (0, 0),
    usage: "[options]",
    help: "list containers",
    flags: &[value("format", "f", "table or json (default: table)"), switch("quiet", "q", "names only")],
    near: false,
    run,
};

fn run(context: &Context, arguments: &Arguments) -> Result<u8, Failure> {
    let containers = containers(context)?;
    if arguments.is("quiet") {
        let names: String = containers.iter().map(|c| c.record.id.clone() + "\n").collect();
        print(&names)?;
        return Ok(0);
    }
    let mut rows = Vec::new();
    for container in &containers {
        rows.push(container.state(owner(container))?);
    }
    match arguments.text("format").unwrap_or("table") {
        "table" => {
            let header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
            let lines = rows.iter().map(|row| {
                let bundle = row.bundle.to_string_lossy().into_owned();
                let (id, pid, status) = (row.id.to_owned(), row.pid.to_string(), row.status.to_owned());
                [id, pid, status, bundle, row.created.to_owned(), row.owner.clone()]
            });
            let lines: Vec<[String; 6]> = [header].into_iter().chain(lines).collect();
            print(&table(&lines))?;
        }
        "json" => {
            let text = serde_json::to_string(&rows).map_err(|e| Failure::new(format!("encode: {e}")))?;
            print(&text)?;
        }
        _ => return Err(Failure::new("invalid format option")),
    }
    Ok(0)
}

/// By name. What is being made or deleted at the moment is none.
fn containers(context: &Context) -> Result<Vec<Container>, Failure> {
    let failed = |e| Failure::file("read", &context.root, e);
    let entries = match std::fs::read_dir(&context.root) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| crate::container::check_id(name).is_ok()) else {
            continue;
        };
        found.extend(Container::find(&context.root, name)?);
    }
    found.sort_by(|a, b| a.record.id.cmp(&b.record.id));
    Ok(found)
}

/// Who made it: the owner of its folder, by the host's users.
fn owner(container: &Container) -> String {
    let Ok(uid) = std::fs::metadata(&container.dir).map(|folder| folder.uid()) else { return String::new() };
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("#{uid}"))
}

/// Columns as Go's tabwriter makes them: at least 12 wide, three spaces between.
fn table(lines: &[[String; 6]]) -> String {
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(String::len).max();
    let widths: Vec<usize> = (0..6).map(|column| (width(column).unwrap_or(0) + 3).max(12)).collect();
    let line = |line: &[String; 6]| {
        let cells = line.iter().zip(&widths).enumerate();
        let row: String = cells
            .map(|(at, (cell, width))| if at == 5 { cell.clone() } else { format!("{cell:<width$}") })
            .collect();
        row + "\n"
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_as_runc_prints_them() {
        let header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
        let row = ["c1", "21832", "created", "/run/bundles/c", "2026", "root"].map(str::to_owned);
        assert_eq!(
            table(&[header, row]),
            "ID          PID         STATUS      BUNDLE           CREATED     OWNER\n\
             c1          21832       created     /run/bundles/c   2026        root\n"
        );
    }
}
