//! Which client a subscription goes over. Over TLS the service speaks HTTP/2, where all subscriptions of a
//! client share one connection with one window: what a shard leaves unread holds up the others, and the
//! service lets only a few streams onto a connection. So no client carries more than a few. Without TLS
//! each subscription has a connection of its own anyway.
//!
//! Owned by the source. A feed holds its [`Line`] for as long as it lives.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_kinesis::{Client, Config};

/// Subscriptions of one client, at most.
const SUBSCRIPTIONS_MAX: usize = 4;

/// Clients by how many subscriptions they carry. Clones share them.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Inner>);

struct Inner {
    /// What further clients are made of; nothing if all go over the first.
    config: Option<Config>,
    clients: Mutex<Vec<(Client, usize)>>,
}

/// A place on a client. Dropping it gives it back.
pub(crate) struct Line {
    client: Client,
    lines: Lines,
    number: usize,
}

impl Lines {
    /// Everything over this client.
    pub(crate) fn one(client: Client) -> Self {
        Self(Arc::new(Inner {
            config: None,
            clients: Mutex::new(vec![(client, 0)]),
        }))
    }

    /// As many clients as are needed, each with connections of its own.
    pub(crate) fn many(config: Config) -> Self {
        let first = Client::from_conf(config.clone());
        Self(Arc::new(Inner {
            config: Some(config),
            clients: Mutex::new(vec![(first, 0)]),
        }))
    }

    pub(crate) fn take(&self) -> Line {
        let mut clients = self.clients();
        let free = clients
            .iter()
            .position(|(_, used)| *used < SUBSCRIPTIONS_MAX);
        let number = match (free, &self.0.config) {
            (Some(number), _) => number,
            (None, None) => 0,
            (None, Some(config)) => {
                clients.push((Client::from_conf(config.clone()), 0));
                clients.len() - 1
            }
        };
        clients[number].1 += 1;
        Line {
            client: clients[number].0.clone(),
            lines: self.clone(),
            number,
        }
    }

    fn clients(&self) -> MutexGuard<'_, Vec<(Client, usize)>> {
        self.0
            .clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.lines.clients()[self.number].1 -= 1;
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used: Vec<_> = self.clients().iter().map(|(_, used)| *used).collect();
        f.debug_tuple("Lines").field(&used).finish()
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::config::BehaviorVersion;

    use super::*;

    fn config() -> Config {
        Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .build()
    }

    fn used(lines: &Lines) -> Vec<usize> {
        lines.clients().iter().map(|(_, used)| *used).collect()
    }

    #[test]
    fn no_client_carries_many_and_places_are_taken_again() {
        let lines = Lines::many(config());
        let mut taken: Vec<_> = (0..9).map(|_| lines.take()).collect();
        assert_eq!(used(&lines), [4, 4, 1]);
        drop(taken.remove(1));
        let _again = lines.take();
        assert_eq!(used(&lines), [4, 4, 1]);
    }

    #[test]
    fn a_client_that_was_given_carries_all() {
        let lines = Lines::one(Client::from_conf(config()));
        let _taken: Vec<_> = (0..9).map(|_| lines.take()).collect();
        assert_eq!(used(&lines), [9]);
    }
}
