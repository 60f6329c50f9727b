//! What must be true of bytes whoever sent them: a function for each fuzzing target, and inputs to begin with.
//!
//! Each takes any bytes and panics where the promise is broken: that what comes from a disk, a network or a person is either
//! refused or understood, that what was understood can be written and read again to the same bytes, and that nothing is
//! allocated that the bytes do not pay for. `fuzz/` looks for such bytes; what it found is taken again by every test run.

use std::sync::Arc;

use prost::Message;
use tumble_coordinator::journal::codec;
use tumble_core::Record;
use tumble_domain::{Fitness, Layout, PipelineDescription, Plan, TrialRange, Value};
use tumble_pipelines::registry;
use tumble_proto::{describe, outcomes, v1};
use tumble_search::{Design, Problem, Proposal, StateHash, Told, strategies};

/// A target: its name, what it does with bytes, and inputs to begin with.
pub struct Target {
    /// As the folder of its corpus is called.
    pub name: &'static str,
    /// What must be true of any bytes.
    pub take: fn(&[u8]),
    /// Inputs that are understood.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: [Target; 4] = [
    Target { name: "records", take: records, seeds: record_seeds },
    Target { name: "converters", take: converters, seeds: converter_seeds },
    Target { name: "run_file", take: run_file, seeds: run_file_seeds },
    Target { name: "states", take: states, seeds: state_seeds },
];

fn descriptions() -> Vec<PipelineDescription> {
    registry::all().iter().map(|pipeline| pipeline.description().clone()).collect()
}

const RUN: &str = "run";

/// The record decoder. The check is set right before, for no search by chance gets past it.
pub fn records(bytes: &[u8]) {
    drop(codec::decode(RUN, bytes));
    if let Ok(record) = codec::decode(RUN, &codec::sealed(RUN, bytes.to_vec())) {
        let written = codec::encode(RUN, &record);
        let read = codec::decode(RUN, &written).expect("what was written is read");
        assert_eq!(codec::encode(RUN, &read), written);
    }
}

fn record_seeds() -> Vec<Vec<u8>> {
    let evolve = "pipeline = \"benchmark-functions\"\n[config]\nfunction = \"sphere\"\ndimension = 2\n[evolve]\nstrategy = \"random\"\n";
    let pipelines = descriptions();
    let understood = tumble_runfile::parse(evolve, "seed", &[], &pipelines).expect("it is a run file");
    let pipeline = Arc::new(understood.description.clone());
    let outcomes = tumble_domain::Outcomes {
        trials: 2,
        metrics: 1,
        statuses: vec![tumble_domain::Status::Scored, tumble_domain::Status::Failed],
        values: vec![1.0, f64::NAN],
        errors: vec![tumble_domain::TrialError { offset: 1, message: "why".to_owned() }],
    };
    let difference = tumble_core::Difference {
        trial: 3,
        column: "value".to_owned(),
        recorded: "1".to_owned(),
        again: "2".to_owned(),
    };
    let records = [
        Record::Submitted {
            key: "key".to_owned(),
            run_toml: tumble_runfile::canonical(&understood.spec, &pipeline).into(),
            spec: Arc::new(understood.spec),
            pipeline,
            folder: "folder".into(),
            unix_ms: 1,
        },
        Record::Scored { range: TrialRange::new(5, 7), outcomes: Arc::new(outcomes) },
        Record::Ending { reason: tumble_core::Reason::Aborted("why".to_owned()), trials_end: 9 },
        Record::Finished,
        Record::Suspended { why: "why".to_owned() },
        Record::Disagreed { trials: 3, named: vec![difference.clone()] },
        Record::Resynced { worker: "host/1".to_owned(), generation: 2 },
        Record::Checkpoint(Box::new(tumble_core::Checkpoint {
            done: vec![TrialRange::new(0, 4), TrialRange::new(6, 7)],
            failed: 1,
            parts: 2,
            trials_end: u64::MAX,
            eras: vec![tumble_domain::Era { generation: 0, first_trial: 0, candidates: 4 }],
            strategy: vec![1, 2, 3],
            champion: Some(tumble_core::Champion { generation: 1, candidate: 2, fitness: 0.5, genome: vec![1.0, 2.0] }),
            best: Some(0.5),
            bytes_down: 1,
            bytes_up: 2,
            disagreements: 1,
            differing: vec![difference],
            resyncs: 0,
            answer: Some(tumble_core::Answer {
                generation: 1,
                hash: tumble_search::StateHash([3; 16]),
                outcomes: std::sync::Arc::new(tumble_domain::Outcomes {
                    trials: 2,
                    metrics: 1,
                    values: vec![1.0, 2.0],
                    ..tumble_domain::Outcomes::default()
                }),
            }),
        })),
        Record::Given { generation: 2, points: vec![0.5, -1.0].into() },
        Record::PartWritten { part: 1, rows: 4096, bytes: 10_000 },
    ];
    // Without the tag and the number of the check.
    records.iter().map(|record| codec::encode(RUN, record)).map(|b| b[..b.len() - 9].to_vec()).collect()
}

