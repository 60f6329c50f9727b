//! Measures how fast a part of the trials table is written and read, and how small it is.
//!
//! `cargo run --release -p tumble-tables --example throughput`

use std::error::Error;
use std::time::Instant;

use tumble_domain::layout::PART_ROWS_MAX;
use tumble_domain::outcome::Outcomes;
use tumble_domain::{Direction, Layout, Limits, Objective, Plan, RunSpec, Seed, Sweep};
use tumble_tables::{AxisColumn, ColumnKind, Metadata, TrialsPart, TrialsSchema, scan, write_trials_part};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::temp_dir().join(format!("tumble-throughput-{}", std::process::id()));
    let schema = TrialsSchema {
        evolves: false,
        rungs: false,
        exits: false,
        axes: ["snr", "load", "rate"].map(|name| (name.to_owned(), ColumnKind::Float)).to_vec(),
        conditional: Vec::new(),
        metrics: ["accuracy", "loss", "spikes", "energy"].map(str::to_owned).to_vec(),
    };
    let data = part();
    let metadata = Metadata { run_toml: "name = \"throughput\"\n".to_owned(), version: "0.1.0".to_owned() };
    let columns = schema.columns();
    for _ in 0..3 {
        let begun = Instant::now();
        let receipt = write_trials_part(&dir, 0, &schema, &metadata, &data)?;
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "wrote {} rows of {} columns in {seconds:.3} s: {:.2} million rows/s, {:.1} bytes/row",
            receipt.rows,
            columns.len(),
            receipt.rows as f64 / seconds / 1e6,
            receipt.bytes as f64 / receipt.rows as f64
        );
        let begun = Instant::now();
        let mut rows = 0;
        for block in scan(&dir, &columns)? {
            rows += block?.rows;
        }
        let seconds = begun.elapsed().as_secs_f64();
        println!("read {rows} rows in {seconds:.3} s: {:.2} million rows/s", rows as f64 / seconds / 1e6);
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

/// A whole part of a sweep: a grid axis, two sampled axes; two noisy metrics, a share of a hundred and a count.
fn part() -> TrialsPart {
    let points = PART_ROWS_MAX * 64;
    let spec = RunSpec {
        code: None,
        bundle: None,
        name: "throughput".to_owned(),
        pipeline: "none".to_owned(),
        seed: Seed(7),
        replicates: 1,
        objective: Objective { metric: "accuracy".to_owned(), direction: Direction::Maximise },
        config: Vec::new(),
        plan: Plan::Sweep(Sweep {
            design: "random".to_owned(),
            points: Some(points),
            axes: Vec::new(),
            ..Sweep::default()
        }),
        limits: Limits::default(),
    };
    let layout = Layout::of(&spec, points);
    let range = layout.part(0, points);
    let noise = |stream: u32| move |trial: u64| (Seed(3).derive(stream, trial, 0).0 >> 11) as f64 / (1u64 << 53) as f64;
    let trials = || range.start..range.end;
    let axes = vec![
        AxisColumn::Float(trials().map(|t| (t / 40_000) as f64 * 0.1).collect()),
        AxisColumn::Float(trials().map(noise(1)).collect()),
        AxisColumn::Float(trials().map(noise(2)).collect()),
    ];
    let mut values: Vec<f64> = trials().map(|t| (noise(3)(t) * 100.0).floor() / 100.0).collect();
    values.extend(trials().map(noise(4)));
    values.extend(trials().map(|t| (noise(5)(t) * 5000.0).floor()));
    values.extend(trials().map(|t| 1e-9 * noise(6)(t)));
    let outcomes = vec![Outcomes { trials: range.len() as u32, metrics: 4, values, ..Outcomes::default() }];
    TrialsPart { layout, range, axes, points: Vec::new(), outcomes }
}
