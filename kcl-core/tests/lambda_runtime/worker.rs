//! A worker with a function in processes: one for each lane, killed at its timeout, and gone with the shard.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use kcl_core::contract::{FixedOwnership, ScriptedSource};
use kcl_core::lambda::mapping::{Mapping, MappingSettings};
use kcl_core::lambda::on_failure::OnFailureMessage;
use kcl_core::{Worker, WorkerBuilder};
use tokio::time::{sleep, timeout};

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);
/// Where the function notes what it did, a file for each record: in it the number of its process.
const NOTES: &str = "KCL_CORE_TEST_NOTES";

/// Notes each record, save one, at which it hangs.
pub(super) async fn notes(event: LambdaEvent<KinesisEvent>) -> Result<(), lambda_runtime::Error> {
    let folder = std::env::var(NOTES)?;
    for record in event.payload.records {
        let text = std::str::from_utf8(&record.kinesis.data)?;
        let note = Path::new(&folder).join(text);
        std::fs::write(note, std::process::id().to_string())?;
        if text == "hang" {
            std::future::pending::<()>().await;
        }
        // Long enough for the other lane to begin.
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("kcl-core-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// The process that has seen this record.
    fn process(&self, record: &str) -> Option<String> {
        std::fs::read_to_string(self.0.join(record)).ok()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of a test is of no interest to another.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn worker(source: &ScriptedSource, mapping: Mapping) -> WorkerBuilder {
    Worker::builder("app", "orders")
        .with_source(source.clone())
        .with_ownership(FixedOwnership::new(["s"]))
        .with_lambda_process(mapping)
}

fn mapping(settings: FunctionSettings) -> Mapping {
    let arn = "arn:aws:kinesis:us-east-1:123456789012:stream/orders";
    Mapping::new(EventSource::new(arn).unwrap(), settings).with_settings(MappingSettings {
        batch_size: 1,
        parallelization_factor: 2,
        maximum_retry_attempts: Some(0),
        ..MappingSettings::default()
    })
}

async fn gone(process: &str) {
    let process = Path::new("/proc").join(process);
    let gone = async {
        while process.exists() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn each_lane_has_a_process_that_is_killed_at_its_timeout_and_goes_with_the_shard() {
    let folder = Folder::new("lanes");
    let mut function = settings("notes");
    let notes = (NOTES.to_owned(), folder.0.display().to_string());
    function.environment.extend([notes]);
    function.timeout = Duration::from_secs(2);
    let given_up = Arc::new(Mutex::new(Vec::new()));
    let documents = given_up.clone();
    let mapping = mapping(function).with_on_failure(move |message: OnFailureMessage| {
        let document: Value = serde_json::from_slice(&message.document).unwrap();
        documents.lock().unwrap().push(document);
        std::future::ready(Ok(()))
    });
    let source = ScriptedSource::new();
    source.put_keyed(
        "s",
        [
            ("a", "a1"),
            ("b", "b1"),
            ("a", "hang"),
            ("a", "a2"),
            ("b", "b2"),
        ],
    );
    source.close("s", &[]);
    let ended = worker(&source, mapping)
        .build()
        .unwrap()
        .run(std::future::pending());
    let report = timeout(PATIENCE, ended).await.unwrap().unwrap();
    assert_eq!(report.finished, 1);

    let process = |record: &str| folder.process(record).unwrap();
    assert_ne!(
        process("a1"),
        process("b1"),
        "lanes have processes of their own"
    );
    assert_ne!(process("a2"), process("hang"), "it was killed");
    let documents = given_up.lock().unwrap().clone();
    assert_eq!(documents.len(), 1);
    assert_eq!(
        documents[0]["responseContext"]["functionError"],
        "Unhandled"
    );
    let all = ["a1", "b1", "hang", "a2", "b2"];
    for process in all.into_iter().map(process).collect::<BTreeSet<_>>() {
        gone(&process).await;
    }
}

/// A command that cannot be started was never invoked: it uses up no attempt.
#[tokio::test]
async fn what_cannot_be_started_is_tried_again() {
    let folder = Folder::new("start");
    let program = folder.0.join("bootstrap");
    let command = [program.display().to_string()];
    let mut function = FunctionSettings::new("orders", command);
    function.environment = settings("notes").environment;
    let notes = (NOTES.to_owned(), folder.0.display().to_string());
    function.environment.extend([notes]);
    function.timeout = Duration::from_secs(60);
    function.init_max = Duration::from_secs(60);
    let source = ScriptedSource::new();
    source.put("s", ["late"]);
    source.close("s", &[]);
    let appears = async {
        sleep(Duration::from_millis(500)).await;
        let test = std::env::current_exe().unwrap();
        let script = format!(
            "#!/bin/sh\nexec {} --exact function --nocapture\n",
            test.display()
        );
        let unfinished = program.with_extension("new");
        std::fs::write(&unfinished, script).unwrap();
        let chmod = tokio::process::Command::new("chmod")
            .arg("+x")
            .arg(&unfinished)
            .status();
        assert!(chmod.await.unwrap().success());
        std::fs::rename(unfinished, &program).unwrap();
        std::future::pending::<()>().await;
    };
    let ended = worker(&source, mapping(function))
        .build()
        .unwrap()
        .run(appears);
    let report = timeout(PATIENCE, ended).await.unwrap().unwrap();
    assert_eq!(report.finished, 1);
    assert!(folder.process("late").is_some(), "it was not given up");
}
