//! Payloads, positions, and what is refused.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_kinesis::config::Credentials;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::get_shard_iterator::builders::GetShardIteratorFluentBuilder;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{Record, ShardIteratorType};
use aws_sdk_kinesis::{Client, config};
use tokio::process::Command;

use crate::{Failure, check, wait_until_active};

const SHARD: &str = "shardId-000000000000";
const KEY: &str = "ключ-🔑";

/// Puts four different payloads and reads them from every kind of position.
pub(crate) async fn run(client: &Client, stream: &str) -> Result<(), Failure> {
    client
        .create_stream()
        .stream_name(stream)
        .shard_count(1)
        .send()
        .await?;
    let arn = wait_until_active(client, stream).await?.stream_arn;
    let payloads = [
        b"first".to_vec(),
        (0..=255).collect(),
        Vec::new(),
        vec![7; 1_000_000],
    ];
    let mut sequences = Vec::new();
    for data in &payloads {
        let put = client.put_record().stream_arn(&arn).partition_key(KEY);
        let answer = put.data(Blob::new(data.clone())).send().await?;
        sequences.push(answer.sequence_number);
        // So that no two arrive in one millisecond.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let start = || client.get_shard_iterator().stream_arn(&arn).shard_id(SHARD);
    let [_, second, third, _] = sequences.as_slice() else {
        return Err("four records".into());
    };
    let first = |records: &[Record]| records.first().map(|it| it.sequence_number.clone());
    let all = read(
        client,
        start().shard_iterator_type(ShardIteratorType::TrimHorizon),
    )
    .await?;
    check(
        "TRIM_HORIZON starts at the first record",
        all.len() == 4,
        all.len(),
    )?;
    for (record, data) in all.iter().zip(&payloads) {
        let is_same = record.data.as_ref() == data && record.partition_key.as_deref() == Some(KEY);
        check(
            "a payload and its key come back as they were put",
            is_same,
            data.len(),
        )?;
    }
    let time = all
        .get(2)
        .and_then(|record| record.approximate_arrival_timestamp);
    let at = start()
        .shard_iterator_type(ShardIteratorType::AtTimestamp)
        .set_timestamp(time);
    let from = first(&read(client, at).await?);
    let what = "AT_TIMESTAMP starts at the record of that millisecond";
    check(what, from.as_ref() == Some(third), (from, time))?;
    let at = start().shard_iterator_type(ShardIteratorType::AtSequenceNumber);
    let from = first(&read(client, at.starting_sequence_number(second)).await?);
    check(
        "AT_SEQUENCE_NUMBER starts at the record",
        from.as_ref() == Some(second),
        from,
    )?;
    let after = start().shard_iterator_type(ShardIteratorType::AfterSequenceNumber);
    let from = first(&read(client, after.starting_sequence_number(second)).await?);
    check(
        "AFTER_SEQUENCE_NUMBER starts behind it",
        from.as_ref() == Some(third),
        from,
    )?;
    let latest = read(
        client,
        start().shard_iterator_type(ShardIteratorType::Latest),
    )
    .await?;
    check("LATEST starts behind all", latest.is_empty(), latest.len())
}

async fn read(
    client: &Client,
    start: GetShardIteratorFluentBuilder,
) -> Result<Vec<Record>, Failure> {
    let iterator = start.send().await?.shard_iterator.ok_or("no iterator")?;
    let page = client.get_records().shard_iterator(iterator).send().await?;
    let behind = page.millis_behind_latest;
    check("who has read all is not behind", behind == Some(0), behind)?;
    Ok(page.records)
}

/// Looks for the SDK's types behind the service's errors.
pub(crate) async fn refusals(
    client: &Client,
    settings: &SdkConfig,
    stream: &str,
) -> Result<(), Failure> {
    let describe = client
        .describe_stream_summary()
        .stream_name("missing")
        .send();
    let refusal = describe.await.err().map(SdkError::into_service_error);
    let is_refused = refusal
        .as_ref()
        .is_some_and(|it| it.is_resource_not_found_exception());
    check("ResourceNotFoundException", is_refused, refusal)?;

    let create = || {
        client
            .create_stream()
            .stream_name(stream)
            .shard_count(1)
            .send()
    };
    create().await?;
    let refusal = create().await.err().map(SdkError::into_service_error);
    let is_refused = refusal
        .as_ref()
        .is_some_and(|it| it.is_resource_in_use_exception());
    check("ResourceInUseException", is_refused, refusal)?;
    wait_until_active(client, stream).await?;

    let split = client
        .split_shard()
        .stream_name(stream)
        .shard_to_split(SHARD);
    let refusal = split.new_starting_hash_key("0").send().await.err();
    let refusal = refusal.map(SdkError::into_service_error);
    let is_refused = refusal
        .as_ref()
        .is_some_and(|it| it.is_invalid_argument_exception());
    check("InvalidArgumentException", is_refused, refusal)?;

    let put = client.put_record().stream_name(stream).data(Blob::new("x"));
    let refusal = put.partition_key("k".repeat(257)).send().await.err();
    let code = refusal.as_ref().and_then(ProvideErrorMetadata::code);
    check(
        "ValidationException",
        code == Some("ValidationException"),
        &refusal,
    )?;

    let start = client
        .get_shard_iterator()
        .stream_name(stream)
        .shard_id(SHARD);
    let start = start
        .shard_iterator_type(ShardIteratorType::Latest)
        .send()
        .await?;
    advance("301s").await?;
    let read = client
        .get_records()
        .set_shard_iterator(start.shard_iterator);
    let refusal = read.send().await.err().map(SdkError::into_service_error);
    let is_refused = refusal
        .as_ref()
        .is_some_and(|it| it.is_expired_iterator_exception());
    check(
        "ExpiredIteratorException after five minutes",
        is_refused,
        refusal,
    )?;

    if std::env::var_os("INTEROP_SIGNED").is_some() {
        let key = std::env::var("AWS_ACCESS_KEY_ID")?;
        let wrong = Credentials::new(key, "wrong", None, None, "interop");
        let wrong = config::Builder::from(settings)
            .credentials_provider(wrong)
            .build();
        let refusal = Client::from_conf(wrong).list_streams().send().await.err();
        let code = refusal.as_ref().and_then(ProvideErrorMetadata::code);
        let is_refused = code == Some("InvalidSignatureException");
        check("a wrong secret is refused", is_refused, &refusal)?;
        advance("1h").await?;
        let answer = client.list_streams().send().await;
        check(
            "the SDK signs again, by the emulator's clock",
            answer.is_ok(),
            &answer,
        )?;
    }
    Ok(())
}

/// Moves the emulator's clock.
async fn advance(by: &str) -> Result<(), Failure> {
    let program = std::env::var_os("INTEROP_ADVANCE").ok_or("INTEROP_ADVANCE is not set")?;
    let done = Command::new(program).arg(by).output().await?;
    check(
        "the emulator's clock can be moved",
        done.status.success(),
        done,
    )
}
