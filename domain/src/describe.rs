//! How a pipeline describes itself, so that a run file can be checked and a table laid out without running anything.

use crate::spec::Plan;
use crate::value::{Kind, Value};

/// Whether more or less of a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Larger is better.
    Maximise,
    /// Smaller is better.
    Minimise,
}

impl Direction {
    /// Turns a metric into a fitness, where larger is always better, and back.
    pub fn turn(self, value: f64) -> f64 {
        match self {
            Direction::Maximise => value,
            Direction::Minimise => -value,
        }
    }
}

/// The metric that steers a run, and its direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// The name of a metric of the pipeline.
    pub metric: String,
    /// Which way is better.
    pub direction: Direction,
}

impl Objective {
    /// As a run file writes it: `accuracy` is maximised, `-cost` is minimised.
    pub fn as_written(&self) -> String {
        match self.direction {
            Direction::Maximise => self.metric.clone(),
            Direction::Minimise => format!("-{}", self.metric),
        }
    }
}

/// A setting of a pipeline or a strategy.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// As the run file spells it.
    pub name: String,
    /// What values it takes.
    pub kind: Kind,
    /// The unit, or empty for a plain number.
    pub unit: String,
    /// What holds when the run file is silent. `None` means that the owner computes it (the summary says how).
    pub default: Option<Value>,
    /// Smallest and largest value that makes sense, both included.
    pub bounds: Option<(f64, f64)>,
    /// For text: the words that are known; empty when any word will do.
    pub choices: Vec<String>,
    /// One sentence.
    pub summary: String,
}

/// A named number that a trial gives back.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The name of its column.
    pub name: String,
    /// The unit, or empty.
    pub unit: String,
    /// One sentence.
    pub summary: String,
}

/// How many numbers a candidate has.
#[derive(Clone, Debug, PartialEq)]
pub enum GenomeLength {
    /// Always so many.
    Fixed(u32),
    /// As many as this integer parameter says.
    Parameter(String),
    /// The numbers of these tensors, one tensor after another, each by rows.
    Tensors(Vec<Tensor>),
}

/// A matrix or a vector among the numbers of a genome.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// As the pipeline's own documents call it.
    pub name: String,
    /// How many rows.
    pub rows: Extent,
    /// How many columns; a vector has one.
    pub columns: Extent,
}

/// How far a tensor goes in one direction.
#[derive(Clone, Debug, PartialEq)]
pub enum Extent {
    /// Always so far.
    Fixed(u32),
    /// As far as this integer parameter says.
    Parameter(String),
}

/// The rows and columns of a tensor under some settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many rows.
    pub rows: u32,
    /// How many columns.
    pub columns: u32,
}

impl Shape {
    /// A vector of so many numbers.
    pub fn vector(length: u32) -> Shape {
        Shape { rows: length, columns: 1 }
    }

    /// How many numbers it has.
    pub fn elements(self) -> u64 {
        u64::from(self.rows) * u64::from(self.columns)
    }

    /// Whether it has more than one row and more than one column; what has not is a vector.
    pub fn is_matrix(self) -> bool {
        self.rows > 1 && self.columns > 1
    }
}

/// The vector that an evolution searches.
#[derive(Clone, Debug, PartialEq)]
pub struct Genome {
    /// Its name; element `i` is the axis `<name><i>` of a sweep.
    pub name: String,
    /// How many elements.
    pub length: GenomeLength,
    /// Bounds of every element, if the space is bounded.
    pub bounds: Option<(f64, f64)>,
    /// One sentence.
    pub summary: String,
}

/// Everything that is known of a pipeline without running it.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineDescription {
    /// As the run file names it.
    pub name: String,
    /// Raised whenever the same trial would give other numbers.
    pub version: u32,
    /// One sentence.
    pub summary: String,
    /// Where the science comes from.
    pub source: String,
    /// The settings, in a fixed order: `Settings` vectors follow it.
    pub parameters: Vec<Parameter>,
    /// The metrics, in the order of the table's columns.
    pub metrics: Vec<Metric>,
    /// What steers when the run file is silent.
    pub objective: Objective,
    /// What `[evolve]` searches, if this pipeline can be evolved.
    pub genome: Option<Genome>,
    /// The integer parameter that says how long a trial goes on and nothing else, if there is one: what a trial of `s`
    /// steps has come to is exactly what a longer one under the same seed had come to after `s` of its steps.
    pub prolongs: Option<String>,
}

impl PipelineDescription {
    /// Whether it is the description of code of the user's own before a run file was read: what such a pipeline takes and
    /// gives, the run file says. A worker announces it so, and the description of a run has its name and version.
    pub fn is_open(&self) -> bool {
        self.metrics.is_empty()
    }

    /// Whether a worker that announces this can evaluate a run that was checked against `other`.
    pub fn covers(&self, other: &PipelineDescription) -> bool {
        self == other || (self.is_open() && (&self.name, self.version) == (&other.name, other.version))
    }

    /// The position of a parameter.
    pub fn parameter_index(&self, name: &str) -> Option<usize> {
        self.parameters.iter().position(|p| p.name == name)
    }

    /// The position of a metric.
    pub fn metric_index(&self, name: &str) -> Option<usize> {
        self.metrics.iter().position(|m| m.name == name)
    }

