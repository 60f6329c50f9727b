//! Meta-ES: an evolution strategy whose candidates are evolution strategies.
//!
//! Source: the hierarchical scheme [1/μ', λ'(μ/μ, λ)^γ] of Rechenberg, "Evolutionsstrategie '94" (1994), in the notation
//! of Beyer and Schwefel, "Evolution strategies: a comprehensive introduction", Natural Computing 1 (2002); for its use
//! on many machines see arXiv:2310.05377. λ' inner runs start from one parent, each with a step size of its own, and go
//! on alone for γ generations as (μ/μ, λ) without any rule for the step size. Then the inner runs are ranked by the mean
//! fitness of the parents that their last generation brought forth, and the μ' best become the next parent: the mean of
//! where they are, and the geometric mean of their step sizes. So step sizes are learned by what they achieve.
//!
//! A generation asks the candidates of all inner runs at once, run after run, so shards need not wait for each other
//! within it. What is ours: a generation in which nothing at all differs does not count towards the γ; an inner run with
//! failures among its parents ranks behind those with fewer.

use tumble_domain::Fitness;

use super::ending::Ending;
use super::frame::{Frame, read_deviation, sigma_parameter};
use super::memory::Numbers;
use super::recombination::Weights;
use super::vectors::{add, all_finite};
use super::{Entry, Order, Settings, four_plus_three_ln, integer, number, seal, snapshot_of};
use crate::codec::Reader;
use crate::noise;
use crate::proposal::{Group, Law, Proposal, perturbation};
use crate::shaping;
use crate::strategy::{SnapshotError, Strategy, StrategyDescription, StrategyError};
use tumble_domain::seed::Stream;

const NAME: &str = "meta-es";

/// The tensor of the normals that mutate step sizes; candidates are tensor 0.
const OF_SIGMAS: u32 = 1;

/// Bounds of λ'.
const RUNS: (f64, f64) = (2.0, 4096.0);

pub(super) const ENTRY: Entry = Entry {
    describe,
    population: |dimension, settings| settings.default_number("runs") as u32 * four_plus_three_ln(dimension),
    memory: |n, _, settings| {
        let runs = settings.count("runs").unwrap_or(1);
        Numbers { state: runs * n, proposal: runs * n, scratch: (runs + 2) * n }
    },
    build: |order| Ok(Box::new(MetaEs::try_new(order)?)),
    restore: |from| Ok(Box::new(MetaEs::restore(from)?)),
};

fn describe() -> StrategyDescription {
    let mut parameters = vec![
        sigma_parameter(),
        integer("runs", Some(4), RUNS, "λ', the inner runs; the population is split evenly over them"),
        integer(
            "runs_kept",
            None,
            (1.0, RUNS.1),
            "μ', how many of them make the next parent; by default ⌊λ'/4⌋, at least 1",
        ),
        integer(
            "isolation",
            Some(4),
            (1.0, 1e6),
            "γ, the generations that inner runs go on alone: what takes longer to pay is not learned",
        ),
        integer("parents", None, (1.0, 1e9), "μ of every inner run; by default a quarter of its λ, at least 1"),
        number(
            "tau",
            None,
            (1e-6, 10.0),
            "how far step sizes are spread: σ exp(τ N) for each inner run; by default 2/√n, at most 1",
        ),
    ];
    parameters.extend(Ending::parameters());
    StrategyDescription {
        name: NAME,
        summary: "evolves evolution strategies: inner runs go on alone, and the best of them hand on their step size",
        advice: "many workers and a step size of which nothing is known, or that has to follow something other than the next \
                 step, such as noise; costs several times the evaluations of csa-es; slow where axes differ in scale",
        source: "Rechenberg (1994); Beyer and Schwefel, Natural Computing 1 (2002); arXiv:2310.05377",
        cost: "O(λ n) time and O(λ' n) memory for a generation",
        memory: "state and proposal R n each, an update (R + 2) n more, for R inner `runs`",
        population: "runs × (4 + ⌊3 ln n⌋); always a multiple of `runs`",
        parameters,
    }
}

