//! Times connections to servers on loopback, side by side: one to each in turn, so that what disturbs the
//! machine meets them all. Each connection sends one line, says that it has no more, and reads to the end.
//!
//! usage: load latency ROUNDS PACE-MS SAMPLES NAME PORT [NAME PORT]...
//!        load rate CONNECTIONS PARALLEL NAME PORT [NAME PORT]...
//!        load plot SAMPLES SVG
//!
//! PORT may be `tls:PORT`: then each connection shakes hands anew, and takes certificates for localhost of the
//! CA in the file $LOAD_CA.
//!
//! `latency` leaves PACE-MS between two connections and appends `NAME<TAB>FIRST-BYTE-US<TAB>END-US` lines
//! to SAMPLES; `rate` keeps PARALLEL connections going, in five slices a server; `plot` draws what
//! SAMPLES holds.

mod plot;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

struct Server {
    name: String,
    at: At,
    first: Vec<f64>,
    end: Vec<f64>,
}

/// Where a server is, and how TLS is spoken with it, if it is.
#[derive(Clone)]
struct At {
    port: u16,
    tls: Option<Arc<ClientConfig>>,
}

/// A hung server ends the comparison.
const PATIENCE: Duration = Duration::from_secs(20);

/// From connect to the first byte and to the end, in microseconds. An empty answer is a failure.
fn ask(at: &At) -> io::Result<(f64, f64)> {
    let began = Instant::now();
    let stream = TcpStream::connect(("127.0.0.1", at.port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    match &at.tls {
        None => converse(stream, began),
        Some(tls) => {
            // As curl does: else the request waits for the acknowledgement of the handshake's last message.
            stream.set_nodelay(true)?;
            let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
            let tls = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
            converse(StreamOwned::new(tls, stream), began)
        }
    }
}

fn converse(mut stream: impl Read + Write, began: Instant) -> io::Result<(f64, f64)> {
    stream.write_all(b"x\r\n")?;
    stream.flush()?;
    // Without a half-close, at which nsjail ends the handler.
    let mut buffer = [0; 4096];
    if stream.read(&mut buffer)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let first = began.elapsed();
    while stream.read(&mut buffer)? > 0 {}
    Ok((first.as_secs_f64() * 1e6, began.elapsed().as_secs_f64() * 1e6))
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    percentile(values, 50)
}

fn latency(servers: &mut [Server], rounds: usize, pace: Duration, samples: &str) -> io::Result<()> {
    let mut out = std::fs::OpenOptions::new().create(true).append(true).open(samples)?;
    for round in 0..rounds + 5 {
        for server in &mut *servers {
            let (first, end) = ask(&server.at).map_err(|error| named(server, &error))?;
            // The first rounds fill caches and pools.
            if round >= 5 {
                server.first.push(first);
                server.end.push(end);
                writeln!(out, "{}\t{first:.1}\t{end:.1}", server.name)?;
            }
            thread::sleep(pace);
        }
    }
    println!("| server | first byte p50 µs | p99 | end p50 µs | p99 | ratio p50 | ratio p99 |");
    println!("|---|---|---|---|---|---|---|");
    let mut base = None;
    for server in servers {
        server.first.sort_by(f64::total_cmp);
        server.end.sort_by(f64::total_cmp);
        let [f50, f99] = [50, 99].map(|percent| percentile(&server.first, percent));
        let [e50, e99] = [50, 99].map(|percent| percentile(&server.end, percent));
        let (b50, b99) = *base.get_or_insert((e50, e99));
        let name = &server.name;
        println!(
            "| {name} | {f50:.0} | {f99:.0} | {e50:.0} | {e99:.0} | {:.2} | {:.2} |",
            e50 / b50,
            e99 / b99
        );
    }
    Ok(())
}

fn named(server: &Server, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", server.name))
}

const SLICES: usize = 5;

/// Connections a second, `parallel` at a time.
fn slice(at: &At, connections: usize, parallel: usize) -> io::Result<f64> {
    let began = Instant::now();
    let each = connections / parallel;
    let clients: Vec<_> = (0..parallel)
        .map(|_| {
            let at = at.clone();
            thread::spawn(move || (0..each).try_for_each(|_| ask(&at).map(drop)))
        })
        .collect();
    for client in clients {
        client.join().map_err(|_panic| io::Error::other("a client has panicked"))??;
    }
    Ok((each * parallel) as f64 / began.elapsed().as_secs_f64())
}

fn rate(servers: &mut [Server], connections: usize, parallel: usize) -> io::Result<()> {
    for _ in 0..SLICES {
        for server in &mut *servers {
            let rate =
                slice(&server.at, connections / SLICES, parallel).map_err(|error| named(server, &error))?;
            server.end.push(rate);
        }
    }
    println!("| server, {parallel} at a time | connections a second | ratio |\n|---|---|---|");
    let mut base = None;
    for server in servers {
        let rate = median(&mut server.end);
        println!("| {} | {rate:.0} | {:.2} |", server.name, rate / *base.get_or_insert(rate));
    }
    Ok(())
}

/// A full handshake each time, with certificates of the CA in $LOAD_CA.
fn tls() -> Option<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(std::env::var_os("LOAD_CA")?).ok()? {
        roots.add(certificate.ok()?).ok()?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Some(Arc::new(config))
}

fn servers(words: &[String]) -> Option<Vec<Server>> {
    let pairs = words.chunks(2).map(|pair| {
        let [name, at] = pair else { return None };
        let (port, tls) = match at.strip_prefix("tls:") {
            Some(port) => (port, Some(tls()?)),
            None => (at.as_str(), None),
        };
        let at = At { port: port.parse().ok()?, tls };
        Some(Server { name: name.clone(), at, first: Vec::new(), end: Vec::new() })
    });
    pairs.collect::<Option<Vec<_>>>().filter(|servers| !servers.is_empty())
}

fn run(words: &[String]) -> Option<io::Result<()>> {
    let number = |text: &String| text.parse::<usize>().ok().filter(|number| *number > 0);
    match words {
        [verb, rounds, pace, samples, rest @ ..] if verb == "latency" => {
            let pace = Duration::from_millis(pace.parse().ok()?);
            Some(latency(&mut servers(rest)?, number(rounds)?, pace, samples))
        }
        [verb, connections, parallel, rest @ ..] if verb == "rate" => {
            Some(rate(&mut servers(rest)?, number(connections)?, number(parallel)?))
        }
        [verb, samples, svg] if verb == "plot" => Some(plot::draw(samples, svg)),
        _ => None,
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("usage: load latency|rate|plot ARGUMENT... (see the head of load.rs)");
            ExitCode::from(2)
        }
    }
}
