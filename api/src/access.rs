//! Who may do what: deny by default. Operations need the operator token; reads are open to callers
//! on this machine and need the token from anywhere else.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use dugout_model::SecretValue;
use subtle::ConstantTimeEq;

use crate::failure::{Failure, Reason};

/// The shortest operator token that is accepted, in bytes.
pub const MINIMUM_TOKEN_BYTES: usize = 16;

/// Headers by which a proxy says that the caller is someone else.
const FORWARDED: [&str; 3] = ["forwarded", "x-forwarded-for", "x-real-ip"];

/// The rules of access to one server.
#[derive(Debug)]
pub struct Access {
    operator_token: SecretValue,
    hosts: Vec<String>,
}

/// What is wrong with the rules of access.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    #[error(
        "the operator token has {bytes} bytes; give it at least {MINIMUM_TOKEN_BYTES}, \
         so that it cannot be guessed"
    )]
    TokenTooShort { bytes: usize },
}

impl Access {
    /// `hosts` are the names, beside `localhost` and the loopback addresses, by which a browser or
    /// proxy on this machine may call this server without a token. They guard against DNS rebinding:
    /// a web page that points its own name at 127.0.0.1 sends that name as `Host`.
    pub fn new(
        operator_token: SecretValue,
        hosts: impl IntoIterator<Item = String>,
    ) -> Result<Self, AccessError> {
        let bytes = operator_token.expose().len();
        if bytes < MINIMUM_TOKEN_BYTES {
            return Err(AccessError::TokenTooShort { bytes });
        }
        let hosts = hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect();
        Ok(Self { operator_token, hosts })
    }

    /// Puts the rule for reads before every route of a router, its fallback included.
    pub fn guard_reads<S: Clone + Send + Sync + 'static>(
        self: &Arc<Self>,
        router: Router<S>,
    ) -> Router<S> {
        router.layer(from_fn_with_state(Arc::clone(self), check_reader))
    }

    /// Puts the rule for operations before every route of a router, its fallback included.
    pub fn guard_operations<S: Clone + Send + Sync + 'static>(
        self: &Arc<Self>,
        router: Router<S>,
    ) -> Router<S> {
        router.layer(from_fn_with_state(Arc::clone(self), check_operator))
    }

    fn may_operate(&self, headers: &HeaderMap) -> Result<(), Failure> {
        match self.token_in(headers) {
            Token::Right => Ok(()),
            Token::Wrong => Err(wrong_token()),
            Token::Absent => Err(Failure::new(
                Reason::Unauthorized,
                "this needs the operator token: send it as 'Authorization: Bearer …'; \
                 it is in the file operator.token of the server's data directory",
            )),
        }
    }

    fn may_read(
        &self,
        headers: &HeaderMap,
        host: Option<&str>,
        peer: Option<SocketAddr>,
    ) -> Result<(), Failure> {
        match self.token_in(headers) {
            Token::Right => return Ok(()),
            Token::Wrong => return Err(wrong_token()),
            Token::Absent => {}
        }
        let loopback = peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
        let forwarded = FORWARDED.iter().any(|name| headers.contains_key(*name));
        if !loopback || forwarded {
            return Err(Failure::new(
                Reason::Unauthorized,
                "from another machine this needs the operator token: send it as \
                 'Authorization: Bearer …'; it is in the file operator.token of the server's data \
                 directory",
            ));
        }
        if host.is_some_and(|host| self.knows_host(host)) {
            return Ok(());
        }
        Err(Failure::new(
            Reason::Forbidden,
            format!(
                "this server does not answer to the name '{}' without a token; call it as \
                 localhost, or name the host with --host-name when the server is started",
                host.unwrap_or("")
            ),
        ))
    }

    fn token_in(&self, headers: &HeaderMap) -> Token {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return Token::Absent };
        let given = match value.as_bytes().split_at_checked(7) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") => token,
            _ => return Token::Wrong,
        };
        if bool::from(given.ct_eq(self.operator_token.expose())) {
            Token::Right
        } else {
            Token::Wrong
        }
    }

    fn knows_host(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        ["localhost", "127.0.0.1", "[::1]"].contains(&name.as_str()) || self.hosts.contains(&name)
    }
}

enum Token {
    Absent,
    Wrong,
    Right,
}

