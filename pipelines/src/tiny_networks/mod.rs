//! How small can a network be and still tell one digit from another? Width, pruning, noise, occlusion on digit pairs.
//!
//! Source: Kumar 2025, arXiv 2507.16278; the README beside this file has the science and the reference numbers.

pub mod digits;
mod draws;
mod network;
mod score;
mod task;

use tumble_domain::{Direction, Failure, Objective, Parameter, PipelineDescription, Value};

use crate::settings::{choice, f64_at, float, integer, metric, text_at, usize_at};
use crate::trace::Trace;
use crate::{Evaluator, Pipeline, Trial};
use digits::{Digits, SIDE};
use network::Network;
use score::Score;
use task::{Images, Task};

/// The most hidden units.
const WIDTH_MAX: i64 = 512;

/// The pipeline `tiny-networks`.
pub struct TinyNetworks {
    description: PipelineDescription,
}

impl TinyNetworks {
    /// The pipeline, ready to describe itself; the images are unpacked by its first trial.
    pub fn new() -> TinyNetworks {
        TinyNetworks { description: describe() }
    }
}

impl Default for TinyNetworks {
    fn default() -> TinyNetworks {
        TinyNetworks::new()
    }
}

impl Pipeline for TinyNetworks {
    fn description(&self) -> &PipelineDescription {
        &self.description
    }

    fn evaluator(&self) -> Box<dyn Evaluator> {
        Box::new(TinyNetwork)
    }

    fn traces(&self) -> &'static [(&'static str, &'static str)] {
        &TRACE
    }
}

fn describe() -> PipelineDescription {
    let pairs = pairs();
    let pairs: Vec<&str> = pairs.iter().map(String::as_str).collect();
    PipelineDescription {
        name: "tiny-networks".into(),
        version: 1,
        summary: "How small can a network be and still tell one digit from another? Trains 784-width-1, then prunes, \
                  adds noise and occludes."
            .into(),
        source: "Kumar 2025, arXiv 2507.16278; images: the first 10,000 training images of MNIST".into(),
        // `Settings::read` follows this order.
        parameters: vec![
            Parameter {
                default: Some(Value::text("4v9")),
                ..choice(
                    "pair",
                    &pairs,
                    "The two digits, the smaller first; the second is the class that F1 speaks of.",
                )
            },
            integer("width", 24, (1, WIDTH_MAX), "Hidden units."),
            integer("epochs", 100, (0, 100_000), "Steps of gradient descent, each over the whole training set."),
            float("learning_rate", 0.03, (0.0, 1000.0), "The length of a step."),
            float(
                "prune",
                0.95,
                (0.0, 1.0),
                "The share of each layer's smallest weights that pruning removes; biases stay, and no retraining.",
            ),
            float(
                "noise",
                0.3,
                (0.0, 1.0),
                "Standard deviation of the noise on test pixels, which run from 0 to 1 and are clipped to that again.",
            ),
            Parameter {
                unit: "pixels".into(),
                ..integer(
                    "occlusion",
                    7,
                    (0, SIDE as i64),
                    "Side of the square that is wiped at a random place of each test image.",
                )
            },
            integer(
                "examples",
                0,
                (0, 1127),
                "The most images of each class, training and test together, at least 2; 0 takes as many as the smaller \
                 class has.",
            ),
        ],
        metrics: METRICS.map(|(name, summary)| metric(name, summary)).into(),
        objective: Objective { metric: "f1".into(), direction: Direction::Maximise },
        prolongs: Some("epochs".into()),
        genome: None,
    }
}

