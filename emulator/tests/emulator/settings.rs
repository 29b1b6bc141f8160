//! Settings of streams and accounts: retention, enhanced monitoring, encryption, record size, mode,
//! warm throughput, limits.

use std::time::Duration;

use kinesis_emulator::Delays;
use serde_json::{Value, json};

use crate::caller::{Caller, data};

const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
const HOUR: Duration = Duration::from_secs(3600);
const KEY: &str = "alias/aws/kinesis";

async fn summary(caller: &Caller) -> Value {
    let mut reply = caller
        .ok("DescribeStreamSummary", json!({"StreamName": "s"}))
        .await;
    reply["StreamDescriptionSummary"].take()
}

/// A caller whose changes take a second, with the stream `s`.
async fn slow(shards: u32) -> Caller {
    let update = Duration::from_secs(1);
    let caller = Caller::with_delays(Delays {
        update,
        reshard: update,
        ..Delays::default()
    });
    let body = json!({"StreamName": "s", "ShardCount": shards});
    caller.ok("CreateStream", body).await;
    caller
}

fn refusal(kind: &str, text: &str) -> (String, String) {
    (format!("{kind}Exception"), text.to_owned())
}

fn missing(name: &str) -> (String, String) {
    let text = format!("Stream {name} under account 000000000000 not found.");
    refusal("ResourceNotFound", &text)
}

fn constraint(path_and_rule: &str) -> (String, String) {
    let text = format!("1 validation error detected: Value {path_and_rule}");
    refusal("Validation", &text)
}

fn retention(hours: i32) -> Value {
    json!({"StreamName": "s", "RetentionPeriodHours": hours})
}

