//! A raw keep-alive HTTP/1.1 connection that knows just enough to find the end of an answer, so that the
//! client's share of the time is small and the same for all. Shared by the benches that compare servers.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Connection {
    address: String,
    socket: TcpStream,
    /// The server said that it closes after its last answer.
    is_closing: bool,
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
        Ok(Self {
            address: address.to_owned(),
            socket: connect(address).await?,
            is_closing: false,
            buffer: vec![0; 1 << 16],
            joined: Vec::new(),
        })
    }

    /// Sends the request and reads the whole answer; its body.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<&[u8], Error> {
        if self.is_closing {
            self.socket = connect(&self.address).await?;
            self.is_closing = false;
        }
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
                found = head(&self.buffer[..filled], &mut self.is_closing)?;
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

async fn connect(address: &str) -> Result<TcpStream, Error> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Where the head ends and how its body does, once the head is there.
fn head(bytes: &[u8], is_closing: &mut bool) -> Result<Option<(usize, Length)>, Error> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..end])?.to_ascii_lowercase();
    if !text.starts_with("http/1.1 200") {
        return Err(format!("refused: {}", String::from_utf8_lossy(bytes)).into());
    }
    *is_closing = text.contains("connection: close");
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
