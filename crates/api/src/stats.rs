//! `GET /containers/{}/stats`: Go's field names, cgroup v1 and v2 shapes, each answer with the sample before it.

use crate::{
    body::Body,
    call::Call,
    reply::{Reply, json_text, stream},
    show::{self, Json},
};
use bytes::Bytes;
use dhow_engine::containers::Sample;
use dhow_wire::record::Record;
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::mpsc;

const EVERY: Duration = Duration::from_secs(1);

pub(crate) async fn stats(call: Call) -> Reply {
    let view = call.app.engine.containers().view(call.name())?;
    let (id, name) = (view.id.clone(), format!("/{}", view.name));
    let memory = *call
        .app
        .memory
        .get_or_try_init(async || call.app.engine.system().info().await.map(|info| info.mem_total))
        .await?;
    let streams = call.query.flag_or("stream", true);
    let once = call.query.flag("one-shot");
    let app = call.app.clone();
    let sample = async move |id: &str| match app.engine.containers().sample(id).await {
        Ok(sample) => Some(sample),
        Err(error) if error.kind == dhow_engine::Kind::NotFound => None,
        // It does not run: docker answers zeros.
        Err(_) => Some(Sample::default()),
    };
    if !streams {
        let mut before = Sample::default();
        let mut now = sample(&id).await.unwrap_or_default();
        if !once && now.read.0 != 0 {
            before = now;
            tokio::time::sleep(EVERY).await;
            now = sample(&id).await.unwrap_or_default();
        }
        let text = encode(&id, &name, &before, &now, memory);
        return Ok(json_text(format!("{}\n", text.get())));
    }
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut before = Sample::default();
        let mut beat = tokio::time::interval(EVERY);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = sender.closed() => return,
                _ = beat.tick() => {}
            }
            let Some(now) = sample(&id).await else { return };
            let line = format!("{}\n", encode(&id, &name, &before, &now, memory).get());
            if sender.send(Bytes::from(line)).await.is_err() {
                return;
            }
            before = now;
        }
    });
    stream("application/json", Body::pieces(receiver))
}

fn encode(id: &str, name: &str, before: &Sample, now: &Sample, memory: u64) -> Json {
    let networks: BTreeMap<_, _> = now
        .networks
        .iter()
        .map(|(link, counters)| {
            let record = Record::new()
                .put("rx_bytes", counters.rx_bytes)
                .put("rx_packets", counters.rx_packets)
                .put("rx_errors", counters.rx_errors)
                .put("rx_dropped", counters.rx_dropped)
                .put("tx_bytes", counters.tx_bytes)
                .put("tx_packets", counters.tx_packets)
                .put("tx_errors", counters.tx_errors)
                .put("tx_dropped", counters.tx_dropped);
            (link, record.end())
        })
        .collect();
    let usage = &now.usage;
    let pids = Record::new()
        .some("current", Some(usage.pids).filter(|pids| *pids != 0))
        .some("limit", Some(usage.pids_limit).filter(|limit| *limit != u64::MAX && *limit != 0));
    Record::new()
        .put("read", show::text(now.read))
        .put("preread", show::text(before.read))
        .put("pids_stats", pids.end())
        .put("blkio_stats", blkio(now))
        .put("num_procs", 0)
        .put("storage_stats", Record::new().end())
        .put("cpu_stats", cpu(now))
        .put("precpu_stats", cpu(before))
        .put("memory_stats", memory_stats(now, memory))
        .put("name", name)
        .put("id", id)
        .some("networks", dhow_wire::record::filled(&networks))
        .end()
}

fn cpu(sample: &Sample) -> Json {
    let usage = &sample.usage;
    let (periods, throttled, nanos) = usage.cpu_throttling;
    let used = Record::new()
        .put("total_usage", usage.cpu_total)
        .some("percpu_usage", dhow_wire::record::filled(&usage.cpu_per_core))
        .put("usage_in_kernelmode", usage.cpu_kernel)
        .put("usage_in_usermode", usage.cpu_user);
    let throttling = Record::new()
        .put("periods", periods)
        .put("throttled_periods", throttled)
        .put("throttled_time", nanos);
    Record::new()
        .put("cpu_usage", used.end())
        .some("system_cpu_usage", Some(sample.system_cpu).filter(|cpu| *cpu != 0))
        .some("online_cpus", Some(sample.online_cpus).filter(|cpus| *cpus != 0))
        .put("throttling_data", throttling.end())
        .end()
}

fn memory_stats(sample: &Sample, machine: u64) -> Json {
    let usage = &sample.usage;
    if sample.read.0 == 0 {
        return Record::new().end();
    }
    let stats: BTreeMap<_, _> = usage.memory_stat.iter().map(|(key, value)| (key, value)).collect();
    let some = |number: u64| Some(number).filter(|number| *number != 0);
    Record::new()
        .some("usage", some(usage.memory))
        .some("max_usage", some(usage.memory_peak))
        .some("stats", dhow_wire::record::filled(&stats))
        .some("failcnt", some(usage.memory_failures))
        // docker: without a limit of its own the machine's memory is the limit.
        .some("limit", some(usage.memory_limit.min(machine)))
        .end()
}

fn blkio(sample: &Sample) -> Json {
    let entries = |list: &[(u64, u64, String, u64)]| {
        let one = |(major, minor, op, value): &(u64, u64, String, u64)| {
            Record::new().put("major", major).put("minor", minor).put("op", op).put("value", value).end()
        };
        list.iter().map(one).collect::<Vec<_>>()
    };
    let nothing: [(); 0] = [];
    Record::new()
        .put("io_service_bytes_recursive", entries(&sample.usage.io_bytes))
        .put("io_serviced_recursive", entries(&sample.usage.io_ops))
        .put("io_queue_recursive", nothing)
        .put("io_service_time_recursive", nothing)
        .put("io_wait_time_recursive", nothing)
        .put("io_merged_recursive", nothing)
        .put("io_time_recursive", nothing)
        .put("sectors_recursive", nothing)
        .end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_does_not_run_has_dockers_zeros() {
        let text = encode("id", "/n", &Sample::default(), &Sample::default(), 5);
        let value: serde_json::Value = serde_json::from_str(text.get()).unwrap();
        assert_eq!(value["read"], "0001-01-01T00:00:00Z");
        assert_eq!(value["memory_stats"], serde_json::json!({}));
        assert_eq!(value["cpu_stats"]["cpu_usage"]["total_usage"], 0);
        assert_eq!(value.get("networks"), None);
        assert_eq!(value["pids_stats"], serde_json::json!({}));
    }
}
