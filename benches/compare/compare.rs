//! Times whole commands side by side: one of each in turn, round after round, so that what disturbs the
//! machine meets them all. Prints medians, p99 and the ratio to the first.
//!
//! usage: compare ROUNDS NAME COMMAND... [----- NAME COMMAND...]...

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

struct Contender {
    name: String,
    command: Vec<String>,
    times: Vec<Duration>,
}

const PAUSE: Duration = Duration::from_millis(10);

/// From start to end of the command, its input one line, its output thrown away. A failure ends
/// the comparison.
fn time(command: &[String]) -> Result<Duration, String> {
    let (program, arguments) = command.split_first().ok_or("a contender without a command")?;
    let failed = |error: std::io::Error| format!("{program}: {error}");
    let input =
        std::fs::File::open(std::env::var("COMPARE_INPUT").unwrap_or_else(|_unset| "/dev/null".to_owned()));
    let began = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .stdin(input.map_err(failed)?)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(failed)?;
    let took = began.elapsed();
    if status.success() { Ok(took) } else { Err(format!("{} ended with {status}", command.join(" "))) }
}

fn at(sorted: &[Duration], percent: usize) -> f64 {
    sorted.get(sorted.len() * percent / 100).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

fn compare(rounds: usize, contenders: &mut [Contender]) -> Result<(), String> {
    for round in 0..rounds + 3 {
        for contender in &mut *contenders {
            // Namespaces are freed by a worker of the kernel's, after the last process: that is not the next
            // one's to pay.
            std::thread::sleep(PAUSE);
            let took = time(&contender.command)?;
            // The first rounds fill caches.
            if round >= 3 {
                contender.times.push(took);
            }
        }
    }
    let mut first = None;
    println!("| what | median ms | p99 ms | ratio of medians |\n|---|---|---|---|");
    for contender in contenders {
        contender.times.sort_unstable();
        let median = at(&contender.times, 50);
        let base = *first.get_or_insert(median);
        println!(
            "| {} | {median:.2} | {:.2} | {:.2} |",
            contender.name,
            at(&contender.times, 99),
            median / base
        );
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let rounds = arguments.next().and_then(|rounds| rounds.parse().ok());
    let rest: Vec<String> = arguments.collect();
    let mut contenders: Vec<Contender> = rest
        .split(|word| word == "-----")
        .filter_map(|words| words.split_first())
        .map(|(name, command)| Contender { name: name.clone(), command: command.to_vec(), times: Vec::new() })
        .collect();
    let Some(rounds) = rounds.filter(|_| !contenders.is_empty()) else {
        eprintln!("usage: compare ROUNDS NAME COMMAND... [----- NAME COMMAND...]...");
        return ExitCode::from(2);
    };
    match compare(rounds, &mut contenders) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("compare: {message}");
            ExitCode::FAILURE
        }
    }
}
