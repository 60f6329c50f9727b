use tumble_domain::{Axis, AxisTarget, AxisValues};

use super::*;

fn axis(name: &str, values: AxisValues) -> Axis {
    Axis { name: name.to_owned(), target: AxisTarget::Parameter(0), values }
}

fn linear(name: &str, from: f64, to: f64, points: Option<u64>) -> Axis {
    axis(name, AxisValues::Linear { from, to, points })
}

fn log(name: &str, from: f64, to: f64, points: Option<u64>) -> Axis {
    axis(name, AxisValues::Log { from, to, points })
}

fn integers(name: &str, from: i64, to: i64) -> Axis {
    axis(name, AxisValues::Integers { from, to })
}

fn words(name: &str, words: &[&str]) -> Axis {
    axis(name, AxisValues::List(words.iter().map(|word| Value::text(word)).collect()))
}

fn sweep(design: &str, points: Option<u64>, axes: Vec<Axis>) -> Sweep {
    Sweep { design: design.to_owned(), points, axes }
}

fn design(name: &str, points: Option<u64>, axes: Vec<Axis>) -> Design {
    Design::try_new(&sweep(name, points, axes), Seed(3)).unwrap()
}

fn number(design: &Design, point: u64, axis: usize) -> f64 {
    design.value(point, axis).as_f64().unwrap()
}

fn sampling() -> impl Iterator<Item = &'static str> {
    ["random", "latin-hypercube", "sobol"].into_iter()
}

#[test]
fn a_grid_runs_through_every_combination_the_last_axis_fastest() {
    let grid =
        design("grid", None, vec![words("rule", &["a", "b"]), integers("k", -1, 1), linear("x", 0.0, 1.0, Some(2))]);
    assert_eq!(grid.points(), 12);
    assert_eq!(grid.axes(), 3);
    let rows: Vec<String> = (0..12)
        .map(|point| (0..3).map(|axis| grid.value(point, axis).to_string()).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        rows,
        [
            "\"a\" -1 0.0",
            "\"a\" -1 1.0",
            "\"a\" 0 0.0",
            "\"a\" 0 1.0",
            "\"a\" 1 0.0",
            "\"a\" 1 1.0",
            "\"b\" -1 0.0",
            "\"b\" -1 1.0",
            "\"b\" 0 0.0",
            "\"b\" 0 1.0",
            "\"b\" 1 0.0",
            "\"b\" 1 1.0",
        ]
    );
}

#[test]
fn steps_of_an_axis_are_the_numbers_one_expects() {
    let tenths = design("grid", None, vec![linear("x", 0.0, 1.0, Some(11))]);
    for (i, expected) in [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0].into_iter().enumerate() {
        assert_eq!(number(&tenths, i as u64, 0), expected);
    }
    let whole = design("grid", None, vec![linear("x", -20.0, 80.0, Some(101))]);
    assert!((0..=100).all(|i| number(&whole, i, 0) == i as f64 - 20.0));
    let decades = design("grid", None, vec![log("x", 1e-4, 1e4, Some(9))]);
    for (i, expected) in [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4].into_iter().enumerate() {
        assert_eq!(number(&decades, i as u64, 0), expected);
    }
}

#[test]
fn ends_are_exact_and_steps_rise() {
    for (from, to) in [(0.05, 20.0), (1e-300, 1e300), (0.1, 0.3), (3.0, 7.0), (1e-9, 1.0000001e-9)] {
        for points in [2, 3, 25, 1000] {
            for axis in [linear("x", from, to, Some(points)), log("x", from, to, Some(points))] {
                let grid = design("grid", None, vec![axis]);
                assert_eq!(number(&grid, 0, 0), from);
                assert_eq!(number(&grid, points - 1, 0), to);
                assert!((1..points).all(|i| number(&grid, i - 1, 0) < number(&grid, i, 0)), "{from} to {to}");
            }
        }
    }
    let ratios = design("grid", None, vec![log("x", 0.05, 20.0, Some(25))]);
    let ratio = number(&ratios, 1, 0) / number(&ratios, 0, 0);
    assert!((1..25).all(|i| (number(&ratios, i, 0) / number(&ratios, i - 1, 0) / ratio - 1.0).abs() < 1e-13));
}

#[test]
fn a_list_takes_the_axes_side_by_side() {
    let list =
        design("list", None, vec![words("w", &["a", "b", "c"]), integers("k", 7, 9), log("x", 1.0, 100.0, Some(3))]);
    assert_eq!(list.points(), 3);
    let row = |point| (0..3).map(|axis| list.value(point, axis)).collect::<Vec<_>>();
    assert_eq!(row(0), [Value::text("a"), Value::Integer(7), Value::Float(1.0)]);
    assert_eq!(row(1), [Value::text("b"), Value::Integer(8), Value::Float(10.0)]);
    assert_eq!(row(2), [Value::text("c"), Value::Integer(9), Value::Float(100.0)]);
}

