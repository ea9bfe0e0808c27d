//! One connection: requests in, answers out, and a good end.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::http::{
    self, AfterAnswer, BadRequest, BodySkipper, HEAD_LIMIT, Request, Response, parse_head,
};
use crate::routes::Answer;
use crate::server::Shared;

/// How long a client may leave a connection unused, as the answers tell it.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// The connection stays open a little longer than told, so that a request which the client sends at
/// the last moment still arrives.
const IDLE_SLACK: Duration = Duration::from_secs(5);
/// How long a connection must have been unused before a draining server ends it. A client that was
/// busy until now is likely to send its next request on it, and gets an answer to that.
const IDLE_TIME_DRAINING: Duration = Duration::from_secs(3);
/// How long a request may take to arrive, from its first byte to the last.
const ARRIVAL_TIME: Duration = Duration::from_secs(15);
/// How long the client may take nothing of an answer.
const WRITE_TIME: Duration = Duration::from_secs(15);
/// How long the end of a connection waits for the client's own end.
const CLOSE_TIME: Duration = Duration::from_secs(1);
/// The longest sleep before a waiting connection looks again whether the server drains.
const LOOK_TIME: Duration = Duration::from_millis(500);

/// Serves a connection to its end.
pub fn serve(stream: TcpStream, shared: &Arc<Shared>) {
    let mut connection =
        Connection { stream, shared: Arc::clone(shared), buffer: Vec::with_capacity(1024) };
    if connection.stream.set_nodelay(true).is_err()
        || connection.stream.set_write_timeout(Some(WRITE_TIME)).is_err()
    {
        return;
    }
    // What goes wrong on a connection concerns its client alone, which sees it end.
    if let Ok(exit) = connection.serve_requests() {
        connection.close_gently();
        if let Some(code) = exit {
            shared.log(&format!("exits with code {code}, as asked"));
            std::process::exit(i32::from(code));
        }
    }
}

/// Tells a client that there is no room for it.
pub fn turn_away(mut stream: TcpStream) {
    let response = Response::text(503, "Too many connections are open; try again.\n");
    let bytes = http::encode(&response, true, AfterAnswer::Close, SystemTime::now());
    if stream.set_write_timeout(Some(CLOSE_TIME)).is_ok() {
        // It may have gone already; there is nobody else to tell.
        let _ = stream.write_all(&bytes);
    }
}

struct Connection {
    stream: TcpStream,
    shared: Arc<Shared>,
    /// Bytes that arrived and belong to no request yet.
    buffer: Vec<u8>,
}

/// What came of waiting for a request.
enum Arrival {
    Request(Request),
    Refused(BadRequest),
    TooSlow,
    /// The client left, or the connection was unused for too long.
    End,
}

impl Connection {
    /// Serves until one side ends it. Gives the code with which the process shall exit, if a request
    /// asked for that.
    fn serve_requests(&mut self) -> io::Result<Option<u8>> {
        loop {
            let request = match self.next_request()? {
                Arrival::Request(request) => request,
                Arrival::Refused(refusal) => return self.refuse(&refusal.response()),
                Arrival::TooSlow => {
                    return self.refuse(&Response::text(408, "The request took too long.\n"));
                }
                Arrival::End => return Ok(None),
            };
            let started = Instant::now();
            let answer = self.shared.routes.answer(&request, &self.shared.control);
            std::thread::sleep(answer.delay);
            if !self.send(&request, &answer)? {
                return Ok(answer.exit);
            }
            self.shared.log_request(&request, answer.response.status, started.elapsed());
        }
    }

    /// Sends an answer; gives whether the connection goes on.
    fn send(&mut self, request: &Request, answer: &Answer) -> io::Result<bool> {
        let control = &self.shared.control;
        // Looked at after the wait: a server that began to drain meanwhile must say so.
        let goes_on = request.keep_alive && !control.is_draining() && answer.exit.is_none();
        let after = if goes_on { AfterAnswer::KeepAlive(IDLE_TIME) } else { AfterAnswer::Close };
        let with_body = request.method != "HEAD";
        control.count_answer(answer.response.status);
        let bytes = http::encode(&answer.response, with_body, after, SystemTime::now());
        self.stream.write_all(&bytes)?;
        Ok(goes_on)
    }

    fn refuse(&mut self, response: &Response) -> io::Result<Option<u8>> {
        self.shared.control.count_answer(response.status);
        let bytes = http::encode(response, true, AfterAnswer::Close, SystemTime::now());
        self.stream.write_all(&bytes)?;
        Ok(None)
    }

    fn next_request(&mut self) -> io::Result<Arrival> {
        if self.buffer.is_empty() && !self.wait_for_bytes()? {
            return Ok(Arrival::End);
        }
        let deadline = Instant::now() + ARRIVAL_TIME;
        let request = loop {
            match parse_head(&self.buffer) {
                Ok(Some((request, length))) => {
                    self.buffer.drain(..length);
                    break request;
                }
                Ok(None) => {}
                Err(refusal) => return Ok(Arrival::Refused(refusal)),
            }
            match self.read_until(deadline)? {
                Reading::Bytes => {}
                Reading::Nothing => return Ok(Arrival::TooSlow),
                Reading::Ended => return Ok(Arrival::End),
            }
        };
        if request.expects_continue {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut body = BodySkipper::new(request.body);
        loop {
            match body.skip(&self.buffer) {
                Ok(length) => self.buffer.drain(..length),
                Err(refusal) => return Ok(Arrival::Refused(refusal)),
            };
            if body.is_done() {
                return Ok(Arrival::Request(request));
            }
            match self.read_until(deadline)? {
                Reading::Bytes => {}
                Reading::Nothing => return Ok(Arrival::TooSlow),
                Reading::Ended => return Ok(Arrival::End),
            }
        }
    }

    /// Waits for the first bytes of a request, for as long as an unused connection may stay. Gives
    /// false when it shall end.
    fn wait_for_bytes(&mut self) -> io::Result<bool> {
        let unused_since = Instant::now();
        loop {
            let allowed = if self.shared.control.is_draining() {
                IDLE_TIME_DRAINING
            } else {
                IDLE_TIME + IDLE_SLACK
            };
            let left = allowed.saturating_sub(unused_since.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            match self.read_until(Instant::now() + left.min(LOOK_TIME))? {
                Reading::Bytes => return Ok(true),
                Reading::Nothing => {}
                Reading::Ended => return Ok(false),
            }
        }
    }

    /// Reads what is there, waiting for it until `deadline`.
    fn read_until(&mut self, deadline: Instant) -> io::Result<Reading> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Reading::Nothing);
        }
        self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let mut bytes = [0; HEAD_LIMIT];
        match self.stream.read(&mut bytes) {
            Ok(0) => Ok(Reading::Ended),
            Ok(count) => {
                self.buffer.extend_from_slice(&bytes[..count]);
                Ok(Reading::Bytes)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock
                        | io::ErrorKind::TimedOut
                        | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(Reading::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    /// Ends our side and waits for the client's, so that bytes it still sends do not reset the
    /// connection before it has read the last answer.
    fn close_gently(&mut self) {
        let deadline = Instant::now() + CLOSE_TIME;
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        while Instant::now() < deadline {
            self.buffer.clear();
            match self.read_until(deadline) {
                Ok(Reading::Bytes) => {}
                Ok(Reading::Nothing | Reading::Ended) | Err(_) => return,
            }
        }
    }
}

enum Reading {
    Bytes,
    Nothing,
    Ended,
}
