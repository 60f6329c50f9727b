//! The `[sweep.stopping]` section: which candidates go on, and how far each rung goes.

use tumble_domain::{Axis, AxisTarget, Kind, PipelineDescription, Stopping, StoppingRule};
use tumble_search::strategies::POINTS_MAX;

use crate::problem::{At, Notes};
use crate::sweep::TRIALS_MAX;
use crate::typed::Typed;
use crate::wording::one_of;
use crate::words::{RULES, word_of};

/// `factor` where the run file is silent.
pub(crate) const FACTOR: u32 = 3;

/// The column that tells which rung a trial is of.
pub(crate) const RUNG: &str = "rung";

/// The section, or `None` where there is none or a problem is noted.
pub(crate) fn meant(
    typed: &Typed<'_>,
    pipeline: &PipelineDescription,
    pipelines: &[PipelineDescription],
    axes: &[(Axis, At)],
    notes: &mut Notes<'_>,
) -> Option<Stopping> {
    let section = typed.sweep.value()?.stopping.written()?;
    let written = &section.value;
    if !typed.evolve.is_absent() {
        let message = "a sweep of evolutions has no rungs: an evolution stops by rules of its own";
        notes.report(&section.at, "sweep.stopping", message, "remove [sweep.stopping], and see `evolve.stop`");
        return None;
    }
    let Some((steps, name)) = prolonging(pipeline) else {
        let able = pipelines.iter().filter(|p| prolonging(p).is_some()).map(|p| p.name.as_str());
        let able: Vec<&str> = able.collect();
        let message = format!("pipeline `{}` has no parameter that only says how long a trial goes on", pipeline.name);
        let fix = match able.is_empty() {
            true => "remove [sweep.stopping]".to_owned(),
            false => format!("remove [sweep.stopping]; pipelines that have one: `{}`", able.join("`, `")),
        };
        notes.report(&section.at, "sweep.stopping", message, fix);
        return None;
    };
    if let Some(other) = written.steps.written().filter(|other| other.value != *name) {
        let message = format!("`{}` does not only say how long a trial of `{}` goes on", other.value, pipeline.name);
        notes.report(&other.at, "sweep.stopping.steps", message, format!("write `steps = \"{name}\"`"));
    }
    let at_config = typed.config.value().and_then(|config| config.get(name)).map(|entry| (&entry.at, "[config]"));
    let of_axis = axes.iter().find(|(axis, _)| axis.target == AxisTarget::Parameter(steps));
    for (at, place) in at_config.into_iter().chain(of_axis.map(|(_, at)| (at, "[sweep.axes]"))) {
        let message = format!("`{name}` is what the rungs of [sweep.stopping] set, and {place} sets it as well");
        notes.report(at, "sweep.stopping", message, "remove it here, and see `rungs`");
    }
    check_columns(pipeline, name, axes, &section.at, notes);
    let rule = match written.rule.written() {
        Some(word) => word_of(word, "rule", "sweep.stopping.rule", &RULES, notes),
        None => {
            if written.rule.is_absent() {
                let names: Vec<&str> = RULES.iter().map(|(name, _)| *name).collect();
                notes.report(&section.at, "sweep.stopping.rule", "missing `rule` in [sweep.stopping]", one_of(&names));
            }
            None
        }
    };
    if let (Some(StoppingRule::Median), Some(factor)) = (rule, written.factor.written()) {
        let message = "`factor` has no meaning for the rule `median`, which keeps the better half";
        notes.report(&factor.at, "sweep.stopping.factor", message, "remove it");
    }
    if written.rungs.is_absent() {
        let fix = "for example `rungs = [10, 30, 90]`";
        notes.report(&section.at, "sweep.stopping.rungs", "missing `rungs` in [sweep.stopping]", fix);
    }
    let rungs = written.rungs.written()?;
    if rungs.value.len() < 2 {
        let fix = "give at least two; a single one is a plain sweep with that value in [config]";
        notes.report(&rungs.at, "sweep.stopping.rungs", "`rungs` has no two values, so nobody is stopped", fix);
    }
    let (low, high) = pipeline.parameters[steps].bounds.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
    for rung in &rungs.value {
        if !(low <= rung.value as f64 && rung.value as f64 <= high) {
            let message = format!("the rung {} is out of the bounds of `{name}`", rung.value);
            notes.report(&rung.at, "sweep.stopping.rungs", message, format!("it must be {low} to {high}"));
        }
    }
    for pair in rungs.value.windows(2).filter(|pair| pair[1].value <= pair[0].value) {
        let message = format!("the rung {} does not lie above {}, which comes before it", pair[1].value, pair[0].value);
        notes.report(&pair[1].at, "sweep.stopping.rungs", message, "write the rungs by rising value");
    }
    let rungs = rungs.value.iter().map(|rung| rung.value).collect();
    Some(Stopping { rule: rule?, steps, rungs, factor: written.factor.value().copied().unwrap_or(FACTOR) })
}

/// The integer parameter that only prolongs a trial, and its position.
fn prolonging(pipeline: &PipelineDescription) -> Option<(usize, &str)> {
    let name = pipeline.prolongs.as_deref()?;
    let position = pipeline.parameter_index(name)?;
    (pipeline.parameters[position].kind == Kind::Integer).then_some((position, name))
}

/// The columns that only a sweep with rungs has must have names of their own.
fn check_columns(pipeline: &PipelineDescription, steps: &str, axes: &[(Axis, At)], at: &At, notes: &mut Notes<'_>) {
    if let Some(metric) = pipeline.metrics.iter().find(|metric| metric.name == RUNG || metric.name == steps) {
        let message = format!("metric `{}` has the name of a column that rungs need", metric.name);
        notes.report(at, "sweep.stopping", message, "the pipeline must call its metric something else");
    }
    if let Some((_, at)) = axes.iter().find(|(axis, _)| axis.name == RUNG) {
        let message = "axis `rung` would share its column with the rungs of [sweep.stopping]";
        notes.report(at, "sweep.axes.rung", message, "set `rung` in [config] instead, or remove [sweep.stopping]");
    }
}

/// What the coordinator keeps grows with the points of such a sweep, and its trials must be numbered.
pub(crate) fn check_size(
    stopping: &Stopping,
    candidates: u128,
    replicates: u128,
    typed: &Typed<'_>,
    notes: &mut Notes<'_>,
) {
    let at = typed.sweep.value().and_then(|sweep| sweep.stopping.written()).map_or(At::Nowhere, |w| w.at.clone());
    if candidates > u128::from(POINTS_MAX) {
        let message = format!("the sweep has {candidates} candidates, but at most {POINTS_MAX} can be stopped early");
        notes.report(&at, "sweep.stopping", message, "take fewer points, or remove [sweep.stopping]");
    }
    let trials = candidates.saturating_mul(replicates).saturating_mul(stopping.rungs.len() as u128);
    if trials >= TRIALS_MAX {
        let message = format!("the run has up to {trials} trials, but fewer than 2^63 can be numbered");
        notes.report(&at, "sweep.stopping", message, "lower `replicates`, or take fewer points or rungs");
    }
}
