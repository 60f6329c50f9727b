//! Everything that bounds what grows, in one place.

/// Named limits of a coordinator.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// A worker says that it lives this often, in milliseconds.
    pub heartbeat_ms: u64,
    /// A worker that says nothing for so long is taken for lost, in milliseconds.
    pub silence_ms_max: u64,
    /// So long after a restart workers of before may come back with what they hold, in milliseconds: until then others are
    /// granted what nobody has begun, from the end. No shorter than a worker's longest pause between two attempts.
    pub return_ms: u64,
    /// How much work a shard aims to be, in milliseconds.
    pub shard_ms: f64,
    /// A shard is not made smaller than this much work for the sake of balance, in milliseconds.
    pub shard_ms_min: f64,
    /// The most trials of a shard.
    pub shard_trials_max: u64,
    /// The largest report, in bytes: shards of pipelines with many metrics are smaller.
    pub report_bytes_max: u64,
    /// Leases that a slot may hold: one that it evaluates and one that waits, so that it never idles for an answer.
    pub leases_per_slot: usize,
    /// A lease older than this many times its expected duration is lent a second time to an idle worker.
    pub straggler_factor: f64,
    /// No lease younger than this is lent a second time, in milliseconds.
    pub straggler_ms_min: u64,
    /// Reports in a row that bring nothing, because they fit no lease or no run or are known: the worker is dismissed
    /// beyond that. More than the largest worker can hold of a run that ends.
    pub reports_idle_max: u32,
    /// The most runs open at once.
    pub runs_open_max: usize,
    /// The most workers at once.
    pub workers_max: usize,
    /// What the strategies of all open runs may need together, in bytes.
    pub memory_bytes_max: u64,
    /// Generations between two checkpoints of an evolution.
    pub checkpoint_generations: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            heartbeat_ms: 2_000,
            silence_ms_max: 10_000,
            return_ms: 8_000,
            shard_ms: 500.0,
            shard_ms_min: 2.0,
            shard_trials_max: 128 * 1024,
            report_bytes_max: 2 * 1024 * 1024,
            leases_per_slot: 2,
            straggler_factor: 4.0,
            straggler_ms_min: 2_000,
            reports_idle_max: 10_000,
            runs_open_max: 10_000,
            workers_max: 10_000,
            // The core does not know its machine; who starts it does.
            memory_bytes_max: u64::MAX,
            checkpoint_generations: 200,
        }
    }
}