#[derive(Clone, Debug)]
struct MetaEs {
    frame: Frame,
    outer: Outer,
    /// The parent of this isolation's inner runs.
    sigma: f64,
    inner: Vec<Group>,
    /// Generations since the inner runs began.
    isolated: u32,
    ending: Ending,
}

#[derive(Clone, Copy, Debug)]
struct Outer {
    /// μ'.
    kept: u32,
    /// γ.
    isolation: u32,
    /// μ.
    parents: u32,
    tau: f64,
}

/// What an inner run achieved: parents that were scored, and their mean fitness.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
struct Achieved {
    scored: usize,
    mean: f64,
}

impl MetaEs {
    fn try_new(order: Order) -> Result<MetaEs, StrategyError> {
        let sigma = order.first_sigma();
        let ending = Ending::new(&order.settings, sigma);
        let frame = order.frame(NAME, 1)?;
        let runs = order.settings.default_number("runs") as u32;
        let outer = Outer::try_new(&order.settings, &frame, runs)?;
        let parent = Group { mean: order.unfolded_start(), sigma };
        let mut strategy = MetaEs { outer, sigma, inner: vec![parent; runs as usize], isolated: 0, ending, frame };
        strategy.spread();
        Ok(strategy)
    }

    fn restore(from: &mut Reader<'_>) -> Result<MetaEs, SnapshotError> {
        let frame = Frame::read(from, 1)?;
        let outer = Outer { kept: from.u32()?, isolation: from.u32()?, parents: from.u32()?, tau: from.finite()? };
        let (sigma, isolated, runs) = (read_deviation(from)?, from.u32()?, from.u32()?);
        let each = frame.population.checked_div(runs).unwrap_or(0);
        let splits = each > 0 && frame.population.is_multiple_of(runs);
        if !splits || !(1..=runs).contains(&outer.kept) || !(1..=each).contains(&outer.parents) {
            return Err(SnapshotError::Damaged("the population does not split into inner runs"));
        }
        let mut inner = Vec::new();
        for _ in 0..runs {
            inner.push(Group { sigma: read_deviation(from)?, mean: from.finites(frame.dimension)? });
        }
        Ok(MetaEs { outer, sigma, inner, isolated, ending: Ending::read(from)?, frame })
    }

    /// Gives every inner run a step size of its own: σ exp(τ N).
    fn spread(&mut self) {
        for (run, inner) in self.inner.iter_mut().enumerate() {
            let mut normal = [0.0];
            let (seed, generation) = (self.frame.seed, self.frame.generation);
            noise::normals(seed, Stream::Perturbation, OF_SIGMAS, run as u32, generation, &mut normal);
            inner.sigma = self.frame.held(self.sigma * libm::exp(self.outer.tau * normal[0]));
        }
    }

    /// One generation of every inner run: the mean of the μ best of its own candidates is its next parent.
    fn step_inner(&mut self, fitness: &[Fitness]) {
        let each = fitness.len() / self.inner.len();
        let weights = Weights::equal(self.outer.parents as usize);
        let mut z = vec![0.0; self.frame.dimension];
        for (run, (inner, fitness)) in self.inner.iter_mut().zip(fitness.chunks_exact(each)).enumerate() {
            if shaping::is_flat(fitness) {
                continue;
            }
            let order = shaping::best_first(fitness);
            let weights = weights.for_present(order.len());
            let mut mean = inner.mean.clone();
            for (candidate, weight) in order.iter().zip(weights.values()) {
                let index = run * each + candidate;
                perturbation(self.frame.seed, self.frame.generation, index as u32, &mut z);
                add(inner.sigma * weight, &z, &mut mean);
            }
            if all_finite(&[&mean]) {
                inner.mean = mean;
            }
        }
    }

