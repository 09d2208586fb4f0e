//! Messages between the supervisor, the TLS relays and the signer.
//!
//! Each is one packet of a socket that keeps the bounds of messages. A relay has seen bytes of its peer, so
//! nothing that it says is trusted: what the supervisor takes from it is parsed here, whole or not at all.
//!
//! | from | to | message |
//! |---|---|---|
//! | relay | supervisor | [`Report`] |
//! | supervisor | signer | [`ask`]: the number of the connection, then the relay's request, unread |
//! | signer | supervisor | [`answer`]: the same number, then the answer |
//! | supervisor | relay | the signer's answer, unread: [`Answer`] |

/// The relay's descriptor for its reports. Below it are the connection, the plain stream, stderr, and the
/// files that it reads before it has a connection.
pub const CONTROL_FD: u8 = 9;

/// No report is longer.
pub const REPORT_MAX: usize = 2048;
/// Scheme and content of a request for a signature: no honest one is longer.
pub const REQUEST_MAX: usize = 256;
/// No signature is longer (RSA of 8192 bits).
pub const SIGNATURE_MAX: usize = 1024;
/// A name that is longer is cut by the relay.
pub const NAME_MAX: usize = 512;

/// Bytes before what the supervisor passes on between relay and signer.
const NUMBER_LEN: usize = 8;

/// A cipher suite of TLS 1.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
}

impl Cipher {
    /// Its number and its name (RFC 8446, B.4).
    const ALL: [(Cipher, u16, &str); 3] = [
        (Cipher::Aes128Gcm, 0x1301, "TLS_AES_128_GCM_SHA256"),
        (Cipher::Aes256Gcm, 0x1302, "TLS_AES_256_GCM_SHA384"),
        (Cipher::ChaCha20Poly1305, 0x1303, "TLS_CHACHA20_POLY1305_SHA256"),
    ];

    /// The suite of this number.
    pub fn of(number: u16) -> Option<Cipher> {
        Cipher::ALL.iter().find(|(_, known, _)| *known == number).map(|(cipher, ..)| *cipher)
    }

    /// The number in the handshake.
    pub fn number(self) -> u16 {
        Cipher::ALL.iter().find(|(cipher, ..)| *cipher == self).map_or(0, |(_, number, _)| *number)
    }

    /// The name in the standard.
    pub fn name(self) -> &'static str {
        Cipher::ALL.iter().find(|(cipher, ..)| *cipher == self).map_or("", |(.., name)| name)
    }
}

/// The only version that relays speak.
pub const VERSION: &str = "TLSv1.3";

/// Result of a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The cipher suite that both have chosen.
    pub cipher: Cipher,
    /// The name that the client asked for (SNI).
    pub server_name: Option<String>,
    /// The client's certificate, if one was asked for.
    pub client: Option<Client>,
}

/// A client's certificate, which the relay has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// SHA-256 of the certificate.
    pub hash: [u8; 32],
    /// The name of its owner (RFC 4514).
    pub subject: String,
    /// The name of who has signed it.
    pub issuer: String,
    /// Its last second, as 2026-01-31T23:59:59Z.
    pub not_after: String,
}

impl Client {
    /// The hash as handlers and records have it: `SHA256:` and hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        self.hash.iter().fold("SHA256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }
}

macro_rules! reasons {
    ($($name:ident $number:literal $words:literal)*) => {
        /// Why there was no handshake.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reason {
            $(#[doc = $words] $name,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &[Reason] = &[$(Reason::$name,)*];

            fn number(self) -> u8 {
                match self { $(Reason::$name => $number,)* }
            }

            /// The reason as records have it.
            pub fn words(self) -> &'static str {
                match self { $(Reason::$name => $words,)* }
            }
        }
    };
}

reasons! {
    Other 0 "the handshake failed"
    NotTls 1 "the client does not speak TLS"
    Version 2 "the client does not speak TLS 1.3"
    Nothing 3 "the client closed before the handshake was over"
    Alert 4 "the client refused the handshake"
    Incompatible 5 "client and server have no common parameters"
    NoCertificate 6 "the client sent no certificate"
    BadCertificate 7 "the client's certificate is not valid"
    Expired 8 "the client's certificate is expired or not valid yet"
    Revoked 9 "the client's certificate is revoked"
    UnknownIssuer 10 "the client's certificate is of another CA"
    Signer 11 "the signer gave no signature"
    Time 12 "the handshake took too long"
    Relay 13 "the relay ended without a report"
    Protocol 14 "the client broke the protocol"
}

