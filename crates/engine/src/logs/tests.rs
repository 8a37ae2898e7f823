use super::*;
use std::{
    fs,
    io::Write,
    sync::atomic::{AtomicU32, Ordering},
};

struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("dhow-logs-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }
    fn log(&self) -> PathBuf {
        self.0.join("x-json.log")
    }
    fn rotated(&self, number: u32) -> PathBuf {
        self.0.join(format!("x-json.log.{number}"))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn record(n: u32) -> String {
    format!("{{\"log\":\"{n}\\n\",\"stream\":\"stdout\",\"time\":\"2024-01-02T03:04:05.{n:09}Z\"}}\n")
}

fn append(path: &Path, numbers: std::ops::Range<u32>) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    let text: String = numbers.map(record).collect();
    file.write_all(text.as_bytes()).unwrap();
}

fn query() -> LogQuery {
    LogQuery { stdout: true, stderr: true, ..LogQuery::default() }
}

async fn number(receiver: &mut mpsc::Receiver<Result<Output>>) -> Option<u32> {
    let next =
        tokio::time::timeout(Duration::from_secs(10), receiver.recv()).await.expect("no output in 10 s");
    next.map(|output| String::from_utf8(output.unwrap().data.to_vec()).unwrap().trim_end().parse().unwrap())
}

async fn all(mut receiver: mpsc::Receiver<Result<Output>>) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let Some(n) = number(&mut receiver).await {
        numbers.push(n);
    }
    numbers
}

fn running() -> (watch::Sender<bool>, watch::Receiver<bool>) {
    watch::channel(false)
}

#[tokio::test]
async fn tail_goes_back_over_rotated_files() {
    let dir = Dir::new();
    append(&dir.rotated(2), 0..10);
    append(&dir.rotated(1), 10..20);
    append(&dir.log(), 20..3000);
    for (tail, first) in [
        (None, 0),
        (Some(1), 2999),
        (Some(2980), 20),
        (Some(2985), 15),
        (Some(2990), 10),
        (Some(2995), 5),
        (Some(9000), 0),
    ] {
        let got = all(stream(dir.log(), LogQuery { tail, ..query() }, running().1)).await;
        assert_eq!(got, (first..3000).collect::<Vec<_>>(), "tail {tail:?}");
    }
    assert!(all(stream(dir.log(), LogQuery { tail: Some(0), ..query() }, running().1)).await.is_empty());
}

#[tokio::test]
async fn a_missing_log_is_an_empty_one() {
    let dir = Dir::new();
    assert!(all(stream(dir.log(), query(), running().1)).await.is_empty());
}

#[tokio::test]
async fn follows_through_rotation_and_ends_with_the_container() {
    let dir = Dir::new();
    let (stop, stopped) = running();
    let mut receiver = stream(dir.log(), LogQuery { follow: true, ..query() }, stopped);
    let mut next = 0;
    for round in 0..5 {
        append(&dir.log(), next..next + 300);
        // Two files of three are not read before they are rotated.
        if round % 3 == 2 {
            for expected in receiver_range(next) {
                assert_eq!(number(&mut receiver).await, Some(expected));
            }
        }
        next += 300;
        if dir.rotated(1).exists() {
            fs::rename(dir.rotated(1), dir.rotated(2)).unwrap();
        }
        fs::rename(dir.log(), dir.rotated(1)).unwrap();
        if round == 2 {
            assert_eq!(next, 900);
        }
    }
    append(&dir.log(), next..next + 10);
    stop.send(true).unwrap();
    let rest = all(receiver).await;
    assert_eq!(rest, (900..next + 10).collect::<Vec<_>>());
}

fn receiver_range(next: u32) -> std::ops::Range<u32> {
    // Everything since the beginning was unread until round 2.
    0..next + 300
}

#[tokio::test]
async fn follows_a_log_that_is_truncated() {
    let dir = Dir::new();
    let (stop, stopped) = running();
    append(&dir.log(), 0..100);
    let mut receiver = stream(dir.log(), LogQuery { follow: true, tail: Some(1), ..query() }, stopped);
    assert_eq!(number(&mut receiver).await, Some(99));
    fs::OpenOptions::new().write(true).truncate(true).open(dir.log()).unwrap();
    append(&dir.log(), 100..103);
    for expected in 100..103 {
        assert_eq!(number(&mut receiver).await, Some(expected));
    }
    drop(stop);
    assert_eq!(number(&mut receiver).await, None);
}

#[tokio::test]
async fn a_record_is_sent_when_it_is_whole() {
    let dir = Dir::new();
    let (stop, stopped) = running();
    let whole = record(7);
    let (first, second) = whole.split_at(20);
    fs::write(dir.log(), first).unwrap();
    let mut receiver = stream(dir.log(), LogQuery { follow: true, ..query() }, stopped);
    tokio::task::yield_now().await;
    fs::OpenOptions::new().append(true).open(dir.log()).unwrap().write_all(second.as_bytes()).unwrap();
    assert_eq!(number(&mut receiver).await, Some(7));
    stop.send(true).unwrap();
    assert_eq!(number(&mut receiver).await, None);
}

#[tokio::test]
async fn following_ends_at_until() {
    let dir = Dir::new();
    append(&dir.log(), 0..3);
    let (_stop, stopped) = running();
    let soon = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + Duration::from_millis(50);
    let until = Some(i64::try_from(soon.as_nanos()).unwrap());
    assert_eq!(all(stream(dir.log(), LogQuery { follow: true, until, ..query() }, stopped)).await, [0, 1, 2]);
}

#[tokio::test]
async fn nothing_is_lost_between_files_that_are_rotated_quickly() {
    const FILES: u32 = 150;
    let dir = Dir::new();
    let (stop, stopped) = running();
    let receiver = stream(dir.log(), LogQuery { follow: true, ..query() }, stopped);
    let (log, rotated) = (dir.log(), (1..=FILES).map(|n| dir.rotated(n)).collect::<Vec<_>>());
    let writer = std::thread::spawn(move || {
        for round in 0..FILES - 1 {
            append(&log, round * 100..round * 100 + 100);
            for pair in rotated.windows(2).rev() {
                if pair[0].exists() {
                    fs::rename(&pair[0], &pair[1]).unwrap();
                }
            }
            fs::rename(&log, &rotated[0]).unwrap();
        }
        stop.send(true).unwrap();
    });
    let got = all(receiver).await;
    writer.join().unwrap();
    assert!(got == (0..(FILES - 1) * 100).collect::<Vec<_>>(), "{} records", got.len());
}
