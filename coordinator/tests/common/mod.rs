//! What the journal's tests and the maker of the frozen journal share: a pipeline, run files, outcomes.

#![allow(dead_code, reason = "each user of this file takes its own part of it")]

use std::path::PathBuf;
use std::sync::Arc;

use tumble_core::{Record, Submission};
use tumble_domain::{
    Direction, Genome, GenomeLength, Kind, Metric, Objective, Outcomes, Parameter, PipelineDescription, Status,
    TrialError, TrialRange, Value,
};

/// A pipeline that no registry has: the journal keeps what it knows of a pipeline by itself.
pub(crate) fn bowl() -> PipelineDescription {
    let metric = |name: &str| Metric { name: name.into(), unit: String::new(), summary: "A number.".into() };
    PipelineDescription {
        name: "bowl".into(),
        version: 3,
        summary: "A bowl.".into(),
        source: "none".into(),
        parameters: vec![Parameter {
            name: "dimension".into(),
            kind: Kind::Integer,
            unit: String::new(),
            default: Some(Value::Integer(4)),
            bounds: Some((2.0, 100.0)),
            choices: Vec::new(),
            summary: "Elements.".into(),
        }],
        metrics: vec![metric("depth"), metric("width")],
        objective: Objective { metric: "depth".into(), direction: Direction::Maximise },
        prolongs: None,
        genome: Some(Genome {
            name: "x".into(),
            length: GenomeLength::Parameter("dimension".into()),
            bounds: None,
            summary: "The place.".into(),
        }),
    }
}

/// A run of it, as a client submits it; `plan` is what stands in the run file beside name and pipeline.
pub(crate) fn submission(name: &str, plan: &str) -> Submission {
    let text = format!("name = \"{name}\"\npipeline = \"bowl\"\n{plan}\n");
    let understood = tumble_runfile::parse(&text, name, &[], &[bowl()]).expect("the run file makes sense");
    Submission {
        run: tumble_core::RunId(format!("{name}-222222").into()),
        key: format!("key of {name}"),
        run_toml: tumble_runfile::canonical(&understood.spec, &bowl()).into(),
        spec: Arc::new(understood.spec),
        pipeline: Arc::new(bowl()),
        folder: PathBuf::from(format!("runs/{name}")),
    }
}

/// The record of a submission.
pub(crate) fn submitted(submission: Submission) -> Record {
    let Submission { run: _, key, spec, pipeline, run_toml, folder } = submission;
    Record::Submitted { key, spec, pipeline, run_toml, folder, unix_ms: 1_700_000_000_000 }
}

/// The outcomes of these trials: every 50th fails, every 77th is too late, and the other numbers are scattered.
pub(crate) fn outcomes(range: TrialRange) -> Outcomes {
    let trials = || range.start..range.end;
    let status = |trial: u64| match trial {
        t if t % 50 == 49 => Status::Failed,
        t if t % 77 == 76 => Status::TimedOut,
        _ => Status::Scored,
    };
    let number = |trial: u64, metric: u64| match status(trial) {
        Status::Scored => ((trial * 2 + metric).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11) as f64 / (1u64 << 53) as f64,
        _ => f64::NAN,
    };
    let statuses: Vec<Status> = trials().map(status).collect();
    let errors = (0u32..).zip(&statuses).filter(|(_, status)| **status != Status::Scored);
    let errors = errors.map(|(offset, status)| TrialError { offset, message: format!("{}!", status.name()) }).collect();
    Outcomes {
        trials: range.len() as u32,
        metrics: 2,
        values: trials().map(|t| number(t, 0)).chain(trials().map(|t| number(t, 1))).collect(),
        statuses: if statuses.iter().all(|status| *status == Status::Scored) { Vec::new() } else { statuses },
        errors,
    }
}

/// What a client gives for a generation: candidates of four numbers, now three, now five or two of them.
pub(crate) fn given_points(generation: u32) -> Vec<f64> {
    let candidates = [3, 5, 2][generation as usize % 3];
    (0..4 * candidates).map(|i| f64::from(i) / 3.0 - f64::from(generation)).collect()
}
