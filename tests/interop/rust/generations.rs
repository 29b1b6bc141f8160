//! Producers, reshards and readers at the same time; then every record must have been read once.
//!
//! Producers write numbered records to their own keys while the stream is split, merged and resized.
//! Two readers start before them, one by GetRecords and one by SubscribeToShard, and follow the
//! shards: a child is read when all its parents have been read to their ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    ChildShard, ConsumerStatus, PutRecordsRequestEntry, Record, ScalingType, Shard, ShardFilter,
    ShardFilterType, ShardIteratorType, StartingPosition, SubscribeToShardEventStream,
};
use tokio::task::JoinSet;

use crate::ledger::Ledger;
use crate::{Failure, check, is_now, number, wait_until_active};

/// The partition key of the last record of each open shard.
const END: &str = "end";

type Seen = Vec<(String, Record)>;

/// How the records of a shard are read.
#[derive(Clone)]
enum Way {
    GetRecords { stream: String },
    SubscribeToShard { consumer: String },
}

pub(crate) async fn run(client: &Client, stream: &str) -> Result<(), Failure> {
    let create = client.create_stream().stream_name(stream);
    let shards = number("SHARDS_AT_START")?.into();
    create.shard_count(shards).send().await?;
    let arn = wait_until_active(client, stream).await?.stream_arn;
    let consumer = register(client, &arn).await?;
    let (ledger, stream_name) = (Arc::new(Ledger::default()), stream.to_owned());
    let roots = names(&open_shards(client, stream).await?);
    let polling = Way::GetRecords {
        stream: stream_name,
    };
    let polled = tokio::spawn(follow(client.clone(), roots.clone(), polling));
    let subscribing = Way::SubscribeToShard { consumer };
    let pushed = tokio::spawn(follow(client.clone(), roots, subscribing));
    let mut producers = JoinSet::new();
    for producer in 0..number("PRODUCERS")? {
        let (client, ledger, stream) = (client.clone(), Arc::clone(&ledger), stream.to_owned());
        producers.spawn(async move { produce(&client, &stream, &ledger, producer).await });
    }
    reshard(client, stream, &ledger).await?;
    ledger.finish();
    for produced in producers.join_all().await {
        produced?;
    }
    for shard in open_shards(client, stream).await? {
        let put = client.put_record().stream_name(stream).partition_key(END);
        let key = shard.hash_key_range.map(|range| range.starting_hash_key);
        let put = put.set_explicit_hash_key(key).data(Blob::new(END));
        put.send().await?;
    }
    let (polled, pushed) = (polled.await??, pushed.await??);
    let shards = ledger.shards();
    let what = "records were written before, between and after the reshards";
    check(what, shards.len() >= 7, &shards)?;
    ledger.verify("GetRecords", &polled)?;
    ledger.verify("SubscribeToShard", &pushed)
}

