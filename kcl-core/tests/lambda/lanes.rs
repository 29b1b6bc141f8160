//! 6.3, several invocations of one shard at once.

use kcl_core::lambda::mapping::MappingSettings;
use kcl_core::{LaneChoice, LaneCommit};

use crate::stage::{Answer, Call, SECOND, fails_on_bad, mapping, run};
use crate::suite::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(
            ["6.1 ParallelizationFactor", "6.3 lanes"],
            lanes_run_side_by_side_and_keep_the_order_of_each_key
        ),
        case!(
            ["6.3 checkpoint of lanes", "6.4.2"],
            a_lane_that_is_blocked_holds_up_the_checkpoint_and_no_other_lane
        ),
        case!(
            ["6.3 checkpoint of lanes"],
            whole_answers_are_committed_if_that_is_wanted
        ),
        case!(
            ["6.3 key to lane"],
            a_blocked_key_holds_up_no_other_as_keys_take_the_lane_that_is_free
        ),
        case!(
            ["6.3 key to lane"],
            a_blocked_key_holds_up_those_of_its_lane_if_each_has_one
        ),
        case!(["6.1 ParallelizationFactor"], one_lane_is_the_default),
    ]
}

/// Up to so many at once; a key in one at a time, in order.
async fn lanes_run_side_by_side_and_keep_the_order_of_each_key() {
    let settings = MappingSettings {
        batch_size: 1,
        parallelization_factor: 3,
        ..MappingSettings::default()
    };
    let records = ["a:1", "a:2", "b:1", "c:1", "d:1", "a:3", "b:2"];
    let run = run(&records, mapping(settings), |_| Answer::Takes(SECOND)).await;
    assert_eq!(run.running_max, 3);
    let all: Vec<_> = run.calls.concat();
    for key in ["a", "b"] {
        let of_key: Vec<_> = all.iter().filter(|text| text.starts_with(key)).collect();
        assert!(of_key.is_sorted(), "{of_key:?}");
    }
    let at = |text: &str| run.times[all.iter().position(|found| found == text).unwrap()];
    assert!(at("a:2") >= at("a:1") + SECOND && at("a:3") >= at("a:2") + SECOND);
    assert!(at("c:1") < SECOND, "other keys do not wait");
}

/// The checkpoint is that of the lowest unfinished record, whatever other lanes have done.
async fn a_lane_that_is_blocked_holds_up_the_checkpoint_and_no_other_lane() {
    let settings = MappingSettings {
        batch_size: 1,
        parallelization_factor: 2,
        ..MappingSettings::default()
    };
    let run = run(
        &["a", "bad", "b", "c"],
        mapping(settings),
        |call: &Call<'_>| {
            if call.has("bad") {
                Answer::Fails
            } else {
                Answer::Nothing
            }
        },
    )
    .await;
    assert!(
        ["a", "b", "c"]
            .iter()
            .all(|text| run.calls.contains(&vec![(*text).to_owned()]))
    );
    assert_eq!(run.checkpoint, "1");
}

/// All came in one answer, so nothing of it is committed while one of them is not done.
async fn whole_answers_are_committed_if_that_is_wanted() {
    let settings = MappingSettings {
        batch_size: 1,
        parallelization_factor: 2,
        lane_commit: LaneCommit::Page,
        ..MappingSettings::default()
    };
    let records = ["a", "bad", "b", "c"];
    let blocked = run(&records, mapping(settings.clone()), fails_on_bad).await;
    assert_eq!(blocked.checkpoint, "TRIM_HORIZON");
    let done = run(&records, mapping(settings), |_| Answer::Nothing).await;
    assert_eq!((done.finished, &*done.checkpoint), (1, "SHARD_END"));
}

/// By a hash some of so many keys would come to lie behind the blocked one.
async fn a_blocked_key_holds_up_no_other_as_keys_take_the_lane_that_is_free() {
    let settings = MappingSettings {
        batch_size: 1,
        parallelization_factor: 2,
        ..MappingSettings::default()
    };
    let others: Vec<_> = (0..40).map(|key| format!("key {key}")).collect();
    let records = [&["bad".to_owned()], others.as_slice()].concat();
    let records: Vec<_> = records.iter().map(String::as_str).collect();
    let run = run(&records, mapping(settings), fails_on_bad).await;
    let called = |key: &&String| run.calls.iter().any(|texts| texts[0] == **key);
    assert_eq!(others.iter().filter(called).count(), others.len());
    assert_eq!(run.checkpoint, "TRIM_HORIZON");
}

/// By a hash, and no others.
async fn a_blocked_key_holds_up_those_of_its_lane_if_each_has_one() {
    let settings = MappingSettings {
        batch_size: 1,
        parallelization_factor: 2,
        lane_choice: LaneChoice::ByKey,
        ..MappingSettings::default()
    };
    let others: Vec<_> = (0..40).map(|key| format!("key {key}")).collect();
    let records = [&["bad".to_owned()], others.as_slice()].concat();
    let records: Vec<_> = records.iter().map(String::as_str).collect();
    let run = run(&records, mapping(settings), fails_on_bad).await;
    let called = |key: &&String| run.calls.iter().any(|texts| texts[0] == **key);
    let called = others.iter().filter(called).count();
    assert!((10..=30).contains(&called), "half of 40, about: {called}");
    assert_eq!(run.checkpoint, "TRIM_HORIZON");
}

async fn one_lane_is_the_default() {
    let settings = MappingSettings {
        batch_size: 1,
        ..MappingSettings::default()
    };
    let run = run(&["a", "b", "c"], mapping(settings), |_| {
        Answer::Takes(SECOND)
    })
    .await;
    assert_eq!((run.running_max, run.calls.len()), (1, 3));
    let seconds: Vec<_> = run.times.iter().map(|time| time.as_secs()).collect();
    assert_eq!(seconds, [0, 1, 2]);
}
