//! `serve`: assigns sockets to services, and starts.

use super::learn::Lesson;
use super::reload::{Origin, ids_of, keep_uids_apart};
use super::successor::{self, Predecessor};
use super::{SERVE_FAILED, USAGE, fail, init_log, loop_failed, open_log_on_error, prepare};
use crate::activation::{self, Inherited};
use crate::config::options::Options;
use crate::config::service::{Purpose, Service, ServiceId};
use crate::config::{self, ErrorKind, Settings};
use crate::diag::Diag;
use crate::listener::{self, Address, Listener};
use crate::log;
use crate::notify::Notifier;
use crate::privilege;
use crate::stats::public::{self, PublicDirectory};
use crate::stats::socket::StatsSocket;
use crate::supervisor::learning::Learner;
use crate::supervisor::statistics::StatsTargets;
use crate::supervisor::{self, Supervisor};
use sandbox::launch::base::Base;
use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// `dayfly serve`: resident.
pub(crate) fn serve(options: Options) -> u8 {
    serve_and_learn(options, None)
}

/// `serve`, also for `dayfly learn`.
pub(super) fn serve_and_learn(options: Options, lesson: Option<&mut Lesson>) -> u8 {
    let again = options.clone();
    privilege::raise_descriptor_limit();
    let (settings, stderr_is_connection) = match open_log_on_error(config::load_all(options)) {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error.message, USAGE),
    };
    let mut inherited = activation::take(None);
    let predecessor = inherited.as_mut().ok().and_then(Predecessor::take);
    if let Some(first) = settings.first() {
        init_log(&first.options, stderr_is_connection);
    }
    if settings.iter().any(|settings| settings.options.status_fd.is_some()) {
        return fail("--status-fd is for run only", USAGE);
    }
    if settings.iter().any(|settings| settings.options.kill_signal.is_some()) {
        return fail("--kill-signal is for run only; serve has --drain-time", USAGE);
    }
    let stdout = || inherited.as_ref().ok().map(Inherited::stdout);
    let learner = match lesson.map(|lesson| lesson.begin_serve(stdout(), stderr_is_connection)).transpose() {
        Ok(learner) => learner,
        Err(message) => return fail(&message, SERVE_FAILED),
    };
    let listeners = match listeners(&settings, again.listen.is_some(), inherited, predecessor.as_ref()) {
        Ok(listeners) => listeners,
        Err((message, status)) => return fail(&message, status),
    };
    let notifier = Notifier::connect();
    match start(settings, listeners, &again, (notifier, learner, predecessor)) {
        Ok(()) => 0,
        Err((message, status)) => fail(&message, status),
    }
}

fn start(
    mut settings: Vec<Settings>,
    listeners: Vec<Listener>,
    options: &Options,
    (notifier, learner, predecessor): (Notifier, Option<Learner>, Option<Predecessor>),
) -> Result<(), (String, u8)> {
    let program = successor::program();
    let ranges = predecessor.as_ref().map(|predecessor| predecessor.ranges.clone()).unwrap_or_default();
    let (predecessors, stats) = predecessor.map(Predecessor::into_parts).unwrap_or_default();
    let opened = |path: Option<PathBuf>| path.and_then(|path| PublicDirectory::open(&path).ok());
    let public = public::bind_all(&mut settings).into_iter().map(opened).collect();
    let targets = StatsTargets { socket: stats.or_else(stats_socket), public };
    let in_force = settings.clone();
    // It belongs to the listeners' network, which is left next.
    let diag = listeners.first().and_then(|listener| Diag::open(listener.as_fd()));
    if diag.is_none() {
        log::remark(super::NOT_COUNTED);
    }
    let prepared = prepare(settings, Purpose::Serve).map_err(|error| {
        let status = if error.kind == ErrorKind::Usage { USAGE } else { SERVE_FAILED };
        (error.message, status)
    })?;
    let failed = |errno| (loop_failed(errno), SERVE_FAILED);
    remark_on_descriptors(&prepared.services);
    let signals = supervisor::signal_descriptor().map_err(failed)?;
    log::begin_dating();
    for listener in &listeners {
        log::listening(&listener.address);
    }
    let Some(base) = &prepared.base else { return Err((String::from("there is no base"), SERVE_FAILED)) };
    let has_groups = prepared.groups.is_some();
    let own = ids_of(&prepared.services).first().copied();
    let of_predecessor = |(base, size)| own.map(|own| own.with_range(base, size));
    let mut ids: Vec<_> = ranges.into_iter().filter_map(of_predecessor).collect();
    keep_uids_apart(&mut ids, &prepared.services).map_err(|message| (message, USAGE))?;
    let (settings, ids) = (RefCell::new(in_force), RefCell::new(ids));
    let origin = Origin { options: options.clone(), settings, base, has_groups, program, ids };
    // The services are not kept here: a replaced service goes with the last of its sandboxes.
    let supervisor =
        Supervisor::new(prepared.services, &prepared.workshop, prepared.groups, signals, listeners, diag)
            .and_then(|supervisor| supervisor.with_learner(learner).after(predecessors))
            .map_err(failed)?;
    supervisor.serve(Box::new(origin), notifier, targets).map_err(failed)
}

