//! The one door to the wall clock and to randomness. It owns no state but the seed's generator.
//!
//! Monotonic time needs no door of its own: everything reads `tokio::time::Instant`, which a paused
//! runtime moves. The wall clock is needed only to fix `LATEST` to a point in time and to sign
//! requests (there the SDK reads its own); randomness only for jitter and names.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

/// The wall clock and the random numbers of one worker, and what its tasks run under. Cheap to clone;
/// clones share the generator.
#[derive(Clone)]
pub struct Env {
    wall: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    rng: Arc<Mutex<fastrand::Rng>>,
    gate: Option<Gate>,
}

impl Env {
    /// The real clock, and a seed from the operating system.
    #[must_use]
    pub fn system() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one reader of the wall clock"
        )]
        let wall = SystemTime::now;
        Self {
            wall: Arc::new(wall),
            rng: Arc::new(Mutex::new(fastrand::Rng::new())),
            gate: None,
        }
    }

    /// A clock and a seed of your own: the same seed gives the same run.
    #[must_use]
    pub fn simulated(wall: impl Fn() -> SystemTime + Send + Sync + 'static, seed: u64) -> Self {
        Self {
            wall: Arc::new(wall),
            rng: Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))),
            gate: None,
        }
    }

    /// With a gate, through which a simulation can hold up the whole worker.
    #[must_use]
    pub fn with_gate(mut self, gate: Gate) -> Self {
        self.gate = Some(gate);
        self
    }

    /// The body of a task of this worker. Every task is made of one, so that none runs on while the
    /// worker is held up; without a gate it is `future` itself.
    pub fn task<F>(&self, future: F) -> impl Future<Output = F::Output> + use<F>
    where
        F: Future,
    {
        let pass = self.gate.as_ref().map(Gate::enter);
        async move {
            let Some(pass) = pass else {
                return future.await;
            };
            let mut future = pin!(future);
            poll_fn(|context| match pass.0.poll(context) {
                Poll::Ready(()) => future.as_mut().poll(context),
                Poll::Pending => Poll::Pending,
            })
            .await
        }
    }

    /// The wall clock now.
    #[must_use]
    pub fn wall(&self) -> SystemTime {
        (self.wall)()
    }

    /// A generator of its own for one task, split off in the order of the calls.
    #[must_use]
    pub fn rng(&self) -> fastrand::Rng {
        self.rng
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fork()
    }
}

/// Holds up all tasks of a worker at once, as a machine does that is suspended or swaps: nothing of it
/// runs, its timers pass unheard, answers wait. Cheap to clone. Open at first.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Mutex<GateState>>);

#[derive(Debug, Default)]
struct GateState {
    is_closed: bool,
    /// Who wanted to run meanwhile.
    waiting: Vec<Waker>,
    /// How many tasks there are.
    tasks: usize,
}

/// One task behind a gate, for as long as it is not dropped.
#[derive(Debug)]
struct Pass(Gate);

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.state().tasks -= 1;
    }
}

impl Gate {
    /// From now on no task gets on.
    pub fn close(&self) {
        self.state().is_closed = true;
    }

    /// All tasks get on, in an order drawn from `rng`: after a stall nobody knows who runs first.
    pub fn open(&self, rng: &mut fastrand::Rng) {
        let mut state = self.state();
        state.is_closed = false;
        let mut waiting = std::mem::take(&mut state.waiting);
        drop(state);
        rng.shuffle(&mut waiting);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// How many tasks of the worker there are: none, once it has ended in whatever way.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.state().tasks
    }

    fn enter(&self) -> Pass {
        self.state().tasks += 1;
        Pass(self.clone())
    }

    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if !state.is_closed {
            return Poll::Ready(());
        }
        let waker = context.waker();
        if !state.waiting.iter().any(|known| known.will_wake(waker)) {
            state.waiting.push(waker.clone());
        }
        Poll::Pending
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_holds_up_all_tasks_until_it_opens() {
        let gate = Gate::default();
        let env = Env::simulated(|| SystemTime::UNIX_EPOCH, 1).with_gate(gate.clone());
        let (sender, mut ticks) = mpsc::channel(16);
        let start = Instant::now();
        for name in ["a", "b"] {
            let sender = sender.clone();
            tokio::spawn(env.task(async move {
                for _ in 0..2 {
                    sleep(Duration::from_secs(1)).await;
                    sender
                        .send((name, start.elapsed().as_secs()))
                        .await
                        .unwrap();
                }
            }));
        }
        sleep(Duration::from_millis(1_500)).await;
        gate.close();
        sleep(Duration::from_secs(10)).await;
        gate.open(&mut fastrand::Rng::with_seed(1));
        drop(sender);
        let mut seen = Vec::new();
        while let Some(tick) = ticks.recv().await {
            seen.push(tick);
        }
        seen[2..].sort_unstable();
        assert_eq!(seen, [("a", 1), ("b", 1), ("a", 11), ("b", 11)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_counts_tasks_until_they_have_ended_or_are_aborted() {
        let gate = Gate::default();
        let env = Env::simulated(|| SystemTime::UNIX_EPOCH, 1).with_gate(gate.clone());
        let ends = tokio::spawn(env.task(sleep(Duration::from_secs(1))));
        let stays = tokio::spawn(env.task(std::future::pending::<()>()));
        assert_eq!(gate.tasks(), 2);
        ends.await.unwrap();
        assert_eq!(gate.tasks(), 1);
        stays.abort();
        assert!(stays.await.unwrap_err().is_cancelled());
        assert_eq!(gate.tasks(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_gate_a_task_is_its_future() {
        let env = Env::simulated(|| SystemTime::UNIX_EPOCH, 1);
        assert_eq!(env.task(async { 7 }).await, 7);
    }
}
