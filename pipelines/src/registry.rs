//! The one list of built-in pipelines.

use crate::benchmark_functions::BenchmarkFunctions;
use crate::digit_layers::DigitLayers;
use crate::go_cls::GoCls;
use crate::pipeline::Pipeline;
use crate::tiny_networks::TinyNetworks;

/// Every built-in pipeline, in alphabetical order.
pub fn all() -> Vec<Box<dyn Pipeline>> {
    vec![
        Box::new(BenchmarkFunctions::new()),
        Box::new(DigitLayers::new()),
        Box::new(GoCls::new()),
        Box::new(TinyNetworks::new()),
    ]
}

/// The pipeline of this name.
pub fn find(name: &str) -> Option<Box<dyn Pipeline>> {
    all().into_iter().find(|pipeline| pipeline.description().name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{Trial, Watch};
    use tumble_domain::{Seed, Value};

    #[test]
    fn pipelines_stand_in_alphabetical_order_and_are_found_by_name() {
        let names: Vec<String> = all().iter().map(|p| p.description().name.clone()).collect();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
        for name in &names {
            assert_eq!(&find(name).expect("it is in the list").description().name, name);
        }
        assert!(find("benchmark_functions").is_none());
    }

    #[test]
    fn every_description_holds_together() {
        for pipeline in all() {
            let d = pipeline.description();
            assert_eq!(crate::sound::problems(d), Vec::<String>::new(), "{}", d.name);
            assert!(!d.source.is_empty(), "{}", d.name);
        }
    }

    /// A worker hands trials to its slots in whatever order they come: an evaluator that remembers would show it here.
    #[test]
    fn a_trial_gives_the_same_bits_whatever_was_evaluated_before_it() {
        for pipeline in all() {
            let d = pipeline.description();
            let settings: Vec<Value> = d.parameters.iter().map(|p| p.default.clone().expect("has one")).collect();
            let genomes: Vec<Vec<f64>> = (0..3)
                .map(|g| (0..d.dimension(&settings)).map(|i| f64::from(g) + 0.1 * f64::from(i) - 1.0).collect())
                .collect();
            let watch = Watch::unlimited();
            let score = |evaluator: &mut dyn crate::Evaluator, i: usize| {
                let mut metrics = vec![0.0; d.metrics.len()];
                let trial = Trial { genome: &genomes[i], settings: &settings, seed: Seed(i as u64), watch: &watch };
                evaluator.evaluate(&trial, &mut metrics).expect("defaults can be scored");
                metrics.into_iter().map(f64::to_bits).collect::<Vec<u64>>()
            };
            let alone: Vec<_> = (0..3).map(|i| score(&mut *pipeline.evaluator(), i)).collect();
            let mut shared = pipeline.evaluator();
            for i in [2, 0, 1, 1, 0, 2] {
                assert_eq!(score(&mut *shared, i), alone[i], "{}: trial {i}", d.name);
            }
        }
    }
}
