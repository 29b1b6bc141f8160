//! Records as the event that a function gets. Pure.
//!
//! [`typed`] makes the type that handlers written for `lambda_runtime` take, without going through text; [`json`] the
//! document that Lambda sends to a process. Both say the same, save that the type's own JSON has the time of arrival as a
//! string, and Lambda as a number.

use std::time::{Duration, SystemTime};

use aws_lambda_events::encodings::SecondTimestamp;
use aws_lambda_events::event::kinesis::{KinesisEvent, KinesisEventRecord};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::error::{Error, ErrorKind};
use crate::model::{Record, SequenceNumber, ShardId};

/// The largest payload of an invocation, in bytes: 6 MiB. It counts the whole event, payloads in base64.
pub const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;

/// The longest ARN of an event source, in characters.
const ARN_CHARS_MAX: usize = 10_000;

const NAME: &str = "aws:kinesis:record";
const SOURCE: &str = "aws:kinesis";
const VERSION: &str = "1.0";

/// Where records come from, as events name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSource {
    arn: String,
    region: String,
    identity_arn: Option<String>,
}

impl EventSource {
    /// The stream or registered consumer of this ARN, as it was configured: it is what `eventSourceARN` says. (What AWS
    /// says there for a consumer is not documented.) The region is the ARN's.
    ///
    /// ```
    /// use kcl_core::lambda::event::EventSource;
    ///
    /// assert!(EventSource::new("arn:aws:kinesis:eu-west-1:123456789012:stream/orders").is_ok());
    /// assert!(EventSource::new("orders").is_err());
    /// ```
    ///
    /// # Errors
    /// Of kind [`Invalid`](ErrorKind::Invalid) if it is not the ARN of a stream or of a consumer, or has more than 10,000
    /// characters.
    pub fn new(arn: impl Into<String>) -> Result<Self, Error> {
        let arn = arn.into();
        if arn.chars().count() > ARN_CHARS_MAX {
            let message =
                format!("an ARN of more than {ARN_CHARS_MAX} characters is none of a stream");
            return Err(Error::new(ErrorKind::Invalid, message).with_hint(ARN_HINT));
        }
        let mut parts = arn.splitn(6, ':');
        let parts: [&str; 6] = std::array::from_fn(|_| parts.next().unwrap_or_default());
        let ["arn", partition, "kinesis", region, account, resource] = parts else {
            return Err(not_an_arn(&arn));
        };
        let named = resource.strip_prefix("stream/");
        if [partition, region, account].contains(&"") || named.is_none_or(str::is_empty) {
            return Err(not_an_arn(&arn));
        }
        Ok(Self {
            region: region.to_owned(),
            identity_arn: None,
            arn,
        })
    }

    /// With the ARN of the role that the function runs as. Without it, events do not name one.
    #[must_use]
    pub fn with_identity_arn(mut self, arn: impl Into<String>) -> Self {
        self.identity_arn = Some(arn.into());
        self
    }

    /// The ARN that events name.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// The ARN of the stream: this one, or the one its consumer reads.
    #[must_use]
    pub fn stream_arn(&self) -> &str {
        match self.arn.split_once("/consumer/") {
            Some((stream, _)) => stream,
            None => &self.arn,
        }
    }

    /// The name of that stream.
    pub(crate) fn stream_name(&self) -> &str {
        let named = self.stream_arn().split_once(":stream/");
        named.map_or("", |(_, name)| name)
    }
}

fn not_an_arn(arn: &str) -> Error {
    Error::new(
        ErrorKind::Invalid,
        format!("{arn:?} is not the ARN of a stream"),
    )
    .with_hint(ARN_HINT)
}

const ARN_HINT: &str = "it looks like arn:aws:kinesis:eu-west-1:123456789012:stream/orders, for a consumer with \
                        /consumer/name:1700000000 behind it";

/// The event as the type of `aws_lambda_events`. Payloads are copied once, because that type owns them.
#[must_use]
pub fn typed(source: &EventSource, shard: &ShardId, records: &[Record]) -> KinesisEvent {
    typed_in(Vec::new(), source, shard, records)
}

