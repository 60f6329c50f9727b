//! Where each trial of a run stands, computed from the run file alone.

use crate::range::TrialRange;
use crate::seed::Seed;
use crate::spec::{Plan, RunSpec, Sweep, TrialSeeds};

/// The fewest rows of a part of the trials table.
pub const PART_ROWS_MIN: u64 = 4 * 1024;
/// The most rows of a part.
pub const PART_ROWS_MAX: u64 = 1024 * 1024;
/// The rows of a part of a run whose candidates are given: how many there will be, only who gives them knows.
pub const PART_ROWS_GIVEN: u64 = 16 * 1024;
/// About how many parts a run has, between those bounds.
pub const PARTS_AIM: u64 = 64;

/// The shape of a run: how many generations of how many candidates under how many replicates.
///
/// A generation may have more or fewer candidates than the one before it: an evolution that restarts with a larger
/// population, a strategy that drops the worse half. What is known of that is the list of eras, which grows as
/// generations are told; the last era holds until the next one begins. The run file says how it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The most generations; of a sweep its rungs, or 1.
    pub generations: u64,
    /// Candidates of the first generation.
    pub candidates: u64,
    /// Trials of each candidate.
    pub replicates: u32,
    seed: Seed,
    trial_seeds: TrialSeeds,
    /// No generation begins after so many trials.
    budget: Option<u64>,
    part_rows: u64,
    /// Never empty, and by rising generation.
    eras: Vec<Era>,
}

