//! Eigenvalues and eigenvectors of a symmetric matrix, with the same bits on every machine.
//!
//! Householder reflections to tridiagonal form, then QL steps with implicit shifts. Sources: Golub and Van Loan, "Matrix
//! Computations" (4th edition), sections 8.3.1 and 8.3.3; Bowdler, Martin, Reinsch, Wilkinson, "The QR and QL algorithms
//! for symmetric matrices", Numerische Mathematik 11 (1968). A library would choose its kernels by processor; here
//! every sum has one order, and inner loops run across outputs.

/// Steps for one eigenvalue; two or three are usual.
const STEPS_MAX: u32 = 60;

/// What [`decompose`] finds.
pub(crate) struct Eigen {
    /// Rising.
    pub(crate) values: Vec<f64>,
    /// Row `j` is the unit eigenvector of value `j`; its component of largest magnitude (the first of several) is
    /// positive.
    pub(crate) vectors: Vec<f64>,
}

/// The eigenvalues and eigenvectors of the symmetric `matrix` (by rows, `n × n`); `None` if a number is not finite or
/// the steps do not converge.
pub(crate) fn decompose(matrix: &[f64], n: usize) -> Option<Eigen> {
    debug_assert_eq!(matrix.len(), n * n);
    let largest = matrix.iter().fold(0.0f64, |m, x| if x.is_finite() { m.max(x.abs()) } else { f64::INFINITY });
    if !largest.is_finite() {
        return None;
    }
    // A power of two as scale changes no digit and keeps squares from overflowing.
    let (_, exponent) = libm::frexp(largest);
    let scale = libm::ldexp(1.0, exponent.clamp(-1000, 1000));
    let scaled: Vec<f64> = matrix.iter().map(|x| x / scale).collect();
    let (mut diagonal, mut beside, mut rows) = tridiagonal(scaled, n);
    iterate(&mut diagonal, &mut beside, &mut rows, n)?;

    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| diagonal[*a].total_cmp(&diagonal[*b]));
    let mut vectors = Vec::with_capacity(n * n);
    for j in &order {
        let row = &rows[j * n..(j + 1) * n];
        let largest = row.iter().fold(0.0f64, |best, x| if x.abs() > best.abs() { *x } else { best });
        let sign = if largest < 0.0 { -1.0 } else { 1.0 };
        vectors.extend(row.iter().map(|x| sign * x));
    }
    Some(Eigen { values: order.iter().map(|j| diagonal[*j] * scale).collect(), vectors })
}

/// Reflects `a` to tridiagonal form T = Q a Qᵀ: its diagonal, the numbers beside it (`n − 1`, then a zero), and Q by
/// rows.
fn tridiagonal(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let mut q = vec![0.0; n * n];
    (0..n).for_each(|i| q[i * n + i] = 1.0);
    let mut v = vec![0.0; n];
    let mut p = vec![0.0; n];
    for k in 0..n.saturating_sub(2) {
        // The reflection 1 − β v vᵀ clears row k beyond its first neighbour (Golub and Van Loan, algorithm 5.1.1).
        v.fill(0.0);
        v[k + 1..].copy_from_slice(&a[k * n + k + 1..(k + 1) * n]);
        let below: f64 = v[k + 2..].iter().map(|x| x * x).sum();
        if below == 0.0 {
            continue;
        }
        let first = v[k + 1];
        let length = (first * first + below).sqrt();
        // The sign that adds magnitudes, so nothing cancels.
        let image = if first > 0.0 { -length } else { length };
        v[k + 1] = first - image;
        let beta = 2.0 / (v[k + 1] * v[k + 1] + below);

        // p = β a v, a sum of rows, then a ← a − v wᵀ − w vᵀ with w = p − (β/2)(pᵀv) v (algorithm 8.3.1).
        p.fill(0.0);
        for i in k + 1..n {
            let weight = beta * v[i];
            axpy(weight, &a[i * n + k + 1..(i + 1) * n], &mut p[k + 1..]);
        }
        let half = 0.5 * beta * (k + 1..n).map(|i| p[i] * v[i]).sum::<f64>();
        for i in k + 1..n {
            p[i] -= half * v[i];
        }
        for i in k + 1..n {
            let (vi, pi) = (v[i], p[i]);
            for ((x, vj), pj) in a[i * n + k + 1..(i + 1) * n].iter_mut().zip(&v[k + 1..]).zip(&p[k + 1..]) {
                *x -= vi * pj + pi * vj;
            }
        }
        a[k * n + k + 1] = image;

        // q ← (1 − β v vᵀ) q.
        p.fill(0.0);
        for i in k + 1..n {
            axpy(v[i], &q[i * n..(i + 1) * n], &mut p);
        }
        for i in k + 1..n {
            axpy(-beta * v[i], &p, &mut q[i * n..(i + 1) * n]);
        }
    }
    let diagonal = (0..n).map(|i| a[i * n + i]).collect();
    let beside = (0..n).map(|i| if i + 1 < n { a[i * n + i + 1] } else { 0.0 }).collect();
    (diagonal, beside, q)
}

