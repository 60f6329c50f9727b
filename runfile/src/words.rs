//! Words with one meaning each, as run files write them.

use tumble_domain::code::Stdin;
use tumble_domain::{Criterion, OnFailure, StoppingRule, TrialSeeds};

use crate::problem::Notes;
use crate::typed::Written;
use crate::wording::instead_of;

/// `evolve.trial_seeds`.
pub(crate) const TRIAL_SEEDS: [(&str, TrialSeeds); 3] =
    [("fresh", TrialSeeds::Fresh), ("per-generation", TrialSeeds::PerGeneration), ("fixed", TrialSeeds::Fixed)];

/// `limits.on_failure`.
pub(crate) const ON_FAILURE: [(&str, OnFailure); 3] =
    [("worst", OnFailure::Worst), ("drop", OnFailure::Drop), ("abort", OnFailure::Abort)];

/// `program.stdin`.
pub(crate) const STDIN: [(&str, Stdin); 2] = [("none", Stdin::Nothing), ("json", Stdin::Json)];

/// `sweep.criterion`.
pub(crate) const CRITERIA: [(&str, Criterion); 1] = [("maximin", Criterion::Maximin)];

/// `sweep.stopping.rule`.
pub(crate) const RULES: [(&str, StoppingRule); 3] = [
    ("successive-halving", StoppingRule::SuccessiveHalving),
    ("asha", StoppingRule::Asha),
    ("median", StoppingRule::Median),
];

/// What a written word means, or `None` once the problem is noted.
pub(crate) fn word_of<T: Copy>(
    written: &Written<String>,
    name: &str,
    key: &str,
    words: &[(&'static str, T)],
    notes: &mut Notes<'_>,
) -> Option<T> {
    let found = words.iter().find(|(word, _)| *word == written.value).map(|(_, meaning)| *meaning);
    if found.is_none() {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("`{name}` has no choice {:?}", written.value);
        notes.report(&written.at, key, message, instead_of(&written.value, &known));
    }
    found
}

/// The word that means this.
pub(crate) fn word_for<T: PartialEq>(meaning: T, words: &[(&'static str, T)]) -> &'static str {
    words.iter().find(|(_, m)| *m == meaning).map_or("", |(word, _)| word)
}
