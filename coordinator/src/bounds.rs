//! What bounds the shell, each limit with its unit and what happens at it. The core's are in `tumble_core::Limits`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Inputs that may wait for the driver; senders wait beyond that.
pub(crate) const QUEUE_MAX: usize = 1024;
/// The most inputs that share one commit.
pub(crate) const TURN_EVENTS_MAX: usize = 256;
/// What waits for the driver of all workers' messages, in KiB; sessions are not read beyond that.
pub(crate) const QUEUE_KIB_MAX: u32 = 64 * 1024;
/// Messages of one session that may wait for the driver; it is not read beyond that, and others come in between.
pub(crate) const SESSION_QUEUE_MAX: usize = 64;
/// A worker may say other things than reports so often, in the long run; heartbeats beyond it are dropped unheard.
pub(crate) const PATTER_EVERY: Duration = Duration::from_millis(50);
/// So many of them may come at once, as when it refuses all open runs; the session is closed beyond that.
pub(crate) const PATTER_MAX: u32 = 10_000;
/// Second evaluations that may wait to be compared with what stands in parts; what comes beyond that is not compared.
pub(crate) const COMPARISONS_MAX: usize = 64;
/// Messages that a worker may leave unread: all grants of the largest worker and as many besides. It is lost beyond that.
pub(crate) const OUTBOX_MESSAGES_MAX: usize = 32_768;
/// The same in bytes, without the proposals and states that all workers share. It is lost beyond that.
pub(crate) const OUTBOX_BYTES_MAX: usize = 32 << 20;
/// Sessions, those of dismissed workers that do not hang up counted in; more are refused.
pub(crate) const SESSIONS_MAX: usize = 12_000;
/// Requests of clients that are being answered; more are refused.
pub(crate) const REQUESTS_MAX: usize = 256;
/// What clients may give at once to runs that take their candidates from them, until it is answered, in KiB; what comes
/// beyond that is refused.
pub(crate) const GIVEN_KIB_MAX: u32 = 512 * 1024;
/// Clients that follow a run, or wait for an answer to what they gave; more are refused.
pub(crate) const WATCHES_MAX: usize = 1024;
/// Files that a client may ask about at once: all of a bundle, and its manifest. More are refused.
pub(crate) const BLOBS_ASKED_MAX: usize = tumble_bundle::FILES_MAX + 1;
/// What the files of all bundles take that unfinished runs name, in bytes; more are refused.
pub(crate) const BLOBS_BYTES_MAX: u64 = 64 << 30;
/// How long a file stays that no run names, after a client has put it or asked for it: it may be about to submit.
pub(crate) const BLOBS_UNNAMED_FOR: Duration = Duration::from_secs(3600);
/// Clients that put files; more are refused.
pub(crate) const PUTS_MAX: usize = 32;
/// Files that workers get at once; others wait.
pub(crate) const GETS_MAX: usize = 64;
/// Pieces of a file that wait for the disk or the network; it is not read beyond that.
pub(crate) const BLOB_PIECES_MAX: usize = 4;
/// Different descriptions of pipelines that a client is told of; of more it is told of the first.
pub(crate) const ANNOUNCED_MAX: usize = 256;
/// What a peer may send before it is read: of one stream, and of one connection. In bytes.
pub(crate) const STREAM_WINDOW: u32 = 1 << 20;
pub(crate) const CONNECTION_WINDOW: u32 = 4 << 20;

/// Room for a message of a worker until the driver has made it durable.
pub(crate) struct Room {
    _of_session: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// Where the messages of one session wait.
pub(crate) struct Anteroom {
    session: Arc<Semaphore>,
    all: Arc<Semaphore>,
}

impl Anteroom {
    /// One for a session; `all` is shared.
    pub(crate) fn new(all: Arc<Semaphore>) -> Anteroom {
        Anteroom { session: Arc::new(Semaphore::new(SESSION_QUEUE_MAX)), all }
    }

