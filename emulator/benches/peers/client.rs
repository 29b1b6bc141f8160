//! The one client of all servers that are measured, and its requests.

pub(crate) use crate::connection::{Connection, Error};

/// A request as it goes over the wire.
pub(crate) fn request(target: &str, body: &str) -> Vec<u8> {
    let mut request = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amz-target: Kinesis_20131202.{target}\r\nauthorization: AWS4-HMAC-SHA256 \
         Credential=test/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, \
         Signature={:064}\r\nx-amz-date: 20260101T000000Z\r\ncontent-length: {}\r\n\r\n",
        0,
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body.as_bytes());
    request
}

impl Connection {
    /// Calls an operation; the body of its answer.
    pub(crate) async fn call(&mut self, target: &str, body: &str) -> Result<Vec<u8>, Error> {
        Ok(self.exchange(&request(target, body)).await?.to_vec())
    }
}
