//! What is counted, as Prometheus reads it: the names are CloudWatch's, in Prometheus' letters, with
//! the original at the start of each help. Counted in the engine; here it is only collected.

use std::time::Duration;

use crate::Service;
use crate::engine::metrics::{Calls, Exceeded};
use crate::engine::shard::Shard;
use crate::engine::stream::Stream;
use crate::ops::Operation;

use super::prometheus::{Family, Kind, Text};

/// Defines families, so that a name, its type and its help stand in one place.
macro_rules! families {
    ($($constant:ident = $kind:ident $name:literal $help:literal;)*) => {
        $(const $constant: Family = Family { name: $name, kind: Kind::$kind, help: $help };)*
    };
}

families! {
    INCOMING_BYTES = Counter "kinesis_incoming_bytes_total" "CloudWatch IncomingBytes: data and keys put, in bytes.";
    INCOMING_RECORDS = Counter "kinesis_incoming_records_total" "CloudWatch IncomingRecords: records put.";
    PUT_RECORD_BYTES = Counter "kinesis_put_record_bytes_total" "CloudWatch PutRecord.Bytes.";
    PUT_RECORD_SUCCESS = Counter "kinesis_put_record_success_total" "CloudWatch PutRecord.Success: successful calls.";
    PUT_RECORD_LATENCY = Summary "kinesis_put_record_latency_milliseconds" "CloudWatch PutRecord.Latency.";
    PUT_RECORDS_BYTES = Counter "kinesis_put_records_bytes_total" "CloudWatch PutRecords.Bytes.";
    PUT_RECORDS_SUCCESS = Counter "kinesis_put_records_success_total" "CloudWatch PutRecords.Success: calls with at least one record stored.";
    PUT_RECORDS_LATENCY = Summary "kinesis_put_records_latency_milliseconds" "CloudWatch PutRecords.Latency.";
    PUT_RECORDS_TOTAL = Counter "kinesis_put_records_total_records_total" "CloudWatch PutRecords.TotalRecords: records asked to be put.";
    PUT_RECORDS_SUCCESSFUL = Counter "kinesis_put_records_successful_records_total" "CloudWatch PutRecords.SuccessfulRecords.";
    PUT_RECORDS_FAILED = Counter "kinesis_put_records_failed_records_total" "CloudWatch PutRecords.FailedRecords: those that failed for an internal error.";
    PUT_RECORDS_THROTTLED = Counter "kinesis_put_records_throttled_records_total" "CloudWatch PutRecords.ThrottledRecords.";
    GET_RECORDS_BYTES = Counter "kinesis_get_records_bytes_total" "CloudWatch GetRecords.Bytes.";
    GET_RECORDS_RECORDS = Counter "kinesis_get_records_records_total" "CloudWatch GetRecords.Records.";
    GET_RECORDS_SUCCESS = Counter "kinesis_get_records_success_total" "CloudWatch GetRecords.Success: successful calls.";
    GET_RECORDS_LATENCY = Summary "kinesis_get_records_latency_milliseconds" "CloudWatch GetRecords.Latency.";
    ITERATOR_AGE = Gauge "kinesis_get_records_iterator_age_milliseconds" "CloudWatch GetRecords.IteratorAgeMilliseconds: age of the last record of the latest answer, 0 without records.";
    WRITE_EXCEEDED = Counter "kinesis_write_provisioned_throughput_exceeded_total" "CloudWatch WriteProvisionedThroughputExceeded: records refused.";
    READ_EXCEEDED = Counter "kinesis_read_provisioned_throughput_exceeded_total" "CloudWatch ReadProvisionedThroughputExceeded: calls refused.";
    WRITE_OBSERVED = Counter "kinesis_observed_write_provisioned_throughput_exceeded_total" "CloudWatch WriteProvisionedThroughputExceeded, if the limits were enforced.";
    READ_OBSERVED = Counter "kinesis_observed_read_provisioned_throughput_exceeded_total" "CloudWatch ReadProvisionedThroughputExceeded, if the limits were enforced.";
    SUBSCRIBE_SUCCESS = Counter "kinesis_subscribe_to_shard_success_total" "CloudWatch SubscribeToShard.Success: subscriptions opened.";
    SUBSCRIBE_EXCEEDED = Counter "kinesis_subscribe_to_shard_rate_exceeded_total" "CloudWatch SubscribeToShard.RateExceeded: calls refused.";
    SUBSCRIBE_OBSERVED = Counter "kinesis_observed_subscribe_to_shard_rate_exceeded_total" "CloudWatch SubscribeToShard.RateExceeded, if the limits were enforced.";
    EVENT_SUCCESS = Counter "kinesis_subscribe_to_shard_event_success_total" "CloudWatch SubscribeToShardEvent.Success: events sent.";
    EVENT_BYTES = Counter "kinesis_subscribe_to_shard_event_bytes_total" "CloudWatch SubscribeToShardEvent.Bytes.";
    EVENT_RECORDS = Counter "kinesis_subscribe_to_shard_event_records_total" "CloudWatch SubscribeToShardEvent.Records.";
    EVENT_BEHIND = Gauge "kinesis_subscribe_to_shard_event_millis_behind_latest" "CloudWatch SubscribeToShardEvent.MillisBehindLatest: of the latest event.";
    SHARD_INCOMING_BYTES = Counter "kinesis_shard_incoming_bytes_total" "CloudWatch IncomingBytes, per shard.";
    SHARD_INCOMING_RECORDS = Counter "kinesis_shard_incoming_records_total" "CloudWatch IncomingRecords, per shard.";
    SHARD_OUTGOING_BYTES = Counter "kinesis_shard_outgoing_bytes_total" "CloudWatch OutgoingBytes, per shard, to all readers.";
    SHARD_OUTGOING_RECORDS = Counter "kinesis_shard_outgoing_records_total" "CloudWatch OutgoingRecords, per shard, to all readers.";
    SHARD_WRITE_EXCEEDED = Counter "kinesis_shard_write_provisioned_throughput_exceeded_total" "CloudWatch WriteProvisionedThroughputExceeded, per shard.";
    SHARD_READ_EXCEEDED = Counter "kinesis_shard_read_provisioned_throughput_exceeded_total" "CloudWatch ReadProvisionedThroughputExceeded, per shard.";
    SHARD_ITERATOR_AGE = Gauge "kinesis_shard_iterator_age_milliseconds" "CloudWatch IteratorAgeMilliseconds, per shard.";
    REQUESTS = Counter "kinesis_emulator_requests_total" "Calls answered, by operation and outcome: ok, lost, or the type of the error.";
    RATE_EXCEEDED = Counter "kinesis_emulator_rate_exceeded_total" "Calls that came faster than the rate of their operation; enforced says whether they were refused.";
    TABLE_EXCEEDED = Counter "kinesis_emulator_table_throughput_exceeded_total" "Reads and writes of items beyond the throughput of their table or index; enforced says whether they were refused.";
    FAULTS = Counter "kinesis_emulator_faults_struck_total" "How often a fault has struck.";
    CONNECTIONS = Gauge "kinesis_emulator_connections" "Open connections.";
    SUBSCRIPTIONS = Gauge "kinesis_emulator_subscriptions" "Open subscriptions.";
    CLOCK = Gauge "kinesis_emulator_clock_seconds" "What the virtual clock shows, in seconds since 1970.";
    MEMORY = Gauge "process_resident_memory_bytes" "Memory in use.";
}

