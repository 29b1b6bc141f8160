//! What the service hands out to be brought back: shard iterators and paging tokens.
//!
//! They are stateless: everything is inside, masked so that nobody comes to depend on the content, and
//! sealed with a keyed hash so that nothing else passes for one. Frame and length are the service's:
//! base64 of eight bytes `00 .. 01` and whole blocks of sixteen.

use std::sync::atomic::{AtomicU64, Ordering};

use base64_simd::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::clock::Moment;

/// How long any token lives.
pub(crate) const LIFE_MILLIS: u64 = 300_000;

const HEADER: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 1];
const BLOCK: usize = 16;
const SEAL: usize = 16;
const NONCE: usize = 8;

/// Makes and opens tokens. One per service.
pub(crate) struct Mint {
    mac: Hmac<Sha256>,
    mask: u64,
    count: AtomicU64,
}

/// A place in a shard: where the next read starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) issued: Moment,
    /// Which stream of this name.
    pub(crate) incarnation: u64,
    /// Whose stream it is.
    pub(crate) account: String,
    pub(crate) stream: String,
    pub(crate) shard: u32,
    /// The lowest counter it still wants.
    pub(crate) from: u64,
}

/// Where a listing goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListingToken {
    pub(crate) issued: Moment,
    pub(crate) incarnation: u64,
    /// Whose stream it is.
    pub(crate) account: String,
    pub(crate) stream: String,
    /// The filter, as [`super::listing`] writes it: a kind and its instant.
    pub(crate) filter: (u8, u64),
    /// The last shard, or none, of the page before.
    pub(crate) after: Option<u32>,
}

/// Where a listing of consumers goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConsumersToken {
    pub(crate) issued: Moment,
    pub(crate) incarnation: u64,
    pub(crate) stream: String,
    /// The last name of the page before.
    pub(crate) after: String,
}

impl std::fmt::Debug for Mint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mint").finish_non_exhaustive()
    }
}

impl Mint {
    pub(crate) fn new(seed: u64) -> Self {
        let mac = Hmac::new_from_slice(&seed.to_be_bytes()).expect("any length makes a key");
        Self {
            mac,
            mask: seed.rotate_left(29) ^ 0x5bd1_e995_97f4_a7c5,
            count: AtomicU64::new(0),
        }
    }

    pub(crate) fn iterator(&self, cursor: &Cursor) -> String {
        let mut plain = Writer::new(b'i', cursor.issued, cursor.incarnation);
        plain.number(u64::from(cursor.shard));
        plain.number(cursor.from);
        plain.text(&cursor.account);
        plain.text(&cursor.stream);
        // The length the service's own have, which depends on the stream's name only.
        let blocks = 9 + (cursor.stream.len() + 2) / BLOCK;
        self.seal(&plain.bytes, blocks)
    }

    pub(crate) fn open_iterator(&self, token: &str) -> Option<Cursor> {
        // The service takes an iterator that was pasted with its quotes.
        let token = token
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(token);
        let plain = self.open(token)?;
        let mut plain = Reader { rest: &plain };
        let (issued, incarnation) = plain.start(b'i')?;
        let shard = u32::try_from(plain.number()?).ok()?;
        let from = plain.number()?;
        Some(Cursor {
            issued,
            incarnation,
            shard,
            from,
            account: plain.text()?,
            stream: plain.text()?,
        })
    }

    pub(crate) fn shards_page(&self, page: &ListingToken) -> String {
        let mut plain = Writer::new(b's', page.issued, page.incarnation);
        plain.number(u64::from(page.filter.0));
        plain.number(page.filter.1);
        plain.number(page.after.map_or(u64::MAX, u64::from));
        plain.text(&page.account);
        plain.text(&page.stream);
        self.seal(&plain.bytes, 0)
    }

