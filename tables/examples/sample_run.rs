//! Writes the tables of an evolution and of a sweep, made of noise, so that other programs can be tried on them.
//!
//! `cargo run -p tumble-tables --example sample_run DIR` makes `DIR/evolution` and `DIR/sweep`.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use tumble_domain::outcome::{Outcomes, Status, TrialError};
use tumble_domain::{
    Direction, Evolve, Layout, Limits, Objective, Plan, RunSpec, Seed, Start, StopRule, Sweep, TrialRange, TrialSeeds,
    Value,
};
use tumble_tables::{
    AttemptOutcome, AttemptRow, AxisColumn, Champion, ColumnKind, GenerationRow, Metadata, TrialsPart, TrialsSchema,
    write_attempts, write_champion, write_generations, write_trials_part,
};

const POPULATION: u32 = 200;
const GENERATIONS: u32 = 50;
const POINTS: u64 = 6000;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args_os().nth(1).ok_or("usage: sample_run DIR")?;
    evolution(&Path::new(&dir).join("evolution"))?;
    sweep(&Path::new(&dir).join("sweep"))?;
    Ok(())
}

fn evolution(dir: &Path) -> Result<(), Box<dyn Error>> {
    let evolve = Evolve {
        strategy: "cma-es".to_owned(),
        population: Some(POPULATION),
        generations: GENERATIONS,
        settings: Vec::new(),
        start: Start::Middle,
        trial_seeds: TrialSeeds::Fresh,
        stop: StopRule::default(),
        axes: Vec::new(),
    };
    let layout = Layout::of(&spec("evolution", Plan::Evolve(evolve)), 0);
    let schema = TrialsSchema {
        evolves: true,
        rungs: false,
        exits: false,
        axes: Vec::new(),
        conditional: Vec::new(),
        metrics: vec!["value".to_owned()],
    };
    write_parts(dir, &schema, &layout, |_| Ok(Vec::new()))?;
    let generation = |generation: u32| {
        let best = 10.0 / f64::from(generation + 1);
        GenerationRow {
            generation,
            evaluations: u64::from(generation + 1) * u64::from(POPULATION) * 2,
            failed: 7,
            best,
            mean: best + 2.0,
            median: best + 1.9,
            q05: best + 0.1,
            q25: best + 1.0,
            q75: best + 3.0,
            q95: best + 4.0,
            best_candidate: (generation != 3).then_some(generation % POPULATION),
            state_hash: format!("{:032x}", Seed(u64::from(generation)).derive(0, 0, 0).0),
            scalars: vec![1.0 / f64::from(generation + 1)],
        }
    };
    let path = dir.join("generations.parquet");
    write_generations(&path, &metadata("evolution"), &["sigma".to_owned()], (0..GENERATIONS).map(generation))?;
    write_attempts(&dir.join("attempts.parquet"), &metadata("evolution"), attempts(&layout))?;
    let champion = Champion {
        trial: 19_620,
        generation: Some(GENERATIONS - 1),
        candidate: 10,
        fitness: -0.2,
        metric: "value".to_owned(),
        value: 0.2,
        settings: Vec::new(),
        genome: (0..20).map(noise).collect(),
    };
    Ok(write_champion(dir, &champion)?)
}

fn sweep(dir: &Path) -> Result<(), Box<dyn Error>> {
    let design = Sweep { design: "random".to_owned(), points: Some(POINTS), ..Sweep::default() };
    let layout = Layout::of(&spec("sweep", Plan::Sweep(design)), POINTS);
    let kinds = [
        ("snr", ColumnKind::Float),
        ("layers", ColumnKind::Integer),
        ("bias", ColumnKind::Boolean),
        ("evolve.strategy", ColumnKind::Text),
    ];
    let schema = TrialsSchema {
        evolves: false,
        rungs: false,
        exits: false,
        axes: kinds.iter().map(|(name, kind)| (name.to_string(), *kind)).collect(),
        conditional: Vec::new(),
        metrics: vec!["accuracy".to_owned(), "spikes".to_owned()],
    };
    let words: [Arc<str>; 3] = ["cma-es".into(), "sep-cma-es".into(), "naïve".into()];
    write_parts(dir, &schema, &layout, |range| {
        let mut axes: Vec<AxisColumn> =
            kinds.iter().map(|(_, kind)| AxisColumn::with_capacity(*kind, range.len() as usize)).collect();
        for trial in range.start..range.end {
            let point = layout.address(trial).candidate;
            axes[0].push(&Value::Float(noise(point)))?;
            axes[1].push(&Value::Integer((point % 7) as i64 - 3))?;
            axes[2].push(&Value::Boolean(point.is_multiple_of(2)))?;
            axes[3].push(&Value::Text(words[(point % 3) as usize].clone()))?;
        }
        Ok(axes)
    })?;
    write_attempts(&dir.join("attempts.parquet"), &metadata("sweep"), attempts(&layout))?;
    let champion = Champion {
        trial: 84,
        generation: None,
        candidate: 42,
        fitness: 0.9,
        metric: "accuracy".to_owned(),
        value: 0.9,
        settings: vec![("snr".to_owned(), Value::Float(noise(42))), ("layers".to_owned(), Value::Integer(-3))],
        genome: Vec::new(),
    };
    Ok(write_champion(dir, &champion)?)
}

