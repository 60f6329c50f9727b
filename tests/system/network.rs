//! Real networks: a network namespace for each host, wires between them, and what goes wrong with wires.
//!
//! A coordinator listens on loopback alone, and a host's loopback is its own. So every host has a tunnel, as `ssh -L` makes
//! one, from its loopback to the coordinator's. The tunnels' connections cross the wires: cuts and losses hit those.
//!
//! The namespaces have no names: they are gone when the last who is within them is, however the test ends.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use serde_json::Value as Json;

use crate::cases::*;
use crate::tally::survived;
use crate::tumble::*;

/// Each way.
const DELAY: Duration = Duration::from_millis(10);
/// Of the packets of each way.
const LOSS: f64 = 0.03;
/// Every host has ports of its own.
const PORT: u16 = 4717;

/// One machine as far as its network goes.
struct Host {
    namespace: File,
}

impl Host {
    /// One whose loopback is up, and no more; or why there can be none.
    fn new() -> Result<Host, String> {
        let made = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|error| format!("a network namespace is refused: {error}"))?;
            let namespace = File::open("/proc/thread-self/ns/net").map_err(|error| error.to_string())?;
            does("ip link set lo up")?;
            Ok(Host { namespace })
        });
        made.join().expect("it does not panic")
    }

    /// Does something on this host; what it starts stays there.
    fn within<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                setns(&self.namespace, CloneFlags::CLONE_NEWNET).expect("the namespace is ours");
                what()
            });
            there.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a command on this host.
    #[track_caller]
    fn does(&self, line: &str) -> String {
        self.within(|| does(line)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// How many packets have been dropped in a chain of this host's rules, by those that lose some or by those that cut.
    fn dropped(&self, chain: &str, by_loss: bool) -> u64 {
        let table = self.does(&format!("iptables -w -nvxL {chain}"));
        let rules = table.lines().filter(|line| line.contains("DROP") && line.contains("statistic") == by_loss);
        let counts = rules.map(|line| line.split_whitespace().next().and_then(|count| count.parse::<u64>().ok()));
        counts.map(|count| count.expect("a rule's packets are counted")).sum()
    }
}

/// Runs a command to its end, and gives what it said; or what it complained of.
fn does(line: &str) -> Result<String, String> {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().expect("a line has words"));
    let output = command.args(words).output().map_err(|error| format!("`{line}` cannot be run: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("`{line}` is refused: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// The coordinator's host, and those of the workers, each at the end of a wire of its own.
struct Network {
    centre: Host,
    hosts: Vec<Host>,
}

impl Network {
    /// Of so many hosts. `None`, and a word about it, where it cannot be made.
    fn of(hosts: u8) -> Option<Network> {
        let made = Network::made(hosts);
        made.inspect_err(|why| eprintln!("skipped: {why}")).ok()
    }

    fn made(count: u8) -> Result<Network, String> {
        let centre = Host::new()?;
        centre.within(|| does("iptables -w -S"))?;
        let mut hosts = Vec::new();
        for k in 1..=count {
            let host = Host::new()?;
            // A wire's ends are made in their namespaces, so that no name is taken outside.
            let there = format!("/proc/{}/fd/{}", std::process::id(), host.namespace.as_raw_fd());
            centre.within(|| does(&format!("ip link add wire{k} type veth peer name wire netns {there}")))?;
            for (host, end, address) in [(&centre, format!("wire{k}"), 1), (&host, "wire".to_owned(), 2)] {
                let rule = format!("INPUT -i {end} -m statistic --mode random --probability {LOSS} -j DROP");
                host.within(|| {
                    does(&format!("ip address add 10.0.{k}.{address}/24 dev {end}"))?;
                    does(&format!("ip link set {end} up"))?;
                    does(&format!("iptables -w -A {rule}"))
                })?;
            }
            let loopback = SocketAddr::from(([127, 0, 0, 1], PORT));
            let wire = SocketAddr::from(([10, 0, k, 1], PORT));
            centre.within(|| tunnel(wire, loopback));
            host.within(|| tunnel(loopback, wire));
            hosts.push(host);
        }
        Ok(Network { centre, hosts })
    }

    /// Cuts one way of the wire to host `k`, counted from 1: what comes from it, or what goes to it.
    fn cut(&self, k: usize, way: Way) {
        self.centre.does(&format!("iptables -w -I {} wire{k} -j DROP", way.rule()));
    }

    fn mend(&self, k: usize, way: Way) {
        self.centre.does(&format!("iptables -w -D {} wire{k} -j DROP", way.rule()));
    }

    /// How many packets were lost, besides those of cuts.
    fn lost(&self) -> u64 {
        self.hosts.iter().chain([&self.centre]).map(|host| host.dropped("INPUT", true)).sum()
    }
}

/// A way of a wire, seen from the coordinator.
#[derive(Clone, Copy)]
enum Way {
    Up,
    Down,
}

impl Way {
    fn rule(self) -> &'static str {
        match self {
            Way::Up => "INPUT -i",
            Way::Down => "OUTPUT -o",
        }
    }
}

/// Carries connections from an address of this host to another address, for as long as the test lives.
fn tunnel(from: SocketAddr, to: SocketAddr) {
    let listener = TcpListener::bind(from).expect("the host is ours, with all its ports");
    // A thread is in the namespace of the thread that starts it.
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            std::thread::spawn(move || {
                // Nobody there, or a cut: whoever asked is hung up on, and tries again.
                let Ok(far) = TcpStream::connect_timeout(&to, Duration::from_secs(2)) else { return };
                let both = || Some((near.try_clone().ok()?, far.try_clone().ok()?));
                let Some((near_too, far_too)) = both() else { return };
                // The wire's two ends each delay what they send over it, so that each way is delayed once.
                let over_wire = !to.ip().is_loopback();
                std::thread::spawn(move || carry(far_too, near_too, !over_wire));
                carry(near, far, over_wire);
            });
        }
    });
}

