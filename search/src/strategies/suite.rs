//! What every strategy on the shelf must do.

use tumble_domain::{Evolve, Fitness, Seed, Shape, Start, StopRule, TrialSeeds, Value};

use super::*;
use crate::noise;
use crate::proposal::{Law, Proposal};
use crate::told::{Told, ToldAs};
use tumble_domain::seed::Stream;

const DIMENSION: usize = 5;

fn evolve(strategy: &str, population: Option<u32>, settings: Vec<(String, Value)>) -> Evolve {
    Evolve {
        strategy: strategy.to_owned(),
        population,
        generations: 100,
        settings,
        start: Start::Middle,
        trial_seeds: TrialSeeds::Fresh,
        stop: StopRule::default(),
        axes: vec![],
    }
}

fn problem(bounds: Option<(f64, f64)>) -> Problem {
    // A matrix and a vector, for those that tell them apart.
    let shapes = vec![Shape { rows: 2, columns: 2 }, Shape::vector(1)];
    Problem { dimension: DIMENSION, shapes, bounds, start: Start::Everywhere(1.0), seed: Seed(11), grains: vec![] }
}

/// A population of twelve, but for those that try one candidate at a time.
fn dozen(strategy: &str) -> Option<u32> {
    Some(if strategy == "one-plus-one" { 1 } else { 12 })
}

/// Every strategy, searching freely and within bounds.
fn shelf() -> Vec<Box<dyn Strategy>> {
    all()
        .iter()
        .flat_map(|description| {
            [None, Some((-2.0, 3.0))].map(|bounds| {
                build(&evolve(description.name, dozen(description.name), vec![]), &problem(bounds)).unwrap()
            })
        })
        .collect()
}

/// Every strategy that searches more than real coordinates, on a space of all that it searches.
fn mixed() -> Vec<Box<dyn Strategy>> {
    let able = all().iter().filter(|description| searches(description.name).len() > 1);
    able.map(|description| {
        build(&evolve(description.name, dozen(description.name), vec![]), &mixed_problem(description.name)).unwrap()
    })
    .collect()
}

fn mixed_problem(strategy: &str) -> Problem {
    let second = match searches(strategy).contains(&GrainKind::Category) {
        true => Grain::Category { choices: 4 },
        false => Grain::Integer { steps: 2 },
    };
    let grains = vec![Grain::Real, second, Grain::Integer { steps: 7 }, Grain::Real, Grain::Integer { steps: 21 }];
    Problem { start: Start::Middle, grains, ..problem(Some(BOUNDS)) }
}

fn candidates(proposal: &Proposal) -> Vec<Vec<f64>> {
    (0..proposal.candidates())
        .map(|i| {
            let mut x = vec![0.0; proposal.dimension()];
            proposal.candidate(i, &mut x);
            x
        })
        .collect()
}

/// A skewed bowl with its top at (½, ½, …), `scale` times as high.
fn scores(strategy: &dyn Strategy, scale: f64) -> Vec<Fitness> {
    let height = |x: &Vec<f64>| -> f64 {
        x.iter().enumerate().map(|(i, x)| -libm::exp2(i as f64) * (x - 0.5) * (x - 0.5)).sum()
    };
    candidates(&strategy.ask()).iter().map(|x| Fitness::Scored(scale * height(x))).collect()
}

fn evolved(strategy: &mut dyn Strategy, generations: u32) {
    for _ in 0..generations {
        let fitness = scores(strategy, 1.0);
        strategy.tell(&fitness);
    }
}

#[test]
fn asking_changes_nothing_and_any_candidate_can_be_made_alone() {
    for mut strategy in shelf().into_iter().chain(mixed()) {
        evolved(&mut *strategy, 3);
        let before = strategy.snapshot();
        let (first, second) = (strategy.ask(), strategy.ask());
        assert_eq!(first, second);
        assert_eq!(strategy.snapshot(), before);
        assert_eq!(first.candidates(), strategy.population());
        let together = candidates(&first);
        let copy = Proposal::decode(&second.encode()).unwrap();
        for i in (0..first.candidates()).rev() {
            let mut alone = vec![f64::NAN; DIMENSION];
            copy.candidate(i, &mut alone);
            assert_eq!(alone, together[i as usize]);
        }
    }
}

