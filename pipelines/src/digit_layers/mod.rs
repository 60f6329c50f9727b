//! A plain network of two layers on handwritten digits, its weights evolved: a genome made of matrices, for the strategies that
//! perturb them by noise of low rank and never write a candidate out.
//!
//! The README beside this file has the science and the numbers.

mod images;
mod network;

use tumble_domain::{
    Direction, Extent, Failure, Genome, GenomeLength, Objective, PipelineDescription, Seed, Tensor, Value,
};
use tumble_search::Proposal;

use crate::settings::{f64_at, float, integer, metric, usize_at};
use crate::tiny_networks::digits::PIXELS;
use crate::{Evaluator, Pipeline, Trial};
use images::Images;
use network::{Centre, Network, Score};

/// The most hidden units.
const HIDDEN_MAX: i64 = 512;

/// The pipeline `digit-layers`.
pub struct DigitLayers {
    description: PipelineDescription,
}

impl DigitLayers {
    /// The pipeline, ready to describe itself; the images are unpacked by its first trial.
    pub fn new() -> DigitLayers {
        DigitLayers { description: describe() }
    }
}

impl Default for DigitLayers {
    fn default() -> DigitLayers {
        DigitLayers::new()
    }
}

impl Pipeline for DigitLayers {
    fn description(&self) -> &PipelineDescription {
        &self.description
    }

    fn evaluator(&self) -> Box<dyn Evaluator> {
        Box::new(DigitLayer::default())
    }
}

fn describe() -> PipelineDescription {
    let tensor = |name: &str, rows, columns| Tensor { name: name.into(), rows, columns };
    let (hidden, digits) = (|| Extent::Parameter("hidden".into()), || Extent::Parameter("digits".into()));
    PipelineDescription {
        name: "digit-layers".into(),
        version: 1,
        summary: "A network of two layers that tells handwritten digits apart; its weight matrices are evolved.".into(),
        source: "LeCun, Cortes, Burges: MNIST, its first 10,000 training images; evolved in low rank: arXiv:2511.16652"
            .into(),
        // `Settings::read` follows this order.
        parameters: vec![
            integer("hidden", 32, (1, HIDDEN_MAX), "Hidden units, each the hyperbolic tangent of its inputs' sum."),
            integer("digits", 10, (2, 10), "Classes: the digits from 0 to one less than this."),
            integer(
                "batch",
                64,
                (1, 10_000),
                "Training images of a trial, drawn under its seed; with trial_seeds = \"per-generation\" all candidates of a \
                 generation meet the same ones.",
            ),
            integer(
                "test_images",
                500,
                (1, 10_000),
                "Test images, the same in every trial: equally many of each class, and no more than there are.",
            ),
            float("scale", 1.0, (1e-9, 1e9), "What a candidate's numbers are multiplied by before they are added."),
            integer(
                "weights_seed",
                0,
                (0, 1 << 53),
                "The seed of the first weights, to which a candidate's numbers are added.",
            ),
        ],
        metrics: vec![
            metric("loss", "Mean cross-entropy over the trial's training images, in nats."),
            metric("accuracy", "Share of the trial's training images put in their class."),
            metric("test_accuracy", "Share of the test images put in their class."),
        ],
        objective: Objective { metric: "loss".into(), direction: Direction::Minimise },
        prolongs: None,
        genome: Some(Genome {
            name: "w".into(),
            length: GenomeLength::Tensors(vec![
                tensor("w1", Extent::Fixed(PIXELS as u32), hidden()),
                tensor("b1", hidden(), Extent::Fixed(1)),
                tensor("w2", hidden(), digits()),
                tensor("b2", digits(), Extent::Fixed(1)),
            ]),
            bounds: None,
            summary: "what is added to the first weights, over `scale`; each matrix has a row for each input".into(),
        }),
    }
}

/// The parameters of the description, read.
#[derive(Clone, Copy, PartialEq)]
struct Settings {
    hidden: usize,
    digits: usize,
    batch: usize,
    test_images: usize,
    scale: f64,
    weights_seed: u64,
}

