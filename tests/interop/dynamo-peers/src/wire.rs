//! One server: a keep-alive connection over which a request is sent now and its answer read later,
//! so that all servers work on the same request at once.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Error;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a server answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        self.status == 200
    }

    /// The bare name of an error's type; empty in a success.
    pub(crate) fn kind(&self) -> &str {
        let kind = self.body["__type"].as_str().unwrap_or("");
        kind.rsplit('#').next().unwrap_or(kind)
    }

    pub(crate) fn message(&self) -> &str {
        let message = self.body["message"].as_str();
        message.or(self.body["Message"].as_str()).unwrap_or("")
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.status, self.body)
    }
}

#[derive(Debug)]
pub(crate) struct Server {
    address: String,
    socket: Option<BufReader<TcpStream>>,
    sent: Vec<u8>,
}

impl Server {
    pub(crate) fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            socket: None,
            sent: Vec::new(),
        }
    }

    pub(crate) fn call(&mut self, operation: &str, body: &Value) -> Result<Answer, Error> {
        self.send(operation, body)?;
        self.receive()
    }

    /// Sends a request; [`Server::receive`] reads its answer.
    pub(crate) fn send(&mut self, operation: &str, body: &Value) -> Result<(), Error> {
        let body = body.to_string();
        self.sent = format!(
            "POST / HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-amz-json-1.0\r\n\
             x-amz-target: DynamoDB_20120810.{operation}\r\nauthorization: AWS4-HMAC-SHA256 \
             Credential=test/20260101/us-east-1/dynamodb/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={:064}\r\nx-amz-date: 20260101T000000Z\r\n\
             content-length: {}\r\n\r\n{body}",
            self.address,
            0,
            body.len()
        )
        .into_bytes();
        if self.write().is_err() {
            self.socket = None;
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        if self.socket.is_none() {
            let socket = TcpStream::connect(&self.address)?;
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            self.socket = Some(BufReader::new(socket));
        }
        match &mut self.socket {
            Some(socket) => socket.get_mut().write_all(&self.sent),
            None => Err(io::Error::other("no connection")),
        }
    }

    /// Reads the answer to the request sent last. A server that closes an idle connection is asked again.
    pub(crate) fn receive(&mut self) -> Result<Answer, Error> {
        let first = self.socket.as_mut().ok_or("nothing was sent")?;
        match read(first) {
            Ok((answer, stays)) => {
                if !stays {
                    self.socket = None;
                }
                Ok(answer)
            }
            Err(Failure::Closed) => {
                self.socket = None;
                self.write()?;
                let again = self.socket.as_mut().ok_or("no connection")?;
                match read(again) {
                    Ok((answer, _)) => Ok(answer),
                    Err(failure) => Err(failure.into()),
                }
            }
            Err(failure) => Err(failure.into()),
        }
    }
}

/// Why there is no answer.
enum Failure {
    /// The connection ended before its first byte.
    Closed,
    Broken(Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.into())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Closed => "the server closes the connection".into(),
            Failure::Broken(error) => error,
        }
    }
}

/// Reads one answer, and whether the connection can be used again.
fn read(socket: &mut BufReader<TcpStream>) -> Result<(Answer, bool), Failure> {
    let mut line = String::new();
    match socket.read_line(&mut line) {
        Ok(0) => return Err(Failure::Closed),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            return Err(Failure::Closed);
        }
        other => other?,
    };
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| Failure::Broken(format!("no status: {line}").into()))?;
    let (mut length, mut chunked, mut stays) = (0, false, true);
    loop {
        line.clear();
        socket.read_line(&mut line)?;
        let header = line.trim().to_ascii_lowercase();
        match header
            .split_once(':')
            .map(|(name, value)| (name, value.trim()))
        {
            None => break,
            Some(("content-length", value)) => length = value.parse().unwrap_or(0),
            Some(("transfer-encoding", value)) => chunked = value == "chunked",
            Some(("connection", value)) => stays = value != "close",
            Some(_) => {}
        }
    }
    let body = if chunked {
        chunks(socket)?
    } else {
        let mut body = vec![0; length];
        socket.read_exact(&mut body)?;
        body
    };
    let body = serde_json::from_slice(&body)
        .unwrap_or_else(|_| json!({"not JSON": String::from_utf8_lossy(&body)}));
    Ok((Answer { status, body }, stays))
}

fn chunks(socket: &mut BufReader<TcpStream>) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        socket.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16)
            .map_err(|error| Failure::Broken(error.into()))?;
        let start = body.len();
        body.resize(start + length + 2, 0);
        socket.read_exact(&mut body[start..])?;
        body.truncate(start + length);
        if length == 0 {
            return Ok(body);
        }
    }
}
