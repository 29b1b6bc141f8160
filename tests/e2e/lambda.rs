//! One function in this process and in processes of its own, by the program `lambda-ways`. The suite of that name in
//! tests/interop runs a Python one as well.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

#[tokio::test]
async fn a_function_sees_the_same_however_it_is_run() {
    let ways = Command::new(env!("CARGO_BIN_EXE_lambda-ways"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = timeout(Duration::from_secs(300), ways).await.unwrap();
    let ended = ended.unwrap();
    let (said, failed) = (
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr),
    );
    assert!(ended.status.success(), "{said}{failed}");
    assert!(
        said.ends_with("ok all 2 ways have seen the same\n"),
        "{said}"
    );
}
