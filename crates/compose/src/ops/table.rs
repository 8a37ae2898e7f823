//! Columns, ages and templates as Docker prints them.

use gotmpl::Template;
use serde_json::Value;

use crate::error::Error;

/// Columns, three blanks apart, the last not padded.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows.iter().map(Vec::len).max().unwrap_or(0)).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("   ").trim_end());
        text.push('\n');
    }
    text
}

/// `table {{.A}}\t{{.B}}`, `json`, or any Go template, over rows of JSON.
pub(super) fn format(rows: &[Value], template: &str) -> Result<String, Error> {
    let bad = |error: &dyn std::fmt::Display| Error::invalid(format!("template parsing error: {error}"));
    if template == "json" {
        return Ok(rows.iter().map(|row| format!("{row}\n")).collect());
    }
    let (table, body) = template.strip_prefix("table ").map_or((false, template), |body| (true, body));
    let body = body.replace("\\t", "\t").replace("\\n", "\n");
    let compiled = Template::new("format").parse(&body).map_err(|error| bad(&error))?;
    let mut lines = Vec::new();
    for row in rows {
        let data = gotmpl::to_value(row).map_err(|error| bad(&error))?;
        lines.push(compiled.execute_to_string(&data).map_err(|error| bad(&error))?);
    }
    if !table {
        return Ok(lines.into_iter().map(|line| line + "\n").collect());
    }
    let header: Vec<String> = body
        .split('\t')
        .map(|cell| cell.trim_matches(|c: char| !c.is_alphanumeric()).to_uppercase())
        .collect();
    let rows: Vec<Vec<String>> = std::iter::once(header)
        .chain(lines.iter().map(|line| line.split('\t').map(str::to_owned).collect()))
        .collect();
    Ok(columns(&rows))
}

/// `About a minute`, `3 hours`, as Docker words a duration.
pub(super) fn ago(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match (seconds, minutes, hours) {
        (..1, ..) => "Less than a second".into(),
        (1, ..) => "1 second".into(),
        (..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".into(),
        (_, ..60, _) => format!("{minutes} minutes"),
        (_, _, ..=1) => "About an hour".into(),
        (_, _, ..48) => format!("{hours} hours"),
        (_, _, ..336) => format!("{} days", hours / 24),
        (_, _, ..1440) => format!("{} weeks", hours / 168),
        (_, _, ..17520) => format!("{} months", hours / 720),
        _ => format!("{} years", hours / 8760),
    }
}

/// Shortens to so many characters, an ellipsis included.
pub(super) fn truncate(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ages() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (150, "2 minutes"),
            (3600, "About an hour"),
            (7200, "2 hours"),
            (172_800, "2 days"),
            (1_209_600, "2 weeks"),
        ] {
            assert_eq!(ago(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn templates() {
        let rows = [json!({"Name": "a", "State": "running"}), json!({"Name": "bcd", "State": "exited"})];
        assert_eq!(format(&rows, "{{.Name}}:{{.State}}").unwrap(), "a:running\nbcd:exited\n");
        assert_eq!(
            format(&rows, "table {{.Name}}\\t{{.State}}").unwrap(),
            "NAME   STATE\na      running\nbcd    exited\n"
        );
        assert!(format(&rows, "{{.Name").is_err());
    }
}
