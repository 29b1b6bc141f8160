//! Frames of `application/vnd.amazon.eventstream`. All numbers are big-endian:
//!
//! ```text
//! u32 length | u32 length of headers | u32 crc of these 8 bytes | headers | payload | u32 crc of all before
//! header: u8 length, name, u8 type (7 is text), u16 length, value
//! ```
//! A frame is written in one piece, the payload straight into its place. Knows nothing of what the
//! events mean; that is [`super::events`].

use bytes::Bytes;

/// The type of a header whose value is text, the only one used here.
const TEXT: u8 = 7;
const PRELUDE: usize = 12;

/// The content type of a stream of frames.
pub(crate) const CONTENT_TYPE: http::HeaderValue =
    http::HeaderValue::from_static("application/vnd.amazon.eventstream");

/// A frame with these headers and the payload that `write` appends.
pub(crate) fn frame(headers: &[(&str, &str)], write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::with_capacity(256);
    out.resize(PRELUDE, 0);
    for (name, value) in headers {
        write_header(&mut out, name, value);
    }
    let headers_len = out.len() - PRELUDE;
    write(&mut out);
    let whole = out.len() + 4;
    out[..4].copy_from_slice(&as_u32(whole).to_be_bytes());
    out[4..8].copy_from_slice(&as_u32(headers_len).to_be_bytes());
    let prelude_crc = crc32fast::hash(&out[..8]);
    out[8..12].copy_from_slice(&prelude_crc.to_be_bytes());
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    out.into()
}

fn write_header(out: &mut Vec<u8>, name: &str, value: &str) {
    // Names and values are constants of this crate, or names of error types: all short.
    let name_len = u8::try_from(name.len()).unwrap_or(u8::MAX);
    let value_len = u16::try_from(value.len()).unwrap_or(u16::MAX);
    out.push(name_len);
    out.extend_from_slice(&name.as_bytes()[..usize::from(name_len)]);
    out.push(TEXT);
    out.extend_from_slice(&value_len.to_be_bytes());
    out.extend_from_slice(&value.as_bytes()[..usize::from(value_len)]);
}

/// Frames hold a batch of at most some megabytes.
fn as_u32(len: usize) -> u32 {
    u32::try_from(len).expect("a frame is far below four gigabytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from the service.
    const RECORDED: &str = "00000068000000564e6817240d3a6d6573736167652d747970650700056576656e740b3a\
                            6576656e742d74797065070010696e697469616c2d726573706f6e73650d3a636f6e7465\
                            6e742d747970650700106170706c69636174696f6e2f6a736f6e7b7dfe942c1d";

    #[test]
    fn a_frame_is_byte_for_byte_the_recorded_one() {
        let headers = [
            (":message-type", "event"),
            (":event-type", "initial-response"),
            (":content-type", "application/json"),
        ];
        let frame = frame(&headers, |out| out.extend_from_slice(b"{}"));
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, RECORDED);
    }
}