#[tokio::test(start_paused = true)]
async fn a_longer_retention_keeps_what_is_there_but_brings_nothing_back() {
    let caller = Caller::with_stream(1).await;
    caller.put("k", "lost").await;
    caller.advance(25 * HOUR);
    caller.put("k", "kept").await;
    // Nobody has read since the first record expired.
    caller
        .ok("IncreaseStreamRetentionPeriod", retention(48))
        .await;
    assert_eq!(summary(&caller).await["RetentionPeriodHours"], 48);
    let read = async || caller.data_from("0", "TRIM_HORIZON", json!({})).await;
    assert_eq!(read().await, ["kept"]);
    caller.advance(48 * HOUR);
    assert_eq!(read().await, ["kept"]);
    caller.advance(Duration::from_millis(1));
    assert_eq!(read().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_retention_trims_at_once_and_for_good() {
    let caller = Caller::with_stream(1).await;
    caller
        .ok("IncreaseStreamRetentionPeriod", retention(8760))
        .await;
    caller.put("k", "old").await;
    caller.advance(25 * HOUR);
    caller.put("k", "new").await;
    let open = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    caller
        .ok("DecreaseStreamRetentionPeriod", retention(24))
        .await;
    assert_eq!(data(&caller.records(&open).await), ["new"]);
    caller
        .ok("IncreaseStreamRetentionPeriod", retention(48))
        .await;
    let read = caller.data_from("0", "TRIM_HORIZON", json!({})).await;
    assert_eq!(read, ["new"]);
}

#[tokio::test(start_paused = true)]
async fn the_retention_that_is_set_is_accepted_both_ways() {
    let caller = Caller::with_stream(1).await;
    for operation in [
        "IncreaseStreamRetentionPeriod",
        "DecreaseStreamRetentionPeriod",
    ] {
        let by_both = json!({"StreamName": "s", "StreamARN": ARN, "RetentionPeriodHours": 24});
        assert_eq!(caller.ok(operation, by_both).await, Value::Null);
    }
}

#[tokio::test(start_paused = true)]
async fn retentions_that_cannot_be_are_refused() {
    let caller = Caller::with_stream(1).await;
    let (up, down) = (
        "IncreaseStreamRetentionPeriod",
        "DecreaseStreamRetentionPeriod",
    );
    caller.ok(up, retention(48)).await;
    let short = "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) \
                 is too short.";
    let long = "Maximum allowed retention period is 8760 hours. Requested retention period (8761 \
                hours) is too long.";
    let shorter = "Requested retention period (24 hours) for stream s can not be shorter than existing \
                   retention period (48 hours). Use DecreaseRetentionPeriod API.";
    let longer = "Requested retention period (72 hours) for stream s can not be longer than existing \
                  retention period (48 hours). Use IncreaseRetentionPeriod API.";
    let invalid = |text| refusal("InvalidArgument", text);
    for (operation, body, expected) in [
        (up, retention(23), invalid(short)),
        (down, retention(23), invalid(short)),
        (up, retention(8761), invalid(long)),
        (down, retention(8761), invalid(long)),
        (up, retention(24), invalid(shorter)),
        (down, retention(72), invalid(longer)),
        (
            up,
            json!({"StreamName": "s"}),
            constraint(
                "null at 'retentionPeriodHours' failed to satisfy constraint: Member must not be null",
            ),
        ),
        (
            down,
            json!({"StreamName": "t", "RetentionPeriodHours": 24}),
            missing("t"),
        ),
        (
            up,
            json!({"RetentionPeriodHours": 24}),
            invalid("Either StreamARN or StreamName should be provided."),
        ),
    ] {
        assert_eq!(caller.refused(operation, body).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn enhanced_monitoring_is_a_set_that_descriptions_show() {
    let caller = Caller::with_stream(1).await;
    let two = json!(["OutgoingBytes", "IncomingBytes"]);
    let body = json!({"StreamName": "s", "ShardLevelMetrics": two});
    let reply = caller.ok("EnableEnhancedMonitoring", body).await;
    assert_eq!(
        reply,
        json!({
            "StreamName": "s",
            "StreamARN": ARN,
            "CurrentShardLevelMetrics": [],
            "DesiredShardLevelMetrics": ["IncomingBytes", "OutgoingBytes"],
        })
    );
    let all = [
        "IncomingBytes",
        "IncomingRecords",
        "OutgoingBytes",
        "OutgoingRecords",
        "WriteProvisionedThroughputExceeded",
        "ReadProvisionedThroughputExceeded",
        "IteratorAgeMilliseconds",
    ];
    let body = json!({"StreamARN": ARN, "ShardLevelMetrics": ["ALL"]});
    let reply = caller.ok("EnableEnhancedMonitoring", body).await;
    assert_eq!(
        reply["CurrentShardLevelMetrics"],
        json!(["IncomingBytes", "OutgoingBytes"])
    );
    assert_eq!(reply["DesiredShardLevelMetrics"], json!(all));
    let body = json!({"StreamName": "s", "ShardLevelMetrics": all[1..]});
    let reply = caller.ok("DisableEnhancedMonitoring", body).await;
    assert_eq!(reply["CurrentShardLevelMetrics"], json!(all));
    assert_eq!(reply["DesiredShardLevelMetrics"], json!(["IncomingBytes"]));
    let shown = json!([{"ShardLevelMetrics": ["IncomingBytes"]}]);
    assert_eq!(summary(&caller).await["EnhancedMonitoring"], shown);
    let described = caller
        .ok("DescribeStream", json!({"StreamName": "s"}))
        .await;
    assert_eq!(described["StreamDescription"]["EnhancedMonitoring"], shown);
    let body = json!({"StreamName": "s", "ShardLevelMetrics": ["ALL"]});
    caller.ok("DisableEnhancedMonitoring", body).await;
    let shown = json!([{"ShardLevelMetrics": []}]);
    assert_eq!(summary(&caller).await["EnhancedMonitoring"], shown);
}

#[tokio::test(start_paused = true)]
async fn metrics_that_cannot_be_are_refused() {
    let caller = Caller::with_stream(1).await;
    let metrics = |names: Value| json!({"StreamName": "s", "ShardLevelMetrics": names});
    let words = "IncomingBytes, IncomingRecords, OutgoingBytes, OutgoingRecords, \
                 WriteProvisionedThroughputExceeded, ReadProvisionedThroughputExceeded, \
                 IteratorAgeMilliseconds, ALL";
    let failed = "at 'shardLevelMetrics' failed to satisfy constraint: Member must";
    for operation in ["EnableEnhancedMonitoring", "DisableEnhancedMonitoring"] {
        for (body, expected) in [
            (
                json!({"StreamName": "s"}),
                constraint(&format!("null {failed} not be null")),
            ),
            (
                metrics(json!(["ALL", "Speed"])),
                constraint(&format!(
                    "'[ALL, Speed]' {failed} satisfy constraint: [Member must satisfy enum value \
                     set: [{words}]]"
                )),
            ),
            (
                metrics(json!([])),
                constraint(&format!(
                    "'[]' {failed} have length greater than or equal to 1"
                )),
            ),
            (
                metrics(json!(vec!["ALL"; 8])),
                constraint(&format!(
                    "'[ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL]' {failed} have length less than or \
                     equal to 7"
                )),
            ),
            (
                json!({"StreamName": "t", "ShardLevelMetrics": ["ALL"]}),
                missing("t"),
            ),
            (
                json!({"ShardLevelMetrics": ["ALL"]}),
                refusal(
                    "InvalidArgument",
                    "Either StreamARN or StreamName should be provided.",
                ),
            ),
        ] {
            assert_eq!(caller.refused(operation, body).await, expected);
        }
    }
}

fn encrypt(key: &str) -> Value {
    json!({"StreamName": "s", "EncryptionType": "KMS", "KeyId": key})
}

#[tokio::test(start_paused = true)]
async fn records_remember_whether_they_were_encrypted_when_written() {
    let caller = Caller::with_stream(1).await;
    let batch = json!({"StreamName": "s", "Records": [{"PartitionKey": "k", "Data": ""}]});
    assert_eq!(caller.put("k", "a").await.get("EncryptionType"), None);
    caller.ok("StartStreamEncryption", encrypt(KEY)).await;
    let shown = summary(&caller).await;
    assert_eq!(
        (&shown["EncryptionType"], &shown["KeyId"]),
        (&json!("KMS"), &json!(KEY))
    );
    assert_eq!(caller.put("k", "b").await["EncryptionType"], "KMS");
    let reply = caller.ok("PutRecords", batch.clone()).await;
    assert_eq!(reply["EncryptionType"], "KMS");
    // From key to key.
    let other = "arn:aws:kms:us-east-1:123456789012:alias/mine";
    caller.ok("StartStreamEncryption", encrypt(other)).await;
    let described = caller.ok("DescribeStream", json!({"StreamARN": ARN})).await;
    assert_eq!(described["StreamDescription"]["KeyId"], other);
    caller.ok("StopStreamEncryption", encrypt(other)).await;
    let shown = summary(&caller).await;
    assert_eq!(
        (&shown["EncryptionType"], shown.get("KeyId")),
        (&json!("NONE"), None)
    );
    let reply = caller.ok("PutRecords", batch).await;
    assert_eq!(reply.get("EncryptionType"), None);
    // To stop once more does nothing.
    caller.ok("StopStreamEncryption", encrypt(other)).await;
    let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    let read = caller.records(&iterator).await;
    let kinds: Vec<_> = read["Records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record.get("EncryptionType").and_then(Value::as_str))
        .collect();
    assert_eq!(kinds, [None, Some("KMS"), Some("KMS"), None]);
}

#[tokio::test(start_paused = true)]
async fn encryption_that_cannot_be_is_refused() {
    let caller = Caller::with_stream(1).await;
    let failed = "failed to satisfy constraint: Member must";
    for operation in ["StartStreamEncryption", "StopStreamEncryption"] {
        for (body, expected) in [
            (
                json!({"StreamName": "s"}),
                refusal(
                    "Validation",
                    &format!(
                        "2 validation errors detected: Value null at 'encryptionType' {failed} not \
                         be null; Value null at 'keyId' {failed} not be null"
                    ),
                ),
            ),
            (
                json!({"StreamName": "s", "EncryptionType": "AES", "KeyId": KEY}),
                constraint(&format!(
                    "'AES' at 'encryptionType' {failed} satisfy enum value set: [NONE, KMS]"
                )),
            ),
            (
                encrypt(""),
                constraint(&format!(
                    "'' at 'keyId' {failed} have length greater than or equal to 1"
                )),
            ),
            (
                json!({"StreamName": "s", "EncryptionType": "NONE", "KeyId": KEY}),
                refusal("InvalidArgument", "EncryptionType must be KMS."),
            ),
            (
                encrypt("my key"),
                refusal("KMSNotFound", "Invalid keyId my key"),
            ),
            (
                json!({"StreamName": "t", "EncryptionType": "KMS", "KeyId": KEY}),
                missing("t"),
            ),
            (
                json!({"EncryptionType": "KMS", "KeyId": KEY}),
                refusal(
                    "InvalidArgument",
                    "Either StreamARN or StreamName should be provided.",
                ),
            ),
        ] {
            assert_eq!(
                caller.refused(operation, body).await,
                expected,
                "{operation}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn encryption_starts_and_stops_25_times_a_day() {
    let caller = Caller::with_stream(1).await;
    for _ in 0..25 {
        caller.ok("StartStreamEncryption", encrypt(KEY)).await;
        caller.ok("StopStreamEncryption", encrypt(KEY)).await;
        caller.advance(Duration::from_secs(60));
    }
    let often = |operation: &str| {
        let text = format!(
            "{operation} cannot be called more than 25 times in a rolling 24-hour period for stream s \
             under account 000000000000."
        );
        refusal("LimitExceeded", &text)
    };
    let start = caller.refused("StartStreamEncryption", encrypt(KEY)).await;
    assert_eq!(start, often("StartStreamEncryption"));
    caller.advance(24 * HOUR - 25 * Duration::from_secs(60));
    caller.ok("StartStreamEncryption", encrypt(KEY)).await;
    caller.ok("StopStreamEncryption", encrypt(KEY)).await;
    caller.advance(Duration::from_secs(60));
    caller.ok("StartStreamEncryption", encrypt(KEY)).await;
    caller.advance(Duration::from_secs(1));
    caller.ok("StopStreamEncryption", encrypt(KEY)).await;
    caller.advance(Duration::from_secs(58));
    let start = caller.refused("StartStreamEncryption", encrypt(KEY)).await;
    assert_eq!(start, often("StartStreamEncryption"));
}

fn record_size(kib: i32) -> Value {
    json!({"StreamARN": ARN, "MaxRecordSizeInKiB": kib})
}

fn record(bytes: usize) -> Value {
    let data = base64_simd::STANDARD.encode_to_string(vec![b'x'; bytes]);
    json!({"PartitionKey": "k", "Data": data})
}

#[tokio::test(start_paused = true)]
async fn records_up_to_ten_mebibytes_are_put_and_read() {
    let caller = Caller::with_stream(1).await;
    let put = |bytes: usize| {
        let mut body = record(bytes);
        body["StreamName"] = json!("s");
        body
    };
    let batch = |bytes: usize| json!({"StreamName": "s", "Records": [record(bytes)]});
    let mebi = 1 << 20;
    caller.ok("PutRecord", put(mebi - 1)).await;
    for (operation, body, path) in [
        ("PutRecord", put(mebi), "data"),
        ("PutRecords", batch(mebi), "records.1.member.data"),
    ] {
        let (kind, text) = caller.refused(operation, body).await;
        assert_eq!(kind, "ValidationException");
        let rule = format!(
            "at '{path}' failed to satisfy constraint: Member must have length less than or equal to \
             1048576"
        );
        assert!(text.contains(&rule), "{text}");
    }
    caller.ok("UpdateMaxRecordSize", record_size(10_240)).await;
    assert_eq!(summary(&caller).await["MaxRecordSizeInKiB"], 10_240);
    caller.ok("PutRecord", put(10 * mebi - 1)).await;
    caller.ok("PutRecords", batch(10 * mebi - 1)).await;
    let (kind, _) = caller.refused("PutRecord", put(10 * mebi)).await;
    assert_eq!(kind, "ValidationException");
    // What is stored stays when the limit goes down.
    caller.ok("UpdateMaxRecordSize", record_size(1024)).await;
    let mut iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    let mut sizes = Vec::new();
    for _ in 0..3 {
        let page = caller.records(&iterator).await;
        sizes.extend(data(&page).iter().map(String::len));
        iterator = page["NextShardIterator"].as_str().unwrap().to_owned();
    }
    assert_eq!(sizes, [mebi - 1, 10 * mebi - 1, 10 * mebi - 1]);
}

#[tokio::test(start_paused = true)]
async fn record_sizes_that_cannot_be_are_refused() {
    let caller = Caller::with_stream(1).await;
    let failed = "at 'maxRecordSizeInKiB' failed to satisfy constraint: Member must";
    for (body, expected) in [
        (
            json!({"StreamARN": ARN}),
            constraint(&format!("null {failed} not be null")),
        ),
        (
            record_size(1023),
            constraint(&format!(
                "'1023' {failed} have value greater than or equal to 1024"
            )),
        ),
        (
            record_size(10_241),
            constraint(&format!(
                "'10241' {failed} have value less than or equal to 10240"
            )),
        ),
        (
            json!({"StreamARN": ARN.replace("/s", "/t"), "MaxRecordSizeInKiB": 2048}),
            missing("t"),
        ),
        (
            json!({"MaxRecordSizeInKiB": 2048}),
            refusal(
                "InvalidArgument",
                "Either StreamARN or StreamName should be provided.",
            ),
        ),
    ] {
        assert_eq!(caller.refused("UpdateMaxRecordSize", body).await, expected);
    }
}

/// An operation, its body, the member of the summary that shows it, and that before and after. Null is
/// not looked at.
type Change = (&'static str, Value, &'static str, Value, Value);

fn changes_of_settings() -> Vec<Change> {
    let metrics = json!({"StreamName": "s", "ShardLevelMetrics": ["ALL"]});
    let (encryption, hours) = ("EncryptionType", "RetentionPeriodHours");
    let (size, monitoring) = ("MaxRecordSizeInKiB", "EnhancedMonitoring");
    let none = json!([{"ShardLevelMetrics": []}]);
    let change = |operation, body: &Value, member, before: Value, after: Value| {
        (operation, body.clone(), member, before, after)
    };
    vec![
        change(
            "StartStreamEncryption",
            &encrypt(KEY),
            encryption,
            json!("NONE"),
            json!("KMS"),
        ),
        change(
            "StopStreamEncryption",
            &encrypt(KEY),
            encryption,
            json!("KMS"),
            json!("NONE"),
        ),
        change(
            "IncreaseStreamRetentionPeriod",
            &retention(48),
            hours,
            json!(24),
            json!(48),
        ),
        change(
            "DecreaseStreamRetentionPeriod",
            &retention(24),
            hours,
            json!(48),
            json!(24),
        ),
        change(
            "UpdateMaxRecordSize",
            &record_size(2048),
            size,
            json!(1024),
            json!(2048),
        ),
        change(
            "EnableEnhancedMonitoring",
            &metrics,
            monitoring,
            none.clone(),
            Value::Null,
        ),
        change(
            "DisableEnhancedMonitoring",
            &metrics,
            monitoring,
            Value::Null,
            none,
        ),
    ]
}

fn changes_of_capacity() -> Vec<Change> {
    let count = json!({"StreamName": "s", "TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"});
    let mode = json!({"StreamARN": ARN, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    let shown = |mode: &str| json!({"StreamMode": mode});
    let (before, after) = (shown("PROVISIONED"), shown("ON_DEMAND"));
    vec![
        (
            "UpdateShardCount",
            count,
            "OpenShardCount",
            json!(2),
            json!(4),
        ),
        ("UpdateStreamMode", mode, "StreamModeDetails", before, after),
    ]
}

fn changes() -> impl Iterator<Item = Change> {
    changes_of_settings()
        .into_iter()
        .chain(changes_of_capacity())
}

#[tokio::test(start_paused = true)]
async fn a_change_takes_its_time_and_keeps_others_out() {
    let caller = slow(2).await;
    let busy = refusal(
        "ResourceInUse",
        "Stream s under account 000000000000 not ACTIVE, instead in state UPDATING",
    );
    for (operation, body, member, before, after) in changes() {
        caller.ok(operation, body).await;
        let shown = summary(&caller).await;
        assert_eq!(shown["StreamStatus"], "UPDATING", "{operation}");
        if before != Value::Null {
            assert_eq!(shown[member], before, "{operation}");
        }
        for (other, body, ..) in changes() {
            assert_eq!(
                caller.refused(other, body).await,
                busy,
                "{other} in {operation}"
            );
        }
        caller.advance(Duration::from_millis(999));
        assert_eq!(summary(&caller).await["StreamStatus"], "UPDATING");
        caller.advance(Duration::from_millis(1));
        let shown = summary(&caller).await;
        assert_eq!(shown["StreamStatus"], "ACTIVE", "{operation}");
        if after != Value::Null {
            assert_eq!(shown[member], after, "{operation}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_becomes_on_demand_keeps_its_shards_while_nobody_writes() {
    let caller = slow(2).await;
    let body = json!({"StreamARN": ARN, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    caller.ok("UpdateStreamMode", body).await;
    caller.advance(Duration::from_secs(1));
    assert_eq!(summary(&caller).await["OpenShardCount"], 2);
    caller.advance(HOUR);
    assert_eq!(summary(&caller).await["OpenShardCount"], 2);
}

fn commitment(status: &str) -> Value {
    json!({"MinimumThroughputBillingCommitment": {"Status": status}})
}

#[tokio::test(start_paused = true)]
async fn a_billing_commitment_lasts_a_day_at_least() {
    let caller = Caller::new();
    let start = crate::caller::START as f64;
    let shown = |body: Value| json!({"MinimumThroughputBillingCommitment": body});
    let described = async || caller.ok("DescribeAccountSettings", json!({})).await;
    let update = async |status| caller.ok("UpdateAccountSettings", commitment(status)).await;
    assert_eq!(described().await, shown(json!({"Status": "DISABLED"})));
    assert_eq!(
        update("DISABLED").await,
        shown(json!({"Status": "DISABLED"}))
    );
    let times = json!({"StartedAt": start, "EarliestAllowedEndAt": start + 86_400.0});
    let with = |status: &str| {
        let mut body = times.clone();
        body["Status"] = json!(status);
        shown(body)
    };
    assert_eq!(update("ENABLED").await, with("ENABLED"));
    caller.advance(HOUR);
    assert_eq!(
        update("DISABLED").await,
        with("ENABLED_UNTIL_EARLIEST_ALLOWED_END")
    );
    assert_eq!(update("ENABLED").await, with("ENABLED"));
    assert_eq!(
        update("DISABLED").await,
        with("ENABLED_UNTIL_EARLIEST_ALLOWED_END")
    );
    caller.advance(23 * HOUR);
    let ended = shown(json!({
        "Status": "DISABLED", "StartedAt": start, "EndedAt": start + 86_400.0,
    }));
    assert_eq!(described().await, ended);
}

#[tokio::test(start_paused = true)]
async fn account_settings_that_cannot_be_are_refused() {
    let caller = Caller::new();
    let path = "minimumThroughputBillingCommitment";
    for (body, expected) in [
        (
            json!({}),
            format!("null at '{path}' failed to satisfy constraint: Member must not be null"),
        ),
        (
            json!({"MinimumThroughputBillingCommitment": {}}),
            format!(
                "null at '{path}.status' failed to satisfy constraint: Member must not be null"
            ),
        ),
        (
            commitment("PERHAPS"),
            format!(
                "'PERHAPS' at '{path}.status' failed to satisfy constraint: Member must satisfy enum \
                 value set: [ENABLED, DISABLED]"
            ),
        ),
    ] {
        let refused = caller.refused("UpdateAccountSettings", body).await;
        assert_eq!(refused, constraint(&expected));
    }
}
