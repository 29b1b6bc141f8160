//! A machine whose actions have names, for the tests that go step by step.

use super::*;

/// A machine with a name for each of its actions.
pub(super) struct Bench {
    pub(super) machine: ShardMachine,
    pub(super) now: Instant,
    pub(super) end: Option<End>,
}

impl Bench {
    pub(super) fn new(policy: CheckpointPolicy, failure: FailurePolicy) -> Self {
        let now = Instant::now();
        let start = Start {
            shard: ShardId::new("s"),
            checkpoint: checkpoint(10),
            pending: None,
            settings: settings(policy, failure),
            rng: fastrand::Rng::with_seed(1),
            lanes: None,
        };
        let (machine, actions) = ShardMachine::new(start, now);
        let mut bench = Self {
            machine,
            now,
            end: None,
        };
        assert_eq!(bench.names(actions), ["open 10"]);
        bench
    }

    pub(super) fn automatic() -> Self {
        Self::new(CheckpointPolicy::default(), FailurePolicy::Restart)
    }

    /// A machine whose processor is initialized.
    pub(super) fn initialized(mut self) -> Self {
        assert_eq!(
            self.on(Event::Standing(Standing::Held {
                until: self.now + FAR
            })),
            ["initialize"]
        );
        assert!(self.on(Event::Returned(Ok(()))).is_empty());
        self
    }

    /// The same, and it has read the record of its checkpoint again.
    pub(super) fn reading(self) -> Self {
        let mut bench = self.initialized();
        assert!(bench.on(Event::Batch(batch(10..=10))).is_empty());
        bench
    }

    pub(super) fn on(&mut self, event: Event) -> Vec<String> {
        let actions = self.machine.on(self.now, event);
        self.names(actions)
    }

    pub(super) fn later(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        self.on(Event::Time)
    }

    pub(super) fn names(&mut self, actions: Actions) -> Vec<String> {
        actions
            .into_iter()
            .map(|action| self.name(action))
            .collect()
    }

    pub(super) fn name(&mut self, action: Action) -> String {
        match action {
            Action::OpenFeed(after) => format!("open {after}"),
            Action::CloseFeed => "close feed".to_owned(),
            Action::Call(Call::Initialize) => "initialize".to_owned(),
            Action::Call(Call::Process(batch)) => {
                let (first, last) = (
                    batch.records.first().unwrap(),
                    batch.records.last().unwrap(),
                );
                format!("process {}-{}", first.sequence_number, last.sequence_number)
            }
            Action::Call(Call::ShardEnded) => "shard ended".to_owned(),
            Action::Call(Call::ShutdownRequested) => "shutdown requested".to_owned(),
            Action::Handle(_) | Action::StopCalls | Action::CancelCalls => {
                panic!("there are no lanes here: {action:?}")
            }
            Action::TellLost => "lease lost".to_owned(),
            Action::CancelCall => "cancel".to_owned(),
            Action::DropProcessor => "drop processor".to_owned(),
            Action::Write(Write::Commit(upto)) => format!("commit {upto}"),
            Action::Write(Write::Prepare(pending)) => format!("prepare {}", pending.checkpoint),
            Action::Write(Write::Finish(_)) => "finish".to_owned(),
            Action::Write(Write::Release) => "release".to_owned(),
            Action::DropRight => "drop right".to_owned(),
            Action::Tell(Told::Failed { restart_in, .. }) => match restart_in {
                Some(_) => "tell failed and starts again".to_owned(),
                None => "tell failed".to_owned(),
            },
            Action::Tell(Told::Lane(note)) => panic!("there are no lanes here: {note:?}"),
            Action::Tell(Told::Trimmed(trimmed)) => {
                let next = trimmed.next.map(|next| next.to_string());
                format!("tell trimmed {}, next {next:?}", trimmed.after)
            }
            Action::Answer(id, Ok(())) => format!("answer {id} ok"),
            Action::Answer(id, Err(error)) => format!("answer {id} {:?}", error.kind()),
            Action::Prepared(id, checkpoint) => format!("answer {id} prepared {checkpoint}"),
            Action::Done(end) => {
                let text = match &end {
                    End::Finished => "finished".to_owned(),
                    End::Released => "released".to_owned(),
                    End::Lost => "lost".to_owned(),
                    End::Abandoned => "abandoned".to_owned(),
                    End::Failed(error) => format!("failed {:?}", error.kind()),
                };
                self.end = Some(end);
                text
            }
        }
    }
}
