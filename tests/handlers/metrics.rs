//! The example `metrics`: what it serves over HTTP, a Prometheus that scrapes it, and the
//! dashboard's queries.

use super::examples::service;
use common::serve::{Serve, Serving};
use common::site::Beside;
use common::{PATIENCE, Site, a_site, checkout, dayfly, need, test_bin};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The supervisor of two services and of the metrics; their state directory is apart.
fn start<'s>(site: &'s mut Site, beside: &Beside) -> Serving<'s> {
    let state = beside.0.join("state");
    fs::create_dir(&state).unwrap();
    let mountpoints = [(".mountpoints", "/run/dayfly\n/stats\n/tmp\n")];
    let metrics = service(site, "metrics", &mountpoints, Some(("/var/lib/dayfly", &state)));
    let template = site.directory().join("probes");
    let made = Command::new(dayfly())
        .args(["template", "build", "--handler", test_bin("probe").to_str().unwrap()])
        .arg(&template)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let tag = site.tag().to_owned();
    let mut file = |name: &str, verb: &str| {
        let handler = format!("handler = [\"/bin/probe\", \"@{tag}\", {verb}]\n");
        let text = format!("template = \"{}\"\n{handler}wall_time = \"50s\"\n", template.display());
        site.file(&format!("{name}.toml"), &text)
    };
    let (one, two) = (file("one", "\"echo\""), file("two", "\"try\", \"socket_inet\""));
    let state = format!("STATE_DIRECTORY={}", state.display());
    Serve::files(site, &[&one, &two, &metrics])
        .sockets(&["one", "two", "metrics"])
        .before(&["/usr/bin/env", &state])
        .start()
}

fn ask(address: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n")).unwrap()
}

/// The files are written every few seconds.
fn await_page(address: SocketAddr, wanted: &[&str]) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        let page = get(address, "/metrics");
        if wanted.iter().all(|line| page.contains(line)) {
            return page;
        }
        assert!(Instant::now() < end, "no {wanted:?} in {page}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Three connections of the one, a denied one of the other.
fn serve_some(serving: &Serving<'_>) {
    for _ in 0..3 {
        let mut client = serving.connect_to(0);
        client.send(b"x\n");
        client.half_close();
        assert_eq!(client.rest(), b"x\n");
    }
    serving.connect_to(1).rest();
}

const COUNTED: [&str; 3] = [
    "dayfly_connections_total{service=\"one\",outcome=\"exited\"} 3\n",
    "dayfly_connections_total{service=\"two\",outcome=\"denied\"} 1\n",
    "dayfly_wall_time_limit_seconds{service=\"one\"} 50.0\n",
];

#[test]
fn one_page_has_the_metrics_of_all_services_each_family_once() {
    let mut site = a_site!();
    let beside = Beside::new(&site);
    let serving = start(&mut site, &beside);
    serve_some(&serving);
    let address = serving.addresses[2];
    let page = await_page(address, &COUNTED);
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.0 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    assert!(body.ends_with("\n# EOF\n") && body.matches("# EOF").count() == 1, "{body}");
    let families: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert_eq!(families.iter().collect::<BTreeSet<_>>().len(), families.len(), "{families:?}");
    // Each sample follows the head of its family.
    let mut family = "";
    for line in body.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(head) => family = head.split(' ').next().unwrap(),
            None => assert!(line.starts_with('#') || line.starts_with(family), "{line} after {family}"),
        }
    }
    assert!(body.contains("dayfly_live{service=\"metrics\"}"), "it counts itself: {body}");
    assert!(!body.contains("127.0.0.1"), "{body}");
    assert!(get(address, "/").starts_with("HTTP/1.0 404 "));
    assert!(ask(address, "POST /metrics HTTP/1.0\r\n\r\n").unwrap().starts_with("HTTP/1.0 405 "));
    assert!(ask(address, "HEAD /metrics HTTP/1.0\r\n\r\n").unwrap().ends_with("\r\n\r\n"));
    assert!(ask(address, "nonsense\r\n\r\n").unwrap().starts_with("HTTP/1.0 400 "));
    assert_eq!(serving.terminate().0, 0);
}

