//! What a finished run shows: its summary, and a small plot of how it went.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde_json::Value as Json;
use tumble_domain::{Axis, Direction, Plan};
use tumble_runfile::Understood;
use tumble_tables::Column;

use crate::exit::{Exit, Failure};
use crate::output::{Output, duration, grouped, number, size};
use crate::own::Known;
use crate::plot::{self, Paper, Series};
use crate::progress::rate_text;
use crate::runfile;

const PLOT_WIDTH: usize = 72;
const PLOT_HEIGHT: usize = 12;
/// Ways of ending that are shown of programs.
const ENDINGS_SHOWN: usize = 5;
/// Distinct values of an axis that are shown each for itself; more are gathered into so many bins.
const BINS: usize = 48;

/// Shows the results in a run's folder, and says how the run ended.
pub(crate) fn show(folder: &Path, known: &Known, output: Output) -> Result<Exit, Failure> {
    let path = folder.join("summary.json");
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let hint = if folder.join(".tumble").exists() {
            format!("; the run is not complete, go on with `tumble run --resume --out {}`", folder.display())
        } else {
            String::new()
        };
        Failure::usage(format!("failed to read {}: {error}{hint}", path.display()))
    })?;
    let mut summary: Json = serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format!("{} is not a summary: {error}", path.display())))?;
    summary["folder"] = Json::String(folder.display().to_string());
    let run_toml = folder.join("run.toml");
    let mut page = summary_text(&summary, folder);
    if !output.json && runfile::lacks_pipeline(&run_toml, None, &[], known)? {
        output
            .note("no plot: the run's pipeline is none of those that come with Tumble; `--worker PROGRAM` names yours");
    } else if !output.json {
        let understood = runfile::read_recorded(&run_toml, &[], known, Output { quiet: true, ..output })?;
        match plot_text(&understood, folder) {
            Ok(plot) if !plot.is_empty() => page += &format!("\n{plot}"),
            Ok(_) => {}
            Err(error) => output.note(format!("no plot: {error}")),
        }
    }
    let ended = ended(&summary);
    output.result(page, || summary);
    Ok(ended)
}

/// The exit code of the run that this is the summary of.
fn ended(summary: &Json) -> Exit {
    let counted = |key: &str| summary[key].as_u64() != Some(0);
    match summary["state"].as_str() {
        Some("finished") if counted("disagreements") => Exit::Disagreed,
        Some("finished") if !counted("trials_failed") => Exit::Complete,
        Some("cancelled") => Exit::Stopped,
        _ => Exit::TrialsFailed,
    }
}

fn summary_text(summary: &Json, folder: &Path) -> String {
    let count = |key: &str| summary[key].as_u64().unwrap_or(0);
    let word = |key: &str| summary[key].as_str().unwrap_or("").to_owned();
    let mut text = format!("{}: {}\n", word("run"), word("reason"));
    let metric = word("objective");
    if let Some(best) = summary["best"].as_f64() {
        let _ = writeln!(
            text,
            "best      {} {} in trial {} (champion.json)",
            metric.trim_start_matches('-'),
            number(best),
            grouped(count("champion"))
        );
    }
    let failed = match count("trials_failed") {
        0 => "none failed".to_owned(),
        failed => format!("{} FAILED (see the columns outcome and error)", grouped(failed)),
    };
    let generations = match count("generations") {
        0 => String::new(),
        generations => format!(" in {} generations", grouped(generations)),
    };
    let _ = writeln!(text, "trials    {}{generations}, {failed}", grouped(count("trials")));
    if count("disagreements") > 0 {
        let _ = writeln!(
            text,
            "DISAGREE  {} trials gave different results when evaluated again: the evaluator is not deterministic",
            grouped(count("disagreements"))
        );
        for found in summary["differing"].as_array().into_iter().flatten() {
            let word = |key: &str| found[key].as_str().unwrap_or("").to_owned();
            let trial = found["trial"].as_u64().unwrap_or(0);
            let (column, recorded, again) = (word("column"), word("recorded"), word("again"));
            let _ = writeln!(text, "          trial {trial}: {column} {recorded}, then {again}");
        }
    }
    if count("trials_failed") > 0 {
        text += &endings(folder);
    }
    let seconds = summary["seconds"].as_f64().unwrap_or(0.0);
    let rate = summary["trials_per_second"].as_f64().map_or(String::new(), |r| format!(", {} trials/s", rate_text(r)));
    let _ = writeln!(text, "time      {}{rate}", duration(seconds));
    let _ = writeln!(text, "wire      {} down, {} up", size(count("bytes_down")), size(count("bytes_up")));
    let _ = writeln!(text, "tables    {}", folder.join("trials").join("*.parquet").display());
    text
}