async fn register(client: &Client, stream: &str) -> Result<String, Failure> {
    let call = client.register_stream_consumer().stream_arn(stream);
    let answer = call.consumer_name("reader").send().await?;
    let consumer = answer.consumer.ok_or("no consumer")?;
    let is_new = is_now(Some(&consumer.consumer_creation_timestamp))?;
    check("a consumer is as old as it is", is_new, &consumer)?;
    loop {
        let call = client.describe_stream_consumer();
        let call = call.consumer_arn(&consumer.consumer_arn);
        let described = call
            .send()
            .await?
            .consumer_description
            .ok_or("no consumer")?;
        if described.consumer_status == ConsumerStatus::Active {
            return Ok(consumer.consumer_arn);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn open_shards(client: &Client, stream: &str) -> Result<Vec<Shard>, Failure> {
    let filter = ShardFilter::builder()
        .r#type(ShardFilterType::AtLatest)
        .build()?;
    let call = client
        .list_shards()
        .stream_name(stream)
        .shard_filter(filter);
    Ok(call.send().await?.shards.unwrap_or_default())
}

fn names(shards: &[Shard]) -> Vec<String> {
    shards.iter().map(|shard| shard.shard_id.clone()).collect()
}

/// Rounds of one record for each key; the first producer sends each by itself.
async fn produce(
    client: &Client,
    stream: &str,
    ledger: &Ledger,
    producer: u16,
) -> Result<(), Failure> {
    let keys = 0..number("KEYS_PER_PRODUCER")?;
    let keys: Vec<_> = keys
        .map(|key| format!("producer-{producer}-key-{key}"))
        .collect();
    while !ledger.is_done() {
        if producer == 0 {
            for key in &keys {
                let put = client.put_record().stream_name(stream).partition_key(key);
                let placed = put.data(Blob::new(ledger.next(key))).send().await?;
                ledger.note(key, &placed.shard_id, &placed.sequence_number)?;
            }
            continue;
        }
        let mut put = client.put_records().stream_name(stream);
        for key in &keys {
            let entry = PutRecordsRequestEntry::builder().partition_key(key);
            put = put.records(entry.data(Blob::new(ledger.next(key))).build()?);
        }
        for (key, placed) in keys.iter().zip(put.send().await?.records) {
            let (Some(shard), Some(number)) = (&placed.shard_id, &placed.sequence_number) else {
                return Err(format!("not put: {placed:?}").into());
            };
            ledger.note(key, shard, number)?;
        }
    }
    Ok(())
}

/// Split, merge, UpdateShardCount, with records before, between and after.
async fn reshard(client: &Client, stream: &str, ledger: &Ledger) -> Result<(), Failure> {
    let name = |index: u8| format!("shardId-{index:012}");
    let shards = open_shards(client, stream).await?;
    let starts = names(&shards) == [name(0), name(1)];
    check("the stream starts with its shards", starts, &shards)?;
    let range = shards
        .first()
        .and_then(|shard| shard.hash_key_range.as_ref());
    let last: u128 = range.ok_or("no hash keys")?.ending_hash_key.parse()?;

    ledger.wait_for_a_generation().await?;
    let split = client
        .split_shard()
        .stream_name(stream)
        .shard_to_split(name(0));
    let middle = last.div_ceil(2).to_string();
    split.new_starting_hash_key(middle).send().await?;
    wait_until_active(client, stream).await?;
    let open = names(&open_shards(client, stream).await?);
    check(
        "a split leaves two children",
        open == [name(1), name(2), name(3)],
        &open,
    )?;

    ledger.wait_for_a_generation().await?;
    let merge = client
        .merge_shards()
        .stream_name(stream)
        .shard_to_merge(name(3));
    merge.adjacent_shard_to_merge(name(1)).send().await?;
    wait_until_active(client, stream).await?;
    let shards = open_shards(client, stream).await?;
    check(
        "a merge leaves one child",
        names(&shards) == [name(2), name(4)],
        &shards,
    )?;
    let is_child = |shard: &Shard| {
        shard.parent_shard_id == Some(name(3)) && shard.adjacent_parent_shard_id == Some(name(1))
    };
    let knows = shards.last().is_some_and(is_child);
    check("a merged shard names both parents", knows, &shards)?;

    ledger.wait_for_a_generation().await?;
    let count = number("SHARDS_AT_END")?;
    let update = client.update_shard_count().stream_name(stream);
    let update = update.scaling_type(ScalingType::UniformScaling);
    update.target_shard_count(count.into()).send().await?;
    wait_until_active(client, stream).await?;
    let open = names(&open_shards(client, stream).await?);
    let has_all = open.len() == usize::from(count);
    check("UpdateShardCount leaves the wanted number", has_all, &open)?;
    ledger.wait_for_a_generation().await
}

/// Reads all shards from the roots on.
async fn follow(client: Client, roots: Vec<String>, way: Way) -> Result<Seen, Failure> {
    let (mut all, mut finished) = (Seen::new(), BTreeSet::new());
    let mut reading = JoinSet::new();
    let mut ready = roots;
    loop {
        for shard in ready.drain(..) {
            let (client, way) = (client.clone(), way.clone());
            reading.spawn(async move {
                let mut seen = Seen::new();
                let children = match way {
                    Way::GetRecords { stream } => poll(&client, &stream, &shard, &mut seen).await,
                    Way::SubscribeToShard { consumer } => {
                        subscribe(&client, &consumer, &shard, &mut seen).await
                    }
                };
                children.map(|children| (shard, seen, children))
            });
        }
        let Some(ended) = reading.join_next().await else {
            return Ok(all);
        };
        let (shard, seen, children) = ended??;
        all.extend(seen);
        finished.insert(shard);
        let is_ready =
            |child: &ChildShard| child.parent_shards.iter().all(|it| finished.contains(it));
        ready.extend(
            children
                .into_iter()
                .filter(is_ready)
                .map(|child| child.shard_id),
        );
    }
}

/// The children at the end of a closed shard; none when the last record of an open one is read.
async fn poll(
    client: &Client,
    stream: &str,
    shard: &str,
    seen: &mut Seen,
) -> Result<Vec<ChildShard>, Failure> {
    let start = client
        .get_shard_iterator()
        .stream_name(stream)
        .shard_id(shard);
    let start = start
        .shard_iterator_type(ShardIteratorType::TrimHorizon)
        .send()
        .await?;
    let mut next = start.shard_iterator;
    while let Some(iterator) = next {
        let page = client
            .get_records()
            .shard_iterator(iterator)
            .limit(50)
            .send()
            .await?;
        let is_empty = page.records.is_empty();
        for record in page.records {
            if record.partition_key.as_deref() == Some(END) {
                return Ok(Vec::new());
            }
            seen.push((shard.to_owned(), record));
        }
        next = page.next_shard_iterator;
        match (&next, page.child_shards) {
            (None, Some(children)) => return Ok(children),
            (Some(_), None) if is_empty => tokio::time::sleep(Duration::from_millis(20)).await,
            (Some(_), None) => {}
            both_or_none => return Err(format!("an iterator or children: {both_or_none:?}").into()),
        }
    }
    Err("no iterator".into())
}

/// As [`poll`], by a subscription.
async fn subscribe(
    client: &Client,
    consumer: &str,
    shard: &str,
    seen: &mut Seen,
) -> Result<Vec<ChildShard>, Failure> {
    let start = StartingPosition::builder()
        .r#type(ShardIteratorType::TrimHorizon)
        .build()?;
    let call = client
        .subscribe_to_shard()
        .consumer_arn(consumer)
        .shard_id(shard);
    let mut events = call.starting_position(start).send().await?.event_stream;
    while let Some(event) = events.recv().await? {
        let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event else {
            return Err(format!("an unknown event: {event:?}").into());
        };
        for record in event.records {
            if record.partition_key.as_deref() == Some(END) {
                return Ok(Vec::new());
            }
            seen.push((shard.to_owned(), record));
        }
        // The SDK makes an empty text of a continuation that is not there.
        match event.child_shards {
            Some(children) if event.continuation_sequence_number.is_empty() => return Ok(children),
            None if !event.continuation_sequence_number.is_empty() => {}
            children => return Err(format!("a continuation or children: {children:?}").into()),
        }
    }
    Err(format!("the subscription to {shard} ended without children").into())
}
