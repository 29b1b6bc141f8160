//! What follows when a call comes back, above all when it failed. The one place that knows the failure policy of
//! handlers.

use std::mem;
use std::time::Duration;

use tokio::time::Instant;

use super::hold::Held;
use super::job::{Job, Piece, Purpose};
use super::{CallId, Lanes, Leaving, Note, Step};
use crate::decide::backoff::Backoff;
use crate::error::Error;
use crate::event::{Failure, FailureCause, GiveUpReason};
use crate::port::{Failed, Outcome};
use crate::settings::FailurePolicy;

/// What is to become of records that failed.
enum Next {
    Again,
    /// So many of them, from the first, go to the failure destination. The others are tried again.
    Divert(GiveUpReason, usize),
    /// The worker stops, for this limit or for the failure as such.
    Halt(Option<GiveUpReason>),
}

/// How records failed.
struct How {
    cause: FailureCause,
    error: Error,
    /// Whether it counts as an attempt at them.
    counts: bool,
    /// Whether all of a call failed.
    whole: bool,
}

impl Lanes {
    /// A call of the handler came back.
    pub(super) fn handled(
        &mut self,
        mut job: Job,
        mut piece: Piece,
        outcome: Outcome,
        step: &mut Step<'_>,
    ) -> Option<Error> {
        self.has_seen(&piece, &outcome);
        match outcome {
            Outcome::Done => {
                self.process(&piece);
                self.keep_room(piece);
                if let Some(next) = job.pieces.pop_front() {
                    (job.pauses, job.failure) = (None, None);
                    self.go_on(job, next, step.now);
                }
                None
            }
            Outcome::FailedFrom(from, failed) => {
                let rest = piece.split_off(from);
                self.process(&piece);
                let mut how = failed.tried(from == 0);
                // Where batches are cut, this is a cut, at the place that was named.
                how.counts = from == 0 || !self.settings.failure.bisect;
                self.failed(job, rest, how, step)
            }
            Outcome::FailedWithin(places, failed) => {
                let mut at = piece.split_off(places.start);
                self.process(&piece);
                let rest = at.split_off(places.len());
                // With nothing behind, what the job has besides goes on as it is: the other half, with its attempts.
                if !rest.is_empty() {
                    self.put_back(rest, &mut job);
                }
                let mut how = failed.tried(places.start == 0);
                how.counts = places.start == 0 || !self.settings.failure.bisect;
                self.failed(job, at, how, step)
            }
            Outcome::FailedAt(places, failed) => {
                let (done, rest) = piece.pick(&places);
                self.process(&done);
                self.failed(job, rest, failed.tried(done.is_empty()), step)
            }
            Outcome::Stopped(done, failed) => {
                let mut at = piece.split_off(done);
                self.process(&piece);
                let Some(failed) = failed else {
                    if at.attempts > 0 && !at.is_empty() && self.leaving.is_none() {
                        // It was tried before, which must not be forgotten.
                        self.go_on(job, at, step.now);
                    } else {
                        self.put_back(at, &mut job);
                    }
                    return None;
                };
                if done > 0 {
                    at.attempts = 0;
                }
                let rest = at.split_off(1);
                job.pauses = job.pauses.filter(|_| done == 0);
                self.put_back(rest, &mut job);
                self.failed(job, at, failed.tried(false), step)
            }
            Outcome::NotTried(from, failed) => {
                let rest = piece.split_off(from);
                self.process(&piece);
                self.failed(job, rest, failed.not_tried(), step)
            }
            Outcome::Cancelled => {
                self.give_up_on(Some(&piece));
                None
            }
        }
    }

    /// A call goes on with one record alone, behind so many that are done, and gives back the others.
    pub(crate) fn given_back(&mut self, id: CallId, done: usize) {
        let Some(mut job) = self.jobs.remove(&id) else {
            return;
        };
        if let Some(mut piece) = job.pieces.pop_front_if(|piece| done < piece.len()) {
            let mut at = piece.split_off(done);
            let rest = at.split_off(1);
            if done > 0 {
                at.attempts = 0;
            }
            self.process(&piece);
            self.has_seen(&at, &Outcome::Done);
            self.put_back(rest, &mut job);
            job.pieces.push_front(at);
        }
        self.jobs.insert(id, job);
        self.forget_settled();
    }

