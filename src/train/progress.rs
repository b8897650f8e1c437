//! A bar with the loss and the samples per second.

#[cfg(feature = "progress")]
use indicatif::{ProgressBar, ProgressStyle};

/// The bar of one epoch; without the feature `progress`, nothing.
pub(super) struct Bar {
    #[cfg(feature = "progress")]
    bar: Option<(ProgressBar, std::time::Instant)>,
}

#[cfg(feature = "progress")]
impl Bar {
    pub fn new(shown: bool, epoch: u64, epochs: u64, samples: usize) -> Self {
        let bar = shown.then(|| {
            let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len}  {msg}  {per_sec} samples")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(samples as u64).with_style(style);
            bar.set_prefix(format!("epoch {epoch:>width$}/{epochs}", width = epochs.to_string().len()));
            (bar, std::time::Instant::now())
        });
        Bar { bar }
    }

    pub fn advance(&mut self, samples: usize, loss: f64) {
        let Some((bar, shown)) = &mut self.bar else { return };
        bar.inc(samples as u64);
        // A message is a new string: a few a second are enough to read.
        if shown.elapsed().as_millis() > 100 {
            bar.set_message(format!("loss {loss:.4}"));
            *shown = std::time::Instant::now();
        }
    }

    pub fn finish(self) {
        if let Some((bar, _)) = self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(not(feature = "progress"))]
impl Bar {
    pub fn new(_: bool, _: u64, _: u64, _: usize) -> Self {
        Bar {}
    }

    pub fn advance(&mut self, _: usize, _: f64) {}

    pub fn finish(self) {}
}
