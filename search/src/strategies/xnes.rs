//! xNES: the exponential natural evolution strategy, with a full matrix of steps.
//!
//! Source: Glasmachers, Schaul, Sun, Wierstra, Schmidhuber, "Exponential natural evolution strategies", GECCO 2010;
//! learning rates as in Wierstra et al., JMLR 15 (2014), table 1. The form is that of cmaes 0.13.1,
//! `cmaes/_xnes.py`.
//!
//! The exponential of the update is that of the matrix, not of its elements: an elementwise exponential keeps B diagonal,
//! still solves the sphere, and is blind to every rotation. Its argument is symmetric, so the eigensolver gives it exactly.
//!
//! What is ours: noise is addressed, so `tell` makes the steps again; ties share their utility; a generation without a
//! difference changes nothing.

use tumble_domain::{Fitness, Parameter};

use super::ending::Ending;
use super::frame::{Frame, read_deviation, sigma_parameter};
use super::memory::Numbers;
use super::snes::{POPULATION_MIN, range};
use super::vectors::{add, all_finite};
use super::{Entry, Order, four_plus_three_ln, number, seal, snapshot_of};
use crate::codec::{Reader, Writer};
use crate::eigen;
use crate::proposal::{DEVIATION_LIMITS, Law, Proposal, combine, perturbation};
use crate::shaping;
use crate::strategy::{SnapshotError, Strategy, StrategyDescription, StrategyError};
use crate::told::ToldAs;

const NAME: &str = "xnes";

/// The longest candidate: the eigenvectors of its update, needed every generation, take seconds.
const DIMENSION_MAX: usize = 1024;

pub(super) const ENTRY: Entry = Entry {
    describe,
    population: |dimension, _| four_plus_three_ln(dimension),
    memory: |n, _, _| Numbers { state: n * n + n, proposal: n * n + n, scratch: 5 * n * n + 5 * n },
    build: |order| Ok(Box::new(Xnes::try_new(order)?)),
    restore: |from| Ok(Box::new(Xnes::restore(from)?)),
};

fn describe() -> StrategyDescription {
    StrategyDescription {
        name: NAME,
        summary: "exponential natural evolution: learns a full matrix of steps along the natural gradient",
        advice: "up to a hundred numbers that depend on each other, where a plain and principled update matters; cma-es \
                 needs two to four times fewer evaluations",
        source: "Glasmachers et al., GECCO 2010; cmaes 0.13.1",
        cost: "O(λ n² + n³) time for a generation, O(n²) memory",
        memory: "state n² + n, proposal n² + n, an update 5 n² + 5 n more",
        population: "4 + ⌊3 ln n⌋",
        parameters: [sigma_parameter(), rate("sigma_rate", "the step size"), rate("shape_rate", "the matrix of steps")]
            .into_iter()
            .chain(Ending::parameters())
            .collect(),
    }
}

fn rate(name: &str, of: &str) -> Parameter {
    number(name, None, (0.0, 1e3), &format!("learning rate of {of}; by default 3/5 (3 + ln n) / (n √n)"))
}

#[derive(Clone, Debug)]
struct Xnes {
    frame: Frame,
    /// η_σ.
    sigma_rate: f64,
    /// η_B.
    shape_rate: f64,
    /// μ, in the space without bounds.
    mean: Vec<f64>,
    sigma: f64,
    /// B, transposed: row `j` is where the unit step `j` leads.
    axes: Vec<f64>,
    ending: Ending,
}

