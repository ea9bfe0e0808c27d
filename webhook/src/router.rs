//! The HTTP side: reads a delivery within its limits, checks it, wakes, and answers at once.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use dugout_model::SecretValue;
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use crate::peers::Peers;
use crate::signature::{Verdict, Verifier};
use crate::{Dialect, Outcome, PushHint};

/// Who is woken by a push: the source loops.
pub trait Wake: Send + Sync {
    /// Wakes the sources that the hint may concern ([`PushHint::concerned`]). Must not block.
    fn wake(&self, hint: &PushHint) -> Wakening;
}

/// What became of waking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wakening {
    Woke,
    /// Nobody here looks at sources: another server leads, or none does.
    StandingBy,
}

/// Called once for every delivery, for counting. Must not block.
pub type OnDelivery = Arc<dyn Fn(Dialect, Outcome) + Send + Sync>;

/// One shared secret for each dialect. Without one, every delivery of that dialect is refused.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    pub github: Option<SecretValue>,
    pub generic: Option<SecretValue>,
}

impl Secrets {
    /// Reads `DUGOUT_WEBHOOK_SECRET` for every dialect, which `DUGOUT_WEBHOOK_SECRET_GITHUB` and
    /// `DUGOUT_WEBHOOK_SECRET_GENERIC` override. Empty counts as unset. Pass a reader of the environment.
    pub fn from_settings(read: impl Fn(&str) -> Option<String>) -> Secrets {
        let secret = |name: &str| {
            let own =
                read(&format!("DUGOUT_WEBHOOK_SECRET_{name}")).filter(|text| !text.is_empty());
            let shared = || read("DUGOUT_WEBHOOK_SECRET").filter(|text| !text.is_empty());
            own.or_else(shared).map(SecretValue::new)
        };
        Secrets { github: secret("GITHUB"), generic: secret("GENERIC") }
    }

    fn of(&self, dialect: Dialect) -> Option<&SecretValue> {
        match dialect {
            Dialect::GitHub => self.github.as_ref(),
            Dialect::Generic => self.generic.as_ref(),
        }
    }
}

/// What a stranger may cost us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A larger delivery is refused; polling finds its push.
    pub body_bytes: usize,
    /// For the whole body.
    pub read_deadline: Duration,
    /// Bodies that are read at the same time.
    pub concurrent: usize,
    /// Of these, how many for one caller's network ([`dugout_model::peer_network`]).
    pub concurrent_per_peer: usize,
    /// Deliveries of one caller's network that go through at once after a quiet time.
    pub burst: u32,
    /// Of one caller's network.
    pub per_second: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body_bytes: 1 << 20,
            read_deadline: Duration::from_secs(5),
            concurrent: 8,
            concurrent_per_peer: 4,
            burst: 100,
            per_second: 20,
        }
    }
}

/// `POST /webhook/github` and `POST /webhook/generic`. Serve them with connection information, or all
/// callers count as one.
///
/// 200: woken, or pong. 202: signed and ignored. 400, 401, 403, 408, 413, 429: refused, with a
/// sentence. 503: signed, and this server stands by. Nothing is parsed and nobody is woken before the signature is proved.
pub fn router(
    secrets: Secrets,
    wake: Arc<dyn Wake>,
    on_delivery: OnDelivery,
    limits: Limits,
) -> Router {
    let receiver = Arc::new(Receiver {
        secrets,
        wake,
        on_delivery,
        limits,
        reading: Semaphore::new(limits.concurrent),
        peers: Peers::new(limits),
    });
    let mut router = Router::new();
    for dialect in Dialect::ALL {
        let handler = move |State(receiver): State<Arc<Receiver>>, request: Request| async move {
            receiver.answer(dialect, request).await
        };
        router = router.route(&format!("/webhook/{}", dialect.as_str()), post(handler));
    }
    router.with_state(receiver)
}

struct Receiver {
    secrets: Secrets,
    wake: Arc<dyn Wake>,
    on_delivery: OnDelivery,
    limits: Limits,
    reading: Semaphore,
    peers: Arc<Peers>,
}

