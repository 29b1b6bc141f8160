//! Workers that take from each other, are assigned leases and die, while requests and answers get lost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::model::{Checkpoint, ShardId};
use kcl_core::port::{CommitError, Grant, Standing};
use kcl_lease::JavaFleet;
use kinesis_emulator::{Action, Api, Fault};

use crate::support::{Fleet, Joined, at};

/// What a grant committed: its number and the checkpoint, in the order of the answers.
type Committed = Arc<Mutex<BTreeMap<ShardId, Vec<(u64, u64)>>>>;

/// Commits one number after the other for as long as the grant lasts, then gives it back if it may.
async fn work(mut grant: Grant, committed: Committed) {
    let (shard, epoch) = (grant.shard.id.clone(), grant.epoch.get());
    let mut next = match &grant.checkpoint {
        Checkpoint::Sequence { sequence, .. } => sequence.as_str().parse().unwrap(),
        Checkpoint::TrimHorizon
        | Checkpoint::Latest
        | Checkpoint::AtTimestamp(_)
        | Checkpoint::ShardEnd => 0,
    };
    loop {
        tokio::time::sleep(Duration::from_millis(15)).await;
        let standing = *grant.standing.borrow();
        match standing {
            Standing::Held { .. } => {}
            Standing::HandOver { .. } => return drop(grant.right.release().await),
            Standing::Lost => return,
        }
        next += 1;
        match grant.right.commit(&at(&next.to_string())).await {
            Ok(()) => {
                let mut committed = committed.lock().unwrap();
                committed
                    .entry(shard.clone())
                    .or_default()
                    .push((epoch, next));
            }
            Err(CommitError::Unavailable(_)) => next -= 1,
            Err(_) => return,
        }
    }
}

/// Workers that come, take from each other or are assigned, and die, over a network that loses requests and
/// answers.
async fn strife(told: JavaFleet) {
    let fleet = Fleet::new(4).await;
    let committed = Committed::default();
    let faults = fleet.emulator.service().faults();
    for action in [Action::ResetBefore, Action::ResetAfter] {
        let lossy = Fault::new(action).api(Api::DynamoDb).probability(0.05);
        faults.add(lossy).unwrap();
    }
    let mut tables = Vec::new();
    for (round, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let Joined {
            mut grants,
            mut control,
        } = fleet.join(name, told).await;
        let committed = Arc::clone(&committed);
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let worker = tokio::spawn(async move {
            let mut readers = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    biased;
                    _ = &mut stopped => break,
                    error = control.failed() => panic!("{error}"),
                    Some(_) = readers.join_next() => {}
                    Some(grant) = grants.recv() => {
                        readers.spawn(work(grant, Arc::clone(&committed)));
                    }
                }
            }
        });
        tables.push((stop, worker));
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            fleet.note_checkpoints().await;
        }
        if round == 1 {
            // It dies: nothing is given back.
            let (stop, worker) = tables.remove(0);
            stop.send(()).unwrap();
            worker.await.unwrap();
        }
    }
    let before = committed.lock().unwrap().len();
    assert_eq!(before, 4, "every shard was read");
    for (shard, committed) in &*committed.lock().unwrap() {
        let is_ordered = |pair: &[(u64, u64)]| pair[0].0 <= pair[1].0 && pair[0].1 < pair[1].1;
        assert!(
            committed.windows(2).all(is_ordered),
            "{shard}: {committed:?}"
        );
    }
}

#[tokio::test]
async fn workers_that_take_from_each_other_never_write_out_of_turn() {
    strife(JavaFleet::V2).await;
}

#[tokio::test]
async fn workers_that_are_assigned_leases_never_write_out_of_turn() {
    strife(JavaFleet::V3).await;
}
