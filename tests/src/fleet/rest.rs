//! Experiments with a fleet that is left alone: whether it stays as it is, and what it costs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::stage::{Error, LOOK, PATIENCE, Stage, patience};
use super::{Printer, Producer};

/// What a fleet did that nobody disturbed.
#[derive(Debug)]
pub struct Calm {
    /// Records acknowledged to the producer.
    pub sent: usize,
    /// Of these, never delivered.
    pub lost: usize,
    /// Deliveries that were repeats.
    pub duplicates: usize,
    /// How often a shard was delivered from by another worker than before.
    pub moves: usize,
}

/// Three workers on twelve shards under load, for so long.
///
/// # Errors
/// If a process cannot be started or the fleet does not come to rest.
pub async fn calm(binaries: PathBuf, time: Duration) -> Result<Calm, Error> {
    let stage = Stage::set(&binaries, 12).await?;
    let producer = Producer::start(stage.client.clone(), "fleet", 12, Duration::from_millis(20));
    let workers = ["one", "two", "three"];
    let printers = workers.iter().map(|name| stage.printer(name));
    let printers = printers.collect::<Result<Vec<Printer>, _>>()?;
    stage.balanced(&workers).await?;
    let from = stage.output.len();
    sleep(time).await;
    let mut holders: BTreeMap<String, String> = BTreeMap::new();
    let mut moves = 0;
    for delivery in stage.output.since(from) {
        let before = holders.insert(delivery.shard, delivery.worker.clone());
        moves += usize::from(before.is_some_and(|before| before != delivery.worker));
    }
    let sent = producer.stop().await?;
    let lost = stage.drained(&sent).await;
    for printer in printers {
        printer.stop(PATIENCE).await?;
    }
    Ok(Calm {
        sent: sent.len(),
        lost,
        duplicates: stage.output.duplicates(),
        moves,
    })
}

/// Calls of the tables within a time, by operation.
pub type Calls = BTreeMap<String, u64>;

/// Four workers that share so many shards without a record: what they ask of the tables within `time`,
/// counted at the emulator.
///
/// # Errors
/// If a process cannot be started or the fleet does not come to rest.
pub async fn cost(binaries: PathBuf, shards: usize, time: Duration) -> Result<Calls, Error> {
    let stage = Stage::set(&binaries, shards).await?;
    let workers = ["one", "two", "three", "four"];
    let printers = workers.iter().map(|name| stage.printer(name));
    let printers = printers.collect::<Result<Vec<Printer>, _>>()?;
    let table = aws_sdk_dynamodb::Client::new(&stage.emulator.sdk_config());
    let began = Instant::now();
    while !is_shared(&table, &stage.settings.application, shards, workers.len()).await? {
        patience(began, "the shards are not shared evenly")?;
        sleep(LOOK * 20).await;
    }
    // What comes after a change is not what rest costs.
    sleep(Duration::from_secs(15)).await;
    let before = calls(stage.emulator.endpoint()).await?;
    sleep(time).await;
    let mut counted = calls(stage.emulator.endpoint()).await?;
    for (operation, count) in &mut counted {
        *count -= before.get(operation).copied().unwrap_or(0);
    }
    for printer in printers {
        printer.stop(PATIENCE).await?;
    }
    Ok(counted)
}

/// Whether every shard has an owner, and all workers have as many.
async fn is_shared(
    table: &aws_sdk_dynamodb::Client,
    name: &str,
    shards: usize,
    workers: usize,
) -> Result<bool, Error> {
    let mut held: BTreeMap<String, usize> = BTreeMap::new();
    let mut pages = table
        .scan()
        .table_name(name)
        .into_paginator()
        .items()
        .send();
    while let Some(row) = pages.next().await {
        // Before the first worker has made it there is no table.
        let Ok(row) = row else { return Ok(false) };
        // The row of the watch has an owner too.
        let is_lease = row.contains_key("checkpoint");
        if let Some(Ok(owner)) = row.get("leaseOwner").map(|value| value.as_s())
            && is_lease
        {
            *held.entry(owner.clone()).or_default() += 1;
        }
    }
    Ok(held.len() == workers && held.values().all(|count| *count == shards / workers))
}

/// How often each operation of DynamoDB was answered so far, by the emulator's own count.
async fn calls(endpoint: &str) -> Result<Calls, Error> {
    let address = endpoint.strip_prefix("http://").ok_or("not plain HTTP")?;
    let mut socket = TcpStream::connect(address).await?;
    let request =
        format!("GET /_emulator/metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    socket.read_to_string(&mut text).await?;
    let mut calls = Calls::new();
    for line in text.lines() {
        let Some(labels) = line.strip_prefix("kinesis_emulator_requests_total{") else {
            continue;
        };
        let (labels, count) = labels.split_once("} ").ok_or("a sample without a value")?;
        let label = |name: &str| {
            let (_, rest) = labels.split_once(&format!("{name}=\""))?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        if label("service").is_some_and(|service| service.eq_ignore_ascii_case("dynamodb")) {
            let operation = label("operation").ok_or("a sample without an operation")?;
            *calls.entry(operation).or_default() += count.trim().parse::<u64>()?;
        }
    }
    Ok(calls)
}

/// Of some calls, those that write.
#[must_use]
pub fn writes(calls: &Calls) -> u64 {
    let writing = [
        "PutItem",
        "UpdateItem",
        "DeleteItem",
        "BatchWriteItem",
        "TransactWriteItems",
    ];
    writing
        .iter()
        .filter_map(|operation| calls.get(*operation))
        .sum()
}