impl Settings {
    fn read(values: &[Value]) -> Result<Settings, Failure> {
        Ok(Settings {
            hidden: usize_at(values, 0)?,
            digits: usize_at(values, 1)?,
            batch: usize_at(values, 2)?,
            test_images: usize_at(values, 3)?,
            scale: f64_at(values, 4)?,
            weights_seed: usize_at(values, 5)? as u64,
        })
    }
}

/// The evaluator. What it keeps is only ever what it would make again: each part is held with all that it was made from.
#[derive(Default)]
struct DigitLayer {
    /// The first weights and the test images of these settings.
    kept: Option<(Settings, Network, Images)>,
    /// What the candidates of a generation share.
    centre: Option<Centre>,
    /// The training images of one trial's seed, and what the centre's first layer makes of them.
    batch: Option<(Seed, Images, Option<Vec<f64>>)>,
}

impl DigitLayer {
    /// Makes what these settings and this seed need, if it is not at hand.
    fn prepare(&mut self, settings: Settings, seed: Seed) {
        if self.kept.as_ref().is_none_or(|(known, ..)| *known != settings) {
            let test = Images::test(settings.digits, settings.test_images);
            let first = Network::first(settings.hidden, settings.digits, Seed(settings.weights_seed));
            (self.kept, self.centre, self.batch) = (Some((settings, first, test)), None, None);
        }
        if self.batch.as_ref().is_none_or(|(known, ..)| *known != seed) {
            self.batch = Some((seed, Images::batch(settings.digits, settings.batch, seed), None));
        }
    }
}

impl Evaluator for DigitLayer {
    fn evaluate(&mut self, trial: &Trial<'_>, metrics: &mut [f64]) -> Result<(), Failure> {
        let settings = Settings::read(trial.settings)?;
        self.prepare(settings, trial.seed);
        let (Some((_, first, test)), Some((_, batch, _))) = (&self.kept, &self.batch) else {
            unreachable!("both were made above")
        };
        let network = first.moved(settings.scale, trial.genome)?;
        trial.watch.check()?;
        let score = |images: &Images| network.score(images, network.first_layer(images));
        write(metrics, score(batch), score(test));
        Ok(())
    }

    fn evaluate_proposed(
        &mut self,
        proposal: &Proposal,
        index: u32,
        trial: &Trial<'_>,
        metrics: &mut [f64],
    ) -> Option<Result<(), Failure>> {
        let perturbed = proposal.perturbed(index)?;
        let settings = match Settings::read(trial.settings) {
            Ok(settings) => settings,
            Err(failure) => return Some(Err(failure)),
        };
        // A layer of one unit is a vector, and has no factors.
        let factors = [perturbed.low_rank(0)?, perturbed.low_rank(2)?];
        self.prepare(settings, trial.seed);
        let (Some((_, first, test)), Some((_, batch, on_batch))) = (&self.kept, &mut self.batch) else {
            unreachable!("both were made above")
        };
        if self.centre.as_ref().is_none_or(|centre| !centre.is_of(perturbed.mean())) {
            match first.moved(settings.scale, perturbed.mean()) {
                Ok(network) => self.centre = Some(Centre::new(perturbed.mean(), network, test)),
                Err(failure) => return Some(Err(failure)),
            }
            *on_batch = None;
        }
        let Some(centre) = &self.centre else { unreachable!("it was made above") };
        if let Err(failure) = trial.watch.check() {
            return Some(Err(failure));
        }
        let on_batch: &[f64] = on_batch.get_or_insert_with(|| centre.network.first_layer(batch));
        let own = network::Own::new(first, settings.scale, &perturbed, factors);
        write(metrics, own.score(centre, batch, on_batch), own.score(centre, test, &centre.on_test));
        Some(Ok(()))
    }
}

