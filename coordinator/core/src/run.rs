//! One run: what is durable of it, and how far it has come.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::Arc;

use tumble_domain::{
    Direction, Fitness, Layout, OnFailure, Outcomes, PipelineDescription, Plan, RangeSet, RunSpec, Status, TrialRange,
    fitness_of,
};
use tumble_search::shaping::fittest;
use tumble_search::{Design, Problem, Proposal, Space, StateHash, Strategy, Told, strategies};

use crate::event::RunId;
use crate::given::Answer;
use crate::lessons::Log;
use crate::record::{Champion, Checkpoint, Difference, GenerationRow, Reason};
use crate::runs::ReplayError;

/// The quantiles of the generations table.
pub const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// One run. Its fields change in [`crate::Runs::apply`] alone.
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The client's key.
    pub key: String,
    /// The run as it was understood.
    pub spec: Arc<RunSpec>,
    /// The pipeline that evaluates.
    pub pipeline: Arc<PipelineDescription>,
    /// What is recorded of a trial: the pipeline's metrics, or those of a whole evolution.
    pub recorded: Arc<PipelineDescription>,
    /// The canonical run file.
    pub run_toml: Arc<str>,
    /// Where its tables go.
    pub folder: PathBuf,
    /// When it was submitted, for people.
    pub submitted_unix_ms: u64,
    /// Where each trial stands.
    pub layout: Layout,
    /// How it stands.
    pub phase: Phase,
    /// The trials that are scored.
    pub done: RangeSet,
    /// How many of them failed.
    pub failed: u64,
    /// The table ends before this trial. It shrinks when the run ends early; where an evolution ends is known by then only.
    pub trials_end: u64,
    /// Parts of the trials table that stand on disk.
    pub parts: u64,
    /// The evolution, or the rungs of a sweep that has some.
    pub evolution: Option<Evolution>,
    /// The best objective so far, in its own direction.
    pub best: Option<f64>,
    /// Bytes sent to workers for it.
    pub bytes_down: u64,
    /// Bytes received.
    pub bytes_up: u64,
    /// Trials whose evaluations differed.
    pub disagreements: u64,
    /// The first of them.
    pub differing: Vec<Difference>,
    /// How often a worker's replica of the strategy had drifted, and was made anew.
    pub resyncs: u64,
    /// Of a run whose candidates are given: the outcomes of the last generation that closed.
    pub answer: Option<Answer>,
    /// A trial of a sweep failed and `on_failure` is `abort`: the table ends with it.
    pub(crate) aborted: bool,
    pub(crate) checkpoint_generation: u32,
    pub(crate) objective_metric: usize,
    pub(crate) direction: Direction,
}

/// How a run stands. What is volatile, such as who evaluates it, is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Trials are to be evaluated.
    Open,
    /// Nothing more will be evaluated; tables are being completed.
    Ending(Reason),
    /// All tables are complete.
    Finished(Reason),
    /// Stopped, to be resumed.
    Suspended(String),
}

/// A population that evolves.
pub struct Evolution {
    pub(crate) strategy: Box<dyn Strategy>,
    /// What the open generation tries.
    pub(crate) proposal: Proposal,
    encoded: Arc<[u8]>,
    hash: StateHash,
    state_hash: StateHash,
    /// Made when a worker needs it, and once for all that do.
    snapshot: OnceCell<Arc<[u8]>>,
    /// What leads here from the last generations.
    pub(crate) log: Log,
    /// The objective of each trial of the open generation: `None` until it scored with a number.
    tally: Vec<Option<f64>>,
    failed: u64,
    /// Where a client gives candidates: outcomes of the open generation, which it is answered with.
    pub(crate) pieces: Vec<(TrialRange, Arc<Outcomes>)>,
    /// The best candidate so far.
    pub champion: Option<Champion>,
}

impl Evolution {
    fn new(strategy: Box<dyn Strategy>, replicates: u32) -> Evolution {
        let trials = u64::from(strategy.population()) * u64::from(replicates);
        let proposal = strategy.ask();
        let encoded: Arc<[u8]> = proposal.encode().into();
        let hash = StateHash::of(&encoded);
        let state_hash = strategy.state_hash();
        Evolution {
            strategy,
            proposal,
            encoded,
            hash,
            state_hash,
            snapshot: OnceCell::new(),
            log: Log::default(),
            tally: vec![None; trials as usize],
            failed: 0,
            pieces: Vec::new(),
            champion: None,
        }
    }

