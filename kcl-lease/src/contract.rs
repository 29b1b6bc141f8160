//! The contract that every [`LeaseStore`] must pass: what each condition means, as calls and
//! answers. Run for the memory store and for DynamoDB; run it for a store of your own, too.
//!
//! ```
//! # async fn example() {
//! kcl_lease::contract::lease_store(async || kcl_lease::MemoryTable::new()).await;
//! # }
//! ```

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::{Duration, SystemTime};

use kcl_core::model::{
    Checkpoint, Epoch, HashKeyRange, PendingCheckpoint, SequenceNumber, Shard, ShardId, StreamName,
    WorkerId,
};

use crate::row::{
    Capacity, Fence, InReturn, Incarnation, LeaseRow, Moved, Parting, Progress, Row, StartRow,
    StreamSet, WatchRow, WorkerKey, WorkerRow,
};
use crate::store::{Freshness, LeaseStore, Outcome, StoreError, Take};

/// Checks a store. `fresh` makes one with an empty table.
///
/// # Panics
/// If the store breaks the contract, with what it did.
pub async fn lease_store<S: LeaseStore>(fresh: impl AsyncFn() -> S) {
    let ready = async || {
        let store = fresh().await;
        ok(store.ensure_table().await);
        ok(store.ensure_table().await);
        store
    };
    rows_come_back_as_they_were_written(&ready().await).await;
    a_lease_is_created_once(&ready().await).await;
    a_lease_is_taken_only_as_it_was_seen(&ready().await).await;
    a_commit_needs_the_fence_and_the_checkpoint_before(&ready().await).await;
    an_announcement_follows_on_the_one_before(&ready().await).await;
    what_is_announced_outlives_its_holder_and_not_its_checkpoint(&ready().await).await;
    a_release_ends_the_grant(&ready().await).await;
    what_is_known_of_a_load_goes_with_the_lease(&ready().await).await;
    a_finished_shard_is_final(&ready().await).await;
    only_finished_rows_are_removed(&ready().await).await;
    life_is_proven_in_steps_of_one(&ready().await).await;
    an_eviction_needs_a_row_that_stands_still(&ready().await).await;
    the_start_is_fixed_once(&ready().await).await;
    shards_of_one_name_in_two_streams_have_two_rows(&ready().await).await;
    a_worker_says_which_streams_it_reads(&ready().await).await;
    the_watch_changes_hands_as_it_was_seen(&ready().await).await;
    a_scan_brings_every_row(&ready().await).await;
}

fn ok<T>(result: Result<T, StoreError>) -> T {
    result.expect("the store answers")
}

#[track_caller]
fn applied<R: Debug, D: Debug>(result: Result<Outcome<R, D>, StoreError>) -> D {
    match ok(result) {
        Outcome::Applied(done) => done,
        Outcome::Refused(row) => panic!("refused although the condition holds: {row:?}"),
    }
}

#[track_caller]
fn refused<R: Debug, D: Debug>(result: Result<Outcome<R, D>, StoreError>) -> Option<R> {
    match ok(result) {
        Outcome::Refused(row) => row,
        Outcome::Applied(done) => panic!("applied although the condition is false: {done:?}"),
    }
}

fn shard(name: &str, parents: &[&str]) -> Shard {
    Shard {
        id: name.into(),
        parents: parents.iter().map(ShardId::new).collect(),
        range: HashKeyRange {
            start: 0,
            end: u128::MAX,
        },
        open: true,
    }
}

fn worker(name: &str, seed: u64) -> WorkerKey {
    WorkerKey {
        worker: WorkerId::new(name).expect("a valid name"),
        incarnation: Incarnation::random(&mut fastrand::Rng::with_seed(seed)),
    }
}

fn worker_row(key: WorkerKey) -> WorkerRow {
    WorkerRow {
        key,
        counter: 0,
        leaving: false,
        lease_time: Duration::from_secs(10),
        leases_max: None,
        capacity: Some(Capacity::new(2.5)),
        load: Some(0),
        serves: None,
    }
}

fn at(number: &str, subsequence: u64) -> Checkpoint {
    let sequence = SequenceNumber::new(number).expect("a valid number");
    Checkpoint::Sequence {
        sequence,
        subsequence,
    }
}