#[test]
fn sampled_values_lie_on_their_axis_and_need_no_other_point() {
    for name in sampling() {
        let axes = || {
            vec![
                linear("x", -1.0, 3.0, None),
                log("y", 1e-3, 1e3, None),
                integers("k", -2, 2),
                words("w", &["a", "b", "c"]),
                linear("levels", 0.0, 1.0, Some(5)),
            ]
        };
        let sampled = design(name, Some(1000), axes());
        assert_eq!((sampled.points(), sampled.axes()), (1000, 5));
        let again = design(name, Some(1000), axes());
        let mut below = 0;
        let mut levels = std::collections::BTreeMap::new();
        for point in (0..1000).rev() {
            assert!((0..5).all(|axis| sampled.value(point, axis) == again.value(point, axis)));
            assert!((-1.0..=3.0).contains(&number(&sampled, point, 0)));
            let y = number(&sampled, point, 1);
            assert!((1e-3..=1e3).contains(&y));
            below += u32::from(y < 1.0);
            assert!((-2..=2).contains(&sampled.value(point, 2).as_i64().unwrap()));
            assert!(["a", "b", "c"].contains(&sampled.value(point, 3).as_text().unwrap()));
            *levels.entry(sampled.value(point, 4).to_string()).or_insert(0) += 1;
        }
        // Half of a logarithmic axis lies below its middle ratio; five levels share the points.
        assert!((430..=570).contains(&below), "{name}: {below}");
        assert_eq!(levels.keys().collect::<Vec<_>>(), ["0.0", "0.25", "0.5", "0.75", "1.0"]);
        assert!(levels.values().all(|count| (140..=260).contains(count)), "{name}: {levels:?}");
        // Another seed lays out other points.
        let other = Design::try_new(&sweep(name, Some(1000), axes()), Seed(4)).unwrap();
        assert!((0..20).any(|point| other.value(point, 0) != sampled.value(point, 0)));
    }
}

#[test]
fn a_latin_hypercube_has_one_point_in_each_cell_of_each_axis() {
    for points in [1, 2, 3, 7, 10, 64, 100, 1009] {
        let axes: Vec<_> = (0..4).map(|i| linear(&format!("x{i}"), 0.0, 1.0, None)).collect();
        let hypercube = design("latin-hypercube", Some(points), axes);
        for axis in 0..4 {
            let mut taken = vec![false; points as usize];
            for point in 0..points {
                let cell = (number(&hypercube, point, axis) * points as f64) as usize;
                assert!(!std::mem::replace(&mut taken[cell], true), "{points} points, axis {axis}, cell {cell}");
            }
        }
    }
}

/// Over many seeds every arrangement of four points comes up about as often as any other.
#[test]
fn the_cells_of_a_latin_hypercube_are_shuffled_evenly() {
    let mut counts = std::collections::BTreeMap::new();
    for seed in 0..4800 {
        let hypercube = LatinHypercube::new(Seed(seed), 4);
        let cells: Vec<u64> = (0..4).map(|point| hypercube.cell(point, 0)).collect();
        *counts.entry(cells).or_insert(0u32) += 1;
    }
    assert_eq!(counts.len(), 24);
    // Chi-squared with 23 degrees of freedom: 49.7 is passed once in a thousand.
    let chi: f64 = counts.values().map(|count| (f64::from(*count) - 200.0).powi(2) / 200.0).sum();
    assert!(chi < 49.7, "{chi}: {counts:?}");
}

#[test]
fn axes_of_a_sampled_design_are_unrelated() {
    for name in sampling() {
        let axes: Vec<_> = (0..6).map(|i| linear(&format!("x{i}"), -0.5, 0.5, None)).collect();
        let sampled = design(name, Some(4096), axes);
        for a in 0..6 {
            for b in 0..a {
                let product: f64 = (0..4096).map(|p| number(&sampled, p, a) * number(&sampled, p, b)).sum();
                let correlation = 12.0 * product / 4096.0;
                assert!(correlation.abs() < 5.0 / 64.0, "{name}, axes {a} and {b}: {correlation}");
            }
        }
    }
}

