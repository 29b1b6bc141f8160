//! Answers of the emulator that are old: reads of the table, lists of shards, iterators. The emulator's own
//! faults make them; this sets them, and tells the history whom they struck.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kinesis_emulator::{Action, Fault, Service};

use crate::sim::history::{Event, History, Process};
use crate::sim::scenario::Weather;
use crate::sim::strike::Strike;
use crate::sim::subject::Subject;

/// How old a read of the table can be: more than the service's usual second.
const SCAN_AGE: Duration = Duration::from_secs(3);

/// How old a list of shards can be.
const LIST_AGE: Duration = Duration::from_secs(20);

/// The faults of the emulator that are set.
pub(super) struct Old {
    service: Arc<Service>,
    history: History,
    set: Mutex<Vec<Set>>,
}

#[derive(Debug)]
struct Set {
    subject: Subject,
    strike: Strike,
    id: u64,
    struck: u64,
}

impl Old {
    pub(super) fn new(service: Arc<Service>, history: History) -> Self {
        let set = Mutex::default();
        Self {
            service,
            history,
            set,
        }
    }

    /// Sets what the weather asks for.
    pub(super) fn set(&self, weather: &Weather) {
        let faults = [
            (
                weather.stale_scans,
                Action::StaleRead(SCAN_AGE),
                "Scan",
                (Subject::Scan, Strike::StaleScan),
            ),
            (
                weather.stale_lists,
                Action::StaleBy(LIST_AGE),
                "ListShards",
                (Subject::Shards, Strike::StaleList),
            ),
            (
                weather.expired_iterators,
                Action::ExpiredIterator,
                "GetRecords",
                (Subject::Records, Strike::ExpiredIterator),
            ),
        ];
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        for (rate, action, operation, (subject, strike)) in faults {
            if rate == 0 {
                continue;
            }
            let thousandths = u32::try_from(rate).unwrap_or(1_000);
            let fault = Fault::new(action)
                .on(operation)
                .probability(f64::from(thousandths) / 1_000.0);
            let added = self.service.faults().add(fault);
            let id = added.expect("the fault fits its operation");
            set.push(Set {
                subject,
                strike,
                id,
                struck: 0,
            });
        }
    }

    /// Takes all of them back.
    pub(super) fn heal(&self) {
        self.service.faults().clear();
        self.set
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// A request of this process was carried out: if a fault struck it, the history is told.
    pub(super) fn note(&self, process: Process, subject: Subject) {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        for known in set.iter_mut().filter(|known| known.subject == subject) {
            let report = self.service.faults().get(known.id);
            let struck = report.map_or(known.struck, |report| report.struck);
            if std::mem::replace(&mut known.struck, struck) < struck {
                let (strike, process) = (known.strike, Some(process));
                self.history.add(Event::Struck { strike, process });
            }
        }
    }
}
