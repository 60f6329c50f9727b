//! Numbers that travel: two machines that rebuild a candidate, tell a strategy or score a trial get the same bits.
//!
//! A processor's square root is exact by IEEE 754, as are sums and products one by one. The standard library's `exp`, `sin`
//! and their like are what the platform's C library makes of them, and `powi` is whatever the compiler makes of it; those
//! come from the pinned `libm` instead. A fused multiply-add rounds once where two operations round twice.

use crate::sources::{line_of, none, shipped_code};

/// Rooms whose numbers travel.
const FOLDERS: [&str; 4] = ["domain/src", "search/src", "pipelines/src", "coordinator/core/src"];

/// Methods of `f64` and `f32` whose last bits are the platform's.
const INEXACT: [&str; 28] = [
    "mul_add", "exp", "exp2", "exp_m1", "ln", "ln_1p", "log", "log2", "log10", "powf", "powi", "sin", "cos", "tan",
    "sin_cos", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "cbrt", "hypot",
    "gamma",
];

/// Files that may, with the reason. None needs to today.
const EXCEPTIONS: [(&str, &str); 0] = [];

#[test]
fn numbers_that_travel_come_from_the_pinned_libm() {
    let mut problems = Vec::new();
    for folder in FOLDERS {
        for (path, code) in shipped_code(folder) {
            if EXCEPTIONS.iter().any(|(file, _)| path.ends_with(file)) {
                continue;
            }
            problems.extend(
                inexact_calls(&code).into_iter().map(|(line, call)| {
                    format!("{}:{line}: `{call}` differs between machines; use libm", path.display())
                }),
            );
        }
    }
    none(problems);
}

/// Sums that a library may take in an order of its own have no place where every sum has one order.
#[test]
fn sums_that_travel_have_one_order() {
    let mut problems = Vec::new();
    for folder in FOLDERS {
        for (path, code) in shipped_code(folder) {
            for unordered in ["HashMap", "HashSet", "par_iter", "fadd_fast", "std::simd", "is_x86_feature_detected"] {
                if code.contains(unordered) {
                    problems.push(format!("{}: `{unordered}` makes an order that differs", path.display()));
                }
            }
        }
    }
    none(problems);
}

/// The pin is exact: another version of `libm` may give other last bits, and then it is another version of Tumble.
#[test]
fn libm_is_pinned_to_one_version() {
    let manifest = crate::manifest::Manifest::of("Cargo.toml");
    let version = manifest.get("workspace.dependencies.libm").and_then(|version| version.as_str()).unwrap_or("");
    assert!(version.starts_with('='), "`libm` is {version:?} in [workspace.dependencies], not an exact version");
}

fn inexact_calls(code: &str) -> Vec<(usize, String)> {
    let mut calls = Vec::new();
    for method in INEXACT {
        for form in [format!(".{method}("), format!("f64::{method}"), format!("f32::{method}")] {
            for (at, found) in code.match_indices(&form) {
                let next = code[at + found.len()..].chars().next();
                if found.ends_with('(') || !next.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                    calls.push((line_of(code, at), found.to_owned()));
                }
            }
        }
    }
    calls
}

#[test]
fn inexact_calls_are_told_from_exact_ones() {
    let calls = |code: &str| inexact_calls(code).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
    assert_eq!(calls("a\nlet y = x.exp();\nlet z = xs.map(f64::ln);"), [2, 3]);
    assert!(calls("libm::exp(x) + x.sqrt() + x.exponent() + f64::sqrt(x) + f64::expand(x)").is_empty());
}
