//! `cargo xtask test`: what the tests need, then all of them.

use crate::{
    install,
    shell::{self, cargo, step, triple},
};
use anyhow::bail;

/// Runs every test, or those whose names contain the filter.
pub(crate) fn run(filter: &[&str]) -> anyhow::Result<()> {
    install::ensure(&[install::BUILD, install::IMAGES, install::TEST].concat())?;
    docker_cli()?;
    let triple = triple();
    let common = ["--workspace", "--locked", "--target", &triple];
    // the end-to-end tests run the programs, which `cargo test` alone would not build
    step("building the programs", || shell::run(cargo().args(["build", "--quiet"]).args(common)))?;
    step("running the tests", || {
        let mut test = cargo();
        test.args(["test", "--quiet", "--no-fail-fast"]).args(common).arg("--").args(filter);
        // as root nothing may be skipped
        if shell::is_root() {
            test.env("REQUIRE_ROOT", "1");
        }
        shell::run(&mut test)
    })
}

/// Docker's own command line: any version will do; Debian's package has one (and a daemon that must not start).
fn docker_cli() -> anyhow::Result<()> {
    if shell::has("docker") {
        return Ok(());
    }
    install::ensure(&[("docker", "docker.io")])?;
    if shell::has("docker") {
        Ok(())
    } else {
        bail!("no docker command line: install docker-cli or docker.io")
    }
}
