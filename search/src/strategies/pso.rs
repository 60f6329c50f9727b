//! PSO: particles that fly between their own best point and the swarm's.
//!
//! Sources: Kennedy, Eberhart, "Particle swarm optimization", ICNN 1995; Shi, Eberhart, "A modified particle swarm
//! optimizer", ICEC 1998, for the inertia; its constants and the first velocities as in Clerc, "Standard particle swarm
//! optimisation", 2012, hal-00764996 (SPSO 2006): inertia 1 / (2 ln 2), attraction ½ + ln 2.
//!
//! The form: one swarm, in which everyone knows the best point of all; every element has its own random factors; all
//! particles move at once, after the whole generation has been told. What is ours: what failed is never a best point, and a
//! velocity out of the floating point range is none.

use tumble_domain::Fitness;

use super::frame::Frame;
use super::members::{self, Members, dice};
use super::memory::Numbers;
use super::{Entry, Order, number, seal, snapshot_of};
use crate::bounds::Bounds;
use crate::codec::{Reader, Writer};
use crate::proposal::{Law, Proposal};
use crate::shaping;
use crate::strategy::{SnapshotError, StateHash, Strategy, StrategyDescription, StrategyError};

const NAME: &str = "pso";

const POPULATION: u32 = 40;

/// 1 / (2 ln 2).
pub(super) const INERTIA: f64 = 0.5 / std::f64::consts::LN_2;
/// ½ + ln 2.
pub(super) const ATTRACTION: f64 = 0.5 + std::f64::consts::LN_2;

pub(super) const ENTRY: Entry = Entry {
    describe,
    population: |_, _| POPULATION,
    memory: |n, l, _| Numbers { state: 3 * l * n, proposal: l * n, scratch: n },
    build: |order| Ok(Box::new(Pso::try_new(order)?)),
    restore: |from| Ok(Box::new(Pso::restore(from)?)),
};

fn describe() -> StrategyDescription {
    StrategyDescription {
        name: NAME,
        summary: "particle swarm: particles fly between their own best point and the swarm's",
        advice: "a few dozen numbers inside bounds; it moves along the axes, so it stalls on rotated and ill-conditioned \
                 valleys; it keeps what once scored well, so average away noise with replicates",
        source: "Kennedy, Eberhart, ICNN 1995; Clerc, hal-00764996 (constants)",
        cost: "O(λ n) time and memory for a generation; a proposal is 8 λ n bytes",
        memory: "state 3 λ n, proposal λ n, an update n more",
        population: "40, whatever the dimension",
        parameters: vec![
            members::sigma(),
            number("inertia", Some(INERTIA), (0.0, 1.0), "how much of its velocity a particle keeps; 1 / (2 ln 2)"),
            number("cognitive", Some(ATTRACTION), (0.0, 4.0), "pull towards its own best point; ½ + ln 2"),
            number("social", Some(ATTRACTION), (0.0, 4.0), "pull towards the swarm's best point; ½ + ln 2"),
            members::tolx(),
        ],
    }
}

#[derive(Clone, Debug)]
struct Pso {
    frame: Frame,
    inertia: f64,
    cognitive: f64,
    social: f64,
    tolx: f64,
    /// Where particles are, by rows.
    positions: Vec<f64>,
    velocities: Vec<f64>,
    /// Where each did best.
    bests: Members,
}

impl Pso {
    fn try_new(order: Order) -> Result<Pso, StrategyError> {
        let frame = order.frame_of_members(NAME, 1)?;
        let (positions, elsewhere) = (members::first_points(&order, 0), members::first_points(&order, 1));
        Ok(Pso {
            inertia: order.settings.default_number("inertia"),
            cognitive: order.settings.default_number("cognitive"),
            social: order.settings.default_number("social"),
            tolx: order.settings.default_number("tolx"),
            // Half way to another point.
            velocities: elsewhere.iter().zip(&positions).map(|(to, from)| 0.5 * (to - from)).collect(),
            bests: Members::new(frame.dimension, positions.clone()),
            positions,
            frame,
        })
    }

    fn restore(from: &mut Reader<'_>) -> Result<Pso, SnapshotError> {
        let frame = Frame::read(from, 1)?;
        let (inertia, cognitive, social, tolx) = (from.finite()?, from.finite()?, from.finite()?, from.finite()?);
        let bests = Members::read(from, &frame)?;
        let numbers = frame.population as usize * frame.dimension;
        let (positions, velocities) = (from.finites(numbers)?, from.finites(numbers)?);
        Ok(Pso { frame, inertia, cognitive, social, tolx, positions, velocities, bests })
    }

