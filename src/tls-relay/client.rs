//! The relay's report of a handshake to the supervisor: the suite, the name that was asked for, the client's
//! certificate.

use ring::digest::{SHA256, digest};
use rustls::ServerConnection;
use rustls::pki_types::CertificateDer;
use tls_wire::{Cipher, Client, Facts, NAME_MAX, Reason, is_host_name};
use x509_cert::Certificate;
use x509_cert::der::Decode;

pub(crate) fn facts(tls: &ServerConnection) -> Result<Facts, Reason> {
    let suite = tls.negotiated_cipher_suite().map(|suite| u16::from(suite.suite()));
    let cipher = suite.and_then(Cipher::of).ok_or(Reason::Incompatible)?;
    let server_name = tls.server_name().map(str::to_ascii_lowercase).filter(|name| is_host_name(name));
    let client = tls.peer_certificates().and_then(<[_]>::first).map(client).transpose()?;
    Ok(Facts { cipher, server_name, client })
}

fn client(der: &CertificateDer<'_>) -> Result<Client, Reason> {
    let parsed = Certificate::from_der(der).map_err(|_error| Reason::BadCertificate)?.tbs_certificate;
    let hash = digest(&SHA256, der).as_ref().try_into().map_err(|_error| Reason::Other)?;
    Ok(Client {
        hash,
        subject: text(&parsed.subject.to_string()),
        issuer: text(&parsed.issuer.to_string()),
        not_after: parsed.validity.not_after.to_date_time().to_string(),
    })
}

/// Without control characters, and cut where it is too long.
fn text(name: &str) -> String {
    let shown: String = name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    shown[..shown.floor_char_boundary(NAME_MAX)].to_owned()
}
