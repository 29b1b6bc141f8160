//! One thread that sends over many connections in turn, each of which waits for its answer before its next
//! request. It sleeps in no other call than that for the next answer, so that as little as may be of a
//! machine with few cores goes to the client.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tokio::time::Instant;

use crate::connection::{Answer, Error};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The requests of one connection.
pub(crate) trait Requests {
    /// The next one, after `count` others.
    fn next(&mut self, count: u64) -> &[u8];
    /// Whether an answer is as it must be.
    fn is_right(&self, answer: &[u8]) -> bool;
}

struct Line<R> {
    socket: TcpStream,
    answer: Answer,
    requests: R,
    count: u64,
}

/// Sends over a connection for each of `requests`, for a while; how many were answered, and how long it took.
/// Blocks.
pub(crate) fn take_turns<R: Requests>(
    address: &str,
    requests: impl IntoIterator<Item = R>,
    time: Duration,
) -> Result<(usize, Duration), Error> {
    let mut lines = Vec::new();
    for requests in requests {
        lines.push(Line {
            socket: connect(address)?,
            answer: Answer::default(),
            requests,
            count: 0,
        });
    }
    let started = Instant::now();
    for line in &mut lines {
        line.send()?;
    }
    while started.elapsed() < time {
        for line in &mut lines {
            line.receive()?;
            if line.answer.is_last {
                line.socket = connect(address)?;
            }
            line.send()?;
        }
    }
    for line in &mut lines {
        line.receive()?;
    }
    let count: u64 = lines.iter().map(|line| line.count).sum();
    Ok((usize::try_from(count)?, started.elapsed()))
}

impl<R: Requests> Line<R> {
    fn send(&mut self) -> Result<(), Error> {
        self.answer.begin();
        Ok(self.socket.write_all(self.requests.next(self.count))?)
    }

    fn receive(&mut self) -> Result<(), Error> {
        loop {
            let read = self.socket.read(self.answer.space())?;
            if self.answer.take(read)? {
                break;
            }
        }
        self.count += 1;
        let body = self.answer.body();
        if self.requests.is_right(body) {
            return Ok(());
        }
        let start = String::from_utf8_lossy(&body[..body.len().min(300)]);
        Err(format!("wrong: {start}").into())
    }
}

fn connect(address: &str) -> Result<TcpStream, Error> {
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}
