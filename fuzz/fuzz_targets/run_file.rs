//! `tumble_tests::strangers::run_file`, with whatever bytes libFuzzer comes upon.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tumble_tests::strangers::run_file(bytes));
