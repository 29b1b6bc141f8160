//! Rows survive the way to items and back; items that make no sense are refused by name.

use kcl_core::model::Shard;
use proptest::prelude::*;

use super::*;

fn ids() -> impl Strategy<Value = BTreeSet<String>> {
    prop::collection::btree_set("[a-zA-Z0-9_.-]{1,20}", 0..3)
}

fn streams() -> impl Strategy<Value = StreamName> {
    "[a-zA-Z0-9_.-]{1,128}".prop_map(|name| StreamName::new(name).unwrap())
}

fn sets() -> impl Strategy<Value = StreamSet> {
    prop::collection::vec(streams(), 0..9).prop_map(StreamSet::new)
}

fn checkpoints() -> impl Strategy<Value = Checkpoint> {
    prop_oneof![
        Just(Checkpoint::TrimHorizon),
        Just(Checkpoint::Latest),
        Just(Checkpoint::ShardEnd),
        (0..MILLIS_MAX).prop_map(|millis| {
            Checkpoint::AtTimestamp(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
        }),
        ("[1-9][0-9]{0,127}", any::<u64>()).prop_map(|(number, subsequence)| {
            Checkpoint::Sequence {
                sequence: SequenceNumber::new(number).unwrap(),
                subsequence,
            }
        }),
    ]
}

fn pendings() -> impl Strategy<Value = Option<PendingCheckpoint>> {
    // It shares the timestamp of the checkpoint, and is never one.
    let checkpoint = checkpoints().prop_filter("never a time", |checkpoint| {
        !matches!(checkpoint, Checkpoint::AtTimestamp(_))
    });
    let state = prop::option::of(prop::collection::vec(any::<u8>(), 0..9));
    prop::option::of((checkpoint, state).prop_map(|(checkpoint, state)| {
        let state = state.map(Into::into);
        PendingCheckpoint { checkpoint, state }
    }))
}

fn owners() -> impl Strategy<Value = Option<Owner>> {
    let owner = ("[!-~]{1,40}", prop::option::of("[a-z0-9-]{1,64}"));
    prop::option::of(owner.prop_map(|(worker, incarnation)| Owner {
        worker: WorkerId::new(worker).unwrap(),
        incarnation: incarnation.map(|name| Incarnation::parse(&name).unwrap()),
    }))
}

prop_compose! {
    fn leases()(
        name in "[a-zA-Z0-9_.-]{1,128}",
        stream in prop::option::of(streams()),
        owner in owners(),
        counter in 0..COUNTER_MAX,
        checkpoint in checkpoints(),
        switches: u64,
        parents in ids(),
        children in ids(),
        range in prop::option::of(any::<(u128, u128)>()),
        pending in pendings(),
        load in prop::option::of(0..=LOAD_MAX),
        moved in moves(),
    ) -> LeaseRow {
        let range = range.map(|(start, end)| HashKeyRange { start, end });
        let shard = match stream {
            None => ShardId::new(name),
            Some(stream) => ShardId::of(stream, name),
        };
        let siblings = |ids: BTreeSet<String>| ids.iter().map(|id| shard.sibling(id)).collect();
        let (parents, children) = (siblings(parents), siblings(children));
        LeaseRow { shard, owner, counter, checkpoint, pending, switches, parents, children, range, load, moved: moved.map(Box::new) }
    }
}

fn moves() -> impl Strategy<Value = Option<Moved>> {
    let key = |name: String| WorkerKey {
        worker: WorkerId::new(name).unwrap(),
        incarnation: Incarnation::parse("1f").unwrap(),
    };
    let ends = (
        "[!-~]{1,40}",
        "[!-~]{1,40}",
        prop::option::of("[a-z0-9-]{1,20}"),
    );
    prop::option::of(ends.prop_map(move |(from, to, in_return)| Moved {
        from: key(from),
        to: key(to),
        in_return: in_return.map(|shard| InReturn {
            shard: ShardId::new(shard),
            from: key("first".to_owned()),
        }),
    }))
}

prop_compose! {
    fn workers()(
        name in "[!-~]{1,256}",
        seed: u64,
        counter in 0..COUNTER_MAX,
        leaving: bool,
        millis in 0_u64..86_400_000,
        leases_max: Option<u32>,
        capacity in prop::option::of(1_u32..),
        load in prop::option::of(0..=LOAD_MAX),
        serves in prop::option::of(sets()),
    ) -> WorkerRow {
        let incarnation = Incarnation::random(&mut fastrand::Rng::with_seed(seed));
        let key = WorkerKey { worker: WorkerId::new(name).unwrap(), incarnation };
        let capacity = capacity.and_then(Capacity::from_thousandths);
        let (lease_time, serves) = (Duration::from_millis(millis), serves.map(|set| set.key().clone()));
        WorkerRow { key, counter, leaving, lease_time, leases_max, capacity, load, serves }
    }
}

fn values() -> impl Strategy<Value = AttributeValue> {
    let plain = prop_oneof![
        ".{0,40}".prop_map(AttributeValue::S),
        "[-0-9.eE]{0,50}".prop_map(AttributeValue::N),
        any::<bool>().prop_map(AttributeValue::Bool),
        Just(AttributeValue::Null(true)),
        prop::collection::vec(".{0,9}", 0..30).prop_map(AttributeValue::Ss),
        prop::collection::vec(any::<u8>(), 0..9)
            .prop_map(|bytes| AttributeValue::B(Blob::new(bytes))),
    ];
    prop_oneof![plain, Just(AttributeValue::L(Vec::new()))]
}

proptest! {
    #[test]
    fn a_lease_row_reads_back(row in leases()) {
        prop_assert_eq!(lease(&lease_item(&row)).unwrap(), row);
    }

    #[test]
    fn a_worker_row_reads_back(row in workers()) {
        prop_assert_eq!(worker(&worker_item(&row)).unwrap(), row);
    }

    #[test]
    fn a_set_of_streams_reads_back(set in sets()) {
        prop_assert_eq!(super::streams(&streams_item(&set)).unwrap(), set);
    }

    #[test]
    fn a_start_row_reads_back(stream in prop::option::of(streams()), millis in 0..MILLIS_MAX) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let row = StartRow { stream, time };
        prop_assert_eq!(start(&start_item(&row)).unwrap(), row);
    }

    /// Whatever one attribute is replaced with: a row, or an error that names it; never a panic.
    #[test]
    fn a_damaged_row_is_read_or_blamed(
        row in leases(), other in workers(), of_worker: bool, at: prop::sample::Index,
        damage in prop::option::of(values()),
    ) {
        let mut item = if of_worker { worker_item(&other) } else { lease_item(&row) };
        let mut names: Vec<_> = item.keys().cloned().collect();
        names.sort();
        let name = at.get(&names).clone();
        match damage {
            Some(value) => item.insert(name.clone(), value),
            None => item.remove(&name),
        };
        if let Err(error) = super::row(&item) {
            prop_assert_eq!(error.kind(), ErrorKind::Data);
            prop_assert!(error.to_string().len() < 1000);
        }
    }
}

