//! HTTPS on the HTTP port, with certificates that are renewed while the server runs.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use sfu_server::config::{Settings, TlsMode};

use crate::harness::{PATIENCE, TestServer};

/// A folder with a certificate for localhost and its key.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sfu-doors-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    /// Writes a new pair and returns the certificate.
    fn renew(&self) -> CertificateDer<'static> {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(self.path("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(self.path("key.pem"), key.serialize_pem()).unwrap();
        certificate.der().clone()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What the server answers to a request of a client that trusts `certificate` only.
async fn get(addr: SocketAddr, certificate: &CertificateDer<'static>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let ask = move || {
        let name = "localhost".try_into().unwrap();
        let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut tcp = TcpStream::connect(addr)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        match stream.read_to_string(&mut answer) {
            // Closed without a goodbye: HTTP has said how long the answer is.
            Err(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => Err(e),
            _ => Ok(answer),
        }
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

fn with_files(settings: &mut Settings, folder: &Path) {
    settings.tls.mode = TlsMode::Files;
    settings.tls.cert_file = Some(folder.join("cert.pem"));
    settings.tls.key_file = Some(folder.join("key.pem"));
}

#[tokio::test]
async fn certificates_from_files_are_renewed_by_a_reload() {
    let folder = Folder::new("renewed");
    let first = folder.renew();
    let server = TestServer::start_with(|settings| with_files(settings, &folder.0)).await;
    let addr = server.server.http_addr;
    assert!(get(addr, &first).await.unwrap().starts_with("HTTP/1.1 200 OK"));

    let second = folder.renew();
    assert!(get(addr, &second).await.is_err(), "nobody has read the new one yet");
    let mut settings = Settings::default();
    with_files(&mut settings, &folder.0);
    server.server.reload(&settings).unwrap();
    assert!(get(addr, &second).await.unwrap().starts_with("HTTP/1.1 200 OK"));
    assert!(get(addr, &first).await.is_err());

    std::fs::write(folder.path("key.pem"), "nonsense").unwrap();
    assert!(server.server.reload(&settings).is_err());
    assert!(get(addr, &second).await.unwrap().starts_with("HTTP/1.1 200 OK"), "the last good one");
    server.server.stop().await;
}

#[tokio::test]
async fn a_handshake_that_stalls_is_cut_off() {
    let start = |settings: &mut Settings| settings.tls.mode = TlsMode::SelfSigned;
    let server = TestServer::start_with(start).await;
    assert!(server.server.is_https);
    let addr = server.server.http_addr;
    let stall = move || {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // The beginning of a handshake record that never ends.
        stream.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
        let begin = std::time::Instant::now();
        let read = stream.read(&mut [0; 64]);
        assert!(matches!(read, Ok(0)) || read.is_err_and(|e| !is_timeout(&e)));
        begin.elapsed()
    };
    let took = tokio::task::spawn_blocking(stall).await.unwrap();
    assert!(took < sfu_server::limits::HEAD_DEADLINE * 2, "{took:?}");
    server.server.stop().await;
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

#[tokio::test]
async fn plain_http_to_an_https_port_is_no_answer_and_no_harm() {
    let start = |settings: &mut Settings| settings.tls.mode = TlsMode::SelfSigned;
    let server = TestServer::start_with(start).await;
    let answer = server.request("GET", "/livez").send().await;
    assert!(answer.is_err(), "{answer:?}");
    server.server.stop().await;
}
