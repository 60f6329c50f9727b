//! Stories that people tell.

use crate::run_file::sphere;
use crate::world::World;

#[test]
fn a_shard_whose_worker_vanishes_is_scored_by_another() {
    let mut world = World::seeded(7).workers(2);
    let run = world.submit(sphere().strategy("cma-es").population(64).generations(3));
    world.run_until(|world| world.done(run) > 10);
    let worker = world.hosts[0].session.expect("it has joined");
    world.break_session(worker, Some(0), None);
    world.run_until_idle();
    world.verify();
}
