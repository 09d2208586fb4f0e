//! `dayfly check`: would this service run on this host?

use crate::cli::CheckOptions;
use crate::command::stdout_line;
use crate::config::options::Options;
use crate::config::service::{Purpose, Service};
use crate::config::{self, ErrorKind};
use crate::kernel::{self, Kernel};
use crate::log::{self, Verbosity};
use crate::privilege::{self, Privilege};
use crate::sandbox::seccomp::profile::constants;
use crate::sandbox::seccomp::profile::model::{Action, Entry};
use serde_json::json;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok,
    /// Worth knowing; the service runs.
    Note,
    Fail,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Fail => "fail",
        }
    }
}

#[derive(Debug)]
struct Finding {
    level: Level,
    what: &'static str,
    text: String,
}

const WOULD_RUN: u8 = 0;
const WOULD_NOT: u8 = 1;

pub(crate) fn main(mut given: CheckOptions) -> u8 {
    log::init(None, Verbosity::Normal, false);
    if given.name.is_some() {
        given.options.service = given.name.take().map(|name| vec![name]);
    }
    let kernel = Kernel::probe();
    let mut findings = host(&kernel);
    if names_a_service(&given.options) {
        match service(given.options, &kernel) {
            Ok(found) => findings.extend(found),
            Err(message) => {
                log::fatal(&message);
                return ErrorKind::Usage.status();
            }
        }
    }
    print(&findings, given.json);
    if findings.iter().any(|finding| finding.level == Level::Fail) { WOULD_NOT } else { WOULD_RUN }
}

fn names_a_service(options: &Options) -> bool {
    options.service.is_some() || options.template.is_some() || options.handler.is_some()
}

fn finding(level: Level, what: &'static str, text: impl Into<String>) -> Finding {
    Finding { level, what, text: text.into() }
}

/// Kernel and privileges.
fn host(kernel: &Kernel) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lacks = kernel.lacks();
    if lacks.is_empty() {
        let abi = kernel.landlock.unwrap_or(0);
        let text = format!("Linux {}: Landlock ABI {abi}, seccomp user notification", kernel.release);
        findings.push(finding(Level::Ok, "kernel", text));
    }
    findings.extend(lacks.into_iter().map(|lack| finding(Level::Fail, "kernel", format!("it lacks {lack}"))));
    findings.extend(kernel.missing_walls().into_iter().map(|missing| {
        let text = format!("it lacks {}; {} (--strict refuses this)", missing.wall, missing.instead);
        finding(Level::Note, "kernel", text)
    }));
    match Privilege::of_this_process() {
        Privilege::Root => {
            let missing = privilege::missing_capabilities(false, false);
            if missing.is_empty() {
                findings.push(finding(Level::Ok, "privileges", "all capabilities that a launch takes"));
            }
            let lack = |missing| finding(Level::Fail, "privileges", format!("the launcher lacks {missing}"));
            findings.extend(missing.into_iter().map(lack));
        }
        Privilege::Rootless => {
            let text = "ordinary user: needs --allow-degraded uid,groups";
            findings.push(finding(Level::Note, "privileges", text));
            let why = kernel::why_no_user_namespace().into_iter();
            findings.extend(why.map(|why| finding(Level::Fail, "user namespace", why)));
        }
    }
    findings
}

/// Template, handler and policy. Err is a wrong option or file.
fn service(options: Options, kernel: &Kernel) -> Result<Vec<Finding>, String> {
    let settings = config::load(options).map_err(|error| error.message)?;
    let verbose = settings.options.verbose.is_some_and(|switch| switch.0);
    let purpose = if settings.options.listen.is_some() { Purpose::Serve } else { Purpose::Run };
    let service = match Service::resolve(settings, purpose, kernel) {
        Ok(service) => service,
        Err(error) if error.kind == ErrorKind::Usage => return Err(error.message),
        Err(error) => return Ok(vec![finding(Level::Fail, "service", error.message)]),
    };
    let plan = &service.plan;
    let template = plan.rootfs.template.path.to_string_lossy();
    let handler = plan.rootfs.handler.to_string_lossy();
    let mut findings = vec![
        finding(Level::Ok, "template", format!("{template}: there, its path is trusted")),
        finding(Level::Ok, "handler", format!("{handler}: static, executable, for this machine")),
        finding(Level::Ok, "policy", policy(&service)?),
    ];
    if verbose {
        let profile = service.profile.profile().map_err(|error| error.to_string())?;
        findings.extend(profile.entries.iter().map(call));
    }
    if !service.has_os_release {
        findings.push(finding(Level::Note, "template", "it has no etc/os-release"));
    }
    if service.handler_is_readable {
        let text =
            format!("{handler} is readable for its own uid; mode 0711 would keep it undumpable after exec");
        findings.push(finding(Level::Note, "handler", text));
    }
    findings.extend(service.remarks.iter().map(|remark| finding(Level::Note, "service", remark.clone())));
    Ok(findings)
}

fn policy(service: &Service) -> Result<String, String> {
    let profile = service.profile.profile().map_err(|error| error.to_string())?;
    let (name, count) = (service.profile.name(), profile.allowed().len());
    let instructions = service.plan.seccomp.profile.len();
    Ok(format!("profile {name} compiles: {count} calls allowed, {instructions} instructions"))
}

/// One line of the profile.
fn call(entry: &Entry) -> Finding {
    let answer = match entry.action {
        Action::Allow => "allowed".to_owned(),
        Action::Errno(number) => format!("answered {}", constants::errno_name(number).unwrap_or("an errno")),
        Action::Notify => "denied and recorded".to_owned(),
        Action::Kill => "killed at once".to_owned(),
    };
    let condition = if entry.when.is_empty() { String::new() } else { format!(" if {}", entry.condition) };
    finding(Level::Ok, "call", format!("{} {answer}{condition}: {}", entry.name, entry.reason))
}

fn print(findings: &[Finding], as_json: bool) {
    if as_json {
        let list: Vec<_> = findings
            .iter()
            .map(|finding| json!({"level": finding.level.word(), "what": finding.what, "text": finding.text}))
            .collect();
        let would_run = !findings.iter().any(|finding| finding.level == Level::Fail);
        stdout_line(&json!({"would_run": would_run, "findings": list}).to_string());
        return;
    }
    for finding in findings {
        stdout_line(&format!("{:<5} {}: {}", finding.level.word(), finding.what, finding.text));
    }
}
