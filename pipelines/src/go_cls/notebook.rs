//! The notebook: a sparse Hopfield network that stores each example under a random pattern, recalls it from a cue, and
//! reactivates stored patterns from noise.
//!
//! Source: Sun et al. (2023), Methods. Recurrent weights are (Z-a)ᵀ(Z-a)/(Ma(1-a)) - γ/(aM) without a diagonal, for
//! binary patterns Z with exactly aM of M units active (Tsodyks and Feigelman, Europhys. Lett. 6:101, 1988); weights to
//! the student (Z-a)ᵀX/(Ma(1-a)), from the student Xᵀ(Z-a).
//!
//! The weights are never written out. A state acts on the network through its match with each pattern,
//! m_p = Σ_{active i} (z_pi - a), and all currents and recalls are sums over patterns of these. That is exact, and
//! costs 2PaM steps per cycle instead of aM².

use std::cmp::Ordering;

use tumble_domain::Seed;

use super::teacher::{Draw, Examples, dot};
use crate::draws::Draws;

/// γ, the inhibition that every active unit spreads.
const INHIBITION: f64 = 0.6;
/// U, the current from which a unit is active in the second phase of a reactivation.
const THRESHOLD: f64 = -0.15;
/// Cycles of each phase.
const CYCLES: u32 = 9;

/// A notebook that has stored its examples.
pub(super) struct Notebook {
    units: usize,
    /// aM, the active units of a pattern.
    active: usize,
    /// a, exactly.
    activity: f64,
    /// The active units of each pattern, `active` after `active`.
    patterns: Vec<u32>,
    /// The patterns in which each unit is active.
    memberships: Vec<Vec<u32>>,
    /// Σ_p (z_pi - a)² of each unit: what the weights would send back, had they a diagonal.
    self_match: Vec<f64>,
    // What one evaluation of the currents needs; written before it is read.
    drive: Vec<f64>,
    currents: Vec<f64>,
    ranking: Vec<u32>,
    words: Vec<u32>,
    matches: Vec<f64>,
    state: Vec<u32>,
    next: Vec<u32>,
}

impl Notebook {
    /// Draws `examples` patterns of `units` units, of which the fraction `activity` is active (rounded to whole units).
    /// `None` if that leaves all units silent or all active.
    pub(super) fn drawn(seed: Seed, units: usize, activity: f64, examples: usize) -> Option<Notebook> {
        let active = libm::round(activity * units as f64) as usize;
        if active == 0 || active >= units {
            return None;
        }
        let mut notebook = Notebook {
            units,
            active,
            activity: active as f64 / units as f64,
            patterns: Vec::with_capacity(examples * active),
            memberships: vec![Vec::new(); units],
            self_match: Vec::new(),
            drive: vec![0.0; units],
            currents: vec![0.0; units],
            ranking: (0..units as u32).collect(),
            words: vec![0; units],
            matches: vec![0.0; examples],
            state: Vec::new(),
            next: Vec::new(),
        };
        for member in 0..examples as u32 {
            // Those with the smallest words are a random choice; equal words fall to the lower unit.
            Draws { member, ..Draw::Patterns.under(seed) }.words(&mut notebook.words);
            let Notebook { ranking, words, .. } = &mut notebook;
            ranking.select_nth_unstable_by_key(active - 1, |i| (words[*i as usize], *i));
            let mut pattern = ranking[..active].to_vec();
            pattern.sort_unstable();
            pattern.iter().for_each(|i| notebook.memberships[*i as usize].push(member));
            notebook.patterns.append(&mut pattern);
        }
        let (a, count) = (notebook.activity, examples as f64);
        let square = |member_of: f64| member_of * (1.0 - a) * (1.0 - a) + (count - member_of) * a * a;
        notebook.self_match = notebook.memberships.iter().map(|patterns| square(patterns.len() as f64)).collect();
        Some(notebook)
    }

