//! `tumble_tests::strangers::states`, with whatever bytes libFuzzer comes upon.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tumble_tests::strangers::states(bytes));
