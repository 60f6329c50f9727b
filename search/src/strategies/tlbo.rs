//! TLBO: teaching-learning-based optimisation, a teacher phase and a learner phase in turn.
//!
//! Source: Rao, Savsani, Vakharia, "Teaching-learning-based optimization: a novel method for constrained mechanical design
//! optimization problems", Computer-Aided Design 43 (2011).
//!
//! Each phase evaluates everyone, so each is a generation of its own: 0 is the first population, odd ones are teacher
//! phases, even ones learner phases, and every evaluation is counted. All learners of a phase see the members as they were
//! before it, where the original changes them one after another; the removal of duplicates that some programs of it do is
//! left out.
//!
//! Beware: once the teacher is near the mean, a teaching factor of 2 makes the lesson `−mean`, a step to the origin. So the
//! method looks better than it is wherever the optimum lies at 0.

use tumble_domain::Fitness;

use super::frame::Frame;
use super::members::{self, Members, choose, dice};
use super::memory::Numbers;
use super::{Entry, Order, seal, snapshot_of};
use crate::codec::{Reader, Writer};
use crate::proposal::{Law, Proposal};
use crate::shaping;
use crate::strategy::{SnapshotError, StateHash, Strategy, StrategyDescription, StrategyError};

const NAME: &str = "tlbo";

pub(super) const POPULATION: u32 = 50;

/// A learner and another to learn from.
pub(super) const POPULATION_MIN: u32 = 2;

pub(super) const ENTRY: Entry = Entry {
    describe,
    population: |_, _| POPULATION,
    memory: |n, l, _| Numbers { state: l * n, proposal: l * n, scratch: l * n + n },
    build: |order| Ok(Box::new(Tlbo::try_new(order)?)),
    restore: |from| Ok(Box::new(Tlbo::restore(from)?)),
};

fn describe() -> StrategyDescription {
    StrategyDescription {
        name: NAME,
        summary: "teaching-learning-based optimisation: learners move towards the best one, then towards better peers",
        advice: "BEWARE: it drifts to the origin, so it shines on test functions whose optimum is at 0 and means little \
                 there: judge it on shifted ones; otherwise for a few dozen numbers inside bounds, with nothing to tune and \
                 noise averaged away by replicates; \
                 two generations, a teacher and a learner phase, are what papers call one",
        source: "Rao, Savsani, Vakharia, Computer-Aided Design 43 (2011)",
        cost: "O(λ n) time and memory for a generation; a proposal is 8 λ n bytes",
        memory: "state λ n, proposal λ n, an update λ n more",
        population: "50, whatever the dimension",
        parameters: vec![members::sigma(), members::tolx()],
    }
}

#[derive(Clone, Debug)]
struct Tlbo {
    frame: Frame,
    tolx: f64,
    members: Members,
}

impl Tlbo {
    fn try_new(order: Order) -> Result<Tlbo, StrategyError> {
        let frame = order.frame_of_members(NAME, POPULATION_MIN)?;
        let members = Members::new(frame.dimension, members::first_points(&order, 0));
        Ok(Tlbo { frame, tolx: order.settings.default_number("tolx"), members })
    }

    fn restore(from: &mut Reader<'_>) -> Result<Tlbo, SnapshotError> {
        let (frame, tolx) = (Frame::read(from, POPULATION_MIN)?, from.finite()?);
        Ok(Tlbo { members: Members::read(from, &frame)?, frame, tolx })
    }

    fn write(&self) -> Writer {
        let mut out = snapshot_of(NAME);
        self.frame.write(&mut out);
        out.f64(self.tolx);
        out
    }

    /// This generation's points, by rows.
    fn points(&self) -> Vec<f64> {
        match Phase::of(self.frame.generation) {
            Phase::First => self.members.points().to_vec(),
            Phase::Teacher => self.taught(),
            Phase::Learner => (0..self.members.len()).flat_map(|i| self.learned(i)).collect(),
        }
    }

    /// `x' = x + r (teacher − T_F mean)`, with T_F 1 or 2 for each learner and r for each element.
    fn taught(&self) -> Vec<f64> {
        let (teacher, mean) = (self.members.point(self.members.best()), self.members.mean());
        let mut points = self.members.points().to_vec();
        for (i, point) in points.chunks_exact_mut(mean.len()).enumerate() {
            let (factor, dice) = (teaching_factor(&self.frame, i), dice(&self.frame, 0, i));
            for (j, x) in point.iter_mut().enumerate() {
                *x = members::inside(*x + dice[j] * (teacher[j] - factor * mean[j]), *x, self.frame.bounds);
            }
        }
        points
    }

    /// `x' = x + r (x − peer)` if `x` is the better one, else `x' = x + r (peer − x)`.
    fn learned(&self, i: usize) -> Vec<f64> {
        let peer = choose(&self.frame, i, 0, self.members.len() - 1);
        let peer = peer + usize::from(peer >= i);
        let away = shaping::beats(self.members.fitness()[i], self.members.fitness()[peer]);
        learn_from(&self.frame, &self.members, i, peer, if away { -1.0 } else { 1.0 })
    }
}

/// What the learners of a generation do.
pub(super) enum Phase {
    First,
    Teacher,
    Learner,
}

impl Phase {
    pub(super) fn of(generation: u32) -> Phase {
        match generation {
            0 => Phase::First,
            odd if odd % 2 == 1 => Phase::Teacher,
            _ => Phase::Learner,
        }
    }
}

/// T_F.
pub(super) fn teaching_factor(frame: &Frame, learner: usize) -> f64 {
    1.0 + choose(frame, learner, 0, 2) as f64
}