    fn write(&self) -> Writer {
        let mut out = snapshot_of(NAME);
        self.frame.write(&mut out);
        out.f64s(&[self.inertia, self.cognitive, self.social, self.tolx]);
        out
    }

    /// One flight of particle `i`: `v ← ω v + c₁ r₁ (p − x) + c₂ r₂ (g − x)`, then `x ← x + v`.
    fn fly(&mut self, i: usize, swarms_best: usize) {
        let n = self.frame.dimension;
        let (own, common) = (dice(&self.frame, 0, i), dice(&self.frame, 1, i));
        let (p, g) = (self.bests.point(i), self.bests.point(swarms_best));
        let row = i * n..(i + 1) * n;
        for (j, (x, v)) in self.positions[row.clone()].iter_mut().zip(&mut self.velocities[row]).enumerate() {
            let pull = self.cognitive * own[j] * (p[j] - *x) + self.social * common[j] * (g[j] - *x);
            (*x, *v) = moved(*x, self.inertia * *v + pull, self.frame.bounds);
        }
    }

    fn speed(&self) -> f64 {
        self.velocities.iter().fold(0.0, |fastest, v| fastest.max(v.abs()))
    }
}

/// Where a velocity leads, and what is left of it: at a bound nothing.
pub(super) fn moved(x: f64, velocity: f64, bounds: Option<Bounds>) -> (f64, f64) {
    let to = x + velocity;
    let inside = members::inside(to, x, bounds);
    (inside, if inside == to { velocity } else { 0.0 })
}

impl Strategy for Pso {
    fn ask(&self) -> Proposal {
        let law = Law::Explicit { dimension: self.frame.dimension, points: self.positions.clone() };
        self.frame.proposal(law)
    }

    fn tell(&mut self, fitness: &[Fitness]) {
        self.frame.check(fitness);
        for (i, position) in self.positions.chunks_exact(self.frame.dimension).enumerate() {
            if shaping::beats(fitness[i], self.bests.fitness()[i]) {
                self.bests.replace(i, position, fitness[i]);
            }
        }
        let swarms_best = self.bests.best();
        (0..self.bests.len()).for_each(|i| self.fly(i, swarms_best));
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
        self.bests.write(&mut out);
        out.f64s(&self.positions);
        out.f64s(&self.velocities);
        seal(out)
    }

    /// With ranks in place of scores: best points are only ever compared.
    fn state_hash(&self) -> StateHash {
        let mut out = self.write();
        self.bests.write_ranks(&mut out);
        out.f64s(&self.positions);
        out.f64s(&self.velocities);
        StateHash::of(&out.into_bytes())
    }

    fn scalars(&self) -> Vec<(&'static str, f64)> {
        vec![("spread", self.bests.spread()), ("speed", self.speed())]
    }

