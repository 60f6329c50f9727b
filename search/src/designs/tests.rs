use tumble_domain::{Axis, AxisTarget, AxisValues, Condition, Criterion};

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
    Sweep { design: design.to_owned(), points, axes, ..Sweep::default() }
}

fn design(name: &str, points: Option<u64>, axes: Vec<Axis>) -> Design {
    Design::try_new(&sweep(name, points, axes), Seed(3)).unwrap()
}

fn number(design: &Design, point: u64, axis: usize) -> f64 {
    value(design, point, axis).as_f64().unwrap()
}

/// The value of an axis that is there.
fn value(design: &Design, point: u64, axis: usize) -> Value {
    design.value(point, axis).unwrap()
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
        .map(|point| (0..3).map(|axis| value(&grid, point, axis).to_string()).collect::<Vec<_>>().join(" "))
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
    let row = |point| (0..3).map(|axis| value(&list, point, axis)).collect::<Vec<_>>();
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
            assert!((0..5).all(|axis| value(&sampled, point, axis) == value(&again, point, axis)));
            assert!((-1.0..=3.0).contains(&number(&sampled, point, 0)));
            let y = number(&sampled, point, 1);
            assert!((1e-3..=1e3).contains(&y));
            below += u32::from(y < 1.0);
            assert!((-2..=2).contains(&value(&sampled, point, 2).as_i64().unwrap()));
            assert!(["a", "b", "c"].contains(&value(&sampled, point, 3).as_text().unwrap()));
            *levels.entry(value(&sampled, point, 4).to_string()).or_insert(0) += 1;
        }
        // Half of a logarithmic axis lies below its middle ratio; five levels share the points.
        assert!((430..=570).contains(&below), "{name}: {below}");
        assert_eq!(levels.keys().collect::<Vec<_>>(), ["0.0", "0.25", "0.5", "0.75", "1.0"]);
        assert!(levels.values().all(|count| (140..=260).contains(count)), "{name}: {levels:?}");
        // Another seed lays out other points.
        let other = Design::try_new(&sweep(name, Some(1000), axes()), Seed(4)).unwrap();
        assert!((0..20).any(|point| value(&other, point, 0) != value(&sampled, point, 0)));
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
            assert!(value(&huge, point, 1).as_i64().is_some() && value(&huge, point, 2).as_text().is_some());
        }
        assert_ne!(value(&huge, many - 1, 0), value(&huge, many - 2, 0));
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
        (value(&grid, 123_456_789_012, 0), value(&grid, 123_456_789_012, 1)),
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

/// Three rules: `hebb` has a learning rate and, where it decays, a decay; `oja` has an order; all have a load.
fn rules(name: &str, points: Option<u64>) -> Sweep {
    let when =
        |axis, on, values: &[&str]| Condition { axis, on, values: values.iter().map(|w| Value::text(w)).collect() };
    let steps = |interval: fn(&str, f64, f64, Option<u64>) -> Axis, name, n| {
        interval(name, 0.5, 1.0, points.map_or(Some(n), |_| None))
    };
    let axes = vec![
        words("rule", &["hebb", "none", "oja"]),
        words("schedule", &["constant", "decaying"]),
        steps(log, "rate", 5),
        steps(linear, "decay", 3),
        integers("order", 1, 4),
        integers("load", 0, 1),
    ];
    let conditions =
        vec![when(1, 0, &["hebb"]), when(2, 0, &["hebb", "oja"]), when(3, 1, &["decaying"]), when(4, 0, &["oja"])];
    Sweep { conditions, ..sweep(name, points, axes) }
}

fn row(design: &Design, point: u64) -> Vec<Option<Value>> {
    (0..design.axes()).map(|axis| design.value(point, axis)).collect()
}

