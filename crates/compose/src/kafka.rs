//! `dhow.kafka.topics`: topics that are there before the service that asks for them starts.
//!
//! The label is read here and what it wants compared with what there is; brokers are spoken to by whoever implements [`Topics`].

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use futures_util::future::LocalBoxFuture;

use crate::{
    apply::event,
    error::Error,
    model::Project,
    report::{Phase, Reporter},
};

/// The label.
pub const LABEL: &str = "dhow.kafka.topics";
const CLEANUP: &str = "cleanup.policy";

/// A topic as a file wants it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// None: the broker's default.
    pub partitions: Option<i32>,
    /// Its configurations.
    pub configs: BTreeMap<String, String>,
}

/// A topic as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// How many.
    pub partitions: i32,
    /// All configurations, defaults too.
    pub configs: BTreeMap<String, String>,
}

/// The engine's broker.
pub trait Topics: fmt::Debug {
    /// Starts the broker unless it runs, and looks at these topics; those that are not there are left out.
    fn observe<'a>(
        &'a self,
        names: &'a [String],
    ) -> LocalBoxFuture<'a, Result<BTreeMap<String, Seen>, String>>;
    /// Makes a topic. That somebody else makes it at the same time is no error.
    fn create<'a>(&'a self, topic: &'a Topic) -> LocalBoxFuture<'a, Result<(), String>>;
}

/// A command line that knows no Kafka: files that want topics are refused.
#[derive(Debug, Clone, Copy)]
pub struct Without;

impl Topics for Without {
    fn observe<'a>(&'a self, _: &'a [String]) -> LocalBoxFuture<'a, Result<BTreeMap<String, Seen>, String>> {
        Box::pin(std::future::ready(Err("this program speaks to no Kafka broker".to_owned())))
    }

    fn create<'a>(&'a self, topic: &'a Topic) -> LocalBoxFuture<'a, Result<(), String>> {
        Box::pin(std::future::ready(Err(format!("this program cannot make topic {}", topic.name))))
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Topics to make.
    pub create: Vec<Topic>,
    /// What is otherwise than wanted, and stays so.
    pub drift: Vec<String>,
}

/// The topics that services ask for.
///
/// # Errors
/// A label that cannot be read, or two that want the same topic otherwise.
pub fn wanted(project: &Project, services: &BTreeSet<String>) -> Result<Vec<Topic>, Error> {
    let mut all: BTreeMap<String, (Topic, &str)> = BTreeMap::new();
    for service in services.iter().filter_map(|name| project.services.get(name)) {
        let Some(text) = service.labels.get(LABEL) else { continue };
        let wrong = |why: String| Error::invalid(format!("service {}: label {LABEL}: {why}", service.name));
        for topic in parse(text).map_err(wrong)? {
            if let Some((other, by)) = all.get(&topic.name)
                && *other != topic
            {
                return Err(wrong(format!("topic {:?} is wanted otherwise by service {by}", topic.name)));
            }
            all.insert(topic.name.clone(), (topic, &service.name));
        }
    }
    Ok(all.into_values().map(|(topic, _)| topic).collect())
}

/// `orders:12, audit:1:compact, raw:retention.ms=1000`.
fn parse(text: &str) -> Result<Vec<Topic>, String> {
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(topic).collect()
}

fn topic(text: &str) -> Result<Topic, String> {
    let mut words = text.split(':').map(str::trim);
    let name = words.next().unwrap_or_default().to_owned();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > 249 || matches!(name.as_str(), "." | "..") || !name.bytes().all(legal)
    {
        return Err(format!("{name:?} is no name of a topic: letters, digits, '.', '_', '-', at most 249"));
    }
    let mut topic = Topic { name, ..Topic::default() };
    for word in words {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) if !key.is_empty() => (key, value),
            None if matches!(word, "compact" | "delete") => (CLEANUP, word),
            None if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) => {
                let count = word.parse().ok().filter(|count| *count > 0);
                let count = count.ok_or_else(|| format!("topic {:?}: {word} partitions", topic.name))?;
                if topic.partitions.replace(count).is_some() {
                    return Err(format!("topic {:?} has two numbers of partitions", topic.name));
                }
                continue;
            }
            _ => {
                return Err(format!(
                    "topic {:?}: unknown word {word:?}: a number of partitions, compact, delete, or NAME=VALUE",
                    topic.name
                ));
            }
        };
        // Both policies: one word each.
        match topic.configs.get_mut(key) {
            Some(first) if key == CLEANUP => *first = format!("{first},{value}"),
            Some(_) => return Err(format!("topic {:?}: {key} is given twice", topic.name)),
            None => drop(topic.configs.insert(key.to_owned(), value.to_owned())),
        }
    }
    Ok(topic)
}