fn ids(names: &[&str]) -> BTreeSet<ShardId> {
    names.iter().map(ShardId::new).collect()
}

fn take_of(row: &LeaseRow, to: &WorkerKey) -> Take {
    Take {
        shard: row.shard.clone(),
        counter: row.counter,
        owner: row.owner.clone(),
        to: to.clone(),
    }
}

/// A lease created and taken: the row, and the fence of the grant.
async fn taken<S: LeaseStore>(store: &S, name: &str, by: &WorkerKey) -> (LeaseRow, Fence) {
    let row = LeaseRow::fresh(&shard(name, &[]), Checkpoint::TrimHorizon);
    applied(store.create_lease(&row).await);
    let row = applied(store.take(&take_of(&row, by)).await);
    let fence = Fence {
        shard: row.shard.clone(),
        holder: by.clone(),
        epoch: Epoch::new(row.counter),
    };
    (row, fence)
}

async fn lease<S: LeaseStore>(store: &S, name: &str) -> LeaseRow {
    ok(store.read_lease(&name.into()).await).expect("the row is there")
}

async fn rows_come_back_as_they_were_written<S: LeaseStore>(store: &S) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    let mut rows = Vec::new();
    for (name, checkpoint) in [
        ("s-1", Checkpoint::TrimHorizon),
        ("s-2", Checkpoint::Latest),
        ("s-3", Checkpoint::AtTimestamp(time)),
        (
            "s-4",
            at(
                "49590338271490256608559692538361571095921575989136588898",
                7,
            ),
        ),
        ("s-5", Checkpoint::ShardEnd),
    ] {
        let mut row = LeaseRow::fresh(&shard(name, &["p-1", "p-2"]), checkpoint);
        row.owner = Some(worker("w/1", 1).into());
        row.counter = 41;
        row.switches = 3;
        row.children = ids(&["c-1"]);
        applied(store.create_lease(&row).await);
        assert_eq!(lease(store, name).await, row, "read back");
        rows.push(row);
    }
    let mut bare = LeaseRow::fresh(&shard("s-6", &[]), Checkpoint::TrimHorizon);
    bare.range = None;
    applied(store.create_lease(&bare).await);
    assert_eq!(
        lease(store, "s-6").await,
        bare,
        "without what may be absent"
    );
    assert_eq!(ok(store.read_lease(&"nowhere".into()).await), None);
}

async fn a_lease_is_created_once<S: LeaseStore>(store: &S) {
    let row = LeaseRow::fresh(&shard("s-1", &[]), Checkpoint::TrimHorizon);
    applied(store.create_lease(&row).await);
    let other = LeaseRow::fresh(&shard("s-1", &[]), Checkpoint::Latest);
    assert_eq!(refused(store.create_lease(&other).await), Some(row));
}

async fn a_lease_is_taken_only_as_it_was_seen<S: LeaseStore>(store: &S) {
    let (a, b) = (worker("a", 1), worker("b", 2));
    let row = LeaseRow::fresh(&shard("s-1", &[]), Checkpoint::TrimHorizon);
    let unborn = take_of(&row, &a);
    assert_eq!(refused(store.take(&unborn).await), None, "no row");

    applied(store.create_lease(&row).await);
    let mine = applied(store.take(&unborn).await);
    assert_eq!(mine.counter, 1, "the epoch is the counter plus one");
    assert!(mine.is_held_by(&a), "{mine:?}");
    assert_eq!(mine.switches, 1);

    let late_copy = refused(store.take(&unborn).await);
    assert_eq!(
        late_copy,
        Some(mine.clone()),
        "a copy is refused and shows our own row"
    );
    let free = Take {
        owner: None,
        ..take_of(&mine, &b)
    };
    assert_eq!(
        refused(store.take(&free).await),
        Some(mine.clone()),
        "it is not free"
    );
    let other_life = Take {
        owner: Some(worker("a", 9).into()),
        ..take_of(&mine, &b)
    };
    assert_eq!(
        refused(store.take(&other_life).await),
        Some(mine.clone()),
        "another life"
    );

    let theirs = applied(store.take(&take_of(&mine, &b)).await);
    assert_eq!((theirs.counter, theirs.is_held_by(&b)), (2, true));
}

