//! The 24 noiseless functions of BBOB 2009, with their instances, minus the value at the optimum.
//!
//! Source: Hansen, Finck, Ros, Auger, "Real-parameter black-box optimization benchmarking 2009: noiseless functions
//! definitions", INRIA RR-6829. Where the report and the published numbers differ, the numbers win, for it is they that
//! people compare with; each such place says so. A function is a few steps through search space, then a core, then a
//! penalty outside the box [-5, 5]: [`Bbob::build`] has the steps, [`Core::value`] the formulas.

mod generator;
#[cfg(test)]
mod golden;
mod matrix;
mod peaks;
mod warps;

use std::f64::consts::PI;

use tumble_domain::Failure;

use self::generator::{normals, optimum, rotation, uniforms};
use self::matrix::Matrix;
use self::peaks::Peaks;
use self::warps::{asymmetric, oscillated, outside, powers, ramp, rounded};
use super::square;
use crate::pipeline::Watch;

/// The names of the functions, f1 first.
#[rustfmt::skip]
pub(super) const NAMES: [&str; 24] = [
    "bbob-f1", "bbob-f2", "bbob-f3", "bbob-f4", "bbob-f5", "bbob-f6", "bbob-f7", "bbob-f8",
    "bbob-f9", "bbob-f10", "bbob-f11", "bbob-f12", "bbob-f13", "bbob-f14", "bbob-f15", "bbob-f16",
    "bbob-f17", "bbob-f18", "bbob-f19", "bbob-f20", "bbob-f21", "bbob-f22", "bbob-f23", "bbob-f24",
];

/// The largest instance. Published results use 1 to 15 and a few tens up to about 110.
pub(super) const INSTANCE_MAX: usize = 1000;

/// Which function, which instance, how many dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    /// 1 to 24.
    pub(super) number: usize,
    /// 1 to [`INSTANCE_MAX`].
    pub(super) instance: usize,
    /// At least 2.
    pub(super) dimension: usize,
}

/// One function with all that follows from its instance and dimension.
pub(super) struct Bbob {
    steps: Vec<Step>,
    core: Core,
    penalty: f64,
}

/// Room for the vectors on the way through a function, kept from trial to trial.
#[derive(Default)]
pub(super) struct Scratch {
    z: Vec<f64>,
    other: Vec<f64>,
}

/// A step through search space.
enum Step {
    /// z - by.
    Shift(Vec<f64>),
    /// z + 1, or what else is the same for every element.
    Add(f64),
    /// Each element times its factor.
    Stretch(Vec<f64>),
    /// As `Stretch`, but positive elements of even index ten times more: Büche's trap.
    StretchUphill(Vec<f64>),
    /// The matrix times z.
    Turn(Matrix),
    /// T_osz of each element.
    Oscillate,
    /// T_asy of each element, under its strength.
    Bend(Vec<f64>),
}

/// What comes after the steps.
enum Core {
    Sphere,
    Ellipsoid { weights: Vec<f64> },
    Rastrigin,
    LinearSlope { slopes: Vec<f64> },
    AttractiveSector { optimum: Vec<f64> },
    StepEllipsoid { rotation: Matrix, weights: Vec<f64> },
    Rosenbrock,
    Discus,
    BentCigar,
    SharpRidge,
    DifferentPowers { exponents: Vec<f64> },
    Weierstrass,
    Schaffers,
    GriewankRosenbrock,
    Schwefel { stretch: Vec<f64> },
    Gallagher(Peaks),
    Katsuura,
    Lunacek { conditioned: Matrix },
}

/// The elements of Schwefel's optimum are plus or minus half of this; 100 times it is the place of the minimum of
/// -z sin √|z| in [-500, 500], to the digits that 2009's code gave it.
const SCHWEFEL: f64 = 4.209_687_463_7;

/// The bottom of Lunacek's better funnel, in the mirrored and doubled space; the optimum's elements are plus or minus half
/// of this.
const LUNACEK_MU: f64 = 2.5;

