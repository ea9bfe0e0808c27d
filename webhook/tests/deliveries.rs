//! Deliveries over HTTP: who gets through, who does not, and that nobody is woken before the proof.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests and their helpers"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use dugout_model::SecretValue;
use dugout_webhook::{Dialect, Limits, Outcome, PushHint, Secrets, Wake, Wakening, router};
use hmac::{Hmac, Mac};
use http_body_util::BodyExt;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

const SECRET: &str = "a secret of the test";

#[derive(Default)]
struct Woken(Mutex<Vec<PushHint>>);

impl Wake for Woken {
    fn wake(&self, hint: &PushHint) -> Wakening {
        self.0.lock().unwrap().push(hint.clone());
        Wakening::Woke
    }
}

struct Standby;

impl Wake for Standby {
    fn wake(&self, _: &PushHint) -> Wakening {
        Wakening::StandingBy
    }
}

struct Rig {
    router: Router,
    woken: Arc<Woken>,
    outcomes: Arc<Mutex<Vec<(Dialect, Outcome)>>>,
}

impl Rig {
    fn new() -> Rig {
        Rig::with(Some(SECRET), Limits::default())
    }

    fn with(secret: Option<&str>, limits: Limits) -> Rig {
        let woken = Arc::new(Woken::default());
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let secret = secret.map(SecretValue::new);
        let secrets = Secrets { github: secret.clone(), generic: secret };
        let seen = Arc::clone(&outcomes);
        let on_delivery =
            Arc::new(move |dialect, outcome| seen.lock().unwrap().push((dialect, outcome)));
        let router = router(secrets, Arc::clone(&woken) as Arc<dyn Wake>, on_delivery, limits);
        Rig { router, woken, outcomes }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn woken(&self) -> Vec<PushHint> {
        self.woken.0.lock().unwrap().clone()
    }

    fn last(&self) -> (Dialect, Outcome) {
        *self.outcomes.lock().unwrap().last().unwrap()
    }
}

fn sign(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn github(event: &str, body: &'static [u8]) -> Request<Body> {
    Request::post("/webhook/github")
        .header("x-github-event", event)
        .header("x-hub-signature-256", sign(body))
        .body(Body::from(body))
        .unwrap()
}

fn generic(signature: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post("/webhook/generic").header("x-signature", signature).body(body.into()).unwrap()
}

#[tokio::test]
async fn a_ping_is_answered_a_push_wakes_and_the_rest_is_ignored() {
    let rig = Rig::new();
    let (status, text) = rig.send(github("ping", b"{\"zen\":\"x\"}")).await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "pong\n"));
    assert_eq!(rig.last(), (Dialect::GitHub, Outcome::Pong));
    let (status, _) = rig.send(github("issues", b"{}")).await;
    assert_eq!((status, rig.last().1), (StatusCode::ACCEPTED, Outcome::Ignored));
    assert_eq!(rig.woken(), []);
    let body = br#"{"ref":"refs/heads/main","repository":{"full_name":"a/b"}}"#;
    let (status, _) = rig.send(github("push", body)).await;
    assert_eq!((status, rig.last().1), (StatusCode::OK, Outcome::Woke));
    let hint =
        PushHint { reference: Some("refs/heads/main".into()), repositories: vec!["a/b".into()] };
    assert_eq!(rig.woken(), [hint]);
}

#[tokio::test]
async fn a_delivery_that_is_replayed_wakes_again_and_does_no_more() {
    let rig = Rig::new();
    let body = br#"{"ref":"refs/heads/main"}"#;
    for _ in 0..2 {
        assert_eq!(rig.send(github("push", body)).await.0, StatusCode::OK);
    }
    let hint = PushHint { reference: Some("refs/heads/main".into()), repositories: vec![] };
    assert_eq!(rig.woken(), vec![hint; 2]);
}

