//! Ctrl-C and its relatives: the first one asks to stop, the second one stops.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Becomes true when the process is asked to stop (SIGINT, SIGTERM, SIGHUP). A second request ends the process at once
/// with the exit code 128 + its number; everything acknowledged is durable by then.
pub fn stop_requests() -> watch::Receiver<bool> {
    let (ask, asked) = watch::channel(false);
    for (kind, number) in [(SignalKind::interrupt(), 2), (SignalKind::terminate(), 15), (SignalKind::hangup(), 1)] {
        let Ok(mut signals) = signal(kind) else { continue };
        let ask = ask.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if ask.send_replace(true) {
                    std::process::exit(128 + number);
                }
            }
        });
    }
    asked
}

/// The same, and also when standard input ends: whoever holds its other end has gone.
pub fn stop_requests_or_end_of_input() -> watch::Receiver<bool> {
    let signals = stop_requests();
    let (ask, asked) = watch::channel(false);
    let by_input = ask.clone();
    // A thread, for a read of standard input cannot be called off; it ends with the process.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        by_input.send_replace(true);
    });
    tokio::spawn(async move {
        stopped(signals).await;
        ask.send_replace(true);
    });
    asked
}

/// Resolves when the process has been asked to stop.
pub async fn stopped(mut asked: watch::Receiver<bool>) {
    if asked.wait_for(|asked| *asked).await.is_err() {
        std::future::pending::<()>().await;
    }
}
