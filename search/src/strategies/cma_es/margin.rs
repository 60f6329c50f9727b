//! The margin of CMA-ES on coordinates that are divided into cells: no neighbouring cell becomes too unlikely to be tried.
//!
//! Source: Hamano, Saito, Nomura, Shirakawa, "CMA-ES with margin: lower-bounding marginal probability for mixed-integer
//! black-box optimization", GECCO 2022 (arXiv:2205.13482), sections 4.1 (the matrix A and the encoding), 4.3 and 4.4 (the
//! corrections), with the margin 1 / (n λ) of its section 5.2. Where it leaves something open we follow `cmaes` 0.13.1,
//! `cmaes/_cmawm.py`. Without the margin a coordinate whose deviation has become small beside its cells is never moved
//! again, whatever was learned since.

use crate::grain::{Grain, cell};
use crate::noise::inverse_normal;

/// The smallest probability on either side of a cell (`cmaes`); 0 would need an infinite deviation.
const PROBABILITY_MIN: f64 = 1e-10;

/// The narrowest deviation, in cells: beside the border of a cell at the end of its coordinate the mean stands a few
/// deviations off, and a narrower one would drown in rounding, as it does in the reference.
const DEVIATION_MIN: f64 = 1e-9;

/// Corrects mean and spread (the diagonal of A) once the strategy has learned from a generation: every cell beside the
/// mean's is left with a probability of at least about `margin / 2`, and where the mean is in a cell at the end, the one
/// beside it with `margin`. `deviation(i)` is σ √C_ii.
pub(super) fn correct(
    grains: &[Grain],
    margin: f64,
    deviation: impl Fn(usize) -> f64,
    mean: &mut [f64],
    spread: &mut [f64],
) {
    for (i, grain) in grains.iter().enumerate() {
        let Some(cells) = grain.cells() else { continue };
        let (m, a) = corrected(cells, margin, deviation(i), mean[i], spread[i]);
        if m.is_finite() && a.is_finite() && a > 0.0 {
            (mean[i], spread[i]) = (m, a);
        }
    }
}

fn corrected(cells: u32, margin: f64, deviation: f64, mean: f64, spread: f64) -> (f64, f64) {
    // The borders of the mean's cell; of a cell at the end, twice the one border that it has.
    let at = cell(mean, cells);
    let border = |k: u32| f64::from(k) / f64::from(cells);
    let (low, up) = (border(at.clamp(1, cells - 1)), border((at + 1).min(cells - 1)));
    let least = DEVIATION_MIN / f64::from(cells);
    let spread = if spread * deviation < least { least / deviation } else { spread };
    let wide = spread * deviation;
    let (below, above) = (upper_tail((mean - low) / wide), upper_tail((up - mean) / wide));
    if below.max(above) > 0.5 {
        // Eq. 20 and 21.
        if below.min(above) < margin {
            return (up + (mean - up).signum() * wide * quantile(margin), spread);
        }
        return (mean, spread);
    }
    if low >= up {
        // On the border of a cell at the end: both sides are as likely.
        return (mean, spread);
    }
    // Eq. 22 to 25: both sides get at least half the margin, at the cost of those that have more.
    let within = 1.0 - (below + above);
    let (below, above) = (below.max(margin / 2.0), above.max(margin / 2.0));
    let (excess, share) = (1.0 - below - above - within, below + within + above - 1.5 * margin);
    let held = |p: f64| {
        let p = p + excess * (p - margin / 2.0) / share;
        p.clamp(PROBABILITY_MIN, 0.5 - PROBABILITY_MIN)
    };
    // Eq. 26 to 28: the one mean and the one spread that have these probabilities.
    let (to_low, to_up) = (quantile(held(below)), quantile(held(above)));
    ((low * to_up + up * to_low) / (to_low + to_up), (up - low) / ((to_low + to_up) * deviation))
}

/// How likely a standard normal number is above `x`.
fn upper_tail(x: f64) -> f64 {
    0.5 * libm::erfc(x * std::f64::consts::FRAC_1_SQRT_2)
}

