//! Safe by default: secrets stay private, and strangers stay out.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::cases::*;
use crate::tally::survived;
use crate::tumble::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn access_files_and_the_state_folder_are_their_owners_alone() {
    let place = Place::new();
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    let state = coordinator.state();
    assert_eq!(mode(state), 0o700);
    for name in ["worker.access", "client.access"] {
        assert_eq!(mode(&state.join(name)), 0o600, "{name}");
    }
    // The same for a run on one machine, whose state lies in a folder that others may be shown.
    place.file("run-file.toml", LONG_SWEEP);
    let _run = place.start("run run-file.toml --quiet --workers 1 --out out");
    let state = place.path().join("out/.tumble");
    under_way(&state, "last", 0.0);
    assert_eq!(mode(&state), 0o700);
    for name in ["worker.access", "client.access"] {
        assert_eq!(mode(&state.join(name)), 0o600, "{name}");
    }
}

#[test]
fn an_access_file_that_others_can_read_is_refused() {
    let place = Place::new();
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    let exposed = |name: &str| {
        let path = coordinator.state().join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        path.display().to_string()
    };
    let (client, worker) = (exposed("client.access"), exposed("worker.access"));
    let problem = |path: &str| {
        format!(
            "error: {path} can be read by others (mode 640); run `chmod 600 {path}`, and make a new secret if in doubt"
        )
    };
    let said = coordinator.client("list").exits(5);
    assert!(said.stderr.starts_with(&problem(&client)), "{said:#?}");
    let said = place.tumble(&format!("worker --access {worker}")).exits(5);
    assert_eq!(said.stderr, format!("{}\n", problem(&worker)));
    // Nor does a coordinator hand a secret on that may have been read.
    coordinator.stop();
    let said = place.tumble("coordinator --state state --out runs --listen 127.0.0.1:0");
    assert_ne!(said.code, Some(0));
    assert!(said.stderr.starts_with(&problem(&worker)), "{said:#?}");
}

const UNKNOWN: &str = "this coordinator does not know you: the access file is missing or of another one";

#[test]
fn a_wrong_secret_opens_nothing() {
    let place = Place::new();
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    let state = coordinator.state().to_owned();
    let access = |name: &str| fs::read_to_string(state.join(name)).expect("it is there");
    let secret = |text: &str| text.split("secret = \"").nth(1).expect("it has one")[..64].to_owned();
    let (workers, clients) = (secret(&access("worker.access")), secret(&access("client.access")));
    assert_ne!(workers, clients);

    let with = |secret: &str| {
        let path = place.file("other.access", &access("client.access").replace(&clients, secret));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    place.file("points.toml", POINTS);
    let nearly = format!("{}{}", &clients[..63], if clients.ends_with('0') { "1" } else { "0" });
    // A made-up secret, an empty one, one that is right but for its end; and that of workers, who may not submit.
    for other in ["0".repeat(64).as_str(), "", &nearly, &workers] {
        let path = with(other);
        for command in ["submit points.toml", "list", "status", "watch", "wait", "cancel", "resume"] {
            if command == "watch" || command == "wait" {
                continue; // they ask `status` first, and are refused there
            }
            let said = place.tumble(&format!("{command} --access {path}")).exits(5);
            assert_eq!(said.stderr, format!("error: {UNKNOWN}\n"), "{command} with {other}");
        }
    }
    for other in ["0".repeat(64).as_str(), "", &clients] {
        let path = with(other);
        let said = place.tumble(&format!("worker --quiet --access {path}")).exits(5);
        let address = &coordinator.address;
        let expected = format!("error: the coordinator at http://{address} refuses this worker: {UNKNOWN}\n");
        assert_eq!(said.stderr, expected, "a worker with {other}");
    }
    assert_eq!(coordinator.client("list --output json").exits(0).json()["runs"], serde_json::json!([]));
}

#[test]
fn a_coordinator_that_other_machines_could_reach_does_not_start() {
    let place = Place::new();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let said = place.tumble(&format!("coordinator --listen {address} --state state --out runs")).exits(2);
        let expected = format!(
            "error: refusing to listen on {address}: connections are not encrypted yet, so other machines must not reach \
             the coordinator; use a loopback address such as 127.0.0.1:4717\n"
        );
        assert_eq!(said.stderr, expected);
    }
    assert!(!place.path().join("state").exists(), "nothing is written");
}

#[test]
fn a_state_folder_has_one_coordinator() {
    let place = Place::new();
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    let before = fs::read(coordinator.state().join("client.access")).unwrap();
    let said = place.tumble("coordinator --listen 127.0.0.1:0 --state state --out runs").exits(2);
    let state = coordinator.state().display();
    let host = nix::unistd::gethostname().expect("it has a name").into_string().expect("it is text");
    let holder = format!("process {} on host {host} holds it and lives", coordinator.id());
    let expected = format!("error: another process uses the state folder {state}: {holder}; stop it first\n");
    assert_eq!((said.stdout.as_str(), said.stderr), ("", expected));
    assert_eq!(
        fs::read(coordinator.state().join("client.access")).unwrap(),
        before,
        "the first one's files are left alone"
    );
    coordinator.client("list").exits(0);
    // An address that is taken is no reason to touch the files either.
    let said = place.tumble(&format!("coordinator --listen {} --state other --out runs", coordinator.address)).exits(2);
    assert!(said.stderr.starts_with(&format!("error: failed to listen on {}: ", coordinator.address)), "{said:#?}");

    // The same for a run that is under way.
    place.file("run-file.toml", LONG_SWEEP);
    let _run = place.start("run run-file.toml --quiet --workers 1 --out out");
    under_way(&place.path().join("out/.tumble"), "last", 0.0);
    let said = place.tumble("run --resume --out out").exits(2);
    assert!(said.stderr.starts_with("error: another process uses the state folder "), "{said:#?}");
    survived("a second coordinator on the same state folder", 1);
}

#[test]
fn where_nobody_listens_clients_and_workers_say_so() {
    let place = Place::new();
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    let (address, state) = (coordinator.address.clone(), coordinator.state().to_owned());
    coordinator.stop();
    let said = place.tumble("status --access state/client.access").exits(5);
    let expected = format!("error: no coordinator answers at http://{address}: ");
    assert!(said.stderr.starts_with(&expected), "{said:#?}");
    let said = place.tumble("worker --patience 1s --quiet --access state/worker.access").exits(5);
    assert!(said.stderr.starts_with(&expected), "{said:#?}");
    fs::remove_file(state.join("client.access")).unwrap();
    let said = place.tumble("status --access state/client.access").exits(5);
    let expected = "error: failed to open the access file state/client.access: No such file or directory (os error 2); \
                    `tumble coordinator` writes it into its state folder (--access names another)\n";
    assert_eq!(said.stderr, expected);
}
