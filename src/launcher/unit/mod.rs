//! `dayfly unit`: makes a socket and a service unit for a service file, from the shipped units.

mod adapt;
mod comments;
mod text;
mod user;

use crate::config::options::{Options, key_of};
use crate::config::{self, ConfigError, Settings};
use crate::log::{self, Verbosity};
use crate::output::stdout_line;
use adapt::Subject;
use std::fs;
use std::path::{Path, PathBuf};
use text::UnitText;

#[derive(Debug, clap::Args)]
pub(crate) struct UnitOptions {
    /// Service: NAME for /etc/dayfly/NAME.toml, or a FILE
    name: String,
    /// Let systemd start a launcher for each connection (Accept=yes), instead of one resident launcher
    #[arg(long)]
    inetd: bool,
    /// Make units for a user's own systemd (systemctl --user), for dayfly without root
    #[arg(long, conflicts_with_all = ["inetd", "drop_in"])]
    user: bool,
    /// Address for the socket unit: ADDR:PORT, :PORT or unix:PATH[?mode=0660] [repeatable; default: 70 for
    /// gopher]
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// Slice to put the service into
    #[arg(long, value_name = "NAME.slice")]
    slice: Option<String>,
    /// Oldest systemd that must understand the units; from 255 on they use PollLimitBurst=
    #[arg(long, value_name = "VERSION", default_value_t = 252)]
    systemd: u16,
    /// Print a drop-in with the differences from the installed gopher units
    #[arg(long)]
    drop_in: bool,
    /// Write files into the existing directory DIR instead of printing them
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Replace files of --output that are there and differ
    #[arg(long, requires = "output")]
    replace: bool,
}

/// The shipped units: resident, and a launcher for each connection.
const RESIDENT: [(&str, &str); 2] = [
    ("gopher.socket", include_str!("../../../units/gopher.socket")),
    ("gopher.service", include_str!("../../../units/gopher.service")),
];
const INETD: [(&str, &str); 2] = [
    ("gopher-inetd.socket", include_str!("../../../units/gopher-inetd.socket")),
    ("gopher-inetd@.service", include_str!("../../../units/gopher-inetd@.service")),
];
/// The service that they are for.
const SHIPPED: &str = "gopher";

pub(crate) fn main(given: &UnitOptions) -> u8 {
    log::init(None, Verbosity::Normal, false);
    match units_of(given).and_then(|units| deliver(&units, given)) {
        Ok(()) => 0,
        Err(error) => {
            log::fatal(&error.message);
            error.kind.status()
        }
    }
}

/// Writes the units of a service that has none into a directory; their paths.
pub(crate) fn write_new(name: &str, listen: &str, directory: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let given = UnitOptions {
        name: name.to_owned(),
        inetd: false,
        user: false,
        listen: vec![listen.to_owned()],
        slice: None,
        systemd: 252,
        drop_in: false,
        output: None,
        replace: false,
    };
    let write = |unit: UnitText| {
        let path = directory.join(&unit.name);
        write(&path, &unit.text()).map(|()| path)
    };
    units_of(&given)?.into_iter().map(write).collect()
}

fn units_of(given: &UnitOptions) -> Result<Vec<UnitText>, ConfigError> {
    let service = Some(vec![given.name.clone()]);
    let settings = config::load(Options { service, ..Options::default() })?;
    let file = given.name.contains('/').then(|| std::path::absolute(&given.name).unwrap_or_default());
    let mut units = units(given, &settings, file.as_deref())?;
    if let Some(path) = own_path() {
        start_by(&path, &mut units);
    }
    let ignored: Vec<_> = adapt::ignored(given, &settings.options).into_iter().map(key_of).collect();
    if !ignored.is_empty() {
        log::warning(&format!(
            "these units start a launcher for each connection, which ignores {}; leave --inetd out to use them",
            ignored.join(" ")
        ));
    }
    Ok(units)
}

/// Pure, except that it looks at the template and the profile. `file` is the service file's path, if it was
/// given.
fn units(
    given: &UnitOptions,
    settings: &Settings,
    file: Option<&Path>,
) -> Result<Vec<UnitText>, ConfigError> {
    let name = &settings.name;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
        return Err(ConfigError::usage(format!(
            "'{name}' cannot be the name of a unit: rename the service file"
        )));
    }
    let argument = file.map_or_else(|| name.clone(), |file| file.display().to_string());
    let options = &settings.options;
    let traits = adapt::traits(options)?;
    let listen = listen(given, settings)?;
    let has_socket = given.inetd || !listen.is_empty() || options.listen.is_none();
    let subject = Subject { argument: &argument, file, options, traits, listen, has_socket, given };
    adapt::refuse(&subject)?;
    let shipped = match (given.user, given.inetd) {
        (true, _) => user::UNITS,
        (false, true) => INETD,
        (false, false) => RESIDENT,
    };
    let mut units = Vec::new();
    for (file, text) in shipped {
        let mut unit = UnitText::new(renamed(file, name), &renamed(text, name));
        if file.ends_with(".socket") {
            if !subject.has_socket {
                continue;
            }
            adapt::socket(&mut unit, &subject);
            comments::of_socket(&mut unit, &subject);
        } else if given.user {
            user::service(&mut unit, &subject)?;
        } else {
            adapt::service(&mut unit, &subject)?;
            comments::of_service(&mut unit, &subject);
        }
        units.push(unit);
    }
    Ok(units)
}

