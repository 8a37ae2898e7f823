//! `DescribeConfigs`, `AlterConfigs`, `IncrementalAlterConfigs`, `ListConfigResources`: of topics; what the broker has is told at its start.

use super::{Call, blocking, note};
use crate::{
    broker::Broker,
    error::{Error, Kind, Result},
    topics::config::{ENTRIES, Entry, Form, Values, find},
};
use dhow_kafka::{
    Code,
    messages::{
        alter_configs::{AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse},
        describe_configs::{
            DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
            DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
        },
        incremental_alter_configs::{
            self as incremental, AlterableConfig, IncrementalAlterConfigsRequest,
            IncrementalAlterConfigsResponse,
        },
        list_config_resources::{ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse},
    },
};
use std::sync::{Mutex, PoisonError};

/// What a configuration belongs to.
mod resource {
    pub(super) const TOPIC: i8 = 2;
    pub(super) const BROKER: i8 = 4;
}

/// Where a value comes from.
mod source {
    pub(super) const TOPIC: i8 = 1;
    pub(super) const BROKER: i8 = 4;
    pub(super) const DEFAULT: i8 = 5;
}

/// A topic's configuration as it holds.
pub(super) struct Effective<'a> {
    pub(super) entry: &'static Entry,
    pub(super) value: &'a str,
    pub(super) source: i8,
}

/// Every configuration of a topic with these `values`, on a broker with these `defaults`.
pub(super) fn effective<'a>(values: &'a Values, defaults: &'a Values) -> impl Iterator<Item = Effective<'a>> {
    ENTRIES.iter().map(|entry| {
        let own = values.get(entry.name).map(|value| (value.as_str(), source::TOPIC));
        let broker = || defaults.get(entry.name).map(|value| (value.as_str(), source::BROKER));
        let (value, source) = own.or_else(broker).unwrap_or((entry.default, source::DEFAULT));
        Effective { entry, value, source }
    })
}

/// What a broker calls its default for topics.
fn broker_name(name: &str) -> String {
    match name {
        "max.message.bytes" => "message.max.bytes".to_owned(),
        "segment.ms" => "log.roll.ms".to_owned(),
        "segment.jitter.ms" => "log.roll.jitter.ms".to_owned(),
        "flush.messages" => "log.flush.interval.messages".to_owned(),
        "flush.ms" => "log.flush.interval.ms".to_owned(),
        "segment.index.bytes" => "log.index.size.max.bytes".to_owned(),
        "file.delete.delay.ms" => "log.segment.delete.delay.ms".to_owned(),
        "delete.retention.ms" | "min.compaction.lag.ms" | "max.compaction.lag.ms" => {
            format!("log.cleaner.{name}")
        }
        "min.cleanable.dirty.ratio" => "log.cleaner.min.cleanable.ratio".to_owned(),
        "min.insync.replicas" | "unclean.leader.election.enable" => name.to_owned(),
        _ if name.starts_with("compression.") => name.to_owned(),
        _ => format!("log.{name}"),
    }
}

/// The number of a type of value.
fn kind(form: Form) -> i8 {
    match form {
        Form::Boolean => 1,
        Form::Word(_) => 2,
        Form::Int(_) => 3,
        Form::Long(_) => 5,
        Form::Ratio => 6,
        Form::List(_) => 7,
    }
}

pub(crate) fn describe_configs(call: &Call<'_>, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = request.resources.into_iter().map(|asked| {
        let (resource_type, resource_name) = (asked.resource_type, asked.resource_name.clone());
        let (error_code, error_message, configs) = match describe(call, &asked, request.include_synonyms) {
            Ok(configs) => (Code::None, None, configs),
            Err((code, why)) => (code, Some(why), Vec::new()),
        };
        let error_code = error_code.code();
        DescribeConfigsResult { error_code, error_message, resource_type, resource_name, configs }
    });
    DescribeConfigsResponse { results: results.collect(), ..DescribeConfigsResponse::default() }
}

fn describe(
    call: &Call<'_>,
    asked: &DescribeConfigsResource,
    synonyms: bool,
) -> std::result::Result<Vec<DescribeConfigsResourceResult>, (Code, String)> {
    let mut all = match asked.resource_type {
        resource::TOPIC => topic(call, &asked.resource_name, synonyms)?,
        resource::BROKER => broker(call, &asked.resource_name)?,
        other => return Err((Code::InvalidRequest, format!("there are no configurations of type {other}"))),
    };
    if let Some(keys) = asked.configuration_keys.as_ref().filter(|keys| !keys.is_empty()) {
        all.retain(|one| keys.contains(&one.name));
    }
    Ok(all)
}

