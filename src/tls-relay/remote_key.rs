//! The key that is elsewhere: a signature costs a question to the signer.

use rustls::pki_types::CertificateDer;
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use sys::Errno;
use tls_wire::{Answer, CONTROL_FD, Report, SIGNATURE_MAX};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;

/// Kinds of keys, by the identifiers in the certificate, and what they sign with in TLS 1.3.
const RSA: &str = "1.2.840.113549.1.1.1";
const ELLIPTIC: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";
const ED25519: &str = "1.3.101.112";

/// The facts of the key that a relay knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RemoteKey {
    algorithm: SignatureAlgorithm,
    schemes: &'static [SignatureScheme],
}

impl RemoteKey {
    /// The key of this certificate.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Result<RemoteKey, String> {
        let parsed = Certificate::from_der(certificate)
            .map_err(|error| format!("the certificate cannot be used: {error}"))?;
        let algorithm = &parsed.tbs_certificate.subject_public_key_info.algorithm;
        let curve =
            algorithm.parameters.as_ref().and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok());
        let curve = curve.map(|curve| curve.to_string()).unwrap_or_default();
        let (algorithm, schemes): (_, &[_]) = match (algorithm.oid.to_string().as_str(), curve.as_str()) {
            (RSA, _) => (
                SignatureAlgorithm::RSA,
                &[
                    SignatureScheme::RSA_PSS_SHA256,
                    SignatureScheme::RSA_PSS_SHA384,
                    SignatureScheme::RSA_PSS_SHA512,
                ],
            ),
            (ELLIPTIC, P256) => (SignatureAlgorithm::ECDSA, &[SignatureScheme::ECDSA_NISTP256_SHA256]),
            (ELLIPTIC, P384) => (SignatureAlgorithm::ECDSA, &[SignatureScheme::ECDSA_NISTP384_SHA384]),
            (ED25519, _) => (SignatureAlgorithm::ED25519, &[SignatureScheme::ED25519]),
            _ => {
                return Err("the certificate's key is of no kind that is supported: use RSA, ECDSA (P-256, P-384) or Ed25519"
                    .to_owned());
            }
        };
        Ok(RemoteKey { algorithm, schemes })
    }
}

impl SigningKey for RemoteKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = self.schemes.iter().find(|scheme| offered.contains(scheme))?;
        Some(Box::new(Question(*scheme)))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

/// A signature by one scheme.
#[derive(Debug)]
struct Question(SignatureScheme);

/// The text of the one error that is not the peer's fault.
pub(crate) const NO_SIGNATURE: &str = "no signature";

impl Signer for Question {
    fn sign(&self, content: &[u8]) -> Result<Vec<u8>, Error> {
        let request = [&u16::from(self.0).to_be_bytes(), content].concat();
        match ask(&Report::Sign(request).encode()) {
            Ok(Some(Answer::Signature(signature))) => Ok(signature),
            Ok(_) | Err(_) => Err(Error::General(NO_SIGNATURE.to_owned())),
        }
    }

    fn scheme(&self) -> SignatureScheme {
        self.0
    }
}

fn ask(question: &[u8]) -> Result<Option<Answer>, Errno> {
    let control = sys::borrowed(CONTROL_FD.into())?;
    sys::write(control, question)?;
    let mut message = [0; 1 + SIGNATURE_MAX];
    let count = sys::read(control, &mut message)?;
    Ok(Answer::parse(&message[..count]))
}
