//! Children of a genetic algorithm: the law of parents that are copied, mixed and mutated.

use tumble_domain::Seed;
use tumble_domain::seed::Stream;

use super::{choice, perturbation};
use crate::codec::{Reader, Writer};
use crate::grain::{Grain, cell, middle};
use crate::noise;
use crate::strategy::SnapshotError;

/// Genes that one block of noise decides, a bit each.
const GENES: usize = 128;

/// The tensor of the bits that say which of two parents a gene comes from; other choices are tensor 0.
const OF_GENES: u32 = 1;

/// The tensor of the choices that genes without an order change to.
const OF_CHOICES: u32 = 2;

/// Parents and how children come from them. The first `elite` children are the first parents as they are; every other is
/// a parent, or with probability `crossover` two of them mixed gene by gene, plus `σ z`.
///
/// Of `n` genes that are divided about one changes, however narrow σ has become: a step is rounded to whole cells and at
/// least so wide, and a gene without an order becomes any other choice, each as likely.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Offspring {
    /// Elements of a candidate.
    pub(crate) dimension: usize,
    /// By rows, best first; there is at least one.
    pub(crate) parents: Vec<f64>,
    /// At most as many as there are parents.
    pub(crate) elite: u32,
    pub(crate) crossover: f64,
    pub(crate) sigma: f64,
}

impl Offspring {
    /// Makes child `index`, in the space without bounds.
    pub(crate) fn child(&self, seed: Seed, generation: u32, index: u32, grains: &[Grain], into: &mut [f64]) {
        let n = self.dimension;
        let parent = |i: usize| &self.parents[i * n..(i + 1) * n];
        if index < self.elite {
            into.copy_from_slice(parent(index as usize));
            return;
        }
        let pick = |element| choice(seed, index, generation, element, self.parents.len() / n);
        perturbation(seed, generation, index, into);
        let (first, mut second) = (parent(pick(0)), parent(pick(1)));
        if noise::uniform(seed, Stream::Choice, 0, index, generation, 2) >= self.crossover {
            second = first;
        }
        // What a normal number exceeds, to either side, once in n times; a gene alone changes half the time.
        let rare = if grains.is_empty() { f64::INFINITY } else { -noise::inverse_normal(0.5 / (n.max(2) as f64)) };
        for (block, genes) in into.chunks_mut(GENES).enumerate() {
            let words = seed.noise(Stream::Choice, OF_GENES, index, generation, block as u32);
            for (i, x) in genes.iter_mut().enumerate() {
                let from = if words[i / 32] >> (i % 32) & 1 == 0 { first } else { second };
                let (element, z) = (GENES * block + i, *x);
                let gene = from[element];
                *x = match grains.get(element).copied().unwrap_or(Grain::Real) {
                    Grain::Real => gene + self.sigma * z,
                    Grain::Integer { steps } => {
                        let cells = (self.sigma * f64::from(steps)).max(0.5 / rare) * z;
                        let to = (f64::from(cell(gene, steps)) + cells.round()).clamp(0.0, f64::from(steps - 1));
                        middle(to as u32, steps)
                    }
                    Grain::Category { choices } if z.abs() > rare => {
                        let words = seed.noise(Stream::Choice, OF_CHOICES, index, generation, element as u32);
                        let others = noise::part_of(noise::word64(words, 0), u64::from(choices - 1)) as u32;
                        middle((cell(gene, choices) + 1 + others) % choices, choices)
                    }
                    Grain::Category { .. } => gene,
                };
            }
        }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.u32(self.elite);
        out.f64s(&[self.crossover, self.sigma]);
        out.u32((self.parents.len() / self.dimension) as u32);
        out.f64s(&self.parents);
    }

