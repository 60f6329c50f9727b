//! How much memory there is for strategies.

use std::path::Path;

/// What strategies may need in this process: what the user says, else what there is.
pub fn limit(given: Option<u64>) -> u64 {
    given.or_else(available).unwrap_or(u64::MAX)
}

/// A number of bytes as people write it: `16G`, `512MiB`, `1000000`.
pub fn parse(text: &str) -> Result<u64, String> {
    tumble_runfile::parse_bytes(text).map_err(|error| error.to_string())
}

/// The memory of this machine, or of the cgroup that this process is in where that is less.
fn available() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let group = std::fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| group_limit(&text));
    machine.into_iter().chain(group).min()
}

/// `MemTotal` of /proc/meminfo, which counts in KiB.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The least limit among a cgroup and those it lies in; both versions of cgroups are looked at.
fn group_limit(cgroup: &str) -> Option<u64> {
    let limits = cgroup.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|c| c == "memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return Vec::new(),
        };
        let inside = Path::new(root).join(path.trim_start_matches('/'));
        inside.ancestors().take_while(|folder| folder.starts_with(root)).map(|folder| folder.join(file)).collect()
    });
    // Without a limit the file says `max`, which is no number.
    limits.filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_and_its_groups_are_asked() {
        assert_eq!(total("MemTotal:       24117248 kB\nMemFree: 1 kB\n"), Some(24_117_248 * 1024));
        assert_eq!(total("nothing of the kind"), None);
        assert_eq!(group_limit("nonsense\n1:cpu:/x\n"), None);
        assert!(limit(None) > 1 << 20);
        assert_eq!(limit(Some(7)), 7);
    }
}
