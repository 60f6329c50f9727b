//! Run files of stories, and the pipelines that they name.

use std::sync::{Arc, LazyLock};

use tumble_domain::PipelineDescription;
use tumble_pipelines::Pipeline;
use tumble_pipelines::benchmark_functions::BenchmarkFunctions;
use tumble_runfile::Understood;

use crate::brittle::Brittle;

static PIPELINES: LazyLock<Vec<Arc<dyn Pipeline>>> =
    LazyLock::new(|| vec![Arc::new(BenchmarkFunctions::new()), Arc::new(Brittle::new())]);

/// Every pipeline that the workers of a story have.
pub(crate) fn pipelines() -> Vec<Arc<dyn Pipeline>> {
    PIPELINES.clone()
}

pub(crate) fn descriptions() -> Vec<PipelineDescription> {
    PIPELINES.iter().map(|pipeline| pipeline.description().clone()).collect()
}

/// A run file in the making: keys by section, as text.
#[derive(Clone, Debug)]
pub(crate) struct RunFile {
    top: Vec<String>,
    config: Vec<String>,
    evolve: Vec<String>,
    sweep: Vec<String>,
    axes: Vec<String>,
    stopping: Vec<String>,
    limits: Vec<String>,
    /// Trials that take down whoever evaluates them.
    pub(crate) killers: Vec<u64>,
    /// What a client gives, generation after generation, by rows.
    pub(crate) given: Vec<Vec<f64>>,
}

impl RunFile {
    fn of(pipeline: &str) -> RunFile {
        RunFile {
            top: vec![format!("pipeline = \"{pipeline}\"")],
            config: Vec::new(),
            evolve: Vec::new(),
            sweep: Vec::new(),
            axes: Vec::new(),
            stopping: Vec::new(),
            limits: Vec::new(),
            killers: Vec::new(),
            given: Vec::new(),
        }
    }

    pub(crate) fn seed(mut self, seed: u64) -> RunFile {
        self.top.push(format!("seed = {seed}"));
        self
    }

    pub(crate) fn replicates(mut self, replicates: u64) -> RunFile {
        self.top.push(format!("replicates = {replicates}"));
        self
    }

    pub(crate) fn config(mut self, key: &str, value: impl std::fmt::Display) -> RunFile {
        self.config.push(format!("{key} = {value}"));
        self
    }

    pub(crate) fn evolve(mut self, key: &str, value: impl std::fmt::Display) -> RunFile {
        self.evolve.push(format!("{key} = {value}"));
        self
    }

    /// An evolution by this strategy.
    pub(crate) fn strategy(self, name: &str) -> RunFile {
        self.evolve("strategy", format!("\"{name}\""))
    }

    pub(crate) fn population(self, candidates: u64) -> RunFile {
        self.evolve("population", candidates)
    }

    pub(crate) fn generations(self, generations: u64) -> RunFile {
        self.evolve("generations", generations)
    }

    pub(crate) fn limit(mut self, key: &str, value: impl std::fmt::Display) -> RunFile {
        self.limits.push(format!("{key} = {value}"));
        self
    }

    pub(crate) fn on_failure(self, policy: &str) -> RunFile {
        self.limit("on_failure", format!("\"{policy}\""))
    }

    /// Candidates that a client gives, generation after generation, by rows.
    pub(crate) fn given(mut self, generations: Vec<Vec<f64>>) -> RunFile {
        self.given = generations;
        self.strategy("given").population(64)
    }

    /// A sweep of so many points drawn at random from the first two elements of the vector.
    pub(crate) fn points(mut self, points: u64) -> RunFile {
        self.sweep = vec!["design = \"random\"".to_owned(), format!("points = {points}")];
        self.axes = vec!["x0 = { linear = [-1.0, 1.0] }".to_owned(), "x1 = { linear = [-1.0, 1.0] }".to_owned()];
        self
    }

    /// The better half of the candidates goes on from each of three rungs to the next.
    pub(crate) fn rungs(mut self) -> RunFile {
        self.stopping = ["rule = \"successive-halving\"", "rungs = [1, 3, 9]", "factor = 2"].map(str::to_owned).into();
        self
    }

    /// A grid of `rows` by `columns` points.
    pub(crate) fn grid(mut self, rows: u64, columns: u64) -> RunFile {
        let axis = |name: &str, points: u64| format!("{name} = {{ linear = [-1.0, 1.0], points = {points} }}");
        self.sweep = vec!["design = \"grid\"".to_owned()];
        self.axes = vec![axis("x0", rows), axis("x1", columns)];
        self
    }

    /// A grid whose second axis is there at one value of the first only, and whose third at the others.
    pub(crate) fn branches(mut self, rows: u64, columns: u64) -> RunFile {
        self.sweep = vec!["design = \"grid\"".to_owned()];
        self.axes = vec![
            "x1 = [0.25, 0.5, 0.75]".to_owned(),
            format!("x0 = {{ linear = [-1.0, 1.0], points = {rows}, when = {{ x1 = 0.25 }} }}"),
            format!("x2 = {{ linear = [-1.0, 1.0], points = {columns}, when = {{ x1 = [0.5, 0.75] }} }}"),
        ];
        self
    }

    /// A sweep of evolutions over their step size and their population.
    pub(crate) fn step_sizes(mut self, count: u64) -> RunFile {
        self.sweep = vec!["design = \"grid\"".to_owned()];
        self.axes = vec![
            format!("\"evolve.sigma\" = {{ log = [0.1, 2.0], points = {count} }}"),
            "\"evolve.population\" = [4, 6]".to_owned(),
        ];
        self
    }

    /// These trials take down whoever evaluates them.
    pub(crate) fn killers(mut self, trials: &[u64]) -> RunFile {
        self.killers = trials.to_vec();
        self
    }

    pub(crate) fn toml(&self, name: &str) -> String {
        let mut text = format!("name = \"{name}\"\n{}\n", self.top.join("\n"));
        let sections = [
            ("config", &self.config),
            ("evolve", &self.evolve),
            ("sweep", &self.sweep),
            ("sweep.axes", &self.axes),
            ("sweep.stopping", &self.stopping),
            ("limits", &self.limits),
        ];
        for (section, keys) in sections {
            if !keys.is_empty() {
                text.push_str(&format!("[{section}]\n{}\n", keys.join("\n")));
            }
        }
        text
    }

    pub(crate) fn understood(&self, name: &str) -> Understood {
        tumble_runfile::parse(&self.toml(name), name, &[], &descriptions())
            .unwrap_or_else(|problems| panic!("the run file of a story makes sense: {problems}\n{}", self.toml(name)))
    }
}

/// The sphere in three dimensions.
pub(crate) fn sphere() -> RunFile {
    RunFile::of("benchmark-functions").config("dimension", 3)
}

/// Trials of which some fail.
pub(crate) fn brittle(failing: f64) -> RunFile {
    RunFile::of("brittle").config("failing", format!("{failing:?}"))
}
