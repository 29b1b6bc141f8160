//! Single steps of the machine: what happened, and the actions that follow.

use super::bench::Bench;
use super::*;

#[test]
fn acknowledged_progress_is_committed_at_most_every_five_seconds() {
    let mut bench = Bench::automatic().reading();
    assert_eq!(bench.on(Event::Batch(batch(11..=12))), ["process 11-12"]);
    assert!(bench.on(Event::Returned(Ok(()))).is_empty());
    assert_eq!(bench.machine.next_deadline(), Some(bench.now + 5 * SECOND));
    assert_eq!(bench.on(Event::Batch(batch(13..=14))), ["process 13-14"]);
    assert_eq!(
        bench.later(5 * SECOND),
        ["commit 12"],
        "what is in hand is not covered"
    );
    assert!(bench.on(Event::Returned(Ok(()))).is_empty());
    assert!(bench.on(Event::Written(Ok(()))).is_empty());
    assert_eq!(bench.later(5 * SECOND), ["commit 14"]);
    assert!(bench.on(Event::Written(Ok(()))).is_empty());
    assert_eq!(bench.machine.next_deadline(), None);
}

#[test]
fn the_record_of_the_checkpoint_is_read_again_and_dropped() {
    let mut bench = Bench::automatic().initialized();
    assert!(bench.on(Event::Batch(batch(10..=10))).is_empty());
    assert_eq!(bench.on(Event::Batch(batch(10..=12))), ["process 11-12"]);
}

#[test]
fn a_checkpoint_whose_record_is_gone_is_told_before_anything_behind_it_is_delivered() {
    let told = "tell trimmed 10, next Some(\"12\")";
    let mut bench = Bench::automatic().initialized();
    assert_eq!(
        bench.on(Event::Batch(batch(12..=13))),
        [told, "process 12-13"]
    );
    bench.on(Event::Returned(Ok(())));
    assert_eq!(
        bench.on(Event::Batch(batch(17..=18))),
        ["process 17-18"],
        "only where reading resumes"
    );
    let mut bench = Bench::automatic().initialized();
    assert_eq!(
        bench.on(Event::Batch(last_batch())),
        ["tell trimmed 10, next None", "shard ended"]
    );
}

#[test]
fn a_feed_that_is_tried_again_goes_on_behind_what_was_delivered() {
    let mut bench = Bench::automatic().reading();
    bench.on(Event::Batch(batch(11..=12)));
    assert!(bench.on(Event::Reopen).is_empty(), "a call is in hand");
    bench.on(Event::Returned(Ok(())));
    assert_eq!(bench.on(Event::Reopen), ["open 12"]);
    let told = "tell trimmed 12, next Some(\"14\")";
    assert_eq!(
        bench.on(Event::Batch(batch(14..=14))),
        [told, "process 14-14"]
    );
    bench.on(Event::Returned(Ok(())));
    bench.on(Event::Stop);
    assert!(bench.on(Event::Reopen).is_empty(), "it leaves");
}

#[test]
fn an_error_advances_nothing_and_starts_again_behind_what_was_acknowledged() {
    let mut bench = Bench::automatic().reading();
    bench.on(Event::Batch(batch(11..=12)));
    bench.on(Event::Returned(Ok(())));
    bench.on(Event::Batch(batch(13..=14)));
    assert_eq!(
        bench.on(Event::Returned(Err(failure()))),
        [
            "drop processor",
            "tell failed and starts again",
            "close feed"
        ]
    );
    let pause = bench.machine.next_deadline().unwrap() - bench.now;
    assert!(pause <= Duration::from_millis(200));
    assert_eq!(bench.later(pause), ["open 12", "initialize"]);
    bench.on(Event::Returned(Ok(())));
    assert_eq!(bench.on(Event::Batch(batch(12..=14))), ["process 13-14"]);
}

