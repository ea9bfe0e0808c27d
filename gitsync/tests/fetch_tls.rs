//! Fetching over HTTPS: whose certificates count.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests and their helpers"
)]

mod support;

use std::path::Path;
use std::process::Command;

use dugout_gitsync::{Credentials, FetchProblem};
use dugout_model::SourceCondition;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use support::http::GitHttp;
use support::{PATIENCE, Repo, fetched_head};

/// Tells the copy of the test that trusts the authority where the server is.
const SERVER: &str = "DUGOUT_TEST_TLS_SERVER";
/// And where one is whose certificate, by the same authority, is another host's.
const OTHER_HOSTS: &str = "DUGOUT_TEST_TLS_OTHER_HOSTS";

/// What the machine trusts is read once in a process, so that one with the authority is another one.
#[test]
fn a_certificate_counts_when_a_trusted_authority_made_it() {
    if let Ok(url) = std::env::var(SERVER) {
        return trusting(&url);
    }
    let repo = Repo::new();
    repo.bare_clone();
    let folder = repo.folder.path();
    authority(folder);
    let server = GitHttp::serve_tls(folder, certificate(folder, "IP:127.0.0.1"));
    let other_hosts = GitHttp::serve_tls(folder, certificate(folder, "DNS:git.example.com"));
    let url = server.url("bare.git");
    let problem = repo.mirror_of(&url, Credentials::default()).fetch(PATIENCE).unwrap_err();
    assert!(matches!(problem, FetchProblem::CertificateInvalid { .. }), "{problem:?}");
    assert!(matches!(problem.condition(), SourceCondition::Unreachable { .. }));
    let said = problem.to_string();
    assert!(said.contains("certificate") && said.contains(&url), "{said}");

    let copy = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_certificate_counts_when_a_trusted_authority_made_it"])
        .env(SERVER, &url)
        .env(OTHER_HOSTS, other_hosts.url("bare.git"))
        .env("SSL_CERT_FILE", repo.folder.path().join("authority.pem"))
        // Straight to the server, whatever the machine says of other ways.
        .env_remove("HTTPS_PROXY")
        .env_remove("https_proxy")
        .output()
        .unwrap();
    assert!(copy.status.success(), "{}", String::from_utf8_lossy(&copy.stdout));
}

fn trusting(url: &str) {
    let repo = Repo::new();
    let mirror = repo.mirror_of(url, Credentials::default());
    let head = fetched_head(&mirror);
    assert_eq!(mirror.commit(&head).unwrap().message, "First\n");
    let url = std::env::var(OTHER_HOSTS).unwrap();
    let problem = repo.mirror_of(&url, Credentials::default()).fetch(PATIENCE).unwrap_err();
    assert!(matches!(problem, FetchProblem::CertificateInvalid { .. }), "{problem:?}");
    let SourceCondition::Unreachable { message } = problem.condition() else { panic!() };
    // Whom it was to be, and whose it is.
    for name in [url.as_str(), "not valid for name \"127.0.0.1\"", "git.example.com"] {
        assert!(message.contains(name), "no {name} in: {message}");
    }
}

const NEW_KEY: [&str; 6] = ["req", "-newkey", "rsa:2048", "-nodes", "-batch", "-subj"];

/// An authority of the test's own.
fn authority(folder: &Path) {
    openssl(
        folder,
        &[
            &NEW_KEY[..],
            &["/CN=Authority", "-x509", "-days", "2", "-keyout", "authority.key"],
            &["-out", "authority.pem"],
        ],
    );
}

/// A certificate of that authority for a host.
fn certificate(folder: &Path, host: &str) -> ServerConfig {
    let host = format!("subjectAltName={host}");
    openssl(
        folder,
        &[
            &NEW_KEY[..],
            &["/CN=Git", "-addext", &host],
            &["-keyout", "server.key", "-out", "server.csr"],
        ],
    );
    openssl(
        folder,
        &[
            &["x509", "-req", "-in", "server.csr", "-copy_extensions", "copy", "-days", "2"],
            &["-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial"],
            &["-out", "server.pem"],
        ],
    );
    let chain = vec![CertificateDer::from_pem_file(folder.join("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

fn openssl(folder: &Path, arguments: &[&[&str]]) {
    let output =
        Command::new("openssl").args(arguments.concat()).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
}