impl Xnes {
    fn try_new(order: Order) -> Result<Xnes, StrategyError> {
        let n = order.start.len();
        if n > DIMENSION_MAX {
            return Err(StrategyError::Setting(format!(
                "xnes decomposes a matrix of {n} × {n} in every generation; it takes at most {DIMENSION_MAX} numbers: use \
                 snes or open-ai-es"
            )));
        }
        let mut axes = vec![0.0; n * n];
        (0..n).for_each(|i| axes[i * n + i] = 1.0);
        let length = n as f64;
        let rate = 0.6 * (3.0 + libm::log(length)) / (length * length.sqrt());
        let sigma = order.first_sigma();
        Ok(Xnes {
            frame: order.frame(NAME, POPULATION_MIN)?,
            sigma_rate: order.settings.number("sigma_rate").unwrap_or(rate),
            shape_rate: order.settings.number("shape_rate").unwrap_or(rate),
            mean: order.unfolded_start(),
            sigma,
            axes,
            ending: Ending::new(&order.settings, sigma),
        })
    }

    fn restore(from: &mut Reader<'_>) -> Result<Xnes, SnapshotError> {
        let frame = Frame::read(from, POPULATION_MIN)?;
        let n = frame.dimension;
        if n > DIMENSION_MAX {
            return Err(SnapshotError::Damaged("the dimension is out of range"));
        }
        let (sigma_rate, shape_rate, sigma) = (from.finite()?, from.finite()?, read_deviation(from)?);
        let (mean, axes) = (from.finites(n)?, from.finites(n * n)?);
        Ok(Xnes { frame, sigma_rate, shape_rate, mean, sigma, axes, ending: Ending::read(from)? })
    }

    /// The update from utilities; `None` when a number would leave the floating point range.
    fn step(&mut self, utilities: &[f64]) -> Option<()> {
        let n = self.mean.len();
        // G_δ = Σ u z and G_M = Σ u (z zᵀ − 1), summed in the order of candidates.
        let (mut z, mut of_mean, mut of_matrix) = (vec![0.0; n], vec![0.0; n], vec![0.0; n * n]);
        for (candidate, utility) in utilities.iter().enumerate() {
            if *utility == 0.0 {
                continue;
            }
            perturbation(self.frame.seed, self.frame.generation, candidate as u32, &mut z);
            add(*utility, &z, &mut of_mean);
            for (i, row) in of_matrix.chunks_exact_mut(n).enumerate() {
                row.iter_mut().zip(&z).for_each(|(g, zj)| *g += utility * (z[i] * zj));
                row[i] -= utility;
            }
        }
        // G_σ = tr G_M / n, G_B = G_M − G_σ 1.
        let of_sigma = (0..n).map(|i| of_matrix[i * n + i]).sum::<f64>() / n as f64;
        (0..n).for_each(|i| of_matrix[i * n + i] -= of_sigma);

        // μ ← μ + σ B G_δ.
        let mut mean = vec![0.0; n];
        combine(&self.axes, &of_mean, &mut mean);
        mean.iter_mut().zip(&self.mean).for_each(|(x, m)| *x = m + self.sigma * *x);

        // σ ← σ exp(η_σ/2 G_σ).
        let sigma = self.sigma * libm::exp(0.5 * self.sigma_rate * of_sigma);
        let sigma = sigma.clamp(DEVIATION_LIMITS.0, DEVIATION_LIMITS.1);

        // B ← B exp(η_B/2 G_B). With the transpose of B as rows, exp(G) stands on its left.
        of_matrix.iter_mut().for_each(|g| *g *= 0.5 * self.shape_rate);
        let axes = exponential_times(&of_matrix, &self.axes, n)?;

        if !all_finite(&[&mean, &axes]) {
            return None;
        }
        (self.mean, self.sigma, self.axes) = (mean, sigma, axes);
        Some(())
    }

    /// The standard deviation of each element.
    fn deviations(&self) -> Vec<f64> {
        let n = self.mean.len();
        let mut squares = vec![0.0; n];
        for axis in self.axes.chunks_exact(n) {
            squares.iter_mut().zip(axis).for_each(|(s, x)| *s += x * x);
        }
        squares.iter().map(|s| self.sigma * s.sqrt()).collect()
    }

