//! Random calls over few names, so that they meet: most succeed, many do not. `choices.json` has what is chosen from.
//!
//! No driver that is not there: dockerd looks for a plugin for 15 s. No `networks/prune`: a network that a stopped container is on is
//! used for us, as docker's manual has it, and not for dockerd. No `DELETE` of the image that everything stands on.

use fastrand::Rng;
use serde_json::{Value, json};

pub(super) struct Call {
    pub(super) method: String,
    /// Path and query, without version.
    pub(super) target: String,
    /// The path with its names taken out: what a difference is filed under.
    pub(super) shape: String,
    pub(super) body: Option<Value>,
    /// It starts a program, which may end by itself: what comes next must not race with that.
    pub(super) starts: bool,
}

/// Asks for the end of what `call` started.
pub(super) fn wait(call: &Call) -> Call {
    of_container(call, "POST", "wait")
}

/// Asks how what `call` started stands.
pub(super) fn inspect(call: &Call) -> Call {
    of_container(call, "GET", "json")
}

fn of_container(call: &Call, method: &str, what: &str) -> Call {
    let name = call.target.split('/').nth(2).unwrap_or_default();
    let target = format!("/containers/{name}/{what}");
    let shape = format!("/containers/{{}}/{what}");
    Call { method: method.to_owned(), target, shape, body: None, starts: false }
}

/// What stands for a name, and the names that are there to choose from.
const NAMES: &[(&str, &[&str])] = &[
    ("$container", &["c1", "c2", "c3"]),
    ("$network", &["n1", "n2", "n1", "n2", "bridge", "host", "none"]),
    ("$volume", &["v1", "v2"]),
    ("$image", &["bb", "bb:latest", "i1", "i2:1", "i3/x:2"]),
    ("$name", &["i1", "i2:1", "i3/x:2"]),
];

pub(super) struct Calls {
    rng: Rng,
    choices: Value,
}

impl Calls {
    pub(super) fn new(seed: u64) -> Self {
        let choices = serde_json::from_str(include_str!("choices.json")).unwrap();
        Self { rng: Rng::with_seed(seed), choices }
    }

    /// Whether something that happens once in `n` happens.
    fn once_in(&mut self, n: u32) -> bool {
        self.rng.u32(..n) == 0
    }

    fn choice(&mut self, list: &Value) -> Value {
        let list = list.as_array().map_or(&[][..], Vec::as_slice);
        if list.is_empty() { Value::Null } else { list[self.rng.usize(..list.len())].clone() }
    }

    /// With names for what stands for them; seldom one that nothing has.
    fn named(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (mark, names) in NAMES {
            if text.contains(mark) {
                let name = if self.once_in(12) { "nobody" } else { names[self.rng.usize(..names.len())] };
                text = text.replace(mark, name);
            }
        }
        text
    }

    pub(super) fn next(&mut self) -> Call {
        let choices = self.choices["calls"].clone();
        let all = choices.as_array().unwrap();
        let weight = |entry: &Value| entry["weight"].as_u64().unwrap();
        let total: u64 = all.iter().map(weight).sum();
        let mut left = self.rng.u64(..total);
        let entry = all.iter().find(|entry| {
            let found = left < weight(entry);
            left = left.saturating_sub(weight(entry));
            found
        });
        let entry = entry.unwrap();
        let (method, pattern) = entry["call"].as_str().unwrap().split_once(' ').unwrap();
        let shape = NAMES.iter().fold(pattern.to_owned(), |shape, (mark, _)| shape.replace(mark, "{}"));
        let queries = [&entry["queries"], &entry["more"]].map(|list| self.choice(list));
        let query: Vec<&str> =
            queries.iter().filter_map(Value::as_str).filter(|text| !text.is_empty()).collect();
        let mut target = self.named(&format!("{pattern}?{}", escaped(&query.join("&"))));
        let mut body = match self.choice(&entry["bodies"]) {
            Value::Null => None,
            body => Some(self.named(&body.to_string()).parse().unwrap()),
        };
        if pattern == "/containers/create" {
            let (name, wanted) = self.create();
            target.push_str(&format!("name={name}"));
            body = Some(wanted);
        }
        Call { method: method.to_owned(), target, shape, body, starts: entry["starts"] == true }
    }

    /// A container's name and body, with at most one fault: which of two is told first is nobody's promise.
    fn create(&mut self) -> (String, Value) {
        let choices = self.choices.clone();
        let command = self.choice(&choices["commands"]);
        let mut body = json!({"Image": "bb", "Cmd": command, "StopTimeout": 0, "HostConfig": {}});
        for _ in 0..self.rng.u32(..4) {
            let wish = self.choice(&choices["wishes"]);
            self.set(&mut body, &wish);
        }
        let mut name = self.choice(&json!(["c1", "c2", "c3"]));
        match self.rng.u32(..20) {
            0 | 1 => body["Image"] = self.choice(&json!(["nobody", "BAD", "i1"])),
            2 => name = self.choice(&json!(["-bad", "x", "a/b", ""])),
            3..9 => {
                let fault = self.choice(&choices["faults"]);
                self.set(&mut body, &fault);
            }
            _ => {}
        }
        (name.as_str().unwrap().to_owned(), body)
    }

    /// One field: the part of the body that it is in, its name, its value.
    fn set(&mut self, body: &mut Value, field: &Value) {
        let value: Value = self.named(&field[2].to_string()).parse().unwrap();
        let (part, field) = (field[0].as_str().unwrap(), field[1].as_str().unwrap());
        let part = if part.is_empty() { body } else { &mut body[part] };
        part[field] = value;
    }
}

/// For a query: what JSON and names have and a URL must not.
fn escaped(text: &str) -> String {
    let kept = |b: u8| b.is_ascii_alphanumeric() || b"=&?%./-_:@*~$".contains(&b);
    text.bytes().map(|b| if kept(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
