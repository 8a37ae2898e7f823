//! What a build tells: the classic builder's words for docker's clients, records for ours. Pure.
//!
//! Stages run in parallel, the classic words are one story: one step speaks as it goes, the others wait for their turn.
//! Records (`X-Dhow-Progress: 1`) come as they happen, each `{"dhow": {…}}` with one key:
//! `step {id, name}` · `output {id, stream, data}` · `done {id, cached, result, seconds}` · `pull {id, status, current, total}` ·
//! `warning text`; the end is `{"aux": {"ID": …}}`, then `{"dhow": {"built": {id, tags}}}` or docker's `errorDetail`.

use dhow_build::Progress;
use dhow_wire::{messages, text::Pieces};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// The teller.
#[derive(Debug)]
pub(super) struct Words {
    records: bool,
    quiet: bool,
    /// Steps that began and are not told to their end, in the order they began.
    turns: VecDeque<u32>,
    steps: BTreeMap<u32, Step>,
}

#[derive(Debug, Default)]
struct Step {
    /// `FROM`: it uses no cache, the image is there.
    base: bool,
    /// Not told yet.
    waiting: Vec<Value>,
    done: bool,
    text: [Pieces; 2],
}

impl Words {
    pub(super) fn new(records: bool, quiet: bool) -> Self {
        Self { records, quiet, turns: VecDeque::new(), steps: BTreeMap::new() }
    }

    /// What to say now.
    pub(super) fn tell(&mut self, progress: Progress) -> Vec<Value> {
        match progress {
            Progress::Step { id, name } => {
                self.turns.push_back(id);
                let base = name.contains("] FROM ");
                self.steps.insert(id, Step { base, ..Step::default() });
                if self.records {
                    return vec![json!({ "dhow": { "step": { "id": id, "name": name } } })];
                }
                self.say(id, headline(&name).map(stream).into_iter().collect())
            }
            Progress::Output { id, stream: number, data } => {
                let text = match self
                    .steps
                    .get_mut(&id)
                    .and_then(|step| step.text.get_mut(usize::from(number == 2)))
                {
                    Some(pieces) => pieces.push(&data),
                    None => String::from_utf8_lossy(&data).into_owned(),
                };
                if text.is_empty() {
                    return Vec::new();
                }
                if self.records {
                    return vec![
                        json!({ "dhow": { "output": { "id": id, "stream": number, "data": text } } }),
                    ];
                }
                // the classic builder shows what comes on standard error in red
                let text = if number == 2 { format!("\x1b[91m{text}\x1b[0m") } else { text };
                self.say(id, vec![stream(text)])
            }
            Progress::Done { id, cached, result, seconds } => {
                let rest: Vec<String> = self.steps.get_mut(&id).map(Step::rest).unwrap_or_default();
                if self.records {
                    let mut told: Vec<Value> = rest
                        .into_iter()
                        .map(|text| json!({ "dhow": { "output": { "id": id, "stream": 1, "data": text } } }))
                        .collect();
                    told.push(json!({ "dhow": { "done": { "id": id, "cached": cached, "result": result, "seconds": seconds } } }));
                    return told;
                }
                let mut told: Vec<Value> = rest.into_iter().map(stream).collect();
                if cached && !self.steps.get(&id).is_some_and(|step| step.base) {
                    told.push(stream(" ---> Using cache\n".to_owned()));
                }
                if let Some(result) = result {
                    told.push(stream(format!(" ---> {}\n", result.short())));
                }
                self.finish(id, told)
            }
            Progress::Pull(pull) if self.records => {
                let (current, total) = pull.bytes.unzip();
                vec![
                    json!({ "dhow": { "pull": { "id": pull.id, "status": pull.status, "current": current, "total": total } } }),
                ]
            }
            Progress::Pull(pull) => {
                self.unless_quiet(vec![messages::status(&pull.id, &pull.status, pull.bytes)])
            }
            Progress::Warning(text) if self.records => vec![json!({ "dhow": { "warning": text } })],
            Progress::Warning(text) => self.unless_quiet(vec![stream(format!("[Warning] {text}\n"))]),
        }
    }

    /// The last words.
    pub(super) fn end(&mut self, result: dhow_engine::Result<String>, tags: &[String]) -> Vec<Value> {
        let mut told: Vec<Value> = Vec::new();
        for id in std::mem::take(&mut self.turns) {
            if let Some(mut step) = self.steps.remove(&id) {
                let rest = step.rest();
                if !self.records {
                    told.append(&mut step.waiting);
                    told.extend(rest.into_iter().map(stream));
                }
            }
        }
        let mut told = self.unless_quiet(told);
        match result {
            Ok(id) => {
                told.push(json!({ "aux": { "ID": id } }));
                if self.records {
                    told.push(json!({ "dhow": { "built": { "id": id, "tags": tags } } }));
                } else if self.quiet {
                    told.push(stream(format!("{id}\n")));
                } else {
                    let short = id.split_once(':').map_or(id.as_str(), |(_, hex)| hex);
                    told.push(stream(format!("Successfully built {}\n", short.get(..12).unwrap_or(short))));
                    told.extend(tags.iter().map(|tag| stream(format!("Successfully tagged {tag}\n"))));
                }
            }
            Err(error) => told.push(messages::failure(exit_code(&error.message), &error.message)),
        }
        told
    }

    /// Says it if it is this step's turn, else keeps it.
    fn say(&mut self, id: u32, words: Vec<Value>) -> Vec<Value> {
        if self.turns.front() != Some(&id)
            && let Some(step) = self.steps.get_mut(&id)
        {
            step.waiting.extend(words);
            return Vec::new();
        }
        self.unless_quiet(words)
    }

