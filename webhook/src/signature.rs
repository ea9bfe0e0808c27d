//! Checks a delivery's signature over its raw bytes, in constant time, before anything is parsed.

use axum::http::HeaderMap;
use dugout_model::SecretValue;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{Dialect, Outcome};

/// What a delivery is, judged by its headers and raw bytes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Signed, and about a push.
    Push,
    /// Signed, and GitHub's test of a new webhook.
    Ping,
    /// Signed, and about something else.
    OtherEvent,
    /// Signed, and its dialect's event header is missing.
    Malformed,
    NoSecret,
    /// No signature, or one without a digest, as some forges send when they have no secret.
    SignatureMissing,
    SignatureWrong,
}

impl Verdict {
    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Verdict::Push => Outcome::Woke,
            Verdict::Ping => Outcome::Pong,
            Verdict::OtherEvent => Outcome::Ignored,
            Verdict::Malformed => Outcome::Malformed,
            Verdict::NoSecret => Outcome::NoSecret,
            Verdict::SignatureMissing => Outcome::SignatureMissing,
            Verdict::SignatureWrong => Outcome::SignatureWrong,
        }
    }
}

/// Judges a whole delivery. An empty secret counts as none.
pub fn verify(
    dialect: Dialect,
    headers: &HeaderMap,
    body: &[u8],
    secret: Option<&SecretValue>,
) -> Verdict {
    match Verifier::new(dialect, headers, secret) {
        Ok(mut verifier) => {
            verifier.update(body);
            verifier.finish(headers)
        }
        Err(verdict) => verdict,
    }
}

/// The same for a body that comes in pieces.
pub(crate) struct Verifier {
    dialect: Dialect,
    mac: Hmac<Sha256>,
    claimed: [u8; DIGEST_BYTES],
}

const DIGEST_BYTES: usize = 32;

impl Verifier {
    /// What cannot be right whatever the body is, is told at once.
    pub(crate) fn new(
        dialect: Dialect,
        headers: &HeaderMap,
        secret: Option<&SecretValue>,
    ) -> Result<Verifier, Verdict> {
        let secret = secret.map(SecretValue::expose).filter(|secret| !secret.is_empty());
        let secret = secret.ok_or(Verdict::NoSecret)?;
        let claimed = claimed_digest(dialect, headers)?;
        // A key of any length is right for HMAC; without one, nothing is.
        let mac = Hmac::new_from_slice(secret).map_err(|_| Verdict::NoSecret)?;
        Ok(Verifier { dialect, mac, claimed })
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.mac.update(piece);
    }

    pub(crate) fn finish(self, headers: &HeaderMap) -> Verdict {
        // Takes the same time wherever the first difference is.
        if self.mac.verify_slice(&self.claimed).is_err() {
            return Verdict::SignatureWrong;
        }
        match self.dialect {
            Dialect::Generic => Verdict::Push,
            Dialect::GitHub => match headers.get("x-github-event").map(|event| event.as_bytes()) {
                Some(b"push") => Verdict::Push,
                Some(b"ping") => Verdict::Ping,
                Some(_) => Verdict::OtherEvent,
                None => Verdict::Malformed,
            },
        }
    }
}

