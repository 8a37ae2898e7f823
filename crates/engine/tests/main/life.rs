//! From create to remove.

use crate::harness::{Bench, able};
use dhow_engine::{
    Kind,
    containers::{Attach, Remove, Status},
    exec,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread")]
async fn root_run_to_the_end() {
    if !able() {
        return;
    }
    let bench = Bench::new("run").await;
    let id = bench.create(&["both", "to out", "to err"], |c| c.name = Some("first".into())).await;
    assert_eq!(bench.containers().view("first").unwrap().status, Status::Created);
    bench.containers().start("first").await.unwrap();
    assert_eq!(bench.wait(&id).await, 0);
    let view = bench.containers().view(&id[..8]).unwrap();
    assert_eq!((view.status, view.pid), (Status::Exited, 0));
    let logs = bench.logs(&id).await;
    assert!(logs.contains("to out") && logs.contains("to err"), "{logs}");
    // again, and another code
    let other = bench.create(&["exit", "42"], |_| {}).await;
    for _ in 0..3 {
        bench.containers().start(&other).await.unwrap();
        assert_eq!(bench.wait(&other).await, 42);
    }
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn root_a_program_that_is_not_there() {
    if !able() {
        return;
    }
    let bench = Bench::new("nop").await;
    for (program, code, words) in [
        ("nope", 127, "executable file not found in $PATH"),
        ("/nope", 127, "no such file or directory"),
        ("/plain", 126, "permission denied"),
    ] {
        let id = bench.create(&[], |c| c.spec.cmd = Some(vec![program.into()])).await;
        let error = bench.containers().start(&id).await.unwrap_err();
        assert!(error.message.contains(words), "{}", error.message);
        let view = bench.containers().view(&id).unwrap();
        assert_eq!((view.exit_code, view.status), (code, Status::Created));
    }
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn root_attach_exec_stop_and_names() {
    if !able() {
        return;
    }
    let bench = Bench::new("att").await;
    let id = bench.create(&["cat"], |c| {
        c.spec.open_stdin = true;
        c.spec.stdin_once = true;
        c.name = Some("cat".into());
    });
    let id = id.await;
    let attach = Attach { stdin: true, stdout: true, stderr: true, stream: true, logs: false };
    let mut stream = bench.containers().attach(&id, attach).await.unwrap();
    bench.containers().start(&id).await.unwrap();
    stream.write_all(b"hello\n").await.unwrap();
    let mut frame = [0u8; 14];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!((frame[0], &frame[8..]), (1, &b"hello\n"[..]));
    // an exec beside it
    let create = exec::Create {
        cmd: ["/bin/box", "env", "HOSTNAME"].map(str::to_owned).to_vec(),
        attach: (false, true, true),
        ..Default::default()
    };
    let run = bench.engine.execs().create("cat", create).await.unwrap();
    let mut output = bench.engine.execs().start(&run, false, (0, 0)).await.unwrap().unwrap();
    let mut text = Vec::new();
    output.read_to_end(&mut text).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&text[8..]).trim(), &id[..12]);
    let missing =
        exec::Create { cmd: vec!["nope".into()], attach: (false, true, true), ..Default::default() };
    let run = bench.engine.execs().create("cat", missing).await.unwrap();
    let error = bench.engine.execs().start(&run, false, (0, 0)).await.unwrap_err();
    assert!(error.message.contains("executable file not found in $PATH"), "{}", error.message);
    assert_eq!(bench.engine.execs().view(&run).unwrap().exit_code, Some(127));
    // names
    let again = bench.containers().rename("cat", "first").await;
    assert!(again.is_ok());
    assert_eq!(bench.containers().view("cat").unwrap_err().kind, Kind::NotFound);
    // end of input ends it
    stream.shutdown().await.unwrap();
    assert_eq!(bench.wait(&id).await, 0);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    // a PID 1 without a handler ignores TERM: the time-out kills it
    let id = bench.create(&["sleep"], |c| c.spec.stop_timeout = Some(0)).await;
    bench.containers().start(&id).await.unwrap();
    assert_eq!(bench.containers().start(&id).await.unwrap_err().kind, Kind::NotModified);
    assert_eq!(bench.containers().remove(&id, Remove::default()).await.unwrap_err().kind, Kind::Conflict);
    bench.containers().stop(&id, None, None).await.unwrap();
    assert_eq!(bench.containers().view(&id).unwrap().exit_code, 137);
    bench.close().await;
}