fn write_parts(
    dir: &Path,
    schema: &TrialsSchema,
    layout: &Layout,
    axes: impl Fn(TrialRange) -> Result<Vec<AxisColumn>, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let name = dir.file_name().and_then(|n| n.to_str()).unwrap_or("sample");
    for part in 0..layout.trials().div_ceil(layout.part_rows()) {
        let range = layout.part(part, layout.trials());
        let status = |t: u64| match t % 100 {
            17 => Status::Failed,
            71 => Status::TimedOut,
            _ => Status::Scored,
        };
        let metrics = schema.metrics.len() as u32;
        let trials = || range.start..range.end;
        let error = |t: u64| TrialError { offset: (t - range.start) as u32, message: format!("trial {t} diverged") };
        let mut values: Vec<f64> =
            (0..u64::from(metrics)).flat_map(|m| trials().map(move |t| noise(t * 2 + m))).collect();
        // A trial that scored may well have a metric that is not a number.
        values[1] = f64::NAN;
        let outcomes = Outcomes {
            trials: range.len() as u32,
            metrics,
            statuses: trials().map(status).collect(),
            values,
            errors: trials().filter(|t| status(*t) == Status::Failed).map(error).collect(),
        };
        let data = TrialsPart {
            layout: layout.clone(),
            range,
            axes: axes(range)?,
            points: Vec::new(),
            outcomes: vec![outcomes],
        };
        write_trials_part(&dir.join("trials"), part, schema, &metadata(name), &data)?;
    }
    Ok(())
}

fn attempts(layout: &Layout) -> impl Iterator<Item = AttemptRow> {
    (0..layout.trials().div_ceil(256)).map(move |shard| AttemptRow {
        first_trial: shard * 256,
        trials: 256.min(layout.trials() - shard * 256),
        attempt: u32::from(shard.is_multiple_of(9)),
        worker: format!("worker-{}", shard % 4),
        host: "node-1".to_owned(),
        granted_at_ms: 1_760_000_000_000 + shard as i64 * 500,
        ended_at_ms: 1_760_000_000_480 + shard as i64 * 500,
        evaluate_ms: if shard.is_multiple_of(9) { f64::NAN } else { 470.25 },
        outcome: if shard.is_multiple_of(9) { AttemptOutcome::Lost } else { AttemptOutcome::Reported },
        bytes_down: 96,
        bytes_up: 2100,
    })
}

fn spec(name: &str, plan: Plan) -> RunSpec {
    RunSpec {
        code: None,
        bundle: None,
        name: name.to_owned(),
        pipeline: "none".to_owned(),
        seed: Seed(7),
        replicates: 2,
        objective: Objective { metric: "value".to_owned(), direction: Direction::Minimise },
        config: Vec::new(),
        plan,
        limits: Limits::default(),
    }
}

fn metadata(name: &str) -> Metadata {
    let run_toml = format!("name = \"{name}\"\npipeline = \"none\"\nseed = 7\nreplicates = 2\n");
    Metadata { run_toml, version: env!("CARGO_PKG_VERSION").to_owned() }
}

/// A number in 0..1.
fn noise(index: u64) -> f64 {
    (Seed(3).derive(0, index, 0).0 >> 11) as f64 / (1u64 << 53) as f64
}
