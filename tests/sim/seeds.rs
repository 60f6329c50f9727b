//! Stories that chance tells: runs, workers and misfortunes all follow from a seed. Whatever happened, the tables are
//! those of the reference.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::chance::Chance;
use crate::hosts::Host;
use crate::run_file::{RunFile, brittle, sphere};
use crate::tally::survived;
use crate::world::{Happening, World};

/// Stories of every test run.
const SEEDS: u64 = 2_000;

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

#[test]
fn whatever_happens_the_tables_are_those_of_the_run_file() {
    if let Some(seed) = variable("TUMBLE_SIM_SEED") {
        return tell(seed);
    }
    let seeds = variable("TUMBLE_SIM_SEEDS").unwrap_or(SEEDS);
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let failed = |thread: u64| (thread..seeds).step_by(threads as usize).filter(|seed| fails(*seed)).collect();
    let mut failed: Vec<u64> = std::thread::scope(|scope| {
        let failed = &failed;
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || -> Vec<u64> { failed(thread) })).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a failing story is caught")).collect()
    });
    failed.sort_unstable();
    assert!(failed.is_empty(), "of {seeds} stories, {} failed: seeds {failed:?}", failed.len());
    survived("a simulated story of chance", seeds);
}

/// A story that fails says how to tell it again.
fn fails(seed: u64) -> bool {
    let failed = catch_unwind(AssertUnwindSafe(|| tell(seed))).is_err();
    if failed {
        eprintln!("tell it again: TUMBLE_SIM_SEED={seed} cargo test -p tumble-tests --test sim whatever_happens");
    }
    failed
}

/// The story of one seed.
pub(crate) fn tell(seed: u64) {
    let mut chance = Chance::new(seed ^ 0x7e11_0f5e_ed00_0000);
    let mut world = World::seeded(seed);
    // Trials that kill are counted by how many workers died: where workers die for other reasons as well, a trial is
    // only convicted after so many deaths that no bad luck reaches it.
    let killers = chance.one_in(5);
    let merciless = killers && chance.one_in(2);
    world.delay_ms = chance.pick(&[0, 1, 5, 40]);
    let shard_trials_max = chance.pick(&[1, 3, 17, 200, 4_000]);
    let (shard_ms, report_bytes_max) = (chance.pick(&[1.0, 20.0, 200.0]), chance.pick(&[64, 2_000_000]));
    let checkpoint_generations = chance.pick(&[1, 3, 200]);
    let leases_per_slot = chance.pick(&[1, 2, 3]);
    world = world.limits(|limits| {
        limits.shard_trials_max = shard_trials_max;
        limits.shard_ms = shard_ms;
        limits.report_bytes_max = report_bytes_max;
        limits.checkpoint_generations = checkpoint_generations;
        limits.leases_per_slot = leases_per_slot;
    });
    for _ in 0..chance.between(1, 4) {
        let (slots, trial_us) = (chance.between(1, 3), chance.pick(&[20, 300, 2_000, 15_000]));
        world.add_worker(slots as usize, trial_us);
    }
    if !merciless && chance.one_in(4) {
        world.hosts[0].lies = true;
    }
    // Drawn apart, so that stories of before go on as they did.
    let mut memory = Chance::new(seed ^ 0xb17_f11b);
    world.update_ms = memory.pick(&[0, 4, 300]);
    for host in &mut world.hosts {
        host.flips = if memory.one_in(4) { memory.between(1, 4) as u32 } else { 0 };
    }
    for _ in 0..chance.between(1, 3) {
        let attempts = if merciless { 3 } else { 60 };
        let file = any_run(&mut chance, killers).limit("attempts", attempts);
        let run = world.submit(file);
        if chance.one_in(10) {
            world.submit_again(run);
        }
    }
    // Drawn apart as well.
    let mut givers = Chance::new(seed ^ 0x61_fe25);
    if givers.one_in(4) {
        let attempts = if merciless { 3 } else { 60 };
        world.submit(any_given(&mut givers).limit("attempts", attempts));
    }
    // Under a merciless law no worker may be lost but to a killer.
    world.gentle = merciless;
    let calm_ms = chance.between(200, 4_000);
    for _ in 0..chance.below(14) {
        world.in_ms(chance.below(calm_ms), Happening::Mischief);
    }
    world.in_ms(calm_ms, Happening::Calm);
    world.run_until_idle();
    world.verify();
}

