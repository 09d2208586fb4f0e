//! `dayfly explain`: what it says is what a sandbox is.

use common::{Site, a_site, dayfly, need};
use serde_json::Value;
use std::process::{Command, Output};

fn explain(arguments: &[&str]) -> Output {
    Command::new(dayfly()).arg("explain").args(arguments).output().unwrap()
}

#[track_caller]
fn json(arguments: &[&str]) -> Value {
    let output = explain(&[&["--json"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The part that these keys lead to.
#[track_caller]
fn at<'t>(tree: &'t Value, path: &[&str]) -> &'t Value {
    path.iter()
        .fold(tree, |node, key| node.get(key).unwrap_or_else(|| panic!("no {key} of {path:?} in {tree}")))
}

#[track_caller]
fn text<'t>(tree: &'t Value, path: &[&str]) -> &'t str {
    at(tree, path).as_str().unwrap_or_else(|| panic!("{path:?} is no text in {tree}"))
}

/// Its reason.
fn why<'t>(tree: &'t Value, path: &[&str]) -> &'t str {
    tree["why"][path.join(".")].as_str().unwrap_or_default()
}

fn of_site<'s>(template: &'s str, more: &[&'s str]) -> Vec<&'s str> {
    [&["--template", template], more, &["--", "/bin/probe", "sleep"]].concat()
}

#[test]
fn every_layer_is_there_for_people_and_as_json() {
    let site = a_site!();
    let template = site.template();
    let arguments = of_site(template.to_str().unwrap(), &[]);
    let output = explain(&arguments);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let tree = json(&arguments);
    let layers = [
        "handler",
        "kernel",
        "layers given up",
        "namespaces",
        "root file system",
        "identity",
        "capabilities",
        "process",
        "limits",
        "Landlock",
        "seccomp",
        "steps",
        "connection",
        "remarks",
    ];
    for layer in layers {
        at(&tree, &[&layer.to_lowercase().replace(' ', "_")]);
        assert!(text.contains(&format!("─ {layer}")), "{layer}\n{text}");
    }
}

#[test]
fn the_limits_are_those_of_the_process() {
    let site = a_site!();
    let template = site.template();
    let options = ["--memory", "33M", "--rlimit", "nofile=17", "--rlimit", "fsize=1000:2000"];
    let tree = json(&of_site(template.to_str().unwrap(), &options));
    let mut live = site.probe(&["sleep"]).options(&options).start();
    let pid = live.await_ready();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    live.client.send(b"\n");
    live.end().expect(0, "exited");
    let names = [
        ("nofile", "Max open files"),
        ("fsize", "Max file size"),
        ("core", "Max core file size"),
        ("data", "Max data size"),
        ("nproc", "Max processes"),
        ("as", "Max address space"),
        ("stack", "Max stack size"),
    ];
    for (name, shown) in names {
        let line = limits.lines().find_map(|line| line.strip_prefix(shown)).unwrap();
        let in_force: Vec<&str> = line.split_whitespace().take(2).collect();
        let said = at(&tree, &["limits", name]);
        let said = said.as_str().map_or_else(|| said.to_string(), str::to_owned);
        let said: Vec<&str> = said.split(", ").collect();
        assert_eq!([said[0], said[said.len() - 1]], in_force[..], "{name}");
    }
}

#[test]
fn the_mounts_are_those_of_the_process() {
    let mut site = a_site!();
    common::site::make_directory(&site.template().join("proc"), 0o755);
    site.settle();
    let template = site.template();
    for snapshot in ["readonly", "overlay"] {
        let options = ["--snapshot", snapshot, "--tmpfs", "/empty:1M", "--bind-ro", "/etc:/srv", "--proc"];
        let tree = json(&of_site(template.to_str().unwrap(), &options));
        let mut live = site.probe(&["sleep"]).options(&options).start();
        let pid = live.await_ready();
        let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
        live.client.send(b"\n");
        live.end().expect(0, "exited");
        let said = at(&tree, &["root_file_system"]).as_object().unwrap();
        for mount in mounts.lines() {
            let fields: Vec<&str> = mount.split(' ').collect();
            let node = said.get(fields[4]).unwrap_or_else(|| panic!("{} is not explained", fields[4]));
            let value = node.as_str().or(node["value"].as_str()).unwrap();
            let words = format!("{value} {}", why(&tree, &["root_file_system", fields[4]]));
            let words: Vec<&str> = words.split([' ', ',']).collect();
            for flag in fields[5].split(',').filter(|flag| *flag != "relatime") {
                assert!(words.contains(&flag), "{snapshot} {mount}\n{words:?}");
            }
        }
        let mounted = mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect::<Vec<_>>();
        let said: Vec<&String> = said.keys().filter(|name| *name != "template").collect();
        assert!(said.iter().all(|name| mounted.contains(&name.as_str())), "{mounted:?}\n{said:?}");
    }
}

#[test]
fn every_call_of_the_profile_is_listed_with_its_reason() {
    let tree = json(&["--profile", "static"]);
    let path = ["seccomp", "profile", "allowed"];
    let allowed = at(&tree, &path).as_object().unwrap();
    let calls: Vec<&String> = allowed.keys().filter(|key| *key != "value").collect();
    assert_eq!(allowed["value"], format!("{} calls", calls.len()));
    assert!(calls.iter().all(|call| !why(&tree, &[path.as_slice(), &[call]].concat()).is_empty()));
    assert_eq!(allowed["read"], true);
    let guard = at(&tree, &["seccomp", "guard"]).as_object().unwrap();
    let guarded: Vec<&String> = guard.keys().filter(|key| *key != "value").collect();
    assert!(
        guarded.len() > 40 && guarded.iter().all(|call| !why(&tree, &["seccomp", "guard", call]).is_empty())
    );
}

fn service(site: &mut Site, name: &str, more: &str) -> String {
    let template = site.template();
    let text = format!("template = {template:?}\nhandler = [\"/bin/probe\"]\n{more}");
    site.file(name, &text).to_str().unwrap().to_owned()
}

#[test]
fn a_difference_between_two_services_is_named() {
    let mut site = a_site!();
    let a = service(&mut site, "a.toml", "memory = \"1M\"\n");
    let b = service(&mut site, "b.toml", "memory = \"2M\"\nprofile = \"interpreter\"\n");
    let output = explain(&["--diff", &a, &b]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for line in ["- limits/data: 1M", "+ limits/data: 2M", "+ seccomp/profile/allowed/rmdir"] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("capabilities"), "{text}");
    let same = explain(&["--diff", &a, &a]);
    assert_eq!((same.status.code(), same.stdout.len()), (Some(0), 0));
    let output = explain(&["--json", "--diff", &a, &b]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let differences = found["differences"].as_array().unwrap();
    assert!(
        differences.iter().any(|d| d["path"] == "limits/data" && d["a"] == "1048576" && d["b"] == "2097152")
    );
}

#[test]
fn what_is_given_up_and_what_the_profile_excepts_is_said() {
    let site = a_site!();
    let template = site.template();
    let tree = json(&of_site(template.to_str().unwrap(), &["--allow-degraded", "mdwe,landlock-net"]));
    assert_eq!(text(&tree, &["layers_given_up"]), "landlock-net mdwe");
    assert_eq!(text(&tree, &["process", "memory_deny_write_execute"]), "no");
    assert_eq!(text(&tree, &["landlock", "tcp"]), "not governed");
    let tree = json(&of_site(template.to_str().unwrap(), &["--profile", "tree"]));
    let exec = why(&tree, &["seccomp", "profile", "exec"]);
    assert!(exec.contains("exception"), "{exec}");
    assert!(!text(&tree, &["root_file_system", "/", "value"]).contains("noexec"));
}

#[test]
fn what_would_be_refused_is_explained_too() {
    let mut site = a_site!();
    common::site::set_mode(&site.template(), 0o777);
    site.settle();
    let template = site.template();
    let tree = json(&of_site(template.to_str().unwrap(), &[]));
    let refused = text(&tree, &["refused"]);
    assert!(refused.contains("writable by everyone"), "{refused}");
}

#[test]
fn an_unknown_service_or_profile_is_an_error() {
    for arguments in [&["nonesuch"][..], &["--profile", "nonesuch"], &["--diff", "nonesuch", "nonesuch"]] {
        let output = explain(arguments);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}");
    }
}

#[test]
fn limits_are_numbers_by_their_names_and_sizes_for_people() {
    let site = a_site!();
    let template = site.template();
    let arguments = of_site(template.to_str().unwrap(), &["--memory", "33M"]);
    let tree = json(&arguments);
    assert_eq!(tree["limits"]["memory"], 33 << 20);
    assert_eq!(tree["handler"]["arguments"], serde_json::json!(["/bin/probe", "sleep"]));
    assert!(why(&tree, &["limits", "memory"]).contains("--memory"));
    let said = String::from_utf8(explain(&arguments).stdout).unwrap();
    assert!(said.contains("memory: 33M") && said.contains("tmpfs of 16M, 1024 inodes"), "{said}");
}

#[test]
fn a_section_is_printed_alone() {
    let mut site = a_site!();
    let file = service(&mut site, "a.toml", "memory = \"1M\"\n");
    let said = |arguments: &[&str]| String::from_utf8(explain(arguments).stdout).unwrap();
    let limits = said(&[&file, "limits"]);
    assert!(
        limits.starts_with("limits") && limits.contains("memory: 1M") && !limits.contains("handler"),
        "{limits}"
    );
    let both = said(&[&file, "root-file-system", "seccomp/guard"]);
    assert!(both.starts_with("root file system") && both.contains("\nguard: fixed"), "{both}");
    let alone = said(&["--profile", "static", "seccomp/profile/exec"]);
    assert!(alone.starts_with("exec: once") && alone.lines().count() == 1, "{alone}");
    assert_eq!(json(&[&file, "limits"])["memory"], 1 << 20);
    let wrong = explain(&[&file, "nonesuch"]);
    let told = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert_eq!(wrong.status.code(), Some(2), "{told}");
    assert!(told.contains("no section 'nonesuch'") && told.contains("seccomp"), "{told}");
    // Options beside a service change it, as ever.
    let changed = said(&[&file, "--profile", "tree", "seccomp"]);
    assert!(changed.contains("profile: tree"), "{changed}");
}

#[test]
fn profiles_and_lists_of_options_are_compared_too() {
    let mut site = a_site!();
    let file = service(&mut site, "a.toml", "");
    let said = |arguments: &[&str]| {
        let output = explain(arguments);
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let profiles = said(&["--diff", "static", "tree"]);
    assert!(profiles.contains("- seccomp/profile: static\n+ seccomp/profile: tree"), "{profiles}");
    assert!(!profiles.contains("limits"), "{profiles}");
    let template = format!("--template {} --memory", site.template().display());
    let lists = [format!("{template} 1M -- /bin/probe"), format!("{template} 2M -- /bin/probe")];
    let options = said(&["--diff", &lists[0], &lists[1]]);
    assert!(options.contains("- limits/memory: 1M\n+ limits/memory: 2M"), "{options}");
    let mixed = said(&["--diff", &file, &lists[0]]);
    assert!(mixed.contains("- limits/memory: 64M\n+ limits/memory: 1M"), "{mixed}");
    let wrong = said(&["--diff", "--memroy 1M", &lists[0]]);
    assert!(wrong.contains("--diff: '--memroy 1M': ") && wrong.lines().count() == 1, "{wrong}");
}

/// A terminal as script(1) makes it.
fn at_a_terminal(words: &[&str], no_colour: bool) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let line = format!("{} {}", dayfly().display(), quoted.join(" "));
    let mut command = Command::new(common::program("script").expect("util-linux has it"));
    command.args(["-q", "-e", "-c", &line, "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR");
    if no_colour {
        command.env("NO_COLOR", "1");
    }
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().replace('\r', "")
}

fn without_colour(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |all, part| all + part.split_once('m').unwrap().1)
}

#[test]
fn at_a_terminal_lines_have_a_hundred_columns_and_colour_unless_no_color_says_otherwise() {
    let _script = need!("script");
    let site = a_site!();
    let template = site.template().to_str().unwrap().to_owned();
    for words in
        [&["explain", "--profile", "tree"][..], &["check", "--template", &template, "--", "/bin/probe"]]
    {
        let coloured = at_a_terminal(words, false);
        assert!(coloured.contains("\x1b["), "{coloured}");
        let plain = without_colour(&coloured);
        let long =
            plain.lines().find(|line| line.chars().count() > 100 && line.split(' ').all(|w| w.len() < 60));
        assert_eq!(long, None);
        assert_eq!(at_a_terminal(words, true), plain);
        // To a program each thing is one line, however long.
        let piped = Command::new(dayfly()).args(words).output().unwrap();
        let piped = String::from_utf8(piped.stdout).unwrap();
        assert!(!piped.contains('\x1b') && piped.lines().count() < plain.lines().count(), "{words:?}");
    }
}

/// What docs/explain.md allows as a part.
fn is_part(value: &Value) -> bool {
    match value {
        Value::Object(parts) => parts.values().all(is_part),
        Value::Array(parts) => parts.iter().all(is_part),
        Value::Number(number) => number.is_u64(),
        Value::String(_) | Value::Bool(true) => true,
        Value::Bool(false) | Value::Null => false,
    }
}

#[test]
fn json_is_as_the_page_says_and_the_page_names_every_section() {
    let site = a_site!();
    let template = site.template();
    let page = std::fs::read_to_string(common::checkout().join("docs/explain.md")).unwrap();
    let schema = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    serde_json::from_str::<Value>(schema).expect("the schema is JSON");
    for options in
        [&["--warm", "2"][..], &["--memory", "infinity", "--setenv", "A=1"], &["--profile", "tree"]]
    {
        let tree = json(&of_site(template.to_str().unwrap(), options));
        assert!(is_part(&tree) && tree["why"].is_object() && tree["value"].is_string(), "{tree}");
        for section in
            tree.as_object().unwrap().keys().filter(|key| !["why", "value"].contains(&key.as_str()))
        {
            let name = format!("`{}`", section.replace('_', "-"));
            assert!(page.contains(&name), "docs/explain.md lacks {name}");
            let words =
                [&["--template", template.to_str().unwrap(), section], options, &["--", "/bin/probe"]]
                    .concat();
            assert!(explain(&words).status.success(), "{words:?}");
        }
    }
}

#[test]
fn what_sandboxes_inherit_from_a_zygote_is_shown_or_why_there_is_none() {
    let mut site = a_site!();
    std::fs::remove_dir(site.template().join("tmp")).unwrap();
    site.settle();
    let template = site.template();
    let template = template.to_str().unwrap();
    let serve = ["--warm", "4", "--snapshot"];
    let tree = |more: &[&str]| json(&of_site(template, &[&serve[..], more].concat()));
    let with = tree(&["readonly"]);
    let inherited = with["serve"]["zygote"]["inherited"].to_string();
    assert!(inherited.contains("guard and profile"), "{with}");
    assert!(with["namespaces"]["mount"].to_string().contains("shared"), "{with}");
    for more in [
        &["overlay"][..],
        &["readonly", "--tmpfs", "/empty"],
        &["readonly", "--park", "before-exec"],
        &["readonly", "--init", "--park", "entry"],
    ] {
        let mounting = tree(more);
        let zygote = &mounting["serve"]["zygote"];
        assert!(zygote["its_own"].to_string().contains("guard and profile"), "{more:?}: {mounting}");
        assert_eq!(mounting["namespaces"]["mount"], "its own", "{more:?}");
        assert!(why(&mounting, &["root_file_system"]).contains("covered"), "{more:?}: {mounting}");
    }
    for (more, reason) in [
        (&["readonly", "--net", "private"][..], "network"),
        (&["overlay", "--park", "none"], "ahead"),
        (&["overlay", "--open", "/etc/services:services:ro"], "passed"),
    ] {
        let without = tree(more);
        assert!(without["serve"]["zygote"].to_string().contains("none"), "{more:?}: {without}");
        assert!(why(&without, &["serve", "zygote"]).contains(reason), "{more:?}: {without}");
        assert!(why(&without, &["root_file_system"]).contains("detached"), "{more:?}: {without}");
    }
}

/// The documents name these numbers in several places.
#[test]
fn the_documents_count_a_profiles_calls_as_explain_does() {
    let count = |profile| {
        let tree = json(&["--profile", profile]);
        text(&tree, &["seccomp", "profile", "allowed", "value"]).trim_end_matches(" calls").to_owned()
    };
    let [few, some, many] = ["static", "interpreter", "tree"].map(count);
    for (document, sentences) in [
        ("README.md", vec![format!("| {few}; any other call"), format!("| {few} calls |")]),
        ("ARCHITECTURE.md", vec![format!("{few} system calls")]),
        ("docs/comparison.md", vec![format!("{few} calls allowed")]),
        ("docs/from-docker.md", vec![format!("`tree` allows {many} calls, `static` {few}")]),
        ("docs/limitations.md", vec![format!("these are\n  {few}.")]),
        (
            "docs/profiles.md",
            vec![format!("exits | {few} |"), format!("exec | {some} |"), format!("task | {many} |")],
        ),
    ] {
        let content = std::fs::read_to_string(common::checkout().join(document)).unwrap();
        for sentence in sentences {
            assert!(content.contains(&sentence), "{document}: {sentence}");
        }
    }
}
