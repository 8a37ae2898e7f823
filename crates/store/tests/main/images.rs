//! Images: recorded, named, found, collected.

use crate::support::{Root, config, is_root, layer, sha256};
use dhow_oci::{Reference, image::ImageConfig};
use dhow_store::{Kind, Store};

fn name(text: &str) -> Reference {
    text.parse::<Reference>().unwrap().with_default_tag()
}

fn dated(config: ImageConfig, created: &str) -> ImageConfig {
    ImageConfig { created: Some(created.to_owned()), ..config }
}

#[test]
fn root_images_are_listed_found_and_survive_a_restart() {
    if !is_root() {
        return;
    }
    let mut root = Root::new();
    let store = root.store();
    let base = layer(store, "base", "1");
    let top = layer(store, "top", "22");
    let old = dated(config(&[&base.diff_id]), "2020-01-01T00:00:00Z");
    let new = dated(config(&[&base.diff_id, &top.diff_id]), "2020-01-01T00:00:00.5Z");
    let old = store.assemble_image(&old, &[name("app:1"), name("app")]).unwrap();
    let new = store.assemble_image(&new, &[name("app:2"), name("app")]).unwrap();
    assert_eq!((old.size, new.size), (1, 3));
    let check = |store: &Store| {
        let ids: Vec<_> = store.images().iter().map(|image| image.id.clone()).collect();
        assert_eq!(ids, [new.id.clone(), old.id.clone()], "newest first");
        assert_eq!(store.image("app").unwrap().tags, [name("app:2"), name("app")], "the name moved");
        assert_eq!(store.image("docker.io/library/app:1").unwrap().tags, [name("app:1")]);
        for text in [
            old.id.as_str(),
            old.id.hex(),
            &old.id.hex()[..12],
            &old.id.as_str()[..20],
            &format!("app@{}", old.id),
        ] {
            assert_eq!(store.image(text).unwrap().id, old.id, "{text}");
        }
        for absent in ["nothing", "app:3", &"0".repeat(64), "ffffffffffff", &format!("other@{}", old.id)] {
            assert_eq!(store.image(absent).unwrap_err().kind, Kind::NotFound, "{absent}");
        }
        assert_eq!(store.image("UPPER").unwrap_err().kind, Kind::Invalid);
    };
    check(store);
    assert_eq!(store.untag(&name("app:9")).unwrap_err().kind, Kind::NotFound);
    assert_eq!(store.tag(&sha256(b""), &name("x")).unwrap_err().kind, Kind::NotFound);
    check(root.reopen());
    assert!(root.store().leftovers().is_empty());
}

#[test]
fn root_what_two_ids_begin_with_is_ambiguous() {
    if !is_root() {
        return;
    }
    let root = Root::new();
    let store = root.store();
    let mut firsts = std::collections::HashMap::new();
    for n in 0.. {
        let image =
            store.assemble_image(&dated(config(&[]), &format!("20{n:02}-01-01T00:00:00Z")), &[]).unwrap();
        let first = image.id.hex()[..1].to_owned();
        if firsts.insert(first.clone(), ()).is_some() {
            let error = store.image(&format!("sha256:{first}")).unwrap_err();
            assert_eq!(error.kind, Kind::Conflict);
            return;
        }
    }
}

#[test]
fn root_deleting_removes_exactly_what_nothing_else_needs() {
    if !is_root() {
        return;
    }
    let mut root = Root::new();
    let store = root.store();
    let shared = layer(store, "shared", "s");
    let own = layer(store, "own", "o");
    let cached = layer(store, "cached", "c");
    let keeper = store.assemble_image(&config(&[&shared.diff_id]), &[name("keeper")]).unwrap();
    let all = config(&[&shared.diff_id, &own.diff_id, &cached.diff_id, &own.diff_id]);
    let gone = store.assemble_image(&all, &[name("gone"), name("also")]).unwrap();
    assert_eq!(store.delete_image(&gone.id, std::slice::from_ref(&cached.diff_id)).unwrap(), [own]);
    assert_eq!(store.image("gone").unwrap_err().kind, Kind::NotFound);
    assert_eq!(store.delete_image(&gone.id, &[]).unwrap_err().kind, Kind::NotFound);
    assert_eq!(store.read_blob(&gone.id).unwrap_err().kind, Kind::NotFound);
    store.read_blob(&keeper.id).unwrap();
    store.read_blob(&keeper.manifest.config.digest).unwrap();
    let store = root.reopen();
    assert!(store.has_layer(&shared.diff_id) && store.has_layer(&cached.diff_id));
    assert_eq!(store.images().len(), 1);
    assert_eq!(store.delete_image(&keeper.id, &[]).unwrap(), [shared]);
    assert_eq!(root.list("images/blobs/sha256"), Vec::<String>::new());
    root.assert_clean(1);
}

