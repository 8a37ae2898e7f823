//! Control groups: what limits become, how they are written, read and removed.

pub(crate) mod apply;
pub(crate) mod control;
pub(crate) mod devices;
pub(crate) mod kill;
pub(crate) mod lack;
pub(crate) mod oom;
pub(crate) mod program;
pub(crate) mod stats;
pub(crate) mod update;
pub(crate) mod usage;
pub(crate) mod v1;
pub(crate) mod v2;

use crate::Error;
use crate::step::CgroupWrite;
use dhow_oci::runtime as spec;

/// One file that must take the value.
fn write(file: &str, value: impl ToString) -> CgroupWrite {
    CgroupWrite { files: vec![file.to_owned()], value: value.to_string(), optional: false }
}

/// The first of these files that exists, if any does.
fn write_if_there(files: &[&str], value: impl ToString) -> CgroupWrite {
    CgroupWrite {
        files: files.iter().map(|f| (*f).to_owned()).collect(),
        value: value.to_string(),
        optional: true,
    }
}

/// A number, or `max` for what is not positive.
fn or_max(number: i64) -> String {
    if number > 0 { number.to_string() } else { "max".to_owned() }
}

/// `2MB`, as file names have it: no way to another file.
fn page_size(text: &str) -> Result<&str, Error> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    if unit.len() < text.len() && ["KB", "MB", "GB"].contains(&unit) {
        return Ok(text);
    }
    Err(Error::invalid("linux.resources.hugepageLimits", format_args!("{text:?} is no page size like 2MB")))
}

/// A line of `rdma.max`.
fn rdma(device: &str, limit: &spec::Rdma) -> Result<String, Error> {
    let fields: String = [("hca_handle", limit.hca_handles), ("hca_object", limit.hca_objects)]
        .into_iter()
        .filter_map(|(key, value)| value.map(|value| format!(" {key}={value}")))
        .collect();
    if fields.is_empty() || device.is_empty() || device.contains(char::is_whitespace) {
        return Err(Error::invalid("linux.resources.rdma", format_args!("nothing is limited of {device:?}")));
    }
    Ok(device.to_owned() + &fields)
}
