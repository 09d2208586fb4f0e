//! Makes manual pages, completions and the page of options from the command line's definition, so that they
//! always agree. `scripts/build-docs` runs these tests for their results in target/documents.

/// `dayfly top` is a program of its own; its page and its completions are made with the launcher's.
#[path = "../top/options.rs"]
#[allow(dead_code, unreachable_pub, reason = "only its definition is used here")]
mod top_options;

use crate::cli::Cli;
use crate::config::options::Options;
use crate::config::parse_service_file;
use clap::{Arg, ArgAction, Args, Command, CommandFactory, FromArgMatches};
use clap_complete::Shell;
use std::fs;
use std::path::{Path, PathBuf};

const MANUAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/man");
/// The line of dayfly.toml(5) that is replaced by all keys.
const KEYS: &str = ".\\\" KEYS\n";
/// Options that are not keys of a service file.
const NO_KEYS: [&str; 1] = ["service"];

/// A new, empty directory.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/documents").join(name);
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    fs::create_dir_all(&path).unwrap();
    path
}

fn definition() -> Command {
    let top = top_options::Options::command().name("top");
    Cli::command().disable_help_subcommand(true).mut_subcommand("top", |_words| top)
}

fn options() -> Vec<Arg> {
    Options::augment_args(Command::new("options"))
        .get_arguments()
        .filter(|arg| arg.get_long().is_some())
        .cloned()
        .collect()
}

fn key_of(option: &Arg) -> String {
    option.get_long().unwrap().replace('-', "_")
}

fn is_switch(option: &Arg) -> bool {
    let named = option.get_value_names().is_some_and(|names| names.iter().any(|name| *name == "yes|no"));
    named || option.get_num_args().is_some_and(|number| number.max_values() == 0)
}

/// The TOML type of this option.
fn kind(option: &Arg) -> &'static str {
    match option.get_action() {
        ArgAction::Append => "list of strings",
        _ if is_switch(option) => "true or false",
        _ => "",
    }
}

fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}") } else { escaped }
}

/// One paragraph a key, in the order of the help.
fn keys() -> String {
    let mut page = String::new();
    let mut heading = None;
    for option in options().iter().filter(|option| !NO_KEYS.contains(&option.get_long().unwrap())) {
        if option.get_help_heading() != heading {
            heading = option.get_help_heading();
            page.push_str(&format!(".SS {}\n", heading.unwrap_or("Options")));
        }
        let values = option.get_value_names().unwrap_or_default();
        let form = match kind(option) {
            "" => values.first().map(ToString::to_string).unwrap_or_default(),
            "list of strings" => format!("[\"{}\", \\(...]", roff(values.first().map_or("", |name| name))),
            kind => kind.to_owned(),
        };
        let form = form.replace("\\(...", "\\&...");
        page.push_str(&format!(".TP\n\\fB{}\\fP = \\fI{form}\\fP\n", key_of(option)));
        page.push_str(&format!("{}.\n", roff(&option.get_help().unwrap().to_string())));
    }
    page
}

fn service_file_page() -> String {
    let page = fs::read_to_string(format!("{MANUAL}/dayfly.toml.5")).unwrap();
    assert_eq!(page.matches(KEYS).count(), 1);
    page.replace(KEYS, &keys())
}

/// The page of options between these lines is made from the help.
const GENERATED: [&str; 2] = ["<!-- made from the help -->\n", "<!-- end -->\n"];

/// A table for each heading of the help: option, meaning, default.
fn option_tables() -> String {
    let mut page = String::new();
    let mut heading = Some("");
    let options = options();
    for option in &options {
        if option.get_help_heading() != heading {
            heading = option.get_help_heading();
            let title = heading.unwrap_or("Options of run and serve");
            page.push_str(&format!("\n## {title}\n\n| option | meaning | default |\n|---|---|---|\n"));
        }
        let value = match kind(option) {
            "true or false" if option.get_num_args().is_some_and(|number| number.max_values() == 0) => {
                String::new()
            }
            "true or false" => "[=yes\\|no]".to_owned(),
            _ => format!(" {}", option.get_value_names().unwrap()[0].replace('|', "\\|")),
        };
        let help = option.get_help().unwrap().to_string().replace('|', "\\|");
        let note = help.strip_suffix(']').and_then(|help| help.rsplit_once(" ["));
        let (meaning, note) = note.unwrap_or((&help, ""));
        let default = note.split_once("default: ").map_or("", |(_, default)| default);
        let list = if note.contains("repeatable") { "; repeatable" } else { "" };
        let long = option.get_long().unwrap();
        page.push_str(&format!("| `--{long}{value}` | {meaning}{list} | {default} |\n"));
    }
    page.push('\n');
    page
}

