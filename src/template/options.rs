//! The command line.

use crate::error::Error;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Make templates: the tree or image that a sandbox sees as its root
#[derive(Debug, Parser)]
#[command(name = "dayfly template", bin_name = "dayfly template", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a template from a handler, a directory, or Debian packages
    ///
    /// The tree belongs to root, is readable by all and writable by nobody else, and holds no set-id bits,
    /// devices, FIFOs or sockets. Mount points are made empty: those that DIR/.mountpoints lists, one a line
    /// (# begins a comment), else /dev, /proc, /run/dayfly and /tmp. OUT is made beside its place and
    /// exchanged in one step, and only if something changed. A directory that this command did not make is
    /// never replaced.
    #[command(after_help = EXIT_STATUS)]
    Build(Build),
}

const EXIT_STATUS: &str = "\
Examples:
  dayfly template build --handler ./finger /srv/finger
  dayfly template build --from site --handler ./gopher-handler --image erofs /srv/gopher.erofs
  dayfly template build --debian python3 --from app /srv/app

Exit status: 0 made or unchanged, 1 failed and nothing was replaced, 2 usage";

#[derive(Debug, Args)]
pub(crate) struct Build {
    /// An executable file, put at /bin/NAME, or at PATH; it gets mode 0711
    #[arg(long, value_name = "FILE[:PATH]", value_parser = HandlerOption::parse)]
    pub(crate) handler: Option<HandlerOption>,
    /// Copy the content of this directory into the template
    #[arg(long, value_name = "DIR")]
    pub(crate) from: Option<PathBuf>,
    /// Install these Debian packages into the template, with mmdebstrap, as root
    #[arg(long, value_name = "PACKAGE", value_delimiter = ',')]
    pub(crate) debian: Vec<String>,
    /// The release for --debian [default: this machine's]
    #[arg(long, value_name = "NAME", requires = "debian")]
    pub(crate) release: Option<String>,
    /// Make a read-only image instead of a directory; the same content gives the same bytes
    #[arg(long, value_name = "KIND")]
    pub(crate) image: Option<ImageKind>,
    /// The directory or image file to make
    #[arg(value_name = "OUT")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImageKind {
    Erofs,
    Squashfs,
}

/// A file of the host and the place that it gets, an absolute path inside the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HandlerOption {
    pub(crate) file: PathBuf,
    pub(crate) place: PathBuf,
}

impl HandlerOption {
    fn parse(text: &str) -> Result<HandlerOption, String> {
        let (file, place) = match text.rsplit_once(":/") {
            Some((file, place)) => (PathBuf::from(file), Path::new("/").join(place)),
            None => {
                let file = PathBuf::from(text);
                let name = file
                    .file_name()
                    .ok_or_else(|| format!("'{text}' has no path: use NAME:PATH"))?
                    .to_owned();
                (file, Path::new("/bin").join(name))
            }
        };
        let is_plain =
            |component: Component<'_>| matches!(component, Component::RootDir | Component::Normal(_));
        if !place.components().all(is_plain) || place.file_name().is_none() {
            return Err(format!("'{}' is not a path inside the template", place.display()));
        }
        Ok(HandlerOption { file, place })
    }
}

impl Build {
    /// Checks that clap cannot make of a single option.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.handler.is_none() && self.from.is_none() && self.debian.is_empty() {
            return Err(Error::NothingToMake);
        }
        if let Some(from) = self.from.as_ref().filter(|from| !from.is_dir()) {
            return Err(Error::NoDirectory(from.clone()));
        }
        let name = |name: &str| {
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.:".contains(&byte);
            name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric()) && name.bytes().all(plain)
        };
        match self.debian.iter().chain(&self.release).find(|text| !name(text)) {
            Some(wrong) => Err(Error::PackageName(wrong.clone())),
            None => Ok(()),
        }
    }

    /// The directory that OUT is in.
    pub(crate) fn parent(out: &Path) -> &Path {
        match out.parent() {
            Some(parent) if parent.as_os_str() != OsStr::from_bytes(b"") => parent,
            _ => Path::new("."),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_handler_gets_the_place_that_is_said_or_bin() {
        let parsed = HandlerOption::parse("./a/finger").unwrap();
        assert_eq!((parsed.file, parsed.place), ("./a/finger".into(), "/bin/finger".into()));
        let parsed = HandlerOption::parse("a:b:/usr/bin/x").unwrap();
        assert_eq!((parsed.file, parsed.place), ("a:b".into(), "/usr/bin/x".into()));
    }

    #[test]
    fn a_place_outside_of_the_template_is_refused() {
        for text in ["x:/../y", "x:/a/../../y", "x:/", "", "/", ".."] {
            assert!(HandlerOption::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_package_is_a_name_and_no_option_of_another_program() {
        for (packages, fits) in
            [("python3,git", true), ("libc6:amd64", true), ("--hook=x", false), ("a b", false), ("", false)]
        {
            let words = ["template", "build", &format!("--debian={packages}"), "out"];
            let Command::Build(options) = Cli::try_parse_from(words).unwrap().command;
            assert_eq!(options.check().is_ok(), fits, "{packages}");
        }
    }
}
