//! `benchmark-functions`: the analytic functions on which evolution strategies are compared.
//!
//! The plain ones stand here, the 24 of BBOB 2009 with their instances in `bbob`.
//!
//! Sources: Hansen, Finck, Ros, Auger, "Real-parameter black-box optimization benchmarking 2009: noiseless functions
//! definitions", INRIA RR-6829 (the plain ones are sphere f1, Rastrigin f3, ellipsoid f2 and f10, Rosenbrock f8 without
//! shifts and oscillations); Rosenbrock, Comput. J. 3:175, 1960. README.md has the formulas and reference numbers.

mod bbob;

use std::collections::BTreeMap;

use tumble_domain::{Direction, Failure, Genome, GenomeLength, Objective, PipelineDescription, Seed};
use tumble_search::Proposal;

use self::bbob::Bbob;
use crate::draws::Draws;
use crate::pipeline::{Evaluator, Pipeline, Trial, Watch};
use crate::settings::{choice, integer, metric, text_at, usize_at};

/// The names of the plain functions, in the order of [`Function`]'s variants.
const PLAIN: [&str; 6] = ["sphere", "ellipsoid", "rotated-ellipsoid", "cigar", "rosenbrock", "rastrigin"];

/// The most dimensions of a rotated function, and of the functions of BBOB whether they are rotated or not: a rotation
/// has dimension² elements and takes dimension³ steps to make.
pub const ROTATED_DIMENSION_MAX: usize = 1024;

/// The most numbers that an evaluator keeps in tables between trials (32 MiB); past it, all tables are made anew.
const TABLE_NUMBERS_MAX: usize = 4 << 20;

/// Elements of a candidate that are made at a time when it is not given as a whole: they and their noise stay in the
/// first cache.
const PIECE: usize = 2048;

/// The key of the rotations. A part of the functions' definition: it never changes, and no run's seed touches it.
const ROTATION_SEED: Seed = Seed(0x7475_6d62_6c65);

/// The pipeline.
pub struct BenchmarkFunctions {
    description: PipelineDescription,
}

impl BenchmarkFunctions {
    /// The pipeline; there is nothing to configure.
    #[allow(clippy::new_without_default, reason = "a pipeline is made by the registry, never filled in by default")]
    pub fn new() -> BenchmarkFunctions {
        let functions: Vec<&str> = PLAIN.into_iter().chain(bbob::NAMES).collect();
        let description = PipelineDescription {
            name: "benchmark-functions".into(),
            // 2: the functions of BBOB, and `instance`.
            version: 2,
            summary: "Analytic functions whose minimum is known to be 0: where strategies are compared.".into(),
            source: "Hansen, Finck, Ros, Auger, INRIA RR-6829 (2009); Rosenbrock, Comput. J. 3:175 (1960).".into(),
            parameters: vec![
                choice("function", &functions, "Which function; the `bbob-` ones are those of BBOB 2009."),
                integer(
                    "dimension",
                    10,
                    (2, 1_000_000),
                    "Elements of the vector; at least 2, for the ellipsoids and Rosenbrock's valley mean nothing below; \
                     at most 1024 for `rotated-ellipsoid` and the functions of BBOB.",
                ),
                integer(
                    "instance",
                    1,
                    (1, bbob::INSTANCE_MAX as i64),
                    "Which instance of a function of BBOB: where its optimum lies and how it is turned. The others have \
                     but one and ignore it.",
                ),
            ],
            metrics: vec![metric("value", "How far the function at this point lies above its minimum.")],
            objective: Objective { metric: "value".into(), direction: Direction::Minimise },
            prolongs: None,
            genome: Some(Genome {
                name: "x".into(),
                length: GenomeLength::Parameter("dimension".into()),
                bounds: None,
                summary: "The point.".into(),
            }),
        };
        BenchmarkFunctions { description }
    }
}

impl Pipeline for BenchmarkFunctions {
    fn description(&self) -> &PipelineDescription {
        &self.description
    }

