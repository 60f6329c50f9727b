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
