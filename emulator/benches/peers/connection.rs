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
    answer: Answer,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> Result<Self, Error> {
        Ok(Self {
            address: address.to_owned(),
            socket: connect(address).await?,
            answer: Answer::default(),
        })
    }

    /// Sends the request and reads the whole answer; its body.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<&[u8], Error> {
        if self.answer.is_last {
            self.socket = connect(&self.address).await?;
        }
        self.answer.begin();
        self.socket.write_all(request).await?;
        loop {
            let read = self.socket.read(self.answer.space()).await?;
            if self.answer.take(read)? {
                return Ok(self.answer.body());
            }
        }
    }
}

/// An answer that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The server said that it closes after this answer.
    pub(crate) is_last: bool,
    buffer: Vec<u8>,
    filled: usize,
    /// Where the head ends and how the body does, once the head is there.
    found: Option<(usize, Length)>,
    /// The body of an answer that comes in chunks, and how far they were looked at.
    joined: Vec<u8>,
    seen: usize,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug)]
enum Length {
    Known(usize),
    Chunked,
}

impl Answer {
    /// Forgets the answer before.
    pub(crate) fn begin(&mut self) {
        (self.filled, self.found, self.seen) = (0, None, 0);
        self.joined.clear();
    }

    /// Where the next piece is to be read to.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        let wanted = match self.found {
            Some((head, Length::Known(length))) => head + length,
            Some((_, Length::Chunked)) | None => self.filled + 1,
        };
        if wanted > self.buffer.len() {
            self.buffer
                .resize(wanted.max(self.filled * 2).max(1 << 16), 0);
        }
        &mut self.buffer[self.filled..]
    }

    /// Takes as many bytes as were read; whether the answer is whole.
    pub(crate) fn take(&mut self, read: usize) -> Result<bool, Error> {
        if read == 0 {
            return Err("the server closed the connection".into());
        }
        self.filled += read;
        if self.found.is_none() {
            self.found = head(&self.buffer[..self.filled], &mut self.is_last)?;
        }
        match self.found {
            Some((head, Length::Known(length))) => Ok(self.filled >= head + length),
            Some((head, Length::Chunked)) => {
                let body = &self.buffer[head..self.filled];
                join_chunks(body, &mut self.seen, &mut self.joined)
            }
            None => Ok(false),
        }
    }

    /// The body of a whole answer.
    pub(crate) fn body(&self) -> &[u8] {
        match self.found {
            Some((head, Length::Known(length))) => &self.buffer[head..head + length],
            Some((_, Length::Chunked)) | None => &self.joined,
        }
    }
}

async fn connect(address: &str) -> Result<TcpStream, Error> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Where the head ends and how its body does, once the head is there.
fn head(bytes: &[u8], is_last: &mut bool) -> Result<Option<(usize, Length)>, Error> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    if !bytes.starts_with(b"HTTP/1.1 200") {
        return Err(format!("refused: {}", String::from_utf8_lossy(bytes)).into());
    }
    *is_last = false;
    let mut length = None;
    for line in std::str::from_utf8(&bytes[..end])?.split("\r\n").skip(1) {
        let (name, value) = line.split_once(": ").ok_or("a header without a value")?;
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(Length::Known(value.parse()?));
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            length = Some(Length::Chunked);
        } else if name.eq_ignore_ascii_case("connection") {
            *is_last = value.eq_ignore_ascii_case("close");
        }
    }
    Ok(Some((end + 4, length.ok_or("an answer without a length")?)))
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
