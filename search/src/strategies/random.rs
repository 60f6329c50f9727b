//! Random search: the baseline that every other strategy must beat.
//!
//! Source: Brooks, "A discussion of random methods for seeking maxima", Operations Research 6 (1958).

use tumble_domain::{Fitness, Seed};

use super::frame::unfolded;
use super::memory::Numbers;
use super::{Entry, Order, SIGMA_BOUNDS, number, seal, snapshot_of};
use crate::bounds::Bounds;
use crate::codec::Reader;
use crate::grain::Grain;
use crate::proposal::{DIMENSION_MAX, Law, Proposal, read_space, write_space};
use crate::shaping;
use crate::strategy::{SnapshotError, StateHash, Strategy, StrategyDescription};

const NAME: &str = "random";

/// Generations tell nothing here, so this only sets how often a row of the generations table is written.
const POPULATION: u32 = 64;

pub(super) const ENTRY: Entry = Entry {
    describe,
    population: |_, _| POPULATION,
    memory: |n, _, _| Numbers { state: n, proposal: n, scratch: 0 },
    build: |order| Ok(Box::new(Random::new(order))),
    restore: |from| Ok(Box::new(Random::restore(from)?)),
};

fn describe() -> StrategyDescription {
    StrategyDescription {
        name: NAME,
        summary: "random search: every candidate is drawn afresh, whatever was learned before",
        advice: "a baseline; also right when a handful of settings matter and nothing is known of the landscape",
        source: "Brooks, Operations Research 6 (1958)",
        cost: "O(λ n) time and O(n) memory for a generation",
        memory: "state n and proposal n around a start, nothing over bounds",
        population: "64, whatever the dimension",
        parameters: vec![number(
            "sigma",
            None,
            SIGMA_BOUNDS,
            "width of a normal law around the start; by default candidates are spread evenly over the bounds, and where \
             there are none the width is 1",
        )],
    }
}

#[derive(Clone, Debug)]
struct Random {
    seed: Seed,
    bounds: Option<Bounds>,
    population: u32,
    spread: Spread,
    grains: Vec<Grain>,
    generation: u32,
    best: Option<Best>,
}

#[derive(Clone, Debug)]
enum Spread {
    Even { dimension: usize },
    Normal { centre: Vec<f64>, sigma: f64 },
}

/// The fittest candidate so far.
#[derive(Clone, Copy, Debug)]
struct Best {
    generation: u32,
    candidate: u32,
    fitness: f64,
}

impl Random {
    fn new(order: Order) -> Random {
        let Order { seed, population, bounds, start, settings, grains, .. } = order;
        let spread = match (settings.number("sigma"), bounds) {
            (None, Some(_)) => Spread::Even { dimension: start.len() },
            (sigma, _) => Spread::Normal { centre: unfolded(&start, bounds, &grains), sigma: sigma.unwrap_or(1.0) },
        };
        Random { seed, bounds, population, spread, grains, generation: 0, best: None }
    }

    fn restore(from: &mut Reader<'_>) -> Result<Random, SnapshotError> {
        let seed = Seed(from.u64()?);
        let (bounds, grains) = read_space(from)?;
        let (population, generation) = (from.u32()?, from.u32()?);
        let dimension = from.u32()? as usize;
        if dimension == 0 || dimension > DIMENSION_MAX || !(grains.is_empty() || grains.len() == dimension) {
            return Err(SnapshotError::Damaged("the dimension is out of range"));
        }
        let spread = match from.u8()? {
            0 if bounds.is_some() => Spread::Even { dimension },
            1 => Spread::Normal { sigma: from.finite()?, centre: from.finites(dimension)? },
            _ => return Err(SnapshotError::Damaged("the kind of spread is unknown")),
        };
        let best = match from.bool()? {
            false => None,
            true => Some(Best { generation: from.u32()?, candidate: from.u32()?, fitness: from.finite()? }),
        };
        Ok(Random { seed, bounds, population, spread, grains, generation, best })
    }

    fn write(&self, with_score: bool) -> Vec<u8> {
        let mut out = snapshot_of(NAME);
        out.u64(self.seed.0);
        write_space(&mut out, self.bounds, &self.grains);
        out.u32(self.population);
        out.u32(self.generation);
        match &self.spread {
            Spread::Even { dimension } => {
                out.u32(*dimension as u32);
                out.u8(0);
            }
            Spread::Normal { centre, sigma } => {
                out.u32(centre.len() as u32);
                out.u8(1);
                out.f64(*sigma);
                out.f64s(centre);
            }
        }
        out.u8(u8::from(self.best.is_some()));
        if let Some(best) = self.best {
            out.u32(best.generation);
            out.u32(best.candidate);
            if with_score {
                out.f64(best.fitness);
            }
        }
        seal(out)
    }
}

impl Strategy for Random {
    fn ask(&self) -> Proposal {
        let law = match &self.spread {
            Spread::Even { dimension } => Law::Uniform { dimension: *dimension },
            Spread::Normal { centre, sigma } => Law::Isotropic { mean: centre.clone(), sigma: *sigma },
        };
        Proposal { seed: self.seed, generation: self.generation, candidates: self.population, bounds: self.bounds, law }
            .stepped(&self.grains)
    }

    fn tell(&mut self, fitness: &[Fitness]) {
        assert_eq!(fitness.len(), self.population as usize, "there is one fitness for each candidate");
        if let Some((candidate, score)) = shaping::fittest(fitness)
            && self.best.is_none_or(|best| score > best.fitness)
        {
            self.best = Some(Best { generation: self.generation, candidate: candidate as u32, fitness: score });
        }
        self.generation += 1;
    }

    fn generation(&self) -> u32 {
        self.generation
    }

    fn population(&self) -> u32 {
        self.population
    }

    fn snapshot(&self) -> Vec<u8> {
        self.write(true)
    }

    /// Without the best fitness: candidates never depend on it, and the hash then depends on ranks alone.
    fn state_hash(&self) -> StateHash {
        StateHash::of(&self.write(false))
    }

    fn scalars(&self) -> Vec<(&'static str, f64)> {
        vec![("best_generation", self.best.map_or(f64::NAN, |best| f64::from(best.generation)))]
    }
}
