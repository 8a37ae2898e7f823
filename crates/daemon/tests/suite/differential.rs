//! The same random sequence of calls to us and to a real dockerd 20.10, at its API version, 1.41: the same statuses, the same words,
//! the same documents, but for what `normal` levels and `docs/compat.md` defends.
//!
//! `DHOW_DIFFERENTIAL=CALLS` asks for more than 300, `DHOW_SEED=N` for others.

mod calls;
mod normal;

use super::dockerd::Dockerd;
use calls::{Call, Calls};
use dhow_testkit::{
    Daemon, busybox_tar,
    http::{Answer, ask, ask_with},
    is_root,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Both engines, and what they said differently: by place, the first example.
struct Pair {
    ours: PathBuf,
    theirs: PathBuf,
    found: BTreeMap<String, String>,
}

impl Pair {
    fn both(&self, call: &Call) -> (Answer, Answer) {
        let target = format!("/v1.41{}", call.target);
        let one = |socket: &Path| ask(socket, &call.method, &target, call.body.as_ref());
        (one(&self.ours), one(&self.theirs))
    }

    /// Asks both and compares. Whether they still stand alike.
    fn step(&mut self, call: &Call) -> bool {
        let (ours, theirs) = self.both(call);
        let place = format!("{} {}", call.method, call.shape);
        let alike = (ours.status < 300) == (theirs.status < 300);
        if ours.status >= 400 && theirs.status >= 400 {
            self.refusals(&place, call, &ours, &theirs);
            return alike;
        }
        // What a container is to be on is refused at create here when there is none of it, by dockerd at the start.
        let text = ours.text();
        let early = call.shape == "/containers/create"
            && (text.contains("No such container")
                || text.contains("\"network ") && text.contains(" not found"));
        if ours.status != theirs.status && !early {
            self.note(&format!("{place}: status"), call, &said(&ours), &said(&theirs));
        }
        if ours.status != theirs.status {
            return alike;
        }
        let mut differences = Vec::new();
        let (mine, other) = (normal::document(&ours.json()), normal::document(&theirs.json()));
        normal::compare(&mine, &other, "", &mut differences);
        for (at, mine, other) in differences {
            self.note(&format!("{place}: {at}"), call, &mine, &other);
        }
        alike
    }

    fn refusals(&mut self, place: &str, call: &Call, ours: &Answer, theirs: &Answer) {
        let [mine, other] =
            [ours, theirs].map(|answer| answer.json()["message"].as_str().unwrap_or_default().to_owned());
        if normal::same_refusal(&mine, &other) {
            // A client's fault is 4xx here; docker 20.10 has several that are 500.
            if ours.status != theirs.status && theirs.status != 500 {
                self.note(&format!("{place}: status"), call, &said(ours), &said(theirs));
            }
        } else if !normal::two_faults(&mine, &other) {
            self.note(&format!("{place}: .message"), call, &said(ours), &said(theirs));
        }
    }

    /// Whether what was started ends by itself, as both see it.
    fn will_end(&self, call: &Call) -> bool {
        let inspect = calls::inspect(call);
        let (ours, theirs) = self.both(&inspect);
        [ours, theirs]
            .iter()
            .all(|answer| answer.status == 200 && answer.json()["Config"]["Cmd"][0] != "sleep")
    }

    fn note(&mut self, place: &str, call: &Call, ours: &str, theirs: &str) {
        if normal::DEFENDED.iter().any(|defended| place.contains(defended)) {
            return;
        }
        let body = call.body.as_ref().map(Value::to_string).unwrap_or_default();
        let example =
            format!("{} {} {body}\n    ours:   {ours}\n    theirs: {theirs}", call.method, call.target);
        self.found.entry(place.to_owned()).or_insert(example);
    }

    /// Nothing but the image, in both.
    fn clear(&self) {
        for socket in [&self.ours, &self.theirs] {
            let list = |path: &str| ask(socket, "GET", &format!("/v1.41{path}"), None).json();
            let delete = |path: String| drop(ask(socket, "DELETE", &format!("/v1.41{path}"), None));
            for container in list("/containers/json?all=1").as_array().into_iter().flatten() {
                delete(format!("/containers/{}?force=1&v=1", container["Id"].as_str().unwrap()));
            }
            self::networks(socket, &delete);
            for volume in list("/volumes")["Volumes"].as_array().into_iter().flatten() {
                delete(format!("/volumes/{}?force=1", volume["Name"].as_str().unwrap()));
            }
            for image in list("/images/json").as_array().into_iter().flatten() {
                for tag in image["RepoTags"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter(|tag| **tag != json!("bb:latest"))
                {
                    delete(format!("/images/{}?force=1", tag.as_str().unwrap()));
                }
            }
            drop(ask(socket, "POST", "/v1.41/images/prune", None));
        }
    }

    fn import(&self) {
        for socket in [&self.ours, &self.theirs] {
            let query = "fromSrc=-&repo=bb&changes=CMD%20%5B%22sh%22%5D&message=made%20for%20a%20test";
            let answer =
                ask_with(socket, "POST", &format!("/v1.41/images/create?{query}"), "", &busybox_tar());
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
}

/// dockerd keeps endpoints of containers whose start failed: they go by force.
fn networks(socket: &Path, delete: &dyn Fn(String)) {
    for network in ask(socket, "GET", "/v1.41/networks?filters=%7B%22type%22%3A%5B%22custom%22%5D%7D", None)
        .json()
        .as_array()
        .into_iter()
        .flatten()
    {
        let id = network["Id"].as_str().unwrap();
        let whole = ask(socket, "GET", &format!("/v1.41/networks/{id}"), None).json();
        for end in whole["Containers"].as_object().into_iter().flatten() {
            let body = json!({"Container": end.1["Name"], "Force": true});
            drop(ask(socket, "POST", &format!("/v1.41/networks/{id}/disconnect"), Some(&body)));
        }
        delete(format!("/networks/{id}"));
    }
}

fn said(answer: &Answer) -> String {
    format!("{} {}", answer.status, answer.text().trim())
}

#[test]
fn root_random_calls_are_answered_as_by_dockerd() {
    if !is_root() {
        return;
    }
    let Some(dockerd) = Dockerd::start() else { return };
    let daemon = Daemon::start();
    daemon.dhow(&["rmi", "busybox"]).ok();
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (wanted, seed) = (number("DHOW_DIFFERENTIAL", 300), number("DHOW_SEED", 1));
    let mut pair = Pair { ours: daemon.socket(), theirs: dockerd.socket(), found: BTreeMap::new() };
    pair.import();
    let mut calls = Calls::new(seed);
    let mut steps = 0;
    while steps < wanted {
        // A fresh start now and then: differences do not pile up, and first times are frequent.
        for _ in 0..40 {
            let call = calls.next();
            let mut alike = pair.step(&call);
            if call.starts && alike && pair.will_end(&call) {
                alike = pair.step(&calls::wait(&call));
            }
            steps += 1;
            if !alike || steps == wanted {
                break;
            }
        }
        pair.clear();
    }
    daemon.finish();
    drop(dockerd);
    let list: Vec<String> =
        pair.found.iter().map(|(place, example)| format!("{place}\n    {example}")).collect();
    assert!(
        list.is_empty(),
        "{} differences in {steps} calls with seed {seed}:\n{}",
        list.len(),
        list.join("\n")
    );
}
