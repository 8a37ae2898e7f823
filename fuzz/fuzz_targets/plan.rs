//! Bytes → plan: an error, or a plan whose bytes are these.
#![no_main]

use dhow_runtime::Plan;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(plan) = Plan::decode(bytes) {
        assert_eq!(plan.encode(), bytes);
        assert!(!plan.to_string().is_empty());
    }
});
