//! The real SDK, over the socket and in process.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, ShardIteratorType};
use kinesis_emulator::{Clock, Emulator, Service, Settings};
use tokio::time::Instant;

const FIRST: &str = "shardId-000000000000";

/// Makes a stream, fills it, splits it, and reads all of it.
async fn walk(client: &Client) {
    client
        .create_stream()
        .stream_name("orders")
        .shard_count(1)
        .send()
        .await
        .unwrap();
    let entry = |text: String| {
        let entry = PutRecordsRequestEntry::builder().partition_key(&text);
        entry.data(Blob::new(text)).build().unwrap()
    };
    let records = (0..100)
        .map(|number| entry(format!("record {number}")))
        .collect();
    let put = client
        .put_records()
        .stream_name("orders")
        .set_records(Some(records));
    assert_eq!(put.send().await.unwrap().failed_record_count(), Some(0));
    let split = client
        .split_shard()
        .stream_name("orders")
        .shard_to_split(FIRST);
    split
        .new_starting_hash_key((1_u128 << 127).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(read_to_the_end(client).await, (100, 2));
    let open = client
        .describe_stream_summary()
        .stream_name("orders")
        .send()
        .await
        .unwrap();
    assert_eq!(
        open.stream_description_summary()
            .unwrap()
            .open_shard_count(),
        2
    );
    let missing = client
        .describe_stream()
        .stream_name("missing")
        .send()
        .await
        .unwrap_err();
    let missing = missing.into_service_error();
    assert!(missing.is_resource_not_found_exception(), "{missing:?}");
}

/// How many records the first shard has, each checked, and how many children.
async fn read_to_the_end(client: &Client) -> (usize, usize) {
    let iterator = client
        .get_shard_iterator()
        .stream_name("orders")
        .shard_id(FIRST);
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon);
    let mut iterator = iterator.send().await.unwrap().shard_iterator;
    let (mut read, mut children) = (0, 0);
    while let Some(place) = iterator {
        let page = client
            .get_records()
            .shard_iterator(place)
            .limit(30)
            .send()
            .await
            .unwrap();
        for record in page.records() {
            let expected = format!("record {read}");
            assert_eq!(record.data().as_ref(), expected.as_bytes());
            assert_eq!(record.partition_key(), Some(expected.as_str()));
            assert!(record.approximate_arrival_timestamp().is_some());
            read += 1;
        }
        children = page.child_shards().len();
        iterator = page.next_shard_iterator;
    }
    (read, children)
}

#[tokio::test]
async fn the_sdk_works_over_the_socket() {
    let emulator = Emulator::start().await.unwrap();
    assert!(emulator.endpoint().starts_with("http://127.0.0.1:"));
    walk(&Client::new(&emulator.sdk_config())).await;
    emulator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_sdk_works_in_process_in_virtual_time() {
    let service = Service::new(Settings {
        seed: Some(3),
        ..Settings::default()
    });
    walk(&Client::new(&service.sdk_config())).await;
}

#[tokio::test(start_paused = true)]
async fn an_iterator_expires_by_paused_time_alone() {
    let clock = Clock::starting_at(std::time::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    let service = Service::new(Settings {
        clock,
        ..Settings::default()
    });
    let client = Client::new(&service.sdk_config());
    client
        .create_stream()
        .stream_name("s")
        .shard_count(1)
        .send()
        .await
        .unwrap();
    let iterator = client
        .get_shard_iterator()
        .stream_name("s")
        .shard_id("shardId-000000000000")
        .shard_iterator_type(ShardIteratorType::Latest);
    let iterator = iterator.send().await.unwrap().shard_iterator.unwrap();
    client
        .get_records()
        .shard_iterator(&iterator)
        .send()
        .await
        .unwrap();
    tokio::time::advance(Duration::from_secs(301)).await;
    let expired = client
        .get_records()
        .shard_iterator(iterator)
        .send()
        .await
        .unwrap_err();
    let expired = expired.into_service_error();
    assert!(expired.is_expired_iterator_exception(), "{expired:?}");
}

#[tokio::test]
async fn dropping_an_emulator_closes_its_port() {
    let emulator = Emulator::start().await.unwrap();
    let address = emulator.address();
    let client = Client::from_conf(
        aws_sdk_kinesis::config::Builder::from(&emulator.sdk_config())
            .retry_config(RetryConfig::disabled())
            .build(),
    );
    client.list_streams().send().await.unwrap();
    drop(emulator);
    let started = Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "the port is still open"
        );
        tokio::task::yield_now().await;
    }
    assert!(client.list_streams().send().await.is_err());
}

#[tokio::test]
async fn streams_and_tables_share_the_port() {
    let emulator = Emulator::start().await.unwrap();
    let config = emulator.sdk_config();
    Client::new(&config).list_streams().send().await.unwrap();
    let tables = aws_sdk_dynamodb::Client::new(&config)
        .describe_table()
        .table_name("none");
    // Whatever the answer is, it is the service's own, with its checksum, and not the transport's.
    assert!(
        tables
            .send()
            .await
            .unwrap_err()
            .as_service_error()
            .is_some()
    );
}