    /// The open generation.
    pub fn generation(&self) -> u32 {
        self.strategy.generation()
    }

    /// Candidates of the open generation; none while a client has to give them.
    pub fn candidates(&self) -> u32 {
        self.strategy.population()
    }

    /// Takes the candidates of the open generation from a client.
    pub(crate) fn give(&mut self, points: &[f64], replicates: u32) {
        let mut strategy = std::mem::replace(&mut self.strategy, Box::new(Nothing));
        strategy.take(points);
        let champion = self.champion.take();
        *self = Evolution { champion, ..Evolution::new(strategy, replicates) };
    }

    /// The encoded proposal of the open generation and its hash.
    pub fn proposal(&self) -> (Arc<[u8]>, StateHash) {
        (self.encoded.clone(), self.hash)
    }

    /// The hash of the strategy's state in the open generation.
    pub fn state_hash(&self) -> StateHash {
        self.state_hash
    }

    /// The strategy's snapshot in the open generation.
    pub(crate) fn snapshot(&self) -> Arc<[u8]> {
        self.snapshot.get_or_init(|| self.strategy.snapshot().into()).clone()
    }

    /// Bytes that are kept of what the strategy was told in generations that are over.
    pub fn told_bytes(&self) -> usize {
        self.log.bytes()
    }

    fn tell(&mut self, fitness: &[Fitness], replicates: u32) {
        let (generation, told) = (self.generation(), Told::of(self.strategy.told_as(), fitness));
        let mut log = std::mem::take(&mut self.log);
        self.strategy.tell(fitness);
        let champion = self.champion.take();
        let strategy = std::mem::replace(&mut self.strategy, Box::new(Nothing));
        *self = Evolution { champion, ..Evolution::new(strategy, replicates) };
        log.push(generation, told, self.state_hash, self.encoded.len());
        self.log = log;
    }
}

/// Stands in for a strategy that is being moved; nobody ever sees it.
struct Nothing;

impl Strategy for Nothing {
    fn ask(&self) -> Proposal {
        unreachable!("nobody asks a strategy that is being moved")
    }
    fn tell(&mut self, _: &[Fitness]) {}
    fn generation(&self) -> u32 {
        0
    }
    fn population(&self) -> u32 {
        0
    }
    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }
    fn scalars(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }
}

impl Run {
    /// A run as it is when it has just been submitted.
    ///
    /// # Panics
    /// If the spec was not validated against the pipeline.
    pub(crate) fn new(
        id: RunId,
        key: String,
        spec: Arc<RunSpec>,
        pipeline: Arc<PipelineDescription>,
        run_toml: Arc<str>,
        folder: PathBuf,
        submitted_unix_ms: u64,
    ) -> Run {
        let points = spec.plan.sweep().map_or(0, |sweep| {
            Design::try_new(sweep, spec.seed).expect("a validated sweep has a design that stands").points()
        });
        let mut layout = Layout::of(&spec, points);
        let recorded = Arc::new(pipeline.recorded(&spec.plan, &spec.objective));
        let objective = match &spec.plan {
            Plan::SweepOfEvolutions(..) => &recorded.objective,
            _ => &spec.objective,
        };
        let objective_metric =
            recorded.metric_index(&objective.metric).expect("a validated objective is one of the metrics");
        let direction = objective.direction;
        let evolution = match &spec.plan {
            Plan::Evolve(evolve) => {
                let problem = Problem::of(evolve, &pipeline, &spec.config, spec.seed)
                    .expect("a validated evolution has a space to search");
                let strategy = strategies::build(evolve, &problem).expect("a validated evolution can be built");
                // One that waits for a client has nothing to begin with.
                if strategy.population() > 0 {
                    layout.begin(0, u64::from(strategy.population()));
                }
                Some(Evolution::new(strategy, spec.replicates))
            }
            Plan::Sweep(sweep) => sweep.stopping.as_ref().map(|stopping| {
                let strategy = strategies::rungs(stopping, points).expect("a validated sweep has rungs that stand");
                Evolution::new(strategy, spec.replicates)
            }),
            Plan::SweepOfEvolutions(..) => None,
        };
        Run {
            // An evolution's population may grow, so that nobody knows yet how many trials it will have.
            trials_end: if evolution.is_some() { u64::MAX } else { layout.trials() },
            id,
            key,
            spec,
            pipeline,
            recorded,
            run_toml,
            folder,
            submitted_unix_ms,
            layout,
            phase: Phase::Open,
            done: RangeSet::new(),
            failed: 0,
            parts: 0,
            evolution,
            best: None,
            bytes_down: 0,
            bytes_up: 0,
            disagreements: 0,
            differing: Vec::new(),
            resyncs: 0,
            answer: None,
            aborted: false,
            checkpoint_generation: 0,
            objective_metric,
            direction,
        }
    }

