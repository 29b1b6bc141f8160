//! The table of all transitions, and what holds for every history of events.

use proptest::prelude::*;

use super::*;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn number(n: u64) -> SequenceNumber {
    SequenceNumber::new(n.to_string()).unwrap()
}

fn after(n: u64) -> Position {
    Position::AfterSequence(number(n))
}

fn arrival(continuation: Option<u64>, has_records: bool, has_children: bool) -> Event {
    Event::Received(Arrival {
        continuation: continuation.map(number),
        has_records,
        has_children,
    })
}

const ACCEPTED: Event = Event::Accepted {
    asked: SystemTime::UNIX_EPOCH,
};

/// A session whose cursor stands after 10, in this state at `now`; accepted long ago.
fn session(state: State) -> Session {
    let mut session = Session::new(after(10), None, SubscriptionSettings::default());
    session.state = state;
    session
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table is read as one piece")]
fn every_state_answers_every_event_as_the_table_says() {
    let now = Instant::now();
    let (past, later) = (now, now + seconds(60));
    let idle = State::Idle;
    let opening = State::Opening { until: later };
    let opening_late = State::Opening { until: past };
    let fresh = State::Listening {
        silent_at: later,
        renew_at: later,
        heard: false,
    };
    let listening = State::Listening {
        silent_at: later,
        renew_at: later,
        heard: true,
    };
    let silent = State::Listening {
        silent_at: past,
        renew_at: later,
        heard: true,
    };
    let expiring = State::Listening {
        silent_at: later,
        renew_at: past,
        heard: true,
    };
    let delivering = State::Delivering {
        renew_at: later,
        let_go_at: Some(later),
    };
    let delivering_late = State::Delivering {
        renew_at: past,
        let_go_at: Some(later),
    };
    let stuck = State::Delivering {
        renew_at: later,
        let_go_at: Some(past),
    };
    let let_go = State::Delivering {
        renew_at: past,
        let_go_at: None,
    };
    let waiting = State::Waiting { until: later };
    let waiting_over = State::Waiting { until: past };
    let ended = State::Ended;

    let subscribe = || Action::Subscribe(after(10));
    let start = || Event::Start;
    let alive = || Event::Alive(now);
    let records = || arrival(Some(20), true, false);
    let empty = || arrival(Some(20), false, false);
    let last = || arrival(None, true, true);
    let refused = Event::Refused;

    let table = [
        (idle, start(), subscribe()),
        (idle, ACCEPTED, Action::Ignore),
        (idle, records(), Action::Ignore),
        (idle, alive(), Action::Ignore),
        (idle, Event::Delivered, Action::Ignore),
        (idle, Event::Closed, Action::Ignore),
        (idle, refused(Refusal::Final), Action::Ignore),
        (idle, Event::Due, Action::Ignore),
        (opening, start(), Action::Ignore),
        (opening, ACCEPTED, Action::Listen),
        (opening, records(), Action::Ignore),
        (opening, alive(), Action::Ignore),
        (opening, Event::Delivered, Action::Ignore),
        (opening, Event::Closed, Action::Wait),
        (opening, refused(Refusal::InUse), Action::Wait),
        (opening, refused(Refusal::Throttled), Action::Wait),
        (opening, refused(Refusal::Unavailable), Action::Wait),
        (opening, refused(Refusal::Argument), Action::Fail),
        (opening, refused(Refusal::Final), Action::Fail),
        (opening, Event::Due, Action::Ignore),
        (opening_late, Event::Due, Action::Wait),
        (listening, start(), Action::Ignore),
        (listening, ACCEPTED, Action::Ignore),
        (listening, records(), Action::Deliver),
        (listening, empty(), Action::Listen),
        (listening, last(), Action::DeliverLast),
        (listening, arrival(None, true, false), Action::Wait),
        (listening, arrival(Some(10), false, false), Action::Listen),
        (listening, arrival(Some(10), true, false), Action::Wait),
        (listening, arrival(Some(9), true, false), Action::Wait),
        (listening, arrival(Some(20), true, true), Action::Deliver),
        (listening, alive(), Action::Listen),
        (listening, Event::Delivered, Action::Ignore),
        (listening, Event::Closed, subscribe()),
        (listening, refused(Refusal::InUse), Action::Wait),
        (listening, refused(Refusal::Throttled), Action::Wait),
        (listening, refused(Refusal::Unavailable), Action::Wait),
        (listening, refused(Refusal::Final), Action::Fail),
        (listening, Event::Due, Action::Ignore),
        (fresh, Event::Closed, Action::Wait),
        (silent, Event::Due, Action::Wait),
        (silent, alive(), Action::Listen),
        (expiring, Event::Due, subscribe()),
        (expiring, alive(), subscribe()),
        (expiring, empty(), Action::Subscribe(after(20))),
        (expiring, records(), Action::Deliver),
        (delivering, start(), Action::Ignore),
        (delivering, ACCEPTED, Action::Ignore),
        (delivering, records(), Action::Ignore),
        (delivering, alive(), Action::Ignore),
        (delivering, Event::Delivered, Action::Listen),
        (delivering, Event::Closed, Action::Ignore),
        (delivering, refused(Refusal::Final), Action::Ignore),
        (delivering, Event::Due, Action::Ignore),
        (delivering_late, Event::Delivered, subscribe()),
        (stuck, Event::Due, Action::LetGo),
        (let_go, Event::Due, Action::Ignore),
        (let_go, Event::Delivered, subscribe()),
        (waiting, start(), Action::Ignore),
        (waiting, ACCEPTED, Action::Ignore),
        (waiting, records(), Action::Ignore),
        (waiting, alive(), Action::Ignore),
        (waiting, Event::Delivered, Action::Ignore),
        (waiting, Event::Closed, Action::Ignore),
        (waiting, refused(Refusal::Final), Action::Ignore),
        (waiting, Event::Due, Action::Ignore),
        (waiting_over, Event::Due, subscribe()),
        (ended, start(), Action::Ignore),
        (ended, ACCEPTED, Action::Ignore),
        (ended, records(), Action::Ignore),
        (ended, alive(), Action::Ignore),
        (ended, Event::Delivered, Action::Ignore),
        (ended, Event::Closed, Action::Ignore),
        (ended, refused(Refusal::Final), Action::Ignore),
        (ended, Event::Due, Action::Ignore),
    ];
    for (state, event, expected) in table {
        let action = session(state).on(now, &event, &mut fastrand::Rng::with_seed(1));
        assert_eq!(action, expected, "{state:?} on {event:?}");
    }
}

#[test]
fn in_use_is_retried_at_the_same_pace_however_often() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut now = Instant::now();
    let mut session = session(State::Idle);
    session.on(now, &Event::Start, &mut rng);
    for _ in 0..50 {
        session.on(now, &Event::Refused(Refusal::InUse), &mut rng);
        let until = session.next_deadline().unwrap();
        assert!((seconds(1)..=Duration::from_millis(1250)).contains(&(until - now)));
        now = until;
        assert!(matches!(
            session.on(now, &Event::Due, &mut rng),
            Action::Subscribe(_)
        ));
    }
}

