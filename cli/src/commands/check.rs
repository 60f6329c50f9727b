//! `tumble check`.

use serde_json::json;
use tumble_search::memory::{Need, Place};

use crate::args::CheckArgs;
use crate::exit::{Exit, Failure};
use crate::local::cores;
use crate::memory;
use crate::output::{Output, grouped, size};
use crate::runfile;

pub(crate) fn check(args: &CheckArgs, output: Output) -> Result<Exit, Failure> {
    let understood = runfile::read(&args.file, &args.file_args.overrides, output)?;
    let canonical = tumble_runfile::canonical(&understood.spec, &understood.inner);
    let shape = tumble_runfile::summary(&understood);
    let workers = u64::from(cores());
    memory::check(&understood, workers, args.memory)?;
    let need = Need::of(&understood.spec, &understood.inner);
    let bytes = |place| need.as_ref().map_or(0, |need| need.bytes(place));
    let (coordinator, worker) = (bytes(Place::Coordinator), bytes(Place::Worker { slots: 1 }));
    let memory = need.as_ref().map_or(String::new(), |_| {
        format!("memory    up to {} in the coordinator, {} in a slot of a worker\n", size(coordinator), size(worker))
    });
    let text = if args.canonical {
        canonical.clone()
    } else {
        let spec = &understood.spec;
        let columns: Vec<String> = shape.columns.iter().map(|c| format!("{} {}", c.name, c.kind.name())).collect();
        let generations = if shape.generations > 1 {
            format!("{} generations × ", grouped(shape.generations))
        } else {
            String::new()
        };
        format!(
            "{} is a valid run of pipeline `{}`\n\
             trials    {} = {generations}{} candidates × {} replicates\n\
             objective {}\n\
             table     {} parts of up to {} rows, about {}\n\
             columns   {}\n{memory}",
            args.file.display(),
            spec.pipeline,
            grouped(shape.trials),
            grouped(shape.candidates),
            shape.replicates,
            spec.objective.as_written(),
            grouped(shape.parts),
            grouped(shape.part_rows),
            size(shape.bytes),
            columns.join(", "),
        )
    };
    output.result(text, || {
        json!({
            "valid": true,
            "name": understood.spec.name,
            "pipeline": understood.spec.pipeline,
            "objective": understood.spec.objective.as_written(),
            "trials": shape.trials,
            "generations": shape.generations,
            "candidates": shape.candidates,
            "replicates": shape.replicates,
            "parts": shape.parts,
            "part_rows": shape.part_rows,
            "bytes": shape.bytes,
            "memory": { "coordinator_bytes": coordinator, "worker_bytes": worker },
            "columns": shape.columns.iter().map(|c| json!({ "name": c.name, "type": c.kind.name() })).collect::<Vec<_>>(),
            "canonical": canonical,
        })
    });
    Ok(Exit::Complete)
}
