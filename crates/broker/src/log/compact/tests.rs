use super::*;

fn seen(sizes: &[u64]) -> Vec<Seen> {
    (0..)
        .zip(sizes)
        .map(|(at, &size)| Seen { base: at * 10, next: at * 10 + 10, size, max_timestamp: at * 100 })
        .collect()
}

#[test]
fn it_is_worth_it_when_enough_is_new_or_too_old() {
    let config = Config { compact: true, ..Config::default() };
    let segments = seen(&[100, 100, 100, 100]);
    assert_eq!(plan(&segments, 0, 100, &config, 1000), 4);
    assert_eq!(plan(&segments, 20, 100, &config, 1000), 4, "half of it");
    assert_eq!(plan(&segments, 30, 100, &config, 1000), 0, "a quarter");
    assert_eq!(plan(&segments, 0, 25, &config, 1000), 2, "an open transaction");
    assert_eq!(plan(&segments, 40, 100, &config, 1000), 0);
    let lag = Config { min_compaction_lag_ms: 850, ..config.clone() };
    assert_eq!(plan(&segments, 0, 100, &lag, 1000), 2, "the others are too young");
    let late = Config { max_compaction_lag_ms: 600, ..config };
    assert_eq!(plan(&segments, 30, 100, &late, 1000), 4);
}

#[test]
fn small_neighbours_become_one() {
    let config = Config { segment_bytes: 250, ..Config::default() };
    assert_eq!(groups(&seen(&[100, 100, 100, 300, 10, 10]), &config), [0..2, 2..3, 3..4, 4..6]);
}
