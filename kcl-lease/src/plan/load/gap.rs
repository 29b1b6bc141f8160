//! How far two workers are apart, and which loads close that. Pure arithmetic.

use super::Member;

/// Enough has moved when two are within so much of the threshold: noise does not bring them back.
pub(super) const WELL_WITHIN: f64 = 0.5;
/// The same where leases are too large to choose.
const WITHIN: f64 = 0.85;
/// By how much of the threshold one may be off on the other side after a move.
const OVERSHOOT: f64 = 0.6;

/// How far two workers are off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    /// How far the giver is above its fair load, and the taker above its own, for the capacity of each.
    above: f64,
    below: f64,
    giver: f64,
    taker: f64,
    /// How far anybody may be off.
    bound: f64,
}

impl Gap {
    pub(super) fn between(giver: &Member<'_>, taker: &Member<'_>, bound: f64) -> Self {
        Self {
            above: giver.off(),
            below: taker.off(),
            giver: giver.capacity,
            taker: taker.capacity,
            bound,
        }
    }

    /// The load whose move leaves both off by the same.
    pub(super) fn even(&self) -> f64 {
        (self.above - self.below) / (1.0 / self.giver + 1.0 / self.taker)
    }

    /// The largest load that overshoots for neither by more than a part of what it may be off.
    pub(super) fn need(&self) -> f64 {
        let slack = self.bound * OVERSHOOT;
        self.even()
            .min((self.above + slack) * self.giver)
            .min((slack - self.below) * self.taker)
    }

    /// The least that is worth a move.
    pub(super) fn least(&self) -> f64 {
        self.bound / 4.0 * self.giver.min(self.taker)
    }

    /// The least that two leases for each other must gain: enough to be within the threshold, or half of what lies
    /// between the two. Where leases are few and large, two workers stay apart for good, and noise must not move them.
    pub(super) fn worth(&self) -> f64 {
        let within = self.bound * WITHIN;
        let cure = ((self.above - within) * self.giver).max((-within - self.below) * self.taker);
        let capacity = self.giver.min(self.taker);
        cure.min(self.even() / 2.0).max(self.bound / 2.0 * capacity)
    }

    /// How far the two are off when so much has moved.
    fn after(&self, load: f64) -> (f64, f64) {
        let (giver, taker) = (load / self.giver, load / self.taker);
        (self.above - giver, self.below + taker)
    }

    /// Whether that leaves both within a part of the threshold.
    pub(super) fn is_closed_by(&self, load: f64, part: f64) -> bool {
        let (giver, taker) = self.after(load);
        giver.abs().max(taker.abs()) <= part * self.bound
    }

    /// Whether the worse of the two is then better off by so much.
    fn is_better_by(&self, load: f64, margin: f64) -> bool {
        let (giver, taker) = self.after(load);
        taker <= self.above - margin && giver >= self.below + margin
    }

    /// Whether a load that overshoots leaves both within the threshold, and clearly better.
    pub(super) fn is_well_closed_by(&self, load: f64) -> bool {
        self.is_closed_by(load, WITHIN) && self.is_better_by(load, 0.75 * self.bound)
    }

    /// Whether a load that is too large for the gap makes it better all the same.
    pub(super) fn is_far_better_by(&self, load: f64) -> bool {
        self.is_better_by(load, 1.5 * self.bound)
    }
}
