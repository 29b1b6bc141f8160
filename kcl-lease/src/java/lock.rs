//! The lock of the leader, as the DynamoDB lock client has it: when it may be claimed, and how long it is
//! held. Pure.
//!
//! Who leads writes another version with each heartbeat. Nobody's clock is in the row: a lock is over when
//! one who watches it has seen the same version for the whole lease that the row names.

use std::time::Duration;

use tokio::time::Instant;

use super::row::LockRow;

/// A lock that somebody else has, had, or nobody has, as it was last seen.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// The version, and since when it was seen.
    version: Option<(String, Instant)>,
    /// Since when the lock has been free.
    free_since: Option<Instant>,
}

/// On what condition a lock may be claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// That there is no row.
    Absent,
    /// That its owner has given it up.
    Released,
    /// That its version is still this one.
    Expired(String),
}

impl Watch {
    /// Takes in a read: how the lock may be claimed, and since when. `after` is a moment after the reply.
    pub(crate) fn judge(
        &mut self,
        row: Option<&LockRow>,
        after: Instant,
    ) -> Option<(Claim, Instant)> {
        let claim = match row {
            None => Some(Claim::Absent),
            Some(row) if row.is_released => Some(Claim::Released),
            Some(row) => {
                let since = match &self.version {
                    Some((version, since)) if *version == row.version => *since,
                    Some(_) | None => after,
                };
                self.version = Some((row.version.clone(), since));
                let is_over = after.duration_since(since) > row.lease;
                is_over.then(|| Claim::Expired(row.version.clone()))
            }
        };
        if claim.is_none() {
            self.free_since = None;
        }
        claim.map(|claim| (claim, *self.free_since.get_or_insert(after)))
    }
}

/// A lock that this worker holds.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// What the row says for certain.
    pub(crate) version: String,
    /// What it will say after the heartbeat that is under way, and when its first copy was sent.
    pub(crate) next: Option<(String, Instant)>,
    /// Until when this worker may act as the leader.
    pub(crate) until: Instant,
    /// When the next heartbeat is due.
    pub(crate) due: Instant,
}

impl Held {
    /// The lock as a write that was sent at `sent` left it.
    pub(crate) fn new(
        version: String,
        sent: Instant,
        (lease, heartbeat): (Duration, Duration),
    ) -> Self {
        Self {
            version,
            next: None,
            until: sent + (lease - lease / 20),
            due: sent + heartbeat,
        }
    }

    /// Whether this worker may act as the leader.
    pub(crate) fn leads(&self, now: Instant) -> bool {
        now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(9);

    fn row(version: &str, is_released: bool) -> LockRow {
        LockRow {
            owner: "other".to_owned(),
            version: version.to_owned(),
            lease: LEASE,
            is_released,
        }
    }

    #[test]
    fn a_lock_is_free_when_there_is_none_or_it_is_given_up_or_stands_still() {
        let free = |claim, since| Some((claim, since));
        let expired = |version: &str| Claim::Expired(version.to_owned());
        let (one, two, released) = (row("1", false), row("2", false), row("1", true));
        // What is seen at which second, and how it can be claimed, since which second.
        type Step<'a> = (u64, Option<&'a LockRow>, Option<(Claim, u64)>);
        let runs: [&[Step<'_>]; 4] = [
            &[
                (0, None, free(Claim::Absent, 0)),
                (5, None, free(Claim::Absent, 0)),
            ],
            &[
                (0, Some(&one), None),
                (9, Some(&one), None),
                (10, Some(&one), free(expired("1"), 10)),
                (16, Some(&one), free(expired("1"), 10)),
                (17, Some(&two), None),
            ],
            &[
                (0, Some(&one), None),
                (8, Some(&two), None),
                (16, Some(&two), None),
                (24, Some(&one), None),
            ],
            &[
                (0, Some(&released), free(Claim::Released, 0)),
                (3, Some(&two), None),
                (6, Some(&released), free(Claim::Released, 6)),
                (12, None, free(Claim::Absent, 6)),
            ],
        ];
        let start = Instant::now();
        for run in runs {
            let mut watch = Watch::default();
            for (second, row, wanted) in run {
                let now = start + Duration::from_secs(*second);
                let judged = watch.judge(*row, now);
                let judged = judged.map(|(claim, since)| (claim, (since - start).as_secs()));
                assert_eq!(judged, *wanted, "{run:?} at {second}");
            }
        }
    }

    #[test]
    fn who_leads_stops_before_others_may_claim() {
        let sent = Instant::now();
        let held = Held::new("1".to_owned(), sent, (LEASE, LEASE / 3));
        assert!(held.leads(sent + LEASE - LEASE / 10));
        assert!(!held.leads(sent + LEASE - LEASE / 20));
    }
}