/// A message of a relay to the supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// It needs a signature, once: the request for the signer, unread.
    Sign(Vec<u8>),
    /// The handshake is over.
    Done(Facts),
    /// The handshake has failed.
    Failed(Reason),
    /// The connection has ended; `cut`: the client's stream ended without its close_notify.
    Ended {
        /// Whether something may be missing at the end of what the handler has read.
        cut: bool,
    },
}

const SIGN: u8 = 1;
const DONE: u8 = 2;
const FAILED: u8 = 3;
const ENDED: u8 = 4;

impl Report {
    /// The message.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Report::Sign(request) => [&[SIGN], request.as_slice()].concat(),
            Report::Done(facts) => encode_facts(facts),
            Report::Failed(reason) => vec![FAILED, reason.number()],
            Report::Ended { cut } => vec![ENDED, u8::from(*cut)],
        }
    }

    /// None if it is anything but a whole message of one form.
    pub fn parse(message: &[u8]) -> Option<Report> {
        let (kind, rest) = message.split_first().filter(|_| message.len() <= REPORT_MAX)?;
        match (*kind, rest) {
            (SIGN, request) if (3..=REQUEST_MAX).contains(&request.len()) => {
                Some(Report::Sign(request.to_vec()))
            }
            (DONE, facts) => parse_facts(facts).map(Report::Done),
            (FAILED, [number]) => {
                let reason = Reason::ALL.iter().find(|reason| reason.number() == *number)?;
                Some(Report::Failed(*reason))
            }
            (ENDED, [cut @ (0 | 1)]) => Some(Report::Ended { cut: *cut == 1 }),
            _ => None,
        }
    }
}

fn encode_facts(facts: &Facts) -> Vec<u8> {
    let mut message = vec![DONE];
    message.extend(facts.cipher.number().to_be_bytes());
    put(&mut message, facts.server_name.as_deref().unwrap_or_default());
    message.push(u8::from(facts.client.is_some()));
    if let Some(client) = &facts.client {
        message.extend(client.hash);
        for text in [&client.subject, &client.issuer, &client.not_after] {
            put(&mut message, text);
        }
    }
    message
}

/// Its length, then the text.
fn put(message: &mut Vec<u8>, text: &str) {
    message.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    message.extend(text.as_bytes());
}