fn item(pairs: &[(&str, AttributeValue)]) -> Item {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

fn plain(checkpoint: &str) -> Item {
    item(&[
        (KEY, text("s-1")),
        (COUNTER, number(3_u64)),
        (CHECKPOINT, text(checkpoint)),
    ])
}

#[test]
fn a_row_of_the_first_kcl_versions_is_a_lease() {
    let row = lease(&plain("LATEST")).unwrap();
    assert_eq!(
        (row.checkpoint, row.counter, row.owner),
        (Checkpoint::Latest, 3, None)
    );
}

#[test]
fn a_pending_checkpoint_as_the_kcl_writes_it_is_read() {
    let mut row = plain("17");
    row.insert(PENDING.to_owned(), text("19"));
    row.insert(PENDING_SUBSEQUENCE.to_owned(), number(3_u64));
    row.insert(PENDING_STATE.to_owned(), bytes([1, 2]));
    let pending = lease(&row).unwrap().pending.unwrap();
    assert_eq!(pending.checkpoint.to_string(), "19/3");
    assert_eq!(pending.state.as_deref(), Some([1, 2].as_slice()));
    row.insert(PENDING_STATE.to_owned(), text("not binary"));
    let error = lease(&row).unwrap_err().to_string();
    assert!(error.contains(PENDING_STATE), "{error}");
    row.insert(PENDING.to_owned(), text(""));
    assert_eq!(lease(&row).unwrap().pending, None);
}

#[test]
fn rows_of_other_kinds_are_left_alone() {
    let leader = item(&[(KEY, text("Leader")), (ENTITY, text("LEADER"))]);
    assert_eq!(row(&leader).unwrap(), None);
}

#[test]
fn what_makes_no_sense_is_refused_by_row_and_attribute() {
    let cases: &[(&str, Option<AttributeValue>)] = &[
        (COUNTER, None),
        (COUNTER, Some(text("3"))),
        (COUNTER, Some(AttributeValue::N("-1".to_owned()))),
        (COUNTER, Some(AttributeValue::N("1.5".to_owned()))),
        (COUNTER, Some(number(u64::MAX))),
        (CHECKPOINT, None),
        (CHECKPOINT, Some(text("EARLIEST"))),
        (CHECKPOINT, Some(text("-5"))),
        (SUBSEQUENCE, Some(AttributeValue::N("x".to_owned()))),
        (PENDING, Some(text("EARLIEST"))),
        (PENDING, Some(number(5_u64))),
        (OWNER, Some(text(""))),
        (OWNER, Some(number(1_u64))),
        (PARENTS, Some(text("s-0"))),
        (PARENTS, Some(AttributeValue::Ss(vec![String::new(); 1000]))),
        (ENTITY, Some(number(1_u64))),
    ];
    for (name, value) in cases {
        let mut item = plain("17");
        match value {
            Some(value) => item.insert((*name).to_owned(), value.clone()),
            None => item.remove(*name),
        };
        let error = lease(&item).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        let message = error.to_string();
        assert!(
            message.contains("\"s-1\"") && message.contains(name),
            "{message}"
        );
    }
    let timeless = lease(&plain("AT_TIMESTAMP")).unwrap_err().to_string();
    assert!(timeless.contains(TIMESTAMP), "{timeless}");
    let ownerless = item(&[
        (KEY, text("s-1")),
        (COUNTER, number(3_u64)),
        (CHECKPOINT, text("17")),
        (INCARNATION, text("abc")),
    ]);
    assert!(lease(&ownerless).unwrap_err().to_string().contains(OWNER));
    assert!(row(&Item::new()).unwrap_err().to_string().contains(KEY));
}

#[test]
fn a_set_of_streams_that_its_key_does_not_stand_for_is_refused() {
    let set = StreamSet::new([StreamName::new("orders").unwrap()]);
    let mut item = streams_item(&set);
    for names in [vec!["clicks"], vec!["orders", "clicks"], vec!["a b"]] {
        let names = names.into_iter().map(str::to_owned).collect();
        item.insert(SERVES.to_owned(), AttributeValue::Ss(names));
        let error = row(&item).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.to_string().contains(SERVES), "{error}");
    }
}