/// Descriptors of a sandbox: channel, stderr, pidfd, listener; with an init stub its status pipe and the
/// handler's pidfd.
const DESCRIPTORS_EACH: u64 = 6;
/// The supervisor's own, and those of a launch.
const DESCRIPTORS_OWN: u64 = 96;

/// Where fewer descriptors are allowed than the services may take, accepting pauses before their limits are
/// reached.
fn remark_on_descriptors(services: &[Service]) {
    let sandboxes: usize = services.iter().map(|service| service.admission.total + service.warm.max).sum();
    let wanted = sandboxes as u64 * DESCRIPTORS_EACH + DESCRIPTORS_OWN;
    if let Some(limit) = privilege::descriptor_limit().filter(|limit| *limit < wanted) {
        log::remark(&format!(
            "the limit is {limit} descriptors, but all connections together may need {wanted}: raise LimitNOFILE= or lower --max-connections"
        ));
    }
}

/// Statistics are not a layer: without the socket the service runs anyway.
pub(super) fn stats_socket() -> Option<StatsSocket> {
    match StatsSocket::bind() {
        Ok(socket) => Some(socket),
        Err(error) => {
            log::detail(&format!("cannot open the socket for dayfly stats: {error}"));
            None
        }
    }
}

/// The addresses that the services want to listen on now; at least one.
pub(super) fn wanted(settings: &[Settings], listeners: &[Listener]) -> Result<Vec<Wanted>, Refused> {
    let wanted = addresses(settings)?;
    check_all_listen(settings, |service| {
        let passed = |listener: &Listener| listener.is_passed() && listener.service == service;
        wanted.iter().any(|(of, ..)| *of == service) || listeners.iter().any(passed)
    })?;
    Ok(wanted)
}

/// Makes listeners, in the host's network, for the addresses that nobody listens on yet.
pub(super) fn bind_new(
    base: &Base,
    wanted: &[Wanted],
    listeners: &[Listener],
) -> Result<Vec<Listener>, String> {
    let is_new =
        |(service, address, _): &&Wanted| !listeners.iter().any(|l| l.service == *service && l.has(address));
    let new: Vec<_> = wanted.iter().filter(is_new).collect();
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let bind = || {
        new.iter().map(|(service, address, backlog)| Listener::bind(address, *backlog, *service)).collect()
    };
    base.in_host_network(bind).map_err(|errno| format!("cannot enter the host's network: {errno}"))?
}

const BACKLOG: u32 = 4096;

pub(super) type Refused = (String, u8);

/// An address that a service wants to listen on, with its backlog.
pub(super) type Wanted = (ServiceId, Address, u32);

