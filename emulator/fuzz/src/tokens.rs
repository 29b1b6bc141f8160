//! What the service hands out to be brought back: iterators and paging tokens, changed as the bytes
//! say, or made up of them. The first byte says which token, and in which way it is changed.

use std::sync::OnceLock;

use bytes::Bytes;
use kinesis_emulator::Service;
use serde_json::{Value, json};

use super::rig::{Answer, JSON, STREAM_ARN, call, furnished};

/// Asks for the token, the member it comes in, asks with it, the member it goes into.
const KINDS: [(&str, &str, &str, &str); 4] = [
    (
        "GetShardIterator",
        "ShardIterator",
        "GetRecords",
        "ShardIterator",
    ),
    ("ListShards", "NextToken", "ListShards", "NextToken"),
    ("ListStreams", "NextToken", "ListStreams", "NextToken"),
    (
        "ListStreamConsumers",
        "NextToken",
        "ListStreamConsumers",
        "NextToken",
    ),
];

pub(crate) fn run(data: &[u8]) {
    let Some((choice, changes)) = data.split_first() else {
        return;
    };
    let kind = usize::from(choice & 3);
    let (asks, comes_in, takes, goes_into) = KINDS[kind];
    // Made once: to read changes nothing.
    static ISSUED: [OnceLock<(Service, String)>; 4] = [const { OnceLock::new() }; 4];
    let (service, genuine) = ISSUED[kind].get_or_init(|| {
        let service = furnished();
        let genuine = genuine(&service, asks, comes_in);
        (service, genuine)
    });
    let token = match choice >> 2 & 3 {
        // As it is.
        0 => genuine.clone(),
        // With some characters changed: pairs of place and character.
        1 => {
            let mut token = genuine.clone().into_bytes();
            for pair in changes.chunks_exact(2) {
                let place = usize::from(pair[0]) % token.len();
                token[place] = pair[1] & 0x7f;
            }
            String::from_utf8_lossy(&token).into_owned()
        }
        // Cut, and gone on with.
        2 => {
            let kept = changes
                .first()
                .map_or(0, |byte| usize::from(*byte))
                .min(genuine.len());
            let rest = String::from_utf8_lossy(changes.get(1..).unwrap_or_default());
            format!("{}{rest}", &genuine[..kept])
        }
        _ => String::from_utf8_lossy(changes).into_owned(),
    };
    let mut body = json!({ goes_into: token });
    if takes == "ListStreamConsumers" {
        body["StreamARN"] = STREAM_ARN.into();
    }
    let answer = ask(service, takes, &body);
    answer.check(JSON);
    let quoted = format!("\"{genuine}\"");
    if token == *genuine || takes == "GetRecords" && token == quoted {
        assert_eq!(answer.status, 200, "{takes}: {:?}", answer.body);
    } else {
        let (kind, text) = answer.refusal().expect("a token that nobody was given");
        assert!(
            matches!(&*kind, "InvalidArgumentException" | "ValidationException"),
            "{kind}: {text}"
        );
    }
}

fn genuine(service: &Service, operation: &str, member: &str) -> String {
    let body = match operation {
        "GetShardIterator" => {
            json!({"StreamName": "s", "ShardId": "0", "ShardIteratorType": "TRIM_HORIZON"})
        }
        "ListShards" => json!({"StreamName": "s", "MaxResults": 1}),
        "ListStreams" => {
            let other = json!({"StreamName": "t", "ShardCount": 1});
            assert_eq!(ask(service, "CreateStream", &other).status, 200);
            json!({"Limit": 1})
        }
        _ => {
            let other = json!({"StreamARN": STREAM_ARN, "ConsumerName": "d"});
            assert_eq!(ask(service, "RegisterStreamConsumer", &other).status, 200);
            json!({"StreamARN": STREAM_ARN, "MaxResults": 1})
        }
    };
    let answer = ask(service, operation, &body);
    let body = answer.body.expect("these are no events");
    let reply: Value = serde_json::from_slice(&body).expect("a reply is JSON");
    reply[member].as_str().expect("there is more").to_owned()
}

fn ask(service: &Service, operation: &str, body: &Value) -> Answer {
    call(service, JSON, operation, Bytes::from(body.to_string()))
}