/// All of it, as text.
pub(super) fn text(service: &Service) -> String {
    let mut text = Text::default();
    let now = service.clock().moment();
    let mut subscriptions = 0;
    for realm in service.engine().realms() {
        for stream in realm.list(now, None, usize::MAX).0 {
            subscriptions += stream.listeners();
            of_stream(&mut text, &stream);
            of_consumers(&mut text, service, &stream);
            of_shards(&mut text, service, &stream);
        }
    }
    for (api, operation, outcome, count) in service.requests().counts() {
        let labels = [
            ("service", api),
            ("operation", operation),
            ("outcome", outcome.as_str()),
        ];
        text.sample(REQUESTS, &labels, count);
    }
    for operation in Operation::ALL {
        let exceeded = service.engine().limits.calls_exceeded(*operation);
        for (enforced, counter) in [("true", &exceeded.enforced), ("false", &exceeded.observed)] {
            if counter.get() > 0 {
                let labels = [("operation", operation.name()), ("enforced", enforced)];
                text.sample(RATE_EXCEEDED, &labels, counter.get());
            }
        }
    }
    let (enforced, exceeded) = service.dynamo().exceeded();
    if exceeded > 0 {
        let labels = [("enforced", if enforced { "true" } else { "false" })];
        text.sample(TABLE_EXCEEDED, &labels, exceeded);
    }
    for report in service.faults().list() {
        let id = report.id.to_string();
        let labels = [
            ("fault", id.as_str()),
            ("action", report.fault.action().name()),
        ];
        text.sample(FAULTS, &labels, report.struck);
    }
    text.sample(CONNECTIONS, &[], service.requests().connections());
    text.sample(SUBSCRIPTIONS, &[], subscriptions);
    text.sample(CLOCK, &[], now.millis() as f64 / 1000.0);
    if let Some(memory) = memory() {
        text.sample(MEMORY, &[], memory);
    }
    text.finish()
}

