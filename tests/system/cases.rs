//! Run files: short ones of every kind, and two that take long enough for something to happen to them.

/// A grid of 50 000 points of the sphere, in 13 parts.
pub(crate) const POINTS: &str = r#"
name = "points"
pipeline = "benchmark-functions"
[config]
function = "sphere"
dimension = 2
[sweep]
design = "grid"
[sweep.axes]
x0 = { linear = [-1.0, 1.0], points = 250 }
x1 = { linear = [-2.0, 2.0], points = 200 }
"#;

/// An evolution that stops by itself.
pub(crate) const EVOLVE: &str = r#"
name = "evolve"
pipeline = "benchmark-functions"
seed = 5
replicates = 2
[config]
function = "rosenbrock"
dimension = 8
[evolve]
strategy = "cma-es"
population = 40
generations = 150
sigma = 0.5
start = 0.0
stop = { objective = 0.01 }
"#;

/// An evolution whose population doubles again and again, with small ones in between.
pub(crate) const RESTARTS: &str = r#"
name = "restarts"
pipeline = "benchmark-functions"
seed = 3
replicates = 2
[config]
function = "rastrigin"
dimension = 6
[evolve]
strategy = "cma-es"
restarts = "bipop"
generations = 100_000
sigma = 2.0
start = { uniform = [-5.0, 5.0] }
stop = { objective = 1e-8, evaluations = 400_000 }
"#;

/// Sixty evolutions, each inside one trial; a setting of the strategy and one of the pipeline are axes.
pub(crate) const EVOLUTIONS: &str = r#"
name = "evolutions"
pipeline = "benchmark-functions"
seed = 2
replicates = 5
[config]
dimension = 5
[evolve]
strategy = "cma-es"
generations = 100
start = 1.0
stop = { objective = 1e-8 }
[sweep]
design = "grid"
[sweep.axes]
function = ["sphere", "rosenbrock", "rastrigin"]
"evolve.sigma" = [0.1, 0.3, 1.0, 3.0]
"#;

/// A grid in branches: 4 × 2 points of the sphere, 4 of each other function, and each of them twice. In three functions
/// of which one has its own dimension, what an earlier candidate had must not stay.
pub(crate) const BRANCHES: &str = r#"
name = "branches"
pipeline = "benchmark-functions"
seed = 4
replicates = 200
[sweep]
design = "grid"
[sweep.axes]
function = ["sphere", "rastrigin", "rosenbrock"]
x0 = { linear = [-1.0, 1.0], points = 4, when = { function = ["sphere", "rosenbrock"] } }
x1 = { values = [0.5, 2.0], when = { function = "sphere" } }
dimension = { integers = [3, 6], when = { function = "rastrigin" } }
x2 = [0.0, 0.25]
"#;

/// Students that learn from a teacher and a notebook.
pub(crate) const GO_CLS: &str = r#"
name = "students"
pipeline = "go-cls"
seed = 3
replicates = 3
[config]
inputs = 20
epochs = 100
notebook_units = 100
activity = 0.1
[sweep]
design = "sobol"
points = 32
[sweep.axes]
snr = { log = [0.1, 10.0] }
load = { linear = [0.5, 2.0] }
replay = ["examples", "notebook"]
"#;

/// Networks of a few units.
pub(crate) const TINY_NETWORKS: &str = r#"
name = "networks"
pipeline = "tiny-networks"
replicates = 2
[config]
epochs = 5
examples = 60
[sweep]
design = "latin-hypercube"
points = 12
[sweep.axes]
pair = ["0v1", "4v9"]
width = { integers = [1, 6] }
noise = { linear = [0.0, 0.5] }
"#;

/// A sweep of some seconds, in five parts: each trial takes about a fifth of a millisecond.
pub(crate) const LONG_SWEEP: &str = r#"
name = "long-sweep"
pipeline = "go-cls"
seed = 11
replicates = 42
[config]
epochs = 600
inputs = 20
notebook_units = 0
[sweep]
design = "grid"
[sweep.axes]
load = { linear = [0.5, 1.5], points = 20 }
snr = { log = [0.1, 10.0], points = 20 }
"#;
pub(crate) const LONG_SWEEP_TRIALS: u64 = 20 * 20 * 42;

/// An evolution of some seconds, in ten parts: hundreds of generations, each of some milliseconds.
pub(crate) const LONG_EVOLVE: &str = r#"
name = "long-evolve"
pipeline = "benchmark-functions"
seed = 13
replicates = 2
[config]
function = "rotated-ellipsoid"
dimension = 150
[evolve]
strategy = "cma-es"
population = 64
generations = 300
sigma = 0.5
start = 1.0
"#;
pub(crate) const LONG_EVOLVE_TRIALS: u64 = 64 * 2 * 300;

/// An evolution of settings of every kind: on a logarithm, in whole numbers, out of words.
pub(crate) const EVOLVE_SETTINGS: &str = r#"
name = "settings"
pipeline = "tiny-networks"
seed = 4
replicates = 2
[config]
epochs = 5
examples = 60
[evolve]
strategy = "ga"
population = 12
generations = 5
[evolve.axes]
learning_rate = { log = [0.001, 1.0] }
width = { integers = [1, 6] }
pair = ["0v1", "4v9", "3v8"]
"#;

/// An evolution over elements of the genome, some in steps, and an axis of the pipeline.
pub(crate) const EVOLVE_STEPS: &str = r#"
name = "steps"
pipeline = "benchmark-functions"
[config]
dimension = 4
[evolve]
strategy = "cma-es"
population = 16
generations = 50
[evolve.axes]
x0 = { linear = [-5.0, 5.0] }
x1 = [-4.0, -2.0, 0.0, 1.0, 3.0]
x3 = { linear = [-3.0, 3.0], points = 13 }
function = ["sphere", "rosenbrock"]
"#;

/// An evolution about half of whose trials fail: BBOB's functions have at most 1024 dimensions.
pub(crate) const EVOLVE_FAILING: &str = r#"
name = "failing"
pipeline = "benchmark-functions"
[config]
function = "bbob-f1"
[evolve]
strategy = "random"
population = 20
generations = 2
[evolve.axes]
dimension = { integers = [1000, 1048] }
x0 = { linear = [-1.0, 1.0] }
"#;
