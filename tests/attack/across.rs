//! Two live sandboxes in the one network namespace that they share: every way in which they could meet there.
//!
//! docs/network-namespace.md has the argument. Here it is tried: with the filters, which leave no socket to
//! meet with; and with both filters away, when Landlock's scope and the namespace's emptiness must do.

use crate::walls;
use common::inject::injector;
use common::kernel::Wall;
use common::{Live, Site, a_site, process};

const NAME: &str = "dayfly-meeting";

fn rules(away: &[&[&str]]) -> Vec<String> {
    away.iter().flat_map(|wall| wall.iter().map(ToString::to_string)).collect()
}

/// A sandbox that holds an abstract name, with these walls away.
fn holder<'s>(site: &'s Site, away: &[&[&str]]) -> Live<'s> {
    let (injector, _report) = injector(&rules(away), &[]);
    let mut live = site.probe(&["try", "hold_abstract", NAME]).under(injector).start();
    assert_eq!(live.client.line(), "ready");
    live
}

/// The answer to another sandbox that connects.
fn knock(site: &Site, away: &[&[&str]]) -> String {
    let (injector, _report) = injector(&rules(away), &[]);
    let mut live = site.probe(&["try", "reach_abstract", NAME]).under(injector).start();
    live.client.half_close();
    let answer = String::from_utf8_lossy(&live.client.rest()).into_owned();
    live.wait();
    answer
}

fn end(mut live: Live<'_>) {
    live.client.half_close();
    live.wait();
}

#[test]
fn sandboxes_of_one_serve_share_a_network_namespace_that_is_not_the_hosts() {
    let site = a_site!();
    let serving = common::serve::Serve::probe(&site, &["sleep"]).options(&["--warm", "2"]).start();
    let mut clients = [serving.connect(), serving.connect()];
    for client in &mut clients {
        assert_eq!(client.line(), "ready");
    }
    let served = serving.served();
    let networks: Vec<_> = served.iter().map(|pid| process::namespace(*pid, "net")).collect();
    assert_eq!(networks.len(), 2);
    assert_eq!(networks[0], networks[1]);
    assert_ne!(networks[0], process::namespace(std::process::id(), "net"));
    drop(clients);
    assert_eq!(serving.terminate().0, 0);
}

/// Shared with the host's, so that there is one namespace for both launches: the worst case.
#[test]
fn landlocks_scope_alone_keeps_abstract_names_apart() {
    let site = a_site!();
    let away = [walls::PROFILE, walls::GUARD, walls::NETWORK];
    let live = holder(&site, &away);
    let answer = knock(&site, &away);
    end(live);
    if Wall::LandlockScope.is_here() {
        assert!(answer.contains(&format!("errno {} ", libc::EPERM)), "{answer}");
        return;
    }
    // A kernel without scopes: the filters are the wall, and leave not even a socket to knock with.
    assert!(answer.contains("ok "), "Landlock of this kernel does not know it: {answer}");
    assert_eq!(knock(&site, &[walls::GUARD, walls::NETWORK]), "");
    assert!(knock(&site, &[walls::PROFILE, walls::NETWORK]).contains(&format!("errno {} ", libc::ENOSYS)));
}

#[test]
fn without_landlock_and_filters_abstract_names_meet_in_one_namespace() {
    let site = a_site!();
    let away = [walls::PROFILE, walls::GUARD, walls::NETWORK, walls::LANDLOCK];
    let live = holder(&site, &away);
    let answer = knock(&site, &away);
    end(live);
    assert!(answer.contains("ok "), "the test itself: {answer}");
}

#[test]
fn namespaces_alone_keep_abstract_names_apart() {
    let site = a_site!();
    let away = [walls::PROFILE, walls::GUARD, walls::LANDLOCK];
    let live = holder(&site, &away);
    let answer = knock(&site, &away);
    end(live);
    assert!(answer.contains(&format!("errno {} ", libc::ECONNREFUSED)), "{answer}");
}