/// QL steps until nothing is left beside the diagonal, each rotation done to the rows as well.
fn iterate(d: &mut [f64], e: &mut [f64], rows: &mut [f64], n: usize) -> Option<()> {
    for l in 0..n {
        let mut steps = 0;
        loop {
            // The block that starts at l ends where a neighbour is negligible.
            let end = (l..n - 1).find(|m| {
                let near = d[*m].abs() + d[*m + 1].abs();
                e[*m].abs() <= f64::EPSILON * near
            });
            let m = end.unwrap_or(n - 1);
            if m == l {
                break;
            }
            steps += 1;
            if steps > STEPS_MAX {
                return None;
            }
            // Wilkinson's shift: the eigenvalue of the leading 2 × 2 block that is nearer to d[l].
            let g = (d[l + 1] - d[l]) / (2.0 * e[l]);
            let r = libm::hypot(g, 1.0);
            let mut g = d[m] - d[l] + e[l] / (g + if g < 0.0 { -r } else { r });
            let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
            let mut split = false;
            for i in (l..m).rev() {
                let f = s * e[i];
                let b = c * e[i];
                let r = libm::hypot(f, g);
                e[i + 1] = r;
                if r == 0.0 {
                    // The block falls apart here; the next round sees the pieces.
                    d[i + 1] -= p;
                    e[m] = 0.0;
                    split = true;
                    break;
                }
                s = f / r;
                c = g / r;
                let g_next = d[i + 1] - p;
                let t = (d[i] - g_next) * s + 2.0 * c * b;
                p = s * t;
                d[i + 1] = g_next + p;
                g = c * t - b;
                let (upper, lower) = rows[i * n..(i + 2) * n].split_at_mut(n);
                for (x, y) in upper.iter_mut().zip(lower) {
                    let (x0, y0) = (*x, *y);
                    *y = s * x0 + c * y0;
                    *x = c * x0 - s * y0;
                }
            }
            if !split {
                d[l] -= p;
                e[l] = g;
                e[m] = 0.0;
            }
        }
    }
    Some(())
}

#[inline]
fn axpy(weight: f64, x: &[f64], into: &mut [f64]) {
    into.iter_mut().zip(x).for_each(|(y, x)| *y += weight * x);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise;
    use tumble_domain::Seed;
    use tumble_domain::seed::Stream;

    /// G Gᵀ with row i of G scaled by `decades` powers of ten, spread evenly.
    fn random_covariance(n: usize, decades: f64, seed: u64) -> Vec<f64> {
        let mut g = vec![0.0; n * n];
        noise::normals(Seed(seed), Stream::Evaluator, 0, 0, 0, &mut g);
        for i in 0..n {
            let scale = libm::exp10(decades * i as f64 / n as f64);
            g[i * n..(i + 1) * n].iter_mut().for_each(|x| *x *= scale);
        }
        let mut c = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                c[i * n + j] = (0..n).map(|k| g[i * n + k] * g[j * n + k]).sum();
            }
        }
        c
    }

    #[track_caller]
    fn check(matrix: &[f64], n: usize) {
        let Eigen { values, vectors } = decompose(matrix, n).unwrap();
        let size = matrix.iter().fold(0.0f64, |m, x| m.max(x.abs())).max(f64::MIN_POSITIVE);
        assert!(values.windows(2).all(|pair| pair[0] <= pair[1]), "{values:?}");
        for a in 0..n {
            let row = &vectors[a * n..(a + 1) * n];
            for b in 0..n {
                let dot: f64 = row.iter().zip(&vectors[b * n..(b + 1) * n]).map(|(x, y)| x * y).sum();
                assert!((dot - f64::from(u8::from(a == b))).abs() < 1e-13 * n as f64, "rows {a} and {b}: {dot}");
            }
            for i in 0..n {
                let image: f64 = (0..n).map(|j| matrix[i * n + j] * row[j]).sum();
                assert!((image - values[a] * row[i]).abs() < 1e-13 * n as f64 * size, "vector {a}, element {i}");
            }
            let largest = row.iter().fold(0.0f64, |best, x| if x.abs() > best.abs() { *x } else { best });
            assert!(largest > 0.0, "vector {a} has the wrong sign");
        }
    }

    #[test]
    fn vectors_are_orthonormal_and_belong_to_their_values() {
        for (n, decades) in [(1, 0.0), (2, 1.0), (3, 3.0), (10, 0.0), (10, 6.0), (37, 3.0), (80, 5.0)] {
            for seed in 0..4 {
                check(&random_covariance(n, decades, seed), n);
            }
        }
    }

    #[test]
    fn matrices_that_are_special_are_no_trouble() {
        check(&[0.0; 25], 5);
        check(&[3.0], 1);
        check(&[2.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 2.0], 3);
        check(&[1.0; 36], 6);
        check(&random_covariance(8, 2.0, 1).iter().map(|x| x * 1e-290).collect::<Vec<_>>(), 8);
        check(&random_covariance(8, 2.0, 1).iter().map(|x| x * 1e290).collect::<Vec<_>>(), 8);
        assert!(decompose(&[1.0, f64::NAN, f64::NAN, 1.0], 2).is_none());
    }

    /// The second difference matrix of order n has the eigenvalues 2 − 2 cos(kπ/(n+1)).
    #[test]
    fn a_matrix_with_known_eigenvalues_gets_them() {
        let n = 30;
        let mut matrix = vec![0.0; n * n];
        for i in 0..n {
            matrix[i * n + i] = 2.0;
            if i + 1 < n {
                matrix[i * n + i + 1] = -1.0;
                matrix[(i + 1) * n + i] = -1.0;
            }
        }
        for (k, value) in decompose(&matrix, n).unwrap().values.iter().enumerate() {
            let exact = 2.0 - 2.0 * ((k + 1) as f64 * std::f64::consts::PI / (n + 1) as f64).cos();
            assert!((value - exact).abs() < 1e-13, "value {k}: {value} against {exact}");
        }
    }
}
