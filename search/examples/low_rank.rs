//! What it saves not to write a candidate out: one layer of 1024 × 1024 weights and one input, candidate after candidate.
//!
//! ```text
//! cargo run --release -p tumble-search --example low_rank [RANK]
//! ```

use std::hint::black_box;
use std::time::{Duration, Instant};

use tumble_domain::{Evolve, Seed, Shape, Start, StopRule, TrialSeeds, Value};
use tumble_search::{Problem, Proposal, strategies};

const SIDE: usize = 1024;
/// How long each way is measured.
const MEASURED: Duration = Duration::from_secs(3);

fn main() {
    let rank: i64 = std::env::args().nth(1).map_or(1, |rank| rank.parse().expect("RANK is a whole number"));
    let low = proposal("eggroll", vec![("rank".to_owned(), Value::Integer(rank))]);
    let full = proposal("open-ai-es", Vec::new());
    let mean = low.perturbed(0).expect("eggroll's law is of low rank").mean();
    let x: Vec<f64> = (0..SIDE).map(|i| libm::sin(i as f64)).collect();
    let shared = product(mean, &x);

    let mut candidate = vec![0.0; SIDE * SIDE];
    let mut written_out = |proposal: &Proposal, index| {
        proposal.candidate(index, &mut candidate);
        product(&candidate, &x)
    };
    let side_path = |index, mut y: Vec<f64>| {
        let factors = low.perturbed(index).and_then(|perturbed| perturbed.low_rank(0)).expect("one matrix");
        factors.add_product(&x, &mut y);
        y
    };
    let apart =
        written_out(&low, 5).iter().zip(side_path(5, shared.clone())).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
    println!("a layer of {SIDE} × {SIDE}, rank {rank}, one input, one thread; the ways agree to {apart:.1e}");

    let base = measure("full noise, written out", None, |index| written_out(&full, index));
    measure("low rank, written out", Some(base), |index| written_out(&low, index));
    measure("low rank, not written out", Some(base), |index| side_path(index, product(mean, &x)));
    measure("the same, inputs shared by all", Some(base), |index| side_path(index, shared.clone()));
}

/// The first generation of a strategy over one matrix.
fn proposal(strategy: &str, settings: Vec<(String, Value)>) -> Proposal {
    let evolve = Evolve {
        strategy: strategy.to_owned(),
        population: Some(1 << 20),
        generations: 1,
        settings,
        start: Start::Everywhere(0.5),
        trial_seeds: TrialSeeds::PerGeneration,
        stop: StopRule::default(),
        axes: Vec::new(),
    };
    let problem = Problem {
        dimension: SIDE * SIDE,
        shapes: vec![Shape { rows: SIDE as u32, columns: SIDE as u32 }],
        bounds: None,
        start: Start::Everywhere(0.5),
        seed: Seed(1),
        grains: Vec::new(),
    };
    strategies::build(&evolve, &problem).expect("a plain evolution").ask()
}

/// W x, each element summed in order; eight rows at a time, so that the processor has eight sums to work on.
fn product(w: &[f64], x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; w.len() / x.len()];
    for (rows, y) in w.chunks_exact(8 * x.len()).zip(y.chunks_exact_mut(8)) {
        let rows: [&[f64]; 8] = std::array::from_fn(|r| &rows[r * x.len()..][..x.len()]);
        let mut sums = [0.0; 8];
        for (j, x) in x.iter().enumerate() {
            sums.iter_mut().zip(rows).for_each(|(sum, row)| *sum += row[j] * x);
        }
        y.copy_from_slice(&sums);
    }
    y
}

/// Candidates a second, and how many times the first way's.
fn measure(name: &str, base: Option<f64>, mut evaluate: impl FnMut(u32) -> Vec<f64>) -> f64 {
    let (began, mut count) = (Instant::now(), 0u32);
    while began.elapsed() < MEASURED {
        black_box(evaluate(black_box(count)));
        count += 1;
    }
    let rate = f64::from(count) / began.elapsed().as_secs_f64();
    let ratio = base.map_or(String::new(), |base| format!("{:8.1} times", rate / base));
    println!("{name:32}{rate:10.0} candidates/s{ratio}");
    rate
}
