//! `dayfly learn`: `run` or `serve` of a service whose profile's default verdict is not applied, and beside
//! it the program that writes the learned profile. That program needs no privilege: it hears what was called,
//! and writes one file.

use super::serve::serve_and_learn;
use super::{fail, misuse, run_and_learn};
use crate::cli::LearnOptions;
use crate::config;
use crate::config::options::Options;
use crate::log;
use crate::programs;
use crate::supervisor::learning::Learner;
use sandbox::plan::profile;
use seccomp::lessons::Told;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Child;

/// FILE could not be written.
const NOT_WRITTEN: u8 = 1;

pub(crate) fn learn(given: LearnOptions) -> u8 {
    let LearnOptions { name, output, connections, mut options } = given;
    options.service = options.service.take().or(name.map(|name| vec![name]));
    let (base, serves) = match look(&options) {
        Ok((base, listens)) => (base, listens || connections.is_some()),
        Err(message) => return misuse(&message),
    };
    let output = match std::path::absolute(&output) {
        Ok(output) => output,
        Err(error) => return misuse(&format!("--output {}: {error}", output.display())),
    };
    match includes(&output, &base) {
        Ok(false) => {}
        Ok(true) => options.profile = Some(output.to_string_lossy().into_owned()),
        Err(message) => return misuse(&message),
    }
    options.learning = Some(true);
    let mut lesson = Lesson { output, base, connections, writer: None };
    let status = match serves {
        true => serve_and_learn(options, Some(&mut lesson)),
        false => run_and_learn(options, Some(&mut lesson)),
    };
    match (lesson.end(), status) {
        (Ok(()), status) => status,
        (Err(message), 0) => fail(&message, NOT_WRITTEN),
        (Err(message), status) => fail(&message, status),
    }
}

/// The profile that the service has, and whether it listens.
fn look(options: &Options) -> Result<(String, bool), String> {
    let all = config::load_all(options.clone()).map_err(|error| error.message)?;
    let [settings] = all.as_slice() else { return Err("learn takes one service".to_owned()) };
    let profile = settings.options.profile.clone().unwrap_or_else(|| profile::DEFAULT.to_owned());
    Ok((profile, settings.options.listen.is_some()))
}

/// Whether FILE exists; it must be one that adds to the same profile.
fn includes(output: &Path, base: &str) -> Result<bool, String> {
    let text = match std::fs::read_to_string(output) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(format!("--output {}: cannot read it: {error}", output.display())),
    };
    let is_itself = Path::new(base) == output;
    let includes = |line: &str| line.split_whitespace().take(2).eq(["include", base]);
    if is_itself || text.lines().any(includes) {
        return Ok(true);
    }
    Err(format!(
        "--output {}: it exists and has no line 'include {base}', the profile of the service: remove it, or name another file",
        output.display()
    ))
}

/// A run of `dayfly learn`: its profile, and the program that writes it.
#[derive(Debug)]
pub(super) struct Lesson {
    output: PathBuf,
    base: String,
    connections: Option<u64>,
    writer: Option<Child>,
}

impl Lesson {
    /// Descriptor 1 is the connection: the report goes to 2, unless that is the connection too.
    pub(super) fn begin_run(&mut self, stderr_is_connection: bool) -> Result<Learner, String> {
        let stderr = io::stderr();
        self.begin((!stderr_is_connection).then(|| stderr.as_fd()), !stderr_is_connection, true)
    }

    pub(super) fn begin_serve(
        &mut self,
        stdout: Option<BorrowedFd<'_>>,
        stderr_is_connection: bool,
    ) -> Result<Learner, String> {
        let seen = stdout.is_some_and(|stdout| stdout.is_terminal());
        self.begin(stdout, !stderr_is_connection, seen)
    }

    /// `seen`: whoever reads the report has read the log, which has warned already.
    fn begin(
        &mut self,
        report_to: Option<BorrowedFd<'_>>,
        says: bool,
        seen: bool,
    ) -> Result<Learner, String> {
        log::warning("learning is no protection: calls that the profile denies are recorded and made");
        let start = || {
            let (lessons, tell) = io::pipe()?;
            let output = match report_to {
                Some(fd) => fd.try_clone_to_owned()?,
                None => File::options().write(true).open("/dev/null")?.into(),
            };
            let mut words = vec!["--output".into(), self.output.clone().into_os_string()];
            words.extend(seen.then(|| "--warned".into()));
            let writer = programs::start("learn", &words, (lessons.into(), output), says)?;
            let mut tell = File::from(OwnedFd::from(tell));
            writeln!(tell, "{}", Told::Began { profile: self.base.clone() })?;
            Ok((writer, tell))
        };
        let (writer, tell) = start().map_err(|error: io::Error| {
            format!("cannot start the program that writes the profile, libexec/dayfly/learn: {error}")
        })?;
        self.writer = Some(writer);
        Ok(Learner::new(tell, self.connections))
    }

    /// The other program has written the file and ended. It says itself what was wrong.
    fn end(self) -> Result<(), String> {
        let Some(mut writer) = self.writer else { return Ok(()) };
        match writer.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(format!("{} is not written", self.output.display())),
            Err(error) => {
                Err(format!("cannot wait for the program that writes {}: {error}", self.output.display()))
            }
        }
    }
}
