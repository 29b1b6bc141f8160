//! Records as they came, page by page, each in its place while it waits.
//!
//! Called by [`super`] only. A place is empty while its record is out, and once it is settled.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::decide::settlement::Number;
use crate::model::{Checkpoint, Record};

/// Records that came together.
#[derive(Debug)]
struct Page {
    first: Number,
    came: Instant,
    lag: Option<Duration>,
    /// By number, from `first` on. None are kept once all are settled.
    places: Vec<Option<Record>>,
    /// The number behind its last record.
    next: Number,
    /// The place of its last record, until that is settled with all before it. Nothing if it has no record.
    end: Option<Checkpoint>,
}

#[derive(Debug)]
pub(super) struct Pages {
    /// Those with unsettled records, the oldest first, and the newest in any case.
    pages: VecDeque<Page>,
    /// Behind the newest page of which all records are settled, as are those of all before it.
    settled_to: Checkpoint,
}

impl Pages {
    /// None has come behind this place.
    pub(super) const fn new(at: Checkpoint) -> Self {
        Self {
            pages: VecDeque::new(),
            settled_to: at,
        }
    }

    /// A page came: its records, the first of which has this number, and the place of the last of them, which may have been
    /// filtered out.
    pub(super) fn push(
        &mut self,
        first: Number,
        places: Vec<Option<Record>>,
        end: Option<Checkpoint>,
        lag: Option<Duration>,
        came: Instant,
    ) {
        self.pages.push_back(Page {
            first,
            came,
            lag,
            next: first + places.len() as Number,
            places,
            end,
        });
    }

    /// Takes a record out of its place.
    pub(super) fn take(&mut self, number: Number) -> Option<Record> {
        self.place(number).and_then(Option::take)
    }

    /// Puts a record that is not settled back into its place.
    pub(super) fn put_back(&mut self, number: Number, record: Record) {
        let place = self.place(number);
        debug_assert!(matches!(place, Some(None)), "{number} was not taken out");
        if let Some(place) = place {
            *place = Some(record);
        }
    }

    fn place(&mut self, number: Number) -> Option<&mut Option<Record>> {
        let at = self.page_at(number)?;
        let page = self.pages.get_mut(at)?;
        page.places
            .get_mut(usize::try_from(number - page.first).ok()?)
    }

    /// Which page a record came with.
    fn page_at(&self, number: Number) -> Option<usize> {
        self.pages
            .partition_point(|page| page.first <= number)
            .checked_sub(1)
    }

    /// When a record came.
    pub(super) fn came(&self, number: Number) -> Option<Instant> {
        let page = self.pages.get(self.page_at(number)?)?;
        Some(page.came)
    }

    /// How far the page of a record was behind the tip of the shard.
    pub(super) fn lag(&self, number: Number) -> Option<Duration> {
        self.pages.get(self.page_at(number)?)?.lag
    }

    /// How far the newest page was behind.
    pub(super) fn newest_lag(&self) -> Option<Duration> {
        self.pages.back().and_then(|page| page.lag)
    }

    /// Forgets the records that wait at this number and beyond.
    pub(super) fn forget_from(&mut self, number: Number) {
        for page in &mut self.pages {
            let kept = usize::try_from(number.saturating_sub(page.first)).unwrap_or(usize::MAX);
            page.places
                .iter_mut()
                .skip(kept)
                .for_each(|place| *place = None);
        }
    }

    /// All records below this number are settled. Pages that have no others are of no interest.
    pub(super) fn forget_settled(&mut self, settled: Number) {
        while let Some(page) = self.pages.front_mut()
            && page.next <= settled
        {
            page.places = Vec::new();
            if let Some(end) = page.end.take() {
                self.settled_to = end;
            }
            if self.pages.len() == 1 {
                break;
            }
            self.pages.pop_front();
        }
    }

    /// Behind the newest page of which all records are settled, as are those of all before it.
    pub(super) const fn settled_to(&self) -> &Checkpoint {
        &self.settled_to
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::*;

    fn page(pages: &mut Pages, numbers: std::ops::Range<Number>, lag: u64) {
        let records: Vec<_> = numbers
            .clone()
            .map(|number| record(number, "a", ""))
            .collect();
        let end = records.last().map(Record::checkpoint);
        let places = records.into_iter().map(Some).collect();
        let lag = Some(Duration::from_secs(lag));
        pages.push(numbers.start, places, end, lag, Instant::now());
    }

    fn takes(pages: &mut Pages, number: Number) -> bool {
        let found = pages.take(number);
        assert!(found.iter().all(|found| *found == record(number, "a", "")));
        found.is_some()
    }

    #[test]
    fn a_record_is_in_its_place_until_it_is_taken_out_and_when_it_is_back() {
        let mut pages = Pages::new(Checkpoint::TrimHorizon);
        page(&mut pages, 0..3, 9);
        page(&mut pages, 3..5, 8);
        assert!(takes(&mut pages, 2) && takes(&mut pages, 3));
        assert!(!takes(&mut pages, 2), "it is out");
        assert!(!takes(&mut pages, 5), "it never came");
        pages.put_back(2, record(2, "a", ""));
        assert!(takes(&mut pages, 2));
        assert_eq!(pages.lag(2), Some(Duration::from_secs(9)));
        assert_eq!(pages.lag(3), pages.newest_lag());
    }

    #[test]
    fn what_waits_beyond_is_forgotten_and_its_places_are_not() {
        let mut pages = Pages::new(Checkpoint::TrimHorizon);
        page(&mut pages, 0..3, 0);
        page(&mut pages, 3..5, 0);
        assert!(takes(&mut pages, 4));
        pages.forget_from(2);
        assert!(!takes(&mut pages, 2) && !takes(&mut pages, 3));
        assert!(takes(&mut pages, 1));
        pages.put_back(4, record(4, "a", ""));
        assert!(takes(&mut pages, 4));
    }

    #[test]
    fn settled_pages_go_and_of_the_newest_its_lag_stays() {
        let mut pages = Pages::new(Checkpoint::TrimHorizon);
        page(&mut pages, 0..3, 9);
        page(&mut pages, 3..5, 8);
        pages.forget_settled(2);
        assert_eq!(pages.lag(2), Some(Duration::from_secs(9)));
        assert_eq!(pages.settled_to(), &Checkpoint::TrimHorizon);
        pages.forget_settled(3);
        assert_eq!(pages.lag(2), None);
        assert_eq!(pages.settled_to(), &record(2, "a", "").checkpoint());
        pages.forget_settled(5);
        assert_eq!(pages.settled_to(), &record(4, "a", "").checkpoint());
        assert_eq!(pages.newest_lag(), Some(Duration::from_secs(8)));
        assert_eq!(pages.pages[0].places.capacity(), 0, "nothing is kept of it");
    }
}
