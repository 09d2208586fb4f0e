//! The handshake, in the order of the protocol: a peer that stalls is ended by the supervisor.

use crate::configuration::Configuration;
use crate::remote_key::NO_SIGNATURE;
use rustls::server::Acceptor;
use rustls::{CertificateError, Error, ServerConnection};
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use sys::Ignoring;
use tls_wire::Reason;

/// The socket, for what reads and writes through std's traits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Socket<'s>(pub(crate) BorrowedFd<'s>);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        sys::read(self.0, buffer).map_err(io::Error::from)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        sys::write(self.0, bytes).map_err(io::Error::from)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes the connection to its first byte of data. The client is told why not.
pub(crate) fn shake_hands(
    connection: BorrowedFd<'_>,
    configuration: &Configuration,
) -> Result<ServerConnection, Reason> {
    let mut socket = Socket(connection);
    let mut tls = hear_hello(&mut socket, configuration)?;
    loop {
        while tls.wants_write() {
            tls.write_tls(&mut socket).map_err(|_error| Reason::Nothing)?;
        }
        if !tls.is_handshaking() {
            return Ok(tls);
        }
        if tls.read_tls(&mut socket).map_err(|_error| Reason::Nothing)? == 0 {
            return Err(Reason::Nothing);
        }
        if let Err(error) = tls.process_new_packets() {
            while tls.wants_write() && tls.write_tls(&mut socket).is_ok() {}
            return Err(reason_of(&error));
        }
    }
}

fn hear_hello(socket: &mut Socket<'_>, configuration: &Configuration) -> Result<ServerConnection, Reason> {
    let mut acceptor = Acceptor::default();
    let accepted = loop {
        if acceptor.read_tls(socket).map_err(|_error| Reason::Nothing)? == 0 {
            return Err(Reason::Nothing);
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => break accepted,
            Err((error, mut alert)) => {
                alert.write_all(socket).ignoring("the peer may be gone");
                return Err(reason_of(&error));
            }
        }
    };
    let config = configuration.for_client(&accepted.client_hello());
    accepted.into_connection(config).map_err(|(error, mut alert)| {
        alert.write_all(socket).ignoring("the peer may be gone");
        reason_of(&error)
    })
}

fn reason_of(error: &Error) -> Reason {
    use rustls::PeerIncompatible as Incompatible;
    match error {
        Error::InvalidMessage(_) => Reason::NotTls,
        Error::AlertReceived(_) => Reason::Alert,
        Error::NoCertificatesPresented => Reason::NoCertificate,
        Error::InvalidCertificate(error) => reason_of_certificate(error),
        Error::PeerIncompatible(
            Incompatible::SupportedVersionsExtensionRequired
            | Incompatible::Tls12NotOffered
            | Incompatible::Tls12NotOfferedOrEnabled
            | Incompatible::SignatureAlgorithmsExtensionRequired,
        ) => Reason::Version,
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Reason::Incompatible,
        Error::General(text) if text == NO_SIGNATURE => Reason::Signer,
        Error::PeerMisbehaved(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerSentOversizedRecord
        | Error::DecryptError => Reason::Protocol,
        _ => Reason::Other,
    }
}

fn reason_of_certificate(error: &CertificateError) -> Reason {
    match error {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Reason::Expired,
        CertificateError::Revoked => Reason::Revoked,
        CertificateError::UnknownIssuer => Reason::UnknownIssuer,
        _ => Reason::BadCertificate,
    }
}