#[test]
fn other_refusals_back_off_up_to_the_longest_pause_and_an_event_ends_that() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut now = Instant::now();
    let mut session = session(State::Idle);
    session.on(now, &Event::Start, &mut rng);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        session.on(now, &Event::Refused(Refusal::Throttled), &mut rng);
        let until = session.next_deadline().unwrap();
        pauses.push(until - now);
        now = until;
        session.on(now, &Event::Due, &mut rng);
    }
    assert!(
        pauses.windows(2).take(4).all(|pair| pair[0] < pair[1]),
        "{pauses:?}"
    );
    assert!(
        pauses.iter().all(|pause| *pause <= seconds(30)),
        "{pauses:?}"
    );

    session.on(now, &ACCEPTED, &mut rng);
    session.on(now, &arrival(Some(20), false, false), &mut rng);
    session.on(
        now + seconds(20),
        &Event::Refused(Refusal::Unavailable),
        &mut rng,
    );
    let pause = session.next_deadline().unwrap() - (now + seconds(20));
    assert!(pause <= seconds(1), "{pause:?}");
}

/// Whatever failed before: 35 s of silence are more than the longest pause.
#[test]
fn a_subscription_that_was_silent_from_the_start_is_replaced_within_forty_seconds() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut now = Instant::now();
    let mut session = session(State::Idle);
    session.on(now, &Event::Start, &mut rng);
    for _ in 0..8 {
        session.on(now, &Event::Refused(Refusal::Unavailable), &mut rng);
        now = session.next_deadline().unwrap();
        session.on(now, &Event::Due, &mut rng);
    }
    session.on(now, &ACCEPTED, &mut rng);
    let accepted = now;
    // What came before it was accepted is no sign of life.
    now = session.next_deadline().unwrap();
    assert_eq!(now, accepted + seconds(35));
    assert_eq!(
        session.on(now, &Event::Alive(accepted), &mut rng),
        Action::Listen
    );
    assert_eq!(session.next_deadline(), Some(now));
    assert_eq!(session.on(now, &Event::Due, &mut rng), Action::Wait);
    now = session.next_deadline().unwrap();
    assert_eq!(
        session.on(now, &Event::Due, &mut rng),
        Action::Subscribe(after(10))
    );
    assert!(now <= accepted + seconds(40), "{:?}", now - accepted);

    // Half of an event is one, for as long as there is more of it.
    session.on(now, &ACCEPTED, &mut rng);
    let half = now + seconds(30);
    session.on(now + seconds(35), &Event::Alive(half), &mut rng);
    assert_eq!(session.next_deadline(), Some(half + seconds(35)));
}