/// Above which number a standard normal one is with probability `p`: the root of the χ² quantile that the paper has.
fn quantile(p: f64) -> f64 {
    -inverse_normal(p)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grain::settled;

    const CELLS: [u32; 8] = [0, 2, 2, 7, 7, 7, 21, 21];
    const MEAN: [f64; 8] = [0.3, 0.9, 0.26, 0.5, 0.985, 0.44, 0.02, 0.511];
    const SPREAD: [f64; 8] = [1.0, 1.0, 1.5, 1.0, 2.0, 0.7, 3.0, 1.25];
    const VARIANCES: [f64; 8] = GOLDEN_VARIANCES;

    fn grains() -> Vec<Grain> {
        CELLS.map(|cells| if cells == 0 { Grain::Real } else { Grain::Integer { steps: cells } }).to_vec()
    }

    #[track_caller]
    fn near(actual: f64, expected: f64) {
        assert!((actual - expected).abs() <= 1e-12 * expected.abs(), "{actual} against {expected}");
    }

    /// Made by `cmaes.CMAwM` 0.13.1 with SciPy: eight coordinates (one real, the others of 2, 2, 7, 7, 7, 21 and 21
    /// steps of bounds from 0 to 1), population 9, `_mean`, `_sigma`, `_C` and `_A` set to the state above, then `tell` with
    /// the update of the inner `CMA` switched off: what is left is the correction alone.
    #[test]
    fn the_correction_is_that_of_the_reference() {
        for (sigma, mean_after, spread_after) in GOLDEN {
            let (mut mean, mut spread) = (MEAN, SPREAD);
            correct(&grains(), 1.0 / 72.0, |i| sigma * VARIANCES[i].sqrt(), &mut mean, &mut spread);
            for i in 0..8 {
                near(mean[i], mean_after[i]);
                near(spread[i], spread_after[i]);
            }
        }
    }

    /// `CMAwM._encode_discrete_params` of six points drawn around that mean, under that spread.
    #[test]
    fn a_point_is_evaluated_where_the_reference_evaluates_it() {
        for (x, encoded) in ENCODED {
            for (i, grain) in grains().into_iter().enumerate().skip(1) {
                near(settled(MEAN[i] + SPREAD[i] * (x[i] - MEAN[i]), grain), encoded[i - 1]);
            }
        }
    }

    /// What the correction is for, whatever the deviation: eq. 10 and 11 of the paper.
    #[test]
    fn a_neighbouring_cell_never_becomes_less_likely_than_the_margin_allows() {
        let margin = 1.0 / 72.0;
        for cells in [2, 3, 10, 1000] {
            for step in 0..200 {
                for deviation in [1.0, 0.1, 1e-3, 1e-8, 1e-30] {
                    let mean = f64::from(step) / 199.0 * 1.2 - 0.1;
                    let (m, a) = corrected(cells, margin, deviation, mean, 1.0);
                    let at = cell(m, cells);
                    let border = |k: u32| f64::from(k) / f64::from(cells);
                    let below = if at == 0 { None } else { Some(upper_tail((m - border(at)) / (a * deviation))) };
                    let above =
                        if at + 1 == cells { None } else { Some(upper_tail((border(at + 1) - m) / (a * deviation))) };
                    for p in [below, above].into_iter().flatten() {
                        assert!(p > 0.49 * margin, "{cells} cells, mean {mean}, deviation {deviation}: {p}");
                    }
                }
            }
        }
    }

    const GOLDEN_VARIANCES: [f64; 8] = [
        0.944302954019787,
        1.119796108456705,
        1.6507844209272249,
        1.7475243000666028,
        2.59972853562413,
        2.392141274911747,
        3.318796812549202,
        3.784103120814591,
    ];

    /// Step size, mean after, spread after.
    const GOLDEN: [(f64, [f64; 8], [f64; 8]); 5] = [
        (
            0.1625,
            [0.3, 0.8783786008451544, 0.26, 0.5, 0.985, 0.44000000000000006, 0.02, 0.5110000000000001],
            [1.0, 1.0, 1.5, 0.9999999999999998, 2.0, 0.7, 3.0, 1.2500000000000002],
        ),
        (
            0.3,
            [0.3, 0.9, 0.26, 0.5, 0.985, 0.44, 0.02, 0.5110000000000001],
            [1.0, 1.0, 1.5, 0.9999999999999998, 2.0, 0.7000000000000002, 3.0, 1.2500000000000009],
        ),
        (
            0.03,
            [0.3, 0.5698545109252593, 0.3727782341644216, 0.5000000000000001, 0.985, 0.44674259006218986, 0.02, 0.511],
            [1.0, 1.0, 1.5, 1.0, 2.0, 1.0923099844224693, 3.0, 1.249999999999999],
        ),
        (
            0.004,
            [0.3, 0.5093139347900346, 0.48303709788858956, 0.5, 0.885525818915641, 0.5, 0.02, 0.5071766078814779],
            [1.0, 1.0, 1.5, 5.490897084449338, 2.0, 4.693118317479444, 3.0, 1.6187091890677945],
        ),
        (
            1e-06,
            [
                0.3,
                0.5000023284836975,
                0.49999575927447215,
                0.5,
                0.8571499528833002,
                0.5,
                0.047607021782088796,
                0.4999999999999999,
            ],
            [1.0, 1.0, 1.5, 21963.588337797355, 2.0, 18772.473269917777, 3.0, 4975.2186380846915],
        ),
    ];

    /// A point, and its divided coordinates as they are evaluated.
    const ENCODED: [([f64; 8], [f64; 7]); 6] = [
        (
            [
                0.06384537139090032,
                0.9527159028777579,
                0.3135309959668686,
                0.1275316541222165,
                1.1382813139480288,
                1.1186424611401729,
                -0.33872580611283026,
                0.825768456044285,
            ],
            [
                0.75,
                0.25,
                0.07142857142857142,
                0.9285714285714285,
                0.9285714285714285,
                0.023809523809523808,
                0.8809523809523809,
            ],
        ),
        (
            [
                0.2459226018352494,
                1.51936955615281,
                0.4293259216601856,
                0.7366757399520717,
                1.2101071482085015,
                0.527180347354042,
                -0.46851722592423617,
                0.9980820177106826,
            ],
            [0.75, 0.75, 0.7857142857142856, 0.9285714285714285, 0.5, 0.023809523809523808, 0.9761904761904762],
        ),
        (
            [
                -0.17973415439320573,
                0.9834971173420655,
                0.4749269807139328,
                0.20673070455419712,
                1.0357721249362348,
                0.8487588002055746,
                0.011563435475069482,
                0.19996990375146784,
            ],
            [
                0.75,
                0.75,
                0.21428571428571427,
                0.9285714285714285,
                0.7857142857142856,
                0.023809523809523808,
                0.11904761904761904,
            ],
        ),
        (
            [
                -0.7205082131274492,
                0.5598558240995868,
                0.053122441529943665,
                0.31925392127403407,
                0.6490013369204742,
                0.5720533319396202,
                -0.18114794717244678,
                0.4726909831417871,
            ],
            [0.75, 0.25, 0.3571428571428571, 0.3571428571428571, 0.5, 0.023809523809523808, 0.45238095238095233],
        ),
        (
            [
                0.5376750599389274,
                0.6005969909690416,
                0.15492787391815727,
                1.2553522697199215,
                1.291000002913682,
                -0.012737821172624453,
                -0.007909328364950091,
                0.708569931403109,
            ],
            [
                0.75,
                0.25,
                0.9285714285714285,
                0.9285714285714285,
                0.07142857142857142,
                0.023809523809523808,
                0.738095238095238,
            ],
        ),
        (
            [
                0.7317148655586047,
                0.9521452381383468,
                0.07429624947571348,
                0.24431567470733445,
                1.210771694744368,
                0.5495711309084372,
                -0.16082677367935239,
                0.4448249167475005,
            ],
            [0.75, 0.25, 0.21428571428571427, 0.9285714285714285, 0.5, 0.023809523809523808, 0.40476190476190477],
        ),
    ];
}
