//! Differential evolution, rand/1/bin: steps are differences between members, so they shrink as the population does.
//!
//! Source: Storn, Price, "Differential evolution: a simple and efficient heuristic for global optimization over continuous
//! spaces", Journal of Global Optimization 11 (1997).
//!
//! What is ours: all trial vectors of a generation are made from the members as they were before it; a gene beyond a bound
//! lands half way between the parent's and that bound; a trial vector that failed replaces nobody; where neither trial
//! vectors nor members differ in fitness nobody is replaced, for without selection the differences grow without end.

use tumble_domain::Fitness;

use super::frame::Frame;
use super::members::{self, Members, choose, dice};
use super::memory::Numbers;
use super::{Entry, Order, number, seal, snapshot_of};
use crate::codec::{Reader, Writer};
use crate::proposal::{Law, Proposal};
use crate::shaping;
use crate::strategy::{SnapshotError, StateHash, Strategy, StrategyDescription, StrategyError};

const NAME: &str = "differential-evolution";

/// Three donors and the parent.
const POPULATION_MIN: u32 = 4;

pub(super) const ENTRY: Entry = Entry {
    describe,
    population: |dimension, _| (5 * dimension.min(100) as u32).max(20),
    memory: |n, l, _| Numbers { state: l * n, proposal: l * n, scratch: l * n },
    build: |order| Ok(Box::new(DifferentialEvolution::try_new(order)?)),
    restore: |from| Ok(Box::new(DifferentialEvolution::restore(from)?)),
};

fn describe() -> StrategyDescription {
    StrategyDescription {
        name: NAME,
        summary: "differential evolution, rand/1/bin: steps are differences between members, a better child replaces its \
                  parent",
        advice: "rugged objectives of up to a hundred numbers inside bounds, when nothing is known of their scales; it keeps \
                 what once scored well, so average away noise with replicates; it is slow on curved valleys",
        source: "Storn, Price, Journal of Global Optimization 11 (1997)",
        cost: "O(λ n) time and memory for a generation; a proposal is 8 λ n bytes",
        memory: "state, proposal and an update λ n each",
        population: "5 n, at least 20 and at most 500",
        parameters: vec![
            members::sigma(),
            number(
                "weight",
                Some(0.5),
                (0.0, 2.0),
                "how long a step is against the difference it is made of, F in the paper",
            ),
            number(
                "crossover",
                Some(0.9),
                (0.0, 1.0),
                "how many genes a trial vector takes from its donors, CR in the paper",
            ),
            members::tolx(),
        ],
    }
}

#[derive(Clone, Debug)]
struct DifferentialEvolution {
    frame: Frame,
    /// F.
    weight: f64,
    /// CR.
    crossover: f64,
    tolx: f64,
    members: Members,
}

impl DifferentialEvolution {
    fn try_new(order: Order) -> Result<DifferentialEvolution, StrategyError> {
        let frame = order.frame_of_members(NAME, POPULATION_MIN)?;
        Ok(DifferentialEvolution {
            weight: order.settings.default_number("weight"),
            crossover: order.settings.default_number("crossover"),
            tolx: order.settings.default_number("tolx"),
            members: Members::new(frame.dimension, members::first_points(&order, 0)),
            frame,
        })
    }

    fn restore(from: &mut Reader<'_>) -> Result<DifferentialEvolution, SnapshotError> {
        let frame = Frame::read(from, POPULATION_MIN)?;
        let (weight, crossover, tolx) = (from.finite()?, from.finite()?, from.finite()?);
        Ok(DifferentialEvolution { members: Members::read(from, &frame)?, frame, weight, crossover, tolx })
    }

    fn write(&self) -> Writer {
        let mut out = snapshot_of(NAME);
        self.frame.write(&mut out);
        out.f64s(&[self.weight, self.crossover, self.tolx]);
        out
    }

    /// This generation's points, by rows: at first the members, then a trial vector for each.
    fn points(&self) -> Vec<f64> {
        if self.frame.generation == 0 {
            return self.members.points().to_vec();
        }
        (0..self.members.len()).flat_map(|i| self.trial_vector(i)).collect()
    }

