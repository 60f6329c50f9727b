//! When a strategy that steps is exhausted, as its step sizes and ranks alone tell.

use tumble_domain::{Fitness, Parameter};

use super::{Settings, integer, number};
use crate::codec::{Reader, Writer};
use crate::shaping;
use crate::strategy::SnapshotError;

/// How much a step size may grow before the search counts as diverging.
const GROWTH_MAX: f64 = 1e12;

/// How much it may grow over generations without a difference, or a storm of failures would have no end.
const GROWTH_WHEN_FLAT_MAX: f64 = 1e3;

/// The criteria, and what they remember.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    tolx: f64,
    flat_max: u32,
    /// The first step size.
    first: f64,
    /// Generations in a row without a difference.
    flat: u32,
}

impl Ending {
    pub(super) fn parameters() -> [Parameter; 2] {
        [
            number("tolx", Some(1e-11), (0.0, 1e100), "exhausted when every step size is smaller than this"),
            integer(
                "tolflatfitness",
                Some(20),
                (0.0, 1e9),
                "how many generations in a row may show no difference between candidates, or only failures",
            ),
        ]
    }

    pub(super) fn new(settings: &Settings, first: f64) -> Ending {
        Ending {
            tolx: settings.default_number("tolx"),
            flat_max: settings.default_number("tolflatfitness") as u32,
            first,
            flat: 0,
        }
    }

    /// Takes a generation down; tells whether it was flat.
    pub(super) fn observe(&mut self, fitness: &[Fitness]) -> bool {
        let flat = shaping::is_flat(fitness);
        self.flat = if flat { self.flat.saturating_add(1) } else { 0 };
        flat
    }

    /// `sigma` made longer by `growth` after a flat generation, as far as that makes sense.
    pub(super) fn lengthened(&self, sigma: f64, growth: f64) -> f64 {
        (sigma * growth).min((GROWTH_WHEN_FLAT_MAX * self.first).max(sigma))
    }

    /// The first criterion that is met, from where the search stands and how far it steps in each element.
    pub(super) fn reason(&self, at: &[f64], deviation: impl Fn(usize) -> f64) -> Option<&'static str> {
        let largest = (0..at.len()).map(&deviation).fold(0.0, f64::max);
        if largest < self.tolx {
            return Some("tolx: the step sizes have vanished");
        }
        if largest > GROWTH_MAX * self.first {
            return Some("tolfacupx: the step size grew 10^12-fold: the search diverges");
        }
        if (0..at.len()).any(|i| at[i] == at[i] + 0.2 * deviation(i)) {
            return Some("noeffectcoord: a step in some coordinate no longer changes the mean");
        }
        if self.flat > self.flat_max {
            return Some("tolflatfitness: candidates do not differ in fitness, or none could be scored");
        }
        None
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.f64s(&[self.tolx, self.first]);
        out.u32(self.flat_max);
        out.u32(self.flat);
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Ending, SnapshotError> {
        let (tolx, first) = (from.finite()?, from.finite()?);
        Ok(Ending { tolx, first, flat_max: from.u32()?, flat: from.u32()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fitness::{Scored, Worst};

    fn ending() -> Ending {
        Ending { tolx: 1e-11, flat_max: 2, first: 0.5, flat: 0 }
    }

    #[track_caller]
    fn check(ending: &Ending, at: f64, deviations: [f64; 2], expected: Option<&str>) {
        let reason = ending.reason(&[at, 0.0], |i| deviations[i]);
        assert_eq!(reason.map(|reason| reason.split(':').next().unwrap()), expected);
    }

    #[test]
    fn a_search_ends_when_its_steps_vanish_explode_or_drown_in_rounding() {
        check(&ending(), 1.0, [0.1, 1e-13], None);
        check(&ending(), 1.0, [1e-12, 1e-13], Some("tolx"));
        check(&ending(), 1.0, [1e-5, 6e11], Some("tolfacupx"));
        check(&ending(), 1e9, [1e-8, 1.0], Some("noeffectcoord"));
    }

    #[test]
    fn a_search_ends_when_generation_after_generation_shows_no_difference() {
        let mut ending = ending();
        for flat in [&[Scored(1.0), Scored(1.0)][..], &[Worst, Worst]] {
            assert!(ending.observe(flat));
            check(&ending, 1.0, [0.1, 0.1], None);
        }
        assert!(ending.observe(&[Worst, Worst]));
        check(&ending, 1.0, [0.1, 0.1], Some("tolflatfitness"));
        assert!(!ending.observe(&[Worst, Scored(1.0)]));
        check(&ending, 1.0, [0.1, 0.1], None);
    }

    #[test]
    fn failures_lengthen_the_steps_a_thousandfold_at_most() {
        assert_eq!(ending().lengthened(0.5, 2.0), 1.0);
        assert_eq!(ending().lengthened(400.0, 2.0), 500.0);
        assert_eq!(ending().lengthened(800.0, 2.0), 800.0);
    }
}