fn topic(
    call: &Call<'_>,
    name: &str,
    synonyms: bool,
) -> std::result::Result<Vec<DescribeConfigsResourceResult>, (Code, String)> {
    let topics = &call.broker.storage.topics;
    let unknown = || (Code::UnknownTopicOrPartition, format!("The topic '{name}' does not exist."));
    let topic = topics.get(name).ok_or_else(unknown)?;
    let result = |one: Effective<'_>| DescribeConfigsResourceResult {
        name: one.entry.name.to_owned(),
        value: Some(one.value.to_owned()),
        config_source: one.source,
        config_type: kind(one.entry.form),
        synonyms: if synonyms { chain(one.entry, &topic.configs, topics.defaults()) } else { Vec::new() },
        ..DescribeConfigsResourceResult::default()
    };
    Ok(effective(&topic.configs, topics.defaults()).map(result).collect())
}

/// Every value that a configuration would have if nobody had set the one before.
fn chain(entry: &Entry, values: &Values, defaults: &Values) -> Vec<DescribeConfigsSynonym> {
    let synonym = |name: String, value: &str, source| DescribeConfigsSynonym {
        name,
        value: Some(value.to_owned()),
        source,
    };
    let own = values.get(entry.name).map(|value| synonym(entry.name.to_owned(), value, source::TOPIC));
    let broker =
        defaults.get(entry.name).map(|value| synonym(broker_name(entry.name), value, source::BROKER));
    let default = synonym(broker_name(entry.name), entry.default, source::DEFAULT);
    own.into_iter().chain(broker).chain([default]).collect()
}

fn broker(
    call: &Call<'_>,
    name: &str,
) -> std::result::Result<Vec<DescribeConfigsResourceResult>, (Code, String)> {
    let node = call.node().to_string();
    if name.is_empty() {
        return Ok(Vec::new());
    }
    if name != node {
        let why = format!("Unexpected broker id, expected {node} or empty string, but received {name}");
        return Err((Code::InvalidRequest, why));
    }
    let settings = &call.broker.settings;
    let own = [
        ("advertised.listeners", format!("PLAINTEXT://{}", call.at), 7),
        ("auto.create.topics.enable", settings.auto_create.to_string(), 1),
        ("broker.id", node.clone(), 3),
        ("default.replication.factor", "1".to_owned(), 3),
        ("delete.topic.enable", "true".to_owned(), 1),
        ("log.dirs", call.broker.logs().display().to_string(), 7),
        ("node.id", node, 3),
        ("num.partitions", settings.partitions.to_string(), 3),
    ];
    let result = |name, value, config_source, config_type| DescribeConfigsResourceResult {
        name,
        value: Some(value),
        read_only: true,
        config_source,
        config_type,
        ..DescribeConfigsResourceResult::default()
    };
    let own = own.into_iter().map(|(name, value, kind)| result(name.to_owned(), value, source::BROKER, kind));
    let nothing = Values::new();
    let topics = effective(&nothing, call.broker.storage.topics.defaults()).map(|one| {
        result(broker_name(one.entry.name), one.value.to_owned(), one.source, kind(one.entry.form))
    });
    Ok(own.chain(topics).collect())
}

/// What has configurations.
pub(crate) fn list_config_resources(
    call: &Call<'_>,
    request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    // version 0 is about the metrics of clients, which there are none of
    let wanted = |kind: i8| {
        call.version > 0 && (request.resource_types.is_empty() || request.resource_types.contains(&kind))
    };
    let mut config_resources = Vec::new();
    if wanted(resource::TOPIC) {
        let topics = call.broker.storage.topics.list();
        config_resources.extend(topics.iter().map(|topic| ConfigResource {
            resource_name: topic.name.clone(),
            resource_type: resource::TOPIC,
        }));
    }
    if wanted(resource::BROKER) {
        let resource_name = call.node().to_string();
        config_resources.push(ConfigResource { resource_name, resource_type: resource::BROKER });
    }
    ListConfigResourcesResponse { config_resources, ..ListConfigResourcesResponse::default() }
}

/// How a configuration changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Set,
    Delete,
    Append,
    Subtract,
}

pub(crate) async fn alter_configs(call: &Call<'_>, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for asked in request.resources {
        let values = asked.configs.into_iter().map(|config| {
            let name = config.name;
            config.value.map(|value| (name.clone(), value)).ok_or_else(|| null(&name))
        });
        let values: Result<Values> = values.collect();
        let outcome = match values {
            Ok(values) => {
                let replace = move |_: &Values| Ok(values);
                alter(call, asked.resource_type, &asked.resource_name, request.validate_only, replace).await
            }
            Err(error) => Err((note(&error), error.to_string())),
        };
        let (error_code, error_message) = parts(outcome);
        let (resource_type, resource_name) = (asked.resource_type, asked.resource_name);
        responses.push(AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type,
            resource_name,
        });
    }
    AlterConfigsResponse { responses, ..AlterConfigsResponse::default() }
}

pub(crate) async fn incremental_alter_configs(
    call: &Call<'_>,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for asked in request.resources {
        let changes = asked.configs;
        let change = move |values: &Values| changed(values, &changes);
        let outcome =
            alter(call, asked.resource_type, &asked.resource_name, request.validate_only, change).await;
        let (error_code, error_message) = parts(outcome);
        responses.push(incremental::AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: asked.resource_type,
            resource_name: asked.resource_name,
        });
    }
    IncrementalAlterConfigsResponse { responses, ..IncrementalAlterConfigsResponse::default() }
}

