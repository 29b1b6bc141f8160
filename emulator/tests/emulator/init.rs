//! Services that have streams, consumers and tables from their start.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{ConsumerStatus, StreamStatus};
use kinesis_emulator::{Auth, Delays, Init, Keys, Limits, Service, Settings};

const TOML: &str = r#"
[[stream]]
StreamName = "orders"
ShardCount = 3
Tags = { team = "a" }

[[stream]]
StreamName = "clicks"
StreamModeDetails = { StreamMode = "ON_DEMAND" }

[[stream]]
StreamName = "far"
ShardCount = 1
account = "111111111111"
region = "eu-west-1"

[[consumer]]
StreamName = "orders"
ConsumerName = "reader"

[[table]]
TableName = "leases"
BillingMode = "PAY_PER_REQUEST"
AttributeDefinitions = [{ AttributeName = "leaseKey", AttributeType = "S" }]
KeySchema = [{ AttributeName = "leaseKey", KeyType = "HASH" }]
"#;

fn made(settings: Settings, text: &str) -> Result<Service, String> {
    let init = Init::parse(text).map_err(|error| error.to_string())?;
    Service::with_init(settings, &init).map_err(|error| error.to_string())
}

async fn has_it_all(service: &Service) {
    let config = service.sdk_config();
    let client = Client::new(&config);
    let names = client.list_streams().send().await.unwrap().stream_names;
    assert_eq!(names, ["clicks", "orders"]);
    let orders = client.describe_stream_summary().stream_name("orders");
    let orders = orders.send().await.unwrap().stream_description_summary;
    let orders = orders.unwrap();
    assert_eq!(orders.open_shard_count(), 3);
    assert_eq!(orders.stream_status(), &StreamStatus::Active);
    let consumer = client.describe_stream_consumer().consumer_name("reader");
    let consumer = consumer.stream_arn(orders.stream_arn()).send().await;
    let consumer = consumer.unwrap().consumer_description.unwrap();
    assert_eq!(consumer.consumer_status(), &ConsumerStatus::Active);
    let tables = aws_sdk_dynamodb::Client::new(&config)
        .list_tables()
        .send()
        .await;
    assert_eq!(tables.unwrap().table_names(), ["leases"]);
}

#[tokio::test(start_paused = true)]
async fn all_that_a_file_names_is_there_and_ready() {
    has_it_all(&made(Settings::default(), TOML).unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn delays_and_limits_hold_for_what_comes_after() {
    let delay = Duration::from_secs(3600);
    let settings = Settings {
        delays: Delays {
            create: delay,
            register: delay,
            ..Delays::default()
        },
        limits: Limits::Enforce,
        ..Settings::default()
    };
    let many: String = (0..20)
        .map(|number| format!("[[stream]]\nStreamName = \"s{number}\"\nShardCount = 1\n"))
        .collect();
    made(settings.clone(), &many).unwrap();
    let service = made(settings, TOML).unwrap();
    has_it_all(&service).await;
    let client = Client::new(&service.sdk_config());
    let create = client.create_stream().stream_name("late").shard_count(1);
    create.send().await.unwrap();
    let late = client.describe_stream_summary().stream_name("late").send();
    let late = late.await.unwrap().stream_description_summary.unwrap();
    assert_eq!(late.stream_status(), &StreamStatus::Creating);
}

#[tokio::test(start_paused = true)]
async fn entries_need_no_signature_and_may_name_their_account() {
    let keys = "[[key]]\naccess-key = \"A\"\nsecret = \"s\"\naccount = \"111111111111\"\n";
    let settings = Settings {
        auth: Auth::SigV4(Keys::parse(keys).unwrap()),
        ..Settings::default()
    };
    let service = made(settings, TOML).unwrap();
    let config = service.sdk_config().into_builder();
    let config = config.region(aws_types::region::Region::new("eu-west-1"));
    let listed = Client::new(&config.build()).list_streams().send().await;
    assert_eq!(listed.unwrap().stream_names, ["far"]);
}

#[tokio::test]
async fn json_does_as_well() {
    let text = r#"{"stream": [{"StreamName": "s", "ShardCount": 1}]}"#;
    assert!(made(Settings::default(), text).is_ok());
}

#[tokio::test]
async fn what_is_not_right_is_named() {
    let stream = |more: &str| format!("[[stream]]\nStreamName = \"s\"\n{more}");
    for (text, expected) in [
        ("[[straem]]\n".to_owned(), "unknown field `straem`"),
        ("stream = 1\n".to_owned(), "invalid type"),
        ("{\"stream\": [}".to_owned(), "line 1 column"),
        (
            stream("ShardCuont = 1\n"),
            "stream 1 (s): 'ShardCuont' is no member of it",
        ),
        (
            stream("ShardCount = 0\n"),
            "stream 1 (s): ValidationException: 1 validation error detected",
        ),
        (
            stream("ShardCount = 1\n") + &stream("ShardCount = 1\n"),
            "stream 2 (s): ResourceInUseException: Stream s under account 000000000000",
        ),
        (stream("account = 7\n"), "stream 1 (s): 7 is no account"),
        (
            "[[consumer]]\nConsumerName = \"c\"\nStreamName = \"none\"\n".to_owned(),
            "consumer 1 (c): ResourceNotFoundException",
        ),
        (
            "[[table]]\nTableName = \"ttt\"\n".to_owned(),
            "table 1 (ttt): ",
        ),
    ] {
        let refused = made(Settings::default(), &text).unwrap_err();
        assert!(refused.contains(expected), "{text}: {refused}");
    }
}