fn claimed_digest(dialect: Dialect, headers: &HeaderMap) -> Result<[u8; DIGEST_BYTES], Verdict> {
    let name = match dialect {
        Dialect::GitHub => "x-hub-signature-256",
        Dialect::Generic => "x-signature",
    };
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(Verdict::SignatureMissing)?;
    if values.next().is_some() {
        return Err(Verdict::SignatureWrong);
    }
    let value = value.as_bytes();
    let digest = value.strip_prefix(b"sha256=").unwrap_or(value);
    if digest.is_empty() {
        return Err(Verdict::SignatureMissing);
    }
    if digest.len() == value.len() {
        return Err(Verdict::SignatureWrong);
    }
    let mut claimed = [0; DIGEST_BYTES];
    hex::decode_to_slice(digest, &mut claimed).map_err(|_| Verdict::SignatureWrong)?;
    Ok(claimed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GitHub's published example.
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const DIGEST: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (axum::http::HeaderName::from_static(name), value.parse().unwrap())
        });
        pairs.collect()
    }

    fn github(signature: &str, event: &str, body: &[u8], secret: &str) -> Verdict {
        let headers = headers(&[("x-hub-signature-256", signature), ("x-github-event", event)]);
        verify(Dialect::GitHub, &headers, body, Some(&SecretValue::new(secret)))
    }

    #[test]
    fn the_example_that_github_publishes_is_accepted() {
        let good = format!("sha256={DIGEST}");
        assert_eq!(github(&good, "push", BODY, SECRET), Verdict::Push);
        assert_eq!(
            github(&good.to_uppercase().replace("SHA", "sha"), "push", BODY, SECRET),
            Verdict::Push
        );
        assert_eq!(github(&good, "ping", BODY, SECRET), Verdict::Ping);
        assert_eq!(github(&good, "issues", BODY, SECRET), Verdict::OtherEvent);
        let generic = headers(&[("x-signature", &good)]);
        let secret = SecretValue::new(SECRET);
        assert_eq!(verify(Dialect::Generic, &generic, BODY, Some(&secret)), Verdict::Push);
        // One dialect's header is nothing to the other.
        assert_eq!(
            verify(Dialect::GitHub, &generic, BODY, Some(&secret)),
            Verdict::SignatureMissing
        );
        let eventless = headers(&[("x-hub-signature-256", &good)]);
        assert_eq!(verify(Dialect::GitHub, &eventless, BODY, Some(&secret)), Verdict::Malformed);
    }

    #[test]
    fn every_changed_bit_of_body_digest_or_secret_is_refused() {
        let good = format!("sha256={DIGEST}");
        for position in 0..BODY.len() * 8 {
            let mut body = BODY.to_vec();
            body[position / 8] ^= 1 << (position % 8);
            assert_eq!(github(&good, "push", &body, SECRET), Verdict::SignatureWrong);
        }
        for position in 0..DIGEST.len() {
            let mut digest = DIGEST.as_bytes().to_vec();
            digest[position] = if digest[position] == b'0' { b'1' } else { b'0' };
            let bad = format!("sha256={}", String::from_utf8(digest).unwrap());
            assert_eq!(github(&bad, "push", BODY, SECRET), Verdict::SignatureWrong);
        }
        assert_eq!(github(&good, "push", BODY, "another"), Verdict::SignatureWrong);
    }

    #[test]
    fn short_long_odd_and_empty_digests_are_refused() {
        for signature in ["", "sha256="] {
            assert_eq!(github(signature, "push", BODY, SECRET), Verdict::SignatureMissing);
        }
        let sixty_two = &DIGEST[..62];
        for signature in [
            DIGEST.to_owned(),
            format!("sha1={DIGEST}"),
            format!("sha256={sixty_two}"),
            format!("sha256={DIGEST}00"),
            format!("sha256={sixty_two}zz"),
            format!("sha256=sha256={DIGEST}"),
        ] {
            assert_eq!(
                github(&signature, "push", BODY, SECRET),
                Verdict::SignatureWrong,
                "{signature}"
            );
        }
        let mut twice = headers(&[("x-hub-signature-256", &format!("sha256={DIGEST}"))]);
        twice.append("x-hub-signature-256", "sha256=00".parse().unwrap());
        let secret = SecretValue::new(SECRET);
        assert_eq!(verify(Dialect::GitHub, &twice, BODY, Some(&secret)), Verdict::SignatureWrong);
    }

    #[test]
    fn without_a_secret_nothing_is_accepted() {
        // The digest of the body under an empty key would be easy to make.
        let mut mac = Hmac::<Sha256>::new_from_slice(b"").unwrap();
        mac.update(BODY);
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        assert_eq!(github(&signature, "push", BODY, ""), Verdict::NoSecret);
        let signed = headers(&[("x-signature", &signature)]);
        assert_eq!(verify(Dialect::Generic, &signed, BODY, None), Verdict::NoSecret);
    }
}
