//! Bad input: that connection ends with a line in the log, and nothing else happens.

use crate::{served::Served, support::Folder};
use dhow_kafka::{
    Code, Key, Message as _,
    header::{self, LENGTH, RequestHeader},
    messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse},
};
use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    time::Duration,
};

fn connect(broker: &Served) -> TcpStream {
    let stream = TcpStream::connect(&broker.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Sends and reads until the broker ends it.
fn end(broker: &Served, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(broker);
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // a reset is an end as well
    drop(stream.read_to_end(&mut answer));
    answer
}

fn ask(broker: &Served, version: i16) -> ApiVersionsResponse {
    let header = RequestHeader {
        key: Key::ApiVersions.code(),
        version,
        correlation: 9,
        client: Some("test".to_owned()),
    };
    let known = ApiVersionsRequest::VERSIONS.contains(&version);
    let mut bytes = header.open();
    let request = ApiVersionsRequest { client_software_name: "test".to_owned(), ..Default::default() };
    if known {
        bytes = request.encode_behind(bytes, version).0;
    }
    header::close(&mut bytes, 0);
    let mut stream = connect(broker);
    stream.write_all(&bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let version = if known { version } else { 0 };
    let (correlation, body) = header::read_response(&answer[LENGTH..], Key::ApiVersions, version).unwrap();
    assert_eq!(correlation, 9);
    ApiVersionsResponse::decode(body, version).unwrap()
}

#[test]
fn versions_are_told_to_everyone() {
    let folder = Folder::new();
    let broker = Served::start(folder.path(), &[]);
    for version in 0..=4 {
        let answer = ask(&broker, version);
        let produce = answer.api_keys.iter().find(|key| key.api_key == Key::Produce.code()).unwrap();
        // from 0 on, although 3 is the first that is served: KAFKA-18659
        assert_eq!((answer.error_code, produce.min_version, produce.max_version), (0, 0, 13));
    }
    let newer = ask(&broker, 99);
    assert_eq!(newer.error_code, Code::UnsupportedVersion.code());
    assert_eq!((newer.api_keys.len(), newer.api_keys[0].max_version), (1, 4));
}

#[test]
fn garbage_ends_its_connection_and_no_other() {
    let folder = Folder::new();
    let broker = Served::start(folder.path(), &[]);
    let cases: [(&[u8], &str); 7] = [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "as an HTTP request does"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS handshake"),
        (b"\x7f\xff\xff\xff", "a request of 2147483647 bytes was announced"),
        (b"\xff\xff\xff\xff", "a request of -1 bytes was announced"),
        (b"\x00\x00\x00\x04\x00\x12\x00\x00", "header is broken"),
        (b"\x00\x00\x00\x0a\x7f\x00\x00\x00\x00\x00\x00\x01\xff\xff", "is not served"),
        // Metadata version 1 with 2,147,483,632 topics
        (
            b"\x00\x00\x00\x0e\x00\x03\x00\x01\x00\x00\x00\x01\xff\xff\x7f\xff\xff\xf0",
            "a Metadata request of version 1 is broken",
        ),
    ];
    for (bytes, why) in cases {
        assert!(end(&broker, bytes).is_empty(), "{why}");
        broker.logged(why);
    }
    assert_eq!(broker.log().matches("connection ended").count(), cases.len(), "{}", broker.log());
    assert_eq!(ask(&broker, 3).error_code, 0);
}

/// KiB in memory.
fn resident(broker: &Served) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn idle_connections_cost_little() {
    const CONNECTIONS: usize = 400;
    let folder = Folder::new();
    let broker = Served::start(folder.path(), &[]);
    ask(&broker, 3);
    let before = resident(&broker);
    let idle: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|number| {
            let mut stream = connect(&broker);
            // one half announces 100 MB and sends nothing of it
            if number % 2 == 0 {
                stream.write_all(&[6, 0, 0, 0, 1]).unwrap();
            }
            stream
        })
        .collect();
    ask(&broker, 3);
    let grown = resident(&broker).saturating_sub(before);
    assert!(grown < 32 * 1024, "{CONNECTIONS} connections took {grown} KiB");
    drop(idle);
    let threads = std::fs::read_dir(format!("/proc/{}/task", broker.pid())).unwrap().count();
    assert!(threads <= 8, "{threads} threads");
}
