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
use crate::output::{Look, stdout_line};
use clap::{Args, FromArgMatches};
use seccomp::abi::Files;
use serde_json::json;
use tree::{Node, Read};

pub(crate) fn main(given: ExplainOptions) -> u8 {
    log::init(None, Verbosity::Normal, false);
    let explained = match given.diff {
        Some(words) => explain_both(&given.options, &words, given.json),
        None => explain_one(given.options, given.words, given.json),
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

/// A service, unless options describe one, and the sections that are wanted of it.
fn explain_one(mut options: Options, words: Vec<String>, json: bool) -> Result<Vec<String>, ConfigError> {
    let mut sections = words;
    let describes = options.template.is_some() || options.profile.is_some();
    let is_service = |word: &String| options.service.is_none() && !(describes && is_section(word));
    if sections.first().is_some_and(is_service) {
        options.service = Some(vec![sections.remove(0)]);
    }
    let tree = explained(options)?;
    let parts = tree.sections(&sections).map_err(|word| {
        let names = tree.names().join(", ");
        ConfigError::usage(format!("there is no section '{word}': use {names}, or a PATH/OF/NAMES below one"))
    })?;
    let parts = if parts.is_empty() { vec![&tree] } else { parts };
    let look = Look::of_stdout();
    Ok(match (json, parts.as_slice()) {
        (true, [part]) => {
            let mut value = part.json();
            // A part that is one value has no place for reasons.
            if let Some(object) = value.as_object_mut() {
                object.insert("why".to_owned(), part.reasons().into());
            }
            vec![value.to_string()]
        }
        (true, parts) => vec![serde_json::Value::from_iter(parts.iter().map(|part| part.json())).to_string()],
        (false, parts) => parts.iter().flat_map(|part| part.lines(look)).collect(),
    })
}

/// The first word of all sections.
const SECTIONS: [&str; 16] = [
    "handler",
    "kernel",
    "layers-given-up",
    "namespaces",
    "root-file-system",
    "identity",
    "capabilities",
    "process",
    "limits",
    "landlock",
    "seccomp",
    "steps",
    "connection",
    "cgroup",
    "serve",
    "remarks",
];

/// Where options describe a service, a word that is none of these names one that they change.
fn is_section(word: &str) -> bool {
    let first = word.split('/').next().unwrap_or_default();
    SECTIONS.contains(&first.to_lowercase().replace([' ', '_'], "-").as_str())
}

/// Two services, profiles or lists of options.
fn explain_both(options: &Options, words: &[String], json: bool) -> Result<Vec<String>, ConfigError> {
    let [a, b] = words else { return Err(ConfigError::usage("--diff takes two")) };
    let tree = |word: &String| explained(side(options, word)?);
    let read = if json { Read::ByPrograms } else { Read::ByPeople };
    let differences = tree::compare(&tree(a)?, &tree(b)?, read);
    if json {
        let list: Vec<_> = differences.iter().map(tree::Difference::json).collect();
        return Ok(vec![json!({"a": a, "b": b, "differences": list}).to_string()]);
    }
    Ok(differences.iter().flat_map(tree::Difference::lines).collect())
}

/// The meaning of one word of --diff, beside the options that are given for both.
fn side(options: &Options, word: &str) -> Result<Options, ConfigError> {
    if word.starts_with('-') {
        let wrong = |error: clap::Error| {
            let line = error.to_string().lines().next().unwrap_or_default().to_owned();
            ConfigError::usage(format!("--diff: '{word}': {}", line.trim_start_matches("error: ")))
        };
        let command = Options::augment_args(clap::Command::new("--diff").no_binary_name(true));
        let matches = command.try_get_matches_from(word.split_whitespace()).map_err(wrong)?;
        return Options::from_arg_matches(&matches).map_err(wrong);
    }
    let is_profile = word.ends_with(".profile")
        || (!word.contains('/') && !config::service_exists(word) && config::profile(Some(word)).is_ok());
    let word = Some(word.to_owned());
    Ok(if is_profile {
        Options { profile: word, ..options.clone() }
    } else {
        Options { service: word.map(|word| vec![word]), ..options.clone() }
    })
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
