//! What a trial costs on the wire, measured: an evolution of ten thousand candidates in ten, ten thousand and a million
//! dimensions, by real processes over gRPC. Prints the table of docs/wire.md.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

type Error = Box<dyn std::error::Error>;

const POPULATION: u64 = 10_000;
const WORKERS: u64 = 2;

/// Dimensions, with as many generations as show what goes on for ever.
const CASES: [(u64, u64); 3] = [(10, 50), (10_000, 20), (1_000_000, 3)];

/// Measures the dimensions that are asked for, or all.
pub(crate) fn run(arguments: &[String]) -> Result<(), Error> {
    let wanted: Vec<u64> = arguments.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let place = std::env::temp_dir().join(format!("tumble-wire-bytes-{}", std::process::id()));
    std::fs::create_dir_all(&place)?;
    println!("| dimension | generations | down | up | parameters | proposals | s |");
    println!("|---|---|---|---|---|---|---|");
    for (dimension, generations) in CASES.into_iter().filter(|(d, _)| wanted.is_empty() || wanted.contains(d)) {
        let folder = place.join(dimension.to_string());
        let file = place.join("run.toml");
        std::fs::write(&file, run_file(dimension, generations))?;
        let mut tumble = Command::new(&cargo);
        tumble.args(["run", "--quiet", "-p", "tumble-cli", "--", "run"]).arg(&file).arg("--out").arg(&folder);
        tumble.args(["--quiet", "--workers", &WORKERS.to_string()]).stdout(std::process::Stdio::null());
        if !tumble.status()?.success() {
            return Err(format!("the run in {dimension} dimensions failed").into());
        }
        println!("{}", row(dimension, &folder)?);
    }
    std::fs::remove_dir_all(&place)?;
    Ok(())
}

fn run_file(dimension: u64, generations: u64) -> String {
    format!(
        "name = \"wire-bytes\"\npipeline = \"benchmark-functions\"\n[config]\nfunction = \"sphere\"\n\
         dimension = {dimension}\n[evolve]\nstrategy = \"open-ai-es\"\npopulation = {POPULATION}\n\
         generations = {generations}\nstart = 1.0\n"
    )
}

fn row(dimension: u64, folder: &Path) -> Result<String, Error> {
    let summary: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("summary.json"))?)?;
    let number = |key: &str| summary[key].as_f64().ok_or_else(|| format!("the summary has no number `{key}`"));
    let (trials, generations) = (number("trials")?, number("generations")?);
    let per_trial = |bytes: f64| format!("{:.2}", bytes / trials);
    // Eight bytes for each element of the centre, a few for the rest, to each worker in each generation.
    let proposals = generations * (WORKERS * (8 * dimension + 44)) as f64;
    Ok(format!(
        "| {dimension} | {generations} | {} | {} | {} | {} | {:.0} |",
        per_trial(number("bytes_down")?),
        per_trial(number("bytes_up")?),
        8 * dimension,
        per_trial(proposals),
        number("seconds")?,
    ))
}