    fn evaluator(&self) -> Box<dyn Evaluator> {
        Box::new(Tables::default())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Sphere,
    Ellipsoid,
    RotatedEllipsoid,
    Cigar,
    Rosenbrock,
    Rastrigin,
}

impl Function {
    fn named(name: &str) -> Option<Function> {
        use Function::*;
        let position = PLAIN.iter().position(|known| *known == name)?;
        Some([Sphere, Ellipsoid, RotatedEllipsoid, Cigar, Rosenbrock, Rastrigin][position])
    }
}

/// What no trial changes, kept from one to the next because it is dear to make.
#[derive(Default)]
struct Tables {
    weights: BTreeMap<usize, Vec<f64>>,
    rotations: BTreeMap<usize, Vec<f64>>,
    bbob: BTreeMap<bbob::Id, Bbob>,
    numbers: usize,
    scratch: bbob::Scratch,
}

impl Evaluator for Tables {
    fn evaluate(&mut self, trial: &Trial<'_>, metrics: &mut [f64]) -> Result<(), Failure> {
        let name = text_at(trial.settings, 0)?;
        let dimension = usize_at(trial.settings, 1)?;
        if trial.genome.len() != dimension {
            let message = format!("the vector has {} elements, `dimension` says {dimension}", trial.genome.len());
            return Err(Failure::Failed(message));
        }
        if dimension < 2 {
            return Err(Failure::Failed("`dimension` must be at least 2".into()));
        }
        metrics[0] = match Function::named(name) {
            Some(plain) => self.value(plain, trial.genome, trial.watch)?,
            None => {
                let number = bbob::NAMES.iter().position(|known| *known == name);
                let number = 1 + number.ok_or_else(|| Failure::Failed(format!("there is no function `{name}`")))?;
                let id = bbob::Id { number, instance: usize_at(trial.settings, 2)?, dimension };
                self.bbob_value(id, trial.genome, trial.watch)?
            }
        };
        Ok(())
    }

    /// A long vector is summed up as it is made. A short one is made as a whole, so that replicates share it.
    fn evaluate_proposed(
        &mut self,
        proposal: &Proposal,
        index: u32,
        trial: &Trial<'_>,
        metrics: &mut [f64],
    ) -> Option<Result<(), Failure>> {
        let n = proposal.dimension();
        if n <= PIECE || !proposal.has_pieces() || usize_at(trial.settings, 1) != Ok(n) {
            return None;
        }
        let function =
            Function::named(text_at(trial.settings, 0).ok()?).filter(|f| *f != Function::RotatedEllipsoid)?;
        Some(self.value_of_pieces(function, proposal, index, trial.watch).map(|value| metrics[0] = value))
    }
}

/// A plain function that is a sum over elements in their order, on its way through them.
struct Sum<'a> {
    function: Function,
    /// One for each element of an ellipsoid.
    weights: &'a [f64],
    /// Elements taken.
    taken: usize,
    sum: f64,
    /// The first element, and the last one taken.
    first: f64,
    last: f64,
}

impl Sum<'_> {
    fn new(function: Function, weights: &[f64]) -> Sum<'_> {
        Sum { function, weights, taken: 0, sum: 0.0, first: 0.0, last: 0.0 }
    }

    /// Takes the elements that follow, at least one. However they are cut into pieces, the order of the sum is the same.
    fn take(&mut self, piece: &[f64]) {
        let rest = match self.taken {
            0 => {
                self.first = piece[0];
                &piece[1..]
            }
            _ => piece,
        };
        self.sum = match self.function {
            Function::Sphere => piece.iter().fold(self.sum, |sum, x| sum + x * x),
            Function::Ellipsoid => {
                let weights = &self.weights[self.taken..];
                piece.iter().zip(weights).fold(self.sum, |sum, (x, weight)| sum + weight * (x * x))
            }
            Function::Cigar => rest.iter().fold(self.sum, |sum, x| sum + x * x),
            Function::Rosenbrock => {
                let before = if self.taken == 0 { self.first } else { self.last };
                let befores = std::iter::once(&before).chain(rest);
                let step = |a: f64, b: f64| 100.0 * square(b - a * a) + square(1.0 - a);
                befores.zip(rest).fold(self.sum, |sum, (a, b)| sum + step(*a, *b))
            }
            Function::Rastrigin => {
                let wave = |x: f64| x * x - 10.0 * libm::cos(2.0 * std::f64::consts::PI * x);
                piece.iter().fold(self.sum, |sum, x| sum + wave(*x))
            }
            Function::RotatedEllipsoid => unreachable!("it needs the vector as a whole"),
        };
        self.last = piece[piece.len() - 1];
        self.taken += piece.len();
    }

    fn value(&self) -> f64 {
        match self.function {
            Function::Cigar => self.first * self.first + 1e6 * self.sum,
            Function::Rastrigin => 10.0 * self.taken as f64 + self.sum,
            _ => self.sum,
        }
    }
}

