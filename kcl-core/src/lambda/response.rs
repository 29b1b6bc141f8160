//! What a function says of the records it was given: `ReportBatchItemFailures`. Pure.
//!
//! Only for mappings that ask for it; without it the body of a response says nothing, and a function that returned has
//! done all of its batch.

use serde_json::Value;

use crate::model::{Record, SequenceNumber};

/// What follows from a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All records of the batch are done.
    Done,
    /// The records before this index are done. It and all behind it come again, those that were done among them.
    RetryFrom(usize),
    /// None is done. The function itself succeeded: a document of failure has status 200 and no `functionError`.
    RetryAll,
}

/// What the body of a response means, for the batch it is about.
///
/// | body | meaning |
/// |---|---|
/// | empty, `null`, `""`, `[]`, `{}` | all done |
/// | `batchItemFailures` missing, `null` or `[]` | all done |
/// | identifiers that are sequence numbers of the batch | done up to before the lowest of them, as numbers |
/// | among them one that is not of the batch, or empty, `null`, missing, or no text | none done |
///
/// What AWS does with other bodies is not known. Here one that is JSON and no object reports nothing, so that all is
/// done; one that is not JSON at all, and a `batchItemFailures` that is no list, leave nothing done: no record is lost
/// by a misunderstanding.
///
/// ```
/// use kcl_core::lambda::response::{Verdict, judge};
///
/// assert_eq!(judge(br#"{"batchItemFailures": []}"#, &[]), Verdict::Done);
/// assert_eq!(judge(br#"{"batchItemFailures": [{"itemIdentifier": ""}]}"#, &[]), Verdict::RetryAll);
/// ```
#[must_use]
pub fn judge(body: &[u8], batch: &[Record]) -> Verdict {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Verdict::Done;
    }
    match serde_json::from_slice(body) {
        Ok(body) => judge_value(&body, batch),
        Err(_) => Verdict::RetryAll,
    }
}

/// As [`judge`], for a function in this process, whose response need not become text.
#[must_use]
pub fn judge_value(body: &Value, batch: &[Record]) -> Verdict {
    let failures = match body.get("batchItemFailures") {
        None | Some(Value::Null) => return Verdict::Done,
        Some(Value::Array(failures)) => failures,
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            return Verdict::RetryAll;
        }
    };
    let mut lowest: Option<usize> = None;
    for failure in failures {
        let number = failure
            .get("itemIdentifier")
            .and_then(Value::as_str)
            .and_then(|text| SequenceNumber::new(text).ok());
        // A batch is in the order of its numbers.
        let at = number.and_then(|number| {
            let at = batch.partition_point(|record| record.sequence_number < number);
            let is_there = batch.get(at)?.sequence_number == number;
            is_there.then_some(at)
        });
        let Some(at) = at else {
            return Verdict::RetryAll;
        };
        lowest = Some(lowest.map_or(at, |lowest| lowest.min(at)));
    }
    lowest.map_or(Verdict::Done, Verdict::RetryFrom)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of which text and value disagree about the order.
    const NUMBERS: [&str; 4] = ["9", "10", "99", "100"];

    fn batch() -> Vec<Record> {
        let record = |number: &str| Record {
            sequence_number: SequenceNumber::new(number).unwrap(),
            subsequence_number: 0,
            partition_key: String::new(),
            data: bytes::Bytes::new(),
            approximate_arrival: None,
        };
        NUMBERS.map(record).into()
    }

    #[test]
    fn what_the_table_does_not_say_loses_nothing() {
        use Verdict::{Done, RetryAll};
        let rows = [
            ("no body", "", Done),
            ("blanks", " \n", Done),
            ("a text", r#""done""#, Done),
            ("a list", "[1]", Done),
            ("a number", "5", Done),
            ("other fields", r#"{"ok": true}"#, Done),
            ("no JSON", "done", RetryAll),
            ("half of it", r#"{"batchItemFailures": ["#, RetryAll),
            (
                "an object for the list",
                r#"{"batchItemFailures": {}}"#,
                RetryAll,
            ),
            (
                "a text for the list",
                r#"{"batchItemFailures": "99"}"#,
                RetryAll,
            ),
            (
                "a text for an item",
                r#"{"batchItemFailures": ["99"]}"#,
                RetryAll,
            ),
        ];
        for (row, body, verdict) in rows {
            assert_eq!(judge(body.as_bytes(), &batch()), verdict, "{row}: {body}");
        }
    }

    /// 6.9: what handlers of `lambda_runtime` return.
    #[test]
    fn the_type_that_handlers_return_is_understood() {
        use aws_lambda_events::event::streams::KinesisEventResponse;
        let mut response = KinesisEventResponse::default();
        assert_eq!(
            judge_value(&serde_json::to_value(&response).unwrap(), &batch()),
            Verdict::Done
        );
        response.add_failure("99");
        let value = serde_json::to_value(&response).unwrap();
        assert_eq!(judge_value(&value, &batch()), Verdict::RetryFrom(2));
        let nothing = serde_json::to_value(()).unwrap();
        assert_eq!(judge_value(&nothing, &batch()), Verdict::Done);
    }
}
