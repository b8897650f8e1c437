//! Where the time of a program goes.

use super::{Data, State, Workspace};
use crate::Result;
use crate::compile::Program;
use crate::kernel::cost::Speed;
use crate::kernel::schedule::Schedule;
use crate::kernel::work::Work;
use std::fmt;
use std::time::{Duration, Instant};

/// The time of each launch of a program: the mean of runs, as [`Program::profile`] measures it, or the least that a device
/// would take. Its `Display` is a table: share,
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

impl Program {
    /// The least time of each launch on a device of this speed, from the bytes that it moves and what it computes.
    pub fn predicted(&self, speed: &Speed) -> Profile {
        fn add(times: &mut Vec<Duration>, schedule: &Schedule, runs: usize, speed: &Speed) {
            for step in &schedule.steps {
                let seconds = step.work.cost().seconds(speed) * runs as f64;
                times.push(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
                if let Work::Loop(nest) = &step.work {
                    add(times, &nest.body, runs * nest.count, speed);
                }
            }
        }
        let mut times = Vec::new();
        add(&mut times, &self.schedule, 1, speed);
        let total = times.iter().sum();
        Profile { launches: self.titles().into_iter().zip(times).collect(), total }
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
