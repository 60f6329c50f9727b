//! From fitness to ranks: the one place where candidates are compared.
//!
//! Strategies look at ranks alone, so any rising map of the fitness that makes no new ties leaves their path as it is.

use std::cmp::Ordering;

use tumble_domain::Fitness;

/// The candidates that count, best first: scored ones by falling fitness, then those that count as worst. Ties stand by
/// index; dropped candidates are absent.
pub fn best_first(fitness: &[Fitness]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..fitness.len()).filter(|i| fitness[*i] != Fitness::Dropped).collect();
    // A stable sort, so ties keep their order.
    order.sort_by(|a, b| better_first(fitness[*a], fitness[*b]));
    order
}

/// Whether no candidate is better than another, so that the generation tells nothing: all equal, all failed, or fewer
/// than two left.
pub fn is_flat(fitness: &[Fitness]) -> bool {
    let mut present = fitness.iter().filter(|f| **f != Fitness::Dropped);
    match present.next() {
        None => true,
        Some(first) => present.all(|other| better_first(*first, *other) == Ordering::Equal),
    }
}

/// Centred ranks `r / (N − 1) − ½` of the `N` candidates that count: ½ for the best, −½ for the worst, the average of
/// their ranks for those that tie, and 0 for dropped ones.
///
/// Every rank is a half-integer, so the one division rounds once and the ranks of a tie are exactly equal.
pub fn centred_ranks(fitness: &[Fitness]) -> Vec<f64> {
    let order = best_first(fitness);
    let mut ranks = vec![0.0; fitness.len()];
    let span = order.len().saturating_sub(1);
    if span == 0 {
        return ranks;
    }
    let mut start = 0;
    while start < order.len() {
        let tied = order[start..]
            .iter()
            .take_while(|i| better_first(fitness[order[start]], fitness[**i]) == Ordering::Equal)
            .count();
        let end = start + tied;
        // Twice the average of the places start..end is start + end - 1; twice the centre is span.
        let twice = span as f64 - (start + end - 1) as f64;
        for i in &order[start..end] {
            ranks[*i] = twice / (2 * span) as f64;
        }
        start = end;
    }
    ranks
}

/// Utilities of natural evolution strategies: `max(0, ln(N/2 + 1) − ln i) / Σ − 1/N` for place `i` of the `N` candidates
/// that count, the average of their utilities for those that tie, and 0 for dropped ones. They add up to nothing.
///
/// Source: Wierstra, Schaul, Glasmachers, Sun, Peters, Schmidhuber, "Natural evolution strategies", JMLR 15 (2014), section
/// 3.1.
pub fn utilities(fitness: &[Fitness]) -> Vec<f64> {
    let order = best_first(fitness);
    let count = order.len() as f64;
    let raw: Vec<f64> =
        (1..=order.len()).map(|i| (libm::log(0.5 * count + 1.0) - libm::log(i as f64)).max(0.0)).collect();
    let sum: f64 = raw.iter().sum();
    let mut utilities = vec![0.0; fitness.len()];
    let mut start = 0;
    for tied in order.chunk_by(|a, b| better_first(fitness[*a], fitness[*b]) == Ordering::Equal) {
        let shared = raw[start..start + tied.len()].iter().sum::<f64>() / tied.len() as f64;
        tied.iter().for_each(|i| utilities[*i] = shared / sum - 1.0 / count);
        start += tied.len();
    }
    utilities
}

/// Standard scores `(f − mean) / √(variance + 10⁻⁵)` of the candidates that count, and 0 for dropped ones. With a group
/// size, the mean is that of each candidate's own group of so many in a row, and the variance that of all. What failed
/// counts as the lowest score of the generation; where nothing scored, all are 0.
///
/// Source: Sarkar et al., arXiv:2511.16652; ESHyperscale/HyperscaleES, `noiser/eggroll.py`, `convert_fitnesses`.
pub fn standard_scores(fitness: &[Fitness], group_size: Option<usize>) -> Vec<f64> {
    let Some(lowest) = fitness.iter().filter_map(|f| f.score()).reduce(f64::min) else {
        return vec![0.0; fitness.len()];
    };
    let counts = |f: &Fitness| (*f != Fitness::Dropped).then(|| f.score().unwrap_or(lowest));
    let mean = |some: &[Fitness]| {
        let present = some.iter().filter_map(counts).count();
        some.iter().filter_map(counts).sum::<f64>() / present as f64
    };
    let (centre, present) = (mean(fitness), fitness.iter().filter_map(counts).count());
    let squares: f64 = fitness.iter().filter_map(counts).map(|f| (f - centre) * (f - centre)).sum();
    let deviation = (squares / present as f64 + 1e-5).sqrt();
    fitness
        .chunks(group_size.unwrap_or(fitness.len()))
        .flat_map(|group| {
            let centre = mean(group);
            group.iter().map(move |f| counts(f).map_or(0.0, |f| (f - centre) / deviation)).collect::<Vec<_>>()
        })
        .collect()
}

/// The fitness with both of a pair dropped where one is: candidates `2p` and `2p + 1` tell something only together.
pub fn whole_pairs(fitness: &[Fitness]) -> Vec<Fitness> {
    fitness
        .chunks(2)
        .flat_map(
            |pair| if pair.contains(&Fitness::Dropped) { vec![Fitness::Dropped; pair.len()] } else { pair.to_vec() },
        )
        .collect()
}

