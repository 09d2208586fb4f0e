//! Settings around the sandbox: limits and times of the connection, and how `serve` keeps sandboxes ready.

use super::tree::Node;
use crate::cgroup::leaves::Bounds;
use crate::config::service::{Purpose, Service};
use crate::config::tls::Tls;
use crate::output::size;
use sandbox::plan::park::Park;
use sandbox::plan::zygote::Kind;
use std::path::Path;
use std::time::Duration;

fn bytes(number: Option<u64>) -> String {
    number.map_or_else(|| "the system's".to_owned(), |number| number.to_string())
}

const UNSEEN: &str = "the image is not attached to a loop device here: its content is seen at the launch";

pub(super) fn serving(service: &Service, purpose: Purpose) -> Vec<Node> {
    let Service {
        name: _,
        plan: _,
        sources: _,
        hostname: _,
        net: _,
        environment: _,
        passed_fds: _,
        tls: _,
        role: _,
        wall_time,
        idle_time,
        cpu_burst,
        kill_signal,
        proxies: _,
        wait_for_data: _,
        min_rate,
        send_buffer,
        on_refusal,
        admission: _,
        park: _,
        warm: _,
        over_limit: _,
        drain_time: _,
        remarks,
        warnings,
        given_up: _,
        cgroup,
        profile: _,
        is_unseen,
        has_os_release: _,
        handler_is_readable: _,
        learning: _,
    } = service;
    let mut connection = vec![
        Node::new("wall time", time(*wall_time)).why("from the connection to the end"),
        Node::new("idle time", time(*idle_time)).why("without a byte in either direction; sockets only"),
        Node::new(
            "least rate",
            min_rate.map_or_else(|| "off".to_owned(), |rate| format!("{rate} bytes a second")),
        )
        .why("a TCP client must take so much while an answer waits"),
        Node::new("cpu burst", time(*cpu_burst))
            .why("CPU time at full weight; then the sandbox yields to all others"),
        Node::new("send buffer", bytes(*send_buffer))
            .shown(send_buffer.map_or_else(|| "the system's".to_owned(), size))
            .why("kernel memory for a peer that does not read; it outlives the sandbox"),
        Node::new(
            "kill signal",
            kill_signal.map_or_else(|| "SIGKILL".to_owned(), |signal| signal.to_string()),
        )
        .why("if run gets SIGTERM"),
        Node::new("on refusal", format!("{} bytes", on_refusal.len()))
            .why("text for the peer if its sandbox cannot be set up"),
    ];
    if purpose.is_serve() {
        connection.extend(beginning(service));
    }
    let mut nodes = vec![Node::group("connection").with(connection), self::cgroup(*cgroup)];
    if purpose.is_serve() {
        nodes.extend(service.tls.as_ref().map(tls).into_iter().chain([resident(service)]));
    }
    let unseen = is_unseen.then(|| UNSEEN.to_owned());
    let remarks = unseen.iter().chain(warnings).chain(remarks);
    let remarks = remarks.enumerate().map(|(index, remark)| Node::new(index.to_string(), remark.as_str()));
    nodes.push(Node::list("remarks", remarks).why("logged once at start"));
    nodes
}

/// Checks of a connection before it has a sandbox.
fn beginning(service: &Service) -> [Node; 2] {
    let wait = service.wait_for_data.map_or_else(|| "off".to_owned(), |span| time(span.0));
    [
        Node::new("PROXY header from", service.proxies.to_string()).why("proxies that name the peer"),
        Node::new("wait for data", wait).why("a silent connection uses no sandbox"),
    ]
}

/// The two other sandboxes of a connection with TLS.
fn tls(tls: &Tls) -> Node {
    let shown = |path: &Path| path.display().to_string();
    let files = &tls.files;
    let clients = files.client_ca.as_deref().map_or_else(|| "not asked for".to_owned(), shown);
    let mut nodes = vec![
        Node::new("relay", "a sandbox for each connection, parked and used once")
            .why("ends TLS 1.3; it has no key, and the handler's stream only"),
        Node::new("signer", "one sandbox, resident")
            .why("the only process with the key; it signs nothing but handshakes of TLS 1.3"),
        Node::new("handler", "this sandbox, after the handshake").why("it has the plain stream, and no TLS"),
        Node::new("certificate", shown(&files.certificate)),
        Node::new("key", shown(&files.key)).why("opened for the signer, never read here"),
        Node::new("certificates of clients", clients).why("every client must have one of these CAs"),
    ];
    if let Some(crl) = &files.crl {
        nodes.push(Node::new("revoked certificates", shown(crl)));
    }
    nodes.push(
        Node::new("handshake time", time(tls.handshake_time))
            .why("a stalled handshake uses no handler's sandbox"),
    );
    Node::group("TLS").with(nodes)
}

