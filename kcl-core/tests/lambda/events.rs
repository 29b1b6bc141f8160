//! 6.2, what an event has in it.

use std::sync::{Arc, Mutex};

use aws_lambda_events::event::kinesis::KinesisEvent;
use kcl_core::contract::{FixedOwnership, ScriptedSource};
use kcl_core::event::Event;
use kcl_core::kpl::{Aggregator, UserRecord};
use kcl_core::lambda::event::EventSource;
use kcl_core::lambda::filter::FilterCriteria;
use kcl_core::lambda::mapping::{Mapping, MappingSettings};
use kcl_core::lambda::runtime_api::FunctionSettings;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};

use crate::stage::{
    ARN, Answer, SECOND, Seen, does_nothing, fails_on_bad, finish, mapping, run, source_of,
};
use crate::suite::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(["6.2 fields"], the_event_is_lambdas),
        case!(["6.2 fields"], a_function_of_any_type_gets_the_same_event),
        case!(
            ["6.2 fields", "6.2 invokeIdentityArn", "6.2 encryptionType"],
            the_json_is_lambdas
        ),
        case!(
            ["6.2 invokeIdentityArn"],
            a_role_that_is_not_known_is_not_named
        ),
        case!(
            ["6.1 EventSourceArn", "6.2 eventSourceARN of a consumer"],
            the_event_names_the_consumer_and_the_document_its_stream
        ),
        case!(["6.2 aggregates"], aggregates_come_as_they_are),
        case!(
            ["6.2 aggregates and filters"],
            a_filter_sees_an_aggregate_as_it_is_and_drops_it_loudly
        ),
        case!(
            ["6.2 aggregates and lanes"],
            aggregates_of_one_key_take_one_lane
        ),
    ]
}

/// The whole record, typed.
async fn the_event_is_lambdas() {
    let run = run(&["one"], mapping(MappingSettings::default()), does_nothing).await;
    let record = &run.events[0].records[0];
    assert_eq!(record.event_id.as_deref(), Some("s:1"));
    assert_eq!(record.event_name.as_deref(), Some("aws:kinesis:record"));
    assert_eq!(record.event_source.as_deref(), Some("aws:kinesis"));
    assert_eq!(record.event_version.as_deref(), Some("1.0"));
    assert_eq!(record.event_source_arn.as_deref(), Some(ARN));
    assert_eq!(record.aws_region.as_deref(), Some("us-east-1"));
    assert_eq!(record.kinesis.partition_key, "one");
    assert_eq!(record.kinesis.sequence_number, "1");
    assert_eq!(record.kinesis.data.as_slice(), b"one");
    assert_eq!(
        record.kinesis.kinesis_schema_version.as_deref(),
        Some("1.0")
    );
}

/// A function of its own type, of text, and the context it gets.
async fn a_function_of_any_type_gets_the_same_event() {
    let (seen, leases) = (Seen::default(), FixedOwnership::new(["s"]));
    let source = source_of(&["one", "\"two\""]);
    let typed = run(
        &["one", "\"two\""],
        mapping(MappingSettings::default()),
        does_nothing,
    )
    .await;
    let noted = seen.clone();
    let function = service_fn(move |event: LambdaEvent<Value>| {
        let context = &event.context;
        assert_eq!(context.request_id.len(), 36);
        assert_eq!(
            context.deadline, 3_000,
            "the wall clock stands, and the timeout is 3 s"
        );
        assert_eq!(
            context.invoked_function_arn,
            "arn:aws:lambda:us-east-1:000000000000:function:orders"
        );
        assert_eq!(
            (
                context.env_config.memory,
                context.env_config.version.as_str()
            ),
            (128, "$LATEST")
        );
        let event: KinesisEvent = serde_json::from_value(event.payload).unwrap();
        noted.note(event);
        std::future::ready(Ok::<_, lambda_runtime::Error>(()))
    });
    let worker = seen
        .worker(
            &source,
            &leases,
            mapping(MappingSettings::default()),
            does_nothing,
        )
        .with_lambda(mapping(MappingSettings::default()), function);
    finish(worker).await;
    assert_eq!(seen.now().events, typed.events);
}

async fn aggregates_come_as_they_are() {
    let mut aggregator = Aggregator::new();
    for key in ["a", "b"] {
        aggregator.add(UserRecord::new(key, key)).unwrap();
    }
    let packed = aggregator.finish().unwrap().data.to_vec();
    let (seen, leases, source) = (
        Seen::default(),
        FixedOwnership::new(["s"]),
        ScriptedSource::new(),
    );
    source.put("s", [&packed]);
    source.close("s", &[]);
    let worker = seen.worker(
        &source,
        &leases,
        mapping(MappingSettings::default()),
        does_nothing,
    );
    finish(worker).await;
    let events = seen.now().events;
    assert_eq!((events.len(), events[0].records.len()), (1, 1));
    assert_eq!(events[0].records[0].kinesis.data.as_slice(), packed);
}

