//! Work on long vectors, shared among threads by parameters, never by members: every element of a sum is added up by one
//! thread in one order, so the bits are the same for any number of threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Elements that are worked on at a time: a piece and its noise stay in the first cache. A multiple of eight, so that each
/// piece begins with a block of noise.
pub(crate) const PIECE: usize = 1024;

/// How much work is worth a thread of its own, in normals made: to start a thread takes as long as some ten thousand.
const WORK_MIN: usize = 1 << 16;

/// How many threads this process may work on; 0 stands for all that the machine has.
static THREADS: AtomicUsize = AtomicUsize::new(0);
static CREW: Crew = Crew { busy: AtomicUsize::new(0) };

/// Sets how many threads the strategies of this process share; by default there are as many as cores. No result depends
/// on it.
pub fn set_threads(count: usize) {
    THREADS.store(count, Ordering::Relaxed);
}

/// How many threads the strategies of this process share.
pub fn threads() -> usize {
    match THREADS.load(Ordering::Relaxed) {
        0 => thread::available_parallelism().map_or(1, |count| count.get()),
        count => count,
    }
}

/// Runs `work` on every piece of vectors of one length, given the piece's first element and the piece of each of them.
/// `cost` is the work of an element, in normals made.
pub(crate) fn pieces<const N: usize>(
    vectors: [&mut [f64]; N],
    cost: usize,
    work: impl Fn(usize, [&mut [f64]; N]) + Sync,
) {
    pieces_of(PIECE, vectors, cost, work);
}

/// As [`pieces`], of so many elements each: for work whose pieces begin where the rows of a matrix do.
pub(crate) fn pieces_of<const N: usize>(
    piece: usize,
    vectors: [&mut [f64]; N],
    cost: usize,
    work: impl Fn(usize, [&mut [f64]; N]) + Sync,
) {
    let length = vectors.first().map_or(0, |vector| vector.len());
    let wanted = length.saturating_mul(cost.max(1)) / WORK_MIN;
    let hands = CREW.join(threads(), wanted);
    pieces_on(hands.count, piece, vectors, &work);
}

/// Who works now. Several slots of a worker may call at once; then each finds fewer helpers.
struct Crew {
    /// Threads at work, those that called included.
    busy: AtomicUsize,
}

impl Crew {
    /// This thread, and up to `wanted` in all, as long as others leave some of `threads`.
    fn join(&self, threads: usize, wanted: usize) -> Hands<'_> {
        let others = self.busy.fetch_add(1, Ordering::Relaxed);
        let helpers = threads.saturating_sub(1 + others).min(wanted.saturating_sub(1));
        self.busy.fetch_add(helpers, Ordering::Relaxed);
        Hands { crew: self, count: helpers + 1 }
    }
}

/// Threads of the crew; they are given back even when the work panics.
struct Hands<'a> {
    crew: &'a Crew,
    count: usize,
}

impl Drop for Hands<'_> {
    fn drop(&mut self) {
        self.crew.busy.fetch_sub(self.count, Ordering::Relaxed);
    }
}

/// As [`pieces_of`], on exactly so many threads, or on fewer if there are fewer pieces.
fn pieces_on<const N: usize>(
    threads: usize,
    piece: usize,
    vectors: [&mut [f64]; N],
    work: &(impl Fn(usize, [&mut [f64]; N]) + Sync),
) {
    let length = vectors.first().map_or(0, |vector| vector.len());
    let count = length.div_ceil(piece);
    // Shares are whole pieces, so that a piece begins and ends at the same elements for any number of threads.
    let share = count.div_ceil(threads.max(1)) * piece;
    thread::scope(|scope| {
        let (mut rest, mut start) = (vectors, 0);
        while length - start > share {
            let (first, mine) = (start, front(&mut rest, share));
            scope.spawn(move || share_of(first, piece, mine, work));
            start += share;
        }
        share_of(start, piece, rest, work);
    });
}

/// One thread's share, piece after piece.
fn share_of<const N: usize>(
    first: usize,
    piece: usize,
    share: [&mut [f64]; N],
    work: &impl Fn(usize, [&mut [f64]; N]),
) {
    let (mut rest, mut start) = (share, first);
    while let Some(left) = rest.first().map(|vector| vector.len()).filter(|left| *left > 0) {
        let length = left.min(piece);
        work(start, front(&mut rest, length));
        start += length;
    }
}

/// Takes the first `length` elements off every vector.
fn front<'a, const N: usize>(vectors: &mut [&'a mut [f64]; N], length: usize) -> [&'a mut [f64]; N] {
    vectors.each_mut().map(|vector| vector.split_off_mut(..length).expect("the vectors have one length"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn every_element_is_worked_on_once_whatever_the_threads() {
        for length in [0, 1, 7, PIECE - 1, PIECE, PIECE + 1, 10 * PIECE, 10 * PIECE + 77] {
            for threads in [1, 2, 3, 7, 64] {
                let (mut a, mut b) = (vec![0.0; length], vec![1.0; length]);
                let starts = Mutex::new(Vec::new());
                pieces_on(threads, PIECE, [&mut a, &mut b], &|start, [a, b]| {
                    starts.lock().unwrap().push((start, a.len()));
                    a.iter_mut().zip(b).enumerate().for_each(|(i, (a, b))| *a += *b + (start + i) as f64);
                });
                assert!(a.iter().enumerate().all(|(i, a)| *a == 1.0 + i as f64));
                let mut starts = starts.into_inner().unwrap();
                starts.sort_unstable();
                let expected: Vec<_> =
                    (0..length).step_by(PIECE).map(|start| (start, PIECE.min(length - start))).collect();
                assert_eq!(starts, expected);
            }
        }
    }

    fn threads_used(threads: usize, length: usize) -> usize {
        let seen = Mutex::new(HashSet::new());
        let mut vector = vec![0.0; length];
        pieces_on(threads, PIECE, [&mut vector], &|_, _| {
            seen.lock().unwrap().insert(thread::current().id());
        });
        seen.into_inner().unwrap().len()
    }

    #[test]
    fn each_thread_has_a_share_and_no_thread_has_none() {
        assert_eq!(threads_used(1, 9 * PIECE), 1);
        assert_eq!(threads_used(3, 9 * PIECE), 3);
        assert_eq!(threads_used(7, 7 * PIECE - 5), 7);
        assert_eq!(threads_used(7, 2 * PIECE), 2);
    }

    #[test]
    fn small_work_stays_on_the_thread_that_asks() {
        let mut vector = vec![0.0; WORK_MIN - 1];
        let here = thread::current().id();
        pieces([&mut vector], 1, |_, _| assert_eq!(thread::current().id(), here));
    }

    #[test]
    fn who_calls_while_others_work_finds_fewer_helpers_and_gives_them_back() {
        let crew = Crew { busy: AtomicUsize::new(0) };
        let first = crew.join(4, 3);
        assert_eq!(first.count, 3);
        let second = crew.join(4, 100);
        assert_eq!(second.count, 1);
        drop(first);
        assert_eq!(crew.join(4, 100).count, 3);
        drop(second);
        let panicked = std::panic::catch_unwind(|| {
            let _hands = crew.join(4, 100);
            panic!("in the middle of the work");
        });
        assert!(panicked.is_err());
        assert_eq!(crew.join(4, 100).count, 4);
        assert_eq!(crew.join(4, 0).count, 1);
    }
}