    fn trial_vector(&self, i: usize) -> Vec<f64> {
        let [a, b, c] = self.donors(i).map(|donor| self.members.point(donor));
        let certain = choose(&self.frame, i, 3, self.frame.dimension);
        let dice = dice(&self.frame, 0, i);
        let mut trial = self.members.point(i).to_vec();
        for (j, x) in trial.iter_mut().enumerate() {
            // Crossover: at least one gene comes from the donors.
            if dice[j] < self.crossover || j == certain {
                // Mutation.
                let donated = a[j] + self.weight * (b[j] - c[j]);
                *x = match self.frame.bounds {
                    Some(bounds) if donated < bounds.low() => 0.5 * (*x + bounds.low()),
                    Some(bounds) if donated > bounds.high() => 0.5 * (*x + bounds.high()),
                    _ => members::inside(donated, *x, self.frame.bounds),
                };
            }
        }
        trial
    }

    /// Three members other than `i` and each other.
    fn donors(&self, i: usize) -> [usize; 3] {
        let mut taken = vec![i];
        [0, 1, 2].map(|element| {
            let left = self.members.len() - taken.len();
            let mut donor = choose(&self.frame, i, element, left);
            // The place among those that are left becomes a place among all.
            taken.iter().for_each(|t| donor += usize::from(donor >= *t));
            taken.insert(taken.partition_point(|t| *t < donor), donor);
            donor
        })
    }
}

impl Strategy for DifferentialEvolution {
    fn ask(&self) -> Proposal {
        let law = Law::Explicit { dimension: self.frame.dimension, points: self.points() };
        self.frame.proposal(law)
    }

