//! Which candidates of a sweep go on: rules that look at what each scored at a rung, and at nothing else.
//!
//! A rule sees the fitness of all candidates of a rung in the order of their index, however they arrived: so who goes on
//! follows from the run file. A candidate that failed never does. Of equals, the one with the smaller index is better.
//!
//! Sources: Jamieson and Talwalkar, AISTATS 2016, arXiv:1502.07943 (successive halving); Li et al., MLSys 2020,
//! arXiv:1810.05934, algorithm 2 (ASHA; there a candidate is held against those that happen to have arrived, here against
//! those before it); Golovin et al., "Google Vizier: a service for black-box optimization", KDD 2017, section 3.5.2 (median
//! stopping).

use tumble_domain::{Fitness, StoppingRule};

/// So many candidates that scored go on before there is a median worth the name.
pub const MEDIAN_FIRST: usize = 5;

/// The positions of those that go on, rising. `factor` is at least 2; the median rule has no use for it.
pub fn survivors(rule: StoppingRule, factor: u32, fitness: &[Fitness]) -> Vec<u32> {
    // Ranks from the worst, 1, to the best; of equals the first is the better one.
    let mut order: Vec<(usize, f64)> =
        fitness.iter().enumerate().filter_map(|(position, fitness)| Some((position, fitness.score()?))).collect();
    let scored = order.len();
    order.sort_by(|(i, a), (j, b)| a.partial_cmp(b).expect("a score is finite").then(j.cmp(i)));
    let mut rank = vec![0; fitness.len()];
    (1..).zip(&order).for_each(|(place, (position, _))| rank[*position] = place);
    let value = |place: usize| order[place - 1].1;
    let mut before = Tally::of(scored);
    let mut survivors = Vec::new();
    let quota = fitness.len().div_ceil(factor as usize);
    for (position, rank) in rank.iter().copied().enumerate().filter(|(_, rank)| *rank > 0) {
        let goes_on = match rule {
            StoppingRule::SuccessiveHalving => scored - rank < quota,
            StoppingRule::Asha => before.above(rank) < ((position + 1) / factor as usize).max(1),
            StoppingRule::Median if before.count < MEDIAN_FIRST => true,
            StoppingRule::Median => {
                let half = before.count / 2;
                let upper = value(before.nth(half + 1));
                let median =
                    if before.count.is_multiple_of(2) { (value(before.nth(half)) + upper) / 2.0 } else { upper };
                value(rank) >= median
            }
        };
        before.add(rank);
        if goes_on {
            survivors.push(position as u32);
        }
    }
    survivors
}

/// How many of the ranks met so far are of which height (a Fenwick tree).
struct Tally {
    sums: Vec<usize>,
    count: usize,
}

impl Tally {
    fn of(ranks: usize) -> Tally {
        Tally { sums: vec![0; ranks + 1], count: 0 }
    }

    fn add(&mut self, mut rank: usize) {
        self.count += 1;
        while rank < self.sums.len() {
            self.sums[rank] += 1;
            rank += rank & rank.wrapping_neg();
        }
    }

    /// Those of a higher rank.
    fn above(&self, mut rank: usize) -> usize {
        let mut below = 0;
        while rank > 0 {
            below += self.sums[rank];
            rank -= rank & rank.wrapping_neg();
        }
        self.count - below
    }

    /// The rank of the `n`-th from below, from 1.
    fn nth(&self, mut n: usize) -> usize {
        let mut rank = 0;
        let mut step = self.sums.len().next_power_of_two();
        while step > 0 {
            if rank + step < self.sums.len() && self.sums[rank + step] < n {
                rank += step;
                n -= self.sums[rank];
            }
            step /= 2;
        }
        rank + 1
    }
}

#[cfg(test)]
mod tests {
    use tumble_domain::{Seed, seed::Stream};

    use super::*;