/// Whether `new` was scored, and better than `old`.
pub fn beats(new: Fitness, old: Fitness) -> bool {
    better_first(new, old) == Ordering::Less
}

/// Whether `new` was scored, and no worse than `old`.
pub fn matches(new: Fitness, old: Fitness) -> bool {
    new.score().is_some() && better_first(new, old) != Ordering::Greater
}

/// The fittest candidate that was scored; the first of several.
pub fn fittest(fitness: &[Fitness]) -> Option<(usize, f64)> {
    let first = *best_first(fitness).first()?;
    fitness[first].score().map(|score| (first, score))
}

fn better_first(a: Fitness, b: Fitness) -> Ordering {
    match (a, b) {
        (Fitness::Scored(a), Fitness::Scored(b)) => {
            debug_assert!(a.is_finite() && b.is_finite(), "the coordinator turns what is not finite into a failure");
            // Adding zero makes -0 and 0 tie; a total order cannot upset the sort whatever arrives.
            (b + 0.0).total_cmp(&(a + 0.0))
        }
        (Fitness::Scored(_), _) => Ordering::Less,
        (_, Fitness::Scored(_)) => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fitness::{Dropped, Scored, Worst};

    #[test]
    fn the_best_stands_first_ties_stand_by_index_failures_last_and_the_dropped_nowhere() {
        let fitness = [Scored(1.0), Worst, Scored(3.0), Dropped, Scored(1.0), Worst, Scored(-2.0)];
        assert_eq!(best_first(&fitness), [2, 0, 4, 6, 1, 5]);
        assert_eq!(fittest(&fitness), Some((2, 3.0)));
        assert_eq!(fittest(&[Worst, Dropped]), None);
    }

    #[test]
    fn centred_ranks_share_a_tie_and_add_up_to_nothing() {
        let fitness = [Scored(5.0), Scored(1.0), Worst, Scored(1.0), Dropped, Worst];
        // Places 0, 1½, 3½, 1½, -, 3½ of 0..=4.
        assert_eq!(centred_ranks(&fitness), [0.5, 0.125, -0.375, 0.125, 0.0, -0.375]);
        assert_eq!(centred_ranks(&[Scored(2.0), Dropped]), [0.0, 0.0]);
        assert_eq!(centred_ranks(&[Scored(0.0), Scored(-0.0)]), [0.0, 0.0]);
    }

    /// Four that count: ln 3 − ln i is 1.0986, 0.4055, 0 and 0, so 0.73042 and 0.26958 before a quarter goes.
    #[test]
    fn utilities_are_those_of_the_paper_share_a_tie_and_add_up_to_nothing() {
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-14);
        let made = utilities(&[Scored(1.0), Scored(7.0), Dropped, Worst, Scored(3.0)]);
        assert!(near(&made, &[-0.25, 0.48042271030918515, 0.0, -0.25, 0.01957728969081496]), "{made:?}");
        let tied = utilities(&[Scored(1.0), Scored(7.0), Scored(7.0), Worst]);
        assert!(near(&tied, &[-0.25, 0.25, 0.25, -0.25]), "{tied:?}");
        let flat = utilities(&[Worst; 7]);
        assert!(near(&flat, &[0.0; 7]), "{flat:?}");
    }

    /// Scores 1, 5, −3 (for what failed) and −3: mean 0, variance 11.
    #[test]
    fn standard_scores_have_the_mean_of_a_group_and_the_deviation_of_all() {
        let fitness = [Scored(1.0), Scored(5.0), Dropped, Worst, Scored(-3.0), Dropped];
        let deviation = 11.00001f64.sqrt();
        let near = |a: &[f64], b: [f64; 6]| a.iter().zip(b).all(|(a, b)| (a - b / deviation).abs() < 1e-15);
        assert!(near(&standard_scores(&fitness, None), [1.0, 5.0, 0.0, -3.0, -3.0, 0.0]));
        assert!(near(&standard_scores(&fitness, Some(2)), [-2.0, 2.0, 0.0, 0.0, 0.0, 0.0]));
        assert!(near(&standard_scores(&fitness, Some(3)), [-2.0, 2.0, 0.0, 0.0, 0.0, 0.0]));
        assert_eq!(standard_scores(&[Worst, Dropped, Worst], None), [0.0; 3]);
    }

    #[test]
    fn half_a_pair_tells_nothing_and_what_failed_beats_nothing() {
        let pairs = [Scored(1.0), Dropped, Worst, Scored(2.0), Dropped, Dropped];
        assert_eq!(whole_pairs(&pairs), [Dropped, Dropped, Worst, Scored(2.0), Dropped, Dropped]);
        for old in [Worst, Dropped, Scored(1.0)] {
            assert!(beats(Scored(1.5), old) && matches(Scored(1.5), old));
            assert!([Worst, Dropped].iter().all(|new| !beats(*new, old) && !matches(*new, old)));
        }
        assert!(matches(Scored(1.0), Scored(1.0)) && !beats(Scored(1.0), Scored(1.0)));
        assert!(!matches(Scored(0.5), Scored(1.0)));
    }

    #[test]
    fn a_generation_without_a_difference_is_flat() {
        for flat in
            [&[][..], &[Dropped, Dropped], &[Worst, Worst], &[Scored(1.0), Dropped, Scored(1.0)], &[Scored(2.0)]]
        {
            assert!(is_flat(flat), "{flat:?}");
        }
        assert!(!is_flat(&[Scored(1.0), Worst]));
        assert!(!is_flat(&[Scored(1.0), Scored(1.5)]));
    }
}
