//! HTTP/1.1 framing: bytes to requests, responses to bytes. No I/O.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest request line and headers together, in bytes.
pub const HEAD_LIMIT: usize = 8 * 1024;
/// The longest request body, in bytes. Nothing here reads it, but it has to be passed over.
pub const BODY_LIMIT: u64 = 64 * 1024;
const HEADER_COUNT_LIMIT: usize = 64;
/// The longest line between two chunks of a body, in bytes.
const CHUNK_LINE_LIMIT: usize = 256;

/// The head of a request, as far as the server acts on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// What follows the question mark; empty when there is none.
    pub query: String,
    pub body: BodyFraming,
    /// Whether the client wants to send another request on this connection.
    pub keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// How the end of a request's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    Length(u64),
    Chunked,
}

/// Why a request cannot be served. The connection ends with the answer, because where the next
/// request begins is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRequest {
    Malformed,
    HeadTooLarge,
    BodyTooLarge,
    UnknownTransferCoding,
    UnsupportedVersion,
}

impl BadRequest {
    pub fn response(self) -> Response {
        match self {
            BadRequest::Malformed => Response::text(400, "The request is not sound HTTP/1.1.\n"),
            BadRequest::HeadTooLarge => {
                Response::text(431, "The request's headers are too large.\n")
            }
            BadRequest::BodyTooLarge => Response::text(413, "The request's body is too large.\n"),
            BadRequest::UnknownTransferCoding => {
                Response::text(501, "The only transfer coding known here is chunked.\n")
            }
            BadRequest::UnsupportedVersion => {
                Response::text(505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.\n")
            }
        }
    }
}

/// Parses a request's head from the start of `bytes`. Gives nothing while it is not complete, else
/// the request and the length of its head.
pub fn parse_head(bytes: &[u8]) -> Result<Option<(Request, usize)>, BadRequest> {
    let mut headers = [httparse::EMPTY_HEADER; HEADER_COUNT_LIMIT];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD_LIMIT => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_LIMIT => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(BadRequest::HeadTooLarge),
        Err(httparse::Error::Version) => return Err(BadRequest::UnsupportedVersion),
        Err(_) => return Err(BadRequest::Malformed),
    };
    let (Some(method), Some(target), Some(version)) = (head.method, head.path, head.version) else {
        return Err(BadRequest::Malformed);
    };
    let facts = HeaderFacts::collect(head.headers)?;
    if version == 1 && facts.hosts != 1 {
        return Err(BadRequest::Malformed);
    }
    let (path, query) = split_target(target);
    let request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        body: facts.framing(version)?,
        keep_alive: !facts.close && (version == 1 || facts.keep_alive),
        expects_continue: facts.expects_continue && version == 1,
    };
    Ok(Some((request, length)))
}

/// What the headers say that matters for framing.
#[derive(Default)]
struct HeaderFacts {
    hosts: u32,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    content_length: Option<u64>,
    transfer_coding: Option<String>,
}

impl HeaderFacts {
    fn collect(headers: &[httparse::Header<'_>]) -> Result<HeaderFacts, BadRequest> {
        let mut facts = HeaderFacts::default();
        for header in headers {
            let Ok(value) = std::str::from_utf8(header.value) else { continue };
            let value = value.trim();
            if header.name.eq_ignore_ascii_case("host") {
                facts.hosts += 1;
            } else if header.name.eq_ignore_ascii_case("connection") {
                let has = |word: &str| {
                    value.split(',').any(|option| option.trim().eq_ignore_ascii_case(word))
                };
                facts.close |= has("close");
                facts.keep_alive |= has("keep-alive");
            } else if header.name.eq_ignore_ascii_case("content-length") {
                facts.add_content_length(value)?;
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                let before = facts.transfer_coding.get_or_insert_default();
                if !before.is_empty() {
                    before.push(',');
                }
                before.push_str(value);
            } else if header.name.eq_ignore_ascii_case("expect") {
                facts.expects_continue = value.eq_ignore_ascii_case("100-continue");
            }
        }
        Ok(facts)
    }

    /// Two lengths that differ would let a client and a proxy disagree where a request ends.
    fn add_content_length(&mut self, value: &str) -> Result<(), BadRequest> {
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let length = value.parse().ok().filter(|_| digits).ok_or(BadRequest::Malformed)?;
        if self.content_length.is_some_and(|before| before != length) {
            return Err(BadRequest::Malformed);
        }
        self.content_length = Some(length);
        Ok(())
    }

    fn framing(&self, version: u8) -> Result<BodyFraming, BadRequest> {
        match (&self.transfer_coding, self.content_length) {
            (Some(_), Some(_)) => Err(BadRequest::Malformed),
            (Some(_), None) if version == 0 => Err(BadRequest::Malformed),
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => {
                Ok(BodyFraming::Chunked)
            }
            (Some(_), None) => Err(BadRequest::UnknownTransferCoding),
            (None, Some(length)) if length > BODY_LIMIT => Err(BadRequest::BodyTooLarge),
            (None, length) => Ok(BodyFraming::Length(length.unwrap_or(0))),
        }
    }
}

/// Path and query of a request target, which is a path or, from a proxy's client, a whole URL.
fn split_target(target: &str) -> (&str, &str) {
    let origin_form = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find(['/', '?']).map_or("/", |start| &rest[start..])
        }
        _ => target,
    };
    let (path, query) = origin_form.split_once('?').unwrap_or((origin_form, ""));
    (if path.is_empty() { "/" } else { path }, query)
}

