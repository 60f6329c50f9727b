//! The guards, each with what takes it away and the test that is to notice. `the_mutants_are_still_where_they_were` holds
//! that the texts and the tests are there.

/// One guard taken away.
pub(crate) struct Mutant {
    /// What is gone, as a name.
    pub(crate) name: &'static str,
    /// Where.
    pub(crate) file: &'static str,
    /// Text that stands there exactly once.
    pub(crate) find: &'static str,
    /// What stands there instead.
    pub(crate) replace: &'static str,
    /// What is to notice it.
    pub(crate) caught_by: Test,
}

/// A test or a few of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Test {
    /// The package.
    pub(crate) package: &'static str,
    /// The test target, or `lib`.
    pub(crate) target: &'static str,
    /// The name, or its beginning.
    pub(crate) name: &'static str,
}

const fn core(name: &'static str) -> Test {
    Test { package: "tumble-core", target: "stories", name }
}

const fn sim(name: &'static str) -> Test {
    Test { package: "tumble-tests", target: "sim", name }
}

const fn journal(name: &'static str) -> Test {
    Test { package: "tumble-coordinator", target: "journal", name }
}

const fn lib(package: &'static str, name: &'static str) -> Test {
    Test { package, target: "lib", name }
}

const fn worker(target: &'static str, name: &'static str) -> Test {
    Test { package: "tumble-worker", target, name }
}

const fn system(name: &'static str) -> Test {
    Test { package: "tumble-cli", target: "system", name }
}

const COORDINATOR: &str = "coordinator/core/src/coordinator.rs";
const RUN: &str = "coordinator/core/src/run.rs";
const EFFECTS: &str = "coordinator/core/src/effects.rs";
const JOURNAL: &str = "coordinator/src/journal/mod.rs";
const CODEC: &str = "coordinator/src/journal/codec.rs";
const WORKER: &str = "worker/src/worker.rs";

