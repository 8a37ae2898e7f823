//! The hooks around a container's life that this program runs itself: after the program runs, and after the container is gone. The others
//! run inside of a start, in the library.

use crate::bundle::Bundle;
use crate::commands::Context;
use crate::container::{Container, OCI_VERSION};
use crate::failure::Failure;
use dhow_oci::runtime::Hook;
use dhow_runtime::hooks::{State, run, run_all};

/// Those of a container whose program runs.
pub(crate) fn poststart(container: &Container) -> Result<(), Failure> {
    let record = &container.record;
    if record.poststart.is_empty() {
        return Ok(());
    }
    let bundle = record.bundle.to_string_lossy();
    let state = State {
        oci_version: OCI_VERSION,
        id: &record.id,
        status: "running",
        pid: Some(record.process.pid),
        bundle: &bundle,
        annotations: &record.annotations,
    };
    Ok(run("poststart", &record.poststart, &state)?)
}

/// Those of a container that is gone; what fails is a warning.
pub(crate) fn poststop(context: &Context, container: &Container) {
    let record = &container.record;
    let bundle = record.bundle.to_string_lossy();
    let state = stopped(&record.id, &bundle, &record.annotations);
    all(context, &record.poststop, &state);
}

/// Those of a container that was never finished.
pub(crate) fn poststop_of(context: &Context, id: &str, bundle: &Bundle) {
    let Some(hooks) = &bundle.spec.hooks else { return };
    let path = bundle.path.to_string_lossy();
    all(context, &hooks.poststop, &stopped(id, &path, &bundle.spec.annotations));
}

fn stopped<'a>(
    id: &'a str,
    bundle: &'a str,
    annotations: &'a std::collections::BTreeMap<String, String>,
) -> State<'a> {
    State { oci_version: OCI_VERSION, id, status: "stopped", pid: None, bundle, annotations }
}

fn all(context: &Context, hooks: &[Hook], state: &State<'_>) {
    for error in run_all("poststop", hooks, state) {
        context.log.write("warning", &error.to_string());
    }
}