/// Generations of equal population, from one on until the next era begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Era {
    /// Its first generation.
    pub generation: u32,
    /// The first trial of that generation.
    pub first_trial: u64,
    /// Candidates of each generation of it.
    pub candidates: u64,
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
        let (generations, candidates, trial_seeds, budget) = match &spec.plan {
            Plan::Evolve(evolve) => (
                u64::from(evolve.generations),
                u64::from(evolve.population.expect("a validated evolution has a population")),
                evolve.trial_seeds,
                evolve.stop.evaluations,
            ),
            Plan::Sweep(Sweep { stopping: Some(stopping), .. }) => {
                (stopping.rungs.len() as u64, points, TrialSeeds::Fresh, None)
            }
            Plan::Sweep(_) => (1, points, TrialSeeds::Fresh, None),
            Plan::SweepOfEvolutions(_, _) => (1, points, TrialSeeds::Fresh, None),
        };
        let eras = vec![Era { generation: 0, first_trial: 0, candidates }];
        let (replicates, seed) = (spec.replicates, spec.seed);
        let mut layout = Layout { generations, candidates, replicates, seed, trial_seeds, budget, part_rows: 0, eras };
        // Set here, before any era is learned: parts are cut where the run file alone says.
        layout.part_rows = match spec.plan.is_given() {
            true => PART_ROWS_GIVEN,
            false => layout.trials_expected().div_ceil(PARTS_AIM).clamp(PART_ROWS_MIN, PART_ROWS_MAX),
        };
        layout
    }

    /// The eras so far.
    pub fn eras(&self) -> &[Era] {
        &self.eras
    }

    /// The same run with these eras, as [`Layout::eras`] gave them; none stand for those of the run file.
    pub fn with_eras(mut self, eras: Vec<Era>) -> Layout {
        if !eras.is_empty() {
            self.eras = eras;
        }
        self
    }

    /// Takes note that `generation`, the first after those that are known, has so many candidates.
    pub fn begin(&mut self, generation: u32, candidates: u64) {
        let first_trial = self.generation(generation).start;
        let last = self.eras.last_mut().expect("there is always an era");
        if last.generation == generation {
            last.candidates = candidates;
        } else if last.candidates != candidates {
            self.eras.push(Era { generation, first_trial, candidates });
        }
    }

    /// The era of the first trial, or the last era that begins before it.
    fn era(&self, begins_by: impl Fn(&Era) -> bool) -> Era {
        self.eras[self.eras.partition_point(begins_by).saturating_sub(1)]
    }

    fn trials_per_generation(&self, era: Era) -> u64 {
        era.candidates * u64::from(self.replicates)
    }

    /// Trials of the whole run, if it reaches its last generation and the population stays as it is now.
    pub fn trials(&self) -> u64 {
        let last = *self.eras.last().expect("there is always an era");
        let generations = self.generations.saturating_sub(u64::from(last.generation));
        last.first_trial.saturating_add(self.trials_per_generation(last).saturating_mul(generations))
    }

    /// As [`Layout::trials`], or up to the end of the generation that spends the budget, if that comes first.
    pub fn trials_expected(&self) -> u64 {
        let last = *self.eras.last().expect("there is always an era");
        let per = self.trials_per_generation(last).max(1);
        let spent = |budget: u64| {
            let rest = budget.saturating_sub(last.first_trial);
            last.first_trial.saturating_add(rest.div_ceil(per).saturating_mul(per))
        };
        self.trials().min(self.budget.map_or(u64::MAX, spent))
    }

    /// The trials of one generation.
    pub fn generation(&self, generation: u32) -> TrialRange {
        let era = self.era(|era| era.generation <= generation);
        let per = self.trials_per_generation(era);
        let start = era.first_trial + per * u64::from(generation - era.generation);
        TrialRange::new(start, start + per)
    }

    /// Where a trial stands.
    pub fn address(&self, trial: u64) -> TrialAddress {
        let era = self.era(|era| era.first_trial <= trial);
        let per = self.trials_per_generation(era);
        let since = trial - era.first_trial;
        self.address_in(era.generation + (since / per) as u32, since % per)
    }

    /// Where trial number `within` of a generation stands: all that is to be known where only that generation is.
    pub fn address_in(&self, generation: u32, within: u64) -> TrialAddress {
        TrialAddress {
            generation,
            candidate: within / u64::from(self.replicates),
            replicate: (within % u64::from(self.replicates)) as u32,
        }
    }

    /// The seed that a trial is evaluated under.
    pub fn trial_seed(&self, at: TrialAddress) -> Seed {
        self.trial_seeds.seed(self.seed, at.generation, at.candidate, at.replicate)
    }

    /// The seed of a trial of a sweep with rungs: that of its point and replicate, at every rung the same, so that a later
    /// rung goes over the same ground as an earlier one and then on.
    pub fn rung_seed(&self, point: u64, replicate: u32) -> Seed {
        self.trial_seed(TrialAddress { generation: 0, candidate: point, replicate })
    }

    /// Rows of each part of the trials table but the last. They follow from the run file alone, whatever eras come.
    pub fn part_rows(&self) -> u64 {
        self.part_rows
    }

    /// The trials of part `part`, in a run that ends before trial `trials_end`.
    pub fn part(&self, part: u64, trials_end: u64) -> TrialRange {
        let rows = self.part_rows();
        TrialRange::new((part * rows).min(trials_end), ((part + 1) * rows).min(trials_end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe::{Direction, Objective};
    use crate::spec::{Evolve, Limits, Start, StopRule};

    fn layout(population: u32, generations: u32, replicates: u32, evaluations: Option<u64>) -> Layout {
        let evolve = Evolve {
            strategy: String::new(),
            population: Some(population),
            generations,
            settings: Vec::new(),
            axes: Vec::new(),
            start: Start::Middle,
            trial_seeds: TrialSeeds::Fresh,
            stop: StopRule { objective: None, evaluations },
        };
        let spec = RunSpec {
            code: None,
            bundle: None,
            name: String::new(),
            pipeline: String::new(),
            seed: Seed(7),
            replicates,
            objective: Objective { metric: String::new(), direction: Direction::Maximise },
            config: Vec::new(),
            plan: Plan::Evolve(evolve),
            limits: Limits::default(),
        };
        Layout::of(&spec, 0)
    }

    /// Populations of 4, 4, 10, 3, 3, 3, … under two replicates.
    fn changing() -> Layout {
        let mut layout = layout(4, 9, 2, None);
        for (generation, candidates) in [(0, 4), (1, 4), (2, 10), (3, 3), (4, 3), (5, 3)] {
            layout.begin(generation, candidates);
        }
        layout
    }

    #[test]
    fn every_trial_stands_once_where_its_generation_and_its_place_there_say() {
        let layout = changing();
        let mut trial = 0;
        for (generation, candidates) in (0..).zip([4, 4, 10, 3, 3, 3, 3]) {
            let range = layout.generation(generation);
            assert_eq!((range.start, range.len()), (trial, candidates * 2), "generation {generation}");
            for (candidate, replicate) in (0..candidates).flat_map(|c| [(c, 0), (c, 1)]) {
                let address = TrialAddress { generation, candidate, replicate };
                assert_eq!(layout.address(trial), address);
                assert_eq!(layout.address_in(generation, trial - range.start), address);
                trial += 1;
            }
        }
        let era = |generation, first_trial, candidates| Era { generation, first_trial, candidates };
        assert_eq!(layout.eras(), [era(0, 0, 4), era(2, 16, 10), era(3, 36, 3)]);
    }

    #[test]
    fn a_layout_with_the_eras_of_another_is_that_other() {
        let layout = changing();
        let again = super::tests::layout(4, 9, 2, None).with_eras(layout.eras().to_vec());
        assert_eq!(again, layout);
        assert_eq!(again.clone().with_eras(Vec::new()), layout);
    }

    #[test]
    fn a_first_generation_of_another_size_than_the_run_file_says_is_an_era_of_its_own() {
        let mut layout = layout(4, 9, 1, None);
        layout.begin(0, 6);
        assert_eq!(layout.generation(1), TrialRange::new(6, 12));
        assert_eq!(layout.eras().len(), 1);
    }

    #[test]
    fn the_trials_that_are_expected_follow_the_population_and_the_budget() {
        assert_eq!((changing().trials(), changing().trials_expected()), (36 + 6 * 6, 36 + 6 * 6));
        let mut layout = layout(4, 1000, 2, Some(50));
        assert_eq!((layout.trials(), layout.trials_expected()), (8000, 56));
        layout.begin(2, 10);
        assert_eq!(layout.trials_expected(), 16 + 2 * 20);
        layout.begin(4, 100);
        assert_eq!(layout.trials_expected(), 56, "the budget is spent already");
    }

    #[test]
    fn parts_are_cut_where_the_run_file_says_whatever_the_population_becomes() {
        let mut layout = layout(100, 10_000, 1, None);
        let rows = layout.part_rows();
        assert_eq!(rows, 1_000_000 / PARTS_AIM);
        layout.begin(1, 50_000);
        assert_eq!((layout.part_rows(), layout.part(2, u64::MAX)), (rows, TrialRange::new(2 * rows, 3 * rows)));
        let budgeted = super::tests::layout(100, 10_000, 1, Some(640_000));
        assert_eq!(budgeted.part_rows(), 10_000);
    }
}
