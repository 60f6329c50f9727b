//! `brittle`: a pipeline that fails, or gives NaN, in a share of its trials that its settings say and their seeds choose.

use tumble_domain::seed::Stream;
use tumble_domain::{
    Direction, Failure, Genome, GenomeLength, Kind, Metric, Objective, Parameter, PipelineDescription, Value,
};
use tumble_pipelines::{Evaluator, Pipeline, Trial};

pub(crate) struct Brittle {
    description: PipelineDescription,
}

impl Brittle {
    pub(crate) fn new() -> Brittle {
        let share = |name: &str| Parameter {
            name: name.into(),
            kind: Kind::Float,
            unit: String::new(),
            default: Some(Value::Float(0.0)),
            bounds: Some((0.0, 1.0)),
            choices: Vec::new(),
            summary: format!("The share of trials that are {name}."),
        };
        let length = Parameter {
            name: "length".into(),
            kind: Kind::Integer,
            unit: String::new(),
            default: Some(Value::Integer(1)),
            bounds: Some((1.0, 1e6)),
            choices: Vec::new(),
            summary: "How long a trial goes on: each step beyond the first adds to the score what its luck gives."
                .into(),
        };
        let metric = |name: &str| Metric { name: name.into(), unit: String::new(), summary: format!("The {name}.") };
        let description = PipelineDescription {
            name: "brittle".into(),
            version: 1,
            summary: "Fails where it is told to.".into(),
            source: "This simulation.".into(),
            parameters: vec![share("failing"), share("undefined"), length],
            metrics: vec![metric("luck"), metric("score")],
            objective: Objective { metric: "score".into(), direction: Direction::Maximise },
            prolongs: Some("length".into()),
            genome: Some(Genome {
                name: "x".into(),
                length: GenomeLength::Fixed(3),
                bounds: Some((-1.0, 1.0)),
                summary: "The point.".into(),
            }),
        };
        Brittle { description }
    }
}

impl Pipeline for Brittle {
    fn description(&self) -> &PipelineDescription {
        &self.description
    }

    fn evaluator(&self) -> Box<dyn Evaluator> {
        Box::new(Breaking)
    }
}

struct Breaking;

impl Evaluator for Breaking {
    fn evaluate(&mut self, trial: &Trial<'_>, metrics: &mut [f64]) -> Result<(), Failure> {
        let share = |index: usize| trial.settings[index].as_f64().expect("the settings were checked");
        let draw = trial.seed.noise(Stream::Evaluator, 0, 0, 0, 0)[0];
        let luck = f64::from(draw) / f64::from(u32::MAX);
        if luck < share(0) {
            return Err(Failure::Failed(format!("it broke at {draw}")));
        }
        metrics[0] = luck;
        let away = |x: f64| (x - 0.25) * (x - 0.25);
        let more = luck * (share(2) - 1.0);
        metrics[1] = match luck < share(0) + share(1) {
            true => f64::NAN,
            false => more - trial.genome.iter().copied().map(away).sum::<f64>(),
        };
        Ok(())
    }
}
