//! `--format`: Go templates over rows, and docker's tables.

use anyhow::Context as _;
use gotmpl::{Template, Value as GoValue};
use serde_json::{Map, Value};
use std::io::Write as _;

/// One line of a list: field name → what is printed.
pub(crate) type Row = Map<String, Value>;

/// A kind of list: the fields' headers, and which are shown without `--format`.
pub(crate) struct Listing<'a> {
    /// `("ID", "CONTAINER ID")`, …
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// `["ID", …]`.
    pub(crate) columns: &'a [&'a str],
}

/// A row from pairs.
pub(crate) fn row<const N: usize>(fields: [(&str, String); N]) -> Row {
    fields.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
}

fn text(args: &[GoValue], at: usize) -> String {
    args.get(at).map(ToString::to_string).unwrap_or_default()
}

fn pad(count: Option<i64>) -> String {
    " ".repeat(count.and_then(|n| usize::try_from(n).ok()).unwrap_or(0))
}

/// A template with docker's functions.
fn parse(source: &str) -> anyhow::Result<Template> {
    let source = source.replace("\\t", "\t").replace("\\n", "\n");
    Template::new("")
        .func("json", |args| {
            Ok(GoValue::from(
                args.first().map_or_else(|| "null".to_owned(), |value| go_to_json(value).to_string()),
            ))
        })
        .func("upper", |args| Ok(GoValue::from(text(args, 0).to_uppercase())))
        .func("lower", |args| Ok(GoValue::from(text(args, 0).to_lowercase())))
        .func("title", |args| {
            let words = text(args, 0);
            let mut chars = words.chars();
            let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
            Ok(GoValue::from(first + chars.as_str()))
        })
        .func("split", |args| {
            let whole = text(args, 0);
            let parts: Vec<GoValue> = whole.split(text(args, 1).as_str()).map(GoValue::from).collect();
            Ok(GoValue::from(parts))
        })
        .func("join", |args| {
            let parts = match args.first() {
                Some(GoValue::List(items)) => items.iter().map(ToString::to_string).collect(),
                _ => Vec::new(),
            };
            Ok(GoValue::from(parts.join(&text(args, 1))))
        })
        .func("pad", |args| {
            let (before, after) =
                (args.get(1).and_then(GoValue::as_int), args.get(2).and_then(GoValue::as_int));
            Ok(GoValue::from(format!("{}{}{}", pad(before), text(args, 0), pad(after))))
        })
        .func("truncate", |args| {
            let limit =
                args.get(1).and_then(GoValue::as_int).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
            Ok(GoValue::from(text(args, 0).chars().take(limit).collect::<String>()))
        })
        .parse(&source)
        .context("template parsing error")
}

fn go_to_json(value: &GoValue) -> Value {
    match value {
        GoValue::Bool(b) => Value::Bool(*b),
        GoValue::Int(n) => Value::from(*n),
        GoValue::Uint(n) => Value::from(*n),
        GoValue::Float(n) => Value::from(*n),
        GoValue::String(s) => Value::from(s.as_ref()),
        GoValue::List(items) => Value::Array(items.iter().map(go_to_json).collect()),
        GoValue::Map(map) => Value::Object(map.iter().map(|(k, v)| (k.to_string(), go_to_json(v))).collect()),
        _ => Value::Null,
    }
}

/// One JSON value through a template; `json` prints it whole.
pub(crate) fn render(format: &str, value: &Value) -> anyhow::Result<String> {
    if format == "json" {
        return Ok(value.to_string());
    }
    let data = gotmpl::to_value(value).context("template data")?;
    parse(format)?.execute_to_string(&data).context("template execution error")
}

