//! Designs of sweeps: how the points of a sweep are laid out over its axes.
//!
//! A design is a rule, not a list: any value of any point is made from the point's index alone, in time that does not
//! grow with the number of points, and nothing is kept for each point. So a sweep of 10¹² points costs no memory.

pub(crate) mod axis;
mod branches;
mod latin_hypercube;
mod sobol;
#[cfg(test)]
mod tests;

use tumble_domain::nearest::nearest;
use tumble_domain::seed::Stream;
use tumble_domain::{Condition, Criterion, Seed, Sweep, Value};

use crate::noise::word64;
use axis::Scale;
use branches::Branches;
pub use branches::DECIDING_VALUES_MAX;
use latin_hypercube::LatinHypercube;
use sobol::Sobol;

/// The most points of a `latin-hypercube` with the criterion `maximin`: every pair of them is compared.
pub const MAXIMIN_POINTS_MAX: u64 = latin_hypercube::MAXIMIN_POINTS_MAX;

/// The most axes of a `sobol` design: so many direction numbers are on board.
pub const SOBOL_AXES_MAX: usize = sobol::AXES_MAX;

/// A sweep laid out: any value of any point, by index.
#[derive(Clone, Debug)]
pub struct Design {
    scales: Vec<Scale>,
    points: u64,
    layout: Layout,
    /// The condition of each axis that is there at some points only.
    conditions: Vec<Option<Condition>>,
}

/// How a point's index becomes a place on each axis.
#[derive(Clone, Debug)]
enum Layout {
    /// Every combination, the last axis fastest.
    Grid(Branches),
    /// Point `i` has the `i`-th value of every axis.
    List,
    /// Every point is drawn for itself.
    Random(Seed),
    /// On each axis, one point in each of `points` equal cells.
    LatinHypercube(LatinHypercube),
    /// A scrambled Sobol' sequence.
    Sobol(Sobol),
}

/// What a design is, for help pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DesignDescription {
    /// As the run file names it.
    pub name: &'static str,
    /// One sentence: what it is.
    pub summary: &'static str,
    /// When to use it, and when not.
    pub advice: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// What its axes must say, and whether the sweep needs `points`.
    pub needs: &'static str,
}

/// Why a sweep cannot be laid out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DesignError {
    /// No design has this name.
    #[error("unknown design `{name}`{}", hint(.meant))]
    Unknown {
        /// As the run file has it.
        name: String,
        /// The nearest one there is.
        meant: Option<&'static str>,
    },
    /// A sweep over nothing.
    #[error("the sweep has no axes: give at least one under [sweep.axes]")]
    NoAxes,
    /// An axis without values.
    #[error("axis `{axis}` has no values: give at least one")]
    EmptyAxis {
        /// The axis.
        axis: String,
    },
    /// An interval that runs backwards.
    #[error("axis `{axis}` runs from {from} down to {to}: give the smaller number first")]
    Backwards {
        /// The axis.
        axis: String,
        /// Its first value, as text.
        from: String,
        /// Its last value, as text.
        to: String,
    },
    /// An end that is infinite, not a number, or so large that the interval has no width.
    #[error(
        "axis `{axis}` has an end that is no finite number, or its ends are too far apart: give a smaller interval"
    )]
    NotFinite {
        /// The axis.
        axis: String,
    },
    /// A logarithmic axis that reaches zero.
    #[error("axis `{axis}` is logarithmic, so both ends must be greater than 0, but one is {end:?}")]
    LogNotPositive {
        /// The axis.
        axis: String,
        /// The end that is not.
        end: f64,
    },
    /// An interval where a grid or list needs to know how many values.
    #[error("axis `{axis}` is an interval without `points`, which the design `{design}` needs: add `points = …`")]
    NoPointsOnAxis {
        /// The axis.
        axis: String,
        /// The design.
        design: &'static str,
    },
    /// One value cannot reach from one end to the other.
    #[error("axis `{axis}` has `points = {points}`, but an interval needs at least 2, one for each end")]
    TooFewPointsOnAxis {
        /// The axis.
        axis: String,
        /// As the run file has it.
        points: u64,
    },
    /// Axes of a list that do not match.
    #[error(
        "axis `{axis}` has {length} values, but axis `{first}` has {first_length}: in the design `list` every axis has \
         as many"
    )]
    UnequalLengths {
        /// The axis.
        axis: String,
        /// Its values.
        length: u64,
        /// The first axis.
        first: String,
        /// Its values.
        first_length: u64,
    },
    /// A sampling design that is not told how many points to lay out.
    #[error("the design `{design}` samples, so the sweep needs `points`, at least 1")]
    NoPoints {
        /// The design.
        design: &'static str,
    },
    /// A number of points beside a design that counts them itself.
    #[error("the design `{design}` counts its points itself: leave `points` of the sweep out")]
    PointsNotTaken {
        /// The design.
        design: &'static str,
    },
    /// More points than can be numbered.
    #[error("the axes up to `{axis}` multiply to more than 2^64 points: take fewer values, or a design that samples")]
    TooManyPoints {
        /// The axis with which it becomes too many.
        axis: String,
    },
    /// More axes than direction numbers.
    #[error(
        "axis `{axis}` is number {axes} of the sweep, but the design `sobol` has at most {SOBOL_AXES_MAX} axes: take `latin-hypercube`"
    )]
    TooManyAxes {
        /// The first axis that is too many.
        axis: String,
        /// Its number, from 1.
        axes: usize,
    },
    /// An axis that cannot be there at some points only, as its condition says.
    #[error("axis `{axis}` cannot depend on another as it says: {why}")]
    Condition {
        /// The axis.
        axis: String,
        /// What is wrong with its condition.
        why: String,
    },
    /// A criterion beside a design that has none.
    #[error("the design `{design}` knows no criterion: leave `criterion` out, or take `latin-hypercube`")]
    CriterionNotTaken {
        /// The design.
        design: &'static str,
    },
    /// More points than are compared pair by pair.
    #[error(
        "the criterion `maximin` compares every pair of at most {MAXIMIN_POINTS_MAX} points, but the sweep has {points}: \
         leave it out, or take `sobol`"
    )]
    TooManyToCompare {
        /// As the run file has it.
        points: u64,
    },
}

