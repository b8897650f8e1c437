//! A bar with the epoch, the loss and the samples per second.

#[cfg(feature = "progress")]
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
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
            let style = ProgressStyle::with_template("{prefix} {bar:30} {msg}  {rate}  {elapsed}")
                .map_or_else(|_| ProgressStyle::default_bar(), |style| style.with_key("rate", rate));
            let bar = ProgressBar::new(epochs * samples as u64).with_position(done).with_style(style);
            Shown { bar, epochs, last: Instant::now() - PAUSE }
        });
        Bar { shown }
    }

    /// So many samples further; the loss is the mean over the epoch so far.
    pub fn advance(&mut self, samples: usize, epoch: u64, loss: f64) {
        let Some(Shown { bar, epochs, last }) = &mut self.shown else { return };
        bar.inc(samples as u64);
        if last.elapsed() >= PAUSE {
            bar.set_prefix(format!("epoch {epoch:>width$}/{epochs}", width = epochs.to_string().len()));
            bar.set_message(format!("loss {loss:.4}"));
            *last = Instant::now();
        }
    }

    /// The bar stays, with the losses of the last epoch.
    pub fn finish(self, epoch: u64, loss: f64, validation: Option<f64>) {
        let Some(Shown { bar, epochs, .. }) = self.shown else { return };
        bar.set_prefix(format!("epoch {epoch}/{epochs}"));
        let validation = validation.map_or(String::new(), |loss| format!(", validation {loss:.4}"));
        bar.abandon_with_message(format!("loss {loss:.4}{validation}"));
    }
}

#[cfg(not(feature = "progress"))]
impl Bar {
    pub fn new(_: bool, _: u64, _: usize, _: u64) -> Self {
        Bar {}
    }

    pub fn advance(&mut self, _: usize, _: u64, _: f64) {}

    pub fn finish(self, _: u64, _: f64, _: Option<f64>) {}
}
