//! Bytes → request or event of the shim's protocol: an error, or one that comes back the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dhow_shim::fuzzing::decode(bytes));
