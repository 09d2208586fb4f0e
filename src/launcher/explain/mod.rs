//! `dayfly explain`: the whole sandbox as it would be, from the data that it would be made by.
//!
//! The plans are taken apart field by field, without `..`: what is added to one and not explained does not
//! compile.

mod filters;
mod layers;
mod serving;
mod tree;

use crate::cli::ExplainOptions;
use crate::config::options::Options;
use crate::config::service::{Purpose, Service};
use crate::config::{self, ConfigError, ErrorKind, Settings};
use crate::kernel::Kernel;
use crate::log::{self, Verbosity};
use crate::output::stdout_line;
use seccomp::abi::Files;
use serde_json::json;
use tree::Node;

pub(crate) fn main(given: ExplainOptions) -> u8 {
    log::init(None, Verbosity::Normal, false);
    let explained = match given.diff {
        Some(services) => explain_both(given.options, &services, given.json),
        None => explain_one(given.options, given.name, given.json),
    };
    match explained {
        Ok(lines) => {
            lines.iter().for_each(|line| stdout_line(line));
            0
        }
        Err(error) => {
            log::fatal(&error.message);
            error.kind.status()
        }
    }
}

fn explain_one(mut options: Options, name: Option<String>, json: bool) -> Result<Vec<String>, ConfigError> {
    if let Some(name) = name {
        options.service = Some(vec![name]);
    }
    let tree = explained(options)?;
    Ok(if json { vec![tree.json().to_string()] } else { tree.lines() })
}

fn explain_both(options: Options, names: &[String], json: bool) -> Result<Vec<String>, ConfigError> {
    let [a, b] = names else { return Err(ConfigError::usage("--diff takes two services")) };
    let tree = |name: &String| explained(Options { service: Some(vec![name.clone()]), ..options.clone() });
    let differences = tree::compare(&tree(a)?, &tree(b)?);
    if json {
        let list: Vec<_> = differences.iter().map(tree::Difference::json).collect();
        return Ok(vec![json!({"a": a, "b": b, "differences": list}).to_string()]);
    }
    Ok(differences.iter().flat_map(tree::Difference::lines).collect())
}

/// A wrong option or file is an error; what this host cannot have is part of the explanation.
fn explained(options: Options) -> Result<Node, ConfigError> {
    let settings = config::load(Options { only_tells: Some(true), ..options })?;
    let kernel = Kernel::probe();
    if settings.options.template.is_none() && settings.options.handler.is_none() {
        return without_service(settings, &kernel);
    }
    let purpose = if settings.options.only_for_serve().is_empty() { Purpose::Run } else { Purpose::Serve };
    let name = settings.name.clone();
    let notes = of_nspawn(settings.options.notes.as_deref().unwrap_or_default());
    match Service::resolve(settings, purpose, &kernel) {
        Ok(service) => Ok(sandbox(&service, purpose, &kernel)?.with(notes)),
        Err(error) if error.kind == ErrorKind::Usage => Err(error),
        Err(error) => {
            let refused = Node::new("refused", error.message).why("nothing would run on this host");
            Ok(Node::new("sandbox", title(&name)).with([refused, layers::kernel(&kernel)]))
        }
    }
}

/// Notes on a systemd-nspawn command line.
fn of_nspawn(notes: &[String]) -> Option<Node> {
    let notes = notes.iter().enumerate().map(|(index, note)| Node::new(index.to_string(), note.as_str()));
    let list = Node::group("from systemd-nspawn").with(notes);
    (list != Node::group("from systemd-nspawn")).then_some(list)
}

/// Explains the profile alone, because there is no template.
fn without_service(settings: Settings, kernel: &Kernel) -> Result<Node, ConfigError> {
    let profile = config::profile(settings.options.profile.as_deref())?;
    let filters = filters::filters(&profile, Files::Temporary, None)?;
    Ok(Node::new("profile", profile.name()).with([layers::kernel(kernel), filters]))
}

fn title(name: &str) -> String {
    if name == "-" { "of these options".to_owned() } else { format!("of service {name}") }
}

fn sandbox(service: &Service, purpose: Purpose, kernel: &Kernel) -> Result<Node, ConfigError> {
    let parts = layers::layers(service, purpose, kernel)?;
    let serving = serving::serving(service, purpose);
    Ok(Node::new("sandbox", title(&service.name)).with(parts).with(serving))
}
