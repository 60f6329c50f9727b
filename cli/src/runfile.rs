//! Reads run files for the commands that take one.

use std::path::Path;

use tumble_domain::PipelineDescription;
use tumble_pipelines::registry;
use tumble_runfile::{Override, Understood};

use crate::exit::Failure;
use crate::output::Output;
use crate::points;

/// The built-in pipelines' descriptions.
pub(crate) fn pipelines() -> Vec<PipelineDescription> {
    registry::all().iter().map(|pipeline| pipeline.description().clone()).collect()
}

/// Reads and checks a run file.
pub(crate) fn read(path: &Path, overrides: &[Override], output: Output) -> Result<Understood, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("failed to read the run file {name}: {error}")))?;
    // The points of a list may stand in a file beside the run file.
    let folder = path.parent().unwrap_or(Path::new(""));
    let read_points = |file: &str| points::read(&folder.join(file));
    let understood =
        tumble_runfile::parse_with_points(&text, &name, overrides, &pipelines(), &read_points).map_err(problems)?;
    for warning in &understood.warnings {
        output.note(format!("warning: {warning}"));
    }
    Ok(understood)
}

fn problems(problems: tumble_runfile::Problems) -> Failure {
    let count = problems.0.len();
    let head =
        if count == 1 { "the run file has a problem".into() } else { format!("the run file has {count} problems") };
    Failure::usage(format!("{head}\n{problems}"))
}