async fn a_commit_needs_the_fence_and_the_checkpoint_before<S: LeaseStore>(store: &S) {
    let (a, b) = (worker("a", 1), worker("b", 2));
    let (row, fence) = taken(store, "s-1", &a).await;
    let start = Checkpoint::TrimHorizon;
    applied(store.commit(&fence, &start, &at("5", 0), None).await);
    applied(store.commit(&fence, &at("5", 0), &at("5", 2), None).await);
    let after = lease(store, "s-1").await;
    assert_eq!(
        (&after.checkpoint, after.counter, after.switches),
        (&at("5", 2), row.counter, 0)
    );

    for from in [start, at("5", 0), at("5", 1), at("4", 2)] {
        let image = refused(store.commit(&fence, &from, &at("9", 0), None).await);
        assert_eq!(
            image,
            Some(after.clone()),
            "a late copy that follows on {from}"
        );
    }
    let wrong_epoch = Fence {
        epoch: fence.epoch.next(),
        ..fence.clone()
    };
    let wrong_life = Fence {
        holder: worker("a", 9),
        ..fence.clone()
    };
    let wrong_shard = Fence {
        shard: "s-2".into(),
        ..fence.clone()
    };
    for wrong in [&wrong_epoch, &wrong_life] {
        assert!(refused(store.commit(wrong, &at("5", 2), &at("9", 0), None).await).is_some());
    }
    assert_eq!(
        refused(
            store
                .commit(&wrong_shard, &at("5", 2), &at("9", 0), None)
                .await
        ),
        None
    );

    applied(store.take(&take_of(&after, &b)).await);
    let image = refused(store.commit(&fence, &at("5", 2), &at("9", 0), None).await);
    assert!(
        image.is_some_and(|row| row.is_held_by(&b)),
        "a zombie cannot write"
    );
}

fn progress(checkpoint: &Checkpoint, pending: Option<PendingCheckpoint>) -> Progress {
    Progress {
        checkpoint: checkpoint.clone(),
        pending,
    }
}

fn pending(checkpoint: Checkpoint, state: Option<&'static [u8]>) -> PendingCheckpoint {
    let state = state.map(Into::into);
    PendingCheckpoint { checkpoint, state }
}

async fn an_announcement_follows_on_the_one_before<S: LeaseStore>(store: &S) {
    let (a, b) = (worker("a", 1), worker("b", 2));
    let (_, fence) = taken(store, "s-1", &a).await;
    let start = Checkpoint::TrimHorizon;
    let none = progress(&start, None);
    let one = progress(&start, Some(pending(at("5", 2), Some(b"state"))));
    let other = progress(&start, Some(pending(at("5", 2), None)));
    let end = progress(&start, Some(pending(Checkpoint::ShardEnd, None)));
    applied(store.prepare(&fence, &none, &one).await);
    let row = lease(store, "s-1").await;
    assert_eq!((row.progress(), row.switches), (one.clone(), 1));

    for from in [&none, &other, &end] {
        let image = refused(store.prepare(&fence, from, &end).await);
        assert_eq!(
            image,
            Some(row.clone()),
            "a late copy that follows on {from:?}"
        );
    }
    let elsewhere = progress(&at("1", 0), one.pending.clone());
    assert_eq!(
        refused(store.prepare(&fence, &elsewhere, &end).await),
        Some(row.clone()),
        "the checkpoint is another"
    );
    applied(store.prepare(&fence, &one, &other).await);
    assert_eq!(
        lease(store, "s-1").await.progress(),
        other,
        "the state is gone"
    );
    applied(store.prepare(&fence, &other, &end).await);
    assert_eq!(lease(store, "s-1").await.progress(), end);
    applied(store.prepare(&fence, &end, &none).await);
    let row = lease(store, "s-1").await;
    assert_eq!(row.progress(), none);

    applied(store.take(&take_of(&row, &b)).await);
    let image = refused(store.prepare(&fence, &none, &one).await);
    assert!(
        image.is_some_and(|row| row.is_held_by(&b)),
        "a zombie cannot announce"
    );
    let nowhere = Fence {
        shard: "s-2".into(),
        ..fence
    };
    assert_eq!(refused(store.prepare(&nowhere, &none, &one).await), None);
}

