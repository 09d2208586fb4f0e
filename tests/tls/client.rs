//! A client that speaks TLS exactly as a test wants it.

use super::certificates::{Authority, NAME, Pair, read};
use common::PATIENCE;
use common::serve::Serving;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct TlsClient(pub(crate) StreamOwned<ClientConnection, TcpStream>);

/// How the server's stream has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With a close_notify.
    Clean,
    Cut,
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(&read(path)).map(Result::unwrap).collect()
}

pub(crate) fn settings(authority: &Authority, own: Option<&Pair>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&authority.certificate()) {
        roots.add(certificate).unwrap();
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    match own {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let key = PrivateKeyDer::from_pem_slice(&read(&pair.key)).unwrap();
            builder.with_client_auth_cert(certificates(&pair.certificate), key).unwrap()
        }
    }
}

impl TlsClient {
    /// Connects; the handshake happens with the first byte.
    pub(crate) fn begin(serving: &Serving<'_>, settings: ClientConfig) -> TlsClient {
        TlsClient::begin_at(serving.address, settings)
    }

    /// The same where something stands in front of the server.
    pub(crate) fn begin_at(address: SocketAddr, settings: ClientConfig) -> TlsClient {
        let name = ServerName::try_from(NAME).unwrap();
        let tls = ClientConnection::new(Arc::new(settings), name).unwrap();
        let tcp = TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_write_timeout(Some(PATIENCE)).unwrap();
        TlsClient(StreamOwned::new(tls, tcp))
    }

    pub(crate) fn connect(serving: &Serving<'_>, authority: &Authority) -> TlsClient {
        TlsClient::begin(serving, settings(authority, None))
    }

    /// To the end of the handshake, as the client sees it.
    pub(crate) fn shake_hands(&mut self) -> io::Result<()> {
        while self.0.conn.is_handshaking() {
            self.0.conn.complete_io(&mut self.0.sock)?;
        }
        Ok(())
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
        self.0.flush().unwrap();
    }

    /// Says that this was all, and ends the sending of TCP too.
    pub(crate) fn half_close(&mut self) {
        self.0.conn.send_close_notify();
        while self.0.conn.wants_write() {
            self.0.conn.write_tls(&mut self.0.sock).unwrap();
        }
        self.0.sock.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends the sending of TCP without a word.
    pub(crate) fn cut(&mut self) {
        self.0.sock.shutdown(Shutdown::Write).unwrap();
    }

    pub(crate) fn rest(&mut self) -> (Vec<u8>, End) {
        let mut all = Vec::new();
        match self.0.read_to_end(&mut all) {
            Ok(_) => (all, End::Clean),
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                (all, End::Cut)
            }
            Err(error) => panic!("after {} bytes: {error}", all.len()),
        }
    }

    /// The same to a server that may have gone.
    pub(crate) fn half_close_if_there(&mut self) {
        self.0.conn.send_close_notify();
        while self.0.conn.wants_write() && self.0.conn.write_tls(&mut self.0.sock).is_ok() {}
        let _gone = self.0.sock.shutdown(Shutdown::Write);
    }

    /// The rest, from a server that may break the connection off; None after an alert.
    pub(crate) fn rest_if_there(&mut self) -> Option<(Vec<u8>, End)> {
        let mut all = Vec::new();
        match self.0.read_to_end(&mut all) {
            Ok(_) => Some((all, End::Clean)),
            Err(error) if error.kind() == ErrorKind::InvalidData => None,
            Err(_) => Some((all, End::Cut)),
        }
    }

    /// Sends, says that this was all, and reads to a clean end.
    #[track_caller]
    pub(crate) fn ask(mut self, input: &[u8]) -> Vec<u8> {
        self.shake_hands().unwrap();
        self.send(input);
        self.half_close();
        let (answer, end) = self.rest();
        assert_eq!(end, End::Clean, "{} bytes", answer.len());
        answer
    }

    /// What the server says to this client, which it refuses: in TLS 1.3 the client's own handshake is over by then.
    pub(crate) fn refusal(mut self) -> String {
        let refused = self.shake_hands().and_then(|()| {
            self.0.write_all(b"x")?;
            self.0.flush()?;
            self.0.read(&mut [0]).map(drop)
        });
        refused.map_or_else(|error| error.to_string(), |()| "none".to_owned())
    }
}