    /// Waits until there is room for a message of so many bytes.
    pub(crate) async fn enter(&self, bytes: u64) -> Room {
        let kibibytes = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min(QUEUE_KIB_MAX);
        let open = "nobody closes it";
        Room {
            _of_session: self.session.clone().acquire_owned().await.expect(open),
            _of_all: self.all.clone().acquire_many_owned(kibibytes).await.expect(open),
        }
    }
}

/// Where what clients give is kept until it is answered.
#[derive(Clone)]
pub(crate) struct Store(Arc<Semaphore>);

impl Store {
    /// An empty one.
    pub(crate) fn new() -> Store {
        Store(Arc::new(Semaphore::new(GIVEN_KIB_MAX as usize)))
    }

    /// Room for so many bytes, or that there is none.
    pub(crate) fn room(&self, bytes: u64) -> Result<tokio::sync::OwnedSemaphorePermit, tonic::Status> {
        let kibibytes = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        self.0.clone().try_acquire_many_owned(kibibytes).map_err(|_| {
            tonic::Status::resource_exhausted(format!(
                "clients have given {} MiB that are not answered yet, or this is more; try again later",
                GIVEN_KIB_MAX / 1024
            ))
        })
    }
}

/// How much one session has said that is no report: fills with each message and drains with time.
pub(crate) struct Patter {
    level: f64,
    since: Instant,
    let_through: Option<Instant>,
}

impl Patter {
    pub(crate) fn new() -> Patter {
        Patter { level: 0.0, since: Instant::now(), let_through: None }
    }

    /// Counts one more; `false` when it is too much.
    pub(crate) fn bears_one_more(&mut self, now: Instant) -> bool {
        let drained = now.duration_since(self.since).as_secs_f64() / PATTER_EVERY.as_secs_f64();
        self.since = now;
        self.level = (self.level - drained).max(0.0) + 1.0;
        self.level <= f64::from(PATTER_MAX)
    }

    /// Whether a heartbeat tells anything that the last one did not.
    pub(crate) fn is_news(&mut self, now: Instant) -> bool {
        let news = self.let_through.is_none_or(|last| now.duration_since(last) >= PATTER_EVERY);
        if news {
            self.let_through = Some(now);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_in_due_time_is_always_borne_and_a_flood_is_not() {
        let (mut patter, start) = (Patter::new(), Instant::now());
        for second in 0..100_000 {
            let now = start + Duration::from_secs(second);
            assert!(patter.bears_one_more(now) && patter.is_news(now));
        }
        let now = start + Duration::from_secs(200_000);
        let borne = (0..2 * PATTER_MAX).filter(|_| patter.bears_one_more(now)).count();
        assert_eq!(borne, PATTER_MAX as usize);
        assert_eq!((0..100).filter(|_| patter.is_news(now)).count(), 1);
    }

    #[tokio::test]
    async fn one_session_does_not_fill_the_queue_of_all() {
        let all = Arc::new(Semaphore::new(QUEUE_KIB_MAX as usize));
        let (flood, other) = (Anteroom::new(all.clone()), Anteroom::new(all.clone()));
        let mut rooms = Vec::new();
        for _ in 0..SESSION_QUEUE_MAX {
            rooms.push(flood.enter(100).await);
        }
        let mut late = Box::pin(flood.enter(100));
        assert!(looked_at_once(&mut late).await.is_none(), "its next message waits");
        rooms.push(other.enter(100).await);
        rooms.clear();
        late.await;
        // A message larger than all the room there is passes alone.
        let alone = other.enter(u64::MAX).await;
        let mut late = Box::pin(flood.enter(1));
        assert!(looked_at_once(&mut late).await.is_none());
        drop(alone);
        late.await;
    }

    #[test]
    fn what_is_given_takes_room_until_it_is_answered() {
        let store = Store::new();
        let half = || store.room(u64::from(GIVEN_KIB_MAX) * 1024 / 2);
        let (first, second) = (half().unwrap(), half().unwrap());
        assert_eq!(store.room(1).unwrap_err().code(), tonic::Code::ResourceExhausted);
        drop(first);
        assert!(store.room(1).is_ok() && store.room(u64::MAX).is_err());
        drop(second);
    }

    /// Looks at a future once.
    async fn looked_at_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|context| match std::pin::Pin::new(&mut *future).poll(context) {
            std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }
}