fn parts(outcome: std::result::Result<(), (Code, String)>) -> (i16, Option<String>) {
    match outcome {
        Ok(()) => (Code::None.code(), None),
        Err((code, why)) => (code.code(), Some(why)),
    }
}

fn null(name: &str) -> Error {
    Error::new(Kind::Invalid, "configure", name, "null is no value of it")
}

/// Changes a topic's values; one change at a time sees what the one before has left.
async fn alter(
    call: &Call<'_>,
    kind: i8,
    name: &str,
    validate_only: bool,
    change: impl FnOnce(&Values) -> Result<Values> + Send + 'static,
) -> std::result::Result<(), (Code, String)> {
    static ONE: Mutex<()> = Mutex::new(());
    if kind != resource::TOPIC {
        let why = "only topics can be configured; the broker has its configuration from its start";
        return Err((Code::InvalidRequest, why.to_owned()));
    }
    let name = name.to_owned();
    let altered = blocking(call.broker, move |broker: &Broker| {
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let topics = &broker.storage.topics;
        let missing = || Error::new(Kind::NotFound, "configure", &name, "there is no such topic");
        let values = change(&topics.get(&name).ok_or_else(missing)?.configs)?;
        if validate_only {
            crate::topics::config::check(&values)
        } else {
            topics.configure(&name, values).map(drop)
        }
    });
    altered.await.map_err(|error| (note(&error), error.to_string()))
}

/// A topic's values after some changes.
fn changed(values: &Values, changes: &[AlterableConfig]) -> Result<Values> {
    let mut values = values.clone();
    for AlterableConfig { name, config_operation, value } in changes {
        let refuse = |why: &str| Error::new(Kind::Invalid, "configure", name, why);
        let change = match config_operation {
            0 => Change::Set,
            1 => Change::Delete,
            2 => Change::Append,
            3 => Change::Subtract,
            _ => return Err(refuse("that is no kind of change")),
        };
        let entry = find(name).ok_or_else(|| refuse("no topic has such a configuration"))?;
        if change == Change::Delete {
            values.remove(name);
            continue;
        }
        let value = value.as_deref().ok_or_else(|| null(name))?;
        if change == Change::Set {
            values.insert(name.clone(), value.to_owned());
            continue;
        }
        if !matches!(entry.form, Form::List(_)) {
            return Err(refuse("only a list can be appended to or subtracted from"));
        }
        let now = values.get(name).map_or(entry.default, String::as_str);
        let mut words: Vec<&str> = now.split(',').filter(|word| !word.is_empty()).collect();
        let given = value.split(',').map(str::trim);
        if change == Change::Append {
            let new: Vec<&str> = given.filter(|word| !words.contains(word)).collect();
            words.extend(new);
        } else {
            let given: Vec<&str> = given.collect();
            words.retain(|word| !given.contains(word));
        }
        let joined = words.join(",");
        values.insert(name.clone(), joined);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_grow_and_shrink() {
        let change = |operation, value: &str| AlterableConfig {
            name: "cleanup.policy".to_owned(),
            config_operation: operation,
            value: Some(value.to_owned()),
        };
        let both = changed(&Values::new(), &[change(2, "compact")]).unwrap();
        assert_eq!(both["cleanup.policy"], "delete,compact");
        assert_eq!(changed(&both, &[change(2, "compact")]).unwrap(), both, "nothing is appended twice");
        assert_eq!(changed(&both, &[change(3, "delete")]).unwrap()["cleanup.policy"], "compact");
        assert_eq!(changed(&both, &[change(1, "")]).unwrap(), Values::new());
        let number = AlterableConfig { name: "retention.ms".to_owned(), ..change(2, "1") };
        assert_eq!(changed(&both, &[number]).unwrap_err().kind, Kind::Invalid);
    }

    #[test]
    fn what_is_set_hides_what_is_not() {
        fn find(values: &Values, defaults: &Values) -> Option<(String, i8)> {
            let one = effective(values, defaults).find(|one| one.entry.name == "retention.ms")?;
            Some((one.value.to_owned(), one.source))
        }
        let pair = |value: &str| Values::from([("retention.ms".to_owned(), value.to_owned())]);
        let (own, broker) = (pair("1"), pair("2"));
        assert_eq!(find(&own, &broker), Some(("1".to_owned(), source::TOPIC)));
        assert_eq!(find(&Values::new(), &broker), Some(("2".to_owned(), source::BROKER)));
        assert_eq!(find(&Values::new(), &Values::new()), Some(("604800000".to_owned(), source::DEFAULT)));
        let entry = crate::topics::config::find("retention.ms").unwrap();
        let names: Vec<String> = chain(entry, &own, &broker).into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["retention.ms", "log.retention.ms", "log.retention.ms"]);
    }
}