    /// The answer to an input. What it sends is the notebook's first state, graded as it is; the recurrent weights make
    /// patterns of it in the first cycle, settle on one in the others, and the last state is read out.
    pub(super) fn recall(&mut self, stored: &Examples, input: &[f64]) -> f64 {
        for (m, (x, _)) in self.matches.iter_mut().zip(stored.rows()) {
            *m = dot(x, input);
        }
        self.spread();
        std::mem::swap(&mut self.drive, &mut self.currents);

        self.follow_drive();
        self.k_winners();
        std::mem::swap(&mut self.state, &mut self.next);
        self.settle(Notebook::k_winners, CYCLES - 1);
        self.scale() * dot(&self.matches, &stored.outputs)
    }

    /// The mean squared error of the notebook's answers.
    pub(super) fn error(
        &mut self,
        stored: &Examples,
        asked: &Examples,
        mut check: impl FnMut() -> Result<(), tumble_domain::Failure>,
    ) -> Result<f64, tumble_domain::Failure> {
        let mut sum = 0.0;
        for (x, y) in asked.rows() {
            check()?;
            let miss = y - self.recall(stored, x);
            sum += miss * miss;
        }
        Ok(sum / asked.outputs.len() as f64)
    }

    /// One reactivation from noise: writes how strongly each stored example takes part, which makes the reactivated
    /// example the sum of the stored ones with these weights.
    pub(super) fn reactivate(&mut self, seed: Seed, epoch: u32, member: u32, weights: &mut [f64]) {
        Draws { member, generation: epoch, ..Draw::ReplaySeeds.under(seed) }.words(&mut self.words);
        let bound = libm::floor(self.activity * 4_294_967_296.0) as u32;
        self.state.clear();
        self.state.extend((0..self.units as u32).filter(|i| self.words[*i as usize] < bound));
        self.settle(Notebook::k_winners, CYCLES);
        self.settle(Notebook::above_threshold, CYCLES);
        let scale = self.scale();
        weights.iter_mut().zip(&self.matches).for_each(|(weight, m)| *weight = scale * m);
    }

    /// The currents that the graded state `drive` sends through the recurrent weights, but for the part of the inhibition
    /// that all units share: it makes no winners.
    fn follow_drive(&mut self) {
        let background = self.activity * self.drive.iter().sum::<f64>();
        for (m, pattern) in self.matches.iter_mut().zip(self.patterns.chunks_exact(self.active)) {
            *m = pattern.iter().map(|i| self.drive[*i as usize]).sum::<f64>() - background;
        }
        self.spread();
        // A unit spares itself its own share of the inhibition as well.
        let (scale, each) = (self.scale(), INHIBITION / self.active as f64);
        for (unit, (h, sent)) in self.currents.iter_mut().zip(&self.drive).enumerate() {
            *h = scale * (*h - self.self_match[unit] * sent) + each * sent;
        }
    }

    /// Runs cycles of one phase and leaves the last state and its matches. A state that maps onto itself would repeat
    /// for ever, so the cycles after it are spared.
    fn settle(&mut self, rule: fn(&mut Notebook), cycles: u32) {
        for _ in 0..cycles {
            self.match_state();
            self.spread();
            self.inhibit();
            rule(self);
            if self.next == self.state {
                return;
            }
            std::mem::swap(&mut self.state, &mut self.next);
        }
        self.match_state();
    }

    /// m_p for the present state.
    fn match_state(&mut self) {
        self.matches.fill(-self.activity * self.state.len() as f64);
        for unit in &self.state {
            self.memberships[*unit as usize].iter().for_each(|p| self.matches[*p as usize] += 1.0);
        }
    }

    /// The currents Σ_p (z_pi - a) m_p, patterns in their order.
    fn spread(&mut self) {
        let total: f64 = self.matches.iter().sum();
        self.currents.fill(-self.activity * total);
        for (pattern, m) in self.patterns.chunks_exact(self.active).zip(&self.matches) {
            pattern.iter().for_each(|i| self.currents[*i as usize] += m);
        }
    }

    /// Turns sums over patterns into currents of the recurrent weights: takes off what a unit would send itself, scales,
    /// and adds the inhibition.
    fn inhibit(&mut self) {
        self.state.iter().for_each(|i| self.currents[*i as usize] -= self.self_match[*i as usize]);
        let (scale, each) = (self.scale(), INHIBITION / self.active as f64);
        let all = each * self.state.len() as f64;
        self.currents.iter_mut().for_each(|h| *h = scale * *h - all);
        self.state.iter().for_each(|i| self.currents[*i as usize] += each);
    }

