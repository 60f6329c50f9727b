//! CMA-ES against its reference: step by step, and by how many evaluations it needs.

use tumble_domain::{Evolve, Start, StopRule, TrialSeeds, Value};

use super::*;
use crate::noise;
use crate::strategies::build as build_any;
use crate::strategy::Problem;
use tumble_domain::seed::Stream;

fn settings(problem: &Problem, population: Option<u32>, given: &[(&str, Value)]) -> CmaEs {
    let evolve = Evolve {
        strategy: NAME.to_owned(),
        population,
        generations: 1,
        settings: given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        start: problem.start.clone(),
        trial_seeds: TrialSeeds::Fresh,
        stop: StopRule::default(),
        axes: vec![],
    };
    // Through the registry, then back from the snapshot: the concrete type, with nothing else changed.
    let built = build_any(&evolve, problem).unwrap();
    let bytes = built.snapshot();
    let head = 2 + 1 + NAME.len();
    CmaEs::restore(&mut Reader::new(&bytes[head..bytes.len() - 16])).unwrap()
}

fn free(dimension: usize, start: f64, seed: u64) -> CmaEs {
    settings(
        &Problem {
            dimension,
            bounds: None,
            start: Start::Everywhere(start),
            seed: Seed(seed),
            grains: vec![],
            shapes: vec![],
        },
        None,
        &[("sigma", Value::Float(1.0))],
    )
}

/// Tells the negative of `f`, for a function is minimised; gives the best value of the generation.
fn tell(es: &mut CmaEs, f: &dyn Fn(&[f64]) -> f64) -> f64 {
    let proposal = es.ask();
    let mut x = vec![0.0; proposal.dimension()];
    let values: Vec<f64> = (0..proposal.candidates())
        .map(|i| {
            proposal.candidate(i, &mut x);
            f(&x)
        })
        .collect();
    es.tell(&values.iter().map(|f| Fitness::Scored(-f)).collect::<Vec<_>>());
    values.into_iter().fold(f64::INFINITY, f64::min)
}

fn ellipsoid(x: &[f64]) -> f64 {
    let last = (x.len() - 1) as f64;
    x.iter().enumerate().map(|(i, x)| libm::exp10(6.0 * i as f64 / last) * x * x).sum()
}

/// The state of pycma 4.5.0 after 40 generations.
struct Golden {
    population: u32,
    active: bool,
    drop: bool,
    sigma: f64,
    mean: [f64; 5],
    path: [f64; 5],
    sigma_path: [f64; 5],
    variances: [f64; 5],
    first_row: [f64; 5],
}