/// The metrics in the order in which [`train_and_score`] returns them.
const METRICS: [(&str, &str); 14] = [
    ("accuracy", "Share of test images put in their class."),
    ("f1", "F1 of the second digit on the test images; 0 when none of them is recognised."),
    ("auc", "Area under the ROC curve on the test images."),
    ("train_accuracy", "Share of training images put in their class."),
    ("pruned_accuracy", "Accuracy on the test images after pruning."),
    ("pruned_f1", "F1 on the test images after pruning."),
    ("pruned_auc", "Area under the ROC curve after pruning; it does not see a shift of the output."),
    ("pruned_fraction", "Share of the weights that pruning removed, counted, biases aside."),
    ("parameters_left", "Weights that are left after pruning, and biases."),
    ("noisy_accuracy", "Accuracy on the test images under noise, unpruned."),
    ("noisy_f1", "F1 on the test images under noise, unpruned."),
    ("occluded_accuracy", "Accuracy on the test images with a square wiped, unpruned."),
    ("occluded_f1", "F1 on the test images with a square wiped, unpruned."),
    ("dead_neurons", "Hidden units that no training image wakes."),
];

/// The 45 pairs of two digits: `0v1`, `0v2`, … `8v9`.
fn pairs() -> Vec<String> {
    (0..10).flat_map(|a| (a + 1..10).map(move |b| format!("{a}v{b}"))).collect()
}

/// The evaluator. It keeps nothing from trial to trial.
struct TinyNetwork;

/// What can be told of a network's way.
const TRACE: [(&str, &str); 5] = [
    ("epoch", "Epochs of training so far, from 0."),
    ("train_accuracy", "Share of training images put in their class."),
    ("accuracy", "Share of test images put in their class."),
    ("f1", "F1 of the second digit on the test images."),
    ("auc", "Area under the ROC curve on the test images."),
];

impl Evaluator for TinyNetwork {
    fn evaluate(&mut self, trial: &Trial<'_>, metrics: &mut [f64]) -> Result<(), Failure> {
        carry_out(trial, metrics, None)
    }

    fn evaluate_traced(
        &mut self,
        trial: &Trial<'_>,
        metrics: &mut [f64],
        trace: &mut Trace,
    ) -> Option<Result<(), Failure>> {
        trace.begin(TRACE.map(|(name, _)| name));
        Some(carry_out(trial, metrics, Some(trace)))
    }
}

fn carry_out(trial: &Trial<'_>, metrics: &mut [f64], trace: Option<&mut Trace>) -> Result<(), Failure> {
    let settings = Settings::read(trial.settings)?;
    // A few sizes of block, each with loops of its own; a size only says how units share registers.
    let scored = match settings.width {
        1..=8 => train_and_score::<8>(&settings, trial, trace),
        9..=16 => train_and_score::<16>(&settings, trial, trace),
        17..=24 => train_and_score::<24>(&settings, trial, trace),
        _ => train_and_score::<32>(&settings, trial, trace),
    }?;
    for (slot, value) in metrics.iter_mut().zip(scored) {
        *slot = value;
    }
    Ok(())
}

fn train_and_score<const LANES: usize>(
    settings: &Settings,
    trial: &Trial<'_>,
    trace: Option<&mut Trace>,
) -> Result<[f64; METRICS.len()], Failure> {
    let seed = trial.seed;
    let task = Task::draw(Digits::embedded(), settings.pair, settings.examples, seed)
        .ok_or_else(|| Failure::Failed("`examples` must be 0 or at least 2".into()))?;
    let mut network = Network::<LANES>::init(settings.width, seed);
    match trace {
        None => network.train(&task.train, settings.epochs, settings.learning_rate, trial.watch)?,
        // Training that goes on where it ended comes to the same bits.
        Some(trace) => {
            for epoch in 0..=settings.epochs {
                let score = |images: &Images| Score::of(&network.rate(images), &images.labels);
                let (train, test) = (score(&task.train), score(&task.test));
                let of = |score: &Option<Score>, number: fn(&Score) -> f64| score.as_ref().map_or(f64::NAN, number);
                trace.push(&[
                    epoch as f64,
                    of(&train, |score| score.accuracy),
                    of(&test, |score| score.accuracy),
                    of(&test, |score| score.f1),
                    of(&test, |score| score.auc),
                ]);
                let left = usize::from(epoch < settings.epochs);
                network.train(&task.train, left, settings.learning_rate, trial.watch)?;
            }
        }
    }
    trial.watch.check()?;
    let score = |network: &Network<LANES>, images: &Images| {
        Score::of(&network.rate(images), &images.labels)
            .ok_or_else(|| Failure::Failed("the training diverged: `learning_rate` is too large".into()))
    };
    let train = score(&network, &task.train)?;
    let test = score(&network, &task.test)?;
    let pruned_network = network.pruned(settings.prune);
    let pruned = score(&pruned_network, &task.test)?;
    let (removed, weights) = pruned_network.weights_removed();
    let noisy = score(&network, &task.test.noisy(settings.noise, seed))?;
    let occluded = score(&network, &task.test.occluded(settings.occlusion, seed))?;
    Ok([
        test.accuracy,
        test.f1,
        test.auc,
        train.accuracy,
        pruned.accuracy,
        pruned.f1,
        pruned.auc,
        removed as f64 / weights as f64,
        pruned_network.parameters_left() as f64,
        noisy.accuracy,
        noisy.f1,
        occluded.accuracy,
        occluded.f1,
        network.dead_units(&task.train) as f64,
    ])
}

