//! Points that stand in a file of their own.

use tumble_domain::Value;
use tumble_runfile::{POINTS_BYTES_MAX, canonical};

use crate::fakes::{read, read_with_points};

const TEXT: &str = "pipeline = \"functions\"\n[sweep]\ndesign = \"list\"\nfile = \"points.csv\"\n";

fn row(function: &str, noise: f64) -> [Value; 2] {
    [Value::text(function), Value::Float(noise)]
}

#[test]
fn the_points_of_a_file_become_the_axes_of_the_run() {
    let rows = [row("sphere", 0.5), row("rosenbrock", 0.0)];
    let rows: Vec<&[Value]> = rows.iter().map(|row| &row[..]).collect();
    let understood = read_with_points(TEXT, &["function", "noise"], &rows).unwrap();
    let written = canonical(&understood.spec, &understood.inner);
    let listed = "design = \"list\"\n\n[sweep.axes]\nfunction = [\"sphere\", \"rosenbrock\"]\nnoise = [0.5, 0.0]\n";
    assert!(written.contains(listed), "{written}");
    // What travels needs no file.
    assert_eq!(read(&written, &[]).unwrap().spec, understood.spec);
    // Some of the columns, in an order of one's own.
    let some = format!("{TEXT}axes = [\"noise\"]\n");
    let understood = read_with_points(&some, &["id", "noise"], &[&[Value::Integer(7), Value::Integer(2)]]).unwrap();
    let written = canonical(&understood.spec, &understood.inner);
    assert!(written.contains("[sweep.axes]\nnoise = [2.0]\n"), "{written}");
}

#[track_caller]
fn refuses(text: &str, names: &[&str], rows: &[&[Value]], told: &str) {
    let problems = read_with_points(text, names, rows).expect_err("it is wrong").to_string();
    assert_eq!(problems, told);
}

#[test]
fn what_is_wrong_with_a_file_of_points_is_told_with_its_cell_and_its_fix() {
    let good = row("sphere", 0.5);
    refuses(
        TEXT,
        &["function", "noise"],
        &[&good, &[Value::text("sphere"), Value::text("0.5.1")]],
        "there/points.csv:3:2: axis `noise` mixes number and text\n    write values of one kind",
    );
    refuses(
        TEXT,
        &["function", "noise"],
        &[&good, &good, &row("sphere", -1.0)],
        "there/points.csv:4:2: `noise` is out of bounds: -1.0\n    write a value of at least 0.0",
    );
    refuses(
        TEXT,
        &["noise", "function"],
        &[&[Value::Float(f64::NAN), Value::text("sphere")]],
        "there/points.csv:2:1: `noise` is not a finite number\n    for example `noise = 0.0`",
    );
    refuses(
        TEXT,
        &["function", "nois"],
        &[&good],
        "there/points.csv:1:2: axis `nois` names no parameter of `functions`\n    did you mean `noise`?",
    );
    refuses(
        TEXT,
        &["noise", "noise"],
        &[&[Value::Float(0.0), Value::Float(0.0)]],
        "there/points.csv:1:2: column `noise` is there twice\n    give each column its own name",
    );
    let at = |line: &str, marked: usize, told: &str| {
        let (place, from) = (line.find(|c| c != ' ').unwrap(), line.len() - marked);
        let marks = format!("{}{}", " ".repeat(from - place), "^".repeat(marked));
        told.replacen('|', &format!("\n    4 | {line}\n      | {marks}\n   "), 1)
    };
    let file = "file = \"points.csv\"";
    let empty = "run.toml:4:8: `points.csv` has no points| add a line for each point; the columns: write one of \
                 `function` or `noise`";
    refuses(TEXT, &["function", "noise"], &[], &at(file, 12, empty));
    let missing = "run.toml:4:8: the points of `none.csv` cannot be read: there is no such file| the path is relative to \
                   the run file's folder";
    refuses(&TEXT.replace("points.csv", "none.csv"), &[], &[], &at("file = \"none.csv\"", 10, missing));
    let problems = |text: &str| read_with_points(text, &["noise"], &[&[Value::Float(0.5)]]).unwrap_err().to_string();
    let told = problems(&format!("{TEXT}axes = [\"nois\"]\n"));
    assert!(told.contains("run.toml:5:9: `points.csv` has no column `nois`") && told.contains("`noise`?"), "{told}");
    let told = problems(&format!("{TEXT}[sweep.axes]\nx0 = 1.0\n"));
    assert!(told.contains("[sweep] has a `file` of points, and axes as well"), "{told}");
    let told = problems(&TEXT.replace("list", "grid"));
    assert!(told.contains("`file` has a meaning in design `list` alone"), "{told}");
    // A run that came over the wire or from a journal reads no file.
    let told = read(TEXT, &[]).unwrap_err().to_string();
    assert!(told.contains("a run that travels has its points in itself"), "{told}");
}

#[test]
fn more_points_than_a_run_can_carry_are_refused_by_their_size() {
    // Each value takes `0.5` and a comma with a blank.
    let fits = POINTS_BYTES_MAX / 5;
    let value = [Value::Float(0.5)];
    let mut rows: Vec<&[Value]> = vec![&value; fits];
    assert!(read_with_points(TEXT, &["noise"], &rows).is_ok());
    rows.push(&value);
    let told = read_with_points(TEXT, &["noise"], &rows).unwrap_err().to_string();
    assert!(told.contains("the 209716 points of `points.csv` take 1048580 bytes as text"), "{told}");
    assert!(told.contains("at most 1048576 travel with a run"), "{told}");
}
