//! Pulls from a registry in this process into a real store.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;

use dhow_oci::{Digest, Platform, Reference, image::media};
use dhow_registry::{Client, Config, Credentials, Error, Kind, Progress};
use dhow_store::{Image, Store};
use server::{Auth, Server, Vices, digest, tar};
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

struct Root(PathBuf);

impl Root {
    fn new() -> (Self, Store) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("dhow-registry-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let store = Store::open(&path).unwrap();
        (Self(path), store)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut x = u32::from(seed) + 1;
    let next = |_| {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x as u8
    };
    (0..length).map(next).collect()
}

/// An image of layers of these sizes, under this tag. Its manifest's digest.
fn put_image(server: &Server, tag: &str, sizes: &[usize], architecture: &str) -> (Digest, String) {
    let layers: Vec<Vec<u8>> =
        sizes.iter().enumerate().map(|(n, size)| tar(&format!("file{n}"), &noise(n as u8, *size))).collect();
    let ids: Vec<String> = layers.iter().map(|layer| format!("\"{}\"", digest(layer))).collect();
    let config = format!(
        r#"{{"architecture":"{architecture}","os":"linux","config":{{"Cmd":["/x"]}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        ids.join(",")
    );
    let blobs: Vec<String> = layers
        .into_iter()
        .map(|layer| {
            let size = layer.len();
            format!(
                r#"{{"mediaType":"{}","digest":"{}","size":{size}}}"#,
                media::OCI_LAYER,
                server.put_blob(layer)
            )
        })
        .collect();
    let config_size = config.len();
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{}","size":{config_size}}},"layers":[{}]}}"#,
        media::OCI_MANIFEST,
        media::OCI_CONFIG,
        server.put_blob(config),
        blobs.join(",")
    );
    (server.put_manifest("a/b", tag, media::OCI_MANIFEST, manifest.clone()), manifest)
}

fn name(server: &Server, rest: &str) -> Reference {
    format!("{}/a/b{rest}", server.address).parse().unwrap()
}

fn amd64() -> Platform {
    "linux/amd64".parse().unwrap()
}

async fn pull(
    store: &Store,
    image: &Reference,
    credentials: Option<&Credentials>,
) -> (Result<Arc<Image>, Error>, Vec<Progress>) {
    pull_with(&Client::new(Config::default()), store, image, credentials).await
}

async fn pull_with(
    client: &Client,
    store: &Store,
    image: &Reference,
    credentials: Option<&Credentials>,
) -> (Result<Arc<Image>, Error>, Vec<Progress>) {
    let told = Mutex::new(Vec::new());
    let result = client.pull(store, image, &amd64(), credentials, |p| told.lock().unwrap().push(p)).await;
    (result, told.into_inner().unwrap())
}

#[tokio::test]
async fn an_image_is_pulled_and_pulled_again() {
    let server = Server::new(Vices::default()).await;
    let (id, _) = put_image(&server, "latest", &[100, 300_000, 0, 5], "amd64");
    let (_root, store) = Root::new();
    let (result, told) = pull(&store, &name(&server, ""), None).await;
    let image = result.unwrap();
    assert_eq!(image.id, id);
    assert_eq!(image.tags, [name(&server, ":latest")]);
    assert_eq!(image.digests, [name(&server, "").with_digest(id.clone())]);
    let said = |status: &str| told.iter().filter(|p| p.status == status).count();
    assert_eq!(
        (said("Pulling fs layer"), said("Download complete"), said("Pull complete")),
        (4, 4, 4),
        "{told:#?}"
    );
    assert_eq!(
        told.first().map(|p| (p.id.as_str(), p.status.as_str())),
        Some(("latest", "Pulling from a/b"))
    );
    let last = format!("Status: Downloaded newer image for {}/a/b:latest", server.address);
    assert_eq!(told.last().unwrap().status, last);

    let sent = server.sent();
    let (result, told) = pull(&store, &name(&server, ":latest"), None).await;
    result.unwrap();
    assert!(told.last().unwrap().status.starts_with("Status: Image is up to date for "));
    assert!(server.sent() - sent < 1000, "only the configuration is fetched again");

    let by_digest = name(&server, "").with_digest(id.clone());
    let (result, _) = pull(&store, &by_digest, None).await;
    assert_eq!(result.unwrap().id, id);
}

