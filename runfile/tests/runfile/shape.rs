//! How large a run is said to be.

use tumble_runfile::{Shape, summary};

use crate::fakes::read;

#[track_caller]
fn shape(text: &str) -> Shape {
    summary(&read(text, &[]).unwrap_or_else(|problems| panic!("{problems}")))
}

fn columns(shape: &Shape) -> String {
    shape.columns.iter().map(|c| format!("{} {}", c.name, c.kind.name())).collect::<Vec<_>>().join(", ")
}

#[test]
fn an_evolution_has_a_trial_for_each_replicate_of_each_candidate_of_each_generation() {
    let shape = shape(
        "pipeline = \"functions\"\nreplicates = 3\n[evolve]\nstrategy = \"random\"\npopulation = 100\ngenerations = 500\n",
    );
    assert_eq!((shape.generations, shape.candidates, shape.replicates, shape.trials), (500, 100, 3, 150_000));
    assert_eq!(
        columns(&shape),
        "trial u64, generation u32, candidate u32, replicate u32, seed u64, value f64, distance f64, \
         outcome dictionary, error text"
    );
    assert_eq!((shape.part_rows, shape.parts), (4096, 37));
    // Two metrics and a seed of 8 bytes each, and a little more.
    assert!((24 * 150_000..30 * 150_000).contains(&shape.bytes), "{}", shape.bytes);
}

#[test]
fn a_sweep_has_a_column_for_each_axis() {
    let shape = shape(
        "pipeline = \"functions\"\n[sweep]\ndesign = \"grid\"\n[sweep.axes]\nfunction = [\"sphere\", \"ellipsoid\"]\n\
         x0 = { linear = [0, 1], points = 5 }\ndimension = { integers = [1, 7] }\nrotated = [true, false]\n",
    );
    assert_eq!((shape.generations, shape.candidates, shape.trials), (1, 140, 140));
    assert_eq!(
        columns(&shape),
        "trial u64, replicate u32, seed u64, function dictionary, x0 f64, dimension i64, rotated bool, value f64, \
         distance f64, outcome dictionary, error text"
    );
    assert_eq!((shape.part_rows, shape.parts), (4096, 1));
}

#[test]
fn a_sweep_of_evolutions_records_what_came_of_each() {
    let shape = shape(
        "pipeline = \"functions\"\n[evolve]\nstrategy = \"random\"\n[sweep]\ndesign = \"list\"\n[sweep.axes]\n\
         evolve.population = [4, 8, 16]\nnoise = [0.0, 0.1, 0.2]\n",
    );
    assert_eq!((shape.generations, shape.candidates, shape.trials), (1, 3, 3));
    assert_eq!(
        columns(&shape),
        "trial u64, replicate u32, seed u64, evolve.population i64, noise f64, best f64, evaluations f64, \
         generations f64, reached f64, outcome dictionary, error text"
    );
}

#[test]
fn a_sweep_of_many_points_has_about_64_parts() {
    let shape = shape(
        "pipeline = \"functions\"\n[sweep]\ndesign = \"sobol\"\npoints = 10_000_000\n[sweep.axes]\nx0 = { linear = [0, 1] }\n",
    );
    assert_eq!((shape.trials, shape.part_rows, shape.parts), (10_000_000, 156_250, 64));
}

#[test]
fn a_grid_with_conditions_has_as_many_points_as_its_branches_together() {
    let shape = shape(
        "pipeline = \"functions\"\n[sweep]\ndesign = \"grid\"\n[sweep.axes]\n\
         function = [\"sphere\", \"ellipsoid\", \"rosenbrock\"]\n\
         rotated = { values = [true, false], when = { function = [\"ellipsoid\", \"rosenbrock\"] } }\n\
         noise = { log = [0.1, 1.0], points = 5, when = { rotated = true } }\nx0 = [0.0, 1.0]\n",
    );
    // The sphere alone; each of the others rotated with five noises, or not.
    assert_eq!((shape.candidates, shape.trials), (2 * (1 + 6 + 6), 26));
    let branches: Vec<String> = shape.branches.iter().map(|b| format!("{} {} {}", b.axis, b.value, b.points)).collect();
    assert_eq!(branches, ["function \"sphere\" 2", "function \"ellipsoid\" 12", "function \"rosenbrock\" 12"]);
    let conditional: Vec<&str> = shape.columns.iter().filter(|c| c.conditional).map(|c| c.name.as_str()).collect();
    assert_eq!(conditional, ["rotated", "noise"]);
}
