//! `dayfly template`: makes the tree or the image that a sandbox sees as `/`.
//!
//! A program of its own beside the launcher, started as `dayfly template …`: it parses archives' worth of
//! files and runs package tools, which the privileged launcher must not.
//!
//! One build, as files: [`options`] is what was typed; [`source`] fills a new directory beside the target;
//! [`handler`] puts the handler in; [`tree`] makes it what a sandbox expects; [`publish`] makes an image of
//! it, or exchanges it with the old one in one step.

mod elf;
mod error;
mod handler;
mod options;
mod progress;
mod publish;
mod source;
mod tree;

use clap::Parser;
use error::Error;
use options::{Build, Cli, Command};
use progress::Progress;
use publish::Outcome;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Cli { command: Command::Build(options) } = Cli::parse();
    match build(&options) {
        Ok(line) => {
            // A reader that has closed its end wants no more.
            let _closed = writeln!(std::io::stdout(), "{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _closed = writeln!(std::io::stderr(), "dayfly template: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the template and answers what was made.
fn build(options: &Build) -> Result<String, Error> {
    let mut progress = Progress::new();
    options.check()?;
    publish::check_target(options)?;
    let new = publish::NewTree::create(&options.out)?;
    let left_out = source::fill(options, new.path(), &mut progress)?;
    let mount_points = tree::mount_points(new.path())?;
    tree::make_mount_points(new.path(), &mount_points)?;
    let handler =
        options.handler.as_ref().map(|handler| handler::install(handler, new.path())).transpose()?;
    progress.step("setting modes and owners");
    tree::normalise(new.path(), handler.as_deref())?;
    let outcome = publish::publish(options, new, &mut progress)?;
    progress.end();
    for path in left_out {
        let _closed = writeln!(
            std::io::stderr(),
            "dayfly template: left out {}: a device, FIFO or socket",
            path.display()
        );
    }
    let name = handler.map_or_else(|| "COMMAND".to_owned(), |path| path.display().to_string());
    let how = format!("try it with: dayfly run --template {} -- {name}", options.out.display());
    Ok(match outcome {
        Outcome::Made => format!("made {}; {how}", options.out.display()),
        Outcome::Unchanged => format!("{} is unchanged; {how}", options.out.display()),
    })
}