#[test]
fn root_documents_must_fit_each_other() {
    if !is_root() {
        return;
    }
    let root = Root::new();
    let store = root.store();
    let one = layer(store, "f", "1");
    let two = layer(store, "f", "2");
    let image = store.assemble_image(&config(&[&one.diff_id]), &[]).unwrap();
    let manifest = store.read_blob(&image.id).unwrap();
    let bytes = store.read_blob(&image.manifest.config.digest).unwrap();
    let refuse = |config: &[u8], manifest: &[u8], index: Option<&[u8]>, why: &str| {
        let error = store.put_image(config, manifest, index, &[name("bad")]).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid, "{why}");
        assert!(error.source.unwrap().to_string().contains(why), "{why}");
    };
    refuse(b"{}", &manifest, None, "wants the configuration");
    refuse(&bytes, b"not json", None, "manifest");
    refuse(&bytes, &manifest, Some(br#"{"schemaVersion":2,"manifests":[]}"#), "does not list");
    // A manifest of one layer over a configuration of another, of none, and of one that is not here.
    for (ids, why) in
        [(vec![&two.diff_id], "unpacks to"), (vec![], "lists 1 layers"), (vec![&sha256(b"x")], "is not here")]
    {
        let other = serde_json::to_vec(&config(&ids)).unwrap();
        let mut wrong = image.manifest.clone();
        wrong.config.digest = sha256(&other);
        refuse(&other, &serde_json::to_vec(&wrong).unwrap(), None, why);
    }
    assert_eq!(store.images().len(), 1);
    // An index gives the image its id and is kept byte for byte.
    let index = format!(
        r#"{{"schemaVersion":2, "manifests":[{{"mediaType":"x","digest":"{}","size":{}}}], "extra": true}}"#,
        image.id,
        manifest.len()
    );
    let indexed = store.put_image(&bytes, &manifest, Some(index.as_bytes()), &[name("indexed")]).unwrap();
    assert_eq!((&indexed.id, &indexed.manifest_digest), (&sha256(index.as_bytes()), &image.id));
    assert_eq!(store.read_blob(&indexed.id).unwrap(), index.as_bytes());
}

#[test]
fn root_a_data_root_has_one_owner_and_a_format() {
    if !is_root() {
        return;
    }
    let mut root = Root::new();
    assert_eq!(Store::open(&root.path).unwrap_err().kind, Kind::Conflict);
    root.close();
    // What a crash left: odd modes, immutable files, layers without a record.
    let junk = root.path.join("tmp/junk/inner");
    std::fs::create_dir_all(&junk).unwrap();
    std::fs::write(junk.join("fixed"), "x").unwrap();
    let fixed = std::fs::File::open(junk.join("fixed")).unwrap();
    let immutable = rustix::fs::ioctl_setflags(&fixed, rustix::fs::IFlags::IMMUTABLE);
    drop(fixed);
    if immutable.is_err() {
        eprintln!("skipped a part: no immutable files here");
    }
    std::fs::create_dir_all(root.path.join("layers/0123456789ab/diff")).unwrap();
    root.reopen();
    root.assert_clean(0);
    std::fs::write(root.path.join("format"), "2\n").unwrap();
    let error = Store::open(&root.path).unwrap_err();
    assert!(error.source.unwrap().to_string().contains("newer"));
}
