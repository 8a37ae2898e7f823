//! Control groups: what limits become, how they are written, read and removed.

pub(crate) mod apply;
pub(crate) mod control;
pub(crate) mod devices;
pub(crate) mod usage;
pub(crate) mod v1;
pub(crate) mod v2;

use crate::step::CgroupWrite;

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