    fn exhausted(&self) -> Option<&'static str> {
        (self.bests.spread() < self.tolx && self.speed() < self.tolx)
            .then_some("tolx: all particles rest at the same point but for `tolx`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies::yardstick::*;

    fn build(population: u32, n: usize, bounds: Option<(f64, f64)>, seed: u64) -> Pso {
        Pso::try_new(order(&describe(), population, vec![3.0; n], bounds, seed, &[])).unwrap()
    }

    /// Worked out by a NumPy program of the formulas in the head, under the same noise: twelve generations on the ellipsoid,
    /// eight members of which one is dropped and one fails; members 0, 3 and 7, first from a normal law around 3, then
    /// within bounds.
    #[test]
    fn twelve_generations_are_those_of_the_formulas() {
        let mut pso = build(8, 5, None, 42);
        (0..12).for_each(|_| tell_spoiled(&mut pso, &ellipsoid));
        assert_near(
            &rows(&pso.positions),
            &[
                2.6607667521162988,
                3.1073710864210744,
                2.6907322944510965,
                2.2373699214702976,
                0.77565961456435,
                4.3780815139887945,
                5.517290327120218,
                2.5880408170796367,
                2.0377574219677372,
                0.520652906695197,
                3.057717909279553,
                6.075179078517639,
                2.5962597197365214,
                1.7059361999224671,
                -0.023225079063405527,
            ],
        );
        assert_near(
            &rows(&pso.velocities),
            &[
                -0.7910618888937441,
                0.7605511494020303,
                -0.041112907290778794,
                -1.0802646407307481,
                0.6761687259361129,
                0.27663118132268333,
                2.7133527843540386,
                0.003112171685656493,
                0.39680640707249193,
                0.13236390162247696,
                0.1919733423470956,
                -0.11116780530254351,
                0.06580322509758994,
                0.14504399484716665,
                0.00110670287101726,
            ],
        );
        assert_near(
            &rows(pso.bests.points()),
            &[
                3.4518286410100427,
                2.346819937019044,
                2.7318452017418755,
                3.3176345622010457,
                0.09949088862823707,
                4.905389197583984,
                3.440181997792906,
                2.504121909502561,
                2.1454857905909246,
                0.10694456141460063,
                2.8657445669324573,
                6.186346883820183,
                2.5304564946389316,
                1.5608922050753005,
                -0.024331781934422786,
            ],
        );
        let within = order(&describe(), 8, vec![0.0; 5], Some((-2.0, 3.5)), 42, &[]);
        let mut pso = Pso::try_new(within).unwrap();
        (0..12).for_each(|_| tell_spoiled(&mut pso, &ellipsoid));
        assert_near(
            &rows(&pso.positions),
            &[
                1.200260412124301,
                -1.5928585632745527,
                0.787694696841988,
                0.20805845748950177,
                -0.03831894366065386,
                1.3682486506647853,
                -1.6883780695500241,
                -0.113597657385866,
                0.10825604520067844,
                -0.1869773671289454,
                0.4926944881352653,
                3.383782893500984,
                3.0565999140194227,
                2.1198395245734623,
                -0.8540472107862795,
            ],
        );
        assert_near(
            &rows(&pso.velocities),
            &[
                -0.4620516283952382,
                -0.12483494471910014,
                -0.010290675554394604,
                0.32731754532858937,
                -0.2865020361691355,
                -0.0742618457762613,
                -0.2638378320442958,
                -0.09602146945274057,
                1.395469318324558,
                0.11960573575804659,
                0.06460703799971551,
                -0.11621710649901598,
                1.9464950582131693,
                1.27416425340388,
                -0.06243438916975213,
            ],
        );
        assert_near(
            &rows(pso.bests.points()),
            &[
                1.7052709794721874,
                -1.4138084765187984,
                1.0059559401318356,
                -0.22730259758654522,
                0.050927719567101126,
                1.429423808712977,
                -1.6300047214064308,
                0.2751430222076632,
                -0.6614151028481792,
                -0.06496900297304498,
                -0.44806415057742044,
                3.3940900611299236,
                2.9533371822570533,
                1.5448501739305105,
                -0.20012216962419715,
            ],
        );
    }

    /// From everywhere in [-5, 5]; n = 10.
    fn everywhere(seed: u64) -> Box<dyn Strategy> {
        Box::new(build(40, 10, Some((-5.0, 5.0)), seed))
    }

    /// Medians of a prototype in NumPy, 31 seeds. Without bounds beyond the first population it needs 7120 on the
    /// ellipsoid: a particle that stops at a bound loses its run-up.
    #[test]
    fn sphere_and_ellipsoid_take_as_many_evaluations_as_the_prototype() {
        check_median("sphere", &everywhere, &sphere, 1e-8, 4520.0);
        check_median("ellipsoid", &everywhere, &ellipsoid, 1e-8, 7600.0);
    }

    #[test]
    fn a_particle_that_reaches_a_bound_stops_there_in_that_element_alone() {
        let bounds = Some(Bounds::try_new(-1.0, 2.0).unwrap());
        assert_eq!(moved(1.5, 0.75, bounds), (2.0, 0.0));
        assert_eq!(moved(-0.5, -0.75, bounds), (-1.0, 0.0));
        assert_eq!(moved(1.5, 0.25, bounds), (1.75, 0.25));
        assert_eq!(moved(1.5, f64::INFINITY, None), (1.5, 0.0));
    }

    #[test]
    fn only_something_better_becomes_a_best_point() {
        let mut pso = build(3, 2, None, 5);
        let score = Fitness::Scored;
        let first = pso.positions.clone();
        pso.tell(&[score(1.0), Fitness::Worst, Fitness::Dropped]);
        assert_eq!(pso.bests.fitness(), [score(1.0), Fitness::Dropped, Fitness::Dropped]);
        let second = pso.positions.clone();
        pso.tell(&[score(1.0), score(-3.0), Fitness::Worst]);
        assert_eq!(pso.bests.points(), [&first[..2], &second[2..4], &first[4..]].concat());
    }

    #[test]
    fn a_swarm_at_rest_is_exhausted() {
        let mut pso = build(20, 3, Some((-5.0, 5.0)), 3);
        while pso.exhausted().is_none() {
            tell(&mut pso, &sphere);
            assert!(pso.generation() < 5000, "this search does not end");
        }
        assert!(pso.bests.point(0).iter().all(|x| x.abs() < 1e-8), "{:?}", pso.bests.point(0));
    }
}