    /// The step's last words; then those whose turn has come.
    fn finish(&mut self, id: u32, words: Vec<Value>) -> Vec<Value> {
        let mut told = self.say(id, words);
        if let Some(step) = self.steps.get_mut(&id) {
            step.done = true;
        }
        while let Some(front) = self.turns.front().copied() {
            let Some(step) = self.steps.get_mut(&front) else { break };
            let waiting = std::mem::take(&mut step.waiting);
            let done = step.done;
            told.extend(self.unless_quiet(waiting));
            if !done {
                break;
            }
            self.turns.pop_front();
            self.steps.remove(&front);
        }
        told
    }

    fn unless_quiet(&self, words: Vec<Value>) -> Vec<Value> {
        if self.quiet && !self.records { Vec::new() } else { words }
    }
}

impl Step {
    /// Characters that were cut and never completed.
    fn rest(&mut self) -> Vec<String> {
        self.text.iter_mut().map(Pieces::end).filter(|text| !text.is_empty()).collect()
    }
}

fn stream(text: String) -> Value {
    json!({ "stream": text })
}

/// `[builder 2/5] RUN x` → `Step 2/5 : RUN x`; inner work of the builder has no headline.
fn headline(name: &str) -> Option<String> {
    let Some((stage, instruction)) = name.strip_prefix('[').and_then(|rest| rest.split_once("] ")) else {
        return Some(format!("{name}\n"));
    };
    let number = stage.rsplit(' ').next().filter(|number| number.contains('/'))?;
    Some(format!("Step {number} : {instruction}\n"))
}

/// docker repeats a step's exit code in the error's detail.
fn exit_code(message: &str) -> Option<i64> {
    message.rsplit_once("returned a non-zero code: ")?.1.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_engine::{Error, Kind};

    fn step(id: u32, name: &str) -> Progress {
        Progress::Step { id, name: name.into() }
    }

    fn output(id: u32, text: &str) -> Progress {
        Progress::Output { id, stream: 1, data: text.to_owned().into() }
    }

    fn done(id: u32, cached: bool) -> Progress {
        let result = format!("sha256:{}", "ab".repeat(32)).parse().ok();
        Progress::Done { id, cached, result, seconds: 0.5 }
    }

    fn told(words: &mut Words, all: Vec<Progress>) -> String {
        let lines = all.into_iter().flat_map(|progress| words.tell(progress)).collect::<Vec<_>>();
        lines.iter().filter_map(|line| line["stream"].as_str()).collect()
    }

    #[test]
    fn one_stage_is_told_as_the_classic_builder_does() {
        let mut words = Words::new(false, false);
        let text = told(
            &mut words,
            vec![
                step(1, "[1/2] FROM busybox"),
                done(1, false),
                step(2, "[2/2] RUN echo hé"),
                Progress::Output { id: 2, stream: 1, data: b"h\xc3".to_vec().into() },
                Progress::Output { id: 2, stream: 1, data: b"\xa9\n".to_vec().into() },
                done(2, true),
            ],
        );
        assert_eq!(
            text,
            "Step 1/2 : FROM busybox\n ---> abababababab\nStep 2/2 : RUN echo hé\nhé\n ---> Using cache\n ---> abababababab\n"
        );
        let id = format!("sha256:{}", "cd".repeat(32));
        let end = words.end(Ok(id.clone()), &["a:latest".into()]);
        assert_eq!(
            end,
            [
                json!({"aux": {"ID": id}}),
                json!({"stream": "Successfully built cdcdcdcdcdcd\n"}),
                json!({"stream": "Successfully tagged a:latest\n"}),
            ]
        );
    }

    #[test]
    fn parallel_stages_become_one_story() {
        let mut words = Words::new(false, false);
        let text = told(
            &mut words,
            vec![
                step(1, "[a 1/1] RUN one"),
                step(2, "[b 1/1] RUN two"),
                output(2, "from two\n"),
                output(1, "from one\n"),
                done(2, false),
                done(1, false),
            ],
        );
        assert_eq!(
            text,
            "Step 1/1 : RUN one\nfrom one\n ---> abababababab\nStep 1/1 : RUN two\nfrom two\n ---> abababababab\n"
        );
    }

    #[test]
    fn records_come_as_they_happen() {
        let mut words = Words::new(true, false);
        words.tell(step(1, "[internal] load"));
        assert_eq!(
            words.tell(output(2, "x")),
            [json!({"dhow": {"output": {"id": 2, "stream": 1, "data": "x"}}})]
        );
        assert_eq!(words.tell(done(1, true))[0]["dhow"]["done"]["cached"], true);
        assert_eq!(words.tell(Progress::Warning("w".into())), [json!({"dhow": {"warning": "w"}})]);
    }

    #[test]
    fn a_failure_keeps_the_exit_code_and_what_was_not_told() {
        let mut words = Words::new(false, false);
        told(&mut words, vec![step(1, "[1/1] RUN a"), step(2, "[2/2] RUN false"), output(2, "why\n")]);
        let error = Error::new(Kind::Invalid, "The command '/bin/sh -c false' returned a non-zero code: 1");
        let end = words.end(Err(error), &[]);
        assert_eq!(end[0]["stream"], "Step 2/2 : RUN false\n");
        assert_eq!(end[1]["stream"], "why\n");
        assert_eq!(end[2]["errorDetail"]["code"], 1);
    }

    #[test]
    fn quiet_tells_the_id_only() {
        let mut words = Words::new(false, true);
        assert_eq!(told(&mut words, vec![step(1, "[1/1] FROM x"), done(1, false)]), "");
        assert_eq!(words.end(Ok("sha256:ab".into()), &[]).last(), Some(&json!({"stream": "sha256:ab\n"})));
    }
}
