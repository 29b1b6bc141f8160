//! Polling against answers that a good service would never give, and the bad days of a good one.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use kcl_core::event::{Events, Origin, Trimmed};
use kcl_core::model::{Position, ShardId};
use kcl_core::port::{Feed, FeedError, Meter, OpenFeed};
use kcl_core::*;
use serde_json::{Value, json};
use tokio::time::timeout;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

const NOON: SystemTime = SystemTime::UNIX_EPOCH;
const PATIENCE: Duration = Duration::from_secs(20);

/// A service that says what it is told to, and remembers what it was asked.
#[derive(Clone, Default)]
struct Service(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    iterators: VecDeque<ResponseTemplate>,
    pages: VecDeque<ResponseTemplate>,
    /// What was asked of `GetShardIterator`, as `TYPE number-or-time`.
    opened: Vec<String>,
    /// The iterators that `GetRecords` was called with.
    fetched: Vec<String>,
}

impl Respond for Service {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut script = self.0.lock().unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let target = request.headers["x-amz-target"].to_str().unwrap();
        if target.ends_with(".GetShardIterator") {
            let kind = body["ShardIteratorType"].as_str().unwrap();
            let place = [&body["StartingSequenceNumber"], &body["Timestamp"]];
            let place = place.into_iter().find(|place| !place.is_null());
            let place = place.map(|place| format!(" {place}").replace('"', ""));
            script
                .opened
                .push(format!("{kind}{}", place.unwrap_or_default()));
            let iterator = json!({ "ShardIterator": format!("it-{}", script.opened.len()) });
            return script
                .iterators
                .pop_front()
                .unwrap_or_else(|| answer(&iterator));
        }
        assert!(target.ends_with(".GetRecords"), "{target}");
        script
            .fetched
            .push(body["ShardIterator"].as_str().unwrap().to_owned());
        script.pages.pop_front().unwrap_or_else(|| page([], "idle"))
    }
}

impl Service {
    fn script(pages: impl IntoIterator<Item = ResponseTemplate>) -> Self {
        let service = Self::default();
        service.0.lock().unwrap().pages.extend(pages);
        service
    }

    fn opened(&self) -> Vec<String> {
        self.0.lock().unwrap().opened.clone()
    }

    fn fetched(&self) -> Vec<String> {
        self.0.lock().unwrap().fetched.clone()
    }
}

fn answer(body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body.to_string(), "application/x-amz-json-1.1")
}

fn refusal(status: u16, code: &str) -> ResponseTemplate {
    let body = json!({ "__type": code, "message": "scripted" });
    ResponseTemplate::new(status).set_body_raw(body.to_string(), "application/x-amz-json-1.1")
}

fn records(numbers: impl IntoIterator<Item = u32>) -> Vec<Value> {
    let record = |number: u32| {
        json!({
            "SequenceNumber": number.to_string(), "Data": "ZGF0YQ==", "PartitionKey": "key",
            "ApproximateArrivalTimestamp": 1_700_000_000.5,
        })
    };
    numbers.into_iter().map(record).collect()
}

fn page(numbers: impl IntoIterator<Item = u32>, next: &str) -> ResponseTemplate {
    let records = records(numbers);
    answer(&json!({ "Records": records, "NextShardIterator": next, "MillisBehindLatest": 0 }))
}

fn child(parents: &[&str]) -> Value {
    let range = json!({ "StartingHashKey": "0", "EndingHashKey": "9" });
    json!({ "ShardId": "shard-1", "ParentShards": parents, "HashKeyRange": range })
}

fn last_page(numbers: impl IntoIterator<Item = u32>) -> ResponseTemplate {
    let children = [child(&["shard-0"])];
    answer(&json!({
        "Records": records(numbers), "ChildShards": children, "MillisBehindLatest": 0,
    }))
}

fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("key", "secret", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-north-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

fn fast() -> PollSettings {
    PollSettings {
        calls_per_second: 1_000,
        calls_burst: 1_000,
        idle: Duration::from_millis(2),
        retry_delay_min: Duration::from_millis(1),
        retry_delay_max: Duration::from_millis(5),
        ..PollSettings::default()
    }
}

struct Reading {
    feed: Feed,
    /// What was told of trimmed records.
    trimmed: Arc<Mutex<Vec<Trimmed>>>,
    meter: Meter,
    _server: MockServer,
}

async fn open(service: &Service, from: Position, settings: PollSettings) -> Reading {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(service.clone())
        .mount(&server)
        .await;
    let polling = Polling::new(&config(&server.uri())).with_settings(settings);
    assert_eq!(polling.problems(), []);
    let trimmed = Arc::new(Mutex::new(Vec::new()));
    let told = trimmed.clone();
    let observer = move |event: &Event| {
        if let Event::RecordsTrimmed(trimmed) = event {
            told.lock().unwrap().push(trimmed.clone());
        }
    };
    let origin = Origin {
        application: ApplicationName::new("app").unwrap(),
        stream: Some(StreamName::new("orders").unwrap()),
        worker: WorkerId::new("w").unwrap(),
    };
    let events = Events::new(origin, vec![Arc::new(observer)]);
    let meter = Meter::default();
    let feed = polling.open(OpenFeed {
        events,
        stream: StreamName::new("orders").unwrap(),
        shard: ShardId::new("shard-0"),
        from,
        env: Env::simulated(|| NOON + Duration::from_secs(60), 1),
        meter: meter.clone(),
    });
    Reading {
        feed,
        trimmed,
        meter,
        _server: server,
    }
}

impl Reading {
    async fn next(&mut self) -> Result<Batch, FeedError> {
        timeout(PATIENCE, self.feed.next())
            .await
            .expect("the feed brought nothing")
    }

    async fn numbers(&mut self) -> Vec<String> {
        let batch = self.next().await.unwrap();
        batch
            .records
            .iter()
            .map(|record| record.sequence_number.to_string())
            .collect()
    }
}

async fn from_horizon(service: &Service) -> Reading {
    open(service, Position::TrimHorizon, fast()).await
}

#[tokio::test]
async fn records_arrive_as_the_service_gave_them() {
    let service = Service::script([page([7], "a")]);
    let mut reading = from_horizon(&service).await;
    let batch = reading.next().await.unwrap();
    let record = &batch.records[0];
    assert_eq!(
        (record.data.as_ref(), record.partition_key.as_str()),
        (&b"data"[..], "key")
    );
    let arrival = NOON + Duration::from_millis(1_700_000_000_500);
    assert_eq!(
        (record.approximate_arrival, batch.lag),
        (Some(arrival), Some(Duration::ZERO))
    );
}

#[tokio::test]
async fn an_expired_iterator_is_replaced_exactly_behind_the_last_record() {
    let expired = refusal(400, "ExpiredIteratorException");
    let service = Service::script([page([1, 2], "a"), expired.clone(), expired, page([3], "b")]);
    let mut reading = from_horizon(&service).await;
    assert_eq!(reading.numbers().await, ["1", "2"]);
    assert_eq!(reading.numbers().await, ["3"]);
    let after = "AFTER_SEQUENCE_NUMBER 2";
    // The last is the look whether what it had read is still there: who knows how long it was gone.
    assert_eq!(
        service.opened(),
        ["TRIM_HORIZON", after, after, "AT_SEQUENCE_NUMBER 2"]
    );
}

#[tokio::test]
async fn an_iterator_that_the_service_does_not_know_is_replaced() {
    let service = Service::script([
        page([1], "a"),
        refusal(400, "InvalidArgumentException"),
        page([2], "b"),
    ]);
    let mut reading = from_horizon(&service).await;
    assert_eq!(
        (reading.numbers().await, reading.numbers().await),
        (vec!["1".into()], vec!["2".into()])
    );
    assert_eq!(
        service.opened(),
        [
            "TRIM_HORIZON",
            "AFTER_SEQUENCE_NUMBER 1",
            "AT_SEQUENCE_NUMBER 1"
        ]
    );
}

#[tokio::test]
async fn an_iterator_that_expires_before_anything_was_read_goes_back_to_the_start() {
    let from = NOON + Duration::from_secs(30);
    let number = SequenceNumber::new("5").unwrap();
    let cases = [
        (Position::TrimHorizon, "TRIM_HORIZON", "TRIM_HORIZON"),
        (
            Position::AtTimestamp(from),
            "AT_TIMESTAMP 30",
            "AT_TIMESTAMP 30",
        ),
        (
            Position::AtSequence(number),
            "AT_SEQUENCE_NUMBER 5",
            "AT_SEQUENCE_NUMBER 5",
        ),
        // The clock of the test stands at 60 s. What comes after that must not be skipped.
        (Position::Latest, "LATEST", "AT_TIMESTAMP 60"),
    ];
    for (position, first, second) in cases {
        let service = Service::script([refusal(400, "ExpiredIteratorException"), page([9], "a")]);
        let mut reading = open(&service, position, fast()).await;
        assert_eq!(reading.numbers().await, ["9"]);
        assert_eq!(service.opened(), [first, second]);
    }
}

#[tokio::test]
async fn a_start_in_the_future_of_the_service_begins_now() {
    let service = Service::script([page([1], "a")]);
    service
        .0
        .lock()
        .unwrap()
        .iterators
        .push_back(refusal(400, "InvalidArgumentException"));
    let position = Position::AtTimestamp(NOON + Duration::from_secs(90));
    let mut reading = open(&service, position, fast()).await;
    assert_eq!(reading.numbers().await, ["1"]);
    assert_eq!(service.opened(), ["AT_TIMESTAMP 90", "LATEST"]);
}

#[tokio::test]
async fn the_shard_ends_only_where_children_are_named_in_full() {
    let no_children = json!({ "Records": records([1]), "MillisBehindLatest": 0 });
    let null = json!({ "Records": [], "NextShardIterator": null, "ChildShards": [] });
    let orphan = json!({ "Records": records([1]), "ChildShards": [child(&[])] });
    let both = json!({
        "Records": records([1]), "NextShardIterator": "x", "ChildShards": [child(&["shard-0"])],
    });
    let bad_range = json!({ "Records": [], "ChildShards": [{
        "ShardId": "shard-1", "ParentShards": ["shard-0"],
        "HashKeyRange": { "StartingHashKey": "zero", "EndingHashKey": "9" },
    }] });
    let malformed = [no_children, null, orphan, both, bad_range, json!({})];
    let pages = malformed
        .iter()
        .map(answer)
        .chain([page([1], "a"), last_page([2])]);
    let service = Service::script(pages);
    let mut reading = from_horizon(&service).await;
    assert_eq!(
        reading.numbers().await,
        ["1"],
        "a page that makes no sense is not taken at all"
    );
    let end = reading.next().await.unwrap();
    let children = end.children.unwrap();
    assert_eq!((end.records.len(), children.len()), (1, 1));
    assert_eq!(children[0].parents, [ShardId::new("shard-0")]);
    assert_eq!((children[0].range.start, children[0].range.end), (0, 9));
    assert_eq!(
        service.opened().len(),
        7,
        "each of them was read again from the same place"
    );
}

#[tokio::test]
async fn pages_that_are_out_of_order_or_repeat_are_not_taken() {
    let bad_number = json!({
        "Records": [{ "SequenceNumber": "-1", "Data": "", "PartitionKey": "key" }],
        "NextShardIterator": "x", "MillisBehindLatest": 0,
    });
    let pages = [
        page([1, 2], "a"),
        page([2, 3], "b"),
        page([4, 3], "c"),
        answer(&bad_number),
        page([3, 4], "d"),
    ];
    let service = Service::script(pages);
    let mut reading = from_horizon(&service).await;
    assert_eq!(reading.numbers().await, ["1", "2"]);
    assert_eq!(reading.numbers().await, ["3", "4"]);
    assert_eq!(service.opened()[1..4], ["AFTER_SEQUENCE_NUMBER 2"; 3]);
}

#[tokio::test]
async fn what_passes_is_tried_again_with_the_same_iterator() {
    let html = ResponseTemplate::new(200).set_body_raw("<html>proxy</html>", "text/html");
    let cut = ResponseTemplate::new(200).set_body_raw(
        r#"{"Records": [{"SequenceNumber": "1", "Da"#,
        "application/x-amz-json-1.1",
    );
    let pages = [
        refusal(400, "ProvisionedThroughputExceededException"),
        refusal(500, "InternalFailure"),
        refusal(503, "ServiceUnavailable"),
        ResponseTemplate::new(503),
        refusal(400, "SomethingNewException"),
        refusal(400, "KMSThrottlingException"),
        html,
        cut,
        page([1], "a"),
    ];
    let count = pages.len();
    let service = Service::script(pages);
    let mut reading = from_horizon(&service).await;
    assert_eq!(reading.numbers().await, ["1"]);
    assert_eq!(service.opened(), ["TRIM_HORIZON"]);
    assert_eq!(service.fetched()[..count], vec!["it-1"; count]);
}

#[tokio::test]
async fn no_iterator_is_no_reason_to_give_up() {
    let service = Service::script([page([1], "a")]);
    let refusals = [
        refusal(500, "InternalFailure"),
        answer(&json!({})),
        refusal(400, "LimitExceededException"),
    ];
    service.0.lock().unwrap().iterators.extend(refusals);
    let mut reading = from_horizon(&service).await;
    assert_eq!(reading.numbers().await, ["1"]);
    assert_eq!(service.opened().len(), 4);
}

#[tokio::test]
async fn silence_is_no_answer_and_not_a_refusal() {
    let cases = [
        (refusal(500, "InternalFailure"), 2),
        (refusal(400, "ProvisionedThroughputExceededException"), 5),
        (refusal(400, "ExpiredIteratorException"), 8),
    ];
    for (failure, answers) in cases {
        let failures = std::iter::repeat_n(failure, 3);
        let service = Service::script(failures.chain([last_page([1])]));
        let mut reading = from_horizon(&service).await;
        assert_eq!(reading.numbers().await, ["1"]);
        let read = reading.meter.reading();
        assert_eq!((read.answers, read.asking_since), (answers, None));
    }
}

#[tokio::test]
async fn what_will_never_work_ends_the_feed_with_its_reason() {
    let cases = [
        (
            "AccessDeniedException",
            ErrorKind::Denied,
            "allow kinesis:GetRecords on stream orders",
        ),
        (
            "ResourceNotFoundException",
            ErrorKind::NotFound,
            "stream orders (shard shard-0) does not exist",
        ),
        (
            "UnrecognizedClientException",
            ErrorKind::Denied,
            "AWS_ACCESS_KEY_ID",
        ),
    ];
    for (code, kind, part) in cases {
        let service = Service::script([page([1], "a"), refusal(400, code)]);
        let mut reading = from_horizon(&service).await;
        assert_eq!(
            reading.numbers().await,
            ["1"],
            "what was read before is not lost"
        );
        let FeedError::Fatal(error) = reading.next().await.unwrap_err() else {
            panic!("{code}")
        };
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn an_unknown_stream_is_told_by_the_first_call() {
    let service = Service::default();
    service
        .0
        .lock()
        .unwrap()
        .iterators
        .push_back(refusal(400, "ResourceNotFoundException"));
    let mut reading = from_horizon(&service).await;
    let FeedError::Fatal(error) = reading.next().await.unwrap_err() else {
        panic!("fatal")
    };
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_full_budget_stops_the_fetching() {
    let service = Service::script((0..100).map(|number| page([number], "a")));
    let settings = PollSettings {
        prefetch_bytes_max: 3 * 1024,
        ..fast()
    };
    let mut reading = open(&service, Position::TrimHorizon, settings).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let fetched = service.fetched().len();
    assert_eq!(fetched, 3, "pages are fetched only into room");
    for number in 0..100 {
        assert_eq!(reading.numbers().await, [number.to_string()]);
    }
}

#[tokio::test]
async fn calls_keep_to_the_pace_but_for_full_pages() {
    let paced = PollSettings {
        calls_per_second: 1,
        calls_burst: 1,
        ..fast()
    };
    let service = Service::script((0..4).map(|number| page([number], "a")));
    let mut reading = open(&service, Position::TrimHorizon, paced.clone()).await;
    assert_eq!(reading.numbers().await, ["0"]);
    let second = timeout(Duration::from_millis(400), reading.feed.next()).await;
    assert!(second.is_err(), "the second page came too early");

    let full = |number: u32| page(number * 10_000..(number + 1) * 10_000, "a");
    let service = Service::script((0..8).map(full));
    let begin = tokio::time::Instant::now();
    let mut reading = open(&service, Position::TrimHorizon, paced).await;
    for _ in 0..8 {
        assert_eq!(reading.numbers().await.len(), 10_000);
    }
    let took = begin.elapsed();
    assert!(
        took < Duration::from_secs(6),
        "eight pages took {took:?}, as if each counted"
    );
}

#[tokio::test]
async fn a_feed_that_is_dropped_stops_calling() {
    let service = Service::default();
    let reading = from_horizon(&service).await;
    while service.fetched().len() < 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let Reading { feed, _server, .. } = reading;
    drop(feed);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let fetched = service.fetched().len();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(service.fetched().len(), fetched);
}

#[tokio::test]
async fn an_idle_shard_is_polled_at_the_idle_pace() {
    let service = Service::default();
    let settings = PollSettings {
        idle: Duration::from_millis(100),
        ..fast()
    };
    let _reading = open(&service, Position::TrimHorizon, settings).await;
    tokio::time::sleep(Duration::from_millis(650)).await;
    let fetched = service.fetched().len();
    assert!((3..=8).contains(&fetched), "{fetched} calls in 650 ms");
}

#[test]
fn wrong_settings_and_a_missing_region_are_named() {
    let wrong = PollSettings {
        records_max: 10_001,
        calls_per_second: 0,
        calls_burst: 0,
        idle: Duration::from_secs(300),
        prefetch_bytes_max: 0,
        retry_delay_min: Duration::ZERO,
        retry_delay_max: Duration::from_secs(7200),
    };
    let nowhere = SdkConfig::builder().build();
    let problems = Polling::new(&nowhere).with_settings(wrong).problems();
    let named: Vec<_> = problems
        .iter()
        .map(|problem| problem.setting.as_str())
        .collect();
    let expected = [
        "poll.records_max",
        "poll.calls_per_second",
        "poll.calls_burst",
        "poll.idle",
        "poll.prefetch_bytes_max",
        "poll.retry_delay_min",
        "poll.retry_delay_max",
        "poll.region",
    ];
    assert_eq!(named, expected);
}

/// A page of a reader that is so many hours behind.
fn page_behind(numbers: impl IntoIterator<Item = u32>, hours: u64) -> ResponseTemplate {
    let (records, lag) = (records(numbers), hours * 60 * 60 * 1000);
    answer(&json!({ "Records": records, "NextShardIterator": "n", "MillisBehindLatest": lag }))
}

#[tokio::test]
async fn records_that_were_trimmed_unread_are_told_before_what_comes_behind_them() {
    // The third page is the answer to the question where record 2 stands: behind it there is 5.
    let pages = [[1, 2], [5, 6]].map(|numbers| page_behind(numbers, 23));
    let service = Service::script(pages);
    service
        .0
        .lock()
        .unwrap()
        .pages
        .push_back(page([5], "other"));
    let mut reading = open(&service, Position::TrimHorizon, fast()).await;
    assert_eq!(reading.numbers().await, ["1", "2"]);
    assert_eq!(reading.numbers().await, ["5", "6"]);
    let trimmed = reading.trimmed.lock().unwrap().clone();
    let [trimmed] = trimmed.as_slice() else {
        panic!("{trimmed:?}");
    };
    assert_eq!(trimmed.after.as_str(), "2");
    assert_eq!(trimmed.next.as_ref().unwrap().as_str(), "5");
    assert!(trimmed.arrived.is_some());
    assert_eq!(service.opened(), ["TRIM_HORIZON", "AT_SEQUENCE_NUMBER 2"]);
}

#[tokio::test]
async fn a_reader_far_behind_that_misses_nothing_is_not_alarmed() {
    let pages = [[1, 2], [5, 6]].map(|numbers| page_behind(numbers, 23));
    let service = Service::script(pages);
    let later = [page([2], "other"), page_behind([7, 8], 23)];
    service.0.lock().unwrap().pages.extend(later);
    let mut reading = open(&service, Position::TrimHorizon, fast()).await;
    assert_eq!(reading.numbers().await, ["1", "2"]);
    assert_eq!(reading.numbers().await, ["5", "6"]);
    assert_eq!(reading.numbers().await, ["7", "8"]);
    assert_eq!(*reading.trimmed.lock().unwrap(), []);
    assert_eq!(
        service.opened().len(),
        2,
        "it does not look with every page"
    );
}