impl Bbob {
    /// The function; matrices take some n³ operations.
    pub(super) fn build(id: Id, watch: &Watch) -> Result<Bbob, Failure> {
        use Step::*;
        let n = id.dimension;
        // f4 takes its numbers from f3, f18 from f17: the same optimum and the same turns.
        let seed = match id.number {
            4 => 3,
            18 => 17,
            number => number as u64,
        } + 10_000 * id.instance as u64;
        let shift = || Shift(optimum(seed, n));
        // The report's R and Q. Which one a function takes where it takes one follows the published numbers.
        let r = || rotation(seed + 1_000_000, n, watch);
        let q = || rotation(seed, n, watch);
        // R Λ Q, where Λ's diagonal runs from 1 to `base`.
        let conditioned = |base: f64| r()?.by(&q()?.with_rows_times(&powers(base, n)), watch);
        let bend = |beta: f64| Bend(ramp(n).map(|step| beta * step).collect());
        let scale = f64::max(1.0, (n as f64).sqrt() / 8.0);

        let (steps, core, penalty) = match id.number {
            1 => (vec![shift()], Core::Sphere, 0.0),
            2 => (vec![shift(), Oscillate], Core::Ellipsoid { weights: powers(1e6, n) }, 0.0),
            3 => {
                let stretch = powers(10f64.sqrt(), n);
                (vec![shift(), Oscillate, bend(0.2), Stretch(stretch)], Core::Rastrigin, 0.0)
            }
            4 => {
                // The report does not say that every other element of the optimum is made positive.
                let mut optimum = optimum(seed, n);
                optimum.iter_mut().step_by(2).for_each(|x| *x = x.abs());
                let stretch = powers(10f64.sqrt(), n);
                (vec![Shift(optimum), Oscillate, StretchUphill(stretch)], Core::Rastrigin, 100.0)
            }
            5 => {
                let slopes = optimum(seed, n).into_iter().zip(powers(10.0, n)).map(|(x, slope)| slope.copysign(x));
                (vec![], Core::LinearSlope { slopes: slopes.collect() }, 0.0)
            }
            6 => {
                let core = Core::AttractiveSector { optimum: optimum(seed, n) };
                (vec![shift(), Turn(conditioned(10f64.sqrt())?)], core, 0.0)
            }
            7 => {
                let turn = q()?.with_rows_times(&powers(10f64.sqrt(), n));
                let core = Core::StepEllipsoid { rotation: r()?, weights: powers(100.0, n) };
                (vec![shift(), Turn(turn)], core, 1.0)
            }
            8 => {
                let optimum = optimum(seed, n).into_iter().map(|x| 0.75 * x).collect();
                (vec![Shift(optimum), Stretch(vec![scale; n]), Add(1.0)], Core::Rosenbrock, 0.0)
            }
            9 => {
                let turn = q()?.with_rows_times(&vec![scale; n]);
                (vec![Turn(turn), Add(0.5)], Core::Rosenbrock, 0.0)
            }
            10 => (vec![shift(), Turn(r()?), Oscillate], Core::Ellipsoid { weights: powers(1e6, n) }, 0.0),
            11 => (vec![shift(), Turn(r()?), Oscillate], Core::Discus, 0.0),
            12 => {
                let shift = Shift(optimum(seed + 1_000_000, n));
                (vec![shift, Turn(r()?), bend(0.5), Turn(r()?)], Core::BentCigar, 0.0)
            }
            13 => (vec![shift(), Turn(conditioned(10f64.sqrt())?)], Core::SharpRidge, 0.0),
            14 => {
                let exponents = ramp(n).map(|step| 2.0 + 4.0 * step).collect();
                (vec![shift(), Turn(r()?)], Core::DifferentPowers { exponents }, 0.0)
            }
            15 => {
                let turn = Turn(conditioned(10f64.sqrt())?);
                (vec![shift(), Turn(r()?), Oscillate, bend(0.2), turn], Core::Rastrigin, 0.0)
            }
            16 => {
                let turn = Turn(conditioned(0.1)?);
                (vec![shift(), Turn(r()?), Oscillate, turn], Core::Weierstrass, 10.0 / n as f64)
            }
            17 | 18 => {
                let condition: f64 = if id.number == 17 { 10.0 } else { 1000.0 };
                let turn = Turn(q()?.with_rows_times(&powers(condition.sqrt(), n)));
                (vec![shift(), Turn(r()?), bend(0.5), turn], Core::Schaffers, 10.0)
            }
            19 => {
                let turn = q()?.with_rows_times(&vec![scale; n]);
                (vec![Turn(turn), Add(0.5)], Core::GriewankRosenbrock, 0.0)
            }
            20 => {
                let mirror = uniforms(seed, n).into_iter().map(|uniform| if uniform < 0.5 { -2.0 } else { 2.0 });
                (vec![Stretch(mirror.collect())], Core::Schwefel { stretch: powers(10f64.sqrt(), n) }, 0.0)
            }
            21 | 22 => {
                let q = q()?;
                let peaks = match id.number {
                    21 => Peaks::of(seed, 101, 1000f64.sqrt(), 10.0, &q),
                    _ => Peaks::of(seed, 21, 1000.0, 9.8, &q),
                };
                (vec![Turn(q)], Core::Gallagher(peaks), 1.0)
            }
            23 => (vec![shift(), Turn(conditioned(10.0)?)], Core::Katsuura, 1.0),
            24 => {
                let mirror = normals(seed, n).into_iter().map(|normal| if normal < 0.0 { -2.0 } else { 2.0 });
                (vec![Stretch(mirror.collect())], Core::Lunacek { conditioned: conditioned(10.0)? }, 1e4)
            }
            number => return Err(Failure::Failed(format!("there is no function f{number} of BBOB"))),
        };
        Ok(Bbob { steps, core, penalty })
    }

