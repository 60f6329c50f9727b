//! The core's messages and views as the protocol has them.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use tumble_core::{Message, RunId, RunView, ViewState};
use tumble_proto::{CHUNK_BYTES, v1};
use tumble_search::StateHash;

/// Every gRPC message travels behind a flag byte and a length of four bytes.
const FRAME_BYTES: u64 = 5;

/// What a worker is sent for a message of the core: one message, or several where it is large. `Dismiss` is not a
/// message but the end of the stream.
pub(crate) fn to_worker(message: &Message) -> Vec<v1::ToWorker> {
    use v1::to_worker::Kind;
    let kinds = match message {
        Message::Welcome { heartbeat_ms } => vec![Kind::Welcome(v1::Welcome {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            heartbeat_ms: *heartbeat_ms,
        })],
        Message::OpenRun { run, run_toml } => {
            vec![Kind::OpenRun(v1::OpenRun { run: run.to_string(), run_toml: run_toml.to_string() })]
        }
        Message::Proposal { run, generation, bytes, hash } => chunks(run, *generation, *hash, bytes, Kind::Proposal),
        Message::Snapshot { run, generation, bytes, hash } => chunks(run, *generation, *hash, bytes, Kind::Snapshot),
        Message::Tell { run, generation, bytes, hash_after } => {
            chunks(run, *generation, *hash_after, bytes, Kind::Tell)
        }
        Message::Grant(grant) => vec![Kind::Grant(v1::Grant {
            lease: grant.lease.0,
            run: grant.run.to_string(),
            generation: grant.generation,
            first_trial: grant.range.start,
            trials: grant.range.len(),
            attempt: grant.attempt,
            generation_first_trial: grant.generation_start,
        })],
        Message::CloseRun { run } => vec![Kind::CloseRun(v1::CloseRun { run: run.to_string() })],
        Message::Revoke { leases } => {
            vec![Kind::Revoke(v1::Revoke { leases: leases.iter().map(|lease| lease.0).collect() })]
        }
        Message::Farewell => vec![Kind::Farewell(v1::Farewell {})],
        Message::Dismiss { .. } => Vec::new(),
    };
    kinds.into_iter().map(|kind| v1::ToWorker { kind: Some(kind) }).collect()
}

/// What a worker is sent when so many reports of its session were taken.
pub(crate) fn acknowledged(reports: u64) -> v1::ToWorker {
    v1::ToWorker { kind: Some(v1::to_worker::Kind::Acknowledged(v1::Acknowledged { reports })) }
}

/// What may be large, in pieces.
fn chunks(
    run: &RunId,
    generation: u32,
    hash: StateHash,
    bytes: &Arc<[u8]>,
    kind: fn(v1::Chunk) -> v1::to_worker::Kind,
) -> Vec<v1::to_worker::Kind> {
    let whole = Bytes::from_owner(bytes.clone());
    let chunk = |offset: usize| {
        kind(v1::Chunk {
            run: run.to_string(),
            generation,
            hash: hash.0.to_vec(),
            length: whole.len() as u64,
            offset: offset as u64,
            bytes: whole.slice(offset..whole.len().min(offset + CHUNK_BYTES)),
        })
    };
    (0..whole.len().max(1)).step_by(CHUNK_BYTES).map(chunk).collect()
}

/// How many bytes a message takes on the wire.
pub(crate) fn length(message: &Message) -> u64 {
    to_worker(message).iter().map(|m| FRAME_BYTES + m.encoded_len() as u64).sum()
}

/// How many bytes a message from a worker took.
pub(crate) fn received(message: &v1::FromWorker) -> u64 {
    FRAME_BYTES + message.encoded_len() as u64
}

pub(crate) fn view(view: &RunView) -> v1::RunView {
    let state = match view.state {
        ViewState::Waiting => v1::RunState::Waiting,
        ViewState::Running => v1::RunState::Running,
        ViewState::Finishing => v1::RunState::Finishing,
        ViewState::Finished => v1::RunState::Finished,
        ViewState::Cancelled => v1::RunState::Cancelled,
        ViewState::Suspended => v1::RunState::Suspended,
        ViewState::Failed => v1::RunState::Failed,
    };
    v1::RunView {
        run: view.run.to_string(),
        name: view.name.clone(),
        pipeline: view.pipeline.clone(),
        state: state as i32,
        reason: view.reason.clone(),
        trials: view.trials,
        trials_done: view.trials_done,
        trials_evaluated: view.trials_evaluated,
        trials_failed: view.trials_failed,
        generation: view.generation,
        generations: view.generations,
        objective: view.objective.clone(),
        best: view.best,
        folder: view.folder.to_string_lossy().into_owned(),
        elapsed_ms: view.elapsed_ms,
        workers: view.workers,
        bytes_down: view.bytes_down,
        bytes_up: view.bytes_up,
        disagreements: view.disagreements,
        resyncs: view.resyncs,
        parts: view.parts,
    }
}