fn cgroup(bounds: Option<Bounds>) -> Node {
    let Some(Bounds { memory, tasks, cpu_percent }) = bounds else {
        return Node::new("cgroup", "none of its own")
            .why("rlimits limit it, and under run the unit's cgroup");
    };
    let shown = |value: Option<u64>| value.map_or_else(|| "max".to_owned(), |value| value.to_string());
    Node::group("cgroup").why("separate, from the start").with([
        Node::new("memory.max", shown(memory))
            .shown(memory.map_or_else(|| "max".to_owned(), size))
            .why("includes tmpfs, page tables and sockets"),
        Node::new("memory.swap.max", "0"),
        Node::new("memory.oom.group", "1").why("running out of memory ends the whole sandbox"),
        Node::number("pids.max", tasks),
        Node::new("cpu.max", cpu_percent.map_or_else(|| "max".to_owned(), |percent| format!("{percent}%"))),
    ])
}

fn resident(service: &Service) -> Node {
    let limits = &service.admission;
    let rate = limits.rate.map_or_else(|| "off".to_owned(), |rate| format!("{rate:?}"));
    let warm = &service.warm;
    Node::group("serve").with([
        Node::new("parked", format!("{} to {} sandboxes, {}", warm.min, warm.max, parked(service.park)))
            .why("each is used once"),
        zygote(service),
        Node::number("connections", limits.total as u64),
        Node::number("connections of a source", limits.per_source as u64)
            .why(format!("a source is a /{} of IPv4 or a /{} of IPv6", limits.prefix4, limits.prefix6)),
        Node::new("rate of a source", rate),
        Node::new("over the limit", format!("{} bytes, then the close", service.over_limit.len())),
        Node::new("drain time", time(service.drain_time)).why("for live connections after SIGTERM"),
    ])
}

/// Which layers sandboxes inherit.
fn zygote(service: &Service) -> Node {
    let kind = match service.zygote(service.park) {
        Ok(kind) => kind,
        Err(why) => return Node::new("zygote", "none: each sandbox is set up from the beginning").why(why),
    };
    let group = if service.cgroup.is_some() { "cgroup, " } else { "" };
    let (inherited, own, why) = match kind {
        Kind::Sealed => {
            (SEALED, SEALED_OWN, "made before exec by calls that carry a token, which no handler knows")
        }
        Kind::Mounting => (MOUNTING, MOUNTING_OWN, "made as by a sandbox that is set up from the beginning"),
    };
    Node::new("zygote", "one, which clones the sandboxes").with([
        Node::new("inherited", inherited)
            .why("made and verified once; the supervisor looks at each sandbox again"),
        Node::new("its own", format!("{group}{own}")).why(why),
    ])
}

const SEALED: &str = "root, net, ipc, uts and cgroup namespaces, groups, bounding set, securebits, no_new_privs, W^X, \
                      keyring, limits but that of CPU time, Landlock domain, guard and profile";
const SEALED_OWN: &str = "pid namespace, session, descriptors, limit of CPU time, ids, capability sets, \
                          Landlock domain for signals and abstract sockets";
const MOUNTING: &str = "the service's trees without the host's, net, ipc, uts and cgroup namespaces, groups, bounding set, \
                        securebits, how its process begins";
const MOUNTING_OWN: &str = "pid and mount namespace, root, session, descriptors, ids, capability sets, keyring, limits, \
                            no_new_privs, W^X, Landlock domain, guard and profile";

fn parked(park: Park) -> &'static str {
    match park {
        Park::None => "none ahead",
        Park::BeforeExec => "all but executed",
        Park::Entry => "executed, before the handler's first instruction",
        Park::Ready => "at the handler's first sched_yield",
        Park::Read => "at the handler's first read of the connection",
    }
}

fn time(limit: Option<Duration>) -> String {
    limit.map_or_else(|| "infinity".to_owned(), |time| format!("{time:?}"))
}
