//! What has to be true when a story is over.

use tumble_core::{GenerationRow, Reason, RunId};

use crate::reference::{parts, reference};
use crate::world::World;

impl World {
    /// Panics unless every run has the tables of its reference, and nothing is left over.
    pub(crate) fn verify(&self) {
        for run in 0..self.runs.len() {
            self.verify_tables(run);
        }
        let core = self.core();
        assert!(core.leases().is_empty(), "leases are left over: {:?}", core.leases());
        for (id, worker) in core.roster() {
            assert!(worker.known.is_empty() && worker.leases.is_empty() && !worker.quarantined, "{id:?}: {worker:?}");
            assert!(worker.refused.is_empty(), "{id:?} is remembered not to evaluate what has ended: {worker:?}");
        }
        let heard = self.left.difference(&self.given_up);
        let lost: Vec<_> = heard.filter(|worker| self.disk.journal.losers.contains(*worker)).collect();
        assert!(lost.is_empty(), "who leaves in order loses nothing: {lost:?}");
        if self.lies == 0 {
            assert_eq!(core.refused_reports(), 0, "reports of honest workers were refused");
        }
    }

    fn verify_tables(&self, run: usize) {
        let id = self.id(run);
        let file = &self.runs[run].file;
        let expected = reference(file);
        let (cuts, trials) = self.disk.tables.trials(id);
        let completion = self.disk.tables.completion(id).unwrap_or_else(|| panic!("`{id}` has no last tables"));
        assert_eq!(completion.reason, self.reason(run), "the tables of `{id}` and its state say the same");
        let answered = self.answered(run);
        if let Some(difference) = answered.difference(&expected.trials.first(answered.len())) {
            panic!("what the client of `{id}` was told differs from its reference: {difference}");
        }
        let (rows, generations) = if completion.reason == Reason::Cancelled {
            // How far it came is chance, what it came to is not.
            let generations = completion.generations.len();
            assert!(generations <= expected.generations.len(), "`{id}` went further than its reference");
            let whole = expected.generations[..generations].last().map_or(0, |row| row.evaluations);
            assert!(trials.len() >= whole, "`{id}` has generations whose trials are not in the table");
            (expected.trials.first(trials.len()), &expected.generations[..generations])
        } else {
            assert_eq!(completion.reason, expected.reason, "why `{id}` ended");
            let champion = expected.champion.as_ref();
            assert_eq!(completion.champion.as_ref(), champion, "the champion of `{id}`");
            (expected.trials, &expected.generations[..])
        };
        if let Some(difference) = trials.difference(&rows) {
            panic!("the trials table of `{id}` differs from its reference: {difference}\n{}", file.toml("it"));
        }
        let bits: Vec<_> = completion.generations.iter().map(bits).collect();
        assert_eq!(bits, generations.iter().map(self::bits).collect::<Vec<_>>(), "the generations of `{id}`");
        assert_eq!(cuts, parts(file, trials.len()), "where the trials table of `{id}` is cut");
        self.verify_journal(id, trials.len());
    }

    fn verify_journal(&self, id: &RunId, rows: u64) {
        let scored = self.disk.journal.scored(id);
        let written = scored.first().filter(|first| first.start == 0).map_or(0, |first| first.end);
        assert!(rows <= written, "`{id}` has rows that were never durable");
        // Its submission, its last checkpoint, its ending and its end.
        let records = self.disk.journal.len(id);
        assert!(records == 4 || self.epoch > 1, "the journal keeps {records} records of `{id}`, which is over");
    }
}

/// A row of the generations table to the bit; NaN is itself here.
fn bits(row: &GenerationRow) -> (u32, u64, u64, Vec<u64>, Option<u32>, String) {
    let numbers = [row.best, row.mean].into_iter().chain(row.quantiles).chain(row.scalars.iter().copied());
    let numbers = numbers.map(f64::to_bits).collect();
    (row.generation, row.evaluations, row.failed, numbers, row.best_candidate, row.state_hash.to_string())
}
