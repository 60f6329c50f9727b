//! A sweep with rungs, as a strategy: a generation is a rung, and its candidates are the points that are still there.
//!
//! It stands beside the shelf, for it proposes nothing of its own: a run file asks for it by `[sweep.stopping]`. Who goes on
//! is [`crate::stopping`]'s to say.

use tumble_domain::{Fitness, Stopping, StoppingRule};

use super::{POPULATION_MAX, seal, snapshot_of};
use crate::bounds::Bounds;
use crate::codec::{Reader, Writer};
use crate::proposal::{Law, Proposal};
use crate::stopping::survivors;
use crate::strategy::{SnapshotError, Strategy, StrategyError};
use crate::told::ToldAs;
use tumble_domain::Seed;

/// The name of its snapshots; no strategy on the shelf has it.
pub(super) const NAME: &str = "rungs";

/// The most points of a design whose candidates are stopped early: the coordinator keeps a number for each of them.
pub const POINTS_MAX: u64 = POPULATION_MAX as u64;

/// The strategy of a sweep with rungs, over a design of so many points.
pub fn rungs(stopping: &Stopping, points: u64) -> Result<Box<dyn Strategy>, StrategyError> {
    if points == 0 || points > POINTS_MAX {
        return Err(StrategyError::Setting(format!(
            "a sweep that stops candidates early has 1 to {POINTS_MAX} points, and this one has {points}"
        )));
    }
    if stopping.rungs.is_empty() || stopping.factor < 2 {
        return Err(StrategyError::Setting("early stopping takes at least one rung, and a factor from 2".into()));
    }
    Ok(Box::new(Rungs {
        rule: stopping.rule,
        factor: stopping.factor,
        rungs: stopping.rungs.len() as u32,
        rung: 0,
        points: (0..points as u32).collect(),
        deserted: false,
    }))
}

#[derive(Clone, Debug, PartialEq)]
struct Rungs {
    rule: StoppingRule,
    factor: u32,
    rungs: u32,
    rung: u32,
    /// Those of this rung, rising; never empty.
    points: Vec<u32>,
    /// No candidate of the last rung scored, so that nobody is there to go on.
    deserted: bool,
}

impl Rungs {
    fn restore(from: &mut Reader<'_>) -> Result<Rungs, SnapshotError> {
        let rule = match from.u8()? {
            0 => StoppingRule::SuccessiveHalving,
            1 => StoppingRule::Asha,
            2 => StoppingRule::Median,
            _ => return Err(SnapshotError::Damaged("the rule of early stopping is unknown")),
        };
        let (factor, rungs, rung, deserted) = (from.u32()?, from.u32()?, from.u32()?, from.bool()?);
        if factor < 2 || rung > rungs {
            return Err(SnapshotError::Damaged("the rungs make no sense"));
        }
        let count = from.u32()? as usize;
        Ok(Rungs { rule, factor, rungs, rung, deserted, points: read_points(from, count)? })
    }
}

/// Reads the state behind the name.
pub(super) fn restore(from: &mut Reader<'_>) -> Result<Box<dyn Strategy>, SnapshotError> {
    Ok(Box::new(Rungs::restore(from)?))
}

impl Strategy for Rungs {
    fn ask(&self) -> Proposal {
        Proposal {
            // Nothing is drawn.
            seed: Seed(0),
            generation: self.rung,
            candidates: self.points.len() as u32,
            bounds: None::<Bounds>,
            law: Law::Points { points: self.points.clone() },
        }
    }

    fn tell(&mut self, fitness: &[Fitness]) {
        assert_eq!(fitness.len(), self.points.len(), "there is one fitness for each candidate");
        self.rung += 1;
        // After the last rung nobody goes on; the points stay those of it.
        if self.rung < self.rungs {
            let kept = survivors(self.rule, self.factor, fitness);
            match kept.is_empty() {
                true => self.deserted = true,
                false => self.points = kept.into_iter().map(|position| self.points[position as usize]).collect(),
            }
        }
    }

    fn generation(&self) -> u32 {
        self.rung
    }

    fn population(&self) -> u32 {
        self.points.len() as u32
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut out = snapshot_of(NAME);
        out.u8(match self.rule {
            StoppingRule::SuccessiveHalving => 0,
            StoppingRule::Asha => 1,
            StoppingRule::Median => 2,
        });
        out.u32(self.factor);
        out.u32(self.rungs);
        out.u32(self.rung);
        out.u8(u8::from(self.deserted));
        out.u32(self.points.len() as u32);
        write_points(&mut out, &self.points);
        seal(out)
    }

    /// The median of an even number lies between two of them: where, their order alone does not tell.
    fn told_as(&self) -> ToldAs {
        match self.rule {
            StoppingRule::SuccessiveHalving | StoppingRule::Asha => ToldAs::Places,
            StoppingRule::Median => ToldAs::Values,
        }
    }

    fn scalars(&self) -> Vec<(&'static str, f64)> {
        vec![("candidates", f64::from(self.population()))]
    }

    fn exhausted(&self) -> Option<&'static str> {
        self.deserted.then_some("no candidate of a rung scored, so none goes on")
    }
}

/// Rising points, as runs of neighbours: how many runs, then for each its first point and its length.
pub(crate) fn write_points(out: &mut Writer, points: &[u32]) {
    let runs = || points.chunk_by(|a, b| *b == *a + 1);
    out.u32(runs().count() as u32);
    for run in runs() {
        out.u32(run[0]);
        out.u32(run.len() as u32);
    }
}

