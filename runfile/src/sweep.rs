//! The `[sweep]` section: the design, and how many candidates it lays out.

use tumble_domain::{Axis, Condition, Plan, RunSpec, Sweep};
use tumble_search::{Design, designs};

use crate::problem::{At, Notes};
use crate::stopping;
use crate::typed::{Typed, TypedSweep, Written};
use crate::wording::{instead_of, one_of};
use crate::words::{CRITERIA, word_of};

/// The most candidates of a sweep: beyond that, seeds of trials would come up twice.
const CANDIDATES_MAX: u128 = 1 << 56;
/// The most trials of a run: their numbers fit every reader's signed integers.
pub(crate) const TRIALS_MAX: u128 = 1 << 63;

/// Whether the design of this name samples; `None` for an unknown one.
pub(crate) fn samples(design: &str) -> Option<bool> {
    designs::descriptions().iter().any(|d| d.name == design).then_some(!matches!(design, "grid" | "list"))
}

/// The section with its axes, or `None` once a problem is noted.
pub(crate) fn meant(
    section: &Written<TypedSweep<'_>>,
    axes: &[(Axis, At)],
    conditions: Vec<Condition>,
    notes: &mut Notes<'_>,
) -> Option<Sweep> {
    let typed = &section.value;
    let names: Vec<&str> = designs::descriptions().iter().map(|d| d.name).collect();
    if typed.axes.is_absent() || typed.axes.value().is_some_and(|axes| axes.is_empty()) {
        let at = typed.axes.written().map_or(&section.at, |w| &w.at);
        let fix = "add [sweep.axes] with an entry for each swept parameter, such as `load = [0.5, 1.0]`";
        notes.report(at, "sweep.axes", "[sweep] has no axes", fix);
    }
    if typed.design.is_absent() {
        notes.report(&section.at, "sweep.design", "missing `design` in [sweep]", one_of(&names));
    }
    let design = typed.design.written()?;
    let Some(samples) = samples(&design.value) else {
        let message = format!("unknown design `{}`", design.value);
        notes.report(&design.at, "sweep.design", message, instead_of(&design.value, &names));
        return None;
    };
    match (&typed.points.written(), samples) {
        (Some(points), false) => {
            let message = format!("`points` has no meaning in design `{}`, whose axes say how many", design.value);
            notes.report(&points.at, "sweep.points", message, "remove it");
        }
        (None, true) if typed.points.is_absent() => {
            let message = format!("design `{}` samples, but [sweep] has no `points`", design.value);
            notes.report(&design.at, "sweep.points", message, "add for example `points = 100`");
        }
        _ => {}
    }
    let criterion = typed.criterion.written().and_then(|criterion| {
        if design.value != "latin-hypercube" {
            let message = format!("`criterion` has no meaning in design `{}`", design.value);
            notes.report(&criterion.at, "sweep.criterion", message, "remove it, or take `latin-hypercube`");
            return None;
        }
        word_of(criterion, "criterion", "sweep.criterion", &CRITERIA, notes)
    });
    if design.value == "list" {
        check_lengths(axes, notes);
    }
    Some(Sweep {
        design: design.value.clone(),
        points: typed.points.value().copied(),
        criterion,
        axes: axes.iter().map(|(axis, _)| axis.clone()).collect(),
        conditions,
        stopping: None,
    })
}

/// A list takes the first values of all axes, then the second: they must be as many.
fn check_lengths(axes: &[(Axis, At)], notes: &mut Notes<'_>) {
    let Some((first, _)) = axes.first() else { return };
    let Some(length) = first.values.len() else { return };
    for (axis, at) in &axes[1..] {
        if let Some(other) = axis.values.len().filter(|other| *other != length) {
            let message = format!(
                "axis `{}` has {other} values, but `{}` has {length}: a list takes them side by side",
                axis.name, first.name
            );
            let fix = "write as many values for each axis, or `design = \"grid\"`";
            notes.report(at, &format!("sweep.axes.{}", axis.name), message, fix);
        }
    }
}

/// How many candidates a sweep lays out.
pub(crate) fn candidates(sweep: &Sweep) -> u128 {
    match sweep.points {
        Some(points) => u128::from(points),
        None if sweep.design == "list" => sweep.axes.first().and_then(|a| a.values.len()).map_or(0, u128::from),
        None => designs::grid_points(sweep),
    }
}

/// Holds the size of the whole run against what trial numbers and seeds can tell apart, and builds the design once.
pub(crate) fn check_size(spec: &RunSpec, typed: &Typed<'_>, notes: &mut Notes<'_>) {
    let replicates = u128::from(spec.replicates);
    let at_replicates = |other: &At| typed.replicates.written().map_or(other.clone(), |w| w.at.clone());
    match &spec.plan {
        Plan::Evolve(evolve) => {
            let trials = u128::from(evolve.generations) * u128::from(evolve.population.unwrap_or(0)) * replicates;
            if trials >= TRIALS_MAX {
                let at = typed.evolve.written().map_or(At::Nowhere, |w| w.at.clone());
                let message = format!("the run has {trials} trials, but fewer than 2^63 can be numbered");
                notes.report(
                    &at_replicates(&at),
                    "evolve",
                    message,
                    "lower `generations`, `population` or `replicates`",
                );
            }
        }
        Plan::Sweep(sweep) | Plan::SweepOfEvolutions(sweep, _) => {
            let candidates = candidates(sweep);
            if let Some(stopping) = spec.plan.stopping() {
                stopping::check_size(stopping, candidates, replicates, typed, notes);
            }
            let at = typed.sweep.written().map_or(At::Nowhere, |w| w.at.clone());
            if candidates.saturating_mul(replicates) >= TRIALS_MAX {
                let trials = candidates.saturating_mul(replicates);
                let message = format!("the run has {trials} trials, but fewer than 2^63 can be numbered");
                notes.report(
                    &at,
                    "sweep",
                    message,
                    "lower `points`, take fewer values for each axis, or lower `replicates`",
                );
            } else if candidates > CANDIDATES_MAX {
                let message =
                    format!("the sweep has {candidates} candidates, but at most 2^56 have seeds of their own");
                notes.report(&at, "sweep", message, "lower `points`, or take fewer values for each axis");
            } else if let Err(error) = Design::try_new(sweep, spec.seed) {
                notes.report(&at, "sweep", error.to_string(), "`tumble designs` lists what each design takes");
            }
        }
    }
}
