//! The schema of Kafka's messages, `crates/kafka/schema/*.txt`: one message a paragraph, one field a line, structs by indentation.
//!
//! ```text
//! request Produce key 0 versions 3-13 flexible 9+
//!   Acks int16                                      every version has it
//!   Name string 0-12                                these have it
//!   Id string 3+ nullable 3+ tag 0 default -1       and it may be null, is a tagged field, and is not zero when it is not there
//!   Partitions []Partition                          an array of a struct whose fields follow
//!     Index int32
//!   struct Shared                                   a struct that several fields of the message have
//! ```

use anyhow::{Context as _, bail};

/// A range of versions; no end means every later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) first: i16,
    pub(crate) last: Option<i16>,
}

/// A request, a response, or data that clients exchange through the broker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) key: Option<i16>,
    pub(crate) versions: Versions,
    pub(crate) flexible: Option<Versions>,
    pub(crate) fields: Vec<Field>,
    /// Structs that more than one field has.
    pub(crate) shared: Vec<(String, Vec<Field>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
    Data,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) array: bool,
    /// Of one element, if it is an array.
    pub(crate) of: Type,
    pub(crate) versions: Versions,
    pub(crate) nullable: Option<Versions>,
    pub(crate) tag: Option<u32>,
    pub(crate) default: Option<String>,
    /// Of the struct, where it is defined in place.
    pub(crate) fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// `bool`, `int8` …
    Plain(String),
    Struct(String),
}

impl Versions {
    /// Reads `3`, `3-5` or `3+`.
    pub(crate) fn parse(word: &str) -> anyhow::Result<Self> {
        let number = |text: &str| text.parse().with_context(|| format!("{word:?} is no range of versions"));
        if let Some(first) = word.strip_suffix('+') {
            return Ok(Self { first: number(first)?, last: None });
        }
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        Ok(Self { first: number(first)?, last: Some(number(last)?) })
    }
}

impl Message {
    /// As Kafka calls it: `ProduceRequest`.
    pub(crate) fn full_name(&self) -> String {
        match self.kind {
            Kind::Request => format!("{}Request", self.name),
            Kind::Response => format!("{}Response", self.name),
            Kind::Data => self.name.clone(),
        }
    }

    /// The fields of a struct, wherever it is defined.
    pub(crate) fn structure(&self, name: &str) -> Option<&[Field]> {
        fn within<'f>(fields: &'f [Field], name: &str) -> Option<&'f [Field]> {
            fields.iter().find_map(|field| {
                let here = field.of == Type::Struct(name.to_owned()) && !field.fields.is_empty();
                if here { Some(field.fields.as_slice()) } else { within(&field.fields, name) }
            })
        }
        let shared = self.shared.iter().find(|(known, _)| known == name).map(|(_, fields)| fields.as_slice());
        shared
            .or_else(|| within(&self.fields, name))
            .or_else(|| self.shared.iter().find_map(|(_, fields)| within(fields, name)))
    }
}

/// Reads one file.
pub(crate) fn parse(text: &str) -> anyhow::Result<Vec<Message>> {
    let paragraphs = text.split("\n\n").map(str::trim_end).filter(|part| !part.is_empty());
    paragraphs
        .map(|part| message(part).with_context(|| format!("in the paragraph {:?}", part.lines().next())))
        .collect()
}

fn message(text: &str) -> anyhow::Result<Message> {
    let mut lines = text.lines().peekable();
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let (kind, name, rest) = match words.as_slice() {
        ["request", name, rest @ ..] => (Kind::Request, name, rest),
        ["response", name, rest @ ..] => (Kind::Response, name, rest),
        ["data", name, rest @ ..] => (Kind::Data, name, rest),
        _ => bail!("a message is a request, a response or data, and has a name"),
    };
    let (mut key, mut versions, mut flexible) = (None, None, None);
    for pair in rest.chunks(2) {
        match pair {
            ["key", number] => key = Some(number.parse().context("reading the key")?),
            ["versions", range] => versions = Some(Versions::parse(range)?),
            ["flexible", range] => flexible = Some(Versions::parse(range)?),
            other => bail!("{other:?} says nothing about a message"),
        }
    }
    let mut message = Message {
        kind,
        name: (*name).to_owned(),
        key,
        versions: versions.context("the versions are missing")?,
        flexible,
        fields: Vec::new(),
        shared: Vec::new(),
    };
    while let Some(line) = lines.peek() {
        if let Some(name) = line.strip_prefix("  struct ") {
            let name = name.to_owned();
            lines.next();
            let fields = fields(&mut lines, 2)?;
            message.shared.push((name, fields));
        } else {
            message.fields.extend(fields(&mut lines, 1)?);
        }
    }
    Ok(message)
}

fn fields<'t>(
    lines: &mut std::iter::Peekable<impl Iterator<Item = &'t str>>,
    depth: usize,
) -> anyhow::Result<Vec<Field>> {
    let mut fields = Vec::new();
    while let Some(line) = lines.next_if(|line| indent(line) == depth && !line.starts_with("  struct ")) {
        let mut field = field(line.trim()).with_context(|| format!("in the line {line:?}"))?;
        field.fields = self::fields(lines, depth + 1)?;
        fields.push(field);
    }
    if let Some(line) = lines.peek()
        && indent(line) > depth
    {
        bail!("the line {line:?} is too far to the right");
    }
    Ok(fields)
}

fn indent(line: &str) -> usize {
    (line.len() - line.trim_start().len()) / 2
}

fn field(line: &str) -> anyhow::Result<Field> {
    let mut words = line.split(' ').peekable();
    let name = words.next().unwrap_or_default().to_owned();
    let kind = words.next().context("a field has a type")?;
    let (array, kind) = kind.strip_prefix("[]").map_or((false, kind), |of| (true, of));
    let of = if kind.starts_with(|first: char| first.is_ascii_uppercase()) {
        Type::Struct(kind.to_owned())
    } else {
        Type::Plain(kind.to_owned())
    };
    let versions = match words.next_if(|word| word.starts_with(|first: char| first.is_ascii_digit())) {
        Some(range) => Versions::parse(range)?,
        None => Versions { first: 0, last: None },
    };
    let (mut nullable, mut tag, mut default) = (None, None, None);
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} of what?"))?;
        match word {
            "nullable" => nullable = Some(Versions::parse(value)?),
            "tag" => tag = Some(value.parse().context("reading the tag")?),
            "default" => default = Some(value.to_owned()),
            other => bail!("{other:?} says nothing about a field"),
        }
    }
    Ok(Field { name, array, of, versions, nullable, tag, default, fields: Vec::new() })
}
