//! Git's smart protocol over HTTP, under libgit2. It keeps the connection, sends a request at once
//! instead of waiting between its head and its body for the other side's acknowledgement, and says
//! what an answer means while its status is at hand.

use std::cell::RefCell;
use std::error::Error;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use ureq::http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, WWW_AUTHENTICATE,
};
use ureq::http::{Request, Response};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy};

use crate::deadline::Deadline;
use crate::location::{self, Location};
use crate::{Credentials, FetchProblem};

/// How long one connection attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may be silent.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest request: a list of what we have, or the pack of a revert.
const REQUEST_LIMIT_BYTES: usize = 64 << 20;
/// What is read of an answer after its last packet, so that its connection can be used again.
const REST_LIMIT_BYTES: u64 = 4096;

/// The way to one remote. It remembers the connection, and that the remote asked for a password.
pub(crate) struct Client {
    agent: Agent,
    credentials: Credentials,
    /// Without the user, who is sent as a header.
    url: String,
    user: Option<String>,
    /// As people know it.
    remote: String,
    /// The remote asked for `Basic` credentials before. They then go along at once, as RFC 7617,
    /// section 2.2, allows for everything below the same path.
    challenged: AtomicBool,
}

impl Client {
    /// None for what is not reached over HTTP.
    pub(crate) fn new(location: &Location, credentials: &Credentials) -> Option<Arc<Client>> {
        let Location::Network { url, transport, .. } = location else { return None };
        let proxy = match transport {
            location::Transport::Ssh => return None,
            location::Transport::Https => Proxy::try_from_env(),
            location::Transport::Http => proxy_of_plain_http(),
        };
        let (url, user) = without_user(url);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let agent = Agent::config_builder()
            // Forges look for "git/" to tell a Git client from a browser.
            .user_agent("git/2.0 (dugout)")
            .tls_config(tls)
            .proxy(proxy)
            .http_status_as_error(false)
            // Our credentials, and our trust, do not follow to another place.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_per_read(Some(SILENCE_TIMEOUT))
            .timeout_per_write(Some(SILENCE_TIMEOUT))
            .build()
            .new_agent();
        Some(Arc::new(Client {
            agent,
            credentials: credentials.clone(),
            url,
            user,
            remote: location.to_string(),
            challenged: AtomicBool::new(false),
        }))
    }

    fn authorization(&self) -> Option<HeaderValue> {
        let password = self.credentials.password.as_ref()?.expose();
        let user = self.credentials.username.as_deref().or(self.user.as_deref()).unwrap_or("git");
        let pair = [user.as_bytes(), b":", password].concat();
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// One conversation under way: what libgit2 asks for goes out over the client, and why it ended is
/// remembered.
pub(crate) struct Conversation {
    client: Arc<Client>,
    deadline: Arc<Deadline>,
    ended_by: Mutex<Option<FetchProblem>>,
}

thread_local! {
    /// libgit2 makes a transport on the thread that connects, and offers no other way to pass it on.
    static UNDER_WAY: RefCell<Option<Arc<Conversation>>> = const { RefCell::new(None) };
}

/// Ends the conversation of this thread when dropped.
pub(crate) struct UnderWay(pub(crate) Arc<Conversation>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.take();
    }
}

/// Makes the transports of libgit2 for `http:` and `https:` ours.
///
/// # Safety
/// No other thread may use libgit2 yet.
pub(crate) unsafe fn register() -> Result<(), git2::Error> {
    for scheme in ["http", "https"] {
        // SAFETY: the caller keeps others away.
        unsafe {
            git2::transport::register(scheme, |remote| {
                let conversation = UNDER_WAY.with_borrow(Clone::clone);
                let conversation =
                    conversation.ok_or_else(|| git2::Error::from_str("no conversation began"))?;
                Transport::smart(remote, true, Carrier(conversation))
            })?;
        }
    }
    Ok(())
}

impl Conversation {
    pub(crate) fn begin(client: &Arc<Client>, deadline: &Arc<Deadline>) -> UnderWay {
        let conversation = Arc::new(Conversation {
            client: Arc::clone(client),
            deadline: Arc::clone(deadline),
            ended_by: Mutex::default(),
        });
        UNDER_WAY.set(Some(Arc::clone(&conversation)));
        UnderWay(conversation)
    }

