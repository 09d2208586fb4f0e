//! Holds the key of a TLS certificate. It signs what a TLS 1.3 handshake needs, and nothing else.
//!
//! Descriptor 0 is a socket to the supervisor, 3 the key and 4 the certificate. The supervisor passes on what
//! relays ask for; nobody reads it on the way. No other process ever has the key.

mod check;
mod content;
mod files;

use rustls::SignatureScheme;
use rustls::sign::SigningKey;
use std::io::{Write, stderr};
use std::os::fd::BorrowedFd;
use std::process::ExitCode;
use std::sync::Arc;
use sys::Ignoring;
use tls_wire::{Answer, REQUEST_MAX, SIGNATURE_MAX};

const KEY_FD: i32 = 3;
const CERTIFICATE_FD: i32 = 4;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => serve(),
        ["--check", certificate, key] => check::check(certificate, key),
        _ => Err("usage: signer [--check CERTIFICATE KEY]; dayfly serve starts it".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            writeln!(stderr(), "{why}").ignoring("nobody reads it");
            ExitCode::FAILURE
        }
    }
}

/// Answers until the supervisor closes.
fn serve() -> Result<(), String> {
    let key = files::inherited(KEY_FD).map_err(|error| format!("cannot read the key: {error}"))?;
    let chain =
        files::inherited(CERTIFICATE_FD).map_err(|error| format!("cannot read the certificate: {error}"))?;
    let certified = files::certified(&chain, &key)?;
    drop(key);
    let control = sys::borrowed(0).map_err(|errno| format!("no socket to the supervisor: {errno}"))?;
    // A number that no connection has: the key is the certificate's.
    say(control, 0, &Answer::Refused)?;
    let mut message = [0; 8 + REQUEST_MAX + 1];
    loop {
        let count =
            sys::read(control, &mut message).map_err(|errno| format!("cannot read a request: {errno}"))?;
        if count == 0 {
            return Ok(());
        }
        let Some((number, request)) = tls_wire::split(&message[..count]) else { continue };
        say(control, number, &sign(&certified.key, request))?;
    }
}

fn say(control: BorrowedFd<'_>, number: u64, answer: &Answer) -> Result<(), String> {
    let sent = sys::write(control, &tls_wire::answer(number, answer));
    sent.map(drop).map_err(|errno| format!("cannot answer: {errno}"))
}

fn sign(key: &Arc<dyn SigningKey>, request: &[u8]) -> Answer {
    let signature = content::parse(request).and_then(|request| {
        let scheme = SignatureScheme::from(request.scheme);
        // Keys of rustls sign with what TLS 1.2 has as well.
        let signer = key.choose_scheme(&[scheme]).filter(|signer| is_of_tls13(signer.scheme()))?;
        signer.sign(request.content).ok().filter(|signature| signature.len() <= SIGNATURE_MAX)
    });
    signature.map_or(Answer::Refused, Answer::Signature)
}

/// Schemes that TLS 1.3 allows in a CertificateVerify (RFC 8446, 4.2.3), of those that rustls has.
fn is_of_tls13(scheme: SignatureScheme) -> bool {
    matches!(
        scheme,
        SignatureScheme::RSA_PSS_SHA256
            | SignatureScheme::RSA_PSS_SHA384
            | SignatureScheme::RSA_PSS_SHA512
            | SignatureScheme::ECDSA_NISTP256_SHA256
            | SignatureScheme::ECDSA_NISTP384_SHA384
            | SignatureScheme::ED25519
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_of_older_versions_are_none_of_tls13() {
        for scheme in [
            SignatureScheme::RSA_PKCS1_SHA1,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA512,
            SignatureScheme::ECDSA_SHA1_Legacy,
        ] {
            assert!(!is_of_tls13(scheme), "{scheme:?}");
        }
    }
}
