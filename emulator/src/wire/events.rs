//! What a subscription tells, as frames in the caller's encoding.

use bytes::Bytes;
use serde::Serialize;

use crate::engine::shard::Shard;
use crate::engine::subscription::Event;

use super::codec::Wire;
use super::event_stream::frame;
use super::records::{Next, Records};
use super::shape::ChildShard;

/// The frame that opens every stream; some clients wait for it before they return.
pub(crate) fn initial_response(wire: Wire) -> Bytes {
    // In the order that was recorded, which is not that of the other events.
    let headers = [
        (":message-type", "event"),
        (":event-type", "initial-response"),
        (":content-type", content_type(wire)),
    ];
    #[derive(Serialize)]
    struct Nothing {}
    frame(&headers, |out| {
        out.extend_from_slice(&wire.write(&Nothing {}))
    })
}

/// The frame of an event at `shard`.
pub(crate) fn event(wire: Wire, shard: &Shard, event: &Event) -> Bytes {
    let reply = match event {
        Event::Records {
            entries,
            continuation,
            millis_behind,
        } => Records {
            shard,
            entries,
            next: Next::Continuation(*continuation),
            millis_behind: *millis_behind,
            children: None,
        },
        Event::Ended { children } => Records {
            shard,
            entries: &[],
            next: Next::End,
            millis_behind: 0,
            children: Some(
                children
                    .iter()
                    .map(|child| ChildShard::from(&**child))
                    .collect(),
            ),
        },
        Event::Refused(refusal) => {
            return exception(wire, refusal.kind.name(), refusal.message.as_deref());
        }
    };
    let headers = [
        (":content-type", content_type(wire)),
        (":event-type", "SubscribeToShardEvent"),
        (":message-type", "event"),
    ];
    frame(&headers, |out| reply.append(wire, out))
}

/// The frame that ends a stream with an error.
pub(crate) fn exception(wire: Wire, kind: &str, message: Option<&str>) -> Bytes {
    #[derive(Serialize)]
    struct Body<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'a str>,
    }
    let headers = [
        (":content-type", content_type(wire)),
        (":exception-type", kind),
        (":message-type", "exception"),
    ];
    let body = Body { message };
    frame(&headers, |out| out.extend_from_slice(&wire.write(&body)))
}

/// The payload's type, which for JSON is not that of the service's other answers.
fn content_type(wire: Wire) -> &'static str {
    match wire {
        Wire::Json => "application/json",
        Wire::Cbor => "application/x-amz-cbor-1.1",
    }
}
