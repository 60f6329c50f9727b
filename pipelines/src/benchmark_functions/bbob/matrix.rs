//! A square matrix by columns: its product with a vector goes column by column, so that every element's sum has one
//! order while the compiler works on many elements at once.

use tumble_domain::Failure;

use crate::pipeline::Watch;

/// A square matrix.
pub(super) struct Matrix {
    pub(super) n: usize,
    /// One column of `n` numbers after the other.
    pub(super) columns: Vec<f64>,
}

impl Matrix {
    /// Writes the product with `vector` to `product`.
    pub(super) fn times(&self, vector: &[f64], product: &mut [f64]) {
        product.fill(0.0);
        for (column, v) in self.columns.chunks_exact(self.n).zip(vector) {
            product.iter_mut().zip(column).for_each(|(p, c)| *p += c * v);
        }
    }

    /// This matrix with row `i` times `factors[i]`: `diag(factors)` times this.
    pub(super) fn with_rows_times(mut self, factors: &[f64]) -> Matrix {
        for column in self.columns.chunks_exact_mut(self.n) {
            column.iter_mut().zip(factors).for_each(|(c, factor)| *c *= factor);
        }
        self
    }

    /// The product with the matrix to the right.
    pub(super) fn by(&self, right: &Matrix, watch: &Watch) -> Result<Matrix, Failure> {
        let mut columns = vec![0.0; self.columns.len()];
        for (vector, product) in right.columns.chunks_exact(self.n).zip(columns.chunks_exact_mut(self.n)) {
            watch.check()?;
            self.times(vector, product);
        }
        Ok(Matrix { n: self.n, columns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By rows, [1 2; 3 4] and [5 6; 7 8].
    #[test]
    fn products_worked_out_by_hand_come_out() {
        let a = Matrix { n: 2, columns: vec![1.0, 3.0, 2.0, 4.0] };
        let b = Matrix { n: 2, columns: vec![5.0, 7.0, 6.0, 8.0] };
        let mut product = [f64::NAN; 2];
        a.times(&[10.0, 1.0], &mut product);
        assert_eq!(product, [12.0, 34.0]);
        let ab = a.by(&b, &Watch::unlimited()).expect("nobody stops it");
        assert_eq!(ab.columns, [19.0, 43.0, 22.0, 50.0]);
        assert_eq!(a.with_rows_times(&[10.0, 100.0]).columns, [10.0, 300.0, 20.0, 400.0]);
    }
}
