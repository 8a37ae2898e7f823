//! How long the store takes: `timing <archive> [<root>]` loads an archive into a fresh data root and prints the steps.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring tool")]

use dhow_oci::Platform;
use dhow_store::Store;
use std::{fs::File, path::PathBuf, time::Instant};

fn main() {
    let mut args = std::env::args_os().skip(1);
    let archive = args.next().unwrap();
    let root = args.next().map_or_else(
        || std::env::temp_dir().join(format!("store-timing-{}", std::process::id())),
        PathBuf::from,
    );
    let store = Store::open(&root).unwrap();
    let now = Instant::now();
    let loaded = store.load(File::open(archive).unwrap(), &Platform::host()).unwrap();
    println!("load {:?}", now.elapsed());
    let image = &loaded[0].image;
    println!("{} {:?} {} bytes", image.id, image.tags, image.size);
    let diff_ids = &image.config.rootfs.diff_ids;
    let now = Instant::now();
    for n in 0..100 {
        store.create_snapshot(&format!("s{n}"), diff_ids).unwrap();
    }
    println!("create_snapshot {:?}", now.elapsed() / 100);
    let snapshot = store.snapshot("s0", diff_ids).unwrap();
    let now = Instant::now();
    for _ in 0..100 {
        drop(snapshot.mount().unwrap());
    }
    println!("mount {:?}", now.elapsed() / 100);
    let now = Instant::now();
    for _ in 0..100 {
        snapshot.read_file("/etc/passwd", 1 << 20).unwrap().unwrap();
    }
    println!("read_file {:?}", now.elapsed() / 100);
    let now = Instant::now();
    for diff_id in diff_ids {
        store.write_layer_tar(diff_id, &mut std::io::sink()).unwrap();
    }
    println!("write_layer_tar {:?}", now.elapsed());
    let now = Instant::now();
    store.journal().put("x/1", Some(b"value")).wait().unwrap();
    println!("journal put and wait {:?}", now.elapsed());
    let now = Instant::now();
    let layer = store.commit_snapshot(&snapshot, true, None).unwrap();
    println!("commit of nothing {:?} {}", now.elapsed(), layer.diff_id);
    let now = Instant::now();
    drop(snapshot);
    drop(loaded);
    drop(store);
    println!("close {:?}", now.elapsed());
    let now = Instant::now();
    let store = Store::open(&root).unwrap();
    println!("open {:?} {:?}", now.elapsed(), store.leftovers());
    drop(store);
    std::fs::remove_dir_all(&root).unwrap();
}
