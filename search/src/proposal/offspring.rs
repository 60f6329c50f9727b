//! Children of a genetic algorithm: the law of parents that are copied, mixed and mutated.

use tumble_domain::Seed;
use tumble_domain::seed::Stream;

use super::{choice, perturbation};
use crate::codec::{Reader, Writer};
use crate::noise;
use crate::strategy::SnapshotError;

/// Genes that one block of noise decides, a bit each.
const GENES: usize = 128;

/// The tensor of the bits that say which of two parents a gene comes from; other choices are tensor 0.
const OF_GENES: u32 = 1;

/// Parents and how children come from them. The first `elite` children are the first parents as they are; every other is
/// a parent, or with probability `crossover` two of them mixed gene by gene, plus `σ z`.
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
    pub(crate) fn child(&self, seed: Seed, generation: u32, index: u32, into: &mut [f64]) {
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
        for (block, genes) in into.chunks_mut(GENES).enumerate() {
            let words = seed.noise(Stream::Choice, OF_GENES, index, generation, block as u32);
            for (i, x) in genes.iter_mut().enumerate() {
                let from = if words[i / 32] >> (i % 32) & 1 == 0 { first } else { second };
                *x = from[GENES * block + i] + self.sigma * *x;
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
                offspring.child(Seed(3), 5, i, &mut x);
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
}