    pub(crate) fn open_shards_page(&self, token: &str) -> Option<ListingToken> {
        let plain = self.open(token)?;
        let mut plain = Reader { rest: &plain };
        let (issued, incarnation) = plain.start(b's')?;
        let filter = (u8::try_from(plain.number()?).ok()?, plain.number()?);
        let after = u32::try_from(plain.number()?).ok();
        Some(ListingToken {
            issued,
            incarnation,
            filter,
            after,
            account: plain.text()?,
            stream: plain.text()?,
        })
    }

    pub(crate) fn consumers_page(&self, page: &ConsumersToken) -> String {
        let mut plain = Writer::new(b'c', page.issued, page.incarnation);
        plain.text(&page.stream);
        plain.text(&page.after);
        self.seal(&plain.bytes, 0)
    }

    pub(crate) fn open_consumers_page(&self, token: &str) -> Option<ConsumersToken> {
        let plain = self.open(token)?;
        let mut plain = Reader { rest: &plain };
        let (issued, incarnation) = plain.start(b'c')?;
        Some(ConsumersToken {
            issued,
            incarnation,
            stream: plain.text()?,
            after: plain.text()?,
        })
    }

    pub(crate) fn streams_page(&self, issued: Moment, after: &str) -> String {
        let mut plain = Writer::new(b'n', issued, 0);
        plain.text(after);
        self.seal(&plain.bytes, 0)
    }

    pub(crate) fn open_streams_page(&self, token: &str) -> Option<(Moment, String)> {
        let plain = self.open(token)?;
        let mut plain = Reader { rest: &plain };
        let (issued, _) = plain.start(b'n')?;
        Some((issued, plain.text()?))
    }

    /// A place in a listing of CloudWatch, as two numbers; `kind` says in which.
    pub(crate) fn place(&self, kind: u8, issued: Moment, place: (u64, u64)) -> String {
        let mut plain = Writer::new(kind, issued, place.0);
        plain.number(place.1);
        self.seal(&plain.bytes, 0)
    }

    pub(crate) fn open_place(&self, kind: u8, token: &str) -> Option<(u64, u64)> {
        let plain = self.open(token)?;
        let mut plain = Reader { rest: &plain };
        let (_, first) = plain.start(kind)?;
        Some((first, plain.number()?))
    }

    /// Pads to `blocks` at least, masks, seals and frames.
    fn seal(&self, plain: &[u8], blocks: usize) -> String {
        let nonce = mix(self.count.fetch_add(1, Ordering::Relaxed) ^ self.mask);
        let whole = (NONCE + plain.len() + SEAL).div_ceil(BLOCK).max(blocks) * BLOCK;
        let mut token = Vec::with_capacity(HEADER.len() + whole);
        token.extend_from_slice(&HEADER);
        token.extend_from_slice(&nonce.to_be_bytes());
        token.extend_from_slice(plain);
        token.resize(HEADER.len() + whole - SEAL, 0);
        self.apply_mask(nonce, &mut token[HEADER.len() + NONCE..]);
        let seal = self
            .mac
            .clone()
            .chain_update(&token)
            .finalize()
            .into_bytes();
        token.extend_from_slice(&seal[..SEAL]);
        STANDARD.encode_to_string(token)
    }

    fn open(&self, token: &str) -> Option<Vec<u8>> {
        let mut token = STANDARD.decode_to_vec(token).ok()?;
        let end = token
            .len()
            .checked_sub(SEAL)
            .filter(|end| *end >= HEADER.len() + NONCE)?;
        let expected = self.mac.clone().chain_update(&token[..end]);
        expected.verify_truncated_left(&token[end..]).ok()?;
        let (start, plain) = token[..end].split_at_mut(HEADER.len() + NONCE);
        let nonce = u64::from_be_bytes(start[HEADER.len()..].try_into().ok()?);
        self.apply_mask(nonce, plain);
        Some(plain.to_vec())
    }

    fn apply_mask(&self, nonce: u64, bytes: &mut [u8]) {
        let mut state = nonce ^ self.mask;
        for part in bytes.chunks_mut(8) {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            for (byte, mask) in part.iter_mut().zip(mix(state).to_be_bytes()) {
                *byte ^= mask;
            }
        }
    }
}