fn hint(meant: &Option<&'static str>) -> String {
    meant.map_or(String::new(), |name| format!(": did you mean `{name}`?"))
}

const DESCRIPTIONS: [DesignDescription; 5] = [
    DesignDescription {
        name: "grid",
        summary: "every combination of the axes' values, the last axis fastest",
        advice: "one to three axes, or when the tables are to be read as maps; the number of points multiplies, but not by \
                 an axis that is there at some points only (`when = { rule = \"hebb\" }`): branches add up",
        source: "full factorial design",
        needs: "lists, integers, or intervals with `points`",
    },
    DesignDescription {
        name: "random",
        summary: "every point drawn for itself, evenly over each axis",
        advice: "many axes of which few matter, or points to be added later: the first points stay as they are",
        source: "Bergstra and Bengio, JMLR 13 (2012)",
        needs: "`points` of the sweep; axes of any form",
    },
    DesignDescription {
        name: "latin-hypercube",
        summary: "on each axis one point in each of `points` equal cells, in an order of its own",
        advice: "a fixed number of points over several axes, when each axis alone should be covered evenly; with \
                 `criterion = \"maximin\"` the one of 64 hypercubes whose closest two points are farthest apart",
        source: "McKay, Beckman, Conover, Technometrics 21 (1979); maximin: Morris and Mitchell, J. Statist. Plann. \
                 Inference 43 (1995)",
        needs: "`points` of the sweep, with `maximin` at most 2048; axes of any form",
    },
    DesignDescription {
        name: "sobol",
        summary: "a scrambled Sobol' sequence, which covers pairs and triples of axes evenly as well",
        advice: "integrals, sensitivity analysis and surrogate models; best with a power of two of points",
        source: "Joe and Kuo, SIAM J. Sci. Comput. 30 (2008); scrambled after Matoušek, J. Complexity 14 (1998)",
        needs: "`points` of the sweep; axes of any form, at most 1024",
    },
    DesignDescription {
        name: "list",
        summary: "point i takes the i-th value of every axis",
        advice: "points chosen by hand or by another program, which may stand in a file: `file = \"points.csv\"` or \
                 `.parquet`, a column for each axis",
        source: "axes zipped",
        needs: "axes of equal length: lists, integers, or intervals with `points`; or a file",
    },
];

/// Every design, in the order that help pages show them.
pub fn descriptions() -> &'static [DesignDescription] {
    &DESCRIPTIONS
}

impl Design {
    /// Lays a sweep out. The seed keys whatever the design draws.
    pub fn try_new(sweep: &Sweep, seed: Seed) -> Result<Design, DesignError> {
        let Some(description) = DESCRIPTIONS.iter().find(|description| description.name == sweep.design) else {
            let meant = nearest(&sweep.design, DESCRIPTIONS.iter().map(|description| description.name));
            let meant = DESCRIPTIONS.iter().map(|d| d.name).find(|name| meant == Some(*name));
            return Err(DesignError::Unknown { name: sweep.design.clone(), meant });
        };
        let design = description.name;
        if sweep.axes.is_empty() {
            return Err(DesignError::NoAxes);
        }
        let scales = sweep.axes.iter().map(Scale::try_new).collect::<Result<Vec<_>, _>>()?;
        let branches = Branches::try_new(sweep)?;
        if sweep.criterion.is_some() && design != "latin-hypercube" {
            return Err(DesignError::CriterionNotTaken { design });
        }
        let (points, layout) = match design {
            "grid" => grid(sweep, &scales, branches)?,
            "list" => (list(sweep, &scales)?, Layout::List),
            _ => {
                let points = sweep.points.filter(|points| *points > 0).ok_or(DesignError::NoPoints { design })?;
                let layout = match design {
                    "random" => Layout::Random(seed),
                    "latin-hypercube" => Layout::LatinHypercube(latin_hypercube(sweep, seed, points)?),
                    _ => match sweep.axes.get(SOBOL_AXES_MAX) {
                        Some(axis) => {
                            let axis = axis.name.clone();
                            return Err(DesignError::TooManyAxes { axis, axes: SOBOL_AXES_MAX + 1 });
                        }
                        None => Layout::Sobol(Sobol::scrambled(seed, scales.len())),
                    },
                };
                (points, layout)
            }
        };
        if sweep.points.is_some() && matches!(layout, Layout::Grid(_) | Layout::List) {
            return Err(DesignError::PointsNotTaken { design });
        }
        let mut conditions = vec![None; sweep.axes.len()];
        sweep.conditions.iter().for_each(|condition| conditions[condition.axis] = Some(condition.clone()));
        Ok(Design { scales, points, layout, conditions })
    }

