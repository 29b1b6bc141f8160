//! Records per second over the last second, and the best second so far.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Fed with running totals a few times a second.
#[derive(Debug)]
pub(crate) struct Rate {
    totals: VecDeque<(Instant, u64)>,
    current: f64,
    best: f64,
}

const WINDOW: Duration = Duration::from_secs(1);

impl Rate {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            totals: VecDeque::from([(now, 0)]),
            current: 0.0,
            best: 0.0,
        }
    }

    pub(crate) fn note(&mut self, now: Instant, total: u64) {
        self.totals.push_back((now, total));
        // The first total that is kept is the last one that is a whole window old.
        while self
            .totals
            .get(1)
            .is_some_and(|(at, _)| now - *at >= WINDOW)
        {
            self.totals.pop_front();
        }
        if let Some((since, before)) = self.totals.front() {
            // Less than a window would make a short burst look like a rate.
            let seconds = (now - *since).max(WINDOW).as_secs_f64();
            self.current = total.saturating_sub(*before) as f64 / seconds;
            self.best = self.best.max(self.current);
        }
    }

    pub(crate) fn current(&self) -> f64 {
        self.current
    }

    pub(crate) fn best(&self) -> f64 {
        self.best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_of_the_last_second_and_the_best_is_kept() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        let at = |tenths: u64| start + Duration::from_millis(100 * tenths);
        for tenths in 1..=10 {
            rate.note(at(tenths), tenths * 50);
        }
        assert_eq!(rate.current().round() as u64, 500);
        for tenths in 11..=30 {
            rate.note(at(tenths), 500);
        }
        assert_eq!(rate.current() as u64, 0);
        assert_eq!(rate.best().round() as u64, 500);
    }
}
