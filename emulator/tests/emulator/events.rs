//! Reads the frames of a subscription: a decoder of its own, so that nothing of the emulator judges
//! itself.

use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::{BodyExt, Full};
use kinesis_emulator::Body;
use serde_json::{Value, json};

use crate::caller::Caller;

/// One frame: its headers in order, and its payload.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) payload: Bytes,
}

/// An open subscription.
pub(crate) struct Events {
    body: Body,
}

impl Frame {
    /// Takes a frame apart and checks its sums.
    pub(crate) fn decode(mut bytes: Bytes) -> Self {
        let whole = bytes.clone();
        let len = usize::try_from(bytes.get_u32()).unwrap();
        assert_eq!(len, whole.len(), "one frame per piece");
        let headers_len = usize::try_from(bytes.get_u32()).unwrap();
        assert_eq!(bytes.get_u32(), crc32fast::hash(&whole[..8]));
        let mut rest = bytes.split_to(headers_len);
        let payload = bytes.split_to(bytes.len() - 4);
        assert_eq!(bytes.get_u32(), crc32fast::hash(&whole[..len - 4]));
        let mut headers = Vec::new();
        while rest.has_remaining() {
            let name_len = usize::from(rest.get_u8());
            let name = rest.split_to(name_len);
            assert_eq!(rest.get_u8(), 7, "every header is text");
            let value_len = usize::from(rest.get_u16());
            let value = rest.split_to(value_len);
            let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
            headers.push((text(name), text(value)));
        }
        Self { headers, payload }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The payload of an event.
    pub(crate) fn event(&self) -> Value {
        assert_eq!(self.header(":message-type"), Some("event"), "{self:?}");
        assert_eq!(self.header(":event-type"), Some("SubscribeToShardEvent"));
        assert_eq!(self.header(":content-type"), Some("application/json"));
        serde_json::from_slice(&self.payload).unwrap()
    }

    /// Type and text of an exception.
    pub(crate) fn exception(&self) -> (String, String) {
        assert_eq!(self.header(":message-type"), Some("exception"), "{self:?}");
        let kind = self.header(":exception-type").unwrap().to_owned();
        let body: Value = serde_json::from_slice(&self.payload).unwrap();
        (kind, body["message"].as_str().unwrap().to_owned())
    }
}

impl Events {
    /// The frames of an answer that has been accepted.
    pub(crate) fn of(body: Body) -> Self {
        Self { body }
    }

    /// The next frame; none at the end.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        let frame = self.body.frame().await?.unwrap();
        Some(Frame::decode(frame.into_data().unwrap()))
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Value {
        self.frame().await.expect("an event, not the end").event()
    }

    /// All records of events up to the first that has none, and that event.
    pub(crate) async fn drain(&mut self) -> (Vec<Value>, Value) {
        let mut records = Vec::new();
        loop {
            let event = self.event().await;
            let more = event["Records"].as_array().unwrap().clone();
            if more.is_empty() {
                return (records, event);
            }
            records.extend(more);
        }
    }

    /// The frame that is there already, if one is.
    pub(crate) async fn ready(&mut self) -> Option<Frame> {
        // Under paused time this lets every task run, and no time worth speaking of passes.
        let frame = tokio::time::timeout(Duration::from_nanos(1), self.frame()).await;
        frame.ok().map(|frame| frame.expect("a frame, not the end"))
    }
}

impl Caller {
    /// Registers the consumer `c` of the stream `s` and says its ARN.
    pub(crate) async fn consumer(&self, name: &str) -> String {
        let body = json!({"StreamARN": STREAM_ARN, "ConsumerName": name});
        let reply = self.ok("RegisterStreamConsumer", body).await;
        reply["Consumer"]["ConsumerARN"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Subscribes and checks how the answer and its stream begin.
    pub(crate) async fn subscribe(&self, consumer: &str, shard: &str, position: Value) -> Events {
        let body = json!({"ConsumerARN": consumer, "ShardId": shard, "StartingPosition": position});
        let answer = self.service.serve(subscribe_request(&body)).await;
        let head = (
            answer.status().as_u16(),
            answer.headers()["content-type"].clone(),
        );
        let mut events = Events {
            body: answer.into_body(),
        };
        assert_eq!(head.0, 200, "{body}");
        assert_eq!(head.1, "application/vnd.amazon.eventstream");
        let first = events.ready().await.expect("the initial response at once");
        assert_eq!(first.header(":event-type"), Some("initial-response"));
        assert_eq!(first.payload, "{}");
        events
    }
}

pub(crate) const STREAM_ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

pub(crate) fn subscribe_request(body: &Value) -> http::Request<Full<Bytes>> {
    http::Request::post("/")
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "Kinesis_20131202.SubscribeToShard")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap()
}

pub(crate) fn horizon() -> Value {
    json!({"Type": "TRIM_HORIZON"})
}

pub(crate) fn latest() -> Value {
    json!({"Type": "LATEST"})
}

pub(crate) fn at(number: &Value) -> Value {
    json!({"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": number})
}

pub(crate) fn after(number: &Value) -> Value {
    json!({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number})
}
