//! Health, restart policies, `--rm`, volumes, cp, pause, stats, top, build steps, events.

use crate::harness::{Bench, able};
use bytes::Bytes;
use dhow_engine::{
    containers::{MountKind, MountSpec, Remove, Restart, Status, WaitCondition},
    filters::Filters,
    steps::{Step, StepNetwork},
};
use dhow_oci::image::Healthcheck;
use std::time::Duration;
use tokio::sync::mpsc;

async fn eventually(what: &str, mut test: impl FnMut() -> bool) {
    for _ in 0..500 {
        if test() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came true: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn root_health_restart_and_auto_remove() {
    if !able() {
        return;
    }
    let bench = Bench::new("hlt").await;
    let mut events = bench.engine.events().subscribe(None, None, &Filters::default()).unwrap();
    let check = |words: &[&str]| {
        Some(Healthcheck {
            test: Some(words.iter().map(|w| (*w).to_owned()).collect()),
            interval: 50_000_000,
            timeout: 1_000_000_000,
            retries: 2,
            ..Healthcheck::default()
        })
    };
    let well =
        bench.create(&["sleep"], |c| c.spec.healthcheck = check(&["CMD", "/bin/box", "echo", "fine"])).await;
    let sick =
        bench.create(&["sleep"], |c| c.spec.healthcheck = check(&["CMD", "/bin/box", "exit", "1"])).await;
    for id in [&well, &sick] {
        bench.containers().start(id).await.unwrap();
        assert_eq!(bench.containers().view(id).unwrap().health.as_ref().unwrap().status, "starting");
    }
    let health = |id: &str| bench.containers().view(id).unwrap().health.clone().unwrap();
    eventually("healthy", || health(&well).status == "healthy").await;
    assert_eq!(health(&well).log[0].output.trim(), "fine");
    eventually("unhealthy", || health(&sick).status == "unhealthy").await;
    // restarts with a growing delay, at most three times
    let flap = bench.create(&["exit", "3"], |c| c.spec.host.restart = Restart::OnFailure { max: 3 }).await;
    bench.containers().start(&flap).await.unwrap();
    eventually("given up", || {
        let view = bench.containers().view(&flap).unwrap();
        view.status == Status::Exited && view.restart_count == 3
    })
    .await;
    // --rm
    let once = bench.create(&["exit", "5"], |c| c.spec.host.auto_remove = true).await;
    let gone = bench.containers().wait(&once, WaitCondition::Removed).await.unwrap();
    bench.containers().start(&once).await.unwrap();
    assert_eq!(gone.await.unwrap().0, 5);
    assert!(bench.containers().view(&once).is_err());
    let mut seen = Vec::new();
    while seen.last().is_none_or(|action| action != "destroy") {
        let event = tokio::time::timeout(Duration::from_secs(5), events.recv()).await.unwrap().unwrap();
        if event.id == once {
            seen.push(event.action);
        }
    }
    assert_eq!(seen, ["create", "start", "die", "destroy"]);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn root_volumes_cp_pause_stats() {
    if !able() {
        return;
    }
    let bench = Bench::new("vol").await;
    let writer = bench
        .create(&["sleep"], |c| {
            c.spec.host.binds.push("shared:/data".into());
            c.spec.volumes.push("/anonymous".into());
            c.name = Some("writer".into());
        })
        .await;
    bench.containers().start(&writer).await.unwrap();
    // the image's content was copied into the new volume
    let volume = bench.engine.volumes().get("shared").unwrap();
    assert_eq!(std::fs::read_to_string(volume.mountpoint.join("seed")).unwrap(), "from the image");
    assert!(bench.engine.volumes().remove("shared", false).await.is_err());
    for stopped in [false, true] {
        if stopped {
            bench.containers().stop("writer", None, Some(0)).await.unwrap();
        }
        let text = format!("stopped: {stopped}");
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        tar.append_data(&mut header, "note", text.as_bytes()).unwrap();
        let bytes = Bytes::from(tar.into_inner().unwrap());
        for folder in ["/data", "/tmp"] {
            let (sender, receiver) = mpsc::channel(1);
            sender.send(Ok(bytes.clone())).await.unwrap();
            drop(sender);
            bench.containers().put_archive("writer", folder, false, receiver).await.unwrap();
            let path = format!("{folder}/note");
            let (stat, mut stream) = bench.containers().get_archive("writer", &path).await.unwrap();
            assert_eq!((stat.name.as_str(), stat.size), ("note", text.len() as i64));
            let mut all = Vec::new();
            while let Some(piece) = stream.recv().await {
                all.extend_from_slice(&piece.unwrap());
            }
            let mut archive = tar::Archive::new(all.as_slice());
            let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
            let mut read = String::new();
            std::io::Read::read_to_string(&mut entry, &mut read).unwrap();
            assert_eq!((entry.path().unwrap().to_str(), read.as_str()), (Some("note"), text.as_str()));
        }
        // into the volume, not beside it
        assert_eq!(std::fs::read_to_string(volume.mountpoint.join("note")).unwrap(), text);
    }
    bench.containers().start("writer").await.unwrap();
    let top = bench.containers().top("writer", "").await.unwrap();
    assert_eq!(top.processes.len(), 1);
    assert!(top.processes[0].last().unwrap().contains("/bin/box sleep"));
    let sample = bench.containers().sample("writer").await.unwrap();
    assert!(sample.usage.memory > 0 && sample.usage.pids == 1 && sample.online_cpus > 0);
    bench.containers().pause("writer").await.unwrap();
    assert_eq!(bench.containers().view("writer").unwrap().status, Status::Paused);
    bench.containers().unpause("writer").await.unwrap();
    let changes = bench.containers().changes("writer").await.unwrap();
    assert!(changes.iter().any(|c| c.path == "/tmp/note" && c.kind == 1), "{changes:?}");
    bench.containers().remove("writer", Remove { force: true, volumes: true }).await.unwrap();
    // the named one stays, the anonymous one went
    assert_eq!(bench.engine.volumes().list(&Filters::default()).unwrap().len(), 1);
    let error = bench.containers().create(dhow_engine::containers::Create {
        spec: dhow_engine::containers::Spec {
            image: "box".into(),
            cmd: Some(vec!["/bin/box".into()]),
            host: dhow_engine::containers::Host {
                mounts: vec![MountSpec {
                    from_mount: true,
                    ..MountSpec::new(MountKind::Bind, "/nope/at/all", "/x")
                }],
                ..Default::default()
            },
            ..Default::default()
        },
        ..Default::default()
    });
    assert!(error.await.unwrap_err().message.contains("bind source path does not exist: /nope/at/all"));
    bench.engine.volumes().remove("shared", false).await.unwrap();
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn root_build_steps_leave_no_trace() {
    if !able() {
        return;
    }
    let bench = Bench::new("stp").await;
    let image = bench.images().get("box").unwrap();
    let store = bench.engine.store();
    let snapshot = store.create_snapshot("a-step", &image.config.rootfs.diff_ids).unwrap();
    let step = |words: &[&str], network| Step {
        snapshot: snapshot.clone(),
        args: std::iter::once("/bin/box").chain(words.iter().copied()).map(str::to_owned).collect(),
        env: vec!["A=b".into()],
        cwd: "/".into(),
        user: String::new(),
        mounts: Vec::new(),
        network,
        extra_hosts: vec!["there:10.9.8.7".into()],
        hostname: String::new(),
        shm_size: 0,
        resources: Default::default(),
        privileged: false,
    };
    let run = async |words: &[&str], network| {
        let (sender, mut receiver) = mpsc::channel(64);
        let code = bench.engine.steps().run(step(words, network), sender).await;
        let mut text = String::new();
        while let Some(piece) = receiver.recv().await {
            text.push_str(&String::from_utf8_lossy(&piece.data));
        }
        (code, text)
    };
    let (code, text) = run(&["read", "/etc/hosts"], StepNetwork::Default).await;
    assert_eq!(code.unwrap(), 0);
    assert!(text.contains("10.9.8.7\tthere"), "{text}");
    assert_eq!(run(&["exit", "7"], StepNetwork::None).await.0.unwrap(), 7);
    let bundle = "/etc/ssl/certs/ca-certificates.crt";
    if std::path::Path::new(bundle).is_file() {
        assert_eq!(run(&["exists", bundle], StepNetwork::None).await.0.unwrap(), 0);
        let (_, hint) = run(&["env", "SSL_CERT_FILE"], StepNetwork::None).await;
        assert_eq!(run(&["exists", hint.trim()], StepNetwork::None).await.0.unwrap(), 0, "{hint}");
    }
    let left = snapshot.changes().unwrap();
    assert!(left.is_empty(), "a step left {left:?}");
    assert_eq!(run(&["write", "/tmp/made", "x"], StepNetwork::Host).await.0.unwrap(), 0);
    let left = snapshot.changes().unwrap();
    assert_eq!(left.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["/tmp", "/tmp/made"]);
    // cancelled: killed and cleaned up
    let (sender, _receiver) = mpsc::channel(64);
    let slow = bench.engine.steps().run(step(&["sleep"], StepNetwork::None), sender);
    assert!(tokio::time::timeout(Duration::from_millis(300), slow).await.is_err());
    let shims = bench.config.exec_root.join("shims");
    eventually("the shim is gone", || std::fs::read_dir(&shims).unwrap().next().is_none()).await;
    store.remove_snapshot("a-step").unwrap();
    bench.close().await;
}
