//! Bounds of every element, and the fold that lets a strategy search as if there were none.
//!
//! The strategy moves in all of space; what is evaluated is the folded point. The fold is the identity over most of the
//! interval, bends quadratically near its ends, and repeats beyond, so it is continuously differentiable and each point
//! of the interval is reached.
//! Source: pycma 4.5.0, `cma/transformations.py`, `BoxConstraintsLinQuadTransformation`.

use crate::strategy::StrategyError;

/// An interval that every element of a candidate stays in, both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    low: f64,
    high: f64,
}

impl Bounds {
    /// The interval from `low` to `high`, if both are finite and in order.
    pub fn try_new(low: f64, high: f64) -> Result<Bounds, StrategyError> {
        if low.is_finite() && high.is_finite() && low < high && (high - low).is_finite() {
            Ok(Bounds { low, high })
        } else {
            Err(StrategyError::Setting(format!(
                "the bounds [{low:?}, {high:?}] are not an interval: give finite numbers, the smaller first"
            )))
        }
    }

    /// The smallest value.
    pub fn low(self) -> f64 {
        self.low
    }

    /// The largest value.
    pub fn high(self) -> f64 {
        self.high
    }

    /// How far it is from one end to the other.
    pub fn width(self) -> f64 {
        self.high - self.low
    }

    /// The middle.
    pub fn middle(self) -> f64 {
        self.low + 0.5 * self.width()
    }

    /// Whether `x` lies between the ends.
    pub fn contains(self, x: f64) -> bool {
        self.low <= x && x <= self.high
    }

    /// The point of the interval that `x`, which may lie anywhere, stands for.
    pub fn fold(self, x: f64) -> f64 {
        let Bounds { low, high } = self;
        let (a, b) = self.margins();
        // Where the fold is the identity, not one bit may change.
        if low + a <= x && x <= high - b {
            return x;
        }
        let mut x = x;
        let (first, last) = (low - 2.0 * a - 0.5 * self.width(), high + 2.0 * b + 0.5 * self.width());
        if x < first || x > last {
            let period = 2.0 * (self.width() + a + b);
            // The remainder is exact, however far out the point is.
            let along = libm::fmod(x - first, period);
            x = first + if along < 0.0 { along + period } else { along };
        }
        if x > high + b {
            x -= 2.0 * (x - high - b);
        }
        if x < low - a {
            x += 2.0 * (low - a - x);
        }
        if x < low + a {
            let from = x - (low - a);
            x = low + from * from / (4.0 * a);
        }
        if x > high - b {
            let from = x - (high + b);
            x = high - from * from / (4.0 * b);
        }
        // Rounding may leave the interval by a digit; only an infinite difference gives NaN.
        if x.is_nan() { self.middle() } else { x.clamp(low, high) }
    }

    /// The point nearest the middle that folds onto `x`, for an `x` inside.
    pub fn unfold(self, x: f64) -> f64 {
        let Bounds { low, high } = self;
        let (a, b) = self.margins();
        if x < low + a {
            low - a + 2.0 * (a * (x - low)).sqrt()
        } else if x > high - b {
            high + b - 2.0 * (b * (high - x)).sqrt()
        } else {
            x
        }
    }

    /// How far the bends reach into the interval: a twentieth of the end's magnitude, at least of 1, at most half way.
    fn margins(self) -> (f64, f64) {
        let margin = |end: f64| (0.5 * self.width()).min(0.05 * end.abs().max(1.0));
        (margin(self.low), margin(self.high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by pycma 4.5.0 with its default margins.
    #[test]
    fn the_fold_gives_what_pycma_gives() {
        let bounds = Bounds::try_new(1.0, 2.0).unwrap();
        let cases = [
            (1.5, 1.5),
            (0.9, 1.0125),
            (1.02, 1.0245),
            (0.95, 1.0),
            (2.05, 1.99375),
            (2.1, 2.0),
            (2.07, 1.99775),
            (-0.3, 1.975),
            (-7.77, 1.43),
            (3.456, 1.156),
            (100.123, 1.223),
            (1.05, 1.05),
            (1.04999, 1.0499900005),
            (1.9, 1.9),
        ];
        for (x, expected) in cases {
            assert!(
                (bounds.fold(x) - expected).abs() < 2e-14 * x.abs().max(1.0),
                "{x}: {} against {expected}",
                bounds.fold(x)
            );
        }
    }

    #[test]
    fn every_point_folds_inside_and_every_inner_point_is_reached() {
        for (low, high) in [(-1.0, 1.0), (0.0, 1e-3), (-1000.0, 5.0), (100.0, 100.5), (-1e9, 1e9), (-8e307, 8e307)] {
            let bounds = Bounds::try_new(low, high).unwrap();
            for step in -4000..=4000 {
                let x = bounds.middle() + bounds.width() * f64::from(step) / 977.0;
                assert!(bounds.contains(bounds.fold(x)), "{x} in [{low}, {high}]");
                if bounds.contains(x) {
                    let back = bounds.fold(bounds.unfold(x));
                    let size = bounds.width().max(low.abs()).max(high.abs());
                    assert!((back - x).abs() <= 1e-14 * size, "{x} came back as {back}");
                }
            }
            for far in [1e300, -1e300, f64::MAX, f64::MIN] {
                assert!(bounds.contains(bounds.fold(far)), "{far} in [{low}, {high}]");
            }
            assert_eq!(bounds.fold(bounds.unfold(low)), low);
            assert_eq!(bounds.fold(bounds.unfold(high)), high);
        }
    }

    #[test]
    fn what_is_no_interval_is_refused() {
        for (low, high) in [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (0.0, f64::INFINITY), (-1e308, 1e308)] {
            assert!(Bounds::try_new(low, high).is_err(), "[{low}, {high}]");
        }
    }
}
