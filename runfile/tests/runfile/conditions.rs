//! Axes that are there at some points only.

use tumble_domain::{Condition, Criterion, Value};
use tumble_runfile::canonical;

use crate::fakes::read;

const HEAD: &str = "pipeline = \"functions\"\n[sweep]\ndesign = \"grid\"\n[sweep.axes]\n";

/// What is wrong with these axes: the message of each problem with its line and its fix.
fn refused(axes: &str) -> Vec<String> {
    let problems = read(&format!("{HEAD}{axes}"), &[]).expect_err("it is wrong").0;
    let told = |p: tumble_runfile::Problem| {
        format!("{}: {} | {}", p.place.map_or(0, |place| place.line), p.message, p.fix.unwrap_or_default())
    };
    problems.into_iter().map(told).collect()
}

#[test]
fn conditions_are_understood_and_written_back() {
    let text = format!(
        "{HEAD}function = [\"sphere\", \"ellipsoid\"]\nrotated = {{ values = [true, false], when = {{ function = \"ellipsoid\" }} }}\n\
         noise = {{ log = [0.1, 1], points = 5, when = {{ rotated = [true, true] }} }}\ndimension = {{ integers = [2, 4] }}\n\
         x0 = {{ linear = [0, 1], points = 3, when = {{ dimension = [2, 4] }} }}\n"
    );
    let understood = read(&text, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    let sweep = understood.spec.plan.sweep().unwrap();
    let on = |axis, on, values| Condition { axis, on, values };
    assert_eq!(
        sweep.conditions,
        [
            on(1, 0, vec![Value::text("ellipsoid")]),
            on(2, 1, vec![Value::Boolean(true)]),
            on(4, 3, vec![Value::Integer(2), Value::Integer(4)]),
        ]
    );
    let written = canonical(&understood.spec, &understood.inner);
    let axes = written.split("[sweep.axes]\n").nth(1).unwrap().split("\n\n").next().unwrap();
    assert_eq!(
        axes,
        "function = [\"sphere\", \"ellipsoid\"]\n\
         rotated = { values = [true, false], when = { function = [\"ellipsoid\"] } }\n\
         noise = { log = [0.1, 1.0], points = 5, when = { rotated = [true] } }\n\
         dimension = { integers = [2, 4] }\n\
         x0 = { linear = [0.0, 1.0], points = 3, when = { dimension = [2, 4] } }"
    );
    assert_eq!(read(&written, &[]).unwrap().spec, understood.spec);
}

#[test]
fn a_condition_that_cannot_be_met_is_told_with_its_line_and_its_fix() {
    let function = "function = [\"sphere\", \"ellipsoid\"]\n";
    for (axes, told) in [
        (
            "noise = { values = [0.1], when = { functoin = \"sphere\" } }\n",
            "6: axis `noise` depends on `functoin`, which is no axis | did you mean `function`?",
        ),
        (
            "noise = { values = [0.1], when = { function = \"rosenbrock\" } }\n",
            "6: axis `noise` waits for `function = \"rosenbrock\"`, which never comes | write one of `sphere` or `ellipsoid`",
        ),
        (
            "noise = { values = [0.1], when = { function = \"spher\" } }\n",
            "6: `function` has no choice \"spher\" | did you mean `sphere`?",
        ),
        (
            "noise = { values = [0.1], when = { rotated = true } }\nrotated = [true, false]\n",
            "6: axis `noise` depends on `rotated`, which does not stand before it | write `rotated` above `noise`",
        ),
        (
            "noise = { values = [0.1], when = { noise = 0.1 } }\n",
            "6: axis `noise` depends on itself | name another axis, or remove `when`",
        ),
        (
            "x0 = { linear = [0, 1], points = 3 }\nnoise = { values = [0.1], when = { x0 = 0.0 } }\n",
            "7: axis `noise` depends on `x0`, which runs over an interval | list the values of `x0`; integers may be up to 65536",
        ),
        (
            "dimension = { integers = [1, 5] }\nnoise = { values = [0.1], when = { dimension = 6 } }\n",
            "7: axis `noise` waits for `dimension = 6`, which never comes | it runs from 1 to 5",
        ),
        (
            "noise = { values = [0.1], when = { function = [] } }\n",
            "6: axis `noise` is nowhere: `when` lists no value of `function` | name a value, or remove the axis",
        ),
        (
            "noise = { values = [0.1], when = \"sphere\" }\n",
            "6: `when` of axis `noise` has the wrong type: expected section, found text | write `when = { axis = value }`, \
             or `{ axis = [value, value] }`",
        ),
        (
            "rotated = [true]\nnoise = { values = [0.1], when = { function = \"sphere\", rotated = true } }\n",
            "7: `when` of axis `noise` names 2 axes instead of one | an axis hangs on one other; that one may hang on a third",
        ),
        (
            "noise = { values = [0.1], wenn = { function = \"sphere\" } }\n",
            "6: unknown key `wenn` in axis `noise` | did you mean `when`?",
        ),
        (
            "noise = { values = [0.1], points = 3 }\n",
            "6: `points` does not go with `values` in axis `noise` | remove it: every value is a point",
        ),
    ] {
        assert_eq!(refused(&format!("{function}{axes}")), [told]);
    }
    // `data` has no default: nothing could stand where it is not there.
    let text = "pipeline = \"networks\"\n[sweep]\ndesign = \"grid\"\n[sweep.axes]\nunits = [1, 2]\n\
                data = { values = [\"a\"], when = { units = 1 } }\n";
    let problems = read(text, &[]).unwrap_err().to_string();
    assert!(problems.contains("`data` has no default to fall back on"), "{problems}");
    // The length of a candidate is the default where its axis is not there.
    let text = "pipeline = \"functions\"\n[sweep]\ndesign = \"grid\"\n[sweep.axes]\nrotated = [true, false]\n\
                dimension = { values = [30], when = { rotated = true } }\nx20 = [0.0, 1.0]\n";
    let problems = read(text, &[]).unwrap_err().to_string();
    assert!(problems.contains("axis `x20` lies beyond a candidate of 10 elements"), "{problems}");
}

#[test]
fn a_criterion_is_taken_by_the_design_that_has_one() {
    let text = |design: &str, points, criterion| {
        format!(
            "pipeline = \"functions\"\n[sweep]\ndesign = \"{design}\"\npoints = {points}\ncriterion = \"{criterion}\"\n\
             axes = {{ x0 = {{ linear = [0, 1] }} }}\n"
        )
    };
    let understood = read(&text("latin-hypercube", 20, "maximin"), &[]).unwrap();
    assert_eq!(understood.spec.plan.sweep().unwrap().criterion, Some(Criterion::Maximin));
    for (text, told) in [
        (text("sobol", 20, "maximin"), "`criterion` has no meaning in design `sobol`"),
        (text("latin-hypercube", 20, "maximim"), "did you mean `maximin`?"),
        (text("latin-hypercube", 2049, "maximin"), "at most 2048 points, but the sweep has 2049"),
    ] {
        let problems = read(&text, &[]).unwrap_err().to_string();
        assert!(problems.contains(told), "{problems}");
    }
}