    /// The number of elements of a candidate under these settings (one value for each parameter, in order); 0 when
    /// nothing can be evolved.
    pub fn dimension(&self, settings: &[Value]) -> u32 {
        match self.genome.as_ref().map(|g| &g.length) {
            None => 0,
            Some(GenomeLength::Fixed(n)) => *n,
            Some(GenomeLength::Parameter(name)) => self.length(name, settings),
            Some(GenomeLength::Tensors(_)) => {
                let elements = self.tensors(settings).into_iter().map(Shape::elements);
                elements.fold(0u64, u64::saturating_add).try_into().unwrap_or(u32::MAX)
            }
        }
    }

    /// The shapes of the candidate's tensors under these settings, in their order; a genome that is not made of tensors is
    /// one vector, and there is none when nothing can be evolved.
    pub fn tensors(&self, settings: &[Value]) -> Vec<Shape> {
        let extent = |extent: &Extent| match extent {
            Extent::Fixed(n) => *n,
            Extent::Parameter(name) => self.length(name, settings),
        };
        match self.genome.as_ref().map(|g| &g.length) {
            None => Vec::new(),
            Some(GenomeLength::Fixed(_) | GenomeLength::Parameter(_)) => vec![Shape::vector(self.dimension(settings))],
            Some(GenomeLength::Tensors(tensors)) => {
                tensors.iter().map(|t| Shape { rows: extent(&t.rows), columns: extent(&t.columns) }).collect()
            }
        }
    }

    /// The value of an integer parameter as a length; 0 where there is none.
    fn length(&self, name: &str, settings: &[Value]) -> u32 {
        self.parameter_index(name)
            .and_then(|i| settings.get(i))
            .and_then(Value::as_i64)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(0)
    }

    /// What is recorded of a trial under this plan, in this order: what the worker reports of the axes that an evolution
    /// searches, or of the point that a trial of a rung is of, then the metrics; or what came of a whole evolution.
    pub fn recorded(&self, plan: &Plan, objective: &Objective) -> PipelineDescription {
        if matches!(plan, Plan::SweepOfEvolutions(..)) {
            return self.nested(objective);
        }
        let named = |name: &str| Metric { name: name.into(), unit: String::new(), summary: String::new() };
        let metrics = plan.reported().into_iter().map(named).chain(self.metrics.iter().cloned()).collect();
        PipelineDescription { metrics, ..self.clone() }
    }

    /// What a sweep of evolutions is, from the outside: the same parameters, no vector of its own, and as metrics what
    /// came of one whole evolution. It is steered by `best`, in the direction of the inner objective.
    pub fn nested(&self, objective: &Objective) -> PipelineDescription {
        let unit = self.metric_index(&objective.metric).map_or("", |i| &self.metrics[i].unit);
        let metric = |name: &str, unit: &str, summary: String| Metric { name: name.into(), unit: unit.into(), summary };
        PipelineDescription {
            metrics: vec![
                metric("best", unit, format!("The best `{}` of any candidate of the evolution.", objective.metric)),
                metric("evaluations", "", "Trials that the evolution spent.".into()),
                metric("generations", "", "Generations that it went through.".into()),
                metric("reached", "", "1 if a candidate met `stop.objective`, 0 if none did or none is set.".into()),
            ],
            objective: Objective { metric: "best".into(), direction: objective.direction },
            genome: None,
            prolongs: None,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_pipeline_keeps_its_parameters_and_is_steered_by_the_best() {
        let inner = PipelineDescription {
            name: "walk".into(),
            version: 3,
            summary: String::new(),
            source: String::new(),
            parameters: vec![Parameter {
                name: "length".into(),
                kind: Kind::Integer,
                unit: String::new(),
                default: Some(Value::Integer(4)),
                bounds: None,
                choices: Vec::new(),
                summary: String::new(),
            }],
            metrics: vec![Metric { name: "cost".into(), unit: "J".into(), summary: String::new() }],
            objective: Objective { metric: "cost".into(), direction: Direction::Minimise },
            prolongs: None,
            genome: Some(Genome {
                name: "x".into(),
                length: GenomeLength::Parameter("length".into()),
                bounds: None,
                summary: String::new(),
            }),
        };
        let nested = inner.nested(&inner.objective);
        assert_eq!((&nested.name, nested.version, &nested.parameters), (&inner.name, 3, &inner.parameters));
        assert_eq!(nested.objective.as_written(), "-best");
        assert_eq!((nested.metrics[0].unit.as_str(), nested.dimension(&[Value::Integer(4)])), ("J", 0));
        let names: Vec<&str> = nested.metrics.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["best", "evaluations", "generations", "reached"]);

        // The same walk with a matrix and two vectors, one of them lying.
        let tensor = |rows, columns| Tensor { name: "w".into(), rows, columns };
        let length = || Extent::Parameter("length".into());
        let tensors = vec![
            tensor(length(), Extent::Fixed(3)),
            tensor(length(), Extent::Fixed(1)),
            tensor(Extent::Fixed(1), Extent::Fixed(7)),
        ];
        let genome = inner.genome.clone().map(|genome| Genome { length: GenomeLength::Tensors(tensors), ..genome });
        let layers = PipelineDescription { genome, ..inner.clone() };
        let settings = [Value::Integer(4)];
        assert_eq!(layers.dimension(&settings), 4 * 3 + 4 + 7);
        let shapes = layers.tensors(&settings);
        assert_eq!(shapes, [Shape { rows: 4, columns: 3 }, Shape::vector(4), Shape { rows: 1, columns: 7 }]);
        assert_eq!(shapes.iter().map(|s| s.is_matrix()).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(inner.tensors(&settings), [Shape::vector(4)]);
        assert_eq!(nested.tensors(&settings), []);
        assert_eq!(layers.dimension(&[Value::Integer(i64::from(u32::MAX))]), u32::MAX, "too long, and known to be");
    }
}
