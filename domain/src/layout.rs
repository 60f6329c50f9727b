//! Where each trial of a run stands, computed from the run file alone.

use crate::range::TrialRange;
use crate::seed::Seed;
use crate::spec::{Plan, RunSpec, TrialSeeds};

/// The fewest rows of a part of the trials table.
pub const PART_ROWS_MIN: u64 = 4 * 1024;
/// The most rows of a part.
pub const PART_ROWS_MAX: u64 = 1024 * 1024;
/// About how many parts a run has, between those bounds.
pub const PARTS_AIM: u64 = 64;

/// The shape of a run: how many generations of how many candidates under how many replicates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layout {
    /// The most generations; 1 for a sweep.
    pub generations: u64,
    /// Candidates in each.
    pub candidates: u64,
    /// Trials of each candidate.
    pub replicates: u32,
    seed: Seed,
    trial_seeds: TrialSeeds,
}

/// Where a trial stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrialAddress {
    /// The generation; 0 in a sweep.
    pub generation: u32,
    /// The candidate within its generation.
    pub candidate: u64,
    /// The replicate of that candidate.
    pub replicate: u32,
}

impl Layout {
    /// The layout of a run whose design has `points` points (ignored for an evolution).
    ///
    /// # Panics
    /// If an evolution's population is unresolved; a validated spec has it.
    pub fn of(spec: &RunSpec, points: u64) -> Layout {
        let (generations, candidates, trial_seeds) = match &spec.plan {
            Plan::Evolve(evolve) => (
                u64::from(evolve.generations),
                u64::from(evolve.population.expect("a validated evolution has a population")),
                evolve.trial_seeds,
            ),
            Plan::Sweep(_) => (1, points, TrialSeeds::Fresh),
            Plan::SweepOfEvolutions(_, _) => (1, points, TrialSeeds::Fresh),
        };
        Layout { generations, candidates, replicates: spec.replicates, seed: spec.seed, trial_seeds }
    }

    /// Trials in each generation.
    pub fn trials_per_generation(&self) -> u64 {
        self.candidates * u64::from(self.replicates)
    }

    /// Trials of the whole run, if it reaches its last generation.
    pub fn trials(&self) -> u64 {
        self.trials_per_generation() * self.generations
    }

    /// The trials of one generation.
    pub fn generation(&self, generation: u32) -> TrialRange {
        let per = self.trials_per_generation();
        TrialRange::new(per * u64::from(generation), per * (u64::from(generation) + 1))
    }

    /// Where a trial stands.
    pub fn address(&self, trial: u64) -> TrialAddress {
        let per = self.trials_per_generation();
        let within = trial % per;
        TrialAddress {
            generation: (trial / per) as u32,
            candidate: within / u64::from(self.replicates),
            replicate: (within % u64::from(self.replicates)) as u32,
        }
    }

    /// The seed that a trial is evaluated under.
    pub fn trial_seed(&self, at: TrialAddress) -> Seed {
        self.trial_seeds.seed(self.seed, at.generation, at.candidate, at.replicate)
    }

    /// Rows of each part of the trials table but the last.
    pub fn part_rows(&self) -> u64 {
        self.trials().div_ceil(PARTS_AIM).clamp(PART_ROWS_MIN, PART_ROWS_MAX)
    }

    /// The trials of part `part`, in a run that ends before trial `trials_end`.
    pub fn part(&self, part: u64, trials_end: u64) -> TrialRange {
        let rows = self.part_rows();
        TrialRange::new((part * rows).min(trials_end), ((part + 1) * rows).min(trials_end))
    }
}