/// What is wanted against what there is. Nothing is ever taken back or deleted.
#[must_use]
pub fn plan(wanted: &[Topic], seen: &BTreeMap<String, Seen>) -> Changes {
    let mut changes = Changes::default();
    for topic in wanted {
        let Some(there) = seen.get(&topic.name) else {
            changes.create.push(topic.clone());
            continue;
        };
        let name = &topic.name;
        if let Some(count) = topic.partitions.filter(|count| *count != there.partitions) {
            let has = there.partitions;
            changes
                .drift
                .push(format!("topic {name} has {has} partitions and not {count}: it stays as it is"));
        }
        for (key, value) in &topic.configs {
            let has = there.configs.get(key).map_or("", String::as_str);
            if !same(has, value) {
                changes
                    .drift
                    .push(format!("topic {name} has {key}={has} and not {value}: it stays as it is"));
            }
        }
    }
    changes
}

/// The order in a list says nothing.
fn same(one: &str, other: &str) -> bool {
    let words = |text: &str| text.split(',').map(|word| word.trim().to_owned()).collect::<BTreeSet<_>>();
    words(one) == words(other)
}

/// Makes what is missing.
pub(crate) async fn ensure(
    broker: &dyn Topics,
    wanted: &[Topic],
    reporter: &dyn Reporter,
) -> Result<(), Error> {
    if wanted.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = wanted.iter().map(|topic| topic.name.clone()).collect();
    let failed = |why: String| Error::invalid(format!("label {LABEL}: {why}"));
    let changes = plan(wanted, &broker.observe(&names).await.map_err(failed)?);
    for text in &changes.drift {
        reporter.warn(text);
    }
    for topic in &changes.create {
        let resource = format!("Topic {}", topic.name);
        reporter.event(event(resource.clone(), "Creating", Phase::Working));
        let made = broker.create(topic).await;
        let (status, phase) = if made.is_ok() { ("Created", Phase::Done) } else { ("Error", Phase::Failed) };
        reporter.event(event(resource, status, phase));
        made.map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Service;

    fn configs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn labels_are_read_and_unknown_words_refused_by_name() {
        let all = parse("orders:12, audit:1:compact,both:compact:delete:retention.ms=5, plain").unwrap();
        let wanted = [
            ("orders", Some(12), configs(&[])),
            ("audit", Some(1), configs(&[(CLEANUP, "compact")])),
            ("both", None, configs(&[(CLEANUP, "compact,delete"), ("retention.ms", "5")])),
            ("plain", None, configs(&[])),
        ];
        let wanted =
            wanted.map(|(name, partitions, configs)| Topic { name: name.into(), partitions, configs });
        assert_eq!(all, wanted);
        for (text, why) in [
            ("audit:compcat", "topic \"audit\": unknown word \"compcat\""),
            ("a b", "\"a b\" is no name"),
            ("a:1:2", "two numbers"),
            ("a:0", "topic \"a\": 0 partitions"),
            ("a::compact", "unknown word \"\""),
            ("a:x=1:x=2", "x is given twice"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn services_share_topics_but_must_agree() {
        let service = |name: &str, text: &str| {
            let labels = configs(&[(LABEL, text)]);
            (name.to_owned(), Service { name: name.into(), labels, ..Service::default() })
        };
        let project = |one: &str, two: &str| Project {
            services: [service("web", one), service("work", two)].into(),
            ..Project::default()
        };
        let both = ["web".to_owned(), "work".to_owned()].into();
        let topics = wanted(&project("orders:2", "orders:2, audit"), &both).unwrap();
        assert_eq!(topics.len(), 2);
        let only = wanted(&project("orders:2", "audit"), &["web".to_owned()].into()).unwrap();
        assert_eq!(only[0].name, "orders");
        let error = wanted(&project("orders:2", "orders:3"), &both).unwrap_err().to_string();
        assert_eq!(
            error,
            "service work: label dhow.kafka.topics: topic \"orders\" is wanted otherwise by service web"
        );
    }

    #[test]
    fn what_is_there_is_left_as_it_is() {
        let wanted = parse("orders:12:compact:delete, audit").unwrap();
        let there = |partitions, policy: &str| Seen { partitions, configs: configs(&[(CLEANUP, policy)]) };
        let audit = ("audit".to_owned(), there(1, "delete"));
        assert_eq!(plan(&wanted, &BTreeMap::new()).create.len(), 2);
        let right = [audit.clone(), ("orders".to_owned(), there(12, "delete,compact"))].into();
        assert_eq!(plan(&wanted, &right), Changes::default());
        let changes = plan(&wanted, &[audit, ("orders".to_owned(), there(3, "delete"))].into());
        assert!(changes.create.is_empty());
        assert_eq!(
            changes.drift,
            [
                "topic orders has 3 partitions and not 12: it stays as it is",
                "topic orders has cleanup.policy=delete and not compact,delete: it stays as it is"
            ]
        );
    }
}
