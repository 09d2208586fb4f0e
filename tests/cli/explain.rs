//! `dayfly explain`: what it says is what a sandbox is.

use common::{Site, a_site, dayfly};
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

/// The node at a path of names.
#[track_caller]
fn at<'t>(tree: &'t Value, path: &[&str]) -> &'t Value {
    path.iter().fold(tree, |node, name| {
        let children = node["children"].as_array().map_or(&[][..], Vec::as_slice);
        children
            .iter()
            .find(|child| child["name"] == *name)
            .unwrap_or_else(|| panic!("no {name} in {path:?}"))
    })
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
        at(&tree, &[layer]);
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
        let said = at(&tree, &["limits", name])["value"].as_str().unwrap();
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
        let layer = &at(&tree, &["root file system"])["children"];
        let said: Vec<&Value> =
            layer.as_array().unwrap().iter().filter(|node| node["name"] != "template").collect();
        for mount in mounts.lines() {
            let fields: Vec<&str> = mount.split(' ').collect();
            let node = said.iter().find(|node| node["name"] == fields[4]);
            let node = node.unwrap_or_else(|| panic!("{} is not explained", fields[4]));
            let words = format!("{} {}", node["value"].as_str().unwrap(), node["why"].as_str().unwrap());
            let words: Vec<&str> = words.split([' ', ',']).collect();
            for flag in fields[5].split(',').filter(|flag| *flag != "relatime") {
                assert!(words.contains(&flag), "{snapshot} {mount}\n{words:?}");
            }
        }
        let mounted = mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect::<Vec<_>>();
        assert!(
            said.iter().all(|node| mounted.contains(&node["name"].as_str().unwrap())),
            "{mounted:?}\n{said:?}"
        );
    }
}

#[test]
fn every_call_of_the_profile_is_listed_with_its_reason() {
    let tree = json(&["--profile", "static"]);
    let allowed = at(&tree, &["seccomp", "profile", "allowed"]);
    let calls = allowed["children"].as_array().unwrap();
    assert_eq!(allowed["value"], format!("{} calls", calls.len()));
    assert!(calls.iter().all(|call| call["why"] != ""));
    assert!(calls.iter().any(|call| call["name"] == "read"));
    let guard = at(&tree, &["seccomp", "guard"])["children"].as_array().unwrap();
    assert!(guard.len() > 40 && guard.iter().all(|call| call["why"] != ""));
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
    for line in ["- limits/data: 1048576", "+ limits/data: 2097152", "+ seccomp/profile/allowed/rmdir"] {
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
    assert_eq!(at(&tree, &["layers given up"])["value"], "landlock-net mdwe");
    assert_eq!(at(&tree, &["process", "memory-deny-write-execute"])["value"], "no");
    assert_eq!(at(&tree, &["Landlock", "TCP"])["value"], "not governed");
    let tree = json(&of_site(template.to_str().unwrap(), &["--profile", "tree"]));
    let exec = at(&tree, &["seccomp", "profile", "exec"]);
    assert!(exec["why"].as_str().unwrap().contains("exception"), "{exec}");
    assert!(!at(&tree, &["root file system", "/"])["value"].as_str().unwrap().contains("noexec"));
}

#[test]
fn what_would_be_refused_is_explained_too() {
    let mut site = a_site!();
    common::site::set_mode(&site.template(), 0o777);
    site.settle();
    let template = site.template();
    let tree = json(&of_site(template.to_str().unwrap(), &[]));
    let refused = at(&tree, &["refused"])["value"].as_str().unwrap();
    assert!(refused.contains("writable by everyone"), "{refused}");
}

#[test]
fn an_unknown_service_or_profile_is_an_error() {
    for arguments in [&["nonesuch"][..], &["--profile", "nonesuch"], &["--diff", "nonesuch", "nonesuch"]] {
        let output = explain(arguments);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}");
    }
}
