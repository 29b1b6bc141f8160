//! Client request tokens: a transaction that comes again within ten minutes is answered again and not
//! carried out again.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::refusal::Refusal;
use super::schema::hash;
use crate::Scope;

/// For how long a token is known.
const KNOWN: Duration = Duration::from_secs(600);
/// Most tokens known at once. Beyond that the one that was used first is forgotten early.
const TOKENS_MAX: usize = 100_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    used: BTreeMap<(Scope, String), Used>,
    /// In the order of their use, by a running number.
    order: BTreeMap<u64, (Scope, String)>,
    count: u64,
}

#[derive(Debug)]
struct Used {
    at: SystemTime,
    /// Of the request, so that another one under the same token is noticed.
    fingerprint: u64,
    reply: Vec<u8>,
}

impl Tokens {
    /// Carries `act` out, unless the token has been used with this request; then its reply comes
    /// again. The lock is held throughout: of two copies one waits for the other.
    pub(crate) fn once(
        &self,
        (scope, token): (&Scope, Option<&str>),
        request: &[u8],
        now: SystemTime,
        act: impl FnOnce() -> Result<Vec<u8>, Refusal>,
    ) -> Result<Vec<u8>, Refusal> {
        let Some(token) = token else { return act() };
        let fingerprint = hash(request);
        let key = (scope.clone(), token.to_owned());
        let mut known = self.0.lock();
        known.forget(now);
        if let Some(used) = known.used.get(&key) {
            return if used.fingerprint == fingerprint {
                Ok(used.reply.clone())
            } else {
                Err(Refusal::token_mismatch())
            };
        }
        let reply = act()?;
        let used = Used {
            at: now,
            fingerprint,
            reply: reply.clone(),
        };
        known.count += 1;
        let count = known.count;
        known.order.insert(count, key.clone());
        known.used.insert(key, used);
        Ok(reply)
    }

    pub(crate) fn clear(&self) {
        *self.0.lock() = Known::default();
    }
}

impl Known {
    fn forget(&mut self, now: SystemTime) {
        while let Some((first, key)) = self.order.first_key_value() {
            let is_over = self
                .used
                .get(key)
                .is_none_or(|used| now.duration_since(used.at).unwrap_or_default() >= KNOWN);
            if !is_over && self.order.len() < TOKENS_MAX {
                return;
            }
            let first = *first;
            if let Some(key) = self.order.remove(&first) {
                self.used.remove(&key);
            }
        }
    }
}