#[test]
fn an_error_that_stops_the_worker_gives_the_shard_back_first() {
    let mut bench = Bench::new(CheckpointPolicy::default(), FailurePolicy::StopWorker).reading();
    bench.on(Event::Batch(batch(11..=12)));
    bench.on(Event::Returned(Ok(())));
    bench.on(Event::Batch(batch(13..=14)));
    let actions = bench.on(Event::Returned(Err(failure())));
    assert_eq!(
        actions,
        ["drop processor", "tell failed", "close feed", "commit 12"]
    );
    assert_eq!(bench.on(Event::Written(Ok(()))), ["release"]);
    assert_eq!(bench.on(Event::Written(Ok(()))), ["failed Processor"]);
}

#[test]
fn an_error_that_stops_the_worker_is_there_if_the_shard_is_cut_short() {
    for is_lost in [false, true] {
        let mut bench =
            Bench::new(CheckpointPolicy::default(), FailurePolicy::StopWorker).reading();
        bench.on(Event::Batch(batch(11..=12)));
        bench.on(Event::Returned(Err(failure())));
        bench.on(Event::Stop);
        if is_lost {
            bench.on(Event::Standing(Standing::Lost));
        }
        let said_at_the_end = bench.end.is_some();
        let error = bench.machine.cut_short();
        assert_eq!(error.is_some(), !said_at_the_end, "lost: {is_lost}");
        assert!(bench.machine.cut_short().is_none(), "it is told once");
    }
    let mut bench = Bench::automatic().reading();
    bench.on(Event::Stop);
    assert!(bench.machine.cut_short().is_none(), "nothing failed");
}

#[test]
fn a_stop_lets_the_call_in_hand_finish_and_gives_everything_back() {
    let mut bench = Bench::automatic().reading();
    bench.on(Event::Batch(batch(11..=12)));
    assert_eq!(bench.on(Event::Stop), ["close feed"]);
    assert_eq!(bench.on(Event::Returned(Ok(()))), ["shutdown requested"]);
    assert_eq!(bench.on(Event::Returned(Ok(()))), ["commit 12"]);
    assert_eq!(bench.on(Event::Written(Ok(()))), ["release"]);
    assert_eq!(bench.on(Event::Written(Ok(()))), ["released"]);
}

#[test]
fn a_stop_during_initialize_still_tells_the_processor() {
    let mut bench = Bench::automatic();
    bench.on(Event::Standing(Standing::Held {
        until: bench.now + FAR,
    }));
    bench.on(Event::Stop);
    assert_eq!(bench.on(Event::Returned(Ok(()))), ["shutdown requested"]);
}

#[test]
fn a_stop_before_the_start_only_releases() {
    let mut bench = Bench::automatic();
    assert_eq!(bench.on(Event::Stop), ["close feed", "release"]);
    assert_eq!(bench.on(Event::Written(Ok(()))), ["released"]);
}

#[test]
fn a_call_that_hangs_is_cancelled_in_time_to_release() {
    let mut bench = Bench::automatic().reading();
    bench.on(Event::Batch(batch(11..=12)));
    bench.on(Event::Returned(Ok(())));
    bench.on(Event::Batch(batch(13..=14)));
    bench.on(Event::Stop);
    bench.later(5 * SECOND);
    bench.on(Event::Written(Ok(())));
    assert_eq!(
        bench.later(15 * SECOND),
        ["cancel", "drop processor", "release"]
    );
    assert_eq!(bench.on(Event::Written(Ok(()))), ["released"]);
}

#[test]
fn a_store_that_stays_away_is_tried_until_the_time_for_draining_is_over() {
    let mut bench = Bench::automatic().reading();
    bench.on(Event::Batch(batch(11..=12)));
    bench.on(Event::Returned(Ok(())));
    bench.on(Event::Stop);
    assert_eq!(bench.on(Event::Returned(Ok(()))), ["commit 12"]);
    let started = bench.now;
    let mut attempts = 0;
    let actions = loop {
        assert!(bench.on(Event::Written(Err(unavailable()))).is_empty());
        let pause = bench.machine.next_deadline().unwrap() - bench.now;
        let actions = bench.later(pause);
        if actions != ["commit 12"] {
            break actions;
        }
        attempts += 1;
    };
    assert_eq!(actions, ["drop right", "abandoned"]);
    assert_eq!(bench.now - started, 30 * SECOND);
    assert!(attempts > 10, "only {attempts} attempts");
}

