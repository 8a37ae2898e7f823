//! Archives: docker's and OCI's, in any order, whole or not.

use crate::support::{Root, Tar, config, gzip, is_root, sha256};
use dhow_oci::{Digest, Platform};
use dhow_store::{Error, Kind};
use std::{error::Error as _, io::Read as _};

fn text(error: &Error) -> String {
    format!("{error}: {}", error.source().map_or_else(String::new, ToString::to_string))
}

fn layer_tar(content: &str) -> Vec<u8> {
    Tar::default().file("file", content.as_bytes()).end()
}

/// A docker-archive as engines before 25 wrote it: layers first, the same layer twice as a link, manifest.json last.
fn docker() -> (Vec<u8>, Vec<u8>) {
    let (one, two) = (layer_tar("one"), layer_tar("two"));
    let config = serde_json::to_vec(&config(&[&sha256(&one), &sha256(&two), &sha256(&one)])).unwrap();
    let manifest = br#"[{"Config":"c0ffee.json","RepoTags":["app:1","other/app"],"Layers":["aa/layer.tar","bb/layer.tar","cc/layer.tar"]}]"#;
    let tar = Tar::default()
        .dir("aa/")
        .file("aa/VERSION", b"1.0")
        .file("aa/json", b"{}")
        .file("aa/layer.tar", &one)
        .file("bb/layer.tar", &two)
        .symlink("cc/layer.tar", "../aa/layer.tar")
        .file("c0ffee.json", &config)
        .file("manifest.json", manifest)
        .file("repositories", b"{}");
    (tar.end(), config)
}

fn host() -> Platform {
    Platform::host()
}

#[test]
fn root_a_docker_archive_loads_however_it_is_packed() {
    if !is_root() {
        return;
    }
    let (plain, config) = docker();
    for packed in [plain.clone(), gzip(&plain), zstd::encode_all(plain.as_slice(), 1).unwrap()] {
        let mut root = Root::new();
        let loaded = root.store().load(packed.as_slice(), &host()).unwrap();
        assert_eq!(loaded.len(), 1);
        let names: Vec<_> = loaded[0].names.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["docker.io/library/app:1", "docker.io/other/app:latest"]);
        assert_eq!(loaded[0].image.manifest.config.digest, sha256(&config));
        assert_eq!(root.store().read_blob(&sha256(&config)).unwrap(), config);
        assert_eq!(root.store().image("app:1").unwrap().config.rootfs.diff_ids.len(), 3);
        let again = root.store().load(packed.as_slice(), &host()).unwrap();
        assert_eq!(again[0].image.id, loaded[0].image.id);
        root.assert_clean(2);
    }
}

#[test]
fn root_what_was_saved_loads_as_the_same_image() {
    if !is_root() {
        return;
    }
    let root = Root::new();
    let id = root.store().load(docker().0.as_slice(), &host()).unwrap()[0].image.id.clone();
    let save = |names: &[&str]| {
        let mut saved = Vec::new();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        root.store().save(&names, &mut saved).map(|()| saved)
    };
    let saved = save(&["app:1", "other/app"]).unwrap();
    assert_eq!(saved, save(&["app:1", "other/app"]).unwrap());
    assert_eq!(save(&["absent"]).unwrap_err().kind, Kind::NotFound);
    let other = Root::new();
    let loaded = other.store().load(saved.as_slice(), &host()).unwrap();
    assert_eq!((loaded.len(), &loaded[0].image.id), (1, &id));
    assert_eq!(loaded[0].image.tags.len(), 2);
    let mut again = Vec::new();
    other.store().save(&["app:1".to_owned(), "other/app".to_owned()], &mut again).unwrap();
    assert_eq!(again, saved);
    // Without the OCI documents it is a docker-archive still.
    let mut docker_only = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(saved.as_slice()).entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header().clone();
        if !matches!(entry.path_bytes().as_ref(), b"index.json" | b"oci-layout") {
            docker_only.append(&header, entry).unwrap();
        }
    }
    let third = Root::new();
    assert_eq!(
        third.store().load(docker_only.into_inner().unwrap().as_slice(), &host()).unwrap()[0].image.id,
        id
    );
    // By id, no name is written.
    let loaded = Root::new().store().load(save(&[id.as_str()]).unwrap().as_slice(), &host()).unwrap();
    assert!(loaded[0].names.is_empty());
}

