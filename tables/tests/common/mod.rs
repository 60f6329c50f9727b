//! Layouts and outcomes for tests.

#![allow(dead_code, reason = "each test program uses some of these")]

use tumble_domain::outcome::{Outcomes, Status, TrialError};
use tumble_domain::{
    Direction, Evolve, Layout, Limits, Objective, Plan, RunSpec, Seed, Start, StopRule, Sweep, TrialSeeds,
};
use tumble_tables::Metadata;

pub(crate) fn metadata() -> Metadata {
    // A frozen version: the bytes of these tests' files do not change with Tumble's own.
    Metadata { run_toml: "name = \"sample\"\npipeline = \"sphere\"\n".to_owned(), version: "0.1.0".to_owned() }
}

pub(crate) fn sweep_layout(points: u64, replicates: u32) -> Layout {
    let sweep = Sweep { design: "random".to_owned(), points: Some(points), ..Sweep::default() };
    Layout::of(&spec(Plan::Sweep(sweep), replicates), points)
}

pub(crate) fn evolve_layout(population: u32, generations: u32, replicates: u32, trial_seeds: TrialSeeds) -> Layout {
    let evolve = Evolve {
        strategy: "cma-es".to_owned(),
        population: Some(population),
        generations,
        settings: Vec::new(),
        start: Start::Middle,
        trial_seeds,
        stop: StopRule::default(),
        axes: Vec::new(),
    };
    Layout::of(&spec(Plan::Evolve(evolve), replicates), 0)
}

fn spec(plan: Plan, replicates: u32) -> RunSpec {
    RunSpec {
        code: None,
        bundle: None,
        name: "sample".to_owned(),
        pipeline: "sphere".to_owned(),
        seed: Seed(7),
        replicates,
        objective: Objective { metric: "value".to_owned(), direction: Direction::Minimise },
        config: Vec::new(),
        plan,
        limits: Limits::default(),
    }
}

/// A number in 0..1 that no shorter rule gives.
pub(crate) fn noise(trial: u64) -> f64 {
    (Seed(3).derive(0, trial, 0).0 >> 11) as f64 / (1u64 << 53) as f64
}

/// The same outcomes, cut into pieces of these sizes, over and over.
pub(crate) fn chunked(whole: &Outcomes, sizes: &[usize]) -> Vec<Outcomes> {
    let rows = whole.trials as usize;
    let mut chunks = Vec::new();
    let mut from = 0;
    for size in sizes.iter().cycle() {
        if from == rows {
            return chunks;
        }
        let to = (from + size).min(rows);
        let mut chunk = Outcomes { trials: (to - from) as u32, metrics: whole.metrics, ..Outcomes::default() };
        chunk.statuses = (from..to).map(|row| whole.status(row)).collect();
        if chunk.statuses.iter().all(|status| *status == Status::Scored) {
            chunk.statuses.clear();
        }
        for metric in 0..whole.metrics as usize {
            chunk.values.extend((from..to).map(|row| whole.value(metric, row)));
        }
        chunk.errors = whole
            .errors
            .iter()
            .filter(|e| (from..to).contains(&(e.offset as usize)))
            .map(|e| TrialError { offset: e.offset - from as u32, message: e.message.clone() })
            .collect();
        chunks.push(chunk);
        from = to;
    }
    chunks
}
