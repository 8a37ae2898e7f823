//! The generated codec against the schema, by a second reading of it: [`wire`] writes random messages straight from the schema.

use super::{
    schema::{Field, Kind, Message, Type, Versions},
    *,
};
use dhow_kafka::messages::transcode;
use serde_json::Value;

impl Versions {
    fn contains(self, version: i16) -> bool {
        self.first <= version && self.last.is_none_or(|last| version <= last)
    }

    /// Every version of a message, which has an end.
    fn iter(self) -> impl Iterator<Item = i16> {
        self.first..=self.last.unwrap()
    }
}

impl Message {
    fn is_flexible(&self, version: i16) -> bool {
        self.flexible.is_some_and(|flexible| flexible.contains(version))
    }
}

/// Random bytes of a message; no tagged field has its default, as such a field is not written.
mod wire {
    use super::*;

    pub(super) fn message(message: &Message, version: i16, dice: &mut fastrand::Rng) -> Vec<u8> {
        let mut out = Vec::new();
        fields(&mut out, message, &message.fields, version, dice);
        out
    }

    fn fields(out: &mut Vec<u8>, message: &Message, all: &[Field], version: i16, dice: &mut fastrand::Rng) {
        let present = || all.iter().filter(|field| field.versions.contains(version));
        for one in present().filter(|field| field.tag.is_none()) {
            field(out, message, one, version, dice);
        }
        if !message.is_flexible(version) {
            return;
        }
        let mut tagged: Vec<&Field> =
            present().filter(|field| field.tag.is_some()).filter(|_| dice.bool()).collect();
        tagged.sort_by_key(|field| field.tag);
        unsigned(out, tagged.len());
        for one in tagged {
            let mut bytes = Vec::new();
            field(&mut bytes, message, one, version, dice);
            unsigned(out, one.tag.unwrap() as usize);
            unsigned(out, bytes.len());
            out.extend(bytes);
        }
    }

    fn field(out: &mut Vec<u8>, message: &Message, field: &Field, version: i16, dice: &mut fastrand::Rng) {
        let flexible = message.is_flexible(version);
        let null = field.nullable.is_some_and(|nullable| nullable.contains(version))
            && field.tag.is_none()
            && dice.u8(..4) == 0;
        if field.array {
            let count = (!null).then(|| dice.usize(usize::from(field.tag.is_some())..4));
            length(out, flexible, count, 4);
            (0..count.unwrap_or(0)).for_each(|_| value(out, message, field, version, dice));
            return;
        }
        match &field.of {
            Type::Struct(_) if field.nullable.is_some() => {
                out.push(if null { 0xff } else { 1 });
                if !null {
                    value(out, message, field, version, dice);
                }
            }
            Type::Plain(word) if null => {
                length(out, flexible, None, if word == "string" { 2 } else { 4 });
            }
            _ => value(out, message, field, version, dice),
        }
    }

    /// One element, not null.
    fn value(out: &mut Vec<u8>, message: &Message, field: &Field, version: i16, dice: &mut fastrand::Rng) {
        let flexible = message.is_flexible(version);
        let word = match &field.of {
            Type::Struct(name) => {
                return fields(out, message, message.structure(name).unwrap(), version, dice);
            }
            Type::Plain(word) => word.as_str(),
        };
        let mut number = |size: usize| {
            // neither 0 nor -1, whatever the default
            let low = dice.u8(2..100);
            out.extend((1..size).map(|_| dice.u8(..)));
            out.push(low);
        };
        match word {
            "bool" => out.push(1),
            "int8" => number(1),
            "int16" | "uint16" => number(2),
            "int32" => number(4),
            "int64" => number(8),
            "uuid" => number(16),
            "float64" => out.extend(dice.f64().to_be_bytes()),
            "string" | "bytes" | "records" => {
                let size = dice.usize(1..9);
                length(out, flexible, Some(size), if word == "string" { 2 } else { 4 });
                out.extend((0..size).map(|_| dice.alphanumeric() as u8));
            }
            other => panic!("no type {other}"),
        }
    }

    fn length(out: &mut Vec<u8>, flexible: bool, length: Option<usize>, size: usize) {
        if flexible {
            return unsigned(out, length.map_or(0, |length| length + 1));
        }
        let plain = length.map_or(-1, |length| length as i32).to_be_bytes();
        out.extend(&plain[4 - size..]);
    }

    fn unsigned(out: &mut Vec<u8>, mut value: usize) {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }
}

fn every_version() -> Vec<(Message, i16)> {
    let messages = schema().unwrap();
    messages
        .iter()
        .flat_map(|message| message.versions.iter().map(|version| (message.clone(), version)))
        .collect()
}

#[test]
fn the_committed_codec_is_what_the_generator_writes() {
    for (name, text) in files(&schema().unwrap()).unwrap() {
        let committed = std::fs::read_to_string(folder().join(&name)).unwrap_or_default();
        assert!(committed == text, "{name} is old: run `cargo xtask kafka-codec`");
    }
}

#[test]
fn every_message_in_every_version_comes_back() {
    let mut dice = fastrand::Rng::with_seed(6);
    for (message, version) in every_version() {
        for _ in 0..50 {
            let bytes = wire::message(&message, version, &mut dice);
            let name = message.full_name();
            assert_eq!(transcode(&name, version, &bytes).as_ref(), Ok(&bytes), "{name} version {version}");
        }
    }
}

/// What an attacker writes over a length.
const BOMBS: [&[u8]; 6] = [
    &[0x7f, 0xff, 0xff, 0xff],
    &[0x7f, 0xff, 0xff, 0xf0],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0x7f],
    &[0x00, 0xff, 0xff, 0xff],
    &[0x80, 0, 0, 0],
];