#[test]
fn points_of_a_huge_sweep_are_made_from_their_index_alone() {
    let many = 1_000_000_000_000;
    for name in sampling() {
        let axes = vec![linear("x", 0.0, 1.0, None), integers("k", i64::MIN + 1, i64::MAX), words("w", &["a", "b"])];
        let huge = design(name, Some(many), axes);
        assert_eq!(huge.points(), many);
        for point in [0, 1, many / 3, many - 2, many - 1] {
            assert!((0.0..=1.0).contains(&number(&huge, point, 0)), "{name}");
            assert!(huge.value(point, 1).as_i64().is_some() && huge.value(point, 2).as_text().is_some());
        }
        assert_ne!(huge.value(many - 1, 0), huge.value(many - 2, 0));
    }
    // A Latin hypercube of so many points is still a permutation: distinct points, distinct cells.
    let hypercube = LatinHypercube::new(Seed(1), many);
    let mut cells: Vec<u64> = (0..2000).map(|i| hypercube.cell(i * 499_999_999, 5)).collect();
    cells.sort_unstable();
    assert!(cells.windows(2).all(|pair| pair[0] < pair[1]) && *cells.last().unwrap() < many);

    let axes = vec![integers("a", 0, 999_999), integers("b", 0, 999_999)];
    let grid = design("grid", None, axes);
    assert_eq!(grid.points(), many);
    assert_eq!(
        (grid.value(123_456_789_012, 0), grid.value(123_456_789_012, 1)),
        (Value::Integer(123_456), Value::Integer(789_012))
    );
}

#[track_caller]
fn refused(design: &str, points: Option<u64>, axes: Vec<Axis>, message: &str) {
    let error = Design::try_new(&sweep(design, points, axes), Seed(0)).unwrap_err();
    assert_eq!(error.to_string(), message);
}

#[test]
fn what_cannot_be_laid_out_is_refused_with_the_axis_and_the_fix() {
    let x = || linear("x", 0.0, 1.0, None);
    refused("gird", None, vec![x()], "unknown design `gird`: did you mean `grid`?");
    refused("hexagonal", None, vec![x()], "unknown design `hexagonal`");
    refused("grid", None, vec![], "the sweep has no axes: give at least one under [sweep.axes]");
    refused("grid", None, vec![words("w", &[])], "axis `w` has no values: give at least one");
    refused("grid", None, vec![linear("x", 0.0, 1.0, Some(0))], "axis `x` has no values: give at least one");
    refused(
        "grid",
        None,
        vec![linear("x", 0.0, 1.0, Some(1))],
        "axis `x` has `points = 1`, but an interval needs at least 2, one for each end",
    );
    for design in ["grid", "list"] {
        let message =
            format!("axis `x` is an interval without `points`, which the design `{design}` needs: add `points = …`");
        refused(design, None, vec![x()], &message);
        let message = format!("the design `{design}` counts its points itself: leave `points` of the sweep out");
        refused(design, Some(5), vec![integers("k", 0, 1)], &message);
    }
    refused("random", None, vec![x()], "the design `random` samples, so the sweep needs `points`, at least 1");
    refused("sobol", Some(0), vec![x()], "the design `sobol` samples, so the sweep needs `points`, at least 1");
    refused(
        "random",
        Some(5),
        vec![linear("x", 2.0, 1.0, None)],
        "axis `x` runs from 2.0 down to 1.0: give the smaller number first",
    );
    refused("grid", None, vec![integers("k", 5, -5)], "axis `k` runs from 5 down to -5: give the smaller number first");
    refused(
        "random",
        Some(5),
        vec![log("x", 0.0, 1.0, None)],
        "axis `x` is logarithmic, so both ends must be greater than 0, but one is 0.0",
    );
    for (from, to) in [(0.0, f64::INFINITY), (f64::NAN, 1.0), (-1e308, 1e308)] {
        refused(
            "random",
            Some(5),
            vec![linear("x", from, to, None)],
            "axis `x` has an end that is no finite number, or its ends are too far apart: give a smaller interval",
        );
    }
    refused(
        "list",
        None,
        vec![integers("a", 1, 3), integers("b", 1, 4)],
        "axis `b` has 4 values, but axis `a` has 3: in the design `list` every axis has as many",
    );
    let long = || integers("k", 0, u32::MAX.into());
    refused(
        "grid",
        None,
        vec![long(), long(), integers("z", 0, 1)],
        "the axes up to `k` multiply to more than 2^64 points: take fewer values, or a design that samples",
    );
    refused(
        "random",
        Some(2),
        vec![integers("k", i64::MIN, i64::MAX)],
        "the axes up to `k` multiply to more than 2^64 points: take fewer values, or a design that samples",
    );
    let axes = (0..=SOBOL_AXES_MAX).map(|i| linear(&format!("x{i}"), 0.0, 1.0, None)).collect();
    refused(
        "sobol",
        Some(2),
        axes,
        "axis `x1024` is number 1025 of the sweep, but the design `sobol` has at most 1024 axes: take `latin-hypercube`",
    );
}

#[test]
fn every_design_that_is_described_can_be_built() {
    for description in descriptions() {
        let points = description.needs.contains("`points` of the sweep").then_some(4);
        assert_eq!(design(description.name, points, vec![integers("k", 0, 3)]).points(), 4);
    }
}