#[test]
fn latest_is_a_time_from_its_first_acceptance_on_so_that_a_second_try_skips_nothing() {
    let (now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let asked = SystemTime::UNIX_EPOCH + seconds(99);
    let mut session = Session::new(Position::Latest, None, SubscriptionSettings::default());
    let action = session.on(now, &Event::Start, &mut rng);
    assert_eq!(action, Action::Subscribe(Position::Latest));
    session.on(now, &Event::Accepted { asked }, &mut rng);
    session.on(now, &Event::Closed, &mut rng);
    let action = session.on(now + seconds(60), &Event::Due, &mut rng);
    assert_eq!(action, Action::Subscribe(Position::AtTimestamp(asked)));
}

#[test]
fn a_time_that_is_yet_to_come_becomes_now() {
    let (now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let ahead = Position::AtTimestamp(SystemTime::UNIX_EPOCH);
    let mut session = Session::new(ahead, None, SubscriptionSettings::default());
    session.on(now, &Event::Start, &mut rng);
    let refused = Event::Refused(Refusal::Argument);
    assert_eq!(session.on(now, &refused, &mut rng), Action::Wait);
    let again = session.on(now + seconds(60), &Event::Due, &mut rng);
    assert_eq!(again, Action::Subscribe(Position::Latest));
    assert_eq!(session.on(now, &refused, &mut rng), Action::Fail);
}

#[test]
fn nothing_is_asked_for_before_its_turn() {
    let (now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let turn = now + seconds(4);
    let mut session = Session::new(after(10), Some(turn), SubscriptionSettings::default());
    assert_eq!(session.on(now, &Event::Start, &mut rng), Action::Wait);
    assert_eq!(session.next_deadline(), Some(turn));
    let action = session.on(turn, &Event::Due, &mut rng);
    assert_eq!(action, Action::Subscribe(after(10)));
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => Just(Event::Start),
        6 => Just(ACCEPTED),
        8 => (proptest::option::weighted(0.9, 1_u64..200), any::<bool>(), proptest::bool::weighted(0.2))
            .prop_map(|(continuation, records, children)| arrival(continuation, records, children)),
        2 => any::<bool>().prop_map(|_| Event::Alive(Instant::now())),
        6 => Just(Event::Delivered),
        3 => Just(Event::Closed),
        3 => prop_oneof![
            Just(Refusal::InUse),
            Just(Refusal::Throttled),
            Just(Refusal::Unavailable),
        ].prop_map(Event::Refused),
        8 => Just(Event::Due),
    ]
}

/// A history: how long after the one before, in milliseconds, and what. `None` waits until due.
fn any_history() -> impl Strategy<Value = Vec<(Option<u64>, Event)>> {
    proptest::collection::vec((proptest::option::of(0_u64..20_000), any_event()), 0..200)
}

proptest! {
    #[test]
    fn no_history_skips_repeats_or_floods(history in any_history(), seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut session =
            Session::new(Position::TrimHorizon, None, SubscriptionSettings::default());
        let mut now = Instant::now();
        let mut handed_on: Option<SequenceNumber> = None;
        let (mut accepted, mut subscribed, mut over) = (None::<Instant>, None::<Instant>, false);
        for (step, event) in history {
            let event = match (step, session.next_deadline()) {
                (None, Some(deadline)) => {
                    now = now.max(deadline);
                    Event::Due
                }
                (step, _) => {
                    now += Duration::from_millis(step.unwrap_or(0));
                    event
                }
            };
            let before = session.clone();
            let action = session.on(now, &event, &mut rng);
            if event == ACCEPTED && action == Action::Listen {
                accepted = Some(now);
            }
            if let Event::Received(Arrival { continuation, has_children, .. }) = &event {
                match action {
                    Action::Deliver => {
                        prop_assert!(*continuation > handed_on, "a step back was delivered");
                        handed_on.clone_from(continuation);
                    }
                    // An empty event moves the cursor as well.
                    Action::Listen | Action::Subscribe(_) => handed_on.clone_from(continuation),
                    Action::DeliverLast => {
                        prop_assert!(*has_children && continuation.is_none());
                    }
                    Action::Wait | Action::Ignore => {}
                    Action::LetGo => prop_assert!(false, "an event is no stop of time"),
                    Action::Fail => prop_assert!(false, "an event is no refusal"),
                }
            }
            if let Action::Subscribe(from) = &action {
                let expected = handed_on.clone().map_or(Position::TrimHorizon, Position::AfterSequence);
                prop_assert_eq!(from, &expected, "not from the cursor");
                prop_assert!(accepted.is_none_or(|at| now >= at + seconds(5)), "within five seconds");
                prop_assert!(subscribed.is_none_or(|at| now >= at + seconds(1)), "within a second");
                subscribed = Some(now);
            }
            // A deadline that has come always leads somewhere: no session hangs.
            if event == Event::Due && before.next_deadline().is_some_and(|at| now >= at) {
                prop_assert_ne!(&action, &Action::Ignore, "stuck in {:?}", before.state);
            }
            prop_assert!(!over || action == Action::Ignore, "life after the end");
            over |= action == Action::DeliverLast;
            let mute = matches!(
                session.state,
                State::Idle | State::Delivering { let_go_at: None, .. } | State::Ended
            );
            prop_assert_eq!(session.next_deadline().is_none(), mute);
        }
    }
}