/// How often each way of ending came among the programs that did not exit with code 0, the most frequent first; nothing for a
/// run that was none of programs.
fn endings(folder: &Path) -> String {
    let mut counts: BTreeMap<(&str, i64), u64> = BTreeMap::new();
    let Ok(blocks) = tumble_tables::scan(&folder.join("trials"), &["exit_code", "signal"]) else {
        return String::new();
    };
    for block in blocks.flatten() {
        for (word, column) in ["exit code", "signal"].into_iter().zip(&block.columns) {
            let numbers = column.numbers().unwrap_or_default();
            let ends = numbers.into_iter().filter(|number| !number.is_nan() && *number != 0.0);
            ends.for_each(|number| *counts.entry((word, number as i64)).or_default() += 1);
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let shown = counts.iter().take(ENDINGS_SHOWN);
    let shown: Vec<String> = shown.map(|((word, n), count)| format!("{} with {word} {n}", grouped(*count))).collect();
    if shown.is_empty() { String::new() } else { format!("programs  {}\n", shown.join(", ")) }
}

/// The objective over generations, or over the first axis of a sweep.
fn plot_text(understood: &Understood, folder: &Path) -> Result<String, tumble_tables::TableError> {
    let spec = &understood.spec;
    match &spec.plan {
        Plan::Evolve(_) => {
            let table = tumble_tables::read_generations(&folder.join("generations.parquet"))?;
            let series = |name: &str, value: fn(&tumble_tables::GenerationRow) -> f64| Series {
                name: name.to_owned(),
                points: table.rows.iter().map(|row| (f64::from(row.generation), value(row))).collect(),
            };
            let title = format!("{} over generations", spec.objective.metric);
            let series = [series("best", |row| row.best), series("median", |row| row.median)];
            Ok(plot::line(&title, &series, paper()))
        }
        Plan::Sweep(sweep) if sweep.stopping.is_some() => {
            let table = tumble_tables::read_generations(&folder.join("generations.parquet"))?;
            let series = |name: &str, value: fn(&tumble_tables::GenerationRow) -> f64| Series {
                name: name.to_owned(),
                points: table.rows.iter().map(|row| (f64::from(row.generation), value(row))).collect(),
            };
            let title = format!("{} over rungs", spec.objective.metric);
            let series = [series("best", |row| row.best), series("median", |row| row.median)];
            Ok(plot::line(&title, &series, paper()))
        }
        Plan::Sweep(sweep) => over_axis(&sweep.axes[0], &spec.objective.metric, spec.objective.direction, folder),
        Plan::SweepOfEvolutions(sweep, _) => over_axis(&sweep.axes[0], "best", spec.objective.direction, folder),
    }
}

/// The mean and the best of a metric for each value of an axis.
fn over_axis(
    axis: &Axis,
    metric: &str,
    direction: Direction,
    folder: &Path,
) -> Result<String, tumble_tables::TableError> {
    let mut words: BTreeMap<String, Tally> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    let mut numbers: Vec<(f64, f64)> = Vec::new();
    let mut grid: BTreeMap<u64, (f64, Tally)> = BTreeMap::new();
    for block in tumble_tables::scan(&folder.join("trials"), &[&axis.name, metric])? {
        let columns = block?.columns;
        let values = columns[1].numbers().unwrap_or_default();
        match &columns[0] {
            Column::Text(labels) => {
                for (label, value) in labels.iter().zip(values) {
                    let label = label.as_deref().unwrap_or("").to_owned();
                    let tally = words.entry(label.clone()).or_insert_with(|| {
                        order.push(label);
                        Tally::default()
                    });
                    tally.add(value, direction);
                }
            }
            places => {
                for (place, value) in places.numbers().unwrap_or_default().into_iter().zip(values) {
                    // Few values are shown each for itself; a sampled axis has too many and is gathered into bins.
                    if grid.len() <= BINS {
                        grid.entry(ordered_bits(place)).or_insert((place, Tally::default())).1.add(value, direction);
                    }
                    numbers.push((place, value));
                    if numbers.len() > SAMPLE_MAX {
                        numbers = numbers.into_iter().step_by(2).collect();
                    }
                }
            }
        }
    }
    let title = format!("{metric} over {}", axis.name);
    if !words.is_empty() {
        let rows: Vec<(String, f64)> = order.iter().map(|label| (label.clone(), words[label].mean())).collect();
        return Ok(plot::bars(&format!("mean {title}"), &rows, PLOT_WIDTH, unicode()));
    }
    let points: Vec<(f64, Tally)> =
        if grid.len() <= BINS { grid.into_values().collect() } else { binned(&numbers, direction) };
    let series = |name: &str, value: fn(&Tally) -> f64| Series {
        name: name.to_owned(),
        points: points.iter().map(|(place, tally)| (*place, value(tally))).collect(),
    };
    let series = [series("mean", Tally::mean), series("best", |tally| tally.best)];
    Ok(plot::line(&title, &series, paper()))
}

/// So many points are kept for the bins of a plot; beyond that every other one is let go.
const SAMPLE_MAX: usize = 1 << 18;

fn binned(numbers: &[(f64, f64)], direction: Direction) -> Vec<(f64, Tally)> {
    let (low, high) = numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), (x, _)| (l.min(*x), h.max(*x)));
    let width = (high - low) / BINS as f64;
    let mut bins = vec![Tally::default(); BINS];
    for (place, value) in numbers {
        bins[(((place - low) / width) as usize).min(BINS - 1)].add(*value, direction);
    }
    bins.into_iter().enumerate().map(|(i, tally)| (low + (i as f64 + 0.5) * width, tally)).collect()
}

/// A key that sorts as the number does.
fn ordered_bits(x: f64) -> u64 {
    let bits = x.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[derive(Clone, Debug)]
struct Tally {
    sum: f64,
    count: u64,
    best: f64,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally { sum: 0.0, count: 0, best: f64::NAN }
    }
}

impl Tally {
    fn add(&mut self, value: f64, direction: Direction) {
        if value.is_finite() {
            self.sum += value;
            self.count += 1;
            if self.best.is_nan() || direction.turn(value) > direction.turn(self.best) {
                self.best = value;
            }
        }
    }

    fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

fn paper() -> Paper {
    Paper { width: PLOT_WIDTH, height: PLOT_HEIGHT, unicode: unicode() }
}

/// Whether the terminal is likely to show more than ASCII.
fn unicode() -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .is_none_or(|locale| locale.to_lowercase().contains("utf"))
}