fn write(metrics: &mut [f64], batch: Score, test: Score) {
    metrics.copy_from_slice(&[batch.loss, batch.accuracy, test.accuracy]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Watch;
    use tumble_domain::{Evolve, Fitness, Start, StopRule, TrialSeeds};
    use tumble_search::{Problem, Strategy, strategies};

    fn settings(changes: &[(&str, i64)]) -> Vec<Value> {
        let description = describe();
        let mut settings: Vec<Value> = description.parameters.iter().map(|p| p.default.clone().unwrap()).collect();
        for (name, value) in changes {
            settings[description.parameter_index(name).unwrap()] = Value::Integer(*value);
        }
        settings
    }

    fn strategy(name: &str, settings: &[Value], given: &[(&str, Value)]) -> Box<dyn Strategy> {
        let description = describe();
        let evolve = Evolve {
            strategy: name.into(),
            population: Some(16),
            generations: 10,
            settings: given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            start: Start::Middle,
            trial_seeds: TrialSeeds::PerGeneration,
            stop: StopRule::default(),
            axes: Vec::new(),
        };
        let problem = Problem {
            dimension: description.dimension(settings) as usize,
            shapes: description.tensors(settings),
            bounds: None,
            start: Start::Middle,
            seed: Seed(3),
            grains: Vec::new(),
        };
        strategies::build(&evolve, &problem).unwrap()
    }

    /// Both ways to score a candidate; the side path is absent where the proposal has none.
    fn both(
        evaluator: &mut dyn Evaluator,
        proposal: &Proposal,
        index: u32,
        settings: &[Value],
        seed: u64,
    ) -> ([f64; 3], Option<[f64; 3]>) {
        let watch = Watch::unlimited();
        let mut genome = vec![0.0; proposal.dimension()];
        proposal.candidate(index, &mut genome);
        let (mut plain, mut side) = ([f64::NAN; 3], [f64::NAN; 3]);
        let trial = Trial { genome: &genome, settings, seed: Seed(seed), watch: &watch };
        evaluator.evaluate(&trial, &mut plain).unwrap();
        let scored = evaluator.evaluate_proposed(proposal, index, &Trial { genome: &[], ..trial }, &mut side);
        (plain, scored.map(|scored| scored.map(|()| side).unwrap()))
    }

    /// The same sums in another order: over 784 pixels and 32 units an error of 1e-12 is far, and no image here lies so near
    /// to two classes that it changes sides.
    #[test]
    fn a_candidate_scores_the_same_written_out_and_not() {
        for (name, given) in [
            ("eggroll", vec![("sigma", Value::Float(0.1))]),
            ("eggroll", vec![("rank", Value::Integer(3)), ("antithetic", Value::Boolean(false))]),
            ("eggroll", vec![("freeze_vectors", Value::Boolean(true))]),
            ("eggroll-int8", vec![("sigma_shift", Value::Integer(7))]),
        ] {
            let settings = settings(&[("hidden", 20), ("digits", 7), ("test_images", 140)]);
            let mut strategy = strategy(name, &settings, &given);
            let mut evaluator = DigitLayers::new().evaluator();
            for generation in 0..3 {
                let proposal = strategy.ask();
                let mut fitness = Vec::new();
                for index in 0..16 {
                    let (plain, side) = both(&mut *evaluator, &proposal, index, &settings, generation);
                    let side = side.expect("matrices are perturbed in low rank");
                    assert!((plain[0] - side[0]).abs() <= 1e-12 * plain[0].max(1.0), "{name}: {plain:?}, {side:?}");
                    assert_eq!(plain[1..], side[1..], "{name}");
                    fitness.push(Fitness::Scored(-side[0]));
                }
                assert!(fitness.iter().any(|other| *other != fitness[0]));
                strategy.tell(&fitness);
            }
        }
    }

    #[test]
    fn other_strategies_and_a_single_unit_have_their_candidates_written_out() {
        for (name, hidden) in [("open-ai-es", 8), ("eggroll", 1)] {
            let settings = settings(&[("hidden", hidden), ("test_images", 10)]);
            let proposal = strategy(name, &settings, &[]).ask();
            assert!(both(&mut *DigitLayers::new().evaluator(), &proposal, 0, &settings, 1).1.is_none());
        }
    }

    /// What is kept between trials never shows: neither that of another seed, nor of another generation, nor of other
    /// settings.
    #[test]
    fn the_side_path_gives_the_same_bits_whatever_was_evaluated_before_it() {
        let sets = [settings(&[("hidden", 5)]), settings(&[("hidden", 5), ("weights_seed", 1)])];
        let mut es = strategy("eggroll", &sets[0], &[]);
        let first = es.ask();
        es.tell(&(0..16).map(|i| Fitness::Scored(f64::from(i))).collect::<Vec<_>>());
        let proposals = [first, es.ask()];
        let score = |evaluator: &mut dyn Evaluator, [proposal, set, seed, index]: [usize; 4]| {
            let watch = Watch::unlimited();
            let trial = Trial { genome: &[], settings: &sets[set], seed: Seed(seed as u64), watch: &watch };
            let mut metrics = [f64::NAN; 3];
            evaluator.evaluate_proposed(&proposals[proposal], index as u32, &trial, &mut metrics).unwrap().unwrap();
            metrics.map(f64::to_bits)
        };
        let mut shared = DigitLayers::new().evaluator();
        let mut seen = std::collections::BTreeSet::new();
        for trial in [
            [0, 0, 0, 0],
            [1, 0, 0, 0],
            [0, 0, 0, 0],
            [0, 0, 1, 0],
            [0, 1, 1, 0],
            [0, 1, 1, 7],
            [1, 0, 1, 7],
            [0, 0, 0, 0],
        ] {
            let fresh = score(&mut *DigitLayers::new().evaluator(), trial);
            assert_eq!(score(&mut *shared, trial), fresh, "{trial:?}");
            seen.insert(fresh);
        }
        assert_eq!(seen.len(), 6, "each of the six has numbers of its own");
    }

    /// With every weight taken away each class is as likely as the other, and the first is chosen.
    #[test]
    fn without_weights_the_loss_is_that_of_guessing() {
        let settings = settings(&[("digits", 4), ("hidden", 3), ("test_images", 40)]);
        let Network { w1, b1, w2, b2 } = Network::first(3, 4, Seed(0));
        let genome: Vec<f64> = [w1, b1, w2, b2].concat().iter().map(|w| -w).collect();
        let watch = Watch::unlimited();
        let trial = Trial { genome: &genome, settings: &settings, seed: Seed(5), watch: &watch };
        let mut metrics = [0.0; 3];
        DigitLayers::new().evaluator().evaluate(&trial, &mut metrics).unwrap();
        assert!((metrics[0] - 4f64.ln()).abs() < 1e-14, "{}", metrics[0]);
        assert_eq!(metrics[2], 0.25);
    }

    /// Two digits and sixty generations of sixteen: far from trained, and far from guessing.
    #[test]
    fn a_short_evolution_learns_to_tell_two_digits_apart() {
        let settings = settings(&[("digits", 2), ("hidden", 8), ("test_images", 200)]);
        let given = [("sigma", Value::Float(0.05)), ("learning_rate", Value::Float(0.02))];
        let mut es = strategy("eggroll", &settings, &given);
        let mut evaluator = DigitLayers::new().evaluator();
        let watch = Watch::unlimited();
        let mut accuracies = Vec::new();
        for generation in 0..60 {
            let proposal = es.ask();
            let mut mean = 0.0;
            let fitness: Vec<_> = (0..16)
                .map(|index| {
                    let trial = Trial { genome: &[], settings: &settings, seed: Seed(generation), watch: &watch };
                    let mut metrics = [f64::NAN; 3];
                    evaluator.evaluate_proposed(&proposal, index, &trial, &mut metrics).unwrap().unwrap();
                    mean += metrics[2] / 16.0;
                    Fitness::Scored(-metrics[0])
                })
                .collect();
            es.tell(&fitness);
            accuracies.push(mean);
        }
        assert!(accuracies[59] > 0.95 && accuracies[59] > accuracies[0], "{accuracies:?}");
    }
}