    /// f(x) - f_opt.
    pub(super) fn value(&self, x: &[f64], scratch: &mut Scratch) -> f64 {
        // Here and not in the formulas: a maximum would swallow a NaN, and a rotation make one of an infinity.
        let extent: f64 = x.iter().map(|x| x.abs()).sum();
        if !extent.is_finite() {
            return extent;
        }
        let Scratch { z, other } = scratch;
        z.clear();
        z.extend_from_slice(x);
        for step in &self.steps {
            step.take(z, other);
        }
        let value = self.core.value(z, other);
        if self.penalty > 0.0 { value + self.penalty * outside(x) } else { value }
    }

    /// How many numbers the function keeps.
    pub(super) fn numbers(&self) -> usize {
        self.steps.iter().map(Step::numbers).sum::<usize>() + self.core.numbers()
    }
}

impl Step {
    fn take(&self, z: &mut Vec<f64>, other: &mut Vec<f64>) {
        match self {
            Step::Shift(by) => z.iter_mut().zip(by).for_each(|(z, by)| *z -= by),
            Step::Add(number) => z.iter_mut().for_each(|z| *z += number),
            Step::Stretch(factors) => z.iter_mut().zip(factors).for_each(|(z, factor)| *z *= factor),
            Step::StretchUphill(factors) => {
                for (i, (z, factor)) in z.iter_mut().zip(factors).enumerate() {
                    *z *= if *z > 0.0 && i % 2 == 0 { 10.0 * factor } else { *factor };
                }
            }
            Step::Turn(matrix) => {
                other.resize(z.len(), 0.0);
                matrix.times(z, other);
                std::mem::swap(z, other);
            }
            Step::Oscillate => z.iter_mut().for_each(|z| *z = oscillated(*z)),
            Step::Bend(strengths) => z.iter_mut().zip(strengths).for_each(|(z, s)| *z = asymmetric(*z, *s)),
        }
    }