    /// What ended it, if that was on the way and not in the content.
    pub(crate) fn ended_by(&self) -> Option<FetchProblem> {
        self.ended_by.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn end(&self, problem: FetchProblem) -> io::Error {
        let error = io::Error::other(problem.to_string());
        self.ended_by.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(problem);
        error
    }

    /// Sends a request and gives its answer, if that is one of Git's.
    fn exchange(&self, service: Service, body: &[u8]) -> Result<Response<Body>, FetchProblem> {
        let client = &self.client;
        let mut authorized = client.challenged.load(Ordering::Relaxed);
        let mut answer = self.send(service, body, authorized)?;
        if answer.status() == 401 && !authorized && client.authorization().is_some() {
            let mut challenges = answer.headers().get_all(WWW_AUTHENTICATE).iter();
            if challenges.any(|value| asks_for_basic(value.as_bytes())) {
                drain(answer.body_mut().as_reader());
                authorized = true;
                answer = self.send(service, body, authorized)?;
                client.challenged.store(answer.status() != 401, Ordering::Relaxed);
            }
        }
        self.judge(service, answer, authorized)
    }

    fn send(
        &self,
        service: Service,
        body: &[u8],
        authorized: bool,
    ) -> Result<Response<Body>, FetchProblem> {
        let client = &self.client;
        let name = name_of(service);
        let mut request = match service {
            Service::UploadPackLs | Service::ReceivePackLs => {
                Request::get(format!("{}/info/refs?service={name}", client.url))
            }
            Service::UploadPack | Service::ReceivePack => {
                Request::post(format!("{}/{name}", client.url))
                    .header(CONTENT_TYPE, format!("application/x-{name}-request"))
            }
        };
        request = request.header(ACCEPT, expected_type(service));
        if let Some(value) = client.authorization().filter(|_| authorized) {
            request = request.header(AUTHORIZATION, value);
        }
        // With its length, so that it goes out as one piece.
        let request = request.body(body).map_err(|error| self.unreachable(error))?;
        let request = client
            .agent
            .configure_request(request)
            .timeout_global(Some(self.deadline.remaining()))
            .build();
        client.agent.run(request).map_err(|error| self.failure(error))
    }

    fn judge(
        &self,
        service: Service,
        answer: Response<Body>,
        authorized: bool,
    ) -> Result<Response<Body>, FetchProblem> {
        let remote = self.client.remote.clone();
        let status = answer.status();
        let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        match status.as_u16() {
            200 => {}
            300..=399 => {
                let to = text(LOCATION).unwrap_or("nowhere").to_owned();
                return Err(FetchProblem::Redirected { remote, to: address_alone(&to) });
            }
            401 => {
                self.client.challenged.store(false, Ordering::Relaxed);
                let tried = match (authorized, &self.client.credentials.password) {
                    (true, _) => "the password",
                    (false, Some(_)) => "the password was kept back, as it did not ask for Basic",
                    (false, None) => "none are set",
                };
                let tried = tried.to_owned();
                return Err(FetchProblem::AuthenticationFailed { remote, tried });
            }
            403 => return Err(FetchProblem::Forbidden { remote }),
            404 | 410 => {
                let cause = Box::new(io::Error::other(format!("HTTP status {status}")));
                return Err(FetchProblem::NoRepository { remote, cause });
            }
            code => return Err(FetchProblem::Refused { remote, status: code }),
        }
        if text(CONTENT_TYPE) != Some(expected_type(service).as_str()) {
            return Err(FetchProblem::NotGit { remote });
        }
        Ok(answer)
    }

    fn failure(&self, error: ureq::Error) -> FetchProblem {
        let remote = self.client.remote.clone();
        if matches!(error, ureq::Error::Timeout(_)) || self.deadline.passed() {
            return FetchProblem::DeadlineExceeded { remote, deadline: self.deadline.span };
        }
        if is_about_certificate(&error) {
            return FetchProblem::CertificateInvalid { remote, cause: Box::new(error) };
        }
        self.unreachable(error)
    }

    fn unreachable(&self, error: impl Error + Send + Sync + 'static) -> FetchProblem {
        let remote = self.client.remote.clone();
        FetchProblem::Unreachable { remote, cause: Box::new(error) }
    }
}

/// Carries libgit2's requests.
struct Carrier(Arc<Conversation>);

impl SmartSubtransport for Carrier {
    fn action(
        &self,
        _url: &str,
        service: Service,
    ) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let conversation = Arc::clone(&self.0);
        let (request, seen) = (Vec::new(), Vec::new());
        Ok(Box::new(Stream { conversation, service, request, answer: None, seen }))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// One request, collected while it is written, and its answer, asked for at the first read.
struct Stream {
    conversation: Arc<Conversation>,
    service: Service,
    request: Vec<u8>,
    answer: Option<ureq::BodyReader<'static>>,
    /// Of a list of references: the end of what was read, in case a packet's start is split.
    seen: Vec<u8>,
}

impl Stream {
    /// Whether the list says of a commit that those before it are missing. libgit2 cannot read that.
    fn says_shallow(&mut self, bytes: &[u8]) -> bool {
        // A packet with its length; nothing else in a list can look like one, as names have no spaces.
        let starts: [&[u8]; 2] = [b"0034shallow ", b"0035shallow "];
        self.seen.extend_from_slice(bytes);
        let length = starts[0].len();
        let found = self.seen.windows(length).any(|window| starts.contains(&window));
        self.seen.drain(..self.seen.len().saturating_sub(length - 1));
        found
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.request.len() + bytes.len() > REQUEST_LIMIT_BYTES {
            return Err(io::Error::other("the request to the repository is too large"));
        }
        self.request.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let conversation = &self.conversation;
        let answer = match &mut self.answer {
            Some(answer) => answer,
            none => {
                let answer = conversation
                    .exchange(self.service, &self.request)
                    .map_err(|problem| conversation.end(problem))?;
                none.insert(answer.into_body().into_with_config().limit(u64::MAX).reader())
            }
        };
        let length = answer
            .read(buffer)
            .map_err(|error| conversation.end(conversation.failure(ureq::Error::Io(error))))?;
        if matches!(self.service, Service::UploadPackLs) && self.says_shallow(&buffer[..length]) {
            let remote = self.conversation.client.remote.clone();
            return Err(self.conversation.end(FetchProblem::Shallow { remote }));
        }
        Ok(length)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            drain(answer);
        }
    }
}

/// Whether `Basic` is among the challenges of a `WWW-Authenticate` header: several may stand in one, and
/// a quoted parameter may hold commas (RFC 9110, sections 11.3 and 11.6.1).
fn asks_for_basic(challenges: &[u8]) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    let mut parts = challenges.split(|byte| {
        let literal = std::mem::take(&mut escaped);
        match byte {
            b'\\' => escaped = quoted && !literal,
            b'"' => quoted ^= !literal,
            _ => {}
        }
        *byte == b',' && !quoted
    });
    parts.any(|part| {
        let part = part.trim_ascii();
        let end = part.iter().position(u8::is_ascii_whitespace).unwrap_or(part.len());
        let (word, rest) = part.split_at(end);
        // A parameter may have that name too.
        word.eq_ignore_ascii_case(b"basic") && !rest.trim_ascii_start().starts_with(b"=")
    })
}

/// Reads the little that may be left, so that the connection is free for the next request.
fn drain(answer: impl Read) {
    let _ = io::copy(&mut answer.take(REST_LIMIT_BYTES), &mut io::sink());
}

fn name_of(service: Service) -> &'static str {
    match service {
        Service::UploadPackLs | Service::UploadPack => "git-upload-pack",
        Service::ReceivePackLs | Service::ReceivePack => "git-receive-pack",
    }
}

