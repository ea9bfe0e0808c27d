//! The HTTP client of the tests.

use std::time::Duration;

pub use reqwest::blocking::{Client, Response};

/// How long one request may take.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// A client that keeps its connections for the next request, or none.
pub fn client(keeps_connections: bool) -> Client {
    // The tests speak plain HTTP; the client wants to know a provider all the same. A second call
    // changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .timeout(REQUEST_DEADLINE)
        .pool_max_idle_per_host(if keeps_connections { 4 } else { 0 })
        .build()
        .expect("an HTTP client can be made")
}

/// A client that calls from one of this machine's loopback addresses.
pub fn from(address: &str) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .timeout(REQUEST_DEADLINE)
        .local_address(address.parse::<std::net::IpAddr>().expect("an address"))
        .build()
        .expect("an HTTP client can be made")
}

/// The text of a good answer.
pub fn text(client: &Client, url: &str) -> Option<String> {
    let answer = client.get(url).send().ok()?;
    answer.status().is_success().then(|| answer.text().ok())?
}