/// The same points as from loops within loops that leave out what is not there.
#[test]
fn a_grid_with_conditions_runs_through_its_branches_and_multiplies_nothing_that_is_absent() {
    let grid = Design::try_new(&rules("grid", None), Seed(0)).unwrap();
    let plain = |name: &str| {
        Design::try_new(
            &sweep("grid", None, vec![rules("grid", None).axes.into_iter().find(|a| a.name == name).unwrap()]),
            Seed(0),
        )
        .unwrap()
    };
    let all = |name: &str| {
        let axis = plain(name);
        (0..axis.points()).map(|point| axis.value(point, 0)).collect::<Vec<_>>()
    };
    let given = |is_there: bool, name: &str| if is_there { all(name) } else { vec![None] };
    let mut expected = Vec::new();
    for rule in all("rule") {
        let is = |word: &str| rule == Some(Value::text(word));
        for schedule in given(is("hebb"), "schedule") {
            let decays = schedule == Some(Value::text("decaying"));
            // A tree stands where its root does: the decay goes with the schedule, before the rate.
            for decay in given(decays, "decay") {
                for rate in given(is("hebb") || is("oja"), "rate") {
                    for order in given(is("oja"), "order") {
                        for load in all("load") {
                            expected.push(vec![
                                rule.clone(),
                                schedule.clone(),
                                rate.clone(),
                                decay.clone(),
                                order.clone(),
                                load,
                            ]);
                        }
                    }
                }
            }
        }
    }
    // hebb: (1 constant + 3 decays) × 5 rates, none: 1, oja: 5 rates × 4 orders; each twice, for the load.
    assert_eq!((grid.points(), expected.len()), (2 * (4 * 5 + 1 + 5 * 4), 82));
    assert_eq!(grid_points(&rules("grid", None)), 82);
    for (point, row_expected) in (0..).zip(expected) {
        assert_eq!(row(&grid, point), row_expected, "point {point}");
    }
    let shares = vec![(Value::text("hebb"), 40), (Value::text("none"), 2), (Value::text("oja"), 40)];
    assert_eq!(grid.branches(), [(0, shares)]);
    assert!(design("grid", None, vec![integers("k", 0, 3)]).branches().is_empty());
}

#[test]
fn a_sampled_value_is_the_same_draw_with_and_without_its_condition_and_only_absent_elsewhere() {
    for name in sampling() {
        let with = rules(name, Some(500));
        let without = Sweep { conditions: Vec::new(), ..with.clone() };
        let [with, without] = [with, without].map(|sweep| Design::try_new(&sweep, Seed(8)).unwrap());
        let mut absent = 0;
        for point in 0..500 {
            let (drawn, there) = (row(&without, point), row(&with, point));
            let is = |axis: usize, word: &str| drawn[axis] == Some(Value::text(word));
            let expected = [
                true,
                is(0, "hebb"),
                is(0, "hebb") || is(0, "oja"),
                // Nested: without a schedule there is no decay, whatever was drawn for the schedule.
                is(0, "hebb") && is(1, "decaying"),
                is(0, "oja"),
                true,
            ];
            for axis in 0..6 {
                assert_eq!(there[axis], drawn[axis].clone().filter(|_| expected[axis]), "{name} {point} {axis}");
                absent += usize::from(there[axis].is_none());
            }
        }
        assert!((700..1400).contains(&absent), "{absent}");
    }
}

/// A branch of 10^12 points costs no more than one of two.
#[test]
fn a_huge_grid_with_conditions_is_made_from_the_index_alone() {
    let axes =
        vec![words("w", &["few", "many"]), integers("a", 0, 999_999), integers("b", 0, 999_999), integers("c", 0, 1)];
    let on = |axis, word| Condition { axis, on: 0, values: vec![Value::text(word)] };
    let conditions = vec![on(1, "many"), on(2, "many"), on(3, "few")];
    let grid = Design::try_new(&Sweep { conditions, ..sweep("grid", None, axes) }, Seed(0)).unwrap();
    assert_eq!(grid.points(), 1_000_000_000_002);
    let integer = |i| Some(Value::Integer(i));
    assert_eq!(row(&grid, 1), [Some(Value::text("few")), None, None, integer(1)]);
    let point = 2 + 123_456_789_012;
    assert_eq!(row(&grid, point), [Some(Value::text("many")), integer(123_456), integer(789_012), None]);
}