fn expected_type(service: Service) -> String {
    let what = match service {
        Service::UploadPackLs | Service::ReceivePackLs => "advertisement",
        Service::UploadPack | Service::ReceivePack => "result",
    };
    format!("application/x-{}-{what}", name_of(service))
}

/// The environment names proxies by the scheme they are for; one for `https:` alone is not for us.
fn proxy_of_plain_http() -> Option<Proxy> {
    let names = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    names.iter().find(|name| std::env::var_os(name).is_some()).and_then(|_| Proxy::try_from_env())
}

/// A URL without its user and without a slash at its end, and the user.
fn without_user(url: &str) -> (String, Option<String>) {
    let url = url.trim_end_matches('/');
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), None) };
    let server_end = rest.find('/').unwrap_or(rest.len());
    match rest[..server_end].rfind('@') {
        Some(at) => {
            let user = location::percent_decode(&rest[..at]).filter(|user| !user.is_empty());
            (format!("{scheme}://{}", &rest[at + 1..]), user)
        }
        None => (url.to_owned(), None),
    }
}

/// The repository that a redirect points to, as far as it can be shown: no user, no query.
fn address_alone(target: &str) -> String {
    let target = target.split(['?', '#']).next().unwrap_or_default();
    let target = target.strip_suffix("/info/refs").unwrap_or(target);
    let shown =
        target.chars().filter(|character| !character.is_control()).take(300).collect::<String>();
    without_user(&shown).0
}

/// Whether TLS ended at the other side's certificate.
fn is_about_certificate(error: &ureq::Error) -> bool {
    let tls = match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
        _ => None,
    };
    matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_taken_out_of_the_url() {
        let split = |url| without_user(url);
        assert_eq!(
            split("https://a%40b@host:1/x.git/"),
            ("https://host:1/x.git".to_owned(), Some("a@b".to_owned()))
        );
        assert_eq!(split("http://host/x@y"), ("http://host/x@y".to_owned(), None));
    }

    #[test]
    fn a_challenge_is_found_among_others_and_not_inside_of_one() {
        for challenges in [
            "Basic",
            "basic realm=\"git\"",
            "Negotiate, Basic realm=\"git\"",
            r#"Digest realm="a \"quoted\", one",nonce="b" , BASIC realm="git""#,
        ] {
            assert!(asks_for_basic(challenges.as_bytes()), "{challenges}");
        }
        for challenges in [
            "",
            "Negotiate",
            "Basically realm=\"git\"",
            "Digest realm=\"a, Basic b\"",
            r#"Digest realm="a \", Basic b""#,
            "Digest realm=a, basic = b",
        ] {
            assert!(!asks_for_basic(challenges.as_bytes()), "{challenges}");
        }
    }

    #[test]
    fn the_target_of_a_redirect_is_shown_without_secrets() {
        let shown = address_alone("https://me:hunter2@host/a.git/info/refs?service=x&token=y");
        assert_eq!(shown, "https://host/a.git");
    }
}