impl Tables {
    /// The value at a candidate that is made piece by piece.
    fn value_of_pieces(
        &mut self,
        function: Function,
        proposal: &Proposal,
        index: u32,
        watch: &Watch,
    ) -> Result<f64, Failure> {
        let n = proposal.dimension();
        let mut sum = Sum::new(function, self.weights_of(function, n, watch)?);
        let mut piece = [0.0; PIECE];
        for from in (0..n).step_by(PIECE) {
            watch.check()?;
            let piece = &mut piece[..PIECE.min(n - from)];
            proposal.piece(index, from, piece);
            sum.take(piece);
        }
        Ok(sum.value())
    }

    /// The weights of an ellipsoid, for the other functions none.
    fn weights_of(&mut self, function: Function, n: usize, watch: &Watch) -> Result<&[f64], Failure> {
        if function != Function::Ellipsoid {
            return Ok(&[]);
        }
        self.prepare(n, false, watch)?;
        Ok(&self.weights[&n])
    }

    fn value(&mut self, function: Function, x: &[f64], watch: &Watch) -> Result<f64, Failure> {
        let n = x.len();
        if function == Function::RotatedEllipsoid {
            self.prepare(n, true, watch)?;
            let rows = self.rotations[&n].chunks_exact(n);
            return Ok(rows.zip(&self.weights[&n]).map(|(row, weight)| weight * square(dot(row, x))).sum());
        }
        let mut sum = Sum::new(function, self.weights_of(function, n, watch)?);
        sum.take(x);
        Ok(sum.value())
    }

    fn bbob_value(&mut self, id: bbob::Id, x: &[f64], watch: &Watch) -> Result<f64, Failure> {
        if !self.bbob.contains_key(&id) {
            self.prepare_bbob(id, watch)?;
        }
        Ok(self.bbob[&id].value(x, &mut self.scratch))
    }

    fn prepare_bbob(&mut self, id: bbob::Id, watch: &Watch) -> Result<(), Failure> {
        if id.dimension > ROTATED_DIMENSION_MAX {
            let n = id.dimension;
            let message = format!("the functions of BBOB take at most {ROTATED_DIMENSION_MAX} dimensions, not {n}");
            return Err(Failure::Failed(message));
        }
        if !(1..=bbob::INSTANCE_MAX).contains(&id.instance) {
            let message = format!("`instance` is 1 to {}, not {}", bbob::INSTANCE_MAX, id.instance);
            return Err(Failure::Failed(message));
        }
        if self.numbers > TABLE_NUMBERS_MAX {
            *self = Tables::default();
        }
        let function = Bbob::build(id, watch)?;
        self.numbers += function.numbers();
        self.bbob.insert(id, function);
        Ok(())
    }

