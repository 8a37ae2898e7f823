//! What the fuzz targets found worth keeping (`fuzz/corpus`), and a few thousand mutations of it: no panic, and what is accepted comes back the same.
#![allow(clippy::unwrap_used, reason = "a test")]

use dhow_oci::runtime::Spec;
use dhow_runtime::{Host, Options, Plan, RootFs, plan, plan_exec, seccomp};
use std::path::PathBuf;

/// Knuth's generator: the same mutations in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }

    /// Bytes flipped, dropped, doubled, or set to what lengths and tags do not like.
    fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(out.len());
            let end = (at + 1 + self.below(8)).min(out.len());
            match self.below(5) {
                0 => out.truncate(at),
                1 => drop(out.drain(at..end)),
                2 => out.splice(at..at, bytes[..end.min(bytes.len())].iter().copied()).for_each(drop),
                3 => out[at..end].fill([0, 1, 0x7f, 0xff][self.below(4)]),
                _ => out.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << self.below(8)),
            }
            if out.is_empty() {
                out.push(0);
            }
        }
        out
    }
}

/// This package's folder in the checkout that is tested; another checkout may have compiled this test.
fn package() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = package().join("../../fuzz/corpus").join(target);
    // A target that has found nothing yet has no folder: git keeps no empty ones.
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// The body of the target `spec`.
fn compile(bytes: &[u8]) -> Vec<Plan> {
    let Ok(spec) = serde_json::from_slice::<Spec>(bytes) else { return Vec::new() };
    let host = Host::default();
    let exec = spec.process.as_ref().map(|process| plan_exec(&spec, process, &host));
    let plans = [Some(plan(&spec, &Options::default(), &host)), exec].into_iter().flatten().flatten();
    plans
        .inspect(|plan| {
            assert_eq!(Plan::decode(&plan.encode()).as_ref(), Ok(plan));
            assert!(!plan.to_string().is_empty());
        })
        .collect()
}

/// The body of the target `plan`.
fn decode(bytes: &[u8]) -> bool {
    let Ok(plan) = Plan::decode(bytes) else { return false };
    assert_eq!(plan.encode(), bytes);
    !plan.to_string().is_empty()
}

#[test]
fn specifications_of_the_corpus_and_their_mutations() {
    let mut random = Random(1);
    let mut compiled = 0;
    for file in corpus("spec") {
        compiled += compile(&file).len();
        for _ in 0..40 {
            compiled += compile(&random.mutate(&file)).len();
        }
    }
    assert!(compiled > 0, "nothing was compiled");
}

#[test]
fn plans_of_the_corpus_and_their_mutations() {
    let mut random = Random(2);
    let spec = corpus("spec").into_iter().find(|file| file.len() > 2000).unwrap();
    let mut spec: Spec = serde_json::from_slice(&spec).unwrap();
    spec.process.as_mut().unwrap().args = vec!["true".to_owned()];
    spec.linux.as_mut().unwrap().seccomp = Some(seccomp::docker_default(&[], &Host::default()));
    let overlay =
        RootFs::Overlay { lowers: vec!["/l".into()], upper: "/u".into(), work: "/w".into(), volatile: true };
    let options = Options { rootfs: overlay, ..Options::default() };
    let whole = plan(&spec, &options, &Host::default()).unwrap().encode();
    assert!(decode(&whole));
    let mut accepted = 0;
    for file in corpus("plan").into_iter().chain([whole]) {
        decode(&file);
        for _ in 0..400 {
            accepted += usize::from(decode(&random.mutate(&file)));
        }
    }
    assert!(accepted > 0, "no mutation was accepted");
}