#[test]
fn no_call_starts_when_the_grant_is_not_proven_any_more() {
    let mut bench = Bench::automatic().reading();
    let until = bench.now + SECOND;
    bench.on(Event::Standing(Standing::Held { until }));
    bench.now = until;
    assert!(bench.on(Event::Batch(batch(11..=12))).is_empty());
    assert!(!bench.machine.wants_batch());
    let until = bench.now + SECOND;
    assert_eq!(
        bench.on(Event::Standing(Standing::Held { until })),
        ["process 11-12"]
    );
}

#[test]
fn after_a_loss_the_call_in_hand_may_finish_and_nothing_is_written() {
    let mut bench = Bench::automatic().reading();
    bench.on(Event::Batch(batch(11..=12)));
    assert_eq!(
        bench.on(Event::Standing(Standing::Lost)),
        ["close feed", "drop right"]
    );
    assert_eq!(bench.on(Event::Returned(Ok(()))), ["lease lost"]);
    assert_eq!(bench.on(Event::Returned(Ok(()))), ["lost"]);
}

#[test]
fn after_a_loss_a_call_that_hangs_is_cancelled_and_so_is_the_last_one() {
    let mut bench = Bench::automatic().reading();
    bench.on(Event::Batch(batch(11..=12)));
    bench.on(Event::Standing(Standing::Lost));
    assert_eq!(bench.later(2 * SECOND), ["cancel", "lease lost"]);
    assert_eq!(bench.later(2 * SECOND), ["cancel", "lost"]);
}

#[test]
fn a_fenced_commit_is_a_loss() {
    let mut bench = Bench::automatic().reading();
    bench.on(Event::Batch(batch(11..=12)));
    assert!(
        bench
            .on(Event::Asked {
                id: 7,
                ask: Ask::Commit(None)
            })
            .contains(&"commit 12".to_owned())
    );
    let fenced = CommitError::Fenced {
        shard: ShardId::new("s"),
    };
    let actions = bench.on(Event::Written(Err(fenced)));
    assert_eq!(actions, ["answer 7 Fenced", "close feed", "drop right"]);
}

#[test]
fn a_store_that_cannot_be_used_stops_the_worker() {
    let mut bench = Bench::automatic().reading();
    bench.on(Event::Batch(batch(11..=12)));
    bench.on(Event::Returned(Ok(())));
    bench.later(5 * SECOND);
    let gone = Arc::new(Error::new(ErrorKind::NotFound, "the table is gone"));
    let actions = bench.on(Event::Written(Err(CommitError::Fatal(gone))));
    assert_eq!(actions, ["close feed", "drop right", "lease lost"]);
    assert_eq!(bench.on(Event::Returned(Ok(()))), ["failed NotFound"]);
}

#[test]
fn a_hand_over_drains_this_shard() {
    let mut bench = Bench::automatic().reading();
    bench.on(Event::Batch(batch(11..=12)));
    bench.on(Event::Returned(Ok(())));
    let until = bench.now + FAR;
    let actions = bench.on(Event::Standing(Standing::HandOver { until }));
    assert_eq!(actions, ["close feed", "shutdown requested"]);
    assert_eq!(bench.on(Event::Returned(Ok(()))), ["commit 12"]);
    assert_eq!(bench.on(Event::Written(Ok(()))), ["release"]);
    // The owner of the lease may tell of its end before the write comes back.
    assert!(bench.on(Event::Standing(Standing::Lost)).is_empty());
    assert_eq!(bench.on(Event::Written(Ok(()))), ["released"]);
}

#[test]
fn the_end_of_the_shard_is_only_where_children_are_named() {
    let mut bench = Bench::automatic().reading();
    assert!(bench.on(Event::Batch(Batch::default())).is_empty());
    bench.on(Event::Batch(batch(11..=12)));
    bench.on(Event::Returned(Ok(())));
    assert_eq!(bench.on(Event::Batch(last_batch())), ["shard ended"]);
    assert_eq!(bench.on(Event::Returned(Ok(()))), ["finish"]);
    assert_eq!(bench.on(Event::Written(Ok(()))), ["finished"]);
}