    pub(super) fn read(from: &mut Reader<'_>, dimension: usize) -> Result<Offspring, SnapshotError> {
        let (elite, crossover, sigma) = (from.u32()?, from.finite()?, from.finite()?);
        let count = from.u32()? as usize;
        if count == 0 || elite as usize > count {
            return Err(SnapshotError::Damaged("the number of parents is out of range"));
        }
        Ok(Offspring { dimension, parents: from.finites(count * dimension)?, elite, crossover, sigma })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHILDREN: u32 = 600;

    fn children(crossover: f64) -> Vec<Vec<f64>> {
        let n = 300;
        let parents = (0..3).flat_map(|p| vec![f64::from(p); n]).collect();
        let offspring = Offspring { dimension: n, parents, elite: 2, crossover, sigma: 0.0 };
        (0..CHILDREN)
            .map(|i| {
                let mut x = vec![0.0; n];
                offspring.child(Seed(3), 5, i, &[], &mut x);
                x
            })
            .collect()
    }

    #[test]
    fn the_elite_comes_first_and_each_parent_has_as_many_children() {
        let children = children(0.0);
        assert!((0..2).all(|i| children[i].iter().all(|gene| *gene == i as f64)));
        let mut chosen = [0i32; 3];
        for child in &children[2..] {
            assert!(child.iter().all(|gene| *gene == child[0]));
            chosen[child[0] as usize] += 1;
        }
        // Five standard deviations of a binomial count with n = 598 and p = 1/3.
        assert!(chosen.iter().all(|count| (count - 199).abs() < 58), "{chosen:?}");
    }

    #[test]
    fn a_mixed_child_takes_half_its_genes_from_each_of_two_parents() {
        let (mut mixed, mut of_first, mut genes) = (0, 0, 0);
        for child in &children(1.0)[2..] {
            let (low, high) = child.iter().fold((9.0f64, 0.0f64), |(low, high), x| (low.min(*x), high.max(*x)));
            if low < high {
                assert!(child.iter().all(|x| *x == low || *x == high));
                mixed += 1;
                of_first += child.iter().filter(|x| **x == low).count();
                genes += child.len();
            }
        }
        // Two unlike parents come together two thirds of the time; five standard deviations again.
        assert!((341..=456).contains(&mixed), "{mixed}");
        let share = of_first as f64 / genes as f64;
        assert!((share - 0.5).abs() < 2.5 / (genes as f64).sqrt(), "{share}");
    }

    #[test]
    fn half_the_children_are_mixed_when_the_probability_is_a_half() {
        let unlike = children(0.5)[2..].iter().filter(|child| child.iter().any(|x| *x != child[0])).count();
        // A third of 598, by five standard deviations.
        assert!((142..=257).contains(&unlike), "{unlike}");
    }

    /// One parent of 30 genes: ten real ones, ten of 20 steps, ten of 4 choices.
    fn changed(sigma: f64) -> [Vec<f64>; 3] {
        let n = 30;
        let grain = [Grain::Real, Grain::Integer { steps: 20 }, Grain::Category { choices: 4 }];
        let grains: Vec<Grain> = (0..n).map(|i| grain[i / 10]).collect();
        let parents: Vec<f64> = (0..n).map(|i| [0.5, 0.525, 0.375][i / 10]).collect();
        let offspring = Offspring { dimension: n, parents: parents.clone(), elite: 0, crossover: 0.0, sigma };
        let mut changed = [vec![], vec![], vec![]];
        for child in 0..CHILDREN {
            let mut x = vec![0.0; n];
            offspring.child(Seed(4), 2, child, &grains, &mut x);
            for i in (0..n).filter(|i| x[*i] != parents[*i]) {
                changed[i / 10].push(x[i]);
            }
        }
        changed
    }

    #[test]
    fn of_n_divided_genes_one_changes_however_narrow_mutations_are() {
        for sigma in [1e-3, 1e-9, 0.0] {
            let [_, steps, choices] = changed(sigma);
            // 6000 genes of each kind, each with probability 1/30: 200, by five standard deviations.
            for changed in [&steps, &choices] {
                assert!((130..=270).contains(&changed.len()), "{} at {sigma}", changed.len());
            }
            // Nearly every step of those is to a neighbour, to either side as often.
            let near = steps.iter().filter(|x| (**x - 0.525).abs() < 0.051).count();
            let down = steps.iter().filter(|x| **x < 0.525).count();
            assert!(near > steps.len() * 9 / 10 && down.abs_diff(steps.len() - down) < 70, "{near} {down}");
            for choice in [0.125, 0.625, 0.875] {
                let count = choices.iter().filter(|x| **x == choice).count();
                assert!(count.abs_diff(choices.len() / 3) < 35, "{count} of {} at {choice}", choices.len());
            }
        }
    }

    #[test]
    fn steps_are_as_wide_as_mutations_are() {
        let [_, steps, _] = changed(0.2);
        // A deviation of four cells: a change of none is rounding to 0, one in ten; the rest have the law's width.
        let mean_square = steps.iter().map(|x| (20.0 * (x - 0.525)).powi(2)).sum::<f64>() / steps.len() as f64;
        assert!(steps.len() > 5200 && (14.0..20.0).contains(&mean_square), "{} {mean_square}", steps.len());
    }
}