/// A resident launcher binds what its file says itself; else systemd has to know where.
fn listen(given: &UnitOptions, settings: &Settings) -> Result<Vec<crate::listener::Address>, ConfigError> {
    let in_file = settings.options.listen.as_deref().unwrap_or_default();
    if !given.listen.is_empty() {
        return adapt::addresses(&given.listen);
    }
    if given.inetd && !in_file.is_empty() {
        return adapt::addresses(in_file);
    }
    // The socket unit is installed: it says where.
    if settings.name != SHIPPED && !given.drop_in && in_file.is_empty() {
        return Err(ConfigError::usage(
            "no address for the socket unit: give --listen, for example --listen :79",
        ));
    }
    Ok(Vec::new())
}

/// A shipped text with another service's name; the capital is in sentences.
fn renamed(text: &str, name: &str) -> String {
    if name == SHIPPED {
        return text.to_owned();
    }
    let mut capital = name.to_owned();
    capital[..1].make_ascii_uppercase();
    text.replace("port 70", "its port").replace(SHIPPED, name).replace("Gopher", &capital)
}

fn deliver(units: &[UnitText], given: &UnitOptions) -> Result<(), ConfigError> {
    let mut files = Vec::new();
    for unit in units {
        match given.drop_in {
            false => files.push((unit.name.clone(), unit.text())),
            true => files.extend(unit.drop_in().map(|text| (format!("{}.d/dayfly.conf", unit.name), text))),
        }
    }
    let Some(directory) = &given.output else {
        let place = if given.user { "~/.config/systemd/user" } else { "/etc/systemd/system" };
        files.iter().for_each(|(file, text)| stdout_line(&format!("# {place}/{file}\n{text}")));
        return Ok(());
    };
    let files: Vec<_> = files.into_iter().map(|(file, text)| (directory.join(file), text)).collect();
    // All of them or none.
    let states: Vec<_> = files.iter().map(|(path, text)| State::of(path, text)).collect();
    let different = files.iter().zip(&states).find(|(_, state)| **state == State::Different);
    if let Some(((path, _), _)) = different.filter(|_| !given.replace) {
        return Err(ConfigError::usage(format!(
            "{} is there already and differs: give --replace, or write to another directory",
            path.display()
        )));
    }
    for ((path, text), state) in files.iter().zip(states) {
        let done = match state {
            State::Same => "is unchanged",
            State::Missing | State::Different => {
                write(path, text)?;
                if state == State::Missing { "is written" } else { "is replaced" }
            }
        };
        stdout_line(&format!("{} {done}", path.display()));
    }
    Ok(())
}

/// The present content of a file's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Missing,
    Same,
    Different,
}

impl State {
    fn of(path: &Path, text: &str) -> State {
        match fs::read(path) {
            Ok(content) if content == text.as_bytes() => State::Same,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => State::Missing,
            _ => State::Different,
        }
    }
}

fn write(path: &Path, text: &str) -> Result<(), ConfigError> {
    let directory = path.parent().filter(|parent| parent.extension().is_some_and(|end| end == "d"));
    let made = directory.map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, text))
        .map_err(|error| ConfigError::usage(format!("cannot write {}: {error}", path.display())))
}

/// The path of this launcher as a unit can name it; None if it is the installed one.
fn own_path() -> Option<String> {
    let path = std::env::current_exe().ok()?.to_str()?.to_owned();
    // systemd.service(5) gives a meaning to some characters, and to blanks.
    let is_plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte));
    (is_plain && path != INSTALLED).then_some(path)
}

/// The launcher in the shipped units.
const INSTALLED: &str = "/usr/bin/dayfly";

fn start_by(path: &str, units: &mut [UnitText]) {
    for unit in units {
        if let Some(line) = unit.value("ExecStart").map(|line| line.replacen(INSTALLED, path, 1)) {
            unit.set("Service", "ExecStart", line);
        }
    }
}

#[cfg(test)]
mod tests;
