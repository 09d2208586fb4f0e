//! The distribution of latencies as an SVG: how many connections have ended by when, time on a
//! logarithmic axis.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::{fs, io};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 50.0;
const TOP: f64 = 20.0;
const RIGHT: f64 = 20.0;
/// Told apart by those who see fewer colours as well (Okabe and Ito).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

type Samples = BTreeMap<String, Vec<f64>>;

fn read(path: &str) -> io::Result<Samples> {
    let mut samples = Samples::new();
    for line in fs::read_to_string(path)?.lines() {
        let mut fields = line.split('\t');
        let (Some(name), Some(_first), Some(end)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        if let Ok(end) = end.parse::<f64>() {
            samples.entry(name.to_owned()).or_default().push(end);
        }
    }
    samples.values_mut().for_each(|values| values.sort_by(f64::total_cmp));
    Ok(samples)
}

/// The decades that hold all samples.
fn range(samples: &Samples) -> (f64, f64) {
    let all = || samples.values().flatten();
    let low = all().copied().fold(f64::INFINITY, f64::min).max(1.0);
    let high = all().copied().fold(1.0, f64::max);
    (low.log10().floor(), high.log10().ceil())
}

pub fn draw(from: &str, to: &str) -> io::Result<()> {
    let samples = read(from)?;
    if samples.is_empty() {
        return Err(io::Error::other(format!("{from} holds no samples")));
    }
    let (low, high) = range(&samples);
    let x = |micros: f64| LEFT + (micros.log10() - low) / (high - low) * (WIDTH - LEFT - RIGHT);
    let y = |share: f64| TOP + (1.0 - share) * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let mut decade = low;
    while decade <= high {
        for step in 1..10 {
            let at = 10f64.powf(decade) * f64::from(step);
            if at.log10() > high {
                break;
            }
            let (x, shade) = (x(at), if step == 1 { "#999" } else { "#e4e4e4" });
            _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"{shade}\"/>",
                y(0.0)
            );
            if step == 1 {
                let label = if at >= 1000.0 { format!("{} ms", at / 1000.0) } else { format!("{at} µs") };
                _ = writeln!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
                    y(0.0) + 18.0
                );
            }
        }
        decade += 1.0;
    }
    for percent in [0, 25, 50, 75, 99] {
        let y = y(f64::from(percent) / 100.0);
        _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#ccc\"/>",
            WIDTH - RIGHT
        );
        _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{percent} %</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    for ((name, values), (index, colour)) in samples.iter().zip(COLOURS.iter().cycle().enumerate()) {
        let mut points = String::new();
        for (rank, value) in values.iter().enumerate() {
            _ = write!(points, "{:.1},{:.1} ", x(*value), y((rank + 1) as f64 / values.len() as f64));
        }
        _ = writeln!(
            svg,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\"/>"
        );
        let (x, y) = (LEFT + 12.0, TOP + 16.0 + 16.0 * index as f64);
        let name = name.replace('&', "&amp;").replace('<', "&lt;");
        _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{colour}\">{name}</text>");
    }
    let (x, y) = (WIDTH / 2.0, HEIGHT - 10.0);
    _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">connect to end of answer</text>\n</svg>"
    );
    fs::write(to, svg)
}
