//! How far a strategy gets, in evaluations: test functions and the protocol that the reference numbers were taken under.

use tumble_domain::seed::Stream;
use tumble_domain::{Fitness, Seed, Shape, Value};

use super::{Order, Settings};
use crate::bounds::Bounds;
use crate::noise;
use crate::strategy::{Strategy, StrategyDescription};

/// What is minimised here; strategies are told its negative.
pub(super) type Function<'a> = &'a dyn Fn(&[f64]) -> f64;

pub(super) fn sphere(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

/// Σ 10^(6 i / (n − 1)) x_i².
pub(super) fn ellipsoid(x: &[f64]) -> f64 {
    let last = (x.len() - 1) as f64;
    x.iter().enumerate().map(|(i, x)| libm::exp10(6.0 * i as f64 / last) * x * x).sum()
}

/// 10 n + Σ (x_i² − 10 cos 2πx_i): a bowl with a local optimum at about every whole number.
pub(super) fn rastrigin(x: &[f64]) -> f64 {
    x.iter().map(|x| 10.0 + x * x - 10.0 * libm::cos(2.0 * std::f64::consts::PI * x)).sum()
}

/// The ellipsoid along axes that are none of the space's: normal vectors, made orthonormal one after another.
pub(super) fn rotated_ellipsoid(n: usize) -> impl Fn(&[f64]) -> f64 {
    let mut rows = vec![0.0; n * n];
    noise::normals(Seed(77), Stream::Evaluator, 0, 0, 0, &mut rows);
    for i in 0..n {
        let (done, row) = rows[..(i + 1) * n].split_at_mut(i * n);
        for other in done.chunks_exact(n) {
            let along: f64 = other.iter().zip(&*row).map(|(a, b)| a * b).sum();
            row.iter_mut().zip(other).for_each(|(x, o)| *x -= along * o);
        }
        let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        row.iter_mut().for_each(|x| *x /= length);
    }
    move |x| {
        let y: Vec<f64> = rows.chunks_exact(n).map(|row| row.iter().zip(x).map(|(r, x)| r * x).sum()).collect();
        ellipsoid(&y)
    }
}

/// What a strategy is built from, its settings checked as those of a run file are.
pub(super) fn order(
    description: &StrategyDescription,
    population: u32,
    start: Vec<f64>,
    bounds: Option<(f64, f64)>,
    seed: u64,
    given: &[(&str, Value)],
) -> Order {
    let given: Vec<_> = given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let settings = Settings::try_new(description, &given).unwrap();
    let bounds = bounds.map(|(low, high)| Bounds::try_new(low, high).unwrap());
    let shapes = vec![Shape::vector(start.len() as u32)];
    Order { seed: Seed(seed), population, bounds, shapes, start, redraw: None, settings, grains: Vec::new() }
}

/// Values of the candidates of this generation.
pub(super) fn values(strategy: &dyn Strategy, f: Function<'_>) -> Vec<f64> {
    let proposal = strategy.ask();
    let mut x = vec![0.0; proposal.dimension()];
    (0..proposal.candidates())
        .map(|i| {
            proposal.candidate(i, &mut x);
            f(&x)
        })
        .collect()
}

/// Tells one generation; gives its best value.
pub(super) fn tell(strategy: &mut dyn Strategy, f: Function<'_>) -> f64 {
    let values = values(strategy, f);
    strategy.tell(&values.iter().map(|f| Fitness::Scored(-f)).collect::<Vec<_>>());
    values.into_iter().fold(f64::INFINITY, f64::min)
}

/// As [`tell`], but another candidate is dropped in every generation, and another failed.
pub(super) fn tell_spoiled(strategy: &mut dyn Strategy, f: Function<'_>) {
    let mut fitness: Vec<_> = values(strategy, f).into_iter().map(|f| Fitness::Scored(-f)).collect();
    let (generation, count) = (strategy.generation() as usize, fitness.len());
    fitness[(3 * generation + 1) % count] = Fitness::Worst;
    fitness[generation % count] = Fitness::Dropped;
    strategy.tell(&fitness);
}

/// Evaluations until f ≤ `target`, counted at the end of the generation; `None` if the search ends or spends `budget`
/// before.
pub(super) fn evaluations(strategy: &mut dyn Strategy, f: Function<'_>, target: f64, budget: u32) -> Option<u32> {
    let mut spent = 0;
    while spent < budget && strategy.exhausted().is_none() {
        spent += strategy.population();
        if tell(strategy, f) <= target {
            return Some(spent);
        }
    }
    None
}

/// The median over 15 seeds of the evaluations until f ≤ `target` is within a tenth of `reference`, and every search
/// arrives.
#[track_caller]
pub(super) fn check_median(
    name: &str,
    build: &dyn Fn(u64) -> Box<dyn Strategy>,
    f: Function<'_>,
    target: f64,
    reference: f64,
) {
    check_median_over(15, name, build, f, target, reference);
}

/// As [`check_median`] over more seeds, for searches whose luck varies more; an odd number of them.
#[track_caller]
pub(super) fn check_median_over(
    seeds: u64,
    name: &str,
    build: &dyn Fn(u64) -> Box<dyn Strategy>,
    f: Function<'_>,
    target: f64,
    reference: f64,
) {
    let budget = (20.0 * reference) as u32;
    let mut spent: Vec<_> = (0..seeds).map(|seed| evaluations(&mut *build(seed), f, target, budget)).collect();
    spent.sort_unstable();
    assert!(spent.iter().all(Option::is_some), "{name}: {spent:?}");
    let median = f64::from(spent[spent.len() / 2].expect("all have arrived"));
    assert!((median / reference - 1.0).abs() <= 0.1, "{name}: {median} evaluations against {reference}");
}

/// Members 0, 3 and 7 of five numbers each: what golden vectors of strategies that keep their members show.
pub(super) fn rows(numbers: &[f64]) -> Vec<f64> {
    [0, 3, 7].iter().flat_map(|i| numbers[5 * i..5 * (i + 1)].to_vec()).collect()
}

/// Every number is within 1e-12 of what is expected, relative to the largest.
#[track_caller]
pub(super) fn assert_near(actual: &[f64], expected: &[f64]) {
    assert_eq!(actual.len(), expected.len());
    let size = expected.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    for (actual, expected) in actual.iter().zip(expected) {
        assert!((actual - expected).abs() <= 1e-12 * size, "{actual} against {expected}");
    }
}