impl Listing<'_> {
    /// The same for `-q`, which shows one field alone where no format is given.
    pub(crate) fn render_quiet(
        &self,
        only: Option<&str>,
        format: Option<&str>,
        rows: &[Row],
    ) -> anyhow::Result<String> {
        match (only, format) {
            (Some(field), None) => {
                Ok(rows.iter().filter_map(|row| row[field].as_str()).map(|it| format!("{it}\n")).collect())
            }
            _ => self.render(format, rows),
        }
    }

    /// The whole text of a list.
    pub(crate) fn render(&self, format: Option<&str>, rows: &[Row]) -> anyhow::Result<String> {
        let default =
            || self.columns.iter().map(|name| format!("{{{{.{name}}}}}")).collect::<Vec<_>>().join("\t");
        let (template, table) = match format {
            format if is_table(format) => (default(), true),
            Some("json") => ("{{json .}}".to_owned(), false),
            custom => match custom.unwrap_or_default().strip_prefix("table ") {
                Some(rest) => (rest.trim_start().to_owned(), true),
                None => (custom.unwrap_or_default().to_owned(), false),
            },
        };
        let parsed = parse(&template)?;
        let mut text = String::new();
        if table {
            let headers: Row = self
                .headers
                .iter()
                .map(|(name, header)| ((*name).to_owned(), Value::from(*header)))
                .collect();
            text.push_str(&execute(&parsed, headers)?);
            text.push('\n');
        }
        for row in rows {
            text.push_str(&execute(&parsed, row.clone())?);
            text.push('\n');
        }
        if table { align(&text) } else { Ok(text) }
    }
}

/// Whether a list is shown in its own columns.
pub(crate) fn is_table(format: Option<&str>) -> bool {
    matches!(format, None | Some("" | "table"))
}

/// Lines of cells between tabs, as docker's tables.
pub(crate) fn align(text: &str) -> anyhow::Result<String> {
    // Go counts the padding in: 10 and 3
    let mut writer = tabwriter::TabWriter::new(Vec::new()).minwidth(7).padding(3);
    writer.write_all(text.as_bytes())?;
    let bytes = writer.into_inner().map_err(|error| anyhow::anyhow!("aligning columns: {error}"))?;
    // the Go writer leaves no blanks behind the last column
    let aligned = String::from_utf8(bytes)?;
    Ok(aligned.lines().map(|line| format!("{}\n", line.trim_end_matches('\t'))).collect())
}

fn execute(template: &Template, row: Row) -> anyhow::Result<String> {
    let data = gotmpl::to_value(&Value::Object(row)).context("template data")?;
    template.execute_to_string(&data).context("template execution error")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const LIST: Listing<'_> =
        Listing { headers: &[("ID", "CONTAINER ID"), ("Names", "NAMES")], columns: &["ID", "Names"] };

    #[test]
    fn tables_align_as_dockers_do() {
        let rows = [row([("ID", "abc".into()), ("Names", "x".into())])];
        assert_eq!(LIST.render(None, &rows).unwrap(), "CONTAINER ID   NAMES\nabc            x\n");
        let rows = [
            row([("ID", "abc".into()), ("Names", "x".into())]),
            row([("ID", "d".into()), ("Names", "y".into())]),
        ];
        assert_eq!(
            LIST.render(Some("table {{.Names}}\t{{.ID}}"), &rows).unwrap(),
            "NAMES     CONTAINER ID\nx         abc\ny         d\n"
        );
        let rows = &rows[..1];
        assert_eq!(LIST.render(Some("table {{.Names}}"), rows).unwrap(), "NAMES\nx\n");
    }

    #[test]
    fn templates_have_dockers_functions() {
        let rows = [row([("ID", "abc".into()), ("Names", "x".into())])];
        assert_eq!(LIST.render(Some("{{.ID}}\\t{{upper .Names}}"), &rows).unwrap(), "abc\tX\n");
        assert_eq!(LIST.render(Some("json"), &rows).unwrap(), "{\"ID\":\"abc\",\"Names\":\"x\"}\n");
        let value = json!({"State": {"Status": "running", "Pid": 7}, "L": ["a", "b"]});
        assert_eq!(
            render("{{.State.Status}} {{json .State}} {{join .L \"-\"}}", &value).unwrap(),
            "running {\"Pid\":7,\"Status\":\"running\"} a-b"
        );
        assert!(render("{{", &value).is_err());
    }
}
