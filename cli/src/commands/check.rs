//! `tumble check`.

use serde_json::json;
use tumble_domain::{RunSpec, StoppingRule};
use tumble_runfile::{Branch, Rung, Shape};
use tumble_search::Grain;
use tumble_search::memory::{Need, Place};
use tumble_search::space::wording;
use tumble_worker::process::cores;

use crate::args::CheckArgs;
use crate::commands::clients::ask_workers;
use crate::commands::describe::{evaluated_here, value_json};
use crate::exit::{Exit, Failure};
use crate::memory;
use crate::output::{Output, duration, grouped, size};
use crate::own::Known;
use crate::runfile;

pub(crate) async fn check(args: CheckArgs, output: Output) -> Result<Exit, Failure> {
    let here = args.here.here.as_deref();
    let mut known = Known::of(args.own.worker.as_deref())?;
    if let Some(access) = &args.access {
        ask_workers(&mut known, &args.file, &args.file_args, access, output).await?;
    }
    let understood = runfile::read(&args.file, here, &args.file_args.overrides, &known, output)?;
    if let Err(why) = runfile::find_program(&understood, here.unwrap_or(runfile::folder_of(&args.file))) {
        // Workers may be elsewhere.
        output.note(format!("warning: {why}"));
    }
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
        let columns: Vec<String> = shape
            .columns
            .iter()
            .map(|c| format!("{} {}{}", c.name, c.kind.name(), if c.conditional { " or null" } else { "" }))
            .collect();
        let timeout = match (spec.limits.timeout, evaluated_here(&spec.pipeline)?) {
            (Some(limit), Some(pipeline)) => {
                format!("timeout   {}: {}\n", duration(limit.as_secs_f64()), pipeline.timeout())
            }
            _ => String::new(),
        };
        let (branches, rungs) = (branches_text(&shape.branches), rungs_text(spec, &shape));
        let generations = if !shape.rungs.is_empty() {
            format!("{} rungs of at most ", shape.rungs.len())
        } else if shape.generations > 1 {
            format!("{} generations × ", grouped(shape.generations))
        } else {
            String::new()
        };
        let axes = spec.plan.evolved_axes().iter();
        let space: Vec<String> = axes.map(|axis| format!("{} {}", axis.name, wording(&axis.values))).collect();
        let space = if space.is_empty() { String::new() } else { format!("space     {}\n", space.join("; ")) };
        let (trials, parts) = match spec.plan.is_given() {
            true => (
                format!("as a client gives them, at most {} candidates at once ×", grouped(shape.candidates)),
                format!("parts of {} rows", grouped(shape.part_rows)),
            ),
            false => (
                format!("{} = {generations}{} candidates ×", grouped(shape.trials), grouped(shape.candidates)),
                format!(
                    "{} parts of up to {} rows, about {}",
                    grouped(shape.parts),
                    grouped(shape.part_rows),
                    size(shape.bytes)
                ),
            ),
        };
        format!(
            "{} is a valid run of pipeline `{}`\n\
             trials    {trials} {} replicates\n{rungs}{branches}\
             objective {}\n{space}\
             table     {parts}\n\
             columns   {}\n{memory}{timeout}",
            args.file.display(),
            spec.pipeline,
            shape.replicates,
            spec.objective.as_written(),
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
            "rungs": shape.rungs.iter()
                .map(|rung| json!({ "steps": rung.steps, "candidates_max": rung.candidates }))
                .collect::<Vec<_>>(),
            "branches": shape.branches.iter()
                .map(|b| json!({ "axis": b.axis, "value": value_json(&b.value), "points": b.points }))
                .collect::<Vec<_>>(),
            "parts": shape.parts,
            "part_rows": shape.part_rows,
            "bytes": shape.bytes,
            "space": understood.spec.plan.evolved_axes().iter().map(|axis| json!({
                "axis": axis.name, "values": wording(&axis.values), "grain": Grain::of(&axis.values).kind().name(),
                "cells": Grain::of(&axis.values).cells(),
            })).collect::<Vec<_>>(),
            "memory": { "coordinator_bytes": coordinator, "worker_bytes": worker },
            "columns": shape.columns.iter().map(|c| json!({ "name": c.name, "type": c.kind.name(), "null": c.conditional })).collect::<Vec<_>>(),
            "canonical": canonical,
        })
    });
    Ok(Exit::Complete)
}

/// The rungs of a sweep that stops candidates early, and what they cost. A rung goes over the steps of the one before
/// again, for only numbers travel; so its cost is all of its steps.
fn rungs_text(spec: &RunSpec, shape: &Shape) -> String {
    let (Some(last), Some(stopping)) = (shape.rungs.last(), spec.plan.stopping()) else { return String::new() };
    let replicates = u64::from(shape.replicates);
    let steps = |rung: &Rung| (rung.candidates * replicates) as f64 * rung.steps as f64;
    let (cost, full) =
        (shape.rungs.iter().map(steps).sum::<f64>(), (shape.candidates * replicates) as f64 * last.steps as f64);
    let share = format!("{:.1} % of the steps of the full sweep", 100.0 * cost / full);
    let rungs: Vec<String> = shape
        .rungs
        .iter()
        .map(|rung| format!("{} trials of {} steps", grouped(rung.candidates * replicates), rung.steps))
        .collect();
    let share = match stopping.rule {
        StoppingRule::SuccessiveHalving => share,
        StoppingRule::Asha | StoppingRule::Median => format!("at most {share}, as the fitness says"),
    };
    format!("rungs     {}; {share}\n", rungs.join(", "))
}

/// The branches that are shown of each axis; of more the count alone.
const BRANCHES_SHOWN: usize = 8;

/// What the points of a grid are the sum of, a line for each axis that others hang on.
fn branches_text(branches: &[Branch]) -> String {
    let mut text = String::new();
    for of_axis in branches.chunk_by(|a, b| a.axis == b.axis) {
        let shown = of_axis.iter().take(BRANCHES_SHOWN);
        let mut parts: Vec<String> = shown.map(|b| format!("{} at {}", grouped(b.points), b.value)).collect();
        if of_axis.len() > BRANCHES_SHOWN {
            parts.push(format!("{} more values", of_axis.len() - BRANCHES_SHOWN));
        }
        text += &format!("branches  {}: {}\n", of_axis[0].axis, parts.join(", "));
    }
    text
}
