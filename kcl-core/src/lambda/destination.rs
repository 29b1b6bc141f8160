//! The document about records that were given up, for the mapping's on-failure destination. Pure; sending it is the
//! engine's business.
//!
//! A queue or topic gets the place of the records alone: whoever reads it fetches them from the stream, while that
//! still has them. A store of objects gets the whole event as well: [`Payload`].

use std::time::SystemTime;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::Value;

use super::event::{EventSource, json, to_json};
use crate::model::{Record, ShardId};

/// Why records were given up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// All attempts are used up.
    RetryAttemptsExhausted,
    /// They became older than the mapping allows. AWS's documentation has the word used here, `RecordAgeExceeded`;
    /// others write `RecordAgeExpired`: if your consumer waits for that, use [`Condition::Named`].
    RecordAgeExceeded,
    /// A record that fits into no invocation. The word, `RequestEntityTooLarge`, is ours: AWS's is not documented.
    RequestEntityTooLarge,
    /// In a word of your own.
    Named(String),
}

impl Condition {
    /// The word in the document.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::RetryAttemptsExhausted => "RetryAttemptsExhausted",
            Self::RecordAgeExceeded => "RecordAgeExceeded",
            Self::RequestEntityTooLarge => "RequestEntityTooLarge",
            Self::Named(word) => word,
        }
    }
}

/// How the last invocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastResponse {
    /// The function failed, or ran out of time.
    FunctionError,
    /// The function succeeded, and reported failures among its records.
    ItemFailures,
    /// It was never invoked.
    Never,
}

/// What happened to records that were given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// The last invocation's id, or one made for the occasion.
    pub request_id: String,
    /// The function.
    pub function_arn: String,
    /// Why they were given up.
    pub condition: Condition,
    /// How often the function was invoked with them: attempts plus one, wherever the batch was cut meanwhile.
    pub invoke_count: u32,
    /// How the last invocation ended.
    pub last_response: LastResponse,
}

/// Whether the document has the event in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    /// It has not: for queues and topics.
    #[default]
    Absent,
    /// As an object: for stores of objects. Whether AWS writes this or the other is not known.
    Object,
    /// As a text that holds the object's JSON.
    Text,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    request_context: RequestContext<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_context: Option<ResponseContext>,
    version: &'static str,
    timestamp: String,
    #[serde(rename = "KinesisBatchInfo")]
    kinesis_batch_info: BatchInfo<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    request_id: &'a str,
    function_arn: &'a str,
    condition: &'a str,
    approximate_invoke_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseContext {
    status_code: u16,
    executed_version: &'static str,
    function_error: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchInfo<'a> {
    shard_id: &'a str,
    start_sequence_number: &'a str,
    end_sequence_number: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    approximate_arrival_of_first_record: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approximate_arrival_of_last_record: Option<String>,
    batch_size: usize,
    stream_arn: &'a str,
}

/// The document about these records, as JSON. Nothing for no records.
#[must_use]
pub fn document(
    given_up: &GivenUp,
    source: &EventSource,
    shard: &ShardId,
    records: &[Record],
    payload: Payload,
    wall_now: SystemTime,
) -> Option<Bytes> {
    let (first, last) = (records.first()?, records.last()?);
    let response = |function_error| ResponseContext {
        status_code: 200,
        executed_version: "$LATEST",
        function_error,
    };
    let event = || json(source, shard, records);
    let document = Document {
        request_context: RequestContext {
            request_id: &given_up.request_id,
            function_arn: &given_up.function_arn,
            condition: given_up.condition.as_str(),
            approximate_invoke_count: given_up.invoke_count,
        },
        response_context: match given_up.last_response {
            LastResponse::FunctionError => Some(response(Some("Unhandled"))),
            LastResponse::ItemFailures => Some(response(None)),
            LastResponse::Never => None,
        },
        version: "1.0",
        timestamp: iso(wall_now),
        kinesis_batch_info: BatchInfo {
            shard_id: shard.name(),
            start_sequence_number: first.sequence_number.as_str(),
            end_sequence_number: last.sequence_number.as_str(),
            approximate_arrival_of_first_record: first.approximate_arrival.map(iso),
            approximate_arrival_of_last_record: last.approximate_arrival.map(iso),
            batch_size: records.len(),
            stream_arn: source.stream_arn(),
        },
        payload: match payload {
            Payload::Absent => None,
            Payload::Object => serde_json::from_slice(&event()).ok(),
            Payload::Text => Some(String::from_utf8_lossy(&event()).into()),
        },
    };
    Some(to_json(&document))
}

/// The name of the object that holds a document, as Lambda names it. `mapping` and `id` are UUIDs: of the mapping, and
/// made for this object.
#[must_use]
pub fn object_key(mapping: &str, shard: &ShardId, id: &str, wall_now: SystemTime) -> String {
    let now = DateTime::<Utc>::from(wall_now);
    let (day, time) = (now.format("%Y/%m/%d"), now.format("%Y-%m-%dT%H.%M.%S"));
    let shard = shard.name();
    format!("aws/lambda/{mapping}/{shard}/{day}/{time}-{id}")
}

