//! `record-printer --retrieval fanout` as a process: it prints what is pushed, and takes its consumer with it.

use std::process::Stdio;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use tests::fleet::{EmulatorProcess, binaries, preload, run_to_end};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn records_are_pushed_and_the_consumer_leaves_with_the_printer() {
    let folder = binaries().await.unwrap();
    let emulator = EmulatorProcess::start(&folder).await.unwrap();
    let client = Client::new(&emulator.sdk_config());
    let made = client.create_stream().stream_name("orders").shard_count(2);
    made.send().await.unwrap();
    preload(&client, "orders", 100, 100).await.unwrap();
    let mut printer = Command::new(folder.join("record-printer"))
        .args(["--stream", "orders", "--application", "app"])
        .args([
            "--retrieval",
            "fanout",
            "--consumer-name",
            "pushed",
            "--deregister",
        ])
        .env("AWS_ENDPOINT_URL", emulator.endpoint())
        .envs([
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(printer.stdout.take().unwrap()).lines();
    for _ in 0..100 {
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        assert!(line.unwrap().starts_with(r#"{"shardId":"shardId-"#));
    }
    let summary = client
        .describe_stream_summary()
        .stream_name("orders")
        .send();
    let summary = summary.await.unwrap().stream_description_summary.unwrap();
    let consumers = async || {
        let list = client
            .list_stream_consumers()
            .stream_arn(&summary.stream_arn);
        let list = list.send().await.unwrap();
        let names = list
            .consumers()
            .iter()
            .map(|found| found.consumer_name.clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(consumers().await, ["pushed"]);
    let pid = printer.id().unwrap().to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(sent.await.unwrap().success());
    let status = timeout(PATIENCE, printer.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    assert!(consumers().await.is_empty());
}

#[tokio::test]
async fn an_option_of_fan_out_is_not_taken_in_silence_without_it() {
    let arguments = ["--stream", "s", "--application", "a", "--deregister"];
    let folder = binaries().await.unwrap();
    let (code, text) = run_to_end(&folder, &arguments, &[], PATIENCE)
        .await
        .unwrap();
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("--deregister needs --retrieval fanout"),
        "{text}"
    );
}
