//! Bytes → request or event of the shim's protocol: an error, or one whose bytes are these.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dhow_shim::fuzzing::decode(bytes));