#[test]
fn generations_are_counted_and_bring_new_candidates() {
    for mut strategy in shelf().into_iter().chain(mixed()) {
        let first = candidates(&strategy.ask());
        assert_eq!(strategy.generation(), 0);
        evolved(&mut *strategy, 1);
        assert_eq!(strategy.generation(), 1);
        let known = candidates(&strategy.ask()).iter().filter(|x| first.contains(x)).count();
        // The elite of `ga` is tried again.
        assert!(known <= usize::from(matches!(strategy.snapshot()[2..], [2, b'g', b'a', ..])), "{known}");
    }
}

#[test]
fn candidates_stay_inside_the_bounds() {
    for description in all() {
        let population = dozen(description.name);
        let mut strategy = build(&evolve(description.name, population, vec![]), &problem(Some((-2.0, 3.0)))).unwrap();
        for _ in 0..30 {
            let all = candidates(&strategy.ask());
            assert!(all.iter().flatten().all(|x| (-2.0..=3.0).contains(x)), "{}", description.name);
            // The best lies outside, so the search presses against the bound.
            let fitness: Vec<_> = all.iter().map(|x| Fitness::Scored(x.iter().sum())).collect();
            strategy.tell(&fitness);
        }
    }
}

#[test]
fn a_restored_strategy_continues_bit_for_bit() {
    for mut strategy in shelf().into_iter().chain(mixed()) {
        for generations in [0, 1, 7, 20] {
            evolved(&mut *strategy, generations);
            let mut twin = restore(&strategy.snapshot()).unwrap();
            assert_eq!(twin.snapshot(), strategy.snapshot());
            assert_eq!(twin.state_hash(), strategy.state_hash());
            assert_eq!((twin.generation(), twin.population()), (strategy.generation(), strategy.population()));
            evolved(&mut *strategy, 3);
            evolved(&mut *twin, 3);
            assert_eq!(twin.snapshot(), strategy.snapshot());
            assert_eq!(twin.exhausted(), strategy.exhausted());
            assert_eq!(
                twin.scalars().iter().map(|(_, x)| x.to_bits()).collect::<Vec<_>>(),
                strategy.scalars().iter().map(|(_, x)| x.to_bits()).collect::<Vec<_>>()
            );
        }
    }
}

/// Those to which the size of the fitness is known: `eggroll` adds 10⁻⁵ to the variance that it divides by.
const BY_SIZE: &[&str] = &["eggroll"];

#[test]
fn twice_the_fitness_leads_the_same_way() {
    let leads = |once: &mut dyn Strategy, twice: &mut dyn Strategy| {
        (0..20).all(|_| {
            let (a, b) = (scores(once, 1.0), scores(twice, 2.0));
            once.tell(&a);
            twice.tell(&b);
            once.state_hash() == twice.state_hash() && once.ask() == twice.ask()
        })
    };
    for (description, (once, twice)) in all().iter().zip(shelf().chunks_mut(2).zip(shelf().chunks_mut(2))) {
        let same = once.iter_mut().zip(twice).all(|(once, twice)| leads(&mut **once, &mut **twice));
        assert_eq!(same, !BY_SIZE.contains(&description.name), "{}", description.name);
    }
    for (mut once, mut twice) in mixed().into_iter().zip(mixed()) {
        assert!(leads(&mut *once, &mut *twice));
    }
}

/// Those that look at more than ranks: `ars` and `eggroll` divide by the deviation of the fitness, so they know its shape.
/// (`meta-es` compares means, but an inner run of three candidates has one parent, whose mean is a rank.)
const NOT_BY_RANKS: &[&str] = &["ars", "eggroll"];