/// Spreads a counter over all bits: a bijection, so that different counters never collide.
pub(crate) fn mix(mut value: u64) -> u64 {
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn new(kind: u8, issued: Moment, incarnation: u64) -> Self {
        let mut writer = Self {
            bytes: Vec::with_capacity(256),
        };
        writer.bytes.push(kind);
        writer.number(issued.millis());
        writer.number(incarnation);
        writer
    }

    fn number(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.bytes.extend_from_slice(text.as_bytes());
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn start(&mut self, kind: u8) -> Option<(Moment, u64)> {
        let (found, rest) = self.rest.split_first()?;
        self.rest = rest;
        (*found == kind).then_some(())?;
        Some((Moment(self.number()?), self.number()?))
    }

    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u64::from_be_bytes(*number))
    }

    fn text(&mut self) -> Option<String> {
        let (len, rest) = self.rest.split_first()?;
        let text = rest.get(..usize::from(*len))?;
        self.rest = &rest[usize::from(*len)..];
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cursor(stream: &str, from: u64) -> Cursor {
        let stream = stream.to_owned();
        Cursor {
            issued: Moment(1_700_000_000_123),
            incarnation: 7,
            account: "000000000001".to_owned(),
            stream,
            shard: 3,
            from,
        }
    }

    #[test]
    fn no_two_iterators_are_the_same_even_for_one_place() {
        let mint = Mint::new(1);
        let place = cursor("orders", 5);
        assert_ne!(mint.iterator(&place), mint.iterator(&place));
    }

    #[test]
    fn another_key_opens_nothing() {
        let token = Mint::new(1).iterator(&cursor("orders", 5));
        assert_eq!(Mint::new(2).open_iterator(&token), None);
    }

    #[test]
    fn a_paging_token_is_no_iterator() {
        let mint = Mint::new(1);
        let token = mint.streams_page(Moment(5), "orders");
        assert_eq!(mint.open_iterator(&token), None);
        assert_eq!(
            mint.open_streams_page(&token),
            Some((Moment(5), "orders".to_owned()))
        );
    }

    proptest! {
        #[test]
        fn an_iterator_reads_back_and_has_the_services_length(
            stream in "[a-zA-Z0-9_.-]{1,128}", from in any::<u64>(),
        ) {
            let mint = Mint::new(9);
            let place = cursor(&stream, from);
            let token = mint.iterator(&place);
            let length = 152 + 16 * ((stream.len() + 2) / 16);
            prop_assert_eq!(STANDARD.decode_to_vec(&token).unwrap().len(), length);
            prop_assert!(token.len() <= 512);
            prop_assert_eq!(mint.open_iterator(&token), Some(place.clone()));
            prop_assert_eq!(mint.open_iterator(&format!("\"{token}\"")), Some(place));
        }

        #[test]
        fn a_changed_iterator_is_refused(place in 0..152_usize, change in 1..=255_u8) {
            let mint = Mint::new(9);
            let token = mint.iterator(&cursor("s", 1));
            let mut bytes = STANDARD.decode_to_vec(&token).unwrap();
            bytes[place] ^= change;
            prop_assert_eq!(mint.open_iterator(&STANDARD.encode_to_string(bytes)), None);
        }

        #[test]
        fn garbage_is_refused(token in ".{0,300}") {
            prop_assert_eq!(Mint::new(9).open_iterator(&token), None);
        }

        #[test]
        fn a_page_of_shards_reads_back(after in proptest::option::of(0..u32::MAX), at in any::<u64>()) {
            let mint = Mint::new(9);
            let page = ListingToken {
                issued: Moment(5), incarnation: 8, account: "000000000001".to_owned(),
                stream: "s".to_owned(), filter: (3, at), after,
            };
            prop_assert_eq!(mint.open_shards_page(&mint.shards_page(&page)), Some(page));
        }
    }
}
