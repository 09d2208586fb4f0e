//! A trial launch: to build a sandbox is the way to find what prevents it. No instruction of the handler
//! runs.

use super::content;
use super::{Finding, Level, finding};
use crate::command;
use crate::config::Settings;
use crate::config::service::Purpose;

/// Last of all: after it this process is not in the host's namespaces any more.
pub(super) fn findings(settings: Settings, purpose: Purpose) -> Vec<Finding> {
    let mut findings = Vec::new();
    let tried = command::try_out(settings, purpose, |service, sandbox| {
        findings = content::findings(service, sandbox);
    });
    let launch = match tried {
        Ok(()) => finding(Level::Ok, "launch", "a sandbox was built up to the start of its handler"),
        Err(error) => finding(Level::Fail, "launch", error.message),
    };
    findings.insert(0, launch);
    findings
}