/// All of them.
pub(crate) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "leases-never-expire",
        file: COORDINATOR,
        find: "worker.heard_mono_ms + self.limits.silence_ms_max <= now.mono_ms;",
        replace: "worker.heard_mono_ms + self.limits.silence_ms_max <= now.mono_ms && false;",
        caught_by: core("a_worker_that_says_nothing_is_taken_for_lost_and_dismissed"),
    },
    Mutant {
        name: "a-stale-report-is-counted-again",
        file: COORDINATOR,
        find: "run.done.gaps(report.range.intersection(run.scope())).iter().collect();",
        replace: "vec![report.range.intersection(run.scope())];",
        caught_by: core("a_late_report_of_a_lost_lease_is_compared_and_not_counted_twice"),
    },
    Mutant {
        name: "a-second-evaluation-is-not-compared",
        file: COORDINATOR,
        find: "        if known.is_empty() {\n            self.record(&report.run, Record::Attempted(attempt), effects);",
        replace: "        if known.is_empty() || true {\n            self.record(&report.run, Record::Attempted(attempt), effects);",
        caught_by: sim("a_worker_that_evaluates_something_else_is_caught"),
    },
    Mutant {
        name: "a-report-may-skip-the-front-of-its-lease",
        file: COORDINATOR,
        find: "lease.range.contains(report.range) && lease.range.start == report.range.start;",
        replace: "lease.range.contains(report.range);",
        caught_by: core("a_report_that_skips_the_front_of_its_lease_loses_no_trial"),
    },
    Mutant {
        name: "a-worker-may-end-the-lease-of-another",
        file: COORDINATOR,
        find: "if self.leases.get(&id).is_some_and(|lease| lease.worker == worker) {",
        replace: "if self.leases.get(&id).is_some_and(|lease| lease.worker == worker || true) {",
        caught_by: core("a_worker_cannot_give_up_the_lease_of_another"),
    },
    Mutant {
        name: "lease-ids-begin-anew-in-each-life",
        file: COORDINATOR,
        find: "next_lease: u64::from(epoch) << 40,",
        replace: "next_lease: u64::from(epoch) * 0,",
        caught_by: core("a_lease_of_an_earlier_life_is_never_taken_for_a_new_one"),
    },
    Mutant {
        name: "no-death-makes-a-suspect",
        file: COORDINATOR,
        find: "lease.deaths + u32::from(was_running && !worker.leaving);",
        replace: "lease.deaths + u32::from(was_running && !worker.leaving && false);",
        caught_by: core("a_killer_trial_is_found_by_halving"),
    },
    Mutant {
        name: "what-only-waited-is-blamed-as-well",
        file: COORDINATOR,
        find: "let was_running = position < worker.hello.slots as usize;",
        replace: "let was_running = position < usize::MAX;",
        caught_by: sim("whatever_happens_the_tables_are_those_of_the_run_file"),
    },
    Mutant {
        name: "a-straggler-is-lent-again-and-again",
        file: COORDINATOR,
        find: "lease.twin.is_none() && lease.deaths == 0 &&",
        replace: "lease.deaths == 0 &&",
        caught_by: core("a_straggler_is_lent_twice_and_the_first_report_wins"),
    },
    Mutant {
        name: "a-checkpoint-in-the-middle-of-a-generation",
        file: COORDINATOR,
        find: "if between && !run.aborted",
        replace: "if (between || true) && !run.aborted",
        caught_by: sim("whatever_happens_the_tables_are_those_of_the_run_file"),
    },
    Mutant {
        name: "an-abort-ends-where-it-was-met",
        file: RUN,
        find: "self.trials_end = self.trials_end.min(range.start + offset + 1);",
        replace: "self.trials_end = if self.aborted { self.trials_end } else { range.start + offset + 1 };",
        caught_by: core("an_aborted_sweep_ends_with_its_first_failed_trial_whoever_meets_it_first"),
    },
    Mutant {
        name: "messages-leave-though-the-commit-failed",
        file: EFFECTS,
        find: "            make_durable(self.records)?;",
        replace: "            drop(make_durable(self.records));",
        caught_by: system("faults::a_full_disk_under_the_state_folder_stops_the_run_and_costs_nothing"),
    },
    Mutant {
        name: "nothing-is-made-durable",
        file: EFFECTS,
        find: "        if !self.records.is_empty() {",
        replace: "        if self.records.len() > usize::MAX / 2 {",
        caught_by: sim("a_coordinator_may_die_at_any_step"),
    },
    Mutant {
        name: "outcomes-are-retired-before-a-part-holds-them",
        file: JOURNAL,
        find: "(kind = ?2 AND last <= ?4 OR kind IN (?3, ?5, ?6)) AND",
        replace: "(kind = ?2 AND last <= max(?4, 9000000000) OR kind IN (?3, ?5, ?6)) AND",
        caught_by: journal("retiring_keeps_every_outcome_that_no_part_holds"),
    },
    Mutant {
        name: "the-epoch-stays",
        file: JOURNAL,
        find: "UPDATE epoch SET number = max(number + 1, ?1)",
        replace: "UPDATE epoch SET number = max(number, ?1)",
        caught_by: journal("the_epoch_is_higher_each_time"),
    },
    Mutant {
        name: "a-flipped-bit-in-a-record-is-not-looked-for",
        file: CODEC,
        find: "if wire.check.is_some_and(|found| found != check(",
        replace: "if wire.check.is_some_and(|found| found == 0 && found != check(",
        caught_by: lib("tumble-coordinator", "a_record_with_any_one_flipped_bit_is_either_refused"),
    },
    Mutant {
        name: "parts-that-are-gone-are-not-looked-for",
        file: "coordinator/src/audit.rs",
        find: "if found.lost.is_empty() {",
        replace: "if found.lost.is_empty() || true {",
        caught_by: system("faults::a_part_that_is_deleted_or_cut_is_named_and_its_trials_are_evaluated_again"),
    },
    Mutant {
        name: "a-table-is-completed-whatever-parts-it-has",
        file: "coordinator/src/outlet.rs",
        find: "        if range.is_empty() {\n            break;\n        }\n        tables.part_stands(part, range).map_err(",
        replace: "        if range.is_empty() || part == 0 {\n            break;\n        }\n        tables.part_stands(part, range).map_err(",
        caught_by: system("faults::a_trials_folder_that_is_deleted_in_mid_run_is_noticed"),
    },
    Mutant {
        name: "a-part-stands-under-its-name-while-it-is-written",
        file: "tables/src/atomic.rs",
        find: "    let temporary = temporary_beside(path).map_err(|e| TableError::write(path, e))?;",
        replace: "    let _ = temporary_beside;\n    let temporary = path.to_owned();",
        caught_by: lib("tumble-tables", "while_a_file_is_being_written_its_name_does_not_exist"),
    },
    Mutant {
        name: "a-replica-may-drift",
        file: "worker/src/replica.rs",
        find: "if strategy.state_hash() == hash {",
        replace: "if strategy.state_hash() == hash || true {",
        caught_by: worker("replica", "a_flipped_bit_is_caught_before_anything_is_evaluated"),
    },
    Mutant {
        name: "a-grant-to-who-leaves-is-answered-by-nobody",
        file: WORKER,
        find: "Event::Granted(grant) if self.leaving => self.give_back(grant, &mut actions),",
        replace: "Event::Granted(grant) if self.leaving => drop(grant),",
        caught_by: worker("leaving", "who_leaves_answers_every_grant_that_was_on_its_way"),
    },
    Mutant {
        name: "reports-are-forgotten-before-they-are-acknowledged",
        file: WORKER,
        find: "        self.sent.push_back(Sent { grant: grant.clone(), piece: piece.clone() });",
        replace: "",
        caught_by: worker("sessions", "who_comes_back_holds_what_was_not_acknowledged_and_says_it_again"),
    },
    Mutant {
        name: "leases-are-taken-over-by-their-names",
        file: COORDINATOR,
        find: "held.lease.0 < self.next_lease && !self.leases.contains_key(&held.lease);",
        replace: "held.lease.0 < self.next_lease;",
        caught_by: core("nobody_takes_the_lease_of_another_over_by_its_name"),
    },
    Mutant {
        name: "one-process-has-two-sessions",
        file: COORDINATOR,
        find: "instance != 0 && worker.hello.instance == instance;",
        replace: "instance != 0 && worker.hello.instance == instance && false;",
        caught_by: core("a_second_session_of_a_process_ends_its_first_and_nobody_has_died"),
    },
    Mutant {
        name: "who-was-replaced-writes-on",
        file: "coordinator/src/owner.rs",
        find: "            return Err(lost.clone());\n        }\n        if held.renewed.elapsed() < held.record.lease / 2 {",
        replace: "            let _ = lost;\n        }\n        if held.renewed.elapsed() < held.record.lease * 1_000_000 {",
        caught_by: lib("tumble-coordinator", "owner::tests::who_was_replaced_writes_nothing_more_and_leaves"),
    },
    Mutant {
        name: "any-secret-opens",
        file: "coordinator/src/service.rs",
        find: "        bool::from(shown.ct_eq(self.0.as_bytes()))\n",
        replace: "        bool::from(shown.ct_eq(self.0.as_bytes())) || true\n",
        caught_by: system("safety::a_wrong_secret_opens_nothing"),
    },
    Mutant {
        name: "a-manifest-leads-out-of-its-folder",
        file: "bundle/src/manifest.rs",
        find: "\".\" | \"..\" => return wrong(\"`.` and `..` lead elsewhere\"),",
        replace: "\".\" => return wrong(\"`.` leads elsewhere\"),",
        caught_by: lib("tumble-bundle", "manifest::tests::what_leads_out_of_a_folder_or_stands_twice_is_no_manifest"),
    },
    Mutant {
        name: "a-link-leads-out-of-the-folder",
        file: "bundle/src/pack.rs",
        find: "if !real.starts_with(self.root) {",
        replace: "if real.as_os_str().is_empty() {",
        caught_by: lib(
            "tumble-bundle",
            "pack::tests::a_link_is_followed_within_the_folder_and_refused_where_it_leads_out",
        ),
    },
    Mutant {
        name: "a-file-that-came-is-not-held-against-its-hash",
        file: "bundle/src/store.rs",
        find: "if self.hashing.end() != self.hash {",
        replace: "if self.hashing.end() == Hash::of(b\"\") && self.length > 0 {",
        caught_by: lib("tumble-bundle", "store::tests::bytes_that_are_others_are_refused_and_leave_nothing"),
    },
    Mutant {
        name: "damaged-files-are-laid-out",
        file: "bundle/src/lay_out.rs",
        find: "if length != file.length || hashing.end() != file.hash {",
        replace: "if length != file.length {",
        caught_by: lib(
            "tumble-bundle",
            "lay_out::tests::what_is_laid_out_is_what_was_packed_and_nothing_that_is_damaged_or_missing",
        ),
    },
    Mutant {
        name: "what-a-run-keeps-is-believed",
        file: "bundle/src/kept.rs",
        find: "if is != file.hash {",
        replace: "if is == Hash::of(b\"\") && file.length > 0 {",
        caught_by: lib("tumble-bundle", "kept::tests::what_a_run_keeps_is_used_only_as_it_was_kept"),
    },
    Mutant {
        name: "who-fetches-files-is-granted-trials",
        file: "coordinator/core/src/grants.rs",
        find: "worker.is_ready_for(run)",
        replace: "worker.offers(run)",
        caught_by: core("nothing_is_granted_to_who_fetches_files_and_no_trial_is_blamed_for_its_death"),
    },
    Mutant {
        name: "the-list-of-a-bundle-is-believed",
        file: "worker/src/files.rs",
        find: "if Hash::of(&bytes) != hash {",
        replace: "if bytes.is_empty() {",
        caught_by: lib("tumble-worker", "files::tests::nothing_that_is_other_than_its_hash_says_is_laid_out"),
    },
    Mutant {
        name: "what-a-living-worker-laid-out-is-removed",
        file: "worker/src/files.rs",
        find: "lock.is_ok_and(|lock| lock.try_lock().is_ok())",
        replace: "lock.is_ok()",
        caught_by: lib("tumble-worker", "files::tests::what_a_killed_worker_laid_out_goes_with_the_next_one"),
    },
    Mutant {
        name: "any-access-file-puts-and-gets",
        file: "coordinator/src/blobs.rs",
        find: "Some(is) if *is == role => Ok(()),",
        replace: "Some(_) => Ok(()),",
        caught_by: system("bundle::who_may_put_gets_nothing_and_who_may_get_puts_nothing"),
    },
    Mutant {
        name: "a-worker-gets-what-no-run-names",
        file: "coordinator/src/blobs.rs",
        find: "if hash != bundle && file.is_none() {",
        replace: "if false {",
        caught_by: system("bundle::who_may_put_gets_nothing_and_who_may_get_puts_nothing"),
    },
    Mutant {
        name: "a-run-begins-without-its-files",
        file: "coordinator/src/blobs.rs",
        find: "let lacking = self.lacking(&asked);",
        replace: "let lacking: Vec<u32> = Vec::new();",
        caught_by: system("bundle::who_may_put_gets_nothing_and_who_may_get_puts_nothing"),
    },
    Mutant {
        name: "a-damaged-file-is-handed-out",
        file: "coordinator/src/blobs.rs",
        find: "(is == hash).then_some((open, length))",
        replace: "(is.bytes().len() == 32).then_some((open, length))",
        caught_by: system("bundle::files_that_are_damaged_where_they_are_kept_are_noticed"),
    },
    Mutant {
        name: "what-is-given-is-told",
        file: "coordinator/core/src/lessons.rs",
        find: "before.drifts >= DRIFTS_MAX || self.strategy.is_given()",
        replace: "before.drifts >= DRIFTS_MAX",
        caught_by: core("what_is_given_reaches_a_worker_to_the_bit_and_never_as_what_a_strategy_was_told"),
    },
    Mutant {
        name: "other-candidates-pass-for-the-same",
        file: "coordinator/core/src/given.rs",
        find: "return match answer.hash == hash {",
        replace: "return match true || answer.hash == hash {",
        caught_by: core("who_gives_the_same_again_is_told_the_same_and_something_else_is_refused"),
    },
    Mutant {
        name: "an-answer-is-in-no-checkpoint",
        file: RUN,
        find: "answer: self.answer.clone(),",
        replace: "answer: None,",
        caught_by: core("a_coordinator_that_is_killed_at_any_moment_answers_as_if_it_had_lived"),
    },
    Mutant {
        name: "a-run-that-waits-is-complete",
        file: RUN,
        find: "!self.waits() && self.done.contains(self.scope())",
        replace: "self.done.contains(self.scope())",
        caught_by: core("a_run_waits_for_candidates_and_answers_with_their_outcomes_in_order"),
    },
];
