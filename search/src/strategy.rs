//! What every strategy is: a value that asks and is told.

use std::fmt;

use tumble_domain::{Evolve, Fitness, Parameter, PipelineDescription, Seed, Shape, Start, Value};

use crate::grain::Grain;
use crate::proposal::Proposal;
use crate::space::{BOUNDS, Space, SpaceError};
use crate::told::ToldAs;

/// The space a strategy searches, and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Elements of a candidate, at least 1.
    pub dimension: usize,
    /// The tensors that a candidate is made of, whose elements are as many as a candidate's; none for one vector.
    pub shapes: Vec<Shape>,
    /// Bounds of every element, both included.
    pub bounds: Option<(f64, f64)>,
    /// The first centre.
    pub start: Start,
    /// The key of all the strategy's noise.
    pub seed: Seed,
    /// How each element is divided; empty where all are real. What is divided lies in bounds from 0 to 1.
    pub grains: Vec<Grain>,
}

impl Problem {
    /// What `evolve` searches of a pipeline under these settings: the axes that it lists, else the pipeline's genome.
    pub fn of(
        evolve: &Evolve,
        pipeline: &PipelineDescription,
        settings: &[Value],
        seed: Seed,
    ) -> Result<Problem, SpaceError> {
        let start = evolve.start.clone();
        if evolve.axes.is_empty() {
            let dimension = pipeline.dimension(settings) as usize;
            // What is given is taken as it is.
            let bounds = pipeline.genome.as_ref().and_then(|genome| genome.bounds).filter(|_| !evolve.is_given());
            let shapes = pipeline.tensors(settings);
            return Ok(Problem { dimension, shapes, bounds, start, seed, grains: Vec::new() });
        }
        let space = Space::try_new(&evolve.axes)?;
        let (dimension, grains) = (space.dimension(), space.grains());
        if evolve.is_given() {
            return Ok(Problem { dimension, shapes: Vec::new(), bounds: None, start, seed, grains: Vec::new() });
        }
        Ok(Problem { dimension, shapes: Vec::new(), bounds: Some(BOUNDS), start, seed, grains })
    }
}

/// The hash of a strategy's whole state: two replicas that agree on it make the same candidates for ever.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateHash(pub [u8; 16]);

impl StateHash {
    /// The hash of a snapshot's bytes (the first half of BLAKE3).
    pub fn of(bytes: &[u8]) -> StateHash {
        let mut half = [0; 16];
        half.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
        StateHash(half)
    }

    /// The hash that is written so; `None` for what is not 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<StateHash> {
        let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16).map(|d| d as u8)).collect();
        let (pairs, []) = digits.as_ref()?.as_chunks::<2>() else { return None };
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        Some(StateHash(bytes.try_into().ok()?))
    }
}

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateHash({self})")
    }
}

/// A strategy: a pure value whose next step depends on its state and the fitness it is told, and on nothing else.
pub trait Strategy: Send {
    /// What this generation tries. Asking twice gives the same.
    fn ask(&self) -> Proposal;

    /// Takes the fitness of every candidate of this generation, in candidate order, and moves to the next.
    ///
    /// # Panics
    /// If there are not exactly [`Strategy::population`] of them: the caller counts.
    fn tell(&mut self, fitness: &[Fitness]);

    /// The generation that [`Strategy::ask`] proposes; the first is 0.
    fn generation(&self) -> u32;

    /// Candidates in this generation.
    fn population(&self) -> u32;

    /// Whether a client gives the candidates. Such a strategy has a population of 0 while it waits for them, and no replica
    /// can follow it by what it is told.
    fn is_given(&self) -> bool {
        false
    }

    /// Takes the candidates of this generation, by rows; `false` from a strategy that proposes its own.
    fn take(&mut self, _points: &[f64]) -> bool {
        false
    }

    /// The whole state as bytes that [`crate::strategies::restore`] reads back: the restored strategy continues bit
    /// for bit.
    fn snapshot(&self) -> Vec<u8>;

    /// The hash of the state.
    fn state_hash(&self) -> StateHash {
        StateHash::of(&self.snapshot())
    }

    /// What of the fitness counts: from that alone another replica of the strategy reaches the same state hash. A strategy
    /// that keeps fitness for later generations, or computes with it, needs the numbers.
    fn told_as(&self) -> ToldAs {
        ToldAs::Values
    }

    /// Numbers worth a column in the generations table, such as the step size; always the same names.
    fn scalars(&self) -> Vec<(&'static str, f64)>;

    /// Why going on makes no sense, such as a step size that has vanished, if it does not.
    fn exhausted(&self) -> Option<&'static str> {
        None
    }
}

/// What a strategy is, for help pages and for checking a run file.
#[derive(Clone, Debug, PartialEq)]
pub struct StrategyDescription {
    /// As the run file names it.
    pub name: &'static str,
    /// One sentence: what it is.
    pub summary: &'static str,
    /// When to use it, and when not.
    pub advice: &'static str,
    /// The paper or reference implementation.
    pub source: &'static str,
    /// Time and memory in the dimension n and the population λ.
    pub cost: &'static str,
    /// Numbers of 8 bytes that the state, the proposal and an update hold, in n and λ.
    pub memory: &'static str,
    /// How the population follows from the dimension when the run file is silent.
    pub population: &'static str,
    /// The settings; `default: None` means a formula that the summary states.
    pub parameters: Vec<Parameter>,
}

/// Why a strategy cannot be built from these settings.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StrategyError {
    /// No strategy has this name.
    #[error("unknown strategy `{0}`")]
    Unknown(String),
    /// The start has another length than the candidate.
    #[error("`start` has {given} numbers, but a candidate has {dimension}")]
    StartLength {
        /// Numbers in the run file.
        given: usize,
        /// Elements of a candidate.
        dimension: usize,
    },
    /// Coordinates that this strategy cannot search.
    #[error("{strategy} does not search coordinates of kind {grain}; these do: {able}")]
    Grain {
        /// The strategy.
        strategy: String,
        /// What it cannot search.
        grain: &'static str,
        /// Those that can search the whole space.
        able: String,
    },
    /// A setting that makes no sense; the text names it and says what would.
    #[error("{0}")]
    Setting(String),
}

/// Why bytes are not a strategy's state.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SnapshotError {
    /// Written by a version of Tumble that this one does not read.
    #[error("the snapshot has version {0}, which this version of Tumble does not read")]
    Version(u16),
    /// Cut short or damaged.
    #[error("the snapshot is damaged: {0}")]
    Damaged(&'static str),
}
