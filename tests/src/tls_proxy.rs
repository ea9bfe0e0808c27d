//! A proxy of a test that speaks TLS to its callers, with a certificate that nobody vouches for.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// Passes bytes on until it is dropped.
pub struct TlsProxy {
    pub address: SocketAddr,
    _runtime: Runtime,
}

impl TlsProxy {
    /// Before the server on this port of the loopback.
    pub fn start(port: u16) -> Self {
        let runtime = Runtime::new().expect("a runtime can be started");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let acceptor = TlsAcceptor::from(Arc::new(config()));
        runtime.spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut caller = acceptor.accept(caller).await.ok()?;
                    let mut server = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
                    tokio::io::copy_bidirectional(&mut caller, &mut server).await.ok()
                });
            }
        });
        Self { address, _runtime: runtime }
    }
}

fn config() -> ServerConfig {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (key, certificate) = (folder.path().join("key"), folder.path().join("certificate"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("install openssl");
    assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
    let certificate = CertificateDer::from_pem_file(certificate).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key fits")
}
