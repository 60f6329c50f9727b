//! Grains: how finely a coordinate of a search is divided, and what its parts have to do with each other.

use tumble_domain::{AxisValues, Value};

use crate::codec::{Reader, Writer};
use crate::strategy::SnapshotError;

/// The most parts of a coordinate: the middle of each is still far from its neighbours in a double.
pub const CELLS_MAX: u64 = 1 << 31;

/// How a coordinate is divided. One that is divided runs from 0 to 1 in equal cells, and stands for the middle of the
/// cell that it lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// Not at all.
    Real,
    /// Into so many steps, one after another, at least 2.
    Integer {
        /// How many.
        steps: u32,
    },
    /// Into so many choices, of which none is nearer to another, at least 3: two have no order to be wrong about.
    Category {
        /// How many.
        choices: u32,
    },
}

/// A grain without its number of cells: what a strategy says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrainKind {
    /// [`Grain::Real`].
    Real,
    /// [`Grain::Integer`].
    Integer,
    /// [`Grain::Category`].
    Category,
}

impl GrainKind {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            GrainKind::Real => "real",
            GrainKind::Integer => "integer",
            GrainKind::Category => "category",
        }
    }
}

impl Grain {
    /// The grain of an axis. Numbers in a list are steps in their order; three words or more are choices.
    pub fn of(values: &AxisValues) -> Grain {
        let Some(cells) = values.len() else { return Grain::Real };
        let cells = u32::try_from(cells).unwrap_or(u32::MAX);
        match values {
            AxisValues::List(list) if cells > 2 && list.iter().any(|value| matches!(value, Value::Text(_))) => {
                Grain::Category { choices: cells }
            }
            _ => Grain::Integer { steps: cells },
        }
    }

    /// Its kind.
    pub fn kind(self) -> GrainKind {
        match self {
            Grain::Real => GrainKind::Real,
            Grain::Integer { .. } => GrainKind::Integer,
            Grain::Category { .. } => GrainKind::Category,
        }
    }

    /// Into how many cells the coordinate is divided; `None` for a real one.
    pub fn cells(self) -> Option<u32> {
        match self {
            Grain::Real => None,
            Grain::Integer { steps: cells } | Grain::Category { choices: cells } => Some(cells),
        }
    }
}

/// The cell of `cells` whose middle is nearest to `x`; of two as near the lower one, as in `cmaes.CMAwM`.
pub(crate) fn cell(x: f64, cells: u32) -> u32 {
    // A cast takes what lies below, and NaN, to 0.
    (((x * f64::from(cells)).ceil() - 1.0) as u32).min(cells - 1)
}

/// The middle of a cell.
pub(crate) fn middle(cell: u32, cells: u32) -> f64 {
    (f64::from(cell) + 0.5) / f64::from(cells)
}

/// The middle of the cell that `x` lies in; `x` itself where there are none.
pub(crate) fn settled(x: f64, grain: Grain) -> f64 {
    grain.cells().map_or(x, |cells| middle(cell(x, cells), cells))
}

/// Whether all coordinates are real, as those of a genome are; an empty list says the same of any number of them.
pub(crate) fn all_real(grains: &[Grain]) -> bool {
    grains.iter().all(|grain| *grain == Grain::Real)
}

pub(crate) fn write_grains(out: &mut Writer, grains: &[Grain]) {
    for grain in grains {
        let (kind, cells) = match grain {
            Grain::Real => (0, 0),
            Grain::Integer { steps } => (1, *steps),
            Grain::Category { choices } => (2, *choices),
        };
        out.u8(kind);
        out.u32(cells);
    }
}

/// The grains of so many coordinates.
pub(crate) fn read_grains(from: &mut Reader<'_>, count: usize) -> Result<Vec<Grain>, SnapshotError> {
    const BYTES: usize = 5;
    let bytes = from.raw(count.checked_mul(BYTES).ok_or(SnapshotError::Damaged("a length is out of range"))?)?;
    let mut inner = Reader::new(bytes);
    (0..count)
        .map(|_| match (inner.u8()?, inner.u32()?) {
            (0, 0) => Ok(Grain::Real),
            (1, steps) if (2..=CELLS_MAX).contains(&u64::from(steps)) => Ok(Grain::Integer { steps }),
            (2, choices) if (2..=CELLS_MAX).contains(&u64::from(choices)) => Ok(Grain::Category { choices }),
            _ => Err(SnapshotError::Damaged("a grain is unknown")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_cell_lies_in_it_and_what_is_outside_in_the_nearest() {
        for cells in [2, 3, 7, 21, 1000, 1 << 31] {
            for at in [0, 1, cells / 2, cells - 2, cells - 1] {
                assert_eq!(cell(middle(at, cells), cells), at);
            }
            assert_eq!((cell(-1e300, cells), cell(1e300, cells), cell(f64::NAN, cells)), (0, cells - 1, 0));
            assert_eq!((cell(f64::NEG_INFINITY, cells), cell(f64::INFINITY, cells)), (0, cells - 1));
        }
        // A border belongs to the cell below it.
        assert_eq!([0.25, 0.5, 0.500001].map(|x| cell(x, 4)), [0, 1, 2]);
    }

    #[test]
    fn words_are_choices_from_three_on_and_all_other_lists_are_steps() {
        let words = |n: usize| AxisValues::List((0..n).map(|i| Value::text(&format!("w{i}"))).collect());
        assert_eq!(Grain::of(&words(3)), Grain::Category { choices: 3 });
        assert_eq!(Grain::of(&words(2)), Grain::Integer { steps: 2 });
        assert_eq!(Grain::of(&AxisValues::List([1, 2, 4].map(Value::Integer).to_vec())), Grain::Integer { steps: 3 });
        assert_eq!(Grain::of(&AxisValues::Integers { from: -10, to: 10 }), Grain::Integer { steps: 21 });
        assert_eq!(Grain::of(&AxisValues::Log { from: 1.0, to: 2.0, points: None }), Grain::Real);
        assert_eq!(Grain::of(&AxisValues::Linear { from: 1.0, to: 2.0, points: Some(5) }), Grain::Integer { steps: 5 });
    }
}
