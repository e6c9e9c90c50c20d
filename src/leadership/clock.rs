//! The time for which the machine was suspended. tokio's clock, `CLOCK_MONOTONIC`, stops during suspension. The Lease does not,
//! and other candidates take it.

use std::time::Duration;

use tokio::time::Instant;

/// The limit below which a difference between two clocks is no suspension.
const SUSPENSION: Duration = Duration::from_secs(1);

/// Returns the total time of suspension since the start of the machine.
pub(super) type Suspended = fn() -> Duration;

/// A moment, with the total time of suspension until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The moment by tokio's clock.
    pub at: Instant,
    pub(super) suspended: Duration,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self { at: Instant::now(), suspended: suspended() }
    }

    /// The moment, by tokio's clock, at which this time has passed, suspension included.
    pub(super) fn after(self, time: Duration, suspended: Suspended) -> Instant {
        let slept = suspended().saturating_sub(self.suspended);
        let time = if slept < SUSPENSION { time } else { time.saturating_sub(slept) };
        self.at + time
    }
}

/// Reads `CLOCK_BOOTTIME`, which counts suspension. Only Linux has that clock: on other systems the time of suspension is zero.
pub(super) fn suspended() -> Duration {
    #[cfg(target_os = "linux")]
    {
        use rustix::time::{ClockId, Timespec, clock_gettime};
        let read = |clock| {
            let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
            Duration::new(u64::try_from(tv_sec).unwrap_or_default(), u32::try_from(tv_nsec).unwrap_or_default())
        };
        let monotonic = read(ClockId::Monotonic);
        read(ClockId::Boottime).saturating_sub(monotonic)
    }
    #[cfg(not(target_os = "linux"))]
    {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_runs_is_not_seen_to_be_suspended() {
        let before = suspended();
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        assert!(suspended().abs_diff(before) < SUSPENSION);
    }

    #[test]
    fn what_the_machine_slept_counts_and_what_lies_between_two_readings_does_not() {
        let moment = Moment { at: Instant::now(), suspended: Duration::from_secs(100) };
        let after = |suspended| moment.after(Duration::from_secs(25), suspended) - moment.at;
        assert_eq!(after(|| Duration::from_secs(100)), Duration::from_secs(25));
        assert_eq!(after(|| Duration::from_millis(100_900)), Duration::from_secs(25));
        assert_eq!(after(|| Duration::from_secs(110)), Duration::from_secs(15));
        assert_eq!(after(|| Duration::from_hours(1)), Duration::ZERO);
    }
}