/// Reads `count` rising points. What is allocated before they are seen to be right is bounded by the largest design.
pub(crate) fn read_points(from: &mut Reader<'_>, count: usize) -> Result<Vec<u32>, SnapshotError> {
    let damaged = SnapshotError::Damaged("the points do not rise, or are not as many as they should be");
    if count == 0 || count as u64 > POINTS_MAX {
        return Err(damaged);
    }
    let mut points: Vec<u32> = Vec::new();
    for _ in 0..from.u32()? {
        let (first, length) = (from.u32()?, from.u32()?);
        let end = u64::from(first) + u64::from(length);
        let rises = points.last().is_none_or(|last| first > *last);
        if !rises || length == 0 || end > POINTS_MAX || points.len() + length as usize > count {
            return Err(damaged);
        }
        points.extend(first..end as u32);
    }
    if points.len() == count { Ok(points) } else { Err(damaged) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies;
    use crate::told::Told;
    use tumble_domain::seed::Stream;

    const RULES: [StoppingRule; 3] = [StoppingRule::SuccessiveHalving, StoppingRule::Asha, StoppingRule::Median];

    fn stopping(rule: StoppingRule) -> Stopping {
        Stopping { rule, steps: 0, rungs: vec![1, 3, 9, 27], factor: 3 }
    }

    /// What a point scores at a rung, by address: with ties and failures.
    fn fitness(case: u32, rung: u32, point: u32) -> Fitness {
        let draw = Seed(11).noise(Stream::Evaluator, 0, case, rung, point)[0];
        match draw % 9 {
            0 => Fitness::Worst,
            1 => Fitness::Dropped,
            d if d < 4 => Fitness::Scored(f64::from(draw / 9 % 4)),
            _ => Fitness::Scored(f64::from(draw / 9 % 1000) / 7.0),
        }
    }

    fn points(strategy: &dyn Strategy) -> Vec<u32> {
        let proposal = strategy.ask();
        (0..strategy.population()).map(|i| proposal.point(i).expect("it lists points")).collect()
    }

    #[test]
    fn a_rung_has_the_points_that_the_rule_kept_of_the_one_before() {
        for (case, rule) in (0..60).flat_map(|case| RULES.map(|rule| (case, rule))) {
            let mut strategy = rungs(&stopping(rule), 1 + u64::from(case)).unwrap();
            let mut expected: Vec<u32> = (0..=case).collect();
            for rung in 0..4 {
                assert_eq!((strategy.generation(), points(&*strategy)), (rung, expected.clone()), "{rule:?} {case}");
                let told: Vec<Fitness> = expected.iter().map(|point| fitness(case, rung, *point)).collect();
                strategy.tell(&told);
                let kept = survivors(rule, 3, &told);
                if kept.is_empty() && rung < 3 {
                    assert!(strategy.exhausted().is_some(), "{rule:?} {case}");
                    break;
                }
                assert!(strategy.exhausted().is_none(), "{rule:?} {case}");
                expected = kept.into_iter().map(|i| expected[i as usize]).collect();
            }
        }
    }

    #[test]
    fn a_restored_one_and_a_replica_that_is_told_the_least_go_the_same_way() {
        for (case, rule) in (0..60).flat_map(|case| RULES.map(|rule| (case, rule))) {
            let mut strategy = rungs(&stopping(rule), 1 + u64::from(case)).unwrap();
            let mut replica = rungs(&stopping(rule), 1 + u64::from(case)).unwrap();
            for rung in 0..4 {
                let told: Vec<Fitness> = points(&*strategy).iter().map(|p| fitness(case, rung, *p)).collect();
                let mut restored = strategies::restore(&strategy.snapshot()).unwrap();
                strategy.tell(&told);
                restored.tell(&told);
                let least = Told::decode(&Told::of(strategy.told_as(), &told).encode()).unwrap();
                replica.tell(&least.fitness());
                assert_eq!(restored.snapshot(), strategy.snapshot(), "{rule:?} {case}");
                assert_eq!(replica.state_hash(), strategy.state_hash(), "{rule:?} {case}");
                let proposal = strategy.ask();
                assert_eq!(Proposal::decode(&proposal.encode()).unwrap(), proposal);
            }
        }
    }

    #[test]
    fn bytes_that_are_no_points_are_refused() {
        let strategy = rungs(&stopping(StoppingRule::Asha), 40).unwrap();
        let bytes = strategy.ask().encode();
        // One run: its first point and its length stand at the end.
        for (at, byte) in [(bytes.len() - 4, 41), (bytes.len() - 4, 39), (bytes.len() - 5, 1), (bytes.len() - 12, 2)] {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            assert!(Proposal::decode(&bytes).is_err(), "byte {at}");
        }
        // Two runs, the points 3 and 9, and then the second of them at 3 and below.
        let proposal = Proposal { candidates: 2, law: Law::Points { points: vec![3, 9] }, ..strategy.ask() };
        for first in [3, 2] {
            let mut bytes = proposal.encode();
            assert_eq!(Proposal::decode(&bytes).as_ref(), Ok(&proposal));
            let at = bytes.len() - 8;
            bytes[at] = first;
            assert!(Proposal::decode(&bytes).is_err(), "{first} after 3");
        }
        assert!(rungs(&stopping(StoppingRule::Asha), 0).is_err());
        assert!(rungs(&stopping(StoppingRule::Asha), POINTS_MAX + 1).is_err());
    }
}