    /// Keeps the spread of every element below a third of the bounds' width.
    fn hold_in_bounds(&mut self) {
        let most = self.frame.deviation_max();
        let factors: Vec<f64> = self.deviations().into_iter().map(|d| if d > most { most / d } else { 1.0 }).collect();
        for axis in self.axes.chunks_exact_mut(factors.len()) {
            axis.iter_mut().zip(&factors).for_each(|(x, factor)| *x *= factor);
        }
    }
}

/// `exp(symmetric) rows`, the exponential being `Vᵀ exp(Λ) V` with an eigenvector in each row of V.
fn exponential_times(symmetric: &[f64], rows: &[f64], n: usize) -> Option<Vec<f64>> {
    let eigen = eigen::decompose(symmetric, n)?;
    let mut turned = vec![0.0; n * n];
    for ((into, vector), value) in turned.chunks_exact_mut(n).zip(eigen.vectors.chunks_exact(n)).zip(&eigen.values) {
        combine(rows, vector, into);
        let stretch = libm::exp(*value);
        into.iter_mut().for_each(|x| *x *= stretch);
    }
    let mut product = vec![0.0; n * n];
    for (j, into) in product.chunks_exact_mut(n).enumerate() {
        let column: Vec<f64> = eigen.vectors.chunks_exact(n).map(|vector| vector[j]).collect();
        combine(&turned, &column, into);
    }
    Some(product)
}

impl Strategy for Xnes {
    fn ask(&self) -> Proposal {
        self.frame.proposal(Law::Full { mean: self.mean.clone(), sigma: self.sigma, axes: self.axes.clone() })
    }

    fn tell(&mut self, fitness: &[Fitness]) {
        self.frame.check(fitness);
        // A step out of range is not taken; the next generation tries again with other noise.
        if !self.ending.observe(fitness) && self.step(&shaping::utilities(fitness)).is_some() {
            self.hold_in_bounds();
        }
        self.frame.generation += 1;
    }

    fn generation(&self) -> u32 {
        self.frame.generation
    }

    fn population(&self) -> u32 {
        self.frame.population
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut out: Writer = snapshot_of(NAME);
        self.frame.write(&mut out);
        out.f64s(&[self.sigma_rate, self.shape_rate, self.sigma]);
        out.f64s(&self.mean);
        out.f64s(&self.axes);
        self.ending.write(&mut out);
        seal(out)
    }

    fn told_as(&self) -> ToldAs {
        ToldAs::Places
    }

    fn scalars(&self) -> Vec<(&'static str, f64)> {
        let (shortest, longest) = range(&self.deviations());
        vec![("sigma", self.sigma), ("deviation_min", shortest), ("deviation_max", longest)]
    }

    fn exhausted(&self) -> Option<&'static str> {
        let deviations = self.deviations();
        self.ending.reason(&self.mean, |i| deviations[i])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies::yardstick::*;
    use tumble_domain::Value;

    fn build(population: u32, n: usize, seed: u64) -> Xnes {
        let given = [("sigma", Value::Float(1.0))];
        Xnes::try_new(order(&describe(), population, vec![3.0; n], None, seed, &given)).unwrap()
    }

    /// Worked out by a NumPy program of the formulas in the head, with the matrix
    /// exponential of SciPy, under the same noise: 25 generations on the ellipsoid from
    /// 3 in every element, eight candidates of which one is dropped and one fails.
    #[test]
    fn twenty_five_steps_are_those_of_the_formulas() {
        let mut es = build(8, 5, 42);
        (0..25).for_each(|_| tell_spoiled(&mut es, &ellipsoid));
        assert_near(
            &es.mean,
            &[3.5015327012239887, 4.714983071450415, -1.062600827428434, -0.5113876662691782, 0.1002540763252817],
        );
        assert_near(&[es.sigma], &[0.7048443436886329]);
        assert_near(
            &es.axes,
            &[
                4.1180978503503365,
                1.2478951347913052,
                1.226852997500227,
                -0.4909514513923178,
                0.023539712586078943,
                1.683183752012667,
                1.6540376478093834,
                0.6839631143553624,
                -0.13264897453128588,
                -0.11121505552463298,
                0.298474324337948,
                0.22109891410878238,
                1.8957392804087203,
                0.1452967594642642,
                0.017914756407782447,
                0.4245266731743835,
                0.3719121513048574,
                0.23990151708678636,
                0.5733103807339585,
                0.003590858874232143,
                -0.5664217899091727,
                -0.17940836391190618,
                -0.5245898976335842,
                0.11946933087984306,
                0.19266889457375042,
            ],
        );
    }

