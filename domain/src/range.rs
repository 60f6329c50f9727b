//! Ranges of trials, and sets of ranges: what makes the coordinator's memory follow ranges, not trials.

use std::collections::BTreeMap;
use std::fmt;

/// The trials `start..end`, by their index in the run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrialRange {
    /// The first trial.
    pub start: u64,
    /// One past the last.
    pub end: u64,
}

impl TrialRange {
    /// The trials `start..end`; empty when `end <= start`.
    pub fn new(start: u64, end: u64) -> TrialRange {
        TrialRange { start, end: end.max(start) }
    }

    /// How many trials.
    pub fn len(self) -> u64 {
        self.end - self.start
    }

    /// Whether there is no trial in it.
    pub fn is_empty(self) -> bool {
        self.end == self.start
    }

    /// Whether every trial of `other` is in this range.
    pub fn contains(self, other: TrialRange) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// The trials that both have.
    pub fn intersection(self, other: TrialRange) -> TrialRange {
        TrialRange::new(self.start.max(other.start), self.end.min(other.end))
    }
}

impl fmt::Debug for TrialRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

impl fmt::Display for TrialRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// A set of trials, kept as disjoint ranges that do not touch.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RangeSet {
    ends_by_start: BTreeMap<u64, u64>,
    trials: u64,
}

impl RangeSet {
    /// The empty set.
    pub fn new() -> RangeSet {
        RangeSet::default()
    }

    /// How many trials are in it.
    pub fn len(&self) -> u64 {
        self.trials
    }

    /// Whether it holds no trial.
    pub fn is_empty(&self) -> bool {
        self.trials == 0
    }

    /// How many separate ranges it is kept as: what its memory follows.
    pub fn pieces(&self) -> usize {
        self.ends_by_start.len()
    }

    /// The ranges, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = TrialRange> + '_ {
        self.ends_by_start.iter().map(|(start, end)| TrialRange::new(*start, *end))
    }

    /// The first range.
    pub fn first(&self) -> Option<TrialRange> {
        self.iter().next()
    }

    /// Adds the trials of `range`; those already there stay as they are.
    pub fn insert(&mut self, range: TrialRange) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        if let Some((&s, &e)) = self.ends_by_start.range(..=start).next_back()
            && e >= start
        {
            (start, end) = (s, end.max(e));
        }
        while let Some((&s, &e)) = self.ends_by_start.range(start..=end).next() {
            self.ends_by_start.remove(&s);
            self.trials -= e - s;
            end = end.max(e);
        }
        self.ends_by_start.insert(start, end);
        self.trials += end - start;
    }

    /// Takes the trials of `range` out.
    pub fn remove(&mut self, range: TrialRange) {
        if range.is_empty() {
            return;
        }
        if let Some((&s, &e)) = self.ends_by_start.range(..range.start).next_back()
            && e > range.start
        {
            self.ends_by_start.insert(s, range.start);
            self.trials -= e - range.start;
            if e > range.end {
                self.ends_by_start.insert(range.end, e);
                self.trials += e - range.end;
            }
        }
        while let Some((&s, &e)) = self.ends_by_start.range(range.start..range.end).next() {
            self.ends_by_start.remove(&s);
            self.trials -= e - s;
            if e > range.end {
                self.ends_by_start.insert(range.end, e);
                self.trials += e - range.end;
            }
        }
    }

    /// Takes up to `most` trials from the front, all of one range.
    pub fn take_front(&mut self, most: u64) -> Option<TrialRange> {
        let first = self.first()?;
        let taken = TrialRange::new(first.start, first.end.min(first.start.saturating_add(most)));
        self.remove(taken);
        (!taken.is_empty()).then_some(taken)
    }

    /// What of the set lies in `range`, in order. It costs what it finds, however many ranges the set is kept as.
    pub fn within(&self, range: TrialRange) -> impl Iterator<Item = TrialRange> + '_ {
        let first = self.ends_by_start.range(..=range.start).next_back().map_or(range.start, |(start, _)| *start);
        let pieces = self.ends_by_start.range(first..range.end.max(first));
        let cut = move |(start, end): (&u64, &u64)| TrialRange::new(*start, *end).intersection(range);
        pieces.map(cut).filter(|piece| !piece.is_empty())
    }

    /// Takes up to `most` trials from the back, all of one range.
    pub fn take_back(&mut self, most: u64) -> Option<TrialRange> {
        let last = self.iter().next_back()?;
        let taken = TrialRange::new(last.start.max(last.end.saturating_sub(most)), last.end);
        self.remove(taken);
        Some(taken)
    }

    /// Whether every trial of `range` is in the set.
    pub fn contains(&self, range: TrialRange) -> bool {
        range.is_empty()
            || self.ends_by_start.range(..=range.start).next_back().is_some_and(|(_, end)| *end >= range.end)
    }

    /// The trials of `range` that are not in the set, in order.
    pub fn gaps(&self, range: TrialRange) -> RangeSet {
        let mut gaps = RangeSet::new();
        gaps.insert(range);
        let from = self.ends_by_start.range(..=range.start).next_back().map_or(range.start, |(start, _)| *start);
        if !range.is_empty() {
            self.ends_by_start.range(from..range.end).for_each(|(s, e)| gaps.remove(TrialRange::new(*s, *e)));
        }
        gaps
    }

    /// Whether any trial of `range` is in the set.
    pub fn overlaps(&self, range: TrialRange) -> bool {
        !range.is_empty()
            && self.ends_by_start.range(..range.end).next_back().is_some_and(|(_, end)| *end > range.start)
    }
}

impl fmt::Debug for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::philox::philox4x32_10;
    use std::collections::BTreeSet;

    /// The set against the plainest thing that could be right, over many random histories.
    #[test]
    fn a_range_set_agrees_with_a_set_of_trials() {
        for story in 0..300u32 {
            let mut ranges = RangeSet::new();
            let mut trials = BTreeSet::new();
            for step in 0..40u32 {
                let words = philox4x32_10([step, story, 0, 0], [3, 4]);
                let start = u64::from(words[0] % 60);
                let range = TrialRange::new(start, start + u64::from(words[1] % 12));
                match words[2] % 3 {
                    0 => {
                        ranges.remove(range);
                        trials.retain(|t| !(range.start..range.end).contains(t));
                    }
                    1 if words[3].is_multiple_of(4) => {
                        let taken = if words[1].is_multiple_of(2) { ranges.take_front(3) } else { ranges.take_back(3) };
                        if let Some(taken) = taken {
                            (taken.start..taken.end).for_each(|t| assert!(trials.remove(&t)));
                        }
                    }
                    _ => {
                        ranges.insert(range);
                        trials.extend(range.start..range.end);
                    }
                }
                assert_eq!(ranges.len(), trials.len() as u64);
                assert!(ranges.iter().flat_map(|r| r.start..r.end).eq(trials.iter().copied()));
                let missing = (range.start..range.end).filter(|t| !trials.contains(t));
                assert!(ranges.gaps(range).iter().flat_map(|r| r.start..r.end).eq(missing));
                assert_eq!(ranges.contains(range), (range.start..range.end).all(|t| trials.contains(&t)));
                let within = ranges.within(range).flat_map(|r| r.start..r.end);
                assert!(within.eq(trials.range(range.start..range.end).copied()), "{ranges:?} within {range}");
                assert_eq!(ranges.overlaps(range), (range.start..range.end).any(|t| trials.contains(&t)));
                let touching = ranges.iter().zip(ranges.iter().skip(1)).any(|(a, b)| a.end >= b.start);
                assert!(!touching, "pieces that touch are one piece: {ranges:?}");
            }
        }
    }
}
