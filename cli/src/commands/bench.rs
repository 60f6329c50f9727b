//! `tumble bench`: how fast this machine makes noise, applies it and evaluates with it, against its memory.

use std::hint::black_box;
use std::time::Instant;

use serde_json::json;
use tumble_domain::seed::Stream;
use tumble_domain::{Evolve, Fitness, Seed, Start, StopRule, TrialSeeds, Value};
use tumble_pipelines::{Trial, Watch, registry};
use tumble_search::{Problem, Proposal, noise, set_threads, strategies};
use tumble_worker::process::cores;

use crate::args::BenchArgs;
use crate::exit::{Exit, Failure};
use crate::output::{Output, grouped, number};

/// Numbers in each of the three vectors whose bandwidth is measured: 3 × 128 MiB are far more than caches hold.
const TRIAD: usize = 16 << 20;
/// Bytes that a number of the triad moves: two read, one written.
const TRIAD_BYTES: f64 = 24.0;
/// Normals made at a time: they stay in the first cache, as in an update.
const PIECE: usize = 1024;
/// Pieces of normals that are timed together.
const PIECES: u32 = 20_000;
/// Candidates that are timed together.
const CANDIDATES: u32 = 8;

/// What one thread does in a second, and what all do.
struct Measured {
    one: f64,
    all: f64,
}