/// As [`typed`], in this list.
pub(crate) fn typed_in(
    list: Vec<KinesisEventRecord>,
    source: &EventSource,
    shard: &ShardId,
    records: &[Record],
) -> KinesisEvent {
    let mut event = KinesisEvent::default();
    event.records = list;
    event.records.reserve_exact(records.len());
    let mut date = (SystemTime::UNIX_EPOCH, DateTime::UNIX_EPOCH);
    for record in records {
        // What was put together arrived together, and nothing else here takes as long as a date but copies.
        let arrived = arrival(record);
        if arrived != date.0 {
            date = (arrived, DateTime::from(arrived));
        }
        // Filled in where it stays: its 280 bytes are not moved.
        event.records.push(KinesisEventRecord::default());
        if let Some(last) = event.records.last_mut() {
            last.kinesis.approximate_arrival_timestamp = SecondTimestamp(date.1);
            fill(last, source, shard, record);
        }
    }
    event
}

fn fill(outer: &mut KinesisEventRecord, source: &EventSource, shard: &ShardId, record: &Record) {
    let inner = &mut outer.kinesis;
    *inner.data = record.data.to_vec();
    inner.partition_key = record.partition_key.clone();
    inner.sequence_number = record.sequence_number.as_str().to_owned();
    inner.kinesis_schema_version = Some(VERSION.to_owned());
    outer.aws_region = Some(source.region.clone());
    outer.event_id = Some(event_id(shard, record));
    outer.event_name = Some(NAME.to_owned());
    outer.event_source = Some(SOURCE.to_owned());
    outer.event_source_arn = Some(source.arn.clone());
    outer.event_version = Some(VERSION.to_owned());
    outer.invoke_identity_arn.clone_from(&source.identity_arn);
}

/// The event as Lambda sends it.
#[must_use]
pub fn json(source: &EventSource, shard: &ShardId, records: &[Record]) -> Bytes {
    let event = EventJson {
        records: records_json(source, shard, records),
    };
    to_json(&event)
}

#[derive(Serialize)]
struct EventJson<'a> {
    #[serde(rename = "Records")]
    records: Vec<RecordJson<'a>>,
}

/// One of the records of an event, as Lambda writes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecordJson<'a> {
    kinesis: KinesisJson<'a>,
    event_source: &'static str,
    event_version: &'static str,
    #[serde(rename = "eventID")]
    event_id: String,
    event_name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoke_identity_arn: Option<&'a str>,
    aws_region: &'a str,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KinesisJson<'a> {
    kinesis_schema_version: &'static str,
    partition_key: &'a str,
    sequence_number: &'a str,
    data: String,
    approximate_arrival_timestamp: f64,
}

pub(super) fn records_json<'a>(
    source: &'a EventSource,
    shard: &ShardId,
    records: &'a [Record],
) -> Vec<RecordJson<'a>> {
    let record = |record| record_json(source, shard, record, base64);
    records.iter().map(record).collect()
}

fn record_json<'a>(
    source: &'a EventSource,
    shard: &ShardId,
    record: &'a Record,
    encode: fn(&[u8]) -> String,
) -> RecordJson<'a> {
    RecordJson {
        kinesis: KinesisJson {
            kinesis_schema_version: VERSION,
            partition_key: &record.partition_key,
            sequence_number: record.sequence_number.as_str(),
            data: encode(&record.data),
            approximate_arrival_timestamp: seconds(arrival(record)),
        },
        event_source: SOURCE,
        event_version: VERSION,
        event_id: event_id(shard, record),
        event_name: NAME,
        invoke_identity_arn: source.identity_arn.as_deref(),
        aws_region: &source.region,
        event_source_arn: &source.arn,
    }
}

/// Bytes of an event without records.
pub(crate) const EMPTY_EVENT_BYTES: usize = r#"{"Records":[]}"#.len();

/// Bytes that records of one shard take in the JSON of an event. What is the same for all is counted once.
pub(crate) struct EncodedLen {
    /// Everything but key, numbers, time and payload.
    fixed: usize,
}

