//! Tars of an enemy: whatever they try, nothing outside the layer is touched, and nothing stays when they are refused.

use crate::support::{Root, Tar, diff_of, gzip, is_root, sha256};
use dhow_store::{Error, Kind, Limits};
use std::error::Error as _;
use tar::EntryType;

fn text(error: &Error) -> String {
    format!("{error}: {}", error.source().map_or_else(String::new, ToString::to_string))
}

/// The tar is refused as invalid, the error names `names`, and nothing is left.
fn refused(tar: &[u8], names: &str) {
    let mut root = Root::new();
    let error = root.store().put_layer(tar, None, None).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid, "{}", text(&error));
    assert!(text(&error).contains(names), "{} does not name {names}", text(&error));
    root.assert_clean(0);
}

#[test]
fn root_refuses_names_that_lead_out() {
    if !is_root() {
        return;
    }
    for name in ["../evil", "a/../../evil", "/../evil", "..", "./.."] {
        refused(&Tar::default().file(name, b"x").end(), name);
        refused(&Tar::default().dir(name).end(), name);
        refused(&Tar::default().symlink(name, "x").end(), name);
        refused(&Tar::default().file("ok", b"x").hardlink("link", name).end(), "");
    }
    refused(&Tar::default().pax(&[("path", b"../evil")]).file("good", b"x").end(), "../evil");
    refused(&Tar::default().pax(&[("path", b"a\0b")]).file("good", b"x").end(), "zero byte");
    refused(&Tar::default().file("x", b"x").hardlink("link", "absent").end(), "absent");
    refused(&Tar::default().dir("d").hardlink("link", "d").end(), "folder");
}

#[test]
fn root_refuses_whiteouts_of_no_name() {
    if !is_root() {
        return;
    }
    for name in [".wh...", ".wh..", ".wh.", "a/.wh..."] {
        refused(&Tar::default().file(name, b"").end(), "whiteout");
    }
}

#[test]
fn root_links_never_lead_a_write_out() {
    if !is_root() {
        return;
    }
    let outside = Root::new(); // its folder is the canary
    let canary = outside.path.join("canary");
    std::fs::write(&canary, "untouched").unwrap();
    let folder = outside.path.to_str().unwrap();
    let file = canary.to_str().unwrap();
    let up = "../".repeat(20) + folder.trim_start_matches('/');
    for target in [folder, up.as_str()] {
        let through = Tar::default()
            .symlink("out", target)
            .file("out/evil", b"x")
            .dir("out/made")
            .symlink("out/s", "x");
        let root = Root::new();
        // In the layer's own world that folder does not exist; if it did, it would be the layer's.
        let outcome = root.store().put_layer(through.end().as_slice(), None, None);
        assert_eq!(outcome.unwrap_err().kind, Kind::Invalid);
    }
    // The same with a folder that exists inside under that name: everything lands there.
    let inside =
        Tar::default().dir(&folder[1..]).symlink("out", folder).file("out/evil", b"x").file("out/evil", b"y");
    let bytes = inside.end();
    let root = Root::new();
    let layer = root.store().put_layer(bytes.as_slice(), None, None).unwrap();
    assert_eq!(std::fs::read(diff_of(root.store(), &layer).join(&folder[1..]).join("evil")).unwrap(), b"y");
    let mut again = Vec::new();
    root.store().write_layer_tar(&layer.diff_id, &mut again).unwrap();
    assert_eq!(again, bytes);
    // A link is replaced, never written through, also as a hard link's source and as a folder.
    let replaced = Tar::default()
        .symlink("f", file)
        .file("f", b"new")
        .symlink("d", folder)
        .dir("d")
        .file("d/canary", b"new")
        .symlink("h", file)
        .hardlink("hh", "h");
    let layer = root.store().put_layer(replaced.end().as_slice(), None, None).unwrap();
    let diff = diff_of(root.store(), &layer);
    assert!(diff.join("f").symlink_metadata().unwrap().is_file());
    assert!(diff.join("d").symlink_metadata().unwrap().is_dir());
    assert!(diff.join("hh").symlink_metadata().unwrap().is_symlink());
    // Times and modes are not applied through a link that took a folder's name.
    let swapped = Tar::default().dir("gone").symlink("gone", folder);
    let before = std::fs::metadata(folder).unwrap().modified().unwrap();
    root.store().put_layer(swapped.end().as_slice(), None, None).unwrap();
    assert_eq!(std::fs::metadata(folder).unwrap().modified().unwrap(), before);
    assert_eq!(std::fs::read_to_string(&canary).unwrap(), "untouched");
    assert!(!outside.path.join("evil").exists() && !outside.path.join("made").exists());
}

