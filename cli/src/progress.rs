//! How a run comes along: a bar on a terminal, plain lines in a log, notices for a program, nothing when quiet.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use tumble_proto::v1::{RunState, RunView};

use crate::commands::clients::view_json;
use crate::output::{Output, duration, grouped, number};

/// In a log, a line at least this far apart; the distance grows with the run, so that a long one does not fill the log.
const LINE_EVERY_MIN: Duration = Duration::from_secs(2);
/// Notices are at least this far apart, so that whoever reads along has time for other things.
const NOTICE_EVERY: Duration = Duration::from_millis(100);
/// The rate is measured over this long.
const RATE_OVER: Duration = Duration::from_secs(5);

/// Shows the progress of one run.
pub(crate) struct Progress {
    shown: Shown,
    seen: VecDeque<(Instant, u64)>,
    started: Instant,
}

enum Shown {
    Bar(ProgressBar),
    Lines { next: Instant },
    Notices { output: Output, thinned: Thinned },
    Nothing,
}

impl Progress {
    pub(crate) fn new(output: Output) -> Progress {
        let shown = if output.quiet {
            Shown::Nothing
        } else if output.notices {
            Shown::Notices { output, thinned: Thinned::default() }
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr_with_hz(8));
            let style = ProgressStyle::with_template("{bar:32.cyan/dim} {percent:>3}% {msg}");
            bar.set_style(style.expect("our own template is well formed"));
            Shown::Bar(bar)
        } else {
            Shown::Lines { next: Instant::now() + LINE_EVERY_MIN }
        };
        Progress { shown, seen: VecDeque::new(), started: Instant::now() }
    }

    /// Takes a newer view of the run.
    pub(crate) fn update(&mut self, view: &RunView) {
        let now = Instant::now();
        self.seen.push_back((now, view.trials_done));
        while self.seen.len() > 2 && now - self.seen[1].0 > RATE_OVER {
            self.seen.pop_front();
        }
        match &mut self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                bar.set_length(view.trials.max(1));
                bar.set_position(view.trials_done.min(view.trials));
                bar.set_message(describe(view, rate(&self.seen)));
            }
            Shown::Lines { next } => {
                if now >= *next {
                    eprintln!("{}", describe(view, rate(&self.seen)));
                    *next = now + LINE_EVERY_MIN.max((now - self.started) / 10);
                }
            }
            Shown::Notices { output, thinned } => {
                if let Some(notice) = thinned.next(now, notice(view, rate(&self.seen))) {
                    output.notice("progress", notice);
                }
            }
        }
    }

    /// Clears the bar, so that what follows has the screen; tells the last notice.
    pub(crate) fn end(self) {}
}

/// Also when what it shows is given up in the middle.
impl Drop for Progress {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.shown, Shown::Nothing) {
            Shown::Bar(bar) => bar.finish_and_clear(),
            Shown::Notices { output, thinned } => {
                if let Some(notice) = thinned.left {
                    output.notice("progress", notice);
                }
            }
            Shown::Lines { .. } | Shown::Nothing => {}
        }
    }
}

/// Notices that come no faster than whoever reads along wants them, of which the last is never lost.
#[derive(Default)]
struct Thinned {
    next: Option<Instant>,
    /// The newest one if it was not told yet.
    left: Option<Value>,
}

impl Thinned {
    /// Takes a newer notice; gives it back if it is to be told now.
    fn next(&mut self, now: Instant, notice: Value) -> Option<Value> {
        self.left = Some(notice);
        if self.next.is_some_and(|next| now < next) {
            return None;
        }
        self.next = Some(now + NOTICE_EVERY);
        self.left.take()
    }
}

/// Trials per second over the last seconds.
fn rate(seen: &VecDeque<(Instant, u64)>) -> Option<f64> {
    let ((from, before), (to, now)) = (seen.front()?, seen.back()?);
    let seconds = (*to - *from).as_secs_f64();
    (seconds > 0.2 && now > before).then(|| (now - before) as f64 / seconds)
}

/// What a notice says of a run: all that a client is told of it, its rate, and how long it will still take at that rate.
fn notice(view: &RunView, rate: Option<f64>) -> Value {
    let left = view.trials.saturating_sub(view.trials_done) as f64;
    let mut notice = view_json(view);
    notice["trials_per_second"] = json!(rate);
    notice["seconds_left"] = json!(rate.map(|rate| left / rate));
    notice
}

fn describe(view: &RunView, rate: Option<f64>) -> String {
    let mut text = format!("{} / {} trials", grouped(view.trials_done), grouped(view.trials));
    if let Some(rate) = rate {
        let left = view.trials.saturating_sub(view.trials_done) as f64 / rate;
        text += &format!(", {}/s, ETA {}", rate_text(rate), duration(left));
    }
    if view.generations > 0 {
        text += &format!(", generation {} / {}", view.generation, view.generations);
    }
    if let Some(best) = view.best {
        text += &format!(", best {} {}", view.objective.trim_start_matches('-'), number(best));
    }
    if view.trials_failed > 0 {
        text += &format!(", {} failed", grouped(view.trials_failed));
    }
    match view.state() {
        RunState::Waiting if !view.reason.is_empty() => text += &format!(", waiting: {}", view.reason),
        RunState::Finishing => text += ", completing the tables",
        _ => {}
    }
    text
}

pub(crate) fn rate_text(rate: f64) -> String {
    if rate >= 100.0 { grouped(rate as u64) } else { format!("{rate:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_notices_some_are_told_and_the_last_is_kept() {
        let (begin, mut thinned) = (Instant::now(), Thinned::default());
        let mut at = |ms: u64, notice: u64| thinned.next(begin + Duration::from_millis(ms), json!(notice));
        assert_eq!(at(0, 1), Some(json!(1)));
        assert_eq!([at(10, 2), at(99, 3)], [None, None]);
        assert_eq!(at(100, 4), Some(json!(4)));
        assert_eq!(at(101, 5), None);
        assert_eq!(thinned.left, Some(json!(5)));
        assert_eq!(thinned.next(begin + Duration::from_secs(1), json!(6)), Some(json!(6)));
        assert_eq!(thinned.left, None);
    }
}