/// Candidates that a client gives, now more, now fewer of them.
fn any_given(chance: &mut Chance) -> RunFile {
    let file = if chance.one_in(2) { sphere() } else { any_brittle(chance, 0.1) };
    let number = |chance: &mut Chance| chance.below(4_001) as f64 / 1_000.0 - 2.0;
    let generations = chance.between(1, 12);
    let given = (0..generations)
        .map(|_| {
            let candidates = chance.pick(&[1, 4, 4, 9, 64]);
            (0..3 * candidates).map(|_| number(chance)).collect()
        })
        .collect();
    let file = file.given(given).replicates(chance.between(1, 3)).seed(chance.below(1_000));
    match chance.below(5) {
        0 => file.on_failure("abort"),
        1 => file.evolve("stop", "{ evaluations = 30 }"),
        2 => file.limit("wall", "\"2s\""),
        _ => file,
    }
}

fn any_run(chance: &mut Chance, killers: bool) -> RunFile {
    let seed = chance.below(1_000);
    let large = chance.one_in(40);
    let (file, trials) = match chance.below(6) {
        0 | 1 => {
            let (population, generations, replicates) = match large {
                true => (64, chance.between(64, 70), 1),
                false => (chance.between(4, 12), chance.between(1, 9), chance.between(1, 3)),
            };
            let names = ["cma-es", "random", "open-ai-es", "ipop", "ga", "differential-evolution"];
            let strategy = chance.pick(&names);
            let even = if strategy == "open-ai-es" { population + population % 2 } else { population };
            let file = match chance.one_in(2) {
                true => sphere().evolve("start", "2.0"),
                false => any_brittle(chance, 0.15),
            };
            let file = match strategy {
                // Steps that are always too short end every run of it at once: each generation has twice the population.
                "ipop" => {
                    file.strategy("cma-es").evolve("restarts", "\"ipop\"").evolve("restarts_max", 3).evolve("tolx", 1e9)
                }
                _ => file.strategy(strategy),
            };
            let file = file.population(even).generations(generations).replicates(replicates);
            let seeds = chance.pick(&["fresh", "per-generation", "fixed"]);
            let file = file.evolve("trial_seeds", format!("\"{seeds}\""));
            let file = match chance.below(4) {
                0 => file.evolve("stop", format!("{{ objective = {:?} }}", chance.pick(&[0.0, 0.5, 2.0, -0.3]))),
                1 => file.evolve("stop", format!("{{ evaluations = {} }}", chance.between(1, even * generations))),
                _ => file,
            };
            (file, even * generations * replicates)
        }
        2 => {
            let (rows, columns) =
                if large { (70, chance.between(59, 130)) } else { (chance.between(2, 9), chance.between(2, 30)) };
            let replicates = chance.between(1, 2);
            (any_brittle(chance, 0.02).grid(rows, columns).replicates(replicates), rows * columns * replicates)
        }
        3 => {
            let points = if large { chance.between(4_000, 9_000) } else { chance.between(1, 400) };
            // As many in branches, without a draw more: the stories of all other seeds stay as they are.
            match points.is_multiple_of(4) && points >= 8 {
                true => (sphere().branches(points / 2, points / 4), points),
                false => (sphere().points(points), points),
            }
        }
        4 => {
            let points = chance.between(1, 300);
            let file = any_brittle(chance, 0.01).points(points);
            // With rungs, again without a draw more.
            (if points.is_multiple_of(3) { file.rungs() } else { file }, points)
        }
        _ => {
            let steps = chance.between(2, 6);
            let inner = match chance.one_in(2) {
                true => sphere().evolve("start", "1.0"),
                false => any_brittle(chance, 0.05),
            };
            (inner.strategy("cma-es").generations(3).step_sizes(steps), steps * 2)
        }
    };
    let file = match chance.below(6) {
        0 => file.on_failure("abort"),
        1 => file.on_failure("drop"),
        _ => file,
    };
    // A killer is convicted within one stretch of a run: who died of it is forgotten when the run is suspended.
    let file = if !killers && chance.one_in(8) { file.limit("wall", "\"2s\"") } else { file };
    let deadly: Vec<u64> = match killers {
        true => (0..chance.below(3)).map(|_| chance.below(trials)).collect(),
        false => Vec::new(),
    };
    file.seed(seed).killers(&deadly)
}

