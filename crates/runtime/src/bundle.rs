//! The root file system of a plan where another OCI runtime finds it: an overlay that the host's mount table never sees.

use crate::child::{attach, overlay};
use crate::plan::Plan;
use crate::start::layers;
use crate::step::Step;
use crate::{Error, step};
use dhow_sys::clone::new;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::mount::{
    FsOpenFlags, MountFlags, MountPropagationFlags, fsopen, mount, mount_bind, mount_change,
};
use std::fs;
use std::path::Path;

/// Gives the calling process a mount namespace of its own (mounts of the host still come in, none goes out), and mounts there the root of
/// `plan` at `dir/rootfs` and the network namespace at `dir/netns`. `dir` is made. All of it ends with the process and its children.
///
/// # Errors
/// The mount that failed. The process keeps its namespace: it is of no use for anything else.
pub fn mount_bundle(plan: &Plan, dir: &Path, netns: Option<BorrowedFd<'_>>) -> Result<(), Error> {
    let rootfs = dir.join("rootfs");
    fs::create_dir_all(&rootfs).map_err(|e| Error::io("mkdir", rootfs.display(), &e))?;
    dhow_sys::namespaces::unshare(new::MOUNT).map_err(|e| Error::os("unshare", "mount namespace", e))?;
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM)
        .map_err(|e| Error::os("set propagation", "/", e))?;
    if let Some(netns) = netns {
        let place = dir.join("netns");
        fs::write(&place, "").map_err(|e| Error::io("make", place.display(), &e))?;
        mount_bind(format!("/proc/self/fd/{}", netns.as_raw_fd()), &place)
            .map_err(|e| Error::os("bind", place.display(), e))?;
    }
    if let Some(overlay) = &plan.body.overlay {
        writable(overlay)?;
    }
    for step in &plan.body.steps {
        if root(step, &rootfs)? {
            return Ok(());
        }
    }
    Err(Error::invalid("plan", "has no root file system"))
}

/// The folders of the writable layer; they stay, as the next start finds them.
fn writable(overlay: &step::Overlay) -> Result<(), Error> {
    layers(overlay, &mut Vec::new())
}

/// Mounts what a step says about the root; whether it did.
fn root(step: &Step, rootfs: &Path) -> Result<bool, Error> {
    let refused = |e| Error::os("mount root", rootfs.display(), e);
    match step {
        Step::Overlay { lowers, upper, work, volatile } => {
            let fs = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(refused)?;
            let made = overlay(fs.as_fd(), lowers, upper, work, *volatile)
                .map_err(|failure| failure.into_error())?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let place = open(rootfs, flags, Mode::empty()).map_err(refused)?;
            attach(made.as_fd(), place.as_fd()).map_err(refused)?;
        }
        Step::OverlayClassic { data, .. } => {
            mount(c"overlay", rootfs, c"overlay", MountFlags::empty(), data.as_c_str()).map_err(refused)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}