    /// The open generation; 0 for a sweep.
    pub fn generation(&self) -> u32 {
        self.evolution.as_ref().map_or(0, Evolution::generation)
    }

    /// About how many generations there will be yet, the open one among them; at least 1.
    pub(crate) fn generations_left(&self) -> u64 {
        let open = self.layout.generation(self.generation());
        let expected = self.layout.trials_expected();
        (expected.saturating_sub(open.start) / open.len().max(1)).max(1)
    }

    /// The trials that can be evaluated now: those of the open generation.
    pub fn scope(&self) -> TrialRange {
        let mut generation = self.layout.generation(self.generation());
        if self.waits() {
            // How many there will be, nobody knows yet.
            generation.end = generation.start;
        }
        generation.intersection(TrialRange::new(0, self.trials_end))
    }

    /// The trials of the scope that are not scored.
    pub(crate) fn open_trials(&self) -> RangeSet {
        let mut open = RangeSet::new();
        open.insert(self.scope());
        self.done.iter().for_each(|range| open.remove(range));
        open
    }

    /// What is recorded of a trial of the open generation that nobody could score: what it was given of the axes that are
    /// searched, and no metric.
    pub(crate) fn unscored(&self, trial: u64) -> Vec<f64> {
        let mut values = vec![f64::NAN; self.recorded.metrics.len()];
        if self.spec.plan.stopping().is_some() {
            values[0] = self.evolution.as_ref().map_or(f64::NAN, |evolution| {
                let mut point = [f64::NAN];
                evolution.proposal.candidate(self.layout.address(trial).candidate as u32, &mut point);
                point[0]
            });
            return values;
        }
        let axes = self.spec.plan.evolved_axes();
        if let (Some(evolution), false) = (&self.evolution, axes.is_empty()) {
            let mut point = vec![0.0; axes.len()];
            evolution.proposal.candidate(self.layout.address(trial).candidate as u32, &mut point);
            let space = Space::try_new(axes).expect("a validated evolution has a space to search");
            space.reported(&point, &mut values[..axes.len()]);
        }
        values
    }

    /// Whether every trial of the open generation is scored.
    pub(crate) fn generation_is_complete(&self) -> bool {
        !self.waits() && self.done.contains(self.scope())
    }

    /// The range of the next part to write, if all of it is scored. Parts are written in order, so what stands on disk
    /// is always a true prefix.
    pub(crate) fn part_ready(&self) -> Option<(u64, TrialRange)> {
        let range = self.layout.part(self.parts, self.trials_end);
        let ended = !matches!(self.phase, Phase::Open | Phase::Suspended(_));
        let cut_is_sure = ended || range.len() == self.layout.part_rows() || self.evolution.is_none();
        (!range.is_empty() && cut_is_sure && self.done.contains(range)).then_some((self.parts, range))
    }

    /// The trials whose part stands on disk: `0..` this.
    pub fn written_end(&self) -> u64 {
        (self.parts * self.layout.part_rows()).min(self.trials_end)
    }

    /// The first trial of `outcomes` that the policy `abort` ends a sweep at.
    fn aborting_offset(&self, outcomes: &Outcomes) -> Option<u64> {
        if self.spec.limits.on_failure != OnFailure::Abort || self.evolution.is_some() {
            return None;
        }
        (0..outcomes.trials as usize)
            .find(|t| outcomes.status(*t) != Status::Scored || !outcomes.value(self.objective_metric, *t).is_finite())
            .map(|t| t as u64)
    }