/// pycma 4.5.0 was told the very candidates that this strategy makes (`check_points=False`, no diagonal decoding), and
/// in the last case all but one of them. Both saw every generation of the 40, so an error in any line would have grown.
#[test]
fn forty_generations_end_where_the_reference_ends() {
    let cases = [
        Golden {
            population: 8,
            active: true,
            drop: false,
            sigma: 0.24840703032915326,
            mean: [
                7.362563877840154,
                4.33499411839413,
                -0.07370219673465393,
                -0.032383971535613607,
                0.014001871448642194,
            ],
            path: [
                -2.2059961653725706,
                -0.8994025292365068,
                0.8332715851152019,
                -0.1417450726213897,
                0.07580055098756369,
            ],
            sigma_path: [
                -1.29487766217829,
                -0.2712872352079024,
                0.34246133601345446,
                -0.3810689028327332,
                1.2267254805330228,
            ],
            variances: [
                2.506406230153081,
                1.221699443951814,
                1.1774651296118217,
                0.10507623047605077,
                0.0038748933533214913,
            ],
            first_row: [
                2.506406230153081,
                0.925155534478827,
                -0.8215152659831676,
                0.021206675962156134,
                -0.026901367913474916,
            ],
        },
        Golden {
            population: 40,
            active: true,
            drop: false,
            sigma: 0.5286702847086933,
            mean: [
                -0.16437098786438145,
                -0.019013491823484895,
                -0.0007549944917694049,
                0.000319027257534312,
                7.186483310064536e-05,
            ],
            path: [
                -0.7051257700709093,
                0.00865434587148595,
                -0.012099647432459237,
                0.0036429434111634115,
                0.0007213536023299999,
            ],
            sigma_path: [
                -0.5506136449367697,
                0.010695735208139866,
                -0.3868317085018459,
                0.6680460171472086,
                0.7094242764837861,
            ],
            variances: [
                0.7613438583460738,
                0.02054073057609433,
                0.0005406558317684716,
                2.6585731528696085e-05,
                6.542283577981577e-07,
            ],
            first_row: [
                0.7613438583460738,
                -0.011475007825254614,
                -0.0003566403761241549,
                -0.0005938058157873333,
                -7.638227708586117e-05,
            ],
        },
        Golden {
            population: 8,
            active: false,
            drop: false,
            sigma: 0.10866719968801253,
            mean: [
                1.5526408252936734,
                1.4120322644115935,
                1.872779967296053,
                -0.0292099732875856,
                0.002573116166061107,
            ],
            path: [
                -0.591834872146537,
                -0.40904614594689054,
                -0.5733692480814541,
                -0.08690937121473434,
                0.09214405836475809,
            ],
            sigma_path: [
                -0.7992075473661064,
                -0.9112661965232509,
                -0.5847243756543115,
                0.13868231056824967,
                0.49251555376018263,
            ],
            variances: [
                0.7776335373823505,
                0.27656608751878725,
                0.557901210122541,
                0.27995085325676783,
                0.06426324957254205,
            ],
            first_row: [
                0.7776335373823505,
                -0.13977603255179374,
                0.1532844344381009,
                0.19594806019617106,
                0.03686480068450919,
            ],
        },
        Golden {
            population: 8,
            active: true,
            drop: true,
            sigma: 0.2608048288159381,
            mean: [
                0.4480518612138345,
                1.5104238713542686,
                1.1732091193697836,
                -0.00021193835341230816,
                0.016470557048128588,
            ],
            path: [
                0.059479358952019445,
                1.302232564011959,
                -1.5003803613967222,
                0.08941796039208562,
                0.0907791913207433,
            ],
            sigma_path: [
                -0.07786962407590658,
                0.9120644996015348,
                -1.9454201154341608,
                0.3568139193384099,
                0.9642097328476066,
            ],
            variances: [
                0.6245782711520264,
                1.2095427388558282,
                0.8033203814561485,
                0.1856021549814945,
                0.007232231505752133,
            ],
            first_row: [
                0.6245782711520264,
                0.022149569671409616,
                -0.1148028923233442,
                0.08207161458642205,
                -0.003572252279019398,
            ],
        },
    ];
    for golden in cases {
        let mut es = golden_start(golden.population, golden.active);
        (0..40).for_each(|_| golden_generation(&mut es, golden.drop));
        let near = |actual: &[f64], expected: &[f64]| {
            let size = expected.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            for (actual, expected) in actual.iter().zip(expected) {
                assert!((actual - expected).abs() < 1e-12 * size, "{actual} against {expected}");
            }
        };
        near(&[es.sigma], &[golden.sigma]);
        near(&es.mean, &golden.mean);
        near(&es.path, &golden.path);
        near(&es.sigma_path, &golden.sigma_path);
        near(&(0..5).map(|i| es.covariance[6 * i]).collect::<Vec<_>>(), &golden.variances);
        near(&es.covariance[..5], &golden.first_row);
    }
}

fn golden_start(population: u32, active: bool) -> CmaEs {
    settings(
        &Problem {
            dimension: 5,
            bounds: None,
            start: Start::Everywhere(3.0),
            seed: Seed(42),
            grains: vec![],
            shapes: vec![],
        },
        Some(population),
        &[("sigma", Value::Float(1.0)), ("active", Value::Boolean(active))],
    )
}

