//! A bar with the epoch, the results and the samples per second; lines where nobody watches.

use super::metrics::{Epoch, Metrics};
#[cfg(feature = "progress")]
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
#[cfg(feature = "progress")]
use std::io::Write;
#[cfg(feature = "progress")]
use std::time::{Duration, Instant};

/// The bar of a training; without the feature `progress`, nothing.
pub(super) struct Bar {
    #[cfg(feature = "progress")]
    shown: Option<Shown>,
}

#[cfg(feature = "progress")]
struct Shown {
    bar: ProgressBar,
    epochs: u64,
    last: Instant,
}

/// A message is a new string: a few a second are enough to read.
#[cfg(feature = "progress")]
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(feature = "progress")]
impl Bar {
    /// A bar over all epochs, of which `done` samples were seen before.
    pub fn new(shown: bool, epochs: u64, samples: usize, done: u64) -> Self {
        let shown = shown.then(|| {
            let rate = |state: &ProgressState, w: &mut dyn std::fmt::Write| {
                // A line that cannot be written is not shown.
                let _ = write!(w, "{:.0} samples/s", state.per_sec());
            };
            let style = ProgressStyle::with_template("{prefix} {bar:30} {msg}  {rate}  {elapsed}, {eta} left")
                .map_or_else(|_| ProgressStyle::default_bar(), |style| style.with_key("rate", rate));
            let bar = ProgressBar::new(epochs * samples as u64).with_position(done).with_style(style);
            Shown { bar, epochs, last: Instant::now() - PAUSE }
        });
        Bar { shown }
    }

    /// So many samples further; the results are means over the epoch so far.
    pub fn advance(&mut self, samples: usize, epoch: u64, results: &dyn Fn() -> Metrics) {
        let Some(Shown { bar, epochs, last }) = &mut self.shown else { return };
        bar.inc(samples as u64);
        if last.elapsed() >= PAUSE {
            bar.set_prefix(format!("epoch {epoch:>width$}/{epochs}", width = epochs.to_string().len()));
            bar.set_message(shown(&results()));
            *last = Instant::now();
        }
    }

    /// A line for an epoch, where the bar is not seen because the output is no terminal.
    pub fn epoch(&self, epoch: &Epoch) {
        let Some(Shown { bar, epochs, .. }) = &self.shown else { return };
        if bar.is_hidden() {
            let (number, width) = (epoch.epoch, epochs.to_string().len());
            let (results, rate) = (results(epoch), epoch.samples_per_second);
            // A line that cannot be written is not shown.
            let _ = writeln!(std::io::stderr(), "epoch {number:>width$}/{epochs}  {results}  {rate:.0} samples/s");
        }
    }

    /// The bar stays, with the results of the last epoch.
    pub fn finish(self, epoch: &Epoch) {
        let Some(Shown { bar, epochs, .. }) = self.shown else { return };
        bar.set_prefix(format!("epoch {}/{epochs}", epoch.epoch));
        bar.abandon_with_message(results(epoch));
    }
}

#[cfg(feature = "progress")]
fn results(epoch: &Epoch) -> String {
    let validation = epoch.validation.as_ref();
    let validation = validation.map_or(String::new(), |validation| format!("  validation {}", shown(validation)));
    format!("{}{validation}", shown(&epoch.train))
}

/// The result of a net that has one, and no name for it, is its loss.
#[cfg(feature = "progress")]
fn shown(results: &Metrics) -> String {
    if results.names == ["output"] { format!("loss {:.4}", results.loss()) } else { results.to_string() }
}

#[cfg(not(feature = "progress"))]
impl Bar {
    pub fn new(_: bool, _: u64, _: usize, _: u64) -> Self {
        Bar {}
    }

    pub fn advance(&mut self, _: usize, _: u64, _: &dyn Fn() -> Metrics) {}

    pub fn epoch(&self, _: &Epoch) {}

    pub fn finish(self, _: &Epoch) {}
}