    fn tell(&mut self, fitness: &[Fitness]) {
        self.frame.check(fitness);
        if self.frame.generation == 0 {
            self.members.learn(fitness);
        } else if !shaping::is_flat(&[self.members.fitness(), fitness].concat()) {
            let trials = self.points();
            for (i, trial) in trials.chunks_exact(self.frame.dimension).enumerate() {
                // Selection, with the tie for the new one, so that plateaus are crossed.
                if shaping::matches(fitness[i], self.members.fitness()[i]) {
                    self.members.replace(i, trial, fitness[i]);
                }
            }
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
        let mut out = self.write();
        self.members.write(&mut out);
        seal(out)
    }

    /// With ranks in place of scores: members are only ever compared.
    fn state_hash(&self) -> StateHash {
        let mut out = self.write();
        self.members.write_ranks(&mut out);
        StateHash::of(&out.into_bytes())
    }

    fn scalars(&self) -> Vec<(&'static str, f64)> {
        vec![("spread", self.members.spread())]
    }

    fn exhausted(&self) -> Option<&'static str> {
        (self.members.spread() < self.tolx).then_some("tolx: all members are the same point but for `tolx`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies::yardstick::*;
    use tumble_domain::Value;

    fn build(population: u32, n: usize, bounds: Option<(f64, f64)>, seed: u64) -> DifferentialEvolution {
        DifferentialEvolution::try_new(order(&describe(), population, vec![3.0; n], bounds, seed, &[])).unwrap()
    }

    /// Worked out by a NumPy program of the formulas in the head, under the same noise: twelve generations on the ellipsoid,
    /// eight members of which one is dropped and one fails; members 0, 3 and 7, first from a normal law around 3, then
    /// within bounds.
    #[test]
    fn twelve_generations_are_those_of_the_formulas() {
        let mut de = build(8, 5, None, 42);
        (0..12).for_each(|_| tell_spoiled(&mut de, &ellipsoid));
        assert_near(
            &rows(de.members.points()),
            &[
                4.331658974289894,
                2.7043109881924465,
                2.5773930322320666,
                2.9241977208293974,
                -0.04070229298667982,
                4.73951686383225,
                2.7108150362037122,
                2.494620011482766,
                2.673694307100959,
                -0.2377903001906816,
                4.500013900687918,
                2.7111728009040235,
                2.5465627783560194,
                2.790076491597574,
                -0.19380504092259798,
            ],
        );
        let within = order(&describe(), 8, vec![0.0; 5], Some((-2.0, 3.5)), 42, &[]);
        let mut de = DifferentialEvolution::try_new(within).unwrap();
        (0..12).for_each(|_| tell_spoiled(&mut de, &ellipsoid));
        assert_near(
            &rows(de.members.points()),
            &[
                -0.2896732190347906,
                -0.27490548930528685,
                1.2271218721317254,
                -0.6189110672564186,
                -0.11780494299226542,
                -0.7640579253398267,
                1.0344592694905879,
                0.8122257913105518,
                0.6976096573642461,
                -0.09891508074323568,
                -0.8322194824609851,
                -0.5761470960664066,
                -0.30893694964623597,
                -0.1878226503994207,
                0.12451664956692327,
            ],
        );
    }

    /// From everywhere in [-5, 5]; n = 10.
    fn everywhere(seed: u64) -> Box<dyn Strategy> {
        Box::new(build(50, 10, Some((-5.0, 5.0)), seed))
    }

    /// Medians of a prototype in NumPy, 15 seeds.
    #[test]
    fn sphere_and_ellipsoid_take_as_many_evaluations_as_the_prototype() {
        check_median("sphere", &everywhere, &sphere, 1e-8, 11_100.0);
        check_median("ellipsoid", &everywhere, &ellipsoid, 1e-8, 15_100.0);
    }

    #[test]
    fn donors_are_three_others_and_every_one_as_often() {
        let mut de = build(7, 2, None, 1);
        let mut counts = [0; 7];
        for generation in 0..2000 {
            de.frame.generation = generation;
            let [a, b, c] = de.donors(3);
            assert!(a != b && b != c && a != c && ![a, b, c].contains(&3));
            [a, b, c].iter().for_each(|donor| counts[*donor] += 1);
        }
        // 1000 each; five standard deviations of a binomial count with n = 2000 and p = ½.
        assert!((0..7).all(|i| i == 3 || (888..=1112).contains(&counts[i])), "{counts:?}");
    }

    /// Without crossover one gene still comes from the donors, or the trial vector would be its parent.
    #[test]
    fn a_trial_vector_has_at_least_one_gene_of_its_donors() {
        let given = [("crossover", Value::Float(0.0))];
        let mut de = DifferentialEvolution::try_new(order(&describe(), 20, vec![3.0; 6], None, 4, &given)).unwrap();
        tell(&mut de, &sphere);
        let points = de.points();
        for (trial, member) in points.chunks(6).zip(de.members.points().chunks(6)) {
            assert_eq!(trial.iter().zip(member).filter(|(a, b)| a != b).count(), 1);
        }
    }

    #[test]
    fn a_tie_replaces_but_a_plateau_a_failure_and_a_drop_do_not() {
        let mut de = build(6, 3, None, 8);
        let score = Fitness::Scored;
        de.tell(&[1.0, 1.0, 1.0, 1.0, 1.0, 0.0].map(score));
        let (before, trials) = (de.members.points().to_vec(), de.points());
        let mut flat = de.clone();
        de.tell(&[score(1.0), score(0.5), Fitness::Worst, Fitness::Dropped, score(2.0), score(0.0)]);
        for (i, replaced) in [true, false, false, false, true, true].into_iter().enumerate() {
            let expected = if replaced { &trials } else { &before };
            assert_eq!(de.members.point(i), &expected[3 * i..3 * i + 3], "member {i}");
        }
        flat.members.learn(&[score(1.0); 6]);
        flat.tell(&[score(1.0); 6]);
        assert_eq!(flat.members.points(), before);
    }

    /// Where nothing selects, differences of differences would grow without end.
    #[test]
    fn a_landscape_without_a_slope_does_not_blow_the_members_up() {
        let mut de = build(20, 4, None, 2);
        for _ in 0..500 {
            tell(&mut de, &|_| 1.0);
        }
        assert!(de.members.spread() < 10.0, "{}", de.members.spread());
    }
}