/// One generation on the ellipsoid; with `drop`, one candidate after another goes missing.
fn golden_generation(es: &mut CmaEs, drop: bool) {
    let proposal = es.ask();
    let mut x = vec![0.0; 5];
    let mut fitness: Vec<_> = (0..proposal.candidates())
        .map(|i| {
            proposal.candidate(i, &mut x);
            Fitness::Scored(-ellipsoid(&x))
        })
        .collect();
    if drop {
        fitness[es.generation as usize % es.population as usize] = Fitness::Dropped;
    }
    es.tell(&fitness);
}

fn sphere(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

fn rosenbrock(x: &[f64]) -> f64 {
    x.windows(2).map(|w| 100.0 * (w[0] * w[0] - w[1]).powi(2) + (w[0] - 1.0).powi(2)).sum()
}

/// A rotation, by rows: normal vectors made orthonormal one after another.
fn rotation(n: usize) -> Vec<f64> {
    let mut rows = vec![0.0; n * n];
    noise::normals(Seed(77), Stream::Evaluator, 0, 0, 0, &mut rows);
    for i in 0..n {
        let (done, row) = rows[..(i + 1) * n].split_at_mut(i * n);
        for other in done.chunks_exact(n) {
            let dot: f64 = other.iter().zip(&*row).map(|(a, b)| a * b).sum();
            add(-dot, other, row);
        }
        let length = squares(row).sqrt();
        row.iter_mut().for_each(|x| *x /= length);
    }
    rows
}

/// Evaluations until f ≤ 1e-8, counted at the end of the generation; `None` if the search stops before.
fn evaluations(f: &dyn Fn(&[f64]) -> f64, n: usize, start: f64, seed: u64) -> Option<u32> {
    let mut es = free(n, start, seed);
    loop {
        let best = tell(&mut es, f);
        if best <= 1e-8 {
            return Some(es.generation * es.population);
        }
        if es.exhausted().is_some() || es.generation > 10_000 {
            return None;
        }
    }
}

/// The median over 15 seeds is within a tenth of what pycma 4.5.0 needs under the same protocol: from 3 in every element
/// (Rosenbrock: 0), first step size 1. About a tenth of the runs on Rosenbrock's function end in its other optimum.
#[track_caller]
fn check_median(name: &str, f: &dyn Fn(&[f64]) -> f64, n: usize, start: f64, reference: f64, successes_min: usize) {
    let mut needed: Vec<u32> = (0..15).filter_map(|seed| evaluations(f, n, start, seed)).collect();
    needed.sort_unstable();
    assert!(needed.len() >= successes_min, "{name}: only {} of 15 arrive", needed.len());
    let middle = needed.len() / 2;
    let median = if needed.len() % 2 == 1 {
        f64::from(needed[middle])
    } else {
        0.5 * f64::from(needed[middle - 1] + needed[middle])
    };
    assert!((median / reference - 1.0).abs() <= 0.1, "{name}, n = {n}: {median} evaluations against {reference}");
}

#[test]
fn the_sphere_takes_as_many_evaluations_as_the_reference() {
    check_median("sphere", &sphere, 10, 3.0, 1500.0, 15);
    check_median("sphere", &sphere, 20, 3.0, 2796.0, 15);
}

#[test]
fn the_ellipsoid_takes_as_many_evaluations_as_the_reference() {
    check_median("ellipsoid", &ellipsoid, 10, 3.0, 4150.0, 15);
    check_median("ellipsoid", &ellipsoid, 20, 3.0, 13152.0, 15);
}

/// The function that tells a right update of C from one that only looks right: where weights and steps are paired
/// wrongly the sphere still works and this does not.
#[test]
fn a_rotated_ellipsoid_takes_as_many_evaluations_as_the_reference() {
    for (n, reference) in [(10, 4080.0), (20, 13068.0)] {
        let rows = rotation(n);
        let rotated = |x: &[f64]| {
            let y: Vec<f64> = rows.chunks_exact(n).map(|row| row.iter().zip(x).map(|(r, x)| r * x).sum()).collect();
            ellipsoid(&y)
        };
        check_median("rotated ellipsoid", &rotated, n, 3.0, reference, 15);
    }
}

#[test]
fn rosenbrocks_function_takes_as_many_evaluations_as_the_reference() {
    check_median("rosenbrock", &rosenbrock, 10, 0.0, 5085.0, 11);
    check_median("rosenbrock", &rosenbrock, 20, 0.0, 16812.0, 11);
}

/// A search that ends: from `start` in three elements with eight candidates, fitness from the candidate and a die.
fn ending(start: f64, given: &[(&str, Value)], f: &dyn Fn(&[f64], f64) -> f64) -> CmaEs {
    let problem = Problem {
        dimension: 3,
        bounds: None,
        start: Start::Everywhere(start),
        seed: Seed(8),
        grains: vec![],
        shapes: vec![],
    };
    let mut es = settings(&problem, Some(8), &[&[("sigma", Value::Float(0.5))], given].concat());
    while es.exhausted().is_none() {
        let proposal = es.ask();
        let mut x = vec![0.0; 3];
        let mut dice = vec![0.0; 8];
        noise::uniforms(Seed(21), Stream::Evaluator, 0, 0, es.generation, &mut dice);
        let fitness: Vec<_> = (0..8)
            .map(|i| {
                proposal.candidate(i, &mut x);
                let value = f(&x, dice[i as usize]);
                Fitness::Scored(-value)
            })
            .collect();
        es.tell(&fitness);
        assert!(es.generation < 20_000, "this search does not end");
    }
    es
}

/// The generation and the criterion are those of pycma 4.5.0, told the same candidates and values. The ill-conditioned
/// case is ours alone: pycma moves such a scale out of C into the coordinates (`alleviate_conditioning`) and goes on.
#[test]
fn searches_end_when_the_reference_ends_them() {
    type Case<'a> = (f64, &'a [(&'a str, Value)], &'a dyn Fn(&[f64], f64) -> f64, u32, &'a str);
    let zero = |name: &'static str| (name, Value::Float(0.0));
    let patient = ("tolflatfitness", Value::Integer(1000));
    let no_history = [zero("tolfun"), zero("tolfunhist")];
    let endless = [zero("tolfun"), zero("tolfunhist"), zero("tolx"), patient];
    let cases: [Case<'_>; 9] = [
        (1.0, &[], &|x, _| sphere(x), 86, "tolfun:"),
        (1.0, &[zero("tolfun")], &|x, _| 1.0 + ellipsoid(x), 153, "tolfunhist:"),
        (1.0, &[], &|x, _| x[0] + 0.1 * x[1], 24, "tolfacupx:"),
        (1.0, &no_history, &|x, _| sphere(x), 140, "tolx:"),
        (1.0, &[], &|x, _| x.iter().map(|x| (4.0 * x).floor().abs()).sum(), 27, "tolflatfitness:"),
        (1.0, &[], &|_, die| die, 530, "tolstagnation:"),
        (1.0, &endless, &|x, _| x.iter().map(|x| (x - 1.5).abs()).sum(), 143, "tolxstagnation:"),
        (1.0, &endless, &|x, _| x[0] * x[0] + 1e9 * x[1] * x[1] + 1e18 * x[2] * x[2], 125, "tolconditioncov:"),
        (1e9, &endless, &|x, _| x.iter().map(|x| (x - 1e9).abs()).sum(), 69, "noeffectaxis:"),
    ];
    for (start, given, f, generation, reason) in cases {
        let es = ending(start, given, f);
        let found = es.exhausted().unwrap();
        assert!(found.starts_with(reason), "{found} where the reference has {reason}");
        assert_eq!(es.generation, generation, "{reason}");
    }
}

#[test]
fn one_flat_generation_is_forgiven_and_two_in_a_row_are_not() {
    let mut es = free(6, 1.0, 3);
    tell(&mut es, &sphere);
    for _ in 0..4 {
        es.tell(&vec![Fitness::Scored(1.0); es.population as usize]);
        assert_eq!(es.exhausted(), None);
        tell(&mut es, &sphere);
        assert_eq!(es.exhausted(), None);
    }
    es.tell(&vec![Fitness::Worst; es.population as usize]);
    assert_eq!(es.exhausted(), None);
    es.tell(&vec![Fitness::Dropped; es.population as usize]);
    assert!(es.exhausted().unwrap().starts_with("tolflatfitness:"));
}

#[test]
fn without_a_difference_the_step_size_grows_by_the_tutorials_rule_and_nothing_else_changes() {
    let mut es = free(6, 1.0, 3);
    for _ in 0..5 {
        tell(&mut es, &sphere);
    }
    let before = es.clone();
    es.tell(&vec![Fitness::Scored(1.0); es.population as usize]);
    let Constants { c_sigma, d_sigma, .. } = es.constants;
    assert!((es.sigma / before.sigma - libm::exp(0.2 + c_sigma / d_sigma)).abs() < 1e-15);
    assert_eq!(
        (&es.mean, &es.covariance, &es.path, &es.sigma_path),
        (&before.mean, &before.covariance, &before.path, &before.sigma_path)
    );
}

/// The optimum lies in a corner of the box; the fold must lead there, and the spread must not outgrow the box.
#[test]
fn an_optimum_on_the_bounds_is_found() {
    for seed in 0..5 {
        let problem = Problem {
            dimension: 6,
            bounds: Some((-1.0, 4.0)),
            start: Start::Middle,
            seed: Seed(seed),
            grains: vec![],
            shapes: vec![],
        };
        let mut es = settings(&problem, None, &[]);
        assert_eq!(es.sigma, 1.5);
        let corner = |x: &[f64]| -> f64 { x.iter().enumerate().map(|(i, x)| (i + 1) as f64 * (4.0 - x)).sum() };
        let mut best = f64::INFINITY;
        while es.exhausted().is_none() && es.generation < 1000 {
            best = best.min(tell(&mut es, &corner));
            let widest = (0..6).map(|i| es.sigma * es.covariance[7 * i].sqrt()).fold(0.0, f64::max);
            assert!(widest <= 5.0 / 3.0 * (1.0 + 2e-4), "generation {}: {widest}", es.generation);
        }
        assert!(best < 1e-8, "seed {seed}: {best}");
    }
}

/// The functions of "CMA-ES with margin" (arXiv:2205.13482, table 1) on ten coordinates from 0 to 1, the last five divided.
struct MixedInteger {
    steps: u32,
    start: [f64; 2],
    sigma: f64,
    f: fn(&[f64]) -> f64,
    /// The median that `cmaes.CMAwM` 0.13.1 needs over 61 seeds, with the same coordinates, start and step size.
    reference: f64,
}

/// Reals from -5 to 5, then bits: Σ x² + how many are 0.
fn sphere_one_max(u: &[f64]) -> f64 {
    let reals: f64 = u[..5].iter().map(|u| (10.0 * u - 5.0) * (10.0 * u - 5.0)).sum();
    reals + u[5..].iter().filter(|u| **u < 0.5).count() as f64
}

/// Reals from -10.5 to 10.5, then whole numbers from -10 to 10.
fn whole_numbers(u: &[f64]) -> Vec<f64> {
    let whole = |u: &f64| (21.0 * u).floor().clamp(0.0, 20.0) - 10.0;
    u[..5].iter().map(|u| 21.0 * u - 10.5).chain(u[5..].iter().map(whole)).collect()
}

fn sphere_int(u: &[f64]) -> f64 {
    whole_numbers(u).iter().map(|x| x * x).sum()
}

fn ellipsoid_int(u: &[f64]) -> f64 {
    whole_numbers(u).iter().enumerate().map(|(i, x)| libm::pow(1e6, i as f64 / 9.0) * x * x).sum()
}

impl MixedInteger {
    /// Evaluations until f ≤ 1e-10, `None` if the search ends before; `divided` says whether it knows of the cells.
    fn evaluations(&self, seed: u64, divided: bool) -> Option<f64> {
        let grains = if divided {
            [vec![Grain::Real; 5], vec![Grain::Integer { steps: self.steps }; 5]].concat()
        } else {
            vec![]
        };
        let start = Start::At([vec![self.start[0]; 5], vec![self.start[1]; 5]].concat());
        let problem =
            Problem { dimension: 10, bounds: Some((0.0, 1.0)), start, seed: Seed(seed), grains, shapes: vec![] };
        let mut es = settings(&problem, None, &[("sigma", Value::Float(self.sigma))]);
        let mut spent = 0.0;
        while es.exhausted().is_none() && spent < 60_000.0 {
            spent += f64::from(es.population);
            if tell(&mut es, &self.f) <= 1e-10 {
                return Some(spent);
            }
        }
        None
    }
}

const MIXED_INTEGER: [MixedInteger; 3] = [
    MixedInteger { steps: 2, start: [0.7, 0.5], sigma: 0.3, f: sphere_one_max, reference: 1960.0 },
    MixedInteger { steps: 21, start: [12.5 / 21.0; 2], sigma: 1.0 / 21.0, f: sphere_int, reference: 1800.0 },
    MixedInteger { steps: 21, start: [12.5 / 21.0; 2], sigma: 1.0 / 21.0, f: ellipsoid_int, reference: 3110.0 },
];

/// Every search arrives, in as many evaluations as the reference but for a tenth (1910, 1750 and 2910 here).
#[test]
fn with_a_margin_mixed_integer_functions_take_as_many_evaluations_as_the_reference() {
    for case in &MIXED_INTEGER {
        let mut spent: Vec<_> = (0..61).map(|seed| case.evaluations(seed, true).expect("it arrives")).collect();
        spent.sort_by(f64::total_cmp);
        let ratio = spent[30] / case.reference;
        assert!((ratio - 1.0).abs() <= 0.1, "{} evaluations against {}", spent[30], case.reference);
    }
}

/// The failure that the paper's figure 2 shows: bits that are only rounded stay as they are once the step size is small.
#[test]
fn without_a_margin_bits_get_stuck() {
    let stuck = (0..61).filter(|seed| MIXED_INTEGER[0].evaluations(*seed, false).is_none()).count();
    assert!(stuck > 20, "only {stuck} of 61 got stuck");
}

/// Where only whole numbers are searched and nothing differs any more, the search goes on for a while, and then ends.
#[test]
fn a_search_of_whole_numbers_ends_once_nothing_differs_for_long() {
    let grains = vec![Grain::Integer { steps: 2 }; 3];
    let problem =
        Problem { dimension: 3, bounds: Some((0.0, 1.0)), start: Start::Middle, seed: Seed(1), grains, shapes: vec![] };
    let mut es = settings(&problem, None, &[]);
    let flat: f64 = (0..20).map(|_| tell(&mut es, &|_| 1.0)).sum();
    assert_eq!(flat, 20.0);
    assert_eq!(es.exhausted(), None);
    tell(&mut es, &|_| 1.0);
    assert!(es.exhausted().is_some_and(|reason| reason.starts_with("tolflatfitness")));
    let mut es = settings(&problem, None, &[]);
    let ones = |x: &[f64]| x.iter().filter(|x| **x < 0.5).count() as f64;
    assert_eq!((0..40).map(|_| tell(&mut es, &ones)).fold(9.0, f64::min), 0.0);
    assert_eq!(es.exhausted(), None, "the best of a few cells is met again and again");
}
