//! Designs of sweeps: how the points of a sweep are laid out over its axes.
//!
//! A design is a rule, not a list: any value of any point is made from the point's index alone, in time that does not
//! grow with the number of points, and nothing is kept for each point. So a sweep of 10¹² points costs no memory.

pub(crate) mod axis;
mod latin_hypercube;
mod sobol;
#[cfg(test)]
mod tests;

use tumble_domain::nearest::nearest;
use tumble_domain::seed::Stream;
use tumble_domain::{Seed, Sweep, Value};

use crate::noise::word64;
use axis::Scale;
use latin_hypercube::LatinHypercube;
use sobol::Sobol;

/// The most axes of a `sobol` design: so many direction numbers are on board.
pub const SOBOL_AXES_MAX: usize = sobol::AXES_MAX;

/// A sweep laid out: any value of any point, by index.
#[derive(Clone, Debug)]
pub struct Design {
    scales: Vec<Scale>,
    points: u64,
    layout: Layout,
}

/// How a point's index becomes a place on each axis.
#[derive(Clone, Debug)]
enum Layout {
    /// Every combination, the last axis fastest. `strides[a]` points share the same place on axis `a` in a row.
    Grid { strides: Vec<u64> },
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
}

fn hint(meant: &Option<&'static str>) -> String {
    meant.map_or(String::new(), |name| format!(": did you mean `{name}`?"))
}

const DESCRIPTIONS: [DesignDescription; 5] = [
    DesignDescription {
        name: "grid",
        summary: "every combination of the axes' values, the last axis fastest",
        advice: "one to three axes, or when the tables are to be read as maps; the number of points multiplies",
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
        advice: "a fixed number of points over several axes, when each axis alone should be covered evenly",
        source: "McKay, Beckman, Conover, Technometrics 21 (1979)",
        needs: "`points` of the sweep; axes of any form",
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
        advice: "points chosen by hand or by another program",
        source: "axes zipped",
        needs: "axes of equal length: lists, integers, or intervals with `points`",
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
        let (points, layout) = match design {
            "grid" => grid(sweep, &scales)?,
            "list" => (list(sweep, &scales)?, Layout::List),
            _ => {
                let points = sweep.points.filter(|points| *points > 0).ok_or(DesignError::NoPoints { design })?;
                let layout = match design {
                    "random" => Layout::Random(seed),
                    "latin-hypercube" => Layout::LatinHypercube(LatinHypercube::new(seed, points)),
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
        if sweep.points.is_some() && matches!(layout, Layout::Grid { .. } | Layout::List) {
            return Err(DesignError::PointsNotTaken { design });
        }
        Ok(Design { scales, points, layout })
    }

    /// How many points there are.
    pub fn points(&self) -> u64 {
        self.points
    }

    /// How many axes there are.
    pub fn axes(&self) -> usize {
        self.scales.len()
    }

    /// The value of axis `axis` at point `point`.
    ///
    /// # Panics
    /// If there is no such axis. A point past the last is whatever the rule gives there.
    pub fn value(&self, point: u64, axis: usize) -> Value {
        let scale = &self.scales[axis];
        match &self.layout {
            Layout::Grid { strides } => scale.step(point / strides[axis] % scale.steps().unwrap_or(1)),
            Layout::List => scale.step(point.min(self.points - 1)),
            Layout::Random(seed) => scale.at(random(*seed, point, axis)),
            Layout::LatinHypercube(hypercube) => scale.at(hypercube.fraction(point, axis)),
            Layout::Sobol(sobol) => scale.at(sobol.fraction(point, axis)),
        }
    }
}

/// The place of a point on an axis, as a 64-bit fraction of it, drawn for itself.
fn random(seed: Seed, point: u64, axis: usize) -> u64 {
    word64(seed.noise(Stream::Design, axis as u32 & 0xFF_FFFF, point as u32, (point >> 32) as u32, 0), 0)
}

fn grid(sweep: &Sweep, scales: &[Scale]) -> Result<(u64, Layout), DesignError> {
    let mut points = 1u64;
    let mut steps = Vec::with_capacity(scales.len());
    for (axis, scale) in sweep.axes.iter().zip(scales) {
        let count =
            scale.steps().ok_or_else(|| DesignError::NoPointsOnAxis { axis: axis.name.clone(), design: "grid" })?;
        points = points.checked_mul(count).ok_or_else(|| DesignError::TooManyPoints { axis: axis.name.clone() })?;
        steps.push(count);
    }
    let mut strides = vec![1u64; scales.len()];
    for axis in (0..scales.len() - 1).rev() {
        strides[axis] = strides[axis + 1] * steps[axis + 1];
    }
    Ok((points, Layout::Grid { strides }))
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