impl Receiver {
    async fn answer(&self, dialect: Dialect, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        let outcome = match self.receive(dialect, peer, &parts.headers, body).await {
            Ok((Verdict::Push, body)) => match self.wake.wake(&PushHint::read(&body)) {
                Wakening::Woke => Outcome::Woke,
                Wakening::StandingBy => Outcome::StandingBy,
            },
            Ok((verdict, _)) => verdict.outcome(),
            Err(outcome) => outcome,
        };
        (self.on_delivery)(dialect, outcome);
        response(dialect, outcome)
    }

    /// The delivery with its verdict. What can be refused without reading it, is.
    async fn receive(
        &self,
        dialect: Dialect,
        peer: IpAddr,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(Verdict, Vec<u8>), Outcome> {
        let verifier =
            Verifier::new(dialect, headers, self.secrets.of(dialect)).map_err(Verdict::outcome)?;
        let _place = self.peers.enter(peer, Instant::now()).ok_or(Outcome::TooMany)?;
        let _reading = self.reading.try_acquire().map_err(|_| Outcome::TooMany)?;
        let reading = self.read(verifier, headers, body);
        tokio::time::timeout(self.limits.read_deadline, reading)
            .await
            .unwrap_or(Err(Outcome::TooSlow))
    }

    async fn read(
        &self,
        mut verifier: Verifier,
        headers: &HeaderMap,
        mut body: Body,
    ) -> Result<(Verdict, Vec<u8>), Outcome> {
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|text| text.to_str().ok());
        let limit = self.limits.body_bytes;
        if announced.and_then(|text| text.parse::<usize>().ok()).is_some_and(|size| size > limit) {
            return Err(Outcome::TooLarge);
        }
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            // A sender that breaks off gets no answer anyhow.
            let Ok(piece) = frame.map_err(|_| Outcome::TooSlow)?.into_data() else { continue };
            if bytes.len() + piece.len() > limit {
                return Err(Outcome::TooLarge);
            }
            verifier.update(&piece);
            bytes.extend_from_slice(&piece);
        }
        Ok((verifier.finish(headers), bytes))
    }
}

fn response(dialect: Dialect, outcome: Outcome) -> Response {
    let (status, sentence) = match outcome {
        Outcome::Woke => (StatusCode::OK, "The sources are being looked at."),
        Outcome::Pong => (StatusCode::OK, "pong"),
        Outcome::Ignored => (StatusCode::ACCEPTED, "Ignored: only pushes are of interest."),
        Outcome::StandingBy => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Not delivered: this server does not lead, and only the leader looks at the sources. Send \
             webhooks to the leader. Nothing is lost: polling finds the push.",
        ),
        Outcome::NoSecret => (
            StatusCode::FORBIDDEN,
            "Refused: no webhook secret is configured. Set DUGOUT_WEBHOOK_SECRET on the server, and the \
             same secret where the webhook is sent from.",
        ),
        Outcome::SignatureMissing => (StatusCode::UNAUTHORIZED, missing_signature(dialect)),
        Outcome::SignatureWrong => (
            StatusCode::UNAUTHORIZED,
            "Refused: the signature does not match. Check that both sides have the same secret, and that \
             the body is sent unchanged.",
        ),
        Outcome::Malformed => (
            StatusCode::BAD_REQUEST,
            "Refused: the header X-GitHub-Event is missing. Use /webhook/generic for other senders.",
        ),
        Outcome::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "Refused: the body is too large. Nothing is lost: polling finds the push.",
        ),
        Outcome::TooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            "Refused: the body took too long. Nothing is lost: the next poll finds what was pushed; deliver it again to have it now.",
        ),
        Outcome::TooMany => (
            StatusCode::TOO_MANY_REQUESTS,
            "Refused: too many deliveries. Nothing is lost: polling finds the push.",
        ),
    };
    let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, plain, format!("{sentence}\n")).into_response()
}

fn missing_signature(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::GitHub => {
            "Refused: the header X-Hub-Signature-256 is missing or empty. Enter the secret in the \
             webhook's settings."
        }
        Dialect::Generic => {
            "Refused: the header X-Signature is missing or empty. It must be sha256= and the \
             HMAC-SHA256 of the body in hexadecimal."
        }
    }
}
