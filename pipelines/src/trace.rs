//! What happens inside a trial, step by step: more than its metrics, asked for one trial at a time.

/// The way of one trial: a row for each step, of named columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    columns: Vec<String>,
    rows: Vec<f64>,
}

impl Trace {
    /// Names the columns, of which the first counts the steps. What was there before is forgotten.
    pub fn begin<N: Into<String>>(&mut self, columns: impl IntoIterator<Item = N>) {
        self.columns = columns.into_iter().map(Into::into).collect();
        self.rows.clear();
    }

    /// Adds a step.
    ///
    /// # Panics
    /// If there is not one number for each column.
    pub fn push(&mut self, step: &[f64]) {
        assert_eq!(step.len(), self.columns.len(), "a step has a number for each column");
        self.rows.extend_from_slice(step);
    }

    /// The names of the columns; none if nothing was traced.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The steps, in order.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.rows.chunks_exact(self.columns.len().max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{Trial, Watch};
    use crate::registry;
    use tumble_domain::{Seed, Value};

    /// Small settings of the pipelines that can be traced.
    fn settings(name: &str) -> Vec<(&'static str, Value)> {
        match name {
            "go-cls" => {
                vec![
                    ("inputs", Value::Integer(10)),
                    ("epochs", Value::Integer(9)),
                    ("notebook_units", Value::Integer(50)),
                ]
            }
            _ => vec![("width", Value::Integer(3)), ("epochs", Value::Integer(9)), ("examples", Value::Integer(40))],
        }
    }

    #[test]
    fn a_trial_that_is_traced_has_the_metrics_of_one_that_is_not() {
        let mut traced = 0;
        for pipeline in registry::all() {
            let description = pipeline.description();
            let mut values: Vec<Value> =
                description.parameters.iter().map(|p| p.default.clone().expect("it has one")).collect();
            let mut trace = Trace::default();
            if !pipeline.traces().is_empty() {
                traced += 1;
                for (name, value) in settings(&description.name) {
                    values[description.parameter_index(name).expect("it is a parameter")] = value;
                }
            }
            let watch = Watch::unlimited();
            let genome = vec![0.25; description.dimension(&values) as usize];
            let trial = Trial { genome: &genome, settings: &values, seed: Seed(6), watch: &watch };
            let mut with = vec![f64::NAN; description.metrics.len()];
            let told = pipeline.evaluator().evaluate_traced(&trial, &mut with, &mut trace);
            let Some(result) = told else {
                assert!(pipeline.traces().is_empty() && trace == Trace::default(), "{}", description.name);
                continue;
            };
            result.expect("it scores");
            let mut without = vec![f64::NAN; description.metrics.len()];
            pipeline.evaluator().evaluate(&trial, &mut without).expect("it scores");
            let bits = |metrics: &[f64]| metrics.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&with), bits(&without), "{}", description.name);
            let names: Vec<&str> = pipeline.traces().iter().map(|(name, _)| *name).collect();
            assert_eq!(trace.columns(), names, "{}", description.name);
            // From before the first epoch to after the last, each once.
            let steps: Vec<f64> = trace.steps().map(|step| step[0]).collect();
            assert_eq!(steps, (0..=9).map(f64::from).collect::<Vec<_>>(), "{}", description.name);
            // Where a metric is of the last step, it is what the last step says.
            let last = trace.steps().last().expect("there are steps");
            let of = |name: &str| with[description.metric_index(name).expect("it is a metric")];
            match &*description.name {
                "go-cls" => assert_eq!(last[1..], [of("generalisation_late"), of("memory_late")]),
                _ => assert_eq!(last[1..], [of("train_accuracy"), of("accuracy"), of("f1"), of("auc")]),
            }
        }
        assert_eq!(traced, 2);
    }
}