async fn what_is_announced_outlives_its_holder_and_not_its_checkpoint<S: LeaseStore>(store: &S) {
    let (a, b) = (worker("a", 1), worker("b", 2));
    let (_, fence) = taken(store, "s-1", &a).await;
    let none = progress(&Checkpoint::TrimHorizon, None);
    let announced = Some(pending(at("9", 0), Some(b"state")));
    let one = progress(&none.checkpoint, announced.clone());
    applied(store.prepare(&fence, &none, &one).await);
    applied(store.release(&fence, &Parting::default()).await);
    let free = lease(store, "s-1").await;
    assert_eq!(free.pending, announced, "a release leaves it");
    let row = applied(store.take(&take_of(&free, &b)).await);
    assert_eq!(row.pending, announced, "whoever takes the lease is told");
    let scan = ok(store.scan(Freshness::Consistent).await);
    assert_eq!(scan, [Row::Lease(row.clone())]);

    let fence = Fence {
        shard: row.shard.clone(),
        holder: b.clone(),
        epoch: Epoch::new(row.counter),
    };
    let next = progress(&at("7", 1), announced);
    applied(store.prepare(&fence, &one, &next).await);
    let row = lease(store, "s-1").await;
    assert_eq!(
        (row.progress(), row.switches),
        (next.clone(), 0),
        "a checkpoint before it leaves it"
    );
    applied(
        store
            .commit(&fence, &next.checkpoint, &at("9", 0), None)
            .await,
    );
    let made = progress(&at("9", 0), None);
    assert_eq!(lease(store, "s-1").await.progress(), made);

    let end = progress(&made.checkpoint, Some(pending(Checkpoint::ShardEnd, None)));
    applied(store.prepare(&fence, &made, &end).await);
    let none = BTreeSet::new();
    applied(store.finish(&fence, &made.checkpoint, &none).await);
    assert_eq!(lease(store, "s-1").await.pending, None);
}

async fn a_release_ends_the_grant<S: LeaseStore>(store: &S) {
    let a = worker("a", 1);
    let (_, fence) = taken(store, "s-1", &a).await;
    applied(
        store
            .commit(&fence, &Checkpoint::TrimHorizon, &at("5", 0), None)
            .await,
    );
    applied(store.release(&fence, &Parting::default()).await);
    let free = lease(store, "s-1").await;
    assert_eq!((free.owner.clone(), free.counter), (None, 2));
    assert_eq!(free.checkpoint, at("5", 0), "progress survives");
    assert_eq!(
        refused(store.release(&fence, &Parting::default()).await),
        Some(free.clone())
    );
    let late = store.commit(&fence, &at("5", 0), &at("6", 0), None).await;
    assert_eq!(refused(late), Some(free.clone()));
    let again = applied(store.take(&take_of(&free, &a)).await);
    assert_eq!(again.counter, 3);
}

async fn what_is_known_of_a_load_goes_with_the_lease<S: LeaseStore>(store: &S) {
    let (a, b) = (worker("a", 1), worker("b", 2));
    let (_, fence) = taken(store, "s-1", &a).await;
    let start = Checkpoint::TrimHorizon;
    applied(store.commit(&fence, &start, &at("5", 0), Some(1_500)).await);
    applied(store.commit(&fence, &at("5", 0), &at("6", 0), None).await);
    assert_eq!(lease(store, "s-1").await.load, Some(1_500), "as last known");
    let moved = Moved {
        from: a.clone(),
        to: b.clone(),
        in_return: Some(InReturn {
            shard: "s-2".into(),
            from: a.clone(),
        }),
    };
    let parting = Parting {
        load: Some(1_025),
        moved: Some(moved.clone()),
    };
    applied(store.release(&fence, &parting).await);
    let free = lease(store, "s-1").await;
    assert_eq!(
        (free.load, free.moved.as_deref()),
        (Some(1_025), Some(&moved))
    );
    let row = applied(store.take(&take_of(&free, &b)).await);
    assert_eq!((row.load, &row.moved), (free.load, &free.moved));
    let fence = Fence {
        holder: b,
        epoch: fence.epoch.next().next(),
        ..fence
    };
    applied(store.release(&fence, &Parting::default()).await);
    let free = lease(store, "s-1").await;
    assert_eq!(
        (free.load, free.moved),
        (Some(1_025), None),
        "to nobody now"
    );
}

