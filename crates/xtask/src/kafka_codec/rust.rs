//! Schema → Rust: a module for each key with its structs, and how each is read and written.

use super::schema::{Field, Kind, Message, Type, Versions};
use anyhow::{Context as _, bail};
use std::fmt::Write as _;

/// What the generated files begin with.
const NOTE: &str = "// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.\n\n";

/// The module of a message's key: `list_offsets`.
pub(super) fn module_name(message: &Message) -> String {
    snake(&message.name)
}

/// The file of one key: request, response and their structs.
pub(super) fn module(messages: &[&Message]) -> anyhow::Result<String> {
    let first = messages.first().context("a module of nothing")?;
    let bodies = messages.iter().map(|message| structs(message)).collect::<anyhow::Result<String>>()?;
    let imports = [("Key::", "Key"), ("Records<", "Records"), (" Request<'a>", "Request"), ("Uuid", "Uuid")];
    let imports: String = imports
        .iter()
        .filter(|(word, _)| bodies.contains(word))
        .map(|(_, import)| format!(", {import}"))
        .collect();
    Ok(format!(
        "//! {}.\n{NOTE}use crate::{{Error, Message, Reader, Writer{imports}}};\n{bodies}",
        first.name
    ))
}

fn structs(message: &Message) -> anyhow::Result<String> {
    let mut out = String::new();
    let name = message.full_name();
    structure(&mut out, message, &name, &message.fields, true)?;
    let mut queue: Vec<&Field> = message.fields.iter().collect();
    for (name, fields) in &message.shared {
        structure(&mut out, message, name, fields, false)?;
        queue.extend(fields);
    }
    while !queue.is_empty() {
        let field = queue.remove(0);
        if let Type::Struct(name) = &field.of
            && !field.fields.is_empty()
        {
            structure(&mut out, message, name, &field.fields, false)?;
            queue.extend(&field.fields);
        }
    }
    Ok(out)
}

/// One struct of a message, with its two functions.
fn structure(
    out: &mut String,
    message: &Message,
    name: &str,
    fields: &[Field],
    top: bool,
) -> anyhow::Result<()> {
    let fields: Vec<&Field> = fields.iter().filter(|field| condition(message, field).is_some()).collect();
    let lifetime = if borrows(message, &fields) { "<'a>" } else { "" };
    let special = fields.iter().any(|field| field.default.is_some());
    let derive = if special { "" } else { ", Default" };
    if top {
        writeln!(out, "\n/// Versions {}.", range(message.versions))?;
    } else {
        writeln!(out)?;
    }
    writeln!(out, "#[derive(Clone, Debug, PartialEq{derive})]\npub struct {name}{lifetime} {{")?;
    for field in &fields {
        writeln!(out, "pub {}: {},", rust_name(field), rust_type(message, field)?)?;
    }
    writeln!(out, "}}\n")?;
    if special {
        writeln!(
            out,
            "impl Default for {name}{} {{ fn default() -> Self {{ Self {{",
            if lifetime.is_empty() { "" } else { "<'_>" }
        )?;
        for field in &fields {
            let value = field.default.as_deref().map_or("Default::default()".to_owned(), literal);
            writeln!(out, "{}: {value},", rust_name(field))?;
        }
        writeln!(out, "}} }} }}\n")?;
    }
    let (head, reader, visible) = match (top, lifetime.is_empty()) {
        (true, _) => (format!("impl<'a> Message<'a> for {name}{lifetime}"), "Reader<'a>", ""),
        (false, true) => (format!("impl {name}"), "Reader<'_>", ""),
        (false, false) => (format!("impl<'a> {name}{lifetime}"), "Reader<'a>", ""),
    };
    writeln!(out, "{head} {{")?;
    if top {
        constants(out, message)?;
    }
    let (reading, writing) = (read(message, &fields)?, write(message, &fields)?);
    let version = |body: &str| if names_version(body) { "version" } else { "_version" };
    writeln!(
        out,
        "{visible}fn read(input: &mut {reader}, {}: i16) -> Result<Self, Error> {{\n{reading}}}\n",
        version(&reading)
    )?;
    writeln!(
        out,
        "{visible}fn write(&self, out: &mut Writer, {}: i16) {{\n{writing}}}\n}}",
        version(&writing)
    )?;
    if top && message.kind == Kind::Request {
        let answer = format!("{}Response", message.name);
        writeln!(
            out,
            "\nimpl<'a> Request<'a> for {name}{lifetime} {{\nconst KEY: Key = Key::{};\ntype Response<'r> = {answer}{};\n}}",
            message.name,
            if message.name == "Fetch" { "<'r>" } else { "" }
        )?;
    }
    Ok(())
}

