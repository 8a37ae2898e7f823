//! `update`: new limits for a running container.

use super::{Command, Context};
use crate::arguments::{Arguments, value};
use crate::container::{Container, Status};
use crate::failure::Failure;
use dhow_oci::runtime::{BlockIo, Cpu, Memory, Pids, Resources};
use std::io::Read;
use std::path::Path;

pub(super) const COMMAND: Command = Command {
    name: "update",
    words: (1, 1),
    usage: "[options] <container-id>",
    help: "change the limits of a container",
    flags: &[
        value("resources", "r", "file with linux.resources, or - for stdin; other flags are ignored then"),
        value("blkio-weight", "", "10 to 1000"),
        value("cpu-period", "", "microseconds"),
        value("cpu-quota", "", "microseconds a period"),
        value("cpu-share", "", "relative weight"),
        value("cpu-rt-period", "", "microseconds"),
        value("cpu-rt-runtime", "", "microseconds"),
        value("cpuset-cpus", "", "list of processors"),
        value("cpuset-mems", "", "list of memory nodes"),
        value("memory", "", "bytes, with b, k, m, g"),
        value("memory-reservation", "", "bytes"),
        value("memory-swap", "", "bytes of memory and swap; -1: no limit"),
        value("pids-limit", "", "tasks; -1: no limit"),
        value("l3-cache-schema", "", "refused: there is no support for Intel RDT"),
        value("mem-bw-schema", "", "refused likewise"),
    ],
    near: false,
    run,
};

fn run(context: &Context, arguments: &Arguments) -> Result<u8, Failure> {
    let container = Container::load(&context.root, arguments.first())?;
    let resources = match arguments.text("resources").filter(|path| !path.is_empty()) {
        Some(path) => read(path)?,
        None => typed(arguments)?,
    };
    if container.status()? == Status::Stopped {
        return Err(Failure::new("container not running"));
    }
    dhow_runtime::update(&container.record.cgroups, &resources, &container.host()?)?;
    Ok(0)
}

fn read(path: &str) -> Result<Resources, Failure> {
    let mut text = Vec::new();
    let read = match path {
        "-" => std::io::stdin().read_to_end(&mut text).map(drop),
        path => std::fs::read(path).map(|content| text = content),
    };
    read.map_err(|e| Failure::file("read", Path::new(path), e))?;
    serde_json::from_slice(&text).map_err(|e| Failure::file("read", Path::new(path), e))
}

/// Only what was typed is in it; all else stays as it is.
fn typed(arguments: &Arguments) -> Result<Resources, Failure> {
    for flag in ["l3-cache-schema", "mem-bw-schema"] {
        if arguments.text(flag).is_some() {
            return Err(Failure::new(format!("{flag}: Intel RDT is not supported")));
        }
    }
    let text = |name: &str| arguments.text(name).map(str::to_owned);
    let cpu = Cpu {
        shares: arguments.number("cpu-share")?,
        quota: arguments.number("cpu-quota")?,
        period: arguments.number("cpu-period")?,
        realtime_runtime: arguments.number("cpu-rt-runtime")?,
        realtime_period: arguments.number("cpu-rt-period")?,
        cpus: text("cpuset-cpus"),
        mems: text("cpuset-mems"),
        ..Cpu::default()
    };
    let memory = Memory {
        limit: size(arguments, "memory")?,
        reservation: size(arguments, "memory-reservation")?,
        swap: size(arguments, "memory-swap")?,
        ..Memory::default()
    };
    let block_io = BlockIo { weight: arguments.number("blkio-weight")?, ..BlockIo::default() };
    let pids = arguments.number("pids-limit")?.map(|limit| Pids { limit });
    Ok(Resources {
        cpu: Some(cpu).filter(|cpu| *cpu != Cpu::default()),
        memory: Some(memory).filter(|memory| *memory != Memory::default()),
        block_io: Some(block_io).filter(|io| *io != BlockIo::default()),
        pids,
        ..Resources::default()
    })
}

/// Bytes, with a unit of 1024 if one is named (`512m`, `1GiB`); -1 is no limit.
fn size(arguments: &Arguments, name: &str) -> Result<Option<i64>, Failure> {
    let Some(text) = arguments.text(name) else { return Ok(None) };
    parse_size(text)
        .map(Some)
        .ok_or_else(|| Failure::new(format!("invalid value for {name}: invalid size: '{text}'")))
}

fn parse_size(text: &str) -> Option<i64> {
    if text == "-1" {
        return Some(-1);
    }
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    let unit = unit.trim_start().to_ascii_lowercase();
    let shift = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit) {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_docker_writes_them() {
        let sizes = [
            ("5", 5),
            ("5b", 5),
            ("2k", 2048),
            ("3MB", 3 << 20),
            ("1GiB", 1 << 30),
            ("1 g", 1 << 30),
            ("-1", -1),
        ];
        for (text, bytes) in sizes {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["x", "", "-5", "1x", "9999999999999999999", "9999999999t"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn only_what_was_typed_is_changed() {
        let words = ["--memory", "10m", "--pids-limit=-1", "id"].map(str::to_owned);
        let resources = typed(&Arguments::parse(&words, COMMAND.flags).unwrap()).unwrap();
        assert_eq!(resources.memory.unwrap().limit, Some(10 << 20));
        assert_eq!(resources.pids.unwrap().limit, -1);
        assert!(resources.cpu.is_none() && resources.block_io.is_none());
        let words = ["--l3-cache-schema", "x", "id"].map(str::to_owned);
        assert!(typed(&Arguments::parse(&words, COMMAND.flags).unwrap()).is_err());
    }
}