fn parse_facts(message: &[u8]) -> Option<Facts> {
    let mut rest = message;
    let cipher = Cipher::of(u16::from_be_bytes(take(&mut rest)?))?;
    let name = take_text(&mut rest)?;
    let server_name = match name.as_str() {
        "" => None,
        name => Some(name.to_owned()).filter(|_| is_host_name(name)).map(Some)?,
    };
    let client = match take(&mut rest)? {
        [0] => None,
        [1] => {
            let hash = take(&mut rest)?;
            let (subject, issuer) = (take_text(&mut rest)?, take_text(&mut rest)?);
            let not_after = take_text(&mut rest).filter(|text| is_time(text))?;
            Some(Client { hash, subject, issuer, not_after })
        }
        _ => return None,
    };
    rest.is_empty().then_some(Facts { cipher, server_name, client })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

/// A text without control characters, of a bounded length.
fn take_text(rest: &mut &[u8]) -> Option<String> {
    let length = usize::from(u16::from_be_bytes(take(rest)?));
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    let text = std::str::from_utf8(bytes).ok()?;
    (length <= NAME_MAX && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// A name as SNI has it: ASCII, in small letters.
pub fn is_host_name(text: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_');
    (1..=253).contains(&text.len()) && text.bytes().all(plain)
}

/// `2026-01-31T23:59:59Z`
fn is_time(text: &str) -> bool {
    let form = b"0000-00-00T00:00:00Z";
    let fits = |(byte, wanted): (u8, &u8)| match wanted {
        b'0' => byte.is_ascii_digit(),
        other => byte == *other,
    };
    text.len() == form.len() && text.bytes().zip(form).all(fits)
}

/// A message to the signer: a number that its answer repeats, and a request.
pub fn ask(number: u64, request: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes(), request].concat()
}

/// The number of a message between supervisor and signer, and what was passed on.
pub fn split(message: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = message.split_first_chunk::<NUMBER_LEN>()?;
    Some((u64::from_be_bytes(*number), rest))
}

/// The signer's message: to this number, this answer.
pub fn answer(number: u64, answer: &Answer) -> Vec<u8> {
    let bytes = match answer {
        Answer::Signature(signature) => [&[0], signature.as_slice()].concat(),
        Answer::Refused => vec![1],
    };
    [&number.to_be_bytes(), bytes.as_slice()].concat()
}

/// The signer's answer, as the relay gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The signature.
    Signature(Vec<u8>),
    /// The request is none that it signs.
    Refused,
}

impl Answer {
    /// None if it is no answer.
    pub fn parse(message: &[u8]) -> Option<Answer> {
        match message {
            [0, signature @ ..] if (1..=SIGNATURE_MAX).contains(&signature.len()) => {
                Some(Answer::Signature(signature.to_vec()))
            }
            [1] => Some(Answer::Refused),
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot parse has failed")]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let client = Client {
            hash: [0xab; 32],
            subject: "CN=Grüße,O=x".to_owned(),
            issuer: "CN=ca".to_owned(),
            not_after: "2026-01-31T23:59:59Z".to_owned(),
        };
        Facts { cipher: Cipher::Aes256Gcm, server_name: Some("a.example".to_owned()), client: Some(client) }
    }

    #[test]
    fn every_report_reads_as_it_was_written() {
        let bare = Facts { server_name: None, client: None, ..facts() };
        let mut reports = vec![
            Report::Sign(vec![1, 2, 3]),
            Report::Done(facts()),
            Report::Done(bare),
            Report::Ended { cut: true },
            Report::Ended { cut: false },
        ];
        reports.extend(Reason::ALL.iter().map(|reason| Report::Failed(*reason)));
        for report in reports {
            assert_eq!(Report::parse(&report.encode()), Some(report));
        }
    }

    #[test]
    fn a_report_that_is_cut_or_longer_is_none() {
        let whole = Report::Done(facts()).encode();
        for length in 0..whole.len() {
            assert_eq!(Report::parse(&whole[..length]), None, "{length}");
        }
        for report in [Report::Done(facts()), Report::Failed(Reason::Time), Report::Ended { cut: true }] {
            let mut longer = report.encode();
            longer.push(0);
            assert_eq!(Report::parse(&longer), None);
        }
    }

    #[test]
    fn names_with_control_characters_are_no_names() {
        let with = |subject: &str| {
            let mut facts = facts();
            facts.client.as_mut().unwrap().subject = subject.to_owned();
            Report::parse(&Report::Done(facts).encode())
        };
        assert!(with("CN=x").is_some());
        for wrong in ["a\nb", "a\0b", "a\u{1b}[0m", "\u{85}"] {
            assert_eq!(with(wrong), None, "{wrong:?}");
        }
        assert_eq!(with(&"x".repeat(NAME_MAX + 1)), None);
    }

    #[test]
    fn a_server_name_is_a_host_name_in_small_letters() {
        let with = |name: &str| {
            let facts = Facts { server_name: Some(name.to_owned()), ..facts() };
            Report::parse(&Report::Done(facts).encode()).is_some()
        };
        assert!(with("xn--bcher-kva.example"));
        for wrong in ["A.example", "a b", "a=b", "ä.example", "a/b"] {
            assert!(!with(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_time_has_one_form() {
        assert!(is_time("2026-01-31T23:59:59Z"));
        for wrong in ["", "2026-01-31T23:59:59", "2026-01-31 23:59:59Z", "2026-1-31T23:59:59ZZ"] {
            assert!(!is_time(wrong), "{wrong}");
        }
    }

    #[test]
    fn an_answer_finds_its_question() {
        let message = answer(7, &Answer::Signature(vec![5; 64]));
        let (number, rest) = split(&message).unwrap();
        assert_eq!((number, Answer::parse(rest)), (7, Some(Answer::Signature(vec![5; 64]))));
        assert_eq!(split(&ask(9, &[1, 2])).unwrap(), (9, &[1, 2][..]));
        assert_eq!(Answer::parse(&[0]), None);
        assert_eq!(Answer::parse(&[2, 1]), None);
    }
}