#[tokio::test]
async fn the_platform_is_chosen_and_the_index_kept() {
    let server = Server::new(Vices::default()).await;
    let (arm, arm_manifest) = put_image(&server, "arm", &[10], "arm64");
    let (amd, amd_manifest) = put_image(&server, "amd", &[20], "amd64");
    let entry = |digest: &Digest, size: usize, platform: &str| {
        format!(
            r#"{{"mediaType":"{}","digest":"{digest}","size":{size},"platform":{platform}}}"#,
            media::OCI_MANIFEST
        )
    };
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{},{}]}}"#,
        media::OCI_INDEX,
        entry(&arm, arm_manifest.len(), r#"{"architecture":"arm64","os":"linux","variant":"v8"}"#),
        entry(&amd, amd_manifest.len(), r#"{"architecture":"amd64","os":"linux"}"#)
    );
    let id = server.put_manifest("a/b", "multi", media::OCI_INDEX, index);
    let (_root, store) = Root::new();
    let image = pull(&store, &name(&server, ":multi"), None).await.0.unwrap();
    assert_eq!((&image.id, &image.manifest_digest), (&id, &amd));
    let client = Client::new(Config::default());
    let none =
        client.pull(&store, &name(&server, ":multi"), &"linux/riscv64".parse().unwrap(), None, drop).await;
    let expected = format!(
        "no matching manifest for linux/riscv64 in the manifest list entries of {}/a/b:multi",
        server.address
    );
    assert_eq!(none.unwrap_err().message, expected);
}

#[tokio::test]
async fn a_broken_connection_is_resumed() {
    for no_ranges in [false, true] {
        let server = Server::new(Vices { cut_after: Some(400_000), no_ranges, ..Vices::default() }).await;
        put_image(&server, "latest", &[1_500_000], "amd64");
        let (_root, store) = Root::new();
        let (result, _) = pull(&store, &name(&server, ""), None).await;
        if no_ranges {
            // Always the same beginning: an end, in time, and what was wrong.
            let error = result.unwrap_err();
            assert_eq!(error.kind, Kind::Unavailable);
            assert!(error.message.contains("layer sha256:"), "{}", error.message);
            assert!(store.images().is_empty());
        } else {
            result.unwrap();
            let ranges = server.seen().iter().filter(|line| line.contains("range=bytes=400000-")).count();
            assert_eq!(ranges, 1);
            assert!(server.sent() < 1_600_000, "{}", server.sent());
        }
    }
}

#[tokio::test]
async fn what_is_not_what_it_should_be_is_refused() {
    let server = Server::new(Vices { corrupt_above: Some(10_000), ..Vices::default() }).await;
    put_image(&server, "latest", &[100, 50_000], "amd64");
    let (_root, store) = Root::new();
    let error = pull(&store, &name(&server, ""), None).await.0.unwrap_err();
    assert_eq!(error.kind, Kind::Invalid, "{error}");
    assert!(store.images().is_empty());

    let server = Server::new(Vices::default()).await;
    let (id, _) = put_image(&server, "latest", &[100], "amd64");
    let wrong: Reference = name(&server, "").with_digest(digest(b"other"));
    assert_eq!(pull(&store, &wrong, None).await.0.unwrap_err().kind, Kind::NotFound);
    // A registry that answers a digest with something else.
    let other = server.put_manifest("a/b", "x", media::OCI_MANIFEST, "{\"schemaVersion\":2}");
    server.put_manifest("a/b", id.as_str(), media::OCI_MANIFEST, "{\"schemaVersion\":2}");
    assert_ne!(other, id);
    let error = pull(&store, &name(&server, "").with_digest(id), None).await.0.unwrap_err();
    assert_eq!(error.kind, Kind::Invalid, "{error}");
    assert!(error.message.contains("verification failed"), "{error}");
}

#[tokio::test]
async fn tokens_are_fetched_kept_and_renewed() {
    let auth = Auth::Bearer { wants: None, uses: 3 };
    let server = Server::new(Vices { auth, ..Vices::default() }).await;
    put_image(&server, "latest", &[10, 20, 30, 40, 50], "amd64");
    let (_root, store) = Root::new();
    pull(&store, &name(&server, ""), None).await.0.unwrap();
    let seen = server.seen();
    let tokens = seen.iter().filter(|line| line.starts_with("/token")).count();
    assert!((3..=6).contains(&tokens), "{seen:#?}");
}

#[tokio::test]
async fn credentials_are_wanted() {
    let right = Credentials { username: "me".into(), password: "secret".into(), ..Credentials::default() };
    let wrong = Credentials { password: "guess".into(), ..right.clone() };
    let value = "Basic bWU6c2VjcmV0".to_owned();
    for auth in [Auth::Basic(value.clone()), Auth::Bearer { wants: Some(value), uses: 100 }] {
        let server = Server::new(Vices { auth, ..Vices::default() }).await;
        put_image(&server, "latest", &[10], "amd64");
        let (_root, store) = Root::new();
        let client = Client::new(Config::default());
        let address = server.address.to_string();
        let denied = pull_with(&client, &store, &name(&server, ""), None).await.0.unwrap_err();
        let expected = format!(
            "pull access denied for {address}/a/b, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"
        );
        assert_eq!((denied.kind, denied.message), (Kind::NotFound, expected));
        let refused = pull_with(&client, &store, &name(&server, ""), Some(&wrong)).await.0.unwrap_err();
        assert_eq!(refused.kind, Kind::Unauthorized, "{refused}");
        assert_eq!(client.login(&address, &wrong).await.unwrap_err().kind, Kind::Unauthorized);
        client.login(&address, &right).await.unwrap();
        pull_with(&client, &store, &name(&server, ""), Some(&right)).await.0.unwrap();
    }
}

