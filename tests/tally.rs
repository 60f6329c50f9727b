//! Counts the faults that were survived, for the table of docs/reliability.md.

/// Notes how often a fault was done to what came out right all the same; `cargo xtask reliability` adds up. To be called
/// when all has been compared, and not before. The fault goes by its name in the table.
pub(crate) fn survived(fault: &str, times: u64) {
    use std::io::Write;
    let Some(path) = std::env::var_os("TUMBLE_FAULT_TALLY") else { return };
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("the tally can be written");
    // One write for a line: several tests append at once.
    file.write_all(format!("{times} {fault}\n").as_bytes()).expect("the tally can be written");
}
