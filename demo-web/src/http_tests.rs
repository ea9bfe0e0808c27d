//! Tests of the HTTP framing.

use super::*;

fn parse(head: &str) -> Result<Option<(Request, usize)>, BadRequest> {
    parse_head(head.as_bytes())
}

fn request(head: &str) -> Request {
    parse(head).unwrap().unwrap().0
}

#[test]
fn a_head_is_parsed_once_its_last_byte_is_there() {
    let head = "GET /slow?seconds=2 HTTP/1.1\r\nHost: x\r\n\r\n";
    for end in 0..head.len() {
        assert_eq!(parse(&head[..end]), Ok(None), "{end}");
    }
    let (request, length) = parse(&format!("{head}GET /")).unwrap().unwrap();
    assert_eq!(length, head.len());
    assert_eq!((request.path.as_str(), request.query.as_str()), ("/slow", "seconds=2"));
    assert!(request.keep_alive);
}

#[test]
fn keep_alive_follows_version_and_connection_header() {
    let keeps = |rest: &str| request(&format!("GET / {rest}\r\nhost: x\r\n\r\n")).keep_alive;
    assert!(keeps("HTTP/1.1"));
    assert!(!keeps("HTTP/1.1\r\nConnection: foo, Close"));
    assert!(!keeps("HTTP/1.0"));
    assert!(keeps("HTTP/1.0\r\nConnection: keep-alive"));
}

#[test]
fn whole_urls_and_empty_paths_are_understood() {
    assert_eq!(split_target("http://web:80/pod?x=1"), ("/pod", "x=1"));
    assert_eq!(split_target("http://web"), ("/", ""));
    assert_eq!(split_target("http://web?x"), ("/", "x"));
    assert_eq!(split_target("/a?b=c://d"), ("/a", "b=c://d"));
}

#[test]
fn ambiguous_framing_is_refused() {
    let with = |headers: &str| parse(&format!("POST / HTTP/1.1\r\nhost: x\r\n{headers}\r\n\r\n"));
    for headers in [
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Content-Length: +1",
        "Content-Length: ",
        "Host: y",
    ] {
        assert_eq!(with(headers), Err(BadRequest::Malformed), "{headers}");
    }
    assert_eq!(with("Transfer-Encoding: gzip, chunked"), Err(BadRequest::UnknownTransferCoding));
    assert_eq!(with("Content-Length: 99999999"), Err(BadRequest::BodyTooLarge));
    assert_eq!(parse("GET / HTTP/1.1\r\n\r\n"), Err(BadRequest::Malformed));
    assert_eq!(parse("GET / HTTP/2.0\r\n\r\n"), Err(BadRequest::UnsupportedVersion));
    assert_eq!(parse("nonsense\r\n\r\n"), Err(BadRequest::Malformed));
}

#[test]
fn heads_are_bounded() {
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}", "a".repeat(HEAD_LIMIT));
    assert_eq!(parse(&long), Err(BadRequest::HeadTooLarge));
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(70));
    assert_eq!(parse(&many), Err(BadRequest::HeadTooLarge));
}

#[test]
fn a_chunked_body_ends_where_it_says_however_it_is_cut() {
    let body = b"4\r\nWiki\r\n5;ext=1\r\npedia\r\n0\r\nTrailer: x\r\n\r\nGET /";
    let end = body.len() - 5;
    for piece in 1..body.len() {
        let mut skipper = BodySkipper::new(BodyFraming::Chunked);
        let (mut start, mut seen) = (0, 0);
        while !skipper.is_done() {
            seen = (seen + piece).min(body.len());
            start += skipper.skip(&body[start..seen]).unwrap();
        }
        assert_eq!(start, end, "in pieces of {piece}");
    }
}

#[test]
fn a_body_with_a_length_leaves_the_next_request_alone() {
    let mut skipper = BodySkipper::new(BodyFraming::Length(3));
    assert_eq!(skipper.skip(b"ab"), Ok(2));
    assert!(!skipper.is_done());
    assert_eq!(skipper.skip(b"cGET"), Ok(1));
    assert!(skipper.is_done());
}

#[test]
fn broken_and_endless_chunks_are_refused() {
    let skip = |body: &[u8]| BodySkipper::new(BodyFraming::Chunked).skip(body);
    assert_eq!(skip(b"x\r\n"), Err(BadRequest::Malformed));
    assert_eq!(skip(b"1\r\nab\r\n"), Err(BadRequest::Malformed));
    assert_eq!(skip(b"1\n"), Err(BadRequest::Malformed));
    assert_eq!(skip(&[b'1'; 400]), Err(BadRequest::Malformed));
    assert_eq!(skip(b"fffffffff\r\n"), Err(BadRequest::BodyTooLarge));
    assert_eq!(skip(&b"1\r\na\r\n".repeat(40_000)), Err(BadRequest::BodyTooLarge));
}

#[test]
fn a_head_request_gets_the_length_of_the_body_and_no_body() {
    let response = Response::text(200, "hello");
    let bytes = encode(&response, false, AfterAnswer::Close, UNIX_EPOCH);
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("content-length: 5\r\n") && text.ends_with("connection: close\r\n\r\n"));
}

#[test]
fn dates_are_as_http_writes_them() {
    assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(http_date(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
    assert_eq!(http_date(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT");
}
