//! The arrows between rooms, as each `Cargo.toml` has them.

use crate::manifest::Manifest;
use crate::sources::none;

/// A room and what it may use.
struct Room {
    folder: &'static str,
    package: &'static str,
    /// The other rooms.
    rooms: &'static [&'static str],
    /// Crates from outside; `None` where the world may come in.
    crates: Option<&'static [&'static str]>,
}

const DOMAIN: &str = "tumble-domain";
const SEARCH: &str = "tumble-search";
const DERIVE: &str = "tumble-derive";
const PIPELINES: &str = "tumble-pipelines";
const RUNFILE: &str = "tumble-runfile";
const TABLES: &str = "tumble-tables";
const PROTO: &str = "tumble-proto";
const BUNDLE: &str = "tumble-bundle";
const CORE: &str = "tumble-core";
const COORDINATOR: &str = "tumble-coordinator";
const WORKER: &str = "tumble-worker";

/// Every room but those that may use anything and that nothing uses.
const ROOMS: [Room; 12] = [
    Room { folder: "domain", package: DOMAIN, rooms: &[], crates: Some(&[]) },
    // What decides a number that travels is ours, or pinned (`libm`), or a hash.
    Room { folder: "search", package: SEARCH, rooms: &[DOMAIN], crates: Some(&["libm", "blake3", "thiserror"]) },
    // It writes code and computes nothing.
    Room { folder: "derive", package: DERIVE, rooms: &[], crates: Some(&["proc-macro2", "quote", "syn"]) },
    Room {
        folder: "pipelines",
        package: PIPELINES,
        rooms: &[DOMAIN, SEARCH, DERIVE],
        // `miniz_oxide` unpacks the digits.
        crates: Some(&["libm", "miniz_oxide", "thiserror"]),
    },
    Room { folder: "runfile", package: RUNFILE, rooms: &[DOMAIN, SEARCH], crates: None },
    Room { folder: "tables", package: TABLES, rooms: &[DOMAIN], crates: None },
    Room { folder: "proto", package: PROTO, rooms: &[DOMAIN], crates: None },
    Room { folder: "bundle", package: BUNDLE, rooms: &[], crates: Some(&["blake3", "getrandom", "thiserror"]) },
    Room { folder: "coordinator/core", package: CORE, rooms: &[DOMAIN, SEARCH], crates: Some(&[]) },
    // Never the pipelines: a new pipeline needs a new worker, not a new coordinator.
    Room {
        folder: "coordinator",
        package: COORDINATOR,
        rooms: &[DOMAIN, SEARCH, RUNFILE, TABLES, PROTO, BUNDLE, CORE],
        crates: None,
    },
    Room {
        folder: "worker",
        package: WORKER,
        rooms: &[DOMAIN, SEARCH, PIPELINES, RUNFILE, PROTO, BUNDLE],
        crates: None,
    },
    Room {
        folder: "cli",
        package: "tumble-cli",
        rooms: &[DOMAIN, SEARCH, PIPELINES, RUNFILE, TABLES, PROTO, BUNDLE, CORE, COORDINATOR, WORKER],
        crates: None,
    },
];

/// Rooms that use anything, and that no room uses.
const OUTSIDE: [&str; 3] = ["tests", "xtask", "examples/rust-worker"];

#[test]
fn a_room_uses_only_what_its_arrows_allow() {
    let mut problems = Vec::new();
    for room in &ROOMS {
        let manifest = Manifest::of(&format!("{}/Cargo.toml", room.folder));
        // Tests of a room keep to its arrows too: what needs more rooms than that is a test of the whole.
        for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
            for name in manifest.names(section) {
                let ours = name.starts_with("tumble-") || OUTSIDE.iter().any(|folder| folder.ends_with(name.as_str()));
                let allowed = match room.crates {
                    _ if ours => room.rooms.contains(&name.as_str()),
                    // A tool for tests decides no number.
                    Some(crates) if section == "dependencies" => crates.contains(&name.as_str()),
                    _ => true,
                };
                if !allowed {
                    problems.push(format!("{}/Cargo.toml: [{section}] may not have `{name}`", room.folder));
                }
            }
        }
    }
    none(problems);
}

#[test]
fn every_room_stands_in_the_list_and_under_the_workspaces_lints() {
    let workspace = Manifest::of("Cargo.toml");
    let mut problems = Vec::new();
    let members = workspace.texts("workspace.members", "");
    for room in ROOMS.iter().map(|room| room.folder).chain(OUTSIDE) {
        if !members.iter().any(|member| member == room) {
            problems.push(format!("{room} is no member of the workspace"));
        }
    }
    for member in &members {
        let known = ROOMS.iter().any(|room| room.folder == member) || OUTSIDE.contains(&member.as_str());
        if !known {
            problems.push(format!("{member}: a new room is put into this list, with its arrows"));
        }
        let manifest = Manifest::of(&format!("{member}/Cargo.toml"));
        for inherited in ["lints.workspace", "package.license.workspace", "package.publish.workspace"] {
            if !manifest.says(inherited, true) {
                problems.push(format!("{member}/Cargo.toml: `{inherited} = true` is missing"));
            }
        }
    }
    for room in &ROOMS {
        let manifest = Manifest::of(&format!("{}/Cargo.toml", room.folder));
        let name = manifest.get("package.name").and_then(|name| name.as_str());
        if name != Some(room.package) {
            problems.push(format!("{}: the package is {name:?}, not {}", room.folder, room.package));
        }
    }
    let forbids = workspace.get("workspace.lints.rust.unsafe_code").and_then(|level| level.as_str()) == Some("forbid");
    if !forbids {
        problems.push("Cargo.toml: unsafe code is not forbidden".to_owned());
    }
    none(problems);
}