fn wrong_token() -> Failure {
    Failure::new(Reason::Unauthorized, "the token is not the operator token of this server")
}

async fn check_reader(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    match access.may_read(request.headers(), host_of(&request), peer_of(&request)) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

async fn check_operator(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    match access.may_operate(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

/// The name that was called: from the request line in HTTP/2, from `Host` in HTTP/1.1.
fn host_of(request: &Request) -> Option<&str> {
    let authority = request.uri().authority().map(|authority| authority.as_str());
    authority.or_else(|| request.headers().get(header::HOST)?.to_str().ok())
}

/// Absent when the server was not started with connection information: then nobody is local.
fn peer_of(request: &Request) -> Option<SocketAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0)
}

fn without_port(host: &str) -> &str {
    let after_bracket = host.rfind(']').map_or(0, |at| at + 1);
    match host[after_bracket..].find(':') {
        Some(at) => &host[..after_bracket + at],
        None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    const TOKEN: &str = "0123456789abcdef";

    fn access() -> Access {
        Access::new(SecretValue::new(TOKEN), ["dugout.example".to_owned()]).expect("a long token")
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let name = header::HeaderName::from_static(name);
                (name, HeaderValue::from_str(value).expect("a header"))
            })
            .collect()
    }

    fn read(pairs: &[(&'static str, &str)], host: &str, peer: &str) -> Result<(), Reason> {
        let peer = peer.parse().ok();
        access().may_read(&headers(pairs), Some(host), peer).map_err(|failure| failure.reason)
    }

    #[test]
    fn reads_are_open_on_this_machine_and_closed_elsewhere() {
        assert_eq!(read(&[], "localhost:7300", "127.0.0.1:999"), Ok(()));
        assert_eq!(read(&[], "[::1]:7300", "[::1]:999"), Ok(()));
        assert_eq!(read(&[], "127.0.0.1", "[::ffff:127.0.0.1]:999"), Ok(()));
        assert_eq!(read(&[], "dugout.example:80", "127.0.0.1:999"), Ok(()));
        assert_eq!(read(&[], "localhost", "10.0.0.1:999"), Err(Reason::Unauthorized));
        assert_eq!(read(&[], "localhost", "unknown"), Err(Reason::Unauthorized));
        let bearer = format!("Bearer {TOKEN}");
        assert_eq!(read(&[("authorization", &bearer)], "any.name", "10.0.0.1:999"), Ok(()));
    }

    #[test]
    fn a_page_that_rebinds_its_name_to_this_machine_reads_nothing() {
        assert_eq!(read(&[], "evil.example:7300", "127.0.0.1:999"), Err(Reason::Forbidden));
        let refused = access().may_read(&headers(&[]), Some("a"), "127.0.0.1:9".parse().ok());
        assert!(refused.is_err_and(|failure| failure.message.contains("--host-name")));
        assert_eq!(read(&[], "localhost.evil.example", "127.0.0.1:999"), Err(Reason::Forbidden));
    }

    #[test]
    fn a_caller_behind_a_proxy_is_not_local() {
        let through = [("x-forwarded-for", "203.0.113.7")];
        assert_eq!(read(&through, "localhost", "127.0.0.1:999"), Err(Reason::Unauthorized));
    }

    #[test]
    fn a_wrong_token_is_refused_even_where_none_is_needed() {
        for wrong in ["Bearer 0123456789abcdeX", "Bearer ", "Basic xyz", "Bearer 0123456789abcdef0"]
        {
            let pairs = [("authorization", wrong)];
            assert_eq!(read(&pairs, "localhost", "127.0.0.1:999"), Err(Reason::Unauthorized));
        }
    }

    #[test]
    fn operations_always_need_the_token() {
        let right = format!("bearer {TOKEN}");
        assert!(access().may_operate(&headers(&[("authorization", &right)])).is_ok());
        assert!(access().may_operate(&headers(&[])).is_err());
        assert!(access().may_operate(&headers(&[("authorization", "Bearer no")])).is_err());
    }

    #[test]
    fn a_token_that_can_be_guessed_is_not_accepted() {
        assert!(Access::new(SecretValue::new(""), []).is_err());
        assert!(Access::new(SecretValue::new("short"), []).is_err());
    }
}
