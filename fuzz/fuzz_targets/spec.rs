//! Text → specification → plan (the seccomp compiler with it) → bytes → the same plan.
#![no_main]

use dhow_oci::runtime::Spec;
use dhow_runtime::{Host, Options, Plan, plan, plan_exec};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(spec) = serde_json::from_slice::<Spec>(bytes) else { return };
    let host = Host::default();
    let exec = spec.process.as_ref().map(|process| plan_exec(&spec, process, &host));
    for plan in [Some(plan(&spec, &Options::default(), &host)), exec].into_iter().flatten().flatten() {
        assert_eq!(Plan::decode(&plan.encode()).as_ref(), Ok(&plan));
        assert!(!plan.to_string().is_empty());
    }
});
