//! A function in Python, by the unmodified client `awslambdaric`. A program of its own, as it wants a Python that has it:
//!
//! ```sh
//! cargo test -p kcl-core --test lambda_python -- target/interop/python/bin/python
//! ```

#![expect(
    clippy::unwrap_used,
    reason = "what a check cannot go on without fails it"
)]
#![expect(
    clippy::print_stdout,
    reason = "the suites of tests/interop print what they have checked"
)]

use std::path::Path;
use std::time::Duration;

use kcl_core::lambda::event::{EventSource, json};
use kcl_core::lambda::response::{Verdict, judge};
use kcl_core::lambda::runtime_api::{Function, FunctionSettings, Invocation, Outcome};
use kcl_core::{Env, Record, SequenceNumber, ShardId};

fn record(number: &str, data: &'static str) -> Record {
    Record {
        sequence_number: SequenceNumber::new(number).unwrap(),
        subsequence_number: 0,
        partition_key: "k".to_owned(),
        data: data.into(),
        approximate_arrival: None,
    }
}

fn function(python: &str, handler: &str) -> Function {
    let mut settings = FunctionSettings::new("python", [python, "-m", "awslambdaric", handler]);
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python");
    settings
        .environment
        .insert("LAMBDA_TASK_ROOT".to_owned(), root.to_owned());
    settings
        .environment
        .insert("PYTHONPATH".to_owned(), root.to_owned());
    let quiet = ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned());
    settings.environment.extend([quiet]);
    settings.timeout = Duration::from_secs(2);
    settings.init_max = Duration::from_secs(60);
    Function::new(settings, Env::system()).unwrap()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let python = std::env::args().nth(1);
    let python = python.expect("the path of a Python with awslambdaric, from the workspace's root");
    // Cargo runs tests in the folder of their crate.
    let python = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(python);
    let python = python.to_str().unwrap();
    let source = EventSource::new("arn:aws:kinesis:us-east-1:123456789012:stream/orders").unwrap();
    let mut app = function(python, "app.handler");
    let mut invoke = async |batch: &[Record]| {
        let event = json(&source, &ShardId::new("shardId-000000000000"), batch);
        app.invoke(Invocation::new("8476a536", event))
            .await
            .unwrap()
    };

    let batch = [
        record("9", "good"),
        record("10", "bad"),
        record("11", "good"),
    ];
    let Outcome::Response(body) = invoke(&batch).await else {
        panic!("no response")
    };
    assert_eq!(judge(&body, &batch), Verdict::RetryFrom(1));
    println!("ok a handler in Python reports the record that failed");

    let Outcome::Response(body) = invoke(&batch[..1]).await else {
        panic!("no response")
    };
    assert_eq!(judge(&body, &batch[..1]), Verdict::Done);
    println!("ok the same process serves the next batch");

    let Outcome::Error { error_type, body } = invoke(&[record("12", "raise")]).await else {
        panic!("no error")
    };
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["errorMessage"], "as told");
    assert_eq!(body["errorType"], "RuntimeError");
    assert_eq!(error_type.as_deref(), Some("RuntimeError"));
    println!("ok an exception is an error of the function");

    assert_eq!(invoke(&[record("13", "hang")]).await, Outcome::TimedOut);
    assert!(matches!(invoke(&batch[..1]).await, Outcome::Response(_)));
    println!("ok a handler that hangs is killed and started again");

    let event = Invocation::new("8476a536", "{}");
    let outcome = function(python, "nothing.handler")
        .invoke(event)
        .await
        .unwrap();
    let (Outcome::InitError { body, .. } | Outcome::Error { body, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(
        String::from_utf8_lossy(&body).contains("nothing"),
        "{body:?}"
    );
    println!("ok a module that is not there is told");
}
