//! Parses and checks the command line. No file is opened here.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

pub(crate) const HELP: &str = "\
Usage: gopher-handler [OPTIONS]
       gopher-handler [OPTIONS] --render SELECTOR
       gopher-handler [OPTIONS] lint DIR

Answer one gopher request from standard input on standard output, or check a tree for its author.

Options:
  --config FILE      read settings from FILE; options win over it
  --root DIR         serve what is below DIR (default: /srv/gopher)
  --host NAME        our name in menus (default: the address the client reached, or localhost)
  --port N           our port in menus (default: the port the client reached, or 70)
  --render SELECTOR  print the answer to SELECTOR; status 1 if it is an error
  --help             print this
  --version          print the version

Exit status: 0 an answer was sent (an error of type 3 is one) or nothing was asked,
1 the answer could not be sent, 2 wrong usage or configuration; of lint 0 clean, 1 findings.
";

/// The task of a run of the program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Serve(Options),
    Render(Options, Vec<u8>),
    Lint(Options, PathBuf),
    Help,
    Version,
}

/// The options that were given. The configuration file and the defaults have the rest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) config: Option<PathBuf>,
    pub(crate) root: Option<PathBuf>,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
}

/// Reads the arguments that follow the program's name.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let mut options = Options::default();
    let (mut render, mut lint) = (None, None);
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let (name, attached) = split(&argument);
        let mut value =
            || attached.clone().or_else(|| arguments.next()).ok_or(format!("{name} wants a value"));
        match name.as_str() {
            "--config" => options.config = Some(PathBuf::from(value()?)),
            "--root" => options.root = Some(PathBuf::from(value()?)),
            "--host" => options.host = Some(host(&value()?).map_err(|wrong| format!("--host {wrong}"))?),
            "--port" => options.port = Some(port(&value()?)?),
            "--render" => render = Some(value()?.into_vec()),
            "lint" if lint.is_none() && attached.is_none() => lint = Some(value()?),
            "--help" | "-h" if attached.is_none() => return Ok(Command::Help),
            "--version" | "-V" if attached.is_none() => return Ok(Command::Version),
            _ => return Err(format!("{} is not an option", argument.to_string_lossy().escape_debug())),
        }
    }
    match (render, lint) {
        (None, None) => Ok(Command::Serve(options)),
        (Some(selector), None) => Ok(Command::Render(options, selector)),
        (None, Some(directory)) => Ok(Command::Lint(options, PathBuf::from(directory))),
        (Some(_), Some(_)) => Err("--render and lint are two different things".to_owned()),
    }
}

/// `--name=value` as name and value; the value may be any bytes.
fn split(argument: &OsStr) -> (String, Option<OsString>) {
    let bytes = argument.as_bytes();
    match bytes.iter().position(|&byte| byte == b'=') {
        Some(at) if bytes.starts_with(b"--") => {
            let value = OsStr::from_bytes(&bytes[at + 1..]).to_os_string();
            (String::from_utf8_lossy(&bytes[..at]).into_owned(), Some(value))
        }
        _ => (argument.to_string_lossy().into_owned(), None),
    }
}

/// A host goes into every menu line, so one with a TAB or a space in it would break them all.
pub(crate) fn host(value: &OsStr) -> Result<String, String> {
    match value.to_str() {
        Some(name) if !name.is_empty() && !name.contains(|c: char| c.is_control() || c.is_whitespace()) => {
            Ok(name.to_owned())
        }
        _ => Err("wants a name without spaces".to_owned()),
    }
}

fn port(value: &OsStr) -> Result<u16, String> {
    match value.to_str().and_then(|digits| digits.parse().ok()) {
        Some(number) if number != 0 => Ok(number),
        _ => Err("--port wants a number from 1 to 65535".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Command, String> {
        parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn no_arguments_serve_with_nothing_set() {
        assert_eq!(parsed(&[]), Ok(Command::Serve(Options::default())));
    }

    #[test]
    fn a_value_may_be_attached_or_follow() {
        let expected = Options {
            config: None,
            root: Some(PathBuf::from("/r")),
            host: Some("h".to_owned()),
            port: Some(7070),
        };
        assert_eq!(parsed(&["--root=/r", "--host", "h", "--port=7070"]), Ok(Command::Serve(expected)));
    }

    #[test]
    fn what_is_no_option_is_refused() {
        for arguments in [
            &["--rot", "/"][..],
            &["x"],
            &["--port"],
            &["--port", "0"],
            &["--host", "a\tb"],
            &["--help=x"],
            &["lint"],
            &["lint", "a", "lint", "b"],
            &["lint", "a", "--render", "/"],
        ] {
            assert!(parsed(arguments).is_err(), "{arguments:?}");
        }
    }
}