#[tokio::test]
async fn a_redirect_takes_no_credentials_along() {
    let blobs = Server::new(Vices::default()).await;
    let auth = Auth::Bearer { wants: None, uses: 100 };
    let vices = Vices { auth, redirect: Some(format!("http://{}", blobs.address)), ..Vices::default() };
    let server = Server::new(vices).await;
    put_image(&server, "latest", &[10, 2000], "amd64");
    put_image(&blobs, "latest", &[10, 2000], "amd64");
    let (_root, store) = Root::new();
    pull(&store, &name(&server, ""), None).await.0.unwrap();
    let seen = blobs.seen();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen.iter().all(|line| !line.contains("auth=")), "{seen:?}");
}

#[tokio::test]
async fn mirrors_come_first_and_may_fail() {
    let empty = Server::new(Vices::default()).await;
    let broken =
        Server::new(Vices { manifests_fail: Some(http::StatusCode::BAD_GATEWAY), ..Vices::default() }).await;
    let good = Server::new(Vices::default()).await;
    let (id, _) = put_image(&good, "latest", &[10], "amd64");
    let mirrors = [&empty, &broken, &good].map(|server| format!("http://{}", server.address)).to_vec();
    let client = Client::new(Config { mirrors, insecure: vec![] });
    let (_root, store) = Root::new();
    let mine = Credentials { username: "me".into(), password: "secret".into(), ..Credentials::default() };
    let image = pull_with(&client, &store, &"a/b".parse().unwrap(), Some(&mine)).await.0.unwrap();
    assert_eq!((image.id.clone(), image.tags[0].to_string()), (id, "docker.io/a/b:latest".to_owned()));
    assert!(
        [empty, broken, good].iter().all(|server| server.seen().iter().all(|line| !line.contains("auth=")))
    );
}

#[tokio::test]
async fn failures_name_the_image_or_the_host() {
    let server = Server::new(Vices::default()).await;
    let (_root, store) = Root::new();
    let error = pull(&store, &name(&server, ":nope"), None).await.0.unwrap_err();
    let expected =
        format!("manifest for {}/a/b:nope not found: manifest unknown: manifest unknown", server.address);
    assert_eq!((error.kind, error.message), (Kind::NotFound, expected));

    let begin = Instant::now();
    let error = pull(&store, &"127.0.0.1:1/x".parse().unwrap(), None).await.0.unwrap_err();
    let expected =
        "Get \"http://127.0.0.1:1/v2/x/manifests/latest\": dial tcp 127.0.0.1:1: connect: connection refused";
    assert_eq!((error.kind, error.message.as_str()), (Kind::Unavailable, expected));
    let error = pull(&store, &"no-such-host.invalid/x".parse().unwrap(), None).await.0.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.message.contains("no-such-host.invalid"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(25));
}

#[tokio::test]
async fn what_is_no_image_is_said_to_be_none() {
    let server = Server::new(Vices::default()).await;
    let (_root, store) = Root::new();
    let config = server.put_blob("{}");
    let artifact = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"{config}","size":2}},"layers":[]}}"#
    );
    server.put_manifest("a/b", "helm", media::OCI_MANIFEST, artifact);
    server.put_manifest(
        "a/b",
        "old",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "{\"schemaVersion\":1}",
    );
    server.put_manifest("a/b", "junk", media::OCI_MANIFEST, "<html>");
    for (tag, part) in [(":helm", "not an image"), (":old", "schema 1"), (":junk", "manifest of")] {
        let error = pull(&store, &name(&server, tag), None).await.0.unwrap_err();
        assert!(error.kind == Kind::Invalid && error.message.contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_registry_is_searched() {
    let server = Server::new(Vices::default()).await;
    let client = Client::new(Config::default());
    let found = client.search(&format!("{}/a b", server.address), 7, None).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].name.as_str(), found[0].description.as_str()), ("found/by", "q=a%20b&n=7"));
    assert_eq!((found[0].star_count, found[0].is_official, found[0].is_automated), (3, true, false));
    let refused = client.search("http://x/y", 25, None).await.unwrap_err();
    assert!(refused.to_string().contains("should not have a scheme"), "{refused}");
}