/// The parameters of the description, read.
struct Settings {
    pair: [usize; 2],
    width: usize,
    epochs: usize,
    learning_rate: f64,
    prune: f64,
    noise: f64,
    occlusion: usize,
    examples: usize,
}

impl Settings {
    fn read(values: &[Value]) -> Result<Settings, Failure> {
        let refused = |what: &str| Failure::Failed(what.into());
        let width = usize_at(values, 1)?;
        if !(1..=WIDTH_MAX as usize).contains(&width) {
            return Err(refused("`width` is out of its bounds"));
        }
        Ok(Settings {
            pair: parse_pair(text_at(values, 0)?)
                .ok_or_else(|| refused("`pair` is not two different digits like 4v9"))?,
            width,
            epochs: usize_at(values, 2)?,
            learning_rate: f64_at(values, 3)?,
            prune: f64_at(values, 4)?,
            noise: f64_at(values, 5)?,
            occlusion: usize_at(values, 6)?,
            examples: usize_at(values, 7)?,
        })
    }
}

/// `4v9` as the two digits.
fn parse_pair(word: &str) -> Option<[usize; 2]> {
    let (a, b) = word.split_once('v')?;
    let digit = |word: &str| word.parse::<usize>().ok().filter(|digit| *digit < 10 && word.len() == 1);
    let pair = [digit(a)?, digit(b)?];
    (pair[0] != pair[1]).then_some(pair)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Watch;
    use tumble_domain::Seed;

    /// Seeds in every mean below, as many as the reference numbers have.
    const SEEDS: u64 = 10;

    fn settings(changes: &[(&str, Value)]) -> Vec<Value> {
        let description = describe();
        let mut settings: Vec<Value> = description.parameters.iter().map(|p| p.default.clone().unwrap()).collect();
        for (name, value) in changes {
            settings[description.parameter_index(name).unwrap()] = value.clone();
        }
        settings
    }

    fn trial(settings: &[Value], seed: u64) -> Result<[f64; METRICS.len()], Failure> {
        let mut metrics = [f64::NAN; METRICS.len()];
        let watch = Watch::unlimited();
        let trial = Trial { genome: &[], settings, seed: Seed(seed), watch: &watch };
        TinyNetworks::new().evaluator().evaluate(&trial, &mut metrics)?;
        Ok(metrics)
    }

    fn metric_of(metrics: &[f64], name: &str) -> f64 {
        metrics[describe().metric_index(name).unwrap()]
    }

    /// Two means of ten seeds each differ by less than three standard errors of their difference; `sd` is the spread
    /// from seed to seed, and half a unit of the last printed digit comes on top.
    fn check_mean(what: &str, values: &[f64], reference: f64, sd: f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let tolerance = 3.0 * sd * (1.0 / values.len() as f64 + 1.0 / 10.0).sqrt() + 0.0005;
        assert!((mean - reference).abs() < tolerance, "{what}: {mean:.4}, but {reference} ± {tolerance:.4} is known");
    }

    /// References: the reproduction with ten seeds that the README tells of. The spreads are those of forty seeds, from
    /// the README's tables.
    fn check_width(pair: &str, width: i64, references: &[(&str, f64, f64)]) -> f64 {
        let settings = settings(&[("pair", Value::text(pair)), ("width", Value::Integer(width))]);
        let trials: Vec<_> = (0..SEEDS).map(|seed| trial(&settings, seed).unwrap()).collect();
        for (name, reference, sd) in references {
            let values: Vec<f64> = trials.iter().map(|metrics| metric_of(metrics, name)).collect();
            check_mean(&format!("{name} of {pair} at {width}"), &values, *reference, *sd);
        }
        trials.iter().map(|metrics| metric_of(metrics, "f1")).sum::<f64>() / SEEDS as f64
    }

    #[test]
    fn four_units_solve_the_easy_pair() {
        check_width("0v1", 4, &[("f1", 0.982, 0.021)]);
    }

    #[test]
    fn the_hard_pair_needs_width() {
        let rising = [
            check_width("4v9", 2, &[("f1", 0.695, 0.098)]),
            check_width("4v9", 8, &[("f1", 0.830, 0.071)]),
            check_width("4v9", 24, &[("f1", 0.893, 0.026), ("noisy_f1", 0.833, 0.038), ("occluded_f1", 0.851, 0.027)]),
            check_width("4v9", 64, &[("f1", 0.924, 0.015), ("occluded_f1", 0.869, 0.018)]),
        ];
        assert!(rising.is_sorted(), "{rising:?}");
    }

    /// F1 and area of ten trained networks at each share of pruned weights.
    fn pruned(pair: [usize; 2], shares: &[f64]) -> Vec<[Vec<f64>; 2]> {
        let mut scores = vec![[Vec::new(), Vec::new()]; shares.len()];
        for seed in 0..SEEDS {
            let task = Task::draw(Digits::embedded(), pair, 0, Seed(seed)).unwrap();
            let mut network = Network::<24>::init(24, Seed(seed));
            network.train(&task.train, 100, 0.03, &Watch::unlimited()).unwrap();
            for (share, [f1, auc]) in shares.iter().zip(&mut scores) {
                let score = Score::of(&network.pruned(*share).rate(&task.test), &task.test.labels).unwrap();
                f1.push(score.f1);
                auc.push(score.auc);
            }
        }
        scores
    }

    #[test]
    fn pruning_half_of_an_easy_network_is_free_and_pruning_most_is_not() {
        let scores = pruned([0, 1], &[0.0, 0.5, 0.9, 0.95, 0.99]);
        check_mean("F1 unpruned", &scores[0][0], 0.996, 0.003);
        check_mean("F1 at half", &scores[1][0], 0.995, 0.004);
        check_mean("F1 at 90 %", &scores[2][0], 0.985, 0.069);
        check_mean("area at 90 %", &scores[2][1], 0.998, 0.004);
        check_mean("F1 at 95 %", &scores[3][0], 0.82, 0.181);
        check_mean("area at 95 %", &scores[3][1], 0.99, 0.039);
        check_mean("F1 at 99 %", &scores[4][0], 0.61, 0.111);
    }

    /// The paper's "95 % pruned" was 0.95 %: its code divided by 100 twice. That indeed changes nothing; the true share
    /// does.
    #[test]
    fn the_published_pruning_was_of_one_weight_in_a_hundred() {
        let scores = pruned([4, 9], &[0.0, 0.0095, 0.8, 0.95]);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let dense = mean(&scores[0][0]);
        assert!((mean(&scores[1][0]) - dense).abs() < 0.001, "{} at 0.95 %, {dense} unpruned", mean(&scores[1][0]));
        check_mean("area at 80 %", &scores[2][1], 0.908, 0.030);
        check_mean("area at 95 %", &scores[3][1], 0.83, 0.070);
        assert!(mean(&scores[3][0]) < dense - 0.1, "{} at 95 %, {dense} unpruned", mean(&scores[3][0]));
    }

    /// The last bit of everything behind a trial: the draws, the data, the order of every sum. Another value means
    /// another version of the pipeline, or a machine that rounds otherwise.
    #[test]
    fn the_ratings_of_a_trained_network_are_these_bits() {
        let task = Task::draw(Digits::embedded(), [3, 8], 200, Seed(7)).unwrap();
        let mut network = Network::<16>::init(12, Seed(7));
        network.train(&task.train, 30, 0.1, &Watch::unlimited()).unwrap();
        let mut hasher = blake3::Hasher::new();
        for images in [&task.test, &task.test.noisy(0.2, Seed(7)), &task.test.occluded(9, Seed(7))] {
            for rating in network.rate(images) {
                hasher.update(&rating.to_le_bytes());
            }
        }
        assert_eq!(hasher.finalize().to_string(), "6ededcdf11207237b059ec40aaf117b0cff6aa57fad3780b6b068fa9a28dacd3");
    }

    #[test]
    fn harm_of_size_nought_does_no_harm() {
        let none = [("prune", Value::Float(0.0)), ("noise", Value::Float(0.0)), ("occlusion", Value::Integer(0))];
        let metrics = trial(&settings(&none), 3).unwrap();
        let of = |name| metric_of(&metrics, name);
        assert!(of("f1") > 0.7 && of("auc") > 0.8 && of("train_accuracy") > 0.7, "{metrics:?}");
        for (same, as_) in [
            ("pruned_accuracy", "accuracy"),
            ("pruned_f1", "f1"),
            ("pruned_auc", "auc"),
            ("noisy_accuracy", "accuracy"),
            ("noisy_f1", "f1"),
            ("occluded_accuracy", "accuracy"),
            ("occluded_f1", "f1"),
        ] {
            assert_eq!(of(same), of(as_), "{same}");
        }
        assert_eq!(of("pruned_fraction"), 0.0);
        assert_eq!(of("parameters_left"), (784 * 24 + 24 + 24 + 1) as f64);
        assert_eq!(of("dead_neurons"), 0.0);
    }

    #[test]
    fn harm_of_full_size_leaves_chance() {
        let all = [("prune", Value::Float(1.0)), ("occlusion", Value::Integer(28)), ("epochs", Value::Integer(10))];
        let metrics = trial(&settings(&all), 3).unwrap();
        let of = |name| metric_of(&metrics, name);
        // Two classes of one size, and one rating for every image.
        for name in ["pruned_accuracy", "pruned_auc", "occluded_accuracy"] {
            assert_eq!(of(name), 0.5, "{name}");
        }
        assert_eq!(of("pruned_fraction"), 1.0);
        assert_eq!(of("parameters_left"), 25.0);
    }

    #[test]
    fn a_pair_is_two_digits_and_every_pair_is_known() {
        assert_eq!(pairs().len(), 45);
        assert!(pairs().iter().all(|word| parse_pair(word).is_some_and(|[a, b]| a < b)));
        assert_eq!(parse_pair("4v9"), Some([4, 9]));
        for word in ["4v4", "4v10", "4", "v", "4v", "a v9", "4v9v1", "+4v9", ""] {
            assert_eq!(parse_pair(word), None, "{word}");
        }
    }

    #[test]
    fn what_cannot_be_trained_fails_and_says_why() {
        for (change, why) in [
            (("pair", Value::text("4v4")), "two different digits"),
            (("pair", Value::Integer(4)), "setting 0"),
            (("width", Value::Integer(0)), "`width`"),
            (("width", Value::Integer(1 << 40)), "`width`"),
            (("width", Value::Integer(-1)), "setting 1"),
            (("examples", Value::Integer(1)), "at least 2"),
            (("learning_rate", Value::Float(1e300)), "diverged"),
        ] {
            match trial(&settings(std::slice::from_ref(&change)), 1) {
                Err(Failure::Failed(message)) => assert!(message.contains(why), "{change:?}: {message}"),
                other => panic!("{change:?}: {other:?}"),
            }
        }
        assert!(matches!(trial(&[], 1), Err(Failure::Failed(_))));
    }
}