    pub(crate) fn apply_scored(&mut self, range: TrialRange, outcomes: &Outcomes) {
        self.done.insert(range);
        self.failed += outcomes.failed();
        if let Some(offset) = self.aborting_offset(outcomes) {
            // The table ends with the first failed trial by index, whichever was met first: so it is the same for any
            // number of workers.
            self.trials_end = self.trials_end.min(range.start + offset + 1);
            self.aborted = true;
        }
        let (metric, direction) = (self.objective_metric, self.direction);
        let values = (0..outcomes.trials as usize)
            .map(|t| (outcomes.status(t) == Status::Scored).then(|| outcomes.value(metric, t)));
        match &mut self.evolution {
            Some(evolution) => {
                let scope_start = self.layout.generation(evolution.generation()).start;
                evolution.failed += outcomes.failed();
                for (offset, value) in values.enumerate() {
                    evolution.tally[(range.start - scope_start) as usize + offset] = value;
                }
            }
            None => {
                for value in values.flatten().filter(|v| v.is_finite()) {
                    if self.best.is_none_or(|best| direction.turn(value) > direction.turn(best)) {
                        self.best = Some(value);
                    }
                }
            }
        }
    }

    /// The fitness of every candidate of the open generation, or which trial the policy `abort` ends the run at.
    fn generation_fitness(&self) -> Result<Vec<Fitness>, u64> {
        let evolution = self.evolution.as_ref().expect("only an evolution has generations");
        let replicates = self.spec.replicates as usize;
        let scope = self.scope();
        let on_failure = self.spec.limits.on_failure;
        evolution
            .tally
            .chunks(replicates)
            .enumerate()
            .map(|(candidate, tally)| {
                fitness_of(tally.iter().copied(), self.direction, on_failure)
                    .map_err(|at| scope.start + (candidate * replicates) as u64 + u64::from(at.replicate))
            })
            .collect()
    }

    /// The row of the open generation, whose trials are all scored; or the trial that the policy `abort` ends the run at.
    pub(crate) fn generation_row(&self) -> Result<GenerationRow, u64> {
        let fitness = self.generation_fitness()?;
        let evolution = self.evolution.as_ref().expect("only an evolution has generations");
        let best = fittest(&fitness);
        let mut values: Vec<f64> = fitness.iter().filter_map(|f| f.score()).map(|f| self.direction.turn(f)).collect();
        let mean = if values.is_empty() { f64::NAN } else { values.iter().sum::<f64>() / values.len() as f64 };
        values.sort_by(f64::total_cmp);
        Ok(GenerationRow {
            generation: evolution.generation(),
            evaluations: self.scope().end,
            failed: evolution.failed,
            best: best.map_or(f64::NAN, |(_, fitness)| self.direction.turn(fitness)),
            mean,
            quantiles: QUANTILES.map(|q| quantile(&values, q)),
            // A rung's table calls its candidates by their points.
            best_candidate: best
                .map(|(candidate, _)| evolution.proposal.point(candidate as u32).unwrap_or(candidate as u32)),
            state_hash: evolution.state_hash,
            scalars: evolution.strategy.scalars().into_iter().map(|(_, value)| value).collect(),
        })
    }

    /// Tells the strategy, and keeps the champion: its vector is made from the proposal that is at hand, live as on
    /// replay, so that no record carries it.
    pub(crate) fn apply_generation_closed(&mut self, row: &GenerationRow) -> Result<(), ReplayError> {
        let drifted = || ReplayError::Drifted { run: self.id.clone(), generation: row.generation };
        let fitness = self.generation_fitness().map_err(|_| drifted())?;
        let direction = self.direction;
        let known = self.evolution.as_ref().is_some_and(|evolution| {
            evolution.generation() == row.generation && evolution.state_hash == row.state_hash
        });
        let Some(evolution) = self.evolution.as_mut().filter(|_| known) else { return Err(drifted()) };
        if self.spec.plan.stopping().is_some() {
            // Rungs are not compared with each other: the champion is that of the last one.
            evolution.champion = None;
            self.best = None;
        }
        let beaten = |fitness: f64| evolution.champion.as_ref().is_none_or(|champion| fitness > champion.fitness);
        if let Some((candidate, fitness)) = fittest(&fitness).filter(|(_, fitness)| beaten(*fitness)) {
            let mut genome = vec![0.0; evolution.proposal.dimension()];
            let candidate = candidate as u32;
            evolution.proposal.candidate(candidate, &mut genome);
            evolution.champion = Some(Champion { generation: row.generation, candidate, fitness, genome });
            self.best = Some(direction.turn(fitness));
        }
        self.make_answer();
        let evolution = self.evolution.as_mut().expect("it was there");
        evolution.tell(&fitness, self.layout.replicates);
        if evolution.candidates() > 0 {
            self.layout.begin(evolution.generation(), u64::from(evolution.candidates()));
        }
        Ok(())
    }

