//! Where the time of a program goes.

use super::{Data, State, Workspace};
use crate::Result;
use crate::compile::Program;
use std::fmt;
use std::time::{Duration, Instant};

/// The mean time of each launch of a program, as [`Program::profile`] measures it. Its `Display` is a table: share,
/// milliseconds, and what is launched, in the order of the program's own listing.
#[derive(Clone, Debug)]
pub struct Profile {
    launches: Vec<(String, Duration)>,
    total: Duration,
}

impl Program {
    /// Runs the program so many times, as [`Program::run`] does, and tells where the time goes.
    ///
    /// # Errors
    /// Those of [`Program::run`].
    pub fn profile(
        &self,
        state: &mut State,
        inputs: &[Data<'_>],
        workspace: &mut Workspace,
        runs: u32,
    ) -> Result<Profile> {
        workspace.engine.start_clock();
        let begin = Instant::now();
        let done = (0..runs).try_for_each(|_| self.run(state, inputs, workspace));
        let total = begin.elapsed() / runs.max(1);
        let times = workspace.engine.stop_clock();
        done?;
        let times = times.into_iter().map(|time| time / runs.max(1));
        Ok(Profile { launches: self.titles().into_iter().zip(times).collect(), total })
    }
}

impl Profile {
    /// What each launch does and the time that it takes in a run; those within a loop follow the loop.
    pub fn launches(&self) -> &[(String, Duration)] {
        &self.launches
    }

    /// The time of a run.
    pub fn total(&self) -> Duration {
        self.total
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total.as_secs_f64().max(f64::MIN_POSITIVE);
        writeln!(f, "{:.3} ms", 1e3 * total)?;
        for (title, time) in &self.launches {
            let time = time.as_secs_f64();
            writeln!(f, "{:5.1} % {:9.3} ms  {title}", 100.0 * time / total, 1e3 * time)?;
        }
        Ok(())
    }
}
