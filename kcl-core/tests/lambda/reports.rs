//! 6.5, `ReportBatchItemFailures`, through the engine: what each body does to the batch, and to the document.

use kcl_core::lambda::mapping::MappingSettings;
use serde_json::{Value, json};

use crate::stage::{Answer, Call, mapping, run};

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

fn rows() -> Vec<(&'static str, Body, Then)> {
    use Then::{Done, From};
    vec![
        ("6.5 row 1: null", |_| Value::Null, Done),
        ("6.5 row 1: empty text", |_| json!(""), Done),
        ("6.5 row 1: empty list", |_| json!([]), Done),
        ("6.5 row 1: empty object", |_| json!({}), Done),
        ("6.5 row 2: no failures", |_| items(&[]), Done),
        (
            "6.5 row 2: null for the list",
            |_| json!({"batchItemFailures": null}),
            Done,
        ),
        (
            "6.5 row 3: one",
            |call| items(&[number(call, if call.texts.len() == 4 { 2 } else { 0 })]),
            From(2),
        ),
        (
            // The batch is 8 to 11: as texts, 10 and 11 would come before 8 and 9.
            "6.5 row 3: several, the lowest as a number",
            |call| match call.texts.len() {
                4 => items(&[number(call, 3), number(call, 1), number(call, 2)]),
                _ => items(&[number(call, 2), number(call, 0)]),
            },
            From(1),
        ),
        (
            "6.5 row 4: not in the batch",
            |_| items(&[json!("123")]),
            From(0),
        ),
        ("6.5 row 5: empty", |_| items(&[json!("")]), From(0)),
        ("6.5 row 5: null", |_| items(&[Value::Null]), From(0)),
        (
            "6.5 row 6: another key",
            |_| json!({"batchItemFailures": [{"foo": 123}]}),
            From(0),
        ),
        (
            "6.5 row 6: another key, null",
            |_| json!({"batchItemFailures": [{"foo": null}]}),
            From(0),
        ),
        (
            "6.5 below: a number for a text",
            |_| items(&[json!(9)]),
            From(0),
        ),
        (
            "6.5 below: a bad one among good ones",
            |call| items(&[number(call, 2), json!("123")]),
            From(0),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn every_row_of_reports() {
    use Then::{Done, From};
    for (row, body, then) in rows() {
        let texts = ["8", "9", "10", "11"];
        let run = run_with(&texts, body).await;
        let first: Vec<_> = texts.to_vec();
        let (calls, given_up) = match then {
            Done => (vec![first], 0),
            From(from) => (vec![first, texts[from..].to_vec()], texts.len() - from),
        };
        assert_eq!(run.calls, calls, "{row}");
        if given_up == 0 {
            assert_eq!(run.documents, Vec::<Value>::new(), "{row}");
        } else {
            let document = &run.documents[0];
            assert_eq!(document["KinesisBatchInfo"]["batchSize"], given_up, "{row}");
            let response =
                json!({"statusCode": 200, "executedVersion": "$LATEST", "functionError": null});
            assert_eq!(document["responseContext"], response, "{row}");
        }
    }
}

/// Records with the sequence numbers 8 to 11, so that texts and numbers disagree about their order; one retry.
async fn run_with(texts: &[&str], body: Body) -> crate::stage::Run {
    use kcl_core::Checkpoint;
    use kcl_core::contract::FixedOwnership;
    let (seen, leases) = (crate::stage::Seen::default(), FixedOwnership::new(["s"]));
    let before: Vec<String> = (1..8).map(|number| number.to_string()).collect();
    let all: Vec<&str> = before
        .iter()
        .map(String::as_str)
        .chain(texts.iter().copied())
        .collect();
    let seven = kcl_core::SequenceNumber::new("7").unwrap();
    leases.set_checkpoint(
        "s",
        Checkpoint::Sequence {
            sequence: seven,
            subsequence: 0,
        },
    );
    let settings = MappingSettings {
        report_batch_item_failures: true,
        maximum_retry_attempts: Some(1),
        ..MappingSettings::default()
    };
    let source = crate::stage::source_of(&all);
    let worker = seen.worker(&source, &leases, mapping(settings), move |call| {
        Answer::Says(body(call))
    });
    worker
        .build()
        .unwrap()
        .run(std::future::pending())
        .await
        .unwrap();
    seen.now()
}

/// 6.1 FunctionResponseTypes, default none: the response says nothing.
#[tokio::test(start_paused = true)]
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
