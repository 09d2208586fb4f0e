//! The key and the certificate, in PEM.

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use std::fs::File;
use std::io::{self, Read};

/// No key or chain is larger.
const SIZE_MAX: u64 = 1 << 20;

/// The content of an open file that the launcher has passed.
pub(crate) fn inherited(number: i32) -> io::Result<Vec<u8>> {
    let file = sys::adopt(number)?;
    let mut content = Vec::new();
    File::from(file).take(SIZE_MAX).read_to_end(&mut content)?;
    Ok(content)
}

/// Both, if they are a pair.
pub(crate) fn certified(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, String> {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("the certificate is no PEM: {error}"))?;
    if chain.is_empty() {
        return Err(
            "the certificate's file has no CERTIFICATE: give the chain in PEM, the own one first".to_owned()
        );
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_error| {
        "the key's file has no PRIVATE KEY in PEM that is not encrypted: decrypt it with 'openssl pkey'"
            .to_owned()
    })?;
    let key = any_supported_type(&key).map_err(|_error| {
        "the key is of no kind that is supported: use RSA (2048 to 8192 bits), ECDSA (P-256, P-384) or Ed25519"
            .to_owned()
    })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err("the key is not that of the certificate: give the pair that belongs together".to_owned())
        }
        Err(error) => Err(format!("the certificate cannot be used: {error}")),
    }
}
