//! Keys of rows that are about a stream, and back. Those of workers are `row::WorkerKey`'s.
//!
//! What kind of row a key is of stands before its first slash, so no name of a worker or of a stream makes one
//! kind look like another. A key without a slash is the name of a shard of an application of one stream. No
//! name of a stream or shard has a slash.

use kcl_core::model::{ShardId, StreamName};

/// How the keys of leases start in an application of several streams: `stream/orders/shardId-000000000000`.
const STREAM_PREFIX: &str = "stream/";
/// The key of the start row of an application of one stream, and what comes before the name of the stream
/// where there are several.
const START_PREFIX: &str = "start/";

/// The key of the row of a shard.
pub(crate) fn lease_key(shard: &ShardId) -> String {
    match shard.stream() {
        None => shard.name().to_owned(),
        Some(stream) => format!("{STREAM_PREFIX}{stream}/{}", shard.name()),
    }
}

/// Reads the key of the row of a shard; nothing if it is none.
pub(crate) fn parse_lease_key(key: &str) -> Option<ShardId> {
    let is_name = |name: &str| !name.is_empty() && !name.contains('/');
    match key.strip_prefix(STREAM_PREFIX) {
        None => is_name(key).then(|| ShardId::new(key)),
        Some(rest) => {
            let (stream, name) = rest.split_once('/')?;
            let stream = StreamName::new(stream).ok()?;
            is_name(name).then(|| ShardId::of(stream, name))
        }
    }
}

/// The key of the start row.
pub(crate) fn start_key(stream: Option<&StreamName>) -> String {
    format!("{START_PREFIX}{}", stream.map_or("", StreamName::as_str))
}

/// Reads the key of a start row: of which stream, if there are several. Nothing if it is none.
pub(crate) fn parse_start_key(key: &str) -> Option<Option<StreamName>> {
    match key.strip_prefix(START_PREFIX)? {
        "" => Some(None),
        stream => StreamName::new(stream).ok().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use kcl_core::model::WorkerId;
    use proptest::prelude::*;

    use super::*;
    use crate::row::{Incarnation, StreamSet, WorkerKey};

    /// Names that look like the beginnings of keys, among others.
    fn streams() -> impl Strategy<Value = StreamName> {
        let hostile =
            prop::sample::select(vec!["stream", "streams", "worker", "watch", "start", "."]);
        let names = prop_oneof![hostile.prop_map(str::to_owned), "[a-zA-Z0-9_.-]{1,128}"];
        names.prop_map(|name| StreamName::new(name).unwrap())
    }

    fn shards() -> impl Strategy<Value = ShardId> {
        let names = "[^/\\PC]{1,128}";
        (prop::option::of(streams()), names).prop_map(|(stream, name)| match stream {
            None => ShardId::new(name),
            Some(stream) => ShardId::of(stream, name),
        })
    }

    proptest! {
        #[test]
        fn keys_of_leases_read_back(shard in shards()) {
            prop_assert_eq!(parse_lease_key(&lease_key(&shard)), Some(shard));
        }

        #[test]
        fn keys_of_starts_read_back(stream in prop::option::of(streams())) {
            prop_assert_eq!(parse_start_key(&start_key(stream.as_ref())), Some(stream));
        }

        #[test]
        fn no_key_is_of_two_kinds(
            shard in shards(), stream in prop::option::of(streams()), worker in "[!-~]{1,256}", seed: u64,
        ) {
            let worker = WorkerKey {
                worker: WorkerId::new(worker).unwrap(),
                incarnation: Incarnation::random(&mut fastrand::Rng::with_seed(seed)),
            };
            let set = StreamSet::new(stream.clone());
            let keys = [
                lease_key(&shard),
                worker.row_key(),
                set.key().row_key(),
                start_key(stream.as_ref()),
                "watch/".to_owned(),
            ];
            for (kind, key) in keys.iter().enumerate() {
                prop_assert_eq!(parse_lease_key(key).is_some(), kind == 0);
                prop_assert_eq!(WorkerKey::parse(key).is_some(), kind == 1);
                prop_assert_eq!(parse_start_key(key).is_some(), kind == 3);
            }
        }
    }

    #[test]
    fn keys_of_one_stream_are_the_names_of_its_shards() {
        assert_eq!(
            lease_key(&"shardId-000000000003".into()),
            "shardId-000000000003"
        );
        assert_eq!(start_key(None), "start/");
        let orders = StreamName::new("orders").unwrap();
        let shard = ShardId::of(orders.clone(), "shardId-000000000003");
        assert_eq!(lease_key(&shard), "stream/orders/shardId-000000000003");
        assert_eq!(start_key(Some(&orders)), "start/orders");
    }

    #[test]
    fn keys_of_no_lease_are_told_apart() {
        for bad in [
            "",
            "/",
            "a/b",
            "stream/",
            "stream/orders",
            "stream//s",
            "stream/orders/",
            "stream/orders/a/b",
            "stream/a b/s",
            "streams/orders/s",
            "Stream/orders/s",
        ] {
            assert_eq!(parse_lease_key(bad), None, "{bad}");
        }
        for bad in ["", "start", "start/a b", "start/a/b", "stream/a"] {
            assert_eq!(parse_start_key(bad), None, "{bad}");
        }
    }
}
