//! Functions in processes of their own: this very program, started again as one, with the unmodified client
//! `lambda_runtime` in it.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

#[path = "lambda_runtime/worker.rs"]
mod worker;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use aws_lambda_events::event::kinesis::KinesisEvent;
use aws_lambda_events::event::streams::KinesisEventResponse;
use kcl_core::lambda::event::{EventSource, PAYLOAD_BYTES_MAX, json};
use kcl_core::lambda::response::{Verdict, judge};
use kcl_core::lambda::runtime_api::{Function, FunctionSettings, Invocation, Outcome};
use kcl_core::{Env, ErrorKind, Record, SequenceNumber, ShardId};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json as value};

/// What the function does, if this is its process.
const MODE: &str = "KCL_CORE_TEST_FUNCTION";

/// Not a test of its own: the function's program. Without the variable it is an ordinary run, and nothing is to do.
#[test]
fn function() {
    let Ok(mode) = std::env::var(MODE) else {
        return;
    };
    match mode.as_str() {
        "rude" => rude(),
        "exits" => std::process::exit(3),
        "never-asks" => std::thread::park(),
        "cannot-start" => cannot_start(),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ended = match mode.as_str() {
        "records" => runtime.block_on(lambda_runtime::run(service_fn(records))),
        "notes" => runtime.block_on(lambda_runtime::run(service_fn(worker::notes))),
        _ => runtime.block_on(lambda_runtime::run(service_fn(does))),
    };
    ended.unwrap();
}

/// A handler as anybody would write it: reports the records that say so.
async fn records(
    event: LambdaEvent<KinesisEvent>,
) -> Result<KinesisEventResponse, lambda_runtime::Error> {
    let mut response = KinesisEventResponse::default();
    for record in event.payload.records {
        if record.kinesis.data.as_slice() == b"bad" {
            response.add_failure(record.kinesis.sequence_number);
        }
    }
    Ok(response)
}

/// Does what the event says.
async fn does(event: LambdaEvent<Value>) -> Result<Value, lambda_runtime::Error> {
    let context = &event.context;
    match event.payload["do"].as_str() {
        Some("fail") => Err("as told".into()),
        Some("panic") => panic!("as told"),
        Some("exit") => std::process::exit(3),
        Some("hang") => std::future::pending().await,
        Some("huge") => Ok("x".repeat(PAYLOAD_BYTES_MAX).into()),
        _ => Ok(value!({
            "payload": event.payload,
            "process": std::process::id(),
            "request": context.request_id,
            "deadline": context.deadline,
            "arn": context.invoked_function_arn,
            "trace": context.xray_trace_id,
            "name": context.env_config.function_name,
            "memory": context.env_config.memory,
            "version": context.env_config.version,
        })),
    }
}

/// Speaks the protocol by hand, and breaks it. Answers with the statuses it got.
fn rude() {
    let address = std::env::var("AWS_LAMBDA_RUNTIME_API").unwrap();
    let ask = |host: &str, method: &str, path: &str, body: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let status = |answer: String| answer.split(' ').nth(1).unwrap().to_owned();
    let root = "/2018-06-01/runtime";
    let post = |path: &str, body: &str| ask(&address, "POST", &format!("{root}/{path}"), body);
    let next = || ask(&address, "GET", &format!("{root}/invocation/next"), "");
    let mut seen = vec![
        status(ask(
            "evil.example",
            "GET",
            &format!("{root}/invocation/next"),
            "",
        )),
        status(ask(&address, "GET", "/", "")),
        status(ask(
            &address,
            "GET",
            "/2015-01-01/runtime/invocation/next",
            "",
        )),
        status(post("invocation/first/response", "{}")),
    ];
    seen.push(status(next()));
    seen.push(status(next()));
    seen.push(status(post("init/error", "{}")));
    seen.push(status(post("invocation/second/response", "{}")));
    seen.push(status(ask(
        &address,
        "DELETE",
        &format!("{root}/invocation/first/response"),
        "",
    )));
    let said = value!(seen).to_string();
    assert_eq!(status(post("invocation/first/response", &said)), "202");
    assert_eq!(
        status(post("invocation/first/response", &said)),
        "400",
        "twice"
    );
    std::process::exit(0);
}

fn cannot_start() {
    let address = std::env::var("AWS_LAMBDA_RUNTIME_API").unwrap();
    let mut stream = TcpStream::connect(&address).unwrap();
    let body = r#"{"errorMessage": "no such module"}"#;
    let length = body.len();
    write!(stream, "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: {address}\r\nLambda-Runtime-Function-Error-Type: Runtime.ImportError\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    std::process::exit(1);
}

fn settings(mode: &str) -> FunctionSettings {
    let program = std::env::current_exe().unwrap();
    let program = program.to_str().unwrap();
    let mut settings =
        FunctionSettings::new("orders", [program, "--exact", "function", "--nocapture"]);
    settings
        .environment
        .insert(MODE.to_owned(), mode.to_owned());
    settings.timeout = Duration::from_secs(60);
    settings.init_max = Duration::from_secs(60);
    settings
}

fn function_that(mode: &str) -> Function {
    Function::new(settings(mode), Env::system()).unwrap()
}

fn said(outcome: Outcome) -> Value {
    let Outcome::Response(body) = outcome else {
        panic!("no response: {outcome:?}")
    };
    serde_json::from_slice(&body).unwrap()
}

async fn ask(function: &mut Function, payload: &'static str) -> Outcome {
    function
        .invoke(Invocation::new("id", payload))
        .await
        .unwrap()
}

#[tokio::test]
async fn an_invocation_reaches_the_function_with_all_that_belongs_to_it() {
    let mut function = function_that("does");
    let invocation = Invocation {
        trace_id: Some("Root=1-5759e988-bd862e3fe1be46a994272793".to_owned()),
        ..Invocation::new("8476a536-e9f4-11e8", r#"{"n": 1}"#)
    };
    let before = Env::system().wall();
    let seen = said(function.invoke(invocation).await.unwrap());
    assert_eq!(seen["payload"], value!({"n": 1}));
    assert_eq!(seen["request"], "8476a536-e9f4-11e8");
    assert_eq!(
        seen["arn"],
        "arn:aws:lambda:us-east-1:000000000000:function:orders"
    );
    assert_eq!(seen["trace"], "Root=1-5759e988-bd862e3fe1be46a994272793");
    assert_eq!(
        (&seen["name"], &seen["memory"], &seen["version"]),
        (&value!("orders"), &value!(128), &value!("$LATEST"))
    );
    let deadline = Duration::from_millis(seen["deadline"].as_u64().unwrap());
    let least = before.duration_since(SystemTime::UNIX_EPOCH).unwrap() + Duration::from_secs(60);
    assert!(
        (least - Duration::from_millis(1)..least + Duration::from_secs(60)).contains(&deadline)
    );

    // The same process serves the next.
    let again = said(ask(&mut function, "{}").await);
    assert_eq!(again["process"], seen["process"]);
    assert_eq!(again["request"], "id");
}

#[tokio::test]
async fn a_handler_for_kinesis_reports_what_failed() {
    let record = |number: &str, data: &'static str| Record {
        sequence_number: SequenceNumber::new(number).unwrap(),
        subsequence_number: 0,
        partition_key: "k".to_owned(),
        data: data.into(),
        approximate_arrival: Some(
            SystemTime::UNIX_EPOCH + Duration::from_millis(1_545_084_650_987),
        ),
    };
    let batch = [
        record("9", "good"),
        record("10", "bad"),
        record("11", "good"),
    ];
    let source = EventSource::new("arn:aws:kinesis:us-east-1:123456789012:stream/orders").unwrap();
    let event = json(&source, &ShardId::new("shardId-000000000000"), &batch);
    let outcome = function_that("records")
        .invoke(Invocation::new("id", event))
        .await
        .unwrap();
    let Outcome::Response(body) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(judge(&body, &batch), Verdict::RetryFrom(1));
}

#[tokio::test]
async fn an_error_is_the_functions_and_it_lives_on() {
    let mut function = function_that("does");
    let first = said(ask(&mut function, "{}").await);
    for failure in [r#"{"do": "fail"}"#, r#"{"do": "panic"}"#] {
        let outcome = ask(&mut function, failure).await;
        let Outcome::Error { body, .. } = outcome else {
            panic!("{outcome:?}")
        };
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert!(
            body["errorMessage"].as_str().unwrap().contains("as told"),
            "{body}"
        );
    }
    assert_eq!(
        said(ask(&mut function, "{}").await)["process"],
        first["process"]
    );
}

#[tokio::test]
async fn a_process_that_dies_is_started_again() {
    let mut function = function_that("does");
    let first = said(ask(&mut function, "{}").await);
    assert_eq!(
        ask(&mut function, r#"{"do": "exit"}"#).await,
        Outcome::Exited { code: Some(3) }
    );
    let second = said(ask(&mut function, "{}").await);
    assert_ne!(second["process"], first["process"]);
    function.stop().await;
    let third = said(ask(&mut function, "{}").await);
    assert_ne!(third["process"], second["process"]);
}

#[tokio::test]
async fn a_function_that_takes_too_long_is_killed() {
    let mut settings = settings("does");
    settings.timeout = Duration::from_millis(300);
    let mut function = Function::new(settings, Env::system()).unwrap();
    let first = said(ask(&mut function, "{}").await);
    assert_eq!(
        ask(&mut function, r#"{"do": "hang"}"#).await,
        Outcome::TimedOut
    );
    let process = format!("/proc/{}", first["process"]);
    assert!(!std::path::Path::new(&process).exists(), "it is gone");
    assert_ne!(
        said(ask(&mut function, "{}").await)["process"],
        first["process"]
    );
}

#[tokio::test]
async fn a_function_that_does_not_get_ready_is_told_apart() {
    let mut slow = settings("never-asks");
    slow.init_max = Duration::from_millis(300);
    let mut function = Function::new(slow, Env::system()).unwrap();
    assert_eq!(ask(&mut function, "{}").await, Outcome::InitTimedOut);

    assert_eq!(
        ask(&mut function_that("exits"), "{}").await,
        Outcome::Exited { code: Some(3) }
    );

    let outcome = ask(&mut function_that("cannot-start"), "{}").await;
    let expected = Outcome::InitError {
        error_type: Some("Runtime.ImportError".to_owned()),
        body: r#"{"errorMessage": "no such module"}"#.into(),
    };
    assert_eq!(outcome, expected);
}

#[tokio::test]
async fn a_response_has_at_most_six_mebibytes() {
    let mut function = function_that("does");
    assert_eq!(
        ask(&mut function, r#"{"do": "huge"}"#).await,
        Outcome::ResponseTooLarge
    );
    said(ask(&mut function, "{}").await);
}

#[tokio::test]
async fn what_breaks_the_protocol_is_refused() {
    let invocation = Invocation::new("first", "{}");
    let seen = said(function_that("rude").invoke(invocation).await.unwrap());
    let expected = [
        "403", // another host
        "404", "404", // another path, another version
        "400", // an answer before it was asked
        "200", "403", // the next, and the next without an answer
        "403", // it had started
        "400", "404", // an answer to another, and in another way
    ];
    assert_eq!(seen, value!(expected));
}

#[tokio::test]
async fn what_cannot_be_run_is_said_so() {
    let mut wrong = FunctionSettings::new("two words", [""; 0]);
    wrong.timeout = Duration::from_secs(901);
    wrong.init_max = Duration::ZERO;
    assert_eq!(wrong.problems().len(), 4);
    let error = Function::new(wrong, Env::system()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);

    let missing = FunctionSettings::new("orders", ["/no/such/program"]);
    let mut function = Function::new(missing, Env::system()).unwrap();
    let error = function
        .invoke(Invocation::new("id", "{}"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.chain().contains("/no/such/program"), "{error}");

    for id in ["", "a/b", "a b", "é", "a\r\nb"] {
        let error = function_that("does")
            .invoke(Invocation::new(id, "{}"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{id:?}");
    }
}