    /// Makes the tables of this dimension, if they are not there.
    fn prepare(&mut self, n: usize, rotated: bool, watch: &Watch) -> Result<(), Failure> {
        if rotated && n > ROTATED_DIMENSION_MAX {
            let message = format!("`rotated-ellipsoid` takes at most {ROTATED_DIMENSION_MAX} dimensions, not {n}");
            return Err(Failure::Failed(message));
        }
        let (no_weights, no_rotation) = (!self.weights.contains_key(&n), rotated && !self.rotations.contains_key(&n));
        if (no_weights || no_rotation) && self.numbers > TABLE_NUMBERS_MAX {
            *self = Tables::default();
            return self.prepare(n, rotated, watch);
        }
        if no_weights {
            let weight = |i: usize| libm::pow(10.0, 6.0 * i as f64 / (n - 1) as f64);
            self.weights.insert(n, (0..n).map(weight).collect());
            self.numbers += n;
        }
        if no_rotation {
            self.rotations.insert(n, rotation(n, watch)?);
            self.numbers += n * n;
        }
        Ok(())
    }
}

/// A random rotation (or reflection) of `n` dimensions, by rows: Gram–Schmidt on normal vectors, each orthogonalised
/// twice, for once leaves it as skew as the vectors were alike (Giraud, Langou, Rozložník, Comput. Math. Appl. 50:1069,
/// 2005: "twice is enough").
fn rotation(n: usize, watch: &Watch) -> Result<Vec<f64>, Failure> {
    let mut q = vec![0.0; n * n];
    for i in 0..n {
        watch.check()?;
        let (done, rest) = q.split_at_mut(i * n);
        let row = &mut rest[..n];
        Draws { member: i as u32, generation: n as u32, ..Draws::of(ROTATION_SEED, 0) }.normals(row);
        for _ in 0..2 {
            for earlier in done.chunks_exact(n) {
                let along = dot(row, earlier);
                row.iter_mut().zip(earlier).for_each(|(r, e)| *r -= along * e);
            }
        }
        let length = dot(row, row).sqrt();
        row.iter_mut().for_each(|r| *r /= length);
    }
    Ok(q)
}