pub(crate) fn bench(args: &BenchArgs, output: Output) -> Result<Exit, Failure> {
    let threads = cores() as usize;
    let both = |measure: &dyn Fn(usize) -> f64| Measured { one: measure(1), all: measure(threads) };
    let best = |times: &mut dyn FnMut() -> f64| (0..args.repeats).map(|_| times()).fold(f64::INFINITY, f64::min);

    output.note("measuring memory");
    let bandwidth = both(&|threads| triad(threads, &best));
    output.note("measuring noise");
    let made = both(&|threads| normals(threads, &best));
    output.note("measuring updates");
    let (dimension, pairs) = (args.dimension as usize, args.pairs);
    let mut proposal = None;
    let mut applied = Measured { one: 0.0, all: 0.0 };
    for (threads, rate) in [(1, &mut applied.one), (threads, &mut applied.all)] {
        set_threads(threads);
        let (evolve, problem) = evolution(dimension, 2 * pairs);
        let mut strategy = strategies::build(&evolve, &problem).map_err(Failure::usage)?;
        // Any order will do that leaves no pair without a difference.
        let fitness: Vec<Fitness> = (0..2 * pairs).map(|i| Fitness::Scored(f64::from(i))).collect();
        *rate = f64::from(pairs) * dimension as f64 / best(&mut || timed(|| strategy.tell(&fitness)));
        proposal = Some(strategy.ask());
    }
    let proposal = proposal.expect("two strategies were asked");
    output.note("measuring evaluations");
    let [whole, pieces] = [false, true].map(|pieces| sphere(&proposal, pieces, &best));
    let (whole, pieces) = (whole?, pieces?);

    let per_core = applied.all / threads as f64;
    let line = |what: &str, unit: &str, scale: f64, m: &Measured| {
        format!(
            "{what:30}{:>12}{:>12}  {unit}\n",
            number((m.one / scale * 10.0).round() / 10.0),
            number((m.all / scale * 10.0).round() / 10.0)
        )
    };
    let text = format!(
        "{:30}{:>12}{:>12}\n{}{}{}\n{} pairs of {} numbers: {} million normals applied per second and core.\n\
         Read from memory instead, 8 bytes each, at most {} million per second would come to one thread.\n\
         A sphere of {} numbers takes {} candidates a second as a whole and {} piece by piece, {} times as many.\n",
        "",
        "1 thread",
        format!("{threads} threads"),
        line("memory bandwidth (triad)", "GB/s", 1e9, &bandwidth),
        line("noise made", "million normals/s", 1e6, &made),
        line("noise made and applied", "million normals/s", 1e6, &applied),
        grouped(u64::from(pairs)),
        grouped(dimension as u64),
        number((per_core / 1e6).round()),
        number((bandwidth.one / 8e6).round()),
        grouped(dimension as u64),
        number((whole * 10.0).round() / 10.0),
        number((pieces * 10.0).round() / 10.0),
        number((pieces / whole * 100.0).round() / 100.0),
    );
    let value = |m: &Measured| json!({ "one_thread": m.one, "all_threads": m.all });
    output.result(text, || {
        json!({
            "threads": threads,
            "dimension": dimension,
            "pairs": pairs,
            "memory_bytes_per_second": value(&bandwidth),
            "normals_made_per_second": value(&made),
            "normals_applied_per_second": value(&applied),
            "normals_applied_per_second_and_core": per_core,
            "candidates_whole_per_second": whole,
            "candidates_in_pieces_per_second": pieces,
        })
    });
    Ok(Exit::Complete)
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// The best of several times of some work.
type Best<'a> = dyn Fn(&mut dyn FnMut() -> f64) -> f64 + 'a;

/// Bytes a second of `a = b + s c` over vectors far larger than the caches.
///
/// Source of the measure: McCalpin, "Memory bandwidth and machine balance in current high performance computers", IEEE
/// TCCA Newsletter (1995), STREAM triad; what a write reads first is not counted.
fn triad(threads: usize, best: &Best<'_>) -> f64 {
    let (mut a, b, c) = (vec![0.0f64; TRIAD], vec![1.0f64; TRIAD], vec![2.0f64; TRIAD]);
    let share = TRIAD.div_ceil(threads);
    let mut pass = || {
        timed(|| {
            std::thread::scope(|scope| {
                for ((a, b), c) in a.chunks_mut(share).zip(b.chunks(share)).zip(c.chunks(share)) {
                    scope.spawn(move || a.iter_mut().zip(b).zip(c).for_each(|((a, b), c)| *a = b + 3.0 * c));
                }
            });
            black_box(&mut a);
        })
    };
    // The first pass asks the system for the pages.
    pass();
    TRIAD as f64 * TRIAD_BYTES / best(&mut pass)
}

/// Normals made a second, piece after piece in the first cache.
fn normals(threads: usize, best: &Best<'_>) -> f64 {
    let mut all = || {
        timed(|| {
            std::thread::scope(|scope| {
                for thread in 0..threads as u32 {
                    scope.spawn(move || {
                        let mut piece = [0.0; PIECE];
                        for member in 0..PIECES {
                            noise::normals_from(Seed(1), Stream::Evaluator, [thread, member, 0], 0, &mut piece);
                            black_box(&mut piece);
                        }
                    });
                }
            });
        })
    };
    threads as f64 * f64::from(PIECES) * PIECE as f64 / best(&mut all)
}

fn evolution(dimension: usize, population: u32) -> (Evolve, Problem) {
    let evolve = Evolve {
        strategy: "open-ai-es".to_owned(),
        population: Some(population),
        generations: 1,
        settings: Vec::new(),
        start: Start::Everywhere(1.0),
        trial_seeds: TrialSeeds::Fresh,
        stop: StopRule::default(),
        axes: Vec::new(),
    };
    let problem = Problem {
        dimension,
        bounds: None,
        start: Start::Everywhere(1.0),
        seed: Seed(1),
        grains: Vec::new(),
        shapes: Vec::new(),
    };
    (evolve, problem)
}

/// Candidates a second of the sphere on one thread: made as a whole and then summed up, or summed up as they are made.
fn sphere(proposal: &Proposal, pieces: bool, best: &Best<'_>) -> Result<f64, Failure> {
    let all = registry::all();
    let pipeline = all
        .iter()
        .find(|pipeline| pipeline.description().name == "benchmark-functions")
        .ok_or_else(|| Failure::internal("the pipeline benchmark-functions is gone"))?;
    let mut evaluator = pipeline.evaluator();
    let n = proposal.dimension();
    let settings = [Value::text("sphere"), Value::Integer(n as i64), Value::Integer(1)];
    let watch = Watch::unlimited();
    let (mut genome, mut metrics) = (Vec::new(), [f64::NAN]);
    let mut failed = None;
    let mut generation = || {
        timed(|| {
            for index in 0..CANDIDATES.min(proposal.candidates()) {
                let empty = Trial { genome: &[], settings: &settings, seed: Seed(0), watch: &watch };
                let done = pieces.then(|| evaluator.evaluate_proposed(proposal, index, &empty, &mut metrics)).flatten();
                let done = done.unwrap_or_else(|| {
                    genome.resize(n, 0.0);
                    proposal.candidate(index, &mut genome);
                    evaluator.evaluate(&Trial { genome: &genome, ..empty }, &mut metrics)
                });
                failed = failed.take().or(done.err());
                black_box(&mut metrics);
            }
        })
    };
    let rate = f64::from(CANDIDATES.min(proposal.candidates())) / best(&mut generation);
    match failed {
        Some(failure) => Err(Failure::internal(format!("the sphere was not evaluated: {failure:?}"))),
        None => Ok(rate),
    }
}
