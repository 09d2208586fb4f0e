//! `signer --check CERTIFICATE KEY`: whether they are a pair, and two lines about the certificate for
//! `dayfly check`: its last second, then its names.

use super::files;
use std::io::{Write, stdout};
use std::time::{SystemTime, UNIX_EPOCH};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

pub(crate) fn check(certificate: &str, key: &str) -> Result<(), String> {
    let read = |path: &str| std::fs::read(path).map_err(|error| format!("cannot read {path}: {error}"));
    let certified = files::certified(&read(certificate)?, &read(key)?)?;
    let own = certified.end_entity_cert().map_err(|error| error.to_string())?;
    let own = Certificate::from_der(own).map_err(|error| format!("{certificate}: {error}"))?;
    let validity = &own.tbs_certificate.validity;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let state = if now >= validity.not_after.to_unix_duration() {
        "expired"
    } else if now < validity.not_before.to_unix_duration() {
        "not-yet"
    } else {
        "valid"
    };
    let until = validity.not_after.to_date_time();
    writeln!(stdout(), "{state} {until}\n{}", names(&own).join(" ")).map_err(|error| error.to_string())
}

fn names(certificate: &Certificate) -> Vec<String> {
    let Ok(Some((_, SubjectAltName(names)))) = certificate.tbs_certificate.get::<SubjectAltName>() else {
        return Vec::new();
    };
    let name = |name: &GeneralName| match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(address) => address_of(address.as_bytes()),
        _ => None,
    };
    // They are printed: what is no plain name is left out.
    names.iter().filter_map(name).filter(|name| name.bytes().all(|byte| byte.is_ascii_graphic())).collect()
}

fn address_of(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| std::net::Ipv4Addr::from(bytes).to_string());
    let v6 = || <[u8; 16]>::try_from(bytes).map(|bytes| std::net::Ipv6Addr::from(bytes).to_string());
    v4.or_else(|_| v6()).ok()
}