/// Member `i`, moved towards the peer or, with a sign of -1, away from it.
pub(super) fn learn_from(frame: &Frame, members: &Members, i: usize, peer: usize, sign: f64) -> Vec<f64> {
    let (x, peer, dice) = (members.point(i), members.point(peer), dice(frame, 0, i));
    (0..x.len()).map(|j| members::inside(x[j] + dice[j] * (sign * (peer[j] - x[j])), x[j], frame.bounds)).collect()
}

/// Takes every point that is better than its member.
pub(super) fn keep_the_better(members: &mut Members, points: &[f64], fitness: &[Fitness]) {
    for (i, point) in points.chunks_exact(members.point(0).len()).enumerate() {
        if shaping::beats(fitness[i], members.fitness()[i]) {
            members.replace(i, point, fitness[i]);
        }
    }
}

impl Strategy for Tlbo {
    fn ask(&self) -> Proposal {
        let law = Law::Explicit { dimension: self.frame.dimension, points: self.points() };
        self.frame.proposal(law)
    }

    fn tell(&mut self, fitness: &[Fitness]) {
        self.frame.check(fitness);
        match Phase::of(self.frame.generation) {
            Phase::First => self.members.learn(fitness),
            _ => {
                let points = self.points();
                keep_the_better(&mut self.members, &points, fitness);
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

    fn build(population: u32, n: usize, bounds: Option<(f64, f64)>, seed: u64) -> Tlbo {
        Tlbo::try_new(order(&describe(), population, vec![3.0; n], bounds, seed, &[])).unwrap()
    }

    /// Worked out by a NumPy program of the formulas in the head, under the same noise: twelve generations on the ellipsoid,
    /// eight members of which one is dropped and one fails; members 0, 3 and 7, first from a normal law around 3, then
    /// within bounds.
    #[test]
    fn twelve_generations_are_those_of_the_formulas() {
        let mut tlbo = build(8, 5, None, 42);
        (0..12).for_each(|_| tell_spoiled(&mut tlbo, &ellipsoid));
        assert_near(
            &rows(tlbo.members.points()),
            &[
                4.758943717052071,
                -6.6800280591184675,
                1.3873546376197796,
                0.10242873163270416,
                -0.004111458713871863,
                7.799407489099396,
                -4.009557200764223,
                1.764854175423293,
                0.35561731047984324,
                -0.24912176179174672,
                1.8168197279647127,
                -5.754201977577893,
                -0.4411291189699304,
                -0.48587142901548175,
                0.25600444658621685,
            ],
        );
        let within = order(&describe(), 8, vec![0.0; 5], Some((-2.0, 3.5)), 42, &[]);
        let mut tlbo = Tlbo::try_new(within).unwrap();
        (0..12).for_each(|_| tell_spoiled(&mut tlbo, &ellipsoid));
        assert_near(
            &rows(tlbo.members.points()),
            &[
                -1.179866900845656,
                -0.15108997189819884,
                -0.18972421790545002,
                -0.36991869299312774,
                -0.15121302826738175,
                -1.3475666947401146,
                0.4839115561066176,
                -0.5070745225749396,
                -1.0292453094340939,
                0.02825969882855242,
                -0.015151222560956912,
                1.2775797121579822,
                0.5128041905613646,
                0.6391238982211817,
                0.12221407676408808,
            ],
        );
    }

    /// From everywhere in [-5, 5]; n = 10.
    fn everywhere(seed: u64) -> Box<dyn Strategy> {
        Box::new(build(50, 10, Some((-5.0, 5.0)), seed))
    }

    /// Medians of a prototype in NumPy, 15 seeds, counting both phases.
    #[test]
    fn sphere_and_ellipsoid_take_as_many_evaluations_as_the_prototype() {
        check_median("sphere", &everywhere, &sphere, 1e-8, 5450.0);
        check_median("ellipsoid", &everywhere, &ellipsoid, 1e-8, 7550.0);
    }

    /// The same sphere and the same box, moved by 20 in every element: nothing but the drift to the origin makes it dearer.
    /// Median of the prototype, 31 seeds.
    #[test]
    fn an_optimum_away_from_the_origin_takes_half_as_many_again() {
        let shifted = |x: &[f64]| x.iter().map(|x| (x - 20.0) * (x - 20.0)).sum();
        let away = |seed| -> Box<dyn Strategy> { Box::new(build(50, 10, Some((15.0, 25.0)), seed)) };
        check_median("shifted sphere", &away, &shifted, 1e-8, 8700.0);
    }

    #[test]
    fn phases_follow_each_other_and_only_something_better_is_kept() {
        let mut tlbo = build(6, 3, None, 8);
        let score = Fitness::Scored;
        tlbo.tell(&[score(1.0), score(2.0), Fitness::Worst, Fitness::Dropped, score(0.0), score(0.0)]);
        for generation in 1..=4 {
            let expected = if generation % 2 == 1 { tlbo.taught() } else { tlbo.points() };
            assert_eq!(matches!(Phase::of(generation), Phase::Teacher), generation % 2 == 1);
            let before = tlbo.members.points().to_vec();
            assert_eq!(tlbo.points(), expected);
            tlbo.tell(&[score(1.0), score(2.5), Fitness::Worst, Fitness::Worst, Fitness::Dropped, score(-1.0)]);
            for i in 0..6 {
                let kept = if i == 1 && generation == 1 { &expected } else { &before };
                assert_eq!(tlbo.members.point(i), &kept[3 * i..3 * i + 3], "member {i} in generation {generation}");
            }
        }
    }
}
