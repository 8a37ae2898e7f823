//! Restart policies. Pure: whether to start again, and after how long.

use super::Restart;
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
/// A run this long is no flap: the delay starts over.
const STEADY: Duration = Duration::from_secs(10);

/// How a run ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) exit_code: i32,
    /// A user asked for it.
    pub(crate) by_user: bool,
    /// Zero for a start that failed.
    pub(crate) ran: Duration,
    /// Automatic restarts so far.
    pub(crate) restarts: u32,
}

/// The delay before the next start, or `None` to stay down. `last` is the previous delay.
pub(crate) fn next(policy: Restart, ended: Ended, last: Option<Duration>) -> Option<Duration> {
    let again = !ended.by_user
        && match policy {
            Restart::No => false,
            Restart::Always | Restart::UnlessStopped => true,
            Restart::OnFailure { max } => {
                ended.exit_code != 0 && (max <= 0 || i64::from(ended.restarts) < max)
            }
        };
    again.then(|| match last {
        Some(last) if ended.ran < STEADY => last.saturating_mul(2).min(LONGEST),
        _ => FIRST,
    })
}

/// Whether a container that does not run comes up with the daemon. `on-failure` does after a failure (also one that a crash of the machine made).
pub(crate) fn at_boot(
    policy: Restart,
    started_before: bool,
    exit_code: i32,
    by_user: bool,
    restarts: u32,
) -> bool {
    started_before
        && match policy {
            Restart::No => false,
            Restart::Always => true,
            Restart::UnlessStopped => !by_user,
            Restart::OnFailure { max } => {
                !by_user && exit_code != 0 && (max <= 0 || i64::from(restarts) < max)
            }
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: i32, seconds: u64, restarts: u32) -> Ended {
        Ended { exit_code: code, by_user: false, ran: Duration::from_secs(seconds), restarts }
    }

    #[test]
    fn delays_double_to_a_minute_and_start_over_after_a_steady_run() {
        let mut last = None;
        let mut seen = Vec::new();
        for _ in 0..12 {
            last = next(Restart::Always, ended(1, 0, 0), last);
            seen.push(last.unwrap().as_millis());
        }
        assert_eq!(seen, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
        assert_eq!(next(Restart::Always, ended(1, 9, 0), last), Some(LONGEST));
        assert_eq!(next(Restart::Always, ended(1, 11, 0), last), Some(FIRST));
    }

    #[test]
    fn policies() {
        assert!(next(Restart::No, ended(1, 0, 0), None).is_none());
        assert!(next(Restart::OnFailure { max: 0 }, ended(0, 0, 0), None).is_none());
        assert!(next(Restart::OnFailure { max: 2 }, ended(1, 0, 1), None).is_some());
        assert!(next(Restart::OnFailure { max: 2 }, ended(1, 0, 2), None).is_none());
        assert!(next(Restart::Always, Ended { by_user: true, ..ended(1, 0, 0) }, None).is_none());
        assert!(at_boot(Restart::Always, true, 0, true, 0));
        assert!(!at_boot(Restart::Always, false, 0, false, 0));
        assert!(!at_boot(Restart::UnlessStopped, true, 0, true, 0));
        assert!(at_boot(Restart::OnFailure { max: 0 }, true, 137, false, 0));
    }
}
