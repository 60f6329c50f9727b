//! A leaky neuron that noise makes fire: a pipeline of one's own, and the worker that offers it.

use tumble_worker::declare::described;
use tumble_worker::{
    Draws, Evaluator, Failure, Metrics, Parameters, Pipeline, PipelineDescription, Seed, Trial, Watch, libm,
};

/// Length of a step, in time constants of the membrane.
const STEP: f64 = 0.01;
/// Steps whose noise is drawn at once.
const BLOCK: usize = 4096;

#[derive(Parameters)]
struct Neuron {
    /// The current into it; above 1 it fires without noise.
    #[parameter(default = 0.9, min = 0.0, max = 10.0)]
    current: f64,
    /// The noise on the current.
    #[parameter(default = 0.2, min = 0.0, max = 10.0)]
    noise: f64,
    /// How long it is watched, in steps of a hundredth of a time constant.
    #[parameter(default = 20_000, min = 1, max = 100_000_000)]
    steps: usize,
}

#[derive(Metrics)]
struct Firing {
    /// How often it fires in a time constant.
    rate: f64,
    /// Standard deviation of the intervals between two spikes over their mean: 0 for a clock, 1 for pure chance.
    irregularity: f64,
}

impl Neuron {
    fn fire(&self, seed: Seed, watch: &Watch) -> Result<Firing, Failure> {
        let decay = libm::exp(-STEP);
        let kick = self.noise * (0.5 * (1.0 - decay * decay)).sqrt();
        let (mut voltage, mut last, mut noise) = (0.0, None, vec![0.0; BLOCK]);
        let (mut spikes, mut intervals, mut sum, mut squares) = (0.0, 0.0, 0.0, 0.0);
        for (block, from) in (0..).zip((0..self.steps).step_by(BLOCK)) {
            watch.check()?;
            Draws { member: block, ..Draws::of(seed, 0) }.normals(&mut noise);
            for step in from..self.steps.min(from + BLOCK) {
                voltage = self.current + (voltage - self.current) * decay + kick * noise[step - from];
                if voltage >= 1.0 {
                    if let Some(last) = last.replace(step) {
                        let interval = (step - last) as f64 * STEP;
                        (intervals, sum, squares) = (intervals + 1.0, sum + interval, squares + interval * interval);
                    }
                    (voltage, spikes) = (0.0, spikes + 1.0);
                }
            }
        }
        let mean = sum / intervals;
        let irregularity = (squares / intervals - mean * mean).max(0.0).sqrt() / mean;
        Ok(Firing { rate: spikes / (self.steps as f64 * STEP), irregularity })
    }
}

struct NoisyNeuron(PipelineDescription);

impl Pipeline for NoisyNeuron {
    fn description(&self) -> &PipelineDescription {
        &self.0
    }

    fn evaluator(&self) -> Box<dyn Evaluator> {
        Box::new(Watched)
    }
}

/// It keeps nothing from trial to trial.
struct Watched;

impl Evaluator for Watched {
    fn evaluate(&mut self, trial: &Trial<'_>, metrics: &mut [f64]) -> Result<(), Failure> {
        Neuron::read(trial.settings)?.fire(trial.seed, trial.watch)?.write(metrics);
        Ok(())
    }
}

fn main() -> std::process::ExitCode {
    let description = described::<Neuron, Firing>("noisy-neuron", 1, "A leaky neuron that noise makes fire.");
    tumble_worker::main(vec![Box::new(NoisyNeuron(description))])
}