    fn numbers(&self) -> usize {
        match self {
            Step::Shift(numbers) | Step::Stretch(numbers) | Step::StretchUphill(numbers) | Step::Bend(numbers) => {
                numbers.len()
            }
            Step::Turn(matrix) => matrix.columns.len(),
            Step::Add(_) | Step::Oscillate => 0,
        }
    }
}

impl Core {
    fn value(&self, z: &mut [f64], other: &mut Vec<f64>) -> f64 {
        let n = z.len() as f64;
        match self {
            Core::Sphere => squares(z),
            Core::Ellipsoid { weights } => weighted_squares(z, weights),
            Core::Rastrigin => 10.0 * (n - waves(z)) + squares(z),
            Core::LinearSlope { slopes } => {
                // Beyond its best wall an element gains nothing.
                let term = |(x, slope): (&f64, &f64)| match 5.0 * slope.signum() {
                    best if x * best < 25.0 => 5.0 * slope.abs() - slope * x,
                    _ => 0.0,
                };
                z.iter().zip(slopes).map(term).sum()
            }
            Core::AttractiveSector { optimum } => {
                let term = |(z, optimum): (&f64, &f64)| square(if z * optimum > 0.0 { 100.0 * z } else { *z });
                libm::pow(oscillated(z.iter().zip(optimum).map(term).sum()), 0.9)
            }
            Core::StepEllipsoid { rotation, weights } => {
                let first = z[0];
                let stepped = |z: f64| if z.abs() > 0.5 { rounded(z) } else { rounded(10.0 * z) / 10.0 };
                z.iter_mut().for_each(|z| *z = stepped(*z));
                other.resize(z.len(), 0.0);
                rotation.times(z, other);
                // On the plateau around the optimum the first element alone tells the way.
                0.1 * f64::max(first.abs() / 1e4, weighted_squares(other, weights))
            }
            Core::Rosenbrock => z.windows(2).map(|pair| valley(pair[0], pair[1])).sum(),
            Core::Discus => 1e6 * square(z[0]) + squares(&z[1..]),
            Core::BentCigar => square(z[0]) + 1e6 * squares(&z[1..]),
            Core::SharpRidge => square(z[0]) + 100.0 * squares(&z[1..]).sqrt(),
            Core::DifferentPowers { exponents } => {
                z.iter().zip(exponents).map(|(z, exponent)| libm::pow(z.abs(), *exponent)).sum::<f64>().sqrt()
            }
            Core::Weierstrass => {
                let rough: f64 = z.iter().map(|z| weierstrass(*z)).sum();
                let above = rough / n - weierstrass(0.0);
                10.0 * above * above * above
            }
            Core::Schaffers => {
                let term = |pair: &[f64]| {
                    let s = square(pair[0]) + square(pair[1]);
                    s.sqrt().sqrt() * (1.0 + square(libm::sin(50.0 * libm::pow(s, 0.1))))
                };
                square(z.windows(2).map(term).sum::<f64>() / (n - 1.0))
            }
            Core::GriewankRosenbrock => {
                let term = |pair: &[f64]| {
                    let s = valley(pair[0], pair[1]);
                    s / 4000.0 - libm::cos(s)
                };
                10.0 + 10.0 * z.windows(2).map(term).sum::<f64>() / (n - 1.0)
            }
            Core::Schwefel { stretch } => schwefel(z, stretch),
            Core::Gallagher(peaks) => square(oscillated(10.0 - peaks.height(z, other))),
            Core::Katsuura => {
                // The report's product of n factors, through logarithms: it would overflow from about 170 dimensions.
                let log = |(i, z): (usize, &f64)| libm::log1p((i + 1) as f64 * katsuura(*z));
                let logs: f64 = z.iter().enumerate().map(log).sum();
                10.0 / (n * n) * libm::expm1(10.0 / libm::pow(n, 1.2) * logs)
            }
            Core::Lunacek { conditioned } => {
                let s = 1.0 - 0.5 / ((n + 20.0).sqrt() - 4.1);
                let mu = -((LUNACEK_MU * LUNACEK_MU - 1.0) / s).sqrt();
                let lower: f64 = z.iter().map(|z| square(z - mu)).sum();
                z.iter_mut().for_each(|z| *z -= LUNACEK_MU);
                other.resize(z.len(), 0.0);
                conditioned.times(z, other);
                squares(z).min(n + s * lower) + 10.0 * (n - waves(other))
            }
        }
    }