    /// What every inner run achieved in this generation.
    fn achieved(&self, fitness: &[Fitness]) -> Vec<Achieved> {
        let each = fitness.len() / self.inner.len();
        fitness
            .chunks_exact(each)
            .map(|fitness| {
                let order = shaping::best_first(fitness);
                let scores: Vec<f64> =
                    order.iter().take(self.outer.parents as usize).filter_map(|i| fitness[*i].score()).collect();
                let scored = scores.len();
                // Each is divided first, so that no sum leaves the range.
                let mean = scores.iter().map(|score| score / scored as f64).sum();
                Achieved { scored, mean }
            })
            .collect()
    }

    /// Ranks the inner runs, makes the next parent of the best, and starts all of them from it.
    fn select_outer(&mut self, fitness: &[Fitness]) {
        let achieved = self.achieved(fitness);
        let mut order: Vec<usize> = (0..achieved.len()).collect();
        // A stable sort of numbers that are finite: ties stand by index.
        order.sort_by(|a, b| achieved[*b].partial_cmp(&achieved[*a]).expect("a mean of finite numbers is no NaN"));
        let kept = &order[..self.outer.kept as usize];

        let mut mean = vec![0.0; self.frame.dimension];
        kept.iter().for_each(|run| add(1.0 / kept.len() as f64, &self.inner[*run].mean, &mut mean));
        let logarithms: f64 = kept.iter().map(|run| libm::log(self.inner[*run].sigma)).sum();
        self.sigma = self.frame.held(libm::exp(logarithms / kept.len() as f64));
        self.inner.iter_mut().for_each(|inner| inner.mean.copy_from_slice(&mean));
    }
}

impl Outer {
    fn try_new(settings: &Settings, frame: &Frame, runs: u32) -> Result<Outer, StrategyError> {
        let Frame { population, dimension, .. } = *frame;
        let refuse = |text: String| Err(StrategyError::Setting(text));
        if !population.is_multiple_of(runs) {
            return refuse(format!(
                "`population` is {population}, but meta-es splits it over `runs` = {runs}: make it a multiple"
            ));
        }
        let each = population / runs;
        let kept = settings.number("runs_kept").map_or((runs / 4).max(1), |kept| kept as u32);
        if kept >= runs {
            return refuse(format!("`runs_kept` is {kept}, but to select there must be fewer than `runs` = {runs}"));
        }
        let parents = settings.number("parents").map_or((each / 4).max(1), |parents| parents as u32);
        if parents >= each {
            return refuse(format!(
                "`parents` is {parents}, but an inner run has {each} candidates, and there must be more than parents"
            ));
        }
        let isolation = settings.default_number("isolation") as u32;
        let tau = settings.number("tau").unwrap_or((2.0 / (dimension as f64).sqrt()).min(1.0));
        Ok(Outer { kept, isolation, parents, tau })
    }
}

impl Strategy for MetaEs {
    fn ask(&self) -> Proposal {
        self.frame.proposal(Law::Groups { groups: self.inner.clone() })
    }

    fn tell(&mut self, fitness: &[Fitness]) {
        self.frame.check(fitness);
        if self.ending.observe(fitness) {
            self.frame.generation += 1;
            return;
        }
        self.step_inner(fitness);
        self.isolated += 1;
        self.frame.generation += 1;
        if self.isolated >= self.outer.isolation {
            self.select_outer(fitness);
            self.isolated = 0;
            self.spread();
        }
    }

    fn generation(&self) -> u32 {
        self.frame.generation
    }

    fn population(&self) -> u32 {
        self.frame.population
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut out = snapshot_of(NAME);
        self.frame.write(&mut out);
        out.u32(self.outer.kept);
        out.u32(self.outer.isolation);
        out.u32(self.outer.parents);
        out.f64s(&[self.outer.tau, self.sigma]);
        out.u32(self.isolated);
        out.u32(self.inner.len() as u32);
        for inner in &self.inner {
            out.f64(inner.sigma);
            out.f64s(&inner.mean);
        }
        self.ending.write(&mut out);
        seal(out)
    }

