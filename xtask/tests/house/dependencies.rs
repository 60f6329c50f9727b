//! What comes in with a dependency: `deny.toml` held against what `cargo metadata` says of the build.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value as Json;

use crate::manifest::Manifest;
use crate::sources::{none, root};
use crate::spdx;

/// A package of the build.
struct Package {
    name: String,
    version: String,
    license: String,
    source: Option<String>,
}

static PACKAGES: LazyLock<Vec<Package>> = LazyLock::new(|| {
    let target = &Manifest::of("deny.toml").texts("graph.targets", "triple")[0];
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", target])
        .current_dir(root())
        .output()
        .expect("cargo runs these tests, so it can be run");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Json = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let nodes = metadata["resolve"]["nodes"].as_array().expect("a list of nodes");
    let built: BTreeSet<&str> = nodes.iter().filter_map(|node| node["id"].as_str()).collect();
    let text = |package: &Json, key: &str| package[key].as_str().map(str::to_owned);
    let packages = metadata["packages"].as_array().expect("a list of packages");
    packages
        .iter()
        .filter(|package| package["id"].as_str().is_some_and(|id| built.contains(id)))
        .map(|package| Package {
            name: text(package, "name").expect("a package has a name"),
            version: text(package, "version").expect("a package has a version"),
            license: text(package, "license").unwrap_or_default(),
            source: text(package, "source"),
        })
        .collect()
});

#[test]
fn every_package_comes_under_a_licence_that_deny_toml_allows() {
    let allowed = Manifest::of("deny.toml").texts("licenses.allow", "");
    for copyleft in ["GPL-2.0", "GPL-3.0", "AGPL-3.0", "LGPL-3.0", "EPL-2.0"] {
        assert!(!allowed.iter().any(|licence| licence.starts_with(copyleft)), "{copyleft} asks more than a notice");
    }
    let refused = PACKAGES.iter().filter(|package| !spdx::accepted(&package.license, &allowed));
    none(refused.map(|p| format!("{} {}: the licence `{}` is not allowed", p.name, p.version, p.license)).collect());
}

#[test]
fn no_package_is_built_in_two_versions_unless_deny_toml_says_why() {
    let deny = Manifest::of("deny.toml");
    let skips = deny.texts("bans.skip", "crate");
    assert_eq!(skips.len(), deny.texts("bans.skip", "reason").len(), "each skip gives its reason");
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in PACKAGES.iter() {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let mut problems = Vec::new();
    let mut used = BTreeSet::new();
    for (name, versions) in &versions {
        let mut left = Vec::new();
        for version in versions {
            let skip = skips.iter().find(|skip| is_skip_of(skip, name, version));
            match skip {
                Some(skip) => drop(used.replace(skip)),
                None => left.push(*version),
            }
        }
        if left.len() > 1 {
            problems.push(format!("{name} is built in the versions {}", left.join(", ")));
        }
    }
    problems.extend(skips.iter().filter(|skip| !used.contains(skip)).map(|skip| {
        format!("deny.toml skips {skip}, which is not built beside another version any more: remove the line")
    }));
    none(problems);
}

/// Whether `crate@1.2` is this crate in a version 1.2 or 1.2.3.
fn is_skip_of(skip: &str, name: &str, version: &str) -> bool {
    skip.split_once('@').is_some_and(|(skipped, prefix)| {
        let rest = version.strip_prefix(prefix);
        skipped == name && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

#[test]
fn no_package_is_banned_or_comes_from_elsewhere() {
    let deny = Manifest::of("deny.toml");
    let banned = deny.texts("bans.deny", "name");
    assert!(["ring", "openssl-sys"].iter().all(|name| banned.iter().any(|banned| banned == name)));
    let registries = deny.texts("sources.allow-registry", "");
    let mut problems = Vec::new();
    for package in PACKAGES.iter() {
        if banned.contains(&package.name) {
            problems.push(format!("{} is banned", package.name));
        }
        // Without a source it is one of the workspace.
        if let Some(source) = &package.source
            && !registries.iter().any(|registry| source.strip_prefix("registry+") == Some(registry))
        {
            problems.push(format!("{} {} comes from {source}", package.name, package.version));
        }
    }
    none(problems);
}