#[test]
fn any_rising_map_of_the_fitness_leads_the_same_way_where_only_ranks_count() {
    for (description, (plain, mapped)) in all().iter().zip(shelf().chunks_mut(2).zip(shelf().chunks_mut(2))) {
        let same = plain.iter_mut().zip(mapped).all(|(plain, mapped)| {
            for _ in 0..20 {
                let (a, b) = (scores(&**plain, 1.0), scores(&**mapped, 1.0));
                plain.tell(&a);
                let cube = |x: Fitness| x.score().map_or(x, |x| Fitness::Scored(x * x * x));
                mapped.tell(&b.into_iter().map(cube).collect::<Vec<_>>());
            }
            plain.state_hash() == mapped.state_hash()
        });
        assert_eq!(same, !NOT_BY_RANKS.contains(&description.name), "{}", description.name);
    }
}

/// The same bits on every machine, and in every version until someone means to change them: then the pipelines' reference
/// numbers move too, and a run begun before cannot go on after.
#[test]
fn thirty_generations_lead_where_they_always_led() {
    let mut made = Vec::new();
    for (description, pair) in all().iter().zip(shelf().chunks_exact_mut(2)) {
        let [free, bounded] = [0, 1].map(|i| {
            evolved(&mut *pair[i], 30);
            pair[i].state_hash().to_string()
        });
        made.push((description.name, free, bounded));
    }
    let known = |made: &(&str, String, String)| GOLDEN.contains(&(made.0, &*made.1, &*made.2));
    let others: Vec<_> = made.iter().filter(|made| !known(made)).collect();
    assert!(others.is_empty(), "{others:#?}");
}

/// Searching freely, and within bounds.
const GOLDEN: &[(&str, &str, &str)] = &[
    ("cma-es", "791152d9963a6dee117f96f51d58b5b7", "c839e6610ea1ed64e54b03f6e5f04b1f"),
    ("open-ai-es", "c5eedab859887001cd8f3cc91c3077f6", "90f2157d9d123b70ac0bee53adee1117"),
    ("sep-cma-es", "f5fc3e9ff549ad89d0dcabc379cf46c8", "7c37eaae8c4b89a549077ee8e1388b45"),
    ("lm-ma-es", "9eb2c57d04bf6a420884fba4feb8bcb8", "1c1fa8d30c2a2af614919672279d733f"),
    ("csa-es", "09632df123fd7aeebd03b076168c2f15", "e5c109cdc45373bfa21dc0d95b96a1f0"),
    ("one-plus-one", "6501ad49795b4c1bb4652e87d1d2047c", "a4df362fa296ae8b30ab6104b872d1b6"),
    ("self-adaptive-es", "42c33fba6bf776746b01a25a473c7ef2", "6ecb30308824379cc1b631b445f35840"),
    ("meta-es", "9f7b3719b67f5291ebb276009260768c", "e40addca1b6c403bdaf0239665dae744"),
    ("random", "7ce7d672941981456231bc87f515fd3b", "a8c9c652ad66983e8b35ee62048bea5e"),
    ("xnes", "3538e9e415bd81d71eee8475b7dbedd7", "ccd2e646ec865a391d869e47f6a550ea"),
    ("snes", "0e7509b7566ab7da856dd757aeb6468f", "f2f07832d7c19b76ed464a3ca94cb947"),
    ("eggroll", "7261800706d119e6625cfb158b3c8819", "aa0052dfe22c8777984d707cc7cb7c33"),
    ("eggroll-int8", "e80d20dbc3b4c820984eb31a9b4a2d11", "444d3e026b56d99670314c81c91b6771"),
    ("pgpe", "81e38828428ddfd5a9da58f1a57bfaca", "368ed914f57073c889a04f3258aca078"),
    ("ars", "51c8cc396cc83b6449b46fff68f3b527", "4355a7752263d0b61340a69266b5f457"),
    ("ga", "7bbb37fc180bede348089b3fbbe6b1de", "f7c2c986b00c20a12876985c5d6e0985"),
    ("differential-evolution", "e659dedc2d46c95a2e7073c97f71b98b", "9c6d381acee64ade8a06b7b7ce7ebb2b"),
    ("pso", "175532b1d97a5ee8d91f62d23b994ac0", "a6eac65c38902243bd9614eecd8955c8"),
    ("tlbo", "7b3d6eaa0de86229d44a02eea6d3d0f1", "3f556c2ff5f3ec3baeca9c9a2f3a8bfd"),
    ("tlbo-pso", "598538f81e142e210fa4404d02941053", "0f9a526008eb7a82cf02ab95d1e27ed1"),
];

