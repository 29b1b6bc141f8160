//! PutRecord and PutRecords: routing, numbers, and everything that is refused.

use base64_simd::STANDARD;
use serde_json::{Value, json};

use crate::caller::{Caller, data, shard};

fn number(reply: &Value) -> String {
    reply["SequenceNumber"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_record_goes_where_its_key_falls_and_numbers_rise() {
    let caller = Caller::with_stream(3).await;
    // MD5("a") lies in the first third of the space.
    let first = caller.put("a", "1").await;
    assert_eq!(first["ShardId"], shard(0));
    assert_eq!(first.get("EncryptionType"), None);
    let second = caller.put("a", "2").await;
    assert!(number(&first) < number(&second));
    assert_eq!(number(&first).len(), 56);
    for (key, index) in [
        ("0", 0),
        ("113427455640312821154458202477256070484", 0),
        ("113427455640312821154458202477256070485", 1),
        ("340282366920938463463374607431768211455", 2),
    ] {
        let body = json!({"StreamName": "s", "PartitionKey": "a", "ExplicitHashKey": key,
            "Data": "YQ=="});
        assert_eq!(
            caller.ok("PutRecord", body).await["ShardId"],
            shard(index),
            "{key}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_answered_in_its_order() {
    let caller = Caller::with_stream(2).await;
    let record = |key: &str, data: &str| json!({"PartitionKey": "k", "ExplicitHashKey": key, "Data": STANDARD.encode_to_string(data)});
    let top = u128::MAX.to_string();
    let records = json!([
        record("0", "a"),
        record(&top, "b"),
        record("1", ""),
        record(&top, "d")
    ]);
    let reply = caller
        .ok("PutRecords", json!({"StreamName": "s", "Records": records}))
        .await;
    assert_eq!(reply["FailedRecordCount"], 0);
    let places: Vec<_> = reply["Records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|place| place["ShardId"].clone())
        .collect();
    assert_eq!(places, [shard(0), shard(1), shard(0), shard(1)]);
    assert_eq!(
        caller.data_from("0", "TRIM_HORIZON", json!({})).await,
        ["a", ""]
    );
    assert_eq!(
        caller.data_from("1", "TRIM_HORIZON", json!({})).await,
        ["b", "d"]
    );
}

#[tokio::test(start_paused = true)]
async fn large_and_small_batches_read_back_byte_for_byte() {
    let caller = Caller::with_stream(1).await;
    let texts: Vec<String> = (0..500)
        .map(|i| format!("{i}:").repeat(i % 97 * 11))
        .collect();
    for part in texts.chunks(125) {
        let records: Vec<_> = part
            .iter()
            .map(|text| json!({"PartitionKey": "ключ", "Data": STANDARD.encode_to_string(text)}))
            .collect();
        caller
            .ok("PutRecords", json!({"StreamName": "s", "Records": records}))
            .await;
        caller.put("k\"\\\n", &part[0]).await;
    }
    let mut expected = Vec::new();
    for part in texts.chunks(125) {
        expected.extend(part.iter().cloned());
        expected.push(part[0].clone());
    }
    let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    let reply = caller.records(&iterator).await;
    assert_eq!(data(&reply), expected);
    assert_eq!(reply["Records"][0]["PartitionKey"], "ключ");
    assert_eq!(reply["Records"][125]["PartitionKey"], "k\"\\\n");
}

#[tokio::test(start_paused = true)]
#[expect(clippy::too_many_lines, reason = "a table of requests and refusals")]
async fn requests_are_checked_for_types_then_constraints_then_sense() {
    let caller = Caller::with_stream(1).await;
    let stream = "s under account 000000000000";
    let validation = |text: &str| {
        (
            "ValidationException".to_owned(),
            format!("1 validation error detected: {text}"),
        )
    };
    for (body, expected) in [
        (
            json!({"StreamName": "s", "PartitionKey": 5, "Data": "YQ=="}),
            (
                "SerializationException".to_owned(),
                "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted \
                 to an String"
                    .to_owned(),
            ),
        ),
        (
            json!({"StreamName": "s", "Data": "a"}),
            (
                "SerializationException".to_owned(),
                "'a' can not be converted to a Blob: Base64 encoded length is expected a multiple \
                 of 4 bytes but found: 1"
                    .to_owned(),
            ),
        ),
        (
            json!({"StreamName": "s", "PartitionKey": "k"}),
            validation(
                "Value null at 'data' failed to satisfy constraint: Member must not be null",
            ),
        ),
        (
            json!({"StreamName": "s", "PartitionKey": "", "Data": ""}),
            validation(
                "Value '' at 'partitionKey' failed to satisfy constraint: Member must have length \
                 greater than or equal to 1",
            ),
        ),
        (
            json!({"StreamName": "s", "PartitionKey": "k", "Data": "", "ExplicitHashKey": "01"}),
            validation(
                "Value '01' at 'explicitHashKey' failed to satisfy constraint: Member must satisfy \
                 regular expression pattern: 0|([1-9]\\d{0,38})",
            ),
        ),
        (
            json!({"StreamName": "none", "PartitionKey": "k", "Data": "",
                "ExplicitHashKey": "340282366920938463463374607431768211456"}),
            (
                "ResourceNotFoundException".to_owned(),
                "Stream none under account 000000000000 not found.".to_owned(),
            ),
        ),
        (
            json!({"StreamName": "s", "PartitionKey": "k", "Data": "",
                "ExplicitHashKey": "340282366920938463463374607431768211456"}),
            (
                "InvalidArgumentException".to_owned(),
                "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. \
                 Specified value was 340282366920938463463374607431768211456"
                    .to_owned(),
            ),
        ),
        (
            json!({"StreamName": "s", "PartitionKey": "k", "Data": "",
                "SequenceNumberForOrdering": "5"}),
            (
                "InvalidArgumentException".to_owned(),
                format!(
                    "ExclusiveMinimumSequenceNumber 5 used in PutRecord on stream {stream} is invalid."
                ),
            ),
        ),
    ] {
        assert_eq!(caller.refused("PutRecord", body.clone()).await, expected, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_may_have_a_mebibyte_with_its_key_and_no_more() {
    let caller = Caller::with_stream(1).await;
    let body = |length: usize| {
        let data = STANDARD.encode_to_string(vec![7; length]);
        json!({"StreamName": "s", "PartitionKey": "k", "Data": data})
    };
    caller.ok("PutRecord", body((1 << 20) - 1)).await;
    let length = 1 << 20;
    let expected = format!(
        "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]' \
         at 'data' failed to satisfy constraint: Member must have length less than or equal to 1048576"
    );
    let refusal = ("ValidationException".to_owned(), expected);
    assert_eq!(caller.refused("PutRecord", body(length)).await, refusal);
    let kept = caller.ok("PutRecord", body(0)).await;
    assert_eq!(kept["ShardId"], shard(0));
}

#[tokio::test(start_paused = true)]
async fn one_bad_record_refuses_the_whole_batch() {
    let caller = Caller::with_stream(1).await;
    let refused = async |records: Value| {
        caller
            .refused("PutRecords", json!({"StreamName": "s", "Records": records}))
            .await
    };
    let good = json!({"PartitionKey": "k", "Data": "YQ=="});
    let (kind, text) = refused(json!([good, {"PartitionKey": "k"}])).await;
    assert_eq!(kind, "ValidationException");
    assert_eq!(
        text,
        "1 validation error detected: Value null at 'records.2.member.data' failed to satisfy \
         constraint: Member must not be null"
    );
    let (kind, text) = refused(json!([])).await;
    assert_eq!(kind, "ValidationException");
    assert!(
        text.ends_with("Member must have length greater than or equal to 1"),
        "{text}"
    );
    let (kind, text) = refused(json!(vec![good.clone(); 501])).await;
    assert_eq!(kind, "ValidationException");
    assert!(
        text.ends_with("Member must have length less than or equal to 500"),
        "{text}"
    );
    let large = STANDARD.encode_to_string(vec![1; 1 << 20]);
    let large = json!({"PartitionKey": "k", "Data": large[..large.len() - 4]});
    let (kind, text) = refused(json!(vec![large; 11])).await;
    assert_eq!(kind, "InvalidArgumentException");
    assert_eq!(text, "Records size exceeds 10 MB limit");
    let bad_hash = json!({"PartitionKey": "k", "Data": "YQ==",
        "ExplicitHashKey": "999999999999999999999999999999999999999"});
    assert_eq!(
        refused(json!([good, bad_hash])).await.0,
        "InvalidArgumentException"
    );
    assert!(
        caller
            .data_from("0", "TRIM_HORIZON", json!({}))
            .await
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn a_record_comes_after_the_number_it_is_ordered_by() {
    let caller = Caller::with_stream(1).await;
    let first = number(&caller.put("k", "1").await);
    let ordered = async |above: &str| {
        let body = json!({"StreamName": "s", "PartitionKey": "k", "Data": "Mg==",
            "SequenceNumberForOrdering": above});
        number(&caller.ok("PutRecord", body).await)
    };
    let second = ordered(&first).await;
    assert!(second > first);
    // A number ahead of the counter moves it.
    let ahead = "49646437577108476416916876407034855245200058850981445634";
    let third = ordered(ahead).await;
    assert!(third.as_str() > ahead && third > second);
    assert!(number(&caller.put("k", "4").await) > third);
    let reads = caller.data_from(
        "0",
        "AT_SEQUENCE_NUMBER",
        json!({"StartingSequenceNumber": third}),
    );
    assert_eq!(reads.await, ["2", "4"]);
}
