//! Candidates that a client gives, as they arrive, and the outcomes as they go back: both in pieces.

use std::pin::Pin;
use std::sync::Arc;

use tokio_stream::Stream;
use tonic::{Status, Streaming};
use tumble_core::{RunView, ViewState};
use tumble_domain::Outcomes;
use tumble_proto::{CHUNK_BYTES, WireError, outcomes, v1};
use tumble_search::strategies::GIVEN_NUMBERS_MAX;

use crate::bounds::Store;
use crate::journal::codec::numbers_from_wire;

pub(crate) type AnswerStream = Pin<Box<dyn Stream<Item = Result<v1::AnswerPiece, Status>> + Send>>;

/// The candidates of a generation as a client gives them.
pub(crate) struct Given {
    pub(crate) run: String,
    pub(crate) generation: u32,
    /// By rows.
    pub(crate) points: Arc<[f64]>,
    /// They take room until they are answered.
    _room: tokio::sync::OwnedSemaphorePermit,
}

/// Reads all pieces; there is room for them before the second one is read.
pub(crate) async fn read(pieces: &mut Streaming<v1::GivenPiece>, store: &Store) -> Result<Given, Status> {
    let malformed = |error: WireError| Status::invalid_argument(error.to_string());
    let first = pieces.message().await?.ok_or_else(|| malformed(WireError::Missing("candidates")))?;
    let v1::GivenPiece { run, generation, length, points: mut bytes } = first;
    if length == 0 || length % 8 != 0 || length > 8 * GIVEN_NUMBERS_MAX as u64 {
        return Err(Status::invalid_argument(format!(
            "{length} bytes are no candidates: 1 to {GIVEN_NUMBERS_MAX} numbers of 8 bytes are given at once"
        )));
    }
    let room = store.room(length)?;
    while (bytes.len() as u64) < length {
        let piece = pieces.message().await?.ok_or_else(|| malformed(WireError::Malformed("length")))?;
        if piece.points.is_empty() {
            return Err(malformed(WireError::Malformed("points")));
        }
        bytes.extend(piece.points);
    }
    if bytes.len() as u64 > length {
        return Err(malformed(WireError::Malformed("length")));
    }
    let points = numbers_from_wire(&bytes).ok_or_else(|| malformed(WireError::Malformed("points")))?;
    Ok(Given { run, generation, points: points.into(), _room: room })
}

/// Whether a run in this state may have an answer to what it was given for a generation.
pub(crate) fn may_be_answered(view: &RunView, generation: u32) -> bool {
    view.generation > generation || view.state.is_over() || view.state == ViewState::Finishing
}

/// The outcomes in pieces.
pub(crate) fn answer(columns: &Outcomes) -> AnswerStream {
    let bytes = outcomes::pack(columns);
    let length = bytes.len() as u64;
    let pieces: Vec<v1::AnswerPiece> =
        bytes.chunks(CHUNK_BYTES).map(|piece| v1::AnswerPiece { length, outcomes: piece.to_vec() }).collect();
    Box::pin(tokio_stream::iter(pieces.into_iter().map(Ok)))
}
