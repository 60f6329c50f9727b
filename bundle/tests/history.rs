//! Manifests that earlier versions wrote, read in every test run: run folders keep them, and run files name bundles by their hash.

use tumble_bundle::{Hash, Manifest};

#[test]
fn a_manifest_of_version_1_is_read_and_has_the_hash_that_it_had() {
    let text = include_str!("history/v1/manifest.txt");
    let manifest = Manifest::parse(text.as_bytes()).expect("it was one when it was written");
    let known = "05eed0920ae43d6351a7426a91730c8d0182d47594d2dcbc3f295b7f923cbcab";
    assert_eq!((manifest.text().as_str(), manifest.hash()), (text, Hash::parse(known).expect("64 digits")));
    let files: Vec<(&str, u64, bool)> =
        manifest.files().iter().map(|file| (file.path.as_str(), file.length, file.executable)).collect();
    assert_eq!(
        files,
        [("data/a b.csv", 4, false), ("data/é.csv", 0, false), ("model.py", 11, false), ("run.sh", 10, true)]
    );
}