/// Passes over a request's body as its bytes arrive.
#[derive(Debug)]
pub struct BodySkipper {
    state: SkipState,
    total: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum SkipState {
    Length(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    Done,
}

impl BodySkipper {
    pub fn new(framing: BodyFraming) -> BodySkipper {
        let state = match framing {
            BodyFraming::Length(0) => SkipState::Done,
            BodyFraming::Length(length) => SkipState::Length(length),
            BodyFraming::Chunked => SkipState::ChunkSize,
        };
        BodySkipper { state, total: 0 }
    }

    pub fn is_done(&self) -> bool {
        self.state == SkipState::Done
    }

    /// Takes what it can from the start of `bytes`; gives how many bytes that were. What is left
    /// over needs more bytes, or belongs to the next request when the body is done.
    pub fn skip(&mut self, bytes: &[u8]) -> Result<usize, BadRequest> {
        let mut taken = 0;
        loop {
            let rest = &bytes[taken..];
            let step = match self.state {
                SkipState::Done => return Ok(taken),
                SkipState::Length(left) => self.skip_data(left, rest, SkipState::Length),
                SkipState::ChunkData(left) => self.skip_data(left, rest, SkipState::ChunkData),
                SkipState::ChunkSize | SkipState::ChunkEnd | SkipState::Trailers => {
                    self.skip_line(rest)?
                }
            };
            if step == 0 {
                return Ok(taken);
            }
            taken += step;
            self.total += step as u64;
            if self.total > BODY_LIMIT * 2 {
                return Err(BadRequest::BodyTooLarge);
            }
        }
    }

    fn skip_data(&mut self, left: u64, rest: &[u8], same: fn(u64) -> SkipState) -> usize {
        let step = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        let left = left - step as u64;
        self.state = match (left, &self.state) {
            (0, SkipState::ChunkData(_)) => SkipState::ChunkEnd,
            (0, _) => SkipState::Done,
            _ => same(left),
        };
        step
    }

    fn skip_line(&mut self, rest: &[u8]) -> Result<usize, BadRequest> {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            return if rest.len() > CHUNK_LINE_LIMIT { Err(BadRequest::Malformed) } else { Ok(0) };
        };
        let line = rest[..end].strip_suffix(b"\r").ok_or(BadRequest::Malformed)?;
        self.state = match self.state {
            SkipState::ChunkSize => match parse_chunk_size(line)? {
                0 => SkipState::Trailers,
                size => SkipState::ChunkData(size),
            },
            SkipState::ChunkEnd if line.is_empty() => SkipState::ChunkSize,
            SkipState::Trailers if line.is_empty() => SkipState::Done,
            SkipState::Trailers => SkipState::Trailers,
            _ => return Err(BadRequest::Malformed),
        };
        Ok(end + 1)
    }
}

fn parse_chunk_size(line: &[u8]) -> Result<u64, BadRequest> {
    let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let size = std::str::from_utf8(size).map_err(|_| BadRequest::Malformed)?.trim_end();
    if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(BadRequest::Malformed);
    }
    match u64::from_str_radix(size, 16) {
        Ok(size) if size <= BODY_LIMIT => Ok(size),
        _ => Err(BadRequest::BodyTooLarge),
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub content_type: &'static str,
    pub body: std::borrow::Cow<'static, str>,
    /// The methods to name in `Allow`.
    pub allow: Option<&'static str>,
}

impl Response {
    pub fn text(status: u16, body: impl Into<std::borrow::Cow<'static, str>>) -> Response {
        Response {
            status,
            content_type: "text/plain; charset=utf-8",
            body: body.into(),
            allow: None,
        }
    }
}

/// What the connection does after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterAnswer {
    /// It waits for the next request, at least this long.
    KeepAlive(Duration),
    Close,
}

/// The answer's bytes. `with_body` is false for a HEAD request, which gets the same headers.
pub fn encode(
    response: &Response,
    with_body: bool,
    after: AfterAnswer,
    now: SystemTime,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(320 + if with_body { response.body.len() } else { 0 });
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    // Writing to a vector cannot fail.
    let _ = write!(
        bytes,
        "HTTP/1.1 {} {}\r\ndate: {}\r\nserver: dugout-web\r\ncontent-type: {}\r\n\
         content-length: {}\r\ncache-control: no-store\r\n",
        response.status,
        reason_phrase(response.status),
        http_date(since_epoch.as_secs()),
        response.content_type,
        response.body.len(),
    );
    if let Some(allow) = response.allow {
        let _ = write!(bytes, "allow: {allow}\r\n");
    }
    let _ = match after {
        AfterAnswer::KeepAlive(idle) => {
            write!(
                bytes,
                "connection: keep-alive\r\nkeep-alive: timeout={}\r\n\r\n",
                idle.as_secs()
            )
        }
        AfterAnswer::Close => write!(bytes, "connection: close\r\n\r\n"),
    };
    if with_body {
        bytes.extend_from_slice(response.body.as_bytes());
    }
    bytes
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

/// A moment as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Counted from 1 March of year 0, so that the leap day is the last day of a year, in cycles of
    // 400 years (146 097 days), as the calendar repeats.
    let shifted = days + 719_468;
    let (cycle, day_of_cycle) = (shifted / 146_097, shifted % 146_097);
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524
        - day_of_cycle / 146_096)
        / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = cycle * 400 + year_of_cycle + u64::from(month < 2);
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} GMT",
        DAYS[(days % 7) as usize],
        MONTHS[month as usize],
        second / 3_600,
        second / 60 % 60,
        second % 60,
    )
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
