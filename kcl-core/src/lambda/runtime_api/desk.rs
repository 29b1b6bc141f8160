//! What a process may ask for and say, and when. Pure; one desk for each life of a process, asked by `server`.
//!
//! ```text
//!  Free ──offer──▶ Offered ──take──▶ Running ──answer──▶ Free
//! ```
//!
//! INVARIANT: an invocation is handed out once, and its answer is taken once.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Invocation, Outcome};

/// Where the answers to an invocation go.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Told when the process has fetched it.
    pub(super) fetched: oneshot::Sender<()>,
    /// Told how it ended.
    pub(super) outcome: oneshot::Sender<Outcome>,
}

#[derive(Debug, Default)]
pub(super) enum Desk {
    /// Nothing is to be done.
    #[default]
    Free,
    /// This waits to be fetched.
    Offered(Invocation, Waiting),
    /// The process works on the invocation with this id.
    Running(String, oneshot::Sender<Outcome>),
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The process asks for the next invocation and has not answered the last.
    NotAnswered,
    /// There is no such invocation, or it is answered already.
    UnknownId,
    /// The process says it cannot be made ready, and had been.
    NotStarting,
}

impl Desk {
    /// An invocation for the process.
    pub(super) fn offer(&mut self, invocation: Invocation, waiting: Waiting) {
        debug_assert!(matches!(self, Self::Free), "one invocation at a time");
        *self = Self::Offered(invocation, waiting);
    }

    /// The process asks what to do. Nothing if there is nothing yet.
    pub(super) fn take(&mut self) -> Result<Option<Invocation>, Refused> {
        match std::mem::take(self) {
            Self::Free => Ok(None),
            running @ Self::Running(..) => {
                *self = running;
                Err(Refused::NotAnswered)
            }
            Self::Offered(invocation, Waiting { fetched, outcome }) => {
                if fetched.send(()).is_err() {
                    tracing::debug!("nobody waits for an invocation any more");
                }
                *self = Self::Running(invocation.request_id.clone(), outcome);
                Ok(Some(invocation))
            }
        }
    }

    /// Whether an answer to this invocation is welcome.
    pub(super) fn expects(&self, id: &str) -> Result<(), Refused> {
        match self {
            Self::Running(running, _) if running == id => Ok(()),
            Self::Running(..) | Self::Free | Self::Offered(..) => Err(Refused::UnknownId),
        }
    }

    /// The process answers.
    pub(super) fn answer(&mut self, id: &str, outcome: Outcome) -> Result<(), Refused> {
        self.expects(id)?;
        if let Self::Running(_, waiting) = std::mem::take(self) {
            tell(waiting, outcome);
        }
        Ok(())
    }

    /// The process says that it cannot be made ready.
    pub(super) fn fail_to_start(
        &mut self,
        error_type: Option<String>,
        body: Bytes,
    ) -> Result<(), Refused> {
        match std::mem::take(self) {
            Self::Offered(_, waiting) => {
                tell(waiting.outcome, Outcome::InitError { error_type, body });
                Ok(())
            }
            other @ (Self::Free | Self::Running(..)) => {
                *self = other;
                Err(Refused::NotStarting)
            }
        }
    }
}

fn tell(waiting: oneshot::Sender<Outcome>, outcome: Outcome) {
    if waiting.send(outcome).is_err() {
        tracing::debug!("nobody waits for the outcome of an invocation any more");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(id: &str) -> (Desk, oneshot::Receiver<()>, oneshot::Receiver<Outcome>) {
        let (fetched, was_fetched) = oneshot::channel();
        let (outcome, ended) = oneshot::channel();
        let mut desk = Desk::default();
        desk.offer(Invocation::new(id, "{}"), Waiting { fetched, outcome });
        (desk, was_fetched, ended)
    }

    fn response() -> Outcome {
        Outcome::Response("null".into())
    }

    #[test]
    fn an_invocation_is_fetched_and_answered_once() {
        let (mut desk, mut fetched, mut ended) = offered("a");
        assert_eq!(
            desk.answer("a", response()),
            Err(Refused::UnknownId),
            "too early"
        );
        assert!(fetched.try_recv().is_err());
        assert_eq!(desk.take().unwrap().unwrap().request_id, "a");
        assert_eq!(fetched.try_recv(), Ok(()));
        assert_eq!(desk.take(), Err(Refused::NotAnswered));
        assert_eq!(desk.answer("b", response()), Err(Refused::UnknownId));
        assert!(ended.try_recv().is_err());
        assert_eq!(desk.answer("a", response()), Ok(()));
        assert_eq!(ended.try_recv(), Ok(response()));
        assert_eq!(
            desk.answer("a", response()),
            Err(Refused::UnknownId),
            "twice"
        );
        assert_eq!(desk.take(), Ok(None));
    }

    #[test]
    fn a_process_fails_to_start_before_it_asks_for_anything() {
        let (mut desk, _fetched, mut ended) = offered("a");
        assert_eq!(desk.fail_to_start(None, "no".into()), Ok(()));
        let body = "no".into();
        assert_eq!(
            ended.try_recv(),
            Ok(Outcome::InitError {
                error_type: None,
                body
            })
        );
        assert_eq!(
            desk.fail_to_start(None, "no".into()),
            Err(Refused::NotStarting)
        );

        let (mut desk, _fetched, _ended) = offered("a");
        assert!(desk.take().unwrap().is_some());
        assert_eq!(
            desk.fail_to_start(None, "no".into()),
            Err(Refused::NotStarting)
        );
        assert_eq!(desk.expects("a"), Ok(()));
    }
}