#[test]
fn a_condition_that_makes_no_sense_is_refused_with_its_axis() {
    let refused = |condition: Condition, why: &str| {
        let axes =
            vec![integers("k", 0, 3), linear("x", 0.0, 1.0, Some(9)), integers("wide", 0, 1 << 16), words("w", &["a"])];
        let error = Design::try_new(&Sweep { conditions: vec![condition], ..sweep("grid", None, axes) }, Seed(0));
        let expected = format!("axis `w` cannot depend on another as it says: {why}");
        assert_eq!(error.unwrap_err().to_string(), expected);
    };
    let integer = |on, i| Condition { axis: 3, on, values: vec![Value::Integer(i)] };
    refused(integer(0, 4), "`k` never is 4");
    refused(integer(3, 4), "the axis it hangs on must stand before it");
    refused(integer(2, 4), "`wide` has more than 65536 values");
    refused(Condition { values: Vec::new(), ..integer(0, 0) }, "its condition has no values");
    refused(Condition { values: vec![Value::Float(0.0)], ..integer(1, 0) }, "`x` never is 0.0");
}

fn least_distance(design: &Design) -> f64 {
    let place = |point| (0..design.axes()).map(|axis| number(design, point, axis)).collect::<Vec<f64>>();
    let places: Vec<Vec<f64>> = (0..design.points()).map(place).collect();
    let mut least = f64::INFINITY;
    for (i, a) in places.iter().enumerate() {
        for b in &places[..i] {
            least = least.min(a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt());
        }
    }
    least
}

/// Every pair is compared here once more, from the values alone.
#[test]
fn a_maximin_hypercube_keeps_its_closest_points_farther_apart_and_is_a_hypercube_still() {
    // At least so much farther on average over seeds, and never closer.
    for (axes, points, gain) in [(2, 20, 1.8), (2, 200, 1.8), (5, 50, 1.3), (10, 100, 1.15)] {
        let (mut plain_sum, mut maximin_sum) = (0.0, 0.0);
        for seed in 0..12 {
            let axes: Vec<_> = (0..axes).map(|i| linear(&format!("x{i}"), 0.0, 1.0, None)).collect();
            let plain = sweep("latin-hypercube", Some(points), axes);
            let maximin = Sweep { criterion: Some(Criterion::Maximin), ..plain.clone() };
            let [plain, maximin] = [plain, maximin].map(|sweep| Design::try_new(&sweep, Seed(seed)).unwrap());
            let (a, b) = (least_distance(&plain), least_distance(&maximin));
            assert!(b >= a, "seed {seed}: {b} instead of {a}");
            (plain_sum, maximin_sum) = (plain_sum + a, maximin_sum + b);
            for axis in 0..maximin.axes() {
                let mut cells: Vec<u64> =
                    (0..points).map(|p| (number(&maximin, p, axis) * points as f64) as u64).collect();
                cells.sort_unstable();
                assert!(cells.into_iter().eq(0..points), "axis {axis}");
            }
        }
        let found = maximin_sum / plain_sum;
        println!(
            "{axes} axes, {points} points: {:.4} instead of {:.4}, {found:.2} times",
            maximin_sum / 12.0,
            plain_sum / 12.0
        );
        assert!(found > gain, "{axes} axes, {points} points: {found}");
    }
}

#[test]
fn a_criterion_that_cannot_be_met_is_refused() {
    let x = || vec![linear("x", 0.0, 1.0, None)];
    let error = |design, points| {
        let maximin = Sweep { criterion: Some(Criterion::Maximin), ..sweep(design, Some(points), x()) };
        Design::try_new(&maximin, Seed(0)).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(error("latin-hypercube", MAXIMIN_POINTS_MAX), Ok(()));
    let refused = "the criterion `maximin` compares every pair of at most 2048 points, but the sweep has 2049: leave it \
                   out, or take `sobol`";
    assert_eq!(error("latin-hypercube", MAXIMIN_POINTS_MAX + 1).unwrap_err(), refused);
    let refused = "the design `sobol` knows no criterion: leave `criterion` out, or take `latin-hypercube`";
    assert_eq!(error("sobol", 4).unwrap_err(), refused);
}