/// Whether a function's body uses the version; fields are called `min_version`, and `version` perhaps.
fn names_version(body: &str) -> bool {
    let body = body.replace(".version", "");
    body.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == "version")
}

fn constants(out: &mut String, message: &Message) -> anyhow::Result<()> {
    let last = message.versions.last.context("a message's versions end")?;
    writeln!(out, "const VERSIONS: std::ops::RangeInclusive<i16> = {}..={last};\n", message.versions.first)?;
    let flexible = match message.flexible {
        None => ("_version", "false".to_owned()),
        Some(flexible) if flexible.first <= message.versions.first => ("_version", "true".to_owned()),
        Some(flexible) => ("version", format!("version >= {}", flexible.first)),
    };
    writeln!(out, "fn flexible({}: i16) -> bool {{ {} }}\n", flexible.0, flexible.1)?;
    Ok(())
}

fn read(message: &Message, fields: &[&Field]) -> anyhow::Result<String> {
    let mut out = String::from("let mut value = Self::default();\n");
    for field in fields.iter().filter(|field| field.tag.is_none()) {
        let line = format!("value.{} = {}?;", rust_name(field), reading(field)?);
        guarded(&mut out, message, field, &line)?;
    }
    if message.flexible.is_some() {
        let tagged: Vec<&&Field> = fields.iter().filter(|field| field.tag.is_some()).collect();
        if tagged.is_empty() {
            writeln!(out, "input.skip_tags()?;")?;
        } else {
            writeln!(out, "input.tags(|tag, input| {{ match tag {{")?;
            for field in tagged {
                let guard = match condition(message, field).unwrap_or_default().as_str() {
                    "" => String::new(),
                    condition => format!(" if {condition}"),
                };
                let tag = field.tag.unwrap_or_default();
                writeln!(out, "{tag}{guard} => value.{} = {}?,", rust_name(field), reading(field)?)?;
            }
            writeln!(out, "_ => return Ok(false),\n}}\nOk(true)\n}})?;")?;
        }
    }
    writeln!(out, "Ok(value)")?;
    Ok(out)
}

fn write(message: &Message, fields: &[&Field]) -> anyhow::Result<String> {
    let mut out = String::new();
    for field in fields.iter().filter(|field| field.tag.is_none()) {
        guarded(&mut out, message, field, &format!("{};", writing(field)?))?;
    }
    if message.flexible.is_some() {
        let mut tagged: Vec<&&Field> = fields.iter().filter(|field| field.tag.is_some()).collect();
        tagged.sort_by_key(|field| field.tag);
        if tagged.is_empty() {
            writeln!(out, "out.tags(|_| {{}});")?;
        } else {
            writeln!(out, "out.tags(|tags| {{")?;
            for field in tagged {
                let versions = condition(message, field).unwrap_or_default();
                let versions = if versions.is_empty() { versions } else { format!("{versions} && ") };
                writeln!(
                    out,
                    "if {versions}{} {{ tags.add({}, |out| {}); }}",
                    differs(field)?,
                    field.tag.unwrap_or_default(),
                    writing(field)?
                )?;
            }
            writeln!(out, "}});")?;
        }
    }
    Ok(out)
}

fn guarded(out: &mut String, message: &Message, field: &Field, line: &str) -> anyhow::Result<()> {
    match condition(message, field).unwrap_or_default().as_str() {
        "" => writeln!(out, "{line}")?,
        condition => writeln!(out, "if {condition} {{ {line} }}")?,
    }
    Ok(())
}

/// What must hold for a version to have the field; empty if all have it, `None` if none has.
fn condition(message: &Message, field: &Field) -> Option<String> {
    let (first, last) = (message.versions.first, message.versions.last.unwrap_or(i16::MAX));
    let low = field.versions.first.max(first);
    let high = field.versions.last.unwrap_or(last).min(last);
    match (low > first, high < last) {
        _ if low > high => None,
        (false, false) => Some(String::new()),
        _ if low == high => Some(format!("version == {low}")),
        (true, false) => Some(format!("version >= {low}")),
        (false, true) => Some(format!("version <= {high}")),
        (true, true) => Some(format!("({low}..={high}).contains(&version)")),
    }
}

