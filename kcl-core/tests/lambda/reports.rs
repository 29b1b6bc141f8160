//! 6.5, `ReportBatchItemFailures`, through the engine: what each body does to the batch, and to the document.

use kcl_core::contract::FixedOwnership;
use kcl_core::lambda::mapping::MappingSettings;
use kcl_core::lambda::response::{Verdict, judge_value};
use kcl_core::{Checkpoint, Record, SequenceNumber};
use serde_json::{Value, json};

use crate::stage::{Answer, Call, Run, Seen, finish, mapping, run, source_of};
use crate::suite::{Case, case};

/// What comes of it at the second and last attempt.
#[derive(Clone, Copy)]
enum Then {
    /// All of the batch is processed at once.
    Done,
    /// Those from this one on come again, and are given up; the function itself succeeded.
    From(usize),
}

type Body = fn(&Call<'_>) -> Value;

fn number(call: &Call<'_>, at: usize) -> Value {
    call.event.records[at.min(call.texts.len() - 1)]
        .kinesis
        .sequence_number
        .clone()
        .into()
}

fn items(items: &[Value]) -> Value {
    let item = |number: &Value| json!({"itemIdentifier": number});
    json!({"batchItemFailures": items.iter().map(item).collect::<Vec<_>>()})
}

/// A row, a name, what the function says, and what comes of it.
type Row = (&'static [&'static str], &'static str, Body, Then);

/// Nothing failed.
fn successes() -> Vec<Row> {
    use Then::Done;
    let no_object: &[&str] = &["6.5 no object"];
    vec![
        (&["6.5.1"], "null", |_| Value::Null, Done),
        (&["6.5.1"], "an empty text", |_| json!(""), Done),
        (&["6.5.1"], "an empty list", |_| json!([]), Done),
        (&["6.5.1"], "an empty object", |_| json!({}), Done),
        (&["6.5.2"], "no failures", |_| items(&[]), Done),
        (
            &["6.5.2"],
            "null for the list",
            |_| json!({"batchItemFailures": null}),
            Done,
        ),
        (no_object, "a text", |_| json!("done"), Done),
        (
            no_object,
            "a list with something in it",
            |_| json!([1]),
            Done,
        ),
        (no_object, "a number", |_| json!(5), Done),
        (
            no_object,
            "an object of something else",
            |_| json!({"ok": false}),
            Done,
        ),
    ]
}

/// Numbers of the batch, 8 to 11: as texts, 10 and 11 would come before 8 and 9.
fn good() -> Vec<Row> {
    use Then::From;
    vec![
        (
            &["6.5.3"],
            "one",
            |call| items(&[number(call, if call.texts.len() == 4 { 2 } else { 0 })]),
            From(2),
        ),
        (
            &["6.5.3"],
            "the first",
            |call| items(&[number(call, 0)]),
            From(0),
        ),
        (
            &["6.5.3"],
            "one of them twice",
            |call| match call.texts.len() {
                4 => items(&[number(call, 3), number(call, 3)]),
                _ => items(&[number(call, 0), number(call, 0)]),
            },
            From(3),
        ),
        (
            &["6.5.3", "6.5 numbers"],
            "several: the lowest as a number",
            |call| match call.texts.len() {
                4 => items(&[number(call, 3), number(call, 1), number(call, 2)]),
                _ => items(&[number(call, 2), number(call, 0)]),
            },
            From(1),
        ),
    ]
}

/// All of the batch comes again.
fn bad() -> Vec<Row> {
    use Then::From;
    let whole = From(0);
    vec![
        (
            &["6.5.4"],
            "not in the batch",
            |_| items(&[json!("123")]),
            whole,
        ),
        (&["6.5.5"], "empty", |_| items(&[json!("")]), whole),
        (
            &["6.5.5"],
            "null for the number",
            |_| items(&[Value::Null]),
            whole,
        ),
        (
            &["6.5.6"],
            "another key",
            |_| json!({"batchItemFailures": [{"foo": 123}]}),
            whole,
        ),
        (
            &["6.5.6"],
            "another key with null",
            |_| json!({"batchItemFailures": [{"foo": null}]}),
            whole,
        ),
        (
            &["6.5 numbers"],
            "a number for a text",
            |_| items(&[json!(9)]),
            whole,
        ),
        (
            &["6.5 numbers"],
            "a blank behind it",
            |_| items(&[json!("9 ")]),
            whole,
        ),
        (
            &["6.5 numbers"],
            "one of 129 digits",
            |_| items(&[json!("9".repeat(129))]),
            whole,
        ),
        (
            &["6.5 good and bad"],
            "a bad one among good ones",
            |call| items(&[number(call, 2), json!("123")]),
            whole,
        ),
    ]
}

/// As well: no record is lost by a misunderstanding.
fn misunderstood() -> Vec<Row> {
    let whole = Then::From(0);
    vec![
        (
            &["6.5 no list"],
            "an object for the list",
            |_| json!({"batchItemFailures": {}}),
            whole,
        ),
        (
            &["6.5 no list"],
            "a text for the list",
            |_| json!({"batchItemFailures": "9"}),
            whole,
        ),
        (
            &["6.5 no list"],
            "a text for an item",
            |_| json!({"batchItemFailures": ["9"]}),
            whole,
        ),
    ]
}

pub(crate) fn cases() -> Vec<Case> {
    let rows = [successes(), good(), bad(), misunderstood()]
        .into_iter()
        .flatten();
    let mut cases: Vec<_> = rows.map(case_of).collect();
    cases.extend([
        case!(
            ["6.5.7"],
            an_error_is_one_of_the_function_whatever_reports_are_asked_for
        ),
        case!(
            ["6.5.3", "6.5 numbers"],
            numbers_as_long_as_kinesis_has_them_are_found
        ),
        case!(
            ["6.1 FunctionResponseTypes"],
            without_the_setting_the_response_says_nothing
        ),
    ]);
    cases
}

fn case_of((rows, name, body, then): Row) -> Case {
    Case::new(rows, name, async move || {
        let texts = ["8", "9", "10", "11"];
        let run = run_with(&texts, move |call| Answer::Says(body(call))).await;
        let (calls, given_up) = match then {
            Then::Done => (vec![texts.to_vec()], 0),
            Then::From(from) => (
                vec![texts.to_vec(), texts[from..].to_vec()],
                texts.len() - from,
            ),
        };
        assert_eq!(run.calls, calls);
        if given_up == 0 {
            assert_eq!(run.documents, Vec::<Value>::new());
        } else {
            let document = &run.documents[0];
            assert_eq!(document["KinesisBatchInfo"]["batchSize"], given_up);
            // 6.5 functionError: of every one of these rows.
            assert_eq!(document["responseContext"], response(None));
        }
    })
}

fn response(error: Option<&str>) -> Value {
    json!({"statusCode": 200, "executedVersion": "$LATEST", "functionError": error})
}

async fn an_error_is_one_of_the_function_whatever_reports_are_asked_for() {
    let texts = ["8", "9", "10", "11"];
    let run = run_with(&texts, |_| Answer::Fails).await;
    assert_eq!(run.calls, [texts, texts]);
    let document = &run.documents[0];
    assert_eq!(document["KinesisBatchInfo"]["batchSize"], 4);
    assert_eq!(document["responseContext"], response(Some("Unhandled")));
}

/// 129 digits, and 56 as Kinesis makes them today, which no number of a machine holds.
async fn numbers_as_long_as_kinesis_has_them_are_found() {
    for digits in [56, 129] {
        let record = |last: u32| {
            let text = format!("{}{last:02}", "4".repeat(digits - 2));
            Record {
                sequence_number: SequenceNumber::new(text).unwrap(),
                subsequence_number: 0,
                partition_key: String::new(),
                data: bytes::Bytes::new(),
                approximate_arrival: None,
            }
        };
        let batch: Vec<_> = [7, 8, 9, 10].map(record).into();
        let item = |at: usize| Value::from(batch[at].sequence_number.as_str());
        let verdict = judge_value(&items(&[item(3), item(1)]), &batch);
        assert_eq!(verdict, Verdict::RetryFrom(1), "{digits} digits");
        let other = record(11).sequence_number.as_str().to_owned();
        let verdict = judge_value(&items(&[other.into()]), &batch);
        assert_eq!(verdict, Verdict::RetryAll, "{digits} digits");
    }
}

/// Records with the sequence numbers 8 to 11, so that texts and numbers disagree about their order; one retry.
async fn run_with(
    texts: &[&str],
    does: impl Fn(&Call<'_>) -> Answer + Send + Sync + 'static,
) -> Run {
    let (seen, leases) = (Seen::default(), FixedOwnership::new(["s"]));
    let before: Vec<String> = (1..8).map(|number| number.to_string()).collect();
    let all: Vec<&str> = before
        .iter()
        .map(String::as_str)
        .chain(texts.iter().copied())
        .collect();
    leases.set_checkpoint("s", Checkpoint::at(SequenceNumber::new("7").unwrap()));
    let settings = MappingSettings {
        report_batch_item_failures: true,
        maximum_retry_attempts: Some(1),
        ..MappingSettings::default()
    };
    finish(seen.worker(&source_of(&all), &leases, mapping(settings), does)).await;
    seen.now()
}

/// Which is the default.
async fn without_the_setting_the_response_says_nothing() {
    let settings = MappingSettings::default();
    let run = run(&["one", "bad"], mapping(settings), |call| {
        call.report("bad")
    })
    .await;
    assert_eq!(
        (run.calls.len(), run.documents.len(), run.finished),
        (1, 0, 1)
    );
}
