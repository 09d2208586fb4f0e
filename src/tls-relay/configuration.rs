//! The offer of a relay: TLS 1.3, one certificate, and no memory of earlier connections.
//!
//! There is no session resumption: tickets need a secret that all relays share, which one that is taken over
//! could use to read others' later connections. A full handshake each time costs the signer one signature.

use crate::remote_key::RemoteKey;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use std::sync::Arc;

/// Answered if a client offers it. Others offer none, or names that are answered by none.
const ALPN: &[u8] = b"gopher";

/// With and without a name of the protocol.
#[derive(Debug)]
pub(crate) struct Configuration {
    plain: Arc<ServerConfig>,
    gopher: Arc<ServerConfig>,
}

impl Configuration {
    /// Of files in PEM.
    pub(crate) fn new(
        certificate: &[u8],
        client_ca: Option<&[u8]>,
        crl: Option<&[u8]>,
    ) -> Result<Configuration, String> {
        let chain = certificates(certificate, "the certificate")?;
        let own = chain.first().ok_or("the certificate's file has no CERTIFICATE in PEM")?;
        let key = RemoteKey::of(own)?;
        let certified = Arc::new(CertifiedKey::new(chain, Arc::new(key)));
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| error.to_string())?;
        let builder = match client_ca {
            Some(client_ca) => builder.with_client_cert_verifier(verifier(client_ca, crl)?),
            None => builder.with_no_client_auth(),
        };
        let mut plain = builder.with_cert_resolver(Arc::new(OnlyOne(certified)));
        plain.session_storage = Arc::new(NoServerSessionStorage {});
        plain.ticketer = Arc::new(VoidTickets);
        plain.send_tls13_tickets = 1;
        plain.max_early_data_size = 0;
        let mut gopher = plain.clone();
        gopher.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Configuration { plain: Arc::new(plain), gopher: Arc::new(gopher) })
    }

    /// The one that answers this client.
    pub(crate) fn for_client(&self, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
        let offered = hello.alpn().is_some_and(|mut offered| offered.any(|name| name == ALPN));
        Arc::clone(if offered { &self.gopher } else { &self.plain })
    }
}

/// Tickets that hold nothing, and that clients discard at once (RFC 8446, 4.6.1: a lifetime of 0).
///
/// After the handshake the server has nothing to say. A client that collects small writes (Nagle's algorithm)
/// then keeps its request until its last message of the handshake is acknowledged, which our kernel delays by
/// 40 ms. Whatever the server sends carries the acknowledgement, and a ticket is what every client expects.
#[derive(Debug)]
struct VoidTickets;

impl ProducesTickets for VoidTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _session: &[u8]) -> Option<Vec<u8>> {
        Some(vec![0; 16])
    }

    fn decrypt(&self, _ticket: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// The same certificate, whichever name is asked for.
#[derive(Debug)]
struct OnlyOne(Arc<CertifiedKey>);

impl ResolvesServerCert for OnlyOne {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>();
    all.map_err(|error| format!("{what} is no PEM: {error}"))
}

/// Every client must have a certificate of one of these CAs, which no list has revoked.
fn verifier(client_ca: &[u8], crl: Option<&[u8]>) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(client_ca, "the file of client CAs")? {
        roots.add(certificate).map_err(|error| format!("the file of client CAs: {error}"))?;
    }
    if roots.is_empty() {
        return Err("the file of client CAs has no CERTIFICATE in PEM".to_owned());
    }
    let lists = CertificateRevocationListDer::pem_slice_iter(crl.unwrap_or_default())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("the file of revoked certificates is no PEM: {error}"))?;
    if crl.is_some() && lists.is_empty() {
        return Err("the file of revoked certificates has no X509 CRL in PEM".to_owned());
    }
    // Each certificate of the chain is looked up. An issuer without a list revokes nobody: of several CAs, one
    // may have a list.
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()))
        .with_crls(lists)
        .allow_unknown_revocation_status()
        .build()
        .map_err(|error| format!("the client CAs or their revoked certificates cannot be used: {error}"))
}