    /// Notes up to where the handler may have seen records.
    fn has_seen(&mut self, piece: &Piece, outcome: &Outcome) {
        let count = match outcome {
            Outcome::Done
            | Outcome::FailedFrom(..)
            | Outcome::FailedAt(..)
            | Outcome::Cancelled => piece.len(),
            Outcome::FailedWithin(places, _) => places.end,
            Outcome::Stopped(done, failed) => done + usize::from(failed.is_some()),
            Outcome::NotTried(from, _) => *from,
        };
        if let Some(last) = piece.numbers[..count.min(piece.len())].last() {
            self.seen = self.seen.max(last + 1);
        }
    }

    /// The handler said that these are done.
    fn process(&mut self, piece: &Piece) {
        if piece.is_empty() {
            return;
        }
        self.settle(piece);
        self.notes.push(Note::Processed {
            records: piece.len(),
            bytes: piece.payload_bytes(),
        });
    }

    /// Not begun: they wait again, before the others of their keys.
    fn put_back(&mut self, piece: Piece, job: &mut Job) {
        self.put_back_later(job);
        self.put_back_piece(piece);
        self.forget_beyond();
    }

    /// What was to come after the first piece waits again as well.
    fn put_back_later(&mut self, job: &mut Job) {
        for later in mem::take(&mut job.pieces).into_iter().rev() {
            self.put_back_piece(later);
        }
        self.forget_beyond();
    }

    fn put_back_piece(&mut self, piece: Piece) {
        for (number, hash, record) in piece.into_records().into_iter().rev() {
            self.keys.put_back(hash, number, self.weight(&record));
            self.pages.put_back(number, record);
        }
    }

    /// What follows for records that failed.
    fn failed(
        &mut self,
        mut job: Job,
        mut piece: Piece,
        how: How,
        step: &mut Step<'_>,
    ) -> Option<Error> {
        if planted!(SettlesFailedCalls) {
            self.put_back_later(&mut job);
            self.process(&piece);
            return None;
        }
        let failure = Failure::from(&how.error);
        let halves = how.whole && how.counts && self.settings.failure.bisect && piece.len() > 1;
        if how.counts && !halves {
            piece.attempts += 1;
        }
        job.failure = Some((how.cause, failure));
        if let Some(Leaving::Lost) = self.leaving {
            // Whoever has the shard now tries them, so they are not given up, and no reason to stop.
            self.note_failed(&job, &piece, None);
            return None;
        }
        match self.next(&piece, how.counts && !halves, step.now) {
            Next::Again if self.leaving.is_some() => {
                self.note_failed(&job, &piece, None);
                self.give_up_on(Some(&piece));
                None
            }
            Next::Again => {
                let pause = self.pause(&mut job, halves, step.now, step.rng);
                self.note_failed(&job, &piece, Some(pause));
                if halves {
                    let rest = piece.split_off(piece.len().div_ceil(2));
                    job.pieces.push_front(rest);
                } else if piece.len() == 1 {
                    // It stands alone, so what waits behind it need not wait.
                    self.put_back_later(&mut job);
                }
                self.go_on(job, piece, step.now + pause);
                None
            }
            Next::Divert(reason, count) => {
                self.note_failed(&job, &piece, None);
                let young = piece.split_off(count);
                self.note_given_up(&piece, Some(reason));
                self.put_back_later(&mut job);
                if !young.is_empty() && self.leaving.is_some() {
                    self.give_up_on(Some(&young));
                } else if !young.is_empty() {
                    let pause = self.pause(&mut job, false, step.now, step.rng);
                    let id = self.add(Purpose::Handle, young);
                    self.due.insert((step.now + pause, id));
                }
                (job.purpose, job.pauses) = (Purpose::Divert(reason), None);
                self.go_on(job, piece, step.now);
                None
            }
            Next::Halt(reason) => {
                // It is not cut in halves after all.
                piece.attempts += u32::from(halves);
                self.note_failed(&job, &piece, None);
                self.note_given_up(&piece, reason);
                self.give_up_on(Some(&piece));
                Some(stopping(&piece, how.error))
            }
        }
    }

    /// What the policy says.
    fn next(&self, piece: &Piece, counts: bool, now: Instant) -> Next {
        let failure = &self.settings.failure;
        let is_limited = failure.attempts_max.is_some() || failure.age_max.is_some();
        // A call without records is about what is held, which can be given to nobody.
        let attempts_max = failure.attempts_max.filter(|_| counts && !piece.is_empty());
        let old = self.too_old(piece, now);
        let limit = if attempts_max.is_some_and(|max| piece.attempts >= max) {
            Some((GiveUpReason::AttemptsExhausted, piece.len()))
        } else {
            (old > 0).then_some((GiveUpReason::RecordAgeExceeded, old))
        };
        match (failure.policy, limit) {
            (FailurePolicy::StopWorker, Some((reason, _))) => Next::Halt(Some(reason)),
            (FailurePolicy::StopWorker, None) if !is_limited => Next::Halt(None),
            (FailurePolicy::Divert, Some((reason, count))) => Next::Divert(reason, count),
            (FailurePolicy::StopWorker | FailurePolicy::Divert, None)
            | (FailurePolicy::Restart, _) => Next::Again,
        }
    }