fn rust_type(message: &Message, field: &Field) -> anyhow::Result<String> {
    let one = match &field.of {
        Type::Struct(name) => {
            let fields = message.structure(name).with_context(|| format!("no struct {name}"))?;
            let lifetime = if borrows(message, &fields.iter().collect::<Vec<_>>()) { "<'a>" } else { "" };
            format!("{name}{lifetime}")
        }
        Type::Plain(word) => match word.as_str() {
            "string" => "String".to_owned(),
            "bytes" => "Vec<u8>".to_owned(),
            "uuid" => "Uuid".to_owned(),
            "records" => "Records<'a>".to_owned(),
            word => method(word)?.to_owned(),
        },
    };
    let all = if field.array { format!("Vec<{one}>") } else { one };
    Ok(if nullable(field) { format!("Option<{all}>") } else { all })
}

fn reading(field: &Field) -> anyhow::Result<String> {
    let null = if nullable(field) { "optional_" } else { "" };
    Ok(match (&field.of, field.array) {
        (Type::Plain(word), true) => format!("input.{null}array(Reader::{})", method(word)?),
        (Type::Struct(name), true) => format!("input.{null}array(|input| {name}::read(input, version))"),
        (Type::Plain(word), false) => format!("input.{null}{}()", method(word)?),
        (Type::Struct(name), false) if nullable(field) => {
            format!("input.optional(|input| {name}::read(input, version))")
        }
        (Type::Struct(name), false) => format!("{name}::read(input, version)"),
    })
}

fn writing(field: &Field) -> anyhow::Result<String> {
    let name = rust_name(field);
    let (null, place) = if nullable(field) {
        ("optional_", format!("self.{name}.as_deref()"))
    } else {
        ("", format!("&self.{name}"))
    };
    Ok(match (&field.of, field.array) {
        (Type::Plain(word), true) => {
            let one = if matches!(word.as_str(), "string" | "bytes") { "one" } else { "*one" };
            format!("out.{null}array({place}, |out, one| out.{}({one}))", method(word)?)
        }
        (Type::Struct(_), true) => {
            format!("out.{null}array({place}, |out, one| one.write(out, version))")
        }
        (Type::Plain(word), false) if matches!(word.as_str(), "string" | "bytes") => {
            format!("out.{null}{word}({place})")
        }
        (Type::Plain(word), false) => format!("out.{}(self.{name})", method(word)?),
        (Type::Struct(_), false) if nullable(field) => {
            format!("out.optional(self.{name}.as_ref(), |out, one| one.write(out, version))")
        }
        (Type::Struct(_), false) => format!("self.{name}.write(out, version)"),
    })
}

/// Whether a tagged field has to be written.
fn differs(field: &Field) -> anyhow::Result<String> {
    let name = rust_name(field);
    if nullable(field) {
        return Ok(format!("self.{name}.is_some()"));
    }
    Ok(match &field.of {
        _ if field.array => format!("!self.{name}.is_empty()"),
        Type::Struct(of) => format!("self.{name} != {of}::default()"),
        Type::Plain(word) => match (word.as_str(), &field.default) {
            ("bool", None) => format!("self.{name}"),
            ("string" | "bytes", None) => format!("!self.{name}.is_empty()"),
            ("uuid", None) => format!("!self.{name}.is_zero()"),
            (_, Some(default)) => format!("self.{name} != {}", literal(default)),
            (_, None) => format!("self.{name} != 0"),
        },
    })
}

/// The reader's and writer's function for a type, which is Rust's name of it where it is a number.
fn method(word: &str) -> anyhow::Result<&str> {
    Ok(match word {
        "bool" | "string" | "bytes" | "uuid" | "records" => word,
        "int8" => "i8",
        "int16" => "i16",
        "uint16" => "u16",
        "int32" => "i32",
        "int64" => "i64",
        "float64" => "f64",
        other => bail!("no type {other:?}"),
    })
}

/// Records say themselves that they are null.
fn nullable(field: &Field) -> bool {
    field.nullable.is_some() && field.of != Type::Plain("records".to_owned())
}

fn borrows(message: &Message, fields: &[&Field]) -> bool {
    fields.iter().any(|field| match &field.of {
        Type::Plain(word) => word == "records",
        Type::Struct(name) => {
            message.structure(name).is_some_and(|fields| borrows(message, &fields.iter().collect::<Vec<_>>()))
        }
    })
}

fn rust_name(field: &Field) -> String {
    match snake(&field.name).as_str() {
        word @ ("match" | "type") => format!("r#{word}"),
        word => word.to_owned(),
    }
}

