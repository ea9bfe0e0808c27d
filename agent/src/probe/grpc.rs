//! One question to `grpc.health.v1.Health`, in the clear.
//!
//! Of gRPC and Protocol Buffers it needs one message each way, of one field each, so these are written
//! and read here: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.

use bytes::{Buf as _, Bytes};
use dugout_model::chain;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2;
use hyper::header::{CONTENT_TYPE, HeaderMap, TE, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::tries::connect;

/// A health answer has seven bytes.
const MOST_ANSWER_BYTES: usize = 4096;
/// The number of `SERVING` in `ServingStatus`.
const SERVING: u64 = 1;

/// Asks whether a service serves; the error is what to tell people.
pub(super) async fn check(
    host: &str,
    port: u16,
    service: &str,
    agent: &'static str,
) -> Result<(), String> {
    let connection = TokioIo::new(connect(host, port).await?);
    let handshake = http2::handshake(TokioExecutor::new(), connection).await;
    let (mut sender, driver) = handshake.map_err(|error| chain(&error))?;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let request = Request::post(format!("http://{host}:{port}/grpc.health.v1.Health/Check"))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, agent)
        .body(Full::new(question(service)))
        .map_err(|error| format!("the probe's request cannot be made: {error}"))?;
    let asking = async {
        let answer = sender.send_request(request).await.map_err(|error| chain(&error))?;
        let (head, body) = answer.into_parts();
        if head.status != StatusCode::OK {
            return Err(format!("gRPC probe failed with HTTP status {}", head.status.as_u16()));
        }
        // An answer without a message has its trailers in its head.
        check_status(&head.headers)?;
        let body = Limited::new(body, MOST_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| format!("the answer cannot be read: {error}"))?;
        if let Some(trailers) = body.trailers() {
            check_status(trailers)?;
        }
        match serving_status(body.to_bytes()) {
            Some(SERVING) => Ok(()),
            Some(status) => Err(format!("gRPC probe: the service is {}", status_name(status))),
            None => Err("gRPC probe: what came is no answer of a health service".to_owned()),
        }
    };
    tokio::pin!(asking);
    // Dropped with this future, and so the connection is closed.
    tokio::select! {
        biased;
        answer = &mut asking => answer,
        ended = driver => match ended {
            Ok(()) => asking.await,
            Err(error) => Err(chain(&error)),
        },
    }
}

/// A `HealthCheckRequest`, uncompressed.
fn question(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        // Field 1, of a length that is told.
        message.push(0x0a);
        put_varint(&mut message, service.len() as u64);
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], length.as_slice(), &message].concat().into()
}

fn check_status(headers: &HeaderMap) -> Result<(), String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        None | Some("0") => Ok(()),
        Some("5") => Err("gRPC probe: the health service does not know this service".to_owned()),
        Some("12") => Err("gRPC probe: the server has no health service".to_owned()),
        Some(status) => {
            let message: String = text("grpc-message").unwrap_or("").chars().take(256).collect();
            Err(format!("gRPC probe failed with status {status}: {message}"))
        }
    }
}

/// The field `status` of a `HealthCheckResponse`; one that is not there is 0.
fn serving_status(mut answer: Bytes) -> Option<u64> {
    let is_compressed = answer.try_get_u8().ok()? != 0;
    let length = usize::try_from(answer.try_get_u32().ok()?).ok()?;
    if is_compressed || answer.len() < length {
        return None;
    }
    let mut message = answer.slice(..length);
    let mut status = 0;
    while message.has_remaining() {
        let tag = get_varint(&mut message)?;
        match (tag >> 3, tag & 7) {
            (1, 0) => status = get_varint(&mut message)?,
            (_, 0) => drop(get_varint(&mut message)?),
            (_, 2) => {
                let length = usize::try_from(get_varint(&mut message)?).ok()?;
                if message.len() < length {
                    return None;
                }
                message.advance(length);
            }
            _ => return None,
        }
    }
    Some(status)
}

fn status_name(status: u64) -> &'static str {
    match status {
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    }
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn get_varint(bytes: &mut Bytes) -> Option<u64> {
    let mut number = 0_u64;
    for place in 0..10 {
        let byte = bytes.try_get_u8().ok()?;
        number |= u64::from(byte & 0x7f).checked_shl(place * 7)?;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use hyper::header::HeaderValue;
    use hyper::service::service_fn;
    use hyper::{Response, body::Incoming};
    use tokio::net::TcpListener;

    use super::*;

    /// A health service that serves `db`, and nothing else that has a name.
    async fn health() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let io = TokioIo::new(connection);
                tokio::spawn(server.serve_connection(io, service_fn(answer)));
            }
        });
        port
    }

    async fn answer(request: Request<Incoming>) -> Result<Response<BoxedBody>, Infallible> {
        assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
        let asked = request.into_body().collect().await.unwrap().to_bytes();
        let (status, message): (&str, &[u8]) = match &asked[..] {
            [0, 0, 0, 0, 0] => ("0", &[0, 0, 0, 0, 2, 8, 2]),
            [0, 0, 0, 0, 4, 0x0a, 2, b'd', b'b'] => ("0", &[0, 0, 0, 0, 2, 8, 1]),
            _ => ("5", &[]),
        };
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static(status));
        let data = Frame::data(Bytes::copy_from_slice(message));
        let frames = [Ok(data), Ok(Frame::trailers(trailers))];
        Ok(Response::new(StreamBody::new(futures_util::stream::iter(frames))))
    }

    type Frames = [Result<Frame<Bytes>, Infallible>; 2];
    type BoxedBody = StreamBody<futures_util::stream::Iter<<Frames as IntoIterator>::IntoIter>>;

    #[tokio::test]
    async fn a_service_that_serves_passes_and_all_else_fails_with_a_sentence() {
        let port = health().await;
        let ask = |service| check("127.0.0.1", port, service, "test");
        assert_eq!(ask("db").await, Ok(()));
        assert_eq!(ask("").await.unwrap_err(), "gRPC probe: the service is NOT_SERVING");
        let unknown = ask(&"x".repeat(300)).await.unwrap_err();
        assert_eq!(unknown, "gRPC probe: the health service does not know this service");
    }

    #[test]
    fn an_answer_of_another_kind_is_none() {
        for wrong in [&[][..], &[0, 0, 0, 0, 9, 8, 1], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 1, 8]]
        {
            assert_eq!(serving_status(Bytes::copy_from_slice(wrong)), None);
        }
        let later = [0, 0, 0, 0, 5, 0x12, 1, b'x', 8, 1];
        assert_eq!(serving_status(Bytes::copy_from_slice(&later)), Some(SERVING));
    }
}