    fn scalars(&self) -> Vec<(&'static str, f64)> {
        let sigmas = self.inner.iter().map(|inner| inner.sigma);
        let (least, most) = sigmas.fold((f64::INFINITY, 0.0f64), |(a, b), s| (a.min(s), b.max(s)));
        vec![("sigma", self.sigma), ("inner_sigma_min", least), ("inner_sigma_max", most)]
    }

    fn exhausted(&self) -> Option<&'static str> {
        self.ending.reason(&self.inner[0].mean, |_| self.sigma)
    }
}

#[cfg(test)]
mod tests {
    use tumble_domain::{Seed, Value};

    use super::*;
    use crate::strategies::yardstick::{self, assert_near, check_median, ellipsoid, order, sphere, tell};

    fn started(population: u32, start: Vec<f64>, seed: u64, given: &[(&str, Value)]) -> MetaEs {
        MetaEs::try_new(order(&describe(), population, start, None, seed, given)).unwrap()
    }

    fn free(dimension: usize, sigma: f64, seed: u64) -> MetaEs {
        started(4 * four_plus_three_ln(dimension), vec![3.0; dimension], seed, &[("sigma", Value::Float(sigma))])
    }

    /// A NumPy script that knows the noise, but no line of this file, made the expected numbers: 31 generations on an
    /// ellipsoid with axes from 1 to 32, so that the last isolation is cut in its first generation.
    #[test]
    fn thirty_one_generations_end_where_the_formulas_do() {
        let settings = [
            ("runs", Value::Integer(4)),
            ("runs_kept", Value::Integer(2)),
            ("isolation", Value::Integer(3)),
            ("parents", Value::Integer(3)),
            ("tau", Value::Float(0.5)),
        ];
        let mut es = started(40, vec![3.0; 5], 42, &settings);
        for _ in 0..31 {
            tell(&mut es, &|x| x.iter().enumerate().map(|(i, x)| libm::exp10(0.75 * i as f64) * x * x).sum());
        }
        assert_eq!(es.isolated, 1);
        assert_near(&[es.sigma], &[0.06605677379526706]);
        assert_near(
            &es.inner.iter().map(|inner| inner.sigma).collect::<Vec<_>>(),
            &[0.03981564431401183, 0.04819764541406854, 0.028034670868806864, 0.0477585986915679],
        );
        let first =
            [2.809094124238951, 2.336551521203502, 0.030127088696127097, -0.009603320592096185, 0.014831928832340113];
        let second =
            [2.822509322929889, 2.288359668087795, 0.09735652449124232, -0.0346957899607382, -0.01114456937935424];
        assert_near(&es.inner[0].mean, &first);
        assert_near(&es.inner[1].mean, &second);
    }

    /// From a step size that is right, and from one that is wrong a thousandfold either way, the sphere
    /// takes less than three times as long: csa-es, too, needs up to half as much again.
    #[test]
    fn a_step_size_that_is_wrong_a_thousandfold_is_put_right() {
        for n in [10, 40] {
            let needed = |sigma: f64| -> Vec<u32> {
                (0..5)
                    .map(|seed| yardstick::evaluations(&mut free(n, sigma, seed), &sphere, 1e-8, 100_000))
                    .map(|spent| spent.expect("every search arrives"))
                    .collect()
            };
            let right = needed(1.0).into_iter().max().unwrap();
            for wrong in [1e-3, 1e3] {
                let worst = needed(wrong).into_iter().max().unwrap();
                assert!(worst < 3 * right, "n = {n}, σ = {wrong}: {worst} evaluations against {right}");
            }
        }
    }

