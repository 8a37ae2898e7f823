//! Bytes → a request or response of Kafka → bytes: an error, or what comes back the same from then on.
#![no_main]

use dhow_kafka::{Key, messages::transcode};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [key, version, bytes @ ..] = bytes else { return };
    let key = Key::ALL[usize::from(*key) % Key::ALL.len()];
    let versions = key.versions();
    let span = versions.end() - versions.start() + 1;
    for side in ["Request", "Response"] {
        let (name, version) = (format!("{}{side}", key.name()), versions.start() + i16::from(*version) % span);
        if let Ok(once) = transcode(&name, version, bytes) {
            assert_eq!(transcode(&name, version, &once), Ok(once.clone()), "{name} {version}");
        }
    }
});
