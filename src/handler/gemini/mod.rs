//! The same tree over Gemini: one request on stdin, the answer on stdout, as `gemini-handler`.
//!
//! [`url`] takes the request apart, [`answer`] finds what it names, [`gemtext`] writes menus of gopher as
//! gemtext, [`media`] knows the media types of files. Everything else is the gopher server's: the tree, its
//! paths, maps, listings and searches. TLS is ended by the program that accepts the connection.

pub(crate) mod answer;
pub(crate) mod gemtext;
mod media;
pub(crate) mod url;

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::time::Instant;

use rustix::net::{Shutdown, shutdown};

use crate::USAGE;
use crate::clean;
use crate::cli::{self, Command, Options};
use crate::log;
use crate::output::Output;
use crate::problem::Problem;
use crate::receive;
use crate::settings::Settings;
use crate::site::{self, Site};
use crate::tree::Tree;
use answer::{Request, Sent};

/// The port of Gemini's URLs that name none.
const PORT: u16 = 1965;

const HELP: &str = "\
Usage: gemini-handler [OPTIONS]
       gemini-handler [OPTIONS] --render URL

Answer one Gemini request from standard input on standard output. The program that accepts the connection ends TLS.

Options:
  --config FILE   read settings from FILE, as gopher-handler does; options win over it
  --root DIR      serve what is below DIR (default: /srv/gopher)
  --host NAME     answer for NAME only (default: for the name of the TLS handshake, or any)
  --port N        the port in our URLs (default: 1965)
  --render URL    print the answer to URL; status 1 if it is an error
  --help          print this
  --version       print the version

Exit status: 0 an answer was sent (an error is one) or nothing was asked,
1 the answer could not be sent, 2 wrong usage or configuration.
";

/// The whole program.
pub fn main() -> ExitCode {
    match cli::parse(std::env::args_os().skip(1)) {
        Ok(Command::Serve(options)) => serve(settings(&options)),
        Ok(Command::Render(options, url)) => match settings(&options) {
            Ok(settings) => render(&settings, url),
            Err(wrong) => misuse(&wrong),
        },
        Ok(Command::Lint(..)) => misuse("lint is a command of gopher-handler"),
        Ok(Command::Help) => print(HELP),
        Ok(Command::Version) => print(concat!("gemini-handler ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(wrong) => misuse(&format!("{wrong}; try --help")),
    }
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn misuse(wrong: &str) -> ExitCode {
    diagnose(wrong);
    ExitCode::from(USAGE)
}

fn diagnose(text: &str) {
    log::emit(format!("gemini-handler: {text}\n").as_bytes());
}

/// The settings of the gopher server, except those that say how gopher is spoken: its port is another one,
/// gemtext is sent as it is, and text is not converted.
fn settings(options: &Options) -> Result<Settings, String> {
    let settings = Settings::load(options)?;
    Ok(Settings { port: options.port, ..settings }.for_gemini())
}

impl Settings {
    /// These settings for the other protocol.
    pub(crate) fn for_gemini(self) -> Settings {
        Settings {
            port: self.port.or(Some(PORT)),
            gemtext_menus: false,
            charset: crate::charset::Charset::AsItIs,
            colors: false,
            ..self
        }
    }
}

fn serve(settings: Result<Settings, String>) -> ExitCode {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let (input, fd) = (stdin.as_fd(), stdout.as_fd());
    let (settings, wrong) = match settings {
        Ok(settings) => (settings, false),
        Err(wrong) => {
            diagnose(&wrong);
            (Settings::default().for_gemini(), true)
        }
    };
    let tree = if wrong { Err(Problem::Misconfigured) } else { Tree::open_root(&settings.root) };

    // As in gopher: no code above may ask about descriptors 0 and 1.
    std::thread::yield_now();
    let started = Instant::now();
    let site = Site::find(&settings, input);
    let peer = if settings.hide_addresses { "-".to_owned() } else { site::peer(input) };

    let request = Request::of(receive::url(input), std::env::var("TLS_SERVER_NAME").ok());
    let mut output = Output::new(fd, settings.charset);
    let sent = answer::to(tree, &site, &request, &mut output);
    let closing = shutdown(fd, Shutdown::Write).is_ok();

    let status = sent.as_ref().map_or("broken-off", |sent| sent.status);
    log::emit(
        format!(
            "peer={} url=\"{}\" code={} bytes={} status={status} ms={}\n",
            clean::logged(peer.as_bytes()).replace(' ', "\\x20"),
            clean::logged(request.line()),
            sent.as_ref().map_or_else(|_| "-".to_owned(), |sent| sent.code.to_string()),
            output.sent(),
            started.elapsed().as_millis(),
        )
        .as_bytes(),
    );
    if closing && sent.is_ok() {
        receive::drain(input);
    }
    match sent {
        Ok(_) if wrong => ExitCode::from(USAGE),
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints the answer to one URL, for tests and mirrors.
fn render(settings: &Settings, url: Vec<u8>) -> ExitCode {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let site = Site::find(settings, stdin.as_fd());
    let received = match url.len() {
        0..=url::BYTES_MAX => receive::Received::Line(url),
        _ => receive::Received::TooLong(url),
    };
    let mut output = Output::new(stdout.as_fd(), settings.charset);
    match answer::to(Tree::open_root(&settings.root), &site, &Request::of(received, None), &mut output) {
        Ok(Sent { code: 10..=39, .. }) => ExitCode::SUCCESS,
        Ok(Sent { status, .. }) => {
            diagnose(status);
            ExitCode::FAILURE
        }
        Err(error) => {
            diagnose(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