    /// exp of [[0, 1], [1, 0]] is [[cosh 1, sinh 1], [sinh 1, cosh 1]]; element by element it would be [[1, e], [e, 1]].
    #[test]
    fn the_exponential_is_that_of_the_matrix() {
        let (cosh, sinh) = (1.5430806348152437, 1.1752011936438014);
        let made = exponential_times(&[0.0, 1.0, 1.0, 0.0], &[1.0, 0.0, 0.0, 1.0], 2).unwrap();
        assert_near(&made, &[cosh, sinh, sinh, cosh]);
        let made = exponential_times(&[0.0, 1.0, 1.0, 0.0], &[2.0, 0.0, 1.0, 3.0], 2).unwrap();
        assert_near(&made, &[2.0 * cosh + sinh, 3.0 * sinh, 2.0 * sinh + cosh, 3.0 * cosh]);
    }

    fn check(name: &str, f: Function<'_>, start: f64, reference: f64) {
        let build = |seed| -> Box<dyn Strategy> {
            let given = [("sigma", Value::Float(1.0))];
            Box::new(Xnes::try_new(order(&describe(), 10, vec![start; 10], None, seed, &given)).unwrap())
        };
        check_median(name, &build, f, 1e-8, reference);
    }

    /// Medians of cmaes 0.13.1, n = 10.
    #[test]
    fn four_functions_take_as_many_evaluations_as_the_reference() {
        let cigar = |x: &[f64]| x[0] * x[0] + 1e6 * x[1..].iter().map(|x| x * x).sum::<f64>();
        let rosenbrock = |x: &[f64]| {
            let term = |w: &[f64]| 100.0 * (w[0] * w[0] - w[1]) * (w[0] * w[0] - w[1]) + (w[0] - 1.0) * (w[0] - 1.0);
            x.windows(2).map(term).sum()
        };
        check("sphere", &sphere, 3.0, 6180.0);
        check("ellipsoid", &ellipsoid, 3.0, 8960.0);
        check("cigar", &cigar, 3.0, 10_320.0);
        check("rosenbrock", &rosenbrock, 0.0, 10_560.0);
    }

    /// The function that tells a full matrix from a diagonal one: turned axes cost nothing.
    #[test]
    fn a_rotated_ellipsoid_takes_as_many_evaluations_as_a_straight_one() {
        check("rotated ellipsoid", &rotated_ellipsoid(10), 3.0, 8960.0);
    }

    /// The optimum lies in a corner of the box, and the spread must not outgrow the box.
    #[test]
    fn an_optimum_on_the_bounds_is_found() {
        for seed in 0..3 {
            let given = order(&describe(), 10, vec![1.5; 6], Some((-1.0, 4.0)), seed, &[]);
            let mut es = Xnes::try_new(given).unwrap();
            let corner = |x: &[f64]| -> f64 { x.iter().enumerate().map(|(i, x)| (i + 1) as f64 * (4.0 - x)).sum() };
            let mut best = f64::INFINITY;
            for _ in 0..800 {
                best = best.min(tell(&mut es, &corner));
                assert!(es.deviations().iter().all(|d| *d <= 5.0 / 3.0 * (1.0 + 1e-12)), "{:?}", es.deviations());
            }
            assert!(best < 1e-6, "seed {seed}: {best}");
        }
    }
}
