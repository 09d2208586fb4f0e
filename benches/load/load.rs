//! Times connections to servers on loopback, side by side: one to each in turn, so that what disturbs the
//! machine meets them all. Each connection sends one line, says that it has no more, and reads to the end.
//!
//! usage: load latency ROUNDS PACE-MS SAMPLES NAME PORT [NAME PORT]...
//!        load rate CONNECTIONS PARALLEL NAME PORT [NAME PORT]...
//!        load plot SAMPLES SVG
//!
//! `latency` leaves PACE-MS between two connections and appends `NAME<TAB>FIRST-BYTE-US<TAB>END-US` lines
//! to SAMPLES; `rate` keeps PARALLEL connections going, in five slices a server; `plot` draws what
//! SAMPLES holds.

mod plot;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

struct Server {
    name: String,
    port: u16,
    first: Vec<f64>,
    end: Vec<f64>,
}

/// A hung server ends the comparison.
const PATIENCE: Duration = Duration::from_secs(20);

/// From connect to the first byte and to the end, in microseconds. An empty answer is a failure.
fn ask(port: u16) -> io::Result<(f64, f64)> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"x\r\n")?;
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
            let (first, end) = ask(server.port).map_err(|error| named(server, &error))?;
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
fn slice(port: u16, connections: usize, parallel: usize) -> io::Result<f64> {
    let began = Instant::now();
    let each = connections / parallel;
    let clients: Vec<_> = (0..parallel)
        .map(|_| thread::spawn(move || (0..each).try_for_each(|_| ask(port).map(drop))))
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
                slice(server.port, connections / SLICES, parallel).map_err(|error| named(server, &error))?;
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

fn servers(words: &[String]) -> Option<Vec<Server>> {
    let pairs = words.chunks(2).map(|pair| {
        let [name, port] = pair else { return None };
        Some(Server { name: name.clone(), port: port.parse().ok()?, first: Vec::new(), end: Vec::new() })
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