#[test]
fn root_overlay_marks_do_not_come_from_a_tar() {
    if !is_root() {
        return;
    }
    let root = Root::new();
    let tar = Tar::default()
        .pax(&[("SCHILY.xattr.trusted.overlay.redirect", b"/etc"), ("SCHILY.xattr.user.note", b"kept")])
        .dir("d")
        .end();
    let layer = root.store().put_layer(tar.as_slice(), None, None).unwrap();
    let folder = diff_of(root.store(), &layer).join("d");
    let mut value = [0; 16];
    assert!(rustix::fs::lgetxattr(&folder, "trusted.overlay.redirect", &mut value).is_err());
    assert_eq!(rustix::fs::lgetxattr(&folder, "user.note", &mut value).unwrap(), 4);
}

#[test]
fn root_bounds_hold() {
    if !is_root() {
        return;
    }
    let small = Limits { entries: 1_000, bytes: 1 << 20, ratio: 10, ratio_from: 64 << 10 };
    let mut many = Tar::default();
    for n in 0..1_001 {
        many = many.dir(&format!("d{n}"));
    }
    let zeros = Tar::default().file("zeros", &vec![0; 512 << 10]).end();
    let large = Tar::default().file("large", &vec![1; 2 << 20]).end();
    let long =
        Tar::default().raw(Tar::header(EntryType::XHeader, "pax", 2 << 20), &vec![b'x'; 2 << 20]).end();
    for (tar, why) in [
        (many.end(), "more than 1000 entries"),
        (gzip(&zeros), "unpacks to more than"),
        (zstd::encode_all(zeros.as_slice(), 3).unwrap(), "unpacks to more than"),
        (large, "unpacks to more than"),
        (long, "larger than 1 MiB"),
    ] {
        let mut root = Root::with(small);
        let error = root.store().put_layer(tar.as_slice(), None, None).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid, "{}", text(&error));
        assert!(text(&error).contains(why), "{} is not about {why}", text(&error));
        root.assert_clean(0);
    }
}

#[test]
fn root_refuses_what_is_cut_off_or_altered() {
    if !is_root() {
        return;
    }
    let tar = Tar::default().file("first", b"1").file("second", &[2; 5_000]).end();
    let packed = gzip(&tar);
    let squeezed = zstd::encode_all(tar.as_slice(), 3).unwrap();
    refused(&tar[..2_000], "second");
    refused(&tar[..600], "first");
    refused(&tar[..100], "first header");
    for cut in [packed.len() - 1, packed.len() / 2, 12] {
        refused(&packed[..cut], "");
    }
    for cut in [squeezed.len() - 1, squeezed.len() / 2] {
        refused(&squeezed[..cut], "");
    }
    refused(&[packed.as_slice(), b"garbage"].concat(), "");
    let mut altered = tar.clone();
    altered[1] ^= 1;
    refused(&altered, "checksum");
    refused(&[b'x'; 4_096], "checksum");
    refused(&Tar::default().raw(Tar::header(EntryType::new(b'?'), "odd", 0), b"").end(), "odd");

    let mut root = Root::new();
    let wrong = sha256(b"other");
    for (bytes, blob, diff) in
        [(&packed, Some(&wrong), None), (&packed, None, Some(&wrong)), (&tar, Some(&wrong), None)]
    {
        let error = root.store().put_layer(bytes.as_slice(), blob, diff).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid);
        assert!(text(&error).contains(wrong.as_str()), "{}", text(&error));
    }
    root.assert_clean(0);
}

#[test]
fn root_sparse_maps_must_fit() {
    if !is_root() {
        return;
    }
    let sparse = |map: &[u8], size: &[u8], data: &[u8]| {
        Tar::default().pax(&[("GNU.sparse.map", map), ("GNU.sparse.size", size)]).file("s", data).end()
    };
    for (map, size) in [
        ("10,5,0,5", "20"),
        ("0,5,10,6", "20"),
        ("0,5,18,5", "20"),
        ("0,18446744073709551615,5,5", "20"),
        ("0,5,10,5", "99999999999999999"),
    ] {
        refused(&sparse(map.as_bytes(), size.as_bytes(), &[1; 10]), "s");
    }
    let root = Root::new();
    let tar = sparse(b"2,5,10,5", b"20", b"helloworld");
    let layer = root.store().put_layer(tar.as_slice(), None, None).unwrap();
    let content = std::fs::read(diff_of(root.store(), &layer).join("s")).unwrap();
    assert_eq!(content, b"\0\0hello\0\0\0world\0\0\0\0\0");
    // PAX format 1.0: the map stands in the payload.
    let mut payload = b"2\n0\n5\n10\n5\n".to_vec();
    payload.resize(512, 0);
    payload.extend_from_slice(b"helloworld");
    let tar = Tar::default()
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"real"),
            ("GNU.sparse.realsize", b"15"),
        ])
        .file("GNUSparseFile.0/real", &payload)
        .end();
    let layer = root.store().put_layer(tar.as_slice(), None, None).unwrap();
    assert_eq!(std::fs::read(diff_of(root.store(), &layer).join("real")).unwrap(), b"hello\0\0\0\0\0world");
    let mut again = Vec::new();
    root.store().write_layer_tar(&layer.diff_id, &mut again).unwrap();
    assert_eq!(again, tar);
}
