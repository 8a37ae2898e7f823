//! `cargo xtask bench`: ours and the peer in turn, medians, and the ratio.
pub(crate) fn run(_names: &[&str]) -> anyhow::Result<()> {
    anyhow::bail!("no benchmark yet")
}
