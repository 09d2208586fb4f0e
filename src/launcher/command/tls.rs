//! The services beside one that speaks TLS: relays, and the signer with the key. They are made of the service's
//! own options, and of a template of the package that holds their two programs.

use crate::config::ConfigError;
use crate::config::Settings;
use crate::config::options::{Options, ParkAt, SnapshotKind};
use crate::config::passed_fds::OpenSpec;
use crate::config::service::{Service, ServiceId};
use crate::config::tls::{Companions, Files, Role, Tls};
use crate::config::values::{RlimitSpec, Span};
use crate::programs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const RELAY: &str = "tls-relay";
const SIGNER: &str = "signer";

/// The directory of the package that is their template. Found once: an upgrade replaces the launcher's file.
fn template() -> Result<PathBuf, ConfigError> {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    if let Some(known) = TEMPLATE.get() {
        return Ok(known.clone());
    }
    let found = programs::path_of("tls")
        .map_err(|error| ConfigError::sandbox(format!("cannot find the launcher's own file: {error}")))?;
    Ok(TEMPLATE.get_or_init(|| found).clone())
}

/// A service beside another.
#[derive(Debug)]
pub(super) struct Companion {
    pub(super) role: Role,
    pub(super) settings: Settings,
}

/// Where the companions of each service have their place: behind all services, two for each that speaks TLS.
pub(super) fn places(settings: &[Settings]) -> Vec<Option<Companions>> {
    let mut next = settings.len();
    let place = |settings: &Settings| {
        settings.options.tls_certificate.as_ref()?;
        next += 2;
        Some(Companions { relay: ServiceId::at(next - 2), signer: ServiceId::at(next - 1) })
    };
    settings.iter().map(place).collect()
}

/// Takes out of the settings what their relays do for them, and answers the companions' settings, in the order
/// of their places.
pub(super) fn companions(settings: &mut [Settings]) -> Result<Vec<Companion>, ConfigError> {
    let mut all = Vec::new();
    for (index, settings) in settings.iter_mut().enumerate() {
        let Some(Tls { files, .. }) = Tls::of(&settings.options)? else { continue };
        let template = template()?;
        verify(&template, &files)?;
        let owner = ServiceId::at(index);
        let of =
            |role, options| Companion { role, settings: Settings { name: settings.name.clone(), options } };
        all.push(of(Role::Relay(owner), relay(&settings.options, &template, &files)));
        all.push(of(Role::Signer(owner), signer(&settings.options, &template, &files)));
        // A connection is counted once: when it comes.
        settings.options.rate = None;
    }
    Ok(all)
}

/// Tells services of their companions, and these of whose they are.
pub(super) fn connect(services: &mut [Service], places: &[Option<Companions>], roles: &[Role]) {
    let given = places.len();
    for (service, place) in services.iter_mut().zip(places) {
        if let Some(tls) = &mut service.tls {
            tls.companions = *place;
        }
    }
    for (service, role) in services.iter_mut().skip(given).zip(roles) {
        service.role = *role;
    }
}

/// Options that relay and signer share, as tight as dayfly's layers are.
fn common(given: &Options, template: &Path, program: &str) -> Options {
    let unlimited =
        RlimitSpec { name: "cpu".to_owned(), soft: libc::RLIM_INFINITY, hard: libc::RLIM_INFINITY };
    Options {
        template: Some(template.to_owned()),
        handler: Some(vec![format!("/{program}")]),
        snapshot: Some(SnapshotKind::Readonly),
        profile: Some("static".to_owned()),
        landlock_ro: Some(Vec::new()),
        landlock_rw: Some(Vec::new()),
        rlimit: Some(vec![unlimited]),
        hostname: given.hostname.clone(),
        net: given.net,
        cgroup: given.cgroup,
        cpu_affinity: given.cpu_affinity.clone(),
        user_range: given.user_range,
        strict: given.strict,
        allow_degraded: given.allow_degraded.clone(),
        drain_time: given.drain_time,
        max_connections: given.max_connections,
        max_per_source: given.max_per_source,
        source_prefix4: given.source_prefix4,
        source_prefix6: given.source_prefix6,
        ..Options::default()
    }
}

fn relay(given: &Options, template: &Path, files: &Files) -> Options {
    let named = [
        ("certificate", Some(&files.certificate)),
        ("client-ca", files.client_ca.as_ref()),
        ("crl", files.crl.as_ref()),
    ];
    let open = named.into_iter().filter_map(|(name, path)| Some(OpenSpec::kept(path?, name)));
    Options {
        open: Some(open.collect()),
        park: Some(ParkAt::Ready),
        warm: given.warm,
        rate: given.rate,
        wall_time: given.wall_time,
        idle_time: given.idle_time,
        min_rate: given.min_rate,
        cpu_burst: given.cpu_burst,
        send_buffer: given.send_buffer,
        wait_for_data: given.wait_for_data,
        proxy_protocol: given.proxy_protocol.clone(),
        ..common(given, template, RELAY)
    }
}

fn signer(given: &Options, template: &Path, files: &Files) -> Options {
    let open = [OpenSpec::kept(&files.key, "key"), OpenSpec::kept(&files.certificate, "certificate")];
    Options {
        open: Some(open.to_vec()),
        park: Some(ParkAt::None),
        wall_time: Some(Span(None)),
        idle_time: Some(Span(None)),
        cpu_burst: Some(Span(None)),
        ..common(given, template, SIGNER)
    }
}

/// Lets the two programs look at the files that they would get: what is wrong is known at the start, and at a
/// reload before anything is replaced. The launcher itself never reads the key.
fn verify(template: &Path, files: &Files) -> Result<(), ConfigError> {
    let certificate = files.certificate.as_path();
    let of_clients = files.client_ca.iter().chain(&files.crl).map(PathBuf::as_path);
    check(template, SIGNER, &[certificate, &files.key])?;
    check(template, RELAY, &[certificate].into_iter().chain(of_clients).collect::<Vec<_>>()).map(drop)
}

/// The program's report on the files.
fn check(template: &Path, program: &str, files: &[&Path]) -> Result<String, ConfigError> {
    let path = template.join(program);
    let done =
        Command::new(&path).arg("--check").args(files).stdin(Stdio::null()).output().map_err(|error| {
            let path = path.display();
            ConfigError::sandbox(format!("cannot execute {path}: {error}: install the whole package"))
        })?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let why = String::from_utf8_lossy(&done.stderr);
    let certificate = files.first().map(|path| path.display().to_string()).unwrap_or_default();
    Err(ConfigError::usage(format!("--tls-certificate {certificate}: {}", why.trim_end())))
}

/// What `dayfly check` tells of a certificate.
#[derive(Debug)]
pub(crate) struct Told {
    /// `expired` or `not-yet` or `valid`, and its last second.
    pub(crate) validity: String,
    /// The names that it is for.
    pub(crate) names: String,
}

/// Asks the two programs about the files of a service.
pub(crate) fn look(files: &Files) -> Result<Told, ConfigError> {
    let template = template()?;
    verify(&template, files)?;
    let said = check(&template, SIGNER, &[&files.certificate, &files.key])?;
    let mut lines = said.lines().map(str::to_owned);
    Ok(Told { validity: lines.next().unwrap_or_default(), names: lines.next().unwrap_or_default() })
}
