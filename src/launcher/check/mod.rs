//! `dayfly check`: would this service run on this host?
//!
//! A finding that prevents the service from running, or would under `--strict`, says what to do. If an option
//! allows it, the finding names the option.

mod content;
mod host;
mod template;
mod tls;
mod trial;
mod unit;

use crate::cli::CheckOptions;
use crate::config::options::Options;
use crate::config::service::{Purpose, Service};
use crate::config::{self, ErrorKind, mount_points};
use crate::kernel::Kernel;
use crate::log::{self, Verbosity};
use crate::output::{Look, Paint, stdout_line};
use seccomp::profile::constants;
use seccomp::profile::model::{Action, Entry};
use serde_json::json;
use std::ffi::CString;
use std::os::fd::AsFd;
use std::path::Path;
use sys::process::Ending;

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
    /// The option that allows what is refused.
    option: Option<String>,
}

impl Finding {
    fn allowed_by(self, option: impl Into<String>) -> Finding {
        Finding { option: Some(option.into()), ..self }
    }
}

const WOULD_RUN: u8 = 0;
const WOULD_NOT: u8 = 1;

pub(crate) fn main(mut given: CheckOptions) -> u8 {
    log::init(None, Verbosity::Quiet, false);
    if given.name.is_some() {
        given.options.service = given.name.take().map(|name| vec![name]);
    }
    check(given.options, None, given.json)
}

/// The exit status that `run` or `serve` would end with under these options; for several services the worst.
pub(crate) fn dry_run(options: Options, purpose: Purpose) -> u8 {
    log::init(None, Verbosity::Quiet, false);
    match options.service.as_deref() {
        Some(names @ [_, _, ..]) => {
            names.iter().map(|name| apart(&options, name, purpose)).max().unwrap_or(WOULD_RUN)
        }
        _ => check(options, Some(purpose), false),
    }
}

/// One of several services, in a process of its own: a trial leaves the host's namespaces.
fn apart(options: &Options, name: &str, purpose: Purpose) -> u8 {
    let options = Options { service: Some(vec![name.to_owned()]), ..options.clone() };
    let main = |(options, purpose): &(Options, Purpose)| {
        sys::process::exit_now(check(options.clone(), Some(*purpose), false).into())
    };
    let Ok(child) = sys::process::spawn(0, None, main, &(options, purpose)) else { return WOULD_NOT };
    match sys::process::wait(child.pidfd.as_fd()) {
        Ok(Ending::Exited(status)) => status,
        _ => WOULD_NOT,
    }
}

/// `purpose`: the command that is asked about; None: the one that the options are for.
fn check(options: Options, purpose: Option<Purpose>, json: bool) -> u8 {
    let kernel = Kernel::probe();
    let mut findings = host::findings(&kernel, options.snapshot);
    if names_a_service(&options) {
        match service(options, purpose, &kernel) {
            Ok(found) => findings.extend(found),
            Err(message) => {
                log::fatal(&message);
                return ErrorKind::Usage.status();
            }
        }
    }
    print(&findings, json);
    if findings.iter().any(|finding| finding.level == Level::Fail) { WOULD_NOT } else { WOULD_RUN }
}

fn names_a_service(options: &Options) -> bool {
    options.service.is_some() || options.template.is_some() || options.handler.is_some()
}

fn finding(level: Level, what: &'static str, text: impl Into<String>) -> Finding {
    Finding { level, what, text: text.into(), option: None }
}

/// Template, handler and policy. Err is a wrong option or file.
fn service(options: Options, purpose: Option<Purpose>, kernel: &Kernel) -> Result<Vec<Finding>, String> {
    let options = Options { only_tells: Some(true), ..options };
    let settings = config::load(options).map_err(|error| error.message)?;
    let verbose = settings.options.verbose.is_some_and(|switch| switch.0);
    let of_serve = settings.options.only_for_serve();
    let usual = if of_serve.is_empty() { Purpose::Run } else { Purpose::Serve };
    let purpose = purpose.unwrap_or(usual);
    let mut again = settings.clone();
    again.options.only_tells = None;
    let service = match Service::resolve(settings, purpose, kernel) {
        Ok(service) => service,
        Err(error) if error.kind == ErrorKind::Usage => return Err(error.message),
        Err(error) => return Ok(vec![finding(Level::Fail, "service", error.message)]),
    };
    let plan = &service.plan;
    let path = text_of(&plan.rootfs.template.path);
    let mut findings = vec![
        finding(Level::Ok, "template", format!("{path}: found, and its path is trusted")),
        handler(&service),
        finding(Level::Ok, "policy", policy(&service)?),
    ];
    if verbose {
        let profile = service.profile.profile().map_err(|error| error.to_string())?;
        findings.extend(profile.entries.iter().map(call));
    }
    findings.extend(tls::finding_of(&service));
    if !service.has_os_release {
        findings.push(finding(Level::Note, "template", "etc/os-release is missing"));
    }
    findings.extend(template::of_handler(&service));
    let missing = if service.is_unseen { Vec::new() } else { mount_points::missing(&service) };
    findings.extend(missing.into_iter().map(|(failure, path)| {
        finding(Level::Fail, "template", log::refusal_message(&failure, Some(&path)))
    }));
    if plan.rootfs.image.is_none() {
        findings.extend(template::lint(Path::new(&path)));
    }
    findings.extend(host::of_service(&service, purpose));
    findings.extend(unit::of_service(&service));
    if !of_serve.is_empty() {
        let text = format!(
            "for serve only: {}; dayfly run, and so a unit for each connection, does not apply them",
            of_serve.join(" ")
        );
        findings.push(finding(Level::Note, "service", text));
    }
    let remarks = service.warnings.iter().chain(&service.remarks);
    findings.extend(remarks.map(|remark| finding(Level::Note, "service", remark.clone())));
    drop(service);
    if !findings.iter().any(|finding| finding.level == Level::Fail) {
        findings.extend(trial::findings(again, purpose));
    }
    Ok(findings)
}

fn handler(service: &Service) -> Finding {
    let path = text_of(&service.plan.rootfs.handler);
    if service.is_unseen {
        let why =
            "not looked for: on this kernel such an image needs a loop device, which only a launch attaches";
        return finding(Level::Note, "handler", format!("{path}: {why}"));
    }
    finding(Level::Ok, "handler", format!("{path}: executable, for this machine"))
}

fn text_of(path: &CString) -> String {
    path.to_string_lossy().into_owned()
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
            .map(|finding| {
                let Finding { level, what, text, option } = finding;
                json!({"level": level.word(), "what": what, "text": text, "option": option})
            })
            .collect();
        let would_run = !findings.iter().any(|finding| finding.level == Level::Fail);
        stdout_line(&json!({"would_run": would_run, "findings": list}).to_string());
        return;
    }
    let look = Look::of_stdout();
    for finding in findings {
        let option =
            finding.option.as_ref().map(|option| format!("; {option} allows it")).unwrap_or_default();
        let paint = match finding.level {
            Level::Ok => Paint::Green,
            Level::Note => Paint::Yellow,
            Level::Fail => Paint::Red,
        };
        let word = look.paint(paint, &format!("{:<5}", finding.level.word()));
        let text = format!("{}: {}{option}", finding.what, finding.text);
        for (index, line) in look.wrapped(&text, 6, 6).iter().enumerate() {
            stdout_line(&format!("{} {line}", if index == 0 { &word } else { "     " }));
        }
    }
}
