//! Checkpoints in two phases, step by step.

use super::bench::Bench;
use super::*;

fn prepare(id: AskId, at: Option<u64>) -> Event {
    let (upto, state) = (at.map(checkpoint), Some(Bytes::from_static(b"state")));
    let ask = Ask::Prepare { upto, state };
    Event::Asked { id, ask }
}

fn commit(id: AskId, at: u64) -> Event {
    let ask = Ask::Commit(Some(checkpoint(at)));
    Event::Asked { id, ask }
}

fn manual() -> Bench {
    Bench::new(CheckpointPolicy::Manual, FailurePolicy::Restart).reading()
}

fn pending(bench: &Bench) -> Option<String> {
    let pending = bench.machine.pending();
    pending.map(|pending| pending.checkpoint.to_string())
}

#[test]
fn a_checkpoint_is_announced_and_then_made() {
    let mut bench = manual();
    bench.on(Event::Batch(batch(11..=14)));
    assert_eq!(bench.on(prepare(0, Some(12))), ["prepare 12"]);
    assert_eq!(pending(&bench), None, "it is not durable yet");
    let done = bench.on(Event::Written(Ok(())));
    assert_eq!(done, ["answer 0 prepared 12"]);
    assert_eq!(pending(&bench).as_deref(), Some("12"));
    assert_eq!(*bench.machine.durable(), checkpoint(10));
    assert_eq!(bench.on(commit(1, 12)), ["commit 12"]);
    assert_eq!(bench.on(Event::Written(Ok(()))), ["answer 1 ok"]);
    assert_eq!(pending(&bench), None);
}

#[test]
fn without_a_record_it_is_announced_at_all_that_was_delivered() {
    let mut bench = manual();
    assert_eq!(
        bench.on(prepare(0, None)),
        ["answer 0 prepared 10"],
        "nothing was delivered, and 10 is durable"
    );
    bench.on(Event::Batch(batch(11..=14)));
    assert_eq!(bench.on(prepare(1, None)), ["prepare 14"]);
    assert_eq!(bench.on(Event::Written(Ok(()))), ["answer 1 prepared 14"]);
}

#[test]
fn what_was_not_delivered_or_lies_before_the_checkpoint_is_not_announced() {
    let mut bench = manual();
    bench.on(Event::Batch(batch(11..=14)));
    assert_eq!(bench.on(prepare(0, Some(15))), ["answer 0 Invalid"]);
    assert_eq!(bench.on(prepare(1, Some(9))), ["answer 1 Invalid"]);
}

#[test]
fn the_last_of_several_stays_and_each_is_written_in_its_turn() {
    let mut bench = manual();
    bench.on(Event::Batch(batch(11..=14)));
    assert_eq!(bench.on(prepare(0, Some(14))), ["prepare 14"]);
    assert!(bench.on(prepare(1, Some(12))).is_empty());
    let next = bench.on(Event::Written(Ok(())));
    assert_eq!(next, ["answer 0 prepared 14", "prepare 12"]);
    assert_eq!(
        bench.on(Event::Written(Ok(()))),
        ["answer 1 prepared 12"],
        "a later one may lie before an earlier one"
    );
    assert_eq!(pending(&bench).as_deref(), Some("12"));
}

#[test]
fn a_commit_takes_away_what_it_covers_and_leaves_what_lies_beyond() {
    let mut bench = Bench::automatic().reading();
    bench.on(Event::Batch(batch(11..=12)));
    bench.on(Event::Returned(Ok(())));
    bench.on(Event::Batch(batch(13..=14)));
    bench.on(prepare(0, Some(13)));
    bench.on(Event::Written(Ok(())));
    assert_eq!(bench.later(5 * SECOND), ["commit 12"]);
    bench.on(Event::Written(Ok(())));
    assert_eq!(pending(&bench).as_deref(), Some("13"));
    bench.on(Event::Returned(Ok(())));
    assert_eq!(bench.later(5 * SECOND), ["commit 14"]);
    bench.on(Event::Written(Ok(())));
    assert_eq!(pending(&bench), None);
}

#[test]
fn a_failed_processor_leaves_what_it_announced_to_the_next() {
    let mut bench = manual();
    bench.on(Event::Batch(batch(11..=14)));
    bench.on(prepare(0, Some(12)));
    bench.on(Event::Written(Ok(())));
    bench.on(Event::Returned(Err(failure())));
    let pause = bench.machine.next_deadline().unwrap() - bench.now;
    assert_eq!(bench.later(pause), ["open 10", "initialize"]);
    assert_eq!(pending(&bench).as_deref(), Some("12"));
}

#[test]
fn a_processor_that_fails_before_the_write_is_back_hears_no_more_of_it() {
    let mut bench = manual();
    bench.on(Event::Batch(batch(11..=14)));
    bench.on(prepare(0, Some(12)));
    let failed = bench.on(Event::Returned(Err(failure())));
    assert!(failed.contains(&"answer 0 Fenced".to_owned()), "{failed:?}");
    assert!(bench.on(Event::Written(Ok(()))).is_empty());
    assert_eq!(
        pending(&bench).as_deref(),
        Some("12"),
        "it is durable all the same"
    );
}

#[test]
fn a_store_that_is_away_is_asked_again_and_a_loss_ends_it() {
    let mut bench = manual();
    bench.on(Event::Batch(batch(11..=14)));
    bench.on(prepare(0, Some(12)));
    assert!(bench.on(Event::Written(Err(unavailable()))).is_empty());
    assert_eq!(bench.later(3 * SECOND), ["prepare 12"]);
    let shard = ShardId::new("s");
    let lost = bench.on(Event::Written(Err(CommitError::Fenced { shard })));
    assert_eq!(lost, ["answer 0 Fenced", "close feed", "drop right"]);
}

#[test]
fn the_end_of_a_shard_can_be_announced() {
    let mut bench = manual();
    bench.on(Event::Batch(last_batch()));
    assert_eq!(bench.on(prepare(0, None)), ["prepare SHARD_END"]);
    let done = bench.on(Event::Written(Ok(())));
    assert_eq!(done, ["answer 0 prepared SHARD_END"]);
    let ask = Ask::Commit(Some(Checkpoint::ShardEnd));
    assert_eq!(bench.on(Event::Asked { id: 1, ask }), ["finish"]);
}