    /// Fitness with ties and failures, by address.
    fn table(case: u32, candidates: u32) -> Vec<Fitness> {
        let draw = |i| Seed(3).noise(Stream::Evaluator, 0, case, 0, i)[0];
        let fitness = |i| match draw(i) % 8 {
            0 => Fitness::Worst,
            d if d < 3 => Fitness::Scored(f64::from(draw(i) / 8 % 5)),
            _ => Fitness::Scored(f64::from(draw(i) / 8 % 1000) / 10.0),
        };
        (0..candidates).map(fitness).collect()
    }

    /// Whether `a` is better than `b`, both scored.
    fn better(fitness: &[Fitness], a: usize, b: usize) -> bool {
        let (x, y) = (fitness[a].score().unwrap(), fitness[b].score().unwrap());
        x > y || x == y && a < b
    }

    #[test]
    fn the_rules_keep_whom_counting_every_pair_keeps() {
        for case in 0..300 {
            let fitness = table(case, case % 61);
            let scored: Vec<usize> = (0..fitness.len()).filter(|i| fitness[*i].score().is_some()).collect();
            for factor in 2..5usize {
                let rule = |rule: StoppingRule| -> Vec<usize> {
                    survivors(rule, factor as u32, &fitness).into_iter().map(|i| i as usize).collect()
                };
                let ahead = |i: usize, of: &dyn Fn(usize) -> bool| {
                    scored.iter().filter(|j| of(**j) && better(&fitness, **j, i)).count()
                };
                let halved = scored.iter().copied().filter(|i| ahead(*i, &|_| true) < fitness.len().div_ceil(factor));
                assert_eq!(rule(StoppingRule::SuccessiveHalving), halved.collect::<Vec<_>>(), "case {case}");
                let promoted = scored.iter().copied().filter(|i| ahead(*i, &|j| j < *i) < ((i + 1) / factor).max(1));
                assert_eq!(rule(StoppingRule::Asha), promoted.collect::<Vec<_>>(), "case {case}");
            }
            let kept = scored.iter().copied().enumerate().filter(|(count, i)| {
                let mut before: Vec<f64> = scored[..*count].iter().map(|j| fitness[*j].score().unwrap()).collect();
                before.sort_by(f64::total_cmp);
                let median = |v: &[f64]| (v[(v.len() - 1) / 2] + v[v.len() / 2]) / 2.0;
                *count < MEDIAN_FIRST || fitness[*i].score().unwrap() >= median(&before)
            });
            let kept: Vec<u32> = kept.map(|(_, i)| i as u32).collect();
            assert_eq!(survivors(StoppingRule::Median, 3, &fitness), kept, "case {case}");
        }
    }

    #[test]
    fn the_best_candidate_of_a_rung_always_goes_on_and_a_failure_never() {
        for case in 0..200 {
            let fitness = table(case, 1 + case % 40);
            let best = (0..fitness.len()).filter(|i| fitness[*i].score().is_some());
            let best = best.reduce(|a, b| if better(&fitness, b, a) { b } else { a });
            for rule in [StoppingRule::SuccessiveHalving, StoppingRule::Asha, StoppingRule::Median] {
                let survivors = survivors(rule, 3, &fitness);
                assert!(best.is_none_or(|best| survivors.contains(&(best as u32))), "{rule:?}, case {case}");
                assert!(survivors.iter().all(|i| fitness[*i as usize].score().is_some()), "{rule:?}, case {case}");
            }
        }
    }

    /// Who stands behind a candidate cannot change whether it goes on, except where all are held against all.
    #[test]
    fn promotion_looks_back_and_never_ahead() {
        for case in 0..100 {
            let fitness = table(case, 40);
            for rule in [StoppingRule::Asha, StoppingRule::Median] {
                let all = survivors(rule, 3, &fitness);
                let first = survivors(rule, 3, &fitness[..25]);
                assert!(all.iter().take_while(|i| **i < 25).eq(&first), "{rule:?}, case {case}");
            }
        }
    }
}
