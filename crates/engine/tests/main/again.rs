//! The daemon goes and comes back: nothing is lost, nothing happens twice.

use crate::harness::{Bench, able};
use dhow_engine::{
    Engine,
    containers::{PortBinding, Restart, Status},
};
use std::{io::Read, net::TcpStream, time::Duration};

/// The engine's tasks live in a runtime of their own, which is dropped without a word: as near to `kill -9` as one process gets.
fn crash(bench: Bench, life: tokio::runtime::Runtime) -> (Bench, tokio::runtime::Runtime) {
    let Bench { engine, root, config } = bench;
    drop(engine);
    life.shutdown_background();
    let life = tokio::runtime::Runtime::new().unwrap();
    let engine = life.block_on(async {
        // the lock of the data root goes with the last task
        for _ in 0..500 {
            match Engine::open(config.clone()).await {
                Ok(engine) => return engine,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        Engine::open(config.clone()).await.unwrap()
    });
    (Bench { engine, root, config }, life)
}

#[test]
fn root_a_crash_between() {
    if !able() {
        return;
    }
    let life = tokio::runtime::Runtime::new().unwrap();
    let (bench, served, ended, always, stopped) = life.block_on(async {
        let bench = Bench::new("again").await;
        let served = bench
            .create(&["serve", "80"], |c| {
                c.spec.host.network_mode = "bridge".into();
                let any = PortBinding { host_ip: String::new(), host_port: String::new() };
                c.spec.host.port_bindings.insert("80/tcp".into(), vec![any]);
                c.name = Some("served".into());
            })
            .await;
        let ended = bench.create(&["nap", "700"], |_| {}).await;
        let always = bench.create(&["sleep"], |c| c.spec.host.restart = Restart::UnlessStopped).await;
        let stopped = bench
            .create(&["sleep"], |c| {
                c.spec.host.restart = Restart::UnlessStopped;
                c.spec.stop_timeout = Some(0);
            })
            .await;
        for id in [&served, &ended, &always, &stopped] {
            bench.containers().start(id).await.unwrap();
        }
        bench.containers().stop(&stopped, None, None).await.unwrap();
        (bench, served, ended, always, stopped)
    });
    let before = bench.containers().view(&served).unwrap();
    let shim_of_always = bench.containers().view(&always).unwrap().pid;
    let (bench, life) = crash(bench, life);
    life.block_on(async {
        let after = bench.containers().view("served").unwrap();
        assert_eq!((after.status, after.pid), (Status::Running, before.pid));
        assert_eq!(after.ports, before.ports);
        let mut text = String::new();
        let mut stream = TcpStream::connect(("127.0.0.1", after.ports[0].host_port)).unwrap();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello from inside");
        assert_eq!(bench.wait(&ended).await, 0);
        assert_eq!(bench.containers().view(&always).unwrap().pid, shim_of_always);
        let view = bench.containers().view(&stopped).unwrap();
        assert_eq!((view.status, view.exit_code), (Status::Exited, 137));
    });
    // what ends while nobody looks keeps its code; what was killed comes back by its policy
    life.block_on(async {
        let quick = bench.create(&["nap", "100"], |c| c.name = Some("quick".into())).await;
        bench.containers().start(&quick).await.unwrap();
    });
    let (bench, life) = {
        let Bench { engine, root, config } = bench;
        drop(engine);
        life.shutdown_background();
        std::thread::sleep(Duration::from_millis(400));
        let pid = rustix::process::Pid::from_raw(shim_of_always).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let life = tokio::runtime::Runtime::new().unwrap();
        let engine = life.block_on(Engine::open(config.clone())).unwrap();
        (Bench { engine, root, config }, life)
    };
    life.block_on(async {
        let view = bench.containers().view("quick").unwrap();
        assert_eq!((view.status, view.exit_code), (Status::Exited, 0));
        for _ in 0..300 {
            let view = bench.containers().view(&always).unwrap();
            if view.status == Status::Running && view.pid != shim_of_always {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let view = bench.containers().view(&always).unwrap();
        assert_eq!(view.status, Status::Running);
        assert_ne!(view.pid, shim_of_always);
        assert_eq!(bench.containers().view(&stopped).unwrap().status, Status::Exited);
        bench.close().await;
    });
}