/// The bytes of snapshots and proposals are what is held but for a few counts, so the formulas are not off by a vector.
#[test]
fn state_and_proposal_take_as_much_memory_as_the_strategy_says() {
    for description in all() {
        let quadratic = matches!(description.name, "cma-es" | "xnes");
        let dimension = if quadratic { 150 } else { 2000 };
        let mut orders = vec![evolve(description.name, dozen(description.name), vec![])];
        let set = |name: &str, value: Value| evolve(description.name, Some(60), vec![(name.to_owned(), value)]);
        match description.name {
            "lm-ma-es" => orders.push(set("directions", Value::Integer(7))),
            "open-ai-es" => orders.push(set("optimiser", Value::text("sgd"))),
            "self-adaptive-es" => orders.push(set("step_sizes", Value::text("each"))),
            "ga" => orders.push(set("parents", Value::Integer(9))),
            "meta-es" => orders.push(set("runs", Value::Integer(5))),
            _ => orders.push(evolve(description.name, dozen(description.name).map(|n| (5 * n).max(1)), vec![])),
        }
        for order in orders.into_iter().filter(|order| order.population != Some(5)) {
            let mut strategy = build(&order, &Problem { dimension, shapes: vec![], ..problem(None) }).unwrap();
            // Until every direction of lm-ma-es is in use.
            for generation in 0..30 {
                let fitness = |i: u32| Fitness::Scored(f64::from((i * 7 + generation) % 12));
                strategy.tell(&(0..strategy.population()).map(fitness).collect::<Vec<_>>());
            }
            let told = memory(&order, dimension).unwrap();
            for (what, said, held) in [
                ("state", told.state, strategy.snapshot().len()),
                ("proposal", told.proposal, strategy.ask().encode().len()),
            ] {
                // Whole weights are written in a byte, and held in a double.
                let held = if description.name == "eggroll-int8" { 8 * held } else { held };
                let part = said as f64 / held as f64;
                assert!((0.9..1.1).contains(&part), "{order:?}: {what} has {held} bytes, not {said}");
            }
            assert_eq!(told.candidate, 8 * dimension as u64);
            assert!(told.coordinator() >= told.state + 2 * told.proposal + told.scratch);
        }
    }
}

/// The threads of the process are set while other tests run, which is the point: nothing depends on them.
#[test]
fn one_two_and_seven_threads_lead_to_the_same_state() {
    for description in all() {
        let states = [1, 2, 7].map(|threads| {
            // Long enough that seven threads have several pieces each, and not a whole number of them; a matrix of so many
            // rows would be refused.
            let quadratic = matches!(description.name, "cma-es" | "xnes");
            let dimension = if quadratic { 90 } else { 60_007 };
            let shapes = match quadratic {
                true => vec![],
                false => vec![Shape { rows: 500, columns: 120 }, Shape::vector(7)],
            };
            let order = evolve(description.name, dozen(description.name), vec![]);
            let mut strategy = build(&order, &Problem { dimension, shapes, ..problem(None) }).unwrap();
            crate::set_threads(threads);
            for generation in 0..3 {
                let fitness = |i: u32| Fitness::Scored(f64::from((i * 7 + generation) % 12));
                strategy.tell(&(0..strategy.population()).map(fitness).collect::<Vec<_>>());
            }
            strategy.state_hash()
        });
        crate::set_threads(0);
        assert!(states.iter().all(|state| *state == states[0]), "{}: {states:?}", description.name);
    }
}

#[test]
fn the_state_hash_tells_unlike_states_apart() {
    for mut strategy in shelf().into_iter().chain(mixed()) {
        let mut seen = vec![strategy.state_hash()];
        for _ in 0..5 {
            evolved(&mut *strategy, 1);
            assert!(!seen.contains(&strategy.state_hash()));
            seen.push(strategy.state_hash());
        }
    }
}