/// What a function got that takes any JSON.
async fn told(source: EventSource) -> Vec<Value> {
    let told: Arc<Mutex<Vec<Value>>> = Arc::default();
    let noted = told.clone();
    let function = service_fn(move |event: LambdaEvent<Value>| {
        noted.lock().unwrap().push(event.payload);
        std::future::ready(Ok::<_, lambda_runtime::Error>(()))
    });
    let mapping = Mapping::new(source, FunctionSettings::in_process("orders"));
    let (seen, leases) = (Seen::default(), FixedOwnership::new(["s"]));
    let worker = seen.worker(&source_of(&["one"]), &leases, mapping.clone(), does_nothing);
    finish(worker.with_lambda(mapping, function)).await;
    told.lock().unwrap().clone()
}

/// Every field, with its type; and no other.
async fn the_json_is_lambdas() {
    let role = "arn:aws:iam::123456789012:role/orders";
    let source = EventSource::new(ARN).unwrap().with_identity_arn(role);
    let expected = json!({"Records": [{
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "one",
            "sequenceNumber": "1",
            "data": "b25l",
            "approximateArrivalTimestamp": 0.001,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": "s:1",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": role,
        "awsRegion": "us-east-1",
        "eventSourceARN": ARN,
    }]});
    assert_eq!(told(source).await, [expected]);
}

async fn a_role_that_is_not_known_is_not_named() {
    let told = told(EventSource::new(ARN).unwrap()).await;
    assert_eq!(told[0]["Records"][0].get("invokeIdentityArn"), None);
    assert_eq!(told[0]["Records"][0]["eventID"], "s:1");
}

async fn the_event_names_the_consumer_and_the_document_its_stream() {
    let arn = format!("{ARN}/consumer/app:1700000000");
    let settings = MappingSettings {
        maximum_retry_attempts: Some(0),
        ..MappingSettings::default()
    };
    let function = FunctionSettings::in_process("orders");
    let mapping = Mapping::new(EventSource::new(&arn).unwrap(), function).with_settings(settings);
    let run = run(&["bad"], mapping, fails_on_bad).await;
    let named = run.events[0].records[0].event_source_arn.as_deref();
    assert_eq!(named, Some(arn.as_str()));
    assert_eq!(run.documents[0]["KinesisBatchInfo"]["streamArn"], ARN);
}

/// Two user records of JSON, in one record.
fn aggregate() -> Vec<u8> {
    let mut aggregator = Aggregator::new();
    for key in ["a", "b"] {
        aggregator.add(UserRecord::new(key, r#"{"n": 1}"#)).unwrap();
    }
    aggregator.finish().unwrap().data.to_vec()
}

/// With the standard iterator Lambda does the same: an aggregate is not JSON.
async fn a_filter_sees_an_aggregate_as_it_is_and_drops_it_loudly() {
    let (seen, leases, source) = (
        Seen::default(),
        FixedOwnership::new(["s"]),
        ScriptedSource::new(),
    );
    source.put("s", [aggregate(), br#"{"n": 1}"#.to_vec()]);
    source.close("s", &[]);
    let filter = FilterCriteria::new([r#"{"data": {"n": [1]}}"#]).unwrap();
    let mapping = mapping(MappingSettings::default()).with_filter(filter);
    let dropped = Arc::new(Mutex::new(0));
    let counted = dropped.clone();
    let worker = seen.worker(&source, &leases, mapping, does_nothing);
    let worker = worker.with_observer(move |event: &Event| {
        if let Event::RecordsFiltered { records, .. } = event {
            *counted.lock().unwrap() += records;
        }
    });
    finish(worker).await;
    assert_eq!(seen.now().calls, [[r#"{"n": 1}"#]]);
    assert_eq!(*dropped.lock().unwrap(), 1);
}

/// The key of the record in the stream counts, not those in it.
async fn aggregates_of_one_key_take_one_lane() {
    let (seen, leases, source) = (
        Seen::default(),
        FixedOwnership::new(["s"]),
        ScriptedSource::new(),
    );
    source.put("s", [aggregate(), aggregate(), aggregate()]);
    source.close("s", &[]);
    let settings = MappingSettings {
        batch_size: 1,
        parallelization_factor: 10,
        ..MappingSettings::default()
    };
    let worker = seen.worker(&source, &leases, mapping(settings), |_| {
        Answer::Takes(SECOND)
    });
    finish(worker).await;
    let run = seen.now();
    assert_eq!((run.calls.len(), run.running_max), (3, 1));
}