#[test]
fn a_row_of_one_stream_is_stored_as_it_always_was() {
    let shard = Shard {
        id: "shardId-000000000003".into(),
        parents: vec!["shardId-000000000001".into()],
        range: HashKeyRange { start: 0, end: 9 },
        open: true,
    };
    let item = lease_item(&LeaseRow::fresh(&shard, Checkpoint::TrimHorizon));
    let mut names: Vec<_> = item.keys().map(String::as_str).collect();
    names.sort_unstable();
    let kcl = [
        CHECKPOINT,
        SUBSEQUENCE,
        RANGE_END,
        ENTITY,
        COUNTER,
        KEY,
        SWITCHES,
        PARENTS,
        RANGE_START,
    ];
    assert_eq!(names, kcl);
    assert_eq!(item[KEY], text("shardId-000000000003"));
    let parents = AttributeValue::Ss(vec!["shardId-000000000001".to_owned()]);
    assert_eq!(item[PARENTS], parents);
    let of_several = shard.of(&StreamName::new("orders").unwrap());
    let item = lease_item(&LeaseRow::fresh(&of_several, Checkpoint::TrimHorizon));
    assert_eq!(item[KEY], text("stream/orders/shardId-000000000003"));
    assert_eq!(item[PARENTS], parents, "of the same stream, by their names");
}
