//! Starting, changing and finding the scope of a container.

use super::bus::{Bus, refused};
use super::message::Writer;
use crate::Error;
use crate::step::{Property, Unit};
use dhow_sys::clone::{Cloned, clone3, exit_now};
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use std::path::{Path, PathBuf};

/// A running scope and the process that holds it: systemd makes none without a process, and ends it with its last one. The container's own is
/// cloned right into the folders once they have their limits; then this is dropped, and the holder goes.
#[derive(Debug)]
pub(crate) struct Scope {
    holder: OwnedFd,
}

impl Scope {
    /// Starts it; when this returns its cgroup is there.
    pub(crate) fn start(unit: &Unit) -> Result<Self, Error> {
        let parent = rustix::process::getpid();
        let named = |e| Error::os("clone3", format_args!("holder of {}", unit.name), e);
        let (pid, holder) = match clone3(0, None).map_err(named)? {
            Cloned::Parent { pid, pidfd } => (pid, pidfd),
            Cloned::Child => hold(parent),
        };
        let scope = Self { holder };
        let pid = u32::try_from(pid.as_raw_nonzero().get()).unwrap_or_default();
        let mut bus = Bus::open()?;
        if !begin(&mut bus, unit, pid)? {
            // An earlier container of this name whose end systemd has not digested, or a failed one that it shows.
            clear(&mut bus, &unit.name)?;
            if !begin(&mut bus, unit, pid)? {
                let detail = "a unit of this name is there already";
                return Err(Error::invalid(&unit.name, detail));
            }
        }
        Ok(scope)
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // It waits for nothing else, and is our own child: neither call can fail.
        pidfd_send_signal(&self.holder, Signal::KILL).unwrap_or_default();
        let reaped =
            rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(self.holder.as_fd()), WaitIdOptions::EXITED));
        reaped.unwrap_or_default();
    }
}

/// The holder: it dies with its parent, and keeps nothing of its parent's open but the standard streams.
fn hold(parent: Pid) -> ! {
    let tied = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let orphan = rustix::process::getppid() != Some(parent);
    if tied.is_err() || orphan || dhow_sys::exec::close_except(3, &[]).is_err() {
        exit_now(1);
    }
    loop {
        rustix::event::pause();
    }
}

/// False: there is a unit of this name.
fn begin(bus: &mut Bus, unit: &Unit, pid: u32) -> Result<bool, Error> {
    let mut body = Writer::default();
    body.text(&unit.name);
    body.text("replace");
    body.properties(&unit.properties, &[pid]);
    body.no_units();
    match bus.manager("StartTransientUnit", "ssa(sv)a(sa(sv))", body)? {
        Ok(answer) => {
            let job = answer.texts.first().map_or("", String::as_str);
            match bus.job(job)?.as_str() {
                "done" => Ok(true),
                result => Err(Error::invalid(&unit.name, format_args!("systemd's job ended as {result:?}"))),
            }
        }
        Err(refusal) if refusal.name.ends_with(".UnitExists") => Ok(false),
        Err(refusal) => Err(refused("StartTransientUnit", &refusal)),
    }
}

/// Stops a unit and forgets that it failed.
fn clear(bus: &mut Bus, name: &str) -> Result<(), Error> {
    let mut body = Writer::default();
    body.text(name);
    body.text("replace");
    match bus.manager("StopUnit", "ss", body)? {
        Ok(answer) => {
            let job = answer.texts.first().map_or("", String::as_str);
            bus.job(job)?;
        }
        Err(refusal) if refusal.name.ends_with(".NoSuchUnit") => {}
        Err(refusal) => return Err(refused("StopUnit", &refusal)),
    }
    let mut body = Writer::default();
    body.text(name);
    match bus.manager("ResetFailedUnit", "s", body)? {
        Ok(_) => Ok(()),
        Err(refusal) if refusal.name.ends_with(".NoSuchUnit") => Ok(()),
        Err(refusal) => Err(refused("ResetFailedUnit", &refusal)),
    }
}

/// Tells systemd new limits, so that it does not bring the old ones back when it reloads.
pub(crate) fn set_properties(unit: &str, properties: &[Property]) -> Result<(), Error> {
    if properties.is_empty() {
        return Ok(());
    }
    let mut body = Writer::default();
    body.text(unit);
    // for this boot
    body.number(1);
    body.properties(properties, &[]);
    let answer = Bus::open()?.manager("SetUnitProperties", "sba(sv)", body)?;
    answer.map(drop).map_err(|refusal| refused("SetUnitProperties", &refusal))
}

/// The unit that a container's folders belong to, by their names: a scope in a slice.
pub(crate) fn unit_of(dirs: &[PathBuf]) -> Option<String> {
    let dir = dirs.first()?;
    let ends =
        |path: Option<&Path>, end: &str| path.is_some_and(|p| p.as_os_str().to_string_lossy().ends_with(end));
    if !ends(Some(dir), ".scope") || !ends(dir.parent(), ".slice") {
        return None;
    }
    Some(dir.file_name()?.to_string_lossy().into_owned())
}
