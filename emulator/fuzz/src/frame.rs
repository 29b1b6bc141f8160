//! A small reader of `application/vnd.amazon.eventstream`, written from the format's description and
//! not from the emulator's writer, so that it can judge it.

/// One frame, taken apart.
pub(crate) struct Frame {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "the header {name} is there twice");
        value
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

/// The first frame of some bytes, and what follows it. None if it is no sound frame.
pub(crate) fn read(bytes: &[u8]) -> Option<(Frame, &[u8])> {
    let length = number(bytes.get(..4)?);
    let headers_length = number(bytes.get(4..8)?);
    let prelude_sum = number(bytes.get(8..12)?);
    let whole = bytes.get(..length)?;
    let body = whole.get(12..length.checked_sub(4)?)?;
    if crc(&bytes[..8]) != prelude_sum || crc(&whole[..length - 4]) != number(&whole[length - 4..])
    {
        return None;
    }
    let (mut rest, payload) = body.split_at_checked(headers_length)?;
    let mut headers = Vec::new();
    while !rest.is_empty() {
        let name_length = usize::from(*rest.first()?);
        let name = rest.get(1..=name_length)?;
        rest = rest.get(1 + name_length..)?;
        // Seven is the type of texts; the service uses no other.
        if *rest.first()? != 7 {
            return None;
        }
        let value_length = number(rest.get(1..3)?);
        let value = rest.get(3..3 + value_length)?;
        rest = rest.get(3 + value_length..)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        headers.push((text(name)?, text(value)?));
    }
    let frame = Frame {
        headers,
        payload: payload.to_vec(),
    };
    Some((frame, &bytes[length..]))
}

/// The checksum of gzip and PNG, bit by bit.
fn crc(bytes: &[u8]) -> usize {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = sum >> 1 ^ (0xedb8_8320 & 0_u32.wrapping_sub(sum & 1));
        }
    }
    usize::try_from(!sum).unwrap_or_default()
}