#[tokio::test]
async fn a_standby_does_not_say_that_it_looks() {
    let secrets = Secrets { github: Some(SecretValue::new(SECRET)), generic: None };
    let router = router(secrets, Arc::new(Standby), Arc::new(|_, _| {}), Limits::default());
    let response = router.oneshot(github("push", b"{}")).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn the_generic_dialect_wakes_whatever_is_signed() {
    let rig = Rig::new();
    for body in ["", "{}", "not json"] {
        let (status, _) = rig.send(generic(&sign(body.as_bytes()), body)).await;
        assert_eq!((status, rig.last()), (StatusCode::OK, (Dialect::Generic, Outcome::Woke)));
    }
    assert_eq!(rig.woken(), vec![PushHint::default(); 3]);
}

#[tokio::test]
async fn nobody_is_woken_without_the_right_signature() {
    let rig = Rig::new();
    let body = b"{\"ref\":\"refs/heads/main\"}";
    let good = sign(body);
    let unsigned = Request::post("/webhook/generic").body(Body::from(&body[..])).unwrap();
    let eventless = Request::post("/webhook/github")
        .header("x-hub-signature-256", &good)
        .body(Body::from(&body[..]))
        .unwrap();
    let tampered = generic(&good, "{\"ref\":\"refs/heads/evil\"}");
    let cases = [
        (unsigned, StatusCode::UNAUTHORIZED, Outcome::SignatureMissing),
        (generic("sha256=", &body[..]), StatusCode::UNAUTHORIZED, Outcome::SignatureMissing),
        (generic(&good[..70], &body[..]), StatusCode::UNAUTHORIZED, Outcome::SignatureWrong),
        (tampered, StatusCode::UNAUTHORIZED, Outcome::SignatureWrong),
        (eventless, StatusCode::BAD_REQUEST, Outcome::Malformed),
    ];
    for (request, status, outcome) in cases {
        let (found, text) = rig.send(request).await;
        assert_eq!((found, rig.last().1), (status, outcome));
        assert!(text.starts_with("Refused: "), "{text}");
        assert!(!text.contains(SECRET));
    }
    assert_eq!(rig.woken(), []);
}

#[tokio::test]
async fn without_a_secret_everything_is_refused_with_what_to_do() {
    for secret in [None, Some("")] {
        let rig = Rig::with(secret, Limits::default());
        let (status, text) = rig.send(github("push", b"{}")).await;
        assert_eq!((status, rig.last().1), (StatusCode::FORBIDDEN, Outcome::NoSecret));
        assert!(text.contains("DUGOUT_WEBHOOK_SECRET"), "{text}");
        assert_eq!(rig.woken(), []);
    }
}

#[tokio::test]
async fn a_body_over_the_cap_is_refused_whether_announced_or_not() {
    let rig = Rig::new();
    let at_cap = vec![b' '; 1 << 20];
    let (status, _) = rig.send(generic(&sign(&at_cap), at_cap)).await;
    assert_eq!(status, StatusCode::OK);
    let over = vec![b' '; (1 << 20) + 1];
    let signature = sign(&over);
    let announced = Request::post("/webhook/generic")
        .header("x-signature", &signature)
        .header("content-length", over.len())
        .body(Body::from_stream(endless()))
        .unwrap();
    for request in
        [generic(&signature, over), announced, generic(&signature, Body::from_stream(endless()))]
    {
        let (status, _) = rig.send(request).await;
        assert_eq!((status, rig.last().1), (StatusCode::PAYLOAD_TOO_LARGE, Outcome::TooLarge));
    }
    assert_eq!(rig.woken().len(), 1);
}

#[tokio::test]
async fn a_slow_body_ends_at_the_deadline_and_gives_its_place_back() {
    let limits =
        Limits { read_deadline: Duration::from_millis(50), concurrent: 1, ..Limits::default() };
    let rig = Rig::with(Some(SECRET), limits);
    for _ in 0..2 {
        let stuck =
            Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let (status, _) = rig.send(generic(&sign(b""), stuck)).await;
        assert_eq!((status, rig.last().1), (StatusCode::REQUEST_TIMEOUT, Outcome::TooSlow));
    }
    assert_eq!(rig.send(generic(&sign(b""), "")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn more_at_once_than_allowed_are_turned_away() {
    let rig = Rig::with(Some(SECRET), Limits { concurrent: 1, ..Limits::default() });
    let stuck = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let mut first = Box::pin(rig.send(generic(&sign(b""), stuck)));
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut first).await.is_err());
    let (status, _) = rig.send(generic(&sign(b""), "")).await;
    assert_eq!((status, rig.last().1), (StatusCode::TOO_MANY_REQUESTS, Outcome::TooMany));
    // Whoever has no signature at all is told so without taking a place.
    let unsigned = Request::post("/webhook/generic").body(Body::empty()).unwrap();
    assert_eq!(rig.send(unsigned).await.0, StatusCode::UNAUTHORIZED);
    drop(first);
    assert_eq!(rig.send(generic(&sign(b""), "")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_flood_is_cut_to_the_burst() {
    let rig = Rig::with(Some(SECRET), Limits { burst: 5, per_second: 0, ..Limits::default() });
    for _ in 0..20 {
        rig.send(generic(&format!("sha256={}", "0".repeat(64)), "{}")).await;
    }
    let outcomes = rig.outcomes.lock().unwrap();
    let count = |wanted| outcomes.iter().filter(|(_, outcome)| *outcome == wanted).count();
    assert_eq!((count(Outcome::SignatureWrong), count(Outcome::TooMany)), (5, 15));
}

#[tokio::test]
async fn a_stranger_spends_nothing_of_anybody_elses() {
    let limits = Limits { burst: 2, per_second: 0, concurrent_per_peer: 1, ..Limits::default() };
    let rig = Rig::with(Some(SECRET), limits);
    let from = |peer: [u8; 4], mut request: Request<Body>| {
        let peer = std::net::SocketAddr::from((peer, 1));
        request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
        rig.send(request)
    };
    let (stranger, forge) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    let stuck = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let mut first = Box::pin(from(stranger, generic(&sign(b""), stuck)));
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut first).await.is_err());
    // It has its one body under way.
    let wrong = || generic(&format!("sha256={}", "0".repeat(64)), "{}");
    assert_eq!(from(stranger, wrong()).await.0, StatusCode::TOO_MANY_REQUESTS);
    drop(first);
    // And one delivery left of two.
    assert_eq!(from(stranger, wrong()).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(from(stranger, wrong()).await.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(from(forge, generic(&sign(b""), "")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn other_methods_and_paths_are_not_ours() {
    let rig = Rig::new();
    let get = Request::get("/webhook/github").body(Body::empty()).unwrap();
    assert_eq!(rig.send(get).await.0, StatusCode::METHOD_NOT_ALLOWED);
    let other = Request::post("/webhook/gitlab").body(Body::empty()).unwrap();
    assert_eq!(rig.send(other).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn over_a_real_socket_a_push_is_answered() {
    let rig = Rig::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, rig.router.clone()).into_future());
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let body = "{\"ref\":\"refs/heads/main\"}";
    let signature = sign(body.as_bytes());
    let request = format!(
        "POST /webhook/generic HTTP/1.1\r\nHost: x\r\nX-Signature: {signature}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(rig.woken().len(), 1);
    server.abort();
}

fn endless() -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> {
    futures_util::stream::repeat_with(|| Ok(Bytes::from_static(&[b' '; 4096])))
}