    /// 1 / (Ma(1-a)).
    fn scale(&self) -> f64 {
        1.0 / (self.active as f64 * (1.0 - self.activity))
    }

    /// The `active` units with the largest currents become the next state; of equal ones the lower unit.
    fn k_winners(&mut self) {
        let Notebook { ranking, currents, active, next, .. } = self;
        let stronger =
            |i: &u32, j: &u32| -> Ordering { currents[*j as usize].total_cmp(&currents[*i as usize]).then(i.cmp(j)) };
        ranking.select_nth_unstable_by(*active - 1, stronger);
        next.clear();
        next.extend_from_slice(&ranking[..*active]);
        next.sort_unstable();
    }

    /// All units whose current is large enough become the next state.
    fn above_threshold(&mut self) {
        let Notebook { currents, next, .. } = self;
        next.clear();
        next.extend((0..).zip(currents.iter()).filter(|(_, h)| **h >= THRESHOLD).map(|(i, _): (u32, _)| i));
    }
}

#[cfg(test)]
mod tests {
    use super::super::teacher::{Teacher, Variances};
    use super::*;

    /// The same step with the weights written out, as the Methods state it.
    fn dense_currents(notebook: &Notebook) -> Vec<f64> {
        let (m, a, k) = (notebook.units, notebook.activity, notebook.active as f64);
        let z = |p: &[u32], i: usize| if p.contains(&(i as u32)) { 1.0 } else { 0.0 };
        let weight = |i: usize, j: usize| {
            let overlap: f64 =
                notebook.patterns.chunks_exact(notebook.active).map(|p| (z(p, i) - a) * (z(p, j) - a)).sum();
            if i == j { 0.0 } else { overlap / (k * (1.0 - a)) - INHIBITION / k }
        };
        (0..m).map(|i| notebook.state.iter().map(|j| weight(i, *j as usize)).sum()).collect()
    }

    #[test]
    fn currents_summed_over_patterns_are_those_of_the_written_weights() {
        let mut notebook = Notebook::drawn(Seed(4), 60, 0.1, 7).expect("six units are active");
        for state in [vec![0, 3, 7, 20, 41, 59], vec![5], vec![], (0..60).collect()] {
            notebook.state = state;
            notebook.match_state();
            notebook.spread();
            notebook.inhibit();
            for (sum, written) in notebook.currents.iter().zip(dense_currents(&notebook)) {
                assert!((sum - written).abs() < 1e-12, "{sum} for {written}");
            }
        }
    }

    #[test]
    fn a_graded_drive_sends_the_currents_of_the_written_weights() {
        let mut notebook = Notebook::drawn(Seed(4), 60, 0.1, 7).expect("six units are active");
        notebook.drive = (0..60).map(|i| libm::sin(f64::from(i))).collect();
        notebook.follow_drive();
        let mut written = vec![0.0; 60];
        for unit in 0..60 {
            notebook.state = vec![unit];
            let drive = notebook.drive[unit as usize];
            dense_currents(&notebook).iter().zip(&mut written).for_each(|(h, sum)| *sum += drive * h);
        }
        let shared = notebook.currents[0] - written[0];
        for (sum, written) in notebook.currents.iter().zip(written) {
            assert!((sum - written - shared).abs() < 1e-12, "{sum} for {written}");
        }
    }

    #[test]
    fn of_equal_currents_the_lower_units_win() {
        let mut notebook = Notebook::drawn(Seed(4), 60, 0.1, 7).expect("six units are active");
        notebook.currents.fill(1.0);
        notebook.currents[50] = 2.0;
        notebook.currents[1] = 0.5;
        notebook.k_winners();
        assert_eq!(notebook.next, [0, 2, 3, 4, 5, 50]);
    }