async fn a_finished_shard_is_final<S: LeaseStore>(store: &S) {
    let a = worker("a", 1);
    let (_, fence) = taken(store, "s-1", &a).await;
    let children = ids(&["c-1", "c-2"]);
    let wrong = store.finish(&fence, &at("1", 0), &children).await;
    assert!(refused(wrong).is_some(), "not the checkpoint before");
    applied(
        store
            .finish(&fence, &Checkpoint::TrimHorizon, &children)
            .await,
    );
    let ended = lease(store, "s-1").await;
    assert_eq!((ended.owner.clone(), ended.counter), (None, 2));
    assert_eq!((ended.is_ended(), &ended.children), (true, &children));
    let late = store
        .commit(&fence, &Checkpoint::TrimHorizon, &at("6", 0), None)
        .await;
    assert_eq!(refused(late), Some(ended.clone()));
    assert_eq!(refused(store.take(&take_of(&ended, &a)).await), Some(ended));

    let (_, fence) = taken(store, "s-2", &a).await;
    applied(
        store
            .finish(&fence, &Checkpoint::TrimHorizon, &BTreeSet::new())
            .await,
    );
    assert!(lease(store, "s-2").await.is_ended(), "without children");
}

async fn only_finished_rows_are_removed<S: LeaseStore>(store: &S) {
    let (row, fence) = taken(store, "s-1", &worker("a", 1)).await;
    let id = &row.shard;
    assert_eq!(
        refused(store.remove_ended(id, row.counter).await),
        Some(row.clone())
    );
    applied(
        store
            .finish(&fence, &Checkpoint::TrimHorizon, &BTreeSet::new())
            .await,
    );
    assert!(
        refused(store.remove_ended(id, row.counter).await).is_some(),
        "seen too long ago"
    );
    applied(store.remove_ended(id, row.counter + 1).await);
    assert_eq!(ok(store.read_lease(id).await), None);
    applied(store.remove_ended(id, row.counter + 1).await);
}

async fn life_is_proven_in_steps_of_one<S: LeaseStore>(store: &S) {
    let row = WorkerRow {
        leases_max: Some(7),
        ..worker_row(worker("a/b", 1))
    };
    let key = &row.key;
    assert_eq!(
        refused(store.renew(key, 0, false, Some(9000), None).await),
        None,
        "never joined"
    );
    applied(store.join(&row).await);
    assert_eq!(
        refused(store.join(&row).await),
        Some(row.clone()),
        "a copy of the joining"
    );
    applied(store.renew(key, 0, false, Some(9000), None).await);
    let after = WorkerRow {
        counter: 1,
        load: Some(9000),
        ..row.clone()
    };
    assert_eq!(
        refused(store.renew(key, 0, false, Some(9000), None).await),
        Some(after),
        "a copy of a renewal"
    );
    applied(store.renew(key, 1, true, None, None).await);
    let leaving = WorkerRow {
        counter: 2,
        leaving: true,
        load: None,
        ..row.clone()
    };
    assert_eq!(
        refused(store.renew(key, 5, true, Some(9000), None).await),
        Some(leaving)
    );
    ok(store.leave(key).await);
    ok(store.leave(key).await);
    assert_eq!(
        refused(store.renew(key, 2, true, Some(9000), None).await),
        None,
        "a late renewal revives nobody"
    );
}

async fn an_eviction_needs_a_row_that_stands_still<S: LeaseStore>(store: &S) {
    let row = worker_row(worker("a", 1));
    let key = &row.key;
    applied(store.evict(key, None).await);
    applied(store.evict(key, Some(3)).await);
    applied(store.join(&row).await);
    applied(store.renew(key, 0, false, Some(9000), None).await);
    let alive = WorkerRow {
        counter: 1,
        load: Some(9000),
        ..row.clone()
    };
    assert_eq!(
        refused(store.evict(key, None).await),
        Some(alive.clone()),
        "it has a row"
    );
    assert_eq!(
        refused(store.evict(key, Some(0)).await),
        Some(alive),
        "it moved"
    );
    applied(store.evict(key, Some(1)).await);
    assert_eq!(
        refused(store.renew(key, 1, false, Some(9000), None).await),
        None,
        "it learns that it is dead"
    );
}

