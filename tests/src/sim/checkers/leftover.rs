//! Rules about what is left of a process: L7.

use super::Verdict;
use crate::sim::history::{Event, Leftovers};
use crate::sim::ledger::Ledger;

/// L7: of a process that has ended in whatever way, nothing is left.
pub(super) fn nothing_is_left_of_the_dead(_: &Ledger, event: &Event) -> Verdict {
    let Event::Left { process, leftovers } = event else {
        return Ok(());
    };
    if *leftovers == Leftovers::default() {
        Ok(())
    } else {
        Err(format!("{process} has ended and leaves {leftovers:?}"))
    }
}