impl EncodedLen {
    pub(crate) fn new(source: &EventSource, shard: &ShardId) -> Self {
        let empty = Record {
            sequence_number: SequenceNumber::new("0").expect("it is a number"),
            subsequence_number: 0,
            partition_key: String::new(),
            data: Bytes::new(),
            approximate_arrival: None,
        };
        let fixed = to_json(&record_json(source, shard, &empty, |_| String::new())).len();
        let varies = own_len(&empty);
        // With the comma before it.
        Self {
            fixed: fixed - varies + 1,
        }
    }

    pub(crate) fn of(&self, record: &Record) -> usize {
        self.fixed + own_len(record) + base64_simd::STANDARD.encoded_length(record.data.len())
    }
}

/// What a record has of its own beside the payload, in bytes of JSON.
fn own_len(record: &Record) -> usize {
    let key = &record.partition_key;
    // In most keys nothing is to be escaped.
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    let key = if key.bytes().all(plain) {
        key.len()
    } else {
        to_json(key).len() - 2
    };
    key + 2 * record.sequence_number.as_str().len() + time_len(arrival(record))
}

/// How many bytes [`seconds`] take: the shortest number that is this millisecond. It is asked of every record, so it is
/// not written to be counted.
fn time_len(time: SystemTime) -> usize {
    let (away, is_before) = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => (since, false),
        // Rounded down, as a date is: before 1970 that is away from it.
        Err(before) => (before.duration() + Duration::from_nanos(999_999), true),
    };
    let (whole, part) = (away.as_secs(), away.subsec_millis());
    let digits = whole.checked_ilog10().map_or(1, |log| log as usize + 1);
    let decimals = match part {
        _ if part % 100 == 0 => 1,
        _ if part % 10 == 0 => 2,
        _ => 3,
    };
    usize::from(is_before) + digits + 1 + decimals
}

/// A random UUID, as text.
pub(crate) fn uuid(rng: &mut fastrand::Rng) -> String {
    let bits = rng.u128(..) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let text = format!("{bits:032x}");
    [
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    ]
    .join("-")
}

fn event_id(shard: &ShardId, record: &Record) -> String {
    let (shard, number) = (shard.name(), record.sequence_number.as_str());
    // One allocation, as there is one for each record.
    let mut id = String::with_capacity(shard.len() + 1 + number.len());
    id.push_str(shard);
    id.push(':');
    id.push_str(number);
    id
}

fn base64(data: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(data)
}

/// When a record arrived. The service always says so; where a source does not, it is the beginning of 1970.
fn arrival(record: &Record) -> SystemTime {
    record.approximate_arrival.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Seconds since 1970, to the millisecond.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds are far below 2^52"
)]
pub(super) fn seconds(time: SystemTime) -> f64 {
    DateTime::<Utc>::from(time).timestamp_millis() as f64 / 1e3
}