async fn the_start_is_fixed_once<S: LeaseStore>(store: &S) {
    let time = |nanos| SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos);
    let first = ok(store.fix_start(None, time(1_234_567_890_123)).await);
    assert_eq!(first, time(1_234_567_000_000), "to the millisecond");
    let later = time(9_000_000_000_000);
    assert_eq!(ok(store.fix_start(None, later).await), first);
    let rows = ok(store.scan(Freshness::Consistent).await);
    let row = |stream: Option<&StreamName>, time| {
        let stream = stream.cloned();
        Row::Start(StartRow { stream, time })
    };
    assert_eq!(rows, [row(None, first)]);

    let [a, b] = ["worker", "b"].map(stream);
    assert_eq!(
        ok(store.fix_start(Some(&a), later).await),
        later,
        "each stream its own"
    );
    assert_eq!(ok(store.fix_start(Some(&b), first).await), first);
    assert_eq!(ok(store.fix_start(Some(&a), first).await), later);
    let rows = ok(store.scan(Freshness::Consistent).await);
    for expected in [row(None, first), row(Some(&a), later), row(Some(&b), first)] {
        assert!(rows.contains(&expected), "{expected:?} in {rows:?}");
    }
    assert_eq!(rows.len(), 3);
}

fn stream(name: &str) -> StreamName {
    StreamName::new(name).expect("a valid name")
}

async fn shards_of_one_name_in_two_streams_have_two_rows<S: LeaseStore>(store: &S) {
    // As hostile as names of streams can be.
    let streams = ["worker", "watch", "start", "stream", "streams", "a.b_c-d"].map(stream);
    let by = worker("a", 1);
    for stream in &streams {
        let shard = shard("s-1", &["p-1", "p-2"]).of(stream);
        let mut row = LeaseRow::fresh(&shard, Checkpoint::TrimHorizon);
        row.children = [ShardId::of(stream.clone(), "c-1")].into();
        applied(store.create_lease(&row).await);
        assert_eq!(ok(store.read_lease(&shard.id).await), Some(row.clone()));
        let row = applied(store.take(&take_of(&row, &by)).await);
        let fence = Fence {
            shard: shard.id.clone(),
            holder: by.clone(),
            epoch: Epoch::new(row.counter),
        };
        applied(
            store
                .commit(&fence, &row.checkpoint, &at("5", 0), None)
                .await,
        );
    }
    let alone = LeaseRow::fresh(&shard("s-1", &[]), Checkpoint::TrimHorizon);
    applied(store.create_lease(&alone).await);
    applied(store.join(&worker_row(by)).await);
    let rows = ok(store.scan(Freshness::Consistent).await);
    let leases: BTreeSet<_> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Lease(row) => Some((row.shard.clone(), row.checkpoint.to_string())),
            Row::Worker(_) | Row::Start(_) | Row::Watch(_) | Row::Streams(_) => None,
        })
        .collect();
    let of_streams = streams
        .iter()
        .map(|of| (ShardId::of(of.clone(), "s-1"), "5".to_owned()));
    let mut expected: BTreeSet<_> = of_streams.collect();
    expected.insert((alone.shard, "TRIM_HORIZON".to_owned()));
    assert_eq!((leases, rows.len()), (expected, streams.len() + 2));
}