    /// Log-linear convergence: each four decades of f cost as many evaluations as the four before, so σ keeps up with
    /// the distance.
    #[test]
    fn the_sphere_is_descended_at_a_steady_rate() {
        for seed in 0..5 {
            let mut es = free(20, 1.0, seed);
            let spent = [1.0, 1e-4, 1e-8, 1e-12, 1e-16]
                .map(|target| yardstick::evaluations(&mut es, &sphere, target, 100_000).expect("every search arrives"));
            let (least, most) = (spent[1..].iter().min().unwrap(), spent[1..].iter().max().unwrap());
            assert!(most < &(2 * least), "seed {seed}: {spent:?}");
        }
    }

    /// There is no reference implementation; a change in cost is a change in the algorithm. csa-es takes 1540 and 5265.
    #[test]
    fn the_sphere_takes_as_many_evaluations_as_it_did() {
        for (n, reference) in [(10, 3240.0), (40, 11820.0)] {
            check_median("sphere", &|seed| Box::new(free(n, 1.0, seed)), &sphere, 1e-8, reference);
        }
    }

    /// What it cannot learn it must not seem to: one step size for axes whose lengths differ a thousandfold.
    #[test]
    fn the_ellipsoid_is_out_of_reach() {
        for seed in 0..3 {
            assert_eq!(yardstick::evaluations(&mut free(10, 1.0, seed), &ellipsoid, 1e-8, 100_000), None);
        }
    }

    #[test]
    fn the_best_of_the_inner_runs_hands_on_its_step_size_and_place() {
        let mut es = started(12, vec![0.0; 2], 1, &[("isolation", Value::Integer(1))]);
        let groups = es.inner.clone();
        let mut fitness = vec![Fitness::Scored(-1.0); 12];
        // The second has the best mean; the third has a better candidate, but it failed with the rest.
        fitness[3..6].copy_from_slice(&[2.0, 3.0, 1.0].map(Fitness::Scored));
        fitness[6..9].copy_from_slice(&[Fitness::Worst, Fitness::Worst, Fitness::Dropped]);
        es.tell(&fitness);
        assert_near(&[es.sigma], &[groups[1].sigma]);
        // One parent of three: its best candidate.
        let mut expected = [0.0; 2];
        perturbation(Seed(1), 0, 4, &mut expected);
        expected.iter_mut().for_each(|z| *z *= groups[1].sigma);
        for inner in &es.inner {
            assert_near(&inner.mean, &expected);
        }
        assert!(es.inner.iter().all(|inner| inner.sigma != es.sigma));
    }

    #[test]
    fn an_inner_run_with_failures_among_its_parents_ranks_behind_those_without() {
        let settings = [("parents", Value::Integer(2))];
        let es = started(16, vec![0.0; 2], 1, &settings);
        let scored = |scores: [f64; 4]| scores.map(Fitness::Scored);
        let mut failed = scored([1e9, 0.0, 0.0, 0.0]);
        failed[1..].fill(Fitness::Worst);
        let fitness =
            [scored([1.0, 2.0, 3.0, 4.0]), failed, scored([9.0, 1.0, 1.0, 1.0]), [Fitness::Dropped; 4]].concat();
        let achieved = es.achieved(&fitness);
        assert_eq!(achieved[0], Achieved { scored: 2, mean: 3.5 });
        assert_eq!(achieved[2], Achieved { scored: 2, mean: 5.0 });
        assert_eq!(achieved[1], Achieved { scored: 1, mean: 1e9 });
        assert!(achieved[2] > achieved[0] && achieved[0] > achieved[1] && achieved[1] > achieved[3]);
    }

    #[test]
    fn populations_that_do_not_split_are_refused_with_the_reason() {
        let refuse = |population, given: &[(&str, Value)]| {
            let order = order(&describe(), population, vec![0.0], None, 0, given);
            MetaEs::try_new(order).unwrap_err().to_string()
        };
        assert!(refuse(30, &[]).contains("`runs` = 4"));
        assert!(refuse(4, &[]).contains("an inner run has 1 candidates"));
        assert!(refuse(40, &[("runs_kept", Value::Integer(4))]).contains("`runs_kept` is 4"));
    }
}