    fn numbers(&self) -> usize {
        match self {
            Core::Ellipsoid { weights: numbers }
            | Core::LinearSlope { slopes: numbers }
            | Core::AttractiveSector { optimum: numbers }
            | Core::DifferentPowers { exponents: numbers }
            | Core::Schwefel { stretch: numbers } => numbers.len(),
            Core::StepEllipsoid { rotation, weights } => rotation.columns.len() + weights.len(),
            Core::Lunacek { conditioned } => conditioned.columns.len(),
            Core::Gallagher(peaks) => peaks.numbers(),
            Core::Sphere
            | Core::Rastrigin
            | Core::Rosenbrock
            | Core::Discus
            | Core::BentCigar
            | Core::SharpRidge
            | Core::Weierstrass
            | Core::Schaffers
            | Core::GriewankRosenbrock
            | Core::Katsuura => 0,
        }
    }
}

fn squares(z: &[f64]) -> f64 {
    z.iter().map(|z| z * z).sum()
}

fn weighted_squares(z: &[f64], weights: &[f64]) -> f64 {
    z.iter().zip(weights).map(|(z, weight)| weight * (z * z)).sum()
}

/// The sum of cos 2πz.
fn waves(z: &[f64]) -> f64 {
    z.iter().map(|z| libm::cos(2.0 * PI * z)).sum()
}

/// One term of Rosenbrock's function.
fn valley(z: f64, next: f64) -> f64 {
    100.0 * square(z * z - next) + square(z - 1.0)
}

/// One element's part of Weierstrass' function: twelve waves, each half as high and a third as long as the one before.
fn weierstrass(z: f64) -> f64 {
    let (mut height, mut frequency, mut sum) = (1.0, 1.0, 0.0);
    for _ in 0..12 {
        sum += height * libm::cos(2.0 * PI * (z + 0.5) * frequency);
        height *= 0.5;
        frequency *= 3.0;
    }
    sum
}

/// Schwefel's x sin √|x| of the mirrored and doubled point, each of whose elements leans on the one before.
fn schwefel(x: &[f64], stretch: &[f64]) -> f64 {
    let (mut before, mut penalty, mut sum) = (SCHWEFEL, 0.0, 0.0);
    for (x, stretch) in x.iter().zip(stretch) {
        let leant = x + 0.25 * (before - SCHWEFEL);
        let z = 100.0 * (stretch * (leant - SCHWEFEL) + SCHWEFEL);
        penalty += square((z.abs() - 500.0).max(0.0));
        sum += z * libm::sin(z.abs().sqrt());
        before = *x;
    }
    0.01 * (penalty + 418.982_887_272_433_9 - sum / x.len() as f64)
}