async fn a_worker_says_which_streams_it_reads<S: LeaseStore>(store: &S) {
    let [none, some, more] = [&[][..], &["a"], &["a", "b"]]
        .map(|names| StreamSet::new(names.iter().map(|name| stream(name))));
    for set in [&none, &some, &more] {
        applied(store.add_streams(set).await);
        assert_eq!(refused(store.add_streams(set).await).as_ref(), Some(set));
    }
    ok(store.remove_streams(none.key()).await);
    ok(store.remove_streams(none.key()).await);
    let row = WorkerRow {
        serves: Some(some.key().clone()),
        ..worker_row(worker("a", 1))
    };
    applied(store.join(&row).await);
    assert_eq!(ok(store.read_worker(&row.key).await), Some(row.clone()));
    applied(
        store
            .renew(&row.key, 0, false, None, Some(more.key()))
            .await,
    );
    let after = WorkerRow {
        counter: 1,
        load: None,
        serves: Some(more.key().clone()),
        ..row.clone()
    };
    let late = store
        .renew(&row.key, 0, false, None, Some(some.key()))
        .await;
    assert_eq!(refused(late), Some(after), "a late copy brings no set back");
    let rows = ok(store.scan(Freshness::Consistent).await);
    for set in [some, more] {
        assert!(
            rows.contains(&Row::Streams(set.clone())),
            "{set:?} in {rows:?}"
        );
    }
    assert_eq!(rows.len(), 3);
}

async fn the_watch_changes_hands_as_it_was_seen<S: LeaseStore>(store: &S) {
    let (one, other) = (worker("a", 1), worker("b", 2));
    assert_eq!(ok(store.read_watch().await), None);
    ok(store.ring().await);
    assert_eq!(
        ok(store.read_watch().await),
        None,
        "a bell alone is no watch"
    );
    assert_eq!(refused(store.keep_watch(0, None).await), None);
    let first = applied(store.claim_watch(None, &one).await);
    let expected = WatchRow {
        owner: one.clone(),
        term: 1,
        looks: 0,
        bell: 1,
        mark: None,
    };
    assert_eq!(first, expected);
    assert_eq!(
        refused(store.claim_watch(None, &other).await),
        Some(first.clone()),
        "there is one"
    );
    applied(store.keep_watch(1, Some(7)).await);
    ok(store.ring().await);
    let kept = WatchRow {
        looks: 1,
        bell: 2,
        mark: Some(7),
        ..first.clone()
    };
    assert_eq!(ok(store.read_watch().await), Some(kept.clone()));
    // What it counts meanwhile is no reason to refuse.
    let second = applied(store.claim_watch(Some(&first), &other).await);
    let expected = WatchRow {
        owner: other,
        term: 2,
        bell: 3,
        ..kept
    };
    assert_eq!(second, expected);
    assert_eq!(
        refused(store.keep_watch(1, None).await),
        Some(second.clone()),
        "another has it"
    );
    assert_eq!(
        refused(store.claim_watch(Some(&first), &one).await),
        Some(second.clone()),
        "a late copy of a claim"
    );
    assert_eq!(
        ok(store.scan(Freshness::Consistent).await),
        [Row::Watch(second)]
    );

    let row = worker_row(one.clone());
    assert_eq!(ok(store.read_worker(&one).await), None);
    applied(store.join(&row).await);
    assert_eq!(ok(store.read_worker(&one).await), Some(row));
}

async fn a_scan_brings_every_row<S: LeaseStore>(store: &S) {
    let mut expected = BTreeSet::new();
    for n in 0..60 {
        let name = format!("s-{n:03}");
        let row = LeaseRow::fresh(&shard(&name, &["p"]), Checkpoint::TrimHorizon);
        applied(store.create_lease(&row).await);
        expected.insert(name);
        let key = worker(&format!("w-{n:03}"), n);
        applied(store.join(&worker_row(key.clone())).await);
        expected.insert(key.row_key());
    }
    for freshness in [Freshness::Consistent, Freshness::Eventual] {
        let rows = ok(store.scan(freshness).await);
        let name = |row: &Row| match row {
            Row::Lease(row) => row.shard.to_string(),
            Row::Worker(row) => row.key.row_key(),
            Row::Start(_) => "start".to_owned(),
            Row::Watch(_) => "watch".to_owned(),
            Row::Streams(set) => set.key().row_key(),
        };
        assert_eq!(rows.len(), expected.len());
        assert_eq!(rows.iter().map(name).collect::<BTreeSet<_>>(), expected);
    }
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn the_memory_store_keeps_the_contract() {
        super::lease_store(async || crate::MemoryTable::new()).await;
    }
}
