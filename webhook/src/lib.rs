//! Forges' push webhooks: prove that a delivery is from somebody who knows the secret, then wake.
//!
//! A delivery is only a hint that it may be worth to look. Nothing of it is believed: what is fetched
//! and applied comes from Git. So a delivery that is replayed, or that names the wrong branch, does no
//! harm, and one that gets lost is made up for by polling.

mod bucket;
mod hint;
mod peers;
mod router;
mod signature;

pub use hint::PushHint;
pub use router::{Limits, OnDelivery, Secrets, Wake, Wakening, router};
pub use signature::{Verdict, verify};

/// How a forge signs and names what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// GitHub: `X-Hub-Signature-256: sha256=<hex>` and `X-GitHub-Event`.
    GitHub,
    /// Anything that can compute an HMAC-SHA256 of the body: `X-Signature: sha256=<hex>`.
    Generic,
}

impl Dialect {
    pub const ALL: [Dialect; 2] = [Dialect::GitHub, Dialect::Generic];

    /// The last part of the path, and the value of the metrics' label.
    pub fn as_str(self) -> &'static str {
        match self {
            Dialect::GitHub => "github",
            Dialect::Generic => "generic",
        }
    }
}

/// How a delivery ended: for counting, and for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Signed, about a push; the sources were woken.
    Woke,
    /// Signed, GitHub's test of a new webhook.
    Pong,
    /// Signed, about something else.
    Ignored,
    /// Signed, about a push, and this server does not lead.
    StandingBy,
    /// No secret is configured, so nobody can prove anything.
    NoSecret,
    SignatureMissing,
    SignatureWrong,
    /// Signed, and not in the form of its dialect.
    Malformed,
    TooLarge,
    TooSlow,
    /// More at once, or more in a short time, than are dealt with.
    TooMany,
}

impl Outcome {
    pub const ALL: [Outcome; 11] = [
        Outcome::Woke,
        Outcome::Pong,
        Outcome::Ignored,
        Outcome::StandingBy,
        Outcome::NoSecret,
        Outcome::SignatureMissing,
        Outcome::SignatureWrong,
        Outcome::Malformed,
        Outcome::TooLarge,
        Outcome::TooSlow,
        Outcome::TooMany,
    ];

    /// The value of the metrics' label.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Woke => "woke",
            Outcome::Pong => "pong",
            Outcome::Ignored => "ignored",
            Outcome::StandingBy => "standing-by",
            Outcome::NoSecret => "no-secret",
            Outcome::SignatureMissing => "signature-missing",
            Outcome::SignatureWrong => "signature-wrong",
            Outcome::Malformed => "malformed",
            Outcome::TooLarge => "too-large",
            Outcome::TooSlow => "too-slow",
            Outcome::TooMany => "too-many",
        }
    }
}