    /// How long to wait. Halves are not held up longer than by one failure.
    fn pause(
        &self,
        job: &mut Job,
        halves: bool,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) -> Duration {
        let failure = &self.settings.failure;
        let fresh = || Backoff::new(failure.delay_min, failure.delay_max, now);
        if halves {
            job.pauses = None;
            return fresh().after_failure(now, rng);
        }
        job.pauses.get_or_insert_with(fresh).after_failure(now, rng)
    }

    /// A job goes on with this piece at that time.
    fn go_on(&mut self, mut job: Job, piece: Piece, at: Instant) {
        if let Some(Leaving::Cut | Leaving::Lost) = self.leaving {
            return;
        }
        job.pieces.push_front(piece);
        self.due.insert((at, job.id));
        self.jobs.insert(job.id, job);
    }

    fn note_failed(&mut self, job: &Job, piece: &Piece, retry_in: Option<Duration>) {
        // A call without records is about what is held.
        let first = piece
            .first()
            .or_else(|| self.hold.as_ref().map(Held::first));
        if let (Some(first), Some((cause, error))) = (first, &job.failure) {
            self.notes.push(Note::Failed {
                records: piece.len(),
                first: first.clone(),
                attempts: piece.attempts,
                cause: *cause,
                error: error.clone(),
                retry_in,
            });
        }
    }

    pub(super) fn note_given_up(&mut self, piece: &Piece, reason: Option<GiveUpReason>) {
        if let (Some(first), Some(last)) = (piece.first(), piece.last()) {
            self.notes.push(Note::GivenUp {
                records: piece.len(),
                first: first.clone(),
                last: last.clone(),
                attempts: piece.attempts,
                reason,
            });
        }
    }

    /// A call of the failure destination came back.
    pub(super) fn diverted(
        &mut self,
        mut job: Job,
        piece: Piece,
        outcome: Outcome,
        step: &mut Step<'_>,
    ) {
        let Some(first) = piece.first().cloned() else {
            return;
        };
        let is_taken = matches!(outcome, Outcome::FailedFrom(..)) && planted!(GivesUpUnanswered);
        let outcome = if is_taken { Outcome::Done } else { outcome };
        let error = match outcome {
            Outcome::Done => {
                self.settle(&piece);
                self.seen = piece
                    .numbers
                    .last()
                    .map_or(self.seen, |last| self.seen.max(last + 1));
                self.notes.push(Note::Diverted {
                    records: piece.len(),
                    bytes: piece.payload_bytes(),
                    first,
                });
                return;
            }
            Outcome::FailedFrom(_, failed)
            | Outcome::FailedWithin(_, failed)
            | Outcome::FailedAt(_, failed)
            | Outcome::Stopped(_, Some(failed))
            | Outcome::NotTried(_, failed) => failed.error,
            Outcome::Stopped(_, None) if self.leaving.is_none() => {
                return self.go_on(job, piece, step.now);
            }
            Outcome::Stopped(_, None) | Outcome::Cancelled => return self.give_up_on(Some(&piece)),
        };
        let pause = self
            .leaving
            .is_none()
            .then(|| self.pause(&mut job, false, step.now, step.rng));
        self.notes.push(Note::DestinationFailed {
            records: piece.len(),
            first,
            error: Failure::from(&error),
            retry_in: pause,
        });
        match pause {
            Some(pause) => self.go_on(job, piece, step.now + pause),
            None => self.give_up_on(Some(&piece)),
        }
    }
}

/// Why the worker stops: the failure, and the record at which it is.
fn stopping(piece: &Piece, failure: Error) -> Error {
    let Some(first) = piece.first() else {
        // What is held, and no record, is what failed.
        return failure;
    };
    let attempts = piece.attempts;
    let message = format!("the worker stops at record {first}, attempts at it: {attempts}");
    Error::new(failure.kind(), message).with_source(failure)
}

impl Failed {
    fn tried(self, whole: bool) -> How {
        How {
            cause: self.cause,
            error: self.error,
            counts: true,
            whole,
        }
    }

    fn not_tried(self) -> How {
        How {
            counts: false,
            ..self.tried(false)
        }
    }
}