/// Numbers as clippy wants to read them.
fn literal(text: &str) -> String {
    match text {
        "9223372036854775807" => "i64::MAX".to_owned(),
        "2147483647" => "i32::MAX".to_owned(),
        "-2147483648" => "i32::MIN".to_owned(),
        other => other.to_owned(),
    }
}

fn range(versions: Versions) -> String {
    match versions.last {
        Some(last) if last == versions.first => last.to_string(),
        Some(last) => format!("{} to {last}", versions.first),
        None => format!("{} and later", versions.first),
    }
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut last_is_small = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && last_is_small {
            out.push('_');
        }
        last_is_small = !letter.is_ascii_uppercase();
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// `mod.rs`: the modules, the keys, and a way from bytes to bytes for tests.
pub(super) fn index(messages: &[Message]) -> anyhow::Result<String> {
    let mut modules: Vec<String> = messages.iter().map(module_name).collect();
    modules.sort();
    modules.dedup();
    let mut keys: Vec<&Message> = messages.iter().filter(|message| message.kind == Kind::Request).collect();
    keys.sort_by_key(|message| message.key);
    let mut out =
        format!("//! Requests and responses by key; the fields are those of Kafka's documentation.\n{NOTE}");
    out.push_str("#![allow(missing_docs, reason = \"Kafka documents its fields\")]\n");
    out.push_str("#![allow(clippy::field_reassign_with_default, clippy::too_many_lines, reason = \"generated: one line for each field\")]\n\n");
    modules.iter().try_for_each(|module| writeln!(out, "pub mod {module};"))?;
    out.push_str("\nuse crate::{Error, Message as _, Reader};\n\n");
    out.push_str("/// The number of a request.\n#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\n#[repr(i16)]\npub enum Key {\n");
    for message in &keys {
        writeln!(out, "{} = {},", message.name, message.key.context("a request has a key")?)?;
    }
    out.push_str("}\n\nimpl Key {\n/// All that the schema has.\npub const ALL: &[Self] = &[");
    keys.iter().try_for_each(|message| write!(out, "Self::{}, ", message.name))?;
    out.push_str("];\n\n/// By the number.\npub fn from_code(code: i16) -> Option<Self> { Self::ALL.iter().copied().find(|key| key.code() == code) }\n");
    out.push_str("\n/// The number.\npub fn code(self) -> i16 { self as i16 }\n");
    out.push_str("\n/// As Kafka calls it.\npub fn name(self) -> &'static str { match self {\n");
    keys.iter().try_for_each(|message| writeln!(out, "Self::{0} => \"{0}\",", message.name))?;
    out.push_str("} }\n\n/// The versions that the schema has.\npub fn versions(self) -> std::ops::RangeInclusive<i16> { match self {\n");
    for message in &keys {
        let path = format!("{}::{}Request", module_name(message), message.name);
        writeln!(out, "Self::{} => {path}::VERSIONS,", message.name)?;
    }
    out.push_str("} }\n\n/// Whether a version has compact lengths and tagged fields.\npub fn flexible(self, version: i16) -> bool { match self {\n");
    for message in &keys {
        let path = format!("{}::{}Request", module_name(message), message.name);
        writeln!(out, "Self::{} => {path}::flexible(version),", message.name)?;
    }
    out.push_str("} }\n}\n\n/// Reads the message that Kafka calls so from bytes that are nothing else, and writes it again: for tests.\n");
    out.push_str("pub fn transcode(name: &str, version: i16, bytes: &[u8]) -> Result<Vec<u8>, Error> {\nmatch name {\n");
    for message in messages {
        let name = message.full_name();
        writeln!(
            out,
            "\"{name}\" => again::<{}::{name}{}>(version, bytes),",
            module_name(message),
            if borrows(message, &message.fields.iter().collect::<Vec<_>>()) { "<'_>" } else { "" }
        )?;
    }
    out.push_str("_ => Err(Error::Null),\n}\n}\n\n");
    out.push_str(
        "fn again<'a, M: crate::Message<'a>>(version: i16, bytes: &'a [u8]) -> Result<Vec<u8>, Error> {\n",
    );
    out.push_str("let mut input = Reader::new(bytes, M::flexible(version));\nlet message = M::read(&mut input, version)?;\n");
    out.push_str(
        "if !input.rest().is_empty() { return Err(Error::Length(0)); }\nOk(message.encode(version))\n}\n",
    );
    Ok(out)
}