    /// How many points there are.
    pub fn points(&self) -> u64 {
        self.points
    }

    /// How many axes there are.
    pub fn axes(&self) -> usize {
        self.scales.len()
    }

    /// The value of axis `axis` at point `point`; `None` where the axis is not there.
    ///
    /// # Panics
    /// If there is no such axis. A point past the last is whatever the rule gives there.
    pub fn value(&self, point: u64, axis: usize) -> Option<Value> {
        let scale = &self.scales[axis];
        if let Layout::Grid(branches) = &self.layout {
            return branches.step(point, axis).map(|step| scale.step(step));
        }
        if let Some(condition) = &self.conditions[axis] {
            // The draw stands where the axis is not there as well: it is only not asked for.
            self.value(point, condition.on).filter(|value| condition.values.contains(value))?;
        }
        Some(match &self.layout {
            Layout::Grid(_) | Layout::List => scale.step(point.min(self.points - 1)),
            Layout::Random(seed) => scale.at(random(*seed, point, axis, 0)),
            Layout::LatinHypercube(hypercube) => scale.at(hypercube.fraction(point, axis)),
            Layout::Sobol(sobol) => scale.at(sobol.fraction(point, axis)),
        })
    }

    /// The branches of a grid: for each axis that others hang on (and that hangs on none itself), each of its values with
    /// how many points have it. Empty without conditions, and for a design that samples.
    pub fn branches(&self) -> Vec<(usize, Vec<(Value, u64)>)> {
        let Layout::Grid(branches) = &self.layout else { return Vec::new() };
        let shares = (0..self.axes()).filter_map(|axis| Some((axis, branches.shares(axis)?)));
        let named = shares.map(|(axis, shares)| {
            let values = (0..).zip(shares).map(|(step, points)| (self.scales[axis].step(step), points as u64));
            (axis, values.collect())
        });
        named.collect()
    }
}

/// Points of a grid over these axes: the product of their values, where no axis has a condition; the largest number for
/// more than that, and 0 where a condition makes no sense or an interval has no `points`.
pub fn grid_points(sweep: &Sweep) -> u128 {
    Branches::try_new(sweep).map_or(0, |branches| branches.points())
}

/// The place of a point on an axis, as a 64-bit fraction of it, drawn for itself.
fn random(seed: Seed, point: u64, axis: usize, block: u32) -> u64 {
    word64(seed.noise(Stream::Design, axis as u32 & 0xFF_FFFF, point as u32, (point >> 32) as u32, block), 0)
}

fn latin_hypercube(sweep: &Sweep, seed: Seed, points: u64) -> Result<LatinHypercube, DesignError> {
    match sweep.criterion {
        None => Ok(LatinHypercube::new(seed, points)),
        Some(Criterion::Maximin) if points > MAXIMIN_POINTS_MAX => Err(DesignError::TooManyToCompare { points }),
        Some(Criterion::Maximin) => Ok(LatinHypercube::maximin(seed, points, sweep.axes.len())),
    }
}

fn grid(sweep: &Sweep, scales: &[Scale], branches: Branches) -> Result<(u64, Layout), DesignError> {
    for (axis, scale) in sweep.axes.iter().zip(scales) {
        scale.steps().ok_or_else(|| DesignError::NoPointsOnAxis { axis: axis.name.clone(), design: "grid" })?;
    }
    if let Some(axis) = branches.overflow() {
        return Err(DesignError::TooManyPoints { axis: sweep.axes[axis].name.clone() });
    }
    Ok((branches.points() as u64, Layout::Grid(branches)))
}

fn list(sweep: &Sweep, scales: &[Scale]) -> Result<u64, DesignError> {
    let mut first: Option<(&str, u64)> = None;
    for (axis, scale) in sweep.axes.iter().zip(scales) {
        let length =
            scale.steps().ok_or_else(|| DesignError::NoPointsOnAxis { axis: axis.name.clone(), design: "list" })?;
        match first {
            None => first = Some((&axis.name, length)),
            Some((_, first_length)) if first_length == length => {}
            Some((first, first_length)) => {
                return Err(DesignError::UnequalLengths {
                    axis: axis.name.clone(),
                    length,
                    first: first.to_owned(),
                    first_length,
                });
            }
        }
    }
    Ok(first.map_or(0, |(_, length)| length))
}
