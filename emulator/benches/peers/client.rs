//! The one client of all servers that are measured: a raw keep-alive HTTP/1.1 connection that knows
//! just enough to find the end of an answer, so that the client's share of the time is small and the
//! same for all.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

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

/// See the module.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
    /// The body of an answer that came in chunks.
    joined: Vec<u8>,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug)]
enum Length {
    Known(usize),
    Chunked,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> Result<Self, Error> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            buffer: vec![0; 1 << 16],
            joined: Vec::new(),
        })
    }

    /// Calls an operation; the body of its answer.
    pub(crate) async fn call(&mut self, target: &str, body: &str) -> Result<Vec<u8>, Error> {
        Ok(self.exchange(&request(target, body)).await?.to_vec())
    }

    /// Sends the request and reads the whole answer; its body.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<&[u8], Error> {
        self.socket.write_all(request).await?;
        let (mut filled, mut found, mut seen) = (0, None, 0);
        self.joined.clear();
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize(filled * 2, 0);
            }
            let read = self.socket.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                return Err("the server closed the connection".into());
            }
            filled += read;
            if found.is_none() {
                found = head(&self.buffer[..filled])?;
                if let Some((head, Length::Known(length))) = found {
                    self.buffer.resize(self.buffer.len().max(head + length), 0);
                }
            }
            match found {
                Some((head, Length::Known(length))) if filled >= head + length => {
                    return Ok(&self.buffer[head..head + length]);
                }
                Some((head, Length::Chunked)) => {
                    if join_chunks(&self.buffer[head..filled], &mut seen, &mut self.joined)? {
                        return Ok(&self.joined);
                    }
                }
                Some(_) | None => {}
            }
        }
    }
}

/// Where the head ends and how its body does, once the head is there.
fn head(bytes: &[u8]) -> Result<Option<(usize, Length)>, Error> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..end])?.to_ascii_lowercase();
    if !text.starts_with("http/1.1 200") {
        return Err(format!("refused: {}", String::from_utf8_lossy(bytes)).into());
    }
    if text.contains("transfer-encoding: chunked") {
        return Ok(Some((end + 4, Length::Chunked)));
    }
    let mut lines = text.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let length = length.ok_or("an answer without a length")?;
    Ok(Some((end + 4, Length::Known(length))))
}

/// Takes the chunks that are whole; whether the last is among them. `seen` is how far earlier calls
/// came.
fn join_chunks(bytes: &[u8], seen: &mut usize, joined: &mut Vec<u8>) -> Result<bool, Error> {
    loop {
        let rest = &bytes[*seen..];
        let Some(line) = rest.windows(2).position(|two| two == b"\r\n") else {
            return Ok(false);
        };
        let length = std::str::from_utf8(&rest[..line])?;
        let length = usize::from_str_radix(length.split(';').next().unwrap_or("").trim(), 16)?;
        let (start, end) = (line + 2, line + 2 + length);
        if rest.len() < end + 2 {
            return Ok(false);
        }
        joined.extend_from_slice(&rest[start..end]);
        *seen += end + 2;
        if length == 0 {
            return Ok(true);
        }
    }
}