    /// Why the run ends now that its last closed generation is told, if it does.
    pub fn stop_reason(&self) -> Option<Reason> {
        let evolution = self.evolution.as_ref()?;
        if let Some(stopping) = self.spec.plan.stopping() {
            let left = || evolution.strategy.exhausted().map(|why| Reason::Exhausted(why.to_owned()));
            let is_last = evolution.generation() as usize >= stopping.rungs.len();
            return if is_last { Some(Reason::Complete) } else { left() };
        }
        let Plan::Evolve(evolve) = &self.spec.plan else { return None };
        let reached =
            |target: f64| self.best.is_some_and(|best| self.direction.turn(best) >= self.direction.turn(target));
        let spent = self.layout.generation(evolution.generation()).start;
        if evolve.stop.objective.is_some_and(reached) {
            Some(Reason::ObjectiveReached)
        } else if evolution.generation() >= evolve.generations {
            Some(Reason::Complete)
        } else if evolve.stop.evaluations.is_some_and(|budget| spent >= budget) {
            Some(Reason::BudgetSpent)
        } else {
            evolution.strategy.exhausted().map(|why| Reason::Exhausted(why.to_owned()))
        }
    }

    /// The columns that the strategy adds to the generations table.
    pub fn scalar_names(&self) -> Vec<&'static str> {
        let evolution = self.evolution.as_ref();
        evolution.map_or(Vec::new(), |e| e.strategy.scalars().into_iter().map(|(name, _)| name).collect())
    }

    /// What stands for everything that led here.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            done: self.done.iter().collect(),
            failed: self.failed,
            parts: self.parts,
            trials_end: self.trials_end,
            eras: self.layout.eras().to_vec(),
            strategy: self.evolution.as_ref().map_or(Vec::new(), |e| e.snapshot().to_vec()),
            champion: self.evolution.as_ref().and_then(|e| e.champion.clone()),
            best: self.best,
            bytes_down: self.bytes_down,
            bytes_up: self.bytes_up,
            disagreements: self.disagreements,
            differing: self.differing.clone(),
            resyncs: self.resyncs,
            answer: self.answer.clone(),
        }
    }

    /// The checkpoint of a sweep that has to evaluate some of its trials again, for what was recorded of them is lost:
    /// parts are written again from the first that is not `parts` any more. `None` where the trials were made from a state
    /// that is gone, or the end was decided from them: there everything is evaluated again.
    pub fn checkpoint_without(&self, lost: &RangeSet, parts: u64) -> Option<Checkpoint> {
        let ended_otherwise =
            !matches!(&self.phase, Phase::Open | Phase::Suspended(_) | Phase::Ending(Reason::Complete));
        if self.evolution.is_some() || self.aborted || ended_otherwise {
            return None;
        }
        let mut done = self.done.clone();
        lost.iter().for_each(|range| done.remove(range));
        Some(Checkpoint { done: done.iter().collect(), parts: parts.min(self.parts), ..self.checkpoint() })
    }

    pub(crate) fn apply_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), ReplayError> {
        self.done = RangeSet::new();
        checkpoint.done.iter().for_each(|range| self.done.insert(*range));
        self.failed = checkpoint.failed;
        self.parts = checkpoint.parts;
        self.trials_end = checkpoint.trials_end;
        self.best = checkpoint.best;
        self.bytes_down = checkpoint.bytes_down;
        self.bytes_up = checkpoint.bytes_up;
        self.disagreements = checkpoint.disagreements;
        self.differing.clone_from(&checkpoint.differing);
        self.resyncs = checkpoint.resyncs;
        self.answer.clone_from(&checkpoint.answer);
        if self.evolution.is_some() {
            let strategy = strategies::restore(&checkpoint.strategy)
                .map_err(|why| ReplayError::Snapshot { run: self.id.clone(), why })?;
            self.checkpoint_generation = strategy.generation();
            let champion = checkpoint.champion.clone();
            self.layout = self.layout.clone().with_eras(checkpoint.eras.clone());
            self.evolution = Some(Evolution { champion, ..Evolution::new(strategy, self.layout.replicates) });
        }
        Ok(())
    }
}

