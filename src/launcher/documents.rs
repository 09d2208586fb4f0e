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
/// One file a page with its examples: what they do, and indented, the commands.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/man/examples");
/// Functions that complete names of services and profiles, for each shell.
const NAMES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/completions");
/// Pages of interest beside dayfly(8), for each command's.
const SEE_ALSO: [(&str, &[&str]); 12] = [
    ("", &["dayfly-run(1)", "dayfly-serve(1)", "dayfly.toml(5)", "gopher-handler(1)"]),
    ("run", &["dayfly-serve(1)", "dayfly-check(1)", "dayfly-explain(1)", "dayfly.toml(5)"]),
    ("serve", &["dayfly-run(1)", "dayfly-top(1)", "dayfly-stats(1)", "dayfly-unit(1)", "dayfly.toml(5)"]),
    ("learn", &["dayfly-run(1)", "dayfly-explain(1)"]),
    ("check", &["dayfly-explain(1)", "dayfly-run(1)", "dayfly.toml(5)"]),
    ("explain", &["dayfly-check(1)", "dayfly.toml(5)"]),
    ("stats", &["dayfly-top(1)", "journalctl(1)"]),
    ("top", &["dayfly-stats(1)", "ps(1)"]),
    ("init", &["dayfly-unit(1)", "dayfly-template(1)", "dayfly-check(1)"]),
    ("unit", &["dayfly-init(1)", "systemd.service(5)", "systemd.socket(5)"]),
    ("nspawn", &["dayfly-run(1)", "systemd-nspawn(1)"]),
    ("template", &["dayfly-run(1)"]),
];
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

/// The sections that every page has, of what stands after the help: what it says of the exit status, or
/// of keys.
fn with_sections(page: &str, name: &str) -> String {
    let (body, version) =
        page.split_once(".SH VERSION").map_or((page, ""), |(body, version)| (body, version));
    let (body, extra) = body.split_once(".SH EXTRA\n").unwrap_or((body, ""));
    let mut made = body.to_owned();
    let (keys, status) = extra.split_once("Exit status: ").unwrap_or((extra, EXIT_STATUS));
    if let Some(keys) = keys.strip_prefix("Keys:\n") {
        let keys = keys.split("\nExamples:").next().unwrap();
        made.push_str(&format!(".SH KEYS\n.EX\n{}\n.EE\n", keys.trim_end()));
    }
    let status = status.split("\nSee also").next().unwrap().trim();
    made.push_str(&format!(".SH EXIT STATUS\n{status}\n.SH EXAMPLES\n"));
    let examples = if name.is_empty() { "dayfly" } else { name };
    for line in fs::read_to_string(format!("{EXAMPLES}/{examples}")).unwrap().lines() {
        made.push_str(&match line.strip_prefix("  ") {
            Some(command) => format!(".PP\n.EX\n{}\n.EE\n", roff(command)),
            None => format!(".PP\n{}\n", roff(line)),
        });
    }
    let (_, others) = SEE_ALSO.iter().find(|(of, _)| *of == name).unwrap();
    made.push_str(&format!(".SH SEE ALSO\ndayfly(8), {}\n", roff(&others.join(", "))));
    if !version.is_empty() {
        made.push_str(&format!(".SH VERSION{version}"));
    }
    made
}

/// Completions of dayfly itself, and of commands that pass their words on.
const EXIT_STATUS: &str = "That of the command; 2 for a wrong command or option.";

#[test]
fn manual_pages_are_made() {
    let made = directory("man");
    clap_mangen::generate_to(definition(), &made).unwrap();
    for entry in fs::read_dir(&made).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_stem().unwrap().to_str().unwrap().trim_start_matches("dayfly");
        let page = fs::read_to_string(&entry).unwrap();
        if name != "-template" {
            fs::write(&entry, with_sections(&page, name.trim_start_matches('-'))).unwrap();
        }
    }
    for entry in fs::read_dir(MANUAL).unwrap() {
        let page = entry.unwrap().path();
        if page.is_file() {
            fs::copy(&page, made.join(page.file_name().unwrap())).unwrap();
        }
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
    every_page_has_the_same_last_sections(&made);
}

fn every_page_has_the_same_last_sections(made: &Path) {
    for page in fs::read_dir(made).unwrap().map(|entry| entry.unwrap().path()) {
        let text = fs::read_to_string(&page).unwrap();
        assert!(!text.contains(".SH EXTRA"), "{}", page.display());
        for section in ["EXIT STATUS", "EXAMPLES", "SEE ALSO"] {
            // A file has no exit status.
            let is_wanted = section != "EXIT STATUS" || page.extension().unwrap() != "5";
            assert_eq!(
                text.contains(&format!(".SH {section}\n")),
                is_wanted,
                "{section} of {}",
                page.display()
            );
        }
        let packaged = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/deb/files")).unwrap();
        let name = format!("target/documents/man/{} ", page.file_name().unwrap().to_str().unwrap());
        assert!(packaged.contains(&name), "scripts/deb/files lacks {name}");
    }
}

#[test]
fn each_option_of_template_build_is_in_its_page() {
    let source = include_str!("../template/options.rs");
    let fields = source.split("struct Build {").nth(1).unwrap().split("\n}").next().unwrap();
    let page = fs::read_to_string(format!("{MANUAL}/dayfly-template.1")).unwrap().replace("\\-", "-");
    let longs = fields.split("#[arg(long").skip(1).map(|field| field.split("pub(crate) ").nth(1).unwrap());
    let longs: Vec<&str> = longs.map(|field| field.split(':').next().unwrap()).collect();
    assert!(longs.len() > 4, "{longs:?}");
    for long in longs {
        assert!(page.contains(&format!("--{long}")), "{long}");
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

/// Completions that know the services and profiles of the machine.
fn with_names(text: &str, shell: Shell) -> String {
    let names = fs::read_to_string(format!("{NAMES}/names.{shell}")).unwrap();
    if shell != Shell::Zsh {
        return format!("{text}{names}");
    }
    let of = |line: &str| match line {
        line if line.contains(" -- Service") || line.contains("-- Print this service only") => {
            "_dayfly_services"
        }
        line if line.contains("-- Show this service only") => "_dayfly_services",
        line if line.contains("--service=[") => "_dayfly_services",
        line if line.contains("--profile=[") => "_dayfly_profiles",
        _ => "_default",
    };
    let lines = text.lines().map(|line| line.replace(":_default'", &format!(":{}'", of(line))));
    let text: String = lines.map(|line| line + "\n").collect();
    let (before, last) = text.rsplit_once("if [ \"$funcstack[1]\"").unwrap();
    format!("{before}{names}if [ \"$funcstack[1]\"{last}")
}

#[test]
fn completions_are_made() {
    let made = directory("completions");
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let file = clap_complete::generate_to(shell, &mut definition(), "dayfly", &made).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("landlock-ro"), "{shell}");
        fs::write(&file, with_names(&text, shell)).unwrap();
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
        "FILE" => "/etc/file.pem",
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
