//! Two pipelines that exist only as descriptions: one with a genome whose length is a setting, and one without.

use tumble_domain::{Direction, Genome, GenomeLength, Kind, Metric, Objective, Parameter, PipelineDescription, Value};
use tumble_runfile::{Override, Points, Problems, Understood, parse, parse_with_points};

fn parameter(name: &str, kind: Kind, default: Option<Value>) -> Parameter {
    Parameter {
        name: name.to_owned(),
        kind,
        unit: String::new(),
        default,
        bounds: None,
        choices: Vec::new(),
        summary: "One sentence.".to_owned(),
    }
}

fn metric(name: &str) -> Metric {
    Metric { name: name.to_owned(), unit: String::new(), summary: "One sentence.".to_owned() }
}

/// Functions to minimise; `dimension` says how long a candidate is.
pub(crate) fn functions() -> PipelineDescription {
    let words = ["sphere", "ellipsoid", "rosenbrock"].map(str::to_owned).to_vec();
    PipelineDescription {
        name: "functions".to_owned(),
        version: 1,
        summary: "Functions with known optima.".to_owned(),
        source: "none".to_owned(),
        parameters: vec![
            Parameter { choices: words, ..parameter("function", Kind::Text, Some(Value::text("sphere"))) },
            Parameter {
                bounds: Some((1.0, 10_000.0)),
                ..parameter("dimension", Kind::Integer, Some(Value::Integer(10)))
            },
            Parameter {
                bounds: Some((0.0, f64::INFINITY)),
                ..parameter("noise", Kind::Float, Some(Value::Float(0.0)))
            },
            parameter("rotated", Kind::Boolean, Some(Value::Boolean(false))),
        ],
        metrics: vec![metric("value"), metric("distance")],
        objective: Objective { metric: "value".to_owned(), direction: Direction::Minimise },
        prolongs: None,
        genome: Some(Genome {
            name: "x".to_owned(),
            length: GenomeLength::Parameter("dimension".to_owned()),
            bounds: Some((-5.0, 5.0)),
            summary: "Where the function is taken.".to_owned(),
        }),
    }
}

/// Networks with nothing to evolve, and with settings of every kind that a run file must give.
pub(crate) fn networks() -> PipelineDescription {
    PipelineDescription {
        name: "networks".to_owned(),
        version: 2,
        summary: "Small networks.".to_owned(),
        source: "none".to_owned(),
        parameters: vec![
            parameter("data", Kind::Text, None),
            Parameter {
                bounds: Some((0.0, 9.0)),
                ..parameter("digits", Kind::Integers, Some(Value::List(vec![Value::Integer(0), Value::Integer(1)])))
            },
            Parameter { bounds: Some((0.0, 1.0)), ..parameter("rate", Kind::Float, Some(Value::Float(0.5))) },
            parameter("units", Kind::Integer, Some(Value::Integer(100))),
            parameter("seed", Kind::Integer, Some(Value::Integer(0))),
        ],
        metrics: vec![metric("accuracy")],
        objective: Objective { metric: "accuracy".to_owned(), direction: Direction::Maximise },
        prolongs: Some("units".to_owned()),
        genome: None,
    }
}

/// A pipeline whose parameter and metric have the same name, and one whose metric has the name of a column.
pub(crate) fn faulty(name: &str, metric_name: &str) -> PipelineDescription {
    PipelineDescription {
        name: name.to_owned(),
        parameters: vec![parameter("value", Kind::Float, Some(Value::Float(0.0)))],
        metrics: vec![metric(metric_name)],
        objective: Objective { metric: metric_name.to_owned(), direction: Direction::Maximise },
        ..networks()
    }
}

/// All of these.
pub(crate) fn pipelines() -> Vec<PipelineDescription> {
    vec![functions(), networks(), faulty("clashing", "value"), faulty("reserved", "outcome")]
}

/// Reads a run file against all of these, under overrides written `key=value`.
pub(crate) fn read(text: &str, overrides: &[&str]) -> Result<Understood, Problems> {
    let split = |given: &&str| {
        let (key, value) = given.split_once('=').expect("an override has a key and a value");
        Override { key: key.to_owned(), value: value.to_owned() }
    };
    let overrides: Vec<Override> = overrides.iter().map(split).collect();
    parse(text, "run.toml", &overrides, &pipelines())
}

/// Reads a run file whose file of points is `points.csv`: the names, then a row for each point.
pub(crate) fn read_with_points(text: &str, names: &[&str], rows: &[&[Value]]) -> Result<Understood, Problems> {
    let points = |file: &str| match file {
        "points.csv" => Ok(Points {
            name: "there/points.csv".to_owned(),
            head_line: 1,
            lines: (2..2 + rows.len()).collect(),
            columns: names
                .iter()
                .enumerate()
                .map(|(i, name)| ((*name).to_owned(), Ok(rows.iter().map(|row| row[i].clone()).collect())))
                .collect(),
        }),
        _ => Err("there is no such file".to_owned()),
    };
    parse_with_points(text, "run.toml", &[], &pipelines(), &points)
}
