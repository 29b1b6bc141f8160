//! Mistakes that can be planted in this library, to prove that the simulation finds them.
//!
//! Each is one that a consumer library was seen to make, or could. None is compiled in without the feature
//! `planted-bugs`, and with it none is made before `plant` asks for it, in its own thread. Called by the program
//! `bugs` of the tests.

/// Whether a mistake is to be made here. Always `false` without the feature `planted-bugs`.
#[cfg(feature = "planted-bugs")]
#[macro_export]
#[doc(hidden)]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::is_planted($crate::planted::Bug::$bug)
    };
}

/// Whether a mistake is to be made here. Always `false` without the feature `planted-bugs`.
#[cfg(not(feature = "planted-bugs"))]
#[macro_export]
#[doc(hidden)]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

#[cfg(feature = "planted-bugs")]
pub use self::bug::{Bug, is_planted, plant};

#[cfg(feature = "planted-bugs")]
mod bug {
    use std::cell::Cell;

    /// A mistake, and where it was seen if it was.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Bug {
        /// A checkpoint covers what was handed to the processor, done or not (Pulsar #8192).
        CommitsBeforeProcessing,
        /// A processor that starts again after a failure goes on behind what it failed at (KCL before 2.1.2).
        SkipsFailedBatch,
        /// A call that failed counts as done.
        AcknowledgesFailure,
        /// A processor that failed is called again.
        KeepsFailedProcessor,
        /// The records that come with the end of a shard are thrown away (kinesumer #26).
        DropsLastBatch,
        /// A shard whose last page is empty never ends (zio-kinesis #902, KCL #1319).
        WaitsForRecordsToEnd,
        /// A shard that was read to its end is given back, and its end is never written (vmware-go-kcl #72).
        ForgetsToFinish,
        /// A hand-over is not heard, and the shard stays (KCL #1743).
        IgnoresHandOver,
        /// Calls start although the grant is not proven any more.
        CallsUnproven,
        /// A shard is given back without the last checkpoint.
        LeavesWithoutCommit,
        /// The record at the checkpoint comes again after a takeover.
        RepeatsCheckpointRecord,
        /// The record after the checkpoint is taken for done after a takeover.
        SkipsOneMore,
        /// An expired iterator is replaced by one at the checkpoint, not behind what was read since.
        ReopensAtStart,
        /// An expired iterator is replaced by one at the end of the shard (Redpanda Connect #735).
        ReopensAtLatest,
        /// An iterator that has expired is tried for ever.
        KeepsExpiredIterator,
        /// An empty page at the tip passes for the end of the shard (KCL 2.2.5).
        EndsOnEmptyPage,
        /// Life counts from the answer to a renewal, not from before it was sent (KCL).
        StampsRenewalAfterReply,
        /// A renewal that is refused passes for done: a worker that was declared dead goes on.
        IgnoresRefusedRenewal,
        /// What was held in a past life stays held in the next.
        KeepsGrantsOfPastLife,
        /// Grants are not told of new proofs of life, so nothing is read after the first.
        NeverProlongs,
        /// A worker counts as dead after half its lease time.
        ExpiresEarly,
        /// Nobody ever counts as dead (KCL #136).
        NeverExpires,
        /// A worker is declared dead whatever its row says by then.
        EvictsTheLiving,
        /// A lease is taken whatever its row says by then (vmware-go-kcl #100).
        TakesWithoutFence,
        /// A checkpoint is written whoever holds the lease by then (KCL #380).
        CommitsWithoutFence,
        /// A checkpoint is written whatever was durable by then: a late copy goes back.
        CommitsWithoutLast,
        /// The end of a shard is written whoever holds the lease by then.
        FinishesWithoutFence,
        /// A lease is given back whoever holds it by then (KCL #1718).
        ReleasesWithoutFence,
        /// LATEST is another time for each worker that asks.
        ForgetsStart,
        /// Giving a lease back starts its shard anew (vmware-go-kcl #29).
        ReleaseErasesCheckpoint,
        /// A lease that is taken from the dead starts its shard anew.
        TakeErasesCheckpoint,
        /// A checkpoint that got no answer passes for durable (KCL #1354).
        TakesDoubtForDone,
        /// A checkpoint that was refused passes for durable.
        TakesRefusalForDone,
        /// A shard is finished before its children have a lease.
        FinishesWithoutChildren,
        /// One finished parent of a merge is enough for the child to start.
        ReadsChildOfOneParent,
        /// A dead worker's lease is taken before its row is gone.
        TakesBeforeEviction,
        /// A parent that is in no read passes for finished (KCL #150).
        TrustsOldParents,
        /// The others are never told to look.
        NeverRings,
        /// A watch whose keeper is gone is left alone.
        NeverClaimsWatch,
        /// A worker that has more than its share keeps it.
        GivesNothingUp,
        /// A worker gives up one more than its share, again and again (KCL: ping-pong).
        GivesTooMuchUp,
        /// A child starts at the initial position, not at its first record (akka-streams-kinesis #11).
        StartsChildrenAnywhere,
        /// Shards that are closed get no lease, read or not (bento #643, Redpanda Connect #2649).
        SkipsClosedShards,
        /// Finished leases go while the stream still has their shards, and come back (KCL #511, #572).
        CleansUpEarly,
        /// Finished leases stay for ever.
        NeverCleansUp,
        /// A lease table that is gone is made anew by whoever misses it.
        MakesLostTable,
        /// A lease that somebody deleted is made anew without a word.
        HidesVanishedLeases,
        /// Records that were dropped unread are passed over without a word.
        HidesTrimmedRecords,
        /// A shard counts as forgotten if one list does not have it.
        TrustsOldLists,
        /// A failed call is tried again at once, for ever.
        StormsOnFailure,
        /// A task of a worker outlives it.
        LeavesTaskBehind,
        /// A worker that stops in order does not say so.
        LeavesRowBehind,
        /// Records of a handler's call that failed count as processed.
        SettlesFailedCalls,
        /// Records of one key go into several calls at once.
        SplitsKeys,
        /// A call goes to any lane that is free, where each key has its own.
        ForgetsLanes,
        /// Records count as given up whatever the failure destination answers.
        GivesUpUnanswered,
        /// A checkpoint moves over records of a window that is open.
        CommitsOpenWindows,
    }

    impl Bug {
        /// All of them.
        pub const ALL: &[Self] = &[
            Self::CommitsBeforeProcessing,
            Self::SkipsFailedBatch,
            Self::AcknowledgesFailure,
            Self::KeepsFailedProcessor,
            Self::DropsLastBatch,
            Self::WaitsForRecordsToEnd,
            Self::ForgetsToFinish,
            Self::IgnoresHandOver,
            Self::CallsUnproven,
            Self::LeavesWithoutCommit,
            Self::RepeatsCheckpointRecord,
            Self::SkipsOneMore,
            Self::ReopensAtStart,
            Self::ReopensAtLatest,
            Self::KeepsExpiredIterator,
            Self::EndsOnEmptyPage,
            Self::StampsRenewalAfterReply,
            Self::IgnoresRefusedRenewal,
            Self::KeepsGrantsOfPastLife,
            Self::NeverProlongs,
            Self::ExpiresEarly,
            Self::NeverExpires,
            Self::EvictsTheLiving,
            Self::TakesWithoutFence,
            Self::CommitsWithoutFence,
            Self::CommitsWithoutLast,
            Self::FinishesWithoutFence,
            Self::ReleasesWithoutFence,
            Self::ForgetsStart,
            Self::ReleaseErasesCheckpoint,
            Self::TakeErasesCheckpoint,
            Self::TakesDoubtForDone,
            Self::TakesRefusalForDone,
            Self::FinishesWithoutChildren,
            Self::ReadsChildOfOneParent,
            Self::TakesBeforeEviction,
            Self::TrustsOldParents,
            Self::NeverRings,
            Self::NeverClaimsWatch,
            Self::GivesNothingUp,
            Self::GivesTooMuchUp,
            Self::StartsChildrenAnywhere,
            Self::SkipsClosedShards,
            Self::CleansUpEarly,
            Self::NeverCleansUp,
            Self::MakesLostTable,
            Self::HidesVanishedLeases,
            Self::HidesTrimmedRecords,
            Self::TrustsOldLists,
            Self::StormsOnFailure,
            Self::LeavesTaskBehind,
            Self::LeavesRowBehind,
            Self::SettlesFailedCalls,
            Self::SplitsKeys,
            Self::ForgetsLanes,
            Self::GivesUpUnanswered,
            Self::CommitsOpenWindows,
        ];
    }

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Makes this mistake in this thread from now on, or none.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    /// Whether this mistake is to be made.
    #[must_use]
    pub fn is_planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}