fn any_brittle(chance: &mut Chance, share: f64) -> RunFile {
    let file = brittle(if chance.one_in(2) { share } else { 0.0 });
    if chance.one_in(3) { file.config("undefined", format!("{share:?}")) } else { file }
}

impl World {
    /// Something goes wrong.
    pub(crate) fn mischief(&mut self) {
        let host = self.chance.below(self.hosts.len() as u64) as usize;
        let session = self.hosts[host].session;
        // Being cut off, silent or stalled for long looks like a death.
        let kind = if self.gentle { self.chance.between(4, 10) } else { self.chance.below(16) };
        match kind {
            0 | 1 | 11 => {
                let Some(worker) = session else { return };
                let noticed = match self.chance.below(4) {
                    0 => None,
                    1 => Some(0),
                    _ => Some(self.chance.below(2_000)),
                };
                let back = self.chance.between(1, 1_500);
                match self.chance.one_in(2) {
                    true => self.kill(worker, noticed, Some(back)),
                    false => self.cut(worker, noticed, Some(back)),
                }
            }
            2 | 12 => {
                let ms = self.chance.between(50, 6_000);
                self.tell(|| format!("host {host} stands still for {ms} ms"));
                self.hosts[host].stalled_until_ms = self.now_ms + ms;
            }
            3 | 13 => {
                let ms = self.chance.between(500, 20_000);
                self.tell(|| format!("the clock jumps by {ms} ms"));
                self.now_ms += ms;
            }
            4 => {
                self.crash();
                let ms = self.chance.between(1, 800);
                self.in_ms(ms, Happening::Restart);
            }
            5 | 6 => self.dies_in = Some(self.chance.below(25)),
            7 => {
                self.leave(host);
                // It may come back, as another process.
                if self.chance.one_in(2) {
                    let ms = self.chance.between(50, 1_000);
                    self.in_ms(ms, Happening::Return(host));
                }
            }
            14 => {
                let ms = self.chance.between(10, 2_000);
                self.tell(|| format!("the disk is full for {ms} ms"));
                self.full_until_ms = self.now_ms + ms;
            }
            15 => {
                self.commit_ms = self.chance.pick(&[0, 10, 300]);
                self.tell(|| format!("a commit takes up to {} ms", self.commit_ms));
            }
            8 => {
                let (slots, trial_us) = (self.chance.between(1, 3), self.chance.pick(&[100, 1_000, 5_000]));
                self.hosts.push(Host::new(slots as usize, trial_us));
                self.now(Happening::Join(self.hosts.len() - 1));
            }
            9 => {
                // Stands still for less than anybody would call silence.
                let ms = self.chance.between(50, self.limits.silence_ms_max / 2);
                self.hosts[host].stalled_until_ms = self.now_ms + ms;
            }
            _ => {
                if self.chance.one_in(2) {
                    let run = self.chance.below(self.runs.len() as u64) as usize;
                    self.tell(|| format!("run {run} is cancelled"));
                    self.cancel(run);
                }
            }
        }
    }

    /// From here on nothing goes wrong any more: liars are replaced, everybody is back.
    pub(crate) fn calm(&mut self) {
        self.tell(|| "calm".to_owned());
        self.is_calm = true;
        self.dies_in = None;
        (self.full_until_ms, self.commit_ms) = (0, 0);
        self.in_ms(500, Happening::Restart);
        for host in 0..self.hosts.len() {
            self.hosts[host].stalled_until_ms = 0;
            self.hosts[host].present = true;
            if std::mem::take(&mut self.hosts[host].lies)
                && let Some(worker) = self.hosts[host].session
            {
                self.kill(worker, Some(10), Some(100));
            }
            self.in_ms(200, Happening::Join(host));
        }
    }
}
