//! What waits to be read by one worker: the driver puts in, the session's stream takes out. It is bounded, and a session
//! that is over is emptied at once, for one that is not read would keep what it holds.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use prost::Message as _;
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::Status;
use tumble_proto::v1;

use crate::bounds::{OUTBOX_BYTES_MAX, OUTBOX_MESSAGES_MAX};

/// Why a message cannot be put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The session is over.
    Over,
    /// Too much is unread.
    Full,
}

/// The driver's end.
pub(crate) struct Outbox {
    queue: Arc<Mutex<Queue>>,
    over: watch::Sender<bool>,
}

/// The worker's end: the stream that it is sent.
pub(crate) struct Unread {
    queue: Arc<Mutex<Queue>>,
    /// Whoever waits for the end of the session learns it also when the worker hangs up.
    over: watch::Sender<bool>,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<(usize, v1::ToWorker)>,
    bytes: usize,
    /// Said last; nothing is taken any more.
    end: Option<Option<Status>>,
    reader: Option<Waker>,
}

/// Both ends, and what becomes true when the session is over.
pub(crate) fn outbox() -> (Outbox, Unread, watch::Receiver<bool>) {
    let queue = Arc::<Mutex<Queue>>::default();
    let (over, is_over) = watch::channel(false);
    (Outbox { queue: queue.clone(), over: over.clone() }, Unread { queue, over }, is_over)
}

fn locked(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().expect("nobody panics while holding it")
}

/// What a message costs while it waits: proposals and states are there once for all workers.
fn cost(message: &v1::ToWorker) -> usize {
    use v1::to_worker::Kind;
    let shared = match &message.kind {
        Some(Kind::Proposal(chunk) | Kind::Snapshot(chunk) | Kind::Tell(chunk)) => chunk.bytes.len(),
        _ => 0,
    };
    message.encoded_len() - shared
}

impl Outbox {
    pub(crate) fn send(&self, message: v1::ToWorker) -> Result<(), NotTaken> {
        let mut queue = locked(&self.queue);
        if queue.end.is_some() {
            return Err(NotTaken::Over);
        }
        let cost = cost(&message);
        if queue.messages.len() >= OUTBOX_MESSAGES_MAX || queue.bytes + cost > OUTBOX_BYTES_MAX {
            return Err(NotTaken::Full);
        }
        queue.bytes += cost;
        queue.messages.push_back((cost, message));
        wake(queue);
        Ok(())
    }

    /// Ends the session for a reason; what is unread is let go.
    pub(crate) fn close(&self, why: Status) {
        end(&self.queue, Some(why));
        self.over.send_replace(true);
    }
}

impl Drop for Outbox {
    /// The session ends well: what was sent before is still read.
    fn drop(&mut self) {
        let mut queue = locked(&self.queue);
        queue.end.get_or_insert(None);
        wake(queue);
        self.over.send_replace(true);
    }
}

impl Unread {
    /// Says why a session ends that the driver does not know.
    pub(crate) fn closer(&self) -> impl FnOnce(Status) + Send + use<> {
        let queue = self.queue.clone();
        move |why| end(&queue, Some(why))
    }
}

fn end(queue: &Mutex<Queue>, why: Option<Status>) {
    let mut queue = locked(queue);
    if queue.end.is_none() {
        queue.messages = VecDeque::new();
        queue.bytes = 0;
        queue.end = Some(why);
        wake(queue);
    }
}

fn wake(mut queue: MutexGuard<'_, Queue>) {
    let reader = queue.reader.take();
    drop(queue);
    reader.into_iter().for_each(Waker::wake);
}

impl Stream for Unread {
    type Item = Result<v1::ToWorker, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut queue = locked(&self.queue);
        if let Some((cost, message)) = queue.messages.pop_front() {
            queue.bytes -= cost;
            return Poll::Ready(Some(Ok(message)));
        }
        match &mut queue.end {
            Some(why) => Poll::Ready(why.take().map(Err)),
            None => {
                queue.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        end(&self.queue, None);
        self.over.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(lease: u64) -> v1::ToWorker {
        let grant = v1::Grant { lease, run: "r".repeat(100), ..v1::Grant::default() };
        v1::ToWorker { kind: Some(v1::to_worker::Kind::Grant(grant)) }
    }

    fn chunk(bytes: usize) -> v1::ToWorker {
        let chunk = v1::Chunk { bytes: vec![0; bytes].into(), ..v1::Chunk::default() };
        v1::ToWorker { kind: Some(v1::to_worker::Kind::Snapshot(chunk)) }
    }

    fn toml(bytes: usize) -> v1::ToWorker {
        let open = v1::OpenRun { run: "r".to_owned(), run_toml: "x".repeat(bytes) };
        v1::ToWorker { kind: Some(v1::to_worker::Kind::OpenRun(open)) }
    }

    #[test]
    fn an_outbox_that_is_not_read_is_full_at_its_limits_and_empty_when_it_is_closed() {
        let (messages, unread, over) = outbox();
        for lease in 0..OUTBOX_MESSAGES_MAX as u64 {
            assert_eq!(messages.send(grant(lease)), Ok(()));
        }
        assert_eq!(messages.send(grant(0)), Err(NotTaken::Full));
        messages.close(Status::aborted("it did not read"));
        assert!(*over.borrow());
        assert!(locked(&unread.queue).messages.is_empty(), "what was unread is let go");
        assert_eq!(messages.send(grant(0)), Err(NotTaken::Over));

        let (messages, _unread, _over) = outbox();
        assert_eq!(messages.send(chunk(2 * OUTBOX_BYTES_MAX)), Ok(()), "what all workers share costs nothing");
        let half = || toml(OUTBOX_BYTES_MAX / 2 + 1);
        assert_eq!((messages.send(half()), messages.send(half())), (Ok(()), Err(NotTaken::Full)));
    }

    #[tokio::test]
    async fn what_was_sent_is_read_in_order_and_then_why_the_session_ended() {
        use tokio_stream::StreamExt;
        let (messages, mut unread, over) = outbox();
        let reading = tokio::spawn(async move {
            let mut leases = Vec::new();
            while let Some(read) = unread.next().await {
                let Ok(v1::ToWorker { kind: Some(v1::to_worker::Kind::Grant(grant)) }) = read else {
                    return (leases, Some(read.expect_err("only grants were sent").message().to_owned()));
                };
                leases.push(grant.lease);
            }
            (leases, None)
        });
        (0..100).for_each(|lease| messages.send(grant(lease)).expect("there is room"));
        drop(messages);
        assert_eq!(reading.await.unwrap(), ((0..100).collect(), None));
        assert!(*over.borrow());

        let (messages, mut unread, _) = outbox();
        messages.close(Status::aborted("enough"));
        drop(messages);
        assert_eq!(unread.next().await.unwrap().unwrap_err().message(), "enough");
        assert!(unread.next().await.is_none());

        let (messages, unread, over) = outbox();
        drop(unread);
        assert!(*over.borrow(), "a worker that hangs up ends its session");
        assert_eq!(messages.send(grant(0)), Err(NotTaken::Over));
    }
}