#[test]
fn the_page_of_options_is_the_help() {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/options.md")).unwrap();
    let [begin, end] = GENERATED;
    let (before, rest) = document.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let made = format!("{before}{begin}{}{end}{after}", option_tables());
    let path = directory("reference").join("options.md");
    fs::write(&path, &made).unwrap();
    assert!(document == made, "the help has changed: cp {} docs/options.md", path.display());
}

#[test]
fn manual_pages_are_made() {
    let made = directory("man");
    clap_mangen::generate_to(definition(), &made).unwrap();
    for entry in fs::read_dir(MANUAL).unwrap() {
        let page = entry.unwrap().path();
        fs::copy(&page, made.join(page.file_name().unwrap())).unwrap();
    }
    fs::write(made.join("dayfly.toml.5"), service_file_page()).unwrap();
    for command in definition().get_subcommands() {
        let page = made.join(format!("dayfly-{}.1", command.get_name()));
        let text = fs::read_to_string(&page).unwrap();
        assert!(text.contains(".SH DESCRIPTION"), "{}", page.display());
    }
    let run = fs::read_to_string(made.join("dayfly-run.1")).unwrap().replace("\\-", "-");
    for option in options() {
        let long = format!("--{}", option.get_long().unwrap());
        assert!(run.contains(&long), "{long}");
    }
}

#[test]
fn each_option_of_the_handler_is_in_its_page() {
    let usage = include_str!("../handler/cli.rs").split("HELP: &str = \"").nth(1).unwrap();
    let usage = usage.split("\";").next().unwrap();
    let page = fs::read_to_string(format!("{MANUAL}/gopher-handler.1")).unwrap().replace("\\-", "-");
    let options: Vec<_> = usage.lines().filter_map(|line| line.trim().strip_prefix("--")).collect();
    assert!(options.len() > 5, "{options:?}");
    for option in options {
        let name = option.split(' ').next().unwrap();
        assert!(page.contains(&format!("--{name}")), "{name}");
    }
}

#[test]
fn each_command_says_what_it_does_and_not_what_its_options_are() {
    let mut command = definition();
    command.build();
    let said: Vec<String> =
        command.get_subcommands().map(|command| command.get_about().unwrap().to_string()).collect();
    let distinct: std::collections::BTreeSet<_> = said.iter().collect();
    assert_eq!(distinct.len(), said.len(), "{said:?}");
}

#[test]
fn completions_are_made() {
    let made = directory("completions");
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let file = clap_complete::generate_to(shell, &mut definition(), "dayfly", &made).unwrap();
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains("landlock-ro"), "{shell}");
    }
}

#[test]
fn each_option_of_run_has_its_key_in_the_page_of_the_service_file_and_in_the_service_file() {
    let page = service_file_page();
    for option in options() {
        let (long, key) = (option.get_long().unwrap(), key_of(&option));
        let is_key = !NO_KEYS.contains(&long);
        assert_eq!(page.contains(&format!(".TP\n\\fB{key}\\fP = ")), is_key, "{key}");
        // No key takes a table: another complaint than that of an unknown key.
        let complaint = parse_service_file(&format!("{key} = {{}}")).unwrap_err().to_string();
        assert_eq!(!complaint.contains("unknown field"), is_key, "{key}: {complaint}");
    }
}

#[test]
fn every_option_is_in_the_help_of_each_command_that_takes_it() {
    let mut definition = definition();
    for command in ["run", "serve", "learn", "check", "explain"] {
        let help = definition.find_subcommand_mut(command).unwrap().render_long_help().to_string();
        for option in options() {
            let long = format!("--{}", option.get_long().unwrap());
            assert!(help.contains(&long), "{command}: {long}");
            assert!(
                help.contains(option.get_help().unwrap().to_string().split(" [").next().unwrap()),
                "{long}"
            );
        }
    }
}

/// A value that an option with this value name accepts.
fn sample(value_name: &str) -> &'static str {
    match value_name {
        "ADDRESS" => ":70",
        "BITS" => "8",
        "BYTES" => "16",
        "FROM" => "10.0.0.1",
        "N" | "N or MIN..MAX" => "4",
        "N/TIME" => "4/1s",
        "TIME" => "1s",
        "WHERE" => "entry",
        other => panic!("add a sample of {other}"),
    }
}

#[test]
fn run_refuses_each_option_that_the_help_lists_under_serve() {
    for option in options() {
        if option.get_help_heading() != Some("Options of serve") {
            continue;
        }
        let long = format!("--{}", option.get_long().unwrap());
        let value = sample(option.get_value_names().unwrap()[0].as_str());
        let matches = Options::augment_args(Command::new("run")).get_matches_from(["run", &long, value]);
        let given = Options::from_arg_matches(&matches).unwrap();
        assert_eq!(given.only_for_serve(), [long.as_str()]);
    }
}