/// Whose stream it is and what it is called.
fn labels(stream: &Stream) -> [(&'static str, &str); 3] {
    [
        ("account", stream.scope.account.as_ref()),
        ("region", stream.scope.region.as_ref()),
        ("stream", stream.name.as_ref()),
    ]
}

fn of_stream(text: &mut Text, stream: &Stream) {
    let (metrics, labels) = (&stream.metrics, &labels(stream)[..]);
    let (put, puts, get) = (
        &metrics.put_record,
        &metrics.put_records,
        &metrics.get_records,
    );
    let (failed, throttled) = (
        metrics.put_records_failed.get(),
        metrics.put_records_throttled.get(),
    );
    for (family, value) in [
        (INCOMING_BYTES, put.bytes.get() + puts.bytes.get()),
        (INCOMING_RECORDS, put.records.get() + puts.records.get()),
        (PUT_RECORD_BYTES, put.bytes.get()),
        (PUT_RECORD_SUCCESS, put.success.get()),
        (PUT_RECORDS_BYTES, puts.bytes.get()),
        (PUT_RECORDS_SUCCESS, puts.success.get()),
        (PUT_RECORDS_TOTAL, puts.records.get() + failed + throttled),
        (PUT_RECORDS_SUCCESSFUL, puts.records.get()),
        (PUT_RECORDS_FAILED, failed),
        (PUT_RECORDS_THROTTLED, throttled),
        (GET_RECORDS_BYTES, get.bytes.get()),
        (GET_RECORDS_RECORDS, get.records.get()),
        (GET_RECORDS_SUCCESS, get.success.get()),
        (ITERATOR_AGE, metrics.iterator_age.get()),
    ] {
        text.sample(family, labels, value);
    }
    for (family, calls) in [
        (PUT_RECORD_LATENCY, put),
        (PUT_RECORDS_LATENCY, puts),
        (GET_RECORDS_LATENCY, get),
    ] {
        text.summary(family, labels, (millis(calls), calls.success.get()));
    }
    exceeded(
        text,
        [WRITE_EXCEEDED, WRITE_OBSERVED],
        labels,
        &metrics.write_exceeded,
    );
    exceeded(
        text,
        [READ_EXCEEDED, READ_OBSERVED],
        labels,
        &metrics.read_exceeded,
    );
}

fn of_consumers(text: &mut Text, service: &Service, stream: &Stream) {
    let now = service.clock().moment();
    let [account, region, name] = labels(stream);
    for consumer in stream.consumers.all(now) {
        let labels = [account, region, name, ("consumer", consumer.name.as_ref())];
        let metrics = &consumer.metrics;
        for (family, value) in [
            (SUBSCRIBE_SUCCESS, &metrics.subscribe_success),
            (EVENT_SUCCESS, &metrics.event_success),
            (EVENT_BYTES, &metrics.event_bytes),
            (EVENT_RECORDS, &metrics.event_records),
            (EVENT_BEHIND, &metrics.millis_behind),
        ] {
            text.sample(family, &labels, value.get());
        }
        exceeded(
            text,
            [SUBSCRIBE_EXCEEDED, SUBSCRIBE_OBSERVED],
            &labels,
            &metrics.subscribe_exceeded,
        );
    }
}

/// The shards' own metrics, as far as EnableEnhancedMonitoring has asked for them.
fn of_shards(text: &mut Text, service: &Service, stream: &Stream) {
    let state = stream.state(service.clock().moment());
    let wanted = state.monitored.names();
    if wanted.is_empty() {
        return;
    }
    let [account, region, name] = labels(stream);
    for shard in state.topology.listed(None) {
        let id = shard.id();
        let labels = [account, region, name, ("shard", id.as_str())];
        for (metric, family, value) in of_shard(shard) {
            if wanted.contains(&metric) {
                text.sample(family, &labels, value);
            }
        }
    }
}

fn of_shard(shard: &Shard) -> [(&'static str, Family, u64); 7] {
    let (metrics, log) = (&shard.metrics, shard.log.lock());
    let (incoming, outgoing) = (log.incoming(), log.outgoing);
    drop(log);
    [
        ("IncomingBytes", SHARD_INCOMING_BYTES, incoming.bytes),
        ("IncomingRecords", SHARD_INCOMING_RECORDS, incoming.records),
        ("OutgoingBytes", SHARD_OUTGOING_BYTES, outgoing.bytes),
        ("OutgoingRecords", SHARD_OUTGOING_RECORDS, outgoing.records),
        (
            "WriteProvisionedThroughputExceeded",
            SHARD_WRITE_EXCEEDED,
            metrics.write_exceeded.enforced.get(),
        ),
        (
            "ReadProvisionedThroughputExceeded",
            SHARD_READ_EXCEEDED,
            metrics.read_exceeded.enforced.get(),
        ),
        (
            "IteratorAgeMilliseconds",
            SHARD_ITERATOR_AGE,
            metrics.iterator_age.get(),
        ),
    ]
}

fn exceeded(
    text: &mut Text,
    [enforced, observed]: [Family; 2],
    labels: &[(&str, &str)],
    exceeded: &Exceeded,
) {
    text.sample(enforced, labels, exceeded.enforced.get());
    text.sample(observed, labels, exceeded.observed.get());
}

fn millis(calls: &Calls) -> f64 {
    Duration::from_micros(calls.latency.get()).as_secs_f64() * 1000.0
}

/// Memory in use, where the system says so in a file.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
