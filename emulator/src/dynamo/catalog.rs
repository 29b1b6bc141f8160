//! Which tables there are, by account and region.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;

use super::life::Status;
use super::refusal::Refusal;
use super::rows::When;
use super::schema::hash;
use super::table::{Definition, Table};
use crate::{Delays, Scope};

/// Most tables of one account and region: the service's quota.
const TABLES_MAX: usize = 2500;

/// The tables of all scopes.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    /// How long tables and indexes take to come, to change and to go.
    pub(crate) delays: Delays,
    scopes: RwLock<BTreeMap<Scope, BTreeMap<String, Arc<Table>>>>,
}

impl Catalog {
    /// A table to read or write items of: it must be active.
    pub(crate) fn usable(
        &self,
        scope: &Scope,
        name: &str,
        when: When,
    ) -> Result<Arc<Table>, Refusal> {
        let table = match self.find(scope, name, when.now) {
            Some((table, Status::Active | Status::Updating)) => table,
            Some((_, Status::Creating | Status::Deleting)) | None => {
                return Err(Refusal::no_resource());
            }
        };
        // Rows whose time is over go with whoever comes by first.
        let have_expired = table.rows.read().have_expired(when.now);
        if have_expired {
            table.rows.write().expire(when);
        }
        Ok(table)
    }

    /// A table in whatever status, with it.
    pub(crate) fn find(
        &self,
        scope: &Scope,
        name: &str,
        now: SystemTime,
    ) -> Option<(Arc<Table>, Status)> {
        let scopes = self.scopes.read();
        let table = scopes.get(scope)?.get(name)?;
        table.status(now).map(|status| (Arc::clone(table), status))
    }

    /// Creates a table.
    pub(crate) fn create(
        &self,
        scope: &Scope,
        definition: Definition,
        now: SystemTime,
    ) -> Result<Arc<Table>, Refusal> {
        let mut scopes = self.scopes.write();
        let tables = scopes.entry(scope.clone()).or_default();
        let name = definition.name.clone();
        if tables
            .get(&name)
            .is_some_and(|table| table.status(now).is_some())
        {
            return Err(Refusal::table_exists(&name));
        }
        tables.retain(|_, table| table.status(now).is_some());
        if tables.len() >= TABLES_MAX {
            return Err(Refusal::limit_exceeded(
                "Subscriber limit exceeded: There is a limit of 2500 tables per region",
            ));
        }
        let arn = format!(
            "arn:aws:dynamodb:{}:{}:table/{name}",
            scope.region, scope.account
        );
        let id = table_id(&arn, now);
        let table = Arc::new(Table::new(
            definition,
            (arn, id),
            now,
            now + self.delays.create,
        ));
        tables.insert(name, Arc::clone(&table));
        Ok(table)
    }

    /// Deletes a table.
    pub(crate) fn delete(
        &self,
        scope: &Scope,
        name: &str,
        now: SystemTime,
    ) -> Result<Arc<Table>, Refusal> {
        // The write lock keeps two deletions of one table apart.
        let mut scopes = self.scopes.write();
        let tables = scopes
            .get_mut(scope)
            .ok_or_else(|| Refusal::no_table(name))?;
        let table = tables.get(name).ok_or_else(|| Refusal::no_table(name))?;
        let table = Arc::clone(table);
        match table.status(now) {
            None => return Err(Refusal::no_table(name)),
            Some(Status::Creating) => return Err(Refusal::table_in_use(name, "created")),
            Some(Status::Updating) => return Err(Refusal::table_in_use(name, "updated")),
            Some(Status::Deleting) => return Err(Refusal::table_in_use(name, "deleted")),
            Some(Status::Active) => {}
        }
        if table.config.read().deletion_protection {
            return Err(Refusal::validation(
                "Resource cannot be deleted as it is currently protected against deletion. \
                 Disable deletion protection first.",
            ));
        }
        table.delete(now + self.delays.delete);
        // Whoever waits for it to go finds it by its status until then; its rows go with it.
        tables.retain(|_, table| table.status(now).is_some());
        Ok(table)
    }

    /// Drops every table, and says how many there were.
    pub(crate) fn clear(&self) -> usize {
        let scopes = std::mem::take(&mut *self.scopes.write());
        scopes.values().map(BTreeMap::len).sum()
    }

    /// Names of tables behind `after`, in order, and whether there are more than `limit`.
    pub(crate) fn list(
        &self,
        scope: &Scope,
        after: Option<&str>,
        limit: usize,
        now: SystemTime,
    ) -> (Vec<String>, bool) {
        let scopes = self.scopes.read();
        let mut names: Vec<_> = scopes
            .get(scope)
            .into_iter()
            .flatten()
            .filter(|(name, _)| after.is_none_or(|after| name.as_str() > after))
            .filter(|(_, table)| table.status(now).is_some())
            .map(|(name, _)| name.clone())
            .take(limit + 1)
            .collect();
        let more = names.len() > limit;
        names.truncate(limit);
        (names, more)
    }
}

/// A version 4 UUID made of the table's name and time, so that a run repeats exactly.
fn table_id(arn: &str, now: SystemTime) -> String {
    let text = format!("{arn} {now:?}");
    let (high, low) = (
        hash(text.as_bytes()),
        hash(format!("{text} low").as_bytes()),
    );
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}
