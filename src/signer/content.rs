//! The only content that the signer signs: that of a server's CertificateVerify (RFC 8446, 4.4.3).
//!
//! A taken-over relay can ask for a signature of anything. This form is used for nothing but handshakes of
//! TLS 1.3: no certificate, no message of another protocol and no handshake of an older version begins so.

/// Before the hash: 64 spaces, the context, and a zero byte.
const CONTEXT: &[u8] = b"TLS 1.3, server CertificateVerify\0";
const SPACES: usize = 64;

/// Lengths of SHA-256 and SHA-384, which the cipher suites of TLS 1.3 hash the handshake with.
const HASH_LENGTHS: [usize; 2] = [32, 48];

/// A request that may be signed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request<'m> {
    /// The number of the signature scheme.
    pub(crate) scheme: u16,
    pub(crate) content: &'m [u8],
}

/// None if it has any other form.
pub(crate) fn parse(request: &[u8]) -> Option<Request<'_>> {
    let (scheme, content) = request.split_first_chunk()?;
    let (spaces, rest) = content.split_at_checked(SPACES)?;
    let hash = rest.strip_prefix(CONTEXT)?;
    let fits = spaces.iter().all(|byte| *byte == b' ') && HASH_LENGTHS.contains(&hash.len());
    fits.then_some(Request { scheme: u16::from_be_bytes(*scheme), content })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(spaces: &[u8], context: &[u8], hash: usize) -> Vec<u8> {
        [&[8, 4], spaces, context, &vec![7; hash]].concat()
    }

    #[test]
    fn the_content_of_a_certificate_verify_is_taken() {
        for hash in HASH_LENGTHS {
            let request = request(&[b' '; 64], CONTEXT, hash);
            let parsed = parse(&request);
            assert_eq!(parsed.as_ref().map(|parsed| parsed.scheme), Some(0x0804));
            assert_eq!(parsed.map(|parsed| parsed.content.len()), Some(64 + 34 + hash));
        }
    }

    #[test]
    fn nothing_of_another_form_is_taken() {
        let spaces = [b' '; 64];
        let mut tabs = spaces;
        tabs[63] = b'\t';
        let client = b"TLS 1.3, client CertificateVerify\0";
        let others = [
            ("nothing", Vec::new()),
            ("a scheme alone", vec![8, 4]),
            ("a bare hash", [&[8, 4], &[7; 32][..]].concat()),
            ("a hash of SHA-1's length", request(&spaces, CONTEXT, 20)),
            ("a hash of SHA-512's length", request(&spaces, CONTEXT, 64)),
            ("a byte more than SHA-256", request(&spaces, CONTEXT, 33)),
            ("no hash", request(&spaces, CONTEXT, 0)),
            ("63 spaces", request(&spaces[..63], CONTEXT, 32)),
            ("65 spaces", request(&[b' '; 65], CONTEXT, 32)),
            ("a tab among the spaces", request(&tabs, CONTEXT, 32)),
            ("a client's context", request(&spaces, client, 32)),
            ("no zero byte", request(&spaces, &CONTEXT[..33], 32)),
            ("another context", request(&spaces, b"Exported Authenticator, server!!!\0", 32)),
            ("TLS 1.2's server parameters", [&[8, 4], &[7; 32 + 32 + 36][..]].concat()),
            ("a certificate to sign", [&[8, 4], b"\x30\x82\x01\x0a".as_slice(), &[7; 266]].concat()),
            ("an SSH signature", [&[8, 4], b"SSHSIG".as_slice(), &[7; 90]].concat()),
        ];
        for (what, request) in others {
            assert_eq!(parse(&request), None, "{what}");
        }
    }
}