#[test]
fn root_an_index_gives_the_image_of_the_platform() {
    if !is_root() {
        return;
    }
    let mut tar = Tar::default().file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    let mut entries = Vec::new();
    for architecture in ["s390x", host().architecture.as_str()] {
        let plain = layer_tar(architecture);
        let packed = gzip(&plain);
        let mut config = config(&[&sha256(&plain)]);
        config.architecture = architecture.to_owned();
        let config = serde_json::to_vec(&config).unwrap();
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"c","digest":"{}","size":1}},"layers":[{{"mediaType":"l","digest":"{}","size":1}}]}}"#,
            sha256(&config),
            sha256(&packed)
        );
        for blob in [packed.as_slice(), &config, manifest.as_bytes()] {
            // Old USTAR names are 100 bytes: enough for a digest.
            tar = tar.file(&format!("blobs/sha256/{}", sha256(blob).hex()), blob);
        }
        entries.push(format!(
            r#"{{"mediaType":"m","digest":"{}","size":1,"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#,
            sha256(manifest.as_bytes())
        ));
    }
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
    let top = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"{}","size":1,"annotations":{{"io.containerd.image.name":"ghcr.io/a/b:c"}}}}]}}"#,
        sha256(index.as_bytes())
    );
    let tar = tar
        .file(&format!("blobs/sha256/{}", sha256(index.as_bytes()).hex()), index.as_bytes())
        .file("index.json", top.as_bytes())
        .end();
    let mut root = Root::new();
    let loaded = root.store().load(tar.as_slice(), &host()).unwrap();
    let image = &loaded[0].image;
    assert_eq!(image.id, sha256(index.as_bytes()));
    assert_eq!(image.config.architecture, host().architecture);
    assert_eq!(root.store().image("ghcr.io/a/b:c").unwrap().id, image.id);
    let wrong = Platform { architecture: "riscv64".to_owned(), ..host() };
    assert_eq!(root.store().load(tar.as_slice(), &wrong).unwrap_err().kind, Kind::Invalid);
    // Its layer is compressed, an archive's is not: the image is the same one all the same, unless the originals are somebody else's.
    let mut saved = Vec::new();
    root.store().save(&["ghcr.io/a/b:c".to_owned()], &mut saved).unwrap();
    let other = Root::new();
    assert_eq!(other.store().load(saved.as_slice(), &host()).unwrap()[0].image.id, image.id);
    let forged = swap(&saved, &sha256(index.as_bytes()), &sha256(b"{}"));
    assert_ne!(Root::new().store().load(forged.as_slice(), &host()).unwrap()[0].image.id, image.id);
    root.assert_clean(1); // the other platform's layer was unpacked and thrown away
}

/// The archive with another digest wherever `index.json` names the first.
fn swap(archive: &[u8], old: &Digest, new: &Digest) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if entry.path_bytes().as_ref() == b"index.json" {
            let text = String::from_utf8(bytes).unwrap();
            assert!(text.contains(old.as_str()));
            bytes = text.replace(old.as_str(), new.as_str()).into_bytes();
        }
        tar.append(entry.header(), bytes.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

#[test]
fn root_a_bad_archive_is_refused_and_leaves_nothing() {
    if !is_root() {
        return;
    }
    let (whole, _) = docker();
    let (one, two) = (layer_tar("one"), layer_tar("two"));
    let conf = serde_json::to_vec(&config(&[&sha256(&two)])).unwrap();
    let docker = |layers: &str| format!(r#"[{{"Config":"c.json","Layers":[{layers}]}}]"#);
    let with = |layers: &str| {
        Tar::default()
            .file("l.tar", &one)
            .file("c.json", &conf)
            .file("manifest.json", docker(layers).as_bytes())
            .end()
    };
    let named = format!("blobs/sha256/{}", sha256(b"other").hex());
    let lying = Tar::default()
        .file(&named, &two)
        .file("c.json", &conf)
        .file("manifest.json", docker(&format!("\"{named}\"")).as_bytes())
        .end();
    let escape = Tar::default().file("../x", b"");
    let evil = Tar::default()
        .file("l.tar", &escape.end())
        .file("c.json", &conf)
        .file("manifest.json", docker("\"l.tar\"").as_bytes())
        .end();
    for (archive, names) in [
        (&whole[..3_500], "aa/layer.tar"),
        (&whole[..6_000], "bb/layer.tar"),
        (&gzip(&whole)[..300], ""),
        (&with("\"l.tar\""), "l.tar"),
        (&with("\"absent.tar\""), "absent.tar"),
        (&with(""), "lists 0 layers"),
        (&lying, sha256(b"other").hex()),
        (&evil, "leads out"),
        (&Tar::default().file("hello", b"x").end(), "manifest.json"),
        (&Tar::default().file("manifest.json", b"[{]").end(), "manifest.json"),
        (&Tar::default().file("index.json", b"{}").end(), "index.json"),
        (b"", "manifest.json"),
        (&[b'x'; 2_000], ""),
    ] {
        let mut root = Root::new();
        let error = root.store().load(archive, &host()).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid, "{}", text(&error));
        assert!(text(&error).contains(names), "{} does not name {names}", text(&error));
        assert!(root.store().images().is_empty());
        assert_eq!(root.list("images/blobs/sha256"), Vec::<String>::new());
        root.assert_clean(0);
    }
}

#[test]
fn root_an_import_is_an_image_of_one_layer() {
    if !is_root() {
        return;
    }
    let root = Root::new();
    let tar = layer_tar("root");
    let name = "imported:1".parse().unwrap();
    let image = root.store().import(gzip(&tar).as_slice(), config(&[]), Some(&name)).unwrap();
    assert_eq!(
        (image.config.rootfs.diff_ids.as_slice(), image.tags.as_slice()),
        (&[sha256(&tar)][..], &[name][..])
    );
}
