//! Puts numbered records under the keys of one writer, alone and in batches.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use serde::Deserialize;

use crate::{KEYS, Soak, WRITERS};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Placed {
    failed_record_count: u32,
    records: Vec<Place>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Place {
    sequence_number: String,
}

pub(crate) async fn run(soak: Arc<Soak>, place: usize, seed: u64) {
    let mut rng = Rng::with_seed(seed ^ (place as u64) << 8);
    let own: Vec<usize> = (0..KEYS).filter(|key| key % WRITERS == place).collect();
    let mut last = vec![String::new(); KEYS];
    while !soak.is_over.load(Ordering::SeqCst) {
        if soak.is_far_ahead() {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let count = if rng.bool() { 1 } else { rng.usize(2..60) };
        let keys: Vec<usize> = (0..count).map(|_| *rng.choice(&own).unwrap()).collect();
        let mut next: Vec<u64> = read_counts(&soak);
        let records: Vec<String> = keys
            .iter()
            .map(|key| {
                next[*key] += 1;
                record(*key, next[*key] - 1)
            })
            .collect();
        let numbers = put(&soak, &records).await;
        for (key, number) in keys.iter().zip(numbers) {
            assert!(
                number > last[*key],
                "key {key}: {number} after {}",
                last[*key]
            );
            last[*key] = number;
        }
        for key in &own {
            soak.written[*key].store(next[*key], Ordering::SeqCst);
        }
        soak.written_in_all
            .fetch_add(count as u64, Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
}

fn read_counts(soak: &Soak) -> Vec<u64> {
    let count = |written: &std::sync::atomic::AtomicU64| written.load(Ordering::SeqCst);
    soak.written.iter().map(count).collect()
}

fn record(key: usize, number: u64) -> String {
    let data = base64_simd::STANDARD.encode_to_string(number.to_be_bytes());
    let mut record = String::new();
    write!(record, r#""PartitionKey":"{key}","Data":"{data}""#).unwrap();
    record
}

/// Puts the records and says their numbers.
async fn put(soak: &Soak, records: &[String]) -> Vec<String> {
    if let [record] = records {
        let body = format!(r#"{{"StreamName":"s",{record}}}"#);
        let reply = soak.call("PutRecord", body).await;
        let place: Place = serde_json::from_slice(&reply).unwrap();
        return vec![place.sequence_number];
    }
    let records = records.join("},{");
    let body = format!(r#"{{"StreamName":"s","Records":[{{{records}}}]}}"#);
    let reply = soak.call("PutRecords", body).await;
    let placed: Placed = serde_json::from_slice(&reply).unwrap();
    assert_eq!(placed.failed_record_count, 0);
    let numbers = placed
        .records
        .into_iter()
        .map(|place| place.sequence_number);
    numbers.collect()
}
