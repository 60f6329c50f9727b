//! A worker without a coordinator: the same messages, over a pipe. So a program that cannot have a pipeline built into it has
//! single trials evaluated.

use std::collections::VecDeque;
use std::io::{BufReader, Read, Result, Write};
use std::sync::Arc;

use tumble_pipelines::Pipeline;
use tumble_proto::{frames, v1};

use crate::evaluate::Slot;
use crate::session::{read, write};
use crate::worker::{Action, Event, Worker};

/// Takes what a coordinator would say, and says what a worker of one slot would, until there is nothing more to take.
pub(crate) fn answer(pipelines: Vec<Arc<dyn Pipeline>>, asked: impl Read, mut answers: impl Write) -> Result<()> {
    let (mut worker, mut slot) = (Worker::new(pipelines, 1), Slot::default());
    let (mut asked, mut reports) = (BufReader::new(asked), 0);
    while let Some(message) = frames::read::<v1::ToWorker>(&mut asked)? {
        let mut events: VecDeque<Event> = read(message).into_iter().collect();
        while let Some(event) = events.pop_front() {
            for action in worker.handle(event) {
                match action {
                    Action::Start { slot: number, job } => {
                        slot.evaluate(&job, |piece| events.push_back(Event::Evaluated { slot: number, piece }));
                    }
                    Action::Update(update) => events.push_back(Event::Updated(update.carry_out())),
                    Action::Say(words) => {
                        let kind = write(words);
                        // What is in the pipe is not asked for again.
                        reports += u64::from(matches!(kind, v1::from_worker::Kind::Report(_)));
                        events.push_back(Event::Acknowledged { reports });
                        frames::write(&v1::FromWorker { kind: Some(kind) }, &mut answers)?;
                    }
                    Action::Quit => return Ok(()),
                }
            }
        }
    }
    Ok(())
}