/// A Prometheus on a loopback port, ended by its pid.
struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Prometheus {
    fn start(program: PathBuf, place: &Path, target: SocketAddr) -> Prometheus {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = place.join("prometheus.yml");
        let job = format!("  - job_name: dayfly\n    static_configs:\n      - targets: [\"{target}\"]\n");
        let text = format!("global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n{job}");
        fs::write(&config, text).unwrap();
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", place.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(place.join("log")).unwrap())
            .spawn()
            .unwrap();
        Prometheus { child, address }
    }

    /// The answer to a query, once there is one; it begins to listen a moment after its start.
    fn query(&self, expression: &str) -> Option<Value> {
        let escaped: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let request = format!("GET /api/v1/query?query={escaped} HTTP/1.0\r\n\r\n");
        // 503 while it reads what it has stored.
        let answer = ask(self.address, &request).ok().filter(|answer| !answer.starts_with("HTTP/1.0 503"))?;
        let body = answer.split_once("\r\n\r\n")?.1;
        let answer: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        Some(answer["data"]["result"].clone())
    }

    /// Waits until it has an answer like this.
    #[track_caller]
    fn until(&self, expression: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        let mut last = None;
        loop {
            let result = self.query(expression);
            if let Some(result) = result.as_ref().filter(|result| wanted(result)) {
                return result.clone();
            }
            last = result.or(last);
            assert!(Instant::now() < end, "{expression}: {last:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _has_ended = self.child.kill();
        let _status = self.child.wait();
    }
}

fn dashboard() -> Value {
    serde_json::from_str(&fs::read_to_string(checkout().join("docs/grafana.json")).unwrap()).unwrap()
}

fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_real_prometheus_scrapes_it_and_answers_every_query_of_the_dashboard() {
    let program = need!("prometheus");
    let mut site = a_site!();
    let beside = Beside::new(&site);
    let serving = start(&mut site, &beside);
    serve_some(&serving);
    await_page(serving.addresses[2], &COUNTED);
    let prometheus = Prometheus::start(program, &beside.0, serving.addresses[2]);
    let counted = "dayfly_connections_total{service=\"one\",outcome=\"exited\"}";
    prometheus.until(counted, |result| result[0]["value"][1] == "3");
    prometheus.until("up{job=\"dayfly\"}", |result| result[0]["value"][1] == "1");
    let queries = expressions(&dashboard());
    assert!(queries.len() > 8, "{queries:?}");
    for query in queries {
        let query = query.replace("$service", ".*").replace("$__rate_interval", "1m");
        prometheus.until(&query, |result| result.as_array().is_some_and(|rows| !rows.is_empty()));
    }
    let share = prometheus.until("dayfly_live / dayfly_max_connections", |result| !result[0].is_null());
    assert!(share.as_array().is_some_and(|services| services.len() == 3), "{share}");
    drop(prometheus);
    assert_eq!(serving.terminate().0, 0);
}

/// What Grafana's dashboard model wants (its documentation, "JSON model"): Grafana itself is not in Debian.
#[test]
fn the_dashboard_has_the_fields_of_its_model_and_its_panels_do_not_overlap() {
    let dashboard = dashboard();
    for (field, is_right) in [
        ("title", dashboard["title"].is_string()),
        ("uid", dashboard["uid"].as_str().is_some_and(|uid| uid.len() <= 40)),
        ("schemaVersion", dashboard["schemaVersion"].is_u64()),
        ("time", dashboard["time"]["from"].is_string() && dashboard["time"]["to"].is_string()),
        ("templating", dashboard["templating"]["list"].is_array()),
        ("annotations", dashboard["annotations"]["list"].is_array()),
        ("id", dashboard["id"].is_null()),
    ] {
        assert!(is_right, "{field}");
    }
    let variables: BTreeSet<&str> = dashboard["templating"]["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|list| list["name"].as_str().unwrap())
        .collect();
    assert_eq!(variables, BTreeSet::from(["datasource", "service"]));
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        assert!(["timeseries", "stat"].contains(&panel["type"].as_str().unwrap()), "{title}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(x + w <= 24 && w > 0 && h > 0, "{title}");
        for cell in (x..x + w).flat_map(|column| (y..y + h).map(move |line| (column, line))) {
            assert!(cells.insert(cell), "{title} lies over another");
        }
        let letters: BTreeSet<&str> = panel["targets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|target| target["refId"].as_str().unwrap())
            .collect();
        assert_eq!(letters.len(), panel["targets"].as_array().unwrap().len(), "{title}");
    }
}