/// Where a strategy's candidates lie on average does not move when nothing was learned.
#[test]
fn a_flat_generation_leaves_the_mean_where_it_is() {
    for mut strategy in shelf().into_iter().chain(mixed()) {
        evolved(&mut *strategy, 4);
        let whole = |law: Law| match law {
            Law::Stepped { law, .. } => *law,
            law => law,
        };
        let centre = |strategy: &dyn Strategy| match whole(strategy.ask().law) {
            Law::Full { mean, .. }
            | Law::Isotropic { mean, .. }
            | Law::Antithetic { mean, .. }
            | Law::Diagonal { mean, .. }
            | Law::Mirrored { mean, .. }
            | Law::Chain { mean, .. } => mean,
            Law::Offspring(offspring) => offspring.parents,
            Law::LowRank(law) => law.mean,
            Law::Groups { groups } => groups.into_iter().flat_map(|group| group.mean).collect(),
            Law::Mutants(mutants) => mutants.parents,
            // Without a mean; those that keep members say in their own tests what a flat generation does to them.
            Law::Uniform { .. } | Law::Explicit { .. } => vec![],
            Law::Points { .. } => unreachable!("nothing on the shelf lists points"),
            Law::Stepped { .. } => unreachable!("a stepped law holds another"),
        };
        let before = centre(&*strategy);
        let (scored, worst, dropped) = (Fitness::Scored(3.5), Fitness::Worst, Fitness::Dropped);
        if strategy.population() == 1 {
            // One candidate is compared with its parent, so only a failure tells nothing.
            for failed in [worst, dropped] {
                strategy.tell(&[failed]);
                assert_eq!(centre(&*strategy), before, "{failed:?}");
            }
            continue;
        }
        let mut sparse = vec![dropped; 12];
        sparse[5] = scored;
        for flat in [vec![scored; 12], vec![worst; 12], vec![dropped; 12], sparse] {
            strategy.tell(&flat);
            assert_eq!(centre(&*strategy), before, "{flat:?}");
        }
        assert_eq!(strategy.generation(), 8);
    }
}

/// The shelf, and the searches whose population or whose use of the fitness hangs on a setting.
fn shelf_and_variants() -> Vec<Box<dyn Strategy>> {
    let variant = |name: &str, population: u32, setting: (&str, Value)| {
        build(&evolve(name, Some(population), vec![(setting.0.to_owned(), setting.1)]), &problem(None)).unwrap()
    };
    let mut all = shelf();
    all.extend(["ipop", "bipop"].map(|kind| variant("cma-es", 6, ("restarts", Value::text(kind)))));
    all
}

/// Workers hold replicas that are told no more than [`Strategy::told_as`] says.
#[test]
fn a_replica_that_is_told_only_what_counts_stays_the_same() {
    let mut as_places = 0;
    for mut strategy in shelf_and_variants() {
        as_places += u32::from(strategy.told_as() == ToldAs::Places);
        let mut replica = restore(&strategy.snapshot()).unwrap();
        for generation in 0..150u32 {
            let mut fitness = scores(&*strategy, 1.0);
            let mut dice = vec![0.0; fitness.len()];
            noise::uniforms(Seed(6), Stream::Choice, 0, generation, 0, &mut dice);
            for (fitness, die) in fitness.iter_mut().zip(&dice) {
                // Failures, and ties, among them of the two zeros.
                match (die * 20.0) as u32 {
                    0 => *fitness = Fitness::Worst,
                    1 => *fitness = Fitness::Dropped,
                    2 => *fitness = Fitness::Scored(0.0),
                    3 => *fitness = Fitness::Scored(-0.0),
                    4 | 5 => *fitness = Fitness::Scored(-3.5),
                    _ => {}
                }
            }
            match generation % 30 {
                10..12 => fitness.fill(Fitness::Worst),
                20..22 => fitness.fill(Fitness::Dropped),
                25 => fitness.fill(Fitness::Scored(2.0)),
                _ => {}
            }
            let told = Told::of(strategy.told_as(), &fitness).encode();
            assert!(told.len() as u64 <= strategy.told_as().bytes(strategy.population()));
            strategy.tell(&fitness);
            replica.tell(&Told::decode(&told).unwrap().fitness());
            assert_eq!(replica.state_hash(), strategy.state_hash(), "generation {generation}");
            assert_eq!((replica.ask(), replica.population()), (strategy.ask(), strategy.population()));
        }
    }
    assert!(as_places >= 16, "the law is told of places, too");
}

