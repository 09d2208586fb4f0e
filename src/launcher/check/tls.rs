//! The certificate of a service that speaks TLS, and whether the key is its own.

use super::{Finding, Level, finding};
use crate::command;
use crate::config::service::Service;

/// None if it speaks no TLS.
pub(super) fn finding_of(service: &Service) -> Option<Finding> {
    let files = &service.tls.as_ref()?.files;
    let certificate = files.certificate.display();
    let told = match command::look_at_certificate(files) {
        Ok(told) => told,
        Err(error) => return Some(finding(Level::Fail, "tls", error.message)),
    };
    let names = if told.names.is_empty() { "no names" } else { told.names.as_str() };
    let (level, text) = match told.validity.split_once(' ') {
        Some(("valid", until)) => {
            (Level::Ok, format!("the key is its own; for {names}; valid until {until}"))
        }
        Some(("expired", since)) => (Level::Fail, format!("it expired at {since}: renew it")),
        _ => (Level::Fail, "it is not valid yet: look at the clock".to_owned()),
    };
    Some(finding(level, "tls", format!("{certificate}: {text}")))
}
