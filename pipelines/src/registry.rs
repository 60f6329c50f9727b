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
    use std::collections::BTreeSet;

    use super::*;
    use crate::pipeline::{Trial, Watch};
    use tumble_domain::{Kind, Seed, Value};

    /// Columns that every trials table has besides a pipeline's own: a parameter or metric of that name would clash.
    const TAKEN: [&str; 7] = ["trial", "generation", "candidate", "replicate", "seed", "outcome", "error"];

    fn is_snake_case(name: &str) -> bool {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    }

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
            assert!(!d.summary.is_empty() && !d.source.is_empty() && d.version > 0, "{}", d.name);
            assert!(d.metric_index(&d.objective.metric).is_some(), "{}: the objective is no metric", d.name);

            let mut names = BTreeSet::from(TAKEN.map(String::from));
            for name in d.parameters.iter().map(|p| &p.name).chain(d.metrics.iter().map(|m| &m.name)) {
                assert!(is_snake_case(name), "{}: `{name}`", d.name);
                assert!(names.insert(name.clone()), "{}: `{name}` names two columns", d.name);
            }
            if let Some(name) = &d.prolongs {
                let parameter = d.parameter_index(name).map(|i| &d.parameters[i]).expect("it is a parameter");
                assert_eq!(parameter.kind, Kind::Integer, "{}.{name} counts steps", d.name);
            }
            for p in &d.parameters {
                let default = p.default.as_ref().expect("a pipeline's parameter has a plain default");
                assert_eq!(default.coerced(p.kind).as_ref(), Some(default), "{}.{}", d.name, p.name);
                if let (Some((low, high)), Some(x)) = (p.bounds, default.as_f64()) {
                    assert!(low <= x && x <= high, "{}.{}", d.name, p.name);
                }
                if let (Kind::Text, Some(word)) = (p.kind, default.as_text()) {
                    assert!(p.choices.iter().any(|c| c == word), "{}.{}", d.name, p.name);
                }
            }
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