#[test]
fn the_manual_policy_commits_only_what_is_asked_for() {
    let mut bench = Bench::new(CheckpointPolicy::Manual, FailurePolicy::Restart).reading();
    bench.on(Event::Batch(batch(11..=14)));
    assert_eq!(
        bench.on(Event::Asked {
            id: 0,
            ask: Ask::Commit(Some(checkpoint(12)))
        }),
        ["commit 12"]
    );
    assert_eq!(bench.on(Event::Written(Ok(()))), ["answer 0 ok"]);
    bench.on(Event::Returned(Ok(())));
    assert_eq!(bench.machine.next_deadline(), None);
    assert_eq!(bench.on(Event::Stop), ["close feed", "shutdown requested"]);
    assert_eq!(
        bench.on(Event::Returned(Ok(()))),
        ["release"],
        "13 and 14 were not asked for"
    );
}

#[test]
fn the_manual_policy_wants_a_checkpoint_in_shard_ended() {
    let mut bench = Bench::new(CheckpointPolicy::Manual, FailurePolicy::Restart).reading();
    bench.on(Event::Batch(last_batch()));
    assert_eq!(
        bench.on(Event::Returned(Ok(()))),
        [
            "drop processor",
            "tell failed and starts again",
            "close feed"
        ]
    );
    let pause = bench.machine.next_deadline().unwrap() - bench.now;
    assert_eq!(bench.later(pause), ["open 10", "initialize"]);
    bench.on(Event::Returned(Ok(())));
    assert!(bench.on(Event::Batch(batch(10..=10))).is_empty());
    assert_eq!(bench.on(Event::Batch(last_batch())), ["shard ended"]);
    assert_eq!(
        bench.on(Event::Asked {
            id: 0,
            ask: Ask::Commit(None)
        }),
        ["finish"]
    );
    assert!(
        bench.on(Event::Standing(Standing::Lost)).is_empty(),
        "it ended with the write"
    );
    assert_eq!(bench.on(Event::Written(Ok(()))), ["answer 0 ok"]);
    assert_eq!(bench.on(Event::Returned(Ok(()))), ["finished"]);
}

#[test]
fn checkpoints_outside_of_what_was_delivered_are_refused() {
    let mut bench = Bench::automatic().reading();
    bench.on(Event::Batch(batch(11..=14)));
    let ask = |at| Event::Asked {
        id: at,
        ask: Ask::Commit(Some(checkpoint(at))),
    };
    assert_eq!(bench.on(ask(15)), ["answer 15 Invalid"]);
    assert_eq!(bench.on(ask(9)), ["answer 9 Invalid"]);
    assert_eq!(bench.on(ask(10)), ["answer 10 ok"], "it is durable already");
}

#[test]
fn requests_that_wait_are_answered_by_one_commit() {
    let mut bench = Bench::automatic().reading();
    bench.on(Event::Batch(batch(11..=14)));
    let ask = |at| Event::Asked {
        id: at,
        ask: Ask::Commit(Some(checkpoint(at))),
    };
    assert_eq!(bench.on(ask(11)), ["commit 11"]);
    assert!(bench.on(ask(12)).is_empty());
    assert!(bench.on(ask(13)).is_empty());
    assert_eq!(
        bench.on(Event::Written(Ok(()))),
        ["answer 11 ok", "commit 13"]
    );
    assert_eq!(
        bench.on(Event::Written(Ok(()))),
        ["answer 12 ok", "answer 13 ok"]
    );
}

#[test]
fn a_feed_that_cannot_go_on_stops_the_worker_in_order() {
    let mut bench = Bench::automatic().reading();
    bench.on(Event::Batch(batch(11..=12)));
    bench.on(Event::Returned(Ok(())));
    let gone = Error::new(ErrorKind::NotFound, "the stream is gone");
    assert_eq!(
        bench.on(Event::FeedFailed(gone)),
        ["close feed", "shutdown requested"]
    );
    assert_eq!(bench.on(Event::Returned(Ok(()))), ["commit 12"]);
    assert_eq!(bench.on(Event::Written(Ok(()))), ["release"]);
    assert_eq!(bench.on(Event::Written(Ok(()))), ["failed NotFound"]);
}