#[test]
fn storms_of_failures_leave_every_number_finite_and_the_search_alive() {
    for mut strategy in shelf().into_iter().chain(mixed()) {
        for generation in 0..400u32 {
            let mut fitness = scores(&*strategy, 1.0);
            let mut dice = vec![0.0; fitness.len() + 1];
            noise::uniforms(Seed(5), Stream::Choice, 0, generation, 0, &mut dice);
            let share = dice[fitness.len()] * dice[fitness.len()];
            for (fitness, die) in fitness.iter_mut().zip(&dice) {
                match die {
                    die if *die > share => {}
                    die if *die > 0.5 * share => *fitness = Fitness::Worst,
                    _ => *fitness = Fitness::Dropped,
                }
            }
            // Whole generations fail, too.
            match generation % 50 {
                10..15 => fitness.fill(Fitness::Worst),
                20..25 => fitness.fill(Fitness::Dropped),
                _ => {}
            }
            strategy.tell(&fitness);
            strategy.exhausted();
        }
        assert!(candidates(&strategy.ask()).iter().flatten().all(|x| x.is_finite()));
        restore(&strategy.snapshot()).expect("a snapshot with a number that is not finite is not read");
        evolved(&mut *strategy, 50);
        assert!(candidates(&strategy.ask()).iter().flatten().all(|x| x.is_finite()));
    }
}

#[test]
fn a_thousand_failed_generations_do_not_blow_the_search_up() {
    for mut strategy in shelf().into_iter().chain(mixed()) {
        for _ in 0..1000 {
            strategy.tell(&vec![Fitness::Worst; strategy.population() as usize]);
        }
        assert!(candidates(&strategy.ask()).iter().flatten().all(|x| x.abs() < 1e6));
    }
}

