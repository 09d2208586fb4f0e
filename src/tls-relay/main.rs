//! Ends the TLS of one connection in a process that has no key, and copies the plain stream.
//!
//! Descriptor 0 is the connection and 1 one end of a pair whose other end is the handler's. From 3 on are the
//! files, by their names in LISTEN_FDNAMES: `certificate`, and `client-ca` and `crl` if the service asks for
//! clients' certificates. They are read before there is a connection: at sched_yield(2) the relay is parked.
//! Descriptor 9 goes to the supervisor, which passes on what the signer is asked.

mod client;
mod configuration;
mod copy;
mod handshake;
mod remote_key;

use configuration::Configuration;
use std::fs::File;
use std::io::{Read, Write, stderr};
use std::os::fd::BorrowedFd;
use std::process::ExitCode;
use sys::Ignoring;
use tls_wire::{CONTROL_FD, Report};

/// No file is larger.
const SIZE_MAX: u64 = 16 << 20;
const FIRST_FD: i32 = 3;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => relay(),
        ["--check", ref paths @ ..] if (1..=3).contains(&paths.len()) => check(paths),
        _ => {
            Err("usage: tls-relay [--check CERTIFICATE [CLIENT_CA [CRL]]]; dayfly serve starts it".to_owned())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            writeln!(stderr(), "{why}").ignoring("nobody reads it");
            ExitCode::FAILURE
        }
    }
}

/// Whether a relay could start with these files.
fn check(paths: &[&str]) -> Result<(), String> {
    let read = |path: &&str| std::fs::read(path).map_err(|error| format!("cannot read {path}: {error}"));
    let files = paths.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let file = |index: usize| files.get(index).map(Vec::as_slice);
    Configuration::new(file(0).unwrap_or_default(), file(1), file(2)).map(drop)
}

fn relay() -> Result<(), String> {
    let files = inherited_files()?;
    let named = |wanted: &str| files.iter().find(|(name, _)| name == wanted).map(|(_, file)| file.as_slice());
    let configuration =
        Configuration::new(named("certificate").unwrap_or_default(), named("client-ca"), named("crl"))?;
    drop(files);
    // The supervisor lets this return once the connection is there.
    std::thread::yield_now();
    let open =
        |number: i32| sys::borrowed(number).map_err(|errno| format!("no descriptor {number}: {errno}"));
    let (connection, plain, control) = (open(0)?, open(1)?, open(CONTROL_FD.into())?);
    let tls = match handshake::shake_hands(connection, &configuration) {
        Ok(tls) => tls,
        Err(reason) => return report(control, &Report::Failed(reason)),
    };
    let facts = match client::facts(&tls) {
        Ok(facts) => facts,
        Err(reason) => return report(control, &Report::Failed(reason)),
    };
    report(control, &Report::Done(facts))?;
    let cut =
        copy::copy(tls, connection, plain).map_err(|errno| format!("cannot copy the stream: {errno}"))?;
    report(control, &Report::Ended { cut })
}

fn report(control: BorrowedFd<'_>, report: &Report) -> Result<(), String> {
    sys::write(control, &report.encode()).map(drop).map_err(|errno| format!("cannot report: {errno}"))
}

fn inherited_files() -> Result<Vec<(String, Vec<u8>)>, String> {
    let names = std::env::var("LISTEN_FDNAMES").map_err(|_error| "dayfly serve starts it".to_owned())?;
    let read = |(number, name): (i32, &str)| {
        let mut content = Vec::new();
        let file = sys::adopt(number).map(File::from).map_err(|errno| format!("no file {name}: {errno}"))?;
        file.take(SIZE_MAX)
            .read_to_end(&mut content)
            .map_err(|error| format!("cannot read the file {name}: {error}"))?;
        Ok((name.to_owned(), content))
    };
    (FIRST_FD..).zip(names.split(':')).map(read).collect()
}