#[test]
fn hostile_messages_cost_nothing() {
    let mut dice = fastrand::Rng::with_seed(7);
    let before = peak();
    let begin = std::time::Instant::now();
    for (message, version) in every_version() {
        let name = message.full_name();
        for _ in 0..200 {
            let mut bytes = wire::message(&message, version, &mut dice);
            for _ in 0..dice.usize(1..4) {
                match dice.u8(..4) {
                    0 => bytes.truncate(dice.usize(..=bytes.len())),
                    1 if !bytes.is_empty() => {
                        let at = dice.usize(..bytes.len());
                        bytes[at] = dice.u8(..);
                    }
                    2 => bytes.extend((0..dice.usize(..64)).map(|_| dice.u8(..))),
                    _ => {
                        let bomb = dice.choice(BOMBS).unwrap();
                        let at = dice.usize(..=bytes.len());
                        bytes.truncate(at + bomb.len());
                        bytes.truncate(at);
                        bytes.extend(bomb);
                        bytes.extend((0..dice.usize(..64)).map(|_| dice.u8(..)));
                    }
                }
            }
            // an error or a message, never a panic
            drop(transcode(&name, version, &bytes));
        }
        // and as many empty elements as fit: the most memory for the least bytes
        for filler in [0u8, 1, 2] {
            let mut flood = vec![0x01, 0x00, 0x00];
            flood.resize(1 << 16, filler);
            drop(transcode(&name, version, &flood));
        }
    }
    assert!(begin.elapsed().as_secs() < 60, "hostile input took {:?}", begin.elapsed());
    let grown = peak() - before;
    assert!(grown < 256 << 10, "hostile input took {grown} KiB of address space");
}

/// The most address space that this process ever had, in KiB: also what was asked for and never touched.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Field by field what Kafka's own descriptors say. Names of structs are ours.
#[test]
fn the_schema_is_kafkas() {
    let Some(descriptors) = descriptors().unwrap() else {
        return say("skipped: no kafka-clients jar: there is no mvn, or no registry to fetch it from");
    };
    for message in schema().unwrap() {
        let name = message.full_name();
        let theirs = &descriptors[&name];
        assert_eq!(message.key.map(i64::from), theirs["apiKey"].as_i64(), "{name}");
        let range = |text: &str| Versions::parse(text).unwrap();
        assert_eq!(message.versions, range(theirs["validVersions"].as_str().unwrap()), "{name}");
        let flexible = theirs["flexibleVersions"].as_str().filter(|word| *word != "none").map(range);
        assert_eq!(message.flexible, flexible, "{name}");
        let kind = match message.kind {
            Kind::Request => "request",
            Kind::Response => "response",
            Kind::Data => "data",
        };
        assert_eq!(theirs["type"], kind, "{name}");
        compare(&name, &message, &message.fields, theirs, &theirs["fields"]);
    }
}

fn compare(path: &str, message: &Message, ours: &[Field], whole: &Value, theirs: &Value) {
    let theirs = theirs.as_array().unwrap();
    let names: Vec<&str> = theirs.iter().map(|field| field["name"].as_str().unwrap()).collect();
    let known: Vec<&str> = ours.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(known, names, "{path}");
    for (ours, theirs) in ours.iter().zip(theirs) {
        let path = format!("{path}.{}", ours.name);
        let range = |word: &str| theirs[word].as_str().map(|text| Versions::parse(text).unwrap());
        assert_eq!(Some(ours.versions), range("versions"), "{path}");
        assert_eq!(ours.nullable, range("nullableVersions"), "{path}");
        assert_eq!(ours.tag.map(u64::from), theirs["tag"].as_u64(), "{path}");
        let default = match &theirs["default"] {
            Value::String(text) if text == "0x7fffffff" => "2147483647".to_owned(),
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let default = Some(default).filter(|text| !matches!(text.as_str(), "" | "0" | "false" | "null"));
        assert_eq!(ours.default, default, "{path}");
        if ours.tag.is_some() && ours.nullable.is_some() {
            assert_eq!(theirs["default"], "null", "{path}: what is not there is null");
        }
        let kind = theirs["type"].as_str().unwrap();
        assert_eq!(ours.array, kind.starts_with("[]"), "{path}");
        match &ours.of {
            Type::Plain(word) => assert_eq!(word, kind.trim_start_matches("[]"), "{path}"),
            Type::Struct(name) => {
                let shared = whole["commonStructs"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .find(|shared| shared["name"] == kind.trim_start_matches("[]"));
                let fields = shared.map_or(&theirs["fields"], |shared| &shared["fields"]);
                compare(&path, message, message.structure(name).unwrap(), whole, fields);
            }
        }
    }
}

/// Kafka's descriptors by message, out of the jar of its clients.
fn descriptors() -> anyhow::Result<Option<BTreeMap<String, Value>>> {
    let Some(jar) = crate::install::kafka_clients()? else { return Ok(None) };
    let text = crate::shell::output(Command::new("unzip").arg("-p").arg(jar).arg("common/message/*.json"))?;
    // the descriptors have comments, which JSON does not
    let plain: String = text.lines().map(|line| format!("{}\n", without_comment(line))).collect();
    let stream = serde_json::Deserializer::from_str(&plain).into_iter::<Value>();
    let mut all = BTreeMap::new();
    for value in stream {
        let value = value.context("reading Kafka's descriptors")?;
        let name = value["name"].as_str().unwrap_or_default().to_owned();
        all.insert(name, value);
    }
    Ok(Some(all))
}

/// The part of a line before a `//` that is in no string.
fn without_comment(line: &str) -> &str {
    let comment = line.match_indices("//").find(|(at, _)| line[..*at].matches('"').count().is_multiple_of(2));
    comment.map_or(line, |(at, _)| &line[..at])
}