#[test]
fn damaged_snapshots_are_errors() {
    for mut strategy in shelf().into_iter().chain(mixed()) {
        evolved(&mut *strategy, 6);
        let bytes = strategy.snapshot();
        for cut in 0..bytes.len() {
            assert!(restore(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(restore(&damaged).is_err(), "byte {at}");
        }
        let mut foreign = bytes.clone();
        foreign[0] = 77;
        assert_eq!(restore(&foreign).err(), Some(SnapshotError::Version(77)));
        // A right checksum does not make wrong bytes right.
        for at in 2..bytes.len() - 16 {
            for flip in [0x01, 0x80, 0xFF] {
                let mut forged = bytes[..bytes.len() - 16].to_vec();
                forged[at] ^= flip;
                let checksum = StateHash::of(&forged);
                forged.extend_from_slice(&checksum.0);
                if let Ok(mut restored) = restore(&forged)
                    && restored.population() == strategy.population()
                    && restored.ask().dimension() == DIMENSION
                {
                    let fitness = scores(&*restored, 1e-300);
                    if fitness.iter().all(|f| f.score().is_some_and(f64::is_finite)) {
                        restored.tell(&fitness);
                        restored.exhausted();
                    }
                }
            }
        }
    }
}

#[test]
fn every_strategy_describes_itself_and_has_a_population() {
    for description in all() {
        assert_eq!(describe(description.name), Some(description));
        for dimension in [1, 2, 10, 1000] {
            let population = default_population(description.name, dimension, &[]).unwrap();
            let problem = Problem {
                dimension,
                shapes: vec![],
                bounds: None,
                start: Start::Middle,
                seed: Seed(0),
                grains: vec![],
            };
            let strategy = build(&evolve(description.name, None, vec![]), &problem).unwrap();
            assert_eq!(strategy.population(), population);
        }
        for parameter in &description.parameters {
            if let Some(default) = &parameter.default {
                assert!(default.coerced(parameter.kind).is_some(), "{}", parameter.name);
                let set = evolve(description.name, None, vec![(parameter.name.clone(), default.clone())]);
                assert_eq!(check(&set), Ok(()));
            }
        }
    }
    assert_eq!(default_population("cma-es", 10, &[]), Ok(10));
    assert_eq!(default_population("cma-es", 20, &[]), Ok(12));
}

/// Each candidate is a value of its space, and searching brings every cell of a coordinate that matters into reach: the
/// best point is found, one end of every coordinate or the middle, and a choice in between.
#[test]
fn mixed_spaces_are_searched_to_the_best_cell() {
    for description in all().iter().filter(|description| searches(description.name).len() > 1) {
        let problem = mixed_problem(description.name);
        let mut strategy = build(&evolve(description.name, Some(40), vec![]), &problem).unwrap();
        let cells: Vec<u32> = problem.grains.iter().filter_map(|grain| grain.cells()).collect();
        let goal = [cells[0] - 2, 6, 3];
        let mut found = false;
        for _ in 0..150 {
            let all = candidates(&strategy.ask());
            let mut fitness = Vec::new();
            for x in &all {
                let mut at = Vec::new();
                for (x, cells) in [x[1], x[2], x[4]].into_iter().zip(&cells) {
                    let nearest = (0..*cells).find(|k| x == (f64::from(*k) + 0.5) / f64::from(*cells));
                    at.push(nearest.unwrap_or_else(|| panic!("{}: {x} is no cell of {cells}", description.name)));
                }
                assert!((0.0..=1.0).contains(&x[0]) && (0.0..=1.0).contains(&x[3]));
                found |= at == goal;
                let away = |k: usize| f64::from(at[k].abs_diff(goal[k]));
                // The first divided coordinate may be without an order.
                let choice = f64::from(u8::from(at[0] != goal[0]));
                fitness.push(Fitness::Scored(-(choice + away(1) + away(2) + (x[0] - 0.2).abs() + (x[3] - 0.9).abs())));
            }
            strategy.tell(&fitness);
        }
        assert!(found, "{}", description.name);
    }
}

#[test]
fn what_a_strategy_cannot_search_is_refused_with_those_that_can() {
    let mixed = |grain| Problem {
        grains: vec![Grain::Real, grain, Grain::Real, Grain::Real, Grain::Real],
        start: Start::Middle,
        ..problem(Some(BOUNDS))
    };
    for description in all() {
        for grain in [Grain::Integer { steps: 5 }, Grain::Category { choices: 3 }] {
            let built = build(&evolve(description.name, None, vec![]), &mixed(grain));
            assert_eq!(built.is_ok(), searches(description.name).contains(&grain.kind()), "{}", description.name);
            let message = built.err().map_or(String::new(), |error| error.to_string());
            assert!(
                message.is_empty() || message.contains(grain.kind().name()) && message.contains("ga, "),
                "{message}"
            );
        }
    }
    let words = mixed(Grain::Category { choices: 3 });
    refused(&evolve("cma-es", None, vec![]), &words, &["cma-es does not search", "category", "ga, random"]);
    let sigma = evolve("ga", None, vec![("sigma".to_owned(), Value::Float(0.2))]);
    refused(&sigma, &words, &["`sigma`", "choices without an order"]);
    let out = Problem { bounds: Some((0.0, 2.0)), ..mixed(Grain::Integer { steps: 5 }) };
    refused(&evolve("cma-es", None, vec![]), &out, &["between 0 and 1"]);
}

#[track_caller]
fn refused(evolve: &Evolve, problem: &Problem, words: &[&str]) {
    let message = build(evolve, problem).err().expect("this cannot be built").to_string();
    assert!(words.iter().all(|word| message.contains(word)), "{message}");
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let free = problem(None);
    let set = |name: &str, value| evolve("cma-es", None, vec![(name.to_owned(), value)]);
    refused(&evolve("cmaes", None, vec![]), &free, &["unknown strategy `cmaes`"]);
    refused(&set("sgima", Value::Float(1.0)), &free, &["`sgima`", "did you mean `sigma`"]);
    refused(&set("sigma", Value::text("big")), &free, &["`sigma`", "number", "text"]);
    refused(&set("sigma", Value::Float(-1.0)), &free, &["`sigma` is -1.0"]);
    refused(&set("sigma", Value::Float(f64::NAN)), &free, &["`sigma` is nan"]);
    refused(&set("active", Value::Integer(1)), &free, &["`active`", "boolean"]);
    let optimiser = evolve("open-ai-es", None, vec![("optimiser".to_owned(), Value::text("adma"))]);
    refused(&optimiser, &free, &["`optimiser`", "adam, sgd"]);
    refused(&evolve("open-ai-es", Some(9), vec![]), &free, &["`population` is 9", "even"]);
    refused(&evolve("cma-es", Some(2), vec![]), &free, &["`population` is 2", "at least 3"]);
    refused(&evolve("one-plus-one", Some(2), vec![]), &free, &["`population` is 2", "one candidate"]);
    refused(&evolve("csa-es", Some(1), vec![]), &free, &["`population` is 1", "at least 2"]);
    refused(&evolve("meta-es", Some(9), vec![]), &free, &["`population` is 9", "multiple"]);
    refused(&evolve("random", Some(0), vec![]), &free, &["`population` is 0"]);
    refused(&evolve("pgpe", Some(9), vec![]), &free, &["`population` is 9", "even"]);
    for eggroll in ["eggroll", "eggroll-int8"] {
        refused(&evolve(eggroll, Some(9), vec![]), &free, &["`population` is 9", "even"]);
    }
    let set = |name: &str, value| evolve("eggroll", Some(12), vec![(name.to_owned(), value)]);
    refused(&set("group_size", Value::Integer(5)), &free, &["`group_size` is 5", "12"]);
    refused(&set("rank", Value::Integer(0)), &free, &["`rank` is 0", "1.0 to 512.0"]);
    refused(&set("update_scale", Value::text("book")), &free, &["`update_scale`", "code, paper"]);
    let far = Problem { start: Start::Everywhere(128.0), ..free.clone() };
    refused(&evolve("eggroll-int8", None, vec![]), &far, &["`start` has 128.0 at element 0", "-127 to 127"]);
    refused(&evolve("ars", Some(9), vec![]), &free, &["`population` is 9", "even"]);
    refused(&evolve("differential-evolution", Some(3), vec![]), &free, &["`population` is 3", "at least 4"]);
    refused(&evolve("tlbo", Some(1), vec![]), &free, &["`population` is 1", "at least 2"]);
    let long = Problem { dimension: 1 << 20, shapes: vec![], ..free.clone() };
    refused(&evolve("pso", None, vec![]), &long, &["0.3 GB", "40 members", "open-ai-es"]);
    refused(&evolve("xnes", None, vec![]), &long, &["1048576 × 1048576", "snes"]);
    let plain = evolve("cma-es", None, vec![]);
    refused(&plain, &Problem { start: Start::At(vec![1.0, 2.0]), ..free.clone() }, &["`start` has 2 numbers", "has 5"]);
    refused(&plain, &Problem { start: Start::Everywhere(f64::INFINITY), ..free.clone() }, &["`start` has inf"]);
    refused(&plain, &problem(Some((2.0, 3.0))), &["`start` has 1.0", "outside the bounds"]);
    refused(&plain, &problem(Some((3.0, 2.0))), &["bounds [3.0, 2.0]"]);
    refused(&plain, &Problem { dimension: 0, shapes: vec![], ..free.clone() }, &["0 numbers"]);
    refused(&plain, &Problem { dimension: 100_000, shapes: vec![], ..free.clone() }, &["GB", "open-ai-es"]);
    refused(&plain, &Problem { shapes: vec![Shape::vector(6)], ..free }, &["5 numbers", "tensors have 6"]);
}
