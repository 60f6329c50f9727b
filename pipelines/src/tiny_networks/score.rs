//! How well a network tells the classes apart.

/// The three numbers by which classifiers are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Score {
    /// The share of images put in their class.
    pub(super) accuracy: f64,
    /// The harmonic mean of precision and recall of the second class; 0 when no image of it is recognised.
    pub(super) f1: f64,
    /// The probability that a random image of the second class is rated above one of the first; a tie counts half.
    pub(super) auc: f64,
}

impl Score {
    /// The score of these ratings: above 0 means the second class. `None` when a rating is not a finite number, or a
    /// class has no image.
    pub(super) fn of(ratings: &[f32], labels: &[bool]) -> Option<Score> {
        let positives = labels.iter().filter(|label| **label).count() as f64;
        let negatives = labels.len() as f64 - positives;
        if ratings.iter().any(|rating| !rating.is_finite()) || positives == 0.0 || negatives == 0.0 {
            return None;
        }
        let count = |says: bool, is: bool| {
            ratings.iter().zip(labels).filter(|(rating, label)| (**rating > 0.0) == says && **label == is).count()
                as f64
        };
        let (hits, misses, alarms, rejections) =
            (count(true, true), count(false, true), count(true, false), count(false, false));
        Some(Score {
            accuracy: (hits + rejections) / (positives + negatives),
            f1: if hits == 0.0 { 0.0 } else { 2.0 * hits / (2.0 * hits + misses + alarms) },
            auc: (rank_sum(ratings, labels) - positives * (positives + 1.0) / 2.0) / (positives * negatives),
        })
    }
}

/// The sum of the ranks of the second class, ties sharing their mean rank: the statistic of Mann and Whitney ("On a
/// test of whether one of two random variables is stochastically larger than the other", 1947). Half ranks add up
/// exactly.
fn rank_sum(ratings: &[f32], labels: &[bool]) -> f64 {
    let mut rated: Vec<(f32, bool)> = ratings.iter().copied().zip(labels.iter().copied()).collect();
    rated.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut below = 0;
    let mut sum = 0.0;
    for tied in rated.chunk_by(|a, b| a.0 == b.0) {
        let mean_rank = below as f64 + (tied.len() + 1) as f64 / 2.0;
        sum += mean_rank * tied.iter().filter(|(_, label)| *label).count() as f64;
        below += tied.len();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked by hand: one hit, one miss, one false alarm, two rejections; of the 2 × 3 pairs 0.9 beats three, -0.2
    /// beats one and ties one.
    #[test]
    fn a_score_worked_by_hand() {
        let score = Score::of(&[0.9, -0.2, 0.4, -0.2, -0.7], &[true, true, false, false, false]).unwrap();
        assert_eq!(score, Score { accuracy: 3.0 / 5.0, f1: 0.5, auc: 4.5 / 6.0 });
    }

    /// The definition of the area, counted pair by pair, against the sum of ranks.
    #[test]
    fn the_area_is_the_share_of_pairs_in_order() {
        let ratings: Vec<f32> = (0..60).map(|i| ((i * 37) % 23) as f32 / 7.0 - 1.0).collect();
        let labels: Vec<bool> = (0..60).map(|i| (i * 53) % 11 < 4).collect();
        let (mut won, mut pairs) = (0.0, 0.0);
        for (a, _) in ratings.iter().zip(&labels).filter(|(_, label)| **label) {
            for (b, _) in ratings.iter().zip(&labels).filter(|(_, label)| !**label) {
                won += if a > b {
                    1.0
                } else if a == b {
                    0.5
                } else {
                    0.0
                };
                pairs += 1.0;
            }
        }
        assert!((Score::of(&ratings, &labels).unwrap().auc - won / pairs).abs() < 1e-15);
    }

    #[test]
    fn a_network_that_says_one_thing_scores_what_chance_does() {
        let labels = [true, false, true, false];
        let never = Score::of(&[-1.0; 4], &labels).unwrap();
        assert_eq!(never, Score { accuracy: 0.5, f1: 0.0, auc: 0.5 });
        let always = Score::of(&[1.0; 4], &labels).unwrap();
        assert_eq!(always, Score { accuracy: 0.5, f1: 2.0 / 3.0, auc: 0.5 });
        // Both noughts are one rating.
        assert_eq!(Score::of(&[0.0, -0.0, -0.0, 0.0], &labels).unwrap().auc, 0.5);
    }

    #[test]
    fn what_cannot_be_scored_has_no_score() {
        assert_eq!(Score::of(&[f32::NAN, 1.0], &[true, false]), None);
        assert_eq!(Score::of(&[f32::INFINITY, 1.0], &[true, false]), None);
        assert_eq!(Score::of(&[0.5, 1.0], &[true, true]), None);
        assert_eq!(Score::of(&[], &[]), None);
    }
}
