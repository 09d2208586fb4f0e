//! Service files: what they say, what wins over them, and what is a mistake in them.

use common::{Site, a_site};

#[test]
fn an_unknown_service_is_2() {
    let site = a_site!();
    let name = "dayfly-test-no-such-service";
    site.probe(&["echo"]).only_options(&["--service", name]).talk(b"").is_usage_error(name);
}

fn service(site: &mut Site, text: &str) -> String {
    let template = site.template();
    let text = format!("template = {:?}\n{text}", template.to_str().unwrap());
    site.file("service.toml", &text).to_str().unwrap().to_owned()
}

#[test]
fn a_service_file_says_what_options_would() {
    let mut site = a_site!();
    let mark = format!("@{}", site.tag());
    let text = format!("handler = [\"/bin/probe\", \"{mark}\", \"exit\", \"7\"]\nsnapshot = \"readonly\"\n");
    let file = service(&mut site, &text);
    let ended = site.handler(&[]).only_options(&["--service", &file]).talk(b"");
    ended.expect(7, "exited");
}

#[test]
fn a_command_on_the_command_line_replaces_the_services_whole() {
    let mut site = a_site!();
    let file = service(&mut site, "handler = [\"/bin/probe\", \"exit\", \"7\"]\n");
    let ended = site.handler(&["/bin/probe", "exit"]).only_options(&["--service", &file]).talk(b"");
    ended.expect(0, "exited");
}

#[test]
fn an_option_wins_over_the_service_file() {
    let mut site = a_site!();
    let file = service(&mut site, "handler = [\"/bin/probe\", \"spin\"]\nwall_time = \"20s\"\n");
    let ended = site.handler(&[]).only_options(&["--service", &file, "--wall-time", "200ms"]).talk(b"");
    ended.expect(124, "wall");
}

#[test]
fn how_much_is_said_is_the_command_lines_choice_first() {
    let mut site = a_site!();
    let quiet = service(&mut site, "handler = [\"/bin/probe\", \"exit\", \"0\"]\nquiet = true\n");
    let said =
        |options: &[&str]| site.handler(&[]).only_options(options).talk(b"").err.contains("outcome=exited");
    assert!(!said(&["--service", &quiet]));
    assert!(said(&["--service", &quiet, "--verbose"]));
}

#[test]
fn an_option_of_serve_is_none_of_runs_beside_a_service_file_either() {
    let mut site = a_site!();
    // In the file it is no mistake: the file may be for both.
    let file = service(&mut site, "handler = [\"/bin/probe\", \"exit\", \"7\"]\nwarm = 2\n");
    site.handler(&[]).only_options(&["--service", &file]).talk(b"").expect(7, "exited");
    let ended = site.handler(&[]).only_options(&["--service", &file, "--warm", "2"]).talk(b"");
    ended.is_usage_error("--warm");
}

#[test]
fn a_relative_template_in_a_service_file_starts_at_its_directory() {
    let mut site = a_site!();
    let text = "template = \"template\"\nhandler = [\"/bin/probe\", \"exit\", \"9\"]\n";
    let file = site.file("relative.toml", text);
    let ended = site.handler(&[]).only_options(&["--service", file.to_str().unwrap()]).talk(b"");
    ended.expect(9, "exited");
}

#[test]
fn mistakes_in_a_service_file_are_2_and_named() {
    let mut site = a_site!();
    let bad = [
        ("colour = \"blue\"\n", "colour"),
        // A wrong value is reported with its place.
        ("wall_time = \"soon\"\n", "service.toml:2:"),
        ("wall_time = 0\n", "service.toml:2:"),
        ("snapshot = [\"overlay\"]\n", "service.toml:2:"),
        ("strict = \"perhaps\"\n", "service.toml:2:"),
        ("template = \"twice\"\n", "service.toml:2:"),
        ("profile = \"nosuch\"\n", "nosuch"),
        ("this is no TOML\n", "service.toml"),
    ];
    for (line, named) in bad {
        let file = service(&mut site, line);
        site.probe(&["echo"]).only_options(&["--service", &file]).talk(b"").is_usage_error(named);
    }
}