/// Listeners from systemd, from the process before this one, and from --listen.
fn listeners(
    settings: &[Settings],
    listen_given: bool,
    inherited: Result<Inherited, String>,
    predecessor: Option<&Predecessor>,
) -> Result<Vec<Listener>, Refused> {
    check_names(settings)?;
    if listen_given && settings.len() > 1 {
        let message = "--listen with several services: put it into their files, or use socket units";
        return Err((message.to_owned(), USAGE));
    }
    let addresses = addresses(settings)?;
    let inherited = inherited.map_err(|message| (message, SERVE_FAILED))?;
    let adopt = |(fd, name): (OwnedFd, String)| match predecessor {
        Some(_) => successor::take_over(settings, fd, &name),
        None => adopt(settings, fd, &name),
    };
    let mut listeners = inherited.passed.into_iter().map(adopt).collect::<Result<Vec<_>, _>>()?;
    let has = |listener: &Listener, (service, address, _): &Wanted| {
        listener.service == *service && listener.has(address)
    };
    listeners.retain(|listener| listener.is_passed() || addresses.iter().any(|wanted| has(listener, wanted)));
    for wanted @ (service, address, backlog) in &addresses {
        if !listeners.iter().any(|listener| has(listener, wanted)) {
            let bound = Listener::bind(address, *backlog, *service);
            listeners.push(bound.map_err(|message| (message, SERVE_FAILED))?);
        }
    }
    check_all_listen(settings, |service| listeners.iter().any(|listener| listener.service == service))?;
    Ok(listeners)
}

fn check_all_listen(settings: &[Settings], listens: impl Fn(ServiceId) -> bool) -> Result<(), Refused> {
    let Some((_, settings)) = ServiceId::all(settings).find(|(service, _)| !listens(*service)) else {
        return Ok(());
    };
    let whose = if settings.name == "-" { String::new() } else { format!(" for '{}'", settings.name) };
    let message = format!("no address to listen on{whose}: give --listen ADDR:PORT, or use a socket unit");
    Err((message, USAGE))
}

/// Refuses two services of one name, because a socket finds its service by its name.
fn check_names(settings: &[Settings]) -> Result<(), Refused> {
    for (index, one) in settings.iter().enumerate() {
        if settings.iter().take(index).any(|other| other.name == one.name) {
            return Err((format!("--service: '{}' is named twice", one.name), USAGE));
        }
    }
    Ok(())
}

/// Parses the addresses of all services before any is bound.
fn addresses(settings: &[Settings]) -> Result<Vec<Wanted>, Refused> {
    let mut addresses = Vec::new();
    for (service, settings) in ServiceId::all(settings) {
        let backlog = settings.options.backlog.unwrap_or(BACKLOG);
        for text in settings.options.listen.iter().flatten() {
            let address = text.parse().map_err(|why| (format!("--listen: {why}"), USAGE))?;
            addresses.push((service, address, backlog));
        }
    }
    let only: Vec<&Address> = addresses.iter().map(|(_, address, _)| address).collect();
    match listener::conflict(&only) {
        Some(why) => Err((format!("--listen: {why}"), USAGE)),
        None => Ok(addresses),
    }
}

/// A socket that was passed goes to the only service, or to the one of its name. A socket unit that says
/// nothing of names gives its own, with the suffix (FileDescriptorName= in systemd.socket(5)).
fn adopt(settings: &[Settings], fd: OwnedFd, name: &str) -> Result<Listener, Refused> {
    let wanted = name.strip_suffix(".socket").unwrap_or(name);
    let mut all = ServiceId::all(settings);
    let found = match settings {
        [_] => all.next(),
        _ => all.find(|(_, settings)| settings.name == wanted),
    };
    let Some((service, _)) = found else {
        let names: Vec<_> = settings.iter().map(|settings| settings.name.as_str()).collect();
        let names = names.join(" ");
        return Err((
            format!(
                "LISTEN_FDNAMES: unknown service '{name}' (known: {names}): set FileDescriptorName= in the socket unit"
            ),
            USAGE,
        ));
    };
    Listener::adopt(fd, name, service).map_err(|message| (message, USAGE))
}