pub(super) fn to_json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value)
        .expect("texts, numbers and lists of them have a JSON form")
        .into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json as value};

    use super::*;

    const ARN: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/orders";

    fn record(data: &'static [u8], millis: u64) -> Record {
        let number = "49590338271490256608559692538361571095921575989136588898";
        Record {
            sequence_number: SequenceNumber::new(number).unwrap(),
            subsequence_number: 0,
            partition_key: "\"k\"\n".to_owned(),
            data: Bytes::from_static(data),
            approximate_arrival: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(millis)),
        }
    }

    fn source() -> EventSource {
        let role = "arn:aws:iam::123456789012:role/lambda-role";
        EventSource::new(ARN).unwrap().with_identity_arn(role)
    }

    fn shard() -> ShardId {
        ShardId::new("shardId-000000000006")
    }

    /// 6.2, the whole record.
    #[test]
    fn the_json_is_lambdas() {
        let records = [record(b"Hello, this is a test.", 1_545_084_650_987)];
        let event: Value = serde_json::from_slice(&json(&source(), &shard(), &records)).unwrap();
        let expected = value!({"Records": [{
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": "\"k\"\n",
                "sequenceNumber": "49590338271490256608559692538361571095921575989136588898",
                "data": "SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==",
                "approximateArrivalTimestamp": 1_545_084_650.987,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": "shardId-000000000006:49590338271490256608559692538361571095921575989136588898",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "arn:aws:iam::123456789012:role/lambda-role",
            "awsRegion": "us-east-1",
            "eventSourceARN": ARN,
        }]});
        assert_eq!(event, expected);
    }

    /// 6.9: a handler that takes `KinesisEvent` sees the same, whichever way it came.
    #[test]
    fn the_type_is_what_the_json_says() {
        let records = [
            record(b"\x00\xff", 1_545_084_650_987),
            record(b"together", 1_545_084_650_987),
            record(b"", 1_000),
            record(b"", 0),
            record(b"later", 1_000),
        ];
        let through_text: KinesisEvent =
            serde_json::from_slice(&json(&source(), &shard(), &records)).unwrap();
        assert_eq!(typed(&source(), &shard(), &records), through_text);
    }

    #[test]
    fn of_several_streams_a_shard_is_named_as_the_service_names_it() {
        let stream = crate::model::StreamName::new("orders").unwrap();
        let of_several = ShardId::of(stream, shard().name());
        let records = [record(b"x", 5)];
        assert_eq!(
            json(&source(), &of_several, &records),
            json(&source(), &shard(), &records)
        );
    }

    #[test]
    fn a_role_that_was_not_named_is_not_made_up() {
        let source = EventSource::new(ARN).unwrap();
        let event = json(&source, &shard(), &[record(b"", 0)]);
        assert!(!String::from_utf8_lossy(&event).contains("invokeIdentityArn"));
        assert_eq!(
            typed(&source, &shard(), &[record(b"", 0)]).records[0].invoke_identity_arn,
            None
        );
    }

    /// 6.3: the cap counts base64 and envelope.
    #[test]
    fn a_record_is_counted_to_the_byte() {
        for records in [
            vec![],
            vec![record(b"x", 5)],
            vec![record(b"four", 0), record(b"1234567", 99)],
        ] {
            let len = EncodedLen::new(&source(), &shard());
            let lens = records.iter().map(|record| len.of(record));
            // There is no comma before the first.
            let counted =
                EMPTY_EVENT_BYTES + lens.sum::<usize>() - usize::from(!records.is_empty());
            assert_eq!(json(&source(), &shard(), &records).len(), counted);
        }
    }

    #[test]
    fn a_time_is_counted_as_it_is_written() {
        let mut rng = fastrand::Rng::with_seed(1);
        let some = [
            0,
            1,
            10,
            100,
            999,
            1_000,
            1_001,
            1_500,
            1_545_084_650_987,
            253_402_300_799_999,
        ];
        let many = (0..10_000).map(|_| {
            let bits = rng.u32(..40);
            rng.u64(..253_402_300_799_999 >> bits)
        });
        for millis in some.into_iter().chain(many) {
            for time in [
                SystemTime::UNIX_EPOCH + Duration::from_millis(millis),
                SystemTime::UNIX_EPOCH - Duration::from_millis(millis % 1_000_000_000),
            ] {
                let written = to_json(&seconds(time));
                assert_eq!(time_len(time), written.len(), "{written:?}");
            }
        }
    }

    #[test]
    fn a_consumer_names_its_stream() {
        let arn = format!("{ARN}/consumer/app:1700000000");
        let source = EventSource::new(&arn).unwrap();
        assert_eq!((source.arn(), source.stream_arn()), (arn.as_str(), ARN));
    }

    #[test]
    fn what_is_not_an_arn_is_refused() {
        for arn in [
            "",
            "orders",
            "arn:aws:sqs:us-east-1:1:stream/x",
            "arn:aws:kinesis::1:stream/x",
            "arn:aws:kinesis:r:1:stream/",
        ] {
            assert_eq!(
                EventSource::new(arn).unwrap_err().kind(),
                ErrorKind::Invalid,
                "{arn}"
            );
        }
    }
}