/// A time as `2019-11-14T00:38:04.021Z`.
pub(super) fn iso(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json as value;

    use super::*;
    use crate::model::SequenceNumber;

    const STREAM: &str = "arn:aws:kinesis:us-east-2:123456789012:stream/mystream";
    const FUNCTION: &str = "arn:aws:lambda:us-east-2:123456789012:function:myfunction";

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_573_691_884_021 + millis)
    }

    fn records() -> Vec<Record> {
        let record = |number: u64| Record {
            sequence_number: SequenceNumber::new(number.to_string()).unwrap(),
            subsequence_number: 0,
            partition_key: "k".to_owned(),
            data: "data".into(),
            approximate_arrival: Some(at(number)),
        };
        vec![record(10), record(11), record(12)]
    }

    fn written(given_up: &GivenUp, payload: Payload) -> Value {
        let source = EventSource::new(format!("{STREAM}/consumer/app:17")).unwrap();
        let shard = ShardId::new("shardId-000000000001");
        let document = document(
            given_up,
            &source,
            &shard,
            &records(),
            payload,
            at(86_400_000),
        );
        serde_json::from_slice(&document.unwrap()).unwrap()
    }

    fn given_up(condition: Condition, last_response: LastResponse) -> GivenUp {
        GivenUp {
            request_id: "c9b8fa9f".to_owned(),
            function_arn: FUNCTION.to_owned(),
            condition,
            invoke_count: 4,
            last_response,
        }
    }

    /// 6.6, all fields; 6.4 row 7 for the count.
    #[test]
    fn the_document_is_lambdas() {
        let given_up = given_up(
            Condition::RetryAttemptsExhausted,
            LastResponse::FunctionError,
        );
        let expected = value!({
            "requestContext": {
                "requestId": "c9b8fa9f",
                "functionArn": FUNCTION,
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": 4,
            },
            "responseContext": {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": "Unhandled",
            },
            "version": "1.0",
            "timestamp": "2019-11-15T00:38:04.021Z",
            "KinesisBatchInfo": {
                "shardId": "shardId-000000000001",
                "startSequenceNumber": "10",
                "endSequenceNumber": "12",
                "approximateArrivalOfFirstRecord": "2019-11-14T00:38:04.031Z",
                "approximateArrivalOfLastRecord": "2019-11-14T00:38:04.033Z",
                "batchSize": 3,
                "streamArn": STREAM,
            },
        });
        assert_eq!(written(&given_up, Payload::Absent), expected);
    }

    /// 6.5, below the table: the function itself succeeded.
    #[test]
    fn reported_failures_are_no_error_of_the_function() {
        let given_up = given_up(
            Condition::RetryAttemptsExhausted,
            LastResponse::ItemFailures,
        );
        let written = written(&given_up, Payload::Absent);
        assert_eq!(written["responseContext"]["statusCode"], 200);
        assert_eq!(
            written["responseContext"].get("functionError"),
            Some(&Value::Null)
        );
    }

    /// 6.6: no response without an invocation, and the words for why.
    #[test]
    fn what_was_never_invoked_has_no_response() {
        let words = [
            (Condition::RecordAgeExceeded, "RecordAgeExceeded"),
            (Condition::RequestEntityTooLarge, "RequestEntityTooLarge"),
            (
                Condition::Named("RecordAgeExpired".to_owned()),
                "RecordAgeExpired",
            ),
        ];
        for (condition, word) in words {
            let written = written(&given_up(condition, LastResponse::Never), Payload::Absent);
            assert_eq!(written["requestContext"]["condition"], word);
            assert_eq!(written.get("responseContext"), None);
        }
    }

    /// 6.6, S3: the same document, and the event.
    #[test]
    fn an_object_has_the_whole_event() {
        let given_up = given_up(
            Condition::RetryAttemptsExhausted,
            LastResponse::FunctionError,
        );
        let object = written(&given_up, Payload::Object);
        assert_eq!(object["payload"]["Records"].as_array().unwrap().len(), 3);
        assert_eq!(
            object["payload"]["Records"][0]["kinesis"]["data"],
            "ZGF0YQ=="
        );
        let text = written(&given_up, Payload::Text);
        let inner: Value = serde_json::from_str(text["payload"].as_str().unwrap()).unwrap();
        assert_eq!(inner, object["payload"]);
    }

    /// 6.6, S3: the object's key.
    #[test]
    fn an_object_is_named_as_lambda_names_it() {
        let shard = ShardId::new("shardId-000000000001");
        let key = object_key("137b4ba6", &shard, "bf9b9f4e", at(0));
        let expected =
            "aws/lambda/137b4ba6/shardId-000000000001/2019/11/14/2019-11-14T00.38.04-bf9b9f4e";
        assert_eq!(key, expected);
        let stream = crate::model::StreamName::new("orders").unwrap();
        let of_several = ShardId::of(stream, shard.name());
        assert_eq!(
            object_key("137b4ba6", &of_several, "bf9b9f4e", at(0)),
            expected
        );
    }

    #[test]
    fn no_records_make_no_document() {
        let given_up = given_up(Condition::RetryAttemptsExhausted, LastResponse::Never);
        let source = EventSource::new(STREAM).unwrap();
        assert_eq!(
            document(
                &given_up,
                &source,
                &ShardId::new("s"),
                &[],
                Payload::Absent,
                at(0)
            ),
            None
        );
    }
}
