//! The processes that have the key.

use super::certificates::{Authority, NAME, options, read};
use super::client::TlsClient;
use common::serve::Serve;
use common::{a_site, process};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The bytes of an ECDSA key's number, which every form of the key has in it: PKCS #8 with a version 1 key.
fn secret(pem: &[u8]) -> Vec<u8> {
    let key = PrivateKeyDer::from_pem_slice(pem).unwrap();
    let der = key.secret_der();
    // SEQUENCE { INTEGER 1, OCTET STRING of 32 bytes
    let mark = [2, 1, 1, 4, 32];
    let at = der.windows(mark.len()).position(|window| window == mark).expect("an ECDSA key") + mark.len();
    der[at..at + 32].to_vec()
}

/// The same number as ring and others hold it: words of 64 bits, the lowest first.
fn words_of(secret: &[u8]) -> Vec<u8> {
    secret.iter().rev().copied().collect()
}

/// A line of the file, as it is.
fn line_of(pem: &[u8]) -> Vec<u8> {
    pem.split(|byte| *byte == b'\n').nth(1).unwrap()[8..40].to_vec()
}

fn has(pid: u32, needles: &[Vec<u8>]) -> bool {
    let Ok(memory) = File::open(format!("/proc/{pid}/mem")) else { return false };
    let maps = process::read(pid, "maps");
    let mut looked = 0;
    for line in maps.lines().filter(|line| !line.contains("[v")) {
        let (from, to) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        // A part that nothing was ever put into cannot be read.
        let Ok(count) = memory.read_at(&mut bytes, from) else { continue };
        looked += count;
        let bytes = &bytes[..count];
        if needles.iter().any(|needle| bytes.windows(needle.len()).any(|window| window == needle)) {
            return true;
        }
    }
    assert!(looked > 0, "nothing of the memory of {pid} could be read");
    false
}

#[test]
fn the_key_is_in_no_process_but_the_signer() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let pair = authority.sign(&mut site, NAME);
    let options = options(&pair);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let serving = Serve::probe(&site, &["echo"]).options(&options).start();
    let mut client = TlsClient::connect(&serving, &authority);
    client.send(b"x");
    std::io::Read::read_exact(&mut client.0, &mut [0]).unwrap();
    let pem = read(&pair.key);
    let secret = secret(&pem);
    let needles = [words_of(&secret), line_of(&pem), secret];
    let all: Vec<u32> = process::all()
        .into_iter()
        .filter(|pid| *pid == serving.supervisor() || process::descends(*pid, serving.supervisor()))
        .collect();
    let name = |pid: u32| process::arguments(pid).first().cloned().unwrap_or_default();
    let with: Vec<String> = all.iter().filter(|pid| has(**pid, &needles)).map(|pid| name(*pid)).collect();
    assert_eq!(with, ["/signer"], "of {:?}", all.iter().map(|pid| name(*pid)).collect::<Vec<_>>());
    for wanted in ["/tls-relay", "/bin/probe"] {
        assert!(all.iter().any(|pid| name(*pid) == wanted), "no {wanted} was looked at");
    }
    drop(client);
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
}