/// The quantile `q` of sorted numbers, by linear interpolation (type 7 of Hyndman and Fan 1996, as NumPy's default).
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = q * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tumble_domain::{
        Axis, AxisTarget, AxisValues, Era, Evolve, Genome, GenomeLength, Kind, Limits, Metric, Objective, Parameter,
        Seed, Start, StopRule, Stopping, StoppingRule, Sweep, TrialSeeds, Value,
    };

    /// Its population is another in every generation.
    struct Breathing {
        generation: u32,
        evolve: Evolve,
        told: Vec<usize>,
    }

    /// The candidates of generation 0, 1, 2, 3 and those after.
    const POPULATIONS: [u32; 5] = [4, 4, 9, 2, 5];

    impl Strategy for Breathing {
        fn ask(&self) -> Proposal {
            let evolve = Evolve { population: Some(self.population()), ..self.evolve.clone() };
            let problem = Problem {
                dimension: 2,
                shapes: Vec::new(),
                bounds: None,
                start: Start::Middle,
                seed: Seed(1),
                grains: vec![],
            };
            strategies::build(&evolve, &problem).expect("it can be built").ask()
        }
        fn tell(&mut self, fitness: &[Fitness]) {
            assert_eq!(fitness.len(), self.population() as usize);
            self.told.push(fitness.len());
            self.generation += 1;
        }
        fn generation(&self) -> u32 {
            self.generation
        }
        fn population(&self) -> u32 {
            POPULATIONS[(self.generation as usize).min(4)]
        }
        fn snapshot(&self) -> Vec<u8> {
            self.generation.to_le_bytes().into()
        }
        fn scalars(&self) -> Vec<(&'static str, f64)> {
            Vec::new()
        }
    }

    fn evolve(population: u32, evaluations: Option<u64>) -> Evolve {
        Evolve {
            strategy: "random".into(),
            population: Some(population),
            generations: 6,
            settings: Vec::new(),
            start: Start::Middle,
            trial_seeds: TrialSeeds::Fresh,
            stop: StopRule { objective: None, evaluations },
            axes: Vec::new(),
        }
    }

    /// Two replicates of each candidate, by a strategy whose population changes.
    fn breathing(evaluations: Option<u64>) -> Run {
        let metric = Metric { name: "height".into(), unit: String::new(), summary: String::new() };
        let pipeline = PipelineDescription {
            name: "walk".into(),
            version: 1,
            summary: String::new(),
            source: String::new(),
            parameters: Vec::new(),
            metrics: vec![metric],
            objective: Objective { metric: "height".into(), direction: Direction::Maximise },
            prolongs: None,
            genome: Some(Genome {
                name: "x".into(),
                length: GenomeLength::Fixed(2),
                bounds: None,
                summary: String::new(),
            }),
        };
        let spec = RunSpec {
            code: None,
            bundle: None,
            name: "walk".into(),
            pipeline: "walk".into(),
            seed: Seed(1),
            replicates: 2,
            objective: pipeline.objective.clone(),
            config: Vec::new(),
            plan: Plan::Evolve(evolve(POPULATIONS[0], evaluations)),
            limits: Limits::default(),
        };
        let id = RunId("walk-1".into());
        let mut run = Run::new(id, String::new(), Arc::new(spec), Arc::new(pipeline), "".into(), PathBuf::new(), 0);
        let strategy = Breathing { generation: 0, evolve: evolve(4, None), told: Vec::new() };
        run.evolution = Some(Evolution::new(Box::new(strategy), 2));
        run
    }

    /// Scores every trial of the open generation and closes it.
    fn close(run: &mut Run) -> GenerationRow {
        let scope = run.scope();
        let values = (scope.start..scope.end).map(|trial| (trial % 7) as f64).collect();
        let outcomes = Outcomes { trials: scope.len() as u32, metrics: 1, values, ..Outcomes::default() };
        run.apply_scored(scope, &outcomes);
        assert!(run.generation_is_complete());
        let row = run.generation_row().expect("every trial scored");
        run.apply_generation_closed(&row).expect("it is the row of the open generation");
        row
    }

    #[test]
    fn a_population_that_changes_from_generation_to_generation_has_every_trial_once() {
        let mut run = breathing(None);
        let mut first = 0;
        for (generation, population) in POPULATIONS.into_iter().chain([5]).enumerate() {
            let scope = run.scope();
            assert_eq!((scope.start, scope.len()), (first, u64::from(population) * 2), "generation {generation}");
            assert_eq!(run.stop_reason(), None);
            assert_eq!(close(&mut run).evaluations, scope.end);
            first = scope.end;
        }
        assert_eq!(run.stop_reason(), Some(Reason::Complete));
        let last = run.layout.address(first - 1);
        assert_eq!((last.generation, last.candidate, last.replicate), (5, 4, 1));
    }

    #[test]
    fn no_generation_begins_after_the_evaluations_are_spent_however_many_candidates_it_has() {
        for (evaluations, generations) in [(8, 1), (9, 2), (17, 3), (34, 3), (35, 4), (39, 5)] {
            let mut run = breathing(Some(evaluations));
            while run.stop_reason().is_none() {
                close(&mut run);
            }
            assert_eq!((run.stop_reason(), run.generation()), (Some(Reason::BudgetSpent), generations));
        }
    }

    #[test]
    fn a_checkpoint_brings_back_where_generations_begin() {
        let mut run = breathing(None);
        (0..3).for_each(|_| drop(close(&mut run)));
        let mut checkpoint = run.checkpoint();
        let era = |generation, first_trial, candidates| Era { generation, first_trial, candidates };
        assert_eq!(checkpoint.eras, [era(0, 0, 4), era(2, 16, 9), era(3, 34, 2)]);
        // A strategy of the shelf stands in for what the shelf does not know.
        let problem = Problem {
            dimension: 2,
            shapes: Vec::new(),
            bounds: None,
            start: Start::Middle,
            seed: Seed(1),
            grains: vec![],
        };
        let mut strategy = strategies::build(&evolve(2, None), &problem).expect("it can be built");
        (0..3).for_each(|_| strategy.tell(&[Fitness::Worst; 2]));
        checkpoint.strategy = strategy.snapshot();
        let mut again = breathing(None);
        again.apply_checkpoint(&checkpoint).expect("it is read");
        assert_eq!((again.layout.clone(), again.scope()), (run.layout.clone(), run.scope()));
        assert_eq!(close(&mut again).evaluations, 38);
        // A version whose populations never changed wrote no eras.
        let mut old = breathing(None);
        old.apply_checkpoint(&Checkpoint { eras: Vec::new(), ..checkpoint }).expect("it is read");
        assert_eq!(old.scope().start, 3 * 8);
    }

    /// An evolution over a whole number, and the pipeline that takes it.
    fn over_a_whole_number() -> (RunSpec, PipelineDescription) {
        let objective = Objective { metric: "height".into(), direction: Direction::Maximise };
        let pipeline = PipelineDescription {
            name: "walk".into(),
            version: 1,
            summary: String::new(),
            source: String::new(),
            parameters: vec![Parameter {
                name: "steps".into(),
                kind: Kind::Integer,
                unit: String::new(),
                default: Some(Value::Integer(1)),
                bounds: None,
                choices: Vec::new(),
                summary: String::new(),
            }],
            metrics: vec![Metric { name: "height".into(), unit: String::new(), summary: String::new() }],
            objective: objective.clone(),
            prolongs: None,
            genome: None,
        };
        let values = AxisValues::Integers { from: 5, to: 8 };
        let evolve = Evolve {
            strategy: "random".into(),
            population: Some(20),
            generations: 3,
            settings: Vec::new(),
            start: Start::Middle,
            trial_seeds: TrialSeeds::Fresh,
            axes: vec![Axis { name: "steps".into(), target: AxisTarget::Parameter(0), values }],
            stop: StopRule::default(),
        };
        let spec = RunSpec {
            code: None,
            bundle: None,
            name: "walk".into(),
            pipeline: "walk".into(),
            seed: Seed(5),
            replicates: 2,
            objective,
            config: vec![Value::Integer(1)],
            plan: Plan::Evolve(evolve),
            limits: Limits::default(),
        };
        (spec, pipeline)
    }

    #[test]
    fn a_trial_that_nobody_could_score_has_what_it_was_given_and_no_metric() {
        let (spec, pipeline) = over_a_whole_number();
        let id = crate::RunId("walk-1".into());
        let run = Run::new(id, String::new(), spec.into(), pipeline.into(), "".into(), PathBuf::new(), 0);
        assert_eq!((run.recorded.metrics.len(), run.objective_metric), (2, 1));
        let evolution = run.evolution.as_ref().expect("it evolves");
        let mut seen = [0; 4];
        for trial in 0..40 {
            let values = run.unscored(trial);
            let mut point = [0.0];
            evolution.proposal.candidate(trial as u32 / 2, &mut point);
            assert!(values[0] == (point[0] * 4.0).floor() && values[1].is_nan(), "{values:?} at {point:?}");
            seen[values[0] as usize] += 1;
        }
        assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    }

    /// A sweep of seven points with two replicates over three rungs, of which a third goes on.
    fn with_rungs() -> Run {
        let (spec, mut pipeline) = over_a_whole_number();
        let axis = Parameter { name: "rate".into(), kind: Kind::Float, ..pipeline.parameters[0].clone() };
        pipeline.parameters.push(axis);
        pipeline.prolongs = Some("steps".into());
        let values = AxisValues::Linear { from: 0.0, to: 1.0, points: None };
        let sweep = Sweep {
            design: "random".into(),
            points: Some(7),
            axes: vec![Axis { name: "rate".into(), target: AxisTarget::Parameter(1), values }],
            stopping: Some(Stopping {
                rule: StoppingRule::SuccessiveHalving,
                steps: 0,
                rungs: vec![1, 3, 9],
                factor: 3,
            }),
            ..Sweep::default()
        };
        let config = vec![Value::Integer(1), Value::Float(0.0)];
        let spec = RunSpec { plan: Plan::Sweep(sweep), config, ..spec };
        let id = crate::RunId("walk-1".into());
        Run::new(id, String::new(), spec.into(), pipeline.into(), "".into(), PathBuf::new(), 0)
    }

    /// Scores the open rung, a height for each candidate that is there, or none where it failed.
    fn close_rung(run: &mut Run, heights: &[Option<f64>]) {
        let scope = run.scope();
        assert_eq!(scope.len(), 2 * heights.len() as u64);
        let points: Vec<f64> = (scope.start..scope.end).map(|trial| run.unscored(trial)[0]).collect();
        let twice: Vec<Option<f64>> = heights.iter().flat_map(|height| [*height; 2]).collect();
        let statuses = twice.iter().map(|h| if h.is_some() { Status::Scored } else { Status::Failed }).collect();
        let values = points.into_iter().chain(twice.iter().map(|height| height.unwrap_or(f64::NAN))).collect();
        let trials = scope.len() as u32;
        run.apply_scored(scope, &Outcomes { trials, metrics: 2, values, statuses, ..Outcomes::default() });
        let row = run.generation_row().expect("nothing aborts");
        run.apply_generation_closed(&row).expect("it is the row of the open rung");
    }

    #[test]
    fn the_champion_of_a_sweep_with_rungs_is_that_of_its_last_one() {
        let mut run = with_rungs();
        assert_eq!(run.layout.trials(), 3 * 14, "at most");
        close_rung(&mut run, &[9.0, 1.0, 8.0, 1.0, 1.0, 7.0, 1.0].map(Some));
        // 7 / 3, rounded up, go on: the points 0, 2 and 5.
        let points: Vec<f64> = (14..20).map(|trial| run.unscored(trial)[0]).collect();
        assert_eq!(points, [0.0, 0.0, 2.0, 2.0, 5.0, 5.0]);
        assert!(run.unscored(15)[1].is_nan());
        assert_eq!((run.best, run.stop_reason()), (Some(9.0), None));
        let mut again = with_rungs();
        again.layout = again.layout.with_eras(run.layout.eras().to_vec());
        again.apply_checkpoint(&run.checkpoint()).expect("it is read");
        for mut run in [run, again] {
            close_rung(&mut run, &[None, Some(2.0), Some(3.0)]);
            close_rung(&mut run, &[Some(2.5)]);
            let champion = run.evolution.as_ref().and_then(|rungs| rungs.champion.clone()).expect("one scored");
            assert_eq!((champion.generation, champion.candidate, &champion.genome[..]), (2, 0, &[5.0][..]));
            assert_eq!((run.best, run.stop_reason()), (Some(2.5), Some(Reason::Complete)));
        }
    }

    #[test]
    fn a_rung_where_all_fail_is_the_last_one() {
        let mut run = with_rungs();
        close_rung(&mut run, &[Some(1.0); 7]);
        close_rung(&mut run, &[None; 3]);
        assert!(matches!(run.stop_reason(), Some(Reason::Exhausted(_))), "{:?}", run.stop_reason());
        assert_eq!(run.best, None);
    }

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([1, 2, 4, 8], [.05, .25, .5, .95])
        let sorted = [1.0, 2.0, 4.0, 8.0];
        let close = |q: f64, expected: f64| assert!((quantile(&sorted, q) - expected).abs() < 1e-12, "{q}");
        close(0.05, 1.15);
        close(0.25, 1.75);
        close(0.5, 3.0);
        close(0.95, 7.4);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
