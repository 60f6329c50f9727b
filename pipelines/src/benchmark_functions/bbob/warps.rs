//! What bends the functions of BBOB 2009 out of their textbook shapes; names and numbers as in RR-6829, section 0.2.

/// T_osz of one number: bumps along the way, none of which is a local optimum, and the sign kept.
pub(super) fn oscillated(x: f64) -> f64 {
    if x == 0.0 {
        return x;
    }
    let (c1, c2) = if x > 0.0 { (10.0, 7.9) } else { (5.5, 3.1) };
    let log = libm::log(x.abs());
    libm::exp(log + 0.049 * (libm::sin(c1 * log) + libm::sin(c2 * log))).copysign(x)
}

/// T_asy of one element: what is positive grows with a power of its own; `strength` is β i/(n-1) for element i.
pub(super) fn asymmetric(x: f64, strength: f64) -> f64 {
    if x > 0.0 { libm::pow(x, 1.0 + strength * x.sqrt()) } else { x }
}

/// f_pen: how far a point lies outside the box [-5, 5], squared and summed.
pub(super) fn outside(x: &[f64]) -> f64 {
    let beyond = |x: &f64| (x.abs() - 5.0).max(0.0);
    x.iter().map(|x| beyond(x) * beyond(x)).sum()
}

/// To the nearest whole number, and upwards from the middle between two.
pub(super) fn rounded(x: f64) -> f64 {
    (x + 0.5).floor()
}

/// The diagonal of Λ: `base` to the powers 0 to 1, in `n` even steps. The report's base is the root of its condition.
pub(super) fn powers(base: f64, n: usize) -> Vec<f64> {
    ramp(n).map(|step| libm::pow(base, step)).collect()
}

/// 0 to 1 in `n` even steps.
pub(super) fn ramp(n: usize) -> impl Iterator<Item = f64> {
    (0..n).map(move |i| i as f64 / (n - 1) as f64)
}
