//! Requests to DynamoDB, built once; a counter inside of them is written over before each is sent.

use crate::connection::{Connection, Error};

/// A request as it goes over the wire.
#[derive(Debug)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    /// Where the counters stand, and what is added to them.
    counters: Vec<(usize, u64)>,
}

/// What stands for the counter in a body, and for the counter plus one. As long as every counter.
pub(crate) const OLD: &str = "@@@@@@@old";
pub(crate) const NEW: &str = "@@@@@@@new";
/// The first counter. All have as many digits.
pub(crate) const FIRST: u64 = 1_000_000_000;

impl Request {
    pub(crate) fn new(operation: &str, body: &str) -> Self {
        let mut bytes = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-amz-json-1.0\r\n\
             x-amz-target: DynamoDB_20120810.{operation}\r\nauthorization: AWS4-HMAC-SHA256 \
             Credential=test/20260101/us-east-1/dynamodb/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={:064}\r\nx-amz-date: 20260101T000000Z\r\n\
             content-length: {}\r\n\r\n",
            0,
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(body.as_bytes());
        let places =
            |what: &str| -> Vec<usize> { memchr::memmem::find_iter(&bytes, what).collect() };
        let old = places(OLD).into_iter().map(|place| (place, 0));
        let counters = old
            .chain(places(NEW).into_iter().map(|place| (place, 1)))
            .collect();
        Self { bytes, counters }
    }

    /// The request with its counters at `value`.
    pub(crate) fn at(&mut self, value: u64) -> &[u8] {
        for (place, more) in &self.counters {
            let mut rest = value + more;
            for digit in self.bytes[*place..*place + OLD.len()].iter_mut().rev() {
                *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
                rest /= 10;
            }
        }
        &self.bytes
    }
}

impl Connection {
    /// Calls an operation; the body of its answer.
    pub(crate) async fn call(&mut self, operation: &str, body: &str) -> Result<Vec<u8>, Error> {
        let request = Request::new(operation, body).bytes;
        Ok(self.exchange(&request).await?.to_vec())
    }
}
