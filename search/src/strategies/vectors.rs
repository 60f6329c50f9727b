//! Sums of vectors, each element alone, so that every number has one order of operations.

/// `into += weight * x`.
pub(super) fn add(weight: f64, x: &[f64], into: &mut [f64]) {
    into.iter_mut().zip(x).for_each(|(y, x)| *y += weight * x);
}

/// `into = a * old + b * into`.
pub(super) fn blend(a: f64, old: &[f64], b: f64, into: &mut [f64]) {
    into.iter_mut().zip(old).for_each(|(y, old)| *y = a * old + b * *y);
}

/// The square of the length.
pub(super) fn squares(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

/// Whether every number of every vector is one.
pub(super) fn all_finite(vectors: &[&[f64]]) -> bool {
    vectors.iter().all(|vector| vector.iter().all(|x| x.is_finite()))
}
