//! `tumble check`.

use serde_json::json;
use tumble_search::Grain;
use tumble_search::space::wording;

use crate::args::CheckArgs;
use crate::exit::{Exit, Failure};
use crate::output::{Output, grouped, size};
use crate::runfile;

pub(crate) fn check(args: &CheckArgs, output: Output) -> Result<Exit, Failure> {
    let understood = runfile::read(&args.file, &args.file_args.overrides, output)?;
    let canonical = tumble_runfile::canonical(&understood.spec, &understood.inner);
    let shape = tumble_runfile::summary(&understood);
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
        let axes = spec.plan.evolved_axes().iter();
        let space: Vec<String> = axes.map(|axis| format!("{} {}", axis.name, wording(&axis.values))).collect();
        let space = if space.is_empty() { String::new() } else { format!("space     {}\n", space.join("; ")) };
        format!(
            "{} is a valid run of pipeline `{}`\n\
             trials    {} = {generations}{} candidates × {} replicates\n\
             objective {}\n{space}\
             table     {} parts of up to {} rows, about {}\n\
             columns   {}\n",
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
            "space": understood.spec.plan.evolved_axes().iter().map(|axis| json!({
                "axis": axis.name, "values": wording(&axis.values), "grain": Grain::of(&axis.values).kind().name(),
                "cells": Grain::of(&axis.values).cells(),
            })).collect::<Vec<_>>(),
            "columns": shape.columns.iter().map(|c| json!({ "name": c.name, "type": c.kind.name() })).collect::<Vec<_>>(),
            "canonical": canonical,
        })
    });
    Ok(Exit::Complete)
}