    #[test]
    fn every_pattern_has_its_share_of_active_units_and_no_two_are_alike() {
        let notebook = Notebook::drawn(Seed(1), 500, 0.05, 100).expect("25 units are active");
        let patterns: Vec<&[u32]> = notebook.patterns.chunks_exact(25).collect();
        assert_eq!(patterns.len(), 100);
        for (p, pattern) in patterns.iter().enumerate() {
            assert!(pattern.windows(2).all(|pair| pair[0] < pair[1]) && pattern[24] < 500);
            assert!(patterns[..p].iter().all(|other| other != pattern));
        }
        assert!(Notebook::drawn(Seed(1), 5, 0.05, 1).is_none(), "a quarter of a unit can't be active");
    }

    /// Reading a stored pattern returns its own output and a little of every other one: two random patterns overlap by
    /// the variance of a hypergeometric number, which makes the error (P - 1)/(M - 1) of the outputs' variance.
    /// The bounds are four standard errors of the mean over the teachers, taken from their spread.
    #[test]
    fn recall_errs_by_the_crosstalk_of_the_other_patterns() {
        for (units, examples) in [(500, 50), (1000, 100)] {
            let errors: Vec<f64> = (0..150)
                .map(|seed| {
                    let teacher = Teacher::drawn(Seed(seed), 100, Variances::of(4.0));
                    let stored = teacher.training(examples);
                    let mut notebook = Notebook::drawn(Seed(seed), units, 0.05, examples).expect("units are active");
                    notebook.error(&stored, &stored, || Ok(())).expect("nobody stops it")
                })
                .collect();
            let n = errors.len() as f64;
            let mean = errors.iter().sum::<f64>() / n;
            let variance = errors.iter().map(|e| (e - mean) * (e - mean)).sum::<f64>() / (n - 1.0);
            let expected = (examples - 1) as f64 / (units - 1) as f64;
            let error = 4.0 * (variance / n).sqrt();
            assert!((mean - expected).abs() < error, "{mean} ± {error} for {expected}");
            assert!(error < 0.15 * expected, "{error} admits anything");
        }
    }

    /// A reactivation ends in (nearly) one stored pattern, and different seeds find different ones.
    #[test]
    fn noise_reactivates_single_stored_examples() {
        let mut notebook = Notebook::drawn(Seed(2), 500, 0.05, 20).expect("25 units are active");
        let mut weights = vec![0.0; 20];
        let mut found = std::collections::BTreeSet::new();
        let mut clean = 0;
        for member in 0..100 {
            notebook.reactivate(Seed(2), 0, member, &mut weights);
            let strong: Vec<usize> = (0..20).filter(|p| weights[*p] > 0.9).collect();
            if strong.len() == 1 {
                clean += 1;
                found.insert(strong[0]);
            }
        }
        assert!(clean >= 80, "{clean} of 100 reactivations are one pattern");
        assert!(found.len() >= 15, "{} of 20 patterns are found", found.len());
    }

    /// The first phase forces a number of active units, the second does not: an overloaded notebook settles on other
    /// numbers, and every unit agrees with its current where it settles.
    #[test]
    fn the_second_phase_of_a_reactivation_has_a_threshold_and_no_quota() {
        let mut notebook = Notebook::drawn(Seed(6), 200, 0.05, 150).expect("ten units are active");
        let mut weights = vec![0.0; 150];
        let (mut other_numbers, mut settled) = (0, 0);
        for member in 0..50 {
            notebook.reactivate(Seed(6), 0, member, &mut weights);
            other_numbers += u32::from(notebook.state.len() != 10);
            notebook.spread();
            notebook.inhibit();
            let agrees = |i: usize| notebook.state.contains(&(i as u32)) == (notebook.currents[i] >= -0.15);
            settled += u32::from((0..200).all(agrees));
        }
        assert!(other_numbers >= 10 && settled >= 10, "{other_numbers} and {settled} of 50");
    }

    #[test]
    fn a_reactivation_depends_on_its_address_alone() {
        let reactivated = |notebook: &mut Notebook, member| {
            let mut weights = vec![0.0; 30];
            notebook.reactivate(Seed(5), 3, member, &mut weights);
            weights
        };
        let fresh = || Notebook::drawn(Seed(5), 300, 0.05, 30).expect("units are active");
        let alone = reactivated(&mut fresh(), 7);
        let mut used = fresh();
        for member in 0..7 {
            reactivated(&mut used, member);
        }
        assert_eq!(reactivated(&mut used, 7), alone);
    }
}
