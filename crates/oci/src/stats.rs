//! What `runc events` prints: one JSON object a line, in runc's names (`types/events.go`), which containerd's and podman's tools read.

use serde::Serialize;
use std::collections::BTreeMap;

macro_rules! shape {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident : $kind:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Default)]
        #[serde(rename_all = "camelCase")]
        pub struct $name { $($(#[$fdoc])* pub $field: $kind),* }
    };
}

fn zero(number: &u64) -> bool {
    *number == 0
}

shape!(/// One line. `data` is missing for `oom`.
Event { /** `stats`, `oom` */ #[serde(rename = "type")] kind: String, /** of the container */ id: String, /** numbers */ #[serde(skip_serializing_if = "Option::is_none")] data: Option<Stats> });
shape!(/// Everything.
Stats {
    /// Processor.
    cpu: Cpu,
    /// Which processors.
    cpuset: Cpuset,
    /// Memory.
    memory: Memory,
    /// Tasks.
    pids: Pids,
    /// Disks.
    blkio: Disks,
    /// Huge pages by size.
    hugetlb: BTreeMap<String, Huge>,
    /// Empty: intelRdt is refused. This and the next are in snake case at runc.
    #[serde(rename = "intel_rdt")]
    intel_rdt: BTreeMap<String, u64>,
    /// Empty: the network is not the runtime's.
    #[serde(rename = "network_interfaces")]
    network_interfaces: Option<Vec<String>>,
});
shape!(/// Processor.
Cpu { /** time */ usage: CpuUsage, /** of its quota */ throttling: Throttling, /** v2 */ #[serde(skip_serializing_if = "Option::is_none")] psi: Option<Psi> });
shape!(/// Nanoseconds.
CpuUsage { /** in all */ #[serde(skip_serializing_if = "zero")] total: u64, /** by core, v1 */ #[serde(skip_serializing_if = "Vec::is_empty")] percpu: Vec<u64>, /** of these in the kernel */ #[serde(rename = "percpu_kernel", skip_serializing_if = "Vec::is_empty")] percpu_kernel: Vec<u64>, /** and outside */ #[serde(rename = "percpu_user", skip_serializing_if = "Vec::is_empty")] percpu_user: Vec<u64>, /** in the kernel */ kernel: u64, /** outside */ user: u64 });
shape!(/// By the quota.
Throttling { /** in all */ #[serde(skip_serializing_if = "zero")] periods: u64, /** in which it was held */ #[serde(skip_serializing_if = "zero")] throttled_periods: u64, /** ns */ #[serde(skip_serializing_if = "zero")] throttled_time: u64 });
shape!(/// Numbers of processors and nodes.
Cpuset { /** processors */ #[serde(skip_serializing_if = "Vec::is_empty")] cpus: Vec<u16>, /** nodes */ #[serde(skip_serializing_if = "Vec::is_empty")] mems: Vec<u16>, /** v1's flags, by file name */ #[serde(flatten)] flags: BTreeMap<&'static str, i64> });
shape!(/// Memory.
Memory { /** page cache, bytes */ #[serde(skip_serializing_if = "zero")] cache: u64, /** memory */ usage: Entry, /** memory and swap */ swap: Entry, /** of the kernel, v1 */ kernel: Entry, /** of its sockets, v1 */ #[serde(rename = "kernelTCP")] kernel_tcp: Entry, /** memory.stat */ raw: BTreeMap<String, u64>, /** v2 */ #[serde(skip_serializing_if = "Option::is_none")] psi: Option<Psi> });
shape!(/// Bytes.
Entry { /** at most */ limit: u64, /** now */ #[serde(skip_serializing_if = "zero")] usage: u64, /** once */ #[serde(skip_serializing_if = "zero")] max: u64, /** times the limit was hit */ failcnt: u64 });
shape!(/// Tasks; limit 0 is none.
Pids { /** now */ #[serde(skip_serializing_if = "zero")] current: u64, /** at most */ #[serde(skip_serializing_if = "zero")] limit: u64 });
shape!(/// Disks.
Disks { /** bytes */ #[serde(skip_serializing_if = "Vec::is_empty")] io_service_bytes_recursive: Vec<Blkio>, /** requests */ #[serde(skip_serializing_if = "Vec::is_empty")] io_serviced_recursive: Vec<Blkio>, /** v2 */ #[serde(skip_serializing_if = "Option::is_none")] psi: Option<Psi> });
shape!(/// One count of one device.
Blkio { /** number */ #[serde(skip_serializing_if = "zero")] major: u64, /** number */ #[serde(skip_serializing_if = "zero")] minor: u64, /** `Read`, `Write` … */ #[serde(skip_serializing_if = "String::is_empty")] op: String, /** count */ #[serde(skip_serializing_if = "zero")] value: u64 });
shape!(/// Bytes in huge pages.
Huge { /** now */ #[serde(skip_serializing_if = "zero")] usage: u64, /** once */ #[serde(skip_serializing_if = "zero")] max: u64, /** times the limit was hit */ failcnt: u64 });
shape!(/// Pressure stall information.
Psi { /** some waited */ some: PsiLine, /** all waited */ full: PsiLine });
shape!(/// Percent of time, µs in all.
PsiLine { /** 10 s */ avg10: f64, /** 60 s */ avg60: f64, /** 300 s */ avg300: f64, /** µs */ total: u64 });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_runcs_shape() {
        let mut stats = Stats::default();
        stats.cpu.usage = CpuUsage { total: 5, percpu_kernel: vec![1], ..CpuUsage::default() };
        stats.cpuset = Cpuset { cpus: vec![0], mems: vec![], flags: [("cpu_exclusive", 0)].into() };
        stats.memory.usage = Entry { limit: 9, usage: 3, max: 0, failcnt: 0 };
        stats.blkio.io_serviced_recursive = vec![Blkio { major: 8, minor: 0, op: "Read".into(), value: 1 }];
        let event = Event { kind: "stats".into(), id: "x".into(), data: Some(stats) };
        // Field by field as runc 1.1.5 prints them.
        let expected = r#"{"type":"stats","id":"x","data":{"cpu":{"usage":{"total":5,"percpu_kernel":[1],"kernel":0,"user":0},"throttling":{}},"cpuset":{"cpus":[0],"cpu_exclusive":0},"memory":{"usage":{"limit":9,"usage":3,"failcnt":0},"swap":{"limit":0,"failcnt":0},"kernel":{"limit":0,"failcnt":0},"kernelTCP":{"limit":0,"failcnt":0},"raw":{}},"pids":{},"blkio":{"ioServicedRecursive":[{"major":8,"op":"Read","value":1}]},"hugetlb":{},"intel_rdt":{},"network_interfaces":null}}"#;
        assert_eq!(serde_json::to_string(&event).unwrap(), expected);
        let oom = Event { kind: "oom".into(), id: "x".into(), data: None };
        assert_eq!(serde_json::to_string(&oom).unwrap(), r#"{"type":"oom","id":"x"}"#);
    }
}
