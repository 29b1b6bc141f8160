//! Real processes on real sockets, a few rounds each; `fleet` runs the full counts.

mod bad_input;
mod fan_out;
mod lambda;

use std::time::Duration;

use tests::fleet::binaries;
use tests::fleet::experiment::{cold_start, kills, stops};

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_start_delivers_everything_once() {
    let found = cold_start(binaries().await.unwrap(), 1).await.unwrap();
    assert_eq!(
        (found.lost, found.duplicates, found.bad_exits),
        (0, 0, 0),
        "{found}"
    );
    assert_eq!(found.broken, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_loses_nothing() {
    let found = kills(binaries().await.unwrap(), 1).await.unwrap();
    assert_eq!((found.lost, found.bad_exits), (0, 0), "{found}");
    assert!(found.sent > 0 && found.max() > Duration::ZERO, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_worker_repeats_and_loses_nothing() {
    let found = stops(binaries().await.unwrap(), 2).await.unwrap();
    assert_eq!(
        (found.lost, found.duplicates, found.bad_exits),
        (0, 0, 0),
        "{found}"
    );
    assert!(found.sent > 0, "{found}");
}
