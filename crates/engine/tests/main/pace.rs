use crate::harness::{Bench, able};
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures"]
async fn root_pace() {
    if !able() {
        return;
    }
    let bench = Bench::new("pace").await;
    for mode in ["none", "bridge", "host"] {
        let (mut creates, mut starts, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..40 {
            let t = Instant::now();
            let id = bench
                .create(&["exit", "0"], |c| {
                    c.spec.host.auto_remove = true;
                    c.spec.host.network_mode = mode.into();
                })
                .await;
            creates.push(t.elapsed().as_micros());
            let gone =
                bench.containers().wait(&id, dhow_engine::containers::WaitCondition::Removed).await.unwrap();
            let t = Instant::now();
            bench.containers().start(&id).await.unwrap();
            starts.push(t.elapsed().as_micros());
            gone.await.unwrap();
            ends.push(t.elapsed().as_micros());
        }
        for l in [&mut creates, &mut starts, &mut ends] {
            l.sort();
        }
        eprintln!(
            "{mode}: create {} start {} till removed {} (p95 {})",
            creates[20], starts[20], ends[20], ends[38]
        );
    }
    let t = Instant::now();
    let mut all = tokio::task::JoinSet::new();
    let bench = std::sync::Arc::new(bench);
    for _ in 0..100 {
        let bench = bench.clone();
        all.spawn(async move {
            let id = bench
                .create(&["exit", "0"], |c| {
                    c.spec.host.auto_remove = true;
                    c.spec.host.network_mode = "bridge".into();
                })
                .await;
            let gone =
                bench.containers().wait(&id, dhow_engine::containers::WaitCondition::Removed).await.unwrap();
            bench.containers().start(&id).await.unwrap();
            gone.await.unwrap();
        });
    }
    while let Some(r) = all.join_next().await {
        r.unwrap();
    }
    eprintln!("100 parallel bridge: {:?}", t.elapsed());
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    std::sync::Arc::into_inner(bench).unwrap().close().await;
}