/// One element's part of Katsuura's function: how far it is from the nearest multiples of 2⁻¹ to 2⁻³².
fn katsuura(z: f64) -> f64 {
    let mut sum = 0.0;
    let mut power = 1.0;
    for _ in 0..32 {
        power *= 2.0;
        sum += (power * z - rounded(power * z)).abs() / power;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(number: usize, instance: usize, dimension: usize) -> Bbob {
        Bbob::build(Id { number, instance, dimension }, &Watch::unlimited()).expect("nobody stops it")
    }

    /// Within what the rounding of published values allows: they carry f_opt, up to 1000, in their last digits.
    #[test]
    fn values_are_those_that_coco_publishes() {
        for (number, values) in (1..).zip(golden::VALUES) {
            for (instance, values) in golden::INSTANCES.into_iter().zip(values) {
                let function = function(number, instance, 5);
                for (x, expected) in golden::POINTS.into_iter().zip(values) {
                    let given = function.value(&x, &mut Scratch::default());
                    assert!(
                        (given - expected).abs() <= 1e-9 * expected.abs(),
                        "f{number}, instance {instance}, at {x:?}: {given} for {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_optimum_is_where_coco_has_it_and_its_value_is_zero() {
        for (number, optima) in (1..).zip(golden::OPTIMA) {
            for (instance, optimum) in golden::INSTANCES.into_iter().zip(optima) {
                let function = function(number, instance, 5);
                let value = |x: &[f64]| function.value(x, &mut Scratch::default());
                assert!(value(&optimum).abs() < 1e-9, "f{number}, instance {instance}: {}", value(&optimum));
                for i in 0..5 {
                    // Towards the middle, for the linear slope ends at the walls.
                    let mut aside = optimum;
                    aside[i] -= aside[i].signum() * 0.1;
                    assert!(value(&aside) > 1e-7, "f{number}, instance {instance}, beside it: {}", value(&aside));
                }
            }
        }
    }

    /// Around the optimum of f7 every element is rounded to 0, and the whole sum with them.
    #[test]
    fn the_plateau_around_the_optimum_of_the_step_ellipsoid_slopes_towards_it() {
        for (instance, optimum) in golden::INSTANCES.into_iter().zip(golden::OPTIMA[6]) {
            let function = function(7, instance, 5);
            let value = |by: f64| function.value(&optimum.map(|x| x + by), &mut Scratch::default());
            assert!(0.0 < value(1e-4) && value(1e-4) < value(1e-3) && value(1e-3) < 1e-6, "instance {instance}");
        }
    }

    #[test]
    fn a_point_that_is_no_point_has_no_value() {
        for number in 1..=24 {
            let function = function(number, 1, 3);
            let value = |x: [f64; 3]| function.value(&x, &mut Scratch::default());
            assert!(value([0.0, f64::NAN, 0.0]).is_nan(), "f{number}");
            assert!(value([f64::INFINITY, f64::NAN, 0.0]).is_nan(), "f{number}");
            assert_eq!(value([0.0, 1.0, f64::NEG_INFINITY]), f64::INFINITY, "f{number}");
        }
    }

    /// Of the 24, Katsuura's product was the one that overflowed.
    #[test]
    fn values_stay_finite_in_many_dimensions() {
        for number in 1..=24 {
            let value = function(number, 1, 200).value(&[0.3; 200], &mut Scratch::default());
            assert!(value.is_finite() && value > 0.0, "f{number}: {value}");
        }
    }

    /// Matrices and Gallagher's tables are what fills the memory.
    #[test]
    fn every_number_that_is_kept_is_counted() {
        for (number, expected) in [(1, 9), (9, 81), (12, 9 + 81 + 9 + 81), (7, 9 + 81 + 81 + 9), (24, 9 + 81)] {
            assert_eq!(function(number, 1, 9).numbers(), expected, "f{number}");
        }
        assert_eq!(function(21, 1, 9).numbers(), 81 + 101 + 2 * 9 * 101);
    }

    #[test]
    fn scratch_of_another_function_changes_nothing() {
        let mut scratch = Scratch::default();
        for (number, n) in (1..=24).chain((1..=24).rev()).zip([2, 5, 3, 40].into_iter().cycle()) {
            let function = function(number, 3, n);
            let x: Vec<f64> = (0..n).map(|i| 0.1 + 0.2 * i as f64).collect();
            let (kept, fresh) = (function.value(&x, &mut scratch), function.value(&x, &mut Scratch::default()));
            assert_eq!(kept.to_bits(), fresh.to_bits(), "f{number} in {n} dimensions");
        }
    }

    #[test]
    fn building_stops_when_it_is_told_to() {
        let leaving = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        for number in [6, 12, 21] {
            let id = Id { number, instance: 1, dimension: 40 };
            let stopped = Bbob::build(id, &Watch::new(leaving.clone(), None));
            assert!(matches!(stopped, Err(Failure::Interrupted)), "f{number}");
        }
    }
}