/// The converters of the protocol: packed outcomes and descriptions of pipelines.
pub fn converters(bytes: &[u8]) {
    if let Ok(columns) = outcomes::unpack(bytes) {
        assert_eq!(columns.values.len() as u64, u64::from(columns.trials) * u64::from(columns.metrics));
        let packed = outcomes::pack(&columns);
        assert_eq!(outcomes::pack(&outcomes::unpack(&packed).expect("what was packed is unpacked")), packed);
    }
    if let Ok(wire) = v1::PipelineDescription::decode(bytes)
        && let Ok(description) = describe::from_wire(wire)
    {
        let written = describe::to_wire(&description);
        let read = describe::from_wire(written.clone()).expect("what was written is read");
        // By bytes: a default may be NaN, which is not equal to itself.
        assert_eq!(describe::to_wire(&read).encode_to_vec(), written.encode_to_vec());
    }
}

fn converter_seeds() -> Vec<Vec<u8>> {
    let columns = tumble_domain::Outcomes { trials: 2, metrics: 1, values: vec![1.0, 2.0], ..Default::default() };
    let described = descriptions();
    let described = described.iter().map(|description| describe::to_wire(description).encode_to_vec());
    described.chain([outcomes::pack(&columns)]).collect()
}

/// Run files.
pub fn run_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let pipelines = descriptions();
    let understood = match tumble_runfile::parse(text, "input.toml", &[], &pipelines) {
        Ok(understood) => understood,
        Err(problems) => {
            assert!(problems.to_string().contains("input.toml"), "a problem names the file: {problems}");
            return;
        }
    };
    let written = tumble_runfile::canonical(&understood.spec, &understood.description);
    let read = tumble_runfile::parse(&written, "canonical.toml", &[], &pipelines)
        .unwrap_or_else(|problems| panic!("what was written is not read: {problems}\n{written}"));
    assert_eq!(tumble_runfile::canonical(&read.spec, &read.description), written);
    drop(tumble_runfile::summary(&understood));
    // Maximin looks at every pair of points: one input would take all the time there is.
    let Some(sweep) = understood.spec.plan.sweep() else { return };
    if sweep.points.is_some_and(|points| points > 64) {
        return;
    }
    let design = Design::try_new(sweep, understood.spec.seed).expect("what was understood can be laid out");
    let layout = Layout::of(&understood.spec, design.points());
    assert!(layout.trials() >= design.points());
    for point in [0, design.points() / 2, design.points() - 1] {
        (0..design.axes()).for_each(|axis| drop::<Option<Value>>(design.value(point, axis)));
    }
}

fn run_file_seeds() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let files = std::fs::read_dir(folder).expect("the examples are there").map(|entry| entry.expect("it lists").path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    files.iter().map(|path| std::fs::read(path).expect("an example is read")).collect()
}

/// Candidates that a target makes are no longer than this, for a proposal may say a length without being so long.
const DIMENSION_MAX: usize = 4096;

/// What leads a worker to a generation: proposals, what was told, snapshots. The first byte says which.
pub fn states(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else { return };
    match kind % 3 {
        0 => {
            let Ok(proposal) = Proposal::decode(body) else { return };
            let written = proposal.encode();
            assert_eq!(Proposal::decode(&written).expect("what was written is read").encode(), written);
            make_candidates(&proposal);
        }
        1 => {
            let Ok(told) = Told::decode(body) else { return };
            let written = told.encode();
            assert_eq!(Told::decode(&written).expect("what was written is read").encode(), written);
            assert_eq!(told.candidates(), told.fitness().len());
        }
        _ => {
            // As in `records`: the hash at the end is set right.
            let sealed = [body, &StateHash::of(body).0].concat();
            let Ok(strategy) = strategies::restore(&sealed) else { return };
            assert_eq!(strategy.snapshot(), sealed);
            make_candidates(&strategy.ask());
        }
    }
}

fn make_candidates(proposal: &Proposal) {
    let dimension = proposal.dimension();
    if dimension > DIMENSION_MAX || proposal.candidates() == 0 || proposal.point(0).is_some() {
        return;
    }
    let mut candidate = vec![0.0; dimension];
    for index in [0, proposal.candidates() - 1] {
        proposal.candidate(index, &mut candidate);
    }
}

fn state_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let pipelines = descriptions();
    for description in strategies::all() {
        let text = format!(
            "pipeline = \"benchmark-functions\"\n[config]\nfunction = \"sphere\"\ndimension = 4\n\
             [evolve]\nstrategy = \"{}\"\ngenerations = 4\n",
            description.name
        );
        // Some ask for more than a name; those that do are like others that do not.
        let Ok(understood) = tumble_runfile::parse(&text, "seed", &[], &pipelines) else { continue };
        let Plan::Evolve(evolve) = &understood.spec.plan else { unreachable!("it evolves") };
        let problem = Problem::of(evolve, &understood.inner, &understood.spec.config, understood.spec.seed);
        let problem = problem.expect("it has a genome");
        let mut strategy = strategies::build(evolve, &problem).expect("it can be built");
        let fitness: Vec<Fitness> = (0..strategy.population()).map(|i| Fitness::Scored(-f64::from(i))).collect();
        for _ in 0..2 {
            seeds.push([&[0], &strategy.ask().encode()[..]].concat());
            seeds.push([&[1], &Told::of(strategy.told_as(), &fitness).encode()[..]].concat());
            let snapshot = strategy.snapshot();
            seeds.push([&[2], &snapshot[..snapshot.len() - 16]].concat());
            strategy.tell(&fitness);
        }
    }
    seeds
}