fn square(x: f64) -> f64 {
    x * x
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tumble_domain::{Evolve, Start, StopRule, TrialSeeds, Value};
    use tumble_search::Problem;

    fn value(function: &str, x: &[f64]) -> f64 {
        evaluate(&mut Tables::default(), function, x).expect("the point fits")
    }

    fn evaluate(tables: &mut Tables, function: &str, x: &[f64]) -> Result<f64, Failure> {
        evaluate_instance(tables, function, 1, x)
    }

    fn evaluate_instance(tables: &mut Tables, function: &str, instance: i64, x: &[f64]) -> Result<f64, Failure> {
        let settings = [Value::text(function), Value::Integer(x.len() as i64), Value::Integer(instance)];
        let trial = Trial { genome: x, settings: &settings, seed: Seed(0), watch: &Watch::unlimited() };
        let mut metrics = [f64::NAN];
        tables.evaluate(&trial, &mut metrics).map(|()| metrics[0])
    }

    #[test]
    fn the_optimum_of_every_function_is_zero() {
        for function in PLAIN {
            for n in [2, 3, 10, 40] {
                let at = if function == "rosenbrock" { 1.0 } else { 0.0 };
                assert_eq!(value(function, &vec![at; n]), 0.0, "{function} in {n} dimensions");
                assert!(value(function, &vec![0.3; n]) > 0.0, "{function} in {n} dimensions");
            }
        }
    }

    #[test]
    fn values_worked_out_by_hand_come_out() {
        let close = |given: f64, expected: f64| {
            assert!((given - expected).abs() <= 1e-12 * expected.abs(), "{given} for {expected}");
        };
        close(value("sphere", &[1.0, -2.0, 3.0]), 14.0);
        // The exponents of three dimensions are 0, 3 and 6.
        close(value("ellipsoid", &[1.0, -2.0, 3.0]), 1.0 + 4e3 + 9e6);
        close(value("cigar", &[1.0, -2.0, 3.0]), 1.0 + 13e6);
        // 100 (-2 - 1)² + (1 - 1)² + 100 (3 - 4)² + (1 + 2)².
        close(value("rosenbrock", &[1.0, -2.0, 3.0]), 900.0 + 0.0 + 100.0 + 9.0);
        close(value("rosenbrock", &[0.0; 10]), 9.0);
        // At whole numbers the waves vanish; at a half each adds 20.
        close(value("rastrigin", &[1.0, -2.0, 3.0]), 14.0);
        close(value("rastrigin", &[0.5, -0.5, 0.0]), 0.5 + 40.0);
    }

    /// To a few roundings, which takes the second pass: after one, rows of 150 dimensions are skew by 4e-14.
    #[test]
    fn rotations_are_orthogonal_and_each_dimension_has_its_own() {
        for n in [2, 10, 40, 150] {
            let q = rotation(n, &Watch::unlimited()).expect("nobody stops it");
            for (i, a) in q.chunks_exact(n).enumerate() {
                for (j, b) in q.chunks_exact(n).enumerate() {
                    let unit = if i == j { 1.0 } else { 0.0 };
                    assert!((dot(a, b) - unit).abs() < 4e-15, "rows {i} and {j} of {n}: {}", dot(a, b));
                }
            }
            let larger = rotation(n + 1, &Watch::unlimited()).expect("nobody stops it");
            assert!((q[0] - larger[0]).abs() > 1e-3, "{n} and {} begin alike", n + 1);
        }
    }

    /// Turning a point back before the function turns it forth leaves the plain ellipsoid.
    #[test]
    fn the_rotated_ellipsoid_is_the_ellipsoid_of_the_turned_point() {
        for n in [2, 10, 40] {
            let q = rotation(n, &Watch::unlimited()).expect("nobody stops it");
            let y: Vec<f64> = (0..n).map(|i| libm::sin(1.0 + i as f64)).collect();
            let x: Vec<f64> = (0..n).map(|j| (0..n).map(|i| q[i * n + j] * y[i]).sum()).collect();
            let (turned, plain) = (value("rotated-ellipsoid", &x), value("ellipsoid", &y));
            assert!((turned - plain).abs() < 1e-12 * plain, "{turned} for {plain} in {n} dimensions");
            assert!((value("ellipsoid", &x) - plain).abs() > 1e-3 * plain, "the rotation does nothing");
        }
    }

    /// Of every strategy whose candidates have pieces, and one whose candidates have none.
    fn asked(strategy: &str, dimension: usize) -> Proposal {
        let evolve = Evolve {
            strategy: strategy.to_owned(),
            population: Some(4),
            generations: 1,
            settings: vec![],
            start: Start::Everywhere(0.25),
            trial_seeds: TrialSeeds::Fresh,
            stop: StopRule::default(),
            axes: Vec::new(),
        };
        let start = Start::Everywhere(0.25);
        let problem =
            Problem { dimension, shapes: vec![], bounds: Some((-1.0, 1.5)), start, seed: Seed(5), grains: vec![] };
        tumble_search::strategies::build(&evolve, &problem).expect("it can be built").ask()
    }

    #[test]
    fn a_candidate_summed_up_as_it_is_made_has_the_value_of_the_whole() {
        for strategy in ["csa-es", "open-ai-es", "snes", "pgpe", "random", "lm-ma-es"] {
            for n in [PIECE - 1, PIECE + 1, 2 * PIECE, 3 * PIECE + 77] {
                let proposal = asked(strategy, n);
                let mut tables = Tables::default();
                for function in PLAIN.into_iter().chain(["bbob-f1"]) {
                    let settings = [Value::text(function), Value::Integer(n as i64), Value::Integer(1)];
                    let separable = PLAIN.contains(&function) && function != "rotated-ellipsoid";
                    for index in 0..4 {
                        let trial =
                            Trial { genome: &[], settings: &settings, seed: Seed(0), watch: &Watch::unlimited() };
                        let mut metrics = [f64::NAN];
                        let made = tables.evaluate_proposed(&proposal, index, &trial, &mut metrics);
                        assert_eq!(made.is_some(), separable && n > PIECE && strategy != "lm-ma-es");
                        let Some(made) = made else { continue };
                        made.expect("the point fits");
                        let mut x = vec![0.0; n];
                        proposal.candidate(index, &mut x);
                        assert_eq!(metrics[0].to_bits(), value(function, &x).to_bits(), "{function}, {strategy}, {n}");
                    }
                }
            }
        }
    }

    #[test]
    fn tables_kept_from_other_dimensions_change_nothing() {
        let mut tables = Tables::default();
        for n in [10, 3, 40, 10, 2, 40] {
            let x: Vec<f64> = (0..n).map(|i| 0.1 + i as f64).collect();
            for function in PLAIN.into_iter().chain(bbob::NAMES) {
                let kept = evaluate(&mut tables, function, &x).expect("the point fits");
                assert_eq!(kept.to_bits(), value(function, &x).to_bits(), "{function} in {n} dimensions");
            }
        }
    }

    #[test]
    fn an_instance_is_a_function_of_its_own_for_bbob_and_nothing_for_the_others() {
        let mut tables = Tables::default();
        let x = [0.3, -1.2, 2.5];
        for function in PLAIN.into_iter().chain(bbob::NAMES) {
            let values = [1, 2, 1].map(|instance| evaluate_instance(&mut tables, function, instance, &x));
            assert_eq!(values[0], values[2], "{function}");
            assert_eq!(values[0] == values[1], PLAIN.contains(&function), "{function}: {values:?}");
        }
    }

    #[test]
    fn functions_of_bbob_are_dropped_before_they_fill_the_memory() {
        let mut tables = Tables::default();
        let (n, each) = (200, 200 * 200);
        for instance in 1..=150 {
            let id = bbob::Id { number: 9, instance, dimension: n };
            tables.prepare_bbob(id, &Watch::unlimited()).expect("nobody stops it");
            assert_eq!(tables.numbers, each * tables.bbob.len());
            assert!(tables.numbers <= TABLE_NUMBERS_MAX + each, "{} numbers are kept", tables.numbers);
        }
        assert!(tables.bbob.len() < 150, "the first functions were never dropped");
    }

    #[test]
    fn tables_are_dropped_before_they_fill_the_memory() {
        let mut tables = Tables::default();
        for n in [1_000_000; 3].into_iter().chain([900_000, 800_000, 700_000, 600_000, 500_000, 400_000]) {
            tables.prepare(n, false, &Watch::unlimited()).expect("nobody stops it");
            let held: usize = tables.weights.values().map(Vec::len).sum();
            assert_eq!(held, tables.numbers);
            assert!(held <= TABLE_NUMBERS_MAX + 1_000_000, "{held} numbers are kept");
        }
        assert!(!tables.weights.contains_key(&1_000_000), "the first tables were never dropped");
    }

    #[test]
    fn what_does_not_fit_is_a_failure_with_a_reason() {
        let mut tables = Tables::default();
        let reason = |result: Result<f64, Failure>| match result {
            Err(Failure::Failed(reason)) => reason,
            other => panic!("{other:?}"),
        };
        assert!(reason(evaluate(&mut tables, "griewank", &[1.0, 2.0])).contains("griewank"));
        assert!(reason(evaluate(&mut tables, "sphere", &[1.0])).contains("at least 2"));
        let large = vec![0.0; ROTATED_DIMENSION_MAX + 1];
        assert!(reason(evaluate(&mut tables, "rotated-ellipsoid", &large)).contains("at most 1024"));
        assert!(reason(evaluate(&mut tables, "bbob-f1", &large)).contains("at most 1024"));
        for name in ["bbob-f0", "bbob-f25", "bbob-f01", "bbob-f"] {
            assert!(reason(evaluate(&mut tables, name, &[1.0, 2.0])).contains(name));
        }
        for instance in [0, 1001] {
            let given = evaluate_instance(&mut tables, "bbob-f1", instance, &[1.0, 2.0]);
            assert!(reason(given).contains("1 to 1000"), "{instance}");
        }
        let settings = [Value::text("sphere"), Value::Integer(3)];
        let trial = Trial { genome: &[0.0; 4], settings: &settings, seed: Seed(0), watch: &Watch::unlimited() };
        assert!(matches!(tables.evaluate(&trial, &mut [0.0]), Err(Failure::Failed(_))));
    }
}
