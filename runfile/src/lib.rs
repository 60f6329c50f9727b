//! Run files: from TOML to a validated run, and back to TOML with every default filled in.
//!
//! The way of a file: [`parse`] reads the text into a tree of values with their places (`tree`), lays the points of a file
//! into it (`points`), types it (`typed`), finds out what it means (`meant`, `evolve`, `axes`, `conditions`, `sweep`, `stopping`), and
//! gives either the run or every problem at once. A run of the user's own code says itself what it takes and gives (`program`).
//! [`canonical`] writes a run back, and [`summary`] says how large it is. This room knows pipelines by their
//! descriptions alone: the caller passes those it has.

mod axes;
mod bundle;
mod bytes;
mod canonical;
mod conditions;
mod duration;
mod evolve;
mod keys;
mod meant;
mod points;
mod problem;
mod program;
mod python;
mod settings;
mod shape;
mod stopping;
mod sweep;
mod tree;
mod typed;
mod wording;
mod words;

use tumble_domain::{PipelineDescription, RunSpec};

pub use bundle::{Pack, PackError, bundle_hash_of};
pub use bytes::{BytesError, parse_bytes};
pub use canonical::canonical;
pub use duration::{DurationError, format_duration, parse_duration};
pub use keys::{KEYS, Key};
pub use meant::RESERVED_COLUMNS;
pub use points::{POINTS_BYTES_MAX, Points, ReadPoints};
pub use problem::{Place, Problem, Problems};
pub use program::open_pipelines;
pub use python::{Ask, AskError, Asked, AskedDefault, AskedParameter, Question};
pub use shape::{Branch, Column, ColumnKind, Rung, Shape, summary};

use problem::Notes;
use typed::Typed;

/// One `--set key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The dotted path, such as `evolve.sigma`.
    pub key: String,
    /// A TOML value, or a bare word that is taken as text.
    pub value: String,
}

/// A run file that makes sense.
#[derive(Clone, Debug, PartialEq)]
pub struct Understood {
    /// The run.
    pub spec: RunSpec,
    /// What the tables record: the pipeline, or for a sweep of evolutions [`PipelineDescription::nested`], whose metrics
    /// are those of a whole evolution.
    pub description: PipelineDescription,
    /// The pipeline itself: what one evaluation takes and gives. The same as `description` but for a sweep of
    /// evolutions.
    pub inner: PipelineDescription,
    /// What is allowed and yet may not be meant; a sentence each.
    pub warnings: Vec<String>,
}

/// Reads a run file with its overrides, and checks it against these pipelines.
///
/// `file_name` is what problems call the file. All problems of one pass are reported together; where the text is no
/// TOML, those of the syntax alone.
pub fn parse(
    text: &str,
    file_name: &str,
    overrides: &[Override],
    pipelines: &[PipelineDescription],
) -> Result<Understood, Problems> {
    let read = |_: &str| Err("a run that travels has its points in itself".to_owned());
    parse_with_points(text, file_name, overrides, pipelines, &read)
}

/// As [`parse`], of a run file that may name a file of points, which `read` reads. In the run that is understood their
/// values are listed, so that its canonical text needs no file.
pub fn parse_with_points(
    text: &str,
    file_name: &str,
    overrides: &[Override],
    pipelines: &[PipelineDescription],
    read: ReadPoints<'_>,
) -> Result<Understood, Problems> {
    parse_asking(text, file_name, overrides, pipelines, read, None)
}

/// As [`parse_with_points`], of a run file that may name a Python function, which `ask` asks what it takes and gives. In the run
/// that is understood its defaults and its metrics are written, so that its canonical text needs no interpreter.
pub fn parse_asking(
    text: &str,
    file_name: &str,
    overrides: &[Override],
    pipelines: &[PipelineDescription],
    read: ReadPoints<'_>,
    ask: Option<Ask<'_>>,
) -> Result<Understood, Problems> {
    parse_packing(text, file_name, overrides, pipelines, read, ask, None)
}

/// As [`parse_asking`], of a run file that may name files that travel with it, which `pack` looks at. In the run that is understood
/// their hash is written.
pub fn parse_packing(
    text: &str,
    file_name: &str,
    overrides: &[Override],
    pipelines: &[PipelineDescription],
    read: ReadPoints<'_>,
    ask: Option<Ask<'_>>,
    pack: Option<Pack<'_>>,
) -> Result<Understood, Problems> {
    let mut notes = Notes::new(text, file_name, overrides);
    let understood = tree::read(text, overrides, &mut notes).and_then(|mut root| {
        points::lay_in(&mut root, read, &mut notes);
        if let Some(pack) = pack {
            bundle::lay_in(&mut root, pack, &mut notes);
        }
        if let Some(ask) = ask {
            python::lay_in(&mut root, ask, &mut notes);
        }
        if !notes.is_clean() {
            return None;
        }
        let typed = Typed::of(&root, &mut notes);
        meant::understand(&typed, pipelines, &mut notes)
    });
    match understood {
        Some(understood) => Ok(understood),
        None => Err(notes.into_problems()),
    }
}