/// Carries what comes from one connection into another, until either ends.
fn carry(mut from: TcpStream, to: TcpStream, delayed: bool) {
    let _ = to.set_nodelay(true);
    let (send, chunks) = sync_channel::<(Instant, Vec<u8>)>(256);
    let ends = from.try_clone();
    let writer = std::thread::spawn(move || {
        let mut to = to;
        for (due, bytes) in chunks {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                // Nothing can be said to that side any more: the other must not go on talking.
                let _ = ends.map(|from| from.shutdown(Shutdown::Both));
                return;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let due = Instant::now() + if delayed { DELAY } else { Duration::ZERO };
        if send.send((due, buffer[..read].to_vec())).is_err() {
            break;
        }
    }
    drop(send);
    let _ = writer.join();
}

/// Runs it on two hosts whose wires delay and lose, are cut one way for a moment, and are cut for longer than the
/// coordinator waits for anybody. The tables are those of a run on one machine.
fn survives_its_network(run_file: &str, trials: u64) {
    let Some(network) = Network::of(2) else { return };
    let place = Place::new();
    let calm = calm(&place, run_file);
    let centre = &network.centre;
    let coordinator = centre.within(|| Coordinator::start(&place, &format!("127.0.0.1:{PORT}")));
    let workers: Vec<Process> = network.hosts.iter().map(|host| host.within(|| coordinator.worker())).collect();
    let run = centre.within(|| coordinator.submit("run-file.toml"));
    let look = || -> Json {
        let view = centre.within(|| coordinator.client(&format!("status {run} --output json"))).exits(0).json();
        assert!(view["state"] == "running" || view["state"] == "waiting", "the run is over already: {view:#}");
        view
    };
    let done = || look()["trials_done"].as_u64().expect("it counts");
    let all_are_there = || {
        until("both hosts' workers are there", || {
            let list = centre.within(|| coordinator.client("list --output json")).exits(0).json();
            (list["workers"] == 2).then_some(())
        });
    };
    let goes_on_from = |before: u64| until("the run goes on", || (done() > before).then_some(()));

    all_are_there();
    goes_on_from(0);

    // Shorter than the silence that the coordinator puts up with, unless the machine has no time for this.
    let cuts = [(1, Way::Up), (2, Way::Down)];
    cuts.iter().for_each(|(k, way)| network.cut(*k, *way));
    until("both cuts are felt", || {
        ["INPUT", "OUTPUT"].iter().all(|chain| centre.dropped(chain, false) >= 2).then_some(())
    });
    let before = done();
    cuts.iter().for_each(|(k, way)| network.mend(*k, *way));
    goes_on_from(before);

    // Longer: one wire swallows everything, the other is unplugged.
    [Way::Up, Way::Down].into_iter().for_each(|way| network.cut(1, way));
    centre.does("ip link set wire2 down");
    until("the coordinator has given both up", || {
        let view = look();
        (view["state"] == "waiting" && view["reason"] == "no worker has joined").then_some(())
    });
    let before = done();
    [Way::Up, Way::Down].into_iter().for_each(|way| network.mend(1, way));
    centre.does("ip link set wire2 up");
    all_are_there();

    // Whoever was there first may have done it all by now.
    let standing = || centre.within(|| standing(coordinator.state(), &run)).expect("the coordinator answers");
    let ended = until_end(
        "the run",
        || {
            Some(standing())
                .filter(|view| !["running", "waiting", "finishing"].map(Json::from).contains(&view["state"]))
        },
        || standing()["trials_done"].as_u64(),
    );
    assert_eq!((&ended["state"], &ended["trials_failed"]), (&"finished".into(), &0.into()), "{ended:#}");
    assert!(before < trials, "nothing was left to do when the wires were mended");
    let folder = place.path().join("runs").join(&run);
    assert_same(&results(&folder), &calm, "over wires that were cut");
    assert_each_trial_once(&folder, trials);
    assert_eq!(summary(&folder)["disagreements"], 0);
    let lost = network.lost();
    assert!(lost > 0, "no packet was lost");
    drop(workers);
    survived("a wire cut one way, for a moment", cuts.len() as u64);
    survived("a wire cut both ways, or unplugged, for longer than 10 s", 2);
    survived("a packet lost", lost);
}

/// What the run gives where there is no network.
fn calm(place: &Place, run_file: &str) -> Results {
    place.file("run-file.toml", run_file);
    let mut run = place.start("run run-file.toml --quiet --workers 2 --out calm");
    let folder = place.path().join("calm");
    let done = || standing(&folder.join(".tumble"), "last")?["trials_done"].as_u64();
    let ended = until_end("the calm run", || run.has_ended().then(|| run.ended()), done);
    assert_eq!(ended.code(), Some(0));
    results(&folder)
}

#[test]
fn a_sweep_over_wires_that_delay_and_lose_and_are_cut_has_the_table_of_a_calm_run() {
    survives_its_network(&LONG_SWEEP.replace("replicates = 42", "replicates = 126"), 3 * LONG_SWEEP_TRIALS);
}

#[test]
fn an_evolution_over_wires_that_delay_and_lose_and_are_cut_has_the_tables_of_a_calm_run() {
    survives_its_network(&LONG_EVOLVE.replace("generations = 300", "generations = 200"), LONG_EVOLVE_TRIALS * 2 / 3);
}
